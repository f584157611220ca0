//! Takes what was committed into the index, lazily, and rebuilds it when it is lost.
//!
//! Nothing here is on the way of a commit: if the index fails, it is taken out of use, reopened
//! or rebuilt, and put back once it has caught up.

use std::path::PathBuf;
use std::sync::{Arc, PoisonError};

use crate::store::codec::Value;
use crate::store::commit::FollowError;
use crate::store::fault::fault;
use crate::store::fold::FoldStore;
use crate::store::index::plain::stored;
use crate::store::index::state::IndexState;
use crate::store::index::{Applied, Batch, Index, IndexError, IndexHome, Rung, Tree, walk};
use crate::store::journal::frame::SharedRecord;
use crate::store::key::Key;
use crate::store::seam::{BackupPoint, Backups};
use crate::store::shared::{IndexSlot, Shared};
use crate::store::{Identity, Mode, Revision};

/// Most commits of a batch.
const BATCH_COMMITS_MAX: usize = 1_000;

/// Bytes of values from which a batch is closed.
const BATCH_BYTES: usize = 8 << 20;

/// The index follower of all spaces with keys.
#[derive(Debug)]
pub struct Follower {
    pub(in crate::store::index) spaces: Vec<Arc<Shared>>,
    /// The event log: it has no keys, but its newest revision is noted, so that a start notices
    /// when its end is missing.
    log: Option<EventsLog>,
    /// Who changes trees of the index beside the follower.
    pub(in crate::store::index) folds: Option<FoldStore>,
    pub(in crate::store::index) slot: IndexSlot,
    pub(in crate::store::index) home: Arc<dyn IndexHome>,
    backups: Arc<dyn Backups>,
    pub(in crate::store::index) dir: PathBuf,
    pub(in crate::store::index) quarantine: PathBuf,
    /// Open but perhaps not caught up yet.
    pub(in crate::store::index) index: Option<Arc<dyn Index>>,
    /// Whether readers were given it.
    pub(in crate::store::index) is_in_use: bool,
    /// Whether its cold trees were checked, or made by this process.
    is_checked: bool,
    pub(in crate::store::index) positions: Vec<Position>,
}

/// The event log and the revision that the index notes.
#[derive(Debug)]
struct EventsLog {
    shared: Arc<Shared>,
    noted: Revision,
}

#[derive(Clone, Copy, Debug)]
pub(in crate::store::index) struct Position {
    pub(in crate::store::index) hot: Revision,
    cold: Revision,
}

/// How far a step came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Everything durable is in the index.
    CaughtUp,
    /// There is more.
    Behind,
    /// There is no room, or no index can be opened; try again later.
    Waiting,
}

impl Follower {
    /// A follower without an index yet.
    pub fn new(
        spaces: Vec<Arc<Shared>>,
        slot: IndexSlot,
        home: Arc<dyn IndexHome>,
        backups: Arc<dyn Backups>,
        dir: PathBuf,
        quarantine: PathBuf,
    ) -> Self {
        Self {
            spaces,
            log: None,
            folds: None,
            slot,
            home,
            backups,
            dir,
            quarantine,
            index: None,
            is_in_use: false,
            is_checked: false,
            positions: Vec::new(),
        }
    }

    /// Has the newest revision of the event log noted as well.
    #[must_use]
    pub fn noting(mut self, events: Arc<Shared>) -> Self {
        self.log = Some(EventsLog {
            shared: events,
            noted: Revision::ZERO,
        });
        self
    }

    /// Has these trees stand still while the index is written anew.
    #[must_use]
    pub fn pausing(mut self, folds: FoldStore) -> Self {
        self.folds = Some(folds);
        self
    }

    /// Goes on with an index whose hot trees start has just walked.
    ///
    /// # Errors
    /// [`IndexError`] if a cold tree says nothing; then it is better rebuilt.
    pub fn adopt(&mut self, index: Arc<dyn Index>) -> Result<(), IndexError> {
        let mut positions = Vec::new();
        for shared in &self.spaces {
            positions.push(position_of(index.as_ref(), shared)?);
        }
        if let Some(log) = &mut self.log {
            match noted(index.as_ref(), log.shared.identity()) {
                Some(revision) => log.noted = revision,
                None => log.begin(index.as_ref())?,
            }
        }
        self.positions = positions;
        self.index = Some(index);
        Ok(())
    }

    /// One step: a batch for each tree, or a rebuild if there is no index.
    pub fn step(&mut self) -> Progress {
        if self
            .spaces
            .iter()
            .any(|shared| matches!(shared.mode(), Mode::Low | Mode::Full))
        {
            return Progress::Waiting;
        }
        if self.was_dropped() {
            self.drop_index();
        }
        if self.index.is_none() && self.rebuild().is_err() {
            return Progress::Waiting;
        }
        let Some(index) = self.index.clone() else {
            return Progress::Waiting;
        };
        match self.catch_up(index.as_ref()) {
            Ok(true) => {
                *self.slot.write().unwrap_or_else(PoisonError::into_inner) = Some(index);
                self.is_in_use = true;
                Progress::CaughtUp
            }
            Ok(false) => Progress::Behind,
            Err(error) => {
                tracing::warn!(%error, "the index is dropped");
                self.drop_index();
                Progress::Behind
            }
        }
    }

