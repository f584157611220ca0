//! One space: from what base does the journal lead furthest, and what is mended.

use std::collections::BTreeMap;

use crate::domain::time::Timestamp;
use crate::store::backup::BackupError;
use crate::store::chunk::files::{ChunkFiles, DiskChunks};
use crate::store::codec::{CodecError, Value};
use crate::store::folded::Folded;
use crate::store::ids::RecentIds;
use crate::store::index::{Index, IndexError, Tree, walk};
use crate::store::journal::frame::{Frame, Record};
use crate::store::journal::recover::{self, Scan};
use crate::store::journal::{Journal, JournalPlace};
use crate::store::key::Key;
use crate::store::layout::{self, Generation};
use crate::store::room::Gauge;
use crate::store::seam::{BackupPoint, Backups, CommitLog, LogReader};
use crate::store::shared::{IndexSlot, Shared};
use crate::store::start::{Class, Parts, Report, StartError, too_new};
use crate::store::writer::Writer;
use crate::store::{Identity, Mode, Revision};

/// Bytes of journal read at a time.
const READ_BYTES: usize = 4 << 20;

/// What all spaces of one start have in common.
pub struct Opening<'a> {
    /// What the store is built upon.
    pub parts: &'a Parts,
    /// Where it lives.
    pub generation: &'a Generation,
    /// Size at which journal files are sealed.
    pub seal_bytes: u64,
    /// Room on the volume.
    pub gauge: &'a Gauge,
    /// What room there was at the start.
    pub mode: Mode,
}

/// A journal that was read, and nothing touched.
pub struct Scanned {
    identity: Identity,
    scan: Scan,
    ids: RecentIds,
    n_records: u64,
    /// Time of the last record that was read.
    last_at: Option<Timestamp>,
}

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

impl Opening<'_> {
    /// The chunks of the generation.
    pub fn chunks(&self) -> DiskChunks {
        let files = ChunkFiles::new(self.parts.disk.clone(), self.generation.chunks());
        DiskChunks::new(files, self.gauge.clone(), self.parts.backups.clone())
    }

    fn place(&self, identity: Identity) -> JournalPlace {
        JournalPlace {
            disk: self.parts.disk.clone(),
            dir: self.generation.journal(identity.space),
            identity,
            seal_bytes: self.seal_bytes,
            entropy: self.parts.entropy.clone(),
        }
    }
}

