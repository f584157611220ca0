//! Chunks as files.
//!
//! ```text
//! <dir>/<2 hex>/<sha256 hex>    'ECCHNK01' · length unpacked u64 · zstd bytes
//! ```
//!
//! A file gets its name only when its content is durable: temporary, sync, rename, sync directory.
//! So whatever stands under a name was whole once, and what is not whole now is damage.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use crate::domain::time::Timestamp;
use crate::store::Mode;
use crate::store::chunk::{CHUNK_BYTES_MAX, ChunkError, ChunkHash, ChunkStore, Retained, Unnamed};
use crate::store::codec::u64_at;
use crate::store::disk::{self, Disk};
use crate::store::fault::fault;
use crate::store::room::Gauge;
use crate::store::seam::Backups;
use crate::store::shared::locked;

const MAGIC: [u8; 8] = *b"ECCHNK01";
const HEAD_BYTES: usize = 16;

/// Most bytes of a file; what zstd cannot pack grows by a few bytes in 2^17.
const FILE_BYTES_MAX: u64 = (CHUNK_BYTES_MAX + (1 << 20)) as u64;

/// The bytes of a chunk's file.
///
/// # Errors
/// [`ChunkError::TooLarge`]; [`ChunkError::Disk`] if zstd finds no memory.
pub fn seal(content: &[u8]) -> Result<Vec<u8>, ChunkError> {
    let have = content.len();
    if CHUNK_BYTES_MAX < have {
        return Err(ChunkError::TooLarge { have });
    }
    let packed = zstd::bulk::compress(content, 1)?;
    let mut bytes = Vec::with_capacity(HEAD_BYTES + packed.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&(have as u64).to_le_bytes());
    bytes.extend_from_slice(&packed);
    Ok(bytes)
}

/// The content of a chunk's file, which must be the one that `hash` names.
///
/// # Errors
/// [`ChunkError::Damaged`].
pub fn open(hash: &ChunkHash, bytes: &[u8]) -> Result<Vec<u8>, ChunkError> {
    let damaged = |what| ChunkError::Damaged { hash: *hash, what };
    let (head, packed) = bytes
        .split_at_checked(HEAD_BYTES)
        .ok_or(damaged("length"))?;
    if head[..8] != MAGIC {
        return Err(damaged("magic"));
    }
    let length = match usize::try_from(u64_at(head, 8)) {
        Ok(length) if length <= CHUNK_BYTES_MAX => length,
        _ => return Err(damaged("length")),
    };
    let content = zstd::bulk::decompress(packed, length).map_err(|_| damaged("packing"))?;
    if content.len() != length {
        return Err(damaged("length"));
    }
    if ChunkHash::of(&content) != *hash {
        return Err(damaged("hash"));
    }
    Ok(content)
}

/// Where a chunk lies below the directory of all chunks.
pub fn path_below(dir: &Path, hash: &ChunkHash) -> PathBuf {
    shard_below(dir, hash).join(hash.to_string())
}

fn shard_below(dir: &Path, hash: &ChunkHash) -> PathBuf {
    dir.join(format!("{:02x}", hash.0[0]))
}

/// Chunks below one directory, without any rule of when to write or forget. Clones share it.
#[derive(Clone, Debug)]
pub struct ChunkFiles {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// First bytes of hashes whose directory this process has made durable.
    settled: Arc<Mutex<BTreeSet<u8>>>,
}

/// Why a chunk was not written.
#[derive(Debug)]
pub enum WriteError {
    /// Nothing stands under its name but what stood there before.
    NotWritten(ChunkError),
    /// A directory could not be synced: the file is seen, and power loss may take it.
    NotSynced(io::Error),
}

impl From<WriteError> for ChunkError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::NotWritten(error) => error,
            WriteError::NotSynced(error) => Self::Disk(error),
        }
    }
}

impl ChunkFiles {
    /// Chunks below `dir`, which is made when the first is written.
    pub fn new(disk: Arc<dyn Disk>, dir: PathBuf) -> Self {
        Self {
            disk,
            dir,
            settled: Arc::default(),
        }
    }

    /// Where a chunk lies.
    pub fn path_of(&self, hash: &ChunkHash) -> PathBuf {
        path_below(&self.dir, hash)
    }

