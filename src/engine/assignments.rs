//! Which arms sessions get: the split, told to whoever wants to check it from outside.

use std::collections::BTreeSet;

use crate::access::may::{Object, Verb};
use crate::access::principal::Principal;
use crate::domain::complaint::{Complaint, Fault};
use crate::domain::id::{MarketId, PromotionId, SessionKey};
use crate::engine::error::EngineError;
use crate::engine::markets::market_state;
use crate::engine::snapshot::MeasuredSlot;
use crate::engine::start::Engine;
use crate::measurement::split::Arm;

/// Most sessions of one call.
pub const SESSIONS_MAX: usize = 10_000;

/// Most promotions that a call names: as many as are active at once.
pub const PROMOTIONS_MAX: usize = crate::domain::limits::ACTIVE_PER_MARKET_MAX;

/// Whose arms are asked for.
#[derive(Clone, Debug, Default)]
pub struct AssignmentsAsked {
    /// The sessions.
    pub sessions: Vec<SessionKey>,
    /// Measured promotions; `None` for every one that is active.
    pub promotions: Option<Vec<PromotionId>>,
    /// What reading them found wrong.
    pub faults: Vec<Complaint>,
}

/// The arms of one session, promotions by id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// The session.
    pub session: SessionKey,
    /// Measured promotions that it sees.
    pub shown: Vec<PromotionId>,
    /// Measured promotions that do not exist for it.
    pub withheld: Vec<PromotionId>,
}

impl Engine {
    /// The arms that ranks of a market apply now, in the order of the sessions. Counts nothing.
    ///
    /// # Errors
    /// What the caller may not do; `not-found` for the market; what is wrong with the request, and
    /// `contradiction` at each promotion that is not measured in the market now.
    pub fn assign_sessions(
        &self,
        principal: &Principal,
        market: &MarketId,
        asked: AssignmentsAsked,
    ) -> Result<Vec<Assignment>, EngineError> {
        principal.may(Verb::ReadPromotions, &Object::Market(market))?;
        let (snapshot, now) = (self.snapshot(), self.now());
        let state = market_state(&snapshot, market)?;
        let timed = state.view_at(now).ok_or(EngineError::NotReady)?;
        let id_of = |measured: &MeasuredSlot| timed.view.table().promotion(measured.slot);
        let promotions = asked.promotions;
        let running: BTreeSet<PromotionId> = timed.measured.iter().map(id_of).collect();
        let mut faults = asked.faults;
        for (place, id) in promotions.iter().flatten().enumerate() {
            if !running.contains(id) {
                let why = format!("{id} is not measured in {market} now");
                faults.push(Fault::Contradiction { why }.at(format!("/promotions/{place}")));
            }
        }
        if !faults.is_empty() {
            return Err(EngineError::Invalid(faults));
        }
        let is_asked = |measured: &&MeasuredSlot| {
            let promotions = promotions.as_ref();
            promotions.is_none_or(|promotions| promotions.contains(&id_of(measured)))
        };
        let tossed: Vec<&MeasuredSlot> = timed.measured.iter().filter(is_asked).collect();
        let assigned = |session: SessionKey| {
            let digest = snapshot.secrets.split.digest(&session);
            let arm = |measured: &&&MeasuredSlot| measured.coin.toss(digest) == Arm::Shown;
            let (shown, withheld): (Vec<_>, Vec<_>) = tossed.iter().partition(arm);
            let ids = |of: Vec<&MeasuredSlot>| of.into_iter().map(id_of).collect();
            Assignment {
                session,
                shown: ids(shown),
                withheld: ids(withheld),
            }
        };
        Ok(asked.sessions.into_iter().map(assigned).collect())
    }
}
