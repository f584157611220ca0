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
//! - [`bytes`]: gzip, encodings, physical lines
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
pub mod flat;
mod json;
pub mod mapping;
mod member;
pub mod ndjson;
mod once;
mod path;
pub mod result;
pub mod write;

use std::io::Read;

use crate::catalogue::product::FeedOperation;
use crate::domain::complaint::Fault;
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
}

impl Format {
    /// Every format with its spelling on the wire.
    pub const ALL: [(Self, &'static str); 2] = [(Self::Ndjson, "ndjson"), (Self::Csv, "csv")];

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

    /// The format of a media type such as `text/csv; charset=utf-8`, if it names one.
    pub fn of_media_type(media_type: &str) -> Option<Self> {
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        match essence.to_ascii_lowercase().as_str() {
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => {
                Some(Self::Ndjson)
            }
            "text/csv" => Some(Self::Csv),
            _ => None,
        }
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
    /// Whether keys may come twice.
    pub repeats: Repeats,
}

/// Reads a feed to its end; `each` gets the operations of a good row one by one, or once what a bad
/// row got wrong, with the row's number.
///
/// Gzip is recognised by its first bytes.
///
/// # Errors
/// What makes it useless to read on: [`FeedError`]. Rows handed out before must then be dropped.
pub fn read(
    input: impl Read,
    reading: &Reading<'_>,
    each: &mut impl FnMut(u64, Result<FeedOperation, Refused>),
) -> Result<Counts, FeedError> {
    let native;
    let mapping = match reading.mapping {
        Some(mapping) => mapping,
        None => {
            native = Mapping::default();
            &native
        }
    };
    let encoding = reading.encoding.unwrap_or(mapping.encoding());
    let mut lines = Lines::new(bytes::unpack(input)?, encoding);
    let mut rows = Rows {
        counts: Counts::default(),
        once: (reading.repeats == Repeats::Refused).then(Once::default),
        operations: Vec::new(),
        each,
    };
    match (reading.format, reading.mapping) {
        (Format::Ndjson, None) => ndjson::read(&mut lines, reading, &mut rows)?,
        (Format::Ndjson, Some(_)) => flat::read_ndjson(&mut lines, reading, mapping, &mut rows)?,
        (Format::Csv, _) => csv::read(&mut lines, reading, mapping, &mut rows)?,
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
