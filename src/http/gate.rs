//! What stands before every handler, and what each route says about itself.
//!
//! A [`Route`] is a layer: `api` puts one before each handler, and a handler without one has no
//! [`Caller`](crate::http::extract::Caller) and answers nobody.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::response::{IntoResponse, Response};
use hyper::Method;
use hyper::body::Body as _;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request;
use tokio::time::{Instant, timeout_at};
use tower::{Layer, Service};

use crate::access::principal::Actor;
use crate::http::auth::{self, Audience};
use crate::http::body::{Coding, Upload};
use crate::http::cors::{self, Preflight};
use crate::http::extract::{Caller, Streamed, Whole, min_revision};
use crate::http::lanes::{self, Class, Lane};
use crate::http::limits::{Empty, Left, Rate};
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::shell::{Asked, Shared};

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
    class: Option<Class>,
    audience: Audience,
    rate: Option<Rate>,
    /// `None`: as long as bytes come.
    time: Option<Duration>,
    is_streamed: bool,
    body_bytes_max: u64,
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
}

impl<S> Layer<S> for Route {
    type Service = Gate<S>;

    fn layer(&self, inner: S) -> Gate<S> {
        Gate {
            route: *self,
            inner,
        }
    }
}

/// A handler behind its route's conditions.
#[derive(Clone, Debug)]
pub struct Gate<S> {
    route: Route,
    inner: S,
}

impl<S> Service<Request> for Gate<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        // The clone stays behind; the one that was polled ready handles the request.
        let inner = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, inner);
        let route = self.route;
        Box::pin(async move { Ok(route.pass(inner, request).await) })
    }
}

/// What the access log tells about a request that found its route.
#[derive(Clone, Debug)]
pub(in crate::http) struct Passage {
    pub(in crate::http) path: Option<MatchedPath>,
    pub(in crate::http) by: Option<Actor>,
    pub(in crate::http) class: Option<Class>,
}

impl Route {
    async fn pass<S>(self, inner: S, request: Request) -> Response
    where
        S: Service<Request, Response = Response, Error = Infallible>,
    {
        let (mut parts, body) = request.into_parts();
        let Some(asked) = parts.extensions.get::<Asked>().cloned() else {
            return Problem::internal("a route was called outside the shell").into_response();
        };
        let is_storefront = self.audience == Audience::Storefront;
        if parts.extensions.get::<Preflight>().is_some() {
            return if is_storefront {
                cors::preflight_answer()
            } else {
                Response::default()
            };
        }
        let origin = parts
            .headers
            .get(header::ORIGIN)
            .filter(|_| is_storefront)
            .cloned();
        let path = parts.extensions.get::<MatchedPath>().cloned();
        let mut passage = Passage {
            path,
            by: None,
            class: self.class,
        };
        let admitted = self.check(&asked, &mut parts, &mut passage);
        let (mut response, is_open) = match admitted {
            Ok((coding, left)) => {
                let answered = self.handle(inner, parts, body, coding, &asked).await;
                let mut response = answered.unwrap_or_else(IntoResponse::into_response);
                if let Some(left) = left {
                    tell_left(&left, response.headers_mut());
                }
                (response, true)
            }
            Err(refusal) => {
                let is_open = refusal.problem.code() != Code::OriginNotAllowed;
                (refusal.into_response(), is_open)
            }
        };
        if let Some(origin) = origin.filter(|_| is_open) {
            cors::open_to(origin, response.headers_mut());
        }
        response.extensions_mut().insert(passage);
        response
    }

