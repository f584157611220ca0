//! What is wrong with a selection in the markets it is meant for.

use std::collections::HashSet;

use crate::catalogue::Catalogue;
use crate::domain::complaint::{Complaint, Fault};
use crate::predicate::written::WrittenRule;
use crate::selection::compile::read_rule;
use crate::selection::definition::Selection;

/// Complaints about rules that cannot mean anything, with pointers below the selection.
///
/// An attribute that none of the markets has is refused; one that some lack is not, since a
/// promotion may be broader than a market. Where a market has the attribute but cannot read the
/// rule, it is refused: it would silently match nothing there. Each pointer is complained about
/// once, for the first such market.
///
/// Rules that stand in `accepted` selections are left alone: a later feed may have taken their
/// attribute away, which is a warning and must not stand in the way of other edits.
pub fn misfits(
    selection: &Selection,
    catalogues: &[&Catalogue],
    accepted: &[&Selection],
) -> Vec<Complaint> {
    let known: HashSet<&WrittenRule> = accepted
        .iter()
        .flat_map(|selection| selection.rule_sets().iter().flatten())
        .collect();
    let rules = selection.rules();
    rules
        .filter(|(_, rule)| !known.contains(rule))
        .flat_map(|(pointer, rule)| {
            let faults = misfits_of(rule, catalogues);
            faults.into_iter().map(move |fault| fault.under(&pointer))
        })
        .collect()
}

fn misfits_of(rule: &WrittenRule, catalogues: &[&Catalogue]) -> Vec<Complaint> {
    let mut unknown = Vec::new();
    let mut is_known = false;
    let mut complaints: Vec<Complaint> = Vec::new();
    for catalogue in catalogues {
        let Err(found) = read_rule(rule, catalogue) else {
            is_known = true;
            continue;
        };
        let is_unknown = |c: &Complaint| matches!(c.fault, Fault::UnknownAttribute { .. });
        if found.iter().any(is_unknown) {
            unknown.extend(found);
            continue;
        }
        is_known = true;
        for complaint in found {
            if complaints
                .iter()
                .all(|own| own.pointer != complaint.pointer)
            {
                complaints.push(complaint);
            }
        }
    }
    if is_known {
        return complaints;
    }
    // Of several suggestions the first market's that has one.
    let has_hint = |complaint: &Complaint| complaint.fault.did_you_mean().is_some();
    let best = unknown.iter().position(has_hint).unwrap_or(0);
    unknown.into_iter().nth(best).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::market::Market;
    use crate::domain::money::Currency;
    use crate::predicate::written::WrittenMatcher;
    use crate::selection::sample::{
        by_rules, catalogue, include, is_in, market, product, range, selection, table,
    };

    fn yen() -> Catalogue {
        let mut japan: Market = market("jp");
        japan.locale.currency = Currency::parse("JPY").unwrap();
        let goods = vec![product("p", &[("washi", "thick")], &[("p", &[])])];
        catalogue(japan, goods, &[])
    }

    #[track_caller]
    fn check(rule: WrittenRule, expected: &[(&str, &str, Option<&str>)]) {
        let (euro, yen) = (table(), yen());
        let draft = by_rules(vec![vec![], vec![rule]]);
        let found = misfits(&selection(draft), &[&euro, &yen], &[]);
        let found: Vec<_> = found
            .iter()
            .map(|c| (c.pointer.as_str(), c.fault.code(), c.fault.did_you_mean()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn an_attribute_needs_one_of_the_markets() {
        check(include("washi", is_in(&["thick"])), &[]);
        let at = "/rule_sets/1/rules/0/attr";
        let colour = include("colour", is_in(&["red"]));
        check(colour, &[(at, "unknown-attribute", Some("color"))]);
        let material = include("material", WrittenMatcher::Exists(true));
        check(material, &[(at, "unknown-attribute", None)]);
    }

    #[test]
    fn a_matcher_fits_its_attribute_in_every_market_that_has_it() {
        let at = "/rule_sets/1/rules/0";
        let brands = include("brand", range(Some("a"), None));
        check(brands, &[(at, "wrong-operator", None)]);
        let price = include("price", range(Some("12.5"), Some("x")));
        check(
            price,
            &[
                ("/rule_sets/1/rules/0/max", "bad-format", None),
                ("/rule_sets/1/rules/0/min", "money-precision", None),
            ],
        );
    }

    #[test]
    fn a_rule_that_was_accepted_before_stands_in_no_way() {
        let gone = selection(by_rules(vec![vec![include("material", is_in(&["wool"]))]]));
        let shop = table();
        assert_eq!(misfits(&gone, &[&shop], &[]).len(), 1);
        assert_eq!(misfits(&gone, &[&shop], &[&gone]), []);
    }
}
