//! Reading who changed what, and who was refused.
//!
//! Entries lie in two spaces: beside the change they describe in the configuration, and outside of
//! it for refusals and for the chain of digests. Here they are one list in order of time. It is
//! read from the disk page by page, and only so much of it at a time that a filter that fits
//! nothing does not read all of it for one answer.

use std::collections::VecDeque;

use crate::access::may::{Object, Verb};
use crate::access::principal::{MarketScope, Principal};
use crate::domain::id::{KeyId, MarketId, PromotionId};
use crate::domain::time::Timestamp;
use crate::engine::error::EngineError;
use crate::engine::keys;
use crate::engine::promotions;
use crate::engine::snapshot::Snapshot;
use crate::engine::start::Engine;
use crate::record::Stored;
use crate::record::desk::AuditV1;
use crate::record::key;
use crate::store::Entry;
use crate::store::commit::CommitId;
use crate::store::key::Key;
use crate::store::space::SpaceStore;

/// What every key of an entry begins with.
pub(in crate::engine) const PREFIX: &str = "audit.";

/// Entries read at a time.
const PAGE: usize = 200;

/// Entries looked at for one answer.
const LOOKED_AT_MAX: usize = 20_000;

/// Which entries to list.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// Only those of this key, user or job.
    pub actor: Option<String>,
    /// Only those about the object at this path, or with this word in its path.
    pub object: Option<String>,
    /// Only those of this action.
    pub action: Option<String>,
    /// Only those from this instant on.
    pub from: Option<Timestamp>,
    /// Only those before this instant.
    pub to: Option<Timestamp>,
}

/// One entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditEntry {
    /// Its own name; ascends with time.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// Id of the key or user, or the name of a job.
    pub actor: String,
    /// Address of the caller.
    pub address: Option<String>,
    /// What was done, or what was asked for.
    pub action: String,
    /// Path of the object.
    pub object: String,
    /// SHA-256 of the object's stored form before, if it stood.
    pub before: Option<[u8; 32]>,
    /// SHA-256 of its stored form after, if it stands.
    pub after: Option<[u8; 32]>,
    /// Code of the refusal.
    pub refused: Option<String>,
}

/// How far the list was read: the last key of each space.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditPlace {
    config: Option<Key>,
    trade: Option<Key>,
}

/// A page of entries and where to go on; `None` at the end.
#[derive(Clone, Debug)]
pub struct AuditPage {
    /// In order of time.
    pub entries: Vec<AuditEntry>,
    /// Where the next page begins.
    pub next: Option<AuditPlace>,
}

impl AuditPlace {
    /// Reads what [`Display`](std::fmt::Display) wrote.
    ///
    /// # Errors
    /// `bad-cursor`.
    pub fn parse(text: &str) -> Result<Self, EngineError> {
        let (config, trade) = text.split_once(' ').ok_or(EngineError::BadCursor)?;
        let read = |text: &str| match text {
            "" => Ok(None),
            text => Key::parse(text).map(Some),
        };
        Ok(Self {
            config: read(config).map_err(|_| EngineError::BadCursor)?,
            trade: read(trade).map_err(|_| EngineError::BadCursor)?,
        })
    }

    /// Before the first entry of an instant.
    fn before(from: Timestamp) -> Self {
        let last = key::audit(from.plus_ms(-1), CommitId([0xff; 16]));
        Self {
            config: Some(last.clone()),
            trade: Some(last),
        }
    }
}

impl std::fmt::Display for AuditPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |key: &Option<Key>| key.as_ref().map_or(String::new(), Key::to_string);
        write!(f, "{} {}", text(&self.config), text(&self.trade))
    }
}

/// One space's entries, read ahead.
struct Tail<'a> {
    space: &'a SpaceStore,
    read: VecDeque<Entry>,
    /// Last key that was read ahead.
    after: Option<Key>,
    is_over: bool,
}

impl<'a> Tail<'a> {
    fn new(space: &'a SpaceStore, after: Option<Key>) -> Self {
        Self {
            space,
            read: VecDeque::new(),
            after,
            is_over: false,
        }
    }

