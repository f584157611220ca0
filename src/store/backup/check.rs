//! Backups read again: what is damaged is set aside, or made anew.

use std::io;
use std::ops::ControlFlow;
use std::path::Path;

use crate::store::backup::BackupError;
use crate::store::backup::dir::{DirBackups, SUFFIX, parse_name};
use crate::store::backup::file::{self, Reader};
use crate::store::chunk::{ChunkError, ChunkStore};
use crate::store::scrub::{Look, Part};
use crate::store::{Finding, Revision, Space, StoreId};

/// End of the name of a backup that was found to be damaged.
const DAMAGED: &str = "damaged";

/// Damaged backups that are kept, for a person to look at.
const DAMAGED_KEPT: usize = 3;

impl DirBackups {
    /// Reads every backup and every copy of a chunk.
    pub(in crate::store::backup) fn look_through(
        &self,
        store: StoreId,
        chunks: &dyn ChunkStore,
        look: &mut Look<'_>,
    ) -> ControlFlow<()> {
        match self.all() {
            Ok(all) => {
                for backup in all {
                    self.check_backup(store, backup, look)?;
                }
            }
            Err(error) => look.found(Part::Backup, Finding::whole(&self.dir, &error), false),
        }
        self.check_copies(chunks, look)
    }

    /// Reads a backup to its end, a line at a time; `Break` if told to stop.
    fn read_slowly(
        &self,
        path: &Path,
        look: &mut Look<'_>,
    ) -> Result<ControlFlow<()>, BackupError> {
        let mut reader = Reader::open(self.disk.as_ref(), path, self.forms.as_ref())?;
        let mut n_told = 0;
        loop {
            let is_over = reader.next_item()?.is_none();
            if look.read(reader.n_bytes() - n_told).is_break() {
                return Ok(ControlFlow::Break(()));
            }
            n_told = reader.n_bytes();
            if is_over {
                return Ok(ControlFlow::Continue(()));
            }
        }
    }

    fn check_backup(
        &self,
        store: StoreId,
        (space, revision): (Space, Revision),
        look: &mut Look<'_>,
    ) -> ControlFlow<()> {
        let path = self.path_of(space, revision);
        let error = match self.read_slowly(&path, look) {
            Ok(flow) => return flow,
            // Removed since it was listed: newer ones took its place.
            Err(BackupError::Disk(error)) if error.kind() == io::ErrorKind::NotFound => {
                return ControlFlow::Continue(());
            }
            Err(error) => error,
        };
        let offset = match error {
            BackupError::NotWhole { offset, .. } => Some(offset),
            _ => None,
        };
        // What was written for another store, or by a newer program, is not ours to move.
        let is_foreign = matches!(
            file::peek(self.disk.as_ref(), &path),
            Ok(header) if header.store != store
        );
        if offset.is_some()
            && !is_foreign
            && let Err(error) = self.set_aside(&path)
        {
            tracing::error!(%error, path = %path.display(), "a damaged backup was not set aside");
        }
        let what = error.to_string();
        look.found(Part::Backup, Finding { path, offset, what }, false);
        ControlFlow::Continue(())
    }

    /// Gives a damaged backup a name that no backup has, and forgets the oldest of such.
    fn set_aside(&self, path: &Path) -> io::Result<()> {
        self.disk.rename(path, &path.with_extension(DAMAGED))?;
        let listed = self.disk.list(&self.dir)?;
        let mut aside: Vec<_> = listed
            .iter()
            .filter_map(|entry| {
                let stem = entry.name.strip_suffix(DAMAGED)?.strip_suffix('.')?;
                let (_, revision) = parse_name(&format!("{stem}{SUFFIX}"))?;
                Some((revision, &entry.name))
            })
            .collect();
        aside.sort_by_key(|(revision, _)| std::cmp::Reverse(*revision));
        for (_, name) in aside.iter().skip(DAMAGED_KEPT) {
            self.disk.remove(&self.dir.join(name))?;
        }
        self.disk.sync_dir(&self.dir)
    }

    fn check_copies(&self, chunks: &dyn ChunkStore, look: &mut Look<'_>) -> ControlFlow<()> {
        let hashes = match self.chunks.hashes() {
            Ok(hashes) => hashes,
            Err(error) => {
                look.found(Part::Copy, Finding::whole(&self.dir, &error), false);
                return ControlFlow::Continue(());
            }
        };
        for hash in &hashes {
            match self.chunks.read(hash) {
                Ok(_) => {
                    let n_bytes = self.chunks.file_bytes(hash).ok().flatten();
                    look.read(n_bytes.unwrap_or_default())?;
                }
                Err(ChunkError::Missing { .. }) => {}
                Err(error) => {
                    let path = self.chunks.path_of(hash);
                    let content = chunks.get(hash).ok();
                    let is_written =
                        content.is_some_and(|content| self.chunks.write(hash, &content).is_ok());
                    let is_mended = is_written && self.chunks.read(hash).is_ok();
                    look.found(Part::Copy, Finding::whole(&path, &error), is_mended);
                }
            }
        }
        ControlFlow::Continue(())
    }
}
