//! The whole store as one file: `config` and `trade`, hot and cold, and the chunks.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::store::backup::BackupError;
use crate::store::backup::file::{Census, Header, Reader, Writer};
use crate::store::backup::lines::Written;
use crate::store::chunk::ChunkStore;
use crate::store::disk::Disk;
use crate::store::index::IndexError;
use crate::store::index::follower::Progress;
use crate::store::index::state::IndexState;
use crate::store::opened::Opened;
use crate::store::room::Gauge;
use crate::store::seam::Forms;
use crate::store::start::{self, Parts, Report, Settings, StartError};
use crate::store::{Revision, Space};

/// What an export holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exported {
    /// The revision of each space that was exported.
    pub revisions: BTreeMap<Space, Revision>,
    /// Number of records.
    pub n_records: u64,
    /// Number of chunks.
    pub n_chunks: u64,
    /// The file.
    pub written: Written,
}

/// Why a stopped store was not exported.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// It does not start; a running one is exported by its own process.
    #[error(transparent)]
    Start(#[from] StartError),
    /// It was not written.
    #[error(transparent)]
    Write(#[from] BackupError),
}

/// What an export is made of and where it goes.
struct Export<'a> {
    disk: &'a Arc<dyn Disk>,
    forms: &'a dyn Forms,
    chunks: &'a dyn ChunkStore,
    path: &'a Path,
}

/// Exports a running store; commits go on meanwhile, the index waits. A file at `path` is
/// replaced once the new one was read back.
///
/// # Errors
/// [`BackupError::Index`] while the index is rebuilt, [`BackupError::Chunk`] if a chunk is damaged
/// and no backup has it, [`BackupError::Form`], [`BackupError::Disk`]. The file at `path` is as it
/// was.
pub fn export(
    store: &Opened,
    disk: &Arc<dyn Disk>,
    forms: &dyn Forms,
    path: &Path,
) -> Result<Exported, BackupError> {
    let chunks = store.chunks.as_ref();
    let export = Export {
        disk,
        forms,
        chunks,
        path,
    };
    store.with_states(|states| export.write(states))?
}

/// Exports a stopped store, and says what its start found: an `Older` one exports what it serves.
///
/// # Errors
/// [`ExportError`].
pub fn export_stopped(
    settings: &Settings,
    parts: &Parts,
    path: &Path,
) -> Result<(Exported, Report), ExportError> {
    let mut raised = start::raise(settings, parts)?;
    while raised.follower.step() == Progress::Behind {}
    let export = Export {
        disk: &parts.disk,
        forms: parts.forms.as_ref(),
        chunks: raised.chunks.as_ref(),
        path,
    };
    let states = raised.follower.states();
    let states = states.map_err(BackupError::Index)?;
    Ok((export.write(&states)?, raised.report))
}

impl Export<'_> {
    fn write(&self, states: &[IndexState<'_>]) -> Result<Exported, BackupError> {
        let above = match self.path.parent() {
            Some(above) if above != Path::new("") => above,
            _ => Path::new("."),
        };
        let gauge = Gauge {
            disk: self.disk.clone(),
            path: above.to_path_buf(),
        };
        gauge.check()?;
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let fresh = self.path.with_file_name(name);
        let written = self.write_file(&fresh, states).and_then(|exported| {
            self.disk.rename(&fresh, self.path)?;
            self.disk.sync_dir(above)?;
            Ok(exported)
        });
        if written.is_err() {
            // Left behind, it would only take room.
            drop(self.disk.remove(&fresh));
        }
        written
    }

    fn write_file(&self, fresh: &Path, states: &[IndexState<'_>]) -> Result<Exported, BackupError> {
        let first = states.first().map(|state| state.point().identity);
        let identity = first.ok_or_else(|| IndexError::new("no space has keys"))?;
        let hashes = self.chunks.hashes()?;
        let mut header = Header {
            store: identity.store,
            revisions: BTreeMap::new(),
            as_of: states.iter().filter_map(|state| state.point().as_of).max(),
            n_records: 0,
            n_chunks: hashes.len() as u64,
            backup: None,
        };
        for state in states {
            let counted = Census::count_of(state)?;
            let space = state.point().identity.space;
            header.revisions.insert(space, counted.highest);
            header.n_records += counted.records;
        }
        let mut out = Writer::begin(self.disk.as_ref(), fresh, &header, self.forms)?;
        for state in states {
            out.records(state.point().identity.space, state)?;
        }
        for hash in &hashes {
            out.chunk(hash, Some(&self.chunks.get(hash)?))?;
        }
        let (census, written) = out.finish()?;
        let read = Reader::open(self.disk.as_ref(), fresh, self.forms)?.finish()?;
        if (read.census, read.written) != (census, written) {
            return Err(io::Error::from(io::ErrorKind::InvalidData).into());
        }
        let point = |state: &IndexState<'_>| (state.point().identity.space, state.point().revision);
        Ok(Exported {
            revisions: states.iter().map(point).collect(),
            n_records: header.n_records,
            n_chunks: header.n_chunks,
            written,
        })
    }
}
