//! **How does it look in JSON, per audience?**
//!
//! Floor 5: the API. A file is a subject: its parameters, its answers, the conversion between them
//! and what the rooms below speak, and handlers that ask [`engine`](crate::engine) for one use case
//! each. Nothing is decided here.
//!
//! - [`storefront`]: what a shop's pages call
//! - [`merchandiser`]: markets, goods, feeds, promotions
//! - [`analyst`]: who sees what
//! - [`operator`]: keys, audit, backups, status
//! - [`ops`]: health, metrics, version, the clock of tests
//! - [`wire`]: JSON as read and written by all of them
//! - [`document`]: the OpenAPI document, made of the handlers
//!
//! ```text
//! body, query → wire::fields → draft and faults → engine → view → answer struct → JSON
//! ```
//!
//! # Invariants
//!
//! - One answer names everything that is wrong: what reading found goes along with the draft, and
//!   the room's constructor adds its own. Permission is asked before either is told.
//! - Aggregates are no wire format: answers are structs of this room, and the document describes
//!   them. Stories hold every exchange against it.
//! - Every route stands behind a [`Route`](crate::http::gate::Route), which says who may call it.
//! - The first answer to a change and the one to its repetition are the same bytes.
//!
//! # Cost
//!
//! A page of ranks is written straight into its buffer: no tree of values, no serde; about 60 ns a
//! field. Requests are read over a tree of values, about 100 ns a field.

pub mod analyst;
pub mod document;
pub mod merchandiser;
pub mod operator;
pub mod ops;
pub mod storefront;
pub mod wire;

use axum::Router;
use utoipa_axum::router::OpenApiRouter;

use crate::engine::start::Engine;
use crate::http::Settings;
use crate::http::stop::Stop;

/// All routes, for a shell of these settings. `stop` is what makes the process unready.
pub fn routes(engine: Engine, stop: Stop, settings: &Settings) -> Router {
    let (routes, _) = collected(stop, settings).split_for_parts();
    routes.with_state(engine)
}

/// What is served without a key on a socket of its own: health, metrics, status.
pub fn watched_routes(engine: Engine, stop: Stop) -> Router {
    let routes = ops::health::watched_routes(stop).merge(operator::status::watched_routes());
    routes.split_for_parts().0.with_state(engine)
}

/// The OpenAPI document of every route, as JSON.
pub fn openapi() -> String {
    let (_, description) = collected(Stop::new(), &Settings::of_cores(1)).split_for_parts();
    format!("{:#}", document::finish(&description))
}

fn collected(stop: Stop, settings: &Settings) -> OpenApiRouter<Engine> {
    OpenApiRouter::default()
        .merge(storefront::rank::routes())
        .merge(storefront::events::routes())
        .merge(storefront::adapters::ga4::routes())
        .merge(storefront::adapters::segment::routes())
        .merge(storefront::adapters::elevate::routes())
        .merge(merchandiser::markets::routes())
        .merge(merchandiser::catalogue::routes())
        .merge(merchandiser::mappings::routes())
        .merge(merchandiser::imports::routes())
        .merge(merchandiser::promotion_list::routes())
        .merge(merchandiser::calendar::routes())
        .merge(merchandiser::promotions::routes())
        .merge(merchandiser::picks::routes())
        .merge(merchandiser::check::routes())
        .merge(merchandiser::versions::routes())
        .merge(merchandiser::preview::routes())
        .merge(analyst::assignments::routes())
        .merge(analyst::results::routes())
        .merge(analyst::stats::routes())
        .merge(analyst::series::routes())
        .merge(analyst::exports::routes())
        .merge(operator::keys::routes())
        .merge(operator::status::routes(&settings.rates))
        .merge(operator::backups::routes())
        .merge(operator::audit::routes())
        .merge(ops::health::routes(stop))
        .merge(ops::version::routes())
        .merge(ops::clock::routes())
        .merge(document::routes(settings.public_url.as_ref()))
}
