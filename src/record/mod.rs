//! **How does each aggregate look as bytes, in every version?**
//!
//! Aggregates of the rooms below never derive serde. Each has a *stored form* here, a plain struct
//! named after the schema (`PromotionV1`), and comes back through the aggregate's own constructor,
//! so damage cannot slip past it. bincode is positional: a field may never be skipped, flattened
//! or reordered; a change is a new form and an upgrade from the old one.
//!
//! - [`key`]: which key a record of each kind has
//! - [`market`], [`catalogue`], [`promotion`], [`access`], [`desk`], [`import`]: the stored forms
//!   by subject
//! - [`event`]: the events of one partition in one call; [`kept`]: parts of the tallies made of them
//! - [`json`]: the list of all kinds, and their records as JSON
//!
//! Invariants: every schema ever released opens; what is written is the newest; a round trip gives
//! an equal aggregate with optional fields absent and present.
//!
//! Cost: decoding a million catalogue rows is the bulk of a start, one allocation a text; chunks
//! are decoded in parallel by the caller.

pub mod access;
#[cfg(test)]
mod any;
#[cfg(test)]
mod any_event;
#[cfg(test)]
mod any_goods;
pub mod catalogue;
pub mod desk;
pub mod event;
#[cfg(test)]
mod formats;
mod hex;
pub mod import;
pub mod json;
pub mod kept;
pub mod key;
#[cfg(test)]
mod laws;
pub mod market;
pub mod promotion;
#[cfg(test)]
mod sample_events;
#[cfg(test)]
mod samples;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::domain::complaint::Complaint;
use crate::store::codec::{self, CodecError, Draft, Kind, Value};

/// A stored form: the frozen layout of one record kind in one schema.
pub trait Stored: Serialize + DeserializeOwned {
    /// Number of the record type; never reused.
    const KIND: Kind;
    /// Version of the layout.
    const SCHEMA: u16;

    /// The bytes to be written.
    ///
    /// # Errors
    /// [`CodecError::TooLarge`] above the bound of a value.
    fn draft(&self) -> Result<Draft, CodecError> {
        Draft::new(Self::KIND, Self::SCHEMA, &codec::encode(self)?)
    }

    /// Reads a value that must be of this kind and schema.
    ///
    /// # Errors
    /// [`RecordError`].
    fn open(value: &Value) -> Result<Self, RecordError> {
        if value.kind() != Self::KIND || Self::SCHEMA < value.schema() {
            let (kind, schema) = (value.kind().0, value.schema());
            return Err(RecordError::TooNew { kind, schema });
        }
        Ok(value.form()?)
    }

    /// Whether the aggregate's constructor takes it; a form without an aggregate is its own.
    ///
    /// # Errors
    /// [`RecordError::Refused`].
    fn check(self) -> Result<(), RecordError> {
        Ok(())
    }
}

/// Why a stored record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// Written by a later version.
    #[error("format-too-new: kind {kind}, schema {schema}")]
    TooNew {
        /// Number of the record type.
        kind: u16,
        /// Version of the layout.
        schema: u16,
    },
    /// The bytes do not fit the form.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A batch of events says more different things of one sort than its form has places for.
    #[error("a batch has more than {max} different {what}")]
    TooMany {
        /// Which.
        what: &'static str,
        /// Places.
        max: usize,
    },
    /// The form holds what the aggregate's constructor refuses.
    #[error("damaged record: {what}")]
    Refused {
        /// Which field, and why.
        what: String,
    },
}

impl RecordError {
    /// A field that its constructor refuses.
    pub fn field(name: &str, fault: impl std::fmt::Display) -> Self {
        Self::Refused {
            what: format!("{name}: {fault}"),
        }
    }

    /// An aggregate that its constructor refuses.
    pub(in crate::record) fn complaints(name: &str, complaints: &[Complaint]) -> Self {
        let words: Vec<_> = complaints.iter().map(ToString::to_string).collect();
        Self::field(name, words.join("; "))
    }
}
