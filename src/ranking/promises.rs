//! The worked cases of the specification and the promises P1 to P15, as tests.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::RngExt;
use rand::seq::IndexedRandom;

use crate::catalogue::Catalogue;
use crate::catalogue::product::ProductRecord;
use crate::catalogue::row::{Row, RowSet};
use crate::domain::boost::BoostLevel::{self, Demoted, High, Low, Medium};
use crate::promotion::slot::SlotMask;
use crate::ranking::explain::explain;
use crate::ranking::page::{Page, page, page_and_work};
use crate::ranking::query::{GroupBy, Query};
use crate::ranking::twin::{
    Draw, Scene, market, product, query, random_mask, random_query, random_scene, seeded, variant,
};

/// Variants `u0`, `u1`, … with falling scores, each its own product.
pub(super) fn falling(n: i32) -> Vec<Arc<ProductRecord>> {
    scored((0..n).map(|place| n - place))
}

fn scored(scores: impl IntoIterator<Item = i32>) -> Vec<Arc<ProductRecord>> {
    let record = |(place, score): (usize, i32)| {
        let key = format!("u{place}");
        product(&key, vec![variant(&key, Some(score))])
    };
    scores.into_iter().enumerate().map(record).collect()
}

pub(super) fn scene(products: Vec<Arc<ProductRecord>>, boosts: &[(BoostLevel, &[&str])]) -> Scene {
    let (catalogue, _) = Catalogue::build(market(), BTreeMap::new(), products, Vec::new());
    let rows = |keys: &[&str]| -> RowSet {
        keys.iter()
            .map(|key| catalogue.find_variant(key).unwrap())
            .collect()
    };
    let promotions = boosts
        .iter()
        .map(|(level, keys)| (*level, rows(keys)))
        .collect();
    Scene::new(catalogue, promotions)
}

/// The whole order, as keys.
fn order(scene: &Scene) -> Vec<String> {
    let whole = Query {
        limit: u32::MAX,
        ..query()
    };
    scene.check(&whole, SlotMask::ALL);
    let key = |row: Row| scene.catalogue.variant_key(row).to_string();
    page(&scene.view, &whole, SlotMask::ALL)
        .items
        .iter()
        .map(|item| key(item.row))
        .collect()
}

#[track_caller]
fn check(
    products: Vec<Arc<ProductRecord>>,
    boosts: &[(BoostLevel, &[&str])],
    expected: &[(&str, usize)],
) {
    let order = order(&scene(products, boosts));
    for (key, place) in expected {
        assert_eq!(
            order.iter().position(|own| own == key),
            Some(*place),
            "{key}"
        );
    }
}

#[test]
fn case_1_medium_overtakes_99_and_low_90_percent() {
    check(
        falling(3_000),
        &[(Medium, &["u1270"])],
        &[("u1270", 12), ("u12", 13), ("u11", 11)],
    );
    check(falling(3_000), &[(Low, &["u1270"])], &[("u1270", 127)]);
}

#[test]
fn case_4_variants_are_counted_by_strictly_higher_score() {
    let scores = (0..740)
        .map(|n| 1_000 - n)
        .chain(std::iter::repeat_n(0, 260));
    let last = order(&scene(scored(scores.clone()), &[])).pop().unwrap();
    check(scored(scores), &[(Medium, &[&last])], &[(&last, 7)]);
}

#[test]
fn case_5_a_boost_never_splits_equal_scores() {
    let scores = (0..800).map(|n| if (3..7).contains(&n) { 797 } else { 800 - n });
    check(
        scored(scores),
        &[(Medium, &["u520"])],
        &[("u520", 3), ("u3", 4)],
    );
}

#[test]
fn case_6_a_low_unit_leads_its_own_tie() {
    let tied = ["a", "b", "c", "d"].map(|key| product(key, vec![variant(key, Some(1))]));
    assert_eq!(
        order(&scene(tied.to_vec(), &[(Low, &["c"])])),
        ["c", "a", "b", "d"]
    );
}

#[test]
fn cases_7_and_8_at_one_place_medium_stands_before_low() {
    let order_7 = order(&scene(
        falling(900),
        &[(Medium, &["u730"]), (Low, &["u74"])],
    ));
    assert_eq!(order_7[6..10], ["u6", "u730", "u74", "u7"]);
    check(
        falling(900),
        &[(Medium, &["u880"]), (Low, &["u61"])],
        &[("u61", 6), ("u880", 9)],
    );
}

#[test]
fn case_9_others_promotions_do_not_change_what_is_promised() {
    let boosts: [(BoostLevel, &[&str]); 3] = [
        (High, &["u0", "u1", "u2", "u3", "u4"]),
        (Demoted, &["u5", "u6", "u7"]),
        (Low, &["u170"]),
    ];
    check(
        falling(1_500),
        &boosts,
        &[("u170", 14), ("u16", 13), ("u17", 15)],
    );
}

