//! What merchandisers decide: promotions and demotions, and the steps of their life.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::principal::Principal;
use crate::api::merchandiser::promotion::{PromotionAnswer, PromotionBody, read, read_patch};
use crate::api::wire::change::{Asked, seen, seen_or_any};
use crate::api::wire::fields::Fields;
use crate::api::wire::{answer, path, scalar};
use crate::domain::id::PromotionId;
use crate::domain::money::Percent;
use crate::engine::commit::{Intent, Known, StoredAnswer, Written};
use crate::engine::error::EngineError;
use crate::engine::promotions::{PromotionView, Step};
use crate::engine::start::Engine;
use crate::http::extract::{Caller, IfMatch, IfNoneMatch, Json};
use crate::http::gate::Route;
use crate::http::problem::Problem;
use crate::promotion::draft::PromotionDraft;
use crate::promotion::epoch::read_share;
use crate::promotion::terms::Promotion;

/// A new start of measuring.
#[derive(Debug, ToSchema)]
pub struct RestartBody {
    /// Percent of sessions that see it from now on, 50 to 99; as before if absent.
    #[schema(examples("90"))]
    pub share_shown_percent: Option<String>,
}

/// Routes of this file.
pub(crate) fn routes() -> OpenApiRouter<Engine> {
    OpenApiRouter::new()
        .routes(routes!(create_promotion))
        .routes(routes!(
            read_promotion,
            replace_promotion,
            change_promotion,
            archive_promotion
        ))
        .routes(routes!(suspend_promotion))
        .routes(routes!(resume_promotion))
        .routes(routes!(end_promotion))
        .routes(routes!(restart_measurement))
        .route_layer(Route::desk())
}

/// Create a promotion or demotion
///
/// Active by its period alone; `suspended: true` holds it back. All of its markets have room over
/// its whole period, or none of it is made.
#[utoipa::path(
    post, path = "/v1/promotions", tag = "merchandiser",
    request_body = PromotionBody,
    responses((status = 201, description = "The promotion", body = PromotionAnswer)),
    extensions(("x-problems" = json!(["market-forbidden", "name-taken", "market-full"]))),
)]
async fn create_promotion(
    State(engine): State<Engine>,
    Asked(intent): Asked,
    Json(body): Json,
) -> Result<Response, Problem> {
    let render = |view: &PromotionView| made(201, view);
    let written = engine
        .create_promotion(&intent, read(&body), &render)
        .await?;
    answered(&engine, &intent.principal, written, 201).await
}

/// Read a promotion
#[utoipa::path(
    get, path = "/v1/promotions/{promotion}", tag = "merchandiser",
    params(("promotion" = String, Path, description = "Its id")),
    responses(
        (status = 200, description = "The promotion", body = PromotionAnswer),
        (status = 304, description = "It is as `If-None-Match` has it"),
    ),
    extensions(("x-problems" = json!(["not-found"]))),
)]
async fn read_promotion(
    State(engine): State<Engine>,
    caller: Caller,
    Path(promotion): Path<String>,
    known: IfNoneMatch,
) -> Result<Response, Problem> {
    let id = path::promotion(&promotion)?;
    let (view, revision) = engine.promotion(&caller.principal, id).await?;
    Ok(answer::object(revision.0, &known, || {
        PromotionAnswer::at(&view, revision.0)
    }))
}

/// Replace a promotion
///
/// All that a person decides about it; what is absent takes its default. The kind is fixed.
#[utoipa::path(
    put, path = "/v1/promotions/{promotion}", tag = "merchandiser",
    params(("promotion" = String, Path, description = "Its id")),
    request_body = PromotionBody,
    responses((status = 200, description = "The promotion", body = PromotionAnswer)),
    extensions(("x-problems" = json!(["not-found", "market-forbidden", "precondition-required", "stale-revision", "name-taken", "market-full", "wrong-state"]))),
)]
async fn replace_promotion(
    State(engine): State<Engine>,
    Asked(intent): Asked,
    Path(promotion): Path<String>,
    if_match: IfMatch,
    Json(body): Json,
) -> Result<Response, Problem> {
    let (id, known) = (path::promotion(&promotion)?, seen(if_match)?);
    let redraft = |_: &Promotion| Ok(read(&body));
    edit(&engine, &intent, (id, known), &redraft).await
}

