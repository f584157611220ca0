//! What a directory says about the past of a space: nothing here changes anything.

use std::collections::BTreeMap;
use std::io;

use crate::domain::time::Timestamp;
use crate::store::backup::BackupError;
use crate::store::chunk::files::{ChunkFiles, DiskChunks};
use crate::store::codec::{CodecError, Value};
use crate::store::ids::RecentIds;
use crate::store::index::{Index, Tree, walk};
use crate::store::journal::frame::{Frame, Record};
use crate::store::journal::recover::{self, Scan};
use crate::store::journal::{Journal, JournalPlace};
use crate::store::key::Key;
use crate::store::layout::Generation;
use crate::store::room::Gauge;
use crate::store::seam::{CommitLog, LogReader};
use crate::store::start::{Parts, StartError, too_new};
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
    pub(in crate::store) identity: Identity,
    pub(in crate::store) scan: Scan,
    pub(in crate::store) ids: RecentIds,
    pub(in crate::store) n_records: u64,
    /// Time of the last record that was read.
    pub(in crate::store) last_at: Option<Timestamp>,
}

impl Opening<'_> {
    /// The chunks of the generation.
    pub fn chunks(&self) -> DiskChunks {
        let files = ChunkFiles::new(self.parts.disk.clone(), self.generation.chunks());
        DiskChunks::new(files, self.gauge.clone(), self.parts.backups.clone())
    }

    /// Where the journal of a space is.
    pub fn place(&self, identity: Identity) -> JournalPlace {
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
    // A directory that is gone holds nothing; start makes it again.
    if disk
        .list(&place.dir)
        .is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
    {
        return Ok(Scanned {
            identity,
            scan: Scan::default(),
            ids: RecentIds::default(),
            n_records: 0,
            last_at: None,
        });
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

/// When the commit at `revision` was made, by the journal or by a backup of just that revision.
pub fn time_of(opening: &Opening<'_>, scanned: &Scanned, revision: Revision) -> Option<Timestamp> {
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

/// Reads the journal up to its end, whatever it is good for.
pub fn reader(opening: &Opening<'_>, scanned: &Scanned) -> Box<dyn LogReader> {
    let last = scanned.scan.highest;
    Journal::frozen(opening.place(scanned.identity), &scanned.scan, last).reader()
}

/// Hands out the records in `(after, to]`.
///
/// # Errors
/// [`StartError::Disk`] if they cannot be read without a gap.
pub fn each_record(
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

/// All records of a space, hot and cold, as of exactly `to`; `None` without a base for it.
///
/// # Errors
/// What the disk says while the journal is read.
pub fn state_at(
    opening: &Opening<'_>,
    scanned: &Scanned,
    index: Option<&dyn Index>,
    to: Revision,
) -> Result<Option<BTreeMap<Key, Value>>, BackupError> {
    let mut records = BTreeMap::new();
    let space = scanned.identity.space;
    let reader = reader(opening, scanned);
    for tree in [Tree::Hot(space), Tree::Cold(space)] {
        let Some((at, mut part)) = part_before(opening, scanned, index, (tree, to)) else {
            return Ok(None);
        };
        let replayed = each_record(reader.as_ref(), at, to, &mut |record| {
            for (key, value) in record.writes.iter().filter(|(key, _)| belongs(key, tree)) {
                match value {
                    Some(value) => part.insert(key.clone(), value.clone()),
                    None => part.remove(key),
                };
            }
        });
        replayed.map_err(|_| io::Error::other("the journal cannot be read"))?;
        records.append(&mut part);
    }
    Ok(Some(records))
}

fn belongs(key: &Key, tree: Tree) -> bool {
    key.is_cold() == matches!(tree, Tree::Cold(_))
}

/// The records of one tree at some revision from which the journal leads on to a later one.
fn part_before(
    opening: &Opening<'_>,
    scanned: &Scanned,
    index: Option<&dyn Index>,
    (tree, to): (Tree, Revision),
) -> Option<(Revision, BTreeMap<Key, Value>)> {
    let identity = scanned.identity;
    let leads_on = |at: Revision| at <= to && to <= scanned.scan.reach(at);
    let mut found: Vec<(Key, Value)> = Vec::new();
    if let Some(index) = index {
        match walk(index, tree, identity, &mut |key, value| {
            found.push((key, value));
        }) {
            Ok(at) if leads_on(at) => return Some((at, found.into_iter().collect())),
            _ => found.clear(),
        }
    }
    let backups = &opening.parts.backups;
    for point in backups.verified(identity).unwrap_or_default() {
        let mut each = |key: Key, value| {
            if belongs(&key, tree) {
                found.push((key, value));
            }
            Ok(())
        };
        if leads_on(point.revision) && backups.read(&point, &mut each).is_ok() {
            return Some((point.revision, found.into_iter().collect()));
        }
        found.clear();
    }
    let is_whole = identity.era == 1 && leads_on(Revision::ZERO);
    is_whole.then(|| (Revision::ZERO, BTreeMap::new()))
}
