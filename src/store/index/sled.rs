//! The index in sled 0.34: only `apply_batch`, `range`, `get` and `flush`.
//!
//! sled does its own I/O, may panic on cut files and does not sync: it is opened on a thread of
//! its own, its panics are caught, and nothing it says is trusted. Values above 32 KiB are stored
//! in parts (`key ‖ 00 ‖ n`), since sled writes larger nodes as unsynced files of their own.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use crate::store::codec::{u32_at, u64_at};
use crate::store::index::{Applied, Batch, Index, IndexError, IndexHome, Rung, Stored, Tree};
use crate::store::key::Key;
use crate::store::quarantine::KEPT;
use crate::store::{Identity, Revision, Space, StoreId};

/// Longest time an open may take.
const OPEN_SECONDS_MAX: u64 = 30;

/// Most bytes of one part.
const PART_BYTES: usize = 32_768;

/// Records of a batch while a tree is loaded.
const LOAD_BATCH: usize = 1_000;

/// Ends of the names beside the index: where it is written anew, and where it was before.
const FRESH: &str = "new";
const OLD: &str = "old";

/// The tree's own key: what it holds.
const APPLIED: &[u8] = b"\0applied";

/// Where sled lives.
#[derive(Clone, Copy, Debug)]
pub struct SledHome {
    /// Cache of pages, bytes.
    pub cache_bytes: u64,
}

#[derive(Debug)]
struct SledIndex(sled::Db);

impl IndexHome for SledHome {
    fn open(
        &self,
        dir: &Path,
        quarantine: &Path,
        rung: Rung,
    ) -> Result<Arc<dyn Index>, IndexError> {
        let cleared = clear_beside(dir, quarantine);
        let cleared = cleared.and_then(|()| set_aside(dir, quarantine, rung));
        cleared.map_err(IndexError::new)?;
        self.open_at(dir)
    }

    fn disk_bytes(&self, dir: &Path) -> Result<u64, IndexError> {
        bytes_below(dir).map_err(IndexError::new)
    }

    fn open_beside(&self, dir: &Path) -> Result<Arc<dyn Index>, IndexError> {
        let fresh = beside(dir, FRESH);
        remove(&fresh).map_err(IndexError::new)?;
        self.open_at(&fresh)
    }

    fn take_beside(&self, dir: &Path) -> Result<(), IndexError> {
        let (fresh, old) = (beside(dir, FRESH), beside(dir, OLD));
        let taken = remove(&old)
            .and_then(|()| fs::rename(dir, &old))
            .and_then(|()| fs::rename(&fresh, dir))
            .and_then(|()| remove(&old));
        taken.map_err(IndexError::new)
    }
}

impl SledHome {
    /// Opens what is there, or an empty index.
    fn open_at(self, dir: &Path) -> Result<Arc<dyn Index>, IndexError> {
        let (answer, opened) = mpsc::channel();
        let (dir, cache_bytes) = (dir.to_path_buf(), self.cache_bytes);
        std::thread::Builder::new()
            .name("index-open".into())
            .spawn(move || {
                let config = sled::Config::new().path(dir).cache_capacity(cache_bytes);
                let result = guarded(|| config.open().map_err(IndexError::new));
                // Nobody waits any more after 30 s; the index is dropped then.
                drop(answer.send(result));
            })
            .map_err(IndexError::new)?;
        let db = opened
            .recv_timeout(Duration::from_secs(OPEN_SECONDS_MAX))
            .map_err(IndexError::new)??;
        Ok(Arc::new(SledIndex(db)))
    }
}

/// A directory beside the index, where it is written anew or was before.
fn beside(dir: &Path, what: &str) -> PathBuf {
    dir.with_extension(what)
}

/// Clears away what a crash left beside the index. The old index, if no new one took its place,
/// moves to quarantine; all else is a copy.
fn clear_beside(dir: &Path, quarantine: &Path) -> std::io::Result<()> {
    remove(&beside(dir, FRESH))?;
    let old = beside(dir, OLD);
    if dir.exists() || !old.exists() {
        return remove(&old);
    }
    keep_aside(&old, quarantine, "index")
}

/// Removes a directory with all that is in it, if it is there.
fn remove(dir: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Bytes of all files below a directory; 0 if there is none.
fn bytes_below(dir: &Path) -> std::io::Result<u64> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut n_bytes = 0;
    for entry in entries {
        let entry = entry?;
        n_bytes += if entry.file_type()?.is_dir() {
            bytes_below(&entry.path())?
        } else {
            entry.metadata()?.len()
        };
    }
    Ok(n_bytes)
}

