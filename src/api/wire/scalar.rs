//! Single JSON values.

use serde_json::Value;

use crate::api::wire::fields::wrong_type;
use crate::domain::complaint::Fault;

/// A JSON string.
pub(crate) fn text(value: &Value) -> Result<&str, Fault> {
    value.as_str().ok_or_else(|| wrong_type("text", value))
}

/// A JSON string of its own.
pub(crate) fn owned(value: &Value) -> Result<String, Fault> {
    text(value).map(str::to_owned)
}

/// A JSON string that a constructor reads.
pub(crate) fn parsed<'a, T>(
    parse: impl Fn(&str) -> Result<T, Fault>,
) -> impl Fn(&'a Value) -> Result<T, Fault> {
    move |value| parse(text(value)?)
}

/// `true` or `false`.
pub(crate) fn flag(value: &Value) -> Result<bool, Fault> {
    value
        .as_bool()
        .ok_or_else(|| wrong_type("true or false", value))
}

/// A whole JSON number.
pub(crate) fn integer(value: &Value) -> Result<i64, Fault> {
    match value {
        Value::Number(number) => number.as_i64().ok_or_else(|| Fault::OutOfRange {
            found: number.to_string(),
            allowed: "a whole number of 64 bits".to_owned(),
        }),
        other => Err(wrong_type("a whole number", other)),
    }
}

/// A whole JSON number from 0 to `max`.
pub(crate) fn up_to(max: u32) -> impl Fn(&Value) -> Result<u32, Fault> {
    move |value| {
        let number = integer(value)?;
        u32::try_from(number)
            .ok()
            .filter(|number| *number <= max)
            .ok_or_else(|| Fault::OutOfRange {
                found: number.to_string(),
                allowed: format!("0 to {max}"),
            })
    }
}

/// The text of a value in a rule: a string, a flag or a number, as written.
pub(crate) fn literal(value: &Value) -> Result<String, Fault> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(wrong_type("text, a number or a flag", other)),
    }
}
