//! What is different between two JSON objects, field by field.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::domain::complaint::token;

/// Entries of a long list that are named; more are only counted.
const NAMED_MAX: usize = 100;

/// A field that became another one. Of lists of texts it is told what came and what went.
#[derive(Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct FieldChange {
    /// Where.
    pointer: String,
    /// What stood there; absent where nothing did.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<Value>,
    /// What stands there since; absent where nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Value>,
    /// Entries that came, the first 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    added: Vec<String>,
    /// Entries that went, the first 100.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    removed: Vec<String>,
    /// How many came, if it is a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    added_count: Option<usize>,
    /// How many went, if it is a list.
    #[serde(skip_serializing_if = "Option::is_none")]
    removed_count: Option<usize>,
}

/// Every field that differs, in the order of `after`, those that are gone last.
pub(crate) fn changes(before: &Value, after: &Value) -> Vec<FieldChange> {
    let mut found = Vec::new();
    compare(String::new(), before, after, &mut found);
    found
}

fn compare(pointer: String, before: &Value, after: &Value, found: &mut Vec<FieldChange>) {
    if before == after {
        return;
    }
    if let (Value::Object(old), Value::Object(new)) = (before, after) {
        let at = |name: &str| format!("{pointer}/{}", token(name));
        for (name, own) in new {
            compare(at(name), old.get(name).unwrap_or(&Value::Null), own, found);
        }
        for (name, own) in old.iter().filter(|(name, _)| !new.contains_key(*name)) {
            compare(at(name), own, &Value::Null, found);
        }
        return;
    }
    if let (Some(old), Some(new)) = (texts(before), texts(after)) {
        found.push(of_lists(pointer, &old, &new));
        return;
    }
    let present = |value: &Value| (!value.is_null()).then(|| value.clone());
    found.push(FieldChange {
        pointer,
        before: present(before),
        after: present(after),
        ..FieldChange::default()
    });
}

/// The entries of a list that holds nothing but texts.
fn texts(value: &Value) -> Option<Vec<&str>> {
    value.as_array()?.iter().map(Value::as_str).collect()
}

fn of_lists(pointer: String, old: &[&str], new: &[&str]) -> FieldChange {
    let missing = |list: &[&str], other: &[&str]| -> Vec<String> {
        let other: BTreeSet<&str> = other.iter().copied().collect();
        let own = list.iter().filter(|entry| !other.contains(*entry));
        own.map(|entry| (*entry).to_owned()).collect()
    };
    let (mut added, mut removed) = (missing(new, old), missing(old, new));
    let counts = (added.len(), removed.len());
    added.truncate(NAMED_MAX);
    removed.truncate(NAMED_MAX);
    FieldChange {
        pointer,
        added,
        removed,
        added_count: Some(counts.0),
        removed_count: Some(counts.1),
        ..FieldChange::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(before: &Value, after: &Value, expected: &Value) {
        let found = serde_json::to_value(changes(before, after)).unwrap();
        assert_eq!(found, *expected);
    }

    #[test]
    fn only_what_differs_is_told() {
        let same = json!({ "a": 1, "b": { "c": [1, 2] } });
        check(&same, &same, &json!([]));
        check(
            &json!({ "a": 1, "b": { "c": "x", "d": true }, "gone": "y" }),
            &json!({ "a": 2, "b": { "c": "x", "d": false }, "new": [] }),
            &json!([
                { "pointer": "/a", "before": 1, "after": 2 },
                { "pointer": "/b/d", "before": true, "after": false },
                { "pointer": "/new", "after": [] },
                { "pointer": "/gone", "before": "y" },
            ]),
        );
    }

    #[test]
    fn lists_of_texts_tell_what_came_and_went() {
        check(
            &json!({ "k": ["a", "b"], "s": [{ "x": 1 }] }),
            &json!({ "k": ["b", "c", "d"], "s": [{ "x": 2 }] }),
            &json!([
                { "pointer": "/k", "added": ["c", "d"], "removed": ["a"], "added_count": 2, "removed_count": 1 },
                { "pointer": "/s", "before": [{ "x": 1 }], "after": [{ "x": 2 }] },
            ]),
        );
        let many: Vec<String> = (0..150).map(|n| n.to_string()).collect();
        let found = changes(&json!({ "k": [] }), &json!({ "k": many }));
        assert_eq!(
            (found[0].added.len(), found[0].added_count),
            (100, Some(150))
        );
    }
}