/// Moves away what the rung gives up.
fn set_aside(dir: &Path, quarantine: &Path, rung: Rung) -> std::io::Result<()> {
    if rung == Rung::AsIs || !dir.exists() {
        return Ok(());
    }
    if rung == Rung::Empty {
        return keep_aside(dir, quarantine, "index");
    }
    let mut given_up = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let half_written = name.ends_with(".generating");
        if name.starts_with("snap.") && (half_written || rung == Rung::WithoutSnapshots) {
            given_up.push(name);
        }
    }
    if given_up.is_empty() {
        return Ok(());
    }
    let (place, old) = place_aside(quarantine, "snapshots")?;
    fs::create_dir(&place)?;
    for name in given_up {
        fs::rename(dir.join(&name), place.join(&name))?;
    }
    forget(&old);
    Ok(())
}

/// Moves a directory into `quarantine` as `name`. The newest three are kept.
fn keep_aside(from: &Path, quarantine: &Path, name: &str) -> std::io::Result<()> {
    let (place, old) = place_aside(quarantine, name)?;
    fs::rename(from, place)?;
    forget(&old);
    Ok(())
}

/// Where the next one in `quarantine` goes, behind those that were moved there before: `name.1`,
/// `name.2` and so on; and those that go when it is there.
fn place_aside(quarantine: &Path, name: &str) -> std::io::Result<(PathBuf, Vec<PathBuf>)> {
    fs::create_dir_all(quarantine)?;
    let mut numbers = Vec::new();
    for entry in fs::read_dir(quarantine)? {
        let own = entry?.file_name().to_string_lossy().into_owned();
        let number = own
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix('.'));
        numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
    }
    numbers.sort_unstable();
    let next = numbers.last().map_or(1, |last| last + 1);
    let path_of = |number: u64| quarantine.join(format!("{name}.{number}"));
    let n_old = (numbers.len() + 1).saturating_sub(KEPT);
    let old = numbers[..n_old].iter().map(|number| path_of(*number));
    Ok((path_of(next), old.collect()))
}

/// Removes directories from quarantine, as far as that can be done.
fn forget(old: &[PathBuf]) {
    for dir in old {
        if let Err(error) = fs::remove_dir_all(dir) {
            tracing::warn!(%error, "quarantine keeps what should go");
        }
    }
}

/// Runs `act`; a panic of sled becomes an error.
fn guarded<T>(act: impl FnOnce() -> Result<T, IndexError>) -> Result<T, IndexError> {
    catch_unwind(AssertUnwindSafe(act))
        .unwrap_or_else(|_| Err(IndexError::new("the index panicked")))
}

impl SledIndex {
    fn tree(&self, tree: Tree) -> Result<sled::Tree, IndexError> {
        self.0.open_tree(tree.to_string()).map_err(IndexError::new)
    }
}

impl Index for SledIndex {
    fn applied(&self, tree: Tree) -> Result<Option<Applied>, IndexError> {
        guarded(|| read_applied(&self.tree(tree)?, tree))
    }

    fn apply(&self, tree: Tree, batch: &Batch, revision: Revision) -> Result<(), IndexError> {
        guarded(|| {
            let entries = self.tree(tree)?;
            let mut applied = read_applied(&entries, tree)?
                .ok_or_else(|| IndexError::new(format!("{tree} was never loaded")))?;
            let mut changes = sled::Batch::default();
            for (key, value) in batch {
                if let Some((old, n_parts)) = read(&entries, key)? {
                    applied.remove(key, &old);
                    remove_from(&mut changes, key, n_parts);
                }
                if let Some(value) = value {
                    applied.add(key, value.bytes());
                    insert_into(&mut changes, key, value.bytes());
                }
            }
            applied.revision = revision;
            changes.insert(APPLIED, write_applied(&applied).as_slice());
            entries.apply_batch(changes).map_err(IndexError::new)
        })
    }

    fn load(
        &self,
        tree: Tree,
        records: &mut dyn Iterator<Item = Stored>,
        mut at: Applied,
    ) -> Result<(), IndexError> {
        guarded(|| {
            self.0
                .drop_tree(tree.to_string())
                .map_err(IndexError::new)?;
            let entries = self.tree(tree)?;
            loop {
                let mut changes = sled::Batch::default();
                let mut n_taken = 0;
                while n_taken < LOAD_BATCH
                    && let Some((key, bytes)) = records.next()
                {
                    at.add(&key, &bytes);
                    insert_into(&mut changes, &key, &bytes);
                    n_taken += 1;
                }
                if n_taken == 0 {
                    break;
                }
                entries.apply_batch(changes).map_err(IndexError::new)?;
            }
            let said = write_applied(&at);
            entries
                .insert(APPLIED, said.as_slice())
                .map_err(IndexError::new)?;
            Ok(())
        })
    }

    fn get(&self, tree: Tree, key: &Key) -> Result<Option<Vec<u8>>, IndexError> {
        guarded(|| Ok(read(&self.tree(tree)?, key)?.map(|(bytes, _)| bytes)))
    }

