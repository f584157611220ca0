//! Start-up: the recovery ladder.
//!
//! 1. `LOCK` the data directory
//! 2. [`find`]: which generation, which store and era
//! 3. scan the journals; what is newer than this program ends here, nothing touched
//! 4. open the index: as it is, without half-written snapshots, without snapshots, empty
//! 5. [`history`], [`base`]: the state from which the journal leads furthest; replay
//! 6. cut what is torn, sync, open for writes – or serve an older whole state read-only
//!
//! Every step that changed something is named in the [`Report`]. Nothing is deleted but leftovers
//! without content; the rest moves to quarantine.
//!
//! [`raise`] builds all this without a thread, for simulations; [`open`] adds the threads.

pub mod base;
pub mod find;
pub mod history;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};

use crate::domain::time::Timestamp;
use crate::store::chunk::ChunkStore;
use crate::store::codec::Kind;
use crate::store::disk::{Disk, LockGuard, RealDisk};
use crate::store::fold::FoldStore;
use crate::store::index::follower::{Follower, Progress};
use crate::store::index::sled::SledHome;
use crate::store::index::{Index, IndexHome, Rung};
use crate::store::journal::recover::Damage;
use crate::store::layout::{self, Generation};
use crate::store::opened::{Opened, Pace};
use crate::store::room::{Gauge, Marks};
use crate::store::seam::{Backups, Entropy, Forms};
use crate::store::shared::IndexSlot;
use crate::store::start::base::Recovered;
use crate::store::start::history::{Opening, Scanned};
use crate::store::writer::Writer;
use crate::store::{Identity, Mode, Revision, Space, StoreId};

const MIB: u64 = 1 << 20;

/// Records up to which a lost index is rebuilt, and cold trees are checked, before the store
/// opens; above, behind the scenes.
const REBUILD_AT_ONCE_MAX: u64 = 10_000;

/// The `[store]` and `[events]` settings that matter here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The data directory.
    pub path: PathBuf,
    /// Longest time a commit waits for others, in milliseconds.
    pub group_ms: u64,
    /// The same for events.
    pub events_ms: u64,
    /// Cache of the index, in MiB.
    pub cache_mib: u64,
    /// Size at which a journal file is sealed, in bytes; never above 1/16 of the volume.
    pub journal_file_bytes: u64,
    /// Size of the reserve file, in MiB; by the volume's size where `None`, no file where 0.
    pub ballast_mib: Option<u64>,
}

impl Settings {
    /// The defaults, in `path`.
    pub fn in_dir(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            group_ms: 1,
            events_ms: 10,
            cache_mib: 64,
            journal_file_bytes: 64 * MIB,
            ballast_mib: None,
        }
    }
}

/// What the store is built upon.
#[derive(Clone)]
pub struct Parts {
    /// Where files are.
    pub disk: Arc<dyn Disk>,
    /// Where the index is.
    pub index: Arc<dyn IndexHome>,
    /// Where whole states are kept.
    pub backups: Arc<dyn Backups>,
    /// Where random bytes come from.
    pub entropy: Arc<dyn Entropy>,
    /// Which record types this program knows.
    pub forms: Arc<dyn Forms>,
    /// When this start happens.
    pub now: Timestamp,
}

impl Parts {
    /// Real files and sled.
    pub fn real(
        settings: &Settings,
        backups: Arc<dyn Backups>,
        entropy: Arc<dyn Entropy>,
        forms: Arc<dyn Forms>,
        now: Timestamp,
    ) -> Self {
        let cache_bytes = settings.cache_mib * MIB;
        Self {
            disk: Arc::new(RealDisk),
            index: Arc::new(SledHome { cache_bytes }),
            backups,
            entropy,
            forms,
            now,
        }
    }
}

/// How a start ended, from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Everything was as it was left.
    Whole,
    /// Something was mended; nothing acknowledged is missing.
    Repaired,
    /// An older whole state of some space is served read-only.
    Older,
}

/// One thing that was found or mended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Stable name, for counting.
    pub name: &'static str,
    /// What, where, with figures.
    pub text: String,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name, self.text)
    }
}

