//! The index: folded state as a checkpoint, and the home of cold records.
//!
//! It follows the journal lazily and may be thrown away at any time. Each tree says, in the same
//! batch as its entries, which revision it holds, how many entries, and the sum of their CRCs; a
//! tree that does not agree with itself is no base for a start.
//!
//! - [`sled`]: the real one
//! - [`plain`]: in memory, for the memory store and simulations
//! - [`follower`]: takes in what was committed, rebuilds what is lost
//! - [`state`]: hands out a whole state in order
//! - [`compare`]: the index against memory
//! - [`compact`]: writes an index anew that has grown far beyond what it holds

pub mod compact;
pub mod compare;
pub mod follower;
pub mod plain;
pub mod sled;
pub mod state;

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::store::codec::Value;
use crate::store::key::Key;
use crate::store::{Identity, Revision, Space};

/// One sorted map of the index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Tree {
    /// What is also held in memory.
    Hot(Space),
    /// What is not.
    Cold(Space),
    /// What is folded from one event partition, 0 to 15, and kept by
    /// [`fold`](crate::store::fold).
    Fold(u8),
}

impl fmt::Display for Tree {
    /// Its name in sled: `config`, `config.cold`, `fold.07`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hot(space) => f.write_str(space.name()),
            Self::Cold(space) => write!(f, "{}.cold", space.name()),
            Self::Fold(partition) => write!(f, "fold.{partition:02}"),
        }
    }
}

/// What a tree says it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// Whose records; the space is the tree's.
    pub identity: Identity,
    /// Newest commit taken in.
    pub revision: Revision,
    /// Number of records.
    pub entries: u64,
    /// Wrapping sum of CRC(key ‖ value) over all records.
    pub sum: u64,
}

impl Applied {
    /// An empty tree at `revision`.
    pub fn empty(identity: Identity, revision: Revision) -> Self {
        Self {
            identity,
            revision,
            entries: 0,
            sum: 0,
        }
    }

    /// One record more.
    pub fn add(&mut self, key: &Key, value: &[u8]) {
        self.entries += 1;
        self.sum = self.sum.wrapping_add(share(key, value));
    }

    /// One record less.
    pub fn remove(&mut self, key: &Key, value: &[u8]) {
        self.entries = self.entries.wrapping_sub(1);
        self.sum = self.sum.wrapping_sub(share(key, value));
    }
}

fn share(key: &Key, value: &[u8]) -> u64 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(key.as_str().as_bytes());
    crc.update(value);
    u64::from(crc.finalize())
}

/// The newest change of each key of several commits.
pub type Batch = BTreeMap<Key, Option<Value>>;

/// A record as the index holds it: not yet checked.
pub type Stored = (Key, Vec<u8>);

/// The index failed; it will be reopened or rebuilt.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("index: {why}")]
pub struct IndexError {
    /// What it said.
    pub why: String,
}

impl IndexError {
    /// From whatever was said.
    pub fn new(why: impl fmt::Display) -> Self {
        Self {
            why: why.to_string(),
        }
    }
}

/// Sorted trees of records. Nothing it says is trusted until checked.
pub trait Index: Send + Sync + fmt::Debug {
    /// What a tree says it holds; `None` if it says nothing.
    ///
    /// # Errors
    /// [`IndexError`].
    fn applied(&self, tree: Tree) -> Result<Option<Applied>, IndexError>;

    /// Takes in changes, and that they lead to `revision`, as one batch.
    ///
    /// # Errors
    /// [`IndexError`]; also if the tree was never [`load`](Self::load)ed.
    fn apply(&self, tree: Tree, batch: &Batch, revision: Revision) -> Result<(), IndexError>;

    /// Replaces a tree by these records. Interrupted, it leaves a tree that says nothing.
    ///
    /// # Errors
    /// [`IndexError`].
    fn load(
        &self,
        tree: Tree,
        records: &mut dyn Iterator<Item = Stored>,
        at: Applied,
    ) -> Result<(), IndexError>;

