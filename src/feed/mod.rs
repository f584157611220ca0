//! **What do these bytes say, and which rows are wrong?**
//!
//! A feed is read as a stream: [`read`] hands out one
//! [`FeedOperation`] after the other, and names every
//! row it refuses. [`write`](write::write) is its inverse for the native format. What an import
//! then does with the operations (full, delta, harm guard) is not decided here.
//!
//! - [`ndjson`]: the native format, one JSON object a line; `write` is its other direction
//! - [`flat`]: rows of plain cells, as they come from [`csv`] or from foreign NDJSON
//! - [`mapping`]: which column of a foreign feed means what
//! - `google` (TSV, XML), `shopify`, `elevate`: formats that say themselves what they mean
//! - [`bytes`]: gzip, zstd, encodings, physical lines
//! - [`result`]: refused rows, counts, errors that end a feed
//!
//! # Mappings
//!
//! `columns` names a source column (a field, in NDJSON) for each target. Targets of a catalogue:
//! `variant` (required), `product`, `product_group`, `seller`, `categories` (ids),
//! `category_path`, `list_price`, `sale_price`, `cost`, `stock`, `score`, `weight_g`; of
//! categories: `category` (required), `name`, `parents`, `children`; of scores: `variant`
//! and `score` (required). Any other target is the name of an attribute. Columns that no target
//! names become attributes of the variant under their own name; a feed of categories or scores,
//! which hold no attributes, passes over them. `constants` stand in for empty cells. Without
//! `columns` each target is read from the column of its own name.
//!
//! - `delimiter` (`,`), `quote` (`"`, empty for none): one ASCII character each
//! - `decimal`: `.` or `,`; once it is named, digits may be grouped by the other one, a space or
//!   an apostrophe. Without it a number is plain
//! - `list_separator`: splits the cells of lists and attributes; JSON lists need none
//! - `path_separator` (`>`): splits a `category_path`: `Clothing > Rain Wear` is the category
//!   `main:clothing/rain-wear` below `main:clothing`
//! - `encoding`: `utf-8`, `windows-1252` or its subset `iso-8859-1`
//!
//! # Invariants
//!
//! No row vanishes: its operations are handed out, or it is named with column, value and code; rows
//! are physical lines from 1, a record over several lines has the number of its first.
//! `read(write(x)) = x`. No input panics. Memory is bound by the longest line (1 MiB) and, where
//! repeats are refused, by the keys of the feed.
//!
//! # Cost
//!
//! A native line of 400 bytes is scanned once for each level of nesting around a byte (at most
//! five), about 2 µs, and costs two allocations for each text kept: 1 M rows in a few seconds.

pub mod bytes;
pub mod csv;
mod decimal;
mod elevate;
pub mod export;
pub mod flat;
mod google;
mod json;
pub mod mapping;
mod member;
pub mod ndjson;
mod once;
mod overrides;
mod path;
pub mod result;
mod shopify;
pub mod write;
mod xml;

use std::io::Read;

use crate::catalogue::product::FeedOperation;
use crate::domain::complaint::Fault;
use crate::domain::time::Timestamp;
use crate::domain::value::Locale;
use crate::feed::bytes::{Encoding, Lines};
use crate::feed::mapping::Mapping;
use crate::feed::once::Once;
use crate::feed::result::{Counts, FeedError, Refused};

/// How the rows of a feed are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One JSON object a line: native without a mapping, flat rows with one.
    Ndjson,
    /// Cells between delimiters under a line of column names.
    Csv,
    /// Google's product data as tab-separated values.
    GoogleTsv,
    /// Google's product data as RSS 2.0 or Atom.
    GoogleXml,
    /// A product export of Shopify, in either generation of column names.
    ShopifyCsv,
    /// Product groups with nested products and variants, one a line.
    Elevate,
}

