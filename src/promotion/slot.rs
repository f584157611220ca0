//! The promotions of one view as bits of a mask.

use std::ops::{BitAnd, BitOr, BitOrAssign, BitXorAssign, Not};

use crate::domain::boost::BoostLevel;
use crate::domain::id::PromotionId;

/// Slots of a view: 100 for what the calendar admits, 28 to spare for previews.
pub const SLOTS_MAX: usize = 128;

/// Place of a promotion in one view, below [`SLOTS_MAX`]; never stored and never sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u8);

/// A set of slots, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotMask(pub u128);

impl SlotMask {
    /// No slot.
    pub const EMPTY: Self = Self(0);

    /// Every slot, taken or not.
    pub const ALL: Self = Self(u128::MAX);

    /// One slot alone.
    pub fn of(slot: Slot) -> Self {
        Self(1 << slot.0)
    }

    /// Whether `slot` is in the set.
    pub fn contains(self, slot: Slot) -> bool {
        self.0 >> slot.0 & 1 == 1
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Number of slots.
    pub fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// The lowest slot: of a [`SlotTable`]'s slots the one that decides the level.
    pub fn first(self) -> Option<Slot> {
        let place = self.0.trailing_zeros();
        u8::try_from(place)
            .ok()
            .filter(|&slot| usize::from(slot) < SLOTS_MAX)
            .map(Slot)
    }

    /// The slots, ascending.
    pub fn iter(self) -> impl Iterator<Item = Slot> {
        std::iter::successors(Some(self.0), |rest| Some(rest & rest.wrapping_sub(1)))
            .map_while(|rest| SlotMask(rest).first())
    }
}

impl BitOr for SlotMask {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for SlotMask {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

impl BitAnd for SlotMask {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl BitXorAssign for SlotMask {
    fn bitxor_assign(&mut self, other: Self) {
        self.0 ^= other.0;
    }
}

impl Not for SlotMask {
    type Output = Self;

    fn not(self) -> Self {
        Self(!self.0)
    }
}

impl FromIterator<Slot> for SlotMask {
    fn from_iter<I: IntoIterator<Item = Slot>>(slots: I) -> Self {
        let bits = slots.into_iter().map(SlotMask::of);
        bits.fold(Self::EMPTY, |mask, bit| mask | bit)
    }
}

/// The active promotions of one view.
///
/// Slots ascend with precedence – demoted, high, medium, low, and by id inside a level – so the
/// lowest slot of a mask decides the level, and the order in which promotions are given is
/// irrelevant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotTable {
    entries: Vec<(PromotionId, BoostLevel)>,
    left_out: Vec<PromotionId>,
    level_masks: [SlotMask; 4],
}

impl SlotTable {
    /// Gives each promotion its slot.
    ///
    /// The calendar keeps the number below 100. Should later zone rules push more into one instant
    /// than there are slots, the strongest stay and the rest is [`left_out`](Self::left_out).
    pub fn new(mut promotions: Vec<(PromotionId, BoostLevel)>) -> Self {
        promotions.sort_unstable_by_key(|&(id, level)| (precedence(level), id));
        promotions.dedup();
        let surplus = promotions.split_off(promotions.len().min(SLOTS_MAX));
        let mut level_masks = [SlotMask::EMPTY; 4];
        for (slot, &(_, level)) in (0_u8..).zip(&promotions) {
            level_masks[precedence(level)] |= SlotMask::of(Slot(slot));
        }
        Self {
            entries: promotions,
            left_out: surplus.into_iter().map(|(id, _)| id).collect(),
            level_masks,
        }
    }

    /// Number of slots taken: slots 0 to `len` − 1.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no promotion is active.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Every slot with its promotion and level, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, PromotionId, BoostLevel)> {
        let slots = (0_u8..).map(Slot);
        slots
            .zip(&self.entries)
            .map(|(slot, &(id, level))| (slot, id, level))
    }

    /// Level of the promotion in `slot`.
    ///
    /// # Panics
    /// If the slot is not taken.
    pub fn level(&self, slot: Slot) -> BoostLevel {
        self.entries[usize::from(slot.0)].1
    }

    /// The promotion in `slot`.
    ///
    /// # Panics
    /// If the slot is not taken.
    pub fn promotion(&self, slot: Slot) -> PromotionId {
        self.entries[usize::from(slot.0)].0
    }

    /// The slot of a promotion, if it is active in this view.
    pub fn slot_of(&self, promotion: PromotionId) -> Option<Slot> {
        self.iter()
            .find(|&(_, id, _)| id == promotion)
            .map(|(slot, _, _)| slot)
    }

    /// The slots of each level, in the order of [`BoostLevel::BY_PRECEDENCE`].
    pub fn level_masks(&self) -> [SlotMask; 4] {
        self.level_masks
    }

