//! The data directory: CURRENT, FORMAT, generations, quarantine.
//!
//! ```text
//! <data>/LOCK  CURRENT = "gen-0003 d9fbdac2\n"  ballast
//! <data>/gen-0003/FORMAT = "endcap-store 1 <store id> <era> <crc>\n"
//! <data>/gen-0003/{config,trade,events}/  index/  chunks/  quarantine/
//! ```
//!
//! CURRENT changes by write-new, sync, rename, sync directory: a generation is swapped whole.

use std::io;
use std::path::{Path, PathBuf};

use crate::store::disk::{self, Disk};
use crate::store::fault::fault;
use crate::store::journal::file::{HEADER_BYTES, Header, first_of, name_of};
use crate::store::seam::Entropy;
use crate::store::{Identity, Revision, Space, StoreId};

/// Newest format of a generation.
pub const FORMAT_VERSION: u32 = 1;

const SMALL_FILE_BYTES: u64 = 4_096;

/// Where things are in one generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Generation {
    /// The data directory.
    pub data: PathBuf,
    /// 1 for the first.
    pub number: u32,
}

impl Generation {
    /// The generation of this number.
    pub fn new(data: &Path, number: u32) -> Self {
        Self {
            data: data.to_path_buf(),
            number,
        }
    }

    /// Its directory's name: `gen-0003`.
    pub fn name(&self) -> String {
        format!("gen-{:04}", self.number)
    }

    /// Its directory.
    pub fn dir(&self) -> PathBuf {
        self.data.join(self.name())
    }

    /// The journal of a space.
    pub fn journal(&self, space: Space) -> PathBuf {
        self.dir().join(space.name())
    }

    /// sled's directory.
    pub fn index(&self) -> PathBuf {
        self.dir().join("index")
    }

    /// Chunks by hash.
    pub fn chunks(&self) -> PathBuf {
        self.dir().join("chunks")
    }

    /// What was damaged.
    pub fn quarantine(&self) -> PathBuf {
        self.dir().join("quarantine")
    }

    fn parse(data: &Path, name: &str) -> Option<Self> {
        let generation = Self::new(data, name.strip_prefix("gen-")?.parse().ok()?);
        (generation.name() == name).then_some(generation)
    }
}

/// What a small file says, if it is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said<T> {
    /// It is whole.
    Whole(T),
    /// It is there, and damaged.
    Damaged,
    /// It is not there.
    Missing,
}

/// The generation that CURRENT names.
///
/// # Errors
/// What the disk says.
pub fn current(disk: &dyn Disk, data: &Path) -> io::Result<Said<Generation>> {
    let read = |text: &str| {
        let (name, crc) = text.strip_suffix('\n')?.split_once(' ')?;
        let whole = crc == format!("{:08x}", crc32fast::hash(name.as_bytes()));
        Generation::parse(data, name).filter(|_| whole)
    };
    small_file(disk, &data.join("CURRENT"), read)
}

/// Makes a generation the current one; after a crash it is the old or the new one.
///
/// # Errors
/// What the disk says.
pub fn set_current(disk: &dyn Disk, generation: &Generation) -> io::Result<()> {
    let name = generation.name();
    let crc = crc32fast::hash(name.as_bytes());
    let text = format!("{name} {crc:08x}\n");
    fault!("current.before-switch");
    disk::replace(disk, &generation.data.join("CURRENT"), text.as_bytes())?;
    fault!("current.after-switch");
    Ok(())
}

/// What FORMAT says: version, store and era.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// 1, or newer than this program.
    pub version: u32,
    /// The store.
    pub store: StoreId,
    /// Revision at which the era began.
    pub era: u64,
}

