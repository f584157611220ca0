//! JSON Merge Patch (RFC 7396).

use serde_json::{Map, Value};

/// `target` with `patch` merged into it: null deletes a member, objects are merged member by
/// member, everything else replaces what stood there.
///
/// The patched document is then read as a whole one is, so that a patch can do nothing that a
/// replacement could not, and pointers mean the same.
pub(crate) fn merge(target: &mut Value, patch: Value) {
    let Value::Object(members) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(object) = target else {
        return;
    };
    for (name, value) in members {
        if value.is_null() {
            object.shift_remove(&name);
        } else {
            merge(object.entry(name).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(target: Value, patch: Value, expected: &Value) {
        let mut merged = target;
        merge(&mut merged, patch);
        assert_eq!(merged, *expected);
    }

    /// The table of RFC 7396, appendix A.
    #[test]
    fn the_cases_of_the_standard() {
        check(json!({"a": "b"}), json!({"a": "c"}), &json!({"a": "c"}));
        check(
            json!({"a": "b"}),
            json!({"b": "c"}),
            &json!({"a": "b", "b": "c"}),
        );
        check(json!({"a": "b"}), json!({"a": null}), &json!({}));
        check(
            json!({"a": "b", "b": "c"}),
            json!({"a": null}),
            &json!({"b": "c"}),
        );
        check(json!({"a": ["b"]}), json!({"a": "c"}), &json!({"a": "c"}));
        check(json!({"a": "c"}), json!({"a": ["b"]}), &json!({"a": ["b"]}));
        check(
            json!({"a": {"b": "c"}}),
            json!({"a": {"b": "d", "c": null}}),
            &json!({"a": {"b": "d"}}),
        );
        check(
            json!({"a": [{"b": "c"}]}),
            json!({"a": [1]}),
            &json!({"a": [1]}),
        );
        check(json!(["a", "b"]), json!(["c", "d"]), &json!(["c", "d"]));
        check(json!({"a": "b"}), json!(["c"]), &json!(["c"]));
        check(json!({"a": "foo"}), Value::Null, &Value::Null);
        check(json!({"a": "foo"}), json!("bar"), &json!("bar"));
        check(
            json!({"e": null}),
            json!({"a": 1}),
            &json!({"e": null, "a": 1}),
        );
        check(
            json!([1, 2]),
            json!({"a": "b", "c": null}),
            &json!({"a": "b"}),
        );
        check(
            json!({}),
            json!({"a": {"bb": {"ccc": null}}}),
            &json!({"a": {"bb": {}}}),
        );
    }
}