    /// Steps until the index holds everything; false if it cannot, for want of room or of a base.
    pub fn catch_up_wholly(&mut self) -> bool {
        for _ in 0..1_000_000 {
            match self.step() {
                Progress::Behind => {}
                Progress::Waiting => return false,
                Progress::CaughtUp => return true,
            }
        }
        true
    }

    /// Steps until the index holds everything, for a clean stop; gives up without room.
    pub fn finish(&mut self) {
        if !self.catch_up_wholly() {
            return;
        }
        if let Some(Err(error)) = self.index.as_ref().map(|index| index.flush()) {
            tracing::warn!(%error, "the index was not flushed");
        }
    }

    /// The states that the index holds, one for each space followed. They stay as they are for as
    /// long as the follower is borrowed; commits go on meanwhile.
    ///
    /// # Errors
    /// [`IndexError`] if the index is not there, or one space's trees are at two revisions.
    pub fn states(&self) -> Result<Vec<IndexState<'_>>, IndexError> {
        let index = self.index.as_deref();
        let index = index.ok_or_else(|| IndexError::new("no index"))?;
        let mut states = Vec::new();
        for (shared, position) in self.spaces.iter().zip(&self.positions) {
            if position.hot != position.cold {
                return Err(IndexError::new("the trees are not at one revision"));
            }
            let point = BackupPoint {
                identity: shared.identity(),
                revision: position.hot,
                as_of: shared.time_of(position.hot),
            };
            states.push(IndexState::new(index, point));
        }
        Ok(states)
    }

    /// Whether a reader found the index in use to be damaged.
    fn was_dropped(&self) -> bool {
        let slot = self.slot.read().unwrap_or_else(PoisonError::into_inner);
        self.is_in_use && slot.is_none()
    }

    /// Takes the index out of use; the next step builds another.
    pub(in crate::store::index) fn drop_index(&mut self) {
        self.index = None;
        self.is_in_use = false;
        *self.slot.write().unwrap_or_else(PoisonError::into_inner) = None;
        for shared in &self.spaces {
            shared.set_applied(None);
        }
    }

    /// Takes one batch into each tree; true if all have everything.
    fn catch_up(&mut self, index: &dyn Index) -> Result<bool, IndexError> {
        let mut complete = true;
        for (shared, position) in self.spaces.iter().zip(&mut self.positions) {
            let space = shared.identity().space;
            let before = *position;
            let records = records_after(shared, before.hot.min(before.cold))?;
            let taken = batch_of(&records);
            let Some(last) = taken.last().map(|record| record.revision) else {
                shared.set_applied(Some((before.hot, before.cold)));
                continue;
            };
            let cold = changes(taken, before.cold, Key::is_cold);
            fault!("index.before-batch");
            if before.cold < last {
                index.apply(Tree::Cold(space), &cold, last)?;
                position.cold = last;
            }
            fault!("index.between-trees");
            let hot = changes(taken, before.hot, |key| !key.is_cold());
            if before.hot < last {
                index.apply(Tree::Hot(space), &hot, last)?;
                position.hot = last;
            }
            fault!("index.after-batch");
            shared.set_applied(Some((position.hot, position.cold)));
            complete &= shared.revision() <= last;
        }
        if let Some(log) = &mut self.log {
            log.note(index)?;
        }
        Ok(complete)
    }

    /// A new index: hot trees from memory, cold trees from the newest base that the journal
    /// leads on from.
    fn rebuild(&mut self) -> Result<(), IndexError> {
        self.drop_index();
        let index = self.home.open(&self.dir, &self.quarantine, Rung::Empty)?;
        let mut positions = Vec::new();
        for shared in &self.spaces {
            let identity = shared.identity();
            let folded = shared.folded();
            let at = Applied::empty(identity, folded.revision());
            let mut hot = folded.iter().map(|(key, value)| stored(key, value));
            index.load(Tree::Hot(identity.space), &mut hot, at)?;
            fault!("rebuild.between-trees");
            let cold = self.rebuild_cold(index.as_ref(), shared)?;
            positions.push(Position {
                hot: folded.revision(),
                cold,
            });
        }
        if let Some(log) = &mut self.log {
            log.begin(index.as_ref())?;
        }
        fault!("rebuild.after-load");
        self.positions = positions;
        self.index = Some(index);
        self.is_checked = true;
        Ok(())
    }

    fn rebuild_cold(&self, index: &dyn Index, shared: &Shared) -> Result<Revision, IndexError> {
        let identity = shared.identity();
        let tree = Tree::Cold(identity.space);
        // Only a journal that begins too late rules a base out; a failing disk is waited for.
        let leads_on = |from: Revision| match shared.records_after(from) {
            Ok(_) => Ok(true),
            Err(FollowError::Compacted { .. } | FollowError::Regressed { .. }) => Ok(false),
            Err(error) => Err(IndexError::new(error)),
        };
        let points = self.backups.verified(identity).map_err(IndexError::new)?;
        for point in &points {
            if !leads_on(point.revision)? {
                continue;
            }
            let mut records = Vec::new();
            let read = self.backups.read(point, &mut |key, value| {
                if key.is_cold() {
                    records.push(stored(&key, &value));
                }
                Ok(())
            });
            if read.is_ok() {
                let at = Applied::empty(identity, point.revision);
                index.load(tree, &mut records.into_iter(), at)?;
                return Ok(point.revision);
            }
        }
        let begin = Revision(identity.era - 1);
        if 1 < identity.era || !leads_on(begin)? {
            // Saying "absent" of what is lost would be a lie, so cold keys stay unreadable.
            return Err(IndexError::new("cold records have no base left"));
        }
        index.load(
            tree,
            &mut std::iter::empty(),
            Applied::empty(identity, begin),
        )?;
        Ok(begin)
    }

    /// Records of the cold trees, by what they say.
    pub fn n_cold(&self) -> u64 {
        let Some(index) = &self.index else { return 0 };
        let said = |shared: &Arc<Shared>| {
            let tree = Tree::Cold(shared.identity().space);
            index
                .applied(tree)
                .ok()
                .flatten()
                .map_or(0, |applied| applied.entries)
        };
        self.spaces.iter().map(said).sum()
    }

    /// Checks, once, that the cold trees agree with themselves; drops the index if one does not.
    pub fn check_cold(&mut self) {
        if self.is_checked {
            return;
        }
        self.is_checked = true;
        let Some(index) = self.index.clone() else {
            return;
        };
        for shared in &self.spaces {
            let identity = shared.identity();
            let walked = walk(
                index.as_ref(),
                Tree::Cold(identity.space),
                identity,
                &mut |_, _| (),
            );
            if let Err(error) = walked {
                tracing::warn!(%error, "the index is rebuilt");
                self.drop_index();
                return;
            }
        }
    }
}

