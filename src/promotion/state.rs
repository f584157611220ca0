//! What a promotion is at an instant, and the steps of its life.

use crate::domain::complaint::{Complaint, Fault};
use crate::domain::money::Percent;
use crate::domain::time::{GivenTime, Period, Timestamp};
use crate::promotion::epoch::Edit;
use crate::promotion::terms::{Promotion, Terms};

/// Computed from record and instant in this order; only an active promotion ranks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum State {
    /// Deleted.
    Archived,
    /// Its period is over.
    Ended,
    /// Held back by a person.
    Suspended,
    /// Its period lies ahead.
    Scheduled,
    /// It ranks.
    Active,
}

impl State {
    /// Every state with its spelling on the wire.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Archived, "archived"),
        (Self::Ended, "ended"),
        (Self::Suspended, "suspended"),
        (Self::Scheduled, "scheduled"),
        (Self::Active, "active"),
    ];

    /// Reads the spelling on the wire.
    ///
    /// # Errors
    /// `unknown-value`.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let found = Self::ALL.iter().find(|(_, name)| *name == text);
        found
            .map(|(state, _)| *state)
            .ok_or_else(|| Fault::unknown_value(text, &Self::ALL.map(|(_, name)| name)))
    }

    /// As the wire spells it.
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(state, _)| *state == self)
            .map_or("", |(_, name)| name)
    }
}

/// Why a step was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The promotion is in no state for it.
    #[error("not while {}", .state.as_str())]
    WrongState {
        /// Its state now.
        state: State,
        /// States in which the step can be taken.
        allowed: &'static [State],
    },
    /// Parts of the input are wrong.
    #[error("{} fields need attention", .0.len())]
    Invalid(Vec<Complaint>),
}

impl From<Vec<Complaint>> for Refusal {
    fn from(complaints: Vec<Complaint>) -> Self {
        Self::Invalid(complaints)
    }
}

/// What the promotion is at `now`.
pub fn state(promotion: &Promotion, now: Timestamp) -> State {
    if promotion.archived {
        State::Archived
    } else if promotion.period.end() <= now {
        State::Ended
    } else if promotion.suspended {
        State::Suspended
    } else if now < promotion.period.start() {
        State::Scheduled
    } else {
        State::Active
    }
}

/// The next instant at which time alone changes the state.
pub fn next_boundary(promotion: &Promotion, now: Timestamp) -> Option<Timestamp> {
    match state(promotion, now) {
        State::Archived | State::Ended => None,
        State::Scheduled => Some(promotion.period.start()),
        State::Suspended | State::Active => Some(promotion.period.end()),
    }
}

/// The part of its period that takes a place in its markets' calendars: what lies ahead of `now`,
/// if it is neither suspended nor archived.
pub fn occupies_calendar(promotion: &Promotion, now: Timestamp) -> Option<Period> {
    let period = promotion.period;
    match state(promotion, now) {
        State::Archived | State::Ended | State::Suspended => None,
        State::Scheduled | State::Active => Period::new(period.start().max(now), period.end()).ok(),
    }
}

/// Holds it back; one that is held back already stays so.
///
/// # Errors
/// [`Refusal::WrongState`] once it has ended.
pub fn suspend(promotion: &Promotion, now: Timestamp) -> Result<Promotion, Refusal> {
    let allowed = &[State::Scheduled, State::Active, State::Suspended];
    let terms = terms_in(promotion, now, allowed)?;
    checked(Terms {
        suspended: true,
        ..terms
    })
}

/// Lets it go on; the caller finds a place in the calendars first.
///
/// # Errors
/// [`Refusal::WrongState`] unless it is suspended.
pub fn resume(promotion: &Promotion, now: Timestamp) -> Result<Promotion, Refusal> {
    let terms = terms_in(promotion, now, &[State::Suspended])?;
    checked(Terms {
        suspended: false,
        ..terms
    })
}

/// Sets its end to `now`, or to the millisecond after its start if that is now.
///
/// # Errors
/// [`Refusal::WrongState`] before its start and after its end.
pub fn end(promotion: &Promotion, now: Timestamp) -> Result<Promotion, Refusal> {
    let allowed = &[State::Active, State::Suspended];
    let terms = terms_in(promotion, now, allowed)?;
    let start = promotion.period.start();
    let last = now.max(start.plus_ms(1));
    match Period::new(start, last) {
        Ok(period) if start <= now => checked(Terms {
            end: GivenTime::from_instant(last),
            period,
            ..terms
        }),
        _ => Err(Refusal::WrongState {
            state: state(promotion, now),
            allowed: &[State::Active],
        }),
    }
}

