//! What two promotions mean for the variants that both hold.

use crate::catalogue::row::RowSet;
use crate::domain::boost::BoostLevel;
use crate::promotion::terms::Promotion;

/// How another promotion fares against mine at the variants that both hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// One of the two is a demotion: its effect is seen, the boost is not.
    DemotedWins,
    /// The other has the stronger level: its effect is seen.
    StrongerLevel,
    /// Both do the same; nothing adds up.
    SameLevel,
    /// The other has the weaker level: mine is seen.
    WeakerLevel,
}

impl Outcome {
    /// As the wire spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::DemotedWins => "demoted-wins",
            Self::StrongerLevel => "stronger-level",
            Self::SameLevel => "same-level",
            Self::WeakerLevel => "weaker-level",
        }
    }
}

/// The outcome of the levels alone.
pub fn outcome(mine: BoostLevel, other: BoostLevel) -> Outcome {
    if mine == other {
        Outcome::SameLevel
    } else if mine == BoostLevel::Demoted || other == BoostLevel::Demoted {
        Outcome::DemotedWins
    } else if mine < other {
        Outcome::StrongerLevel
    } else {
        Outcome::WeakerLevel
    }
}

/// Number of variants that both hold in one market, and the outcome there; `None` if they share
/// none. The caller knows whether the periods meet.
pub fn overlap(
    mine: (BoostLevel, &RowSet),
    other: (BoostLevel, &RowSet),
) -> Option<(u32, Outcome)> {
    let n_shared = mine.1.n_common(other.1);
    (0 < n_shared).then(|| (n_shared, outcome(mine.0, other.0)))
}

/// An overlap in the words of the person whose promotion it is; `n_shared` of `n_selected` variants
/// are held by the other one as well.
pub fn in_words(mine: &Promotion, (n_shared, n_selected): (u32, u32), other: &Promotion) -> String {
    let (name, level) = (&other.name, other.level.as_str());
    let share = format!("{n_shared} of your {n_selected} variants");
    let words = match outcome(mine.level, other.level) {
        Outcome::DemotedWins if mine.level == BoostLevel::Demoted => {
            format!("{share} are boosted by \"{name}\" ({level}) and will be demoted all the same")
        }
        Outcome::DemotedWins => format!("{share} are demoted by \"{name}\" and will not move"),
        Outcome::StrongerLevel => {
            format!("{share} are boosted more by \"{name}\" ({level}); yours adds nothing there")
        }
        Outcome::SameLevel => {
            format!("{share} are held by \"{name}\" at the same level; nothing adds up")
        }
        Outcome::WeakerLevel => {
            format!("{share} are also held by \"{name}\" ({level}); yours is stronger")
        }
    };
    if mine.restriction.is_restricted() || other.restriction.is_restricted() {
        format!("{words}, on pages of categories where both act")
    } else {
        words
    }
}

/// What others leave of a promotion in one market: its variants, each counted once, by the first of
/// these that is true of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reach {
    /// Variants it selects; the sum of the other figures.
    pub selected: u32,
    /// A demotion holds them as well, and demotions win.
    pub demoted: u32,
    /// A promotion of a stronger level holds them as well.
    pub stronger: u32,
    /// Another one of the same level holds them as well: nothing adds up.
    pub same: u32,
    /// They are moved by it, and by it alone.
    pub moved: u32,
}

/// What `others` leave of `mine` where all of them act.
///
/// Costs one union and one intersection for each of the others.
pub fn reach(mine: (BoostLevel, &RowSet), others: &[(BoostLevel, &RowSet)]) -> Reach {
    let mut left = mine.1.clone();
    let mut taken = |wanted: Outcome| {
        let before = left.len();
        for (level, rows) in others {
            if outcome(mine.0, *level) == wanted {
                left.subtract(rows);
            }
        }
        before - left.len()
    };
    let demoted = match mine.0 {
        BoostLevel::Demoted => 0,
        _ => taken(Outcome::DemotedWins),
    };
    Reach {
        selected: mine.1.len(),
        demoted,
        stronger: taken(Outcome::StrongerLevel),
        same: taken(Outcome::SameLevel),
        moved: left.len(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalogue::row::Row;

    #[track_caller]
    fn check(mine: BoostLevel, other: BoostLevel, expected: &str) {
        let rows = |numbers: &[u32]| numbers.iter().copied().map(Row).collect::<RowSet>();
        let (left, right) = (rows(&[1, 2, 3]), rows(&[3, 4, 1]));
        let (n_shared, outcome) = overlap((mine, &left), (other, &right)).unwrap();
        assert_eq!((n_shared, outcome.as_str()), (2, expected));
        assert_eq!(overlap((mine, &left), (other, &rows(&[9]))), None);
    }

    #[test]
    fn the_outcome_tells_how_the_other_fares() {
        check(BoostLevel::High, BoostLevel::Demoted, "demoted-wins");
        check(BoostLevel::Demoted, BoostLevel::Low, "demoted-wins");
        check(BoostLevel::Demoted, BoostLevel::Demoted, "same-level");
        check(BoostLevel::Low, BoostLevel::Medium, "stronger-level");
        check(BoostLevel::High, BoostLevel::Medium, "weaker-level");
    }

    fn rows_of(bits: u16) -> RowSet {
        let held = |row: &u32| bits >> row & 1 == 1;
        (0..16).filter(held).map(Row).collect()
    }

    /// Variant by variant.
    fn reach_one_by_one(mine: (BoostLevel, &RowSet), others: &[(BoostLevel, &RowSet)]) -> Reach {
        let mut reach = Reach::default();
        for row in mine.1.iter() {
            let holders = others.iter().filter(|(_, rows)| rows.contains(row));
            let levels: Vec<BoostLevel> = holders.map(|(level, _)| *level).collect();
            let is_demotion = mine.0 == BoostLevel::Demoted;
            reach.selected += 1;
            if !is_demotion && levels.contains(&BoostLevel::Demoted) {
                reach.demoted += 1;
            } else if !is_demotion && levels.iter().any(|level| mine.0 < *level) {
                reach.stronger += 1;
            } else if levels.contains(&mine.0) {
                reach.same += 1;
            } else {
                reach.moved += 1;
            }
        }
        reach
    }

    proptest! {
        #[test]
        fn what_others_leave_is_what_each_variant_says(
            mine in any::<u16>(),
            level in prop::sample::select(BoostLevel::BY_PRECEDENCE.to_vec()),
            others in prop::collection::vec(
                (prop::sample::select(BoostLevel::BY_PRECEDENCE.to_vec()), any::<u16>()), 0..6),
        ) {
            let own = rows_of(mine);
            let sets: Vec<_> = others.iter().map(|(level, bits)| (*level, rows_of(*bits))).collect();
            let others: Vec<_> = sets.iter().map(|(level, rows)| (*level, rows)).collect();
            let found = reach((level, &own), &others);
            prop_assert_eq!(found, reach_one_by_one((level, &own), &others));
            prop_assert_eq!(found.selected, found.demoted + found.stronger + found.same + found.moved);
        }
    }
}
