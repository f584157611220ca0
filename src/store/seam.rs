//! The inner seams: what an engine supplies, what `record` supplies, what backups supply.

use std::fmt;
use std::io;

use serde_json::Value as Json;

use crate::domain::time::Timestamp;
use crate::store::chunk::ChunkHash;
use crate::store::codec::{CodecError, Kind};
use crate::store::commit::FollowError;
use crate::store::journal::frame::Frame;
use crate::store::key::Key;
use crate::store::{Identity, Revision, Space};

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupPoint {
    /// The space.
    pub space: Space,
    /// Revision of the state.
    pub revision: Revision,
    /// Time of the last commit in it.
    pub as_of: Timestamp,
}

/// Takes one record of a whole state: a key and its sealed value.
pub type EachRecord<'a> = &'a mut dyn FnMut(Key, &[u8]);

/// Where whole states are kept beside the journal. Start and trimming ask it.
pub trait Backups: Send + Sync + fmt::Debug {
    /// Verified backups of a space, newest first.
    ///
    /// # Errors
    /// What the disk says.
    fn verified(&self, space: Space) -> io::Result<Vec<BackupPoint>>;

    /// Hands out every record of a backup, hot and cold, ascending by key.
    ///
    /// # Errors
    /// What the disk says; `InvalidData` if it is damaged after all.
    fn read(&self, point: &BackupPoint, each: EachRecord<'_>) -> io::Result<()>;

    /// Writes a state as the newest backup and verifies it. `records` ascend by key.
    ///
    /// # Errors
    /// What the disk says; older backups are untouched.
    fn write(
        &self,
        point: &BackupPoint,
        records: &mut dyn Iterator<Item = (Key, Vec<u8>)>,
    ) -> io::Result<()>;

    /// The content of a chunk, checked against its name; `None` if no whole copy is there.
    ///
    /// # Errors
    /// What the disk says.
    fn chunk(&self, hash: &ChunkHash) -> io::Result<Option<Vec<u8>>>;
}

/// No backups at all.
#[derive(Clone, Copy, Debug)]
pub struct NoBackups;

impl Backups for NoBackups {
    fn verified(&self, _: Space) -> io::Result<Vec<BackupPoint>> {
        Ok(Vec::new())
    }

    fn read(&self, _: &BackupPoint, _: EachRecord<'_>) -> io::Result<()> {
        Err(io::ErrorKind::NotFound.into())
    }

    fn write(
        &self,
        _: &BackupPoint,
        _: &mut dyn Iterator<Item = (Key, Vec<u8>)>,
    ) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn chunk(&self, _: &ChunkHash) -> io::Result<Option<Vec<u8>>> {
        Ok(None)
    }
}