impl Format {
    /// Every format with its spelling on the wire.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Ndjson, "ndjson"),
        (Self::Csv, "csv"),
        (Self::GoogleTsv, "google-tsv"),
        (Self::GoogleXml, "google-xml"),
        (Self::ShopifyCsv, "shopify-csv"),
        (Self::Elevate, "elevate"),
    ];

    /// Reads the spelling on the wire.
    ///
    /// # Errors
    /// `unknown-value`.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let found = Self::ALL.iter().find(|(_, name)| *name == text);
        found
            .map(|(format, _)| *format)
            .ok_or_else(|| Fault::unknown_value(text, &Self::ALL.map(|(_, name)| name)))
    }

    /// As the wire spells it.
    pub fn as_str(self) -> &'static str {
        let found = Self::ALL.iter().find(|(own, _)| *own == self);
        found.map_or("", |(_, name)| name)
    }

    /// The format of a media type such as `text/csv; charset=utf-8`, if it names one.
    pub fn of_media_type(media_type: &str) -> Option<Self> {
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        match essence.to_ascii_lowercase().as_str() {
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => {
                Some(Self::Ndjson)
            }
            "text/csv" => Some(Self::Csv),
            "text/tab-separated-values" => Some(Self::GoogleTsv),
            "application/xml" | "text/xml" | "application/rss+xml" | "application/atom+xml" => {
                Some(Self::GoogleXml)
            }
            "application/jsonlines" => Some(Self::Elevate),
            _ => None,
        }
    }

    /// Whether a mapping may say what its columns mean; the others say it themselves.
    pub fn takes_mapping(self) -> bool {
        matches!(self, Self::Ndjson | Self::Csv)
    }

    /// Whether its rows may be about something else than products.
    pub fn takes(self, kind: Kind) -> bool {
        self.takes_mapping() || kind == Kind::Catalogue
    }
}

/// What the rows of a feed are about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Products and variants; native feeds may define categories beside them.
    Catalogue,
    /// Categories alone.
    Categories,
    /// Scores of variants alone.
    Scores,
}

impl Kind {
    /// Every kind with its spelling on the wire.
    pub const ALL: [(Self, &'static str); 3] = [
        (Self::Catalogue, "catalogue"),
        (Self::Categories, "categories"),
        (Self::Scores, "scores"),
    ];

    /// Reads the spelling on the wire.
    ///
    /// # Errors
    /// `unknown-value`.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let found = Self::ALL.iter().find(|(_, name)| *name == text);
        found
            .map(|(kind, _)| *kind)
            .ok_or_else(|| Fault::unknown_value(text, &Self::ALL.map(|(_, name)| name)))
    }

    /// As the wire spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Catalogue => "catalogue",
            Self::Categories => "categories",
            Self::Scores => "scores",
        }
    }
}

/// Whether a feed may replace the same key twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeats {
    /// The second row is refused as `duplicate`: full feeds. Keeps every key in memory.
    Refused,
    /// The later row wins: deltas.
    Allowed,
}

/// How a feed is to be read.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'a> {
    /// How rows are written.
    pub format: Format,
    /// What they are about.
    pub kind: Kind,
    /// What foreign columns mean.
    pub mapping: Option<&'a Mapping>,
    /// The encoding, if it is not the mapping's.
    pub encoding: Option<Encoding>,
    /// Currency and zone of the market.
    pub locale: &'a Locale,
    /// What the market is called, in feeds of several: its key, then other names.
    pub market: &'a [&'a str],
    /// The instant of the import: whether a sale price holds.
    pub now: Timestamp,
    /// Whether keys may come twice.
    pub repeats: Repeats,
}

