//! **How does it look in JSON, per audience?**
//!
//! A file is one subject: its bodies, its answers, its handlers of a few lines – take out of the
//! request, call one use case of the engine, convert. [`routes`] lists them all; the description at
//! `/openapi.json` is made of the very same list, so a route that is served is described.
//!
//! - [`storefront`]: what a shop's pages call
//! - [`merchandiser`]: markets, goods, imports, promotions
//! - [`operator`]: keys, backups, status
//! - [`ops`]: health, metrics, version, the test clock
//! - [`wire`]: JSON read field by field with every complaint, JSON written without detours
//!
//! Invariants: nothing is decided here; a body is read to its end and all that is wrong with it is
//! told at once; what only the server sets is `read-only` in requests.
//!
//! Cost: a rank answer is written straight into one buffer; everything else goes through serde.

pub mod merchandiser;
pub mod operator;
pub mod ops;
pub mod storefront;
pub mod wire;

use axum::Router;
use axum::routing::get;
use hyper::header::CONTENT_TYPE;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;

use crate::engine::start::Engine;
use crate::http::gate::Route;

/// Head of the description; the routes are added to it.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "endcap",
        description = "Decides what a shop's search and category pages show first, and proves whether that helped.\n\nErrors are `application/problem+json` with a stable `code`; `x-problems` of an operation names the codes it has beside those of every call, and `GET /problems/{code}` explains each of them.",
        license(name = "MIT OR Apache-2.0")
    ),
    security(("key" = [])),
    tags(
        (name = "storefront", description = "What a shop's pages call"),
        (name = "merchandiser", description = "Markets, goods, imports, promotions"),
        (name = "operator", description = "Keys, backups, status"),
        (name = "ops", description = "Health, metrics, version"),
    ),
)]
struct Description;

/// Every route with its description.
fn described() -> OpenApiRouter<Engine> {
    let mut head = Description::openapi();
    let key = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    head.components
        .get_or_insert_default()
        .security_schemes
        .insert("key".to_owned(), key.into());
    OpenApiRouter::with_openapi(head)
        .merge(storefront::rank::routes())
        .merge(merchandiser::markets::routes())
        .merge(merchandiser::catalogue::routes())
        .merge(merchandiser::promotions::routes())
        .merge(merchandiser::promotion_list::routes())
        .merge(merchandiser::picks::routes())
        .merge(operator::keys::routes())
        .merge(operator::backups::routes())
        .merge(operator::status::routes())
        .merge(ops::health::routes())
        .merge(ops::version::routes())
        .merge(ops::test_clock::routes())
}

/// The description of the API, `OpenAPI` 3.1, as pretty JSON.
pub fn openapi() -> String {
    let (_, description) = described().split_for_parts();
    description
        .to_pretty_json()
        .expect("a description is made of texts, lists and maps")
}

/// Every route over an engine; `http` puts its shell around them.
pub fn routes(engine: Engine) -> Router {
    let (router, description) = described().split_for_parts();
    let text = description
        .to_pretty_json()
        .expect("a description is made of texts and maps");
    let text = axum::body::Bytes::from(text);
    let described = get(move || {
        let text = text.clone();
        async move { ([(CONTENT_TYPE, "application/json")], text) }
    });
    let own = Router::new()
        .route("/openapi.json", described)
        .route_layer(Route::open());
    router.with_state(engine).merge(own)
}