    async fn peek(&mut self) -> Result<Option<&Key>, EngineError> {
        if self.read.is_empty() && !self.is_over {
            let page = self.space.scan(PREFIX, self.after.clone(), PAGE).await?;
            self.is_over = page.len() < PAGE;
            self.after = page.last().map(|entry| entry.key.clone());
            self.read = page.into();
        }
        Ok(self.read.front().map(|entry| &entry.key))
    }
}

/// The entries of both spaces in order of time.
pub(in crate::engine) struct Entries<'a> {
    config: Tail<'a>,
    trade: Tail<'a>,
    place: AuditPlace,
}

impl<'a> Entries<'a> {
    /// From a place on.
    pub(in crate::engine) fn after(engine: &'a Engine, place: AuditPlace) -> Self {
        Self {
            config: Tail::new(engine.config(), place.config.clone()),
            trade: Tail::new(engine.trade(), place.trade.clone()),
            place,
        }
    }

    /// From an instant on.
    pub(in crate::engine) fn from(engine: &'a Engine, from: Timestamp) -> Self {
        Self::after(engine, AuditPlace::before(from))
    }

    /// The next entry; of two with one key that of the configuration.
    pub(in crate::engine) async fn next(&mut self) -> Result<Option<Entry>, EngineError> {
        let config = self.config.peek().await?.cloned();
        let trade = self.trade.peek().await?.cloned();
        let is_config = match (&config, &trade) {
            (Some(config), Some(trade)) => config <= trade,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => return Ok(None),
        };
        if is_config {
            self.place.config = config;
            Ok(self.config.read.pop_front())
        } else {
            self.place.trade = trade;
            Ok(self.trade.read.pop_front())
        }
    }
}

impl Engine {
    /// A page of at most `limit` entries that the caller may see and the filter lets through, in
    /// order of time. It may hold fewer, and even none, where a filter lets little through.
    ///
    /// # Errors
    /// What the caller may not do; `store-unavailable` while the index is rebuilt.
    pub async fn audit(
        &self,
        principal: &Principal,
        filter: &AuditFilter,
        after: Option<AuditPlace>,
        limit: usize,
    ) -> Result<AuditPage, EngineError> {
        principal.may(Verb::ReadAudit, &Object::Anywhere)?;
        let snapshot = self.snapshot();
        let begins = filter.from.map(AuditPlace::before).unwrap_or_default();
        let mut entries = Entries::after(self, after.unwrap_or(begins));
        let mut page = AuditPage {
            entries: Vec::new(),
            next: None,
        };
        for _ in 0..LOOKED_AT_MAX {
            let place = entries.place.clone();
            let Some(entry) = entries.next().await? else {
                return Ok(page);
            };
            let form = AuditV1::open(&entry.value)?;
            if filter.to.is_some_and(|to| to <= Timestamp(form.at)) {
                return Ok(page);
            }
            let own = AuditEntry::of(&entry.key, form);
            if !filter.fits(&own) || !sees(&snapshot, principal, &own) {
                continue;
            }
            if page.entries.len() == limit {
                page.next = Some(place);
                return Ok(page);
            }
            page.entries.push(own);
        }
        page.next = Some(entries.place);
        Ok(page)
    }
}

impl AuditFilter {
    fn fits(&self, entry: &AuditEntry) -> bool {
        let is = |wanted: &Option<String>, own: &str| wanted.as_deref().is_none_or(|w| w == own);
        let is_object = |wanted: &String| {
            *wanted == entry.object || entry.object.split('/').any(|word| word == wanted)
        };
        is(&self.actor, &entry.actor)
            && is(&self.action, &entry.action)
            && self.object.as_ref().is_none_or(is_object)
            && self.from.is_none_or(|from| from <= entry.at)
            && self.to.is_none_or(|to| entry.at < to)
    }
}

impl AuditEntry {
    fn of(key: &Key, form: AuditV1) -> Self {
        let id = key.as_str().strip_prefix(PREFIX).unwrap_or_default();
        let object = match form.refused {
            Some(_) => form.object,
            None => path_of(&form.object),
        };
        Self {
            id: id.replace('.', "-"),
            at: Timestamp(form.at),
            actor: form.actor,
            address: form.address,
            action: form.action,
            object,
            before: form.before,
            after: form.after,
            refused: form.refused,
        }
    }
}

