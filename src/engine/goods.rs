//! A market's catalogue as chunks of the store.
//!
//! Products lie in chunks by ascending key. Where one chunk ends is decided by the keys themselves,
//! so a changed, added or removed product changes one or two chunks and all others are found in
//! the store already. A delta adds one chunk of operations; when there are too many, the
//! generation is written anew.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;
use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;
use siphasher::sip::SipHasher13;

use crate::catalogue::Catalogue;
use crate::catalogue::attribute::{Declaration, Declared, Level};
use crate::catalogue::change::Changes;
use crate::catalogue::market::Market;
use crate::catalogue::product::{CategoryRecord, FeedOperation, ProductRecord};
use crate::domain::category::CategoryId;
use crate::domain::complaint::Fault;
use crate::domain::id::ProductKey;
use crate::domain::value::ValueType;
use crate::engine::markets::{declared_of, declared_v1};
use crate::predicate::rule::Attr;
use crate::record::RecordError;
use crate::record::catalogue::{CategoryV1, ManifestV1, OperationV1, ProductV1};
use crate::record::market::{DeclaredV1, GoodsV1};
use crate::store::chunk::{ChunkError, ChunkHash, ChunkStore};
use crate::store::codec::{self, CodecError};

/// One product in this many ends a chunk, on average.
const PRODUCTS_PER_CHUNK: u64 = 256;

/// A chunk ends at the latest when it has so many products.
const PRODUCTS_PER_CHUNK_MAX: usize = 1_024;

/// Delta chunks after which the next import writes a new generation, which takes a second for a
/// million variants; reading them back costs what they hold.
const DELTAS_MAX: usize = 256;

/// A change of more than one record in so many writes a new generation, so that all deltas of one
/// hold at most three times what it does.
const CHANGED_PARTS: usize = 80;

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

/// Writes the goods after an import: a whole generation, or one more delta of the one that stands.
///
/// # Errors
/// [`GoodsError`] if a chunk cannot be written.
pub(in crate::engine) fn next(
    chunks: &dyn ChunkStore,
    before: &GoodsV1,
    next: &Catalogue,
    changes: &Changes,
) -> Result<GoodsV1, GoodsError> {
    let n_changed = changes.products.len() + changes.categories.len();
    let n_products = next.n_product_numbers() as usize;
    let is_small = n_changed * CHANGED_PARTS < n_products + CHANGED_PARTS;
    let attributes = declared_of(next);
    if before.manifest.is_some() && is_small && before.deltas.len() < DELTAS_MAX {
        let mut goods = GoodsV1 {
            attributes,
            ..before.clone()
        };
        if n_changed != 0 {
            goods.deltas.push(put(chunks, &operations_of(changes))?);
        }
        return Ok(goods);
    }
    let (products, categories) = save(chunks, next)?;
    let manifest = Some(put(
        chunks,
        &ManifestV1 {
            products,
            categories,
        },
    )?);
    Ok(GoodsV1 {
        generation: before.generation + 1,
        manifest,
        deltas: Vec::new(),
        attributes,
    })
}

/// Hashes of chunks, with the number of records in each.
type Listed = Vec<([u8; 32], u32)>;

fn save(chunks: &dyn ChunkStore, goods: &Catalogue) -> Result<(Listed, Listed), GoodsError> {
    let mut products: Vec<&Arc<ProductRecord>> = goods.products().map(|(_, own)| own).collect();
    products.sort_unstable_by(|left, right| left.key.cmp(&right.key));
    let stretches = boundaries(&products);
    let saved: Result<Listed, GoodsError> = stretches
        .into_par_iter()
        .map(|stretch| {
            let stored: Vec<ProductV1> = products[stretch]
                .iter()
                .map(|product| (&***product).into())
                .collect();
            Ok((put(chunks, &stored)?, n(stored.len())))
        })
        .collect();
    let nodes: Vec<CategoryV1> = goods.categories().map(|node| (&**node).into()).collect();
    let categories: Result<Listed, GoodsError> = nodes
        .chunks(PRODUCTS_PER_CHUNK_MAX)
        .map(|part| Ok((put(chunks, part)?, n(part.len()))))
        .collect();
    Ok((saved?, categories?))
}

/// Writes changes that are held back: declared attributes, then operations.
///
/// # Errors
/// [`GoodsError`] if a chunk cannot be written.
pub(in crate::engine) fn save_held_back(
    chunks: &dyn ChunkStore,
    changes: &Changes,
) -> Result<Vec<[u8; 32]>, GoodsError> {
    let declared: Vec<DeclaredV1> = changes
        .declared
        .iter()
        .map(|(attr, own)| declared_v1(attr, *own))
        .collect();
    let mut hashes = vec![put(chunks, &declared)?];
    for part in operations_of(changes).chunks(PRODUCTS_PER_CHUNK_MAX) {
        hashes.push(put(chunks, part)?);
    }
    Ok(hashes)
}

/// Reads what [`save_held_back`] wrote.
///
/// # Errors
/// [`GoodsError`] if a chunk is missing or does not fit.
pub(in crate::engine) fn load_held_back(
    chunks: &dyn ChunkStore,
    hashes: &[[u8; 32]],
) -> Result<Changes, GoodsError> {
    let mut changes = Changes::default();
    let Some((declared, parts)) = hashes.split_first() else {
        return Ok(changes);
    };
    let stored: Vec<DeclaredV1> = get(chunks, declared)?;
    changes.declared = read_declared(&stored)?;
    for hash in parts {
        add_changes(get(chunks, hash)?, &mut changes)?;
    }
    Ok(changes)
}