/// Change a promotion
///
/// A merge patch: null takes a field back to its default, lists are replaced whole.
#[utoipa::path(
    patch, path = "/v1/promotions/{promotion}", tag = "merchandiser",
    params(("promotion" = String, Path, description = "Its id")),
    request_body(content = Object, content_type = "application/merge-patch+json", description = "Fields of a promotion"),
    responses((status = 200, description = "The promotion", body = PromotionAnswer)),
    extensions(("x-problems" = json!(["not-found", "market-forbidden", "precondition-required", "stale-revision", "name-taken", "market-full", "wrong-state"]))),
)]
async fn change_promotion(
    State(engine): State<Engine>,
    Asked(intent): Asked,
    Path(promotion): Path<String>,
    if_match: IfMatch,
    Json(patch): Json,
) -> Result<Response, Problem> {
    let (id, known) = (path::promotion(&promotion)?, seen(if_match)?);
    let redraft = |standing: &Promotion| Ok(read_patch(standing, &patch));
    edit(&engine, &intent, (id, known), &redraft).await
}

/// Archive a promotion
///
/// Frees its name and its places; the record stays.
#[utoipa::path(
    delete, path = "/v1/promotions/{promotion}", tag = "merchandiser",
    params(("promotion" = String, Path, description = "Its id")),
    responses((status = 200, description = "The archived promotion", body = PromotionAnswer)),
    extensions(("x-problems" = json!(["not-found", "market-forbidden", "precondition-required", "stale-revision", "wrong-state"]))),
)]
async fn archive_promotion(
    State(engine): State<Engine>,
    Asked(intent): Asked,
    Path(promotion): Path<String>,
    if_match: IfMatch,
) -> Result<Response, Problem> {
    let known = seen(if_match)?;
    step(&engine, &intent, &promotion, (known, Step::Archive)).await
}

/// Hold a promotion back
///
/// From the answer on it ranks nothing and takes no place. `If-Match: *` is taken.
#[utoipa::path(
    post, path = "/v1/promotions/{promotion}/suspend", tag = "merchandiser",
    params(("promotion" = String, Path, description = "Its id")),
    responses((status = 200, description = "The promotion", body = PromotionAnswer)),
    extensions(("x-problems" = json!(["not-found", "market-forbidden", "precondition-required", "stale-revision", "wrong-state"]))),
)]
async fn suspend_promotion(
    State(engine): State<Engine>,
    Asked(intent): Asked,
    Path(promotion): Path<String>,
    if_match: IfMatch,
) -> Result<Response, Problem> {
    let known = seen_or_any(if_match)?;
    step(&engine, &intent, &promotion, (known, Step::Suspend)).await
}

/// Let a promotion go on
///
/// If its markets still have room.
#[utoipa::path(
    post, path = "/v1/promotions/{promotion}/resume", tag = "merchandiser",
    params(("promotion" = String, Path, description = "Its id")),
    responses((status = 200, description = "The promotion", body = PromotionAnswer)),
    extensions(("x-problems" = json!(["not-found", "market-forbidden", "precondition-required", "stale-revision", "wrong-state", "market-full"]))),
)]
async fn resume_promotion(
    State(engine): State<Engine>,
    Asked(intent): Asked,
    Path(promotion): Path<String>,
    if_match: IfMatch,
) -> Result<Response, Problem> {
    let known = seen(if_match)?;
    step(&engine, &intent, &promotion, (known, Step::Resume)).await
}

/// End a promotion
///
/// Sets its end to now. `If-Match: *` is taken.
#[utoipa::path(
    post, path = "/v1/promotions/{promotion}/end", tag = "merchandiser",
    params(("promotion" = String, Path, description = "Its id")),
    responses((status = 200, description = "The promotion", body = PromotionAnswer)),
    extensions(("x-problems" = json!(["not-found", "market-forbidden", "precondition-required", "stale-revision", "wrong-state"]))),
)]
async fn end_promotion(
    State(engine): State<Engine>,
    Asked(intent): Asked,
    Path(promotion): Path<String>,
    if_match: IfMatch,
) -> Result<Response, Problem> {
    let known = seen_or_any(if_match)?;
    step(&engine, &intent, &promotion, (known, Step::End)).await
}

