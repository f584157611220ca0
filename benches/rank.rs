//! Pages of a market under 100 promotions, against the same pages by three slower ways.
//!
//! Data: see [`market`], with 100,000 and 1,000,000 variants; 5,000,000 as well if
//! `ENDCAP_BENCH_LARGE` is set (about 12 GB and some minutes more). Requests: 10 % the whole market,
//! the rest a category of any storey; half of them plain, a quarter with two colours, 15 % with
//! three brands, 10 % with a price range and in stock; 24 products a page; a session each.
//!
//! With the argument `differs` only the table of that name is made, of 100,000 variants.
//!
//! The tables name what they time. `mean` leaves out the slowest 1 %; each request counts with the
//! best of its rounds, so that a busy machine does not write the figures. Before anything is timed,
//! its pages are compared with what sorting the market by the definition gives.

#![expect(clippy::print_stdout, reason = "figures are this program's answer")]

mod market;
#[path = "market/twins.rs"]
mod twins;

use std::hint::black_box;
use std::time::Instant;

use criterion::{BenchmarkId, Criterion};
use endcap::catalogue::row::RowSet;
use endcap::domain::boost::BoostLevel::{self, Demoted, High, Low, Medium};
use endcap::predicate::rule::Attr;
use endcap::promotion::slot::SlotMask;
use endcap::ranking::build::MarketView;
use endcap::ranking::differs::{Compared, differs};
use endcap::ranking::order::Rank;
use endcap::ranking::page::{Page, page};
use endcap::ranking::query::{FacetQuery, GroupBy, Query, SortKey};
use hdrhistogram::Histogram;
use market::{Chance, Kind, Market, Request, Shape, between, in_stock, products, rule};
use twins::Twins;

const ROUNDS: usize = 5;

fn main() {
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let mut criterion = Criterion::default()
        .configure_from_args()
        .sample_size(20)
        .warm_up_time(std::time::Duration::from_millis(300))
        .measurement_time(std::time::Duration::from_secs(1))
        .without_plots();
    if std::env::args().any(|arg| arg == "differs") {
        differences(&Market::new(100_000, Shape::Usual));
        return;
    }
    let mut sizes = vec![100_000, 1_000_000];
    if std::env::var_os("ENDCAP_BENCH_LARGE").is_some() {
        sizes.push(5_000_000);
    }
    for n in sizes {
        let market = Market::new(n, Shape::Usual);
        let n_held: u32 = market.sets.iter().map(RowSet::len).sum();
        println!("\n## {n} variants, held {n_held} times by 100 promotions");
        let mixed = mixed(&market);
        worst_promotions(&market, mixed);
        shapes(&market);
        differences(&market);
        single(&mut criterion, &market, n);
    }
    odd_goods();
    criterion.final_summary();
}

/// Nanoseconds of each request, the best of all rounds.
fn time(rounds: usize, n: usize, mut run: impl FnMut(usize)) -> Vec<u64> {
    let mut best = vec![u64::MAX; n];
    for _ in 0..rounds {
        for (at, best) in best.iter_mut().enumerate() {
            let start = Instant::now();
            run(at);
            let took = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
            *best = (*best).min(took);
        }
    }
    best
}

fn time_pages(view: &MarketView, requests: &[Request]) -> Vec<u64> {
    time(ROUNDS, requests.len(), |at| {
        let Request { query, mask, .. } = &requests[at];
        black_box(page(view, black_box(query), *mask));
    })
}

fn head(title: &str) {
    println!(
        "\n{title:<44} {:>6} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "n", "p50 µs", "mean µs", "p95 µs", "p99 µs", "max µs"
    );
}

/// Prints a line of the table; the mean without the slowest 1 %, in nanoseconds.
fn line(name: &str, times: &[u64]) -> u64 {
    let mut figures: Histogram<u64> =
        Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("bounds and 3 digits are possible");
    for time in times {
        figures.saturating_record(*time);
    }
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    sorted.truncate((sorted.len() * 99).div_ceil(100).max(1));
    let mean = sorted.iter().sum::<u64>() / sorted.len().max(1) as u64;
    let at = |quantile| micros(figures.value_at_quantile(quantile));
    println!(
        "{name:<44} {:>6} {:>9} {:>9} {:>9} {:>9} {:>9}",
        times.len(),
        at(0.5),
        micros(mean),
        at(0.95),
        at(0.99),
        at(1.0)
    );
    mean
}

