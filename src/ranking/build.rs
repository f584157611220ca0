//! One market's view: the active promotions as a mask per variant.

use std::sync::Arc;

use crate::catalogue::Catalogue;
use crate::catalogue::row::{Row, RowSet};
use crate::promotion::restriction::NodeMasks;
use crate::promotion::slot::{SLOTS_MAX, SlotMask, SlotTable};
use crate::ranking::base::RankBase;
use crate::ranking::classes::Classes;
use crate::ranking::order::{Effect, Key, Rank};
use crate::ranking::words::{Bits, n_blocks};

/// A promotion that holds more than one rank in this many is *broad* and gets words of its own.
const BROAD_FROM_ONE_IN: usize = 16;

/// Ranking's immutable part of one market, valid while the same promotions are active.
///
/// The mask of the slots that hold a variant is found by rank, as streams ask, and by unit, as
/// siblings are asked.
#[derive(Debug)]
pub struct MarketView {
    pub(in crate::ranking) base: Arc<RankBase>,
    pub(in crate::ranking) table: SlotTable,
    pub(in crate::ranking) nodes: NodeMasks,
    pub(in crate::ranking) by_rank: Classes,
    pub(in crate::ranking) by_unit: Classes,
    pub(in crate::ranking) levels: Levels,
    /// Slots that hold any rank of a block.
    pub(in crate::ranking) block_any: Vec<SlotMask>,
    /// Slots that hold every rank of a block.
    pub(in crate::ranking) block_all: Vec<SlotMask>,
    /// Ranks of each broad slot.
    pub(in crate::ranking) broad: Vec<Option<Bits>>,
    /// Per level, by precedence: ranks that a slot which is not broad holds.
    pub(in crate::ranking) narrow: [Bits; 4],
}

/// What the slots of a table do.
#[derive(Clone, Debug)]
pub(in crate::ranking) struct Levels {
    /// Per level, by precedence: its slots.
    pub(in crate::ranking) masks: [SlotMask; 4],
    /// All broad slots.
    pub(in crate::ranking) broad: SlotMask,
    /// By slot: its effect; behind the last slot that of none.
    effects: [Effect; SLOTS_MAX + 1],
}

impl MarketView {
    /// Puts the promotions of `table` over the goods; `sets` are their rows by slot.
    ///
    /// # Panics
    /// If there are not as many sets as slots.
    pub fn build(
        base: &Arc<RankBase>,
        table: SlotTable,
        nodes: NodeMasks,
        sets: &[&RowSet],
    ) -> Self {
        assert_eq!(table.len(), sets.len(), "one set for each slot");
        let layout = &base.layout;
        let n = base.n();
        let mut by_unit = vec![SlotMask::EMPTY; n];
        for ((slot, ..), rows) in table.iter().zip(sets) {
            let own = SlotMask::of(slot);
            for unit in rows.iter().filter_map(|row| layout.unit_of_row(row)) {
                by_unit[unit as usize] |= own;
            }
        }
        let by_rank: Vec<SlotMask> = layout
            .ranks()
            .map(|(_, unit)| by_unit[unit as usize])
            .collect();
        let (by_rank, by_unit) = (Classes::of(&by_rank), Classes::of(&by_unit));
        let levels = Levels::new(&table, broad_slots(&table, sets, n));
        let mut view = Self {
            base: Arc::clone(base),
            table,
            nodes,
            by_rank,
            by_unit,
            levels,
            block_any: Vec::new(),
            block_all: Vec::new(),
            broad: Vec::new(),
            narrow: std::array::from_fn(|_| Bits::empty(n)),
        };
        view.broad = view
            .table
            .iter()
            .zip(sets)
            .map(|((slot, ..), rows)| {
                view.levels
                    .broad
                    .contains(slot)
                    .then(|| view.ranks_of(rows))
            })
            .collect();
        for block in 0..n_blocks(n) {
            view.block_any.push(view.by_rank.any(block));
            view.block_all.push(view.by_rank.all(block));
            view.set_narrow(block);
        }
        view
    }

