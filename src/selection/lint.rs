//! What is odd about a selection without being wrong.
//!
//! Lint never refuses. Each remark points at what it is about and brings the figures behind it;
//! of remarks that would repeat for many keys or values the first few are given, with the total.

use std::collections::{BTreeMap, HashSet};

use crate::catalogue::Catalogue;
use crate::catalogue::attribute::{IN_STOCK, STOCK};
use crate::catalogue::column::Column;
use crate::catalogue::row::RowSet;
use crate::domain::category::CategoryId;
use crate::domain::complaint::Fault;
use crate::domain::id::ProductKey;
use crate::domain::text;
use crate::domain::time::{Timestamp, Today};
use crate::domain::value::{Value, ValueType};
use crate::predicate::rule::{Attr, Op};
use crate::predicate::written::{WrittenMatcher, WrittenRule};
use crate::selection::compile::{products_of_cross_key, read_rule};
use crate::selection::count::{Counts, counts};
use crate::selection::definition::{Selection, rule_pointer};
use crate::selection::evaluate::evaluate;
use crate::selection::remark::{Lint, LintCode};

/// Most remarks of one code in one market.
pub const EXAMPLES_MAX: usize = 20;

/// Most values of an attribute among which a suggestion is looked for.
const CANDIDATES_MAX: usize = 2_000;

/// All remarks about a selection in the markets it is meant for.
pub fn lint(selection: &Selection, catalogues: &[&Catalogue], now: Timestamp) -> Vec<Lint> {
    let mut remarks = lint_rules(selection);
    remarks.extend(unknown_handpicks(selection, catalogues));
    for catalogue in catalogues {
        let today = Today::at(now, &catalogue.locale().zone);
        let in_market = lint_market(selection, catalogue, &today);
        remarks.extend(
            in_market
                .into_iter()
                .map(|remark| remark.in_market(catalogue)),
        );
    }
    remarks
}

/// What can be seen without any market.
fn lint_rules(selection: &Selection) -> Vec<Lint> {
    let mut remarks = Vec::new();
    for (set, rules) in selection.rule_sets().iter().enumerate() {
        let mut listed: HashSet<&Attr> = HashSet::new();
        let last_include = rules.iter().rposition(|rule| rule.op == Op::Include);
        for (place, rule) in rules.iter().enumerate() {
            let asks_values = matches!(rule.matcher, WrittenMatcher::In(_));
            if rule.op == Op::Include && asks_values && !listed.insert(&rule.attr) {
                let pointer = rule_pointer(set, place);
                remarks.push(Lint::new(LintCode::IncludeSameAttribute, pointer));
            }
            if rule.op == Op::Exclude && last_include.is_some_and(|last| place < last) {
                let pointer = rule_pointer(set, place);
                remarks.push(Lint::new(LintCode::ExcludeBeforeInclude, pointer));
            }
        }
        let asks_stock = |rule: &WrittenRule| matches!(rule.attr.as_str(), STOCK | IN_STOCK);
        if !rules.is_empty() && !rules.iter().any(asks_stock) {
            let pointer = format!("/rule_sets/{set}");
            remarks.push(Lint::new(LintCode::NoInStockRule, pointer));
        }
    }
    remarks
}

/// Handpicked keys that no market has.
fn unknown_handpicks(selection: &Selection, catalogues: &[&Catalogue]) -> Vec<Lint> {
    let mut remarks = Vec::new();
    for (place, key) in selection.handpicked().iter().enumerate() {
        let has = |catalogue: &&Catalogue| catalogue.find_product(key.as_str()).is_some();
        if !catalogues.iter().any(has) {
            let pointer = format!("/handpicked/{place}");
            remarks.push(Lint::new(LintCode::UnknownHandpick, pointer));
        }
    }
    first_few(remarks)
}

fn lint_market(selection: &Selection, catalogue: &Catalogue, today: &Today) -> Vec<Lint> {
    let mut remarks = Vec::new();
    let mut unknown_values = Vec::new();
    for (pointer, rule) in selection.rules() {
        match unreadable(rule, catalogue) {
            Some(remark) => remarks.push(remark.under(&pointer)),
            None => unknown_values.extend(
                values_not_found(rule, catalogue)
                    .into_iter()
                    .map(|remark| remark.under(&pointer)),
            ),
        }
    }
    remarks.extend(suggested(first_few(unknown_values), selection, catalogue));
    remarks.extend(lint_cross_keys(selection, catalogue));
    let counted = counts(selection, catalogue, today);
    remarks.extend(lint_counts(catalogue, &counted));
    if 0 < counted.selected {
        let rows = evaluate(selection, catalogue, today);
        remarks.extend(sold_out(&rows, catalogue));
    }
    remarks
}

