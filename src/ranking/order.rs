//! Ranks, and where a boosted variant lands.

use std::cmp::Ordering;

use crate::domain::boost::BoostLevel;
use crate::domain::limits::{LOW_STAYS_BELOW_ONE_IN, MEDIUM_STAYS_BELOW_ONE_IN};

/// Position of a variant in one market's base order; 0 has the highest strategy score.
///
/// Dense and renumbered with every score update, so it never leaves a snapshot: stored records and
/// wire formats carry the variant's key instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rank(pub u32);

/// Base place before whose tie block a boosted variant lands; `None` if its level alone decides.
///
/// `n_higher` counts the variants of the market with a *strictly* higher base score, so a tie is
/// never held against a variant. Low overtakes 90 % of them and medium 99 %: `floor(n_higher / 10)`
/// and `floor(n_higher / 100)` may stay above, of 1234 that is 123 and 12. High stands above all
/// unboosted variants, demoted below all others.
pub fn boosted_position(n_higher: u32, level: BoostLevel) -> Option<Rank> {
    match level {
        BoostLevel::Low => Some(Rank(n_higher / LOW_STAYS_BELOW_ONE_IN)),
        BoostLevel::Medium => Some(Rank(n_higher / MEDIUM_STAYS_BELOW_ONE_IN)),
        BoostLevel::High | BoostLevel::Demoted => None,
    }
}

/// Place of a variant under its effective level; the order of keys is the order of the page.
///
/// In one number, from the top: zone (high 0, the middle 1, demoted 2), place, level, rank. In the
/// middle a boosted variant stands before the tie block at its place, medium (0) before low (1)
/// before unboosted (2); elsewhere the place is the rank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(u64);

/// Bits of a place or rank in a [`Key`]: ranks stay below 2^30.
const RANK_BITS: u32 = 30;

/// Effective level as a number, by precedence: demoted, high, medium, low, unboosted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::ranking) struct Effect(pub(in crate::ranking) u8);

impl Effect {
    pub(in crate::ranking) const DEMOTED: Self = Self(0);
    pub(in crate::ranking) const HIGH: Self = Self(1);
    pub(in crate::ranking) const MEDIUM: Self = Self(2);
    pub(in crate::ranking) const LOW: Self = Self(3);
    pub(in crate::ranking) const NONE: Self = Self(4);

    /// All effects, by precedence.
    pub(in crate::ranking) const ALL: [Self; 5] = [Self(0), Self(1), Self(2), Self(3), Self(4)];

    pub(in crate::ranking) fn level(self) -> Option<BoostLevel> {
        BoostLevel::BY_PRECEDENCE.get(usize::from(self.0)).copied()
    }

    /// The zone of all variants of this level.
    pub(in crate::ranking) fn zone(self) -> u64 {
        match self {
            Self::HIGH => 0,
            Self::DEMOTED => 2,
            _ => 1,
        }
    }
}

impl From<Option<BoostLevel>> for Effect {
    fn from(level: Option<BoostLevel>) -> Self {
        match level {
            Some(BoostLevel::Demoted) => Self::DEMOTED,
            Some(BoostLevel::High) => Self::HIGH,
            Some(BoostLevel::Medium) => Self::MEDIUM,
            Some(BoostLevel::Low) => Self::LOW,
            None => Self::NONE,
        }
    }
}

impl Key {
    /// The key of `rank`, where `block_start` tells the first place of a tie block.
    #[inline]
    pub(in crate::ranking) fn of(rank: u32, effect: Effect, block_start: &[u32]) -> Self {
        match effect {
            Effect::NONE => Self::new(1, rank, 2, rank),
            Effect::HIGH => Self::new(0, rank, 0, rank),
            Effect::MEDIUM => Self::new(1, landing(rank, BoostLevel::Medium, block_start), 0, rank),
            Effect::LOW => Self::new(1, landing(rank, BoostLevel::Low, block_start), 1, rank),
            _ => Self::new(2, rank, 0, rank),
        }
    }

    /// First rank whose key at `effect` is not below `self`; the number of ranks if all are.
    ///
    /// Keys of one level never fall as ranks grow. A landing place is told from both ends: it is
    /// reached by ranks from a multiple of itself on, to the end of that one's tie block.
    pub(in crate::ranking) fn first_rank(self, effect: Effect, block_start: &[u32]) -> u32 {
        let n = number(block_start.len());
        match effect.zone().cmp(&self.zone()) {
            Ordering::Less => return n,
            Ordering::Greater => return 0,
            Ordering::Equal => {}
        }
        let (place, rest) = (self.place(), self.0 & ((1 << (RANK_BITS + 2)) - 1));
        let below = |sub: u64, rank: u32| sub << RANK_BITS | u64::from(rank) < rest;
        let (sub, one_in) = match effect {
            Effect::MEDIUM => (0, MEDIUM_STAYS_BELOW_ONE_IN),
            Effect::LOW => (1, LOW_STAYS_BELOW_ONE_IN),
            _ => {
                let sub = if effect == Effect::NONE { 2 } else { 0 };
                return n.min(place + u32::from(below(sub, place)));
            }
        };
        let landing_from = |place: u32| {
            let kept = first_start(place, block_start);
            first_start(kept.saturating_mul(one_in), block_start)
        };
        let (from, to) = (landing_from(place), landing_from(place + 1));
        // Of those that land there, the first ones up to some rank are below.
        let rank_below = rest.saturating_sub(sub << RANK_BITS);
        let rank_below = u32::try_from(rank_below).unwrap_or(u32::MAX);
        rank_below.clamp(from, to)
    }

