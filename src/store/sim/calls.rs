//! The simulated disk as callers see it: every call counted, each perhaps failing.

use std::io;
use std::path::{Path, PathBuf};

use crate::store::disk::{Disk, DiskFile, Listed, LockGuard, Volume};
use crate::store::sim::{Call, FaultKind, Inode, Node, Pending, SimDisk, State};

impl Disk for SimDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.call(Call::Read)?;
        let inode = state.file(path)?;
        let life = state.life;
        drop(state);
        Ok(self.handle(inode, life))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.call(Call::NeedsRoom)?;
        if state.view.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let parent = path.parent().map(Path::to_path_buf).unwrap_or_default();
        if state.view.get(&parent) != Some(&Node::Dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inode = state.inodes.len();
        state.inodes.push(Inode::default());
        state.change_names(None, Some((path.to_path_buf(), Node::File(inode))));
        let life = state.life;
        drop(state);
        Ok(self.handle(inode, life))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.call(Call::NeedsRoom)?;
        let mut missing: Vec<PathBuf> = Vec::new();
        for ancestor in path.ancestors() {
            match state.view.get(ancestor) {
                Some(Node::Dir) => break,
                Some(Node::File(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
                None => missing.push(ancestor.to_path_buf()),
            }
        }
        for dir in missing.into_iter().rev() {
            state.change_names(None, Some((dir, Node::Dir)));
        }
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        let fault = state.call(Call::Sync)?;
        if state.view.get(path) != Some(&Node::Dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        // Names are journaled by file systems: a failed sync leaves them pending.
        if fault.is_some() {
            return Err(io::Error::from_raw_os_error(5));
        }
        for mut change in std::mem::take(&mut state.pending_names) {
            change.unsynced.retain(|dir| dir != path);
            if change.unsynced.is_empty() {
                change.settle(&mut state.durable);
            } else {
                state.pending_names.push(change);
            }
        }
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.call(Call::NeedsRoom)?;
        let inode = state.file(from)?;
        if state.view.get(to) == Some(&Node::Dir) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let there = Some((to.to_path_buf(), Node::File(inode)));
        state.change_names(Some(from.to_path_buf()), there);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.call(Call::Change)?;
        if !state.view.contains_key(path) {
            return Err(io::ErrorKind::NotFound.into());
        }
        if state.children(path).next().is_some() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        state.change_names(Some(path.to_path_buf()), None);
        Ok(())
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Listed>> {
        let mut state = self.state();
        state.call(Call::Read)?;
        if state.view.get(path) != Some(&Node::Dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let listed = |(path, node): (&PathBuf, &Node)| {
            let bytes = match node {
                Node::File(inode) => state.inodes[*inode].view.len() as u64,
                Node::Dir => 0,
            };
            Some(Listed {
                name: path.file_name()?.to_str()?.to_owned(),
                bytes,
                is_dir: *node == Node::Dir,
            })
        };
        Ok(state.children(path).filter_map(listed).collect())
    }

    fn free_bytes(&self, _: &Path) -> io::Result<Volume> {
        let mut state = self.state();
        state.call(Call::Read)?;
        let total = state.total_bytes;
        Ok(Volume {
            free: total.saturating_sub(state.used_bytes()),
            total,
        })
    }

    fn lock(&self, path: &Path, note: &str) -> io::Result<LockGuard> {
        let mut state = self.state();
        state.call(Call::Change)?;
        if !state.locked.insert(path.to_path_buf()) {
            return Err(io::Error::new(io::ErrorKind::WouldBlock, note.to_owned()));
        }
        if !state.view.contains_key(path) {
            let inode = state.inodes.len();
            state.inodes.push(Inode::default());
            state.change_names(None, Some((path.to_path_buf(), Node::File(inode))));
        }
        let (disk, life) = (self.clone(), state.life);
        Ok(Box::new(SimLock {
            disk,
            life,
            path: path.to_path_buf(),
        }))
    }
}

struct SimLock {
    disk: SimDisk,
    life: u64,
    path: PathBuf,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.life == self.life {
            state.locked.remove(&self.path);
        }
    }
}

#[derive(Debug)]
pub(super) struct SimFile {
    pub(super) disk: SimDisk,
    pub(super) inode: usize,
    pub(super) life: u64,
}

impl SimFile {
    fn with<T>(
        &self,
        call: Call,
        act: impl FnOnce(&mut State, Option<FaultKind>) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut state = self.disk.state();
        let fault = state.call(call)?;
        if state.life != self.life {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        act(&mut state, fault)
    }
}

fn offset(at: u64) -> io::Result<usize> {
    usize::try_from(at).map_err(|_| io::ErrorKind::InvalidInput.into())
}

impl DiskFile for SimFile {
    fn len(&self) -> io::Result<u64> {
        self.with(Call::Read, |state, _| {
            Ok(state.inodes[self.inode].view.len() as u64)
        })
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.with(Call::Append, |state, fault| {
            let room = offset(state.total_bytes.saturating_sub(state.used_bytes()))?;
            let kept = match fault {
                Some(FaultKind::ShortWrite) => room.min(bytes.len() / 2),
                _ => room.min(bytes.len()),
            };
            let inode = &mut state.inodes[self.inode];
            let at = inode.view.len();
            inode.apply(Pending::Write {
                at,
                bytes: bytes[..kept].to_vec(),
            });
            match fault {
                Some(FaultKind::PowerOff) => Err(io::ErrorKind::BrokenPipe.into()),
                Some(_) => Err(io::ErrorKind::WriteZero.into()),
                None if kept < bytes.len() => Err(io::ErrorKind::StorageFull.into()),
                None => Ok(()),
            }
        })
    }

    fn write_over(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.with(Call::Change, |state, _| {
            let (at, bytes) = (offset(at)?, bytes.to_vec());
            state.inodes[self.inode].apply(Pending::Write { at, bytes });
            Ok(())
        })
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.with(Call::Read, |state, _| {
            let view = &state.inodes[self.inode].view;
            let rest = view.get(offset(at)?..).unwrap_or_default();
            let read = rest.len().min(buffer.len());
            buffer[..read].copy_from_slice(&rest[..read]);
            Ok(read)
        })
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.with(Call::Change, |state, _| {
            let bytes = offset(bytes)?;
            state.inodes[self.inode].apply(Pending::Cut { bytes });
            Ok(())
        })
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(Call::Sync, |state, fault| {
            let inode = &mut state.inodes[self.inode];
            let pending = std::mem::take(&mut inode.pending);
            if fault.is_some() {
                return Err(io::Error::from_raw_os_error(5));
            }
            for change in &pending {
                change.settle(&mut inode.durable);
            }
            Ok(())
        })
    }
}
