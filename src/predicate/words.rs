//! Rules in words, for people who ask why.

use std::sync::Arc;

use crate::predicate::rule::Op;
use crate::predicate::written::{WrittenMatcher, WrittenRule};

/// Values named before the rest is only counted.
const NAMED_MAX: usize = 3;

/// What a rule does, such as `keeps brand Nord or Vela` or `takes out stock of at most 0`.
pub fn in_words(rule: &WrittenRule) -> String {
    let verb = match rule.op {
        Op::Include => "keeps",
        Op::Exclude => "takes out",
    };
    let attr = rule.attr.as_str();
    match &rule.matcher {
        WrittenMatcher::In(values) => format!("{verb} {attr} {}", any_of(values)),
        WrittenMatcher::Range { min, max } => match (min, max) {
            (Some(min), Some(max)) => format!("{verb} {attr} from {min} to {max}"),
            (Some(min), None) => format!("{verb} {attr} of at least {min}"),
            (None, Some(max)) => format!("{verb} {attr} of at most {max}"),
            (None, None) => format!("{verb} any {attr}"),
        },
        WrittenMatcher::Exists(true) => format!("{verb} what has a {attr}"),
        WrittenMatcher::Exists(false) => format!("{verb} what has no {attr}"),
        WrittenMatcher::Prefix(prefix) => format!("{verb} {attr} beginning with \"{prefix}\""),
        WrittenMatcher::AgeDays { min, max } => {
            let min = min.unwrap_or(0);
            match max {
                Some(max) => format!("{verb} {attr} {min} to {max} days ago"),
                None => format!("{verb} {attr} at least {min} days ago"),
            }
        }
    }
}

/// Values as alternatives; the first ones by name.
fn any_of(values: &[Arc<str>]) -> String {
    let n_more = values.len().saturating_sub(NAMED_MAX);
    let named: Vec<&str> = values.iter().take(NAMED_MAX).map(|own| &**own).collect();
    match (named.split_last(), n_more) {
        (Some((last, [])), 0) => (*last).to_owned(),
        (Some((last, rest)), 0) => format!("{} or {last}", rest.join(", ")),
        _ => format!("{} or {n_more} more", named.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predicate::rule::Attr;

    #[track_caller]
    fn check(op: Op, attr: &str, matcher: WrittenMatcher, expected: &str) {
        let attr = Attr::parse(attr).unwrap();
        assert_eq!(in_words(&WrittenRule { op, attr, matcher }), expected);
    }

    fn is_in(values: &[&str]) -> WrittenMatcher {
        WrittenMatcher::In(values.iter().map(|own| (*own).into()).collect())
    }

    #[test]
    fn rules_are_told_as_people_say_them() {
        let range = |min: Option<&str>, max: Option<&str>| WrittenMatcher::Range {
            min: min.map(Into::into),
            max: max.map(Into::into),
        };
        check(Op::Include, "brand", is_in(&["Nord"]), "keeps brand Nord");
        check(
            Op::Include,
            "brand",
            is_in(&["Nord", "Vela", "Otago"]),
            "keeps brand Nord, Vela or Otago",
        );
        check(
            Op::Include,
            "size",
            is_in(&["S", "M", "L", "XL", "XXL"]),
            "keeps size S, M, L or 2 more",
        );
        check(
            Op::Exclude,
            "stock",
            range(None, Some("0")),
            "takes out stock of at most 0",
        );
        check(
            Op::Include,
            "price",
            range(Some("10"), Some("20")),
            "keeps price from 10 to 20",
        );
        check(
            Op::Include,
            "price",
            range(Some("10"), None),
            "keeps price of at least 10",
        );
        check(
            Op::Exclude,
            "color",
            WrittenMatcher::Exists(false),
            "takes out what has no color",
        );
        check(
            Op::Include,
            "title",
            WrittenMatcher::Prefix("LUNCH".into()),
            "keeps title beginning with \"LUNCH\"",
        );
        let ages = WrittenMatcher::AgeDays {
            min: None,
            max: Some(21),
        };
        check(
            Op::Include,
            "launched",
            ages,
            "keeps launched 0 to 21 days ago",
        );
    }
}
