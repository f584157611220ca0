//! Which build this is.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::wire::answer;
use crate::engine::start::Engine;
use crate::http::gate::Route;

/// Which build this is, and what it speaks.
#[derive(Debug, Serialize, ToSchema)]
pub struct VersionAnswer {
    version: &'static str,
    /// Commit it was built from, where the build knew it.
    commit: Option<&'static str>,
    /// Version of the API.
    api: &'static str,
    /// How sessions are split.
    assignment_function: &'static str,
    /// Version of the store's layout.
    store_format: u32,
    /// Whether time stands still and is moved by tests.
    test_clock: bool,
}

/// Routes of this file.
pub(crate) fn routes() -> OpenApiRouter<Engine> {
    OpenApiRouter::new()
        .routes(routes!(version))
        .route_layer(Route::open())
}

/// Version
#[utoipa::path(
    get, path = "/version", tag = "ops",
    responses((status = 200, description = "Which build this is", body = VersionAnswer)),
    extensions(("x-problems" = json!([]))), security(()),
)]
async fn version(State(engine): State<Engine>) -> Response {
    answer::ok(&VersionAnswer {
        version: env!("CARGO_PKG_VERSION"),
        commit: option_env!("ENDCAP_COMMIT"),
        api: "v1",
        assignment_function: "split-1",
        store_format: 1,
        test_clock: engine.clock().is_test(),
    })
}