fn micros(nanos: u64) -> String {
    format!("{}.{:02}", nanos / 1_000, nanos % 1_000 / 10)
}

fn ratio(over: u64, under: u64) -> String {
    let hundredths = over * 100 / under.max(1);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

fn ranks(page: &Page) -> Vec<u32> {
    page.items.iter().map(|item| item.rank.0).collect()
}

/// Compares pages and totals with the sorted market.
fn check(market: &Market, view: &MarketView, twins: &Twins, requests: &[Request]) {
    for Request { query, mask, .. } in requests {
        let found = page(view, query, *mask);
        assert_eq!(
            ranks(&found),
            twins.by_sort(market, query, *mask),
            "{query:?}"
        );
        let total = twins.total(market, query);
        assert_eq!(found.total as usize, total, "total of {query:?}");
    }
}

/// Mixed traffic; its mean in nanoseconds.
fn mixed(market: &Market) -> u64 {
    let requests = market.requests(2_000);
    let twins = Twins::new(market, &market.view);
    let few = &requests[..60];
    check(market, &market.view, &twins, &requests[..200]);
    for Request { query, mask, .. } in few {
        let expected = twins.by_sort(market, query, *mask);
        assert_eq!(twins.by_heap(market, query, *mask), expected);
        assert_eq!(twins.by_roaring(market, query, *mask), expected);
    }
    head("mixed traffic");
    let times = time_pages(&market.view, &requests);
    let mean = line("all", &times);
    for kind in Kind::ALL {
        let own = requests.iter().zip(&times);
        let own: Vec<u64> = own
            .filter(|(request, _)| request.kind == kind)
            .map(|(_, time)| *time)
            .collect();
        line(&format!("  {kind:?}"), &own);
    }
    head("the same by slower ways, of the first 60");
    let own = line("page", &times[..few.len()]);
    let twin = |name: &str, run: &dyn Fn(&Query, SlotMask) -> Vec<u32>| {
        let times = time(3, few.len(), |at| {
            black_box(run(black_box(&few[at].query), few[at].mask));
        });
        let mean = line(name, &times);
        println!("{:<44} {:>6} x page", "", ratio(mean, own));
    };
    twin("all keys, sorted", &|query, mask| {
        twins.by_sort(market, query, mask)
    });
    twin("all keys, a heap", &|query, mask| {
        twins.by_heap(market, query, mask)
    });
    twin("roaring, made and merged", &|query, mask| {
        twins.by_roaring(market, query, mask)
    });
    mean
}

/// Root pages of twenty sessions.
fn roots(market: &Market, view: &MarketView) -> Vec<Request> {
    let root = |session| Request {
        query: market.root(),
        mask: view.nodes().at(None) & !market.withheld(session),
        kind: Kind::Root,
    };
    (0..20).map(root).collect()
}

/// Promotions by level, under the slots of a session, with a name.
type Case = (&'static str, Vec<(BoostLevel, RowSet)>, SlotMask);

/// The listed worst promotions.
fn worst_cases(market: &Market) -> Vec<Case> {
    let mut chance = Chance(91);
    let n = market.base.n_ranks();
    let part = |from: u32, to: u32| -> RowSet {
        (from..to)
            .map(|rank| market.base.row_of(Rank(rank)))
            .collect()
    };
    let mut scattered = |one_in: usize, left_out: bool| {
        let takes = |chance: &mut Chance| (chance.below(one_in) == 0) != left_out;
        products(&market.catalogue, &mut chance, takes)
    };
    let hundred = (0..100).map(|place| {
        let level = BoostLevel::BY_PRECEDENCE[place % 4];
        (level, scattered(6 + place % 5, false))
    });
    let hundred: Vec<_> = hundred.collect();
    let twenty = (0..20).map(|place| {
        let ranks = (0..n / 2).skip(place).step_by(20);
        (
            Demoted,
            ranks.map(|rank| market.base.row_of(Rank(rank))).collect(),
        )
    });
    vec![
        ("no promotion", vec![], SlotMask::ALL),
        (
            "demotion of the best half",
            vec![(Demoted, part(0, n / 2))],
            SlotMask::ALL,
        ),
        (
            "demotion of a scattered half",
            vec![(Demoted, scattered(2, false))],
            SlotMask::ALL,
        ),
        (
            "demotion of nine tenths, high of a fifth",
            vec![(Demoted, scattered(10, true)), (High, scattered(5, false))],
            SlotMask::ALL,
        ),
        (
            "high over nine tenths",
            vec![(High, scattered(10, true))],
            SlotMask::ALL,
        ),
        (
            "high over half, withheld",
            vec![(High, scattered(2, false))],
            SlotMask::EMPTY,
        ),
        ("100 broad promotions", hundred, SlotMask::ALL),
        (
            "20 narrow demotions of the best half",
            twenty.collect(),
            SlotMask::ALL,
        ),
        (
            "high, medium, low all at the end",
            vec![
                (High, part(n - n / 50, n)),
                (Medium, part(n - n / 20, n)),
                (Low, part(n - n / 10, n)),
            ],
            SlotMask::ALL,
        ),
    ]
}

/// The listed worst promotions, at the root and under mixed traffic.
fn worst_promotions(market: &Market, mixed: u64) {
    let n = market.base.n_ranks();
    head("worst promotions, root and mixed");
    let root = line(
        "the usual promotions, root",
        &time_pages(&market.view, &roots(market, &market.view)),
    );
    for (name, promotions, mask) in worst_cases(market) {
        let view = market.with(&promotions);
        let under = |request: Request| Request { mask, ..request };
        let own: Vec<Request> = roots(market, &view).into_iter().map(under).collect();
        let traffic: Vec<Request> = market.requests(400).into_iter().map(under).collect();
        if n < 200_000 {
            let twins = Twins::new(market, &view);
            check(market, &view, &twins, &own[..1]);
            check(market, &view, &twins, &traffic[..40]);
        }
        let of_root = line(&format!("{name}, root"), &time_pages(&view, &own));
        let of_mixed = line(&format!("{name}, mixed"), &time_pages(&view, &traffic));
        println!(
            "{:<44} {:>6} x root, {} x mixed",
            "",
            ratio(of_root, root),
            ratio(of_mixed, mixed)
        );
    }
}

fn by(attr: &str, descending: bool) -> SortKey {
    let attr = Attr::parse(attr).expect("a fixed name");
    SortKey::By { attr, descending }
}

/// Requests of other shapes over one market, checked before they are timed.
struct Shapes<'m> {
    market: &'m Market,
    twins: Twins,
}

impl Shapes<'_> {
    /// Mixed requests, each changed.
    fn changed(&self, n: usize, change: &dyn Fn(&mut Query, &mut Chance)) -> Vec<Request> {
        let mut chance = Chance(77);
        let mut requests = self.market.requests(n);
        for request in &mut requests {
            change(&mut request.query, &mut chance);
        }
        requests
    }

    /// Requests for the whole market, each changed.
    fn root(&self, change: &dyn Fn(&mut Query, &mut Chance)) -> Vec<Request> {
        let mut requests = roots(self.market, &self.market.view);
        let mut chance = Chance(78);
        for request in &mut requests {
            change(&mut request.query, &mut chance);
        }
        requests
    }

    fn show(&self, name: &str, requests: &[Request]) {
        let n_checked = requests.len().min(20);
        let view = &self.market.view;
        check(self.market, view, &self.twins, &requests[..n_checked]);
        line(name, &time_pages(view, requests));
    }
}

