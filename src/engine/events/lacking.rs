//! What events of other systems lack and counting needs: the currency, and the order's id.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

use crate::access::may::{Object, Verb};
use crate::access::principal::Principal;
use crate::domain::id::{MarketId, SessionKey};
use crate::engine::start::Engine;

/// Equal payments of one session within a window of this length are one.
const WINDOW_MS: i64 = 600_000;

impl Engine {
    /// The currency of a market, for callers that may send it events.
    pub fn currency_of(&self, principal: &Principal, market: &MarketId) -> Option<&'static str> {
        let may = principal.may(Verb::SendEvents, &Object::Market(market));
        may.ok()?;
        let snapshot = self.snapshot();
        let state = snapshot.markets.get(market)?;
        Some(state.held().value.locale.currency.code())
    }

    /// A name for an order that has none: the same for equal bodies of one session within ten
    /// minutes of the clock, so a thank-you page that is reloaded is one order. One reloaded across
    /// the edge of two windows is two.
    pub fn name_order(&self, market: &MarketId, session: &SessionKey, body: &[u8]) -> String {
        order_name(market, session, body, self.now().0.div_euclid(WINDOW_MS))
    }
}

fn order_name(market: &MarketId, session: &SessionKey, body: &[u8], window: i64) -> String {
    let mut hash = Sha256::new();
    for part in [market.as_str().as_bytes(), session.as_str().as_bytes()] {
        hash.update(part.len().to_le_bytes());
        hash.update(part);
    }
    hash.update(window.to_le_bytes());
    hash.update(body);
    let mut name = "unnamed-".to_owned();
    for byte in &hash.finalize()[..16] {
        write!(name, "{byte:02x}").expect("a text takes whatever is written");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_is_told_by_market_session_body_and_window() {
        let of = |market: &str, session: &str, body: &str, window| {
            let market = MarketId::parse(market).unwrap();
            let session = SessionKey::parse(session).unwrap();
            order_name(&market, &session, body.as_bytes(), window)
        };
        let name = of("se", "s", "{}", 1);
        assert_eq!(name.len(), 40);
        assert_eq!(name, of("se", "s", "{}", 1));
        for other in [
            of("no", "s", "{}", 1),
            of("ses", "s", "{}", 1),
            of("se", "t", "{}", 1),
            of("se", "s", "[]", 1),
            of("se", "s", "{}", 2),
        ] {
            assert_ne!(name, other);
        }
    }
}