/// Begin measuring anew
///
/// Opens an epoch with a fresh split of the sessions: the only way to change the share of one that
/// runs.
#[utoipa::path(
    post, path = "/v1/promotions/{promotion}/restart-measurement", tag = "merchandiser",
    params(("promotion" = String, Path, description = "Its id")),
    request_body(content = Option<RestartBody>, description = "Nothing, or another share"),
    responses((status = 200, description = "The promotion", body = PromotionAnswer)),
    extensions(("x-problems" = json!(["not-found", "market-forbidden", "precondition-required", "stale-revision", "wrong-state"]))),
)]
async fn restart_measurement(
    State(engine): State<Engine>,
    Asked(intent): Asked,
    Path(promotion): Path<String>,
    if_match: IfMatch,
    Json(body): Json,
) -> Result<Response, Problem> {
    let known = seen(if_match)?;
    let share = read_restart(&body)?;
    step(
        &engine,
        &intent,
        &promotion,
        (known, Step::RestartMeasurement(share)),
    )
    .await
}

fn read_restart(body: &Value) -> Result<Option<Percent>, Problem> {
    let nothing = Value::Object(Map::new());
    let body = if body.is_null() { &nothing } else { body };
    let read =
        |fields: &mut Fields<'_>| fields.scalar("share_shown_percent", scalar::parsed(read_share));
    match Fields::gather(body, read) {
        (share, complaints) if complaints.is_empty() => Ok(share),
        (_, complaints) => Err(Problem::invalid(&complaints)),
    }
}

async fn edit(
    engine: &Engine,
    intent: &Intent,
    (id, known): (PromotionId, Known),
    redraft: &(dyn Fn(&Promotion) -> Result<PromotionDraft, EngineError> + Send + Sync),
) -> Result<Response, Problem> {
    let render = |view: &PromotionView| made(200, view);
    let written = engine
        .edit_promotion(intent, id, known, redraft, &render)
        .await?;
    answered(engine, &intent.principal, written, 200).await
}

async fn step(
    engine: &Engine,
    intent: &Intent,
    promotion: &str,
    (known, step): (Known, Step),
) -> Result<Response, Problem> {
    let id = path::promotion(promotion)?;
    let render = |view: &PromotionView| made(200, view);
    let written = engine
        .step_promotion(intent, id, known, step, &render)
        .await?;
    answered(engine, &intent.principal, written, 200).await
}

/// The answer to a change, without its revision.
pub(super) fn made(status: u16, view: &PromotionView) -> StoredAnswer {
    let id = view.promotion.id;
    StoredAnswer {
        status,
        location: Some(format!("/v1/promotions/{id}")),
        body: Some(answer::json(&PromotionAnswer::of(view))),
    }
}

/// Answers a change.
pub(super) async fn answered(
    engine: &Engine,
    principal: &Arc<Principal>,
    written: Written<PromotionView>,
    status: u16,
) -> Result<Response, Problem> {
    match written {
        Written::Now(view, revision) => Ok(answer::written(&made(status, &view), revision.0)),
        Written::Replayed(first, revision) if first.body.is_some() => {
            Ok(answer::replayed(&first, revision.0))
        }
        Written::Replayed(first, _) => {
            replay_as_it_stands(engine, principal, first.status, first.location).await
        }
    }
}

/// A first answer that was too long to be kept is given as the promotion stands now.
async fn replay_as_it_stands(
    engine: &Engine,
    principal: &Arc<Principal>,
    status: u16,
    location: Option<String>,
) -> Result<Response, Problem> {
    let location = location.unwrap_or_default();
    let id = path::promotion(location.rsplit('/').next().unwrap_or_default())?;
    let (view, revision) = engine.promotion(principal, id).await?;
    Ok(answer::replayed(&made(status, &view), revision.0))
}
