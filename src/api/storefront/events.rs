//! What shoppers did, as the shop's pages and servers tell it.

use axum::extract::State;
use axum::response::Response;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::may::{Object, Verb};
use crate::api::storefront::adapters::loose::Shop;
use crate::api::storefront::event_request;
use crate::api::storefront::event_schema::{EventsAnswer, EventsBody};
use crate::api::wire::{answer, query, scalar};
use crate::domain::id::MarketId;
use crate::engine::error::EngineError;
use crate::engine::events::draft::Sent;
use crate::engine::start::Engine;
use crate::http::extract::{Caller, Query, Raw};
use crate::http::gate::Route;
use crate::http::problem::Problem;

/// Stands in where the market is none of the caller's, which is what its events are told.
const NO_CURRENCY: &str = "EUR";

/// Routes of this file.
pub(crate) fn routes() -> OpenApiRouter<Engine> {
    OpenApiRouter::new()
        .routes(routes!(send_events))
        .route_layer(Route::events())
}

/// Send events
///
/// Up to 1,000 of them and 2 MiB, as a list or as one event a line. Each gets its own verdict: one
/// that is refused costs no other anything, and one that is repeated with its id counts once. The
/// answer comes once all of them are on disk, so a call without one is sent again with the same
/// ids. Plain text, as beacons send it, is read as JSON. Public keys may tell neither purchases nor
/// refunds nor costs.
#[utoipa::path(
    post, path = "/v1/events", tag = "storefront",
    request_body(content(
        (EventsBody = "application/json"), (String = "application/x-ndjson"), (String = "text/plain")
    )),
    responses((status = 200, description = "The verdicts", body = EventsAnswer)),
    extensions(("x-problems" = json!(["event-log-full"]))),
)]
async fn send_events(
    State(engine): State<Engine>,
    caller: Caller,
    headers: HeaderMap,
    body: Raw,
) -> Result<Response, Problem> {
    check_may(&caller)?;
    let sent = if is_lines(&headers) {
        event_request::read_lines(&body.0)?
    } else {
        event_request::read_document(&body.0)?
    };
    take(&engine, &caller, sent).await
}

/// Asked before the body is read, so that nothing is told about it.
pub(crate) fn check_may(caller: &Caller) -> Result<(), Problem> {
    let may = caller.principal.may(Verb::SendEvents, &Object::Anywhere);
    may.map_err(|refusal| EngineError::from(refusal).into())
}

/// The market that events of another system belong to.
///
/// # Errors
/// `bad-query`, `invalid`.
pub(crate) fn read_shop(
    engine: &Engine,
    caller: &Caller,
    members: &Query,
) -> Result<Shop, Problem> {
    let market = query::read(members, |fields| {
        fields.need("market", scalar::parsed(MarketId::parse))
    })?;
    let market = market.ok_or_else(|| Problem::not_found("market"))?;
    Ok(shop_of(engine, caller, market))
}

/// The same of a market whose name has been read.
pub(crate) fn shop_of(engine: &Engine, caller: &Caller, market: MarketId) -> Shop {
    let currency = engine.currency_of(&caller.principal, &market);
    let currency = currency.unwrap_or(NO_CURRENCY);
    Shop { market, currency }
}

/// The verdicts.
pub(crate) async fn take(
    engine: &Engine,
    caller: &Caller,
    sent: Vec<Sent>,
) -> Result<Response, Problem> {
    let taken = engine.take_events(&caller.principal, sent).await?;
    Ok(answer::ok(&EventsAnswer::of(taken)))
}

/// Whether the body says that it is one event a line.
fn is_lines(headers: &HeaderMap) -> bool {
    let media = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let kind = media.and_then(|media| media.split(';').next());
    let kind = kind.unwrap_or_default().trim();
    ["application/x-ndjson", "application/ndjson"]
        .iter()
        .any(|lines| lines.eq_ignore_ascii_case(kind))
}
