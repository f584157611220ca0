//! A page of a search panel or category.

use std::time::Instant;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, HeaderMap, HeaderName, HeaderValue, VARY};
use serde_json::Value;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::storefront::rank_answer::{self, Sight};
use crate::api::storefront::rank_request;
use crate::api::storefront::rank_schema::{RankAnswerBody, RankBody, RankParams};
use crate::api::wire::{answer, path, query};
use crate::engine::rank::{RankExtras, RankRequest};
use crate::engine::start::Engine;
use crate::http::extract::{Caller, Json, Query};
use crate::http::gate::Route;
use crate::http::problem::Problem;

const REVISION: HeaderName = HeaderName::from_static("x-endcap-revision");

/// Routes of this file.
pub(crate) fn routes() -> OpenApiRouter<Engine> {
    OpenApiRouter::new()
        .routes(routes!(rank, rank_by_query))
        .route_layer(Route::rank())
}

/// Rank a page
///
/// Answers the variants of a market in the order of their scores and of the promotions that are
/// active, as the session sees them. Public keys get no `base_rank`, `level`, `measurement` or
/// `applied`, and may not ask for `explain`, `at`, `arms` or the attribute `cost`.
#[utoipa::path(
    post, path = "/v1/markets/{market}/rank", tag = "storefront",
    params(("market" = String, Path, description = "Key of the market")),
    request_body = RankBody,
    responses((status = 200, description = "The page", body = RankAnswerBody)),
    extensions(("x-problems" = json!(["bad-cursor", "snapshot-gone"]))),
)]
async fn rank(
    State(engine): State<Engine>,
    caller: Caller,
    Path(market): Path<String>,
    Json(body): Json,
) -> Result<Response, Problem> {
    page(&engine, &caller, &market, &body)
        .await
        .map(|(page, _)| page)
}

/// Rank a page, by query
///
/// Means the same as the equal POST and gives the same answer but for request id and tickets.
/// Clauses of the filter are `f.<attribute>=value`, repeated for alternatives,
/// `f.<attribute>.min` and `f.<attribute>.max`.
#[utoipa::path(
    get, path = "/v1/markets/{market}/rank", tag = "storefront",
    params(("market" = String, Path, description = "Key of the market"), RankParams),
    responses((status = 200, description = "The page", body = RankAnswerBody)),
    extensions(("x-problems" = json!(["bad-cursor", "snapshot-gone"]))),
)]
async fn rank_by_query(
    State(engine): State<Engine>,
    caller: Caller,
    Path(market): Path<String>,
    Query(pairs): Query,
) -> Result<Response, Problem> {
    let body = rank_request::body_of_query(&pairs).map_err(query::twice)?;
    let (page, is_personal) = page(&engine, &caller, &market, &body).await?;
    if is_personal {
        return Ok(page);
    }
    // What a page shows depends on the key, so a shared cache must tell keys apart.
    let shared = HeaderValue::from_static("public, max-age=5");
    let by_key = HeaderValue::from_static("authorization");
    Ok(([(CACHE_CONTROL, shared), (VARY, by_key)], page).into_response())
}

/// The answer, and whether it is for one person only.
async fn page(
    engine: &Engine,
    caller: &Caller,
    market: &str,
    body: &Value,
) -> Result<(Response, bool), Problem> {
    let began = Instant::now();
    let market = path::market(market)?;
    let (request, extras) = rank_request::read(&market, body);
    let mut ranked = engine.rank(&caller.principal, &request, &extras).await?;
    let sight = if caller.principal.is_public() {
        Sight::Public
    } else {
        Sight::Whole
    };
    let revision = ranked.snapshot.revision.0;
    let json = rank_answer::write(&mut ranked, &request, caller.request_id, sight);
    ranked.state.series.rank_latency.observe(began.elapsed());
    let is_personal = is_personal(&request, &extras);
    let mut headers = HeaderMap::with_capacity(2);
    headers.insert(REVISION, revision.into());
    if is_personal {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    }
    Ok((
        (headers, answer::bytes(StatusCode::OK, json)).into_response(),
        is_personal,
    ))
}

/// Whether somebody else may not get the same answer from a cache.
fn is_personal(request: &RankRequest, extras: &RankExtras) -> bool {
    let is_whatif = request.at.is_some() || request.arms.is_some();
    request.session.is_some() || request.shopper.is_some() || is_whatif || extras.explain
}
