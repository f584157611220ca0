//! Why a selection holds a variant, or does not, in the words of its rules.

use crate::catalogue::Catalogue;
use crate::catalogue::row::Row;
use crate::domain::id::ProductKey;
use crate::domain::time::Today;
use crate::domain::value::{Value, ValueRef};
use crate::predicate::facts::{Facts, first_failure};
use crate::predicate::rule::{Op, Rule};
use crate::predicate::words;
use crate::predicate::written::WrittenRule;
use crate::selection::compile::{products_of_cross_key, readable_set};
use crate::selection::definition::Selection;

/// What the selection says about one variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// What picks it by hand, if anything does; then it is selected whatever else is true.
    pub handpicked: Option<Pick>,
    /// Whether its product is taken out of what rules found.
    pub blocked: bool,
    /// What each rule set says, in order.
    pub sets: Vec<SetWhy>,
}

/// Which list picks a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pick {
    /// By its key: the place in the list of handpicked products.
    Key(usize),
    /// By a cross-market key: the place in that list.
    CrossKey(usize),
}

/// What one rule set says about one variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetWhy {
    /// All rules agree.
    Holds,
    /// Without rules a set holds nothing.
    NoRules,
    /// A rule dropped it.
    Dropped {
        /// The first that did.
        rule: usize,
        /// The values that decided: of an exclude those that fit, of an include all that the
        /// variant has and none of which fits; empty if it has none.
        values: Vec<Value>,
    },
}

impl Why {
    /// Whether the variant is promoted.
    pub fn is_selected(&self) -> bool {
        self.handpicked.is_some() || !self.blocked && self.first_set().is_some()
    }

    /// The first rule set that holds it.
    pub fn first_set(&self) -> Option<usize> {
        self.sets.iter().position(|set| *set == SetWhy::Holds)
    }
}

impl Why {
    /// What decides, in words.
    pub fn in_words(&self) -> String {
        match (self.handpicked, self.first_set(), self.blocked) {
            (Some(Pick::Key(_)), ..) => "its product is picked by hand".to_owned(),
            (Some(Pick::CrossKey(_)), ..) => {
                "its product is picked by hand, by a cross-market key".to_owned()
            }
            (None, Some(set), false) => format!("rule set {} holds it", set + 1),
            (None, Some(set), true) => {
                format!(
                    "rule set {} would hold it, but its product is blocked",
                    set + 1
                )
            }
            (None, None, _) if self.sets.is_empty() => {
                "it is not picked by hand and there are no rules".to_owned()
            }
            (None, None, _) => "it is not picked by hand and no rule set holds it".to_owned(),
        }
    }
}

impl SetWhy {
    /// The first rule that dropped the variant, counted from 0.
    pub fn dropped_by(&self) -> Option<usize> {
        match self {
            Self::Dropped { rule, .. } => Some(*rule),
            Self::Holds | Self::NoRules => None,
        }
    }

    /// What the set says, in words; `values` are those that decided, as answers spell them.
    pub fn in_words(&self, rules: &[WrittenRule], values: &[String]) -> String {
        let Some(place) = self.dropped_by() else {
            return match self {
                Self::NoRules => "no rules select nothing".to_owned(),
                _ => "every rule keeps it".to_owned(),
            };
        };
        let Some(rule) = rules.get(place) else {
            return "a rule drops it".to_owned();
        };
        let has = if values.is_empty() {
            "none".to_owned()
        } else {
            values.join(", ")
        };
        format!("rule {} {}; it has {has}", place + 1, words::in_words(rule))
    }
}

