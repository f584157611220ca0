//! Reads everything that lies there, slowly, so that damage is found while a copy of it exists.
//!
//! | part | read | damaged |
//! |---|---|---|
//! | journal | sealed files, frame by frame, record by record | a backup is written: a start needs nothing before it |
//! | chunk | content against its name | copied from the backups |
//! | backup | to its end, line by line | set aside, and a new one written |
//! | copy of a chunk | content against its name | copied from the store |
//! | index | hot records against memory, cold ones against their CRC | built anew behind the scenes |
//!
//! What cannot be mended is told and stays as it is. No thread and no clock here: whoever asks
//! hands in a way to spend the time that [`Throttle`] says, and to stop.
//!
//! Cost: all files once, at the pace of whoever asks; memory holds one file's frame, one line, one
//! chunk or one page of the index.

use std::fmt;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::domain::time::Timestamp;
use crate::store::backup::tend;
use crate::store::chunk::files::path_below;
use crate::store::chunk::{ChunkError, ChunkHash};
use crate::store::layout::Generation;
use crate::store::opened::Opened;
use crate::store::{Finding, Space};

/// Bytes a second that a scrub of a running store reads at most.
pub const BYTES_PER_SECOND: u64 = 20_000_000;

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Sealed journal files of a space.
    Journal(Space),
    /// A chunk of the store.
    Chunk,
    /// A backup.
    Backup,
    /// The backups' copy of a chunk.
    Copy,
    /// The index.
    Index,
}

impl Part {
    /// Stable name, for counting.
    pub fn name(self) -> &'static str {
        match self {
            Self::Journal(_) => "journal",
            Self::Chunk => "chunk",
            Self::Backup => "backup",
            Self::Copy => "copy",
            Self::Index => "index",
        }
    }
}

/// Something that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damaged {
    /// Of what it is a part.
    pub part: Part,
    /// Where and what.
    pub finding: Finding,
    /// Whether it was made good: nothing is lost for want of it any more.
    pub is_mended: bool,
}

impl fmt::Display for Damaged {
    /// In one line, for a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { path, offset, what } = &self.finding;
        write!(f, "{} {}", self.part.name(), path.display())?;
        if let Some(offset) = offset {
            write!(f, " at byte {offset}")?;
        }
        let end = if self.is_mended {
            "mended"
        } else {
            "not mended"
        };
        write!(f, ": {what}; {end}")
    }
}

/// What one scrub found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scrubbed {
    /// When it began.
    pub at: Timestamp,
    /// Bytes read.
    pub n_bytes: u64,
    /// Whether it came to its end; else it was told to stop.
    pub is_complete: bool,
    /// All that was damaged, in the order in which it was found.
    pub damaged: Vec<Damaged>,
}

/// Told after each piece how many bytes it had. Takes its time, and says whether to go on.
pub type Spend<'a> = &'a mut dyn FnMut(u64) -> ControlFlow<()>;

/// A scrub on its way.
pub struct Look<'a> {
    spend: Spend<'a>,
    n_bytes: u64,
    damaged: Vec<Damaged>,
}

impl<'a> Look<'a> {
    /// Nothing read yet.
    pub fn new(spend: Spend<'a>) -> Self {
        Self {
            spend,
            n_bytes: 0,
            damaged: Vec::new(),
        }
    }

    /// So many bytes were read, and are whole or will be told.
    pub fn read(&mut self, n_bytes: u64) -> ControlFlow<()> {
        self.n_bytes += n_bytes;
        (self.spend)(n_bytes)
    }

    /// Something is damaged.
    pub fn found(&mut self, part: Part, finding: Finding, is_mended: bool) {
        self.damaged.push(Damaged {
            part,
            finding,
            is_mended,
        });
    }
}

/// Keeps reading below a number of bytes a second; what was not read in one second does not make
/// the next one faster.
#[derive(Clone, Debug)]
pub struct Throttle {
    bytes_per_second: u64,
    /// When, since the beginning, all that was read may have been read.
    due: Duration,
}

impl Throttle {
    /// At most so many bytes a second, at least one.
    pub fn new(bytes_per_second: u64) -> Self {
        Self {
            bytes_per_second: bytes_per_second.max(1),
            due: Duration::ZERO,
        }
    }

    /// How long to wait, now that `n_bytes` more were read and `elapsed` is over since the
    /// beginning.
    pub fn wait(&mut self, n_bytes: u64, elapsed: Duration) -> Duration {
        let ns = u128::from(n_bytes) * 1_000_000_000 / u128::from(self.bytes_per_second);
        let costs = Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX));
        self.due = self.due.max(elapsed).saturating_add(costs);
        self.due.saturating_sub(elapsed)
    }
}

