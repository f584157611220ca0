//! The inner seams: what an engine supplies, what `record` supplies, what backups supply.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::ops::ControlFlow;

use serde_json::Value as Json;

use crate::domain::time::Timestamp;
use crate::store::backup::BackupError;
use crate::store::backup::lines::Written;
use crate::store::chunk::{ChunkHash, ChunkStore};
use crate::store::codec::{CodecError, Kind, Value};
use crate::store::commit::FollowError;
use crate::store::journal::frame::Frame;
use crate::store::key::Key;
use crate::store::scrub::Look;
use crate::store::{Identity, Revision};

/// Why a frame was not appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The log ends elsewhere than the caller believes; nothing was written.
    #[error("the log ends at revision {0}")]
    Elsewhere(Revision),
    /// No room; the log is as it was.
    #[error("no room")]
    Full,
    /// May or may not be durable; the log takes nothing more until restart.
    #[error("outcome unknown")]
    Unknown,
    /// The log takes nothing until restart; nothing of this frame was written.
    #[error("the log is read-only")]
    ReadOnly,
}

/// The log of one space: what an engine supplies. Everything else is written once for all.
pub trait CommitLog: Send + fmt::Debug {
    /// Which log this is.
    fn identity(&self) -> Identity;

    /// Revision of the newest record; one below the first of the era if there is none.
    fn last(&self) -> Revision;

    /// Appends a frame durably: when this returns `Ok`, the frame survives power loss.
    ///
    /// # Errors
    /// See [`AppendError`].
    fn append(&mut self, expected_last: Revision, frame: &Frame) -> Result<(), AppendError>;

    /// A reader of durable frames, usable from another thread.
    fn reader(&self) -> Box<dyn LogReader>;

    /// Forgets files whose records all lie before `before`; the newest file always stays.
    ///
    /// # Errors
    /// What the disk says; what was not removed is still there.
    fn trim(&mut self, before: Revision) -> io::Result<()>;
}

/// Reads what a [`CommitLog`] made durable.
pub trait LogReader: Send + Sync + fmt::Debug {
    /// Frames with records after `after`, in order, until about `bytes_max` are read; at least one
    /// if there is one. The first may begin at or before `after`.
    ///
    /// # Errors
    /// [`FollowError::Compacted`], [`FollowError::Regressed`], [`FollowError::Unreadable`].
    fn read(&self, after: Revision, bytes_max: usize) -> Result<Vec<Frame>, FollowError>;

    /// Reads again what nobody appends to any more, and tells what is not as it was written;
    /// breaks off when told to.
    fn check_sealed(&self, look: &mut Look<'_>) -> ControlFlow<()>;

    /// About how many bytes a reader behind `after` would read.
    fn bytes_after(&self, after: Revision) -> u64;
}

/// Where random bytes come from: ids of stores and salts of files. `engine` implements it.
pub trait Entropy: Send + Sync + fmt::Debug {
    /// Fills `bytes` with what nobody can guess.
    fn fill(&self, bytes: &mut [u8]);
}

/// How stored forms look as JSON. `record` implements it; export, import and verify read through
/// it what this room does not know.
pub trait Forms: Send + Sync {
    /// A payload as JSON.
    ///
    /// # Errors
    /// [`CodecError::Form`] if it does not fit, or kind or schema is unknown.
    fn to_json(&self, kind: Kind, schema: u16, payload: &[u8]) -> Result<Json, CodecError>;

    /// The payload of a JSON value.
    ///
    /// # Errors
    /// [`CodecError::Form`].
    fn to_bytes(&self, kind: Kind, schema: u16, value: &Json) -> Result<Vec<u8>, CodecError>;

    /// Newest known schema of a kind; `None` for an unknown kind.
    fn newest(&self, kind: Kind) -> Option<u16>;
}

/// A whole state of one space that was written and read back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackupPoint {
    /// Whose state.
    pub identity: Identity,
    /// Revision of the state.
    pub revision: Revision,
    /// Time of the last commit in it; `None` before the first of all.
    pub as_of: Option<Timestamp>,
}

/// Takes one record of a whole state: a key and its value.
pub type EachRecord<'a> = &'a mut dyn FnMut(Key, Value) -> Result<(), BackupError>;

