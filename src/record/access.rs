//! API keys.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::access::key::{KeyDigest, KeyRecord, KeyTerms};
use crate::access::principal::{Actor, Grant, MarketScope, Principal, Role};
use crate::domain::complaint::Fault;
use crate::domain::id::{KeyId, MarketId, SellerKey};
use crate::domain::time::Timestamp;
use crate::record::{RecordError, Stored, hex};
use crate::store::codec::Kind;

/// An API key; of its secrets only the digests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyV1 {
    #[serde(with = "hex::one")]
    id: [u8; 16],
    name: String,
    roles: Vec<String>,
    /// Absent: all markets, also those to come.
    markets: Option<Vec<String>>,
    sellers: Vec<String>,
    grants: Vec<String>,
    origins: Vec<String>,
    expires: Option<i64>,
    /// SHA-256 of each living secret, newest first, and when it ends, if before the key.
    #[serde(with = "hex::pairs")]
    digests: Vec<([u8; 32], Option<i64>)>,
    created: i64,
    created_by: String,
    /// Calls a second.
    rate: Option<u32>,
}

impl Stored for KeyV1 {
    const KIND: Kind = Kind(20);
    const SCHEMA: u16 = 1;

    fn check(self) -> Result<(), RecordError> {
        KeyRecord::try_from(self).map(drop)
    }
}

impl From<&KeyRecord> for KeyV1 {
    fn from(key: &KeyRecord) -> Self {
        let own = &key.principal;
        let markets = match &own.markets {
            MarketScope::All => None,
            MarketScope::Only(markets) => Some(markets.iter().map(ToString::to_string).collect()),
        };
        let ends = |end: Option<Timestamp>| end.map(|end| end.0);
        Self {
            id: key.id.0,
            name: key.name.clone(),
            roles: own
                .roles
                .iter()
                .map(|role| role.as_str().to_owned())
                .collect(),
            markets,
            sellers: own.sellers.iter().map(ToString::to_string).collect(),
            grants: own
                .grants
                .iter()
                .map(|grant| grant.as_str().to_owned())
                .collect(),
            origins: own.origins.clone(),
            expires: ends(own.expires),
            digests: key
                .digests
                .iter()
                .map(|(digest, end)| (digest.0, ends(*end)))
                .collect(),
            created: key.created.0,
            created_by: key.created_by.clone(),
            rate: own.rate,
        }
    }
}

impl TryFrom<KeyV1> for KeyRecord {
    type Error = RecordError;

    fn try_from(stored: KeyV1) -> Result<Self, RecordError> {
        let id = KeyId(stored.id);
        let markets = match &stored.markets {
            None => MarketScope::All,
            Some(markets) => MarketScope::Only(all("markets", markets, MarketId::parse)?),
        };
        let principal = Principal {
            by: Actor::Key(id),
            roles: all("roles", &stored.roles, Role::parse)?,
            markets,
            sellers: all("sellers", &stored.sellers, SellerKey::parse)?,
            grants: all("grants", &stored.grants, Grant::parse)?,
            origins: stored.origins,
            rate: stored.rate,
            expires: stored.expires.map(Timestamp),
        };
        let digests = stored.digests.into_iter();
        let terms = KeyTerms {
            id,
            name: stored.name,
            principal: Arc::new(principal),
            digests: digests
                .map(|(own, end)| (KeyDigest(own), end.map(Timestamp)))
                .collect(),
            created: Timestamp(stored.created),
            created_by: stored.created_by,
        };
        Self::new(terms).map_err(|complaints| RecordError::complaints("key", &complaints))
    }
}

fn all<T, C: FromIterator<T>>(
    name: &str,
    texts: &[String],
    parse: impl Fn(&str) -> Result<T, Fault>,
) -> Result<C, RecordError> {
    let read = |text: &String| parse(text).map_err(|fault| RecordError::field(name, fault));
    texts.iter().map(read).collect()
}
