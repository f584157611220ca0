//! What happens to a request between its route and its handler.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::response::{IntoResponse, Response};
use hyper::body::Body as _;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::http::request;
use hyper::{Method, Uri};
use tokio::time::{Instant, timeout_at};
use tower::Service;

use crate::access::principal::{Actor, Principal};
use crate::engine::refusals::RefusedWrite;
use crate::http::auth::{self, Audience};
use crate::http::body::{Coding, Upload};
use crate::http::cors::{self, Preflight};
use crate::http::extract::{Caller, Streamed, Whole, min_revision};
use crate::http::gate::Route;
use crate::http::lanes::{self, Class, Lane};
use crate::http::limits::Rate;
use crate::http::panic::caught;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::quota::{Empty, Left};
use crate::http::shell::{Asked, Shared};
use crate::telemetry::series::Answers;

/// A handler behind its route's conditions.
#[derive(Clone, Debug)]
pub struct Gate<S> {
    route: Route,
    /// Where its answers are counted; found at the first one, when its path is known.
    answers: Arc<OnceLock<Answers>>,
    inner: S,
}

impl<S> Gate<S> {
    /// Puts a route's conditions before a handler.
    pub(in crate::http) fn new(route: Route, inner: S) -> Self {
        Self {
            route,
            answers: Arc::default(),
            inner,
        }
    }
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
        let (route, answers) = (self.route, Arc::clone(&self.answers));
        Box::pin(async move {
            let Some(asked) = request.extensions().get::<Asked>().cloned() else {
                let problem = Problem::internal("a route was called outside the shell");
                return Ok(problem.into_response());
            };
            if request.extensions().get::<Preflight>().is_some() {
                return Ok(route.preflight());
            }
            let path = request.extensions().get::<MatchedPath>().cloned();
            let pattern = path.as_ref().map_or("", MatchedPath::as_str);
            let answers = answers
                .get_or_init(|| asked.shell.counts.route(pattern))
                .clone();
            let mut passage = Passage {
                path,
                by: None,
                class: route.class,
                answers,
            };
            let (method, uri) = (request.method().clone(), request.uri().clone());
            let mut response = route.pass(inner, request, &asked, &mut passage).await;
            if let Some(refused) = route.refused(&response, (&method, &uri), &asked, &passage) {
                asked.shell.house.refused(refused).await;
            }
            response.extensions_mut().insert(passage);
            Ok(response)
        })
    }
}

/// What the access log and the metrics tell about a request that found its route.
#[derive(Clone, Debug)]
pub(in crate::http) struct Passage {
    /// Pattern of the path.
    pub(in crate::http) path: Option<MatchedPath>,
    pub(in crate::http) by: Option<Actor>,
    pub(in crate::http) class: Option<Class>,
    /// Where its answer is counted.
    pub(in crate::http) answers: Answers,
}

impl Route {
    fn preflight(self) -> Response {
        if self.audience == Audience::Storefront {
            cors::preflight_answer()
        } else {
            Response::default()
        }
    }

