//! What each route says about itself: a layer before its handlers.
//!
//! `api` puts a [`Route`] before every handler; what it does with a request is in
//! [`passing`](crate::http::passing). A handler without one has no
//! [`Caller`](crate::http::extract::Caller) and answers nobody.

use std::time::Duration;

use hyper::header::{self, HeaderMap, HeaderValue};
use tower::Layer;

use crate::http::auth::Audience;
use crate::http::body::Coding;
use crate::http::lanes::Class;
use crate::http::limits::Rate;
use crate::http::passing::Gate;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;

/// Media types of JSON bodies.
pub const JSON: &[&str] = &["application/json"];

/// Media types of changes to objects.
const JSON_OR_PATCH: &[&str] = &["application/json", "application/merge-patch+json"];

/// Media types of events: beacons without a preflight send plain text.
const JSON_OR_LINES: &[&str] = &[
    "application/json",
    "application/x-ndjson",
    "application/ndjson",
    "text/plain",
];

/// What a route takes, from whom, and how long it may last.
#[derive(Clone, Copy, Debug)]
pub struct Route {
    /// `None`: it passes all queues.
    pub(in crate::http) class: Option<Class>,
    pub(in crate::http) audience: Audience,
    pub(in crate::http) rate: Option<Rate>,
    /// How long it may take once its body has come; `None`: as long as it takes.
    pub(in crate::http) time: Option<Duration>,
    pub(in crate::http) is_streamed: bool,
    pub(in crate::http) body_bytes_max: u64,
    /// Media types of the body; none means any.
    media: &'static [&'static str],
}

impl Route {
    /// For everybody, in no queue: health, version, pages of explanation.
    pub const fn open() -> Self {
        Self {
            class: None,
            audience: Audience::Anybody,
            rate: None,
            time: Some(Duration::from_secs(30)),
            is_streamed: false,
            body_bytes_max: 0,
            media: JSON,
        }
    }

    /// For whoever reaches a socket that is there for watching: they are what a key of the role
    /// `ops` is, in no queue.
    pub const fn watched() -> Self {
        Self {
            audience: Audience::Watchers,
            ..Self::open()
        }
    }

    /// Calls of people and their tools: JSON up to 1 MiB, changes limited.
    pub const fn desk() -> Self {
        Self {
            class: Some(Class::Desk),
            audience: Audience::KeyHolders,
            rate: Some(Rate::Writes),
            body_bytes_max: 1 << 20,
            media: JSON_OR_PATCH,
            ..Self::open()
        }
    }

    /// Pages, teasers, prices: JSON up to 256 KiB, one second.
    pub const fn rank() -> Self {
        Self {
            class: Some(Class::Rank),
            audience: Audience::Storefront,
            rate: Some(Rate::Rank),
            time: Some(Duration::from_secs(1)),
            body_bytes_max: 256 << 10,
            media: JSON,
            ..Self::open()
        }
    }

    /// Carts: like ranks, with JSON up to 1 MiB.
    pub const fn cart() -> Self {
        Self {
            body_bytes_max: 1 << 20,
            ..Self::rank()
        }
    }

    /// Events: JSON or lines of it, up to 2 MiB.
    pub const fn events() -> Self {
        Self {
            class: Some(Class::Ingest),
            audience: Audience::Storefront,
            rate: Some(Rate::Events),
            body_bytes_max: 2 << 20,
            media: JSON_OR_LINES,
            ..Self::open()
        }
    }

    /// Feeds: any media type, up to 8 GiB, read while they come.
    pub const fn feed() -> Self {
        Self {
            class: Some(Class::Ingest),
            time: None,
            is_streamed: true,
            body_bytes_max: 8 << 30,
            media: &[],
            ..Self::desk()
        }
    }

    /// With a body of up to so many bytes, in one of these media types; none means any.
    #[must_use]
    pub const fn taking(mut self, bytes_max: u64, media: &'static [&'static str]) -> Self {
        (self.body_bytes_max, self.media) = (bytes_max, media);
        self
    }

    /// With another limit.
    #[must_use]
    pub const fn limited(mut self, rate: Rate) -> Self {
        self.rate = Some(rate);
        self
    }

    /// Without a limit.
    #[must_use]
    pub const fn unlimited(mut self) -> Self {
        self.rate = None;
        self
    }

    /// Refuses a body that is too long or of the wrong kind before any of it is read.
    pub(in crate::http) fn check_body(&self, headers: &HeaderMap) -> Result<Coding, Problem> {
        if let Some(length) = headers.get(header::CONTENT_LENGTH) {
            let length = length
                .to_str()
                .ok()
                .and_then(|text| text.parse::<u64>().ok());
            let length = length.ok_or_else(|| Problem::bad_header("Content-Length", "a number"))?;
            if self.body_bytes_max < length {
                return Err(Problem::body_too_large(self.body_bytes_max).closing());
            }
        }
        let coding = match headers
            .get(header::CONTENT_ENCODING)
            .map(HeaderValue::as_bytes)
        {
            None => Coding::Plain,
            Some(name) if name.eq_ignore_ascii_case(b"identity") => Coding::Plain,
            Some(name) if name.eq_ignore_ascii_case(b"gzip") => Coding::Gzip,
            Some(name) if name.eq_ignore_ascii_case(b"zstd") => Coding::Zstd,
            Some(_) => return Err(unsupported("a body may be packed with gzip or zstd")),
        };
        if 1 < headers.get_all(header::CONTENT_ENCODING).iter().count() {
            return Err(unsupported("a body may be packed once"));
        }
        match headers.get(header::CONTENT_TYPE) {
            Some(media) if !self.media.is_empty() && !is_among(media.as_bytes(), self.media) => {
                let detail = format!("the body must be {} in UTF-8", self.media.join(" or "));
                Err(Problem::new(Code::UnsupportedMediaType, detail))
            }
            _ => Ok(coding),
        }
    }
}

impl<S> Layer<S> for Route {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate::new(*self, inner)
    }
}

/// Whether a content type is one of `media`, in UTF-8.
fn is_among(value: &[u8], media: &[&str]) -> bool {
    let Ok(text) = std::str::from_utf8(value) else {
        return false;
    };
    let mut words = text.split(';').map(str::trim);
    let kind = words.next().unwrap_or_default();
    let is_utf8 = |word: &str| match word.split_once('=') {
        Some((name, charset)) if name.eq_ignore_ascii_case("charset") => {
            charset.trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    };
    media.iter().any(|known| known.eq_ignore_ascii_case(kind)) && words.all(is_utf8)
}

fn unsupported(detail: &'static str) -> Problem {
    Problem::new(Code::UnsupportedMediaType, detail).accepting("gzip, zstd")
}
