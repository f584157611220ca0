//! API keys: their form, their digests, their records, and whose a key is.

use std::ops::Deref;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::access::principal::{Actor, MarketScope, Principal, Role};
use crate::domain::complaint::{Complaint, Complaints, Fault};
use crate::domain::id::KeyId;
use crate::domain::text;
use crate::domain::time::Timestamp;

/// Most Unicode scalar values of a key's name.
pub const NAME_CHARS_MAX: usize = 100;

/// Most markets or sellers of one key.
pub const SCOPE_MAX: usize = 1_000;

/// Most web origins of one key.
pub const ORIGINS_MAX: usize = 100;

/// Least and greatest number of calls a second that a key may be held to.
pub const RATE: (u32, u32) = (1, 100_000);

/// Most seconds for which the secret before still opens after a rotation.
pub const GRACE_S_MAX: u32 = 86_400;

/// Secrets that live at the same time: the newest and, while rotating, the one before.
const DIGESTS_MAX: usize = 2;

/// Characters of the random part of a key: 32 bytes in base64url.
const SECRET_CHARS: usize = 43;

/// A key as its holder has it; shown once, never kept.
#[derive(Debug)]
pub struct ApiKey(SecretString);

impl ApiKey {
    /// Makes a key of a role's tag and 32 random bytes.
    pub fn new(role: Role, random: [u8; 32]) -> Self {
        Self(format!("ec_{}_{}", role.tag(), URL_SAFE_NO_PAD.encode(random)).into())
    }

    /// The text, to be shown to its holder.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// What is kept of it.
    pub fn digest(&self) -> KeyDigest {
        KeyDigest::of(self.expose())
    }
}

/// SHA-256 of a key. The key has 256 random bits, so a slow hash would add nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyDigest(pub [u8; 32]);

impl KeyDigest {
    /// The digest of a key's whole text, well-formed or not: unknown and malformed keys take the
    /// same path.
    pub fn of(text: &str) -> Self {
        Self(Sha256::digest(text.as_bytes()).into())
    }

    /// Whether both are of one key, in a time that does not tell where they differ.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl std::fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyDigest(…)")
    }
}

/// Whether a text has the form of a key of a public role.
pub fn looks_public(text: &str) -> bool {
    let secret = text.strip_prefix("ec_pub_");
    secret.is_some_and(|secret| secret.len() == SECRET_CHARS)
}

/// What stands in the record of an API key; its secrets do not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyTerms {
    /// Given by the server.
    pub id: KeyId,
    /// 1 to 100 Unicode scalar values, for people; keys may share a name.
    pub name: String,
    /// Whom it stands for, and when it ends.
    pub principal: Arc<Principal>,
    /// Digests of the living secrets, newest first, each with the first instant at which it opens
    /// nothing, if it is to end before the key. Two while the key is being rotated.
    pub digests: Vec<(KeyDigest, Option<Timestamp>)>,
    /// When it was made.
    pub created: Timestamp,
    /// Key or user who made it.
    pub created_by: String,
}

/// An API key: [`KeyTerms`] that hold together. They can be read here and not written; every
/// change makes another record, through a constructor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord(KeyTerms);

impl Deref for KeyRecord {
    type Target = KeyTerms;

    fn deref(&self) -> &KeyTerms {
        &self.0
    }
}

impl KeyRecord {
    /// Checks terms that were stored or put together elsewhere.
    ///
    /// # Errors
    /// All of them at once, with pointers as the API names the fields.
    pub fn new(mut terms: KeyTerms) -> Result<Self, Vec<Complaint>> {
        let mut complaints = Complaints::new();
        let name = text::bounded(&terms.name, NAME_CHARS_MAX).map(Into::into);
        if let Some(name) = complaints.take("/name", name) {
            terms.name = name;
        }
        check_principal(&terms.principal, &mut complaints);
        if terms.principal.by != Actor::Key(terms.id) {
            let why = "the key stands for somebody else".to_owned();
            complaints.add("/id", Fault::Contradiction { why });
        }
        check_count(
            "/digests",
            terms.digests.len(),
            (1, DIGESTS_MAX),
            &mut complaints,
        );
        complaints.finish(Some(Self(terms)))
    }

