//! From a key to a known caller.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::header::{self, HeaderMap};
use hyper::http::request;

use crate::access::key::{KeyDigest, KeyRefusal, looks_public};
use crate::access::principal::{Actor, Principal};
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::shell::Shared;
use crate::http::target;

/// What every key begins with.
const KEY_PREFIX: &str = "ec_";

/// Name of the query's member that may hold a public key.
const KEY_MEMBER: &str = "key";

/// Who may use a path with which key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::http) enum Audience {
    /// Nobody is asked.
    Anybody,
    /// Nobody is asked, since only those who watch reach the socket.
    Watchers,
    /// Holders of a key that is sent as a header.
    KeyHolders,
    /// As those, and browsers: other origins, and public keys in the address.
    Storefront,
}

/// A key as it came.
enum Presented {
    Header(String),
    Address(String),
}

/// The caller behind a request's key.
///
/// # Errors
/// The 401 of what is wrong with the key, `origin-not-allowed`, or `rate-limited` for an address
/// that has sent too many wrong ones.
pub(in crate::http) fn identify(
    shell: &Shared,
    audience: Audience,
    parts: &request::Parts,
    address: IpAddr,
) -> Result<Arc<Principal>, Problem> {
    let presented = presented(audience, parts)?;
    let (Presented::Header(text) | Presented::Address(text)) = &presented;
    if let Some(wait) = shell.limits.barred_for(address, shell.nanos()) {
        shell.counts.rate_limited.inc();
        let problem = Problem::new(Code::RateLimited, "too many wrong keys from this address");
        return Err(problem.retry_after_s(wait.as_secs() + 1));
    }
    let known = shell
        .house
        .principal(&KeyDigest::of(text), shell.house.now());
    let principal = known.map_err(|refusal| {
        shell.counts.wrong_key.inc();
        shell.limits.failed(address, shell.nanos());
        match refusal {
            KeyRefusal::Unknown => Problem::new(Code::KeyUnknown, refusal.to_string()),
            KeyRefusal::Expired => Problem::new(Code::KeyExpired, refusal.to_string()),
        }
    })?;
    if matches!(presented, Presented::Address(_)) && !principal.is_public() {
        return Err(key_in_url());
    }
    check_origin(&principal, &parts.headers)?;
    Ok(principal)
}

fn presented(audience: Audience, parts: &request::Parts) -> Result<Presented, Problem> {
    let in_address = key_in_address(audience, parts.uri.query())?;
    let mut headers = parts.headers.get_all(header::AUTHORIZATION).iter();
    match (headers.next(), headers.next(), in_address) {
        (Some(_), Some(_), _) => Err(Problem::bad_header("Authorization", "sent once")),
        (Some(value), None, _) => bearer(value.as_bytes()).map(Presented::Header),
        (None, _, Some(key)) => Ok(Presented::Address(key)),
        (None, _, None) => Err(Problem::new(
            Code::KeyMissing,
            "send Authorization: Bearer <key>",
        )),
    }
}

/// The key behind `Bearer`.
fn bearer(value: &[u8]) -> Result<String, Problem> {
    let text = std::str::from_utf8(value).unwrap_or_default();
    let key = text
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let missing = || Problem::new(Code::KeyMissing, "Authorization must be Bearer <key>");
    key.map(|(_, key)| key.trim().to_owned())
        .ok_or_else(missing)
}

/// A public key in the address of a storefront path. Elsewhere `key` names other things, unless its
/// value is one of ours: a secret in an address is refused wherever it is.
fn key_in_address(audience: Audience, query: Option<&str>) -> Result<Option<String>, Problem> {
    // Most queries hold neither the name nor an escape that could spell it.
    let may_hold = |query: &&str| query.contains(KEY_MEMBER) || query.contains('%');
    let Some(query) = query.filter(may_hold) else {
        return Ok(None);
    };
    let pairs = target::pairs(query).ok_or_else(bad_query)?;
    let is_storefront = audience == Audience::Storefront;
    let is_key = |(name, value): &(String, String)| {
        name == KEY_MEMBER && (is_storefront || value.starts_with(KEY_PREFIX))
    };
    match pairs.into_iter().find(is_key) {
        None => Ok(None),
        Some((_, key)) if is_storefront && looks_public(&key) => Ok(Some(key)),
        Some(_) => Err(key_in_url()),
    }
}

/// Whose key stands in an address where none may be, if it is anybody's.
pub(in crate::http) fn owner_of_leaked(shell: &Shared, query: Option<&str>) -> Option<Actor> {
    let (_, key) = target::pairs(query?)?
        .into_iter()
        .find(|(name, value)| is_key_member(name, value))?;
    let known = shell
        .house
        .principal(&KeyDigest::of(&key), shell.house.now());
    known.ok().map(|principal| principal.by)
}

/// Whether a member of a query is a key, which handlers never see.
pub(in crate::http) fn is_key_member(name: &str, value: &str) -> bool {
    name == KEY_MEMBER && value.starts_with(KEY_PREFIX)
}

/// A public key is used from the web pages it was made for. Calls without an origin come from no
/// page of another site.
fn check_origin(principal: &Principal, headers: &HeaderMap) -> Result<(), Problem> {
    let origin = headers
        .get(header::ORIGIN)
        .filter(|_| principal.is_public());
    let Some(origin) = origin else { return Ok(()) };
    let allows = |own: &String| own == "*" || own.as_bytes() == origin.as_bytes();
    if principal.origins.iter().any(allows) {
        return Ok(());
    }
    let detail = "the key is not made for pages of this origin";
    Err(Problem::new(Code::OriginNotAllowed, detail))
}

/// The query is no query.
pub(in crate::http) fn bad_query() -> Problem {
    Problem::bad_query("the query is no percent-encoded UTF-8")
}

fn key_in_url() -> Problem {
    Problem::new(Code::KeyInUrl, "only public keys may travel in an address")
}
