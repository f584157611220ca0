//! Sets of small numbers as words of 64 bits, in blocks of 64 words.
//!
//! The numbers are ranks or units of one market. [`Bits`] keeps each block by itself: an empty one
//! takes no room, and sets that differ in one block share all others.

use std::ops::Range;
use std::sync::Arc;

/// Words of one block.
pub(super) const BLOCK_WORDS: usize = 64;

/// Members of one block.
pub(super) const BLOCK_BITS: usize = BLOCK_WORDS * 64;

/// One block's words.
pub(super) type Block = [u64; BLOCK_WORDS];

static NOTHING: Block = [0; BLOCK_WORDS];

/// A set of numbers below a market's size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bits {
    blocks: Vec<Option<Arc<Block>>>,
    count: u32,
}

impl Bits {
    /// No numbers, of a market of `n`.
    pub(super) fn empty(n: usize) -> Self {
        Self {
            blocks: vec![None; n_blocks(n)],
            count: 0,
        }
    }

    /// From numbers below `n`, in any order.
    pub(super) fn of(n: usize, numbers: impl IntoIterator<Item = u32>) -> Self {
        let mut draft = Draft::new(n);
        for number in numbers {
            draft.insert(number);
        }
        draft.finish()
    }

    /// Adds one or takes it out; copies its block if another set shares it.
    pub(super) fn set(&mut self, number: u32, is_in: bool) {
        if is_in {
            self.insert(number);
        } else {
            self.remove(number);
        }
    }

    /// Adds one; copies its block if another set shares it.
    pub(super) fn insert(&mut self, number: u32) {
        let (block, word, bit) = place(number);
        let block = self.blocks[block].get_or_insert_with(|| Arc::new(NOTHING));
        let word = &mut Arc::make_mut(block)[word];
        self.count += u32::from(*word & bit == 0);
        *word |= bit;
    }

    /// Takes one out; copies its block if another set shares it.
    pub(super) fn remove(&mut self, number: u32) {
        let (place, word, bit) = place(number);
        let Some(block) = self.blocks[place]
            .as_mut()
            .filter(|own| own[word] & bit != 0)
        else {
            return;
        };
        let block = Arc::make_mut(block);
        block[word] &= !bit;
        self.count -= 1;
        if is_empty(block) {
            self.blocks[place] = None;
        }
    }

    /// Puts a block's words in place of what was there.
    pub(super) fn replace(&mut self, block: usize, words: &Block) {
        let before = self.blocks[block].take();
        let n = |words: &Block| words.iter().map(|word| word.count_ones()).sum::<u32>();
        self.count = self.count + n(words) - before.as_deref().map_or(0, n);
        self.blocks[block] = match before {
            Some(same) if *same == *words => Some(same),
            _ if is_empty(words) => None,
            _ => Some(Arc::new(*words)),
        };
    }

    /// Whether `number` is in the set.
    pub(super) fn contains(&self, number: u32) -> bool {
        let (block, word, bit) = place(number);
        self.blocks[block]
            .as_ref()
            .is_some_and(|own| own[word] & bit != 0)
    }

    /// The words of a block; `None` if nothing is set there.
    pub(super) fn block(&self, block: usize) -> Option<&Block> {
        self.blocks[block].as_deref()
    }

    /// The words of a block.
    pub(super) fn words(&self, block: usize) -> &Block {
        self.block(block).unwrap_or(&NOTHING)
    }

    /// How many numbers there are.
    pub(super) fn count(&self) -> u32 {
        self.count
    }

    /// The numbers, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        let blocks = self.blocks.iter().enumerate();
        blocks.flat_map(|(block, own)| own.iter().flat_map(move |words| members(block, words)))
    }

    /// Bytes on the heap, those of shared blocks included.
    pub(super) fn bytes(&self) -> usize {
        let n_used = self.blocks.iter().flatten().count();
        self.blocks.len() * size_of::<Option<Arc<Block>>>() + n_used * (size_of::<Block>() + 16)
    }
}

/// A set in the making, which nobody shares yet.
pub(super) struct Draft(Vec<Option<Box<Block>>>);

impl Draft {
    /// No numbers, of a market of `n`.
    pub(super) fn new(n: usize) -> Self {
        Self(vec![None; n_blocks(n)])
    }

    /// Adds one.
    pub(super) fn insert(&mut self, number: u32) {
        let (block, word, bit) = place(number);
        self.0[block].get_or_insert_with(|| Box::new(NOTHING))[word] |= bit;
    }

    /// The set.
    pub(super) fn finish(self) -> Bits {
        let n = |words: &Block| words.iter().map(|word| word.count_ones()).sum::<u32>();
        let count = self.0.iter().flatten().map(|words| n(words)).sum();
        let blocks = self.0.into_iter().map(|own| own.map(Arc::from));
        Bits {
            blocks: blocks.collect(),
            count,
        }
    }
}

/// Block, word in it and bit in that.
fn place(number: u32) -> (usize, usize, u64) {
    let at = number as usize;
    (at / BLOCK_BITS, at % BLOCK_BITS / 64, 1 << (number % 64))
}

/// Number of blocks of a market of `n`.
pub(super) fn n_blocks(n: usize) -> usize {
    n.div_ceil(BLOCK_BITS)
}

/// First number of a block.
pub(super) fn first_of(block: usize) -> u32 {
    u32::try_from(block * BLOCK_BITS).expect("a market has less than 2^32 variants")
}

