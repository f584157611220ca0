//! JSON as it was written: members in order, numbers as text, read no deeper than asked.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::domain::complaint::{Fault, token};

/// One JSON value, valid but not yet looked into.
#[derive(Clone, Copy, Debug)]
pub(super) struct Json<'a>(&'a str);

impl<'a> Json<'a> {
    /// The value that is all of `text`.
    ///
    /// # Errors
    /// `bad-format`.
    pub(super) fn parse(text: &'a str) -> Result<Self, Fault> {
        serde_json::from_str::<&RawValue>(text)
            .map(|raw| Self(raw.get()))
            .map_err(|_| Fault::bad_format("JSON", text.trim()))
    }

    /// The value as it was written.
    pub(super) fn raw(self) -> &'a str {
        self.0
    }

    /// Whether it says that there is no value.
    pub(super) fn is_null(self) -> bool {
        self.0 == "null"
    }

    /// A text, if it is one whose escapes are whole.
    ///
    /// # Errors
    /// `wrong-type`, or `bad-format` for half a surrogate pair.
    pub(super) fn text(self) -> Result<Cow<'a, str>, Fault> {
        let inner = self
            .0
            .strip_prefix('"')
            .and_then(|text| text.strip_suffix('"'));
        let Some(inner) = inner else {
            return Err(self.wrong("a text"));
        };
        if !inner.contains('\\') {
            return Ok(Cow::Borrowed(inner));
        }
        serde_json::from_str(self.0)
            .map(Cow::Owned)
            .map_err(|_| Fault::bad_format("a text of whole characters", self.0))
    }

    /// The digits of a number as they were written.
    pub(super) fn number(self) -> Option<&'a str> {
        let first = self.0.as_bytes().first()?;
        (first.is_ascii_digit() || *first == b'-').then_some(self.0)
    }

    /// What a single value says: text, number or flag.
    ///
    /// # Errors
    /// `wrong-type` for anything else.
    pub(super) fn scalar(self) -> Result<Cow<'a, str>, Fault> {
        match self.0.as_bytes().first() {
            Some(b'"') => self.text(),
            Some(b'{' | b'[') | None => Err(self.wrong("a text, number or flag")),
            Some(_) if self.is_null() => Err(self.wrong("a text, number or flag")),
            Some(_) => Ok(Cow::Borrowed(self.0)),
        }
    }

    /// The entries, if it is a list.
    pub(super) fn list(self) -> Option<Vec<Self>> {
        if !self.0.starts_with('[') {
            return None;
        }
        let raws: Vec<&'a RawValue> = serde_json::from_str(self.0).ok()?;
        Some(raws.into_iter().map(|raw| Self(raw.get())).collect())
    }

    /// The members, if it is an object.
    ///
    /// # Errors
    /// `wrong-type`, `bad-format`, or `duplicate` for a name that comes twice.
    pub(super) fn object(self) -> Result<Object<'a>, Fault> {
        if !self.0.starts_with('{') {
            return Err(self.wrong("an object"));
        }
        let members: Members<'a> = serde_json::from_str(self.0)
            .map_err(|_| Fault::bad_format("an object of whole characters", self.0))?;
        Object::new(members.0)
    }

    /// The complaint that another type was expected.
    pub(super) fn wrong(self, expected: &'static str) -> Fault {
        let found = match self.0.as_bytes().first() {
            Some(b'"') => "a text",
            Some(b'{') => "an object",
            Some(b'[') => "a list",
            Some(b't' | b'f') => "a flag",
            Some(b'n') => "null",
            _ => "a number",
        };
        Fault::WrongType {
            expected,
            found: found.to_owned(),
        }
    }

    /// How a complaint shows it: texts without their quotes.
    pub(super) fn shown(self) -> Cow<'a, str> {
        self.text().unwrap_or(Cow::Borrowed(self.0))
    }
}

/// Members of an object in the order of the text, each name once.
#[derive(Debug)]
pub(super) struct Object<'a> {
    members: Vec<(Cow<'a, str>, Option<Json<'a>>)>,
}

impl<'a> Object<'a> {
    fn new(members: Vec<(Cow<'a, str>, Json<'a>)>) -> Result<Self, Fault> {
        let mut names: Vec<&str> = members.iter().map(|(name, _)| &**name).collect();
        names.sort_unstable();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(Fault::Duplicate {
                value: pair[0].chars().take(80).collect(),
            });
        }
        let members = members.into_iter();
        Ok(Self {
            members: members.map(|(name, value)| (name, Some(value))).collect(),
        })
    }

    /// Takes a member out.
    pub(super) fn take(&mut self, name: &str) -> Option<Json<'a>> {
        let member = self.members.iter_mut().find(|(own, _)| own == name)?;
        member.1.take()
    }

    /// A member that was not taken.
    pub(super) fn peek(&self, name: &str) -> Option<Json<'a>> {
        let member = self.members.iter().find(|(own, _)| own == name)?;
        member.1
    }

    /// Whether a member of that name is still there.
    pub(super) fn has(&self, name: &str) -> bool {
        self.peek(name).is_some()
    }

    /// The members not taken, in the order of the text.
    pub(super) fn rest(&self) -> impl Iterator<Item = (&str, Json<'a>)> {
        let left = self.members.iter();
        left.filter_map(|(name, value)| Some((&**name, (*value)?)))
    }
}

/// The way to a value from the root of its row; written as a JSON pointer only for a complaint.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place<'a> {
    up: Option<&'a Place<'a>>,
    name: &'a str,
}

impl<'a> Place<'a> {
    /// The row itself.
    pub(super) const ROOT: Place<'static> = Place { up: None, name: "" };

    /// The member `name` below.
    pub(super) fn at(&'a self, name: &'a str) -> Place<'a> {
        Place {
            up: Some(self),
            name,
        }
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.up {
            Some(up) => write!(f, "{up}/{}", token(self.name)),
            None => Ok(()),
        }
    }
}

/// Names and values as written, duplicates included.
struct Members<'a>(Vec<(Cow<'a, str>, Json<'a>)>);

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut members = Vec::with_capacity(8);
                while let Some(Name(name)) = map.next_key::<Name<'de>>()? {
                    let raw: &'de RawValue = map.next_value()?;
                    members.push((name, Json(raw.get())));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits() {
        let mut object = Json::parse(r#" {"n": 0.10000000000000000001, "t":"\u00e4\n"} "#)
            .unwrap()
            .object()
            .unwrap();
        let number = object.take("n").unwrap();
        assert_eq!(number.number(), Some("0.10000000000000000001"));
        assert_eq!(number.text().unwrap_err().code(), "wrong-type");
        assert_eq!(object.take("t").unwrap().text().unwrap(), "ä\n");
        assert!(object.take("t").is_none() && !object.has("n"));
    }

    #[test]
    fn names_come_once() {
        let twice = Json::parse(r#"{"a":1,"\u0061":2}"#).unwrap().object();
        assert_eq!(twice.unwrap_err().code(), "duplicate");
    }

    #[test]
    fn half_a_pair_of_surrogates_is_no_text() {
        let half = Json::parse(r#""\ud800""#).unwrap();
        assert_eq!(half.text().unwrap_err().code(), "bad-format");
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        let list = Json::parse(&deep).ok().and_then(Json::list);
        assert!(list.is_none_or(|entries| entries.len() == 1));
    }

    #[test]
    fn places_are_pointers() {
        let variants = Place::ROOT.at("variants");
        let variant = variants.at("a/b");
        assert_eq!(variant.at("stock").to_string(), "/variants/a~1b/stock");
        assert_eq!(Place::ROOT.to_string(), "");
    }
}
