//! What handlers take out of a request.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::FromRequestParts;
use hyper::body::Bytes;
use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;
use serde_json::Value;

use crate::access::principal::Principal;
use crate::domain::id::RequestId;
use crate::http::auth;
use crate::http::body::Upload;
use crate::http::json;
use crate::http::problem::Problem;
use crate::http::target;

/// Most characters of an idempotency key.
const IDEMPOTENCY_KEY_MAX: usize = 255;

const MIN_REVISION: &str = "x-endcap-min-revision";
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// A known caller and where the call comes from.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who it is.
    pub principal: Arc<Principal>,
    /// The client's address.
    pub address: IpAddr,
    /// The request's name in answers and logs.
    pub request_id: RequestId,
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let found = parts.extensions.get::<Self>().cloned();
        found.ok_or_else(|| Problem::internal("a route without a key asks who calls"))
    }
}

/// A body that has come whole.
#[derive(Clone, Debug)]
pub(in crate::http) struct Whole(pub(in crate::http) Bytes);

/// The bytes of a whole body, unpacked; none if there is no body.
#[derive(Clone, Debug)]
pub struct Raw(pub Bytes);

impl<S: Sync> FromRequestParts<S> for Raw {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let whole = parts.extensions.get::<Whole>();
        Ok(Self(whole.map(|whole| whole.0.clone()).unwrap_or_default()))
    }
}

/// A whole body read as JSON; `null` if there is no body.
#[derive(Clone, Debug)]
pub struct Json(pub Value);

impl<S: Sync> FromRequestParts<S> for Json {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match parts.extensions.get::<Whole>() {
            Some(Whole(bytes)) if !bytes.is_empty() => Ok(Self(json::read(bytes)?)),
            _ => Ok(Self(Value::Null)),
        }
    }
}

/// A body still on its way. The first to ask for it gets it.
#[derive(Clone)]
pub(in crate::http) struct Streamed(Arc<Mutex<Option<Upload>>>);

impl Streamed {
    pub(in crate::http) fn new(upload: Upload) -> Self {
        Self(Arc::new(Mutex::new(Some(upload))))
    }
}

impl<S: Sync> FromRequestParts<S> for Upload {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let streamed = parts.extensions.get::<Streamed>();
        let taken = streamed.and_then(|streamed| {
            streamed
                .0
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take()
        });
        taken.ok_or_else(|| Problem::internal("this route's body is not streamed, or taken"))
    }
}

/// The pairs of the query in their order, decoded; a key among them is left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query(pub Vec<(String, String)>);

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let mut pairs = target::pairs(query).ok_or_else(auth::bad_query)?;
        pairs.retain(|(name, value)| !auth::is_key_member(name, value));
        Ok(Self(pairs))
    }
}

/// The revision for which a change was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfMatch {
    /// None was named.
    Absent,
    /// Whatever it is: `*`.
    Any,
    /// This one: `"r18342"`.
    Revision(u64),
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let bad = || Problem::bad_header("If-Match", "* or one ETag of this object, as \"r18342\"");
        match single(&parts.headers, header::IF_MATCH.as_str()).map_err(|()| bad())? {
            None => Ok(Self::Absent),
            Some("*") => Ok(Self::Any),
            Some(tag) => revision_of(tag).map(Self::Revision).ok_or_else(bad),
        }
    }
}

/// Entity tags that the caller has already.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IfNoneMatch(Vec<String>);

impl IfNoneMatch {
    /// Whether the caller has the object as it is at this revision.
    pub fn has(&self, revision: u64) -> bool {
        self.0
            .iter()
            .any(|tag| tag == "*" || revision_of(tag) == Some(revision))
    }
}

impl<S: Sync> FromRequestParts<S> for IfNoneMatch {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let lines = parts.headers.get_all(header::IF_NONE_MATCH).iter();
        let words = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(','));
        let tags = words.map(|word| word.trim().trim_start_matches("W/").to_owned());
        Ok(Self(tags.collect()))
    }
}

/// What a caller repeats a request by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey(pub Option<String>);

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let bad = || Problem::bad_header("Idempotency-Key", "1 to 255 visible ASCII characters");
        let key = single(&parts.headers, IDEMPOTENCY_KEY).map_err(|()| bad())?;
        let is_key = |key: &str| {
            (1..=IDEMPOTENCY_KEY_MAX).contains(&key.len())
                && key.bytes().all(|byte| byte.is_ascii_graphic())
        };
        match key {
            Some(key) if !is_key(key) => Err(bad()),
            key => Ok(Self(key.map(str::to_owned))),
        }
    }
}

