//! The index against memory, page by page, while both go on.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::store::Revision;
use crate::store::codec::Value;
use crate::store::index::follower::Follower;
use crate::store::index::{IndexError, PAGE, Stored, Tree};
use crate::store::key::Key;
use crate::store::shared::Shared;

/// Where a comparison goes on, and what it read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// Last key of the page; `None` behind the last page.
    pub last: Option<Key>,
    /// Bytes of its keys and values.
    pub n_bytes: u64,
}

impl Follower {
    /// The trees that [`compare`](Self::compare) knows.
    pub fn compared_trees(&self) -> Vec<Tree> {
        let spaces = self.spaces.iter().map(|shared| shared.identity().space);
        spaces
            .flat_map(|space| [Tree::Hot(space), Tree::Cold(space)])
            .collect()
    }

    /// Compares the page of a tree behind `after`: hot records with memory, cold ones with their
    /// own CRC. `None` if there is no index to compare. An index that disagrees is dropped, and
    /// the next step builds another.
    ///
    /// # Errors
    /// [`IndexError`] that says what is wrong with it.
    pub fn compare(
        &mut self,
        tree: Tree,
        after: Option<&Key>,
    ) -> Result<Option<Compared>, IndexError> {
        self.catch_up_wholly();
        let space = match tree {
            Tree::Hot(space) | Tree::Cold(space) => space,
            Tree::Fold(_) => return Ok(None),
        };
        let place = self
            .spaces
            .iter()
            .position(|shared| shared.identity().space == space);
        let (Some(index), Some(place)) = (self.index_in_use(), place) else {
            return Ok(None);
        };
        let shared = self.spaces[place].clone();
        let compared = index
            .scan(tree, "", after, PAGE)
            .and_then(|page| match tree {
                Tree::Hot(_) => {
                    let from = self.positions[place].hot;
                    compare_hot(&shared, from, after, &page).map(|()| page)
                }
                _ => check_values(&page).map(|()| page),
            });
        match compared {
            Ok(page) => Ok(Some(Compared {
                last: page.last().map(|(key, _)| key.clone()),
                n_bytes: page.iter().map(bytes_of).sum(),
            })),
            Err(error) => {
                self.drop_index();
                Err(error)
            }
        }
    }
}

fn bytes_of((key, bytes): &Stored) -> u64 {
    (key.as_str().len() + bytes.len()) as u64
}

/// Compares a page of the index as of `from` with memory, which may be ahead: what was changed
/// since is left out on both sides.
fn compare_hot(
    shared: &Arc<Shared>,
    from: Revision,
    after: Option<&Key>,
    page: &[Stored],
) -> Result<(), IndexError> {
    let folded = shared.folded();
    let changed = changed_keys(shared, from, folded.revision())?;
    // A full page ends at its last key; a shorter one is the end of the tree.
    let last = page.last().map(|(key, _)| key);
    let last = last.filter(|_| page.len() == PAGE);
    let held = folded
        .scan("", after)
        .take_while(|(key, _)| last.is_none_or(|last| *key <= last))
        .filter(|(key, _)| !changed.contains(*key))
        .map(|(key, value)| (key, value.bytes()));
    let stored = page
        .iter()
        .map(|(key, bytes)| (key, bytes.as_slice()))
        .filter(|(key, _)| !changed.contains(*key));
    if held.eq(stored) {
        return Ok(());
    }
    let space = shared.identity().space.name();
    Err(IndexError::new(format!("{space} disagrees with memory")))
}

/// Keys that were changed by commits in `(from, to]`.
fn changed_keys(
    shared: &Shared,
    from: Revision,
    to: Revision,
) -> Result<BTreeSet<Key>, IndexError> {
    let mut changed = BTreeSet::new();
    let mut position = from;
    while position < to {
        let records = shared.records_after(position).map_err(IndexError::new)?;
        let Some(last) = records.last().map(|record| record.revision) else {
            return Err(IndexError::new("commits that memory holds are missing"));
        };
        let keys = records.iter().flat_map(|record| &record.writes);
        changed.extend(keys.map(|(key, _)| key.clone()));
        position = last;
    }
    Ok(changed)
}

fn check_values(page: &[Stored]) -> Result<(), IndexError> {
    for (key, bytes) in page {
        Value::open(key, bytes).map_err(|error| IndexError::new(format!("{key}: {error}")))?;
    }
    Ok(())
}
