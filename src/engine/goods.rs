//! A market's catalogue as chunks of the store.
//!
//! Products lie in chunks by ascending key. Where one chunk ends is decided by the keys themselves,
//! so a changed, added or removed product changes one or two chunks and all others are found in
//! the store already. A delta adds one chunk of operations; when there are too many, the
//! generation is written anew.

use std::sync::Arc;

use rayon::prelude::*;
use siphasher::sip128::SipHasher24;

use crate::catalogue::Catalogue;
use crate::catalogue::market::Market;
use crate::catalogue::product::{CategoryRecord, FeedOperation, ProductRecord};
use crate::record::RecordError;
use crate::record::catalogue::{CategoryV1, ManifestV1, OperationV1, ProductV1};
use crate::record::market::GoodsV1;
use crate::store::chunk::{ChunkError, ChunkHash, ChunkStore};
use crate::store::codec::{self, CodecError};

/// One product in this many ends a chunk, on average.
const PRODUCTS_PER_CHUNK: u64 = 256;

/// A chunk ends at the latest when it has so many products.
const PRODUCTS_PER_CHUNK_MAX: usize = 1_024;

/// Delta chunks after which the next import writes a new generation.
pub(in crate::engine) const DELTAS_MAX: usize = 64;

/// Why goods cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum GoodsError {
    /// A chunk is missing or damaged.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// Its bytes do not fit.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A record in it does not fit.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Its records do not make a catalogue.
    #[error("the stored goods do not fit together: {0}")]
    Refused(String),
}

/// Writes a whole generation and says where it lies.
///
/// # Errors
/// [`GoodsError`] if a chunk cannot be written.
pub(in crate::engine) fn save(
    chunks: &dyn ChunkStore,
    products: &[Arc<ProductRecord>],
    categories: &[CategoryRecord],
    generation: u64,
) -> Result<GoodsV1, GoodsError> {
    let stored: Vec<ProductV1> = products.par_iter().map(|product| (&**product).into()).collect();
    let mut manifest = ManifestV1::default();
    let mut from = 0;
    for end in boundaries(products) {
        let hash = put(chunks, &stored[from..end])?;
        manifest.products.push((hash, n(end - from)));
        from = end;
    }
    for part in categories.chunks(PRODUCTS_PER_CHUNK_MAX) {
        let nodes: Vec<CategoryV1> = part.iter().map(Into::into).collect();
        manifest.categories.push((put(chunks, &nodes)?, n(nodes.len())));
    }
    let manifest = Some(put(chunks, &manifest)?);
    Ok(GoodsV1 { generation, manifest, deltas: Vec::new(), attributes: Vec::new() })
}

/// Writes the operations of a delta as one chunk.
///
/// # Errors
/// [`GoodsError`] if it cannot be written.
pub(in crate::engine) fn save_delta(
    chunks: &dyn ChunkStore,
    operations: &[FeedOperation],
) -> Result<[u8; 32], GoodsError> {
    let stored: Vec<OperationV1> = operations.iter().map(Into::into).collect();
    put(chunks, &stored)
}

/// Reads the goods of a market and builds its catalogue.
///
/// # Errors
/// [`GoodsError`] if a chunk is missing or does not fit.
pub(in crate::engine) fn load(
    chunks: &dyn ChunkStore,
    market: &Market,
    goods: &GoodsV1,
) -> Result<Catalogue, GoodsError> {
    let manifest: ManifestV1 = match &goods.manifest {
        Some(hash) => get(chunks, hash)?,
        None => ManifestV1::default(),
    };
    let products: Result<Vec<Vec<Arc<ProductRecord>>>, GoodsError> = manifest
        .products
        .par_iter()
        .map(|(hash, _)| {
            let stored: Vec<ProductV1> = get(chunks, hash)?;
            let read = stored.into_iter().map(|product| product.try_into().map(Arc::new));
            Ok(read.collect::<Result<_, RecordError>>()?)
        })
        .collect();
    let products: Vec<_> = products?.into_iter().flatten().collect();
    let mut categories: Vec<CategoryRecord> = Vec::new();
    for (hash, _) in &manifest.categories {
        let stored: Vec<CategoryV1> = get(chunks, hash)?;
        for node in stored {
            categories.push(node.try_into()?);
        }
    }
    let declared = crate::engine::catalogue::declared(&goods.attributes)?;
    let (mut catalogue, _) = Catalogue::build(market.clone(), declared, products, categories);
    for hash in &goods.deltas {
        let stored: Vec<OperationV1> = get(chunks, hash)?;
        let operations: Result<Vec<FeedOperation>, RecordError> =
            stored.into_iter().map(TryInto::try_into).collect();
        catalogue = crate::engine::catalogue::replay_delta(&catalogue, operations?)?;
    }
    Ok(catalogue)
}

/// Ends of the chunks: behind each product whose key's hash says so, or when one grows too long.
fn boundaries(products: &[Arc<ProductRecord>]) -> Vec<usize> {
    let mut ends = Vec::new();
    let mut from = 0;
    for (place, product) in products.iter().enumerate() {
        let hash = siphasher::sip128::Hasher128::finish128(&hashed(product.key.as_str())).h1;
        let long = PRODUCTS_PER_CHUNK_MAX <= place + 1 - from;
        if hash % PRODUCTS_PER_CHUNK == 0 || long || place + 1 == products.len() {
            ends.push(place + 1);
            from = place + 1;
        }
    }
    ends
}

fn hashed(key: &str) -> SipHasher24 {
    let mut hasher = SipHasher24::new();
    std::hash::Hasher::write(&mut hasher, key.as_bytes());
    hasher
}

fn put<T: serde::Serialize + ?Sized>(chunks: &dyn ChunkStore, form: &T) -> Result<[u8; 32], GoodsError> {
    Ok(chunks.put(&codec::encode_chunk(form)?)?.0)
}

fn get<T: serde::de::DeserializeOwned>(chunks: &dyn ChunkStore, hash: &[u8; 32]) -> Result<T, GoodsError> {
    Ok(codec::decode_chunk(&chunks.get(&ChunkHash(*hash))?)?)
}

fn n(count: usize) -> u32 {
    u32::try_from(count).expect("a chunk holds at most 1,024 records")
}
