//! A disk that only looks: what is written to it stays in memory.
//!
//! So `verify` climbs the same ladder as a start, with the same mending, and the real files are
//! never touched. A file that is written to is copied into memory whole: journal files and small
//! ones, never chunks.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::store::disk::{self, Disk, DiskFile, Listed, LockGuard, Volume};
use crate::store::shared::locked;

/// What is seen of another disk, and what was written on top. Clones share it.
#[derive(Clone, Debug)]
pub struct Overlay {
    below: Arc<dyn Disk>,
    layer: Arc<Mutex<Layer>>,
}

#[derive(Debug, Default)]
struct Layer {
    /// Files that were written; `None` where one was removed.
    files: BTreeMap<PathBuf, Option<Vec<u8>>>,
    dirs: BTreeSet<PathBuf>,
}

impl Overlay {
    /// Nothing written yet.
    pub fn over(below: Arc<dyn Disk>) -> Self {
        Self {
            below,
            layer: Arc::default(),
        }
    }

    /// The content of a file as it is seen.
    fn content(&self, layer: &Layer, path: &Path) -> io::Result<Vec<u8>> {
        match layer.files.get(path) {
            Some(Some(content)) => Ok(content.clone()),
            Some(None) => Err(io::ErrorKind::NotFound.into()),
            None => disk::read_whole(self.below.as_ref(), path, u64::MAX),
        }
    }

    fn file(&self, path: &Path, below: Option<Box<dyn DiskFile>>) -> Box<dyn DiskFile> {
        Box::new(OverlayFile {
            disk: self.clone(),
            path: path.to_path_buf(),
            below,
        })
    }

    fn is_there(&self, layer: &Layer, path: &Path) -> bool {
        match layer.files.get(path) {
            Some(content) => content.is_some(),
            None => self.below.open(path).is_ok(),
        }
    }
}

impl Disk for Overlay {
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        match locked(&self.layer).files.get(path) {
            Some(Some(_)) => Ok(self.file(path, None)),
            Some(None) => Err(io::ErrorKind::NotFound.into()),
            None => Ok(self.file(path, Some(self.below.open(path)?))),
        }
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut layer = locked(&self.layer);
        if self.is_there(&layer, path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        layer.files.insert(path.to_path_buf(), Some(Vec::new()));
        Ok(self.file(path, None))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let dirs = path.ancestors().map(Path::to_path_buf);
        locked(&self.layer).dirs.extend(dirs);
        Ok(())
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut layer = locked(&self.layer);
        let content = self.content(&layer, from)?;
        layer.files.insert(to.to_path_buf(), Some(content));
        layer.files.insert(from.to_path_buf(), None);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut layer = locked(&self.layer);
        if !self.is_there(&layer, path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        layer.files.insert(path.to_path_buf(), None);
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Listed>> {
        let layer = locked(&self.layer);
        let listed = match self.below.list(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && layer.dirs.contains(path) => {
                Vec::new()
            }
            listed => listed?,
        };
        let mut found: BTreeMap<String, Listed> = listed
            .into_iter()
            .map(|entry| (entry.name.clone(), entry))
            .collect();
        let name_of = |child: &Path| {
            let is_child = child.parent() == Some(path);
            let name = child.file_name().filter(|_| is_child)?;
            name.to_str().map(str::to_owned)
        };
        for (child, content) in &layer.files {
            let Some(name) = name_of(child) else { continue };
            match content {
                None => found.remove(&name),
                Some(content) => found.insert(
                    name.clone(),
                    Listed {
                        name,
                        bytes: content.len() as u64,
                        is_dir: false,
                    },
                ),
            };
        }
        for name in layer.dirs.iter().filter_map(|child| name_of(child)) {
            found.entry(name.clone()).or_insert(Listed {
                name,
                bytes: 0,
                is_dir: true,
            });
        }
        Ok(found.into_values().collect())
    }

    fn free_bytes(&self, path: &Path) -> io::Result<Volume> {
        self.below.free_bytes(path)
    }

    /// Takes the real lock where there is a lock file: who serves a directory has made one.
    fn lock(&self, path: &Path, note: &str) -> io::Result<LockGuard> {
        if self.below.open(path).is_ok() {
            self.below.lock(path, note)
        } else {
            Ok(Box::new(()))
        }
    }
}

/// A file as it is seen: from below until it is written to.
#[derive(Debug)]
struct OverlayFile {
    disk: Overlay,
    path: PathBuf,
    below: Option<Box<dyn DiskFile>>,
}

impl OverlayFile {
    /// Changes the content, copied into memory first.
    fn change<T>(&self, act: impl FnOnce(&mut Vec<u8>) -> io::Result<T>) -> io::Result<T> {
        let mut layer = locked(&self.disk.layer);
        let mut content = self.disk.content(&layer, &self.path)?;
        let said = act(&mut content)?;
        layer.files.insert(self.path.clone(), Some(content));
        Ok(said)
    }
}

impl DiskFile for OverlayFile {
    fn len(&self) -> io::Result<u64> {
        let layer = locked(&self.disk.layer);
        match (layer.files.get(&self.path), &self.below) {
            (Some(Some(content)), _) => Ok(content.len() as u64),
            (None, Some(file)) => file.len(),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.change(|content| {
            content.extend_from_slice(bytes);
            Ok(())
        })
    }

    fn write_over(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.change(|content| {
            let at = usize::try_from(at).map_err(|_| io::ErrorKind::InvalidInput)?;
            let over = content.get_mut(at..at + bytes.len());
            over.ok_or(io::ErrorKind::InvalidInput)?
                .copy_from_slice(bytes);
            Ok(())
        })
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let layer = locked(&self.disk.layer);
        match (layer.files.get(&self.path), &self.below) {
            (Some(Some(content)), _) => {
                let at = usize::try_from(at).unwrap_or(usize::MAX);
                let rest = content.get(at..).unwrap_or_default();
                let read = rest.len().min(buffer.len());
                buffer[..read].copy_from_slice(&rest[..read]);
                Ok(read)
            }
            (None, Some(file)) => file.read_at(at, buffer),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.change(|content| {
            content.truncate(usize::try_from(bytes).unwrap_or(usize::MAX));
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
}
