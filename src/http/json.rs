//! Reads a JSON document strictly: one meaning, bounded depth, and a place for every fault.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::http::problem::Problem;
use crate::http::problem::code::Code;

/// Most levels of objects and lists within each other.
pub const DEPTH_MAX: usize = 32;

/// Reads one document of UTF-8.
///
/// # Errors
/// `malformed-json` with line and column, for anything that JSON is not, for a field named twice in
/// one object, halves of surrogate pairs, and more than 32 levels.
pub fn read(bytes: &[u8]) -> Result<Value, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let read = Level(0).deserialize(&mut deserializer);
    let read = read.and_then(|value| deserializer.end().map(|()| value));
    read.map_err(|error| {
        let text = error.to_string();
        let why = text
            .split(" at line ")
            .next()
            .unwrap_or_default()
            .to_owned();
        malformed(why, error.line(), error.column())
    })
}

/// Reads the same documents with every number as the text that it was written in, so that no amount
/// goes through a float.
///
/// # Errors
/// As [`read`].
pub fn read_literally(bytes: &[u8]) -> Result<Value, Problem> {
    read(bytes)?;
    read(&with_quoted_numbers(bytes))
}

/// A document that is known to be JSON, with its numbers as texts: outside of texts, nothing else
/// has a digit or a sign in it.
fn with_quoted_numbers(bytes: &[u8]) -> Vec<u8> {
    let mut quoted = Vec::with_capacity(bytes.len() + bytes.len() / 4);
    let (mut in_text, mut in_number, mut is_escaped) = (false, false, false);
    for byte in bytes {
        let is_numeric = matches!(byte, b'0'..=b'9' | b'-');
        let goes_on = is_numeric || matches!(byte, b'+' | b'.' | b'e' | b'E');
        if in_number && !goes_on || !in_number && !in_text && is_numeric {
            quoted.push(b'"');
            in_number = !in_number;
        }
        quoted.push(*byte);
        if *byte == b'"' && !is_escaped {
            in_text = !in_text;
        }
        is_escaped = in_text && *byte == b'\\' && !is_escaped;
    }
    if in_number {
        quoted.push(b'"');
    }
    quoted
}

/// A body that is no JSON; lines and columns count from one, columns in bytes.
fn malformed(why: String, line: usize, column: usize) -> Problem {
    let problem = Problem::new(Code::MalformedJson, why);
    problem.with("line", line).with("column", column)
}

/// Reads a value that lies within so many others.
#[derive(Clone, Copy)]
struct Level(usize);

impl<'de> DeserializeSeed<'de> for Level {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl Level {
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        if self.0 < DEPTH_MAX {
            Ok(Self(self.0 + 1))
        } else {
            Err(E::custom(format_args!("more than {DEPTH_MAX} levels")))
        }
    }
}