/// Deletes it: name and place are freed, measuring stops, the record stays.
///
/// # Errors
/// [`Refusal::WrongState`] if it is archived already.
pub fn archive(promotion: &Promotion, now: Timestamp) -> Result<Promotion, Refusal> {
    let allowed = &[
        State::Ended,
        State::Suspended,
        State::Scheduled,
        State::Active,
    ];
    let terms = terms_in(promotion, now, allowed)?;
    let epochs = edit_of(promotion, now, 0).closed();
    checked(Terms {
        archived: true,
        epochs,
        ..terms
    })
}

/// Opens a new epoch with a fresh salt, and with another share if one is given: the only way to
/// change the share of a running one.
///
/// # Errors
/// [`Refusal::WrongState`] once it has ended; `contradiction` if it is not measured; `too-many`
/// epochs.
pub fn restart_measurement(
    promotion: &Promotion,
    share_shown: Option<Percent>,
    now: Timestamp,
    salt: u64,
) -> Result<Promotion, Refusal> {
    let allowed = &[State::Suspended, State::Scheduled, State::Active];
    let terms = terms_in(promotion, now, allowed)?;
    let Some(open) = promotion.open_epoch() else {
        let why = "the promotion is not measured".to_owned();
        let fault = Fault::Contradiction { why };
        return Err(Refusal::Invalid(vec![fault.at("/measurement/measured")]));
    };
    let mut settings = open.settings;
    settings.share_shown = share_shown.unwrap_or(settings.share_shown);
    let epochs = edit_of(promotion, now, salt).opened(settings)?;
    checked(Terms { epochs, ..terms })
}

/// What an edit of the epochs starts from.
pub(crate) fn edit_of(promotion: &Promotion, now: Timestamp, salt: u64) -> Edit<'_> {
    Edit {
        epochs: &promotion.epochs,
        period: promotion.period,
        now,
        salt,
    }
}

/// A copy of the terms, if the state is one of `allowed`.
pub(crate) fn terms_in(
    promotion: &Promotion,
    now: Timestamp,
    allowed: &'static [State],
) -> Result<Terms, Refusal> {
    let state = state(promotion, now);
    if allowed.contains(&state) {
        return Ok(promotion.clone().into_terms());
    }
    Err(Refusal::WrongState { state, allowed })
}

