//! Copies of a running store.

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{HeaderValue, LOCATION};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use crate::access::may::{Object, Verb};
use crate::api::operator::audit::hex;
use crate::api::wire::answer;
use crate::api::wire::change::Asked;
use crate::engine::backups::Backup;
use crate::engine::error::EngineError;
use crate::engine::start::Engine;
use crate::http::extract::Caller;
use crate::http::gate::Route;
use crate::http::limits::Rate;
use crate::http::problem::Problem;

/// How long an answer waits for a backup.
const WAIT: Duration = Duration::from_secs(20);

/// Backups of the store, each read back after it was written.
#[derive(Debug, Serialize, ToSchema)]
pub struct BackupListing {
    items: Vec<BackupBody>,
    /// Always null: all fit on one page.
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// One space of the store as it was backed up.
#[derive(Debug, Serialize, ToSchema)]
pub struct BackupBody {
    /// `config` or `trade`.
    space: &'static str,
    revision: u64,
    /// Time of the last commit in it; null if there was none.
    #[schema(required = true)]
    as_of: Option<String>,
    /// Size of its file; chunks of goods lie beside it and are shared by all backups.
    bytes: u64,
    /// SHA-256 of all lines of its file but the last, which says the same.
    sha256: String,
}

/// Routes of this file.
pub(crate) fn routes() -> OpenApiRouter<Engine> {
    OpenApiRouter::new()
        .routes(routes!(list_backups).layer(Route::desk()))
        .routes(routes!(back_up).layer(Route::desk().limited(Rate::Backups)))
}

/// List backups
///
/// Those that were read back and are whole, newest first in each space.
#[utoipa::path(
    get, path = "/v1/backups", tag = "operator",
    responses((status = 200, description = "The backups", body = BackupListing)),
    extensions(("x-problems" = json!([]))),
)]
async fn list_backups(State(engine): State<Engine>, caller: Caller) -> Result<Response, Problem> {
    Ok(answered(&engine.backups(&caller.principal).await?))
}

/// Back the store up
///
/// Commits go on meanwhile. One that takes long is answered with 202 and shows in the list when it
/// is whole. Restoring is a command.
#[utoipa::path(
    post, path = "/v1/backups", tag = "operator",
    responses(
        (status = 200, description = "What was written and read back", body = BackupListing),
        (status = 202, description = "It is still at work"),
    ),
    extensions(("x-problems" = json!([]))),
)]
async fn back_up(State(engine): State<Engine>, Asked(intent): Asked) -> Result<Response, Problem> {
    let may = intent.principal.may(Verb::Backup, &Object::Anywhere);
    may.map_err(EngineError::from)?;
    let work = tokio::spawn(async move { engine.back_up(&intent).await });
    if let Ok(done) = tokio::time::timeout(WAIT, work).await {
        return Ok(answered(&done.map_err(Problem::internal)??));
    }
    let place = [(LOCATION, HeaderValue::from_static("/v1/backups"))];
    Ok((StatusCode::ACCEPTED, place).into_response())
}

fn answered(backups: &[Backup]) -> Response {
    let items = backups.iter().map(|backup| BackupBody {
        space: backup.space,
        revision: backup.revision,
        as_of: backup.as_of.map(|at| at.to_string()),
        bytes: backup.bytes,
        sha256: hex(&backup.sha256),
    });
    answer::ok(&BackupListing {
        items: items.collect(),
        next_cursor: None,
    })
}
