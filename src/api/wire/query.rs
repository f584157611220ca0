//! Members of a query: texts that stand for what a body says in JSON.

use serde_json::{Map, Value};

use crate::api::wire::fields::Fields;
use crate::domain::complaint::Fault;
use crate::http::extract::Query;
use crate::http::problem::Problem;

/// Reads the query's members as fields, all complaints at once.
///
/// # Errors
/// `bad-query` for a member that is there twice; `invalid`.
pub(crate) fn read<T>(
    query: &Query,
    read: impl FnOnce(&mut Fields<'_>) -> T,
) -> Result<T, Problem> {
    let object = object(query)?;
    match Fields::gather(&object, read) {
        (value, complaints) if complaints.is_empty() => Ok(value),
        (_, complaints) => Err(Problem::invalid(&complaints)),
    }
}

/// The query as an object of texts, to be read field by field as a body is.
fn object(query: &Query) -> Result<Value, Problem> {
    let mut object = Map::new();
    for (name, value) in &query.0 {
        if object
            .insert(name.clone(), Value::String(value.clone()))
            .is_some()
        {
            return Err(twice(name));
        }
    }
    Ok(Value::Object(object))
}

/// A member that can say only one thing says two.
pub(crate) fn twice(name: &str) -> Problem {
    let shown: String = name.chars().take(80).collect();
    Problem::bad_query(format!("\"{shown}\" is there twice"))
}

/// A whole number within bounds, in digits.
pub(crate) fn whole(min: u32, max: u32) -> impl Fn(&Value) -> Result<u32, Fault> {
    move |value| {
        let text = value.as_str().unwrap_or_default();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Fault::bad_format("a whole number", text));
        }
        let number = text
            .parse()
            .ok()
            .filter(|number| (min..=max).contains(number));
        number.ok_or_else(|| Fault::OutOfRange {
            found: text.chars().take(80).collect(),
            allowed: format!("{min} to {max}"),
        })
    }
}

/// `true` or `false`.
pub(crate) fn flag(value: &Value) -> Result<bool, Fault> {
    match value.as_str() {
        Some("true") => Ok(true),
        Some("false") => Ok(false),
        other => Err(Fault::unknown_value(
            other.unwrap_or_default(),
            &["true", "false"],
        )),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<u32, &str>) {
        let found = whole(1, 500)(&json!(text));
        assert_eq!(found.map_err(|fault| fault.code()), expected);
    }

    #[test]
    fn numbers_are_digits_within_bounds() {
        check("1", Ok(1));
        check("500", Ok(500));
        check("0", Err("out-of-range"));
        check("501", Err("out-of-range"));
        check("99999999999999999999", Err("out-of-range"));
        for odd in ["", "+1", "-1", "1.0", " 1", "x"] {
            check(odd, Err("bad-format"));
        }
    }

    #[test]
    fn a_member_is_there_once() {
        let query = |words: &[&str]| {
            Query(
                words
                    .iter()
                    .map(|name| ((*name).to_owned(), "1".to_owned()))
                    .collect(),
            )
        };
        assert_eq!(
            object(&query(&["a", "b"])).unwrap(),
            json!({ "a": "1", "b": "1" })
        );
        assert_eq!(
            object(&query(&["a", "b", "a"]))
                .unwrap_err()
                .code()
                .as_str(),
            "bad-query"
        );
    }
}
