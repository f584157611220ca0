//! What browsers of other origins may do with storefront paths.

use axum::body::Body;
use axum::response::Response;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request, StatusCode};

/// Headers of answers that a script may read beside the few that it always may.
const EXPOSED: &str =
    "etag, ratelimit, ratelimit-policy, retry-after, x-endcap-revision, x-request-id";

/// Marks a request made out of a preflight: it asks whether its method is meant for browsers, and
/// is never handled.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Preflight;

/// Marks the answer to a preflight.
#[derive(Clone, Copy, Debug)]
pub(in crate::http) struct Answered;

/// The request that a preflight asks about; `None` if it is no preflight.
pub(in crate::http) fn asked_about(request: &Request<Body>) -> Option<Request<Body>> {
    let wished = request
        .headers()
        .get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    let is_preflight =
        *request.method() == Method::OPTIONS && request.headers().contains_key(header::ORIGIN);
    let method = Method::from_bytes(wished.as_bytes())
        .ok()
        .filter(|_| is_preflight)?;
    let mut about = Request::new(Body::empty());
    *about.method_mut() = method;
    *about.uri_mut() = request.uri().clone();
    *about.extensions_mut() = request.extensions().clone();
    about.extensions_mut().insert(Preflight);
    Some(about)
}

/// The answer to a preflight of a storefront path, the same for any origin: which one may call is
/// decided by the key of the call itself.
pub(in crate::http) fn preflight_answer() -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    response.extensions_mut().insert(Answered);
    let headers = response.headers_mut();
    for (name, value) in [
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
        (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "authorization, content-type, x-endcap-min-revision",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "86400"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Lets scripts of an origin read an answer.
pub(in crate::http) fn open_to(origin: HeaderValue, headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    let exposed: HeaderName = header::ACCESS_CONTROL_EXPOSE_HEADERS;
    headers.insert(exposed, HeaderValue::from_static(EXPOSED));
    headers.append(header::VARY, HeaderValue::from_static("origin"));
}
