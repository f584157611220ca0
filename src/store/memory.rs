//! A store in memory, of the same shape as the embedded one: for tests, demos and stories.

use std::io;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use crate::store::chunk::memory::MemoryChunks;
use crate::store::commit::FollowError;
use crate::store::fold::FoldStore;
use crate::store::folded::Folded;
use crate::store::ids::RecentIds;
use crate::store::index::follower::{Follower, Progress};
use crate::store::index::plain::PlainIndex;
use crate::store::journal::frame::Frame;
use crate::store::opened::{Opened, Pace};
use crate::store::scrub::Look;
use crate::store::seam::{AppendError, CommitLog, LogReader, NoBackups};
use crate::store::shared::{IndexSlot, Shared};
use crate::store::start::{Raised, Report};
use crate::store::writer::Writer;
use crate::store::{Identity, Mode, Revision, Space, StoreId};

/// Opens an empty store that lives as long as it is held.
///
/// # Errors
/// If the system has no thread to give.
pub fn open(store: StoreId) -> io::Result<Opened> {
    Memory::new(store).open()
}

/// The logs and chunks of a store in memory: what would be on disk.
#[derive(Clone, Debug)]
pub struct Memory {
    logs: [MemoryLog; 3],
    chunks: Arc<MemoryChunks>,
}

impl Memory {
    /// Three empty logs, no chunks.
    pub fn new(store: StoreId) -> Self {
        let log = |space| MemoryLog {
            identity: Identity {
                store,
                era: 1,
                space,
            },
            frames: Arc::default(),
        };
        Self {
            logs: Space::WITH_JOURNAL.map(log),
            chunks: Arc::default(),
        }
    }

    /// Opens a store over the logs; only one may be open at a time.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub fn open(&self) -> io::Result<Opened> {
        let pace = Pace {
            group_ms: 0,
            events_ms: 0,
        };
        Opened::run(self.raise(), pace)
    }

    /// Replays the logs.
    pub fn raise(&self) -> Raised {
        let slot: IndexSlot = Arc::default();
        let writers = self.logs.each_ref().map(|log| log.writer(slot.clone()));
        let keyed = vec![writers[0].shared().clone(), writers[1].shared().clone()];
        let (home, backups) = (Arc::new(PlainIndex::default()), Arc::new(NoBackups));
        let nowhere = PathBuf::new();
        let folds = FoldStore::new(slot.clone(), writers[2].shared().clone());
        let mut follower = Follower::new(keyed, slot, home, backups, nowhere.clone(), nowhere);
        while follower.step() == Progress::Behind {}
        Raised {
            identity: self.logs[0].identity,
            generation: None,
            writers,
            chunks: self.chunks.clone(),
            backups: Arc::new(NoBackups),
            folds,
            follower,
            report: Report::new(),
            lock: None,
        }
    }
}

/// A log in a `Vec`.
#[derive(Clone, Debug)]
pub struct MemoryLog {
    identity: Identity,
    frames: Arc<RwLock<Vec<Frame>>>,
}

impl MemoryLog {
    fn writer(&self, slot: IndexSlot) -> Writer {
        let mut folded = Folded::empty(self.identity, Revision::ZERO);
        let mut ids = RecentIds::default();
        let mut as_of = None;
        let frames = self
            .frames
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        for record in frames
            .iter()
            .filter_map(|frame| frame.records().ok())
            .flatten()
        {
            ids.add(record.id, record.revision);
            as_of = Some(record.at);
            let has_keys = self.identity.space != Space::Events;
            let writes = if has_keys {
                record.writes.as_slice()
            } else {
                &[]
            };
            folded.apply(record.revision, writes);
        }
        let shared = Shared::new(folded, as_of, Box::new(self.clone()), slot, Mode::Ok);
        Writer::new(Arc::new(shared), Box::new(self.clone()), ids, None)
    }

    fn last_of(&self, frames: &[Frame]) -> Revision {
        frames
            .last()
            .map_or(Revision(self.identity.era - 1), Frame::last)
    }
}

impl CommitLog for MemoryLog {
    fn identity(&self) -> Identity {
        self.identity
    }

    fn last(&self) -> Revision {
        self.last_of(&self.frames.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn append(&mut self, expected_last: Revision, frame: &Frame) -> Result<(), AppendError> {
        let mut frames = self.frames.write().unwrap_or_else(PoisonError::into_inner);
        let last = self.last_of(&frames);
        if last != expected_last || frame.first() != last.next() {
            return Err(AppendError::Elsewhere(last));
        }
        frames.push(frame.clone());
        Ok(())
    }

    fn reader(&self) -> Box<dyn LogReader> {
        Box::new(self.clone())
    }

    fn trim(&mut self, before: Revision) -> io::Result<()> {
        let mut frames = self.frames.write().unwrap_or_else(PoisonError::into_inner);
        let old = frames.partition_point(|frame| frame.last() < before);
        let kept = frames.len().saturating_sub(1);
        frames.drain(..old.min(kept));
        Ok(())
    }
}

impl LogReader for MemoryLog {
    fn read(&self, after: Revision, bytes_max: usize) -> Result<Vec<Frame>, FollowError> {
        let frames = self.frames.read().unwrap_or_else(PoisonError::into_inner);
        let last = self.last_of(&frames);
        let first = frames.first().map_or(last.next(), Frame::first);
        if last < after {
            return Err(FollowError::Regressed { last });
        }
        if after.next() < first {
            return Err(FollowError::Compacted { first });
        }
        let begin = frames.partition_point(|frame| frame.last() <= after);
        let mut found = Vec::new();
        let mut bytes = 0;
        for frame in &frames[begin..] {
            if bytes_max <= bytes {
                break;
            }
            bytes += frame.file_bytes();
            found.push(frame.clone());
        }
        Ok(found)
    }

    fn check_sealed(&self, _: &mut Look<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn bytes_after(&self, after: Revision) -> u64 {
        let frames = self.frames.read().unwrap_or_else(PoisonError::into_inner);
        let later = frames.iter().filter(|frame| after < frame.last());
        later.map(|frame| frame.file_bytes() as u64).sum()
    }
}