/// Reads everything, mends what can be mended, and tells. Blocks for as long as `spend` wants;
/// commits and reads go on.
pub fn scrub(store: &Opened, now: Timestamp, spend: Spend<'_>) -> Arc<Scrubbed> {
    let mut look = Look::new(spend);
    let flow = look_through(store, &mut look);
    let (n_bytes, mut damaged) = (look.n_bytes, look.damaged);
    if flow.is_continue() {
        cover(store, &mut damaged);
    }
    for found in &damaged {
        tracing::error!(%found, "the store is damaged");
    }
    let scrubbed = Arc::new(Scrubbed {
        at: now,
        n_bytes,
        is_complete: flow.is_continue(),
        damaged,
    });
    store.note_scrub(scrubbed.clone());
    scrubbed
}

fn look_through(store: &Opened, look: &mut Look<'_>) -> ControlFlow<()> {
    for shared in store.all_shared() {
        shared.check_sealed(look)?;
    }
    check_chunks(store, look)?;
    let (backups, chunks) = (store.backups(), store.chunks.as_ref());
    backups.check(store.identity(), chunks, look)?;
    store.check_index(look)
}

fn check_chunks(store: &Opened, look: &mut Look<'_>) -> ControlFlow<()> {
    let dir = store.generation.as_ref().map(Generation::chunks);
    let dir = dir.unwrap_or_default();
    let hashes = match store.chunks.hashes() {
        Ok(hashes) => hashes,
        Err(error) => {
            look.found(Part::Chunk, Finding::whole(&dir, &error), false);
            return ControlFlow::Continue(());
        }
    };
    for hash in &hashes {
        match store.chunks.check(hash) {
            Ok(n_bytes) => look.read(n_bytes)?,
            // Forgotten since it was listed.
            Err(ChunkError::Missing { .. }) => {}
            Err(error) => {
                let is_mended = is_mended(store, hash);
                let path = path_below(&dir, hash);
                look.found(Part::Chunk, Finding::whole(&path, &error), is_mended);
            }
        }
    }
    ControlFlow::Continue(())
}

/// Whether a damaged chunk can be had, and is whole again.
fn is_mended(store: &Opened, hash: &ChunkHash) -> bool {
    store.chunks.get(hash).is_ok() && store.chunks.check(hash).is_ok()
}

/// Writes a backup if some of the past, or another backup, cannot be read any more. Events are in
/// no backup.
fn cover(store: &Opened, damaged: &mut [Damaged]) {
    let is_covered = |found: &Damaged| match found.part {
        Part::Journal(space) => space != Space::Events,
        part => part == Part::Backup,
    };
    let mut lacking: Vec<&mut Damaged> = damaged
        .iter_mut()
        .filter(|found| is_covered(found) && !found.is_mended)
        .collect();
    if lacking.is_empty() {
        return;
    }
    match tend::back_up(store) {
        Ok(points) if !points.is_empty() => {
            for found in &mut lacking {
                found.is_mended = true;
            }
        }
        Ok(_) => {}
        Err(error) => tracing::error!(%error, "what is damaged could not be backed up"),
    }
}

impl Finding {
    /// The whole of a file is concerned.
    pub(in crate::store) fn whole(path: &Path, what: &dyn fmt::Display) -> Self {
        Self {
            path: PathBuf::from(path),
            offset: None,
            what: what.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_waits_for_its_share_of_each_second() {
        let ms = Duration::from_millis;
        let mut throttle = Throttle::new(20_000_000);
        assert_eq!(throttle.wait(1_000_000, ms(0)), ms(50));
        assert_eq!(throttle.wait(1_000_000, ms(50)), ms(50));
        // A piece that took longer than its share need not wait.
        assert_eq!(throttle.wait(1_000_000, ms(400)), ms(50));
        assert_eq!(throttle.wait(0, ms(500)), ms(0));
        // What was not read in ten seconds is not read in one.
        assert_eq!(throttle.wait(1_000_000, ms(10_500)), ms(50));
        assert_eq!(throttle.wait(40_000_000, ms(10_550)), ms(2_000));
    }

    #[test]
    fn a_throttled_second_reads_no_more_than_its_bytes() {
        let mut throttle = Throttle::new(1_000_000);
        let mut elapsed = Duration::ZERO;
        let mut n_bytes = 0;
        for piece in [3_000, 70_000, 1, 400_000, 0, 999].repeat(40) {
            elapsed += throttle.wait(piece, elapsed);
            n_bytes += piece;
            let allowed = elapsed.as_micros();
            assert!(
                u128::from(n_bytes) <= allowed + 1,
                "{n_bytes} in {allowed} µs"
            );
        }
    }
}
