//! A new generation beside the old ones: complete and synced before CURRENT names it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::domain::time::Timestamp;
use crate::store::backup::BackupError;
use crate::store::chunk::files::{ChunkFiles, DiskChunks};
use crate::store::chunk::{ChunkError, ChunkHash};
use crate::store::disk::{Disk, DiskFile, LockGuard};
use crate::store::journal::file::{HEADER_BYTES, Header, name_of};
use crate::store::journal::frame::{Frame, Record, Salt};
use crate::store::journal::recover;
use crate::store::layout::{self, Format, Generation, Said};
use crate::store::room::Gauge;
use crate::store::seam::{BackupPoint, Backups, State};
use crate::store::start::{self, Parts, StartError};
use crate::store::{Identity, Revision, Space, StoreId};

/// A generation that is being built. Until [`finish`](Self::finish) it is not there for anybody.
pub(in crate::store) struct Building<'a> {
    parts: &'a Parts,
    generation: Generation,
    identity: Identity,
    chunks: ChunkFiles,
}

impl<'a> Building<'a> {
    /// Begins the generation behind all others in `data`, for `store`, in an era above `highest`
    /// and above everything seen in `data`: at `max(highest + 1, now in ms)`.
    pub(in crate::store) fn begin(
        parts: &'a Parts,
        data: &Path,
        store: StoreId,
        highest: Revision,
    ) -> Result<Self, BackupError> {
        let disk = parts.disk.as_ref();
        let mut highest = highest;
        let mut number = 0;
        for generation in layout::generations(disk, data)? {
            number = number.max(generation.number);
            highest = highest.max(highest_of(disk, parts.backups.as_ref(), &generation)?);
        }
        let now = u64::try_from(parts.now.0).unwrap_or(0);
        let identity = Identity {
            store,
            era: now.max(highest.0 + 1),
            space: Space::Config,
        };
        let generation = Generation::new(data, number + 1);
        layout::create(disk, parts.entropy.as_ref(), &generation, identity)?;
        Ok(Self {
            parts,
            chunks: ChunkFiles::new(parts.disk.clone(), generation.chunks()),
            generation,
            identity,
        })
    }

    /// Store and era; its space is `config`.
    pub(in crate::store) fn identity(&self) -> Identity {
        self.identity
    }

    /// Stores a chunk.
    pub(in crate::store) fn chunk(
        &self,
        hash: &ChunkHash,
        content: &[u8],
    ) -> Result<(), BackupError> {
        self.check_room()?;
        Ok(self.chunks.write(hash, content).map_err(ChunkError::from)?)
    }

    /// Makes `state` the state of a space that the era begins with, as its first backup. All
    /// chunks are there already.
    pub(in crate::store) fn state(
        &self,
        space: Space,
        as_of: Option<Timestamp>,
        state: &dyn State,
    ) -> Result<(), BackupError> {
        let point = BackupPoint {
            identity: self.identity.of(space),
            revision: Revision(self.identity.era - 1),
            as_of,
        };
        let backups = self.parts.backups.clone();
        let chunks = DiskChunks::new(self.chunks.clone(), self.gauge(), backups);
        self.parts.backups.write(&point, state, &chunks)
    }

    /// The log of events, to be filled.
    pub(in crate::store) fn events(&self, seal_bytes: u64) -> io::Result<EventCopy<'_>> {
        let identity = self.identity.of(Space::Events);
        let first = Revision(identity.era);
        let path = self.generation.journal(Space::Events).join(name_of(first));
        let (file, salt) = salted(self.parts.disk.as_ref(), &path)?;
        Ok(EventCopy {
            building: self,
            identity,
            seal_bytes,
            next: first,
            file,
            salt,
        })
    }

    /// Makes it the current one; the others stay where they are.
    pub(in crate::store) fn finish(self) -> io::Result<Generation> {
        let disk = self.parts.disk.as_ref();
        layout::complete(disk, &self.generation, self.identity)?;
        layout::set_current(disk, &self.generation)?;
        Ok(self.generation)
    }

    fn gauge(&self) -> Gauge {
        Gauge {
            disk: self.parts.disk.clone(),
            path: self.generation.data.clone(),
        }
    }

    /// Building stops before it takes the room that the old generation needs to go on.
    pub(in crate::store) fn check_room(&self) -> io::Result<()> {
        self.gauge().check()
    }
}

