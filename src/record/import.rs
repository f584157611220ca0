//! Results of imports, and feed mappings.

use serde::{Deserialize, Serialize};

use crate::record::{Stored, hex};
use crate::store::codec::Kind;

/// One import and what came of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportV1 {
    /// Its id.
    #[serde(with = "hex::one")]
    pub id: [u8; 16],
    /// The market fed.
    pub market: String,
    /// `catalogue`, `categories` or `scores`.
    pub kind: String,
    /// `full`, `delta` or `validate`.
    pub mode: String,
    /// `applied`, `valid`, `refused` or `cancelled`.
    pub state: String,
    /// When it began, in milliseconds.
    pub started: i64,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
    /// Rows read.
    pub rows: u64,
    /// Variants and categories added.
    pub added: u64,
    /// Variants and categories changed.
    pub changed: u64,
    /// Variants and categories removed.
    pub removed: u64,
    /// Variants and categories that stayed as they were.
    pub unchanged: u64,
    /// Rows that were refused.
    pub rejected: u64,
    /// The first 100 faults.
    pub errors: Vec<RowErrorV1>,
    /// Faults in all.
    pub n_errors: u64,
    /// Chunk with every fault, one JSON object a line, where there are more.
    #[serde(with = "hex::option")]
    pub all_errors: Option<[u8; 32]>,
    /// Code, text and count of each warning.
    pub warnings: Vec<(String, String, u64)>,
    /// Code and text of each harm that held the import back.
    pub harms: Vec<(String, String)>,
    /// Revision from which the goods stand, if they do.
    pub revision: Option<u64>,
    /// Chunks of the changes that were held back, kept for being forced until `kept_until`.
    #[serde(with = "hex::list")]
    pub upload: Vec<[u8; 32]>,
    /// When the upload may go, in milliseconds.
    pub kept_until: i64,
    /// Generation and number of deltas of the goods that the changes are to.
    pub base: (u64, u32),
}

/// One fault of one row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowErrorV1 {
    /// Physical row, from 1.
    pub row: u64,
    /// Column or pointer.
    pub column: String,
    /// The text found, cut to 80 characters.
    pub value: String,
    /// Stable field code.
    pub code: String,
    /// The fault in words.
    pub message: String,
}

impl Stored for ImportV1 {
    const KIND: Kind = Kind(109);
    const SCHEMA: u16 = 1;
}

/// A feed mapping, as the JSON text that was put.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MappingV1 {
    /// Its name in the market.
    pub name: String,
    /// The mapping as JSON.
    pub json: String,
}

impl Stored for MappingV1 {
    const KIND: Kind = Kind(22);
    const SCHEMA: u16 = 1;
}
