//! What is made from events and kept: one tree of the index for each partition of the log.
//!
//! ```text
//! open(p07) → state at position 7,000 → get, scan → read the log after 7,000, fold in memory
//!   → commit(changes, 7,420): one batch, the position in it → kill → open(p07) → 7,420
//! ```
//!
//! A tree is a checkpoint: it can be made again from the log, so it is no truth, needs no sync,
//! and whatever is doubtful about it counts as nothing kept. That is so if the index was dropped
//! and built anew, if the tree is of another store or era (after a restore the log's events stand
//! at higher positions), if it lies beyond the end of the log, or if it disagrees with its count,
//! its sum or the CRC of a value.
//!
//! Invariants: changes and their position are kept together or not at all; they are kept on top
//! of the state that they were made from, or refused ([`FoldStoreError::Moved`]): an index may be
//! replaced at any moment, and changes alone on an empty tree would be a state that never was.
//!
//! A tree beyond the end of the log also says that acknowledged events are missing; start takes it
//! for that ([`newest_kept`]), as it does what the index notes about the log itself.
//!
//! Cost: the first look at a tree reads all of it, a commit reads what it overwrites. All block.

#[cfg(test)]
mod cases;
#[cfg(test)]
mod laws;

use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::store::codec::{Draft, Value};
use crate::store::event::{LogPosition, Partition};
use crate::store::index::{Applied, Batch, Index, IndexError, PAGE, Tree, walk};
use crate::store::key::Key;
use crate::store::shared::{IndexSlot, Shared, locked};
use crate::store::{Identity, Mode, Revision, Space};

/// Most bytes of values that one commit keeps.
pub const CHECKPOINT_BYTES_MAX: usize = 64 << 20;

/// Why nothing was read, or nothing kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoldStoreError {
    /// The index is being rebuilt, or written anew: later.
    #[error("the index is being rebuilt")]
    Rebuilding,
    /// There is no room to keep anything (`Low`, `Full`), or the log is not whole (`Older`).
    #[error("nothing is kept while the event log is in mode {mode:?}")]
    NotNow {
        /// Mode of the event log.
        mode: Mode,
    },
    /// The state at hand is not the one that is kept: open the partition again and fold from there.
    #[error("the state at hand is at position {}, the one kept at {}", at.0, kept.0)]
    Moved {
        /// Position of the state at hand.
        at: LogPosition,
        /// Position of the state that is kept.
        kept: LogPosition,
    },
    /// A position below the one that is kept, beyond the end of the log, or 0.
    #[error("position {} is not within {} to {}", wished.0, kept.0, end.0)]
    Position {
        /// What was to become of the position.
        wished: LogPosition,
        /// The position that is kept.
        kept: LogPosition,
        /// Newest durable position of the log.
        end: LogPosition,
    },
    /// More than one commit may keep: do it more often.
    #[error("a checkpoint holds up to {max} bytes, not {have}")]
    TooLarge {
        /// Bytes of all values.
        have: usize,
        /// Most of them.
        max: usize,
    },
}

/// The kept states of all partitions. Clones share it.
#[derive(Clone, Debug)]
pub struct FoldStore(Arc<Folds>);

#[derive(Debug)]
struct Folds {
    index: IndexSlot,
    events: Arc<Shared>,
    /// Held for reading by who changes a tree, for writing by who copies the index.
    changing: RwLock<()>,
    trust: [Mutex<Trust>; 16],
}

/// Whether a tree holds what it says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Trust {
    /// Nobody has looked yet.
    #[default]
    Unknown,
    /// It did when it was looked at, or this process made it.
    Sound,
    /// It does not; the next commit makes it anew.
    Damaged,
}

/// The kept state of one partition, in the hands of the one who folds it.
///
/// Reads and commits are refused once something else is kept than what was there when it was
/// opened or last committed.
#[derive(Debug)]
pub struct FoldTree {
    store: FoldStore,
    partition: Partition,
    position: LogPosition,
}

impl FoldStore {
    /// Over the index in use and the log that it is folded from.
    pub(in crate::store) fn new(index: IndexSlot, events: Arc<Shared>) -> Self {
        Self(Arc::new(Folds {
            index,
            events,
            changing: RwLock::default(),
            trust: <[Mutex<Trust>; 16]>::default(),
        }))
    }

    /// The state that is kept of a partition: folding goes on after its position.
    ///
    /// # Errors
    /// [`FoldStoreError::Rebuilding`].
    pub fn open(&self, partition: Partition) -> Result<FoldTree, FoldStoreError> {
        let position = self.position(partition)?;
        Ok(FoldTree {
            store: self.clone(),
            partition,
            position,
        })
    }