/// The numbers below `n` that a block is about.
pub(super) fn range_of(block: usize, n: usize) -> Range<usize> {
    let from = block * BLOCK_BITS;
    from.min(n)..n.min(from + BLOCK_BITS)
}

/// A block in which every number below `n` is set.
pub(super) fn full_block(block: usize, n: usize) -> Block {
    let mut words = [u64::MAX; BLOCK_WORDS];
    let left = range_of(block, n).len();
    if left < BLOCK_BITS {
        for (place, word) in words.iter_mut().enumerate() {
            let bits = left.saturating_sub(place * 64).min(64);
            *word = u64::MAX
                .checked_shr(64 - u32::try_from(bits).unwrap_or(64))
                .unwrap_or(0);
        }
    }
    words
}

/// Adds `other`.
pub(super) fn or_into(block: &mut Block, other: &Block) {
    for (own, more) in block.iter_mut().zip(other) {
        *own |= more;
    }
}

/// Keeps only what `other` holds.
pub(super) fn and_into(block: &mut Block, other: &Block) {
    for (own, more) in block.iter_mut().zip(other) {
        *own &= more;
    }
}

/// Drops what `other` holds.
pub(super) fn and_not_into(block: &mut Block, other: &Block) {
    for (own, more) in block.iter_mut().zip(other) {
        *own &= !more;
    }
}

/// Keeps only numbers of a range.
pub(super) fn keep_range(block: usize, words: &mut Block, range: &Range<u32>) {
    let inside = |bound: u32| (bound.saturating_sub(first_of(block)) as usize).min(BLOCK_BITS);
    let (from, to) = (inside(range.start), inside(range.end));
    words[..from / 64].fill(0);
    if from < BLOCK_BITS {
        words[from / 64] &= u64::MAX << (from % 64);
    }
    if to < BLOCK_BITS {
        words[to / 64] &= !(u64::MAX << (to % 64));
        words[to / 64 + 1..].fill(0);
    }
}

/// Whether nothing is set.
pub(super) fn is_empty(block: &Block) -> bool {
    block.iter().fold(0, |any, word| any | word) == 0
}

/// The numbers set in a block, ascending.
pub(super) fn members(block: usize, words: &Block) -> impl Iterator<Item = u32> + '_ {
    let words = (first_of(block)..).step_by(64).zip(words);
    words.flat_map(|(first, word)| bits_of(*word).map(move |bit| first + bit))
}

/// The bits of a word, ascending.
pub(super) fn bits_of(word: u64) -> impl Iterator<Item = u32> {
    std::iter::successors(Some(word), |rest| Some(rest & rest.wrapping_sub(1)))
        .take_while(|rest| *rest != 0)
        .map(u64::trailing_zeros)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_block_ends_with_the_market() {
        for n in [1, 63, 64, 65, 4_095, 4_096, 4_097, 9_000] {
            let blocks = (0..n_blocks(n)).map(|block| (block, full_block(block, n)));
            let ranks: Vec<u32> = blocks
                .flat_map(|(block, words)| members(block, &words).collect::<Vec<_>>())
                .collect();
            let all: Vec<u32> = (0..u32::try_from(n).unwrap()).collect();
            assert_eq!(ranks, all);
        }
    }

    #[test]
    fn a_range_is_kept_across_blocks() {
        for range in [
            0..9_000,
            5..5,
            63..64,
            64..4_096,
            4_095..4_097,
            4_160..8_192,
            8_191..8_999,
        ] {
            let kept = (0..n_blocks(9_000)).flat_map(|block| {
                let mut words = full_block(block, 9_000);
                keep_range(block, &mut words, &range);
                members(block, &words).collect::<Vec<_>>()
            });
            assert_eq!(kept.collect::<Vec<_>>(), range.clone().collect::<Vec<_>>());
        }
    }

    #[test]
    fn copies_share_the_blocks_that_nobody_edits() {
        let first = Bits::of(9_000, [1, 5_000, 8_999]);
        let mut second = first.clone();
        second.remove(5_000);
        second.insert(2);
        let shared = |block: usize| match (&first.blocks[block], &second.blocks[block]) {
            (Some(own), Some(other)) => Arc::ptr_eq(own, other),
            _ => false,
        };
        assert_eq!([0, 1, 2].map(shared), [false, false, true]);
        assert!(second.block(1).is_none() && first.contains(5_000));
        assert_eq!((first.count(), second.count()), (3, 3));
    }

    proptest! {
        #[test]
        fn bits_are_a_set(steps in prop::collection::vec((0_u32..9_000, any::<bool>()), 0..400)) {
            let (mut bits, mut set) = (Bits::empty(9_000), BTreeSet::new());
            for (number, adds) in steps {
                if adds {
                    bits.insert(number);
                    set.insert(number);
                } else {
                    bits.remove(number);
                    set.remove(&number);
                }
            }
            prop_assert_eq!(bits.iter().collect::<BTreeSet<_>>(), set.clone());
            prop_assert_eq!(bits.count() as usize, set.len());
            prop_assert!((0..9_000).all(|number| bits.contains(number) == set.contains(&number)));
            let mut rebuilt = Bits::of(9_000, [17, 4_200]);
            for block in 0..3 {
                rebuilt.replace(block, bits.words(block));
            }
            prop_assert_eq!(rebuilt, bits);
        }
    }
}
