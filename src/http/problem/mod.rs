//! The one table from error to status and code, and how a refusal looks on the wire.
//!
//! A handler returns a [`Problem`]; which request it answers is known further out, so the shell
//! writes its body (RFC 9457) with path and request id when the answer passes. Causes of a 500 are
//! logged there, once, and never sent.

pub mod code;
mod of_engine;
pub(in crate::http) mod pages;

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use hyper::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value};

use crate::domain::complaint::Complaint;
use crate::http::problem::code::Code;

/// Most complaints of an answer.
const ERRORS_MAX: usize = 100;

/// Why a request is refused.
#[derive(Clone)]
pub struct Problem(Box<Inner>);

#[derive(Clone)]
struct Inner {
    code: Code,
    detail: Cow<'static, str>,
    members: Vec<(&'static str, Value)>,
    retry_after_s: Option<u64>,
    allow: Option<&'static str>,
    closes: bool,
    cause: Option<Arc<dyn Error + Send + Sync>>,
}

impl Problem {
    /// A problem of this code; `detail` says what it is about this time, in lower case.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            code,
            detail: detail.into(),
            members: Vec::new(),
            retry_after_s: retry_after_s(code),
            allow: None,
            closes: false,
            cause: None,
        }))
    }

    /// Parts of the input are wrong: all of them, of which the first hundred are sent.
    pub fn invalid(complaints: &[Complaint]) -> Self {
        let detail = match complaints.len() {
            1 => "1 field needs attention".to_owned(),
            n => format!("{n} fields need attention"),
        };
        let errors: Vec<Value> = complaints.iter().take(ERRORS_MAX).map(complaint).collect();
        Self::new(Code::Invalid, detail).with("errors", errors)
    }

    /// No object of this kind, or none that the caller may know of.
    pub fn not_found(what: &'static str) -> Self {
        Self::new(Code::NotFound, format!("no such {what}")).with("what", what)
    }

    /// A header of the API has the wrong form.
    pub fn bad_header(name: &str, expected: &str) -> Self {
        Self::new(Code::BadHeader, format!("{name} must be {expected}"))
    }

    /// A member of the query has the wrong form.
    pub fn bad_query(why: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::BadQuery, why)
    }

    /// A change of an existing object without `If-Match`.
    pub fn precondition_required() -> Self {
        Self::new(
            Code::PreconditionRequired,
            "send the object's ETag as If-Match",
        )
    }

    /// The body is longer than its path takes.
    pub fn body_too_large(limit_bytes: u64) -> Self {
        let detail = format!("at most {limit_bytes} bytes, unpacked");
        Self::new(Code::BodyTooLarge, detail).with("limit_bytes", limit_bytes)
    }

    /// Something that should not happen; the cause is logged when the answer leaves.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        let mut problem = Self::new(Code::Internal, "the cause is in the server's log");
        problem.0.cause = Some(cause.into().into());
        problem
    }

    /// Adds a member of its code.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.0.members.push((name, value.into()));
        self
    }

    /// Says when to come back, in whole seconds; at least one.
    #[must_use]
    pub fn retry_after_s(mut self, seconds: u64) -> Self {
        self.0.retry_after_s = Some(seconds.max(1));
        self
    }

    /// Ends the connection after this answer: what follows on it cannot be trusted, or would never
    /// be read.
    #[must_use]
    pub(in crate::http) fn closing(mut self) -> Self {
        self.0.closes = true;
        self
    }

    /// Names the codings that a body may have.
    #[must_use]
    pub(in crate::http) fn accepting(mut self, codings: &'static str) -> Self {
        self.0.allow = Some(codings);
        self
    }

    /// Its code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// What it is about, in words.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// What is logged and never sent.
    pub(in crate::http) fn cause(&self) -> Option<&(dyn Error + Send + Sync)> {
        self.0.cause.as_deref()
    }

    /// The document, for a request to this path and of this id. `None` for the path if none could
    /// be read.
    pub(in crate::http) fn document(&self, instance: Option<&str>, request_id: &str) -> Vec<u8> {
        let code = self.0.code;
        let mut document = Map::new();
        let mut put = |name: &str, value: Value| document.insert(name.to_owned(), value);
        put("type", format!("/problems/{}", code.as_str()).into());
        put("title", code.title().into());
        put("status", code.status().into());
        put("code", code.as_str().into());
        put("detail", self.detail().into());
        if let Some(path) = instance {
            put("instance", path.into());
        }
        put("request_id", request_id.into());
        for (name, value) in &self.0.members {
            put(name, value.clone());
        }
        Value::Object(document).to_string().into_bytes()
    }

    /// Headers that go with it, whatever the request was.
    fn set_headers(&self, headers: &mut HeaderMap) {
        if let Some(seconds) = self.0.retry_after_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if let Some(codings) = self.0.allow {
            headers.insert(
                header::ACCEPT_ENCODING,
                header::HeaderValue::from_static(codings),
            );
        }
        if self.0.code.status() == 401 {
            headers.insert(
                header::WWW_AUTHENTICATE,
                header::HeaderValue::from_static("Bearer"),
            );
        }
        if self.0.closes {
            headers.insert(
                header::CONNECTION,
                header::HeaderValue::from_static("close"),
            );
        }
    }
}

