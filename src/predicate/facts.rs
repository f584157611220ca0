//! One thing at a time: the definition of what rules mean.

use crate::domain::time::Today;
use crate::domain::value::ValueRef;
use crate::predicate::rule::{Attr, Op, Rule, RuleSet};

/// Whatever can tell its attribute values: a variant, a cart line, a seller's article.
pub trait Facts {
    /// The values of `attr`; none if it has none. A category comes with all its ancestors, so
    /// "includes sub-categories" needs no graph.
    fn values<'a>(&'a self, attr: &'a Attr) -> impl Iterator<Item = ValueRef<'a>>;
}

/// Index of the first rule that `facts` do not fit, or `None` if they fit them all.
///
/// This is the definition; every faster evaluation agrees with it.
pub fn first_failure(rules: &RuleSet, facts: &impl Facts, today: &Today) -> Option<usize> {
    rules.0.iter().position(|rule| !agrees(rule, facts, today))
}

/// Whether `facts` fit one rule.
pub fn agrees(rule: &Rule, facts: &impl Facts, today: &Today) -> bool {
    let fits = rule.matcher.fits_any(facts.values(&rule.attr), today);
    match rule.op {
        Op::Include => fits,
        Op::Exclude => !fits,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::domain::money::Currency;
    use crate::domain::time::{Timestamp, Zone};
    use crate::domain::value::{Locale, Value, ValueType};
    use crate::predicate::written::{WrittenMatcher, WrittenRule};

    struct Article(BTreeMap<&'static str, Vec<Value>>);

    impl Facts for Article {
        fn values<'a>(&'a self, attr: &'a Attr) -> impl Iterator<Item = ValueRef<'a>> {
            self.0
                .get(attr.as_str())
                .into_iter()
                .flatten()
                .map(Value::as_ref)
        }
    }

    fn locale() -> Locale {
        Locale {
            currency: Currency::parse("EUR").unwrap(),
            zone: Zone::parse("Europe/Berlin").unwrap(),
        }
    }

    fn kind(attr: &str) -> ValueType {
        match attr {
            "price" => ValueType::Money,
            "stock" => ValueType::Number,
            "launched" => ValueType::Time,
            _ => ValueType::Text,
        }
    }

    fn article(facts: &[(&'static str, &str)]) -> Article {
        let mut values: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (attr, text) in facts {
            let value = Value::parse(kind(attr), text, &locale()).unwrap();
            values.entry(*attr).or_default().push(value);
        }
        Article(values)
    }

    /// The five variants of the specification's table.
    fn shop() -> [(char, Article); 5] {
        let stocked = |facts: &[_]| article(facts);
        [
            (
                'a',
                stocked(&[
                    ("brand", "Nord"),
                    ("color", "red"),
                    ("price", "40"),
                    ("stock", "3"),
                ]),
            ),
            (
                'b',
                stocked(&[
                    ("brand", "Nord"),
                    ("color", "blue"),
                    ("price", "55"),
                    ("stock", "0"),
                ]),
            ),
            (
                'c',
                stocked(&[
                    ("brand", "Vela"),
                    ("color", "red"),
                    ("price", "40"),
                    ("stock", "5"),
                ]),
            ),
            (
                'd',
                stocked(&[("brand", "Vela"), ("price", "80"), ("stock", "1")]),
            ),
            (
                'e',
                stocked(&[
                    ("brand", "Nord"),
                    ("brand", "Vela"),
                    ("color", "blue"),
                    ("price", "61.50"),
                    ("stock", "2"),
                ]),
            ),
        ]
    }

    fn rule(op: Op, attr: &str, matcher: WrittenMatcher) -> Rule {
        let written = WrittenRule {
            op,
            attr: Attr::parse(attr).unwrap(),
            matcher,
        };
        written.read(kind(attr), &locale()).unwrap()
    }

    fn is_in(values: &[&str]) -> WrittenMatcher {
        WrittenMatcher::In(values.iter().map(|&value| value.into()).collect())
    }

    fn range(min: Option<&str>, max: Option<&str>) -> WrittenMatcher {
        WrittenMatcher::Range {
            min: min.map(Into::into),
            max: max.map(Into::into),
        }
    }

    #[track_caller]
    fn check(rules: &[Rule], expected: &str) {
        let noon = Timestamp::parse("2026-05-20T12:00:00+02:00").unwrap();
        let today = Today::at(noon, &locale().zone);
        let rules = RuleSet(rules.to_vec());
        let fitting: String = shop()
            .iter()
            .filter(|(_, article)| first_failure(&rules, article, &today).is_none())
            .map(|(name, _)| *name)
            .collect();
        assert_eq!(fitting, expected);
    }

    #[test]
    fn the_truth_table_of_the_specification_holds() {
        let nord = rule(Op::Include, "brand", is_in(&["Nord"]));
        let vela = rule(Op::Include, "brand", is_in(&["Vela"]));
        check(&[], "abcde");
        check(std::slice::from_ref(&nord), "abe");
        check(&[nord.clone(), vela.clone()], "e");
        check(&[vela, nord], "e");
        check(&[rule(Op::Exclude, "color", is_in(&["blue"]))], "acd");
        check(
            &[rule(Op::Include, "price", range(Some("40"), Some("61.50")))],
            "abce",
        );
        check(
            &[rule(Op::Include, "color", WrittenMatcher::Exists(false))],
            "d",
        );
        check(
            &[rule(
                Op::Include,
                "color",
                WrittenMatcher::Prefix("bl".into()),
            )],
            "be",
        );
        check(&[rule(Op::Include, "brand", is_in(&[]))], "");
        check(
            &[rule(Op::Exclude, "stock", range(None, Some("0")))],
            "acde",
        );
        check(&[rule(Op::Include, "stock", is_in(&["3.0"]))], "a");
    }

    #[test]
    fn new_goods_are_at_most_so_many_days_old() {
        let noon = Timestamp::parse("2026-05-20T12:00:00+02:00").unwrap();
        let today = Today::at(noon, &locale().zone);
        let new = WrittenMatcher::AgeDays {
            min: None,
            max: Some(21),
        };
        let rules = RuleSet(vec![rule(Op::Include, "launched", new)]);
        let fits =
            |day: &str| first_failure(&rules, &article(&[("launched", day)]), &today).is_none();
        assert!(fits("2026-04-29"));
        assert!(!fits("2026-04-28"));
        assert!(!fits("2026-05-21"));
    }

    #[test]
    fn the_first_rule_that_says_no_is_named() {
        let noon = Timestamp::parse("2026-05-20T12:00:00+02:00").unwrap();
        let today = Today::at(noon, &locale().zone);
        let rules = RuleSet(vec![
            rule(Op::Include, "brand", is_in(&["Nord"])),
            rule(Op::Exclude, "color", is_in(&["red"])),
        ]);
        let red = article(&[("brand", "Nord"), ("color", "red")]);
        assert_eq!(first_failure(&rules, &red, &today), Some(1));
        assert_eq!(first_failure(&rules, &article(&[]), &today), Some(0));
    }
}
