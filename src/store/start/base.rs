//! One space: from what base does the journal lead furthest, and what is mended.

use std::io;

use crate::domain::time::Timestamp;
use crate::store::backup::BackupError;
use crate::store::codec::Value;
use crate::store::fold::newest_kept;
use crate::store::folded::Folded;
use crate::store::ids::RecentIds;
use crate::store::index::follower::noted;
use crate::store::index::{Index, IndexError, Tree, walk};
use crate::store::journal::file::first_of;
use crate::store::journal::{Journal, recover};
use crate::store::key::Key;
use crate::store::layout;
use crate::store::quarantine;
use crate::store::room::Gauge;
use crate::store::seam::{BackupPoint, Backups, CommitLog};
use crate::store::shared::{IndexSlot, Shared};
use crate::store::start::history::{self, Opening, Scanned, each_record, reader};
use crate::store::start::{Class, Report, StartError};
use crate::store::writer::Writer;
use crate::store::{Identity, Mode, Revision};

/// A space ready to be served.
pub struct Recovered {
    /// Its newest whole state.
    pub folded: Folded,
    /// Whether the index has a sound hot tree of it.
    pub index_is_base: bool,
    /// Records in its journal and keys in its state: how long a rebuild takes.
    pub n_records: u64,
    as_of: Option<Timestamp>,
    log: Box<dyn CommitLog>,
    ids: RecentIds,
    mode: Mode,
}

impl Recovered {
    /// Its writer.
    pub fn writer(self, slot: IndexSlot, gauge: &Gauge) -> Writer {
        let (reader, mode) = (self.log.reader(), self.mode);
        let shared = Shared::new(self.folded, self.as_of, reader, slot, mode);
        Writer::new(shared.into(), self.log, self.ids, Some(gauge.clone()))
    }
}

/// A state from which replay can begin.
enum Base {
    /// The hot tree of the index.
    Index(Vec<(Key, Value)>),
    /// The hot records of a backup, still to be read.
    Backup(BackupPoint),
    /// The beginning of a fresh store.
    Empty,
}

/// Builds the newest whole state of a space with keys, and mends what can be mended.
///
/// # Errors
/// [`StartError::Damaged`] if there is no base at all; [`StartError::Disk`].
pub fn recover(
    opening: &Opening<'_>,
    scanned: Scanned,
    index: Option<&dyn Index>,
    report: &mut Report,
) -> Result<Recovered, StartError> {
    let identity = scanned.identity;
    let bases = bases(opening, &scanned, index);
    let index_at = bases.iter().find_map(|(at, base)| match base {
        Base::Index(_) => Some(*at),
        _ => None,
    });
    let newest = bases.iter().map(|(at, _)| *at).max().unwrap_or_default();
    let highest = scanned.scan.highest.max(newest);
    let Some(base) = best_base(opening, &scanned, bases, report) else {
        return Err(no_base(opening, &scanned));
    };
    let reach = scanned.scan.reach(base.revision());
    let folded = replay(opening, &scanned, base, reach)?;
    let as_of = history::time_of(opening, &scanned, reach);
    let mut space = Space {
        opening,
        scanned,
        folded,
        as_of,
        index,
        report,
    };
    let (log, mode) = if reach < highest {
        space.serve_older(highest)
    } else if space.is_damaged(reach) {
        space.mend(reach)?
    } else {
        space.resume(reach)
    };
    Ok(Recovered {
        index_is_base: index_at.is_some(),
        n_records: space.scanned.n_records + space.folded.len() as u64,
        folded: space.folded,
        as_of,
        log,
        ids: space.scanned.ids,
        mode,
    }
    .of(identity))
}

/// Opens the log of a space without keys. Where the index knows of revisions that the journal lacks,
/// what looks like a torn write is no such thing.
///
/// # Errors
/// [`StartError::Disk`].
pub fn recover_log(
    opening: &Opening<'_>,
    scanned: Scanned,
    index: Option<&dyn Index>,
    report: &mut Report,
) -> Result<Recovered, StartError> {
    let identity = scanned.identity;
    let noted = index.and_then(|index| noted(index, identity).max(newest_kept(index, identity)));
    let begin = scanned.scan.first().map_or(identity.era, |first| first.0);
    let reach = scanned.scan.reach(Revision(begin - 1));
    let highest = scanned
        .scan
        .highest
        .max(reach)
        .max(noted.unwrap_or_default());
    let mut space = Space {
        opening,
        folded: Folded::empty(identity, reach),
        as_of: scanned.last_at,
        scanned,
        index: None,
        report,
    };
    let (log, mode) = if reach < highest || space.is_damaged(reach) {
        space.serve_older(highest)
    } else if identity.era < begin {
        space.serve_end(begin)
    } else {
        space.resume(reach)
    };
    Ok(Recovered {
        index_is_base: false,
        n_records: 0,
        as_of: space.as_of,
        folded: space.folded,
        log,
        ids: space.scanned.ids,
        mode,
    })
}