impl<'de> Visitor<'de> for Level {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Bool(flag))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(number.into())
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<Value, E> {
        let number = Number::from_f64(number).ok_or_else(|| E::custom("number out of range"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let level = self.inner()?;
        let mut list = Vec::new();
        while let Some(entry) = entries.next_element_seed(level)? {
            list.push(entry);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let level = self.inner()?;
        let mut object = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            if object.contains_key(&name) {
                let name: String = name.chars().take(80).collect();
                return Err(A::Error::custom(format_args!(
                    "field {name:?} stands twice"
                )));
            }
            object.insert(name, fields.next_value_seed(level)?);
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_are_read_as_they_stand() {
        let text = r#" {"b":[1,-2,3.5,null,true,"\ud83d\ude00"],"a":{"":"\u00e9"}} "#;
        let expected = json!({ "b": [1, -2, 3.5, null, true, "😀"], "a": { "": "é" } });
        assert_eq!(read(text.as_bytes()).unwrap(), expected);
        assert_eq!(read(b"0").unwrap(), json!(0));
    }

    #[test]
    fn numbers_can_be_read_as_they_are_written() {
        let check = |text: &str, expected: Value| {
            assert_eq!(read_literally(text.as_bytes()).unwrap(), expected, "{text}");
        };
        check("4271.50", json!("4271.50"));
        check(
            "[0.1,-2,1E+3,true,null]",
            json!(["0.1", "-2", "1E+3", true, null]),
        );
        check(
            r#"{"a 1":{"b":12345678901234567890.10}, "c" : 1e-2 }"#,
            json!({ "a 1": { "b": "12345678901234567890.10" }, "c": "1e-2" }),
        );
        check(
            r#"["1\"2", "\\", 3, "\\\"4", false]"#,
            json!(["1\"2", "\\", "3", "\\\"4", false]),
        );
        assert!(read_literally(b"[01]").is_err());
        assert!(read_literally(b"[1-2]").is_err());
    }

    #[track_caller]
    fn check(bytes: &[u8], why: &str, line: u64, column: u64) {
        let problem = read(bytes).unwrap_err();
        assert_eq!(problem.code(), Code::MalformedJson);
        assert!(problem.detail().contains(why), "{}", problem.detail());
        let document: Value = serde_json::from_slice(&problem.document(None, "")).unwrap();
        let place = (document["line"].as_u64(), document["column"].as_u64());
        assert_eq!(place, (Some(line), Some(column)), "{}", problem.detail());
    }

    #[test]
    fn what_is_no_json_is_refused_with_its_place() {
        check(b"", "EOF", 1, 0);
        check(b"{\"a\":1", "EOF", 1, 6);
        check(b"{\n  \"a\": NaN }", "expected value", 2, 8);
        check(b"[Infinity]", "expected value", 1, 2);
        check(b"[1,]", "trailing comma", 1, 4);
        check(b"{} {}", "trailing characters", 1, 4);
        check(b"[01]", "invalid number", 1, 3);
        check(b"\"\\ud800 half\"", "hex escape", 1, 8);
        check(b"\"\\ude00\"", "surrogate", 1, 7);
        check(b"[\"\xff\"]", "invalid unicode", 1, 3);
        check(b"\"a\nb\"", "control character", 2, 0);
        check(b"\xef\xbb\xbf{}", "expected value", 1, 1);
        check(b"[1e999]", "number out of range", 1, 6);
    }

    #[test]
    fn a_field_named_twice_is_refused() {
        check(
            b"{\"a\":1,\n\"b\":{},\"a\":2}",
            "field \"a\" stands twice",
            2,
            10,
        );
        check(
            b"{\"a\":1,\"\\u0061\":2}",
            "field \"a\" stands twice",
            1,
            15,
        );
        assert!(read(b"[{\"a\":1},{\"a\":1}]").is_ok());
    }

    #[test]
    fn levels_are_bounded() {
        let nested = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
        assert!(read(nested(DEPTH_MAX).as_bytes()).is_ok());
        check(
            nested(DEPTH_MAX + 1).as_bytes(),
            "more than 32 levels",
            1,
            34,
        );
        let objects = |n: usize| format!("{}1{}", "{\"a\":".repeat(n), "}".repeat(n));
        assert!(read(objects(DEPTH_MAX).as_bytes()).is_ok());
        assert!(read(objects(DEPTH_MAX + 1).as_bytes()).is_err());
        assert!(read("[".repeat(1 << 20).as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_read_means_what_serde_json_reads(bytes in "[\\[\\]{}:,\"a0-9.e\\-]{0,24}") {
            if let Ok(value) = read(bytes.as_bytes()) {
                prop_assert_eq!(value, serde_json::from_str::<Value>(&bytes).unwrap());
            }
        }

        #[test]
        fn numbers_as_texts_are_those_numbers(bytes in "[\\[\\]{}:,\"\\\\a0-9.e\\-]{0,24}") {
            fn restored(value: Value, number: &impl Fn(&str) -> Value) -> Value {
                match value {
                    Value::Number(own) => json!(own.to_string()),
                    Value::String(text) => number(&text),
                    Value::Array(own) => own.into_iter().map(|v| restored(v, number)).collect(),
                    Value::Object(own) => {
                        let own = own.into_iter().map(|(k, v)| (k, restored(v, number)));
                        Value::Object(own.collect())
                    }
                    other => other,
                }
            }
            let as_number = |text: &str| {
                let number = serde_json::from_str::<Number>(text);
                number.map_or_else(|_| json!(text), |number| json!(number.to_string()))
            };
            if let Ok(value) = read(bytes.as_bytes()) {
                let literal = read_literally(bytes.as_bytes()).unwrap();
                prop_assert_eq!(restored(literal, &as_number), restored(value, &as_number));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = read(&bytes);
        }
    }
}