    /// The least key behind this one.
    pub(in crate::ranking) fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Effective level of the variant.
    #[inline]
    pub(in crate::ranking) fn effect(self) -> Effect {
        match (self.zone(), self.0 >> RANK_BITS & 3) {
            (0, _) => Effect::HIGH,
            (2, _) => Effect::DEMOTED,
            (_, 0) => Effect::MEDIUM,
            (_, 1) => Effect::LOW,
            _ => Effect::NONE,
        }
    }

    fn new(zone: u64, place: u32, sub: u64, rank: u32) -> Self {
        debug_assert!(rank >> RANK_BITS == 0 && place >> RANK_BITS == 0);
        let place = u64::from(place) << (RANK_BITS + 2);
        Self(zone << 62 | place | sub << RANK_BITS | u64::from(rank))
    }

    fn place(self) -> u32 {
        u32::try_from(self.0 >> (RANK_BITS + 2) & ((1 << RANK_BITS) - 1))
            .expect("30 bits fit into 32")
    }

    /// The variant's rank.
    #[inline]
    pub(in crate::ranking) fn rank(self) -> u32 {
        u32::try_from(self.0 & ((1 << RANK_BITS) - 1)).expect("30 bits fit into 32")
    }

    /// The zone it lies in.
    pub(in crate::ranking) fn zone(self) -> u64 {
        self.0 >> 62
    }

    /// For cursors.
    pub(in crate::ranking) fn bits(self) -> u64 {
        self.0
    }

    /// From what [`Key::bits`] gave.
    pub(in crate::ranking) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// First place whose tie block begins at `least` or behind; looked for from there on in steps that
/// double, as few blocks are long.
fn first_start(least: u32, block_start: &[u32]) -> u32 {
    let n = block_start.len();
    let (mut low, mut step) = (n.min(least as usize), 1);
    while low + step <= n && block_start[low + step - 1] < least {
        low += step;
        step *= 2;
    }
    let rest = &block_start[low..n.min(low + step)];
    number(low + rest.partition_point(|start| *start < least))
}

fn number(count: usize) -> u32 {
    u32::try_from(count).expect("a market has less than 2^30 variants")
}

/// Base place before which a medium or low variant lands: the start of the tie block at `keep`.
pub(in crate::ranking) fn landing(rank: u32, boost: BoostLevel, block_start: &[u32]) -> u32 {
    let n_higher = block_start[rank as usize];
    boosted_position(n_higher, boost).map_or(rank, |keep| block_start[keep.0 as usize])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(level: BoostLevel, n_higher: u32, expected: u32) {
        assert_eq!(boosted_position(n_higher, level), Some(Rank(expected)));
    }

    #[test]
    fn boosts_overtake_the_promised_share() {
        check(BoostLevel::Low, 8, 0);
        check(BoostLevel::Low, 9, 0);
        check(BoostLevel::Low, 11, 1);
        check(BoostLevel::Low, 17, 1);
        check(BoostLevel::Low, 29, 2);
        check(BoostLevel::Low, 1_234, 123);
        check(BoostLevel::Medium, 98, 0);
        check(BoostLevel::Medium, 99, 0);
        check(BoostLevel::Medium, 199, 1);
        check(BoostLevel::Medium, 299, 2);
        check(BoostLevel::Medium, 320, 3);
        check(BoostLevel::Medium, 1_234, 12);
        assert_eq!(boosted_position(7, BoostLevel::High), None);
    }

    proptest! {
        #[test]
        fn first_ranks_are_found_as_by_walking(
            blocks in prop::collection::vec(1_usize..300, 1..12),
            rank in any::<prop::sample::Index>(),
            of in 0_u8..5,
        ) {
            let mut block_start = Vec::new();
            for len in blocks {
                block_start.extend(std::iter::repeat_n(number(block_start.len()), len));
            }
            let n = number(block_start.len());
            let some = Key::of(number(rank.index(block_start.len())), Effect(of), &block_start);
            for key in [some, some.next()] {
                for effect in Effect::ALL {
                    let walked = (0..n).find(|rank| key <= Key::of(*rank, effect, &block_start));
                    prop_assert_eq!(key.first_rank(effect, &block_start), walked.unwrap_or(n));
                }
            }
            prop_assert_eq!(some.effect(), Effect(of));
        }
    }

    #[test]
    fn landing_never_falls_as_the_rank_grows() {
        let block_start: Vec<u32> = (0..500).map(|rank| rank / 7 * 7).collect();
        for boost in [BoostLevel::Low, BoostLevel::Medium] {
            let places: Vec<u32> = (0..500)
                .map(|rank| landing(rank, boost, &block_start))
                .collect();
            assert!(places.windows(2).all(|pair| pair[0] <= pair[1]));
        }
    }
}
