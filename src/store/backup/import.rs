//! An export becomes a store: a new generation that begins with its state.

use std::collections::BTreeMap;
use std::path::Path;

use crate::store::backup::BackupError;
use crate::store::backup::build::{Building, lock_of};
use crate::store::backup::file::{FileState, Header, Item, Reader};
use crate::store::layout::{self, Generation, Said};
use crate::store::start::{Parts, Settings, StartError};
use crate::store::{Identity, Revision, Space};

/// What an import may do to a directory that holds a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// Nothing: it is refused.
    Nothing,
    /// Put the imported state in its place; the old generation is kept beside it.
    Store,
}

/// What an import made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Imported {
    /// Where it is.
    pub generation: Generation,
    /// Store and era; its space is `config`.
    pub identity: Identity,
    /// Highest revision among the records of each space, as they were exported.
    pub revisions: BTreeMap<Space, Revision>,
    /// Number of records.
    pub n_records: u64,
    /// Number of chunks.
    pub n_chunks: u64,
}

/// Why nothing was imported. The directory is as it was.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file is damaged, or of a newer version, or the disk fails.
    #[error(transparent)]
    File(#[from] BackupError),
    /// The file is a backup of one space.
    #[error("a backup of one space, not an export; `endcap restore DIR` takes backups")]
    Backup,
    /// The directory holds a store.
    #[error("the directory holds a store; `--replace` puts the imported one in its place")]
    Occupied,
    /// The directory is in use, or cannot be used.
    #[error(transparent)]
    Directory(#[from] StartError),
}

/// Makes the export at `file` the store in `settings.path`. The whole file is read and checked
/// before anything is written, and CURRENT names the new generation last: after a crash at any
/// moment the old store is there, or the new one.
///
/// # Errors
/// [`ImportError`]; nothing was changed but for a generation that nobody names.
pub fn import(
    settings: &Settings,
    parts: &Parts,
    file: &Path,
    over: Over,
) -> Result<Imported, ImportError> {
    let (disk, forms) = (parts.disk.as_ref(), parts.forms.as_ref());
    let whole = Reader::open(disk, file, forms)?.finish()?;
    if whole.header.backup.is_some() {
        return Err(ImportError::Backup);
    }
    let _lock = lock_of(parts, &settings.path)?;
    if over == Over::Nothing && holds_store(parts, &settings.path)? {
        return Err(ImportError::Occupied);
    }
    Ok(build(settings, parts, file, &whole.header)?)
}

fn build(
    settings: &Settings,
    parts: &Parts,
    file: &Path,
    header: &Header,
) -> Result<Imported, BackupError> {
    let (disk, forms) = (parts.disk.as_ref(), parts.forms.as_ref());
    let highest = header.revisions.values().copied().max();
    let highest = highest.unwrap_or_default();
    let building = Building::begin(parts, &settings.path, header.store, highest)?;
    let mut reader = Reader::open(disk, file, forms)?;
    while let Some(item) = reader.next_item()? {
        if let Item::Chunk(hash, Some(content)) = item {
            building.chunk(&hash, &content)?;
        }
    }
    for space in [Space::Config, Space::Trade] {
        let state = FileState {
            disk,
            path: file,
            forms,
            space,
        };
        building.state(space, header.as_of, &state)?;
    }
    let identity = building.identity();
    Ok(Imported {
        generation: building.finish()?,
        identity,
        revisions: header.revisions.clone(),
        n_records: header.n_records,
        n_chunks: header.n_chunks,
    })
}

/// Whether anything in a directory was, or may have been, a store.
fn holds_store(parts: &Parts, data: &Path) -> Result<bool, BackupError> {
    let disk = parts.disk.as_ref();
    if layout::current(disk, data)? != Said::Missing {
        return Ok(true);
    }
    for generation in layout::generations(disk, data)? {
        if layout::has_content(disk, &generation)? {
            return Ok(true);
        }
    }
    Ok(false)
}
