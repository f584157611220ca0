//! The event log: sixteen partitions in one journal, so that one sync serves them all.
//!
//! ```text
//! append(id, [p03, p07, p11]) → one record, one frame, one sync → position 7,420
//! read(p07, after 7,000, 500) → batches of p07 in order, and how far was looked
//! ```
//!
//! What a batch holds is opaque here; `record` knows its form. A call is one record with one value
//! for each partition it touches, so it is there wholly or not at all. A call repeated under its
//! id changes nothing; events repeated under another id are for the fold to know.
//!
//! Cost: a read walks the calls of all partitions after its position, from memory for the newest
//! 1,024 of them, else from the journal at disk speed.

use std::io;
use std::sync::Arc;

use crate::domain::time::Timestamp;
use crate::store::codec::{CodecError, Draft, Kind, Value};
use crate::store::commit::{Change, Commit, CommitError, CommitId, FollowError, Write};
use crate::store::key::Key;
use crate::store::shared::Shared;
use crate::store::space::SpaceStore;
use crate::store::{Identity, Revision, StoreHealth};

/// Number of a batch's record type.
pub const EVENTS: Kind = Kind(250);

/// Partitions of the log, fixed when a store is made.
pub const PARTITIONS: u8 = 16;

/// Bytes of values after which a read ends, whatever was asked for.
const READ_BYTES_MAX: usize = 16 << 20;

/// One of the logical logs: all events of a session are in one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(u8);

impl Partition {
    /// The partition of this number; `None` from 16 on.
    pub fn new(number: u8) -> Option<Self> {
        (number < PARTITIONS).then_some(Self(number))
    }

    /// All sixteen, ascending.
    pub fn all() -> impl Iterator<Item = Self> {
        (0..PARTITIONS).map(Self)
    }

    /// 0 to 15.
    pub fn number(self) -> u8 {
        self.0
    }

    /// The key of its batches, `p00` to `p15`.
    pub fn key(self) -> Key {
        Key::parse(&format!("p{:02}", self.0)).expect("a letter and two digits are a key")
    }
}

/// Place in the event log, shared by all events of one call; 0 before the first.
///
/// It is the revision of the space `events`, and it is contiguous within an era. A restore writes
/// the log anew at higher places, so that a reader with an older one is told
/// [`FollowError::Compacted`] instead of reading on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPosition(pub u64);

/// The events of one partition in one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventBatch {
    partition: Partition,
    events: Draft,
}

impl EventBatch {
    /// Wraps events that `record` has encoded in the form of `schema`.
    ///
    /// # Errors
    /// [`CodecError::TooLarge`] above 256 KiB packed: the caller splits its call.
    pub fn new(partition: Partition, schema: u16, events: &[u8]) -> Result<Self, CodecError> {
        let events = Draft::new(EVENTS, schema, events)?;
        Ok(Self { partition, events })
    }
}

/// One batch as it is read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoggedBatch {
    /// Place of its call.
    pub position: LogPosition,
    /// When its call was taken in.
    pub at: Timestamp,
    /// The events, checked.
    pub events: Value,
}

/// What a read found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogPage {
    /// Batches of the partition, ascending by position.
    pub batches: Vec<LoggedBatch>,
    /// Up to where was looked: where the next read goes on, also in a quiet partition.
    pub through: LogPosition,
}

/// The event log of a running store. Clones share it.
#[derive(Clone, Debug)]
pub struct EventLog(SpaceStore);

impl EventLog {
    pub(in crate::store) fn new(space: SpaceStore) -> Self {
        Self(space)
    }

    /// Store, era and space.
    pub fn identity(&self) -> Identity {
        self.0.identity()
    }

    /// Appends the batches of one call, at most one for each partition: when this answers `Ok`,
    /// all of them are durable.
    ///
    /// # Errors
    /// [`CommitError::AlreadyDone`] if a call of this id was appended before,
    /// [`CommitError::TooLarge`] above 512 KiB or for a partition named twice, else as any commit.
    /// Nothing was appended then, unless it is [`CommitError::Unknown`].
    pub async fn append(
        &self,
        id: CommitId,
        at: Timestamp,
        batches: Vec<EventBatch>,
    ) -> Result<LogPosition, CommitError> {
        let write = |batch: EventBatch| Write {
            key: batch.partition.key(),
            change: Change::Put(batch.events),
        };
        let writes = batches.into_iter().map(write).collect();
        let made = self.0.commit(Commit::new(id, at, writes)).await;
        made.map(|revision| LogPosition(revision.0))
    }

    /// The newest durable position.
    pub fn position(&self) -> LogPosition {
        LogPosition(self.0.revision().0)
    }

    /// Batches of a partition after a position: `max` of them, or all there are, or fewer if they
    /// hold more than 16 MiB.
    ///
    /// # Errors
    /// [`FollowError::Compacted`] if the log was trimmed beyond `after`, or written anew by a
    /// restore; [`FollowError::Regressed`] if it ends before `after`;
    /// [`FollowError::Unreadable`].
    pub async fn read(
        &self,
        partition: Partition,
        after: LogPosition,
        max: usize,
    ) -> Result<LogPage, FollowError> {
        let shared = self.0.shared().clone();
        let read = tokio::task::spawn_blocking(move || read(&shared, partition, after, max));
        read.await.unwrap_or(Err(FollowError::Unreadable))
    }

    /// Forgets journal files whose calls all lie before `before`; the newest file stays. Blocks.
    ///
    /// # Errors
    /// What the disk says.
    pub fn trim(&self, before: LogPosition) -> io::Result<()> {
        self.0.trim(Revision(before.0))
    }

    pub(in crate::store) fn shared(&self) -> &Arc<Shared> {
        self.0.shared()
    }

    /// How the log is.
    pub fn health(&self) -> StoreHealth {
        self.0.health()
    }
}

fn read(
    shared: &Arc<Shared>,
    partition: Partition,
    after: LogPosition,
    max: usize,
) -> Result<LogPage, FollowError> {
    let key = partition.key();
    let mut page = LogPage {
        batches: Vec::new(),
        through: after,
    };
    let mut n_bytes = 0;
    loop {
        let records = match shared.records_after(Revision(page.through.0)) {
            // What lies before a gap is good; who reads on from its end meets the gap.
            Err(error) if page.batches.is_empty() => return Err(error),
            Err(_) => return Ok(page),
            Ok(records) => records,
        };
        if records.is_empty() {
            return Ok(page);
        }
        for record in records {
            if max <= page.batches.len() || READ_BYTES_MAX <= n_bytes {
                return Ok(page);
            }
            let position = LogPosition(record.revision.0);
            page.through = position;
            let own = record.writes.iter().find(|(name, _)| *name == key);
            if let Some((_, Some(events))) = own {
                n_bytes += events.bytes().len();
                page.batches.push(LoggedBatch {
                    position,
                    at: record.at,
                    events: events.clone(),
                });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_sixteen_with_a_key_each() {
        let keys: Vec<String> = Partition::all()
            .map(|partition| partition.key().to_string())
            .collect();
        assert_eq!((keys[0].as_str(), keys[15].as_str()), ("p00", "p15"));
        assert_eq!(keys.len(), 16);
        assert_eq!(Partition::new(15).map(Partition::number), Some(15));
        assert_eq!(Partition::new(16), None);
    }
}
