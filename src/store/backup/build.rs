//! A new generation beside the old ones: complete and synced before CURRENT names it.

use std::io;
use std::path::Path;

use crate::domain::time::Timestamp;
use crate::store::backup::BackupError;
use crate::store::chunk::files::{ChunkFiles, DiskChunks};
use crate::store::chunk::{ChunkError, ChunkHash};
use crate::store::disk::Disk;
use crate::store::journal::recover;
use crate::store::layout::{self, Format, Generation, Said};
use crate::store::room::Gauge;
use crate::store::seam::{BackupPoint, Backups, State};
use crate::store::start::{Parts, StartError};
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

    /// Where it will be.
    pub(in crate::store) fn generation(&self) -> &Generation {
        &self.generation
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
pub(in crate::store) fn lock_of(
    parts: &Parts,
    data: &Path,
) -> Result<crate::store::disk::LockGuard, StartError> {
    parts.disk.create_dir(data)?;
    crate::store::start::lock(parts, data)
}
