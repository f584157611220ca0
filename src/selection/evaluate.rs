//! The rows of a selection, by sets.
//!
//! A rule set begins with its include that fits the fewest rows and narrows from there; what is
//! narrow already is looked up row by row instead of gathering large sets, so a price range costs
//! no more than the rows it is asked about. The result does not depend on that order: includes
//! intersect and excludes subtract.

use crate::catalogue::Catalogue;
use crate::catalogue::row::{ProductNo, Row, RowSet};
use crate::domain::time::Today;
use crate::selection::compile::{CompiledRule, CompiledSelection};
use crate::selection::definition::Selection;

/// The rows that the selection holds in this market.
pub fn evaluate(selection: &Selection, catalogue: &Catalogue, today: &Today) -> RowSet {
    CompiledSelection::new(selection, catalogue, today).rows()
}

/// Rows whose values may be others than before, whole products each.
#[derive(Clone, Debug, Default)]
pub struct ChangedRows {
    /// Ascending.
    live: Vec<Row>,
    /// Vacant by now, ascending.
    vacant: Vec<Row>,
}

impl ChangedRows {
    /// Of the catalogue after the change.
    pub fn new(catalogue: &Catalogue, rows: Vec<Row>) -> Self {
        let is_live = |row: &Row| catalogue.live().contains(*row);
        let (live, vacant) = rows.into_iter().partition(is_live);
        Self { live, vacant }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.live.len() + self.vacant.len()
    }

    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The rows that the selection holds after some rows changed; `None` if they are the `former` ones.
///
/// All other rows have the values they had when `former` was evaluated, and the local day is the
/// same wherever rules ask for ages.
pub fn evaluate_changed(
    selection: &Selection,
    catalogue: &Catalogue,
    today: &Today,
    (former, changed): (&RowSet, &ChangedRows),
) -> Option<RowSet> {
    if changed.is_empty() {
        return None;
    }
    let compiled = CompiledSelection::new(selection, catalogue, today);
    let turned = |row: &&Row| compiled.fits(**row) != former.contains(**row);
    let lost = changed.vacant.iter().filter(|row| former.contains(**row));
    let moved = changed.live.iter().filter(turned).chain(lost);
    let moved: RowSet = moved.copied().collect();
    (!moved.is_empty()).then(|| former.differing(&moved))
}

impl CompiledSelection<'_> {
    /// All rows for which [`fits`](Self::fits) holds.
    pub fn rows(&self) -> RowSet {
        let mut rows = RowSet::new();
        for rules in &self.rule_sets {
            rows.unite(&self.rows_of_set(rules));
        }
        if !self.blocked.is_empty() {
            rows.subtract(&self.rows_of_products(&self.blocked));
        }
        rows.unite(&self.rows_of_products(&self.handpicked));
        rows
    }

