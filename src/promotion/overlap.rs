//! What two promotions mean for the variants that both hold.

use crate::catalogue::row::RowSet;
use crate::domain::boost::BoostLevel;

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

#[cfg(test)]
mod tests {
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
}
