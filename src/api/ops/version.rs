//! What is running, and what it answers.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::wire::answer;
use crate::engine::start::Engine;
use crate::http::gate::Route;
use crate::measurement::split::FUNCTION;

/// What is running.
#[derive(Debug, Serialize, ToSchema)]
pub struct VersionBody {
    #[schema(examples("0.1.0"))]
    version: &'static str,
    /// Commit it was built from; null if the build did not say.
    #[schema(required = true)]
    commit: Option<&'static str>,
    #[schema(examples("v1"))]
    api: &'static str,
    /// The function that splits sessions.
    assignment_function: &'static str,
    /// Format of the data directory.
    store_format: u32,
    /// Whether time is moved by hand.
    test_clock: bool,
}

/// Routes of this file.
pub(crate) fn routes() -> OpenApiRouter<Engine> {
    OpenApiRouter::new()
        .routes(routes!(read_version))
        .route_layer(Route::open())
}

/// Read the version
#[utoipa::path(
    get, path = "/version", tag = "ops", security(()),
    responses((status = 200, description = "What is running", body = VersionBody)),
    extensions(("x-problems" = json!([]))),
)]
async fn read_version(State(engine): State<Engine>) -> Response {
    answer::ok(&VersionBody {
        version: env!("CARGO_PKG_VERSION"),
        commit: option_env!("ENDCAP_COMMIT"),
        api: "v1",
        assignment_function: FUNCTION,
        store_format: Engine::STORE_FORMAT,
        test_clock: engine.clock().is_test(),
    })
}
