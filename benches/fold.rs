//! What a change costs until it can be served: goods, rank structures, promotions laid over them.
//!
//! Data: see [`market`], with 100,000 and 1,000,000 variants. Everything runs on all cores, as in the
//! server. Each line is the median of some rounds; before a shortcut is timed, it is compared with
//! the whole way (the tests compare them inside).

#![expect(clippy::print_stdout, reason = "figures are this program's answer")]

#[expect(dead_code, reason = "other benches use the rest of it")]
mod market;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use endcap::catalogue::Catalogue;
use endcap::catalogue::change::Changes;
use endcap::catalogue::product::ProductRecord;
use endcap::catalogue::row::RowSet;
use endcap::domain::money::Minor;
use endcap::domain::number::Score;
use endcap::engine::background;
use endcap::ranking::base::RankBase;
use endcap::ranking::build::MarketView;
use endcap::ranking::edit::SlotRows;
use endcap::ranking::page::page;
use market::{Chance, Market, Shape, products};

const N_ROUNDS: usize = 5;

fn main() {
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    background::gather();
    for n in [100_000, 1_000_000] {
        println!("\n## {n} variants, 100 promotions");
        let market = Market::new(n, Shape::Usual);
        beside_a_rebuild(&market);
        changes(&market);
    }
}

/// The goods, built of their records.
fn rebuilt(goods: &Catalogue) -> Catalogue {
    let products = goods.products().map(|(_, record)| Arc::clone(record));
    let categories = goods.categories().map(|record| (**record).clone());
    let declared = goods.schema().declared().clone();
    Catalogue::build(
        goods.market().clone(),
        declared,
        products.collect(),
        categories.collect(),
    )
    .0
}

/// The median of some rounds, printed.
fn line<T>(name: &str, mut run: impl FnMut() -> T) -> Duration {
    let mut times: Vec<Duration> = (0..N_ROUNDS)
        .map(|_| {
            let start = Instant::now();
            black_box(run());
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    let median = times[N_ROUNDS / 2];
    println!("{name:<52} {:>10} us", median.as_micros());
    median
}

fn per(whole: Duration, part: Duration) {
    let times = whole.as_nanos() / part.as_nanos().max(1);
    println!("{:<52} {times:>10} x less than the whole way", "");
}

fn changes(market: &Market) {
    line("goods, from nothing", || rebuilt(&market.catalogue));
    let base = line("rank structures, from nothing", || {
        RankBase::build(&market.catalogue)
    });
    let view = line("100 promotions laid, from nothing", || {
        lay(market, &market.base)
    });
    one_promotion(market, view);
    let dearer = changed(market, 1, |record| {
        for variant in &mut record.variants {
            variant.list_price = variant.list_price.map(|price| Minor(price.0 + 100));
        }
    });
    let goods = Arc::new(market.catalogue.with(&dearer));
    line("one product's prices: goods", || {
        market.catalogue.with(&dearer)
    });
    let after = line("one product's prices: rank structures", || {
        RankBase::after(&market.base, &goods)
    });
    per(base, after);
    for one_in in [100, 4, 1] {
        many_prices(
            market,
            market.catalogue.n_product_numbers() as usize / one_in,
        );
    }
    let dearer_base = Arc::new(RankBase::after(&market.base, &goods));
    assert!(
        dearer_base.shares_layout(&market.base),
        "prices move nothing"
    );
    let kept = line("one product's prices: promotions kept", || {
        edited(market, &dearer_base, None)
    });
    per(view, kept);
    let better = changed(market, 1, |record| {
        record.variants[0].score = Some(Score::from_integer(5_000_000));
    });
    let goods = Arc::new(market.catalogue.with(&better));
    line("one variant's score: goods", || {
        market.catalogue.with(&better)
    });
    line("one variant's score: rank structures", || {
        RankBase::after(&market.base, &goods)
    });
    let n = usize::try_from(market.base.n_ranks()).unwrap_or(1);
    let bytes = (market.base.bytes() + market.view.bytes()) / n;
    println!(
        "{:<52} {bytes:>10} bytes a variant",
        "rank structures and masks"
    );
}

/// One promotion of a hundred gets other rows: one product in a thousand.
fn one_promotion(market: &Market, whole: Duration) {
    let mut chance = Chance(41);
    let rows = products(&market.catalogue, &mut chance, |chance| {
        chance.below(1_000) == 0
    });
    let edit = || edited(market, &market.base, Some(&rows));
    let root = market.root();
    let mask = market.view.nodes().at(None);
    let found = page(&edit(), &root, mask);
    let mut sets: Vec<&RowSet> = market.sets.iter().collect();
    sets[EDITED] = &rows;
    let (table, nodes) = (market.view.table().clone(), market.view.nodes().clone());
    let built = MarketView::build(&market.base, table, nodes, &sets);
    assert_eq!(
        found.items,
        page(&built, &root, mask).items,
        "an edit is a build"
    );
    per(whole, line("one promotion of them edited", edit));
}

/// Ranks, one after the other, in peace and beside rebuilds of the whole market.
fn beside_a_rebuild(market: &Market) {
    let requests = market.requests(20_000);
    let ranks = || {
        let times = requests.iter().map(|request| {
            let start = Instant::now();
            black_box(page(&market.view, &request.query, request.mask));
            start.elapsed()
        });
        let mut times: Vec<Duration> = times.collect();
        times.sort_unstable();
        [50, 99].map(|percent| times[times.len() * percent / 100])
    };
    let mut rounds: Vec<[[Duration; 2]; 2]> = (0..N_ROUNDS)
        .map(|_| {
            [
                ranks(),
                beside(
                    || drop(lay(market, &Arc::new(RankBase::build(&market.catalogue)))),
                    ranks,
                ),
            ]
        })
        .collect();
    rounds.sort_unstable_by_key(|[quiet, busy]| busy[1].as_nanos() * 1_000 / quiet[1].as_nanos());
    let [quiet, busy] = rounds[N_ROUNDS / 2];
    let nanos = |times: [Duration; 2]| format!("p50 {:?}, p99 {:?}", times[0], times[1]);
    println!("{:<52} {}", "mixed ranks in peace", nanos(quiet));
    println!("{:<52} {}", "the same beside rebuilds", nanos(busy));
}

/// Runs something while another thread does one thing again and again.
fn beside<T>(again: impl Fn() + Sync, run: impl FnOnce() -> T) -> T {
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            background::stand_back();
            while !is_done.load(Ordering::Relaxed) {
                again();
            }
        });
        let result = run();
        is_done.store(true, Ordering::Relaxed);
        result
    })
}

