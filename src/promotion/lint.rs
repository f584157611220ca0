//! What is odd about a promotion without being wrong.

use crate::catalogue::Catalogue;
use crate::catalogue::category::Node;
use crate::catalogue::row::RowSet;
use crate::domain::id::MarketId;
use crate::domain::time::{Timestamp, Today};
use crate::promotion::restriction::node_masks;
use crate::promotion::slot::{Slot, SlotMask};
use crate::promotion::terms::{Kind, Promotion, Restriction};
use crate::selection::category::rows_in;
use crate::selection::evaluate::evaluate;
use crate::selection::lint::{self, first_few};
use crate::selection::remark::{Lint, LintCode};

/// From more promotions than this active at once in a market on, results are hard to foresee.
pub const MANY_ACTIVE: u32 = 25;

/// All remarks about a promotion that need no other promotion, with pointers as the API names the
/// fields. `catalogues` are those of its markets.
pub fn lint(promotion: &Promotion, catalogues: &[&Catalogue], now: Timestamp) -> Vec<Lint> {
    let mut remarks = Vec::new();
    if promotion.period.end() <= now {
        remarks.push(Lint::new(LintCode::AlreadyEnded, "/end"));
    }
    if promotion.open_epoch().is_none() {
        remarks.push(Lint::new(LintCode::Unmeasured, ""));
    }
    let of_selection = lint::lint(&promotion.selection, catalogues, now);
    let is_meant =
        |remark: &Lint| promotion.kind == Kind::Promotion || remark.code != LintCode::NoInStockRule;
    let meant = of_selection.into_iter().filter(is_meant);
    remarks.extend(meant.map(|remark| remark.under("/selection")));
    if promotion.restriction.is_restricted() {
        for catalogue in catalogues {
            let today = Today::at(now, &catalogue.locale().zone);
            let rows = evaluate(&promotion.selection, catalogue, &today);
            let here = lint_categories(&promotion.restriction, catalogue, &rows);
            remarks.extend(here.into_iter().map(|remark| remark.in_market(catalogue)));
        }
    }
    remarks
}

/// The remark on a market in which many are active at once.
pub fn many_active(market: &MarketId, most_at_once: u32) -> Option<Lint> {
    (MANY_ACTIVE < most_at_once).then(|| Lint {
        market: Some(market.clone()),
        ..Lint::new(LintCode::ManyActive, "").with("active", most_at_once)
    })
}

/// The remark on variants shared with other promotions in a market.
pub fn overlaps(market: &MarketId, n_promotions: u32, n_variants: u32) -> Option<Lint> {
    (0 < n_variants).then(|| Lint {
        market: Some(market.clone()),
        ..Lint::new(LintCode::Overlaps, "/selection")
            .with("promotions", n_promotions)
            .with("variants", n_variants)
    })
}

fn lint_categories(restriction: &Restriction, catalogue: &Catalogue, rows: &RowSet) -> Vec<Lint> {
    let mut without_variant = Vec::new();
    let mut without_selection = Vec::new();
    let lists = [
        ("/categories/include", &restriction.include),
        ("/categories/exclude", &restriction.exclude),
    ];
    for (pointer, marks) in lists {
        for (place, mark) in marks.iter().enumerate() {
            let at = format!("{pointer}/{place}");
            match rows_in(mark, catalogue) {
                None => without_variant.push(Lint::new(LintCode::CategoryWithoutVariant, at)),
                Some(own) if pointer.ends_with("include") && own.n_common(rows) == 0 => {
                    without_selection.push(Lint::new(LintCode::CategoriesWithoutSelection, at));
                }
                Some(_) => {}
            }
        }
    }
    let mut remarks = first_few(without_variant);
    remarks.extend(first_few(without_selection));
    remarks.extend(paths_disagree(restriction, catalogue));
    remarks
}