    /// The terms, for changing them.
    pub fn into_terms(self) -> KeyTerms {
        self.0
    }

    /// The role whose tag stands in its secrets: operator, if it is one, else the first it has.
    pub fn tag_role(&self) -> Role {
        tag_role(&self.principal)
    }

    /// Whom the secret of this digest stands for at `now`.
    ///
    /// # Errors
    /// `Unknown` for a digest that is none of its own, `Expired` from the end of the secret or of
    /// the key on.
    pub fn open(&self, digest: &KeyDigest, now: Timestamp) -> Result<Arc<Principal>, KeyRefusal> {
        let own = self.digests.iter().find(|(own, _)| own.is_same(digest));
        let (_, secret_ends) = own.ok_or(KeyRefusal::Unknown)?;
        let ends = secret_ends.iter().chain(&self.principal.expires);
        if ends.into_iter().any(|end| *end <= now) {
            return Err(KeyRefusal::Expired);
        }
        Ok(Arc::clone(&self.principal))
    }

    /// A new secret beside the newest one, which opens for `grace_s` seconds more; any older one
    /// ends at once. When the key ends stays as it was.
    ///
    /// # Errors
    /// `out-of-range` at `/grace_s` above [`GRACE_S_MAX`] or below 0.
    pub fn rotate(
        &self,
        random: [u8; 32],
        now: Timestamp,
        grace_s: i64,
    ) -> Result<(Self, ApiKey), Vec<Complaint>> {
        if grace_s < 0 || i64::from(GRACE_S_MAX) < grace_s {
            let (found, allowed) = (grace_s.to_string(), format!("0 to {GRACE_S_MAX}"));
            return Err(vec![Fault::OutOfRange { found, allowed }.at("/grace_s")]);
        }
        let key = ApiKey::new(self.tag_role(), random);
        let mut terms = self.0.clone();
        let end = now.plus_ms(grace_s * 1_000);
        let former = terms.digests.first().filter(|_| now < end);
        let former = former.map(|(digest, _)| (*digest, Some(end)));
        terms.digests = [(key.digest(), None)].into_iter().chain(former).collect();
        Ok((Self::new(terms)?, key))
    }
}

/// The role whose tag stands in the secrets of a principal's key.
pub(in crate::access) fn tag_role(principal: &Principal) -> Role {
    let first = principal.roles.first().copied().unwrap_or(Role::Ops);
    if principal.is(Role::Operator) {
        Role::Operator
    } else {
        first
    }
}

/// What must hold together about whoever stands behind a key.
///
/// Grants and sellers without the role that uses them give nothing, and are left alone.
pub(in crate::access) fn check_principal(principal: &Principal, complaints: &mut Complaints) {
    let n_roles = principal.roles.len();
    check_count("/roles", n_roles, (1, Role::ALL.len()), complaints);
    if principal.is_public() && 1 < n_roles {
        let why = "storefront-public stands alone".to_owned();
        complaints.add("/roles", Fault::Contradiction { why });
    }
    if let MarketScope::Only(markets) = &principal.markets {
        check_count("/markets", markets.len(), (1, SCOPE_MAX), complaints);
    }
    match principal.sellers.len() {
        0 if principal.is(Role::Seller) => complaints.add("/sellers", Fault::Required),
        have => check_count("/sellers", have, (0, SCOPE_MAX), complaints),
    }
    check_count(
        "/origins",
        principal.origins.len(),
        (0, ORIGINS_MAX),
        complaints,
    );
    for (place, origin) in principal.origins.iter().enumerate() {
        complaints.take(format!("/origins/{place}"), check_origin(origin));
    }
    if let Some(rate) = principal.rate {
        complaints.take("/rate", check_rate(rate.into()));
    }
    if principal.expires.is_none() && !principal.is_public() {
        complaints.add("/expires_at", Fault::Required);
    }
}