/// Explains one variant, by the definition and not by the sets that `evaluate` computes.
pub fn explain(selection: &Selection, catalogue: &Catalogue, row: Row, today: &Today) -> Why {
    let product = catalogue.product_of(row);
    let key = catalogue.product_key(product);
    let is_own = |own: &ProductKey| own == key;
    let by_key = selection.handpicked().iter().position(is_own);
    let by_cross_key = || {
        let mut keys = selection.handpicked_cross_market().iter();
        keys.position(|key| products_of_cross_key(key, catalogue).contains(&product))
    };
    Why {
        handpicked: by_key
            .map(Pick::Key)
            .or_else(|| by_cross_key().map(Pick::CrossKey)),
        blocked: selection.blocked().iter().any(is_own),
        sets: selection
            .rule_sets()
            .iter()
            .map(|rules| {
                let rules = readable_set(rules, catalogue);
                let facts = catalogue.facts(row);
                match first_failure(&rules, &facts, today) {
                    None if rules.0.is_empty() => SetWhy::NoRules,
                    None => SetWhy::Holds,
                    Some(rule) => SetWhy::Dropped {
                        rule,
                        values: deciding(&rules.0[rule], &facts, today),
                    },
                }
            })
            .collect(),
    }
}

fn deciding(rule: &Rule, facts: &impl Facts, today: &Today) -> Vec<Value> {
    let held = facts.values(&rule.attr);
    let decides = |value: &ValueRef<'_>| match rule.op {
        Op::Include => true,
        Op::Exclude => rule.matcher.fits(*value, today),
    };
    held.filter(decides).map(ValueRef::to_value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predicate::written::WrittenRule;
    use crate::selection::definition::SelectionDraft;
    use crate::selection::sample::{
        by_rules, catalogue, exclude, include, is_in, keys, market, product, range, selection,
        table, today,
    };

    fn rules() -> Vec<Vec<WrittenRule>> {
        vec![
            vec![
                include("brand", is_in(&["Nord"])),
                exclude("stock", range(None, Some("0"))),
            ],
            vec![include("price", range(Some("60"), None))],
            vec![],
        ]
    }

    fn why(key: &str) -> Why {
        let shop = table();
        let draft = SelectionDraft {
            handpicked: keys(&["d", "c"]),
            blocked: keys(&["e"]),
            ..by_rules(rules())
        };
        let row = shop.find_variant(key).unwrap();
        explain(&selection(draft), &shop, row, &today())
    }

    #[track_caller]
    fn check_dropped(set: &SetWhy, rule: usize, values: &[&str]) {
        let SetWhy::Dropped {
            rule: found,
            values: deciding,
        } = set
        else {
            panic!("{set:?}");
        };
        let texts: Vec<String> = deciding.iter().map(ToString::to_string).collect();
        assert_eq!((*found, &texts[..]), (rule, &keys(values)[..]));
    }

    #[test]
    fn a_variant_is_picked_by_hand_or_by_its_first_set() {
        assert_eq!(why("c").handpicked, Some(Pick::Key(1)));
        let by_rule = why("a");
        assert_eq!((by_rule.handpicked, by_rule.first_set()), (None, Some(0)));
        assert!(by_rule.is_selected() && why("c").is_selected());
        assert_eq!(by_rule.sets[2], SetWhy::NoRules);
    }

    #[test]
    fn blocking_undoes_what_rules_found() {
        let blocked = why("e");
        assert!(blocked.blocked && !blocked.is_selected());
        assert_eq!(blocked.first_set(), Some(0));
    }

    #[test]
    fn the_first_rule_that_dropped_it_and_the_value_are_named() {
        let unlucky = why("b");
        check_dropped(&unlucky.sets[0], 1, &["0"]);
        check_dropped(&unlucky.sets[1], 0, &["5500 minor units"]);
        check_dropped(&why("d").sets[0], 0, &["Vela"]);
    }

    #[test]
    fn a_cross_market_key_is_named_by_its_place() {
        let goods = vec![product("p", &[], &[("p1", &[("ean", "7")]), ("p2", &[])])];
        let shop = catalogue(market("de"), goods, &[]);
        let draft = SelectionDraft {
            handpicked_cross_market: keys(&["6", "7"]),
            ..SelectionDraft::default()
        };
        let row = shop.find_variant("p2").unwrap();
        let why = explain(&selection(draft), &shop, row, &today());
        assert_eq!(why.handpicked, Some(Pick::CrossKey(1)));
    }
}
