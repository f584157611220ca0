//! What the engine refuses.
//!
//! The rooms' own refusals are folded in here, so that the one table of problem codes needs no
//! room. Values, not sentences; `http::problem` knows status and code.

use crate::access::may::Refusal;
use crate::domain::complaint::Complaint;
use crate::domain::id::{ImportId, MarketId};
use crate::domain::time::Timestamp;
use crate::engine::goods::GoodsError;
use crate::record::RecordError;
use crate::store::chunk::ChunkError;
use crate::store::commit::CommitError;
use crate::store::shared::Rebuilding;

/// Why a use case did not happen.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// Parts of the input are wrong.
    #[error("{} need attention", count(.0.len()))]
    Invalid(Vec<Complaint>),
    /// A role or grant is missing.
    #[error("needs {needs}")]
    NotPermitted {
        /// The role or grant that would do.
        needs: &'static str,
    },
    /// Outside the caller's markets, or no such market.
    #[error("market {market} is outside this key's markets")]
    MarketForbidden {
        /// The market as asked for.
        market: MarketId,
    },
    /// No such object, or none the caller may know of.
    #[error("no {what} {id}")]
    NotFound {
        /// Kind of the object.
        what: &'static str,
        /// Its name as asked for.
        id: String,
    },
    /// A market has no place left somewhere in the period.
    #[error("market {market} has {limit} active promotions from {first_full} to {free_from}")]
    MarketFull {
        /// The market.
        market: MarketId,
        /// Most places.
        limit: usize,
        /// First instant inside the period at which it is full.
        first_full: Timestamp,
        /// When there is room again.
        free_from: Timestamp,
        /// Who holds the places then.
        promotions: Vec<String>,
    },
    /// There are as many of a thing as may be.
    #[error("at most {limit}")]
    LimitReached {
        /// Most of them.
        limit: usize,
    },
    /// An unarchived object of that name exists.
    #[error("the name is taken by {id}")]
    NameTaken {
        /// Who has it.
        id: String,
    },
    /// The object is in no state for it.
    #[error("not while {state}")]
    WrongState {
        /// Its state.
        state: &'static str,
        /// States in which it could be done.
        allowed: Vec<&'static str>,
    },
    /// Something else depends on it.
    #[error("in use by {by}")]
    InUse {
        /// What depends on it.
        by: String,
    },
    /// Another import of the market is running.
    #[error("import {import} is running")]
    ImportRunning {
        /// The other one.
        import: ImportId,
    },
    /// A full import would do harm.
    #[error("the import was held back: {}", texts(harms))]
    ImportHarmful {
        /// The import, kept for being forced.
        import: ImportId,
        /// Code and text of what it would do.
        harms: Vec<(String, String)>,
    },
    /// The column names of a feed contradict each other.
    #[error("{why}")]
    BadFeedHeader {
        /// How, in words.
        why: String,
    },
    /// Rows of an import are wrong.
    #[error("{rows_rejected} {}; nothing was imported", are_wrong(*rows_rejected))]
    ImportInvalid {
        /// The import, with every error.
        import: ImportId,
        /// Wrong rows.
        rows_rejected: u64,
        /// The first 100 errors.
        errors: Vec<RowError>,
    },
    /// The unpacked body is too long.
    #[error("the body is longer than {limit_bytes} bytes")]
    BodyTooLarge {
        /// Most bytes.
        limit_bytes: u64,
    },
    /// The caller saw another revision.
    #[error("the object has changed; it is at revision {current}")]
    StaleRevision {
        /// Its revision now; 0 if it is gone.
        current: u64,
    },
    /// The cursor was altered, or belongs to another request.
    #[error("the cursor does not belong to this request")]
    BadCursor,
    /// The snapshot that a cursor names is gone.
    #[error("the pages this cursor belongs to are gone; begin anew")]
    SnapshotGone,
    /// An export was kept long enough, or never made.
    #[error("the export is gone; make it anew")]
    ExportGone,
    /// The same key with another body.
    #[error("this Idempotency-Key was used with another body")]
    IdempotencyKeyReused,
    /// The same key, still at work.
    #[error("the first request with this Idempotency-Key is still running")]
    IdempotencyInProgress,
    /// Too much at once.
    #[error("too many requests at once")]
    Overloaded,
    /// The write may or may not have happened.
    #[error("it may have happened; repeat with the same Idempotency-Key")]
    OutcomeUnknown,
    /// The awaited revision did not come in time.
    #[error("the awaited revision is not published yet")]
    SnapshotBehind,
    /// No room on the disk.
    #[error("no room on the disk")]
    StorageFull,
    /// No room for events; nothing was taken.
    #[error("no room for events at present; send them again with the same ids")]
    EventLogFull,
    /// The store takes no writes.
    #[error("the store takes no writes at present")]
    StoreUnavailable,
    /// Goods of a market are lost, and this needs them.
    #[error("goods of market {market} are damaged; send its whole feed again")]
    GoodsDamaged {
        /// The market.
        market: MarketId,
    },
    /// Not loaded yet.
    #[error("not ready")]
    NotReady,
    /// Something that should not happen; the cause is logged, never sent.
    #[error("internal error")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// One fault of one row of a feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowError {
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