    fn rows_of_set(&self, rules: &[CompiledRule<'_>]) -> RowSet {
        if rules.is_empty() {
            return RowSet::new();
        }
        let mut order: Vec<&CompiledRule<'_>> = rules.iter().collect();
        order.sort_by_key(|rule| (!rule.can_begin(), rule.n_rows_about));
        let begins = order.first().is_some_and(|rule| rule.can_begin());
        let mut rows = if begins {
            order.remove(0).rows().into_owned()
        } else {
            self.catalogue.live().clone()
        };
        for rule in order {
            rule.narrow(&mut rows);
        }
        rows
    }

    /// All variants of some products.
    pub(super) fn rows_of_products(&self, products: &[ProductNo]) -> RowSet {
        let rows = products
            .iter()
            .flat_map(|&product| self.catalogue.rows_of_product(product));
        rows.copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use std::sync::Arc;

    use super::*;
    use crate::catalogue::change::Changes;
    use crate::catalogue::product::ProductRecord;
    use crate::domain::id::ProductKey;
    use crate::predicate::written::{WrittenMatcher, WrittenRule};
    use crate::selection::count::counts;
    use crate::selection::definition::SelectionDraft;
    use crate::selection::explain::explain;
    use crate::selection::sample::{
        Fact, by_rules, catalogue, exclude, include, is_in, keys, market, names, product, range,
        selection, table, today,
    };

    #[track_caller]
    fn check(draft: SelectionDraft, expected: &str) {
        let shop = table();
        let rows = evaluate(&selection(draft), &shop, &today());
        assert_eq!(names(&rows, &shop), expected);
    }

    #[test]
    fn the_examples_of_the_specification_hold() {
        let nord = || include("brand", is_in(&["Nord"]));
        let vela = || include("brand", is_in(&["Vela"]));
        let exists = |wanted| WrittenMatcher::Exists(wanted);
        check(by_rules(vec![vec![nord()]]), "a b e");
        check(by_rules(vec![vec![nord(), vela()]]), "e");
        check(
            by_rules(vec![vec![exclude("color", is_in(&["blue"]))]]),
            "a c d",
        );
        let price = range(Some("40"), Some("61.50"));
        check(by_rules(vec![vec![include("price", price)]]), "a b c e");
        check(by_rules(vec![vec![include("color", exists(false))]]), "d");
        check(
            by_rules(vec![vec![exclude("color", exists(false))]]),
            "a b c e",
        );
        check(by_rules(vec![vec![exclude("color", exists(true))]]), "d");
        let bl = WrittenMatcher::Prefix("bl".into());
        check(by_rules(vec![vec![include("color", bl)]]), "b e");
        check(by_rules(vec![vec![]]), "");
        check(SelectionDraft::default(), "");
    }

    #[test]
    fn sets_unite_blocked_leave_handpicked_come() {
        let rules = by_rules(vec![
            vec![
                include("brand", is_in(&["Nord"])),
                exclude("stock", range(None, Some("0"))),
            ],
            vec![include("price", range(Some("80"), None))],
        ]);
        check(
            SelectionDraft {
                blocked: keys(&["e"]),
                handpicked: keys(&["c", "not fed yet"]),
                ..rules
            },
            "a c d",
        );
    }

    #[test]
    fn new_goods_are_at_most_so_many_days_old() {
        let born = |key: &'static str, day: &'static str| {
            product(key, &[("launched", day)], &[(key, &[])])
        };
        let goods = vec![
            born("a", "2026-04-29"),
            born("b", "2026-04-28"),
            born("c", "2026-05-21"),
        ];
        let shop = catalogue(market("de"), goods, &[]);
        let new = WrittenMatcher::AgeDays {
            min: None,
            max: Some(21),
        };
        let draft = by_rules(vec![vec![include("launched", new)]]);
        let rows = evaluate(&selection(draft), &shop, &today());
        assert_eq!(names(&rows, &shop), "a");
    }

    #[test]
    fn a_category_includes_what_is_below_it() {
        let goods = vec![
            product("wok", &[("category", "woks")], &[("wok", &[])]),
            product("pan", &[("category", "pans")], &[("pan", &[])]),
            product("sofa", &[("category", "living")], &[("sofa", &[])]),
        ];
        let tree: &[(&str, &[&str])] = &[("woks", &["pans"]), ("pans", &["kitchen"])];
        let shop = catalogue(market("de"), goods, tree);
        let below = |id: &str| {
            let draft = by_rules(vec![vec![include("category", is_in(&[id]))]]);
            names(&evaluate(&selection(draft), &shop, &today()), &shop)
        };
        assert_eq!(below("main:kitchen"), "pan wok");
        assert_eq!(below("woks"), "wok");
    }

    #[test]
    fn a_cross_market_key_picks_all_variants_and_wins_over_blocking() {
        let goods = vec![
            product("p", &[], &[("p1", &[("ean", "0071")]), ("p2", &[])]),
            product("q", &[], &[("q1", &[("ean", "72")])]),
        ];
        let shop = catalogue(market("de"), goods, &[]);
        let draft = SelectionDraft {
            handpicked_cross_market: keys(&["0071", "99"]),
            blocked: keys(&["p", "q"]),
            ..SelectionDraft::default()
        };
        let rows = evaluate(&selection(draft), &shop, &today());
        assert_eq!(names(&rows, &shop), "p1 p2");
    }

    #[test]
    fn a_rule_that_cannot_be_read_matches_nothing() {
        let odd = || WrittenMatcher::Exists(false);
        check(by_rules(vec![vec![include("material", odd())]]), "");
        check(
            by_rules(vec![vec![exclude("material", odd())]]),
            "a b c d e",
        );
        let misfit = || range(Some("a"), None);
        check(by_rules(vec![vec![include("brand", misfit())]]), "");
        check(
            by_rules(vec![vec![exclude("brand", misfit())]]),
            "a b c d e",
        );
    }

    const FACTS: [Fact; 22] = [
        ("brand", "Nord"),
        ("brand", "Nordic"),
        ("brand", "Vela"),
        ("brand", "Åsa"),
        ("color", "red"),
        ("color", "blue"),
        ("ean", "1"),
        ("ean", "2"),
        ("weight", "10.0"),
        ("weight", "10.5"),
        ("weight", "-3"),
        ("launched", "2026-05-20"),
        ("launched", "2026-05-01T23:30:00Z"),
        ("launched", "2026-06-01"),
        ("vegan", "true"),
        ("vegan", "false"),
        ("price", "40"),
        ("price", "61.50"),
        ("stock", "0"),
        ("stock", "-2"),
        ("stock", "7"),
        ("category", "c2"),
    ];

    fn some_facts() -> impl Strategy<Value = Vec<Fact>> {
        prop::collection::vec(select(FACTS.to_vec()), 0..6).prop_map(|facts| {
            let is_first = |(place, fact): (usize, &Fact)| {
                let mut before = facts[..place].iter();
                let may_repeat = matches!(fact.0, "brand" | "weight" | "category");
                !before.any(|known| known == fact || known.0 == fact.0 && !may_repeat)
            };
            let kept = facts.iter().enumerate().filter(|&pair| is_first(pair));
            kept.map(|(_, fact)| *fact).collect()
        })
    }

    fn some_goods() -> impl Strategy<Value = Vec<ProductRecord>> {
        let goods = (some_facts(), prop::collection::vec(some_facts(), 1..4));
        prop::collection::vec(goods, 0..9).prop_map(|goods| {
            let records = goods.iter().enumerate().map(|(number, (facts, variants))| {
                let keys = (0..variants.len()).map(|place| format!("p{number}-{place}"));
                let keys: Vec<String> = keys.collect();
                let variants: Vec<(&str, &[Fact])> = keys
                    .iter()
                    .zip(variants)
                    .map(|(key, facts)| (key.as_str(), &facts[..]))
                    .collect();
                product(&format!("p{number}"), facts, &variants)
            });
            records.collect()
        })
    }

    fn a_shop() -> impl Strategy<Value = Catalogue> {
        let tree: &[(&str, &[&str])] = &[("c1", &[]), ("c2", &["c1", "c0"])];
        some_goods().prop_map(move |goods| catalogue(market("de"), goods, tree))
    }

    fn an_attr() -> impl Strategy<Value = &'static str> {
        select(vec![
            "brand",
            "color",
            "weight",
            "launched",
            "vegan",
            "price",
            "stock",
            "category",
            "in_stock",
            "product_key",
            "variant_key",
            "ean",
            "unheard-of",
        ])
    }

    /// Values of every type, so that many rules misfit their attribute.
    fn a_value() -> impl Strategy<Value = &'static str> {
        let own = [
            "p1",
            "p1-0",
            "c0",
            "main:c1",
            "nobody",
            "10",
            "2026-05-02",
            "N",
            "",
        ];
        select([&FACTS.map(|(_, value)| value)[..], &own].concat())
    }

