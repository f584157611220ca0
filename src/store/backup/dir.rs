//! Backups in a directory.
//!
//! ```text
//! <dir>/<space>-<revision>.jsonl    <dir>/chunks/<2 hex>/<sha256 hex>
//! ```
//!
//! A backup is written under another name, synced, read back, and only then given its own: what
//! has the name of a backup was whole once. Chunks are copied before the backup that names them,
//! each once. The newest seven of a space are kept, and the chunks that any of them names.

use std::collections::BTreeSet;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::store::backup::BackupError;
use crate::store::backup::file::{self, Census, Header, Item, Reader, Writer};
use crate::store::backup::lines::Written;
use crate::store::chunk::files::ChunkFiles;
use crate::store::chunk::{ChunkError, ChunkHash, ChunkStore};
use crate::store::disk::Disk;
use crate::store::fault::fault;
use crate::store::room::Gauge;
use crate::store::scrub::Look;
use crate::store::seam::{BackupPoint, Backups, EachRecord, Forms, State};
use crate::store::{Identity, Revision, Space};

/// Backups of a space that are kept.
const KEPT: usize = 7;

pub(in crate::store::backup) const SUFFIX: &str = ".jsonl";

/// Backups in a directory, perhaps on another disk than the store.
#[derive(Clone)]
pub struct DirBackups {
    pub(in crate::store::backup) disk: Arc<dyn Disk>,
    pub(in crate::store::backup) dir: PathBuf,
    pub(in crate::store::backup) chunks: ChunkFiles,
    pub(in crate::store::backup) forms: Arc<dyn Forms>,
}

impl std::fmt::Debug for DirBackups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "backups in {}", self.dir.display())
    }
}

/// Name of the backup of a space at a revision.
pub fn name_of(space: Space, revision: Revision) -> String {
    format!("{}-{revision}{SUFFIX}", space.name())
}

/// Space and revision of a backup of this name; `None` if it is no backup's.
pub fn parse_name(name: &str) -> Option<(Space, Revision)> {
    let (space, revision) = name.strip_suffix(SUFFIX)?.split_once('-')?;
    let (space, revision) = (Space::from_name(space)?, Revision(revision.parse().ok()?));
    (name_of(space, revision) == name).then_some((space, revision))
}

impl DirBackups {
    /// Backups below `dir`, which is made with the first.
    pub fn new(disk: Arc<dyn Disk>, dir: PathBuf, forms: Arc<dyn Forms>) -> Self {
        Self {
            chunks: ChunkFiles::new(disk.clone(), dir.join("chunks")),
            disk,
            dir,
            forms,
        }
    }

    /// Where the backup of a space at a revision lies.
    pub fn path_of(&self, space: Space, revision: Revision) -> PathBuf {
        self.dir.join(name_of(space, revision))
    }

    /// All backups, whosoever they are.
    ///
    /// # Errors
    /// What the disk says.
    pub fn paths(&self) -> io::Result<Vec<PathBuf>> {
        let all = self.all()?.into_iter();
        Ok(all
            .map(|(space, revision)| self.path_of(space, revision))
            .collect())
    }

    /// The copies of chunks.
    pub fn chunks(&self) -> &ChunkFiles {
        &self.chunks
    }