/// Other limits, offsets, candidates, orders, facets, and filters that match next to nothing.
fn shapes(market: &Market) {
    let twins = Twins::new(market, &market.view);
    let shapes = Shapes { market, twins };
    head("other shapes");
    limits_and_offsets(&shapes);
    orders(&shapes);
    facets_and_nothing(&shapes);
    deep_cursor(market);
}

fn limits_and_offsets(shapes: &Shapes<'_>) {
    for limit in [10, 100, 1_000] {
        shapes.show(
            &format!("mixed, k = {limit}"),
            &shapes.changed(400, &|query, _| query.limit = limit),
        );
    }
    shapes.show(
        "root, k = 1,000",
        &shapes.root(&|query, _| query.limit = 1_000),
    );
    for offset in [240, 2_400, 10_000] {
        shapes.show(
            &format!("mixed, offset {offset}"),
            &shapes.changed(400, &|query, _| query.offset = offset),
        );
        shapes.show(
            &format!("root, offset {offset}"),
            &shapes.root(&|query, _| query.offset = offset),
        );
    }
    shapes.show(
        "variants, not products",
        &shapes.changed(400, &|query, _| query.group_by = GroupBy::Variant),
    );
    for n in [100, 1_000] {
        shapes.show(
            &format!("{n} candidates"),
            &shapes.root(&|query, chance| {
                query.classes = Some(vec![candidates(shapes.market, chance, n)]);
            }),
        );
    }
}

