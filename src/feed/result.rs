//! What came of a feed: refused rows, counts, and the errors that end it.

use std::io;

use crate::catalogue::product::{FeedOperation, VariantRecord};
use crate::domain::category::CategoryId;
use crate::domain::complaint::{Complaint, Fault};
use crate::domain::id::{ProductKey, VariantKey};
use crate::feed::bytes::Oversize;

/// Most characters of an offending value that are shown.
pub const VALUE_CHARS_MAX: usize = 80;

/// Most faults named of one row.
pub const FAULTS_PER_ROW_MAX: usize = 100;

/// One fault of one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowError {
    /// Physical row, from 1.
    pub row: u64,
    /// Column, or JSON pointer in a native feed; empty means the whole row.
    pub column: String,
    /// The text found, cut to 80 characters; empty if nothing was.
    pub value: String,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What a row is about, as far as it could be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A product with its variants.
    Product(ProductKey),
    /// One variant.
    Variant(VariantKey),
    /// A category.
    Category(CategoryId),
}

/// A row that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// The record it would have changed, which a full import then keeps as it was.
    pub subject: Option<Subject>,
    /// At least one, at most 100.
    pub errors: Vec<RowError>,
}

/// How many rows there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows read, blank lines and the line of column names not counted.
    pub rows: u64,
    /// Rows refused; a refused column is not a row, but its complaint counts here as well.
    pub rejected: u64,
    /// Sale prices whose period begins or ends later: another import must come by then.
    pub later_sales: u64,
    /// Texts too long for an attribute, in columns that no part of endcap asked for; passed over.
    pub long_texts: u64,
    /// Rows about goods that are not for this market.
    pub other_markets: u64,
}

/// Why a feed cannot be read to its end.
#[derive(Debug, thiserror::Error)]
pub enum FeedError {
    /// The bytes stopped coming, or are damaged gzip or zstd.
    #[error("the feed cannot be read")]
    Io(#[source] io::Error),
    /// One line, or one record over several lines, is too long.
    #[error("row {row} is longer than {limit_bytes} bytes")]
    LineTooLong {
        /// Its number, from 1.
        row: u64,
        /// Most bytes.
        limit_bytes: u64,
    },
    /// The unpacked feed is too long, or grows more than a hundredfold by unpacking.
    #[error("the unpacked feed is longer than {limit_bytes} bytes")]
    TooLarge {
        /// Most bytes of this feed.
        limit_bytes: u64,
    },
    /// Begins with the byte order mark of UTF-16.
    #[error("the feed is UTF-16; save it as UTF-8")]
    Utf16,
    /// An XML feed cannot be read on from a row.
    #[error("row {row}: {why}")]
    Markup {
        /// Physical row, from 1.
        row: u64,
        /// What is wrong there.
        why: String,
    },
    /// Column names of two generations of a format.
    #[error("the header has both Handle and URL handle, which belong to two generations")]
    TwoHeaders,
    /// The line of column names cannot be used.
    #[error("the line of column names has {} faults", .0.len())]
    Header(Vec<RowError>),
    /// The mapping does not serve this kind of feed.
    #[error("the mapping has {} faults", .0.len())]
    Mapping(Vec<Complaint>),
}

impl From<io::Error> for FeedError {
    fn from(error: io::Error) -> Self {
        let oversize = error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Oversize>());
        match oversize {
            Some(oversize) => Self::TooLarge {
                limit_bytes: oversize.limit_bytes,
            },
            None => Self::Io(error),
        }
    }
}

/// The faults of the row at hand.
#[derive(Debug)]
pub(super) struct Faults {
    row: u64,
    subject: Option<Subject>,
    errors: Vec<RowError>,
}

impl Faults {
    pub(super) fn of_row(row: u64) -> Self {
        Self {
            row,
            subject: None,
            errors: Vec::new(),
        }
    }

    /// Tells what the row is about.
    pub(super) fn about(&mut self, subject: Subject) {
        self.subject = Some(subject);
    }

    /// Adds a fault; of one row only the first hundred are kept.
    pub(super) fn add(&mut self, column: impl Into<String>, value: &str, fault: Fault) {
        if self.errors.len() < FAULTS_PER_ROW_MAX {
            self.errors.push(RowError {
                row: self.row,
                column: column.into(),
                value: value.chars().take(VALUE_CHARS_MAX).collect(),
                fault,
            });
        }
    }

    /// All that was complained about, if anything.
    pub(super) fn finish(self) -> Result<(), Refused> {
        if self.errors.is_empty() {
            return Ok(());
        }
        Err(Refused {
            subject: self.subject,
            errors: self.errors,
        })
    }
}

/// A row refused for one reason.
pub(super) fn refuse(row: u64, column: &str, value: &str, fault: Fault) -> Refused {
    let mut faults = Faults::of_row(row);
    faults.add(column, value, fault);
    Refused {
        subject: None,
        errors: faults.errors,
    }
}

/// What an operation is about.
pub(super) fn subject(operation: &FeedOperation) -> Subject {
    let variant = |record: &VariantRecord| Subject::Variant(record.key.clone());
    match operation {
        FeedOperation::ReplaceProduct(product) => Subject::Product(product.key.clone()),
        FeedOperation::ReplaceVariant { variant: own, .. } => variant(own),
        FeedOperation::EditProduct { product, .. } | FeedOperation::DeleteProduct(product) => {
            Subject::Product(product.clone())
        }
        FeedOperation::EditVariant { variant, .. }
        | FeedOperation::DeleteVariant(variant)
        | FeedOperation::SetScore { variant, .. } => Subject::Variant(variant.clone()),
        FeedOperation::ReplaceCategory(category) | FeedOperation::MentionCategory(category) => {
            Subject::Category(category.id.clone())
        }
        FeedOperation::EditCategory { category, .. } | FeedOperation::DeleteCategory(category) => {
            Subject::Category(category.clone())
        }
    }
}