/// A feed that changes prices of many products: what each changed variant costs.
fn many_prices(market: &Market, n_products: usize) {
    let dearer = changed(market, n_products, |record| {
        for variant in &mut record.variants {
            variant.list_price = variant.list_price.map(|price| Minor(price.0 + 100));
        }
    });
    let n_variants: usize = dearer
        .products
        .values()
        .flatten()
        .map(|own| own.variants.len())
        .sum();
    let goods = Arc::new(market.catalogue.with(&dearer));
    let times = [
        line(&format!("prices of {n_products} products: goods"), || {
            market.catalogue.with(&dearer)
        }),
        line(
            &format!("prices of {n_products} products: rank structures"),
            || RankBase::after(&market.base, &goods),
        ),
    ];
    let whole: Duration = times.iter().sum();
    let each = whole.as_nanos() / n_variants.max(1) as u128;
    println!("{:<52} {each:>10} ns a changed variant", "");
}

/// The slot of the promotion that is edited.
const EDITED: usize = 30;

fn lay(market: &Market, base: &Arc<RankBase>) -> MarketView {
    let (table, nodes) = (market.view.table().clone(), market.view.nodes().clone());
    MarketView::build(base, table, nodes, &market.sets.iter().collect::<Vec<_>>())
}

fn edited(market: &Market, base: &Arc<RankBase>, rows: Option<&RowSet>) -> MarketView {
    let slots = market.view.table().iter().zip(&market.sets);
    let sets = slots.map(|((slot, ..), own)| SlotRows {
        rows: rows
            .filter(|_| usize::from(slot.0) == EDITED)
            .unwrap_or(own),
        former: Some((slot, own)),
    });
    let sets: Vec<SlotRows<'_>> = sets.collect();
    let (table, nodes) = (market.view.table().clone(), market.view.nodes().clone());
    market.view.edited(base, table, nodes, &sets)
}

/// A change of `n` products.
fn changed(market: &Market, n: usize, change: impl Fn(&mut ProductRecord)) -> Changes {
    let goods: &Catalogue = &market.catalogue;
    let records = goods
        .products()
        .skip(if n == 1 { 1_234 } else { 0 })
        .take(n);
    let changed = records.map(|(_, record)| {
        let mut record = (**record).clone();
        change(&mut record);
        (record.key.clone(), Some(Arc::new(record)))
    });
    Changes {
        products: changed.collect::<BTreeMap<_, _>>(),
        ..Changes::default()
    }
}