    fn a_matcher() -> impl Strategy<Value = WrittenMatcher> {
        let bound = || prop::option::of(a_value());
        let age = || prop::option::of(-1..30);
        prop_oneof![
            3 => prop::collection::vec(a_value(), 1..4).prop_map(|values| is_in(&values)),
            2 => (bound(), bound()).prop_map(|(min, max)| range(min.or(max), max)),
            1 => any::<bool>().prop_map(WrittenMatcher::Exists),
            1 => select(vec!["N", "Nord", "p1", "main:c", "x"])
                .prop_map(|prefix| WrittenMatcher::Prefix(prefix.into())),
            1 => (age(), age()).prop_map(|(min, max)| WrittenMatcher::AgeDays { min, max }),
        ]
    }

    fn a_rule() -> impl Strategy<Value = WrittenRule> {
        (an_attr(), a_matcher(), any::<bool>()).prop_map(|(attr, matcher, keeps)| {
            if keeps {
                include(attr, matcher)
            } else {
                exclude(attr, matcher)
            }
        })
    }

    fn rule_sets() -> impl Strategy<Value = Vec<Vec<WrittenRule>>> {
        prop::collection::vec(prop::collection::vec(a_rule(), 0..4), 0..4)
    }

    fn some_keys() -> impl Strategy<Value = Vec<String>> {
        let number = prop::sample::subsequence((0..10).collect::<Vec<u8>>(), 0..4);
        number.prop_map(|numbers| numbers.iter().map(|number| format!("p{number}")).collect())
    }

