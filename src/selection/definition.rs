//! A selection as written: lists of products and rule sets, free of any market.

use std::collections::HashSet;
use std::hash::Hash;

use crate::domain::complaint::{Complaint, Complaints, Fault};
use crate::domain::id::{CrossKey, ProductKey};
use crate::domain::text;
use crate::domain::value::TEXT_CHARS_MAX;
use crate::predicate::written::{WrittenMatcher, WrittenRule};

/// Most rule sets of a selection.
pub const RULE_SETS_MAX: usize = 20;

/// Most rules of a rule set.
pub const RULES_MAX: usize = 20;

/// Most values of one `in`.
pub const VALUES_MAX: usize = 500;

/// Most handpicked products, cross-market keys and blocked products, each.
pub const KEYS_MAX: usize = 10_000;

/// Which products and variants a promotion is about.
///
/// Every list is free of repeats and within its bound; no product is both handpicked and blocked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    handpicked: Vec<ProductKey>,
    handpicked_cross_market: Vec<CrossKey>,
    blocked: Vec<ProductKey>,
    rule_sets: Vec<Vec<WrittenRule>>,
}

/// A selection as sent. Rules come as they were read: those that could not be read bring their
/// complaints along, so that one answer names everything.
#[derive(Clone, Debug, Default)]
pub struct SelectionDraft {
    /// Product keys.
    pub handpicked: Vec<String>,
    /// Values of the markets' cross-market attributes.
    pub handpicked_cross_market: Vec<String>,
    /// Product keys.
    pub blocked: Vec<String>,
    /// Rules by rule set; complaints have pointers below the rule.
    pub rule_sets: Vec<Vec<Result<WrittenRule, Vec<Complaint>>>>,
}

impl Selection {
    /// Reads a draft. Repeated keys count once, at their first place.
    ///
    /// # Errors
    /// All of them at once, with pointers such as `/handpicked/3` and `/rule_sets/0/rules/1/in`:
    /// the faults of keys, `too-many`, `too-few` (an `in` without values), `too-short` and
    /// `too-long` of a prefix, `contradiction` for a product both handpicked and blocked.
    pub fn new(draft: SelectionDraft) -> Result<Self, Vec<Complaint>> {
        let mut complaints = Complaints::new();
        let handpicked = read_keys(
            "/handpicked",
            &draft.handpicked,
            ProductKey::parse,
            &mut complaints,
        );
        let handpicked_cross_market = read_keys(
            "/handpicked_cross_market",
            &draft.handpicked_cross_market,
            CrossKey::parse,
            &mut complaints,
        );
        let blocked = read_keys(
            "/blocked",
            &draft.blocked,
            ProductKey::parse,
            &mut complaints,
        );
        check_blocked(&handpicked, &draft.blocked, &mut complaints);
        let rule_sets = read_rule_sets(draft.rule_sets, &mut complaints);
        complaints.finish(Some(Self {
            handpicked,
            handpicked_cross_market,
            blocked,
            rule_sets,
        }))
    }

    /// The draft that reads as this selection.
    pub fn draft(&self) -> SelectionDraft {
        let texts = |keys: &[ProductKey]| keys.iter().map(ToString::to_string).collect();
        SelectionDraft {
            handpicked: texts(&self.handpicked),
            handpicked_cross_market: self
                .handpicked_cross_market
                .iter()
                .map(ToString::to_string)
                .collect(),
            blocked: texts(&self.blocked),
            rule_sets: self
                .rule_sets
                .iter()
                .map(|rules| rules.iter().cloned().map(Ok).collect())
                .collect(),
        }
    }

    /// Products picked by hand, all variants of each, in every market that has the key.
    pub fn handpicked(&self) -> &[ProductKey] {
        &self.handpicked
    }

    /// Articles picked by hand under whatever product key each market has for them.
    pub fn handpicked_cross_market(&self) -> &[CrossKey] {
        &self.handpicked_cross_market
    }

    /// Products taken out of what rules found.
    pub fn blocked(&self) -> &[ProductKey] {
        &self.blocked
    }

    /// Rule sets: united with each other, the rules of each all true. One without rules selects
    /// nothing.
    pub fn rule_sets(&self) -> &[Vec<WrittenRule>] {
        &self.rule_sets
    }