fn lint_counts(catalogue: &Catalogue, counted: &Counts) -> Vec<Lint> {
    let mut remarks = Vec::new();
    for (set, after) in counted.after_each_rule.iter().enumerate() {
        if let Some(rule) = after.iter().position(|&left| left == 0) {
            let before = match rule.checked_sub(1) {
                Some(previous) => after[previous],
                None => catalogue.live().len(),
            };
            let pointer = rule_pointer(set, rule);
            let remark = Lint::new(LintCode::EmptyAfterRule, pointer);
            remarks.push(remark.with("before", before));
        }
    }
    if counted.selected == 0 {
        remarks.push(Lint::new(LintCode::Empty, ""));
    }
    remarks
}

/// Why the market cannot read the rule.
fn unreadable(rule: &WrittenRule, catalogue: &Catalogue) -> Option<Lint> {
    let complaints = read_rule(rule, catalogue).err()?;
    let complaint = complaints.into_iter().next()?;
    let code = match &complaint.fault {
        Fault::UnknownAttribute { .. } => LintCode::UnknownAttribute,
        other => LintCode::Unreadable(other.code()),
    };
    let did_you_mean = complaint.fault.did_you_mean().map(str::to_owned);
    Some(Lint {
        did_you_mean,
        ..Lint::new(code, complaint.pointer)
    })
}

/// Texts of an `in` that no variant has; a category needs only be known. Numbers, amounts, flags
/// and times come and go with every feed, so they are not remarked on.
fn values_not_found(rule: &WrittenRule, catalogue: &Catalogue) -> Vec<Lint> {
    let kind = catalogue.schema().kind(rule.attr.as_str());
    let (WrittenMatcher::In(texts), Some(ValueType::Text)) = (&rule.matcher, kind) else {
        return Vec::new();
    };
    let column = catalogue.column(rule.attr.as_str());
    let is_known = |written: &str| {
        if rule.attr.is_category() {
            let id = CategoryId::parse(written);
            return id.is_ok_and(|id| catalogue.graph().find(id.as_str()).is_some());
        }
        let value = Value::text(written);
        value.is_ok_and(|value| column.is_some_and(|column| column.find(&value).is_some()))
    };
    let places = (0..).zip(texts).filter(|(_, written)| !is_known(written));
    places
        .map(|(place, _): (usize, _)| Lint::new(LintCode::UnknownValue, format!("/in/{place}")))
        .collect()
}

/// The remarks on unknown values with the nearest value that a variant has.
fn suggested(remarks: Vec<Lint>, selection: &Selection, catalogue: &Catalogue) -> Vec<Lint> {
    let by_pointer: BTreeMap<String, &WrittenRule> = selection.rules().collect();
    let suggest = |mut remark: Lint| {
        if let Some((rule_at, place)) = remark.pointer.split_once("/in/")
            && let Some(rule) = by_pointer.get(rule_at)
            && let WrittenMatcher::In(texts) = &rule.matcher
            && let Some(written) = place.parse().ok().and_then(|place: usize| texts.get(place))
        {
            remark.did_you_mean = nearest_value(rule, written, catalogue);
        }
        remark
    };
    remarks.into_iter().map(suggest).collect()
}

fn nearest_value(rule: &WrittenRule, written: &str, catalogue: &Catalogue) -> Option<String> {
    if rule.attr.is_category() {
        let id = CategoryId::parse(written).ok()?;
        let graph = catalogue.graph();
        let ids = graph.nodes().take(CANDIDATES_MAX);
        return text::nearest(id.as_str(), ids.map(|node| graph.id(node).as_str()));
    }
    let column = catalogue.column(rule.attr.as_str())?;
    let word = text::normal(written);
    let texts = candidates(column, &word)
        .iter()
        .filter_map(|value| match value {
            Value::Text(text) => Some(&**text),
            _ => None,
        });
    text::nearest(&word, texts)
}

