//! Sets of ranks as dense words, 64 to a word, and blocks of 64 words.

/// Words of one block.
pub(super) const BLOCK_WORDS: usize = 64;

/// Ranks of one block.
pub(super) const BLOCK_RANKS: usize = BLOCK_WORDS * 64;

/// One block's words.
pub(super) type Block = [u64; BLOCK_WORDS];

/// All ranks below a market's size, or any set of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Words(Box<[u64]>);

impl Words {
    /// No ranks, of a market of `n`.
    pub(super) fn empty(n: usize) -> Self {
        Self(vec![0; n.div_ceil(64)].into())
    }

    /// From ranks below `n`, in any order.
    pub(super) fn of(n: usize, ranks: impl IntoIterator<Item = u32>) -> Self {
        let mut words = Self::empty(n);
        for rank in ranks {
            words.insert(rank);
        }
        words
    }

    /// Adds one.
    pub(super) fn insert(&mut self, rank: u32) {
        self.0[rank as usize / 64] |= 1 << (rank % 64);
    }

    /// Whether `rank` is in the set.
    pub(super) fn contains(&self, rank: u32) -> bool {
        self.0[rank as usize / 64] >> (rank % 64) & 1 == 1
    }

    /// The words of a block; fewer than 64 at the end.
    pub(super) fn block(&self, block: usize) -> &[u64] {
        let from = block * BLOCK_WORDS;
        &self.0[from..self.0.len().min(from + BLOCK_WORDS)]
    }

    /// All words.
    pub(super) fn as_slice(&self) -> &[u64] {
        &self.0
    }

    /// Number of ranks in the set.
    pub(super) fn count(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }
}

/// Number of blocks of a market of `n`.
pub(super) fn n_blocks(n: usize) -> usize {
    n.div_ceil(BLOCK_RANKS)
}

/// A block in which every rank below `n` is set.
pub(super) fn full_block(block: usize, n: usize) -> Block {
    let mut words = [u64::MAX; BLOCK_WORDS];
    let left = n - (block * BLOCK_RANKS).min(n);
    if left < BLOCK_RANKS {
        for (place, word) in words.iter_mut().enumerate() {
            let bits = left.saturating_sub(place * 64).min(64);
            *word = if bits == 64 {
                u64::MAX
            } else {
                (1 << bits) - 1
            };
        }
    }
    words
}

/// Adds `other`, which may be shorter at the end of the market.
pub(super) fn or_into(block: &mut Block, other: &[u64]) {
    for (own, more) in block.iter_mut().zip(other) {
        *own |= more;
    }
}

/// Keeps only what `other` holds; what lies behind its end goes.
pub(super) fn and_into(block: &mut Block, other: &[u64]) {
    for (own, more) in block.iter_mut().zip(other) {
        *own &= more;
    }
    for own in block.iter_mut().skip(other.len()) {
        *own = 0;
    }
}

/// Drops what `other` holds.
pub(super) fn and_not_into(block: &mut Block, other: &[u64]) {
    for (own, more) in block.iter_mut().zip(other) {
        *own &= !more;
    }
}

/// Whether nothing is set.
pub(super) fn is_empty(block: &Block) -> bool {
    block.iter().fold(0, |any, word| any | word) == 0
}

/// The ranks set in a block, ascending.
pub(super) fn for_each(block: usize, words: &Block, mut visit: impl FnMut(u32)) {
    let first = u32::try_from(block * BLOCK_RANKS).expect("a market has less than 2^32 variants");
    for (place, &word) in words.iter().enumerate() {
        let mut rest = word;
        while rest != 0 {
            visit(first + u32::try_from(place).unwrap_or(0) * 64 + rest.trailing_zeros());
            rest &= rest - 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_block_ends_with_the_market() {
        for n in [1, 63, 64, 65, 4_095, 4_096, 4_097, 9_000] {
            let mut ranks = Vec::new();
            for block in 0..n_blocks(n) {
                for_each(block, &full_block(block, n), |rank| {
                    ranks.push(rank as usize);
                });
            }
            assert_eq!(ranks, (0..n).collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_lies_behind_the_end_is_in_no_set() {
        let words = Words::of(70, [0, 69]);
        let mut block = [u64::MAX; BLOCK_WORDS];
        and_into(&mut block, words.block(0));
        let mut ranks = Vec::new();
        for_each(0, &block, |rank| ranks.push(rank));
        assert_eq!(ranks, [0, 69]);
        assert!(words.contains(69) && !words.contains(68));
        assert_eq!(words.count(), 2);
    }
}
