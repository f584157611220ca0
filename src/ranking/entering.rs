//! Which groups come onto a page that is told from another one.
//!
//! A page that was not gathered is not walked again: a group comes by a variant that the promotion
//! decides, whose ranks follow from the page's ends, or by one that is uncovered.

use std::ops::Range;

use crate::promotion::slot::SlotMask;
use crate::ranking::cursor::Place;
use crate::ranking::differs::{Comparison, Flip};
use crate::ranking::filter::{By, Walk};
use crate::ranking::matching::all_units;
use crate::ranking::merge::{Merge, Source};
use crate::ranking::order::{Effect, Key};
use crate::ranking::reach::held_words;
use crate::ranking::serve::words_worth;
use crate::ranking::window::deciding_around;
use crate::ranking::words::{BLOCK_BITS, BLOCK_WORDS, and_into, keep_range, members};

impl Comparison<'_> {
    /// Whether the group of a unit that matches is on the page now and was not.
    ///
    /// Behind a cursor a group belongs to the page of its best variant; in front of all pages it is
    /// enough if any variant is before the last place.
    pub(super) fn brings(&self, unit: u32, bound: Option<Place>) -> bool {
        let owner = self.ask.owner(unit);
        if self.window.contains(owner) || self.ask.is_taken(owner) {
            return false;
        }
        let best = match self.from {
            None => unit,
            Some(_) => self.ask.best_sibling(unit),
        };
        let place = self.ask.place(best);
        self.from.is_none_or(|from| from < place) && bound.is_none_or(|bound| place < bound)
    }

    /// Whether one of the covered units brings its group, because a better one fell. What rises
    /// uncovers nothing.
    pub(super) fn one_is_uncovered(&self, flip: Flip, bound: Option<Place>) -> bool {
        let covered = self.covered.iter().filter(|_| !flip.rises);
        let mut own = covered.filter(|(_, deciding)| deciding.contains(flip.slot));
        own.any(|(unit, _)| self.brings(*unit, bound))
    }

    /// Whether a group comes by a variant that the promotion decides, looked for by rank.
    ///
    /// A variant that the promotion decides is of its level where it applies; where it does not,
    /// of any that is weaker. Those of one level that stand between two places are a range of ranks.
    pub(super) fn rank_enters(&self, flip: Flip, bound: Option<Place>) -> bool {
        let layout = &self.ask.view.base.layout;
        let met_first = self.reach.firsts[usize::from(flip.slot.0)];
        let mut effects = Effect::ALL.into_iter().filter(|effect| {
            if flip.other.contains(flip.slot) {
                *effect == flip.effect
            } else {
                flip.effect < *effect
            }
        });
        effects.any(|effect| {
            let first = |place: Place| place.key.first_rank(effect, &layout.block_start);
            let to = bound.map_or(layout.n_ranks(), first);
            let behind = |place: Place| place.key.next().first_rank(effect, &layout.block_start);
            let from = self.from.map_or(0, behind).max(met_first);
            from < to && self.rank_enters_as(flip, effect, bound, from..to)
        })
    }

    /// Whether one of these ranks brings a group onto the page by its level on the other side.
    fn rank_enters_as(
        &self,
        flip: Flip,
        effect: Effect,
        bound: Option<Place>,
        ranks: Range<u32>,
    ) -> bool {
        let (view, filter) = (self.ask.view, &self.ask.filter);
        let slots = view.levels.slots(effect) & flip.other;
        let mut walk = Walk::new(filter, By::Rank);
        let mut words = [0; BLOCK_WORDS];
        let blocks = ranks.start as usize / BLOCK_BITS..(ranks.end as usize).div_ceil(BLOCK_BITS);
        for block in blocks {
            let any = view.block_any[block];
            let is_without = effect != Effect::NONE && (any & slots).is_empty();
            if !any.contains(flip.slot) || is_without || !walk.block(block, &mut words) {
                continue;
            }
            and_into(
                &mut words,
                &held_words(view, SlotMask::of(flip.slot), block),
            );
            if effect != Effect::NONE && effect != flip.effect {
                and_into(&mut words, &held_words(view, any & slots, block));
            }
            keep_range(block, &mut words, &ranks);
            let mut inside = members(block, &words);
            if inside.any(|rank| self.enters_as(rank, flip, effect, bound)) {
                return true;
            }
        }
        false
    }

    /// The same of one rank that a walk of the filter gave.
    fn enters_as(&self, rank: u32, flip: Flip, effect: Effect, bound: Option<Place>) -> bool {
        let view = self.ask.view;
        let slots = view.by_rank.at(rank);
        if !slots.contains(flip.slot)
            || view.levels.effect(slots & flip.other) != effect
            || !view.levels.deciding(slots, self.mask).contains(flip.slot)
        {
            return false;
        }
        let unit = view.base.layout.unit_of(rank);
        self.ask.filter.residue(unit) && self.brings(unit, bound)
    }

    /// Whether what comes onto the page can be told by its [`Key`].
    ///
    /// Where attributes sort, the page must lie in one run of equal values: no group outside has a
    /// variant in an earlier run behind the cursor, or it would stand before.
    pub(super) fn goes_by_keys(&self) -> bool {
        let first = self.window.spots.first().map(|spot| spot.place);
        let ends = self.from.or(first).zip(self.window.end());
        let is_one_run =
            ends.is_some_and(|(first, last)| (first.sort, first.class) == (last.sort, last.class));
        self.ask.is_plain() || is_one_run
    }

    /// Whether units may be covered that are not among gathered ones.
    pub(super) fn covers(&self) -> bool {
        let is_lazy = self.matching.units.is_none() && self.goes_by_keys();
        is_lazy && self.from.is_some() && self.ask.stretches.is_some()
    }

    /// The covered units; maybe some more, which bring nothing.
    pub(super) fn all_covered(&self) -> Vec<(u32, SlotMask)> {
        let falling = self.reach.slots & !self.ask.view.levels.rising(self.mask);
        let mut covered = Vec::new();
        let mut add = |unit: u32| {
            if !self.window.contains(self.ask.owner(unit)) {
                covered.push((unit, deciding_around(&self.ask, unit, falling)));
            }
        };
        let from = self.from.map(|from| from.key);
        let end = self.window.end().map(|end| end.key);
        let source = Source {
            view: self.ask.view,
            filter: &self.ask.filter,
            mask: self.mask,
        };
        let words_max = words_worth(&self.ask, &self.matching);
        let mut merge = Merge::new(source, from, words_max);
        let is_inside = |key: Key| from < Some(key) && end.is_none_or(|end| key < end);
        loop {
            match merge.next() {
                Ok(Some(key)) if is_inside(key) => {
                    add(self.ask.view.base.layout.unit_of(key.rank()));
                }
                Ok(_) => return covered,
                Err(_) => break,
            }
        }
        // Hardly anything that matches is of the levels that come first; those met are met again.
        for unit in all_units(&self.ask.filter) {
            if is_inside(self.ask.key(unit)) {
                add(unit);
            }
        }
        covered
    }
}
