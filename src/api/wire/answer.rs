//! Answers: JSON with what HTTP says about it.
//!
//! The answer to a change is built without its revision, which the commit gives, and gets it as its
//! last member: so the first answer and the one that is kept for repeated requests are the same
//! bytes.

use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{
    CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, LOCATION,
};
use serde::Serialize;

use crate::engine::commit::StoredAnswer;
use crate::http::extract::{IfNoneMatch, entity_tag};

const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The bytes of an answer.
pub(crate) fn json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("texts, numbers, lists and maps with text keys make JSON")
}

/// 200 with a body.
pub(crate) fn ok(body: &impl Serialize) -> Response {
    bytes(StatusCode::OK, json(body))
}

/// A body that is JSON already.
pub(crate) fn bytes(status: StatusCode, body: Vec<u8>) -> Response {
    let json = HeaderValue::from_static("application/json");
    (status, [(CONTENT_TYPE, json)], body).into_response()
}

/// 200 with an object and its tag, or 304 if the caller has it.
pub(crate) fn object<T: Serialize>(
    revision: u64,
    known: &IfNoneMatch,
    body: impl FnOnce() -> T,
) -> Response {
    let tag = [(ETAG, entity_tag(revision))];
    if known.has(revision) {
        return (StatusCode::NOT_MODIFIED, tag).into_response();
    }
    (tag, ok(&body())).into_response()
}

/// The answer to a change made now. Where the object lies is told when it is new.
pub(crate) fn written(answer: &StoredAnswer, revision: u64) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut headers = HeaderMap::new();
    headers.insert(ETAG, entity_tag(revision));
    let location = answer.location.as_deref().map(HeaderValue::from_str);
    if let Some(Ok(location)) = location.filter(|_| status == StatusCode::CREATED) {
        headers.insert(LOCATION, location);
    }
    if status == StatusCode::NO_CONTENT {
        return (status, headers).into_response();
    }
    let body = answer.body.as_deref().unwrap_or(b"{}");
    (headers, bytes(status, with_revision(body, Some(revision)))).into_response()
}

/// The same answer to a request that made its change before.
pub(crate) fn replayed(answer: &StoredAnswer, revision: u64) -> Response {
    marked_replayed(written(answer, revision))
}

/// Marks an answer as one that was given before.
pub(crate) fn marked_replayed(response: Response) -> Response {
    ([(REPLAYED, HeaderValue::from_static("true"))], response).into_response()
}

/// Keeps an answer out of every cache.
pub(crate) fn never_stored(response: Response) -> Response {
    let never = HeaderValue::from_static("no-store");
    ([(CACHE_CONTROL, never)], response).into_response()
}

/// An object with its revision as the last member; null if it has none.
pub(crate) fn with_revision(object: &[u8], revision: Option<u64>) -> Vec<u8> {
    let mut out = Vec::with_capacity(object.len() + 32);
    out.extend_from_slice(object.strip_suffix(b"}").unwrap_or(object));
    if out.last() != Some(&b'{') {
        out.push(b',');
    }
    out.extend_from_slice(b"\"revision\":");
    match revision {
        Some(revision) => crate::api::wire::write::integer(&mut out, revision),
        None => out.extend_from_slice(b"null"),
    }
    out.push(b'}');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_revision_is_the_last_member() {
        let check = |object: &str, expected: &str| {
            let found = with_revision(object.as_bytes(), Some(7));
            assert_eq!(String::from_utf8(found).unwrap(), expected);
        };
        check("{}", "{\"revision\":7}");
        check("{\"a\":{}}", "{\"a\":{},\"revision\":7}");
        assert_eq!(with_revision(b"{}", None), b"{\"revision\":null}");
    }
}
