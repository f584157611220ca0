//! The eager plan: every unit of a small result gets its place, the best are kept.

use crate::ranking::layout::Stretches;

/// Keeps the least of what is pushed.
///
/// Twice as many as wanted are gathered, then the better half stays; what is worse than all of it
/// is turned away by one comparison. So n pushes cost O(n), and nothing is sorted but the answer.
pub(super) struct Least<T> {
    kept: Vec<T>,
    wanted: usize,
    bound: Option<T>,
}

impl<T: Copy + Ord> Least<T> {
    /// Keeps up to `wanted`, at least one.
    pub(super) fn new(wanted: usize) -> Self {
        Self {
            kept: Vec::new(),
            wanted: wanted.max(1),
            bound: None,
        }
    }

    /// Takes one; whether the bound fell.
    pub(super) fn push(&mut self, item: T) -> bool {
        if self.bound.is_some_and(|bound| bound <= item) {
            return false;
        }
        self.kept.push(item);
        if self.kept.len() < 2 * self.wanted + 16 {
            return false;
        }
        self.kept.select_nth_unstable(self.wanted - 1);
        self.kept.truncate(self.wanted);
        self.bound = self.kept.last().copied();
        true
    }

    /// Nothing that is not below this will be kept.
    pub(super) fn bound(&self) -> Option<T> {
        self.bound
    }

    /// The least ones, ascending.
    pub(super) fn into_sorted(mut self) -> Vec<T> {
        self.kept.sort_unstable();
        self.kept.truncate(self.wanted);
        self.kept
    }
}

/// Puts the units of a group together, as they come by in ascending order.
pub(super) struct Groups<'a, T> {
    stretches: Option<&'a Stretches>,
    /// Last unit of the group that is being put together, and the best place in it.
    open: Option<(u32, Option<T>)>,
}

impl<'a, T: Copy + Ord> Groups<'a, T> {
    /// Groups that are these stretches, or single units.
    pub(super) fn new(stretches: Option<&'a Stretches>) -> Self {
        Self {
            stretches,
            open: None,
        }
    }

    /// Adds a unit at its place, or one without, which leaves its group without; the group before,
    /// if the unit begins another one: its last unit and its best place.
    #[inline]
    pub(super) fn add(&mut self, unit: u32, place: Option<T>) -> Option<(u32, Option<T>)> {
        if let Some((end, best)) = &mut self.open
            && unit <= *end
        {
            *best = best.zip(place).map(|(best, place)| best.min(place));
            return None;
        }
        let end = self
            .stretches
            .map_or(unit, |stretches| stretches.end_of(unit));
        self.open.replace((end, place))
    }

    /// The last group.
    pub(super) fn last(self) -> Option<(u32, Option<T>)> {
        self.open
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_least_are_kept(items in prop::collection::vec(0_u32..500, 0..600), wanted in 1_usize..70) {
            let mut least = Least::new(wanted);
            let mut sorted = items.clone();
            sorted.sort_unstable();
            sorted.truncate(wanted);
            for item in items {
                least.push(item);
            }
            prop_assert_eq!(least.into_sorted(), sorted);
        }
    }

    #[test]
    fn a_group_is_as_good_as_its_best_unit() {
        let stretches = Stretches::ending_at(10, [2, 3, 6, 9]);
        let mut groups = Groups::new(Some(&stretches));
        let mut told = Vec::new();
        for (unit, place) in [
            (0, Some(7)),
            (2, Some(5)),
            (3, None),
            (4, Some(1)),
            (6, None),
        ] {
            told.extend(groups.add(unit, place));
        }
        told.extend(groups.last());
        assert_eq!(told, [(2, Some(5)), (3, None), (6, None)]);
    }
}