/// All values, or, of an attribute with very many, those that begin with the same letter.
fn candidates<'c>(column: &'c Column, word: &str) -> &'c [Value] {
    let values = column.values();
    if values.len() <= CANDIDATES_MAX {
        return values;
    }
    let initial: String = word.chars().take(1).collect();
    let span = column.prefix(&initial);
    let same = &values[span.start as usize..span.end as usize];
    &same[..same.len().min(CANDIDATES_MAX)]
}

/// Cross-market keys that find nothing here, and those that find something blocked.
fn lint_cross_keys(selection: &Selection, catalogue: &Catalogue) -> Vec<Lint> {
    let blocked: BTreeMap<&str, usize> = selection
        .blocked()
        .iter()
        .map(ProductKey::as_str)
        .zip(0..)
        .collect();
    let mut unmatched = Vec::new();
    let mut contradicted = Vec::new();
    for (place, key) in selection.handpicked_cross_market().iter().enumerate() {
        let products = products_of_cross_key(key, catalogue);
        if products.is_empty() {
            let pointer = format!("/handpicked_cross_market/{place}");
            unmatched.push(Lint::new(LintCode::CrossKeyUnmatched, pointer));
        }
        let keys = products.into_iter().map(|no| catalogue.product_key(no));
        for place in keys.filter_map(|key| blocked.get(key.as_str())) {
            let pointer = format!("/blocked/{place}");
            contradicted.push(Lint::new(LintCode::BlockedButHandpicked, pointer));
        }
    }
    let mut remarks = first_few(unmatched);
    remarks.extend(first_few(contradicted));
    remarks
}

fn sold_out(rows: &RowSet, catalogue: &Catalogue) -> Option<Lint> {
    let column = catalogue.column(IN_STOCK)?;
    let in_stock = column.find(&Value::Flag(true));
    let n_in_stock = in_stock.map_or(0, |id| rows.n_common(&column.rows_with(id)));
    let remark = Lint::new(LintCode::SoldOut, "").with("variants", rows.len());
    (n_in_stock == 0).then_some(remark)
}

