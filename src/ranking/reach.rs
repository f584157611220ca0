//! Which promotions hold anything of a result.
//!
//! Of gathered units all are looked at. Otherwise the result is walked upward by rank, and every
//! promotion is done with at the first variant that it holds: of a result of n places with m held
//! by the rarest one, about n / m are looked at.

use crate::promotion::slot::{SLOTS_MAX, SlotMask};
use crate::ranking::ask::Ask;
use crate::ranking::build::MarketView;
use crate::ranking::filter::{By, Walk};
use crate::ranking::matching::Matching;
use crate::ranking::words::{BLOCK_WORDS, Block, and_into, members, n_blocks, or_into};

/// Which promotions hold anything of a result.
pub(super) struct Reach {
    pub(super) slots: SlotMask,
    /// The asked ones that hold each gathered unit; empty if none were gathered.
    pub(super) of_units: Vec<SlotMask>,
    /// By slot: no rank before it is held and in the result. Known if no units were gathered.
    pub(super) firsts: [u32; SLOTS_MAX],
}

impl Reach {
    /// Of the `asked` promotions; of gathered units if there are any.
    pub(super) fn new(ask: &Ask<'_>, matching: &Matching, asked: SlotMask) -> Self {
        let mut reach = Self {
            slots: SlotMask::EMPTY,
            of_units: Vec::new(),
            firsts: [0; SLOTS_MAX],
        };
        if let Some(units) = &matching.units {
            let held = units.iter().map(|unit| ask.view.by_unit.at(*unit) & asked);
            reach.of_units = held.collect();
            let all = reach.of_units.iter();
            reach.slots = all.fold(SlotMask::EMPTY, |all, own| all | *own);
        } else {
            reach.walk(ask, asked);
        }
        reach
    }

    /// Walks the result upward until every promotion was met or the blocks are at an end.
    fn walk(&mut self, ask: &Ask<'_>, asked: SlotMask) {
        let view = ask.view;
        let has_residue = ask.filter.has_residue();
        let mut walk = Walk::new(&ask.filter, By::Rank);
        let mut words = [0; BLOCK_WORDS];
        let mut pending = asked;
        for block in 0..n_blocks(view.base.n()) {
            let mut here = pending & view.block_any[block];
            if here.is_empty() || !walk.block(block, &mut words) {
                continue;
            }
            and_into(&mut words, &held_words(view, here, block));
            for rank in members(block, &words) {
                let met = view.by_rank.at(rank) & here;
                if met.is_empty()
                    || has_residue && !ask.filter.residue(view.base.layout.unit_of(rank))
                {
                    continue;
                }
                for slot in met.iter() {
                    self.firsts[usize::from(slot.0)] = rank;
                }
                here = here & !met;
                pending = pending & !met;
                if here.is_empty() {
                    break;
                }
            }
            if pending.is_empty() {
                break;
            }
        }
        self.slots = asked & !pending;
    }
}

/// Ranks of a block that one of some slots holds, and of narrow ones maybe others of their level.
pub(super) fn held_words(view: &MarketView, slots: SlotMask, block: usize) -> Block {
    let mut held = [0; BLOCK_WORDS];
    for slot in (slots & view.levels.broad).iter() {
        let own = view.broad[usize::from(slot.0)].as_ref();
        if let Some(words) = own.and_then(|own| own.block(block)) {
            or_into(&mut held, words);
        }
    }
    let narrow = slots & !view.levels.broad;
    for (own, bits) in view.levels.masks.into_iter().zip(&view.narrow) {
        if !(own & narrow).is_empty()
            && let Some(words) = bits.block(block)
        {
            or_into(&mut held, words);
        }
    }
    held
}
