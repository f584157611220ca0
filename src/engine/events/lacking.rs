//! What events of other systems lack and counting needs: the currency.

use crate::access::may::{Object, Verb};
use crate::access::principal::Principal;
use crate::domain::id::MarketId;
use crate::engine::start::Engine;

impl Engine {
    /// The currency of a market, for callers that may send it events.
    pub fn currency_of(&self, principal: &Principal, market: &MarketId) -> Option<&'static str> {
        let may = principal.may(Verb::SendEvents, &Object::Market(market));
        may.ok()?;
        let snapshot = self.snapshot();
        let state = snapshot.markets.get(market)?;
        Some(state.held().value.locale.currency.code())
    }
}
