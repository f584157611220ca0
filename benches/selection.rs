//! Selections over a whole market, and one changed variant against all selections.
//!
//! Data: four variants a product; 2,000 brands and 30 colours with few that carry most, 1,000
//! categories in three storeys, prices over four decades, one variant in six out of stock, launch
//! days over five years. Selections: one to three sets of one to four rules as merchandisers write
//! them, drawn from a fixed seed; one in ten begins with excludes alone.

mod chance;

use std::hint::black_box;
use std::sync::{Arc, LazyLock};

use chance::Chance;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use endcap::catalogue::Catalogue;
use endcap::catalogue::attribute::Declared;
use endcap::catalogue::market::{DisplaySource, HarmGuard, Market, PriceBasis};
use endcap::catalogue::product::{AttributeTexts, CategoryRecord, ProductRecord, VariantRecord};
use endcap::catalogue::row::{Row, RowSet};
use endcap::domain::category::CategoryId;
use endcap::domain::id::{MarketId, ProductKey, VariantKey};
use endcap::domain::money::{Currency, Minor, Percent};
use endcap::domain::time::{Timestamp, Today, Zone};
use endcap::domain::value::Locale;
use endcap::predicate::rule::{Attr, Op};
use endcap::predicate::written::{WrittenMatcher, WrittenRule};
use endcap::selection::compile::CompiledSelection;
use endcap::selection::count::counts;
use endcap::selection::definition::{Selection, SelectionDraft};
use endcap::selection::evaluate::{ChangedRows, evaluate, evaluate_changed};

const N_SELECTIONS: usize = 100;
const VARIANTS_PER_PRODUCT: usize = 4;

static SMALL: LazyLock<Shop> = LazyLock::new(|| Shop::new(100_000));
static LARGE: LazyLock<Shop> = LazyLock::new(|| Shop::new(1_000_000));

struct Shop {
    catalogue: Catalogue,
    selections: Vec<Selection>,
    today: Today,
}

impl Shop {
    fn new(n_variants: usize) -> Self {
        let mut chance = Chance(11);
        let market = market();
        let noon = Timestamp::parse("2026-05-20T12:00:00Z").expect("a fixed time");
        let today = Today::at(noon, &market.locale.zone);
        let products = (0..n_variants / VARIANTS_PER_PRODUCT)
            .map(|number| Arc::new(product(number, &mut chance)))
            .collect();
        let (catalogue, _) = Catalogue::build(market, Declared::new(), products, categories());
        let selections = (0..N_SELECTIONS).map(|_| selection(&mut chance)).collect();
        Self {
            catalogue,
            selections,
            today,
        }
    }
}

fn market() -> Market {
    let percent = |share: u32| Percent::from_basis_points(share * 100).expect("a percentage");
    Market {
        id: MarketId::parse("se").expect("a fixed key"),
        name: "Sweden".to_owned(),
        locale: Locale {
            currency: Currency::parse("SEK").expect("a fixed code"),
            zone: Zone::parse("Europe/Stockholm").expect("a fixed zone"),
        },
        country: None,
        locales: Vec::new(),
        price_basis: PriceBasis::TaxInclusive,
        search_attributes: Vec::new(),
        cross_market_attribute: None,
        display_source: DisplaySource::Answer,
        share_shown: percent(80),
        handpick_import_max: 700,
        harm_guard: HarmGuard {
            vanished_percent_max: percent(20),
            sold_out_percent_max: percent(50),
        },
    }
}

/// Ten roots, ten below each, ten below each of those.
fn categories() -> Vec<CategoryRecord> {
    let id = |number: usize| category(number);
    let parent = |number: usize| match number {
        0..10 => Vec::new(),
        10..110 => vec![id((number - 10) / 10)],
        _ => vec![id(10 + (number - 110) / 10)],
    };
    let records = (0..1_110).map(|number| CategoryRecord {
        id: id(number),
        name: Some(format!("Category {number}")),
        parents: parent(number),
    });
    records.collect()
}

