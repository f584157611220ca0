//! A view after some promotions changed, made of the view before.
//!
//! Most edits touch one promotion of a hundred, or move a few variants in and out of some. Where no
//! variant came to a promotion or left one, a block keeps which variant has which mask, and at most
//! the masks get the new numbers of their slots; so an edit costs the variants that moved, and a few
//! hundred masks a block if slots are numbered anew.

use std::sync::Arc;

use crate::catalogue::row::RowSet;
use crate::promotion::restriction::NodeMasks;
use crate::promotion::slot::{SLOTS_MAX, Slot, SlotMask, SlotTable};
use crate::ranking::base::RankBase;
use crate::ranking::build::{Levels, MarketView, broad_slots};
use crate::ranking::layout::Layout;
use crate::ranking::posting::Dense;
use crate::ranking::words::{Bits, n_blocks};

/// Slots of a former view as those of the next one.
pub(super) struct Renumbered {
    of: [SlotMask; SLOTS_MAX],
    /// Whether every slot keeps its number and none is gone.
    is_none: bool,
}

/// The rows of a promotion in a view that is made of a former one.
#[derive(Clone, Copy, Debug)]
pub struct SlotRows<'a> {
    /// The rows.
    pub rows: &'a RowSet,
    /// The slot that the promotion has in the former view, and the rows it has there; `None` if it
    /// is new.
    pub former: Option<(Slot, &'a RowSet)>,
}

/// Variants that a slot of the next view gains or loses.
struct Turned {
    slot: Slot,
    variants: Dense,
}

