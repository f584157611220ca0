//! What a promotion was and going back; copies; several promotions at once.

use axum::extract::{Path, State};
use axum::response::Response;
use hyper::Uri;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::merchandiser::promotion::{PromotionAnswer, PromotionBody, read_patch};
use crate::api::merchandiser::promotions::{answered, made};
use crate::api::wire::change::{Asked, seen};
use crate::api::wire::difference::{FieldChange, changes};
use crate::api::wire::fields::{Fields, Read, read_list};
use crate::api::wire::list::{List, Listing, Window, WindowParams};
use crate::api::wire::{answer, path, query, scalar};
use crate::domain::complaint::Fault;
use crate::domain::id::PromotionId;
use crate::engine::bulk::BULK_MAX;
use crate::engine::commit::{Known, Written};
use crate::engine::error::EngineError;
use crate::engine::history::PastChange;
use crate::engine::promotions::{PromotionView, Step};
use crate::engine::start::Engine;
use crate::http::extract::{Caller, IfMatch, Json, Query};
use crate::http::gate::Route;
use crate::http::problem::Problem;
use crate::promotion::terms::Promotion;

/// One change of a promotion.
#[derive(Debug, Serialize, ToSchema)]
pub struct PastBody {
    /// The revision it made; `restore` takes it.
    revision: u64,
    at: String,
    /// Key or user.
    actor: String,
    /// What was done, such as `promotion.edit`.
    action: String,
    /// What became different; null where a version was too long to be kept. Of the first change:
    /// everything that was set.
    #[schema(required = true)]
    diff: Option<Vec<FieldChange>>,
}

/// Which revision to go back to.
#[derive(Debug, ToSchema)]
pub struct RestoreBody {
    /// A revision of the promotion's history.
    pub revision: u64,
}

/// What is to be done with several promotions.
#[derive(Debug, ToSchema)]
pub struct BulkBody {
    /// `suspend`, `resume`, `end` or `archive`.
    #[schema(examples("suspend"))]
    pub action: String,
    /// At most 100.
    #[schema(max_items = 100)]
    pub promotions: Vec<BulkItem>,
}

/// One of them.
#[derive(Debug, ToSchema)]
pub struct BulkItem {
    /// Its id.
    pub promotion: String,
    /// The revision that was seen; `suspend` and `end` do without.
    pub revision: Option<u64>,
}

/// What came of each, in the order asked.
#[derive(Debug, Serialize, ToSchema)]
pub struct BulkAnswer {
    /// How many were changed.
    done: usize,
    /// How many were refused.
    refused: usize,
    items: Vec<BulkOutcome>,
}

/// What came of one.
#[derive(Debug, Serialize, ToSchema)]
pub struct BulkOutcome {
    promotion: String,
    /// Its revision since then; absent if it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<u64>,
    /// Its state since then; absent if it was refused or repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    /// Why it was refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<BulkProblem>,
}

/// Why one was refused, as it would have been alone.
#[derive(Debug, Serialize, ToSchema)]
pub struct BulkProblem {
    status: u16,
    code: &'static str,
    detail: String,
}

/// Routes of this file.
pub(crate) fn routes() -> OpenApiRouter<Engine> {
    OpenApiRouter::new()
        .routes(routes!(read_history))
        .routes(routes!(restore_promotion))
        .routes(routes!(duplicate_promotion))
        .routes(routes!(change_promotions))
        .route_layer(Route::desk())
}