    /// The goods.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        self.base.catalogue()
    }

    /// What follows from the goods alone.
    pub fn base(&self) -> &Arc<RankBase> {
        &self.base
    }

    /// The active promotions by slot.
    pub fn table(&self) -> &SlotTable {
        &self.table
    }

    /// Slots allowed by their category restriction, per node.
    pub fn nodes(&self) -> &NodeMasks {
        &self.nodes
    }

    /// Rank of a row; `None` if it is vacant.
    pub fn rank_of(&self, row: Row) -> Option<Rank> {
        self.base.rank_of(row)
    }

    /// Row at a rank.
    pub fn row_of(&self, rank: Rank) -> Row {
        self.base.row_of(rank)
    }

    /// Promotions that hold the variant at a rank, applicable or not.
    pub fn slots_of(&self, rank: Rank) -> SlotMask {
        self.by_rank.at(rank.0)
    }

    /// Bytes on the heap, those of the base left out and those shared with other views included.
    pub fn bytes(&self) -> usize {
        let broad = self.broad.iter().flatten().map(Bits::bytes);
        let narrow = self.narrow.iter().map(Bits::bytes);
        let blocks = (self.block_any.len() + self.block_all.len()) * size_of::<SlotMask>();
        self.by_rank.bytes() + self.by_unit.bytes() + blocks + broad.chain(narrow).sum::<usize>()
    }

    /// Effective level of a rank under the applicable slots.
    #[inline]
    pub(in crate::ranking) fn effect_at(&self, rank: u32, mask: SlotMask) -> Effect {
        self.levels.effect(self.by_rank.at(rank) & mask)
    }

    /// Effective level of a unit under the applicable slots.
    #[inline]
    pub(in crate::ranking) fn effect_of_unit(&self, unit: u32, mask: SlotMask) -> Effect {
        self.levels.effect(self.by_unit.at(unit) & mask)
    }

    /// Place of a unit under the applicable slots.
    #[inline]
    pub(in crate::ranking) fn key_of_unit(&self, unit: u32, mask: SlotMask) -> Key {
        let effect = self.effect_of_unit(unit, mask);
        let layout = &self.base.layout;
        Key::of(layout.rank_at(unit), effect, &layout.block_start)
    }

    pub(in crate::ranking) fn ranks_of(&self, rows: &RowSet) -> Bits {
        let layout = &self.base.layout;
        let units = rows.iter().filter_map(|row| layout.unit_of_row(row));
        Bits::of(layout.n(), units.map(|unit| layout.rank_at(unit)))
    }

    /// Gathers the narrow ranks of a block anew.
    pub(in crate::ranking) fn set_narrow(&mut self, block: usize) {
        for (level, own) in self.levels.masks.into_iter().enumerate() {
            let slots = own & !self.levels.broad;
            self.narrow[level].replace(block, &self.by_rank.holders(block, slots));
        }
    }
}

impl Levels {
    pub(in crate::ranking) fn new(table: &SlotTable, broad: SlotMask) -> Self {
        let mut effects = [Effect::NONE; SLOTS_MAX + 1];
        for (slot, _, level) in table.iter() {
            effects[usize::from(slot.0)] = Effect::from(Some(level));
        }
        Self {
            masks: table.level_masks(),
            broad,
            effects,
        }
    }

    /// The effect of the strongest of some slots, which is the lowest one.
    #[inline]
    pub(in crate::ranking) fn effect(&self, met: SlotMask) -> Effect {
        self.effects[met.0.trailing_zeros() as usize]
    }

    /// Of the slots that hold a variant those that would change its effect if their own bit of
    /// `mask` were the other way round: withheld ones of stronger levels than the effect, and the
    /// applicable one that makes it, if no other one of its level does.
    #[inline]
    pub(in crate::ranking) fn deciding(&self, held: SlotMask, mask: SlotMask) -> SlotMask {
        let met = held & mask;
        let effect = self.effect(met);
        let deciding = held & !mask & self.stronger(effect);
        let first = SlotMask(met.0 & met.0.wrapping_neg());
        if self.effect(met & !first) == effect {
            deciding
        } else {
            deciding | first
        }
    }

    /// Slots that, with their own bit of `mask` the other way round, let variants rise: withheld
    /// boosts and applicable demotions. All others let them fall.
    pub(in crate::ranking) fn rising(&self, mask: SlotMask) -> SlotMask {
        let demotions = self.slots(Effect::DEMOTED);
        demotions & mask | !demotions & !mask
    }

    /// Slots of one level; none for unboosted ones.
    pub(in crate::ranking) fn slots(&self, effect: Effect) -> SlotMask {
        let own = self.masks.get(usize::from(effect.0));
        own.copied().unwrap_or(SlotMask::EMPTY)
    }

    /// Slots of all levels stronger than one.
    pub(in crate::ranking) fn stronger(&self, effect: Effect) -> SlotMask {
        let masks = self.masks[..usize::from(effect.0)].iter();
        masks.fold(SlotMask::EMPTY, |all, own| all | *own)
    }
}

/// Slots whose rows are more than one in sixteen of `n`.
pub(in crate::ranking) fn broad_slots(table: &SlotTable, sets: &[&RowSet], n: usize) -> SlotMask {
    let slots = table.iter().map(|(slot, ..)| slot).zip(sets);
    let broad = slots.filter(|(_, rows)| n < rows.len() as usize * BROAD_FROM_ONE_IN);
    broad.map(|(slot, _)| slot).collect::<SlotMask>()
}