/// The newest revision of a log without keys that the index knows of; `None` if it knows none.
pub fn noted(index: &dyn Index, identity: Identity) -> Option<Revision> {
    let said = index.applied(Tree::Hot(identity.space)).ok().flatten()?;
    (said.identity == identity).then_some(said.revision)
}

impl EventsLog {
    /// Notes what is durable by now.
    fn note(&mut self, index: &dyn Index) -> Result<(), IndexError> {
        let last = self.shared.revision();
        if self.noted < last {
            let tree = Tree::Hot(self.shared.identity().space);
            index.apply(tree, &Batch::new(), last)?;
            self.noted = last;
        }
        Ok(())
    }

    /// The first note of an index.
    fn begin(&mut self, index: &dyn Index) -> Result<(), IndexError> {
        let (identity, last) = (self.shared.identity(), self.shared.revision());
        let tree = Tree::Hot(identity.space);
        index.load(
            tree,
            &mut std::iter::empty(),
            Applied::empty(identity, last),
        )?;
        self.noted = last;
        Ok(())
    }
}

fn position_of(index: &dyn Index, shared: &Shared) -> Result<Position, IndexError> {
    let identity = shared.identity();
    let of = |tree: Tree| match index.applied(tree)? {
        Some(said) if said.identity == identity && said.revision <= shared.revision() => {
            Ok(said.revision)
        }
        _ => Err(IndexError::new(format!("{tree} is no base"))),
    };
    Ok(Position {
        hot: of(Tree::Hot(identity.space))?,
        cold: of(Tree::Cold(identity.space))?,
    })
}

fn records_after(shared: &Shared, after: Revision) -> Result<Vec<SharedRecord>, IndexError> {
    shared
        .records_after(after)
        .map_err(|error: FollowError| IndexError::new(error))
}

/// The records of one batch.
fn batch_of(records: &[SharedRecord]) -> &[SharedRecord] {
    let mut bytes = 0;
    let mut taken = 0;
    for record in records.iter().take(BATCH_COMMITS_MAX) {
        let sizes = record
            .writes
            .iter()
            .map(|(_, value)| value.as_ref().map_or(0, |v| v.bytes().len()));
        bytes += sizes.sum::<usize>();
        taken += 1;
        if BATCH_BYTES <= bytes {
            break;
        }
    }
    &records[..taken]
}

fn changes(records: &[SharedRecord], after: Revision, fits: impl Fn(&Key) -> bool) -> Batch {
    let mut batch = Batch::new();
    for record in records.iter().filter(|record| after < record.revision) {
        for (key, value) in record.writes.iter().filter(|(key, _)| fits(key)) {
            let value: Option<Value> = value.clone();
            batch.insert(key.clone(), value);
        }
    }
    batch
}
