//! Whether the process lives, whether it can rank, what it has counted.

use std::collections::BTreeMap;

use axum::Extension;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use crate::access::may::{Object, Verb};
use crate::api::wire::{answer, query, scalar};
use crate::domain::complaint::Fault;
use crate::engine::error::EngineError;
use crate::engine::health::Writes;
use crate::engine::start::Engine;
use crate::http::extract::{Caller, Query};
use crate::http::gate::Route;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::http::stop::Stop;

/// Media type of metrics.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What the process is ready for.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReadyBody {
    /// Whether every market has a snapshot.
    ready: bool,
    /// `ok`, `full` or `read-only`.
    writes: &'static str,
    /// Revision of each market's snapshot.
    markets: BTreeMap<String, u64>,
    /// Markets with damaged goods: `older` ranks earlier ones, `lost` has none and refuses ranks;
    /// either is whole again once its whole feed is imported. Absent while there are none.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    damaged: BTreeMap<String, &'static str>,
}

/// It lives.
#[derive(Debug, Serialize, ToSchema)]
pub struct LiveBody {
    live: bool,
}

/// What readiness is asked for.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ReadyParams {
    /// `writes`: 200 only while all of them are taken.
    #[param(rename = "for")]
    pub purpose: Option<String>,
}

/// Routes of this file; `stop` is what makes the process unready.
pub(crate) fn routes(stop: Stop) -> OpenApiRouter<Engine> {
    health_routes(stop)
        .route_layer(Route::open())
        .merge(metrics_route().route_layer(Route::desk()))
}

/// The same for those who reach a socket for watching.
pub(crate) fn watched_routes(stop: Stop) -> OpenApiRouter<Engine> {
    let routes = health_routes(stop).merge(metrics_route());
    routes.route_layer(Route::watched())
}

fn health_routes(stop: Stop) -> OpenApiRouter<Engine> {
    OpenApiRouter::new()
        .routes(routes!(live))
        .routes(routes!(ready).layer(Extension(stop)))
}

fn metrics_route() -> OpenApiRouter<Engine> {
    OpenApiRouter::new().routes(routes!(read_metrics))
}

/// Whether the process runs
#[utoipa::path(
    get, path = "/health/live", tag = "ops", security(()),
    responses((status = 200, description = "It does", body = LiveBody)),
    extensions(("x-problems" = json!([]))),
)]
async fn live() -> Response {
    never_cached(answer::ok(&LiveBody { live: true }))
}

/// Whether the process can rank
///
/// 503 until every market has a snapshot, and from the moment the process is told to end.
#[utoipa::path(
    get, path = "/health/ready", tag = "ops", security(()),
    params(ReadyParams),
    responses((status = 200, description = "It can", body = ReadyBody)),
    extensions(("x-problems" = json!(["not-ready"]))),
)]
async fn ready(
    State(engine): State<Engine>,
    Extension(stop): Extension<Stop>,
    members: Query,
) -> Result<Response, Problem> {
    let purpose = query::read(&members, |fields| {
        fields.scalar("for", scalar::parsed(read_purpose))
    })?;
    let health = engine.health();
    let is_ready = health.ready && !stop.has_begun();
    if !is_ready || purpose.is_some() && health.writes != Writes::Ok {
        let problem = Problem::new(Code::NotReady, "not ready for this");
        return Err(problem
            .with("ready", is_ready)
            .with("writes", health.writes.as_str()));
    }
    let markets = health.markets.into_iter();
    let damaged = health.damaged.into_iter();
    Ok(never_cached(answer::ok(&ReadyBody {
        ready: true,
        writes: health.writes.as_str(),
        markets: markets
            .map(|(id, revision)| (id.to_string(), revision))
            .collect(),
        damaged: damaged
            .map(|(id, standing)| (id.to_string(), standing.as_str()))
            .collect(),
    })))
}

/// Read the metrics
///
/// `OpenMetrics` text; no key, session or person stands in it.
#[utoipa::path(
    get, path = "/metrics", tag = "ops",
    responses((status = 200, description = "The metrics", body = String, content_type = "application/openmetrics-text")),
    extensions(("x-problems" = json!([]))),
)]
async fn read_metrics(State(engine): State<Engine>, caller: Caller) -> Result<Response, Problem> {
    let may = caller.principal.may(Verb::Watch, &Object::Anywhere);
    may.map_err(EngineError::from)?;
    let media = [(CONTENT_TYPE, HeaderValue::from_static(OPEN_METRICS))];
    Ok(never_cached(
        (media, engine.metrics().encode(engine.now())).into_response(),
    ))
}

fn read_purpose(text: &str) -> Result<(), Fault> {
    match text {
        "writes" => Ok(()),
        _ => Err(Fault::unknown_value(text, &["writes"])),
    }
}

fn never_cached(response: Response) -> Response {
    let never = HeaderValue::from_static("no-store");
    (StatusCode::OK, [(CACHE_CONTROL, never)], response).into_response()
}
