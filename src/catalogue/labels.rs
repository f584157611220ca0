//! The keys of each variant and its product side by side, for answers that name many variants.
//!
//! A record's keys lie behind half a dozen pointers; here they are two reads away. Costs the keys
//! themselves and 8 bytes a row.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use crate::catalogue::row::Row;

/// Rows of a chunk.
const CHUNK: usize = 4_096;

/// Keys by row, in chunks that copies share.
#[derive(Clone, Debug)]
pub(super) struct Labels {
    chunks: Vec<Arc<Chunk>>,
}

#[derive(Debug, Default)]
struct Chunk {
    /// Key of the product, then that of the variant, of one row after the other.
    text: String,
    /// Where each of them ends.
    ends: Vec<u32>,
}

impl Labels {
    /// The keys of all rows in order: product, variant.
    pub(super) fn build<'a>(
        n_rows: usize,
        keys: impl Fn(Row) -> (&'a str, &'a str) + Sync,
    ) -> Self {
        let firsts: Vec<usize> = (0..n_rows).step_by(CHUNK).collect();
        let chunk = |first: &usize| {
            let rows = *first..n_rows.min(first + CHUNK);
            Arc::new(rows.map(|row| keys(row_at(row))).collect::<Chunk>())
        };
        Self {
            chunks: firsts.par_iter().map(chunk).collect(),
        }
    }

    /// With other keys at some rows; `n_rows` in all, of which each new one is among them.
    pub(super) fn patched(&self, n_rows: usize, changes: &BTreeMap<Row, (&str, &str)>) -> Self {
        let mut next = self.clone();
        next.chunks
            .resize_with(n_rows.div_ceil(CHUNK), Arc::default);
        let dirty = changes.keys().map(|row| row.0 as usize / CHUNK);
        for chunk in dirty.collect::<std::collections::BTreeSet<usize>>() {
            let rows = chunk * CHUNK..n_rows.min((chunk + 1) * CHUNK);
            let keys = rows.map(row_at).map(|row| match changes.get(&row) {
                Some(keys) => *keys,
                None => self.at(row),
            });
            next.chunks[chunk] = Arc::new(keys.collect());
        }
        next
    }

    /// The keys of the product and the variant at `row`.
    ///
    /// # Panics
    /// If there is none.
    pub(super) fn at(&self, row: Row) -> (&str, &str) {
        let place = row.0 as usize;
        self.chunks[place / CHUNK].at(place % CHUNK)
    }
}

fn row_at(place: usize) -> Row {
    Row(u32::try_from(place).expect("a market has at most 10 million variants"))
}

impl Chunk {
    fn at(&self, place: usize) -> (&str, &str) {
        let start = match place {
            0 => 0,
            _ => self.ends[2 * place - 1],
        };
        let [middle, end] = [self.ends[2 * place], self.ends[2 * place + 1]];
        let text = |from: u32, to: u32| &self.text[from as usize..to as usize];
        (text(start, middle), text(middle, end))
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Chunk {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(keys: I) -> Self {
        let mut chunk = Self::default();
        for (product, variant) in keys {
            for key in [product, variant] {
                chunk.text.push_str(key);
                let end = u32::try_from(chunk.text.len());
                chunk.ends.push(end.expect("a key has at most 512 bytes"));
            }
        }
        chunk.text.shrink_to_fit();
        chunk.ends.shrink_to_fit();
        chunk
    }
}