/// What a start found and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// How it ended.
    pub class: Class,
    /// What was mended, in order.
    pub steps: Vec<Step>,
    /// Spaces that serve an older state, and the first revision they lack. The remedy is
    /// `endcap restore DIR --accept-loss`.
    pub missing: Vec<(Space, Revision)>,
    /// Where the journals are not what they were, torn writes left out.
    pub damages: Vec<Damage>,
    /// Files that are no part of a store; they are left alone.
    pub unknown: Vec<PathBuf>,
}

impl Report {
    /// Nothing to report.
    pub fn new() -> Self {
        Self {
            class: Class::Whole,
            steps: Vec::new(),
            missing: Vec::new(),
            damages: Vec::new(),
            unknown: Vec::new(),
        }
    }

    fn note(&mut self, scanned: &Scanned) {
        self.damages.extend_from_slice(&scanned.scan.damages);
        self.unknown.extend_from_slice(&scanned.scan.unknown);
    }

    /// Notes a step that changed or gave up something.
    pub fn add(&mut self, class: Class, name: &'static str, text: String) {
        tracing::warn!(
            step = name,
            detail = text,
            "the store was not as it was left"
        );
        self.class = self.class.max(class);
        self.steps.push(Step { name, text });
    }
}

impl Default for Report {
    fn default() -> Self {
        Self::new()
    }
}

/// Why a store does not start at all. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Another process holds the directory.
    #[error("data directory {path} is used by {holder}")]
    Locked {
        /// The directory.
        path: PathBuf,
        /// What the holder wrote: process id and time of its start.
        holder: String,
    },
    /// Written by a newer endcap.
    #[error("format-too-new: {what}")]
    TooNew {
        /// Kind, schema or version found.
        what: String,
    },
    /// No state can be built.
    #[error("{path}: {what} at byte {offset}; {remedy}")]
    Damaged {
        /// The file or directory.
        path: PathBuf,
        /// Where in it.
        offset: u64,
        /// What is wrong.
        what: &'static str,
        /// What a person can do.
        remedy: &'static str,
    },
    /// The disk fails.
    #[error("the disk fails: {0}")]
    Disk(#[from] io::Error),
}

/// A store that is up, before its threads.
pub struct Raised {
    /// Store and era; its space is `config`.
    pub identity: Identity,
    /// Where it lives.
    pub generation: Option<Generation>,
    /// Writers of `config`, `trade` and `events`.
    pub writers: [Writer; 3],
    /// What is too large for a value.
    pub chunks: Arc<dyn ChunkStore>,
    /// Where whole states are kept.
    pub backups: Arc<dyn Backups>,
    /// What is made from events and kept.
    pub folds: FoldStore,
    /// The index follower of `config` and `trade`.
    pub follower: Follower,
    /// What was found and mended.
    pub report: Report,
    /// Held while the store is up.
    pub lock: Option<LockGuard>,
}

/// Opens a store with its threads: the one way to an embedded store. The store in memory is opened
/// by [`memory::open`](crate::store::memory::open).
///
/// An empty or absent directory becomes a fresh store. What `report` of the opened store says
/// decides about readiness: `Whole` and `Repaired` take writes, `Older` only reads. A full disk
/// opens read-only and takes writes once there is room. Blocks until all hot keys are in memory:
/// some seconds for a million of them.
///
/// ```text
/// let settings = Settings::in_dir(Path::new("data"));
/// let parts = Parts::real(&settings, backups, entropy, forms, clock.now());
/// let store = start::open(&settings, &parts)?;
/// store.config.commit(commit).await?;      // and .folded(), .get(&key).await, .follow(revision)
/// let hash = store.chunks.put(&content)?;  // blocks
/// ```
///
/// # Errors
/// See [`StartError`]; nothing was changed.
pub fn open(settings: &Settings, parts: &Parts) -> Result<Opened, StartError> {
    let raised = raise(settings, parts)?;
    let pace = Pace {
        group_ms: settings.group_ms,
        events_ms: settings.events_ms,
    };
    Ok(Opened::run(raised, pace)?)
}