#[test]
fn case_10_high_leads_even_a_medium_that_keeps_nobody() {
    let order = order(&scene(falling(70), &[(High, &["u66"]), (Medium, &["u4"])]));
    assert_eq!(order[..3], ["u66", "u4", "u0"]);
}

#[test]
fn case_11_variants_of_one_product_move_by_themselves() {
    let mut products = falling(80);
    let moved = ["u33", "u71"].map(|key| {
        let place: usize = key[1..].parse().unwrap();
        products[place].variants[0].clone()
    });
    products.retain(|product| !["u33", "u71"].contains(&product.key.as_str()));
    products.push(product("both", moved.to_vec()));
    check(
        products,
        &[(Low, &["u33", "u71"])],
        &[("u33", 3), ("u71", 8)],
    );
}

#[test]
fn case_12_all_levels_at_once() {
    let boosts: [(BoostLevel, &[&str]); 4] = [
        (High, &["u239"]),
        (Medium, &["u230"]),
        (Low, &["u25", "u150"]),
        (Demoted, &["u0"]),
    ];
    let order = order(&scene(falling(240), &boosts));
    assert_eq!(order[..5], ["u239", "u1", "u230", "u25", "u2"]);
    assert_eq!((order[17].as_str(), order[239].as_str()), ("u150", "u0"));
    let scene = scene(falling(240), &boosts);
    let rank = scene
        .view
        .rank_of(scene.catalogue.find_variant("u150").unwrap())
        .unwrap();
    let why = explain(&scene.view, rank, SlotMask::ALL, SlotMask::EMPTY);
    let landing = why.landing_rank.unwrap().0;
    assert_eq!(
        (why.higher_scored, why.stay_above_max, landing),
        (150, Some(15), 15)
    );
}

fn draw(random: &mut impl rand::Rng) -> Draw {
    Draw {
        n_products: random.random_range(1..90),
        siblings_max: random.random_range(1..6),
        n_scores: *[1, 3, 20, 1_000].choose(random).unwrap(),
        n_promotions: *[0, 1, 4, 12].choose(random).unwrap(),
    }
}

/// P6 to P11, P13, P15: whatever is asked, however it is paged, the fast paths give what sorting
/// the market by the definition gives.
#[test]
fn every_path_agrees_with_the_definition() {
    for seed in 0..500 {
        let mut random = seeded(seed);
        let shop = draw(&mut random);
        let scene = random_scene(&mut random, shop);
        for _ in 0..20 {
            let query = random_query(&mut random, &scene);
            scene.check(&query, random_mask(&mut random));
        }
    }
}

/// P1 to P4 and P10 on the whole order.
#[test]
fn levels_keep_what_they_promise() {
    for seed in 0..150 {
        let mut random = seeded(10_000 + seed);
        let shop = draw(&mut random);
        let scene = random_scene(&mut random, shop);
        let mask = random_mask(&mut random);
        let whole = Query {
            limit: u32::MAX,
            ..query()
        };
        let items = page(&scene.view, &whole, mask).items;
        let mut unboosted = 0;
        let mut last_by_level: BTreeMap<Option<BoostLevel>, u32> = BTreeMap::new();
        let mut demoted = false;
        for item in &items {
            let former = last_by_level.insert(item.level, item.rank.0);
            assert!(former.is_none_or(|former| former < item.rank.0), "P1");
            assert!(!demoted || item.level == Some(Demoted), "P4");
            demoted |= item.level == Some(Demoted);
            let n_higher = explain(&scene.view, item.rank, mask, SlotMask::EMPTY).higher_scored;
            match item.level {
                Some(High) => assert_eq!(unboosted, 0, "P2"),
                Some(Medium) => assert!(unboosted <= n_higher / 100, "P3"),
                Some(Low) => assert!(unboosted <= n_higher / 10, "P3"),
                Some(Demoted) => {}
                None => unboosted += 1,
            }
        }
    }
}

/// P5: raising one unit's level never worsens its place.
#[test]
fn raising_a_level_never_worsens_the_place() {
    let ladder = [Some(Demoted), None, Some(Low), Some(Medium), Some(High)];
    for seed in 0..60 {
        let mut random = seeded(20_000 + seed);
        let draw = Draw {
            n_promotions: 0,
            ..draw(&mut random)
        };
        let plain = random_scene(&mut random, draw);
        let rows: Vec<Row> = plain.catalogue.live().iter().collect();
        let moved = *rows.choose(&mut random).unwrap();
        let mut others: Vec<(BoostLevel, RowSet)> = Vec::new();
        for level in [Demoted, High, Medium, Low] {
            let held = rows
                .iter()
                .filter(|row| **row != moved && random.random_bool(0.15));
            others.push((level, held.copied().collect()));
        }
        let mut last = usize::MAX;
        for level in ladder {
            let own = level.map(|level| (level, RowSet::from_ascending([moved])));
            let promotions = others.iter().cloned().chain(own).collect();
            let scene = Scene::new(Catalogue::clone(&plain.catalogue), promotions);
            let whole = Query {
                limit: u32::MAX,
                ..query()
            };
            let items = page(&scene.view, &whole, SlotMask::ALL).items;
            let place = items.iter().position(|item| item.row == moved).unwrap();
            assert!(
                place <= last,
                "seed {seed}: {level:?} stands at {place}, before it was {last}"
            );
            last = place;
        }
    }
}

