//! Which column of a foreign feed means what, and how its cells are written.

use crate::domain::complaint::{Complaint, Complaints, Fault, token};
use crate::domain::text;
use crate::feed::bytes::Encoding;
use crate::feed::flat::is_target;
use crate::feed::json::{Json, Object};
use crate::feed::member::{attr_of, within};
use crate::predicate::rule::Attr;

/// Most columns, and most constants.
pub const COLUMNS_MAX: usize = 1_100;

/// Most characters of a separator.
pub const SEPARATOR_CHARS_MAX: usize = 8;

/// Fields of a mapping.
const FIELDS: [&str; 8] = [
    "columns",
    "constants",
    "decimal",
    "delimiter",
    "encoding",
    "list_separator",
    "path_separator",
    "quote",
];

/// What stands between whole and fraction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecimalMark {
    /// `1,299.50`
    Point,
    /// `1.299,50`
    Comma,
}

impl DecimalMark {
    /// The character itself.
    pub fn char(self) -> char {
        match self {
            Self::Point => '.',
            Self::Comma => ',',
        }
    }
}

/// A stored mapping, checked; the default reads columns by the names of the targets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    columns: Option<Vec<(String, String)>>,
    constants: Vec<(String, String)>,
    pub(super) delimiter: u8,
    pub(super) quote: Option<u8>,
    pub(super) decimal: Option<DecimalMark>,
    pub(super) list_separator: Option<String>,
    pub(super) path_separator: String,
    encoding: Encoding,
}

impl Default for Mapping {
    fn default() -> Self {
        Self {
            columns: None,
            constants: Vec::new(),
            delimiter: b',',
            quote: Some(b'"'),
            decimal: None,
            list_separator: None,
            path_separator: ">".to_owned(),
            encoding: Encoding::Utf8,
        }
    }
}

impl Mapping {
    /// Reads a mapping from JSON.
    ///
    /// # Errors
    /// All complaints at once.
    pub fn parse(json: &str) -> Result<Self, Vec<Complaint>> {
        let root = Json::parse(json).and_then(Json::object);
        let mut object = root.map_err(|fault| vec![fault.at("")])?;
        let mut complaints = Complaints::new();
        let mut mapping = Self::default();
        if let Some(json) = object.take("columns") {
            mapping.columns = Some(names(json, "/columns", source, &mut complaints));
        }
        if let Some(json) = object.take("constants") {
            mapping.constants = names(json, "/constants", constant, &mut complaints);
        }
        mapping.read_marks(&mut object, &mut complaints);
        for (name, _) in object.rest() {
            let fault = Fault::UnknownField {
                found: name.chars().take(80).collect(),
                did_you_mean: text::nearest(name, FIELDS),
            };
            complaints.add(format!("/{}", token(name)), fault);
        }
        complaints.finish(Some(mapping))
    }

    /// How the bytes of the feed are characters.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Source columns by target; `None` means that each target has the column of its name.
    pub(super) fn columns(&self) -> Option<&[(String, String)]> {
        self.columns.as_deref()
    }

    /// What stands in for empty cells, by target.
    pub(super) fn constants(&self) -> &[(String, String)] {
        &self.constants
    }

    fn read_marks(&mut self, object: &mut Object<'_>, complaints: &mut Complaints) {
        let mut mark = |name: &str, read: &mut dyn FnMut(&str) -> Result<(), Fault>| {
            if let Some(json) = object.take(name) {
                let outcome = json.text().and_then(|text| read(&text));
                complaints.take(format!("/{name}"), outcome);
            }
        };
        mark("delimiter", &mut |text| {
            self.delimiter = ascii(text)?;
            Ok(())
        });
        mark("quote", &mut |text| {
            self.quote = (!text.is_empty()).then(|| ascii(text)).transpose()?;
            Ok(())
        });
        mark("decimal", &mut |text| {
            self.decimal = Some(decimal(text)?);
            Ok(())
        });
        mark("list_separator", &mut |text| {
            self.list_separator = Some(separator(text)?);
            Ok(())
        });
        mark("path_separator", &mut |text| {
            self.path_separator = separator(text)?;
            Ok(())
        });
        mark("encoding", &mut |text| {
            self.encoding = Encoding::parse(text)?;
            Ok(())
        });
        if self.quote == Some(self.delimiter) {
            let why = "delimiter and quote are the same character".to_owned();
            complaints.add("/quote", Fault::Contradiction { why });
        }
    }
}

