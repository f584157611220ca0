//! The one way to files: what the room asks of a disk, and the real one.
//!
//! Journal, chunks, backups, CURRENT and FORMAT reach files only through [`Disk`], so that tests
//! can cut the power or fail the n-th call ([`SimDisk`](crate::store::sim::SimDisk)). sled does
//! its own I/O and is not trusted.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::Path;

use crate::store::fault::fault;

/// Bytes of a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Still to be had by this process.
    pub free: u64,
    /// All of it.
    pub total: u64,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// Last component of its path; names that are not UTF-8 are left out of listings.
    pub name: String,
    /// Bytes of a file, 0 of a directory.
    pub bytes: u64,
    /// Whether it is a directory.
    pub is_dir: bool,
}

/// A lock on a data directory, released when dropped.
pub type LockGuard = Box<dyn Send + Sync>;

/// Files below one directory. Nothing is durable before its sync returned.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Opens an existing file for reading and appending.
    ///
    /// # Errors
    /// `NotFound`, or what the disk says.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Creates an empty file, mode 0600; its name is durable after [`sync_dir`](Self::sync_dir).
    ///
    /// # Errors
    /// `AlreadyExists`, or what the disk says.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// Creates a directory and those above it, mode 0700; an existing one is left as it is.
    ///
    /// # Errors
    /// What the disk says.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes the names in a directory durable: creations, renames, removals.
    ///
    /// # Errors
    /// What the disk says; then nothing more may be believed of it.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Moves a file, replacing what is at `to`.
    ///
    /// # Errors
    /// What the disk says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file or an empty directory.
    ///
    /// # Errors
    /// `NotFound`, or what the disk says.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Names in a directory, ascending.
    ///
    /// # Errors
    /// `NotFound`, or what the disk says.
    fn list(&self, path: &Path) -> io::Result<Vec<Listed>>;

    /// Free and total bytes of the volume that holds `path`.
    ///
    /// # Errors
    /// What the disk says.
    fn free_bytes(&self, path: &Path) -> io::Result<Volume>;

    /// Locks a file for this process and writes `note` into it.
    ///
    /// # Errors
    /// `WouldBlock` if another process holds it, with the holder's note as the message.
    fn lock(&self, path: &Path, note: &str) -> io::Result<LockGuard>;
}

/// An open file.
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Bytes of the file.
    ///
    /// # Errors
    /// What the disk says.
    fn len(&self) -> io::Result<u64>;

    /// Whether it has no bytes.
    ///
    /// # Errors
    /// What the disk says.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Writes all of `bytes` at the end. After an error any prefix of them may be there.
    ///
    /// # Errors
    /// `StorageFull` or `WriteZero` without room, or what the disk says.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;

    /// Writes over bytes that exist. Only for repeating what is there already, so that the next
    /// sync carries it to the disk again.
    ///
    /// # Errors
    /// What the disk says.
    fn write_over(&self, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Reads up to `buffer.len()` bytes from `at`; fewer only at the end of the file.
    ///
    /// # Errors
    /// What the disk says.
    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Cuts the file to `bytes`.
    ///
    /// # Errors
    /// What the disk says.
    fn truncate(&self, bytes: u64) -> io::Result<()>;

    /// Makes content and length durable.
    ///
    /// # Errors
    /// What the disk says. The written bytes are lost then, and a later sync that succeeds does
    /// not bring them back.
    fn sync_data(&self) -> io::Result<()>;
}

/// The whole content of a file of at most `max` bytes.
///
/// # Errors
/// `NotFound`, `FileTooLarge` above `max`, or what the disk says.
pub fn read_whole(disk: &dyn Disk, path: &Path, max: u64) -> io::Result<Vec<u8>> {
    let file = disk.open(path)?;
    let bytes = file.len()?;
    let size = match usize::try_from(bytes) {
        Ok(size) if bytes <= max => size,
        _ => return Err(io::ErrorKind::FileTooLarge.into()),
    };
    let mut content = vec![0; size];
    let read = file.read_at(0, &mut content)?;
    content.truncate(read);
    Ok(content)
}

/// Puts a file in place so that after any crash the old or the new content is there: writes
/// `<path>.new`, syncs it, renames it, syncs the directory.
///
/// # Errors
/// What the disk says; the old content is then still in place, or the new one is already.
pub fn replace(disk: &dyn Disk, path: &Path, content: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let fresh = path.with_file_name(name);
    match disk.remove(&fresh) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.create(&fresh)?;
    file.append(content)?;
    fault!("replace.before-sync");
    file.sync_data()?;
    drop(file);
    fault!("replace.before-rename");
    disk.rename(&fresh, path)?;
    fault!("replace.after-rename");
    disk.sync_dir(path.parent().unwrap_or(Path::new(".")))
}

/// The operating system's files.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        Ok(Box::new(RealFile(file)))
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        Ok(Box::new(RealFile(options.open(path)?)))
    }

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        if fs::symlink_metadata(path)?.is_dir() {
            fs::remove_dir(path)
        } else {
            fs::remove_file(path)
        }
    }

    fn list(&self, path: &Path) -> io::Result<Vec<Listed>> {
        let mut listed = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            let is_dir = metadata.is_dir();
            if let Ok(name) = entry.file_name().into_string() {
                listed.push(Listed {
                    name,
                    bytes: if is_dir { 0 } else { metadata.len() },
                    is_dir,
                });
            }
        }
        listed.sort();
        Ok(listed)
    }

    fn free_bytes(&self, path: &Path) -> io::Result<Volume> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(Volume {
            free: stat.f_bavail.saturating_mul(stat.f_frsize),
            total: stat.f_blocks.saturating_mul(stat.f_frsize),
        })
    }

    fn lock(&self, path: &Path, note: &str) -> io::Result<LockGuard> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let mut file = options.open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.take(200).read_to_string(&mut holder)?;
                return Err(io::Error::new(io::ErrorKind::WouldBlock, holder));
            }
            Err(fs::TryLockError::Error(error)) => return Err(error),
        }
        // A full disk must not keep the store from starting, so the note may stay unwritten.
        if file
            .set_len(0)
            .and_then(|()| file.write_all(note.as_bytes()))
            .is_err()
        {
            tracing::warn!("the lock file could not be written");
        }
        Ok(Box::new(file))
    }
}

#[derive(Debug)]
struct RealFile(File);

impl DiskFile for RealFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.metadata()?.len())
    }

    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, self.len()?)
    }

    fn write_over(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all_at(bytes, at)
    }

    fn read_at(&self, at: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.0.read_at(&mut buffer[done..], at + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.0.set_len(bytes)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}
