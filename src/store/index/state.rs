//! The whole state of a space as the index holds it, walked in order.

use std::collections::VecDeque;

use crate::store::backup::BackupError;
use crate::store::codec::Value;
use crate::store::index::{Applied, Index, IndexError, PAGE, Stored, Tree};
use crate::store::key::Key;
use crate::store::seam::{BackupPoint, EachRecord, State};

/// The whole state of one space as the index holds it.
#[derive(Clone, Copy, Debug)]
pub struct IndexState<'a> {
    index: &'a dyn Index,
    point: BackupPoint,
}

impl<'a> IndexState<'a> {
    /// What `index` holds at `point`, as long as nobody applies anything.
    pub(in crate::store::index) fn new(index: &'a dyn Index, point: BackupPoint) -> Self {
        Self { index, point }
    }

    /// Whose state this is, and which.
    pub fn point(&self) -> BackupPoint {
        self.point
    }

    fn check(&self, pages: &Pages<'_>) -> Result<(), IndexError> {
        if self.index.applied(pages.tree)? == Some(pages.found) {
            return Ok(());
        }
        Err(IndexError::new(format!(
            "{} disagrees with its sum",
            pages.tree
        )))
    }
}

impl State for IndexState<'_> {
    fn walk(&self, each: EachRecord<'_>) -> Result<(), BackupError> {
        let space = self.point.identity.space;
        let empty = Applied::empty(self.point.identity, self.point.revision);
        let mut hot = Pages::new(self.index, Tree::Hot(space), empty);
        let mut cold = Pages::new(self.index, Tree::Cold(space), empty);
        loop {
            let next = match (hot.peek()?, cold.peek()?) {
                (Some(a), Some(b)) if b < a => cold.take(),
                (None, Some(_)) => cold.take(),
                _ => hot.take(),
            };
            let Some((key, bytes)) = next else { break };
            let value = Value::open(&key, &bytes).map_err(IndexError::new)?;
            each(key, value)?;
        }
        self.check(&hot)?;
        Ok(self.check(&cold)?)
    }
}

/// The records of a tree, page by page, counted.
pub(in crate::store::index) struct Pages<'a> {
    index: &'a dyn Index,
    tree: Tree,
    found: Applied,
    page: VecDeque<Stored>,
    after: Option<Key>,
    is_over: bool,
}

impl<'a> Pages<'a> {
    /// All records of `tree`, counted on top of `found`.
    pub(in crate::store::index) fn new(index: &'a dyn Index, tree: Tree, found: Applied) -> Self {
        Self {
            index,
            tree,
            found,
            page: VecDeque::new(),
            after: None,
            is_over: false,
        }
    }

    /// The next key, if there is one.
    ///
    /// # Errors
    /// [`IndexError`].
    pub(in crate::store::index) fn peek(&mut self) -> Result<Option<&Key>, IndexError> {
        if self.page.is_empty() && !self.is_over {
            let after = self.after.as_ref();
            self.page = self.index.scan(self.tree, "", after, PAGE)?.into();
            self.after = self.page.back().map(|(key, _)| key.clone());
            self.is_over = self.page.is_empty();
        }
        Ok(self.page.front().map(|(key, _)| key))
    }

    /// The record that was looked at, and on to the next.
    pub(in crate::store::index) fn take(&mut self) -> Option<Stored> {
        let (key, bytes) = self.page.pop_front()?;
        self.found.add(&key, &bytes);
        Some((key, bytes))
    }
}