    /// Selections whose prefixes and bounds the constructor takes.
    fn a_selection() -> impl Strategy<Value = Selection> {
        let cross = prop::sample::subsequence(vec!["1", "2", "3"], 0..2);
        (rule_sets(), some_keys(), cross, some_keys()).prop_filter_map(
            "contradictions are refused",
            |(sets, handpicked, cross, blocked)| {
                let draft = SelectionDraft {
                    handpicked,
                    handpicked_cross_market: keys(&cross),
                    blocked,
                    ..by_rules(sets)
                };
                Selection::new(draft).ok()
            },
        )
    }

    fn of_rules(sets: Vec<Vec<WrittenRule>>, shop: &Catalogue) -> Option<RowSet> {
        let selection = Selection::new(by_rules(sets)).ok()?;
        Some(evaluate(&selection, shop, &today()))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn sets_agree_with_the_definition_row_by_row(shop in a_shop(), selection in a_selection()) {
            let rows = evaluate(&selection, &shop, &today());
            let compiled = CompiledSelection::new(&selection, &shop, &today());
            for row in shop.live().iter() {
                let why = explain(&selection, &shop, row, &today());
                prop_assert_eq!(rows.contains(row), why.is_selected(), "{:?}", why);
                prop_assert_eq!(compiled.fits(row), why.is_selected());
            }
            let mut vacant = rows.clone();
            vacant.subtract(shop.live());
            prop_assert!(vacant.is_empty());
            let counted = counts(&selection, &shop, &today());
            prop_assert_eq!(counted.selected, rows.len());
            let by_rule = |row| explain(&selection, &shop, row, &today()).first_set().is_some();
            let n_by_rule = shop.live().iter().filter(|&row| by_rule(row)).count();
            prop_assert_eq!(counted.union as usize, n_by_rule);
        }

        #[test]
        fn asking_what_changed_is_evaluating_all(
            goods in some_goods(),
            later in some_goods(),
            gone in some_keys(),
            selection in a_selection(),
        ) {
            let before = catalogue(market("de"), goods, &[("c2", &["c1", "c0"])]);
            let lost = gone.iter().map(|key| (ProductKey::parse(key).unwrap(), None));
            let came = later.into_iter().map(|record| (record.key.clone(), Some(Arc::new(record))));
            let products = came.chain(lost).collect();
            let after = before.with(&Changes { products, ..Changes::default() });
            if let Some(changed) = after.rows_changed_since(&before) {
                let former = evaluate(&selection, &before, &today());
                let changed = ChangedRows::new(&after, changed);
                let asked = evaluate_changed(&selection, &after, &today(), (&former, &changed));
                let all = evaluate(&selection, &after, &today());
                prop_assert_eq!(asked.unwrap_or(former), all);
            }
        }

        #[test]
        fn order_is_irrelevant(shop in a_shop(), sets in rule_sets()) {
            let backward = sets.iter().rev().map(|rules| {
                let rules = rules.iter().rev().cloned().map(|mut rule| {
                    if let WrittenMatcher::In(values) = &mut rule.matcher {
                        values.reverse();
                    }
                    rule
                });
                rules.collect()
            });
            prop_assert_eq!(of_rules(backward.collect(), &shop), of_rules(sets.clone(), &shop));
        }

        #[test]
        fn another_rule_never_makes_a_set_larger(
            shop in a_shop(),
            rules in prop::collection::vec(a_rule(), 1..4),
            another in a_rule(),
        ) {
            let longer = [rules.clone(), vec![another]].concat();
            let (before, after) = (of_rules(vec![rules], &shop), of_rules(vec![longer], &shop));
            if let (Some(before), Some(mut after)) = (before, after) {
                after.subtract(&before);
                prop_assert!(after.is_empty());
            }
        }

        #[test]
        fn blocked_products_never_appear_by_rule(
            shop in a_shop(),
            sets in rule_sets(),
            blocked in some_keys(),
        ) {
            let draft = SelectionDraft { blocked: blocked.clone(), ..by_rules(sets) };
            if let Ok(selection) = Selection::new(draft) {
                for row in evaluate(&selection, &shop, &today()).iter() {
                    let key = shop.product_key(shop.product_of(row)).to_string();
                    prop_assert!(!blocked.contains(&key));
                }
            }
        }
    }
}