    /// One record.
    ///
    /// # Errors
    /// [`IndexError`].
    fn get(&self, tree: Tree, key: &Key) -> Result<Option<Vec<u8>>, IndexError>;

    /// At most `max` records whose key begins with `prefix` and lies behind `after`, ascending.
    ///
    /// # Errors
    /// [`IndexError`].
    fn scan(
        &self,
        tree: Tree,
        prefix: &str,
        after: Option<&Key>,
        max: usize,
    ) -> Result<Vec<Stored>, IndexError>;

    /// Hands what was taken in to the operating system.
    ///
    /// # Errors
    /// [`IndexError`].
    fn flush(&self) -> Result<(), IndexError>;
}

/// How much of a damaged index is thrown away to get it open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rung {
    /// Nothing.
    AsIs,
    /// Half-written snapshot files.
    WithoutGenerating,
    /// All snapshot files.
    WithoutSnapshots,
    /// Everything: a new, empty index.
    Empty,
}

impl Rung {
    /// From the gentlest to the last.
    pub const LADDER: [Self; 4] = [
        Self::AsIs,
        Self::WithoutGenerating,
        Self::WithoutSnapshots,
        Self::Empty,
    ];
}

/// Opens an index, again and again if need be.
pub trait IndexHome: Send + Sync + fmt::Debug {
    /// Opens the index in `dir`; what the rung throws away moves to `quarantine`.
    ///
    /// # Errors
    /// [`IndexError`]; the next rung may do better.
    fn open(&self, dir: &Path, quarantine: &Path, rung: Rung)
    -> Result<Arc<dyn Index>, IndexError>;

    /// Bytes that the index in `dir` takes on disk; 0 where it takes none, as in memory.
    ///
    /// # Errors
    /// [`IndexError`].
    fn disk_bytes(&self, _dir: &Path) -> Result<u64, IndexError> {
        Ok(0)
    }

    /// Opens an empty index beside the one in `dir`, over whatever a crash left there.
    ///
    /// # Errors
    /// [`IndexError`]; always, where an index takes no disk.
    fn open_beside(&self, _dir: &Path) -> Result<Arc<dyn Index>, IndexError> {
        Err(IndexError::new("there is nothing beside this index"))
    }

    /// Puts the index beside `dir` in its place, and removes the old one; both are closed.
    /// Interrupted, it may leave none in place: the next open makes an empty one.
    ///
    /// # Errors
    /// [`IndexError`]; there may be none in place.
    fn take_beside(&self, _dir: &Path) -> Result<(), IndexError> {
        Err(IndexError::new("there is nothing beside this index"))
    }
}

/// Records read at a time while a tree is walked.
pub(in crate::store) const PAGE: usize = 1_000;

/// Hands out every record of a tree, ascending, and checks count and sum at the end.
///
/// # Errors
/// [`IndexError`] if the tree says nothing, belongs to another journal, holds a damaged value, or
/// disagrees with its count or sum.
pub fn walk(
    index: &dyn Index,
    tree: Tree,
    identity: Identity,
    each: &mut dyn FnMut(Key, Value),
) -> Result<Revision, IndexError> {
    let said = index
        .applied(tree)?
        .ok_or_else(|| IndexError::new(format!("{tree} is incomplete")))?;
    let mut found = Applied::empty(identity, said.revision);
    let mut after: Option<Key> = None;
    loop {
        let page = index.scan(tree, "", after.as_ref(), PAGE)?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.clone());
        for (key, bytes) in page {
            found.add(&key, &bytes);
            let value = Value::open(&key, &bytes).map_err(IndexError::new)?;
            each(key, value);
        }
    }
    if found == said {
        Ok(said.revision)
    } else {
        Err(IndexError::new(format!("{tree} disagrees with its sum")))
    }
}