    /// The position up to which a partition's state is kept; 0 where nothing is.
    ///
    /// # Errors
    /// [`FoldStoreError::Rebuilding`].
    pub fn position(&self, partition: Partition) -> Result<LogPosition, FoldStoreError> {
        let index = self.index()?;
        let mut trust = locked(self.trust(partition));
        let kept = self.kept(&index, partition, &mut trust)?;
        Ok(kept.unwrap_or_default())
    }

    /// Forgets a partition's state, so that it is made again from the log.
    ///
    /// # Errors
    /// [`FoldStoreError::Rebuilding`], [`FoldStoreError::NotNow`].
    pub fn clear(&self, partition: Partition) -> Result<(), FoldStoreError> {
        let _changing = self.begin_change()?;
        let index = self.index()?;
        let mut trust = locked(self.trust(partition));
        self.empty(&index, partition, &mut trust)
    }

    /// Lets no tree change for as long as the guard is held: whoever tries is told to come later.
    pub(in crate::store) fn pause(&self) -> RwLockWriteGuard<'_, ()> {
        let changing = self.0.changing.write();
        changing.unwrap_or_else(PoisonError::into_inner)
    }

    fn begin_change(&self) -> Result<RwLockReadGuard<'_, ()>, FoldStoreError> {
        match self.0.events.mode() {
            Mode::Ok | Mode::ReadOnly => {}
            mode => return Err(FoldStoreError::NotNow { mode }),
        }
        let changing = self.0.changing.try_read();
        changing.map_err(|_| FoldStoreError::Rebuilding)
    }

    fn identity(&self) -> Identity {
        self.0.events.identity().of(Space::Fold)
    }

    fn trust(&self, partition: Partition) -> &Mutex<Trust> {
        &self.0.trust[usize::from(partition.number())]
    }

    fn index(&self) -> Result<Arc<dyn Index>, FoldStoreError> {
        let slot = self.0.index.read().unwrap_or_else(PoisonError::into_inner);
        slot.clone().ok_or(FoldStoreError::Rebuilding)
    }

    /// Takes an index that failed out of use; the follower brings up another.
    fn drop_index(&self, failed: &Arc<dyn Index>, error: &IndexError) -> FoldStoreError {
        tracing::warn!(%error, "the index is dropped");
        let mut slot = self.0.index.write().unwrap_or_else(PoisonError::into_inner);
        if slot
            .as_ref()
            .is_some_and(|index| Arc::ptr_eq(index, failed))
        {
            *slot = None;
        }
        FoldStoreError::Rebuilding
    }

    /// The position of a tree that can be built upon; `None` if there is nothing like it.
    fn kept(
        &self,
        index: &Arc<dyn Index>,
        partition: Partition,
        trust: &mut Trust,
    ) -> Result<Option<LogPosition>, FoldStoreError> {
        let tree = Tree::Fold(partition.number());
        let said = index
            .applied(tree)
            .map_err(|error| self.drop_index(index, &error))?;
        let end = self.0.events.revision();
        let is_ours = |said: &Applied| said.identity == self.identity() && said.revision <= end;
        let Some(said) = said.filter(is_ours) else {
            return Ok(None);
        };
        if *trust == Trust::Unknown {
            *trust = match walk(index.as_ref(), tree, self.identity(), &mut |_, _| ()) {
                Ok(_) => Trust::Sound,
                Err(error) => damaged(&error),
            };
        }
        let position = LogPosition(said.revision.0);
        Ok((*trust == Trust::Sound).then_some(position))
    }

    fn empty(
        &self,
        index: &Arc<dyn Index>,
        partition: Partition,
        trust: &mut Trust,
    ) -> Result<(), FoldStoreError> {
        let nothing = Applied::empty(self.identity(), Revision::ZERO);
        let tree = Tree::Fold(partition.number());
        index
            .load(tree, &mut std::iter::empty(), nothing)
            .map_err(|error| self.drop_index(index, &error))?;
        *trust = Trust::Sound;
        Ok(())
    }
}

impl FoldTree {
    /// Whose events are folded.
    pub fn partition(&self) -> Partition {
        self.partition
    }

    /// The position that this state includes; 0 if it is empty and the log is to be read from its
    /// first event on.
    pub fn position(&self) -> LogPosition {
        self.position
    }

    /// The value of a key.
    ///
    /// # Errors
    /// [`FoldStoreError::Rebuilding`], [`FoldStoreError::Moved`].
    pub fn get(&self, key: &Key) -> Result<Option<Value>, FoldStoreError> {
        let index = self.store.index()?;
        let mut trust = locked(self.store.trust(self.partition));
        if self.kept(&index, &mut trust)?.is_none() {
            return Ok(None);
        }
        let stored = index
            .get(self.tree(), key)
            .map_err(|error| self.store.drop_index(&index, &error))?;
        let open = |bytes: Vec<u8>| self.value(key, &bytes, &mut trust);
        stored.map(open).transpose()
    }