fn paths_disagree(restriction: &Restriction, catalogue: &Catalogue) -> Option<Lint> {
    let graph = catalogue.graph();
    let masks = node_masks(graph, &[(Slot(0), restriction)]);
    let is_torn = |node: &Node| masks.torn_at(*node) != SlotMask::EMPTY;
    let n_torn = graph.nodes().filter(is_torn).count();
    let n_torn = u32::try_from(n_torn).unwrap_or(u32::MAX);
    let remark = Lint::new(LintCode::CategoryPathsDisagree, "/categories");
    (0 < n_torn).then(|| remark.with("categories", n_torn))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::PromotionId;
    use crate::promotion::draft::{Made, PromotionDraft};
    use crate::promotion::epoch::MeasurementDraft;
    use crate::selection::definition::SelectionDraft;
    use crate::selection::sample::{self, by_rules, catalogue, is_in, keys, noon, product};

    fn shop() -> Catalogue {
        let goods = vec![
            product("wok", &[("category", "woks")], &[("wok", &[])]),
            product("tent", &[("category", "tents")], &[("tent", &[])]),
        ];
        let tree: &[(&str, &[&str])] = &[
            ("woks", &["kitchen"]),
            ("tents", &["outdoor", "sale"]),
            ("empty", &[]),
        ];
        catalogue(sample::market("de"), goods, tree)
    }

    fn promotion(kind: &str, include: &[&str], exclude: &[&str], shop: &Catalogue) -> Promotion {
        let text = |text: &str| text.parse().ok();
        let draft = PromotionDraft {
            kind: text(kind),
            level: text("low").filter(|_| kind == "promotion"),
            name: text("Camping"),
            markets: Some(keys(&["de"])),
            start: text("2026-05-01"),
            end: text("2026-05-31"),
            selection: SelectionDraft {
                handpicked: keys(&["tent"]),
                ..by_rules(vec![vec![sample::include("category", is_in(&["tents"]))]])
            },
            include: keys(include),
            exclude: keys(exclude),
            measurement: Some(MeasurementDraft::default()),
            ..PromotionDraft::default()
        };
        let made = Made {
            id: PromotionId([1; 16]),
            by: "usr_a".to_owned(),
            at: noon(),
            salt: 1,
        };
        Promotion::create(draft, made, &|_| Some(shop)).unwrap()
    }

    #[track_caller]
    fn check(promotion: &Promotion, shop: &Catalogue, expected: &[(&str, &str)]) {
        let remarks = lint(promotion, &[shop], noon());
        let found: Vec<_> = remarks
            .iter()
            .map(|remark| (remark.code.as_str(), remark.pointer.as_str()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn marks_that_hold_nothing_are_named() {
        let shop = shop();
        let marks = ["outdoor", "kitchen", "empty", "gone"];
        check(
            &promotion("demotion", &marks, &["woks"], &shop),
            &shop,
            &[
                ("category-without-variant", "/categories/include/2"),
                ("category-without-variant", "/categories/include/3"),
                ("categories-without-selection", "/categories/include/1"),
            ],
        );
    }

    #[test]
    fn paths_that_disagree_are_counted() {
        let shop = shop();
        let torn = promotion("demotion", &["outdoor"], &["sale"], &shop);
        check(&torn, &shop, &[("category-paths-disagree", "/categories")]);
        assert_eq!(lint(&torn, &[&shop], noon())[0].counts, [("categories", 1)]);
    }

    #[test]
    fn an_ended_and_unmeasured_promotion_is_remarked_on() {
        let shop = shop();
        let mut terms = promotion("promotion", &[], &[], &shop).into_terms();
        terms.epochs.clear();
        let unmeasured = Promotion::new(terms).unwrap();
        check(
            &unmeasured,
            &shop,
            &[
                ("unmeasured", ""),
                ("no-in-stock-rule", "/selection/rule_sets/0"),
            ],
        );
        let late = unmeasured.period.end();
        let codes: Vec<_> = lint(&unmeasured, &[&shop], late)
            .iter()
            .map(|remark| remark.code)
            .collect();
        assert_eq!(codes[0], LintCode::AlreadyEnded);
    }

    #[test]
    fn many_active_promotions_are_remarked_on_above_25() {
        let market = MarketId::parse("de").unwrap();
        assert_eq!(many_active(&market, 25), None);
        assert_eq!(many_active(&market, 26).unwrap().counts, [("active", 26)]);
        assert_eq!(overlaps(&market, 3, 0), None);
        assert!(overlaps(&market, 3, 388).is_some());
    }
}