impl MarketView {
    /// What [`MarketView::build`] would make, of a former view over goods of the same layout.
    ///
    /// # Panics
    /// If there are not as many sets as slots, or the layout is another one.
    #[must_use]
    pub fn edited(
        &self,
        base: &Arc<RankBase>,
        table: SlotTable,
        nodes: NodeMasks,
        sets: &[SlotRows<'_>],
    ) -> Self {
        assert_eq!(table.len(), sets.len(), "one set for each slot");
        assert!(
            base.shares_layout(&self.base),
            "ranks would mean other variants"
        );
        let layout = &self.base.layout;
        let rows: Vec<&RowSet> = sets.iter().map(|set| set.rows).collect();
        let slots = || table.iter().map(|(slot, ..)| slot).zip(sets);
        let turned = slots().filter_map(|(slot, set)| set.turned(slot, layout));
        let turned: Vec<Turned> = turned.collect();
        let renumbered = Renumbered::new(&self.table, slots());
        let by_rank = turned.iter().map(|own| (own.slot, &own.variants.by_rank));
        let by_unit = turned.iter().map(|own| (own.slot, &own.variants.by_unit));
        let mut view = Self {
            base: Arc::clone(base),
            by_rank: self
                .by_rank
                .edited(&renumbered, &by_rank.collect::<Vec<_>>()),
            by_unit: self
                .by_unit
                .edited(&renumbered, &by_unit.collect::<Vec<_>>()),
            levels: Levels::new(&table, broad_slots(&table, &rows, self.base.n())),
            table,
            nodes,
            block_any: self.block_any.clone(),
            block_all: self.block_all.clone(),
            broad: Vec::new(),
            narrow: self.narrow.clone(),
        };
        view.broad = (view.table.iter().zip(sets))
            .map(|((slot, ..), set)| {
                let is_broad = view.levels.broad.contains(slot);
                is_broad.then(|| self.broad_after(slot, set, &turned))
            })
            .collect();
        self.summarise_blocks(&mut view, sets, (&turned, &renumbered));
        view
    }

    /// Ranks of a broad slot.
    fn broad_after(&self, slot: Slot, set: &SlotRows<'_>, turned: &[Turned]) -> Bits {
        let former = set
            .former
            .and_then(|(former, _)| self.broad[usize::from(former.0)].as_ref());
        let Some(former) = former else {
            return self.ranks_of(set.rows);
        };
        let mut own = former.clone();
        if let Some(turned) = turned.iter().find(|own| own.slot == slot) {
            for rank in turned.variants.by_rank.iter() {
                own.set(rank, !former.contains(rank));
            }
        }
        own
    }

    /// What blocks hold of slots, gathered anew where anything moved.
    fn summarise_blocks(
        &self,
        next: &mut Self,
        sets: &[SlotRows<'_>],
        (turned, renumbered): (&[Turned], &Renumbered),
    ) {
        let (gone, moved) = self.moved(next, sets);
        for block in 0..n_blocks(self.base.n()) {
            let mut turns = turned.iter().map(|own| &own.variants.by_rank);
            let is_turned = turns.any(|ranks| ranks.block(block).is_some());
            if is_turned || !renumbered.is_none() {
                next.block_any[block] = next.by_rank.any(block);
                next.block_all[block] = next.by_rank.all(block);
            }
            let (before, after) = (self.block_any[block], next.block_any[block]);
            if is_turned || !(before & gone).is_empty() || !(after & moved).is_empty() {
                next.set_narrow(block);
            }
        }
    }

    /// Slots of this view that another one lacks or keeps elsewhere among its summaries, and the
    /// slots of that one that are new or were kept elsewhere here.
    fn moved(&self, next: &Self, sets: &[SlotRows<'_>]) -> (SlotMask, SlotMask) {
        let mut stayed = SlotMask::EMPTY;
        let mut moved = SlotMask::EMPTY;
        for ((slot, _, level), set) in next.table.iter().zip(sets) {
            let is_broad = next.levels.broad.contains(slot);
            match set.former {
                Some((former, _))
                    if self.table.level(former) == level
                        && self.levels.broad.contains(former) == is_broad =>
                {
                    stayed |= SlotMask::of(former);
                }
                _ => moved |= SlotMask::of(slot),
            }
        }
        let own: SlotMask = self.table.iter().map(|(slot, ..)| slot).collect();
        (own & !stayed, moved)
    }
}

impl SlotRows<'_> {
    /// The variants that come or leave; `None` if there are none.
    fn turned(&self, slot: Slot, layout: &Layout) -> Option<Turned> {
        let rows = match self.former {
            Some((_, former)) if std::ptr::eq(former, self.rows) => return None,
            Some((_, former)) => &self.rows.differing(former),
            None => self.rows,
        };
        let units = rows.iter().filter_map(|row| layout.unit_of_row(row));
        (!rows.is_empty()).then(|| Turned {
            slot,
            variants: Dense::of(layout, units),
        })
    }
}

impl Renumbered {
    fn new<'a>(former: &SlotTable, slots: impl Iterator<Item = (Slot, &'a SlotRows<'a>)>) -> Self {
        let mut of = [SlotMask::EMPTY; SLOTS_MAX];
        for (slot, set) in slots {
            if let Some((former, _)) = set.former {
                of[usize::from(former.0)] = SlotMask::of(slot);
            }
        }
        let mut slots = former.iter().map(|(slot, ..)| slot);
        let is_none = slots.all(|slot| of[usize::from(slot.0)] == SlotMask::of(slot));
        Self { of, is_none }
    }

    /// Whether every mask stays as it is.
    pub(super) fn is_none(&self) -> bool {
        self.is_none
    }

    /// A mask in the numbers of the next view; slots that it lacks are gone.
    pub(super) fn mask(&self, former: SlotMask) -> SlotMask {
        let slots = former.iter().map(|slot| self.of[usize::from(slot.0)]);
        slots.fold(SlotMask::EMPTY, |mask, own| mask | own)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::RngExt;
    use rand::rngs::ChaCha8Rng;

    use super::*;
    use crate::domain::boost::BoostLevel;
    use crate::domain::id::PromotionId;
    use crate::promotion::restriction::node_masks;
    use crate::ranking::twin::{Draw, random_scene, seeded};

    /// A promotion: its number, level and rows.
    type Own = (u8, BoostLevel, RowSet);

    fn table_of(promotions: &[Own]) -> SlotTable {
        let id = |number: u8| PromotionId(u128::from(number).to_be_bytes());
        SlotTable::new(promotions.iter().map(|own| (id(own.0), own.1)).collect())
    }

    fn own_of(promotions: &[Own], id: PromotionId) -> &Own {
        let number = id.0[15];
        promotions.iter().find(|own| own.0 == number).unwrap()
    }

    /// Drops, adds, moves to another level and gives other rows.
    fn change(promotions: &mut Vec<Own>, n_rows: u32, chance: &mut ChaCha8Rng) {
        let rows = |chance: &mut ChaCha8Rng| -> RowSet {
            let one_in = [2, 5, 40, 400][chance.random_range(0..4_usize)];
            let all = (0..n_rows).filter(|_| chance.random_range(0..one_in) == 0);
            all.map(crate::catalogue::row::Row).collect()
        };
        let few = |chance: &mut ChaCha8Rng| -> RowSet {
            let rows = (0..3).map(|_| chance.random_range(0..n_rows));
            rows.map(crate::catalogue::row::Row).collect()
        };
        if chance.random_bool(0.7) {
            promotions.retain(|_| chance.random_range(0..5) != 0);
        }
        for own in promotions.iter_mut() {
            match chance.random_range(0..7) {
                0 => own.1 = BoostLevel::BY_PRECEDENCE[chance.random_range(0..4_usize)],
                1 => own.2 = rows(chance),
                2 => own.2 = own.2.differing(&few(chance)),
                _ => {}
            }
        }
        for _ in 0..chance.random_range(0..4_u8).saturating_sub(1) {
            let number = chance.random_range(0..=u8::MAX);
            if promotions.iter().all(|own| own.0 != number) {
                let level = BoostLevel::BY_PRECEDENCE[chance.random_range(0..4_usize)];
                let held = rows(chance);
                promotions.push((number, level, held));
            }
        }
    }

    fn same(edited: &MarketView, built: &MarketView) -> Result<(), TestCaseError> {
        for rank in 0..built.base.n_ranks() {
            prop_assert_eq!(edited.by_rank.at(rank), built.by_rank.at(rank));
            prop_assert_eq!(edited.by_unit.at(rank), built.by_unit.at(rank));
        }
        prop_assert_eq!(&edited.block_any, &built.block_any);
        prop_assert_eq!(&edited.block_all, &built.block_all);
        prop_assert_eq!(&edited.broad, &built.broad);
        prop_assert_eq!(&edited.narrow, &built.narrow);
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn an_edited_view_is_the_built_one(seed in any::<u64>()) {
            let mut chance = seeded(seed);
            let draw = Draw { n_products: 3_000, siblings_max: 4, n_scores: 500, n_promotions: 0 };
            let base = Arc::clone(&random_scene(&mut chance, draw).view.base);
            let n_rows = base.catalogue().n_rows();
            let graph = base.catalogue().graph();
            let mut promotions = Vec::new();
            let mut view = MarketView::build(&base, table_of(&[]), node_masks(graph, &[]), &[]);
            for _ in 0..5 {
                let before = promotions.clone();
                change(&mut promotions, n_rows, &mut chance);
                let table = table_of(&promotions);
                let former = view.table.clone();
                let set_of = |(_, id, _)| SlotRows {
                    rows: &own_of(&promotions, id).2,
                    former: former.slot_of(id).map(|slot| (slot, &own_of(&before, id).2)),
                };
                let sets: Vec<SlotRows<'_>> = table.iter().map(set_of).collect();
                let rows: Vec<&RowSet> = sets.iter().map(|set| set.rows).collect();
                let nodes = node_masks(graph, &[]);
                let edited = view.edited(&base, table.clone(), nodes.clone(), &sets);
                same(&edited, &MarketView::build(&base, table, nodes, &rows))?;
                view = edited;
            }
        }
    }
}