impl IntoResponse for Problem {
    /// An answer without a body yet: the shell writes it.
    fn into_response(self) -> Response {
        let mut response = Response::default();
        let status = StatusCode::from_u16(self.0.code.status());
        *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        self.set_headers(response.headers_mut());
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

impl fmt::Debug for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Problem({}: {})", self.0.code.as_str(), self.0.detail)
    }
}

/// When to come back, where the code alone says so.
fn retry_after_s(code: Code) -> Option<u64> {
    match code {
        Code::Overloaded
        | Code::Deadline
        | Code::OutcomeUnknown
        | Code::SnapshotBehind
        | Code::NotReady
        | Code::RateLimited
        | Code::LoginThrottled => Some(1),
        Code::StoreUnavailable => Some(5),
        Code::StorageFull | Code::EventLogFull => Some(30),
        _ => None,
    }
}

fn complaint(complaint: &Complaint) -> Value {
    let mut entry = Map::new();
    entry.insert("pointer".to_owned(), complaint.pointer.as_str().into());
    entry.insert("code".to_owned(), complaint.fault.code().into());
    entry.insert("message".to_owned(), complaint.fault.to_string().into());
    if let Some(meant) = complaint.fault.did_you_mean() {
        entry.insert("did_you_mean".to_owned(), meant.into());
    }
    Value::Object(entry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::complaint::Fault;

    #[track_caller]
    fn document(problem: &Problem) -> Value {
        serde_json::from_slice(&problem.document(Some("/v1/promotions"), "req_1")).unwrap()
    }

    #[test]
    fn complaints_come_with_pointer_code_and_suggestion() {
        let meant = Fault::UnknownField {
            found: "atr".to_owned(),
            did_you_mean: Some("attr".to_owned()),
        };
        let complaints = [
            Fault::TooLong { have: 57, max: 50 }.at("/name"),
            meant.at("/rules/0/atr"),
        ];
        let expected = serde_json::json!({
            "type": "/problems/invalid", "title": "request is not valid", "status": 422,
            "code": "invalid", "detail": "2 fields need attention",
            "instance": "/v1/promotions", "request_id": "req_1",
            "errors": [
                { "pointer": "/name", "code": "too-long",
                  "message": "at most 50 characters, found 57" },
                { "pointer": "/rules/0/atr", "code": "unknown-field",
                  "message": "no field \"atr\"", "did_you_mean": "attr" },
            ],
        });
        assert_eq!(document(&Problem::invalid(&complaints)), expected);
    }

    #[test]
    fn the_first_hundred_complaints_are_sent() {
        let complaints: Vec<Complaint> = (0..101)
            .map(|n| Fault::Required.at(format!("/{n}")))
            .collect();
        let document = document(&Problem::invalid(&complaints));
        assert_eq!(document["errors"].as_array().map(Vec::len), Some(100));
        assert_eq!(document["detail"], "101 fields need attention");
    }

    #[test]
    fn a_cause_is_kept_and_never_sent() {
        let problem = Problem::internal("the disk said no");
        assert!(problem.cause().is_some());
        assert!(!document(&problem).to_string().contains("disk"));
    }

    #[test]
    fn what_can_be_repeated_says_when() {
        for code in Code::all() {
            let headers = Problem::new(code, "").into_response().headers().clone();
            let repeatable = [429, 503, 507].contains(&code.status());
            assert_eq!(
                headers.contains_key(header::RETRY_AFTER),
                repeatable,
                "{code:?}"
            );
            let unknown = code.status() == 401;
            assert_eq!(
                headers.contains_key(header::WWW_AUTHENTICATE),
                unknown,
                "{code:?}"
            );
        }
    }
}
