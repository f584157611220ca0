//! Reading a key as wished for: making and editing one.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::access::key::{ApiKey, KeyRecord, KeyTerms, check_principal, check_rate, tag_role};
use crate::access::key::{NAME_CHARS_MAX, SCOPE_MAX};
use crate::access::principal::{Actor, Grant, MarketScope, Principal, Role};
use crate::domain::complaint::{Complaint, Complaints, Fault};
use crate::domain::id::{KeyId, MarketId, SellerKey};
use crate::domain::text;
use crate::domain::time::{DAY_MS, Timestamp};

/// Days after which a key ends unless it says otherwise; public keys then never end.
pub const LIFE_DAYS: i64 = 365;

/// Most days until a key ends: two years, a leap day among them.
pub const LIFE_DAYS_MAX: i64 = 731;

/// A key as wished for: texts, with `None` for what is absent or null.
#[derive(Clone, Debug, Default)]
pub struct KeyDraft {
    /// Its name for people.
    pub name: Option<String>,
    /// What it is; at least one.
    pub roles: Option<Vec<String>>,
    /// Where.
    pub markets: Option<ScopeDraft>,
    /// For whom, if it acts for sellers.
    pub sellers: Vec<String>,
    /// Extra rights.
    pub grants: Vec<String>,
    /// Web origins a public key may be used from.
    pub origins: Vec<String>,
    /// A time with offset.
    pub expires_at: Option<String>,
    /// Calls a second.
    pub rate: Option<i64>,
    /// What was wrong with it before it became a draft; told with everything else.
    pub faults: Vec<Complaint>,
}

/// Markets as sent.
#[derive(Clone, Debug)]
pub enum ScopeDraft {
    /// A bare text; `*` is the only one that means something.
    Text(String),
    /// Keys of markets. They need not exist: what lies outside is refused either way.
    List(Vec<String>),
}

/// What the server adds to a draft when it makes a key.
#[derive(Clone, Debug)]
pub struct KeyMade {
    /// The new id.
    pub id: KeyId,
    /// Key or user.
    pub by: String,
    /// The instant.
    pub at: Timestamp,
    /// The secret's random bytes.
    pub random: [u8; 32],
}

impl KeyRecord {
    /// Makes a key from a draft, with the secret that is shown once.
    ///
    /// Whether the caller holds what it hands out is asked by [`Principal::may_grant`].
    ///
    /// # Errors
    /// All complaints at once, with pointers as the API names the fields.
    pub fn create(draft: KeyDraft, made: KeyMade) -> Result<(Self, ApiKey), Vec<Complaint>> {
        let read = read_draft(draft, made.id, (made.at, None))?;
        let key = ApiKey::new(tag_role(&read.principal), made.random);
        let record = Self::new(KeyTerms {
            id: made.id,
            name: read.name,
            principal: Arc::new(read.principal),
            digests: vec![(key.digest(), None)],
            created: made.at,
            created_by: made.by,
        })?;
        Ok((record, key))
    }

    /// The key as the draft has it from `now` on; id, origin and secrets stay. Another end is
    /// counted from `now`; one that stays as it was may be over.
    ///
    /// # Errors
    /// All complaints at once, with pointers as the API names the fields.
    pub fn edit(&self, draft: KeyDraft, now: Timestamp) -> Result<Self, Vec<Complaint>> {
        let read = read_draft(draft, self.id, (now, self.principal.expires))?;
        let mut terms = self.clone().into_terms();
        terms.name = read.name;
        terms.principal = Arc::new(read.principal);
        Self::new(terms)
    }

    /// The draft that reads as this key: what a merge patch is applied to.
    pub fn draft(&self) -> KeyDraft {
        let own = &self.principal;
        let markets = match &own.markets {
            MarketScope::All => ScopeDraft::Text("*".to_owned()),
            MarketScope::Only(markets) => {
                ScopeDraft::List(markets.iter().map(ToString::to_string).collect())
            }
        };
        let roles = own.roles.iter().map(|role| role.as_str().to_owned());
        let grants = own.grants.iter().map(|grant| grant.as_str().to_owned());
        KeyDraft {
            name: Some(self.name.clone()),
            roles: Some(roles.collect()),
            markets: Some(markets),
            sellers: own.sellers.iter().map(ToString::to_string).collect(),
            grants: grants.collect(),
            origins: own.origins.clone(),
            expires_at: own.expires.map(|end| end.to_string()),
            rate: own.rate.map(i64::from),
            faults: Vec::new(),
        }
    }
}

struct Read {
    name: String,
    principal: Principal,
}