/// Hashes of the chunks that a market's goods are made of.
///
/// # Errors
/// [`GoodsError`] if the manifest is missing or does not fit.
pub(in crate::engine) fn live_chunks(
    chunks: &dyn ChunkStore,
    goods: &GoodsV1,
    live: &mut BTreeSet<ChunkHash>,
) -> Result<(), GoodsError> {
    live.extend(goods.deltas.iter().map(|hash| ChunkHash(*hash)));
    let Some(hash) = &goods.manifest else {
        return Ok(());
    };
    let manifest: ManifestV1 = get(chunks, hash)?;
    live.insert(ChunkHash(*hash));
    let listed = manifest.products.iter().chain(&manifest.categories);
    live.extend(listed.map(|(hash, _)| ChunkHash(*hash)));
    Ok(())
}

/// Changes as operations that replace and delete.
fn operations_of(changes: &Changes) -> Vec<OperationV1> {
    let products = changes.products.iter().map(|(key, record)| match record {
        Some(record) => FeedOperation::ReplaceProduct((**record).clone()),
        None => FeedOperation::DeleteProduct(key.clone()),
    });
    let categories = changes.categories.iter().map(|(id, record)| match record {
        Some(record) => FeedOperation::ReplaceCategory((**record).clone()),
        None => FeedOperation::DeleteCategory(id.clone()),
    });
    products
        .chain(categories)
        .map(|operation| (&operation).into())
        .collect()
}

fn add_changes(stored: Vec<OperationV1>, changes: &mut Changes) -> Result<(), GoodsError> {
    for operation in stored {
        match operation.try_into()? {
            FeedOperation::ReplaceProduct(record) => {
                changes
                    .products
                    .insert(record.key.clone(), Some(Arc::new(record)));
            }
            FeedOperation::DeleteProduct(key) => {
                changes.products.insert(key, None);
            }
            FeedOperation::ReplaceCategory(record) => {
                changes
                    .categories
                    .insert(record.id.clone(), Some(Arc::new(record)));
            }
            FeedOperation::DeleteCategory(id) => {
                changes.categories.insert(id, None);
            }
            _ => {
                return Err(GoodsError::Refused(
                    "an operation that no delta holds".to_owned(),
                ));
            }
        }
    }
    Ok(())
}

/// Declarations as stored.
///
/// # Errors
/// [`RecordError::Refused`] for one that its constructor refuses.
pub(in crate::engine) fn read_declared(stored: &[DeclaredV1]) -> Result<Declared, RecordError> {
    let refused = |fault: Fault| RecordError::Refused {
        what: format!("attributes: {fault}"),
    };
    let mut declared = Declared::new();
    for own in stored {
        let declaration = Declaration {
            level: if own.variant_level {
                Level::Variant
            } else {
                Level::Product
            },
            kind: ValueType::parse(&own.kind).map_err(refused)?,
            multi: own.multi,
            facet: own.facet,
            search: own.search,
        };
        declared.insert(Attr::parse(&own.attr).map_err(refused)?, declaration);
    }
    Ok(declared)
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
            let read = stored
                .into_iter()
                .map(|product| product.try_into().map(Arc::new));
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
    let declared = read_declared(&goods.attributes)?;
    let mut changes = Changes::default();
    for hash in &goods.deltas {
        add_changes(get(chunks, hash)?, &mut changes)?;
    }
    let products = merged(products, std::mem::take(&mut changes.products));
    let categories = merged_categories(categories, changes.categories);
    Ok(Catalogue::build(market.clone(), declared, products, categories).0)
}

/// The products of the manifest with the deltas' changes: those of the later delta win.
fn merged(
    products: Vec<Arc<ProductRecord>>,
    changes: BTreeMap<ProductKey, Option<Arc<ProductRecord>>>,
) -> Vec<Arc<ProductRecord>> {
    let kept = products
        .into_iter()
        .filter(|product| !changes.contains_key(&product.key));
    let mut merged: Vec<_> = kept.collect();
    merged.extend(changes.into_values().flatten());
    merged
}

fn merged_categories(
    categories: Vec<CategoryRecord>,
    changes: BTreeMap<CategoryId, Option<Arc<CategoryRecord>>>,
) -> Vec<CategoryRecord> {
    let kept = categories
        .into_iter()
        .filter(|node| !changes.contains_key(&node.id));
    let mut merged: Vec<_> = kept.collect();
    merged.extend(changes.into_values().flatten().map(Arc::unwrap_or_clone));
    merged
}

/// Stretches of products that lie in one chunk: each ends behind a product whose key's hash says
/// so, or when it grows too long.
fn boundaries(products: &[&Arc<ProductRecord>]) -> Vec<Range<usize>> {
    let mut stretches = Vec::new();
    let mut from = 0;
    for (place, product) in products.iter().enumerate() {
        let mut hasher = SipHasher13::new();
        hasher.write(product.key.as_str().as_bytes());
        let ends = hasher.finish().is_multiple_of(PRODUCTS_PER_CHUNK);
        let is_long = PRODUCTS_PER_CHUNK_MAX < place + 2 - from;
        if ends || is_long || place + 1 == products.len() {
            stretches.push(from..place + 1);
            from = place + 1;
        }
    }
    stretches
}

fn put<T: serde::Serialize + ?Sized>(
    chunks: &dyn ChunkStore,
    form: &T,
) -> Result<[u8; 32], GoodsError> {
    Ok(chunks.put(&codec::encode_chunk(form)?)?.0)
}

fn get<T: serde::de::DeserializeOwned>(
    chunks: &dyn ChunkStore,
    hash: &[u8; 32],
) -> Result<T, GoodsError> {
    Ok(codec::decode_chunk(&chunks.get(&ChunkHash(*hash))?)?)
}

fn n(count: usize) -> u32 {
    u32::try_from(count).expect("a chunk holds at most 1,024 records")
}
