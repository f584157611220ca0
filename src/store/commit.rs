//! The all-or-nothing write: guards, changes, limits, and what can go wrong with it.

use std::collections::BTreeSet;

use crate::domain::time::Timestamp;
use crate::store::Revision;
use crate::store::codec::{CodecError, Draft, Kind};
use crate::store::key::Key;

/// Most writes, and most guards, of a commit.
pub const WRITES_MAX: usize = 1_024;

/// Most bytes of a commit as a journal record, its length field included.
pub const COMMIT_BYTES_MAX: usize = 524_288;

/// Name of a commit, chosen by the caller: a repeated one changes nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(pub [u8; 16]);

impl std::fmt::Debug for CommitId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CommitId({:032x})", u128::from_be_bytes(self.0))
    }
}

/// What a guard asks of its key, just before the commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// No such key.
    Absent,
    /// Last changed by exactly this commit.
    At(Revision),
}

/// What happens to a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Written, whether it existed or not.
    Put(Draft),
    /// Removed, whether it existed or not.
    Delete,
}

/// One key and what happens to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The key.
    pub key: Key,
    /// What happens to it.
    pub change: Change,
}

impl Write {
    /// Puts a payload.
    ///
    /// # Errors
    /// [`CodecError::TooLarge`].
    pub fn put(key: Key, kind: Kind, schema: u16, payload: &[u8]) -> Result<Self, CodecError> {
        let draft = Draft::new(kind, schema, payload)?;
        Ok(Self {
            key,
            change: Change::Put(draft),
        })
    }

    /// Deletes a key.
    pub fn delete(key: Key) -> Self {
        Self {
            key,
            change: Change::Delete,
        }
    }
}

/// Whether a commit may still be made while space is short.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// Waits until there is room.
    #[default]
    Ordinary,
    /// Suspends, ends, deletes, revokes or logs out: allowed below the low mark.
    Relief,
}

/// A write of several keys of one space: all of it or none, at one revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its name; the same in every repetition.
    pub id: CommitId,
    /// When it was decided.
    pub at: Timestamp,
    /// What must hold just before it; at most [`WRITES_MAX`].
    pub guards: Vec<(Key, Expected)>,
    /// What changes; at most [`WRITES_MAX`], each key once.
    pub writes: Vec<Write>,
    /// Whether it helps when space is short; not stored.
    pub purpose: Purpose,
}

impl Commit {
    /// An ordinary commit without guards.
    pub fn new(id: CommitId, at: Timestamp, writes: Vec<Write>) -> Self {
        Self {
            id,
            at,
            guards: Vec::new(),
            writes,
            purpose: Purpose::Ordinary,
        }
    }

    /// The same commit with one guard more.
    #[must_use]
    pub fn guarded(mut self, key: Key, expected: Expected) -> Self {
        self.guards.push((key, expected));
        self
    }

    /// Bytes of its journal record, length field included.
    pub fn encoded_bytes(&self) -> usize {
        let write_bytes = |write: &Write| {
            let value = match &write.change {
                Change::Put(draft) => draft.value_bytes(),
                Change::Delete => 0,
            };
            8 + write.key.as_str().len() + value
        };
        32 + self.writes.iter().map(write_bytes).sum::<usize>()
    }

    /// Checks what does not depend on the state.
    ///
    /// # Errors
    /// [`CommitError::TooLarge`] for too many guards, writes or bytes, or a key written twice.
    pub fn check_limits(&self) -> Result<(), CommitError> {
        let bounded = |have, max| match have {
            _ if max < have => Err(CommitError::TooLarge { have, max }),
            _ => Ok(()),
        };
        bounded(self.guards.len(), WRITES_MAX)?;
        bounded(self.writes.len(), WRITES_MAX)?;
        bounded(self.encoded_bytes(), COMMIT_BYTES_MAX)?;
        let keys: BTreeSet<&Key> = self.writes.iter().map(|write| &write.key).collect();
        bounded(self.writes.len(), keys.len())
    }
}

/// Why a commit did not, or may not have, happened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommitError {
    /// A guard does not hold; nothing was written.
    #[error("{key} is at {current:?}")]
    Conflict {
        /// The guarded key.
        key: Key,
        /// The revision of its last change; `None` if it does not exist.
        current: Option<Revision>,
    },
    /// A commit of this id was made before; nothing was written.
    #[error("already done at revision {0}")]
    AlreadyDone(Revision),
    /// May or may not have happened. Repeat it under the same id; never under a new one.
    #[error("outcome unknown")]
    Unknown,
    /// No room; nothing was written.
    #[error("storage is full")]
    Full,
    /// The space takes no commits, or none on cold keys while its index is rebuilt; nothing was
    /// written.
    #[error("the store is read-only")]
    ReadOnly,
    /// Over a limit; nothing was written.
    #[error("{have}, at most {max}")]
    TooLarge {
        /// Writes, guards or bytes found.
        have: usize,
        /// Most allowed.
        max: usize,
    },
}

/// Why changes cannot be followed from where the follower is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    /// The journal begins later: load the folded state and follow from its revision.
    #[error("the journal begins at revision {first}")]
    Compacted {
        /// First revision still there.
        first: Revision,
    },
    /// Another store or era than the follower's.
    #[error("another store or era")]
    StoreChanged,
    /// The newest revision is below the one the follower has seen.
    #[error("the store is at revision {last}, behind the follower")]
    Regressed {
        /// Newest revision.
        last: Revision,
    },
    /// The journal cannot be read.
    #[error("the journal cannot be read")]
    Unreadable,
    /// The store was closed.
    #[error("the store was closed")]
    Closed,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(index: usize) -> Write {
        Write::delete(Key::parse(&format!("promo.{index}")).unwrap())
    }

    fn commit(writes: Vec<Write>) -> Commit {
        Commit::new(CommitId([0; 16]), Timestamp(0), writes)
    }

    #[test]
    fn writes_are_counted() {
        let fits = commit((0..WRITES_MAX).map(write).collect());
        assert_eq!(fits.check_limits(), Ok(()));
        let over = commit((0..=WRITES_MAX).map(write).collect());
        let refused = CommitError::TooLarge {
            have: 1_025,
            max: 1_024,
        };
        assert_eq!(over.check_limits(), Err(refused));
    }

    #[test]
    fn a_key_is_written_once() {
        let refused = CommitError::TooLarge { have: 2, max: 1 };
        assert_eq!(
            commit(vec![write(1), write(1)]).check_limits(),
            Err(refused)
        );
    }

    #[test]
    fn guards_are_counted() {
        let key = Key::parse("promo.1").unwrap();
        let mut guarded = commit(vec![write(1)]);
        guarded.guards = vec![(key, Expected::Absent); WRITES_MAX + 1];
        assert!(guarded.check_limits().is_err());
    }
}
