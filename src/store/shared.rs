//! What the writer of a space, its readers and the index follower share.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound::{Included, Unbounded};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::watch;

use crate::domain::time::Timestamp;
use crate::store::codec::Value;
use crate::store::commit::FollowError;
use crate::store::folded::Folded;
use crate::store::index::{Index, Tree};
use crate::store::journal::frame::{Frame, SharedRecord};
use crate::store::key::Key;
use crate::store::scrub::Look;
use crate::store::seam::LogReader;
use crate::store::{Entry, Identity, Mode, Revision, StoreHealth};

/// Commits kept in memory for followers; those further behind read the journal.
const RECENT_MAX: usize = 1_024;

/// Bytes of values kept in memory for followers.
const RECENT_BYTES_MAX: usize = 8 << 20;

/// Bytes of cold values that the index has yet to take in; above it cold writes are refused.
pub const COLD_BYTES_MAX: usize = 64 << 20;

/// Bytes of journal read at a time by a follower that is behind.
const READ_BYTES: usize = 4 << 20;

/// Cold keys cannot be read: the index is being rebuilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the index is being rebuilt")]
pub struct Rebuilding;

/// The index in use, once it has caught up; shared by all spaces.
pub type IndexSlot = Arc<RwLock<Option<Arc<dyn Index>>>>;

/// One space as everybody sees it.
#[derive(Debug)]
pub struct Shared {
    identity: Identity,
    folded: RwLock<Arc<Folded>>,
    recent: Mutex<Recent>,
    cold: Mutex<PendingCold>,
    index: IndexSlot,
    reader: Box<dyn LogReader>,
    revision: watch::Sender<Revision>,
    begun: Begun,
    state: Mutex<SpaceState>,
}

/// Where this process began, and when the commit was made that led there.
#[derive(Clone, Copy, Debug)]
struct Begun {
    revision: Revision,
    as_of: Option<Timestamp>,
}

#[derive(Debug)]
struct SpaceState {
    mode: Mode,
    free_bytes: Option<u64>,
    applied: Option<Revision>,
    repairs: Vec<String>,
}

#[derive(Debug, Default)]
struct Recent {
    records: VecDeque<SharedRecord>,
    bytes: usize,
}

/// Cold changes that are durable but not in the index yet.
#[derive(Debug, Default)]
struct PendingCold {
    changes: BTreeMap<Key, (Revision, Option<Value>)>,
    bytes: usize,
}

/// Locks; a panic elsewhere leaves nothing half done behind these locks.
pub(in crate::store) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn value_bytes(value: Option<&Value>) -> usize {
    value.map_or(0, |value| value.bytes().len())
}

impl Shared {
    /// A space whose newest state is `folded`, made by a commit of `as_of`.
    pub fn new(
        folded: Folded,
        as_of: Option<Timestamp>,
        reader: Box<dyn LogReader>,
        index: IndexSlot,
        mode: Mode,
    ) -> Self {
        let revision = folded.revision();
        Self {
            begun: Begun { revision, as_of },
            identity: folded.identity(),
            folded: RwLock::new(Arc::new(folded)),
            recent: Mutex::default(),
            cold: Mutex::default(),
            index,
            reader,
            revision: watch::channel(revision).0,
            state: Mutex::new(SpaceState {
                mode,
                free_bytes: None,
                applied: None,
                repairs: Vec::new(),
            }),
        }
    }