fn orders(shapes: &Shapes<'_>) {
    let cheapest = |query: &mut Query, _: &mut Chance| query.sort = vec![by("price", false)];
    shapes.show("root, by price", &shapes.root(&cheapest));
    shapes.show("mixed, by price", &shapes.changed(200, &cheapest));
    let stocked = |query: &mut Query, _: &mut Chance| {
        query.sort = vec![by("in_stock", true), SortKey::Relevance];
    };
    shapes.show("root, in stock first", &shapes.root(&stocked));
    shapes.show("mixed, in stock first", &shapes.changed(200, &stocked));
    let both = |query: &mut Query, _: &mut Chance| {
        query.sort = vec![by("in_stock", true), by("price", false)];
    };
    shapes.show("root, in stock first, then by price", &shapes.root(&both));
    shapes.show(
        "mixed, in stock first, then by price",
        &shapes.changed(200, &both),
    );
}

fn facets_and_nothing(shapes: &Shapes<'_>) {
    let facets = |query: &mut Query, _: &mut Chance| {
        let asked = ["brand", "colour", "size"].map(|attr| FacetQuery {
            attr: Attr::parse(attr).expect("a fixed name"),
            limit: 20,
        });
        query.facets = asked.to_vec();
    };
    shapes.show("mixed, three facets", &shapes.changed(200, &facets));
    shapes.show(
        "in stock, three facets",
        &shapes.root(&|query, chance| {
            query.filter = vec![in_stock()];
            facets(query, chance);
        }),
    );
    shapes.show(
        "nothing costs so little",
        &shapes.root(&|query, _| {
            query.filter = vec![rule("price", between(1, 2))];
        }),
    );
    shapes.show(
        "nothing is all of it",
        &shapes.root(&|query, _| {
            query.filter = vec![in_stock(), rule("price", between(1, 2)), in_stock()];
        }),
    );
}

/// All variants of `n` products.
fn candidates(market: &Market, chance: &mut Chance, n: usize) -> RowSet {
    let n_products = market.catalogue.n_product_numbers() as usize;
    let mut rows = RowSet::new();
    for _ in 0..n {
        let number = u32::try_from(chance.below(n_products)).unwrap_or(0);
        let product = endcap::catalogue::row::ProductNo(number);
        rows.extend(market.catalogue.rows_of_product(product).iter().copied());
    }
    rows
}

/// A page by cursor behind the 10,000th place.
fn deep_cursor(market: &Market) {
    let mut requests = roots(market, &market.view);
    for request in &mut requests {
        let before = Query {
            offset: 9_976,
            ..market.root()
        };
        let expected = Query {
            offset: 10_000,
            ..market.root()
        };
        request.query.from = page(&market.view, &before, request.mask).next;
        let found = page(&market.view, &request.query, request.mask);
        let wanted = page(&market.view, &expected, request.mask);
        assert_eq!(ranks(&found), ranks(&wanted), "behind a cursor");
    }
    line(
        "root, cursor behind 10,000",
        &time_pages(&market.view, &requests),
    );
}