impl EngineError {
    /// Wraps a cause that is logged and never sent.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }

    /// An object that takes more bytes than can be stored.
    pub fn too_large(have: usize, max: usize) -> Self {
        Self::Invalid(vec![
            crate::domain::complaint::Fault::TooLong { have, max }.at(""),
        ])
    }

    /// Complaints about a part, seen from the document that holds it at `prefix`.
    #[must_use]
    pub(in crate::engine) fn under(self, prefix: &str) -> Self {
        match self {
            Self::Invalid(complaints) => {
                let complaints = complaints.into_iter();
                Self::Invalid(complaints.map(|own| own.under(prefix)).collect())
            }
            other => other,
        }
    }
}

impl From<Refusal> for EngineError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotPermitted { needs } => Self::NotPermitted { needs },
            Refusal::MarketForbidden { market } => Self::MarketForbidden { market },
        }
    }
}

impl From<CommitError> for EngineError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict { current, .. } => Self::StaleRevision {
                current: current.map_or(0, |revision| revision.0),
            },
            CommitError::AlreadyDone(_) | CommitError::Unknown => Self::OutcomeUnknown,
            CommitError::Full => Self::StorageFull,
            CommitError::ReadOnly => Self::StoreUnavailable,
            CommitError::TooLarge { have, max } => Self::too_large(have, max),
        }
    }
}

impl From<Rebuilding> for EngineError {
    fn from(_: Rebuilding) -> Self {
        Self::StoreUnavailable
    }
}

impl From<RecordError> for EngineError {
    fn from(error: RecordError) -> Self {
        Self::internal(error)
    }
}

impl From<ChunkError> for EngineError {
    fn from(error: ChunkError) -> Self {
        match error {
            ChunkError::Full => Self::StorageFull,
            ChunkError::ReadOnly => Self::StoreUnavailable,
            other => Self::internal(other),
        }
    }
}

impl From<GoodsError> for EngineError {
    fn from(error: GoodsError) -> Self {
        match error {
            GoodsError::Chunk(error) => error.into(),
            other => Self::internal(other),
        }
    }
}

fn count(n: usize) -> String {
    if n == 1 {
        "1 field".to_owned()
    } else {
        format!("{n} fields")
    }
}

fn texts(harms: &[(String, String)]) -> String {
    let texts: Vec<&str> = harms.iter().map(|(_, text)| text.as_str()).collect();
    texts.join("; ")
}

fn are_wrong(n_rows: u64) -> &'static str {
    if n_rows == 1 {
        "row is wrong"
    } else {
        "rows are wrong"
    }
}