/// Reads every field; `times` are now and the end that stands already, if any.
fn read_draft(
    draft: KeyDraft,
    id: KeyId,
    times: (Timestamp, Option<Timestamp>),
) -> Result<Read, Vec<Complaint>> {
    let mut complaints = Complaints::after(draft.faults);
    let name = draft.name.as_deref().ok_or(Fault::Required);
    let name = name.and_then(|name| text::bounded(name, NAME_CHARS_MAX));
    let name = complaints.take("/name", name.map(Into::into));
    let roles = read_roles(draft.roles, &mut complaints);
    let markets = read_markets(draft.markets, &mut complaints);
    let sellers = read_set(
        "/sellers",
        &draft.sellers,
        SellerKey::parse,
        &mut complaints,
    );
    let grants = read_set("/grants", &draft.grants, Grant::parse, &mut complaints);
    let is_public = roles.iter().flatten().eq([&Role::StorefrontPublic]);
    let expires = read_end(draft.expires_at.as_deref(), is_public, times);
    let expires = complaints.take("/expires_at", expires);
    let rate = complaints.take("/rate", draft.rate.map(check_rate).transpose());
    // What was not readable is named already, so it stands in for something harmless here.
    let read_roles = roles.clone().unwrap_or_else(|| BTreeSet::from([Role::Ops]));
    let principal = Principal {
        by: Actor::Key(id),
        roles: read_roles,
        markets: markets.clone().unwrap_or(MarketScope::All),
        sellers: sellers.clone().unwrap_or_default(),
        grants: grants.unwrap_or_default(),
        origins: distinct(draft.origins),
        rate: rate.flatten(),
        expires: expires.unwrap_or(Some(times.0)),
    };
    let mut across = Complaints::new();
    check_principal(&principal, &mut across);
    let unread = |complaint: &Complaint| complaint.pointer == "/sellers" && sellers.is_none();
    let across = across
        .into_vec()
        .into_iter()
        .filter(|complaint| !unread(complaint));
    complaints.take_all::<()>("", Err(across.collect()));
    let read = name.map(|name| Read { name, principal });
    complaints.finish(read)
}

/// Every readable role if any was read; `None` if nothing can be said about them.
fn read_roles(texts: Option<Vec<String>>, complaints: &mut Complaints) -> Option<BTreeSet<Role>> {
    let Some(texts) = texts else {
        complaints.add("/roles", Fault::Required);
        return None;
    };
    read_set("/roles", &texts, Role::parse, complaints)
}

fn read_markets(draft: Option<ScopeDraft>, complaints: &mut Complaints) -> Option<MarketScope> {
    match draft {
        None => {
            complaints.add("/markets", Fault::Required);
            None
        }
        Some(ScopeDraft::Text(text)) if text == "*" => Some(MarketScope::All),
        Some(ScopeDraft::Text(text)) => {
            complaints.add(
                "/markets",
                Fault::bad_format("a list of markets or \"*\"", &text),
            );
            None
        }
        Some(ScopeDraft::List(texts)) => {
            read_set("/markets", &texts, MarketId::parse, complaints).map(MarketScope::Only)
        }
    }
}

/// The entries of a list, repeats counted once; `None` if one of them cannot be read, or if there
/// are too many to be read at all.
fn read_set<T: Ord>(
    pointer: &str,
    texts: &[String],
    parse: impl Fn(&str) -> Result<T, Fault>,
    complaints: &mut Complaints,
) -> Option<BTreeSet<T>> {
    if SCOPE_MAX < texts.len() {
        let (have, max) = (texts.len(), SCOPE_MAX);
        complaints.add(pointer, Fault::TooMany { have, max });
        return None;
    }
    let mut set = BTreeSet::new();
    let mut n_read = 0;
    for (place, entry) in texts.iter().enumerate() {
        if let Some(value) = complaints.take(format!("{pointer}/{place}"), parse(entry)) {
            set.insert(value);
            n_read += 1;
        }
    }
    (n_read == texts.len()).then_some(set)
}

/// Entries at their first place.
fn distinct(texts: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    texts
        .into_iter()
        .filter(|text| seen.insert(text.clone()))
        .collect()
}