/// All records of one space at one revision, walked as often as needed, each time the same.
pub trait State {
    /// Hands out every record, hot and cold, ascending by key.
    ///
    /// # Errors
    /// What `each` returns, or what keeps the state from being read to its end.
    fn walk(&self, each: EachRecord<'_>) -> Result<(), BackupError>;
}

impl State for BTreeMap<Key, Value> {
    fn walk(&self, each: EachRecord<'_>) -> Result<(), BackupError> {
        for (key, value) in self {
            each(key.clone(), value.clone())?;
        }
        Ok(())
    }
}

/// Where whole states are kept beside the journal. Start and trimming ask it.
pub trait Backups: Send + Sync + fmt::Debug {
    /// Backups of a space, of exactly this store and era, newest first. Each was verified when it
    /// was written; that it still is whole, only reading it tells.
    ///
    /// # Errors
    /// What the disk says.
    fn verified(&self, identity: Identity) -> Result<Vec<BackupPoint>, BackupError>;

    /// Stores and eras that have backups of `config`, newest era first: where all else is lost,
    /// they tell what there was.
    ///
    /// # Errors
    /// What the disk says.
    fn eras(&self) -> Result<Vec<Identity>, BackupError>;

    /// Hands out every record of a backup, hot and cold, ascending by key. Only once this returned
    /// `Ok` is any of them to be believed.
    ///
    /// # Errors
    /// [`BackupError::NotWhole`] if it is damaged after all, or what `each` returns.
    fn read(&self, point: &BackupPoint, each: EachRecord<'_>) -> Result<(), BackupError>;

    /// Size and digest of a backup, as its last line says.
    ///
    /// # Errors
    /// [`BackupError::NotWhole`], or what the disk says.
    fn written(&self, point: &BackupPoint) -> Result<Written, BackupError>;

    /// Writes a state as the newest backup, with the chunks that are there now, and verifies it.
    ///
    /// # Errors
    /// [`BackupError`]; older backups are untouched.
    fn write(
        &self,
        point: &BackupPoint,
        state: &dyn State,
        chunks: &dyn ChunkStore,
    ) -> Result<(), BackupError>;

    /// Copies chunks that have no copy yet. A backup copies what is missing by itself; this is
    /// for doing the bulk of it beforehand.
    ///
    /// # Errors
    /// [`BackupError`]; what was copied stays.
    fn copy_chunks(&self, chunks: &dyn ChunkStore) -> Result<(), BackupError>;

    /// The content of a chunk, checked against its name; `None` if no whole copy is there.
    ///
    /// # Errors
    /// What the disk says.
    fn chunk(&self, hash: &ChunkHash) -> io::Result<Option<Vec<u8>>>;

    /// Reads every backup and every copy of a chunk to its end, and tells what is damaged; breaks
    /// off when told to. A damaged backup of this store is set aside, so that it is nobody's base;
    /// a damaged copy is made anew from `chunks`.
    fn check(
        &self,
        identity: Identity,
        chunks: &dyn ChunkStore,
        look: &mut Look<'_>,
    ) -> ControlFlow<()>;
}

/// No backups at all.
#[derive(Clone, Copy, Debug)]
pub struct NoBackups;

impl Backups for NoBackups {
    fn verified(&self, _: Identity) -> Result<Vec<BackupPoint>, BackupError> {
        Ok(Vec::new())
    }

    fn eras(&self) -> Result<Vec<Identity>, BackupError> {
        Ok(Vec::new())
    }

    fn read(&self, _: &BackupPoint, _: EachRecord<'_>) -> Result<(), BackupError> {
        Err(io::Error::from(io::ErrorKind::NotFound).into())
    }

    fn written(&self, _: &BackupPoint) -> Result<Written, BackupError> {
        Err(io::Error::from(io::ErrorKind::NotFound).into())
    }

    fn write(&self, _: &BackupPoint, _: &dyn State, _: &dyn ChunkStore) -> Result<(), BackupError> {
        Err(io::Error::from(io::ErrorKind::Unsupported).into())
    }

    fn copy_chunks(&self, _: &dyn ChunkStore) -> Result<(), BackupError> {
        Ok(())
    }

    fn chunk(&self, _: &ChunkHash) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn check(&self, _: Identity, _: &dyn ChunkStore, _: &mut Look<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}