impl Recovered {
    fn of(self, identity: Identity) -> Self {
        assert_eq!(self.folded.identity(), identity, "a state of its own space");
        self
    }
}

fn no_base(opening: &Opening<'_>, scanned: &Scanned) -> StartError {
    let damage = scanned.scan.damages.first();
    let dir = opening.generation.journal(scanned.identity.space);
    StartError::Damaged {
        path: damage.map_or(dir, |damage| damage.path.clone()),
        offset: damage.map_or(0, |damage| damage.bytes.start),
        what: "the journal does not begin at the beginning, and there is no base for it",
        remedy: "restore a backup with `endcap restore FILE --into DIR --replace`",
    }
}

/// Every state that replay could begin at, whole as far as can be told without reading backups.
fn bases(
    opening: &Opening<'_>,
    scanned: &Scanned,
    index: Option<&dyn Index>,
) -> Vec<(Revision, Base)> {
    let identity = scanned.identity;
    let begin = Revision(identity.era - 1);
    let mut bases = Vec::new();
    if identity.era == 1 && scanned.scan.first() == Some(Revision(1)) {
        bases.push((begin, Base::Empty));
    }
    for point in opening.parts.backups.verified(identity).unwrap_or_default() {
        if begin <= point.revision {
            bases.push((point.revision, Base::Backup(point)));
        }
    }
    if let Some(index) = index {
        match hot_entries(index, identity) {
            Ok((at, entries)) if begin <= at => bases.push((at, Base::Index(entries))),
            Ok(_) => {}
            // A new store has none yet, which is nobody's concern.
            Err(_) if scanned.n_records == 0 => {}
            Err(error) => tracing::info!(%error, "the index is no base"),
        }
    }
    bases
}

fn hot_entries(
    index: &dyn Index,
    identity: Identity,
) -> Result<(Revision, Vec<(Key, Value)>), IndexError> {
    let mut entries = Vec::new();
    let tree = Tree::Hot(identity.space);
    let at = walk(index, tree, identity, &mut |key, value| {
        entries.push((key, value));
    })?;
    Ok((at, entries))
}

/// The state from which the journal leads furthest; of equal ones the newer, the index first. A
/// backup that turns out to be damaged is passed over.
fn best_base(
    opening: &Opening<'_>,
    scanned: &Scanned,
    mut bases: Vec<(Revision, Base)>,
    report: &mut Report,
) -> Option<Folded> {
    let identity = scanned.identity;
    let worth = |(at, base): &(Revision, Base)| {
        (scanned.scan.reach(*at), *at, matches!(base, Base::Index(_)))
    };
    bases.sort_by_key(worth);
    while let Some((at, base)) = bases.pop() {
        match base {
            Base::Empty => return Some(Folded::empty(identity, at)),
            Base::Index(entries) => return Some(Folded::of(identity, at, entries)),
            Base::Backup(point) => match hot_of(opening.parts.backups.as_ref(), &point) {
                Ok(entries) => return Some(Folded::of(identity, at, entries)),
                Err(error) => {
                    report.add(Class::Repaired, "backup-unreadable", error.to_string());
                }
            },
        }
    }
    None
}

fn hot_of(backups: &dyn Backups, point: &BackupPoint) -> Result<Vec<(Key, Value)>, BackupError> {
    let mut entries = Vec::new();
    backups.read(point, &mut |key, value| {
        if !key.is_cold() {
            entries.push((key, value));
        }
        Ok(())
    })?;
    Ok(entries)
}

fn replay(
    opening: &Opening<'_>,
    scanned: &Scanned,
    base: Folded,
    reach: Revision,
) -> Result<Folded, StartError> {
    let mut folded = base;
    let at = folded.revision();
    let reader = reader(opening, scanned);
    each_record(reader.as_ref(), at, reach, &mut |record| {
        folded.apply(record.revision, &record.writes);
    })?;
    Ok(folded)
}

/// A space whose state is built and whose journal is to be opened.
struct Space<'a, 'b> {
    opening: &'a Opening<'a>,
    scanned: Scanned,
    folded: Folded,
    as_of: Option<Timestamp>,
    index: Option<&'a dyn Index>,
    report: &'b mut Report,
}

type OpenLog = (Box<dyn CommitLog>, Mode);

impl Space<'_, '_> {
    /// Whether the journal alone no longer tells how the state came about.
    fn is_damaged(&self, reach: Revision) -> bool {
        let scan = &self.scanned.scan;
        let begin = scan.first().map(|first| Revision(first.0 - 1));
        let last = scan.runs.last().map(|run| run.last).or(begin);
        scan.is_damaged() || last != Some(reach)
    }

