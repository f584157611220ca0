//! A running store: three spaces, their threads, and a clean stop.

use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::store::chunk::ChunkStore;
use crate::store::committer::Committer;
use crate::store::disk::LockGuard;
use crate::store::event::EventLog;
use crate::store::fold::FoldStore;
use crate::store::index::IndexError;
use crate::store::index::compact::{CompactAbove, Compacted};
use crate::store::index::follower::{Follower, Progress};
use crate::store::index::state::IndexState;
use crate::store::layout::Generation;
use crate::store::scrub::{Look, Part, Scrubbed};
use crate::store::seam::Backups;
use crate::store::shared::{Shared, locked};
use crate::store::space::SpaceStore;
use crate::store::start::{Raised, Report};
use crate::store::{Finding, Identity};

/// Time between two batches of the index.
const INDEX_EVERY: Duration = Duration::from_millis(200);

/// Time after which a missing index or room is looked for again.
const INDEX_RETRY: Duration = Duration::from_secs(5);

/// How long commits are collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// For `config` and `trade`, in milliseconds.
    pub group_ms: u64,
    /// For `events`, in milliseconds.
    pub events_ms: u64,
}

/// A running store. Dropping it is a clean stop.
pub struct Opened {
    /// All that people edit.
    pub config: SpaceStore,
    /// Orders, quotes, uses, reports.
    pub trade: SpaceStore,
    /// What shoppers did, by partition.
    pub events: EventLog,
    /// What is made from events and kept, by partition; in memory only as long as the store is open.
    pub folds: FoldStore,
    /// What is too large for a value, by hash.
    pub chunks: Arc<dyn ChunkStore>,
    /// Where it lives; `None` in memory.
    pub generation: Option<Generation>,
    /// What the start found and mended.
    pub report: Report,
    identity: Identity,
    backups: Arc<dyn Backups>,
    committers: Vec<Committer>,
    index: Arc<IndexThread>,
    scrubbed: Mutex<Option<Arc<Scrubbed>>>,
    thread: Option<JoinHandle<()>>,
    _lock: Option<LockGuard>,
}

#[derive(Debug)]
struct IndexThread {
    follower: Mutex<Follower>,
    is_stopping: Mutex<bool>,
    stop: Condvar,
}

impl Opened {
    /// Gives a raised store its threads.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub fn run(raised: Raised, pace: Pace) -> io::Result<Self> {
        let mut committers = Vec::new();
        let mut spaces = Vec::new();
        let waits = [pace.group_ms, pace.group_ms, pace.events_ms];
        for (writer, wait) in raised.writers.into_iter().zip(waits) {
            let shared = writer.shared().clone();
            let committer = Committer::spawn(writer, wait)?;
            spaces.push(SpaceStore::new(shared, committer.queue()));
            committers.push(committer);
        }
        let index = Arc::new(IndexThread {
            follower: Mutex::new(raised.follower),
            is_stopping: Mutex::new(false),
            stop: Condvar::new(),
        });
        let theirs = index.clone();
        let thread = std::thread::Builder::new()
            .name("index".into())
            .spawn(move || theirs.run())?;
        let [config, trade, events] = <[SpaceStore; 3]>::try_from(spaces)
            .map_err(|_| io::Error::other("three spaces make a store"))?;
        Ok(Self {
            config,
            trade,
            events: EventLog::new(events),
            folds: raised.folds,
            chunks: raised.chunks,
            generation: raised.generation,
            report: raised.report,
            identity: raised.identity,
            backups: raised.backups,
            committers,
            index,
            scrubbed: Mutex::default(),
            thread: Some(thread),
            _lock: raised.lock,
        })
    }

    /// Store and era; its space is `config`.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Where whole states are kept.
    pub fn backups(&self) -> &Arc<dyn Backups> {
        &self.backups
    }

    /// The states of `config` and `trade`, hot and cold, each at one exact revision: the index's
    /// applier pauses meanwhile, commits go on.
    ///
    /// # Errors
    /// [`IndexError`] while the index is rebuilt, or without room.
    pub fn with_states<T>(
        &self,
        act: impl FnOnce(&[IndexState<'_>]) -> T,
    ) -> Result<T, IndexError> {
        let mut follower = locked(&self.index.follower);
        follower.finish();
        let states = follower.states()?;
        Ok(act(&states))
    }

    /// Writes the index anew if it has grown above both bounds; says what was gained. Blocks; the
    /// applier pauses and cold reads find the index missing for a moment, commits go on.
    ///
    /// # Errors
    /// [`IndexError`]; an index is in use all the same, or will be once it is built.
    pub fn compact_index(&self, above: CompactAbove) -> Result<Option<Compacted>, IndexError> {
        locked(&self.index.follower).compact(above)
    }

    /// What the last scrub of this process found.
    pub fn last_scrub(&self) -> Option<Arc<Scrubbed>> {
        locked(&self.scrubbed).clone()
    }

    pub(in crate::store) fn note_scrub(&self, scrubbed: Arc<Scrubbed>) {
        *locked(&self.scrubbed) = Some(scrubbed);
    }

    /// What callers of the three spaces see.
    pub(in crate::store) fn all_shared(&self) -> [&Arc<Shared>; 3] {
        let events = self.events.shared();
        [self.config.shared(), self.trade.shared(), events]
    }

    /// Compares the index with memory, page by page; the applier pauses for one page at a time.
    pub(in crate::store) fn check_index(&self, look: &mut Look<'_>) -> ControlFlow<()> {
        let dir = self.generation.as_ref().map(Generation::index);
        let dir = dir.unwrap_or_default();
        let trees = locked(&self.index.follower).compared_trees();
        for tree in trees {
            let mut after = None;
            loop {
                let compared = locked(&self.index.follower).compare(tree, after.as_ref());
                match compared {
                    Ok(Some(page)) => {
                        look.read(page.n_bytes)?;
                        after = page.last;
                    }
                    Ok(None) => return ControlFlow::Continue(()),
                    Err(error) => {
                        let is_rebuilt = locked(&self.index.follower).catch_up_wholly();
                        look.found(Part::Index, Finding::whole(&dir, &error), is_rebuilt);
                        return ControlFlow::Continue(());
                    }
                }
                if after.is_none() {
                    break;
                }
            }
        }
        ControlFlow::Continue(())
    }

    /// Stops: makes what waits, lets the index catch up, gives the directory free.
    pub fn close(mut self) {
        self.stop();
    }

    fn stop(&mut self) {
        for committer in &mut self.committers {
            committer.close();
        }
        *locked(&self.index.is_stopping) = true;
        self.index.stop.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the index follower panicked");
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.stop();
    }
}

impl IndexThread {
    fn run(&self) {
        locked(&self.follower).check_cold();
        loop {
            let progress = locked(&self.follower).step();
            let wait = match progress {
                Progress::Behind => Duration::ZERO,
                Progress::CaughtUp => INDEX_EVERY,
                Progress::Waiting => INDEX_RETRY,
            };
            let stopping = locked(&self.is_stopping);
            let waited = self
                .stop
                .wait_timeout_while(stopping, wait, |stopping| !*stopping);
            if *waited.unwrap_or_else(PoisonError::into_inner).0 {
                locked(&self.follower).finish();
                return;
            }
        }
    }
}
