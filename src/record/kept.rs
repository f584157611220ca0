//! A tally's parts as they are kept in a fold tree.
//!
//! They are derived from the log: parts of another schema are not read, and the tally is counted
//! from the beginning again. So the measurement's own forms are written as they are, and no old one
//! must ever be understood.

use crate::measurement::kept::{Part, PartName};
use crate::record::RecordError;
use crate::store::codec::{self, Draft, Kind, Value};
use crate::store::key::Key;

/// Parts of tallies.
const KIND: Kind = Kind(251);

/// Raised whenever a part, or what it means, changes.
const SCHEMA: u16 = 1;

/// Where a part is kept.
pub fn key_of(name: &PartName) -> Key {
    let hex = |bytes: &[u8]| super::hex::encode(bytes);
    let made = match name {
        PartName::Clock => Key::of(&["clock"]),
        PartName::Session(market, digest) => {
            Key::of(&["s", market.as_str(), &hex(&digest.to_bytes())])
        }
        PartName::Order(market, id) => Key::of(&["o", market.as_str(), &hex(&id.0)]),
        PartName::Epoch(market, key) => {
            let epoch = format!("{}-{}", key.promotion, key.number);
            Key::of(&["e", market.as_str(), &epoch])
        }
        PartName::Day(market, key, day, (level, arm, scope)) => {
            let epoch = format!("{}-{}", key.promotion, key.number);
            let (level, arm, scope) = (*level as usize, *arm as usize, *scope as usize);
            let place = format!("{day}-{level}{arm}{scope}");
            Key::of(&["d", market.as_str(), &epoch, &place])
        }
        PartName::Totals(market, promotion, day) => Key::of(&[
            "t",
            market.as_str(),
            &promotion.to_string(),
            &day.to_string(),
        ]),
        PartName::Rollup(market, product, day) => {
            Key::of(&["r", market.as_str(), product.as_str(), &day.to_string()])
        }
        PartName::Quality(market, day) => Key::of(&["q", market.as_str(), &day.to_string()]),
    };
    made.expect("four parts make a key")
}

/// A part with its name, to be kept under [`key_of`] it.
///
/// # Errors
/// [`RecordError::Codec`] for one that is larger than a value may be.
pub fn seal(name: &PartName, part: &Part) -> Result<Draft, RecordError> {
    let payload = codec::encode_dense(&(name, part))?;
    Ok(Draft::new(KIND, SCHEMA, &payload)?)
}

/// What [`seal`] wrote.
///
/// # Errors
/// [`RecordError`]; never a panic, whatever the bytes.
pub fn open(value: &Value) -> Result<(PartName, Part), RecordError> {
    if (value.kind(), value.schema()) != (KIND, SCHEMA) {
        let (kind, schema) = (value.kind().0, value.schema());
        return Err(RecordError::TooNew { kind, schema });
    }
    Ok(codec::decode_dense(&value.payload()?)?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::measurement::tally::Tally;
    use crate::record::sample_events;
    use crate::store::Revision;

    #[test]
    fn a_tally_made_again_from_bytes_is_the_same() {
        let mut tally = Tally::default();
        let mut entries = Vec::new();
        for (own, controls) in sample_events::calls() {
            for control in &controls {
                tally.control(control);
            }
            for entry in &own {
                tally.apply(entry);
            }
            entries.extend(own);
        }
        let changes = tally.take_changes();
        let mut again = Tally::default();
        let mut keys = BTreeSet::new();
        for (name, part) in &changes {
            let key = key_of(name);
            assert!(keys.insert(key.clone()), "{key} twice");
            let value = seal(name, part.as_ref().unwrap()).unwrap();
            let (read, part) = open(&value.seal(&key, Revision(1))).unwrap();
            assert_eq!(read, *name);
            again.put(read, part);
        }
        let markets: BTreeSet<_> = entries.iter().map(|entry| &entry.market).collect();
        assert!(markets.iter().any(|market| tally.sums(market).is_some()));
        for market in markets {
            assert_eq!(again.sums(market), tally.sums(market));
        }
        assert_eq!(again.n_sessions(), tally.n_sessions());
    }

    #[test]
    fn another_schema_is_not_read() {
        let value = Draft::new(KIND, SCHEMA + 1, b"x").unwrap();
        let key = key_of(&PartName::Clock);
        assert!(matches!(
            open(&value.seal(&key, Revision(1))),
            Err(RecordError::TooNew { .. })
        ));
    }
}