/// Reads FORMAT.
///
/// # Errors
/// What the disk says.
pub fn format(disk: &dyn Disk, generation: &Generation) -> io::Result<Said<Format>> {
    let read = |text: &str| {
        let (body, crc) = text.strip_suffix('\n')?.rsplit_once(' ')?;
        if crc != format!("{:08x}", crc32fast::hash(body.as_bytes())) {
            return None;
        }
        let mut words = body.strip_prefix("endcap-store ")?.split(' ');
        let version = words.next()?.parse().ok()?;
        let store = StoreId::parse(words.next()?)?;
        let era = words.next()?.parse().ok()?;
        Some(Format {
            version,
            store,
            era,
        })
    };
    small_file(disk, &generation.dir().join("FORMAT"), read)
}

/// Writes FORMAT.
///
/// # Errors
/// What the disk says.
pub fn set_format(
    disk: &dyn Disk,
    generation: &Generation,
    store: StoreId,
    era: u64,
) -> io::Result<()> {
    let body = format!("endcap-store {FORMAT_VERSION} {store} {era}");
    let text = format!("{body} {:08x}\n", crc32fast::hash(body.as_bytes()));
    disk::replace(disk, &generation.dir().join("FORMAT"), text.as_bytes())
}

fn small_file<T>(
    disk: &dyn Disk,
    path: &Path,
    read: impl FnOnce(&str) -> Option<T>,
) -> io::Result<Said<T>> {
    match disk::read_whole(disk, path, SMALL_FILE_BYTES) {
        Ok(bytes) => Ok(match std::str::from_utf8(&bytes).ok().and_then(read) {
            Some(said) => Said::Whole(said),
            None => Said::Damaged,
        }),
        Err(error) => match error.kind() {
            io::ErrorKind::NotFound => Ok(Said::Missing),
            io::ErrorKind::FileTooLarge => Ok(Said::Damaged),
            _ => Err(error),
        },
    }
}

/// All generations that have a directory, ascending.
///
/// # Errors
/// What the disk says.
pub fn generations(disk: &dyn Disk, data: &Path) -> io::Result<Vec<Generation>> {
    let listed = disk.list(data)?;
    let dirs = listed.iter().filter(|entry| entry.is_dir);
    let mut found: Vec<Generation> = dirs
        .filter_map(|entry| Generation::parse(data, &entry.name))
        .collect();
    found.sort_by_key(|generation| generation.number);
    Ok(found)
}

/// Whether a directory holds a store, whole or damaged.
///
/// # Errors
/// What the disk says.
pub fn is_store(disk: &dyn Disk, data: &Path) -> io::Result<bool> {
    let is_named = !matches!(current(disk, data)?, Said::Missing);
    Ok(is_named || !generations(disk, data)?.is_empty())
}

/// Makes a new generation with an empty journal for each space, beginning at the era of
/// `identity`. Neither FORMAT nor CURRENT says that it is there: [`complete`] and [`set_current`]
/// do, when all that belongs to it is.
///
/// # Errors
/// What the disk says.
pub fn create(
    disk: &dyn Disk,
    entropy: &dyn Entropy,
    generation: &Generation,
    identity: Identity,
) -> io::Result<()> {
    disk.create_dir(&generation.dir())?;
    for space in Space::WITH_JOURNAL {
        disk.create_dir(&generation.journal(space))?;
        let first = Revision(identity.era);
        begin_journal(disk, entropy, generation, identity.of(space), first)?;
    }
    disk.create_dir(&generation.chunks())?;
    disk.sync_dir(&generation.dir())?;
    disk.sync_dir(&generation.data)
}

/// Writes FORMAT, which says that everything else of the generation is there.
///
/// # Errors
/// What the disk says.
pub fn complete(disk: &dyn Disk, generation: &Generation, identity: Identity) -> io::Result<()> {
    fault!("generation.before-complete");
    set_format(disk, generation, identity.store, identity.era)?;
    disk.sync_dir(&generation.data)
}

