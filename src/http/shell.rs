//! What stands around every request: its name, its answer when everything else fails, its line in
//! the access log, and the document of its problem.

use std::convert::Infallible;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use hyper::body::{Body as _, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode, Uri, Version};
use tower::Service;
use tower_http::CompressionLevel;
use tower_http::compression::Compression;
use tower_http::compression::predicate::SizeAbove;

use crate::access::key::Doorkeeper;
use crate::domain::id::RequestId;
use crate::domain::time::Timestamp;
use crate::engine::error::EngineError;
use crate::engine::refusals::RefusedWrite;
use crate::http::Settings;
use crate::http::address::client_address;
use crate::http::body::BodyRoom;
use crate::http::coding::choose_coding;
use crate::http::cors;
use crate::http::counts::Counts;
use crate::http::guard::REFUSED;
use crate::http::head::{HEADER_BYTES_MAX, HEADERS_MAX, URI_BYTES_MAX, Unreadable};
use crate::http::host::is_foreign;
use crate::http::lanes::Lanes;
use crate::http::limits::Limits;
use crate::http::link::{Link, Offered};
use crate::http::log::{self, Line};
use crate::http::panic::caught;
use crate::http::passing::Passage;
use crate::http::problem::code::Code;
use crate::http::problem::{Problem, pages};
use crate::http::quota::Nanos;
use crate::http::request_id::RequestIds;
use crate::http::target::is_plain_path;
use crate::telemetry::metrics::Metrics;

/// Smallest answer that is worth packing.
const PACKED_BYTES_MIN: u64 = 1_024;

const DOCUMENT: HeaderValue = HeaderValue::from_static("application/problem+json");

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const REVISION: HeaderName = HeaderName::from_static("x-endcap-revision");

/// What the shell asks of the house behind it.
pub trait House: Doorkeeper {
    /// What time it is for keys that expire.
    fn now(&self) -> Timestamp;

    /// Revision of the snapshot that answers now; `None` while there is none.
    fn revision(&self) -> Option<u64>;

    /// Waits until a revision is published.
    ///
    /// # Errors
    /// `snapshot-behind` if it does not come in time.
    fn reached(
        &self,
        revision: u64,
    ) -> Pin<Box<dyn Future<Output = Result<(), EngineError>> + Send + '_>>;

