//! Every change after a revision: in order, whole commits, resumable.
//!
//! A follower holds no queue. It takes what is recent from memory and, when it has fallen behind
//! by more than 1,024 commits, what is older from the journal; so a slow one blocks nobody.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::watch;

use crate::store::Revision;
use crate::store::commit::FollowError;
use crate::store::journal::frame::SharedRecord;
use crate::store::shared::Shared;

/// Changes of one space after a revision.
#[derive(Debug)]
pub struct ChangeStream {
    shared: Arc<Shared>,
    watch: watch::Receiver<Revision>,
    after: Revision,
    buffer: VecDeque<SharedRecord>,
}

impl ChangeStream {
    /// Follows `shared` from the change after `after`.
    ///
    /// # Errors
    /// [`FollowError::Regressed`], [`FollowError::Compacted`] or [`FollowError::Unreadable`].
    pub fn new(shared: Arc<Shared>, after: Revision) -> Result<Self, FollowError> {
        let watch = shared.watch();
        let mut stream = Self {
            shared,
            watch,
            after,
            buffer: VecDeque::new(),
        };
        if let Some(records) = stream.shared.recent_after(after)? {
            stream.buffer.extend(records);
        } else {
            stream.buffer.extend(stream.shared.records_after(after)?);
        }
        Ok(stream)
    }

    /// Revision of the change handed out last.
    pub fn position(&self) -> Revision {
        self.after
    }

    /// The next change, if it is there; may read the journal.
    ///
    /// # Errors
    /// See [`FollowError`].
    pub fn try_next(&mut self) -> Result<Option<SharedRecord>, FollowError> {
        if self.buffer.is_empty() {
            self.buffer.extend(self.shared.records_after(self.after)?);
        }
        Ok(self.take())
    }

    /// Waits for the next change. Dropping the future loses nothing.
    ///
    /// # Errors
    /// See [`FollowError`].
    pub async fn next(&mut self) -> Result<SharedRecord, FollowError> {
        loop {
            if let Some(record) = self.take() {
                return Ok(record);
            }
            self.watch.borrow_and_update();
            match self.shared.recent_after(self.after)? {
                Some(records) if records.is_empty() => {
                    self.watch
                        .changed()
                        .await
                        .map_err(|_| FollowError::Closed)?;
                }
                Some(records) => self.buffer.extend(records),
                None => {
                    let (shared, after) = (self.shared.clone(), self.after);
                    let read = tokio::task::spawn_blocking(move || shared.records_after(after));
                    self.buffer
                        .extend(read.await.map_err(|_| FollowError::Unreadable)??);
                }
            }
        }
    }

    fn take(&mut self) -> Option<SharedRecord> {
        let record = self.buffer.pop_front()?;
        self.after = record.revision;
        Some(record)
    }
}
