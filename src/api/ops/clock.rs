//! The clock of tests.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::may::{Object, Verb};
use crate::api::wire::change::Asked;
use crate::api::wire::fields::Fields;
use crate::api::wire::{answer, scalar};
use crate::domain::time::Timestamp;
use crate::engine::error::EngineError;
use crate::engine::start::Engine;
use crate::http::extract::{Caller, Json};
use crate::http::gate::Route;
use crate::http::problem::Problem;

/// What time it is.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClockBody {
    #[schema(examples("2027-03-08T05:00:00.000Z"))]
    now: String,
}

/// Routes of this file.
pub(crate) fn routes() -> OpenApiRouter<Engine> {
    OpenApiRouter::new()
        .routes(routes!(read_clock, set_clock))
        .route_layer(Route::desk())
}

/// Read the test clock
///
/// `not-found` unless the server was started with one.
#[utoipa::path(
    get, path = "/test/clock", tag = "ops",
    responses((status = 200, description = "What time it is", body = ClockBody)),
    extensions(("x-problems" = json!(["not-found"]))),
)]
async fn read_clock(State(engine): State<Engine>, caller: Caller) -> Result<Response, Problem> {
    let may = caller.principal.may(Verb::MoveClock, &Object::Anywhere);
    may.map_err(EngineError::from)?;
    if !engine.clock().is_test() {
        return Err(Problem::not_found("route"));
    }
    Ok(answered(&engine))
}

/// Set the test clock
///
/// From the first time on it stands; it only moves forward. Everything that became due is done when
/// the answer comes.
#[utoipa::path(
    put, path = "/test/clock", tag = "ops",
    request_body = ClockBody,
    responses((status = 200, description = "What time it is", body = ClockBody)),
    extensions(("x-problems" = json!(["not-found"]))),
)]
async fn set_clock(
    State(engine): State<Engine>,
    Asked(intent): Asked,
    Json(body): Json,
) -> Result<Response, Problem> {
    let read = |fields: &mut Fields<'_>| fields.need("now", scalar::parsed(Timestamp::parse));
    let (now, complaints) = Fields::gather(&body, read);
    let now = now.filter(|_| complaints.is_empty());
    let now = now.ok_or_else(|| Problem::invalid(&complaints))?;
    engine.set_clock(&intent, now).await?;
    Ok(answered(&engine))
}

fn answered(engine: &Engine) -> Response {
    answer::ok(&ClockBody {
        now: engine.now().to_string(),
    })
}
