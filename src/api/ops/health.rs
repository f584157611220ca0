//! Health and metrics.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::CONTENT_TYPE;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::wire::answer;
use crate::engine::error::EngineError;
use crate::engine::health::Writes;
use crate::engine::start::Engine;
use crate::http::extract::{Caller, Query};
use crate::http::gate::Route;
use crate::http::problem::Problem;

/// Whether the process can rank.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReadyAnswer {
    /// Whether every market has a snapshot.
    ready: bool,
    /// `ok`, `full` or `read-only`.
    writes: &'static str,
    /// Revision of each market's snapshot.
    markets: BTreeMap<String, u64>,
}

/// What readiness is asked for.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it is read by name; this is its description")]
pub struct ReadyParams {
    /// `writes`: ready only while everything is taken.
    #[param(rename = "for")]
    for_: Option<String>,
}

/// Routes of this file.
pub(crate) fn routes() -> OpenApiRouter<Engine> {
    let open = OpenApiRouter::new()
        .routes(routes!(live))
        .routes(routes!(ready))
        .route_layer(Route::open());
    let keyed = OpenApiRouter::new()
        .routes(routes!(metrics))
        .route_layer(Route::desk());
    open.merge(keyed)
}

/// Live
///
/// 200 while the process runs.
#[utoipa::path(
    get, path = "/health/live", tag = "ops",
    responses((status = 200, description = "The process runs", body = Object)),
    extensions(("x-problems" = json!([]))), security(()),
)]
async fn live() -> Response {
    answer::ok(&serde_json::json!({ "live": true }))
}

/// Ready
///
/// 200 once every market has a snapshot, until the process is told to end.
#[utoipa::path(
    get, path = "/health/ready", tag = "ops",
    params(ReadyParams),
    responses((status = 200, description = "It can rank", body = ReadyAnswer)),
    extensions(("x-problems" = json!(["not-ready"]))), security(()),
)]
async fn ready(State(engine): State<Engine>, Query(members): Query) -> Result<Response, Problem> {
    let health = engine.health();
    let for_writes = members
        .iter()
        .any(|(name, value)| name == "for" && value == "writes");
    if !health.ready || for_writes && health.writes != Writes::Ok {
        return Err(EngineError::NotReady.into());
    }
    let markets = health
        .markets
        .iter()
        .map(|(id, revision)| (id.to_string(), *revision));
    Ok(answer::ok(&ReadyAnswer {
        ready: true,
        writes: health.writes.as_str(),
        markets: markets.collect(),
    }))
}

/// Metrics
///
/// As `OpenMetrics` text, for keys of the role `ops`.
#[utoipa::path(
    get, path = "/metrics", tag = "ops",
    responses((status = 200, description = "All metrics", body = String, content_type = "application/openmetrics-text")),
    extensions(("x-problems" = json!([]))),
)]
async fn metrics(State(engine): State<Engine>, caller: Caller) -> Result<Response, Problem> {
    let (media, text) = engine.scrape(&caller.principal)?;
    Ok((StatusCode::OK, [(CONTENT_TYPE, media)], text).into_response())
}