/// P12: what explain says is what the page shows.
#[test]
fn explain_agrees_with_the_page() {
    for seed in 0..60 {
        let mut random = seeded(30_000 + seed);
        let shop = draw(&mut random);
        let scene = random_scene(&mut random, shop);
        let (allowed, withheld) = (random_mask(&mut random), random_mask(&mut random));
        let whole = Query {
            limit: u32::MAX,
            ..query()
        };
        for item in page(&scene.view, &whole, allowed & !withheld).items {
            let why = explain(&scene.view, item.rank, allowed, withheld);
            assert_eq!(why.level, item.level);
            assert_eq!(why.because.is_empty(), item.level.is_none());
            let held = scene.view.slots_of(item.rank);
            assert_eq!(why.because.len() + why.not_used.len(), held.len() as usize);
        }
    }
}

/// The listed worst cases, on markets of several blocks so that words, lists and skips all act.
#[test]
fn worst_cases_agree_with_the_definition() {
    let n = 9_000_i32;
    let keys: Vec<String> = (0..n).map(|place| format!("u{place}")).collect();
    let part = |from: usize, to: usize, step: usize| -> Vec<&str> {
        keys[from..to]
            .iter()
            .step_by(step)
            .map(String::as_str)
            .collect()
    };
    let half = part(0, 4_500, 1);
    let most = part(0, 8_100, 1);
    let tail = part(8_000, 9_000, 7);
    let scattered: Vec<Vec<&str>> = (0..100)
        .map(|step| part(step, 9_000, 11 + step % 3))
        .collect();
    let hundred: Vec<(BoostLevel, &[&str])> = scattered
        .iter()
        .enumerate()
        .map(|(place, keys)| (BoostLevel::BY_PRECEDENCE[place % 4], keys.as_slice()))
        .collect();
    let cases: [&[(BoostLevel, &[&str])]; 4] = [
        &[(Demoted, &half)],
        &[(High, &most), (Demoted, &tail)],
        &[(High, &tail), (Medium, &half), (Low, &most)],
        &hundred,
    ];
    for boosts in cases {
        let ties = scored((0..n).map(|place| if place < n / 10 { n - place } else { 0 }));
        for products in [falling(n), ties] {
            let scene = scene(products, boosts);
            for mask in [SlotMask::ALL, SlotMask::EMPTY, SlotMask(0x5555_5555 << 3)] {
                for (limit, offset) in [(24, 0), (600, 4_000)] {
                    let asked = Query {
                        limit,
                        offset,
                        ..query()
                    };
                    let expected = scene.expected(&asked, mask);
                    let whole = scene.check_page(&asked, mask, &expected);
                    given_up_anywhere_goes_on_eagerly(&scene, &asked, mask, &whole);
                }
            }
        }
    }
}

/// Wherever the lazy plan is given up, the eager one ends the same page.
fn given_up_anywhere_goes_on_eagerly(scene: &Scene, asked: &Query, mask: SlotMask, whole: &Page) {
    let lazy = page_and_work(&scene.view, asked, mask, Some(u64::MAX));
    assert_eq!(lazy.0.items, whole.items);
    for words_max in [0, 300, 2_000, 5_000, 20_000, 100_000] {
        let (given_up, n_looked_at) = page_and_work(&scene.view, asked, mask, Some(words_max));
        assert_eq!(given_up.items, whole.items, "{words_max} words");
        assert_eq!(given_up.next, whole.next);
        if words_max == 0 {
            assert_eq!(n_looked_at, scene.view.base.n_ranks(), "given up at once");
        }
    }
}

#[test]
fn a_thousand_variants_of_one_product_are_one_place() {
    let variants = (0..1_000)
        .map(|n| variant(&format!("v{n:04}"), Some(5_000 - n)))
        .collect();
    let mut products = vec![product("many", variants)];
    products.extend(falling(4_000));
    let scene = scene(
        products,
        &[(Demoted, &["v0000", "v0001"]), (High, &["v0500"])],
    );
    for group_by in [GroupBy::Product, GroupBy::Variant, GroupBy::ProductGroup] {
        let asked = Query {
            group_by,
            limit: 100,
            ..query()
        };
        let expected = scene.expected(&asked, SlotMask::ALL);
        scene.check_page(&asked, SlotMask::ALL, &expected);
    }
}