    async fn pass<S>(
        self,
        inner: S,
        request: Request,
        asked: &Asked,
        passage: &mut Passage,
    ) -> Response
    where
        S: Service<Request, Response = Response, Error = Infallible>,
    {
        let (mut parts, body) = request.into_parts();
        let is_storefront = self.audience == Audience::Storefront;
        let origin = parts
            .headers
            .get(header::ORIGIN)
            .filter(|_| is_storefront)
            .cloned();
        let admitted = self.check(asked, &mut parts, passage);
        let (mut response, is_open) = match admitted {
            Ok((coding, left)) => {
                let answered = self.handle(inner, parts, (body, coding), asked).await;
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
        response
    }

    /// What is to be remembered of an answer: that a known caller was refused a change, or that
    /// somebody's key came in an address. What was too much or too late is only counted.
    fn refused(
        &self,
        response: &Response,
        (method, uri): (&Method, &Uri),
        asked: &Asked,
        passage: &Passage,
    ) -> Option<RefusedWrite> {
        let code = response.extensions().get::<Arc<Problem>>()?.code();
        let is_read = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        let changes = matches!(
            self.rate,
            Some(Rate::Writes | Rate::Exports | Rate::Backups)
        );
        let is_refusal = (400..500).contains(&code.status()) && code != Code::RateLimited;
        let shell = &asked.shell;
        let by = match code {
            Code::KeyInUrl => auth::owner_of_leaked(shell, uri.query())?,
            _ if is_refusal && changes && !is_read => passage.by?,
            _ => return None,
        };
        if !shell.limits.may_remember(by, shell.nanos()) {
            shell.counts.not_audited.inc();
            return None;
        }
        let pattern = passage.path.as_ref().map_or("", MatchedPath::as_str);
        Some(RefusedWrite {
            by,
            address: asked.address.to_string(),
            action: format!("{method} {pattern}"),
            path: uri.path().to_owned(),
            code: code.as_str(),
        })
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
            shell.counts.overloaded.inc();
            return Err(lanes::overloaded().into());
        }
        let coding = self.check_body(&parts.headers)?;
        let principal = match self.audience {
            Audience::Anybody => return Ok((coding, None)),
            Audience::Watchers => Arc::new(Principal::watcher()),
            Audience::KeyHolders | Audience::Storefront => {
                auth::identify(shell, self.audience, parts, asked.address)?
            }
        };
        passage.by = Some(principal.by);
        let is_read = matches!(parts.method, Method::GET | Method::HEAD);
        let rate = self.rate.filter(|rate| *rate != Rate::Writes || !is_read);
        let limits = &shell.limits;
        let left = rate.map(|rate| limits.take(rate, &principal, asked.address, shell.nanos()));
        let left = left
            .transpose()
            .inspect_err(|_| shell.counts.rate_limited.inc())?;
        let (address, request_id) = (asked.address, asked.id);
        parts.extensions.insert(Caller {
            principal,
            address,
            request_id,
        });
        Ok((coding, left))
    }

    /// Lets the body come, waits for a turn, and has the request handled in time.
    ///
    /// The permit is taken after the body: a slow client must not keep others from theirs.
    async fn handle<S>(
        self,
        mut inner: S,
        mut parts: request::Parts,
        (body, coding): (Body, Coding),
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
        let answer = caught(answer, &shell.counts);
        let answer = match deadline {
            Some(at) => timeout_at(at, answer)
                .await
                .map_err(|_| lanes::late(&shell.counts))?,
            None => answer.await,
        };
        drop((permit, held));
        match answer? {
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
        let quota = empty.quota;
        let detail = format!(
            "{} calls in {} s, {} at once",
            quota.tokens, quota.window_s, quota.burst
        );
        let problem = Problem::new(Code::RateLimited, detail).retry_after_s(wait_s(empty.wait));
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
                full_in_s: wait_s(wait),
            };
            tell_left(&left, response.headers_mut());
        }
        response
    }
}

/// Whole seconds after which a token has grown, at least one.
fn wait_s(wait: Duration) -> u64 {
    let seconds = wait.as_nanos().div_ceil(1_000_000_000).max(1);
    u64::try_from(seconds).unwrap_or(u64::MAX)
}

/// What is left, as draft-ietf-httpapi-ratelimit-headers spells it.
fn tell_left(left: &Left, headers: &mut HeaderMap) {
    const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
    const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
    let quota = &left.quota;
    let policy = format!("\"{}\";q={};w={}", quota.name, quota.tokens, quota.window_s);
    let limit = format!("\"{}\";r={};t={}", quota.name, left.tokens, left.full_in_s);
    for (name, text) in [(POLICY, policy), (LIMIT, limit)] {
        if let Ok(value) = HeaderValue::try_from(text) {
            headers.insert(name, value);
        }
    }
}
