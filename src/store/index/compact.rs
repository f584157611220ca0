//! An index that has grown far beyond what it holds is copied, tree by tree, and the copy takes
//! its place.
//!
//! ```text
//! index/ → index.new/       copied, counted; readers read on, the applier waits
//! index/ → index.old/       closed; cold reads wait from here
//! index.new/ → index/       opened, caught up, in use; index.old/ is removed
//! ```
//!
//! A crash between the renames leaves no index, and the next start builds one. Nothing else ever
//! depends on what lies beside it.
//!
//! What is kept of events ([`fold`](crate::store::fold)) stands still meanwhile.
//!
//! Cost: the index is read twice, once to count and once to copy, and written once. Cold commits
//! that come meanwhile wait in memory.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::store::Mode;
use crate::store::fold::FoldStore;
use crate::store::index::follower::Follower;
use crate::store::index::state::Pages;
use crate::store::index::{Applied, Index, IndexError, Rung, Tree};

/// Trees of event partitions, 0 to 15.
const FOLDS: std::ops::Range<u8> = 0..16;

/// How long readers that hold the old index are waited for.
const READERS_WAIT: Duration = Duration::from_secs(5);

/// Time between two looks whether they still do.
const READERS_LOOK: Duration = Duration::from_millis(1);

/// From when on an index is written anew: above both bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactAbove {
    /// So many times the bytes of its records.
    pub times_live: u64,
    /// Bytes on disk.
    pub bytes: u64,
}

impl Default for CompactAbove {
    /// Six times, and 256 MiB.
    fn default() -> Self {
        Self {
            times_live: 6,
            bytes: 256 << 20,
        }
    }
}

/// What was gained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    /// Bytes of all keys and values.
    pub live_bytes: u64,
    /// Bytes on disk before.
    pub before_bytes: u64,
    /// Bytes on disk now.
    pub after_bytes: u64,
}

impl Follower {
    /// Writes the index anew if it has grown above both bounds; `None` if it has not, if there is
    /// none in use, or no room for a copy.
    ///
    /// # Errors
    /// [`IndexError`]. The index that was in use still is, or none is and the next step builds
    /// one.
    pub fn compact(&mut self, above: CompactAbove) -> Result<Option<Compacted>, IndexError> {
        let Some(index) = self.index_in_use() else {
            return Ok(None);
        };
        let before_bytes = self.home.disk_bytes(&self.dir)?;
        if before_bytes <= above.bytes {
            return Ok(None);
        }
        let folds = self.folds.clone();
        let _paused = folds.as_ref().map(FoldStore::pause);
        let trees = self.trees(index.as_ref())?;
        let mut live_bytes = 0;
        for (tree, said) in &trees {
            live_bytes += bytes_of(index.as_ref(), *tree, *said)?;
        }
        let is_grown = above.times_live.saturating_mul(live_bytes) < before_bytes;
        if !is_grown || !self.has_room_for(live_bytes) {
            return Ok(None);
        }
        let fresh = self.home.open_beside(&self.dir)?;
        for (tree, said) in &trees {
            if !copy(index.as_ref(), fresh.as_ref(), *tree, *said)? {
                self.drop_index();
                return Err(IndexError::new(format!("{tree} disagrees with its sum")));
            }
        }
        fresh.flush()?;
        drop((index, fresh));
        self.swap()?;
        self.catch_up_wholly();
        Ok(Some(Compacted {
            live_bytes,
            before_bytes,
            after_bytes: self.home.disk_bytes(&self.dir)?,
        }))
    }

    pub(in crate::store::index) fn index_in_use(&self) -> Option<Arc<dyn Index>> {
        let slot = self.slot.read().unwrap_or_else(PoisonError::into_inner);
        self.index.clone().filter(|_| slot.is_some())
    }

    /// Every tree that says what it holds; a followed one that does not is no index to copy.
    fn trees(&self, index: &dyn Index) -> Result<Vec<(Tree, Applied)>, IndexError> {
        let mut trees = Vec::new();
        for space in self.spaces.iter().map(|shared| shared.identity().space) {
            for tree in [Tree::Hot(space), Tree::Cold(space)] {
                let said = index.applied(tree)?;
                let said = said.ok_or_else(|| IndexError::new(format!("{tree} is incomplete")))?;
                trees.push((tree, said));
            }
        }
        for tree in FOLDS.map(Tree::Fold) {
            trees.extend(index.applied(tree)?.map(|said| (tree, said)));
        }
        Ok(trees)
    }

    /// Whether the volume has room for a copy, which takes up to twice its records, and then some.
    fn has_room_for(&self, live_bytes: u64) -> bool {
        self.spaces.iter().all(|shared| {
            let health = shared.health();
            let fits = |free: u64| live_bytes.saturating_mul(3) < free;
            !matches!(health.mode, Mode::Low | Mode::Full) && health.free_bytes.is_none_or(fits)
        })
    }

    /// Closes the index and opens the copy in its place.
    fn swap(&mut self) -> Result<(), IndexError> {
        let Some(index) = self.index.take() else {
            return Err(IndexError::new("no index"));
        };
        *self.slot.write().unwrap_or_else(PoisonError::into_inner) = None;
        let n_looks = READERS_WAIT.as_millis() / READERS_LOOK.as_millis();
        for _ in 0..n_looks {
            if Arc::strong_count(&index) == 1 {
                break;
            }
            std::thread::sleep(READERS_LOOK);
        }
        if 1 < Arc::strong_count(&index) {
            *self.slot.write().unwrap_or_else(PoisonError::into_inner) = Some(index.clone());
            self.index = Some(index);
            return Err(IndexError::new("readers do not let go of the index"));
        }
        drop(index);
        self.is_in_use = false;
        let swapped = self.home.take_beside(&self.dir).and_then(|()| {
            let index = self.home.open(&self.dir, &self.quarantine, Rung::AsIs)?;
            self.adopt(index)
        });
        if swapped.is_err() {
            self.drop_index();
        }
        swapped
    }
}

/// Bytes of all keys and values of a tree.
fn bytes_of(index: &dyn Index, tree: Tree, said: Applied) -> Result<u64, IndexError> {
    let mut pages = Pages::new(index, tree, Applied::empty(said.identity, said.revision));
    let mut n_bytes = 0;
    while pages.peek()?.is_some() {
        if let Some((key, bytes)) = pages.take() {
            n_bytes += (key.as_str().len() + bytes.len()) as u64;
        }
    }
    Ok(n_bytes)
}

/// Copies a tree; false if it does not hold what it says.
fn copy(from: &dyn Index, to: &dyn Index, tree: Tree, said: Applied) -> Result<bool, IndexError> {
    let empty = Applied::empty(said.identity, said.revision);
    let mut pages = Pages::new(from, tree, empty);
    let mut failed = None;
    let mut records = std::iter::from_fn(|| match pages.peek() {
        Ok(_) => pages.take(),
        Err(error) => {
            failed = Some(error);
            None
        }
    });
    to.load(tree, &mut records, empty)?;
    match failed {
        Some(error) => Err(error),
        None => Ok(to.applied(tree)? == Some(said)),
    }
}