    /// Remembers a change that is being refused.
    fn refused(&self, refused: RefusedWrite) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// What a shell is made of beside its routes.
pub struct Parts {
    /// The house behind it.
    pub house: Arc<dyn House>,
    /// Where it counts.
    pub metrics: Arc<Metrics>,
    /// Bounds and times.
    pub settings: Settings,
    /// A random number that tells the request ids of this process from others'.
    pub process: u64,
}

/// What all requests share.
pub(in crate::http) struct Shared {
    pub(in crate::http) house: Arc<dyn House>,
    pub(in crate::http) settings: Settings,
    pub(in crate::http) lanes: Lanes,
    pub(in crate::http) limits: Limits,
    pub(in crate::http) room: BodyRoom,
    pub(in crate::http) counts: Counts,
    ids: RequestIds,
    started: Instant,
}

impl Shared {
    /// Nanoseconds since the start.
    pub(in crate::http) fn nanos(&self) -> Nanos {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// A request as far as its route needs to know it.
#[derive(Clone)]
pub(in crate::http) struct Asked {
    pub(in crate::http) id: RequestId,
    pub(in crate::http) address: IpAddr,
    pub(in crate::http) shell: Arc<Shared>,
}

/// Everything between hyper and the handlers.
pub struct Shell {
    shared: Arc<Shared>,
    routes: Router,
}

impl Shell {
    /// Puts the shell around routes, to which it adds the pages that explain problems.
    pub fn new(routes: Router, parts: Parts) -> Self {
        let settings = parts.settings;
        let shared = Shared {
            house: parts.house,
            lanes: Lanes::new(settings.widths),
            limits: Limits::new(settings.rates, settings.buckets_max),
            room: BodyRoom::new(settings.bodies_bytes_max),
            counts: Counts::of(&parts.metrics),
            ids: RequestIds::new(parts.process),
            started: Instant::now(),
            settings,
        };
        let routes = routes.merge(pages::routes());
        Self {
            shared: Arc::new(shared),
            routes,
        }
    }

    /// What it counts.
    pub(in crate::http) fn counts(&self) -> &Counts {
        &self.shared.counts
    }

    /// Bounds and times.
    pub(in crate::http) fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// Throws away what the rate limits need not remember.
    pub(in crate::http) fn sweep(&self) {
        self.shared.limits.sweep(self.shared.nanos());
    }

    /// Answers one request of a connection.
    pub(in crate::http) async fn answer(
        &self,
        link: &Arc<Link>,
        request: Request<Incoming>,
    ) -> hyper::Response<Offered> {
        let open = link.begin();
        let began = Instant::now();
        let id = self.shared.ids.next();
        let trusted = &self.shared.settings.trusted_proxies;
        let address = client_address(link.peer, request.headers(), trusted);
        let (method, uri) = (request.method().clone(), request.uri().clone());
        let fault = link
            .fault()
            .filter(|_| request.method().as_str() == REFUSED);
        let is_http_2 = request.version() == Version::HTTP_2;
        let request = request.map(|body| {
            if body.is_end_stream() {
                Body::empty()
            } else {
                Body::new(body)
            }
        });
        let asked = Asked {
            id,
            address,
            shell: Arc::clone(&self.shared),
        };
        let mut response = match fault {
            Some(fault) => self.unreadable(fault),
            None => self.dispatch(request, asked).await,
        };
        let instance = fault.is_none().then(|| uri.path());
        let problem = self.finish(&mut response, id, instance, &method);
        if is_http_2 {
            response.headers_mut().remove(header::CONNECTION);
        }
        let passage = response.extensions_mut().remove::<Passage>();
        let of_route = passage.as_ref().map(|passage| &passage.answers);
        let answers = of_route.unwrap_or(&self.shared.counts.no_route);
        answers.answered(response.status().as_u16());
        log::access(&Line {
            id,
            method: &method,
            uri: &uri,
            address,
            passage: passage.as_ref(),
            status: response.status().as_u16(),
            code: problem.as_ref().map(|problem| problem.code()),
            took: began.elapsed(),
        });
        response.map(|body| Offered::new(body, open))
    }

    fn unreadable(&self, fault: Unreadable) -> Response {
        self.shared.counts.unreadable.inc();
        fault.problem().into_response()
    }

    /// Has a readable request handled; a panic on the way is an answer too.
    async fn dispatch(&self, mut request: Request<Body>, asked: Asked) -> Response {
        if let Err(problem) = self.check_head(&request) {
            return problem.into_response();
        }
        if let Err(problem) = choose_coding(request.headers_mut()) {
            return problem.into_response();
        }
        request.extensions_mut().insert(asked);
        let answered = caught(self.route(request), &self.shared.counts).await;
        answered.unwrap_or_else(IntoResponse::into_response)
    }

    /// What no request may have, whatever its protocol.
    fn check_head(&self, request: &Request<Body>) -> Result<(), Problem> {
        check_size(request.uri(), request.headers()).map_err(Unreadable::problem)?;
        if !is_plain_path(request.uri().path()) {
            return Err(Problem::not_found("path"));
        }
        if is_foreign(request, self.settings().public_url.as_ref()) {
            return Err(Problem::bad_header("Host", "a name of this server"));
        }
        Ok(())
    }

    async fn route(&self, request: Request<Body>) -> Response {
        if let Some(about) = cors::asked_about(&request) {
            let answer = call(self.routes.clone(), about).await;
            if answer.extensions().get::<cors::Answered>().is_some() {
                return answer;
            }
        }
        if !request.headers().contains_key(header::ACCEPT_ENCODING) {
            return call(self.routes.clone(), request).await;
        }
        let packing = Compression::new(self.routes.clone())
            .quality(CompressionLevel::Fastest)
            .compress_when(SizeAbove::new(PACKED_BYTES_MIN));
        call(packing, request).await.map(Body::new)
    }

    /// Sets what every answer has, and writes the document of a problem.
    fn finish(
        &self,
        response: &mut Response,
        id: RequestId,
        instance: Option<&str>,
        method: &Method,
    ) -> Option<Arc<Problem>> {
        let id = id.to_string();
        let known = response.extensions_mut().remove::<Arc<Problem>>();
        let problem = known.or_else(|| foreign(response).map(Arc::new));
        if let Some(problem) = &problem {
            if let Some(cause) = problem.cause() {
                tracing::error!(request_id = %id, cause = %log::chain(cause), "request failed");
            }
            let document = problem.document(instance, &id);
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_TYPE, DOCUMENT);
            headers.insert(header::CONTENT_LENGTH, document.len().into());
            if *method != Method::HEAD {
                *response.body_mut() = document.into();
            }
        }
        let headers = response.headers_mut();
        if let Ok(id) = HeaderValue::try_from(id) {
            headers.insert(REQUEST_ID, id);
        }
        if let Some(revision) = self.shared.house.revision() {
            headers.entry(REVISION).or_insert_with(|| revision.into());
        }
        problem
    }
}

/// The problem of an answer that the router gave by itself.
fn foreign(response: &Response) -> Option<Problem> {
    let is_plain = !response.headers().contains_key(header::CONTENT_TYPE)
        || response.headers()[header::CONTENT_TYPE]
            .as_bytes()
            .starts_with(b"text/plain");
    if !is_plain {
        return None;
    }
    match response.status() {
        StatusCode::NOT_FOUND => Some(Problem::not_found("path")),
        StatusCode::METHOD_NOT_ALLOWED => {
            let detail = "the path exists, but not with this method";
            Some(Problem::new(Code::MethodNotAllowed, detail))
        }
        _ => None,
    }
}

/// The sizes of a head over HTTP/2, counted as HTTP/1 would write it.
fn check_size(uri: &Uri, headers: &HeaderMap) -> Result<(), Unreadable> {
    let target = uri
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    if URI_BYTES_MAX < target {
        return Err(Unreadable::UriTooLong);
    }
    let n_bytes: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    if HEADERS_MAX < headers.len() || HEADER_BYTES_MAX < n_bytes {
        return Err(Unreadable::HeadersTooLarge);
    }
    match headers.get_all(header::CONTENT_LENGTH).iter().count() {
        0 | 1 => Ok(()),
        _ => Err(Unreadable::TwoLengths),
    }
}

async fn call<S, B>(mut service: S, request: Request<Body>) -> hyper::Response<B>
where
    S: Service<Request<Body>, Response = hyper::Response<B>, Error = Infallible>,
{
    // A router and what packs its answers are always ready.
    match service.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}
