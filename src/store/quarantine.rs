//! Quarantine: what a start gives up, kept for a person to look at.
//!
//! ```text
//! <generation>/quarantine/<time, ms>-<space>/        journal files that were damaged
//! <generation>/quarantine/<time, ms>-<space>.<n>/    the same, when that name was taken
//! <generation>/quarantine/index.<n>  snapshots.<n>   of the index, by its own hand
//! ```
//!
//! The newest three of each kind are kept: whoever starts a damaged store again and again must not
//! fill the disk with copies.

use std::io;
use std::path::{Path, PathBuf};

use crate::domain::time::Timestamp;
use crate::store::disk::Disk;
use crate::store::layout::Generation;

/// How many of a kind are kept.
pub const KEPT: usize = 3;

/// Moves files into a directory of their own, named after `at` and `what`. Returns it.
///
/// # Errors
/// What the disk says; some files may have been moved.
pub fn keep(
    disk: &dyn Disk,
    generation: &Generation,
    at: Timestamp,
    what: &str,
    files: &[PathBuf],
) -> io::Result<PathBuf> {
    let root = generation.quarantine();
    disk.create_dir(&root)?;
    let taken = disk.list(&root)?;
    let is_free = |name: &String| taken.iter().all(|entry| entry.name != *name);
    let label = format!("{}-{what}", at.0);
    let numbered = (1_u64..).map(|n| format!("{label}.{n}"));
    let mut names = std::iter::once(label.clone()).chain(numbered);
    let Some(name) = names.find(is_free) else {
        return Err(io::ErrorKind::AlreadyExists.into());
    };
    let dir = root.join(name);
    disk.create_dir(&dir)?;
    disk.sync_dir(&root)?;
    for file in files {
        let (Some(name), Some(from)) = (file.file_name(), file.parent()) else {
            continue;
        };
        disk.rename(file, &dir.join(name))?;
        disk.sync_dir(&dir)?;
        disk.sync_dir(from)?;
    }
    disk.sync_dir(&generation.dir())?;
    if let Err(error) = forget(disk, &root, what) {
        tracing::warn!(%error, "quarantine keeps what should go");
    }
    Ok(dir)
}

/// Removes all but the newest of a kind. A crash may bring some of them back; the next time they go.
fn forget(disk: &dyn Disk, root: &Path, what: &str) -> io::Result<()> {
    let listed = disk.list(root)?;
    let mut kept: Vec<(i64, u64, &str)> = Vec::new();
    for entry in &listed {
        kept.extend(parse(&entry.name, what).map(|(at, n)| (at, n, entry.name.as_str())));
    }
    kept.sort_unstable();
    for (_, _, name) in &kept[..kept.len().saturating_sub(KEPT)] {
        let dir = root.join(name);
        for file in disk.list(&dir)? {
            disk.remove(&dir.join(file.name))?;
        }
        disk.remove(&dir)?;
    }
    Ok(())
}

/// Time and number of a directory of this kind; `None` of any other name.
fn parse(name: &str, what: &str) -> Option<(i64, u64)> {
    let (at, rest) = name.split_once('-')?;
    let n = match rest.strip_prefix(what)? {
        "" => 0,
        number => number.strip_prefix('.')?.parse().ok()?,
    };
    Some((at.parse().ok()?, n))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sim::SimDisk;

    #[test]
    fn the_newest_three_of_each_kind_are_kept() {
        let disk = SimDisk::new(1 << 20);
        let generation = Generation::new(Path::new("/data"), 1);
        let journal = generation.dir().join("config");
        disk.create_dir(&journal).unwrap();
        let keep_one = |at: i64, what: &str| {
            let file = journal.join("0000000000000001.seg");
            disk.create(&file).unwrap();
            keep(&disk, &generation, Timestamp(at), what, &[file]).unwrap()
        };
        // Of two at one time the later has the larger number; times sort as numbers.
        for at in [7, 90, 90, 800] {
            keep_one(at, "config");
        }
        keep_one(1, "trade");
        let last = keep_one(1_000, "config");
        let names = |dir: &Path| -> Vec<String> {
            let listed = disk.list(dir).unwrap().into_iter();
            listed.map(|entry| entry.name).collect()
        };
        let root = generation.quarantine();
        let expected = ["1-trade", "1000-config", "800-config", "90-config.1"];
        assert_eq!(names(&root), expected);
        assert_eq!(names(&last), ["0000000000000001.seg"]);
    }

    #[test]
    fn only_its_own_kind_goes() {
        assert_eq!(parse("90-config", "config"), Some((90, 0)));
        assert_eq!(parse("90-config.12", "config"), Some((90, 12)));
        assert_eq!(parse("90-config.x", "config"), None);
        assert_eq!(parse("90-configs", "config"), None);
        assert_eq!(parse("90-trade", "config"), None);
        assert_eq!(parse("index.3", "config"), None);
    }
}