/// The first few of many remarks of one code, each with the total.
pub fn first_few(mut remarks: Vec<Lint>) -> Vec<Lint> {
    let total = u32::try_from(remarks.len()).unwrap_or(u32::MAX);
    remarks.truncate(EXAMPLES_MAX);
    remarks
        .into_iter()
        .map(|remark| remark.with("total", total))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::MarketId;
    use crate::selection::definition::SelectionDraft;
    use crate::selection::sample::{
        by_rules, catalogue, exclude, include, is_in, keys, market, noon, product, range,
        selection, table,
    };

    fn in_stock() -> WrittenRule {
        exclude(STOCK, range(None, Some("0")))
    }

    fn brands(values: &[&str]) -> WrittenRule {
        include("brand", is_in(values))
    }

    /// Remarks as code, pointer and market.
    #[track_caller]
    fn check(draft: SelectionDraft, shops: &[&Catalogue], expected: &[(&str, &str, Option<&str>)]) {
        let remarks = lint(&selection(draft), shops, noon());
        let found: Vec<_> = remarks
            .iter()
            .map(|remark| {
                let market = remark.market.as_ref().map(MarketId::as_str);
                (remark.code.as_str(), remark.pointer.as_str(), market)
            })
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_sound_selection_gets_no_remark() {
        let draft = by_rules(vec![vec![brands(&["Nord", "Vela"]), in_stock()]]);
        check(draft, &[&table()], &[]);
    }

    #[test]
    fn the_shape_of_rule_sets_is_remarked_on() {
        let draft = by_rules(vec![
            vec![
                exclude("color", is_in(&["red"])),
                brands(&["Nord"]),
                brands(&["Vela"]),
                in_stock(),
            ],
            vec![brands(&["Vela"])],
        ]);
        check(
            draft,
            &[&table()],
            &[
                ("exclude-before-include", "/rule_sets/0/rules/0", None),
                ("include-same-attribute", "/rule_sets/0/rules/2", None),
                ("no-in-stock-rule", "/rule_sets/1", None),
            ],
        );
    }

    #[test]
    fn the_first_rule_that_empties_a_set_is_named() {
        let draft = by_rules(vec![vec![
            include("color", is_in(&["red"])),
            include("price", range(Some("60"), None)),
            in_stock(),
        ]]);
        let remarks = lint(&selection(draft.clone()), &[&table()], noon());
        assert_eq!(remarks[0].counts, [("before", 2)]);
        check(
            draft,
            &[&table()],
            &[
                ("empty-after-rule", "/rule_sets/0/rules/1", Some("de")),
                ("empty", "", Some("de")),
            ],
        );
        check(
            SelectionDraft::default(),
            &[&table()],
            &[("empty", "", Some("de"))],
        );
    }

    #[test]
    fn what_a_market_lacks_is_remarked_on_there() {
        let goods = vec![product(
            "a",
            &[("fabric", "wool")],
            &[("a", &[("stock", "1")])],
        )];
        let other = catalogue(market("at"), goods, &[]);
        let draft = by_rules(vec![
            vec![include("fabric", is_in(&["wool"])), in_stock()],
            vec![include("fabric", range(Some("a"), None)), in_stock()],
        ]);
        check(
            draft,
            &[&other, &table()],
            &[
                ("wrong-operator", "/rule_sets/1/rules/0", Some("at")),
                ("empty-after-rule", "/rule_sets/1/rules/0", Some("at")),
                ("unknown-attribute", "/rule_sets/0/rules/0/attr", Some("de")),
                ("unknown-attribute", "/rule_sets/1/rules/0/attr", Some("de")),
                ("empty-after-rule", "/rule_sets/0/rules/0", Some("de")),
                ("empty-after-rule", "/rule_sets/1/rules/0", Some("de")),
                ("empty", "", Some("de")),
            ],
        );
    }

    #[test]
    fn unknown_values_come_with_the_nearest() {
        let draft = by_rules(vec![vec![brands(&["Vela", "Nrod", "Quux"]), in_stock()]]);
        let remarks = lint(&selection(draft), &[&table()], noon());
        let hints: Vec<_> = remarks
            .iter()
            .map(|remark| (remark.pointer.as_str(), remark.did_you_mean.as_deref()))
            .collect();
        assert_eq!(
            hints,
            [
                ("/rule_sets/0/rules/0/in/1", Some("Nord")),
                ("/rule_sets/0/rules/0/in/2", None)
            ]
        );
        assert!(remarks.iter().all(|remark| remark.counts == [("total", 2)]));
    }

    #[test]
    fn a_category_without_goods_is_no_unknown_value() {
        let goods = vec![product("w", &[("category", "woks")], &[("w", &[])])];
        let shop = catalogue(market("de"), goods, &[("woks", &["pans"]), ("empty", &[])]);
        let category = include("category", is_in(&["pans", "empty", "wok"]));
        let draft = by_rules(vec![vec![category, exclude(IN_STOCK, is_in(&["false"]))]]);
        let at = "/rule_sets/0/rules/0/in/2";
        check(draft, &[&shop], &[("unknown-value", at, Some("de"))]);
    }

    #[test]
    fn keys_that_pick_nothing_or_something_blocked_are_named() {
        let goods = vec![product(
            "p",
            &[],
            &[("p1", &[("ean", "7"), ("stock", "0")])],
        )];
        let shop = catalogue(market("at"), goods, &[]);
        let draft = SelectionDraft {
            handpicked: keys(&["a", "nobody"]),
            handpicked_cross_market: keys(&["7"]),
            blocked: keys(&["x", "p"]),
            ..SelectionDraft::default()
        };
        check(
            draft,
            &[&shop, &table()],
            &[
                ("unknown-handpick", "/handpicked/1", None),
                ("blocked-but-handpicked", "/blocked/1", Some("at")),
                ("sold-out", "", Some("at")),
                (
                    "cross-key-unmatched",
                    "/handpicked_cross_market/0",
                    Some("de"),
                ),
            ],
        );
    }

    #[test]
    fn many_remarks_are_cut_and_counted() {
        let handpicked = (0..50).map(|number| format!("x{number}")).collect();
        let draft = SelectionDraft {
            handpicked,
            ..SelectionDraft::default()
        };
        let remarks = lint(&selection(draft), &[&table()], noon());
        assert_eq!(remarks.len(), EXAMPLES_MAX + 1);
        assert_eq!(remarks[0].counts, [("total", 50)]);
    }
}
