//! One market's view: the active promotions as a mask per variant.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::catalogue::Catalogue;
use crate::catalogue::row::{Row, RowSet};
use crate::domain::boost::BoostLevel;
use crate::promotion::restriction::NodeMasks;
use crate::promotion::slot::{SlotMask, SlotTable};
use crate::ranking::base::RankBase;
use crate::ranking::order::{Key, Rank};
use crate::ranking::words::{BLOCK_RANKS, Words, n_blocks};

/// A promotion that holds more than one rank in this many is *broad* and gets words of its own.
const BROAD_FROM_ONE_IN: usize = 16;

/// Ranking's immutable part of one market, valid while the same promotions are active.
///
/// Every rank has a class, and every class the mask of the slots that hold its ranks: a market has
/// a few thousand distinct masks, so two bytes or four a variant stand for sixteen.
#[derive(Debug)]
pub struct MarketView {
    base: Arc<RankBase>,
    table: SlotTable,
    nodes: NodeMasks,
    classes: Vec<u32>,
    masks: Vec<SlotMask>,
    /// Slots that hold any rank of a block.
    pub(in crate::ranking) block_masks: Vec<SlotMask>,
    /// Words of each broad slot.
    pub(in crate::ranking) broad: Vec<Option<Words>>,
    /// All broad slots.
    pub(in crate::ranking) broad_slots: SlotMask,
    /// Per level, by precedence: ranks that a slot which is not broad holds.
    pub(in crate::ranking) narrow: [Words; 4],
    /// Per level, by precedence: its slots.
    pub(in crate::ranking) level_masks: [SlotMask; 4],
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
        let n = base.n();
        let mut held = vec![SlotMask::EMPTY; n];
        let mut broad = Vec::with_capacity(sets.len());
        let mut broad_slots = SlotMask::EMPTY;
        let mut narrow: [Words; 4] = std::array::from_fn(|_| Words::empty(n));
        for ((slot, _, level), rows) in table.iter().zip(sets) {
            let ranks = rows
                .iter()
                .filter_map(|row| base.rank_of(row))
                .map(|rank| rank.0);
            let own = SlotMask::of(slot);
            if n < rows.len() as usize * BROAD_FROM_ONE_IN {
                let words = Words::of(n, ranks.inspect(|rank| held[*rank as usize] |= own));
                broad.push(Some(words));
                broad_slots |= own;
                continue;
            }
            let level_words = &mut narrow[precedence(level)];
            for rank in ranks {
                held[rank as usize] |= own;
                level_words.insert(rank);
            }
            broad.push(None);
        }
        let block_masks = held
            .chunks(BLOCK_RANKS)
            .map(|block| block.iter().fold(SlotMask::EMPTY, |any, mask| any | *mask))
            .collect::<Vec<_>>();
        debug_assert_eq!(block_masks.len(), n_blocks(n));
        let (classes, masks) = classify(&held);
        let level_masks = table.level_masks();
        let base = Arc::clone(base);
        Self {
            base,
            table,
            nodes,
            classes,
            masks,
            block_masks,
            broad,
            broad_slots,
            narrow,
            level_masks,
        }
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
        self.mask_at(rank.0)
    }

    pub(in crate::ranking) fn mask_at(&self, rank: u32) -> SlotMask {
        self.masks[self.classes[rank as usize] as usize]
    }

    /// Effective level of a rank under the applicable slots.
    pub(in crate::ranking) fn level_at(&self, rank: u32, mask: SlotMask) -> Option<BoostLevel> {
        self.level_of(self.mask_at(rank) & mask)
    }

    /// Level of the strongest of some slots: the first level whose slots are among them.
    pub(in crate::ranking) fn level_of(&self, met: SlotMask) -> Option<BoostLevel> {
        if met.is_empty() {
            return None;
        }
        let of = |place: &usize| !(self.level_masks[*place] & met).is_empty();
        (0..4)
            .find(of)
            .map(|place| BoostLevel::BY_PRECEDENCE[place])
    }

    /// Place of a rank under the applicable slots.
    pub(in crate::ranking) fn key_at(&self, rank: u32, mask: SlotMask) -> Key {
        Key::of(rank, self.level_at(rank, mask), &self.base.block_start)
    }
}

/// Place of a level in [`BoostLevel::BY_PRECEDENCE`].
pub(in crate::ranking) fn precedence(level: BoostLevel) -> usize {
    match level {
        BoostLevel::Demoted => 0,
        BoostLevel::High => 1,
        BoostLevel::Medium => 2,
        BoostLevel::Low => 3,
    }
}

/// Numbers the distinct masks in order of first appearance.
fn classify(held: &[SlotMask]) -> (Vec<u32>, Vec<SlotMask>) {
    let mut numbers: HashMap<SlotMask, u32> = HashMap::new();
    let mut masks = Vec::new();
    let mut last: Option<(SlotMask, u32)> = None;
    let classes = held
        .iter()
        .map(|mask| match last {
            Some((same, number)) if same == *mask => number,
            _ => {
                let number = *numbers.entry(*mask).or_insert_with(|| {
                    masks.push(*mask);
                    u32::try_from(masks.len()).expect("fewer masks than ranks") - 1
                });
                last = Some((*mask, number));
                number
            }
        })
        .collect();
    (classes, masks)
}