    /// Every rule with the pointer to it.
    pub fn rules(&self) -> impl Iterator<Item = (String, &WrittenRule)> {
        let sets = self.rule_sets.iter().enumerate();
        sets.flat_map(|(set, rules)| {
            let places = rules.iter().enumerate();
            places.map(move |(place, rule)| (rule_pointer(set, place), rule))
        })
    }

    /// Whether nothing can ever be selected: no key and no rule.
    pub fn is_blank(&self) -> bool {
        self.handpicked.is_empty()
            && self.handpicked_cross_market.is_empty()
            && self.rule_sets.iter().all(Vec::is_empty)
    }

    /// The same selection with other handpicked products, for imports that checked the bounds.
    pub(super) fn with_handpicked(
        &self,
        handpicked: Vec<ProductKey>,
        handpicked_cross_market: Vec<CrossKey>,
    ) -> Self {
        Self {
            handpicked,
            handpicked_cross_market,
            ..self.clone()
        }
    }
}

/// Pointer to one rule of a selection.
pub fn rule_pointer(set: usize, rule: usize) -> String {
    format!("/rule_sets/{set}/rules/{rule}")
}

/// Parses keys, dropping repeats; too long a list is not read at all.
fn read_keys<K: Clone + Eq + Hash>(
    pointer: &str,
    texts: &[String],
    parse: impl Fn(&str) -> Result<K, Fault>,
    complaints: &mut Complaints,
) -> Vec<K> {
    if refuse_long(pointer, texts.len(), KEYS_MAX, complaints) {
        return Vec::new();
    }
    let mut seen = HashSet::with_capacity(texts.len());
    let mut keys = Vec::with_capacity(texts.len());
    for (place, key_text) in texts.iter().enumerate() {
        let key = complaints.take(format!("{pointer}/{place}"), parse(key_text));
        keys.extend(key.filter(|key| seen.insert(key.clone())));
    }
    keys
}

fn check_blocked(handpicked: &[ProductKey], blocked: &[String], complaints: &mut Complaints) {
    let picked: HashSet<&str> = handpicked.iter().map(ProductKey::as_str).collect();
    for (place, key_text) in blocked.iter().enumerate().take(KEYS_MAX) {
        let key = text::normal(key_text);
        if picked.contains(&*key) {
            let why = format!("\"{key}\" is both handpicked and blocked");
            complaints.add(format!("/blocked/{place}"), Fault::Contradiction { why });
        }
    }
}

fn read_rule_sets(
    drafts: Vec<Vec<Result<WrittenRule, Vec<Complaint>>>>,
    complaints: &mut Complaints,
) -> Vec<Vec<WrittenRule>> {
    if refuse_long("/rule_sets", drafts.len(), RULE_SETS_MAX, complaints) {
        return Vec::new();
    }
    let mut rule_sets = Vec::with_capacity(drafts.len());
    for (set, rule_drafts) in drafts.into_iter().enumerate() {
        let pointer = format!("/rule_sets/{set}/rules");
        if refuse_long(&pointer, rule_drafts.len(), RULES_MAX, complaints) {
            continue;
        }
        let mut rules = Vec::with_capacity(rule_drafts.len());
        for (place, read) in rule_drafts.into_iter().enumerate() {
            let at = rule_pointer(set, place);
            if let Some(rule) = complaints.take_all(&at, read) {
                check_matcher(&at, &rule.matcher, complaints);
                rules.push(rule);
            }
        }
        rule_sets.push(rules);
    }
    rule_sets
}

/// What can be said about a matcher without knowing the attribute's type.
fn check_matcher(pointer: &str, matcher: &WrittenMatcher, complaints: &mut Complaints) {
    match matcher {
        WrittenMatcher::In(values) if values.is_empty() => {
            complaints.add(format!("{pointer}/in"), Fault::TooFew { have: 0, min: 1 });
        }
        WrittenMatcher::In(values) => {
            refuse_long(
                &format!("{pointer}/in"),
                values.len(),
                VALUES_MAX,
                complaints,
            );
        }
        WrittenMatcher::Prefix(prefix) => {
            let bounded = text::bounded(prefix, TEXT_CHARS_MAX);
            complaints.take(format!("{pointer}/prefix"), bounded);
        }
        WrittenMatcher::Range {
            min: None,
            max: None,
        } => complaints.add(format!("{pointer}/min"), Fault::Required),
        WrittenMatcher::Range { .. }
        | WrittenMatcher::Exists(_)
        | WrittenMatcher::AgeDays { .. } => {}
    }
}