/// Begins an empty journal file, durably.
///
/// # Errors
/// What the disk says.
pub fn begin_journal(
    disk: &dyn Disk,
    entropy: &dyn Entropy,
    generation: &Generation,
    identity: Identity,
    first: Revision,
) -> io::Result<PathBuf> {
    let mut salt = [0; 8];
    entropy.fill(&mut salt);
    let header = Header {
        identity,
        first,
        salt,
    };
    let dir = generation.journal(identity.space);
    let path = dir.join(name_of(first));
    let file = disk.create(&path)?;
    file.append(&header.seal())?;
    file.sync_data()?;
    disk.sync_dir(&dir)?;
    Ok(path)
}

/// Store and era by the first whole journal header of a generation.
///
/// # Errors
/// What the disk says.
pub fn format_by_headers(disk: &dyn Disk, generation: &Generation) -> io::Result<Option<Format>> {
    for space in Space::WITH_JOURNAL {
        let dir = generation.journal(space);
        let listed = match disk.list(&dir) {
            Ok(listed) => listed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in listed
            .iter()
            .filter(|entry| first_of(&entry.name).is_some())
        {
            let mut bytes = [0; HEADER_BYTES];
            let read = disk.open(&dir.join(&entry.name))?.read_at(0, &mut bytes)?;
            if let Some(header) = Header::open(&bytes[..read]) {
                return Ok(Some(Format {
                    version: FORMAT_VERSION,
                    store: header.identity.store,
                    era: header.identity.era,
                }));
            }
        }
    }
    Ok(None)
}

/// Whether a generation was completed: FORMAT is the last file that its making writes.
///
/// # Errors
/// What the disk says.
pub fn has_content(disk: &dyn Disk, generation: &Generation) -> io::Result<bool> {
    let complete = format(disk, generation)? != Said::Missing;
    Ok(complete || holds_frames(disk, std::slice::from_ref(generation))?)
}

/// Whether any journal file holds more than a header.
///
/// # Errors
/// What the disk says.
pub fn holds_frames(disk: &dyn Disk, generations: &[Generation]) -> io::Result<bool> {
    for generation in generations {
        for space in Space::WITH_JOURNAL {
            let listed = match disk.list(&generation.journal(space)) {
                Ok(listed) => listed,
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let is_filled = |bytes: u64| (HEADER_BYTES as u64) < bytes;
            let mut journal = listed
                .iter()
                .filter(|entry| first_of(&entry.name).is_some());
            if journal.any(|entry| is_filled(entry.bytes)) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sim::SimDisk;

    fn disk() -> (SimDisk, PathBuf) {
        let disk = SimDisk::new(1 << 30);
        let data = PathBuf::from("/data");
        disk.create_dir(&data).unwrap();
        (disk, data)
    }

    #[test]
    fn current_names_a_generation_and_its_crc() {
        let (disk, data) = disk();
        let generation = Generation::new(&data, 3);
        assert_eq!(current(&disk, &data).unwrap(), Said::Missing);
        set_current(&disk, &generation).unwrap();
        let text = disk::read_whole(&disk, &data.join("CURRENT"), 100).unwrap();
        assert_eq!(text, b"gen-0003 d9fbdac2\n");
        assert_eq!(current(&disk, &data).unwrap(), Said::Whole(generation));
        disk.damage(&data.join("CURRENT"), |bytes| bytes[6] ^= 1);
        assert_eq!(current(&disk, &data).unwrap(), Said::Damaged);
    }

    #[test]
    fn format_says_store_and_era() {
        let (disk, data) = disk();
        let generation = Generation::new(&data, 1);
        disk.create_dir(&generation.dir()).unwrap();
        set_format(&disk, &generation, StoreId([7; 16]), 42).unwrap();
        let expected = Format {
            version: 1,
            store: StoreId([7; 16]),
            era: 42,
        };
        assert_eq!(format(&disk, &generation).unwrap(), Said::Whole(expected));
        disk.damage(&generation.dir().join("FORMAT"), |bytes| bytes[20] ^= 1);
        assert_eq!(format(&disk, &generation).unwrap(), Said::Damaged);
    }
}