    fn scan(
        &self,
        tree: Tree,
        prefix: &str,
        after: Option<&Key>,
        max: usize,
    ) -> Result<Vec<Stored>, IndexError> {
        guarded(|| {
            // `key ‖ 01` lies behind the key and all its parts, and before every other key.
            let start = match after {
                Some(after) if prefix <= after.as_str() => {
                    [after.as_str().as_bytes(), &[1]].concat()
                }
                _ => prefix.as_bytes().to_vec(),
            };
            // The tree's own key begins with 00, so an empty prefix starts behind it.
            let start = start.max(vec![1]);
            let mut found: Vec<Stored> = Vec::new();
            for entry in self.tree(tree)?.range(start..) {
                let (name, bytes) = entry.map_err(IndexError::new)?;
                let (key, is_more) = name_of(&name)?;
                let continues = found
                    .last()
                    .is_some_and(|last| is_more && last.0.as_str() == key);
                if let Some((_, content)) = found.last_mut().filter(|_| continues) {
                    content.extend_from_slice(&bytes);
                    continue;
                }
                if found.len() == max || !key.starts_with(prefix) {
                    break;
                }
                found.push((Key::parse(key).map_err(IndexError::new)?, bytes.to_vec()));
            }
            Ok(found)
        })
    }

    fn flush(&self) -> Result<(), IndexError> {
        guarded(|| self.0.flush().map(|_| ()).map_err(IndexError::new))
    }
}

/// The key of an entry, and whether it is a part.
fn name_of(name: &[u8]) -> Result<(&str, bool), IndexError> {
    let zero = name.iter().position(|&byte| byte == 0);
    let key = std::str::from_utf8(&name[..zero.unwrap_or(name.len())]).map_err(IndexError::new)?;
    Ok((key, zero.is_some()))
}

fn part_name(key: &Key, part: usize) -> Vec<u8> {
    let part = u8::try_from(part).unwrap_or(u8::MAX);
    [key.as_str().as_bytes(), &[0, part]].concat()
}

/// A value put together, and its number of parts: 0 if it is stored whole.
fn read(entries: &sled::Tree, key: &Key) -> Result<Option<(Vec<u8>, usize)>, IndexError> {
    let name = key.as_str().as_bytes();
    if let Some(bytes) = entries.get(name).map_err(IndexError::new)? {
        return Ok(Some((bytes.to_vec(), 0)));
    }
    let mut whole = Vec::new();
    let mut n_parts = 0;
    while let Some(bytes) = entries
        .get(part_name(key, n_parts))
        .map_err(IndexError::new)?
    {
        whole.extend_from_slice(&bytes);
        n_parts += 1;
    }
    Ok((0 < n_parts).then_some((whole, n_parts)))
}

fn remove_from(changes: &mut sled::Batch, key: &Key, n_parts: usize) {
    if n_parts == 0 {
        changes.remove(key.as_str().as_bytes());
    }
    for part in 0..n_parts {
        changes.remove(part_name(key, part));
    }
}

fn insert_into(changes: &mut sled::Batch, key: &Key, bytes: &[u8]) {
    if bytes.len() <= PART_BYTES {
        changes.insert(key.as_str().as_bytes(), bytes);
        return;
    }
    for (part, content) in bytes.chunks(PART_BYTES).enumerate() {
        changes.insert(part_name(key, part), content);
    }
}

/// store id 16 · era u64 · space u8 · revision u64 · entries u64 · sum u64 · CRC u32
fn write_applied(applied: &Applied) -> Vec<u8> {
    let mut bytes = applied.identity.store.0.to_vec();
    bytes.extend_from_slice(&applied.identity.era.to_le_bytes());
    bytes.push(applied.identity.space as u8);
    bytes.extend_from_slice(&applied.revision.0.to_le_bytes());
    bytes.extend_from_slice(&applied.entries.to_le_bytes());
    bytes.extend_from_slice(&applied.sum.to_le_bytes());
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes
}

fn read_applied(entries: &sled::Tree, tree: Tree) -> Result<Option<Applied>, IndexError> {
    let Some(bytes) = entries.get(APPLIED).map_err(IndexError::new)? else {
        return Ok(None);
    };
    let damaged = || IndexError::new(format!("{tree} is damaged"));
    if bytes.len() != 53 || crc32fast::hash(&bytes[..49]) != u32_at(&bytes, 49) {
        return Err(damaged());
    }
    let mut store = [0; 16];
    store.copy_from_slice(&bytes[..16]);
    Ok(Some(Applied {
        identity: Identity {
            store: StoreId(store),
            era: u64_at(&bytes, 16),
            space: Space::from_number(bytes[24]).ok_or_else(damaged)?,
        },
        revision: Revision(u64_at(&bytes, 25)),
        entries: u64_at(&bytes, 33),
        sum: u64_at(&bytes, 41),
    }))
}
