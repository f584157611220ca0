//! An earlier state, or the newest that is whole, becomes the current one in a new era.
//!
//! Nothing of the old generation changes: it stays beside the new one, and with it all that came
//! later. Events are facts about shoppers, whatever people edited, so all that can be read come
//! along, renumbered.

use std::io;
use std::path::Path;

use crate::domain::time::Timestamp;
use crate::store::backup::BackupError;
use crate::store::backup::build::{Building, lock_of};
use crate::store::chunk::{ChunkError, ChunkStore};
use crate::store::index::{Index, Rung, Tree};
use crate::store::journal::frame::Frame;
use crate::store::journal::recover;
use crate::store::layout::{FORMAT_VERSION, Format, Generation};
use crate::store::room::Gauge;
use crate::store::seam::BackupPoint;
use crate::store::start::find;
use crate::store::start::history::{self, Opening, Scanned};
use crate::store::start::{self, Parts, Settings, StartError};
use crate::store::{Identity, Revision, Space};

/// What is to be restored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The newest state that is whole.
    Newest,
    /// `config` at this revision, everything else as of the time of that commit.
    Revision(Revision),
    /// Everything as of this instant.
    Time(Timestamp),
}

/// Whether commits may be given up that are there, or were.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// No: the restore is refused.
    Refused,
    /// Yes; they stay readable in the old generation.
    Accepted,
}

/// What becomes of one space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// The space.
    pub space: Space,
    /// Revision whose state is restored.
    pub to: Revision,
    /// Highest revision that ever was, as far as can be told.
    pub highest: Revision,
}

/// What a restore made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// Where it is.
    pub generation: Generation,
    /// Store and era; its space is `config`.
    pub identity: Identity,
    /// `config` and `trade`.
    pub steps: Vec<Step>,
    /// Commits of events that came along.
    pub n_events: u64,
    /// Chunks that came along.
    pub n_chunks: u64,
}

/// Why nothing was restored. The directory is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The directory is in use, of a newer version, or cannot be read.
    #[error(transparent)]
    Directory(#[from] StartError),
    /// No state can be built at or before the target.
    #[error("{space}: there is no base for a state at or before the target", space = .space.name())]
    NoBase {
        /// The space.
        space: Space,
    },
    /// No base leads to just this revision.
    #[error("no base leads to revision {wished}; the nearest before is {nearest}")]
    Unreachable {
        /// What was asked for.
        wished: Revision,
        /// What can be had.
        nearest: Revision,
    },
    /// Commits would be given up.
    #[error("commits would be lost: {steps:?}; `--accept-loss` restores all the same")]
    Loss {
        /// How many, space by space.
        steps: Vec<Step>,
    },
    /// The new generation could not be written.
    #[error(transparent)]
    Write(#[from] BackupError),
}

/// Makes an earlier or the newest whole state of the store in `settings.path` the current one, in
/// a new era. Without a readable generation the newest backup is taken.
///
/// # Errors
/// [`RestoreError`]; nothing was changed but for a generation that nobody names.
pub fn restore(
    settings: &Settings,
    parts: &Parts,
    target: Target,
    loss: Loss,
) -> Result<Restored, RestoreError> {
    let _lock = lock_of(parts, &settings.path)?;
    let (generation, format) = source(settings, parts)?;
    let gauge = Gauge {
        disk: parts.disk.clone(),
        path: settings.path.clone(),
    };
    let opening = Opening {
        parts,
        generation: &generation,
        seal_bytes: start::seal_bytes(settings, parts.disk.as_ref()),
        gauge: &gauge,
        mode: gauge.look().1,
    };
    let (dir, quarantine) = (generation.index(), generation.quarantine());
    let index = match parts.disk.list(&dir) {
        Ok(_) => parts.index.open(&dir, &quarantine, Rung::AsIs).ok(),
        Err(_) => None,
    };
    let spaces = [Space::Config, Space::Trade].map(|space| Identity {
        store: format.store,
        era: format.era,
        space,
    });
    let mut past = Past {
        opening,
        index: index.as_deref(),
        limit: None,
    };
    if let Target::Time(limit) = target {
        past.limit = Some(limit);
    }
    let mut plans = Vec::new();
    for identity in spaces {
        let plan = past.plan(identity, target)?;
        past.limit = past
            .limit
            .or(plan.as_of.filter(|_| target != Target::Newest));
        plans.push(plan);
    }
    let steps: Vec<Step> = plans.iter().map(|plan| plan.step).collect();
    let is_loss = steps.iter().any(|step| step.to < step.highest);
    if is_loss && loss == Loss::Refused {
        return Err(RestoreError::Loss { steps });
    }
    Ok(past.build(&settings.path, &plans)?)
}

/// The generation to restore from, or the backups of one that is gone.
fn source(settings: &Settings, parts: &Parts) -> Result<(Generation, Format), RestoreError> {
    let disk = parts.disk.as_ref();
    if let Some(found) = find::existing(disk, &settings.path)? {
        return Ok((found.generation, found.format));
    }
    let eras = parts.backups.eras()?;
    let newest = eras.first().ok_or(RestoreError::NoBase {
        space: Space::Config,
    })?;
    let format = Format {
        version: FORMAT_VERSION,
        store: newest.store,
        era: newest.era,
    };
    // Nothing was ever written there, so nothing is read from it.
    Ok((Generation::new(&settings.path, 0), format))
}

/// What can be said about the past of a directory.
struct Past<'a> {
    opening: Opening<'a>,
    index: Option<&'a dyn Index>,
    /// Only commits up to this instant count.
    limit: Option<Timestamp>,
}

