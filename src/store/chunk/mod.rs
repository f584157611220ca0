//! Chunks: large, immutable, named by their content.
//!
//! A catalogue generation lies in chunks that a commit then names; a chunk put twice is one chunk.
//! So a chunk has no revision, needs no guard and is never changed, only forgotten once nobody
//! names it any more.
//!
//! - [`files`]: chunks as files, for the embedded store and for backups
//! - [`memory`]: chunks in memory
//!
//! Invariants: [`ChunkStore::put`] returns only when the chunk survives power loss; what
//! [`ChunkStore::get`] returns has the hash that was asked for, bit by bit.
//!
//! Cost: a put of something new is one packing, two syncs and a rename; of something known to this
//! process one look into a set. A get is one read, one unpacking, one SHA-256.

pub mod files;
pub mod memory;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;

use sha2::{Digest, Sha256};

use crate::domain::time::Timestamp;

/// Most bytes of a chunk, unpacked.
pub const CHUNK_BYTES_MAX: usize = 64 << 20;

/// How long a chunk that nobody names is kept, in milliseconds: an import puts its chunks well
/// before the commit that names them, and cursors name those of replaced generations.
pub const KEPT_MS: i64 = 3_600_000;

/// Name of a chunk: SHA-256 of its content, unpacked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChunkHash(pub [u8; 32]);

impl ChunkHash {
    /// The name of this content.
    pub fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).into())
    }

    /// Reads 64 lower-case hexadecimal digits.
    pub fn parse(hex: &str) -> Option<Self> {
        let mut hash = [0; 32];
        for (byte, at) in hash.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()?;
        }
        let hash = Self(hash);
        (hash.to_string() == hex).then_some(hash)
    }
}

impl fmt::Display for ChunkHash {
    /// 64 lower-case hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for ChunkHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChunkHash({self})")
    }
}

/// Why a chunk was not stored, or cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum ChunkError {
    /// There is no such chunk, in no backup either.
    #[error("chunk {hash} is missing")]
    Missing {
        /// Its name.
        hash: ChunkHash,
    },
    /// Its bytes are not those it is named after, and no backup has it.
    #[error("chunk {hash} is damaged: {what}")]
    Damaged {
        /// Its name.
        hash: ChunkHash,
        /// Which check failed.
        what: &'static str,
    },
    /// More than [`CHUNK_BYTES_MAX`].
    #[error("a chunk of {have} bytes, at most {CHUNK_BYTES_MAX}")]
    TooLarge {
        /// Bytes found.
        have: usize,
    },
    /// No room; nothing was stored.
    #[error("storage is full")]
    Full,
    /// No chunk is stored until restart: a sync of a directory failed.
    #[error("the store is read-only")]
    ReadOnly,
    /// The disk fails.
    #[error("the disk fails: {0}")]
    Disk(#[source] io::Error),
}

impl From<io::Error> for ChunkError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::WriteZero
            | io::ErrorKind::QuotaExceeded => Self::Full,
            _ => Self::Disk(error),
        }
    }
}

/// What a call to [`ChunkStore::retain`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retained {
    /// Chunks that somebody names.
    pub live: u64,
    /// Chunks that nobody names, kept for now.
    pub waiting: u64,
    /// Chunks that were forgotten.
    pub forgotten: u64,
}

/// Stores chunks by content. All calls block; async callers use a blocking thread.
pub trait ChunkStore: Send + Sync + fmt::Debug {
    /// Stores a chunk durably and says its name; an equal one is stored once.
    ///
    /// # Errors
    /// [`ChunkError::TooLarge`], [`ChunkError::Full`], [`ChunkError::ReadOnly`],
    /// [`ChunkError::Disk`]. A failed put may be repeated.
    fn put(&self, bytes: &[u8]) -> Result<ChunkHash, ChunkError>;

    /// The content of a chunk, checked against its name. A damaged one is copied from a backup.
    ///
    /// # Errors
    /// [`ChunkError::Missing`], [`ChunkError::Damaged`], [`ChunkError::Disk`].
    fn get(&self, hash: &ChunkHash) -> Result<Vec<u8>, ChunkError>;

    /// Reads a chunk and says how many bytes that took. Unlike [`get`](Self::get) it looks nowhere
    /// else and mends nothing.
    ///
    /// # Errors
    /// [`ChunkError::Missing`], [`ChunkError::Damaged`], [`ChunkError::Disk`].
    fn check(&self, hash: &ChunkHash) -> Result<u64, ChunkError>;

    /// Names of all chunks that are there, ascending; whether they are whole is not looked at.
    ///
    /// # Errors
    /// [`ChunkError::Disk`].
    fn hashes(&self) -> Result<BTreeSet<ChunkHash>, ChunkError>;

    /// Forgets chunks that are not `live` and were not at a call an hour ago either. A put in
    /// between begins their hour anew. The hours are counted by this process: a restart begins
    /// them anew.
    ///
    /// # Errors
    /// [`ChunkError::Disk`]; what was not forgotten is still there.
    fn retain(&self, live: &BTreeSet<ChunkHash>, now: Timestamp) -> Result<Retained, ChunkError>;
}

/// Since when each chunk that is there has had nobody who names it.
#[derive(Debug, Default)]
struct Unnamed(BTreeMap<ChunkHash, Timestamp>);

impl Unnamed {
    /// Somebody is about to name it.
    fn touch(&mut self, hash: &ChunkHash) {
        self.0.remove(hash);
    }

    /// The chunks of `present` whose hour is over.
    fn due(
        &mut self,
        present: &BTreeSet<ChunkHash>,
        live: &BTreeSet<ChunkHash>,
        now: Timestamp,
    ) -> Vec<ChunkHash> {
        self.0
            .retain(|hash, _| present.contains(hash) && !live.contains(hash));
        for hash in present.difference(live) {
            self.0.entry(*hash).or_insert(now);
        }
        let is_over = |since: &Timestamp| KEPT_MS <= now.0.saturating_sub(since.0);
        let due = self.0.iter().filter(|(_, since)| is_over(since));
        due.map(|(hash, _)| *hash).collect()
    }

    fn counts(&self, n_present: usize, n_forgotten: usize) -> Retained {
        Retained {
            live: (n_present - n_forgotten - self.0.len()) as u64,
            waiting: self.0.len() as u64,
            forgotten: n_forgotten as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_the_digest_in_hexadecimal() {
        let hash = ChunkHash::of(b"abc");
        let hex = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(hash.to_string(), hex);
        assert_eq!(ChunkHash::parse(hex), Some(hash));
        for wrong in ["", "ba", &hex.to_uppercase(), &format!("{hex}0")] {
            assert_eq!(ChunkHash::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn an_hour_begins_when_nobody_names_a_chunk_any_more() {
        let [a, b] = [b"a", b"b"].map(|content| ChunkHash::of(content));
        let present = BTreeSet::from([a, b]);
        let mut unnamed = Unnamed::default();
        let mut due = |live: &[ChunkHash], ms| {
            let live = live.iter().copied().collect();
            unnamed.due(&present, &live, Timestamp(ms))
        };
        assert_eq!(due(&[a], 0), []);
        assert_eq!(due(&[a], KEPT_MS - 1), []);
        assert_eq!(due(&[b], KEPT_MS), [], "named again just in time");
        assert_eq!(due(&[], 2 * KEPT_MS - 1), []);
        assert_eq!(due(&[], 2 * KEPT_MS), [a]);
    }
}