    fn name(&self) -> &'static str {
        self.scanned.identity.space.name()
    }

    /// Goes on behind a whole journal, the torn end cut off.
    fn resume(&mut self, last: Revision) -> OpenLog {
        let place = self.opening.place(self.scanned.identity);
        if let Some(torn) = &self.scanned.scan.torn {
            let bytes = torn.bytes.end - torn.bytes.start;
            let text = format!(
                "{} bytes {} of {}",
                bytes,
                torn.bytes.start,
                torn.path.display()
            );
            self.report.add(Class::Repaired, "tail-cut", text);
        }
        match Journal::resume(place.clone(), &self.scanned.scan, last) {
            Ok(journal) => (Box::new(journal), self.opening.mode),
            Err(error) => {
                let text = format!("{}: {error}", self.name());
                self.report.add(Class::Repaired, "read-only", text);
                let journal = Journal::frozen(place, &self.scanned.scan, last);
                (Box::new(journal), Mode::ReadOnly)
            }
        }
    }

    /// Serves what is whole; nothing on disk changes, so that nothing is lost for a restore.
    fn serve_older(&mut self, highest: Revision) -> OpenLog {
        let at = self.folded.revision();
        let text = format!("{} at {at}, up to {highest} existed", self.name());
        self.report.add(Class::Older, "older", text);
        self.report
            .missing
            .push((self.scanned.identity.space, at.next()));
        let place = self.opening.place(self.scanned.identity);
        (
            Box::new(Journal::frozen(place, &self.scanned.scan, at)),
            Mode::Older,
        )
    }

    /// Serves a log whose first files are gone: nothing takes them away but damage.
    fn serve_end(&mut self, begin: u64) -> OpenLog {
        let identity = self.scanned.identity;
        let text = format!("{} begins at {begin}, not {}", self.name(), identity.era);
        self.report.add(Class::Older, "older", text);
        let first = Revision(identity.era);
        self.report.missing.push((identity.space, first));
        let place = self.opening.place(identity);
        let journal = Journal::frozen(place, &self.scanned.scan, self.folded.revision());
        (Box::new(journal), Mode::Older)
    }

    /// The state is complete, the journal is not: writes a backup, begins a new file, and puts
    /// the old ones into quarantine. Without a backup the space stays read-only.
    fn mend(&mut self, reach: Revision) -> Result<OpenLog, StartError> {
        let identity = self.scanned.identity;
        let place = self.opening.place(identity);
        if let Err(why) = self.back_up(reach) {
            let text = format!(
                "{}: the journal is damaged and no backup can be written: {why}",
                self.name()
            );
            self.report.add(Class::Repaired, "read-only", text);
            let journal = Journal::frozen(place, &self.scanned.scan, reach);
            return Ok((Box::new(journal), Mode::ReadOnly));
        }
        let disk = self.opening.parts.disk.as_ref();
        let old = self.journal_files()?;
        let (generation, now) = (self.opening.generation, self.opening.parts.now);
        let dir = quarantine::keep(disk, generation, now, self.name(), &old)?;
        let entropy = self.opening.parts.entropy.as_ref();
        layout::begin_journal(
            disk,
            entropy,
            self.opening.generation,
            identity,
            reach.next(),
        )?;
        let text = format!("{} at {reach}; old files in {}", self.name(), dir.display());
        self.report.add(Class::Repaired, "journal-begun-anew", text);
        let scan = recover::scan::<StartError>(disk, &place.dir, identity, &mut |_| Ok(()))?;
        let journal = Journal::resume(place, &scan, reach)?;
        Ok((Box::new(journal), self.opening.mode))
    }

    fn journal_files(&self) -> Result<Vec<std::path::PathBuf>, StartError> {
        let dir = self.opening.generation.journal(self.scanned.identity.space);
        let listed = self.opening.parts.disk.list(&dir)?;
        let is_journal = |name: &str| first_of(name).is_some();
        let names = listed.iter().filter(|entry| is_journal(&entry.name));
        Ok(names.map(|entry| dir.join(&entry.name)).collect())
    }

    fn back_up(&self, reach: Revision) -> Result<(), BackupError> {
        let point = BackupPoint {
            identity: self.scanned.identity,
            revision: reach,
            as_of: self.as_of,
        };
        let records = history::state_at(self.opening, &self.scanned, self.index, reach)?;
        let records = records.ok_or_else(|| io::Error::other("cold records have no base"))?;
        let chunks = self.opening.chunks();
        self.opening.parts.backups.write(&point, &records, &chunks)
    }
}