/// Targets and their texts.
fn names(
    json: Json<'_>,
    at: &str,
    read: fn(&str) -> Result<String, Fault>,
    complaints: &mut Complaints,
) -> Vec<(String, String)> {
    let object = json.object().and_then(|object| {
        within(object.rest().count(), COLUMNS_MAX)?;
        Ok(object)
    });
    let Some(object) = complaints.take(at, object) else {
        return Vec::new();
    };
    let mut found: Vec<(String, String)> = Vec::new();
    for (name, json) in object.rest() {
        let pointer = format!("{at}/{}", token(name));
        let target = complaints.take(&pointer, target(name));
        let text = complaints.take(&pointer, json.text().and_then(|text| read(&text)));
        if let (Some(target), Some(text)) = (target, text) {
            if found.iter().any(|(known, _)| *known == target) {
                complaints.add(
                    pointer,
                    Fault::Duplicate {
                        value: target.clone(),
                    },
                );
            }
            found.push((target, text));
        }
    }
    found
}

/// The name of a field or attribute.
fn target(name: &str) -> Result<String, Fault> {
    if is_target(name) {
        return Ok(name.to_owned());
    }
    attr_of(name).map(|attr| attr.to_string())
}

/// The name of a column.
fn source(text: &str) -> Result<String, Fault> {
    Attr::parse(text).map(|name| name.to_string())
}

/// What stands in for empty cells.
fn constant(text: &str) -> Result<String, Fault> {
    match text.trim() {
        "" => Err(Fault::TooShort { have: 0, min: 1 }),
        text => Ok(text.to_owned()),
    }
}

/// One ASCII character that can stand between or around cells.
fn ascii(text: &str) -> Result<u8, Fault> {
    match text.as_bytes() {
        [b'\t'] => Ok(b'\t'),
        [byte] if byte.is_ascii_graphic() || *byte == b' ' => Ok(*byte),
        _ => Err(Fault::bad_format("one ASCII character", text)),
    }
}

fn decimal(text: &str) -> Result<DecimalMark, Fault> {
    match text {
        "." => Ok(DecimalMark::Point),
        "," => Ok(DecimalMark::Comma),
        _ => Err(Fault::unknown_value(text, &[".", ","])),
    }
}

fn separator(text: &str) -> Result<String, Fault> {
    let have = text.chars().count();
    if have == 0 {
        return Err(Fault::TooShort { have, min: 1 });
    }
    if SEPARATOR_CHARS_MAX < have {
        return Err(Fault::TooLong {
            have,
            max: SEPARATOR_CHARS_MAX,
        });
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &str, expected: &[(&str, &str)]) {
        let refused = Mapping::parse(json).err().unwrap_or_default();
        let found: Vec<_> = refused
            .iter()
            .map(|complaint| (complaint.pointer.as_str(), complaint.fault.code()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_whole_mapping_is_taken() {
        check(
            r#"{"columns":{"variant":"ArtNr","list_price":"UVP","brand":"Marke"},"delimiter":";",
                "quote":"'","decimal":",","list_separator":"|","path_separator":" / ",
                "constants":{"seller":"fjord"},"encoding":"windows-1252"}"#,
            &[],
        );
        check("{}", &[]);
        check(r#"{"delimiter":"\t","quote":""}"#, &[]);
    }

    #[test]
    fn all_complaints_come_at_once() {
        check(
            r#"{"colums":{},"columns":{"price":"Preis","title":7,"brand":" ","b\u0007":"x"},
                "delimiter":"\"","decimal":";","encoding":"utf-9","path_separator":""}"#,
            &[
                ("/columns/price", "contradiction"),
                ("/columns/title", "wrong-type"),
                ("/columns/brand", "too-short"),
                ("/columns/b\u{7}", "bad-format"),
                ("/decimal", "unknown-value"),
                ("/path_separator", "too-short"),
                ("/encoding", "unknown-value"),
                ("/quote", "contradiction"),
                ("/colums", "unknown-field"),
            ],
        );
        check(r#"{"columns":[]}"#, &[("/columns", "wrong-type")]);
        check(r#"{"columns":{},"columns":{}}"#, &[("", "duplicate")]);
        check(
            r#"{"columns":{"a":"x"," a":"y"}}"#,
            &[("/columns/ a", "duplicate")],
        );
        check("[", &[("", "bad-format")]);
    }
}