fn check_count(
    pointer: &str,
    have: usize,
    (min, max): (usize, usize),
    complaints: &mut Complaints,
) {
    if have < min {
        complaints.add(pointer, Fault::TooFew { have, min });
    }
    if max < have {
        complaints.add(pointer, Fault::TooMany { have, max });
    }
}

/// A rate within [`RATE`].
pub(in crate::access) fn check_rate(rate: i64) -> Result<u32, Fault> {
    let (min, max) = RATE;
    let fits = u32::try_from(rate)
        .ok()
        .filter(|rate| (min..=max).contains(rate));
    fits.ok_or_else(|| Fault::OutOfRange {
        found: rate.to_string(),
        allowed: format!("{min} to {max} a second"),
    })
}

/// `*`, or an origin exactly as browsers send it (RFC 6454 section 6.2): scheme and host in lower
/// case, a port only if it is not the scheme's own, no path. Any other spelling would never match.
fn check_origin(origin: &str) -> Result<(), Fault> {
    let is_exact = || {
        let (scheme, rest) = origin.split_once("://")?;
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (rest, None),
        };
        let is_lower = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let schemes = |byte: u8| is_lower(byte) || b"+-.".contains(&byte);
        let hosts = |byte: u8| is_lower(byte) || b"-._".contains(&byte);
        let v6 = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte) || byte == b':';
        let is_host = match host.strip_prefix('[') {
            Some(rest) => rest
                .strip_suffix(']')
                .is_some_and(|own| own.bytes().all(v6)),
            None => host.bytes().all(hosts),
        };
        let begins = scheme.bytes().next()?.is_ascii_lowercase();
        let is_port = port.is_none_or(|port| is_exact_port(scheme, port));
        let fits = begins && scheme.bytes().all(schemes) && !host.is_empty() && is_host && is_port;
        fits.then_some(())
    };
    if origin == "*" || (origin.len() <= ORIGIN_CHARS_MAX && is_exact().is_some()) {
        return Ok(());
    }
    let expected = "\"*\" or an origin as browsers send it, such as https://shop.example:8443";
    Err(Fault::bad_format(expected, origin))
}

/// Longest origin: a host name has at most 253 characters.
const ORIGIN_CHARS_MAX: usize = 300;

fn is_exact_port(scheme: &str, port: &str) -> bool {
    let number: Option<u16> = port.parse().ok().filter(|number| *number != 0);
    let is_own = matches!((scheme, number), ("http", Some(80)) | ("https", Some(443)));
    number.is_some_and(|number| number.to_string() == port) && !is_own
}

/// Why a key opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    /// No such key, or it was revoked.
    #[error("the key is not known")]
    Unknown,
    /// It has ended.
    #[error("the key has expired")]
    Expired,
}

/// Whoever can tell whose a key is.
pub trait Doorkeeper: Send + Sync {
    /// The caller behind a key.
    ///
    /// # Errors
    /// [`KeyRefusal`].
    fn principal(&self, digest: &KeyDigest, now: Timestamp) -> Result<Arc<Principal>, KeyRefusal>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_the_documented_form() {
        let key = ApiKey::new(Role::StorefrontServer, [255; 32]);
        let expected = format!("ec_srv_{}8", "_".repeat(42));
        assert_eq!(key.expose(), expected);
        assert_eq!(key.expose().len(), "ec_srv_".len() + SECRET_CHARS);
        assert!(!format!("{key:?}").contains("__"));
        assert_eq!(key.digest(), KeyDigest::of(&expected));
    }

    #[test]
    fn only_public_keys_look_public() {
        assert!(looks_public(
            ApiKey::new(Role::StorefrontPublic, [1; 32]).expose()
        ));
        assert!(!looks_public(ApiKey::new(Role::Operator, [1; 32]).expose()));
        assert!(!looks_public("ec_pub_"));
    }
}