/// Climbs the ladder. Starts no thread but sled's own.
///
/// # Errors
/// See [`StartError`].
pub fn raise(settings: &Settings, parts: &Parts) -> Result<Raised, StartError> {
    let disk = parts.disk.as_ref();
    disk.create_dir(&settings.path)?;
    let lock = lock(parts, &settings.path)?;
    let mut report = Report::new();
    let (generation, format) = find::generation(settings, parts, &mut report)?;
    // A process that died before its sync left names that are seen and not yet durable.
    disk.sync_dir(&generation.dir())?;
    disk.sync_dir(&settings.path)?;
    sync_parent(disk, &settings.path)?;
    let gauge = Gauge {
        disk: parts.disk.clone(),
        path: settings.path.clone(),
    };
    let (_, mode) = gauge.look();
    let opening = Opening {
        parts,
        generation: &generation,
        seal_bytes: seal_bytes(settings, disk),
        gauge: &gauge,
        mode,
    };
    let identity = |space| Identity {
        store: format.store,
        era: format.era,
        space,
    };
    let [config, trade, events] =
        Space::WITH_JOURNAL.map(|space| history::scan(&opening, identity(space)));
    let (config, trade, events) = (config?, trade?, events?);
    for space in Space::WITH_JOURNAL {
        disk.create_dir(&generation.journal(space))?;
    }
    for scanned in [&config, &trade, &events] {
        report.note(scanned);
    }
    let index = match mode {
        Mode::Full => None,
        _ => open_index(parts, &generation, &mut report),
    };
    let keyed = |scanned: Scanned, report: &mut Report| {
        base::recover(&opening, scanned, index.as_deref(), report)
    };
    let config = keyed(config, &mut report)?;
    let trade = keyed(trade, &mut report)?;
    let events = base::recover_log(&opening, events, index.as_deref(), &mut report)?;
    let raised = assemble(&opening, [config, trade, events], index, report);
    place_ballast(settings, disk, &gauge);
    Ok(Raised {
        lock: Some(lock),
        ..raised
    })
}

fn assemble(
    opening: &Opening<'_>,
    recovered: [Recovered; 3],
    index: Option<Arc<dyn Index>>,
    mut report: Report,
) -> Raised {
    let identity = recovered[0].folded.identity();
    let n_records: u64 = recovered.iter().map(|space| space.n_records).sum();
    let index_is_sound = recovered[..2].iter().all(|space| space.index_is_base);
    let slot: IndexSlot = Arc::new(RwLock::new(None));
    let texts: Vec<String> = report.steps.iter().map(Step::to_string).collect();
    let writers = recovered.map(|space| {
        let writer = space.writer(slot.clone(), opening.gauge);
        writer.shared().set_repairs(texts.clone());
        writer.check_room();
        writer
    });
    let folds = FoldStore::new(slot.clone(), writers[2].shared().clone());
    let mut follower = Follower::new(
        vec![writers[0].shared().clone(), writers[1].shared().clone()],
        slot,
        opening.parts.index.clone(),
        opening.parts.backups.clone(),
        opening.generation.index(),
        opening.generation.quarantine(),
    )
    .noting(writers[2].shared().clone())
    .pausing(folds.clone());
    let adopted = index
        .filter(|_| index_is_sound)
        .is_some_and(|index| follower.adopt(index).is_ok());
    if follower.n_cold() <= REBUILD_AT_ONCE_MAX {
        follower.check_cold();
    }
    // A new or imported store has no index yet.
    let begin = Revision(identity.era - 1);
    let is_fresh = writers[..2]
        .iter()
        .all(|writer| writer.shared().revision() == begin);
    // On a full disk it was not even opened, so nothing is known of it and nothing was mended.
    if !adopted && !is_fresh && opening.mode != Mode::Full {
        report.add(
            Class::Repaired,
            "index-rebuilt",
            "the index was no base".to_owned(),
        );
    }
    if adopted || n_records <= REBUILD_AT_ONCE_MAX {
        while follower.step() == Progress::Behind {}
    }
    Raised {
        identity,
        generation: Some(opening.generation.clone()),
        writers,
        chunks: Arc::new(opening.chunks()),
        backups: opening.parts.backups.clone(),
        folds,
        follower,
        report,
        lock: None,
    }
}