fn category(number: usize) -> CategoryId {
    CategoryId::parse(&format!("c{number:04}")).expect("a fixed form")
}

fn attribute(attr: &str, text: String) -> AttributeTexts {
    AttributeTexts {
        attr: Attr::parse(attr).expect("a fixed name"),
        texts: vec![text.into()],
    }
}

fn day(number: usize) -> String {
    format!(
        "{}-{:02}-{:02}",
        2021 + number / 336,
        1 + number / 28 % 12,
        1 + number % 28
    )
}

fn product(number: usize, chance: &mut Chance) -> ProductRecord {
    ProductRecord {
        key: ProductKey::parse(&format!("P{number:07}")).expect("a fixed form"),
        group: None,
        seller: None,
        categories: vec![category(110 + chance.skewed(1_000))],
        score: None,
        attributes: vec![
            attribute("brand", format!("Brand {:04}", chance.skewed(2_000))),
            attribute("launched", day(chance.below(5 * 336))),
        ],
        variants: (0..VARIANTS_PER_PRODUCT)
            .map(|place| variant(number, place, chance))
            .collect(),
    }
}

fn variant(product: usize, place: usize, chance: &mut Chance) -> VariantRecord {
    let decade = [1_000, 10_000, 100_000, 1_000_000][chance.below(4)];
    let price = i64::try_from(decade + chance.below(9 * decade)).unwrap_or(0);
    let stock = [0, 1, 3, 10, 40, 200][chance.below(6)];
    VariantRecord {
        key: VariantKey::parse(&format!("P{product:07}-{place}")).expect("a fixed form"),
        list_price: Some(Minor(price)),
        sale_price: None,
        cost: None,
        stock: Some(stock),
        score: None,
        weight_g: None,
        attributes: vec![attribute(
            "color",
            format!("color {:02}", chance.skewed(30)),
        )],
    }
}

fn rule(op: Op, attr: &str, matcher: WrittenMatcher) -> WrittenRule {
    WrittenRule {
        op,
        attr: Attr::parse(attr).expect("a fixed name"),
        matcher,
    }
}

fn a_rule(chance: &mut Chance) -> WrittenRule {
    match chance.below(5) {
        0 => {
            let n_brands = 1 + chance.below(8);
            let brands = (0..n_brands).map(|_| format!("Brand {:04}", chance.skewed(2_000)).into());
            rule(Op::Include, "brand", WrittenMatcher::In(brands.collect()))
        }
        1 => {
            let node = category(chance.below(1_110));
            let one = vec![node.as_str().into()];
            rule(Op::Include, "category", WrittenMatcher::In(one))
        }
        2 => {
            let colors = (0..2).map(|_| format!("color {:02}", chance.skewed(30)).into());
            rule(Op::Include, "color", WrittenMatcher::In(colors.collect()))
        }
        3 => {
            let min = 10 + chance.below(400);
            let (min, max) = (min.to_string(), (min * 3).to_string());
            let range = WrittenMatcher::Range {
                min: Some(min.into()),
                max: Some(max.into()),
            };
            rule(Op::Include, "price", range)
        }
        _ => {
            let max = Some(i32::try_from(14 + chance.below(200)).unwrap_or(0));
            let age = WrittenMatcher::AgeDays { min: None, max };
            rule(Op::Include, "launched", age)
        }
    }
}