    fn shard_of(&self, hash: &ChunkHash) -> PathBuf {
        shard_below(&self.dir, hash)
    }

    /// The content of a chunk, checked against its name.
    ///
    /// # Errors
    /// [`ChunkError::Missing`], [`ChunkError::Damaged`], [`ChunkError::Disk`].
    pub fn read(&self, hash: &ChunkHash) -> Result<Vec<u8>, ChunkError> {
        let (disk, path) = (self.disk.as_ref(), self.path_of(hash));
        let read = disk::read_whole(disk, &path, FILE_BYTES_MAX);
        let bytes = read.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => ChunkError::Missing { hash: *hash },
            io::ErrorKind::FileTooLarge => ChunkError::Damaged {
                hash: *hash,
                what: "length",
            },
            _ => ChunkError::Disk(error),
        })?;
        open(hash, &bytes)
    }

    /// Bytes of a chunk's file; `None` if there is none.
    ///
    /// # Errors
    /// What the disk says.
    pub fn file_bytes(&self, hash: &ChunkHash) -> io::Result<Option<u64>> {
        match self.disk.open(&self.path_of(hash)) {
            Ok(file) => file.len().map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes a chunk durably, over whatever stands under its name.
    ///
    /// # Errors
    /// [`WriteError`].
    pub fn write(&self, hash: &ChunkHash, content: &[u8]) -> Result<(), WriteError> {
        let failed = |error: io::Error| WriteError::NotWritten(error.into());
        let sealed = seal(content).map_err(WriteError::NotWritten)?;
        let path = self.path_of(hash);
        let fresh = path.with_extension("new");
        self.settle_shard(hash)?;
        match self.disk.remove(&fresh) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        fault!("chunk.before-write");
        let written = self.disk.create(&fresh).and_then(|file| {
            file.append(&sealed)?;
            fault!("chunk.before-sync");
            file.sync_data()?;
            drop(file);
            fault!("chunk.before-rename");
            self.disk.rename(&fresh, &path)
        });
        if let Err(error) = written {
            // Left behind, it would only take room: the next write begins with removing it.
            drop(self.disk.remove(&fresh));
            return Err(failed(error));
        }
        fault!("chunk.after-rename");
        self.settle(hash)
    }

    /// Makes the name of a chunk durable that is seen already: who wrote it may have died before
    /// its sync.
    ///
    /// # Errors
    /// [`WriteError::NotSynced`].
    pub fn settle(&self, hash: &ChunkHash) -> Result<(), WriteError> {
        self.settle_shard(hash)?;
        let shard = self.shard_of(hash);
        self.disk.sync_dir(&shard).map_err(WriteError::NotSynced)
    }

    /// Makes the directory of a chunk, durably; once is enough.
    fn settle_shard(&self, hash: &ChunkHash) -> Result<(), WriteError> {
        let mut settled = locked(&self.settled);
        if settled.contains(&hash.0[0]) {
            return Ok(());
        }
        let made = self.disk.create_dir(&self.shard_of(hash));
        made.map_err(|error| WriteError::NotWritten(error.into()))?;
        let above = self.dir.parent().filter(|_| settled.is_empty());
        for dir in above.into_iter().chain([self.dir.as_path()]) {
            self.disk.sync_dir(dir).map_err(WriteError::NotSynced)?;
        }
        settled.insert(hash.0[0]);
        Ok(())
    }

    /// Names of all chunks that are there.
    ///
    /// # Errors
    /// What the disk says.
    pub fn hashes(&self) -> io::Result<BTreeSet<ChunkHash>> {
        let mut found = BTreeSet::new();
        let shards = match self.disk.list(&self.dir) {
            Ok(shards) => shards,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(error),
        };
        for shard in shards.iter().filter(|shard| shard.is_dir) {
            for file in self.disk.list(&self.dir.join(&shard.name))? {
                let hash = ChunkHash::parse(&file.name);
                found.extend(hash.filter(|_| file.name.starts_with(&shard.name)));
            }
        }
        Ok(found)
    }

    /// Removes a chunk. Not synced: one that comes back is removed again some day.
    ///
    /// # Errors
    /// What the disk says.
    pub fn remove(&self, hash: &ChunkHash) -> io::Result<()> {
        match self.disk.remove(&self.path_of(hash)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// The chunks of an embedded store.
#[derive(Debug)]
pub struct DiskChunks {
    files: ChunkFiles,
    gauge: Gauge,
    backups: Arc<dyn Backups>,
    writing: Mutex<Writing>,
}

/// What the one who puts or forgets knows; holding it keeps all others from doing so.
#[derive(Debug, Default)]
struct Writing {
    /// Whole and durable when last looked at by this process.
    known: BTreeSet<ChunkHash>,
    unnamed: Unnamed,
    is_broken: bool,
}

impl DiskChunks {
    /// The chunks among `files`; damaged ones are looked for in `backups`.
    pub fn new(files: ChunkFiles, gauge: Gauge, backups: Arc<dyn Backups>) -> Self {
        Self {
            files,
            gauge,
            backups,
            writing: Mutex::default(),
        }
    }

    fn write(
        &self,
        writing: &mut Writing,
        hash: &ChunkHash,
        content: &[u8],
    ) -> Result<(), ChunkError> {
        if writing.is_broken {
            return Err(ChunkError::ReadOnly);
        }
        let written = match self.files.read(hash) {
            Ok(_) => self.files.settle(hash),
            Err(_) if self.gauge.look().1 != Mode::Ok => {
                Err(WriteError::NotWritten(ChunkError::Full))
            }
            Err(_) => self.files.write(hash, content),
        };
        written.map_err(|error| match error {
            WriteError::NotWritten(error) => error,
            WriteError::NotSynced(error) => {
                tracing::error!(%error, "chunks are read-only");
                writing.is_broken = true;
                ChunkError::ReadOnly
            }
        })?;
        writing.known.insert(*hash);
        Ok(())
    }

    /// The content by the newest backup that has it, put back in place if that can be done.
    fn fetch_backup(&self, hash: &ChunkHash, error: ChunkError) -> Result<Vec<u8>, ChunkError> {
        let mut writing = locked(&self.writing);
        writing.known.remove(hash);
        let Ok(Some(content)) = self.backups.chunk(hash) else {
            return Err(error);
        };
        tracing::warn!(%error, "chunk copied from the backup");
        if let Err(error) = self.write(&mut writing, hash, &content) {
            tracing::warn!(%hash, %error, "the chunk stays damaged");
        }
        Ok(content)
    }
}

impl ChunkStore for DiskChunks {
    fn put(&self, bytes: &[u8]) -> Result<ChunkHash, ChunkError> {
        let have = bytes.len();
        if CHUNK_BYTES_MAX < have {
            return Err(ChunkError::TooLarge { have });
        }
        let hash = ChunkHash::of(bytes);
        let mut writing = locked(&self.writing);
        writing.unnamed.touch(&hash);
        if !writing.known.contains(&hash) {
            self.write(&mut writing, &hash, bytes)?;
        }
        Ok(hash)
    }

    fn get(&self, hash: &ChunkHash) -> Result<Vec<u8>, ChunkError> {
        let read = self.files.read(hash);
        read.or_else(|error| self.fetch_backup(hash, error))
    }

    fn check(&self, hash: &ChunkHash) -> Result<u64, ChunkError> {
        self.files.read(hash)?;
        Ok(self.files.file_bytes(hash)?.unwrap_or_default())
    }

    fn hashes(&self) -> Result<BTreeSet<ChunkHash>, ChunkError> {
        Ok(self.files.hashes()?)
    }

    fn retain(&self, live: &BTreeSet<ChunkHash>, now: Timestamp) -> Result<Retained, ChunkError> {
        let mut writing = locked(&self.writing);
        let present = self.files.hashes()?;
        let due = writing.unnamed.due(&present, live, now);
        for hash in &due {
            writing.known.remove(hash);
            self.files.remove(hash)?;
            writing.unnamed.touch(hash);
        }
        Ok(writing.unnamed.counts(present.len(), due.len()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::seam::NoBackups;
    use crate::store::sim::{Dice, Fault, FaultKind, SimDisk, Survival};

    fn chunks(disk: &SimDisk) -> DiskChunks {
        let disk: Arc<dyn Disk> = Arc::new(disk.clone());
        let path = PathBuf::from("/data");
        disk.create_dir(&path).unwrap();
        disk.sync_dir(Path::new("/")).unwrap_or_default();
        let files = ChunkFiles::new(disk.clone(), path.join("chunks"));
        DiskChunks::new(files, Gauge { disk, path }, Arc::new(NoBackups))
    }

    #[test]
    fn a_file_reads_what_was_written_and_notices_every_change() {
        let content = b"a product, a product, a product, a product".repeat(9);
        let hash = ChunkHash::of(&content);
        let sealed = seal(&content).unwrap();
        assert!(sealed.len() < content.len());
        assert_eq!(open(&hash, &sealed).unwrap(), content);
        for at in 0..sealed.len() {
            assert!(open(&hash, &sealed[..at]).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut flipped = sealed.clone();
                flipped[at] ^= 1 << bit;
                // A bit that zstd ignores may flip: the content is then what it was.
                let said = open(&hash, &flipped);
                assert!(
                    said.is_err() || said.unwrap() == content,
                    "bit {bit} of {at}"
                );
            }
        }
    }

    #[test]
    fn a_put_survives_power_loss_and_a_failed_one_leaves_nothing() {
        let mut dice = Dice::new(1);
        for ahead in 1..40 {
            let disk = SimDisk::new(1 << 30);
            let store = chunks(&disk);
            let first = store.put(b"first").unwrap();
            disk.set_fault(Some(Fault {
                at_call: disk.calls() + ahead,
                kind: FaultKind::PowerOff,
            }));
            let second = store.put(b"second");
            disk.cut_power(&mut dice, Survival::Percent(50));
            let store = chunks(&disk);
            assert_eq!(store.get(&first).unwrap(), b"first");
            match second {
                Ok(hash) => assert_eq!(store.get(&hash).unwrap(), b"second"),
                Err(_) => assert!(matches!(
                    store.get(&ChunkHash::of(b"second")),
                    Ok(_) | Err(ChunkError::Missing { .. })
                )),
            }
            assert_eq!(store.put(b"second").unwrap(), ChunkHash::of(b"second"));
            disk.cut_power(&mut dice, Survival::None);
            assert!(chunks(&disk).get(&ChunkHash::of(b"second")).is_ok());
        }
    }

    #[test]
    fn a_damaged_chunk_is_refused_and_written_again() {
        let disk = SimDisk::new(1 << 30);
        let store = chunks(&disk);
        let hash = store.put(b"content").unwrap();
        let path = store.files.path_of(&hash);
        disk.damage(&path, |bytes| bytes[20] ^= 1);
        assert!(matches!(store.get(&hash), Err(ChunkError::Damaged { .. })));
        store.put(b"content").unwrap();
        assert_eq!(store.get(&hash).unwrap(), b"content");
    }

    #[test]
    fn after_a_lost_directory_sync_nothing_is_put_until_restart() {
        let disk = SimDisk::new(1 << 30);
        let store = chunks(&disk);
        let kind = FaultKind::LostSync;
        let mut said = Ok(ChunkHash::of(b""));
        for ahead in 1..20 {
            let at_call = disk.calls() + ahead;
            disk.set_fault(Some(Fault { at_call, kind }));
            said = store.put(format!("{ahead}").as_bytes());
            if matches!(said, Err(ChunkError::ReadOnly)) {
                break;
            }
        }
        disk.set_fault(None);
        assert!(matches!(said, Err(ChunkError::ReadOnly)), "{said:?}");
        assert!(matches!(store.put(b"later"), Err(ChunkError::ReadOnly)));
        assert!(chunks(&disk).put(b"later").is_ok());
    }

    #[test]
    fn a_short_disk_takes_no_chunk() {
        let disk = SimDisk::new(1 << 30);
        let store = chunks(&disk);
        let hash = store.put(b"content").unwrap();
        disk.set_total_bytes(3 << 20);
        assert!(matches!(store.put(b"more"), Err(ChunkError::Full)));
        assert_eq!(store.put(b"content").unwrap(), hash);
    }
}
