//! What a filter lets through: how many places, and, if they are few, the units themselves.
//!
//! Blocks are walked in product-major order, where one addition a word tells which groups hold a
//! set bit; a category's variants lie together there, so only few blocks are looked at.

use std::ops::Range;

use crate::ranking::filter::{By, Filter, Walk};
use crate::ranking::layout::Stretches;
use crate::ranking::query::GroupBy;
use crate::ranking::words::{BLOCK_WORDS, Block, bits_of, first_of, n_blocks};

/// A filter's result, told apart from its order.
#[derive(Debug)]
pub(super) struct Matching {
    /// Places of the whole result.
    pub(super) total: u32,
    /// The units, ascending, if there are at most as many as asked for.
    pub(super) units: Option<Vec<u32>>,
}

impl Matching {
    /// Counts, and gathers up to `units_max` units.
    pub(super) fn new(filter: &Filter<'_>, group_by: GroupBy, units_max: usize) -> Self {
        let layout = &filter.base().layout;
        let known = filter.known(group_by);
        let variants = filter.known(GroupBy::Variant);
        if let (Some(total), Some(variants)) = (known, variants)
            && units_max < variants as usize
        {
            return Self { total, units: None };
        }
        let stretches = match group_by {
            GroupBy::Variant => None,
            GroupBy::Product => Some(&layout.products),
            GroupBy::ProductGroup => Some(&layout.groups),
        };
        let mut counter = Counter::new(stretches);
        let mut units = Some(Vec::new());
        let mut walk = Walk::new(filter, By::Unit);
        let mut words = [0; BLOCK_WORDS];
        for block in 0..n_blocks(layout.n()) {
            if !walk.block(block, &mut words) {
                counter.skip(block..block + 1);
                continue;
            }
            counter.add(block, &words);
            let Some(own) = &mut units else { continue };
            gather(block, &words, own);
            if units_max < own.len() {
                units = None;
                if let Some(total) = known {
                    return Self { total, units };
                }
            }
        }
        Self {
            total: counter.n,
            units,
        }
    }
}

/// Every unit that a filter lets through, ascending.
pub(super) fn all_units(filter: &Filter<'_>) -> Vec<u32> {
    let mut walk = Walk::new(filter, By::Unit);
    let (mut words, mut units) = ([0; BLOCK_WORDS], Vec::new());
    for block in 0..n_blocks(filter.base().n()) {
        if walk.block(block, &mut words) {
            gather(block, &words, &mut units);
        }
    }
    units
}

fn gather(block: usize, words: &Block, units: &mut Vec<u32>) {
    for (first, word) in (first_of(block)..).step_by(64).zip(words) {
        units.extend(bits_of(*word).map(|bit| first + bit));
    }
}

/// Counts units, or the stretches of neighbouring units that hold a set one, block by block.
///
/// With `m` all bits but the last of each stretch, `(set & m) + m` carries into the last bit of a
/// stretch exactly if one of the others is set, and never beyond it, because `m` leaves that bit
/// free. The carry between words is the same sum going on.
pub(super) struct Counter<'a> {
    stretches: Option<&'a Stretches>,
    carry: bool,
    /// How many so far.
    pub(super) n: u32,
}

impl<'a> Counter<'a> {
    pub(super) fn new(stretches: Option<&'a Stretches>) -> Self {
        Self {
            stretches,
            carry: false,
            n: 0,
        }
    }

    /// Goes over blocks in which nothing is set.
    pub(super) fn skip(&mut self, blocks: Range<usize>) {
        for block in blocks {
            if !self.carry {
                return;
            }
            self.add(block, &[0; BLOCK_WORDS]);
        }
    }

    /// Counts a block.
    pub(super) fn add(&mut self, block: usize, set: &Block) {
        let Some(stretches) = self.stretches else {
            self.n += ones(set);
            return;
        };
        let ends = stretches.ends(block);
        let mut counted = [0; BLOCK_WORDS];
        for ((counted, own), last) in counted.iter_mut().zip(set).zip(ends) {
            let others = !last;
            let (sum, over) = (own & others).overflowing_add(others);
            let (sum, over_again) = sum.overflowing_add(u64::from(self.carry));
            self.carry = over | over_again;
            *counted = (sum | own) & last;
        }
        self.n += ones(&counted);
    }
}

/// Number of set bits.
pub(super) fn ones(words: &Block) -> u32 {
    words.iter().map(|word| word.count_ones()).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ranking::words::Bits;

    proptest! {
        #[test]
        fn stretches_are_counted_as_one_by_one(
            units in prop::collection::vec((prop::bool::weighted(0.02), prop::bool::weighted(0.1)), 1..9_000),
        ) {
            let n = units.len();
            let place = |at: usize| u32::try_from(at).unwrap();
            let mut set = Bits::empty(n);
            let (mut ends, mut expected, mut any) = (Vec::new(), 0, false);
            for (unit, (is_set, is_end)) in units.iter().enumerate() {
                any |= is_set;
                if *is_set {
                    set.insert(place(unit));
                }
                if *is_end || unit + 1 == n {
                    ends.push(place(unit));
                    expected += u32::from(any);
                    any = false;
                }
            }
            let stretches = Stretches::ending_at(n, ends);
            let mut counter = Counter::new(Some(&stretches));
            for block in 0..n_blocks(n) {
                match set.block(block) {
                    Some(words) => counter.add(block, words),
                    None => counter.skip(block..block + 1),
                }
            }
            prop_assert_eq!(counter.n, expected);
        }
    }
}