fn selection(chance: &mut Chance) -> Selection {
    let sold_out = WrittenMatcher::Range {
        min: None,
        max: Some("0".into()),
    };
    let n_sets = 1 + chance.skewed(3);
    let rule_sets = (0..n_sets).map(|_| {
        let n_rules = if chance.below(10) == 0 {
            0
        } else {
            1 + chance.skewed(3)
        };
        let mut rules: Vec<_> = (0..n_rules).map(|_| Ok(a_rule(chance))).collect();
        rules.push(Ok(rule(Op::Exclude, "stock", sold_out.clone())));
        rules
    });
    let rule_sets = rule_sets.collect();
    let keys = |chance: &mut Chance, n_keys: usize| {
        let keys = (0..n_keys).map(|_| format!("P{:07}", chance.below(25_000)));
        keys.collect::<Vec<String>>()
    };
    let (n_picked, n_blocked) = (chance.below(40), chance.below(10));
    let handpicked = keys(chance, n_picked);
    let mut blocked = keys(chance, n_blocked);
    blocked.retain(|key| !handpicked.contains(key));
    let draft = SelectionDraft {
        handpicked,
        blocked,
        rule_sets,
        ..SelectionDraft::default()
    };
    Selection::new(draft).expect("drawn within all bounds")
}

fn selections(c: &mut Criterion) {
    let mut group = c.benchmark_group("selection");
    group.sample_size(10);
    for (n_variants, shop) in [(100_000, &SMALL), (1_000_000, &LARGE)] {
        group.bench_function(BenchmarkId::new("100-over-market", n_variants), |b| {
            b.iter(|| {
                let rows = shop.selections.iter();
                let rows = rows.map(|one| evaluate(one, &shop.catalogue, &shop.today).len());
                rows.sum::<u32>()
            });
        });
        group.bench_function(BenchmarkId::new("slowest-of-100", n_variants), |b| {
            let slowest = slowest(shop);
            b.iter(|| evaluate(black_box(slowest), &shop.catalogue, &shop.today).len());
        });
        group.bench_function(BenchmarkId::new("counts-of-slowest", n_variants), |b| {
            let slowest = slowest(shop);
            b.iter(|| counts(black_box(slowest), &shop.catalogue, &shop.today).selected);
        });
        group.bench_function(BenchmarkId::new("compile-100", n_variants), |b| {
            b.iter(|| compile(shop).len());
        });
        group.bench_function(
            BenchmarkId::new("one-variant-against-100", n_variants),
            |b| {
                let compiled = compile(shop);
                let mut chance = Chance(3);
                b.iter(|| {
                    let row = Row(u32::try_from(chance.below(n_variants)).unwrap_or(0));
                    compiled.iter().filter(|one| one.fits(row)).count()
                });
            },
        );
        group.bench_function(
            BenchmarkId::new("1000-changed-against-100", n_variants),
            |b| {
                let held: Vec<RowSet> = shop
                    .selections
                    .iter()
                    .map(|one| evaluate(one, &shop.catalogue, &shop.today))
                    .collect();
                let step = n_variants / 1_000;
                let rows = (0..n_variants)
                    .step_by(step)
                    .flat_map(|first| first / 4 * 4..first / 4 * 4 + 4);
                let changed: Vec<Row> = rows
                    .filter_map(|row| u32::try_from(row).ok())
                    .map(Row)
                    .take(1_000)
                    .collect();
                let changed = ChangedRows::new(&shop.catalogue, changed);
                b.iter(|| {
                    let asked = shop.selections.iter().zip(&held).filter(|(one, held)| {
                        evaluate_changed(one, &shop.catalogue, &shop.today, (held, &changed))
                            .is_some()
                    });
                    asked.count()
                });
            },
        );
    }
    group.finish();
}

fn compile(shop: &Shop) -> Vec<CompiledSelection<'_>> {
    let one = |selection| CompiledSelection::new(selection, &shop.catalogue, &shop.today);
    shop.selections.iter().map(one).collect()
}

/// The selection that takes longest, by one look at each.
fn slowest(shop: &Shop) -> &Selection {
    let took = |selection: &&Selection| {
        let start = std::time::Instant::now();
        black_box(evaluate(selection, &shop.catalogue, &shop.today));
        start.elapsed()
    };
    shop.selections
        .iter()
        .max_by_key(took)
        .expect("there are 100")
}

criterion_group!(benches, selections);
criterion_main!(benches);
