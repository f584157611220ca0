//! How many places a result has.
//!
//! Promotions never change it. A single condition on one value is known beforehand; otherwise words
//! are counted: variants in rank order, products and groups in product-major order, where one
//! addition a word tells which stretches hold a set bit.

use crate::ranking::base::{RankBase, Stretches};
use crate::ranking::filter::Filter;
use crate::ranking::query::GroupBy;
use crate::ranking::words::{Words, n_blocks};

/// Places of the whole result.
pub(super) fn count(base: &RankBase, filter: &Filter<'_>, group_by: GroupBy) -> u32 {
    if filter.is_everything() {
        return match group_by {
            GroupBy::Variant => base.n_ranks(),
            GroupBy::Product => base.units.products.len(),
            GroupBy::ProductGroup => base.units.groups.len(),
        };
    }
    if let ([only], false) = (&filter.clauses[..], group_by == GroupBy::Variant)
        && let Some((n_products, n_groups)) = only.n_holders
    {
        return if group_by == GroupBy::Product {
            n_products
        } else {
            n_groups
        };
    }
    let blocks = 0..n_blocks(base.n());
    let same_for_siblings = filter.clauses.iter().all(|clause| !clause.varies);
    match group_by {
        GroupBy::Variant => blocks
            .flat_map(|block| filter.block(block, None))
            .map(u64::count_ones)
            .sum(),
        GroupBy::Product if same_for_siblings => count_firsts(base, filter),
        GroupBy::Product => count_stretches(base, filter, &base.units.products),
        GroupBy::ProductGroup => count_stretches(base, filter, &base.units.groups),
    }
}

/// Places among the ranks of a short result.
pub(super) fn count_among(base: &RankBase, ranks: &[u32], group_by: GroupBy) -> u32 {
    let stretches = match group_by {
        GroupBy::Variant => return u32::try_from(ranks.len()).unwrap_or(u32::MAX),
        GroupBy::Product => &base.units.products,
        GroupBy::ProductGroup => &base.units.groups,
    };
    let mut owners: Vec<u32> = ranks.iter().map(|rank| stretches.of(*rank)).collect();
    owners.sort_unstable();
    owners.dedup();
    u32::try_from(owners.len()).unwrap_or(u32::MAX)
}

/// Where siblings agree in every clause, a product is in the result exactly if its best variant is.
fn count_firsts(base: &RankBase, filter: &Filter<'_>) -> u32 {
    let firsts = &base.units.products.firsts;
    let of_block = |block: usize| -> u32 {
        let words = filter.block(block, None);
        words
            .iter()
            .zip(firsts.block(block))
            .map(|(own, first)| (own & first).count_ones())
            .sum()
    };
    (0..n_blocks(base.n())).map(of_block).sum()
}

fn count_stretches(base: &RankBase, filter: &Filter<'_>, stretches: &Stretches) -> u32 {
    let by_unit = filter.by_unit();
    let mut counter = StretchCounter::default();
    for block in 0..n_blocks(base.n()) {
        counter.add(&by_unit.block(block, None), stretches.ends.block(block));
    }
    counter.n
}

/// Counts stretches of neighbouring bits that hold a set one.
///
/// With `m` all bits but the last of each stretch, `(set & m) + m` carries into the last bit of a
/// stretch exactly if one of the others is set, and never beyond it, because `m` leaves that bit
/// free. The carry between words is the same sum going on.
#[derive(Default)]
struct StretchCounter {
    carry: bool,
    n: u32,
}

impl StretchCounter {
    fn add(&mut self, set: &[u64], ends: &[u64]) {
        for (own, last) in set.iter().zip(ends) {
            let others = !last;
            let (sum, over) = (own & others).overflowing_add(others);
            let (sum, over_again) = sum.overflowing_add(u64::from(self.carry));
            self.carry = over | over_again;
            self.n += ((sum | own) & last).count_ones();
        }
    }
}

/// Number of stretches with a set bit in `set`; for facets.
pub(super) fn stretches_in(set: impl Iterator<Item = [u64; 64]>, ends: &Words) -> u32 {
    let mut counter = StretchCounter::default();
    for (block, words) in set.enumerate() {
        counter.add(&words, ends.block(block));
    }
    counter.n
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn stretches_are_counted_as_one_by_one(
            units in prop::collection::vec((any::<bool>(), prop::bool::weighted(0.3)), 1..400),
        ) {
            let n = units.len();
            let place = |at: usize| u32::try_from(at).unwrap();
            let mut set = Words::empty(n);
            let mut ends = Words::empty(n);
            let (mut expected, mut any) = (0, false);
            for (unit, (is_set, is_end)) in units.iter().enumerate() {
                any |= is_set;
                if *is_set {
                    set.insert(place(unit));
                }
                if *is_end || unit + 1 == n {
                    ends.insert(place(unit));
                    expected += u32::from(any);
                    any = false;
                }
            }
            let mut counter = StretchCounter::default();
            counter.add(set.as_slice(), ends.as_slice());
            prop_assert_eq!(counter.n, expected);
        }
    }
}