/// When the key ends; `None` for a public one that never does.
fn read_end(
    text: Option<&str>,
    is_public: bool,
    (now, standing): (Timestamp, Option<Timestamp>),
) -> Result<Option<Timestamp>, Fault> {
    let Some(text) = text else {
        return Ok((!is_public).then(|| now.plus_ms(LIFE_DAYS * DAY_MS)));
    };
    let end = Timestamp::parse(text)?;
    let last = now.plus_ms(LIFE_DAYS_MAX * DAY_MS);
    if standing != Some(end) && (end <= now || last < end) {
        return Err(Fault::OutOfRange {
            found: text.to_owned(),
            allowed: format!("after {now}, at most two years later"),
        });
    }
    Ok(Some(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::key::{KeyDigest, KeyRefusal};

    const NOW: &str = "2027-03-08T05:00:00.000Z";

    fn now() -> Timestamp {
        Timestamp::parse(NOW).unwrap()
    }

    fn made() -> KeyMade {
        KeyMade {
            id: KeyId([7; 16]),
            by: "system".to_owned(),
            at: now(),
            random: [1; 32],
        }
    }

    fn texts(words: &str) -> Vec<String> {
        words.split_whitespace().map(str::to_owned).collect()
    }

    fn wish(roles: &str) -> KeyDraft {
        KeyDraft {
            name: Some("shop".to_owned()),
            roles: Some(texts(roles)),
            markets: Some(ScopeDraft::List(texts("se no"))),
            ..KeyDraft::default()
        }
    }

    #[track_caller]
    fn check(draft: KeyDraft, expected: &[(&str, &str)]) {
        let complaints = KeyRecord::create(draft, made()).err().unwrap_or_default();
        let found: Vec<_> = complaints
            .iter()
            .map(|complaint| (complaint.pointer.as_str(), complaint.fault.code()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_wished_key_is_made_with_its_secret() {
        let (record, key) = KeyRecord::create(wish("merchandiser"), made()).unwrap();
        assert!(key.expose().starts_with("ec_mer_"));
        assert_eq!(record.digests, [(key.digest(), None)]);
        assert_eq!(record.principal.by, Actor::Key(record.id));
        let year = now().plus_ms(365 * DAY_MS);
        assert_eq!(record.principal.expires, Some(year));
        assert_eq!((&*record.created_by, record.created), ("system", now()));
        let (record, key) = KeyRecord::create(wish("ops analyst operator"), made()).unwrap();
        assert!(key.expose().starts_with("ec_opr_"));
        assert_eq!(record.principal.roles.len(), 3);
    }

    #[test]
    fn everything_wrong_is_named_at_once() {
        check(
            KeyDraft {
                name: Some("x".repeat(101)),
                roles: Some(texts("merchandiser anlyst seller")),
                markets: Some(ScopeDraft::Text("se".to_owned())),
                grants: texts("profits"),
                origins: texts("https://shop.example/"),
                expires_at: Some("tomorrow".to_owned()),
                rate: Some(0),
                ..KeyDraft::default()
            },
            &[
                ("/name", "too-long"),
                ("/roles/1", "unknown-value"),
                ("/markets", "bad-format"),
                ("/grants/0", "unknown-value"),
                ("/expires_at", "bad-format"),
                ("/rate", "out-of-range"),
                ("/origins/0", "bad-format"),
            ],
        );
        check(
            KeyDraft::default(),
            &[
                ("/name", "required"),
                ("/roles", "required"),
                ("/markets", "required"),
            ],
        );
    }

    #[test]
    fn roles_combine_but_the_public_one_stands_alone() {
        check(wish("merchandiser analyst ops"), &[]);
        check(wish("storefront-public"), &[]);
        check(
            wish("storefront-public ops"),
            &[("/roles", "contradiction")],
        );
        check(wish(""), &[("/roles", "too-few")]);
        check(wish("seller"), &[("/sellers", "required")]);
        check(
            KeyDraft {
                sellers: texts("fjord"),
                ..wish("seller")
            },
            &[],
        );
        check(
            KeyDraft {
                sellers: vec![String::new()],
                ..wish("seller")
            },
            &[("/sellers/0", "too-short")],
        );
    }

    #[test]
    fn markets_are_a_list_or_a_star() {
        let with = |markets| KeyDraft {
            markets: Some(markets),
            ..wish("ops")
        };
        check(with(ScopeDraft::Text("*".to_owned())), &[]);
        check(with(ScopeDraft::List(texts("se se"))), &[]);
        check(
            with(ScopeDraft::List(Vec::new())),
            &[("/markets", "too-few")],
        );
        check(
            with(ScopeDraft::List(texts("se SE"))),
            &[("/markets/1", "bad-format")],
        );
        let many = vec!["se".to_owned(); SCOPE_MAX + 1];
        check(with(ScopeDraft::List(many)), &[("/markets", "too-many")]);
    }

    #[test]
    fn keys_end_within_two_years() {
        let with = |end: &str, roles| KeyDraft {
            expires_at: Some(end.to_owned()),
            ..wish(roles)
        };
        check(with("2029-03-08T05:00:00Z", "ops"), &[]);
        check(
            with("2029-03-08T05:00:00.001Z", "ops"),
            &[("/expires_at", "out-of-range")],
        );
        check(with(NOW, "ops"), &[("/expires_at", "out-of-range")]);
        check(
            with("2030-01-01T00:00:00Z", "storefront-public"),
            &[("/expires_at", "out-of-range")],
        );
        let (public, _) = KeyRecord::create(wish("storefront-public"), made()).unwrap();
        assert_eq!(public.principal.expires, None);
    }

    #[test]
    fn origins_are_spelled_as_browsers_send_them() {
        let origins = |words: &str| KeyDraft {
            origins: texts(words),
            ..wish("storefront-public")
        };
        check(
            origins(
                "* https://shop.example http://localhost:3000 https://[::1]:8443 app://x https://[::1]",
            ),
            &[],
        );
        for odd in [
            "shop.example",
            "https://",
            "https://shop.example/",
            "https://Shop.example",
            "https://shop.example:443",
            "http://shop.example:080",
            "https://shop.example:0",
            "https://user@shop.example",
            "https://[::1",
            "null",
            "1s://shop",
        ] {
            check(origins(odd), &[("/origins/0", "bad-format")]);
        }
        let many: Vec<_> = (0..101).map(|n| format!("https://s{n}.example")).collect();
        check(
            KeyDraft {
                origins: many,
                ..wish("storefront-public")
            },
            &[("/origins", "too-many")],
        );
    }

    #[test]
    fn an_edit_keeps_secrets_and_origin() {
        let draft = KeyDraft {
            sellers: texts("fjord"),
            ..wish("seller ops")
        };
        let (record, key) = KeyRecord::create(draft, made()).unwrap();
        let later = now().plus_ms(400 * DAY_MS);
        let same = record.edit(record.draft(), later).unwrap();
        assert_eq!(same, record);
        let draft = KeyDraft {
            name: Some(" new ".to_owned()),
            rate: Some(5),
            ..record.draft()
        };
        let edited = record.edit(draft, later).unwrap();
        assert_eq!((&*edited.name, edited.principal.rate), ("new", Some(5)));
        assert_eq!(edited.digests, [(key.digest(), None)]);
        let draft = KeyDraft {
            expires_at: Some(NOW.to_owned()),
            ..record.draft()
        };
        assert_eq!(
            record.edit(draft, later).unwrap_err()[0].pointer,
            "/expires_at"
        );
    }

    #[test]
    fn two_secrets_open_while_rotating() {
        let (record, first) = KeyRecord::create(wish("ops"), made()).unwrap();
        let (rotated, second) = record.rotate([2; 32], now(), 60).unwrap();
        let at = |ms| now().plus_ms(ms);
        let opens = |record: &KeyRecord, key: &ApiKey, ms| record.open(&key.digest(), at(ms)).err();
        assert_eq!(opens(&rotated, &first, 59_999), None);
        assert_eq!(opens(&rotated, &first, 60_000), Some(KeyRefusal::Expired));
        assert_eq!(opens(&rotated, &second, 60_000), None);
        let (again, third) = rotated.rotate([3; 32], at(1), 60).unwrap();
        assert_eq!(opens(&again, &first, 2), Some(KeyRefusal::Unknown));
        assert_eq!(opens(&again, &second, 2), None);
        let (alone, _) = again.rotate([4; 32], at(3), 0).unwrap();
        assert_eq!(opens(&alone, &third, 3), Some(KeyRefusal::Unknown));
        assert_eq!(
            opens(&again, &third, 365 * DAY_MS),
            Some(KeyRefusal::Expired)
        );
        assert!(record.rotate([2; 32], now(), 86_401).is_err());
        assert!(record.rotate([2; 32], now(), -1).is_err());
        assert!(!KeyDigest::of("x").is_same(&KeyDigest::of("y")));
    }

    #[test]
    fn stored_terms_are_checked_too() {
        let (record, _) = KeyRecord::create(wish("ops"), made()).unwrap();
        let mut terms = record.into_terms();
        terms.digests.clear();
        terms.principal = Arc::new(Principal {
            expires: None,
            ..(*terms.principal).clone()
        });
        terms.id = KeyId([8; 16]);
        let found = KeyRecord::new(terms).unwrap_err();
        let pointers: Vec<_> = found.iter().map(|complaint| &*complaint.pointer).collect();
        assert_eq!(pointers, ["/expires_at", "/id", "/digests"]);
    }
}