    /// All backups by name, whosoever they are; newest first within each space.
    ///
    /// # Errors
    /// What the disk says.
    pub fn all(&self) -> io::Result<Vec<(Space, Revision)>> {
        let listed = match self.disk.list(&self.dir) {
            Ok(listed) => listed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        let files = listed.iter().filter(|entry| !entry.is_dir);
        let mut found: Vec<_> = files.filter_map(|entry| parse_name(&entry.name)).collect();
        found.sort_by_key(|(space, revision)| (*space, std::cmp::Reverse(*revision)));
        Ok(found)
    }

    /// The point that a backup says it is; `None` if it is damaged, with a line in the log.
    fn point(&self, space: Space, revision: Revision) -> Result<Option<BackupPoint>, BackupError> {
        let path = self.path_of(space, revision);
        match file::peek(self.disk.as_ref(), &path) {
            Ok(header) => Ok(header
                .backup
                .filter(|point| (point.identity.space, point.revision) == (space, revision))),
            Err(BackupError::Disk(error)) => Err(BackupError::Disk(error)),
            Err(error) => {
                tracing::warn!(%error, "a backup is damaged");
                Ok(None)
            }
        }
    }

    /// Reads a backup and checks that it is the one its name says.
    fn read_whole(
        &self,
        path: &Path,
        point: &BackupPoint,
        each: EachRecord<'_>,
    ) -> Result<Census, BackupError> {
        let mut reader = Reader::open(self.disk.as_ref(), path, self.forms.as_ref())?;
        if reader.header().backup != Some(*point) {
            return Err(BackupError::NotWhole {
                path: path.to_path_buf(),
                line: 1,
                offset: 0,
                what: "another backup than its name says",
            });
        }
        while let Some(item) = reader.next_item()? {
            if let Item::Record(_, key, value) = item {
                each(key, value)?;
            }
        }
        Ok(reader.finish()?.census)
    }

    /// Refuses to take the last room of the volume.
    fn check_room(&self) -> io::Result<()> {
        let gauge = Gauge {
            disk: self.disk.clone(),
            path: self.dir.clone(),
        };
        gauge.check()
    }

    /// Makes the directory, and its name durable.
    fn make_dir(&self) -> io::Result<()> {
        self.disk.create_dir(&self.dir)?;
        match self.dir.parent() {
            Some(above) => self.disk.sync_dir(above),
            None => Ok(()),
        }
    }

    /// Copies what has no whole copy, and says which chunks have one now: a damaged chunk has
    /// none, and must not keep all else from being backed up.
    fn copy(&self, chunks: &dyn ChunkStore) -> Result<BTreeSet<ChunkHash>, BackupError> {
        let mut copied = self.chunks.hashes()?;
        let mut named = BTreeSet::new();
        for hash in chunks.hashes()? {
            if !copied.contains(&hash) {
                self.check_room()?;
                let content = match chunks.get(&hash) {
                    Ok(content) => content,
                    Err(error @ (ChunkError::Missing { .. } | ChunkError::Damaged { .. })) => {
                        tracing::warn!(%error, "a chunk is left out of the backup");
                        continue;
                    }
                    Err(error) => return Err(error.into()),
                };
                self.chunks
                    .write(&hash, &content)
                    .map_err(ChunkError::from)?;
                self.chunks.read(&hash)?;
                copied.insert(hash);
            }
            named.insert(hash);
        }
        Ok(named)
    }

    fn write_file(
        &self,
        fresh: &Path,
        point: &BackupPoint,
        state: &dyn State,
        named: &BTreeSet<ChunkHash>,
    ) -> Result<Census, BackupError> {
        let space = point.identity.space;
        let counted = Census::count_of(state)?;
        let header = Header {
            store: point.identity.store,
            revisions: [(space, counted.highest)].into(),
            as_of: point.as_of,
            n_records: counted.records,
            n_chunks: named.len() as u64,
            backup: Some(*point),
        };
        let forms = self.forms.as_ref();
        let mut out = Writer::begin(self.disk.as_ref(), fresh, &header, forms)?;
        out.records(space, state)?;
        for hash in named {
            out.chunk(hash, None)?;
        }
        Ok(out.finish()?.0)
    }

    /// Removes what lies behind the newest seven of this era, and the chunks that no backup names
    /// any more. Backups of other stores, and of eras that are not this one's past, are left alone.
    fn prune(&self, identity: Identity, chunks: &dyn ChunkStore) -> Result<(), BackupError> {
        let mut kept = BTreeSet::new();
        let mut n_kept = 0;
        for (space, revision) in self.all()? {
            let path = self.path_of(space, revision);
            let said = self.point(space, revision)?.map(|point| point.identity);
            let is_ours = said == Some(identity);
            // An era's revisions lie above those of every era before, so its past comes behind.
            let is_past = said.is_some_and(|said| {
                said.space == identity.space
                    && said.store == identity.store
                    && said.era < identity.era
            });
            if (is_ours || is_past) && KEPT <= n_kept {
                self.disk.remove(&path)?;
                continue;
            }
            n_kept += usize::from(is_ours);
            if said.is_some() {
                kept.extend(file::names(self.disk.as_ref(), &path)?);
            }
        }
        kept.extend(chunks.hashes()?);
        for hash in self.chunks.hashes()?.difference(&kept) {
            self.chunks.remove(hash)?;
        }
        Ok(())
    }
}

impl Backups for DirBackups {
    fn verified(&self, identity: Identity) -> Result<Vec<BackupPoint>, BackupError> {
        let mut points = Vec::new();
        for (space, revision) in self.all()? {
            if space == identity.space {
                let point = self.point(space, revision)?;
                points.extend(point.filter(|point| point.identity == identity));
            }
        }
        Ok(points)
    }