    /// Everything that can be said from the head alone: whether there is room, whether the body
    /// may come, who calls and how often.
    fn check(
        &self,
        asked: &Asked,
        parts: &mut request::Parts,
        passage: &mut Passage,
    ) -> Result<(Coding, Option<Left>), Refusal> {
        let shell = &asked.shell;
        if self.lane(shell).is_some_and(Lane::is_full) {
            shell.counts.shed.add();
            return Err(lanes::overloaded().into());
        }
        let coding = self.check_body(&parts.headers)?;
        if self.audience == Audience::Anybody {
            return Ok((coding, None));
        }
        let principal = auth::identify(shell, self.audience, parts, asked.address)?;
        passage.by = Some(principal.by);
        let is_read = matches!(parts.method, Method::GET | Method::HEAD);
        let rate = self.rate.filter(|rate| *rate != Rate::Writes || !is_read);
        let limits = &shell.limits;
        let left = rate.map(|rate| limits.take(rate, &principal, asked.address, shell.nanos()));
        let left = left
            .transpose()
            .inspect_err(|_| shell.counts.rate_limited.add())?;
        let (address, request_id) = (asked.address, asked.id);
        parts.extensions.insert(Caller {
            principal,
            address,
            request_id,
        });
        Ok((coding, left))
    }

    /// Refuses a body that is too long or of the wrong kind before any of it is read.
    fn check_body(&self, headers: &HeaderMap) -> Result<Coding, Problem> {
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

    /// Lets the body come, waits for a turn, and has the request handled in time.
    ///
    /// The permit is taken after the body: a slow client must not keep others from theirs.
    async fn handle<S>(
        self,
        mut inner: S,
        mut parts: request::Parts,
        body: Body,
        coding: Coding,
        asked: &Asked,
    ) -> Result<Response, Problem>
    where
        S: Service<Request, Response = Response, Error = Infallible>,
    {
        let shell = &asked.shell;
        if let Some(revision) = min_revision(&parts.headers)? {
            shell.house.reached(revision).await?;
        }
        let mut held = None;
        let times = &shell.settings.body;
        if self.is_streamed {
            let gap = times.stream_gap;
            let upload = Upload::new(body, coding, self.body_bytes_max, gap, None);
            parts.extensions.insert(Streamed::new(upload));
        } else if !body.is_end_stream() {
            let whole = Some(times.whole);
            let upload = Upload::new(body, coding, self.body_bytes_max, times.gap, whole);
            let (bytes, share) = upload.collect(&shell.room).await?;
            parts.extensions.insert(Whole(bytes));
            held = Some(share);
        }
        let deadline = self.time.map(|time| Instant::now() + time);
        let permit = match self.lane(shell) {
            Some(lane) => Some(lane.enter(deadline, &shell.counts).await?),
            None => None,
        };
        let answer = inner.call(Request::from_parts(parts, Body::empty()));
        let answer = match deadline {
            Some(at) => timeout_at(at, answer)
                .await
                .map_err(|_| lanes::late(&shell.counts))?,
            None => answer.await,
        };
        drop((permit, held));
        match answer {
            Ok(response) => Ok(response),
            Err(never) => match never {},
        }
    }

    fn lane<'a>(&self, shell: &'a Shared) -> Option<&'a Lane> {
        self.class.map(|class| shell.lanes.of(class))
    }
}

/// A refusal with the headers that only it has.
struct Refusal {
    problem: Problem,
    empty: Option<Empty>,
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            empty: None,
        }
    }
}

impl From<Empty> for Refusal {
    fn from(empty: Empty) -> Self {
        let wait_s =
            u64::try_from(empty.wait.as_nanos().div_ceil(1_000_000_000)).unwrap_or(u64::MAX);
        let quota = empty.quota;
        let detail = format!(
            "{} calls in {} s, {} at once",
            quota.tokens, quota.window_s, quota.burst
        );
        let problem = Problem::new(Code::RateLimited, detail).retry_after_s(wait_s);
        Self {
            problem,
            empty: Some(empty),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.problem.into_response();
        if let Some(Empty { quota, wait }) = self.empty {
            let left = Left {
                quota,
                tokens: 0,
                full_in_s: wait.as_secs().max(1),
            };
            tell_left(&left, response.headers_mut());
        }
        response
    }
}

/// What is left, as draft-ietf-httpapi-ratelimit-headers spells it.
fn tell_left(left: &Left, headers: &mut HeaderMap) {
    const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
    const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
    headers.insert(POLICY, HeaderValue::from_static(left.quota.policy));
    let text = format!(
        "\"{}\";r={};t={}",
        left.quota.name, left.tokens, left.full_in_s
    );
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(LIMIT, value);
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