/// Where the API has the record of a key; the key itself where it has none.
fn path_of(record: &str) -> String {
    let mut parts = record.split('.');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("market"), Some(market), None) => format!("/v1/markets/{market}"),
        (Some("promo"), Some(id), None) => format!("/v1/promotions/{id}"),
        (Some("key"), Some(id), None) => format!("/v1/keys/{id}"),
        (Some("imp"), Some(id), None) => format!("/v1/imports/{id}"),
        (Some("map"), Some(market), Some(name)) => {
            format!("/v1/markets/{market}/feed-mappings/{name}")
        }
        _ => record.to_owned(),
    }
}

/// Whether an entry tells a caller nothing from beyond its markets: it is about an object that it
/// may see, or about what was done by a key that it manages.
fn sees(snapshot: &Snapshot, principal: &Principal, entry: &AuditEntry) -> bool {
    if principal.markets == MarketScope::All {
        return true;
    }
    let manages = |id: &str| {
        let id = KeyId::parse(id).ok();
        id.is_some_and(|id| keys::manageable(snapshot, principal, id).is_ok())
    };
    let mut words = entry.object.split('/').skip(2);
    let sees_object = match (words.next(), words.next()) {
        (Some("markets"), Some(market)) => {
            MarketId::parse(market).is_ok_and(|market| principal.markets.holds(&market))
        }
        (Some("promotions"), Some(id)) => PromotionId::parse(id)
            .is_ok_and(|id| promotions::visible(snapshot, principal, id).is_ok()),
        (Some("keys"), Some(id)) => manages(id),
        _ => false,
    };
    sees_object || manages(&entry.actor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(record: &str, expected: &str) {
        assert_eq!(path_of(record), expected);
    }

    #[test]
    fn objects_are_named_by_their_paths() {
        check("market.se", "/v1/markets/se");
        check("promo.prm_1", "/v1/promotions/prm_1");
        check("key.key_1", "/v1/keys/key_1");
        check("map.se.shop", "/v1/markets/se/feed-mappings/shop");
        check("meta.store", "meta.store");
    }

    #[test]
    fn places_come_back_from_cursors() {
        let place = AuditPlace::before(Timestamp(5));
        assert_eq!(AuditPlace::parse(&place.to_string()).unwrap(), place);
        let none = AuditPlace::default();
        assert_eq!(AuditPlace::parse(&none.to_string()).unwrap(), none);
        assert!(AuditPlace::parse("audit.1").is_err());
        assert!(AuditPlace::parse("! ").is_err());
    }

    #[test]
    fn filters_take_whole_words() {
        let entry = AuditEntry {
            id: String::new(),
            at: Timestamp(5),
            actor: "key_1".to_owned(),
            address: None,
            action: "promotion.edit".to_owned(),
            object: "/v1/promotions/prm_1/suspend".to_owned(),
            before: None,
            after: None,
            refused: None,
        };
        let fits = |change: fn(&mut AuditFilter)| {
            let mut filter = AuditFilter::default();
            change(&mut filter);
            filter.fits(&entry)
        };
        assert!(fits(|_| ()));
        assert!(fits(|filter| filter.object = Some("prm_1".to_owned())));
        assert!(fits(
            |filter| filter.object = Some("/v1/promotions/prm_1/suspend".to_owned())
        ));
        assert!(!fits(|filter| filter.object = Some("prm".to_owned())));
        assert!(fits(|filter| filter.actor = Some("key_1".to_owned())));
        assert!(!fits(|filter| filter.actor = Some("key_2".to_owned())));
        assert!(!fits(
            |filter| filter.action = Some("promotion.create".to_owned())
        ));
        assert!(fits(|filter| filter.from = Some(Timestamp(5))));
        assert!(!fits(|filter| filter.from = Some(Timestamp(6))));
        assert!(!fits(|filter| filter.to = Some(Timestamp(5))));
        assert!(fits(|filter| filter.to = Some(Timestamp(6))));
    }
}