    /// Which space of which store.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// All hot keys at the newest durable revision.
    pub fn folded(&self) -> Arc<Folded> {
        self.folded
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The newest durable revision.
    pub fn revision(&self) -> Revision {
        *self.revision.borrow()
    }

    /// When the commit of this revision was decided; `None` before the first of all, and for what
    /// the journal does not reach any more. May read the journal.
    pub fn time_of(&self, revision: Revision) -> Option<Timestamp> {
        if revision == self.begun.revision {
            return self.begun.as_of;
        }
        let before = Revision(revision.0.checked_sub(1)?);
        let found = |records: Vec<SharedRecord>| {
            let record = records.iter().find(|record| record.revision == revision);
            record.map(|record| record.at)
        };
        if let Ok(Some(records)) = self.recent_after(before) {
            return found(records);
        }
        let frames = self.reader.read(before, 1).ok()?;
        let records = frames.iter().filter_map(|frame| frame.records().ok());
        found(records.flatten().map(Arc::new).collect())
    }

    /// The first revision that the journal still holds, or the next if it holds none.
    pub fn first_kept(&self) -> Revision {
        match self.reader.read(Revision::ZERO, 1) {
            Err(FollowError::Compacted { first }) => first,
            Ok(frames) => frames.first().map_or(self.revision().next(), Frame::first),
            Err(_) => self.revision().next(),
        }
    }

    /// About how many bytes of journal lie behind a revision.
    pub fn bytes_after(&self, after: Revision) -> u64 {
        self.reader.bytes_after(after)
    }

    /// Reads again what of the journal nobody appends to any more.
    pub(in crate::store) fn check_sealed(&self, look: &mut Look<'_>) -> ControlFlow<()> {
        self.reader.check_sealed(look)
    }

    /// Tells when the revision moved.
    pub(in crate::store) fn watch(&self) -> watch::Receiver<Revision> {
        self.revision.subscribe()
    }

    /// What is still done.
    pub fn mode(&self) -> Mode {
        locked(&self.state).mode
    }

    pub(in crate::store) fn set_mode(&self, mode: Mode) {
        locked(&self.state).mode = mode;
    }

    pub(in crate::store) fn set_free_bytes(&self, free_bytes: Option<u64>) {
        locked(&self.state).free_bytes = free_bytes;
    }

    pub(in crate::store) fn set_repairs(&self, repairs: Vec<String>) {
        locked(&self.state).repairs = repairs;
    }

    /// How the space is.
    pub fn health(&self) -> StoreHealth {
        let revision = self.revision();
        let is_indexed = self.index().is_ok();
        let state = locked(&self.state);
        StoreHealth {
            mode: state.mode,
            revision,
            applied: state.applied.filter(|_| is_indexed),
            free_bytes: state.free_bytes,
            repairs: state.repairs.clone(),
        }
    }

    /// Publishes records that are durable, with the state they lead to: one swap.
    pub(in crate::store) fn publish(&self, folded: Folded, records: &[SharedRecord]) {
        // Cold changes first: whoever sees the new revision finds them.
        locked(&self.cold).add(records);
        locked(&self.recent).add(records);
        let revision = folded.revision();
        *self.folded.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(folded);
        self.revision.send_replace(revision);
    }

    /// Records after `after`, in order: at least one if there is one. May read the journal.
    ///
    /// # Errors
    /// See [`FollowError`].
    pub fn records_after(&self, after: Revision) -> Result<Vec<SharedRecord>, FollowError> {
        if let Some(records) = self.recent_after(after)? {
            return Ok(records);
        }
        let frames = self.reader.read(after, READ_BYTES)?;
        let mut records = Vec::new();
        for record in frames.iter().map(Frame::records) {
            let record = record.map_err(|_| FollowError::Unreadable)?;
            records.extend(record.into_iter().filter(|record| after < record.revision));
        }
        Ok(records.into_iter().map(Arc::new).collect())
    }

    /// Records after `after` without I/O; `None` if only the journal has them.
    pub(in crate::store) fn recent_after(
        &self,
        after: Revision,
    ) -> Result<Option<Vec<SharedRecord>>, FollowError> {
        let last = self.revision();
        if last < after {
            return Err(FollowError::Regressed { last });
        }
        if last == after {
            return Ok(Some(Vec::new()));
        }
        let recent = locked(&self.recent);
        let reaches = recent
            .records
            .front()
            .is_some_and(|first| first.revision <= after.next());
        if !reaches {
            return Ok(None);
        }
        let later = recent
            .records
            .iter()
            .filter(|record| after < record.revision);
        // What is published a moment before its revision is shown waits that moment.
        Ok(Some(
            later
                .filter(|record| record.revision <= last)
                .cloned()
                .collect(),
        ))
    }

    /// The value of a key, hot or cold, at the newest revision.
    ///
    /// # Errors
    /// [`Rebuilding`], for cold keys only.
    pub fn get(&self, key: &Key) -> Result<Option<Value>, Rebuilding> {
        if !key.is_cold() {
            return Ok(self.folded().get(key).cloned());
        }
        if let Some((_, value)) = locked(&self.cold).changes.get(key) {
            return Ok(value.clone());
        }
        let index = self.index()?;
        let tree = Tree::Cold(self.identity.space);
        let stored = index
            .get(tree, key)
            .map_err(|error| self.drop_index(&error))?;
        let open =
            |bytes: Vec<u8>| Value::open(key, &bytes).map_err(|error| self.drop_index(&error));
        stored.map(open).transpose()
    }

    /// At most `max` entries whose key begins with `prefix` and lies behind `after`, ascending:
    /// hot ones, or cold ones if the first part of `prefix` names a cold kind.
    ///
    /// # Errors
    /// [`Rebuilding`], for cold keys only.
    pub fn scan(
        &self,
        prefix: &str,
        after: Option<&Key>,
        max: usize,
    ) -> Result<Vec<Entry>, Rebuilding> {
        if !Key::parse(prefix).is_ok_and(|key| key.is_cold()) {
            return Ok(self.folded().page(prefix, after, max));
        }
        let pending: BTreeMap<Key, Option<Value>> = locked(&self.cold).range(prefix, after);
        let index = self.index()?;
        let tree = Tree::Cold(self.identity.space);
        let mut found: BTreeMap<Key, Value> = BTreeMap::new();
        let stored = index
            .scan(tree, prefix, after, max + pending.len())
            .map_err(|error| self.drop_index(&error))?;
        for (key, bytes) in stored {
            let value = Value::open(&key, &bytes).map_err(|error| self.drop_index(&error))?;
            found.insert(key, value);
        }
        for (key, value) in pending {
            match value {
                Some(value) => found.insert(key, value),
                None => found.remove(&key),
            };
        }
        let entries = found.into_iter().take(max);
        Ok(entries.map(|(key, value)| Entry { key, value }).collect())
    }

    /// Whether another commit with cold writes may wait for the index.
    pub(in crate::store) fn has_room_for_cold(&self) -> bool {
        locked(&self.cold).bytes < COLD_BYTES_MAX
    }

    /// The index took in everything up to these revisions of its hot and cold tree.
    pub(in crate::store) fn set_applied(&self, applied: Option<(Revision, Revision)>) {
        if let Some((_, cold)) = applied {
            locked(&self.cold).forget(cold);
        }
        locked(&self.state).applied = applied.map(|(hot, cold)| hot.min(cold));
    }

    fn index(&self) -> Result<Arc<dyn Index>, Rebuilding> {
        let slot = self.index.read().unwrap_or_else(PoisonError::into_inner);
        slot.clone().ok_or(Rebuilding)
    }

    /// Takes an index that failed out of use; the follower brings up another.
    fn drop_index(&self, error: &dyn std::error::Error) -> Rebuilding {
        tracing::warn!(%error, "the index is dropped");
        *self.index.write().unwrap_or_else(PoisonError::into_inner) = None;
        Rebuilding
    }
}

impl Recent {
    fn add(&mut self, records: &[SharedRecord]) {
        for record in records {
            self.bytes += size_of(record);
            self.records.push_back(record.clone());
        }
        while RECENT_MAX < self.records.len() || RECENT_BYTES_MAX < self.bytes {
            let Some(oldest) = self.records.pop_front() else {
                break;
            };
            self.bytes -= size_of(&oldest);
        }
    }
}

fn size_of(record: &SharedRecord) -> usize {
    record
        .writes
        .iter()
        .map(|(_, value)| value_bytes(value.as_ref()))
        .sum()
}

impl PendingCold {
    fn add(&mut self, records: &[SharedRecord]) {
        for record in records {
            for (key, value) in record.writes.iter().filter(|(key, _)| key.is_cold()) {
                self.bytes += value_bytes(value.as_ref());
                let change = (record.revision, value.clone());
                if let Some((_, old)) = self.changes.insert(key.clone(), change) {
                    self.bytes -= value_bytes(old.as_ref());
                }
            }
        }
    }

    fn forget(&mut self, applied: Revision) {
        let mut bytes = 0;
        self.changes.retain(|_, (revision, value)| {
            let waits = applied < *revision;
            bytes += if waits {
                value_bytes(value.as_ref())
            } else {
                0
            };
            waits
        });
        self.bytes = bytes;
    }

    fn range(&self, prefix: &str, after: Option<&Key>) -> BTreeMap<Key, Option<Value>> {
        let start = after.map_or(prefix, |after| prefix.max(after.as_str()));
        self.changes
            .range::<str, _>((Included(start), Unbounded))
            .filter(|(key, _)| Some(*key) != after)
            .take_while(|(key, _)| key.as_str().starts_with(prefix))
            .map(|(key, (_, value))| (key.clone(), value.clone()))
            .collect()
    }
}