/// Reads a journal to its end, collects commit ids, refuses what is too new.
///
/// # Errors
/// [`StartError::TooNew`], [`StartError::Damaged`], [`StartError::Disk`].
pub fn scan(opening: &Opening<'_>, identity: Identity) -> Result<Scanned, StartError> {
    let place = opening.place(identity);
    let disk = place.disk.as_ref();
    if disk.list(&place.dir).is_err() {
        disk.create_dir(&place.dir)?;
    }
    let mut ids = RecentIds::default();
    let mut n_records = 0;
    let mut last_at = None;
    let mut each = |frame: Frame| {
        let records = frame.records().map_err(|error| match error {
            CodecError::TooNew { .. } => StartError::TooNew {
                what: error.to_string(),
            },
            _ => StartError::Damaged {
                path: place.dir.clone(),
                offset: 0,
                what: "a whole frame holds a damaged record",
                remedy: "restore a backup with `endcap restore FILE --into DIR --replace`",
            },
        })?;
        for record in &records {
            for value in record.writes.iter().filter_map(|(_, value)| value.as_ref()) {
                let forms = opening.parts.forms.as_ref();
                if let Some(what) = too_new(forms, value.kind(), value.schema()) {
                    return Err(StartError::TooNew { what });
                }
            }
            ids.add(record.id, record.revision);
            last_at = Some(record.at);
            n_records += 1;
        }
        Ok::<(), StartError>(())
    };
    let scan = recover::scan(disk, &place.dir, identity, &mut each)?;
    Ok(Scanned {
        identity,
        scan,
        ids,
        n_records,
        last_at,
    })
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
    let as_of = time_of(opening, &scanned, reach);
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

/// Opens the log of a space without keys.
///
/// # Errors
/// [`StartError::Disk`].
pub fn recover_log(
    opening: &Opening<'_>,
    scanned: Scanned,
    report: &mut Report,
) -> Result<Recovered, StartError> {
    let identity = scanned.identity;
    let begin = scanned.scan.first().map_or(identity.era, |first| first.0);
    let reach = scanned.scan.reach(Revision(begin - 1));
    let highest = scanned.scan.highest.max(reach);
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

/// When the commit at `revision` was made, by the journal or by a backup of just that revision.
fn time_of(opening: &Opening<'_>, scanned: &Scanned, revision: Revision) -> Option<Timestamp> {
    let before = Revision(revision.0.checked_sub(1)?);
    let frames = reader(opening, scanned).read(before, 1).unwrap_or_default();
    let records = frames
        .iter()
        .filter_map(|frame| frame.records().ok())
        .flatten();
    let mut times = records
        .filter(|record| record.revision == revision)
        .map(|record| record.at);
    times.next().or_else(|| {
        let points = opening.parts.backups.verified(scanned.identity).ok()?;
        let point = points.iter().find(|point| point.revision == revision);
        point.and_then(|point| point.as_of)
    })
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

fn reader(opening: &Opening<'_>, scanned: &Scanned) -> Box<dyn LogReader> {
    let last = scanned.scan.highest;
    Journal::frozen(opening.place(scanned.identity), &scanned.scan, last).reader()
}

/// Hands out the records in `(after, to]`.
fn each_record(
    reader: &dyn LogReader,
    after: Revision,
    to: Revision,
    each: &mut dyn FnMut(&Record),
) -> Result<(), StartError> {
    let mut position = after;
    while position < to {
        let unreadable = || StartError::Disk(std::io::ErrorKind::InvalidData.into());
        let frames = reader
            .read(position, READ_BYTES)
            .map_err(|_| unreadable())?;
        let before = position;
        for frame in frames {
            for record in frame.records().map_err(|_| unreadable())? {
                if position < record.revision && record.revision <= to {
                    each(&record);
                    position = record.revision;
                }
            }
        }
        if position == before {
            return Err(unreadable());
        }
    }
    Ok(())
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
        let label = format!("{}-{}", self.opening.parts.now.0, self.name());
        let dir = layout::quarantine(disk, self.opening.generation, &label, &old)?;
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
        let is_journal = |name: &str| crate::store::journal::file::first_of(name).is_some();
        let names = listed.iter().filter(|entry| is_journal(&entry.name));
        Ok(names.map(|entry| dir.join(&entry.name)).collect())
    }

    fn back_up(&self, reach: Revision) -> Result<(), BackupError> {
        let point = BackupPoint {
            identity: self.scanned.identity,
            revision: reach,
            as_of: self.as_of,
        };
        let mut records = self.cold_records(reach)?;
        for (key, value) in self.folded.iter() {
            records.insert(key.clone(), value.clone());
        }
        let chunks = self.opening.chunks();
        self.opening.parts.backups.write(&point, &records, &chunks)
    }

    /// Cold records at `reach`: from the index or a backup, and what the journal says since.
    fn cold_records(&self, reach: Revision) -> std::io::Result<BTreeMap<Key, Value>> {
        let (at, mut records) = self
            .cold_base(reach)
            .ok_or_else(|| std::io::Error::other("cold records have no base"))?;
        let reader = reader(self.opening, &self.scanned);
        let failed = |_| std::io::Error::other("the journal cannot be read");
        each_record(reader.as_ref(), at, reach, &mut |record| {
            for (key, value) in record.writes.iter().filter(|(key, _)| key.is_cold()) {
                match value {
                    Some(value) => records.insert(key.clone(), value.clone()),
                    None => records.remove(key),
                };
            }
        })
        .map_err(failed)?;
        Ok(records)
    }

    fn cold_base(&self, reach: Revision) -> Option<(Revision, BTreeMap<Key, Value>)> {
        let identity = self.scanned.identity;
        let leads_on = |at: Revision| at <= reach && reach <= self.scanned.scan.reach(at).max(at);
        let mut found: Vec<(Key, Value)> = Vec::new();
        if let Some(index) = self.index {
            let mut each = |key, value| found.push((key, value));
            match walk(index, Tree::Cold(identity.space), identity, &mut each) {
                Ok(at) if leads_on(at) => return Some((at, found.into_iter().collect())),
                _ => found.clear(),
            }
        }
        let backups = &self.opening.parts.backups;
        for point in backups.verified(identity).unwrap_or_default() {
            let mut each = |key: Key, value| {
                if key.is_cold() {
                    found.push((key, value));
                }
                Ok(())
            };
            if leads_on(point.revision) && backups.read(&point, &mut each).is_ok() {
                return Some((point.revision, found.into_iter().collect()));
            }
            found.clear();
        }
        let begin = Revision::ZERO;
        let is_whole = identity.era == 1 && leads_on(begin);
        is_whole.then(|| (begin, BTreeMap::new()))
    }
}