/// Reads a feed to its end; `each` gets the operations of a good row one by one, or once what a bad
/// row got wrong, with the row's number.
///
/// Gzip and zstd are recognised by their first bytes. Formats with a meaning of their own hold
/// products alone and take no mapping.
///
/// # Errors
/// What makes it useless to read on: [`FeedError`]. Rows handed out before must then be dropped.
pub fn read(
    input: impl Read,
    reading: &Reading<'_>,
    each: &mut impl FnMut(u64, Result<FeedOperation, Refused>),
) -> Result<Counts, FeedError> {
    let native;
    let mapping = if let Some(mapping) = reading.mapping {
        mapping
    } else {
        native = Mapping::default();
        &native
    };
    let encoding = reading.encoding.unwrap_or(mapping.encoding());
    let unpacked = bytes::unpack(input)?;
    let mut rows = Rows {
        counts: Counts::default(),
        once: (reading.repeats == Repeats::Refused).then(Once::default),
        operations: Vec::new(),
        each,
    };
    if reading.format == Format::GoogleXml {
        google::read_xml(unpacked, reading, mapping, &mut rows)?;
        return Ok(rows.counts);
    }
    let lines = &mut Lines::new(unpacked, encoding);
    match (reading.format, reading.mapping) {
        (Format::Ndjson, None) => ndjson::read(lines, reading, &mut rows)?,
        (Format::Ndjson, Some(_)) => flat::read_ndjson(lines, reading, mapping, &mut rows)?,
        (Format::Csv, _) => csv::read(lines, reading, mapping, &mut rows)?,
        (Format::GoogleTsv | Format::GoogleXml, _) => {
            google::read_tsv(lines, reading, mapping, &mut rows)?;
        }
        (Format::ShopifyCsv, _) => shopify::read(lines, reading, mapping, &mut rows)?,
        (Format::Elevate, _) => elevate::read(lines, reading, mapping, &mut rows)?,
    }
    Ok(rows.counts)
}

/// Where the rows of one feed go.
struct Rows<'e, E> {
    counts: Counts,
    /// Keys so far, where none may come twice.
    once: Option<Once>,
    /// The operations of the row at hand.
    operations: Vec<FeedOperation>,
    each: &'e mut E,
}

