//! One space as callers hold it: whatever kind of store runs beneath.

use std::io;
use std::sync::Arc;

use crate::store::codec::Value;
use crate::store::commit::{Commit, CommitError, FollowError};
use crate::store::committer::Queue;
use crate::store::folded::Folded;
use crate::store::follow::ChangeStream;
use crate::store::journal::frame::SharedRecord;
use crate::store::key::Key;
use crate::store::shared::{Rebuilding, Shared};
use crate::store::{Entry, Identity, Revision, StoreHealth};

/// A space of a running store. Clones share it.
#[derive(Clone, Debug)]
pub struct SpaceStore {
    shared: Arc<Shared>,
    queue: Arc<Queue>,
}

impl SpaceStore {
    pub(in crate::store) fn new(shared: Arc<Shared>, queue: Arc<Queue>) -> Self {
        Self { shared, queue }
    }

    /// Store, era and space.
    pub fn identity(&self) -> Identity {
        self.shared.identity()
    }

    /// Makes a commit; when this answers `Ok` it is durable, and in [`folded`](Self::folded).
    ///
    /// # Errors
    /// See [`CommitError`].
    pub async fn commit(&self, commit: Commit) -> Result<Revision, CommitError> {
        self.queue.commit(commit).await
    }

    /// All hot keys at one revision: one clone of an `Arc`.
    pub fn folded(&self) -> Arc<Folded> {
        self.shared.folded()
    }

    /// The newest durable revision.
    pub fn revision(&self) -> Revision {
        self.shared.revision()
    }

    /// The value of a key, hot or cold.
    ///
    /// # Errors
    /// [`Rebuilding`], for cold keys only.
    pub async fn get(&self, key: &Key) -> Result<Option<Value>, Rebuilding> {
        if !key.is_cold() {
            return self.shared.get(key);
        }
        let (shared, key) = (self.shared.clone(), key.clone());
        let read = tokio::task::spawn_blocking(move || shared.get(&key));
        read.await.unwrap_or(Err(Rebuilding))
    }

    /// At most `max` entries whose key begins with `prefix` and lies behind `after`, ascending.
    /// Cold ones if the first part of `prefix` names a cold kind, else hot ones.
    ///
    /// # Errors
    /// [`Rebuilding`], for cold keys only.
    pub async fn scan(
        &self,
        prefix: &str,
        after: Option<Key>,
        max: usize,
    ) -> Result<Vec<Entry>, Rebuilding> {
        let (shared, prefix) = (self.shared.clone(), prefix.to_owned());
        let read = tokio::task::spawn_blocking(move || shared.scan(&prefix, after.as_ref(), max));
        read.await.unwrap_or(Err(Rebuilding))
    }

    /// Every change after `after`.
    ///
    /// # Errors
    /// [`FollowError::Compacted`] or [`FollowError::Regressed`]; may read the journal.
    pub fn follow(&self, after: Revision) -> Result<ChangeStream, FollowError> {
        ChangeStream::new(self.shared.clone(), after)
    }

    /// As [`follow`](Self::follow), for a follower that has already followed `known`.
    ///
    /// # Errors
    /// [`FollowError::StoreChanged`] if that is not this store and era.
    pub fn follow_as(&self, known: Identity, after: Revision) -> Result<ChangeStream, FollowError> {
        if known == self.identity() {
            self.follow(after)
        } else {
            Err(FollowError::StoreChanged)
        }
    }

    /// Records after `after`, in order: at least one if there is one. May read the journal, so
    /// async callers use [`follow`](Self::follow) or a blocking thread.
    ///
    /// # Errors
    /// See [`FollowError`].
    pub fn records_after(&self, after: Revision) -> Result<Vec<SharedRecord>, FollowError> {
        self.shared.records_after(after)
    }

    /// How the space is.
    pub fn health(&self) -> StoreHealth {
        self.shared.health()
    }

    /// Forgets journal files whose records all lie before `before`; the newest file stays. Blocks.
    ///
    /// # Errors
    /// What the disk says.
    pub fn trim(&self, before: Revision) -> io::Result<()> {
        self.queue.trim(before)
    }

    pub(in crate::store) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }
}
