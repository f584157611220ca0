//! The access log: one line a request, with nothing in it that is nobody's business.
//!
//! Never the query, a body, a key, a cookie. Of a path only its pattern, where there is one: tokens
//! may stand in it. Storefront calls that went well are told at level `debug`, since there are
//! thousands of them a second; what went wrong inside at `warn`; all else at `info`.

use std::error::Error;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use hyper::{Method, Uri};

use crate::access::principal::Actor;
use crate::domain::id::RequestId;
use crate::http::lanes::Class;
use crate::http::passing::Passage;
use crate::http::problem::code::Code;

/// Most characters of a path that matches no pattern.
const PATH_CHARS_MAX: usize = 120;

/// What is told about a request.
pub(in crate::http) struct Line<'a> {
    pub(in crate::http) id: RequestId,
    pub(in crate::http) method: &'a Method,
    pub(in crate::http) uri: &'a Uri,
    pub(in crate::http) address: IpAddr,
    pub(in crate::http) passage: Option<&'a Passage>,
    pub(in crate::http) status: u16,
    pub(in crate::http) code: Option<Code>,
    pub(in crate::http) took: Duration,
}

/// One event of a level that is known when the code is compiled, as `tracing` wants it.
macro_rules! tell {
    ($level:ident, $line:expr) => {
        tracing::event!(
            target: "endcap::access",
            tracing::Level::$level,
            request_id = %$line.id,
            method = %$line.method,
            path = %path($line),
            status = $line.status,
            code = $line.code.map(Code::as_str),
            took_us = u64::try_from($line.took.as_micros()).unwrap_or(u64::MAX),
            address = %$line.address,
            by = by($line),
            "answered"
        )
    };
}
/// Writes the line.
pub(in crate::http) fn access(line: &Line<'_>) {
    let class = line.passage.and_then(|passage| passage.class);
    let is_frequent = class != Some(Class::Desk) && line.status < 400;
    if 500 <= line.status && line.code == Some(Code::Internal) {
        tell!(WARN, line);
    } else if is_frequent {
        tell!(DEBUG, line);
    } else {
        tell!(INFO, line);
    }
}

/// The pattern of the path, or what was sent instead of one that is known, escaped.
fn path(line: &Line<'_>) -> String {
    match line.passage.and_then(|passage| passage.path.as_ref()) {
        Some(pattern) => pattern.as_str().to_owned(),
        None => line
            .uri
            .path()
            .chars()
            .take(PATH_CHARS_MAX)
            .flat_map(char::escape_debug)
            .collect(),
    }
}

/// Id of the key or user.
fn by(line: &Line<'_>) -> Option<String> {
    match line.passage?.by? {
        Actor::Key(id) => Some(id.to_string()),
        Actor::User(id) => Some(id.to_string()),
        Actor::System => Some("system".to_owned()),
    }
}

/// An error with everything that led to it.
pub(in crate::http) fn chain(error: &(dyn Error + Send + Sync)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let _ = write!(text, ": {cause}");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_to_the_last() {
        let inner = std::io::Error::other("no space");
        let outer = crate::engine::error::EngineError::internal(inner);
        assert_eq!(chain(&outer), "internal error: no space");
    }

    #[test]
    fn paths_without_a_pattern_are_cut_and_escaped() {
        let line = |uri: &str| {
            let uri: Uri = uri.parse().unwrap();
            let line = Line {
                id: RequestId([0; 16]),
                method: &Method::GET,
                uri: &uri,
                address: IpAddr::from([127, 0, 0, 1]),
                passage: None,
                status: 404,
                code: None,
                took: Duration::ZERO,
            };
            path(&line)
        };
        assert_eq!(line("/a?key=secret"), "/a");
        assert_eq!(line(&format!("/{}", "x".repeat(200))).len(), PATH_CHARS_MAX);
    }
}