/// Takes the lock on a data directory.
///
/// # Errors
/// [`StartError::Locked`], [`StartError::Disk`].
pub(in crate::store) fn lock(parts: &Parts, data: &Path) -> Result<LockGuard, StartError> {
    let path = data.join("LOCK");
    let note = format!("process {} since {}", std::process::id(), parts.now);
    parts
        .disk
        .lock(&path, &note)
        .map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => StartError::Locked {
                path: data.to_path_buf(),
                holder: error.to_string(),
            },
            _ => StartError::Disk(error),
        })
}

/// Makes the name of the data directory itself durable, where its parent may be opened at all.
fn sync_parent(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match path.parent().map(|parent| disk.sync_dir(parent)) {
        Some(Err(error)) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
        // A relative path of one part lies in the current directory.
        Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Some(said) => said,
        None => Ok(()),
    }
}

/// Size at which journal files are sealed.
pub(in crate::store) fn seal_bytes(settings: &Settings, disk: &dyn Disk) -> u64 {
    let wished = settings.journal_file_bytes;
    let volume = disk.free_bytes(&settings.path);
    volume.map_or(wished, |volume| wished.min(Marks::of(volume.total).seal))
}

/// The first rung on which the index opens.
fn open_index(
    parts: &Parts,
    generation: &Generation,
    report: &mut Report,
) -> Option<Arc<dyn Index>> {
    let (dir, quarantine) = (generation.index(), generation.quarantine());
    for rung in Rung::LADDER {
        match parts.index.open(&dir, &quarantine, rung) {
            Ok(index) => return Some(index),
            Err(error) => {
                report.add(Class::Repaired, "index-rung", format!("{rung:?}: {error}"));
            }
        }
    }
    None
}

/// A file that an operator may delete on a full disk. Without room, or on errors, there is none.
fn place_ballast(settings: &Settings, disk: &dyn Disk, gauge: &Gauge) {
    let path = settings.path.join("ballast");
    let Ok(volume) = disk.free_bytes(&gauge.path) else {
        return;
    };
    let marks = Marks::of(volume.total);
    let bytes = settings.ballast_mib.map_or(marks.ballast, |mib| mib * MIB);
    let has_room = 2 * marks.low + bytes < volume.free;
    if bytes == 0 || !has_room || disk.open(&path).is_ok() {
        return;
    }
    let written = disk.create(&path).and_then(|file| {
        let zeros = vec![0; 1 << 20];
        let mut left = bytes;
        while 0 < left {
            let part = usize::try_from(left).unwrap_or(usize::MAX).min(zeros.len());
            file.append(&zeros[..part])?;
            left -= part as u64;
        }
        file.sync_data()
    });
    if let Err(error) = written {
        tracing::info!(%error, "no ballast");
        drop(disk.remove(&path));
    }
}

/// What is too new about a record type, for those that this program does not know.
pub(in crate::store) fn too_new(forms: &dyn Forms, kind: Kind, schema: u16) -> Option<String> {
    let n = kind.0;
    match forms.newest(kind) {
        Some(newest) if schema <= newest => None,
        Some(newest) => Some(format!("kind {n} schema {schema}, known up to {newest}")),
        None => Some(format!("kind {n} schema {schema}, the kind is unknown")),
    }
}

/// A new store's name.
pub(in crate::store) fn new_store_id(entropy: &dyn Entropy) -> StoreId {
    let mut id = [0; 16];
    entropy.fill(&mut id);
    StoreId(id)
}

/// Makes the first generation of a fresh store.
pub(in crate::store) fn create_fresh(
    parts: &Parts,
    generation: &Generation,
) -> io::Result<StoreId> {
    let disk = parts.disk.as_ref();
    let store = new_store_id(parts.entropy.as_ref());
    let (era, space) = (1, Space::Config);
    let identity = Identity { store, era, space };
    layout::create(disk, parts.entropy.as_ref(), generation, identity)?;
    layout::complete(disk, generation, identity)?;
    layout::set_current(disk, generation)?;
    Ok(store)
}