impl<E: FnMut(u64, Result<FeedOperation, Refused>)> Rows<'_, E> {
    /// Hands out what reading a row came to; `name` tells the column of a repeated key.
    fn finish(&mut self, row: u64, outcome: Result<(), Refused>, name: impl Fn(&str) -> String) {
        self.counts.rows += 1;
        let repeated = || match &mut self.once {
            Some(once) => once.check(row, &self.operations, name),
            None => Ok(()),
        };
        match outcome.and_then(|()| repeated()) {
            Ok(()) => {
                for operation in self.operations.drain(..) {
                    (self.each)(row, Ok(operation));
                }
            }
            Err(refused) => {
                self.operations.clear();
                self.refuse(row, refused);
            }
        }
    }

    /// Names a row as bad.
    fn refuse(&mut self, row: u64, refused: Refused) {
        self.counts.rejected += 1;
        (self.each)(row, Err(refused));
    }
}
#[cfg(test)]
mod trial;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::feed::trial::Trial;

    const MAPPING: &str = r#"{"columns":{"variant":"v","list_price":"p","category_path":"c"},
        "delimiter":";","decimal":",","list_separator":"|"}"#;

    fn any_trial() -> impl Strategy<Value = Trial> {
        let format = proptest::sample::select(Format::ALL.map(|(format, _)| format).to_vec());
        let kind = prop_oneof![
            Just(Kind::Catalogue),
            Just(Kind::Categories),
            Just(Kind::Scores)
        ];
        (format, kind, any::<bool>()).prop_map(|(format, kind, is_mapped)| {
            let kind = if format.takes(kind) {
                kind
            } else {
                Kind::Catalogue
            };
            let trial = Trial::of(format, kind);
            if is_mapped && format.takes_mapping() {
                trial.mapped(MAPPING)
            } else {
                trial
            }
        })
    }

    /// Lines made of the pieces that lines are made of, in any order.
    fn any_lines() -> impl Strategy<Value = String> {
        let piece = proptest::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ":",
            ",",
            "\"",
            "\\",
            "\n",
            "\r\n",
            ";",
            "\"op\":",
            "\"replace\"",
            "\"product\":",
            "\"variant\":",
            "\"variants\":",
            "\"attributes\":",
            "\"score\":",
            "\"category\":",
            "\"a\"",
            "1",
            "-1.5",
            "null",
            "true",
            "v;p;c",
            "v",
            "é",
            "\u{0}",
            "\\ud800",
            ">",
            "|",
            "1.299,50",
            "\t",
            "id\tprice\tbrand\n",
            "10.00 SEK",
            "Handle,Variant SKU,Variant Price,Option1 Name,Option1 Value\n",
            "<rss><channel>",
            "<item><g:id>a</g:id>",
            "</item>",
            "<feed>",
            "<entry>",
            "&amp;",
            "&x;",
            "<!DOCTYPE a>",
            "<![CDATA[",
            "{\"replace\":{\"key\":\"g\",\"productGroup\":{\"products\":{\"p\":{",
            "\"defaults\":{",
            "}}}}}}",
        ]);
        proptest::collection::vec(piece, 0..60).prop_map(|pieces| pieces.concat())
    }

    /// Every row that is not blank came out, be it as operations or as a refusal; beside the rows
    /// of a CSV feed its header may be complained about.
    fn check_account(trial: &Trial, bytes: &[u8]) {
        let Ok(taken) = trial.read(bytes) else { return };
        let n_out = taken.good_rows().len() as u64 + taken.counts.rejected;
        match trial.format {
            Format::Ndjson => {
                let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
                let lines = bytes.split(|&byte| byte == b'\n');
                let n_lines = lines.filter(|line| !line.trim_ascii().is_empty()).count();
                assert_eq!((taken.counts.rows, n_out), (n_lines as u64, n_lines as u64));
            }
            Format::Csv => {
                assert!(taken.counts.rows <= n_out && n_out <= taken.counts.rows + 1);
            }
            // A row may be a picture, or of another market.
            _ => assert!(n_out <= taken.counts.rows + 1),
        }
        assert!(taken.errors.iter().all(|error| 0 < error.row));
        let shown = taken.errors.iter().map(|error| error.value.chars().count());
        assert!(shown.max().unwrap_or(0) <= result::VALUE_CHARS_MAX);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(trial in any_trial(), bytes in any::<Vec<u8>>()) {
            check_account(&trial, &bytes);
        }

        #[test]
        fn no_lines_panic(trial in any_trial(), lines in any_lines()) {
            check_account(&trial, lines.as_bytes());
        }
    }

    #[test]
    fn a_key_comes_once_where_repeats_are_refused() {
        let lines = "{\"op\":\"replace\",\"product\":\"P\",\"variants\":{\"V\":{},\"W\":{}}}\n\
                     {\"op\":\"replace\",\"variant\":\"V\"}\n\
                     {\"op\":\"replace\",\"product\":\"P\"}\n\
                     {\"op\":\"replace\",\"category\":\"c\"}\n\
                     {\"op\":\"replace\",\"category\":\"main:c\"}\n";
        let mut trial = Trial::native();
        let expected = vec![
            (2, "/variant".to_owned(), "duplicate"),
            (3, "/product".to_owned(), "duplicate"),
            (5, "/category".to_owned(), "duplicate"),
        ];
        assert_eq!(trial.read(lines.as_bytes()).unwrap().faults(), expected);
        trial.repeats = Repeats::Allowed;
        assert_eq!(trial.read(lines.as_bytes()).unwrap().faults(), vec![]);
    }

    #[test]
    fn a_refused_row_names_its_record() {
        let line = b"{\"op\":\"replace\",\"product\":\"P\",\"score\":\"x\"}";
        let taken = Trial::native().read(line).unwrap();
        let subject = &taken.subjects[0];
        assert!(matches!(subject, Some(result::Subject::Product(key)) if key.as_str() == "P"));
    }

    #[test]
    fn formats_and_kinds_have_names() {
        assert_eq!(Format::parse("csv"), Ok(Format::Csv));
        assert_eq!(
            Format::of_media_type("Text/CSV; charset=utf-8"),
            Some(Format::Csv)
        );
        assert_eq!(
            Format::of_media_type("application/x-ndjson"),
            Some(Format::Ndjson)
        );
        assert_eq!(Format::of_media_type("text/html"), None);
        let near = Kind::parse("catalog").unwrap_err();
        assert_eq!(near.did_you_mean(), Some("catalogue"));
        for (kind, name) in Kind::ALL {
            assert_eq!((Kind::parse(name), kind.as_str()), (Ok(kind), name));
        }
    }
}
