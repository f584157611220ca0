//! Which promotions hold which variant: a mask each, in chunks that views share.
//!
//! A market has few distinct masks, in a chunk of 4,096 variants some hundreds at most; so a chunk
//! keeps them in a table, and of each variant two bytes: which mask of the table is its own.

use std::sync::Arc;

use hashbrown::HashMap;
use rayon::prelude::*;

use crate::promotion::slot::{Slot, SlotMask};
use crate::ranking::edit::Renumbered;
use crate::ranking::words::{BLOCK_BITS, Bits, Block, members};

/// The mask of each variant, by rank or by unit.
#[derive(Clone, Debug)]
pub(super) struct Classes {
    chunks: Vec<Chunk>,
}

/// The masks of neighbouring variants.
#[derive(Clone, Debug)]
struct Chunk {
    /// Place of each variant's mask among `masks`.
    ids: Arc<[u16]>,
    /// Each is some variant's; after an edit some may be equal.
    masks: Arc<[SlotMask]>,
}

impl Classes {
    /// From the mask of each variant.
    pub(super) fn of(held: &[SlotMask]) -> Self {
        Self {
            chunks: held.par_chunks(BLOCK_BITS).map(Chunk::of).collect(),
        }
    }

    /// The same variants after slots were renumbered and some variants came to a slot or left it.
    pub(super) fn edited(&self, renumbered: &Renumbered, moved: &[(Slot, &Bits)]) -> Self {
        let edited = |(block, chunk): (usize, &Chunk)| {
            let touching = moved
                .iter()
                .filter_map(|(slot, bits)| Some((SlotMask::of(*slot), bits.block(block)?)));
            let touching: Vec<_> = touching.collect();
            if !touching.is_empty() {
                chunk.overlaid(renumbered, &touching)
            } else if renumbered.is_none() {
                chunk.clone()
            } else {
                chunk.renumbered(renumbered)
            }
        };
        let chunks = self.chunks.par_iter().enumerate();
        Self {
            chunks: chunks.map(edited).collect(),
        }
    }

    /// The mask of a variant.
    #[inline]
    pub(super) fn at(&self, place: u32) -> SlotMask {
        let chunk = &self.chunks[place as usize / BLOCK_BITS];
        chunk.at(place as usize % BLOCK_BITS)
    }

    /// Slots that hold some variant of a chunk.
    pub(super) fn any(&self, chunk: usize) -> SlotMask {
        let masks = self.chunks[chunk].masks.iter();
        masks.fold(SlotMask::EMPTY, |any, mask| any | *mask)
    }

    /// Slots that hold every variant of a chunk.
    pub(super) fn all(&self, chunk: usize) -> SlotMask {
        let masks = self.chunks[chunk].masks.iter();
        masks.fold(SlotMask::ALL, |all, mask| all & *mask)
    }

    /// Places of a chunk's variants that hold one of some slots, as words.
    pub(super) fn holders(&self, chunk: usize, slots: SlotMask) -> [u64; 64] {
        let mut words = [0; 64];
        let Chunk { ids, masks } = &self.chunks[chunk];
        let meets: Vec<bool> = masks
            .iter()
            .map(|mask| !(*mask & slots).is_empty())
            .collect();
        if meets.contains(&true) {
            for (word, part) in words.iter_mut().zip(ids.chunks(64)) {
                for (bit, id) in part.iter().enumerate() {
                    *word |= u64::from(meets[usize::from(*id)]) << bit;
                }
            }
        }
        words
    }

    /// Bytes on the heap, those of shared chunks included.
    pub(super) fn bytes(&self) -> usize {
        let chunk = |own: &Chunk| size_of_val(&own.ids[..]) + size_of_val(&own.masks[..]);
        self.chunks.iter().map(chunk).sum::<usize>() + self.chunks.len() * size_of::<Chunk>()
    }
}

impl Chunk {
    /// Numbers the distinct masks in order of first appearance.
    fn of(held: &[SlotMask]) -> Self {
        let mut numbers: HashMap<SlotMask, u16> = HashMap::new();
        let mut masks = Vec::new();
        let mut last: Option<(SlotMask, u16)> = None;
        let ids = held.iter().map(|mask| match last {
            Some((same, number)) if same == *mask => number,
            _ => {
                let number = *numbers.entry(*mask).or_insert_with(|| {
                    masks.push(*mask);
                    u16::try_from(masks.len() - 1).expect("a chunk holds 4,096 variants")
                });
                last = Some((*mask, number));
                number
            }
        });
        Self {
            ids: ids.collect(),
            masks: masks.into(),
        }
    }

    /// Every variant keeps its place in the table of masks.
    fn renumbered(&self, renumbered: &Renumbered) -> Self {
        let masks: Arc<[SlotMask]> = self.masks.iter().map(|own| renumbered.mask(*own)).collect();
        let masks = if masks == self.masks {
            Arc::clone(&self.masks)
        } else {
            masks
        };
        Self {
            ids: Arc::clone(&self.ids),
            masks,
        }
    }

    /// Only variants that moved are looked at one by one; masks that no variant has any more go.
    fn overlaid(&self, renumbered: &Renumbered, moved: &[(SlotMask, &Block)]) -> Self {
        let mut masks: Vec<SlotMask> = self.masks.iter().map(|own| renumbered.mask(*own)).collect();
        let mut numbers: HashMap<SlotMask, u16> = masks.iter().copied().zip(0..).collect();
        let mut ids = self.ids.to_vec();
        for (own, words) in moved {
            for place in members(0, words) {
                let id = &mut ids[place as usize];
                let mut mask = masks[usize::from(*id)];
                mask ^= *own;
                *id = *numbers.entry(mask).or_insert_with(|| {
                    masks.push(mask);
                    u16::try_from(masks.len() - 1).expect("a chunk has few masks")
                });
            }
        }
        let mut chunk = Self {
            ids: ids.into(),
            masks: masks.into(),
        };
        chunk.drop_idle();
        chunk
    }

    /// Drops masks that no variant has.
    fn drop_idle(&mut self) {
        let mut is_used = vec![false; self.masks.len()];
        for id in self.ids.iter() {
            is_used[usize::from(*id)] = true;
        }
        if is_used.iter().all(|is_used| *is_used) {
            return;
        }
        let mut number_of = vec![0; is_used.len()];
        let mut masks = Vec::new();
        for (own, _) in is_used.iter().enumerate().filter(|(_, is_used)| **is_used) {
            number_of[own] = u16::try_from(masks.len()).expect("a chunk has few masks");
            masks.push(self.masks[own]);
        }
        let ids = self.ids.iter().map(|id| number_of[usize::from(*id)]);
        *self = Self {
            ids: ids.collect(),
            masks: masks.into(),
        };
    }

    #[inline]
    fn at(&self, place: usize) -> SlotMask {
        self.masks[usize::from(self.ids[place])]
    }
}