/// Read the history of a promotion
///
/// Every change, oldest first: who, when, what became different.
#[utoipa::path(
    get, path = "/v1/promotions/{promotion}/history", tag = "merchandiser",
    params(("promotion" = String, Path, description = "Its id"), WindowParams),
    responses((status = 200, description = "A page of changes", body = Listing<PastBody>)),
    extensions(("x-problems" = json!(["bad-cursor", "not-found"]))),
)]
async fn read_history(
    State(engine): State<Engine>,
    caller: Caller,
    Path(promotion): Path<String>,
    uri: Uri,
    members: Query,
) -> Result<Response, Problem> {
    let id = path::promotion(&promotion)?;
    let window = query::read(&members, Window::read)?;
    let list = List::new(&engine, &uri, &members);
    let after = list.after(&window)?;
    let page = engine
        .promotion_history(&caller.principal, id, after.as_deref(), window.limit)
        .await?;
    let next = page.last_if_more().map(|last| list.cursor(&last.place));
    Ok(list.answer(page.items.iter().map(PastBody::of).collect(), next))
}

/// Go back to an earlier revision
///
/// Makes a promotion again what it was, also out of the archive, as a new revision; how it is
/// measured stays as it is now.
#[utoipa::path(
    post, path = "/v1/promotions/{promotion}/restore", tag = "merchandiser",
    params(("promotion" = String, Path, description = "Its id")),
    request_body = RestoreBody,
    responses((status = 200, description = "The promotion", body = PromotionAnswer)),
    extensions(("x-problems" = json!(["not-found", "market-forbidden", "precondition-required", "stale-revision", "name-taken", "market-full"]))),
)]
async fn restore_promotion(
    State(engine): State<Engine>,
    Asked(intent): Asked,
    Path(promotion): Path<String>,
    if_match: IfMatch,
    Json(body): Json,
) -> Result<Response, Problem> {
    let (id, known) = (path::promotion(&promotion)?, seen(if_match)?);
    let (revision, complaints) =
        Fields::gather(&body, |fields| fields.need("revision", read_revision));
    let Some(revision) = revision.filter(|_| complaints.is_empty()) else {
        return Err(Problem::invalid(&complaints));
    };
    let render = |view: &PromotionView| made(200, view);
    let written = engine
        .restore_promotion(&intent, id, known, revision, &render)
        .await?;
    answered(&engine, &intent.principal, written, 200).await
}

/// Duplicate a promotion
///
/// Makes a new one like it, held back and under a name of its own. The body is a merge patch of
/// the copy: another name or period, or `suspended: false`.
#[utoipa::path(
    post, path = "/v1/promotions/{promotion}/duplicate", tag = "merchandiser",
    params(("promotion" = String, Path, description = "Id of the original")),
    request_body(content = Option<Object>, description = "Fields of the copy"),
    responses((status = 201, description = "The copy", body = PromotionAnswer)),
    extensions(("x-problems" = json!(["not-found", "market-forbidden", "precondition-required", "stale-revision", "name-taken", "market-full"]))),
)]
async fn duplicate_promotion(
    State(engine): State<Engine>,
    Asked(intent): Asked,
    Path(promotion): Path<String>,
    if_match: IfMatch,
    Json(body): Json,
) -> Result<Response, Problem> {
    let (id, known) = (path::promotion(&promotion)?, seen(if_match)?);
    let patch = if body.is_null() {
        Value::Object(Map::new())
    } else {
        body
    };
    let redraft = |copy: &Promotion| Ok(read_patch(copy, &patch));
    let render = |view: &PromotionView| made(201, view);
    let written = engine
        .duplicate_promotion(&intent, id, known, &redraft, &render)
        .await?;
    answered(&engine, &intent.principal, written, 201).await
}

/// Suspend, resume, end or archive several promotions
///
/// One after the other; what one is refused for keeps none of the others.
#[utoipa::path(
    post, path = "/v1/promotions/bulk", tag = "merchandiser",
    request_body = BulkBody,
    responses((status = 200, description = "What came of each", body = BulkAnswer)),
    extensions(("x-problems" = json!([]))),
)]
async fn change_promotions(
    State(engine): State<Engine>,
    Asked(intent): Asked,
    Json(body): Json,
) -> Result<Response, Problem> {
    let (step, order) = read_bulk(&body)?;
    let render = |view: &PromotionView| made(200, view);
    let outcomes = engine
        .step_promotions(&intent, &order, step, &render)
        .await?;
    let named = order.iter().map(|(id, _)| id);
    let items: Vec<BulkOutcome> = named
        .zip(outcomes)
        .map(|(id, outcome)| BulkOutcome::of(*id, outcome))
        .collect();
    let refused = items.iter().filter(|own| own.problem.is_some()).count();
    Ok(answer::ok(&BulkAnswer {
        done: items.len() - refused,
        refused,
        items,
    }))
}

