//! Backups of the running store.

use axum::extract::State;
use axum::response::Response;
use hyper::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::wire::answer;
use crate::api::wire::change::Asked;
use crate::engine::backups::Backup;
use crate::engine::start::Engine;
use crate::http::extract::Caller;
use crate::http::gate::Route;
use crate::http::problem::Problem;

/// The state of one space as it was backed up.
#[derive(Debug, Serialize, ToSchema)]
pub struct BackupAnswer {
    /// `config`, or `trade`.
    space: &'static str,
    /// Its revision.
    revision: u64,
    /// Time of the last commit in it.
    as_of: Option<String>,
}

/// Backups, newest first in each space.
#[derive(Debug, Serialize, ToSchema)]
pub struct BackupsAnswer {
    items: Vec<BackupAnswer>,
}

/// Routes of this file.
pub(crate) fn routes() -> OpenApiRouter<Engine> {
    OpenApiRouter::new()
        .routes(routes!(list_backups, make_backup))
        .route_layer(Route::desk())
}

/// List backups
#[utoipa::path(
    get, path = "/v1/backups", tag = "operator",
    responses((status = 200, description = "The verified backups", body = BackupsAnswer)),
    extensions(("x-problems" = json!([]))),
)]
async fn list_backups(State(engine): State<Engine>, caller: Caller) -> Result<Response, Problem> {
    Ok(answer::ok(&listed(
        &engine.backups(&caller.principal).await?,
    )))
}

/// Back up
///
/// Written while serving, each space at one exact revision, and read back before this answers.
#[utoipa::path(
    post, path = "/v1/backups", tag = "operator",
    responses((status = 202, description = "What was backed up", body = BackupsAnswer)),
    extensions(("x-problems" = json!(["storage-full", "store-unavailable"]))),
)]
async fn make_backup(
    State(engine): State<Engine>,
    Asked(intent): Asked,
) -> Result<Response, Problem> {
    let made = engine.back_up(&intent).await?;
    Ok(answer::bytes(
        StatusCode::ACCEPTED,
        answer::json(&listed(&made)),
    ))
}

fn listed(backups: &[Backup]) -> BackupsAnswer {
    let view = |backup: &Backup| BackupAnswer {
        space: backup.space,
        revision: backup.revision,
        as_of: backup.as_of.map(|at| at.to_string()),
    };
    BackupsAnswer {
        items: backups.iter().map(view).collect(),
    }
}