/// Complains about a list above its bound; whether it did.
fn refuse_long(pointer: &str, have: usize, max: usize, complaints: &mut Complaints) -> bool {
    let is_long = max < have;
    if is_long {
        complaints.add(pointer, Fault::TooMany { have, max });
    }
    is_long
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::predicate::rule::{Attr, Op};

    fn keys(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|&key| key.to_owned()).collect()
    }

    fn rule(matcher: WrittenMatcher) -> WrittenRule {
        WrittenRule {
            op: Op::Include,
            attr: Attr::parse("brand").unwrap(),
            matcher,
        }
    }

    fn values(n_values: usize) -> WrittenMatcher {
        WrittenMatcher::In(
            (0..n_values)
                .map(|value| value.to_string().into())
                .collect(),
        )
    }

    #[track_caller]
    fn check(draft: SelectionDraft, expected: &[(&str, &str)]) {
        let complaints = Selection::new(draft).err().unwrap_or_default();
        let found: Vec<_> = complaints
            .iter()
            .map(|complaint| (complaint.pointer.as_str(), complaint.fault.code()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn repeated_keys_count_once() {
        let selection = Selection::new(SelectionDraft {
            handpicked: keys(&["b", " a", "a ", "b"]),
            ..SelectionDraft::default()
        })
        .unwrap();
        let found: Vec<_> = selection
            .handpicked()
            .iter()
            .map(ProductKey::as_str)
            .collect();
        assert_eq!(found, ["b", "a"]);
    }

    #[test]
    fn a_product_is_not_both_handpicked_and_blocked() {
        check(
            SelectionDraft {
                handpicked: keys(&["a", "b"]),
                blocked: keys(&["c", " b ", ""]),
                ..SelectionDraft::default()
            },
            &[("/blocked/2", "too-short"), ("/blocked/1", "contradiction")],
        );
    }

    #[test]
    fn lists_have_bounds() {
        let full = vec![Ok(rule(values(500))); 20];
        let sets = |rules, n_sets| SelectionDraft {
            rule_sets: vec![rules; n_sets],
            ..SelectionDraft::default()
        };
        check(sets(full.clone(), 20), &[]);
        check(sets(full, 21), &[("/rule_sets", "too-many")]);
        check(
            sets(vec![Ok(rule(values(1))); 21], 1),
            &[("/rule_sets/0/rules", "too-many")],
        );
        check(
            sets(vec![Ok(rule(values(0))), Ok(rule(values(501)))], 1),
            &[
                ("/rule_sets/0/rules/0/in", "too-few"),
                ("/rule_sets/0/rules/1/in", "too-many"),
            ],
        );
        check(
            SelectionDraft {
                handpicked: vec!["a".to_owned(); 10_001],
                ..SelectionDraft::default()
            },
            &[("/handpicked", "too-many")],
        );
    }

    #[test]
    fn complaints_of_unreadable_rules_find_their_place() {
        let unreadable = Err(vec![Fault::Required.at("/attr")]);
        check(
            SelectionDraft {
                rule_sets: vec![
                    vec![],
                    vec![
                        Ok(rule(WrittenMatcher::Prefix(" ".into()))),
                        unreadable,
                        Ok(rule(WrittenMatcher::Range {
                            min: None,
                            max: None,
                        })),
                    ],
                ],
                ..SelectionDraft::default()
            },
            &[
                ("/rule_sets/1/rules/0/prefix", "too-short"),
                ("/rule_sets/1/rules/1/attr", "required"),
                ("/rule_sets/1/rules/2/min", "required"),
            ],
        );
    }

    #[test]
    fn a_draft_reads_as_what_it_came_from() {
        let selection = Selection::new(SelectionDraft {
            handpicked: keys(&["a"]),
            handpicked_cross_market: keys(&["EAN-1"]),
            blocked: keys(&["b"]),
            rule_sets: vec![vec![Ok(rule(values(2)))], vec![]],
        })
        .unwrap();
        assert_eq!(Selection::new(selection.draft()), Ok(selection));
    }
}
