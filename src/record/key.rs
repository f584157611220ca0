//! Which key a record of each kind has.

use crate::domain::id::{ImportId, KeyId, MarketId, PromotionId};
use crate::domain::time::Timestamp;
use crate::store::Revision;
use crate::store::commit::CommitId;
use crate::store::key::Key;

/// The store's own record: secrets and creation.
pub fn meta() -> Key {
    key(&["meta", "store"])
}

/// A market's settings and its catalogue's generation.
pub fn market(market: &MarketId) -> Key {
    key(&["market", market.as_str()])
}

/// The commit point of a market's calendars.
pub fn calendar(market: &MarketId) -> Key {
    key(&["cal", market.as_str()])
}

/// A promotion or demotion.
pub fn promotion(id: PromotionId) -> Key {
    key(&["promo", &id.to_string()])
}

/// An API key.
pub fn api_key(id: KeyId) -> Key {
    key(&["key", &id.to_string()])
}

/// A feed mapping of a market.
pub fn mapping(market: &MarketId, name: &str) -> Key {
    key(&["map", market.as_str(), name])
}

/// An audit entry; keys ascend with time.
pub fn audit(at: Timestamp, id: CommitId) -> Key {
    let [a, b, c, d, ..] = id.0;
    let tail = u32::from_be_bytes([a, b, c, d]);
    let at_ms = at.0.max(0);
    key(&["audit", &format!("{at_ms:012x}"), &format!("{tail:08x}")])
}

/// What every key of a promotion's history begins with.
pub fn past_of(id: PromotionId) -> String {
    format!("past.{id}.")
}

/// A change in the history of a promotion, named by the revision at which it stood before, 0 for
/// none: so keys ascend change by change, also inside a millisecond.
pub fn past(id: PromotionId, before: Revision) -> Key {
    key(&["past", &id.to_string(), &format!("{:016x}", before.0)])
}

/// The stored answer of an idempotent request.
pub fn answer(id: CommitId) -> Key {
    key(&["idem", &format!("{:032x}", u128::from_be_bytes(id.0))])
}

/// The result of an import.
pub fn import(id: ImportId) -> Key {
    key(&["imp", &id.to_string()])
}

/// Last day of use of an API key.
pub fn used(id: KeyId) -> Key {
    key(&["used", &id.to_string()])
}

/// A node's write watchdog.
pub fn probe(node: &str) -> Key {
    key(&["probe", node])
}

fn key(parts: &[&str]) -> Key {
    Key::of(parts).expect("parts are escaped to at most 60 bytes, and there are at most three")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(key: &Key, expected: &str) {
        assert_eq!(key.as_str(), expected);
    }

    #[test]
    fn keys_are_spelled_as_the_store_draws_them() {
        let se = MarketId::parse("se").unwrap();
        check(&meta(), "meta.store");
        check(&market(&se), "market.se");
        check(&calendar(&se), "cal.se");
        check(
            &promotion(PromotionId([0; 16])),
            "promo.prm_00000000000000000000000000",
        );
        check(&mapping(&se, "Röd"), "map.se.=klb3mza");
        let id = CommitId([0xab; 16]);
        check(&audit(Timestamp(0x123), id), "audit.000000000123.abababab");
        let past = past(PromotionId([0; 16]), Revision(0x123));
        check(
            &past,
            "past.prm_00000000000000000000000000.0000000000000123",
        );
        assert!(past.as_str().starts_with(&past_of(PromotionId([0; 16]))));
        check(&answer(id), "idem.abababababababababababababababab");
    }
}