fn checked(terms: Terms) -> Result<Promotion, Refusal> {
    Promotion::new(terms).map_err(Refusal::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::boost::BoostLevel;
    use crate::domain::id::{MarketId, PromotionId};
    use crate::promotion::epoch::MeasurementDraft;
    use crate::promotion::terms::{Kind, Restriction};
    use crate::selection::definition::Selection;

    /// From 100 to 200, measured since 50.
    fn promotion() -> Promotion {
        let share = Percent::from_basis_points(8_000).unwrap();
        let settings = MeasurementDraft::default().read(share).unwrap().unwrap();
        let period = Period::new(Timestamp(100), Timestamp(200)).unwrap();
        let edit = Edit {
            epochs: &[],
            period,
            now: Timestamp(50),
            salt: 1,
        };
        let terms = Terms {
            id: PromotionId([1; 16]),
            kind: Kind::Demotion,
            level: BoostLevel::Demoted,
            name: "Stale".to_owned(),
            markets: vec![MarketId::parse("se").unwrap()],
            start: GivenTime::from_instant(Timestamp(100)),
            end: GivenTime::from_instant(Timestamp(200)),
            time_zone: None,
            zone: None,
            period,
            selection: Selection::default(),
            restriction: Restriction::default(),
            epochs: edit.opened(settings).unwrap(),
            suspended: false,
            archived: false,
            note: None,
            created_by: "usr_a".to_owned(),
            created_at: Timestamp(50),
        };
        Promotion::new(terms).unwrap()
    }

    #[track_caller]
    fn check(promotion: &Promotion, now: i64, expected: (State, Option<i64>, Option<(i64, i64)>)) {
        let now = Timestamp(now);
        let boundary = next_boundary(promotion, now).map(|instant| instant.0);
        let place = occupies_calendar(promotion, now).map(|p| (p.start().0, p.end().0));
        assert_eq!((state(promotion, now), boundary, place), expected);
    }

    #[test]
    fn the_state_follows_from_record_and_instant() {
        let running = promotion();
        check(
            &running,
            99,
            (State::Scheduled, Some(100), Some((100, 200))),
        );
        check(&running, 100, (State::Active, Some(200), Some((100, 200))));
        check(&running, 199, (State::Active, Some(200), Some((199, 200))));
        check(&running, 200, (State::Ended, None, None));
        let held = suspend(&running, Timestamp(99)).unwrap();
        check(&held, 99, (State::Suspended, Some(200), None));
        check(&held, 200, (State::Ended, None, None));
        let gone = archive(&held, Timestamp(300)).unwrap();
        check(&gone, 150, (State::Archived, None, None));
    }

    #[test]
    fn boundaries_are_the_only_instants_of_change() {
        for promotion in [promotion(), suspend(&promotion(), Timestamp(0)).unwrap()] {
            for now in 90..210 {
                let (today, tomorrow) = (Timestamp(now), Timestamp(now + 1));
                let changes = state(&promotion, today) != state(&promotion, tomorrow);
                let is_foretold = next_boundary(&promotion, today) == Some(tomorrow);
                // A suspended promotion passes its start unchanged, so its only boundary is its end.
                assert_eq!(changes, is_foretold, "{now}");
            }
        }
    }

    #[test]
    fn steps_are_refused_in_the_wrong_state() {
        let running = promotion();
        let code = |step: Result<Promotion, Refusal>| match step {
            Ok(_) => None,
            Err(Refusal::WrongState { state, .. }) => Some(state),
            Err(Refusal::Invalid(complaints)) => panic!("{complaints:?}"),
        };
        assert_eq!(code(resume(&running, Timestamp(150))), Some(State::Active));
        assert_eq!(code(end(&running, Timestamp(99))), Some(State::Scheduled));
        assert_eq!(code(end(&running, Timestamp(200))), Some(State::Ended));
        assert_eq!(code(suspend(&running, Timestamp(200))), Some(State::Ended));
        let held = suspend(&running, Timestamp(99)).unwrap();
        assert_eq!(suspend(&held, Timestamp(99)), Ok(held.clone()));
        assert_eq!(code(end(&held, Timestamp(99))), Some(State::Suspended));
        assert_eq!(resume(&held, Timestamp(150)), Ok(running.clone()));
        let gone = archive(&running, Timestamp(150)).unwrap();
        assert_eq!(code(archive(&gone, Timestamp(150))), Some(State::Archived));
        assert_eq!(code(resume(&gone, Timestamp(150))), Some(State::Archived));
    }

    #[test]
    fn ending_sets_the_end_to_now() {
        let ended = end(&promotion(), Timestamp(150)).unwrap();
        check(&ended, 150, (State::Ended, None, None));
        assert_eq!(ended.end.text(), "1970-01-01T00:00:00.150Z");
        let at_once = end(&promotion(), Timestamp(100)).unwrap();
        check(&at_once, 101, (State::Ended, None, None));
    }

    #[test]
    fn archiving_closes_the_epoch() {
        let gone = archive(&promotion(), Timestamp(150)).unwrap();
        assert_eq!(gone.open_epoch(), None);
        assert_eq!(
            gone.running_epoch(Timestamp(149)).map(|e| e.number),
            Some(1)
        );
        assert_eq!(gone.running_epoch(Timestamp(150)), None);
    }

    #[test]
    fn restarting_opens_an_epoch_with_its_own_salt_and_share() {
        let share = Percent::from_basis_points(9_000);
        let again = restart_measurement(&promotion(), share, Timestamp(150), 2).unwrap();
        let open = again.open_epoch().unwrap();
        assert_eq!((open.number, open.salt), (2, 2));
        assert_eq!(Some(open.settings.share_shown), share);
        assert_eq!(
            again.running_epoch(Timestamp(149)).map(|e| e.number),
            Some(1)
        );
        assert_eq!(
            again.running_epoch(Timestamp(150)).map(|e| e.number),
            Some(2)
        );
        let gone = archive(&again, Timestamp(160)).unwrap();
        assert!(restart_measurement(&gone, None, Timestamp(170), 3).is_err());
    }
}
