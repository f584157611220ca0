//! Chunks in memory, for the memory store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use crate::domain::time::Timestamp;
use crate::store::chunk::{CHUNK_BYTES_MAX, ChunkError, ChunkHash, ChunkStore, Retained, Unnamed};
use crate::store::shared::locked;

/// Chunks in memory.
#[derive(Debug, Default)]
pub struct MemoryChunks(Mutex<Content>);

#[derive(Debug, Default)]
struct Content {
    chunks: BTreeMap<ChunkHash, Vec<u8>>,
    unnamed: Unnamed,
}

impl ChunkStore for MemoryChunks {
    fn put(&self, bytes: &[u8]) -> Result<ChunkHash, ChunkError> {
        if CHUNK_BYTES_MAX < bytes.len() {
            return Err(ChunkError::TooLarge { have: bytes.len() });
        }
        let hash = ChunkHash::of(bytes);
        let mut content = locked(&self.0);
        content.unnamed.touch(&hash);
        content.chunks.entry(hash).or_insert_with(|| bytes.to_vec());
        Ok(hash)
    }

    fn get(&self, hash: &ChunkHash) -> Result<Vec<u8>, ChunkError> {
        let content = locked(&self.0);
        let chunk = content.chunks.get(hash).cloned();
        chunk.ok_or(ChunkError::Missing { hash: *hash })
    }

    fn check(&self, hash: &ChunkHash) -> Result<u64, ChunkError> {
        self.get(hash).map(|content| content.len() as u64)
    }

    fn hashes(&self) -> Result<BTreeSet<ChunkHash>, ChunkError> {
        Ok(locked(&self.0).chunks.keys().copied().collect())
    }

    fn retain(&self, live: &BTreeSet<ChunkHash>, now: Timestamp) -> Result<Retained, ChunkError> {
        let mut content = locked(&self.0);
        let present: BTreeSet<ChunkHash> = content.chunks.keys().copied().collect();
        let due = content.unnamed.due(&present, live, now);
        for hash in &due {
            content.chunks.remove(hash);
            content.unnamed.touch(hash);
        }
        Ok(content.unnamed.counts(present.len(), due.len()))
    }
}