/// How one space is restored.
struct Plan {
    step: Step,
    scanned: Scanned,
    as_of: Option<Timestamp>,
}

impl Past<'_> {
    fn plan(&self, identity: Identity, target: Target) -> Result<Plan, RestoreError> {
        let scanned = history::scan(&self.opening, identity)?;
        let points = self.opening.parts.backups.verified(identity)?;
        let end = match target {
            Target::Revision(revision) if identity.space == Space::Config => revision,
            _ => self.end(&scanned, &points)?,
        };
        let bases = self.bases(&scanned, &points);
        let newest = bases.iter().copied().max().unwrap_or_default();
        let reach = |base: Revision| scanned.scan.reach(base).max(base).min(end);
        let mut reached: Vec<Revision> = bases
            .iter()
            .filter(|base| **base <= end)
            .map(|base| reach(*base))
            .collect();
        reached.sort();
        let space = identity.space;
        // A backup may be damaged, so the furthest state is not always to be had.
        while let Some(to) = reached.pop() {
            if let Target::Revision(wished) = target
                && space == Space::Config
                && to != wished
            {
                return Err(RestoreError::Unreachable {
                    wished,
                    nearest: to,
                });
            }
            if history::state_at(&self.opening, &scanned, self.index, to)?.is_some() {
                let highest = scanned.scan.highest.max(newest);
                return Ok(Plan {
                    step: Step { space, to, highest },
                    as_of: history::time_of(&self.opening, &scanned, to),
                    scanned,
                });
            }
        }
        Err(RestoreError::NoBase { space })
    }

    /// The last revision that may count: all commits up to it were made at or before the limit.
    fn end(&self, scanned: &Scanned, points: &[BackupPoint]) -> Result<Revision, StartError> {
        let Some(limit) = self.limit else {
            return Ok(Revision(u64::MAX));
        };
        let (mut early, mut late) = (None, None);
        let mut each = |frame: Frame| {
            for record in frame.records().unwrap_or_default() {
                if limit < record.at {
                    late = late.or(Some(record.revision));
                } else if late.is_none() {
                    early = Some(record.revision);
                }
            }
            Ok::<(), StartError>(())
        };
        let disk = self.opening.parts.disk.as_ref();
        let dir = self.opening.place(scanned.identity).dir;
        if disk.list(&dir).is_ok() {
            recover::scan(disk, &dir, scanned.identity, &mut each)?;
        }
        // Where the journal begins later, only a backup says what there was before.
        let is_early = |point: &&BackupPoint| point.as_of.is_none_or(|as_of| as_of <= limit);
        let point = points.iter().find(is_early).map(|point| point.revision);
        Ok(match (early, late) {
            (Some(_), None) => Revision(u64::MAX),
            (early, _) => early.max(point).unwrap_or_default(),
        })
    }

    fn bases(&self, scanned: &Scanned, points: &[BackupPoint]) -> Vec<Revision> {
        let identity = scanned.identity;
        let mut bases: Vec<Revision> = points.iter().map(|point| point.revision).collect();
        if identity.era == 1 {
            bases.push(Revision::ZERO);
        }
        if let Some(index) = self.index {
            let trees = [Tree::Hot(identity.space), Tree::Cold(identity.space)];
            for tree in trees {
                if let Ok(Some(said)) = index.applied(tree)
                    && said.identity == identity
                {
                    bases.push(said.revision);
                }
            }
        }
        bases
    }

    fn build(&self, data: &Path, plans: &[Plan]) -> Result<Restored, BackupError> {
        let steps: Vec<Step> = plans.iter().map(|plan| plan.step).collect();
        let highest = steps.iter().map(|step| step.highest).max();
        let identity = plans[0].scanned.identity;
        let building = Building::begin(
            self.opening.parts,
            data,
            identity.store,
            highest.unwrap_or_default(),
        )?;
        let n_chunks = self.copy_chunks(&building)?;
        let n_events = self.copy_events(&building, identity.of(Space::Events))?;
        for plan in plans {
            let to = plan.step.to;
            let state = history::state_at(&self.opening, &plan.scanned, self.index, to)?;
            let state = state.ok_or(io::Error::from(io::ErrorKind::InvalidData))?;
            building.state(plan.step.space, plan.as_of, &state)?;
        }
        let identity = building.identity();
        Ok(Restored {
            generation: building.finish()?,
            identity,
            steps,
            n_events,
            n_chunks,
        })
    }

    /// Copies what is whole, or has a copy among the backups.
    fn copy_chunks(&self, building: &Building<'_>) -> Result<u64, BackupError> {
        let chunks = self.opening.chunks();
        let mut n_copied = 0;
        for hash in chunks.hashes()? {
            match chunks.get(&hash) {
                Ok(content) => building.chunk(&hash, &content)?,
                Err(error @ (ChunkError::Missing { .. } | ChunkError::Damaged { .. })) => {
                    tracing::warn!(%error, "a chunk stays behind");
                    continue;
                }
                Err(error) => return Err(error.into()),
            }
            n_copied += 1;
        }
        Ok(n_copied)
    }

    fn copy_events(&self, building: &Building<'_>, identity: Identity) -> Result<u64, BackupError> {
        let mut copy = building.events(self.opening.seal_bytes)?;
        let disk = self.opening.parts.disk.as_ref();
        let dir = self.opening.place(identity).dir;
        if disk.list(&dir).is_ok() {
            recover::scan(disk, &dir, identity, &mut |frame: Frame| {
                let records = frame.records().map_err(io::Error::other)?;
                copy.add(records)
            })?;
        }
        Ok(copy.finish()?)
    }
}