/// What it costs to tell which of the 50 measured promotions make a difference to a page of 60.
fn differences(market: &Market) {
    let sixty = |mut requests: Vec<Request>, change: &dyn Fn(&mut Query)| {
        for request in &mut requests {
            request.query.limit = 60;
            change(&mut request.query);
        }
        requests
    };
    let root = || roots(market, &market.view);
    let mixed = || market.requests(400);
    head("pages of 60, and which of 50 promotions differ");
    compare(market, "root", &sixty(root(), &|_| {}));
    compare(market, "mixed", &sixty(mixed(), &|_| {}));
    let variants = |query: &mut Query| query.group_by = GroupBy::Variant;
    compare(market, "mixed, variants", &sixty(mixed(), &variants));
    let mut second = sixty(mixed(), &|_| {});
    for request in &mut second {
        request.query.from = page(&market.view, &request.query, request.mask).next;
    }
    compare(market, "mixed, second page by cursor", &second);
    let offset = |query: &mut Query| query.offset = 60;
    compare(market, "mixed, offset 60", &sixty(mixed(), &offset));
    let stocked = |query: &mut Query| query.sort = vec![by("in_stock", true), SortKey::Relevance];
    compare(market, "mixed, in stock first", &sixty(mixed(), &stocked));
}

/// Two lines, the page alone and with what differs, and how much was told by making pages.
fn compare(market: &Market, name: &str, requests: &[Request]) {
    let view = &market.view;
    let measured: SlotMask = market.coins.iter().map(|(slot, _)| *slot).collect();
    let told = |Request { query, mask, .. }: &Request, page: &Page| -> Compared {
        let asked = measured & view.nodes().at(query.category.flatten());
        differs(view, black_box(query), *mask, page, asked)
    };
    let alone = line(name, &time_pages(view, requests));
    let times = time(ROUNDS, requests.len(), |at| {
        let Request { query, mask, .. } = &requests[at];
        let page = page(view, black_box(query), *mask);
        black_box(told(&requests[at], &page));
    });
    let both = line("  with differs", &times);
    let mut sums = [0; 4];
    for request in requests {
        let page = page(view, &request.query, request.mask);
        let found = told(request, &page);
        let own = [
            found.reachable.len(),
            found.differing.len(),
            found.n_merges,
            found.n_unchecked,
        ];
        sums.iter_mut().zip(own).for_each(|(sum, own)| *sum += own);
    }
    let [reachable, differing, merges, unchecked] = sums;
    println!(
        "{:<44} {:>6} x page; of {} requests: reachable {reachable}, differing {differing}, \
         merges {merges}, unchecked {unchecked}",
        "",
        ratio(both, alone),
        requests.len()
    );
}

/// Markets of odd goods: one tie block of nine tenths, a thousand variants a product, categories
/// of five products.
fn odd_goods() {
    for (name, shape) in [
        ("one tie block of nine tenths", Shape::Tied),
        ("a thousand variants a product", Shape::Huge),
    ] {
        let market = Market::new(200_000, shape);
        let twins = Twins::new(&market, &market.view);
        head(&format!("200,000 variants, {name}"));
        let own = roots(&market, &market.view);
        let traffic = market.requests(400);
        check(&market, &market.view, &twins, &own[..5]);
        check(&market, &market.view, &twins, &traffic[..60]);
        line("root", &time_pages(&market.view, &own));
        line("mixed", &time_pages(&market.view, &traffic));
    }
}

/// Single requests, for criterion to compare between builds.
fn single(criterion: &mut Criterion, market: &Market, n: usize) {
    let mut group = criterion.benchmark_group("rank");
    let mask = market.view.nodes().at(None) & !market.withheld(0);
    let largest = market.node(0, 0);
    let queries = [
        ("root", market.root()),
        (
            "first-storey",
            Query {
                category: Some(Some(largest)),
                ..market.root()
            },
        ),
        (
            "in-stock",
            Query {
                filter: vec![in_stock()],
                ..market.root()
            },
        ),
    ];
    for (name, query) in queries {
        group.bench_function(BenchmarkId::new(name, n), |b| {
            b.iter(|| page(&market.view, black_box(&query), mask).total);
        });
    }
    group.finish();
}