fn read_revision(value: &Value) -> Result<u64, Fault> {
    let number = scalar::integer(value)?;
    u64::try_from(number).map_err(|_| Fault::bad_format("a revision from 1", &number.to_string()))
}

fn read_bulk(body: &Value) -> Result<(Step, Vec<(PromotionId, Known)>), Problem> {
    let (order, complaints) = Fields::gather(body, |fields| {
        let step = fields.need("action", scalar::parsed(read_step));
        let needs_revision = matches!(step, Some(Step::Resume | Step::Archive));
        let promotions = fields.need_part("promotions", |value| {
            read_list(value, BULK_MAX, |entry| read_item(entry, needs_revision))
        });
        step.zip(promotions)
    });
    match order {
        Some(order) if complaints.is_empty() => Ok(order),
        _ => Err(Problem::invalid(&complaints)),
    }
}

fn read_step(text: &str) -> Result<Step, Fault> {
    match text {
        "suspend" => Ok(Step::Suspend),
        "resume" => Ok(Step::Resume),
        "end" => Ok(Step::End),
        "archive" => Ok(Step::Archive),
        _ => Err(Fault::unknown_value(
            text,
            &["suspend", "resume", "end", "archive"],
        )),
    }
}

/// What stops must never lose a race and may go without a revision.
fn read_item(value: &Value, needs_revision: bool) -> Read<(PromotionId, Known)> {
    let mut fields = Fields::of(value)?;
    let id = fields.need("promotion", scalar::parsed(PromotionId::parse));
    let revision = if needs_revision {
        fields.need("revision", read_revision)
    } else {
        fields.scalar("revision", read_revision)
    };
    let known = revision.map_or(Known::Any, Known::at);
    fields.finish(id.map(|id| (id, known)))
}

impl PastBody {
    fn of(change: &PastChange) -> Self {
        let json = |promotion: &Promotion| {
            let body = serde_json::to_value(PromotionBody::of(promotion));
            let mut body = body.expect("texts, lists and flags make JSON");
            body["archived"] = Value::Bool(promotion.archived);
            body
        };
        let before = change.before.as_ref().map(json);
        let after = change.after.as_ref().map(json);
        let is_first =
            change.action == "promotion.create" || change.action == "promotion.duplicate";
        let before = before.or_else(|| is_first.then(|| Value::Object(Map::new())));
        Self {
            revision: change.revision.0,
            at: change.at.to_string(),
            actor: change.actor.clone(),
            action: change.action.clone(),
            diff: before
                .zip(after)
                .map(|(before, after)| changes(&before, &after)),
        }
    }
}

impl BulkOutcome {
    fn of(id: PromotionId, outcome: Result<Written<PromotionView>, EngineError>) -> Self {
        let (revision, state, problem) = match outcome {
            Ok(Written::Now(view, revision)) => (Some(revision.0), Some(view.state.as_str()), None),
            Ok(Written::Replayed(_, revision)) => (Some(revision.0), None, None),
            Err(refused) => (None, None, Some(BulkProblem::of(&Problem::from(refused)))),
        };
        Self {
            promotion: id.to_string(),
            revision,
            state,
            problem,
        }
    }
}

impl BulkProblem {
    fn of(problem: &Problem) -> Self {
        Self {
            status: problem.code().status(),
            code: problem.code().as_str(),
            detail: problem.detail().to_owned(),
        }
    }
}