    /// Hands out every record whose key begins with `prefix`, ascending. After an error, what was
    /// handed out is worth nothing.
    ///
    /// # Errors
    /// [`FoldStoreError::Rebuilding`], [`FoldStoreError::Moved`].
    pub fn scan(
        &self,
        prefix: &str,
        each: &mut dyn FnMut(Key, Value),
    ) -> Result<(), FoldStoreError> {
        let index = self.store.index()?;
        let mut trust = locked(self.store.trust(self.partition));
        if self.kept(&index, &mut trust)?.is_none() {
            return Ok(());
        }
        let mut after: Option<Key> = None;
        loop {
            let page = index
                .scan(self.tree(), prefix, after.as_ref(), PAGE)
                .map_err(|error| self.store.drop_index(&index, &error))?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = Some(last.clone());
            for (key, bytes) in page {
                let value = self.value(&key, &bytes, &mut trust)?;
                each(key, value);
            }
        }
    }

    /// Keeps changes and the position that they lead to, as one batch. A key that is both deleted
    /// and put is put.
    ///
    /// # Errors
    /// See [`FoldStoreError`]. Nothing was kept then; only after `Rebuilding` it may have been.
    pub fn commit(
        &mut self,
        puts: Vec<(Key, Draft)>,
        deletes: Vec<Key>,
        position: LogPosition,
    ) -> Result<(), FoldStoreError> {
        let revision = Revision(position.0);
        let batch = batch_of(puts, deletes, revision)?;
        let _changing = self.store.begin_change()?;
        let index = self.store.index()?;
        let mut trust = locked(self.store.trust(self.partition));
        let kept = self.kept(&index, &mut trust)?;
        let end = LogPosition(self.store.0.events.revision().0);
        if position == LogPosition(0) || position < self.position || end < position {
            return Err(FoldStoreError::Position {
                wished: position,
                kept: self.position,
                end,
            });
        }
        if kept.is_none() {
            self.store.empty(&index, self.partition, &mut trust)?;
        }
        index
            .apply(self.tree(), &batch, revision)
            .map_err(|error| self.store.drop_index(&index, &error))?;
        self.position = position;
        Ok(())
    }

    fn tree(&self) -> Tree {
        Tree::Fold(self.partition.number())
    }

    /// What is kept, if it is the state at hand; both may be nothing.
    fn kept(
        &self,
        index: &Arc<dyn Index>,
        trust: &mut Trust,
    ) -> Result<Option<LogPosition>, FoldStoreError> {
        let kept = self.store.kept(index, self.partition, trust)?;
        if kept.unwrap_or_default() == self.position {
            return Ok(kept);
        }
        Err(self.moved(kept.unwrap_or_default()))
    }

    fn moved(&self, kept: LogPosition) -> FoldStoreError {
        let at = self.position;
        FoldStoreError::Moved { at, kept }
    }

    /// A stored value, checked. A damaged one costs the partition its tree.
    fn value(&self, key: &Key, bytes: &[u8], trust: &mut Trust) -> Result<Value, FoldStoreError> {
        Value::open(key, bytes).map_err(|error| {
            *trust = damaged(&error);
            self.moved(LogPosition(0))
        })
    }
}

/// The newest position of any tree that was folded from this log; `None` if there is none. The log
/// was at least so long once.
pub(in crate::store) fn newest_kept(index: &dyn Index, events: Identity) -> Option<Revision> {
    let said = |partition: Partition| {
        let said = index.applied(Tree::Fold(partition.number()));
        let said = said.ok().flatten()?;
        (said.identity == events.of(Space::Fold)).then_some(said.revision)
    };
    Partition::all().filter_map(said).max()
}

fn damaged(error: &dyn std::error::Error) -> Trust {
    tracing::warn!(%error, "the state kept of a partition is folded anew");
    Trust::Damaged
}

fn batch_of(
    puts: Vec<(Key, Draft)>,
    deletes: Vec<Key>,
    revision: Revision,
) -> Result<Batch, FoldStoreError> {
    let max = CHECKPOINT_BYTES_MAX;
    let have = puts.iter().map(|(_, draft)| draft.value_bytes()).sum();
    if max < have {
        return Err(FoldStoreError::TooLarge { have, max });
    }
    let mut batch: Batch = deletes.into_iter().map(|key| (key, None)).collect();
    for (key, draft) in puts {
        let value = draft.seal(&key, revision);
        batch.insert(key, Some(value));
    }
    Ok(batch)
}
