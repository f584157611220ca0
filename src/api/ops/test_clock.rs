//! The clock that tests move.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::wire::change::Asked;
use crate::api::wire::fields::Fields;
use crate::api::wire::{answer, scalar};
use crate::domain::time::Timestamp;
use crate::engine::error::EngineError;
use crate::engine::start::Engine;
use crate::http::extract::{Caller, Json};
use crate::http::gate::Route;
use crate::http::problem::Problem;

/// What the clock says.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClockBody {
    /// RFC 3339 with offset; it only moves forward.
    #[schema(examples("2027-03-09T08:15:20Z"))]
    now: String,
}

/// Routes of this file.
pub(crate) fn routes() -> OpenApiRouter<Engine> {
    OpenApiRouter::new()
        .routes(routes!(read_clock, move_clock))
        .route_layer(Route::desk())
}

/// Read the test clock
///
/// Only on a server that was started with one.
#[utoipa::path(
    get, path = "/test/clock", tag = "ops",
    responses((status = 200, description = "What it says", body = ClockBody)),
    extensions(("x-problems" = json!([]))),
)]
async fn read_clock(State(engine): State<Engine>, caller: Caller) -> Result<Response, Problem> {
    engine.may_see_clock(&caller.principal)?;
    Ok(answer::ok(&ClockBody {
        now: engine.now().to_string(),
    }))
}

/// Move the test clock
///
/// Answers when every job that became due has run.
#[utoipa::path(
    put, path = "/test/clock", tag = "ops",
    request_body = ClockBody,
    responses((status = 200, description = "What it says now", body = ClockBody)),
    extensions(("x-problems" = json!([]))),
)]
async fn move_clock(
    State(engine): State<Engine>,
    Asked(intent): Asked,
    Json(body): Json,
) -> Result<Response, Problem> {
    engine.may_see_clock(&intent.principal)?;
    let (now, faults) = Fields::gather(&body, |fields| {
        fields.need("now", scalar::parsed(Timestamp::parse))
    });
    let Some(now) = now.filter(|_| faults.is_empty()) else {
        return Err(EngineError::Invalid(faults).into());
    };
    engine.set_clock(&intent, now).await?;
    Ok(answer::ok(&ClockBody {
        now: engine.now().to_string(),
    }))
}