    /// The level that wins among the promotions of `mask`; nothing adds up.
    pub fn effective(&self, mask: SlotMask) -> Option<BoostLevel> {
        let slot = mask.first()?;
        self.entries.get(usize::from(slot.0)).map(|entry| entry.1)
    }

    /// Promotions beyond the last slot, weakest last; they do not act.
    pub fn left_out(&self) -> &[PromotionId] {
        &self.left_out
    }
}

/// Place of a level in [`BoostLevel::BY_PRECEDENCE`].
fn precedence(level: BoostLevel) -> usize {
    match level {
        BoostLevel::Demoted => 0,
        BoostLevel::High => 1,
        BoostLevel::Medium => 2,
        BoostLevel::Low => 3,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(number: u8) -> PromotionId {
        PromotionId([number; 16])
    }

    fn mask(slots: &[u8]) -> SlotMask {
        slots.iter().copied().map(Slot).collect()
    }

    #[test]
    fn a_demotion_wins_over_the_highest_boost() {
        let table = SlotTable::new(vec![
            (id(1), BoostLevel::Low),
            (id(2), BoostLevel::High),
            (id(3), BoostLevel::Demoted),
            (id(4), BoostLevel::Medium),
        ]);
        let all = mask(&[0, 1, 2, 3]);
        assert_eq!(table.effective(all), Some(BoostLevel::Demoted));
        let demoted = SlotMask::of(table.slot_of(id(3)).unwrap());
        assert_eq!(table.effective(all & !demoted), Some(BoostLevel::High));
        assert_eq!(table.effective(SlotMask::EMPTY), None);
        assert_eq!(table.level_masks().map(SlotMask::len), [1, 1, 1, 1]);
    }

    #[test]
    fn precedence_is_the_order_of_the_levels() {
        let levels = BoostLevel::BY_PRECEDENCE.map(precedence);
        assert_eq!(levels, [0, 1, 2, 3]);
    }

    #[test]
    fn surplus_promotions_are_named_not_lost() {
        let promotions = (0..130).map(|number| (id(number), BoostLevel::Low));
        let table = SlotTable::new(promotions.chain([(id(200), BoostLevel::High)]).collect());
        assert_eq!(table.len(), SLOTS_MAX);
        assert_eq!(table.promotion(Slot(0)), id(200));
        assert_eq!(table.left_out(), [id(127), id(128), id(129)]);
        let masks = table.level_masks();
        assert_eq!(masks[1] | masks[3], SlotMask::ALL);
    }

    fn a_level() -> impl Strategy<Value = BoostLevel> {
        prop::sample::select(BoostLevel::BY_PRECEDENCE.to_vec())
    }

    proptest! {
        #[test]
        fn masks_are_sets_of_slots(
            left in prop::collection::btree_set(0_u8..128, 0..20),
            right in prop::collection::btree_set(0_u8..128, 0..20),
        ) {
            let as_mask = |slots: &std::collections::BTreeSet<u8>| -> SlotMask {
                slots.iter().copied().map(Slot).collect()
            };
            let slots_of = |mask: SlotMask| -> Vec<u8> { mask.iter().map(|slot| slot.0).collect() };
            let (a, b) = (as_mask(&left), as_mask(&right));
            prop_assert_eq!(slots_of(a), left.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(slots_of(a | b), left.union(&right).copied().collect::<Vec<_>>());
            prop_assert_eq!(slots_of(a & b), left.intersection(&right).copied().collect::<Vec<_>>());
            prop_assert_eq!(slots_of(a & !b), left.difference(&right).copied().collect::<Vec<_>>());
            prop_assert_eq!(a.len() as usize, left.len());
            prop_assert!(left.iter().all(|&slot| a.contains(Slot(slot))));
        }

        #[test]
        fn the_lowest_slot_decides_the_level(
            levels in prop::collection::vec(a_level(), 1..128),
            bits in any::<u128>(),
        ) {
            let promotions: Vec<_> = (0_u8..).map(id).zip(levels).collect();
            let table = SlotTable::new(promotions.clone());
            prop_assert_eq!(&SlotTable::new(promotions.into_iter().rev().collect()), &table);
            let held: Vec<_> = table
                .iter()
                .filter(|(slot, _, _)| SlotMask(bits).contains(*slot))
                .map(|(_, _, level)| level)
                .collect();
            let strongest = BoostLevel::BY_PRECEDENCE.into_iter().find(|level| held.contains(level));
            let known: SlotMask = table.iter().map(|(slot, _, _)| slot).collect();
            prop_assert_eq!(table.effective(SlotMask(bits) & known), strongest);
            for (level, level_mask) in BoostLevel::BY_PRECEDENCE.into_iter().zip(table.level_masks()) {
                prop_assert!(level_mask.iter().all(|slot| table.level(slot) == level));
            }
        }
    }
}