/// `ETag` of an object at a revision.
pub fn entity_tag(revision: u64) -> HeaderValue {
    HeaderValue::try_from(format!("\"r{revision}\"")).expect("digits and quotes are header bytes")
}

/// The revision that the caller waits for, if any.
///
/// # Errors
/// `bad-header`.
pub(in crate::http) fn min_revision(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let bad = || Problem::bad_header(MIN_REVISION, "a revision");
    let text = single(headers, MIN_REVISION).map_err(|()| bad())?;
    text.map(|text| whole_number(text).ok_or_else(bad))
        .transpose()
}

fn revision_of(tag: &str) -> Option<u64> {
    whole_number(tag.strip_prefix("\"r")?.strip_suffix('"')?)
}

/// Digits only: no sign.
fn whole_number(text: &str) -> Option<u64> {
    text.parse()
        .ok()
        .filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A header's value; an error if it stands twice or is no visible ASCII.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(|_| ()),
        (Some(_), Some(_)) => Err(()),
    }
}

#[cfg(test)]
mod tests {
    use hyper::Request;

    use super::*;
    use crate::http::problem::code::Code;

    fn parts(uri: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    async fn of<T>(headers: &[(&str, &str)]) -> Result<T, Code>
    where
        T: FromRequestParts<(), Rejection = Problem>,
    {
        let found = T::from_request_parts(&mut parts("/", headers), &()).await;
        found.map_err(|problem| problem.code())
    }

    #[tokio::test]
    async fn changes_name_a_revision_or_any() {
        assert_eq!(of::<IfMatch>(&[]).await, Ok(IfMatch::Absent));
        assert_eq!(of::<IfMatch>(&[("if-match", "*")]).await, Ok(IfMatch::Any));
        let tag = entity_tag(18_342);
        let tag = ("if-match", tag.to_str().unwrap());
        assert_eq!(of::<IfMatch>(&[tag]).await, Ok(IfMatch::Revision(18_342)));
        for bad in [
            "r1",
            "\"1\"",
            "\"r\"",
            "\"r-1\"",
            "\"r+1\"",
            "W/\"r1\"",
            "\"r1\", \"r2\"",
            "",
        ] {
            assert_eq!(
                of::<IfMatch>(&[("if-match", bad)]).await,
                Err(Code::BadHeader),
                "{bad}"
            );
        }
        assert_eq!(of::<IfMatch>(&[tag, tag]).await, Err(Code::BadHeader));
    }

    #[tokio::test]
    async fn idempotency_keys_have_1_to_255_visible_characters() {
        let of = async |key: &str| of::<IdempotencyKey>(&[("idempotency-key", key)]).await;
        assert_eq!(of("a~!").await, Ok(IdempotencyKey(Some("a~!".to_owned()))));
        let long = "x".repeat(255);
        assert_eq!(of(&long).await, Ok(IdempotencyKey(Some(long.clone()))));
        for bad in ["", "a b", &format!("{long}x"), "caf\u{e9}"] {
            assert_eq!(of(bad).await, Err(Code::BadHeader), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_caller_has_an_object_whose_tag_it_names() {
        let has = async |line: &str| {
            let mut parts = parts("/", &[("if-none-match", line)]);
            let Ok(tags) = IfNoneMatch::from_request_parts(&mut parts, &()).await;
            tags.has(7)
        };
        assert!(has("\"r7\"").await);
        assert!(has("\"r6\", W/\"r7\"").await);
        assert!(has("*").await);
        assert!(!has("\"r70\"").await);
        assert!(!has("r7").await);
    }

    #[test]
    fn awaited_revisions_are_whole_numbers() {
        let of = |text| {
            let found = min_revision(&parts("/", &[(MIN_REVISION, text)]).headers);
            found.map_err(|problem| problem.code())
        };
        assert_eq!(of("18342"), Ok(Some(18_342)));
        for bad in ["", "-1", "+1", "1.0", "r1", "99999999999999999999"] {
            assert_eq!(of(bad), Err(Code::BadHeader), "{bad}");
        }
    }

    #[tokio::test]
    async fn handlers_see_no_key_in_the_query() {
        let uri = "/?q=a+b&key=ec_pub_x&key=SKU%2F1";
        let query = Query::from_request_parts(&mut parts(uri, &[]), &())
            .await
            .unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(query, Query(vec![pair("q", "a b"), pair("key", "SKU/1")]));
        let bad = Query::from_request_parts(&mut parts("/?q=%ff", &[]), &()).await;
        assert_eq!(bad.unwrap_err().code(), Code::BadQuery);
    }
}