    fn eras(&self) -> Result<Vec<Identity>, BackupError> {
        let mut eras = Vec::new();
        for (space, revision) in self.all()? {
            if space == Space::Config {
                let point = self.point(space, revision)?;
                eras.extend(point.map(|point| point.identity));
            }
        }
        eras.dedup();
        eras.sort_by_key(|identity| std::cmp::Reverse(identity.era));
        Ok(eras)
    }

    fn read(&self, point: &BackupPoint, each: EachRecord<'_>) -> Result<(), BackupError> {
        let path = self.path_of(point.identity.space, point.revision);
        self.read_whole(&path, point, each).map(|_| ())
    }

    fn written(&self, point: &BackupPoint) -> Result<Written, BackupError> {
        let path = self.path_of(point.identity.space, point.revision);
        file::written(self.disk.as_ref(), &path)
    }

    fn write(
        &self,
        point: &BackupPoint,
        state: &dyn State,
        chunks: &dyn ChunkStore,
    ) -> Result<(), BackupError> {
        self.make_dir()?;
        self.check_room()?;
        let named = self.copy(chunks)?;
        let path = self.path_of(point.identity.space, point.revision);
        let fresh = path.with_extension("new");
        fault!("backup.before-write");
        let written = self
            .write_file(&fresh, point, state, &named)
            .and_then(|written| {
                let read = self.read_whole(&fresh, point, &mut |_, _| Ok(()))?;
                if read == written {
                    fault!("backup.before-rename");
                    return Ok(self.disk.rename(&fresh, &path)?);
                }
                Err(io::Error::from(io::ErrorKind::InvalidData).into())
            });
        if let Err(error) = written {
            drop(self.disk.remove(&fresh));
            return Err(error);
        }
        fault!("backup.after-rename");
        self.disk.sync_dir(&self.dir)?;
        fault!("backup.before-prune");
        if let Err(error) = self.prune(point.identity, chunks) {
            tracing::warn!(%error, "old backups were not removed");
        }
        Ok(())
    }

    fn copy_chunks(&self, chunks: &dyn ChunkStore) -> Result<(), BackupError> {
        self.make_dir()?;
        self.copy(chunks).map(|_| ())
    }

    fn chunk(&self, hash: &ChunkHash) -> io::Result<Option<Vec<u8>>> {
        match self.chunks.read(hash) {
            Ok(content) => Ok(Some(content)),
            Err(ChunkError::Disk(error)) => Err(error),
            Err(_) => Ok(None),
        }
    }

    fn check(
        &self,
        identity: Identity,
        chunks: &dyn ChunkStore,
        look: &mut Look<'_>,
    ) -> ControlFlow<()> {
        self.look_through(identity.store, chunks, look)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_space_and_revision() {
        let check = |name: &str, expected: Option<(Space, u64)>| {
            let expected = expected.map(|(space, revision)| (space, Revision(revision)));
            assert_eq!(parse_name(name), expected, "{name}");
        };
        check("config-4180.jsonl", Some((Space::Config, 4_180)));
        check("trade-0.jsonl", Some((Space::Trade, 0)));
        check("config-04180.jsonl", None);
        check("config-4180.new", None);
        check("attic-4180.jsonl", None);
        check("config.jsonl", None);
    }
}