/// Events on their way into a new era: the same commits in the same order, each under a new
/// revision, since revisions are contiguous within an era.
pub(in crate::store) struct EventCopy<'a> {
    building: &'a Building<'a>,
    identity: Identity,
    seal_bytes: u64,
    next: Revision,
    file: Box<dyn DiskFile>,
    salt: Salt,
}

impl EventCopy<'_> {
    /// Appends the records of one frame.
    pub(in crate::store) fn add(&mut self, records: Vec<Record>) -> io::Result<()> {
        self.building.check_room()?;
        let mut moved = Vec::with_capacity(records.len());
        for (record, revision) in records.into_iter().zip(self.next.0..) {
            let revision = Revision(revision);
            let writes = record.writes.into_iter();
            let writes = writes.map(|(key, value)| {
                let value = value.map(|value| value.moved(&key, revision));
                (key, value)
            });
            moved.push(Arc::new(Record {
                revision,
                id: record.id,
                at: record.at,
                writes: writes.collect(),
            }));
        }
        let frame = Frame::of(&moved);
        let used = self.file.len()?;
        if (HEADER_BYTES as u64) < used && self.seal_bytes < used + frame.file_bytes() as u64 {
            self.file.sync_data()?;
            let (parts, generation) = (self.building.parts, &self.building.generation);
            let (disk, entropy) = (parts.disk.as_ref(), parts.entropy.as_ref());
            let path = layout::begin_journal(disk, entropy, generation, self.identity, self.next)?;
            (self.file, self.salt) = salted(disk, &path)?;
        }
        self.file.append(&frame.seal(self.salt))?;
        self.next = frame.last().next();
        Ok(())
    }

    /// Makes them durable and says how many there are.
    pub(in crate::store) fn finish(self) -> io::Result<u64> {
        self.file.sync_data()?;
        Ok(self.next.0 - self.identity.era)
    }
}

/// An open journal file and its salt.
fn salted(disk: &dyn Disk, path: &Path) -> io::Result<(Box<dyn DiskFile>, Salt)> {
    let file = disk.open(path)?;
    let mut bytes = [0; HEADER_BYTES];
    let read = file.read_at(0, &mut bytes)?;
    let header = Header::open(&bytes[..read]).ok_or(io::ErrorKind::InvalidData)?;
    Ok((file, header.salt))
}

/// The highest revision of any space that a generation, or a backup of it, ever reached.
fn highest_of(
    disk: &dyn Disk,
    backups: &dyn Backups,
    generation: &Generation,
) -> Result<Revision, BackupError> {
    let Some(format) = format_of(disk, generation)? else {
        return Ok(Revision::ZERO);
    };
    let mut highest = Revision(format.era);
    for space in Space::WITH_JOURNAL {
        let identity = Identity {
            store: format.store,
            era: format.era,
            space,
        };
        let dir = generation.journal(space);
        match recover::scan::<io::Error>(disk, &dir, identity, &mut |_| Ok(())) {
            Ok(scan) => highest = highest.max(scan.highest),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
        let newest = backups
            .verified(identity)?
            .first()
            .map(|point| point.revision);
        highest = highest.max(newest.unwrap_or_default());
    }
    Ok(highest)
}

fn format_of(disk: &dyn Disk, generation: &Generation) -> io::Result<Option<Format>> {
    match layout::format(disk, generation)? {
        Said::Whole(format) => Ok(Some(format)),
        _ => layout::format_by_headers(disk, generation),
    }
}

/// Locks a data directory that nobody may be serving.
pub(in crate::store) fn lock_of(parts: &Parts, data: &Path) -> Result<LockGuard, StartError> {
    parts.disk.create_dir(data)?;
    start::lock(parts, data)
}
