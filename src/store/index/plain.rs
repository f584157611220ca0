//! An index in memory: for the memory store, and for simulations that damage it.

use std::collections::BTreeMap;
use std::ops::Bound::{Included, Unbounded};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::store::Revision;
use crate::store::codec::Value;
use crate::store::index::{Applied, Batch, Index, IndexError, IndexHome, Rung, Stored, Tree};
use crate::store::key::Key;

/// Records of a tree, and what it says of itself.
pub type PlainTree = (BTreeMap<Key, Vec<u8>>, Option<Applied>);

/// What a plain index holds, tree by tree.
#[derive(Clone, Debug, Default)]
pub struct Content {
    /// The trees.
    pub trees: BTreeMap<Tree, PlainTree>,
}

/// An index in memory. Clones share it; it is its own home, so it outlives a "restart".
#[derive(Clone, Debug, Default)]
pub struct PlainIndex(Arc<Mutex<Content>>);

impl PlainIndex {
    /// A copy of what it holds.
    pub fn content(&self) -> Content {
        self.lock().clone()
    }

    /// Puts other content in its place: an older copy, or a damaged one.
    pub fn replace(&self, content: Content) {
        *self.lock() = content;
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl IndexHome for PlainIndex {
    fn open(&self, _: &Path, _: &Path, rung: Rung) -> Result<Arc<dyn Index>, IndexError> {
        if rung == Rung::Empty {
            self.replace(Content::default());
        }
        Ok(Arc::new(self.clone()))
    }
}

impl Index for PlainIndex {
    fn applied(&self, tree: Tree) -> Result<Option<Applied>, IndexError> {
        Ok(self.lock().trees.get(&tree).and_then(|tree| tree.1))
    }

    fn apply(&self, tree: Tree, batch: &Batch, revision: Revision) -> Result<(), IndexError> {
        let mut content = self.lock();
        let Some((records, Some(applied))) = content.trees.get_mut(&tree) else {
            return Err(IndexError::new(format!("{tree} was never loaded")));
        };
        for (key, value) in batch {
            let bytes = value.as_ref().map(|value| value.bytes().to_vec());
            if let Some(bytes) = &bytes {
                applied.add(key, bytes);
            }
            let old = match bytes {
                Some(bytes) => records.insert(key.clone(), bytes),
                None => records.remove(key),
            };
            if let Some(old) = old {
                applied.remove(key, &old);
            }
        }
        applied.revision = revision;
        Ok(())
    }

    fn load(
        &self,
        tree: Tree,
        records: &mut dyn Iterator<Item = Stored>,
        mut at: Applied,
    ) -> Result<(), IndexError> {
        let records: BTreeMap<Key, Vec<u8>> = records.collect();
        for (key, bytes) in &records {
            at.add(key, bytes);
        }
        self.lock().trees.insert(tree, (records, Some(at)));
        Ok(())
    }

    fn get(&self, tree: Tree, key: &Key) -> Result<Option<Vec<u8>>, IndexError> {
        let content = self.lock();
        Ok(content
            .trees
            .get(&tree)
            .and_then(|tree| tree.0.get(key).cloned()))
    }

    fn scan(
        &self,
        tree: Tree,
        prefix: &str,
        after: Option<&Key>,
        max: usize,
    ) -> Result<Vec<Stored>, IndexError> {
        let content = self.lock();
        let Some((records, _)) = content.trees.get(&tree) else {
            return Ok(Vec::new());
        };
        let start = after.map_or(prefix, |after| prefix.max(after.as_str()));
        let found = records
            .range::<str, _>((Included(start), Unbounded))
            .filter(|(key, _)| Some(*key) != after)
            .take_while(|(key, _)| key.as_str().starts_with(prefix))
            .take(max);
        Ok(found
            .map(|(key, bytes)| (key.clone(), bytes.clone()))
            .collect())
    }

    fn flush(&self) -> Result<(), IndexError> {
        Ok(())
    }
}

/// A value as the index stores it.
pub fn stored(key: &Key, value: &Value) -> Stored {
    (key.clone(), value.bytes().to_vec())
}
