//! One group of commits: ids, guards, one frame, one fold, one swap.
//!
//! No thread and no clock here, so that simulations run it step by step;
//! [`committer`](crate::store::committer) gives it a thread.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;

use crate::store::codec::Value;
use crate::store::commit::{Commit, CommitError, CommitId, Expected, Purpose};
use crate::store::fault::fault;
use crate::store::ids::RecentIds;
use crate::store::journal::frame::{Frame, Record, SharedRecord};
use crate::store::key::Key;
use crate::store::room::Gauge;
use crate::store::seam::{AppendError, CommitLog};
use crate::store::shared::Shared;
use crate::store::{Mode, Revision, Space};

/// Most commits of a group.
pub const GROUP_MAX: usize = 256;

/// The only one who writes to a space.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    log: Box<dyn CommitLog>,
    ids: RecentIds,
    gauge: Option<Gauge>,
}

/// What the earlier commits of a group have done, before any of it is durable.
#[derive(Default)]
struct Group {
    records: Vec<SharedRecord>,
    /// Revision of the last change of each key touched; `None` where it was deleted.
    keys: BTreeMap<Key, Option<Revision>>,
    ids: HashMap<CommitId, Revision>,
}

impl Writer {
    /// Writes to `log`, whose newest state `shared` holds. Without a gauge room never ends.
    pub fn new(
        shared: Arc<Shared>,
        log: Box<dyn CommitLog>,
        ids: RecentIds,
        gauge: Option<Gauge>,
    ) -> Self {
        Self {
            shared,
            log,
            ids,
            gauge,
        }
    }

    /// What callers see.
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Looks how much room there is. A space that is read-only stays so until restart.
    pub fn check_room(&self) {
        let Some(gauge) = &self.gauge else { return };
        let (free_bytes, mode) = gauge.look();
        self.shared.set_free_bytes(free_bytes);
        if !matches!(self.shared.mode(), Mode::ReadOnly | Mode::Older) {
            self.shared.set_mode(mode);
        }
    }

    /// Makes at most [`GROUP_MAX`] commits, of together at most 768 KiB, with one sync. Answers
    /// in their order.
    pub fn group(&mut self, commits: &[Commit]) -> Vec<Result<Revision, CommitError>> {
        self.check_room();
        let mode = self.shared.mode();
        let last = self.shared.revision();
        let mut group = Group::default();
        let mut answers = Vec::with_capacity(commits.len());
        for commit in commits {
            let answer = self.admit(commit, mode, &group);
            answers.push(answer.map(|()| {
                let revision = Revision(last.0 + group.records.len() as u64 + 1);
                group.add(commit, revision);
                revision
            }));
        }
        if group.records.is_empty() {
            return answers;
        }
        match self.log.append(last, &Frame::of(&group.records)) {
            Ok(()) => self.publish(&group),
            Err(error) => {
                let said = self.stop(error);
                for answer in &mut answers {
                    if rests_on_the_group(answer, last) {
                        *answer = Err(said.clone());
                    }
                }
            }
        }
        answers
    }

    /// Forgets journal files whose records all lie before `before`.
    ///
    /// # Errors
    /// What the disk says.
    pub fn trim(&mut self, before: Revision) -> io::Result<()> {
        self.log.trim(before)
    }

    fn admit(&self, commit: &Commit, mode: Mode, group: &Group) -> Result<(), CommitError> {
        commit.check_limits()?;
        let known = self.ids.get(commit.id);
        if let Some(revision) = known.or_else(|| group.ids.get(&commit.id).copied()) {
            return Err(CommitError::AlreadyDone(revision));
        }
        match mode {
            Mode::ReadOnly | Mode::Older => return Err(CommitError::ReadOnly),
            Mode::Full => return Err(CommitError::Full),
            Mode::Low if commit.purpose == Purpose::Ordinary => return Err(CommitError::Full),
            Mode::Low | Mode::Ok => {}
        }
        let is_cold = commit.writes.iter().any(|write| write.key.is_cold());
        if is_cold && !self.shared.has_room_for_cold() {
            return Err(CommitError::ReadOnly);
        }
        for (key, expected) in &commit.guards {
            let current = self.changed_at(key, group)?;
            let holds = match expected {
                Expected::Absent => current.is_none(),
                Expected::At(revision) => current == Some(*revision),
            };
            if !holds {
                let key = key.clone();
                return Err(CommitError::Conflict { key, current });
            }
        }
        Ok(())
    }

    /// Revision of a key's last change, the group's earlier commits included.
    fn changed_at(&self, key: &Key, group: &Group) -> Result<Option<Revision>, CommitError> {
        if let Some(changed) = group.keys.get(key) {
            return Ok(*changed);
        }
        let value = self.shared.get(key).map_err(|_| CommitError::ReadOnly)?;
        Ok(value.as_ref().map(Value::revision))
    }

    fn publish(&mut self, group: &Group) {
        for record in &group.records {
            self.ids.add(record.id, record.revision);
        }
        let mut folded = self.shared.folded().as_ref().clone();
        let keeps_keys = self.shared.identity().space != Space::Events;
        for record in &group.records {
            let writes = if keeps_keys {
                record.writes.as_slice()
            } else {
                &[]
            };
            folded.apply(record.revision, writes);
        }
        fault!("group.before-swap");
        self.shared.publish(folded, &group.records);
        fault!("group.after-swap");
    }

    /// What a failed append means for the space and for those who wait.
    fn stop(&self, error: AppendError) -> CommitError {
        tracing::warn!(space = self.shared.identity().space.name(), %error, "a group failed");
        let (mode, said) = match error {
            AppendError::Full => (Mode::Full, CommitError::Full),
            AppendError::Unknown => (Mode::ReadOnly, CommitError::Unknown),
            AppendError::ReadOnly | AppendError::Elsewhere(_) => {
                (Mode::ReadOnly, CommitError::ReadOnly)
            }
        };
        self.shared.set_mode(mode);
        said
    }
}

impl Group {
    fn add(&mut self, commit: &Commit, revision: Revision) {
        let record = Record::of(commit, revision);
        for (key, value) in &record.writes {
            self.keys
                .insert(key.clone(), value.as_ref().map(|_| revision));
        }
        self.ids.insert(commit.id, revision);
        self.records.push(Arc::new(record));
    }
}

/// Whether an answer speaks of what its group did, which did not happen.
fn rests_on_the_group(answer: &Result<Revision, CommitError>, last: Revision) -> bool {
    match answer {
        Ok(_) => true,
        Err(CommitError::AlreadyDone(revision)) => last < *revision,
        // A guarded key that the group deleted names no revision; it rests on the group as well.
        Err(CommitError::Conflict { current, .. }) => current.is_none_or(|at| last < at),
        Err(_) => false,
    }
}
