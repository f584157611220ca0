//! Ranks, and where a boosted variant lands.

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
/// Zone 0 holds high, 1 the middle, 2 demoted variants. In the middle a boosted variant stands
/// before the tie block at `place`, medium (`sub` 0) before low (1) before unboosted (2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub(in crate::ranking) zone: u8,
    pub(in crate::ranking) place: u32,
    pub(in crate::ranking) sub: u8,
    pub(in crate::ranking) rank: u32,
}

/// Zone of high variants.
pub(in crate::ranking) const ZONE_HIGH: u8 = 0;
/// Zone of medium, low and unboosted variants.
pub(in crate::ranking) const ZONE_MIDDLE: u8 = 1;
/// Zone of demoted variants.
pub(in crate::ranking) const ZONE_DEMOTED: u8 = 2;

/// `sub` of unboosted variants.
pub(in crate::ranking) const SUB_NONE: u8 = 2;

impl Key {
    /// The key of `rank` at `level`, where `block_start` tells the first place of a tie block.
    pub(in crate::ranking) fn of(
        rank: u32,
        level: Option<BoostLevel>,
        block_start: &[u32],
    ) -> Self {
        let (zone, place, sub) = match level {
            Some(BoostLevel::High) => (ZONE_HIGH, rank, 0),
            Some(BoostLevel::Demoted) => (ZONE_DEMOTED, rank, 0),
            None => (ZONE_MIDDLE, rank, SUB_NONE),
            Some(boost) => {
                let sub = u8::from(boost == BoostLevel::Low);
                (ZONE_MIDDLE, landing(rank, boost, block_start), sub)
            }
        };
        Self {
            zone,
            place,
            sub,
            rank,
        }
    }
}

/// Base place before which a medium or low variant lands: the start of the tie block at `keep`.
pub(in crate::ranking) fn landing(rank: u32, boost: BoostLevel, block_start: &[u32]) -> u32 {
    let n_higher = block_start[rank as usize];
    boosted_position(n_higher, boost).map_or(rank, |keep| block_start[keep.0 as usize])
}

#[cfg(test)]
mod tests {
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
