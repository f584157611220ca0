//! Shop fronts.

use axum::extract::{Path, State};
use axum::response::Response;
use hyper::Uri;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::wire::change::{Asked, seen};
use crate::api::wire::fields::{Fields, whole};
use crate::api::wire::list::{List, Listing, Window, WindowParams};
use crate::api::wire::patch::merge;
use crate::api::wire::{answer, path, query, scalar};
use crate::catalogue::market::{LOCALES_MAX, Market, MarketDraft, SEARCH_ATTRIBUTES_MAX};
use crate::engine::commit::{StoredAnswer, Written};
use crate::engine::snapshot::MarketState;
use crate::engine::start::Engine;
use crate::http::extract::{Caller, IfMatch, IfNoneMatch, Json, Query};
use crate::http::gate::Route;
use crate::http::problem::Problem;

/// Greatest number of a field; its own bound is told by the room.
const NUMBER_MAX: u32 = i32::MAX as u32;

/// A shop front as a person decides it.
#[derive(Debug, Serialize, ToSchema)]
pub struct MarketBody {
    /// Its name in paths: `[a-z0-9-]{1,32}`; fixed once created.
    #[schema(examples("se"))]
    market: String,
    /// Its name for people.
    #[schema(examples("Sweden"))]
    name: String,
    /// ISO 4217; fixed while it has goods.
    #[schema(examples("SEK"))]
    currency: String,
    /// IANA name.
    #[schema(examples("Europe/Stockholm"))]
    time_zone: String,
    /// ISO 3166, two capital letters.
    country: Option<String>,
    /// BCP 47, at most 20.
    #[schema(required = false)]
    locales: Vec<String>,
    /// `tax-inclusive`, the default, or `tax-exclusive`.
    #[schema(required = false)]
    price_basis: &'static str,
    /// Attributes that a text query looks into beside keys and title, at most 50.
    #[schema(required = false)]
    search_attributes: Vec<String>,
    /// The attribute that identifies the same article in other markets.
    cross_market_attribute: Option<String>,
    /// What counts as a display: the rank `answer`, the default, or `events`.
    #[schema(required = false)]
    display_source: &'static str,
    /// Percent of sessions that see a measured promotion unless it says otherwise; 80 if absent.
    #[schema(required = false)]
    share_shown_percent: String,
    /// Most distinct keys of one handpick import, 1 to 10,000; 700 if absent.
    #[schema(required = false)]
    handpick_import_max: usize,
    #[schema(required = false)]
    harm_guard: HarmGuardBody,
}

/// When a full import is held back.
#[derive(Debug, Serialize, ToSchema)]
pub struct HarmGuardBody {
    /// Percent of products that may vanish; 20 if absent.
    #[schema(required = false)]
    vanished_percent_max: String,
    /// Percent of stocked variants that may drop to 0; 50 if absent.
    #[schema(required = false)]
    sold_out_percent_max: String,
}

/// A shop front as it stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct MarketAnswer {
    #[serde(flatten)]
    body: MarketBody,
    /// Store revision of its last change: its `ETag`. Imports change it too.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64, required = true)]
    revision: Option<u64>,
}

/// Routes of this file.
pub(crate) fn routes() -> OpenApiRouter<Engine> {
    OpenApiRouter::new()
        .routes(routes!(list_markets, create_market))
        .routes(routes!(read_market, change_market))
        .route_layer(Route::desk())
}

/// List markets
///
/// The caller's markets, by key.
#[utoipa::path(
    get, path = "/v1/markets", tag = "merchandiser",
    params(WindowParams),
    responses((status = 200, description = "A page of markets", body = Listing<MarketAnswer>)),
    extensions(("x-problems" = json!(["bad-cursor"]))),
)]
async fn list_markets(
    State(engine): State<Engine>,
    caller: Caller,
    uri: Uri,
    members: Query,
) -> Result<Response, Problem> {
    let window = query::read(&members, Window::read)?;
    let list = List::new(&engine, &uri, &members);
    let after = list.after(&window)?;
    let behind = |state: &MarketState| {
        after
            .as_deref()
            .is_none_or(|after| after < state.market.value.id.as_str())
    };
    let markets = engine.markets(&caller.principal)?;
    let page = window.cut(markets.into_iter().filter(|state| behind(state)));
    let key = |state: &MarketState| state.market.value.id.to_string();
    let next = page.last_if_more().map(|state| list.cursor(&key(state)));
    Ok(list.answer(
        page.items
            .iter()
            .map(|state| MarketAnswer::of(state))
            .collect(),
        next,
    ))
}

/// Open a market
///
/// Needs an operator. `limit-reached` past the number of markets that the server is set to.
#[utoipa::path(
    post, path = "/v1/markets", tag = "merchandiser",
    request_body = MarketBody,
    responses((status = 201, description = "The market", body = MarketAnswer)),
    extensions(("x-problems" = json!(["name-taken", "limit-reached"]))),
)]
async fn create_market(
    State(engine): State<Engine>,
    Asked(intent): Asked,
    Json(body): Json,
) -> Result<Response, Problem> {
    let draft = read(&body);
    let written = engine
        .create_market(&intent, &draft, &|market| made(201, market))
        .await?;
    Ok(answered(written, 201))
}

/// Read a market
#[utoipa::path(
    get, path = "/v1/markets/{market}", tag = "merchandiser",
    params(("market" = String, Path, description = "Key of the market")),
    responses(
        (status = 200, description = "The market", body = MarketAnswer),
        (status = 304, description = "It is as `If-None-Match` has it"),
    ),
    extensions(("x-problems" = json!([]))),
)]
async fn read_market(
    State(engine): State<Engine>,
    caller: Caller,
    Path(market): Path<String>,
    known: IfNoneMatch,
) -> Result<Response, Problem> {
    let state = engine.market(&caller.principal, &path::market(&market)?)?;
    Ok(answer::object(state.market.revision.0, &known, || {
        MarketAnswer::of(&state)
    }))
}

/// Change a market
///
/// A merge patch. Needs an operator; the key is fixed, and so is the currency while there are goods
/// (`in-use`).
#[utoipa::path(
    patch, path = "/v1/markets/{market}", tag = "merchandiser",
    params(("market" = String, Path, description = "Key of the market")),
    request_body(content = Object, content_type = "application/merge-patch+json", description = "Fields of a market; null takes one back to its default"),
    responses((status = 200, description = "The market", body = MarketAnswer)),
    extensions(("x-problems" = json!(["precondition-required", "stale-revision", "in-use"]))),
)]
async fn change_market(
    State(engine): State<Engine>,
    Asked(intent): Asked,
    Path(market): Path<String>,
    if_match: IfMatch,
    Json(patch): Json,
) -> Result<Response, Problem> {
    let (id, known) = (path::market(&market)?, seen(if_match)?);
    let redraft = |standing: &Market| {
        let body = serde_json::to_value(MarketBody::of(standing));
        let mut body = body.expect("texts, lists and numbers make JSON");
        merge(&mut body, patch.clone());
        Ok(read(&body))
    };
    let render = |market: &Market| made(200, market);
    let written = engine
        .edit_market(&intent, &id, known, &redraft, &render)
        .await?;
    Ok(answered(written, 200))
}

fn answered(written: Written<std::sync::Arc<Market>>, status: u16) -> Response {
    match written {
        Written::Now(market, revision) => answer::written(&made(status, &market), revision.0),
        Written::Replayed(first, revision) => answer::replayed(&first, revision.0),
    }
}

/// The answer to a change, without its revision.
fn made(status: u16, market: &Market) -> StoredAnswer {
    let body = MarketAnswer {
        body: MarketBody::of(market),
        revision: None,
    };
    StoredAnswer {
        status,
        location: Some(format!("/v1/markets/{}", market.id)),
        body: Some(answer::json(&body)),
    }
}

/// Reads a whole market; what is wrong goes with the draft.
fn read(body: &Value) -> MarketDraft {
    let (draft, faults) = Fields::gather(body, read_fields);
    MarketDraft { faults, ..draft }
}

fn read_fields(fields: &mut Fields<'_>) -> MarketDraft {
    fields.read_only(&["revision"]);
    let guard = fields.inside("harm_guard", |fields| {
        let vanished = fields.scalar("vanished_percent_max", scalar::owned);
        (
            vanished,
            fields.scalar("sold_out_percent_max", scalar::owned),
        )
    });
    let (vanished_percent_max, sold_out_percent_max) = guard.unwrap_or_default();
    let locales = fields.list("locales", LOCALES_MAX, whole(scalar::owned));
    let search = fields.list(
        "search_attributes",
        SEARCH_ATTRIBUTES_MAX,
        whole(scalar::owned),
    );
    MarketDraft {
        market: fields.scalar("market", scalar::owned),
        name: fields.scalar("name", scalar::owned),
        currency: fields.scalar("currency", scalar::owned),
        time_zone: fields.scalar("time_zone", scalar::owned),
        country: fields.scalar("country", scalar::owned),
        locales: locales.unwrap_or_default(),
        price_basis: fields.scalar("price_basis", scalar::owned),
        search_attributes: search.unwrap_or_default(),
        cross_market_attribute: fields.scalar("cross_market_attribute", scalar::owned),
        display_source: fields.scalar("display_source", scalar::owned),
        share_shown_percent: fields.scalar("share_shown_percent", scalar::owned),
        handpick_import_max: fields.scalar("handpick_import_max", scalar::up_to(NUMBER_MAX)),
        vanished_percent_max,
        sold_out_percent_max,
        faults: Vec::new(),
    }
}

impl MarketBody {
    fn of(market: &Market) -> Self {
        let texts = |attrs: &[crate::predicate::rule::Attr]| {
            attrs.iter().map(ToString::to_string).collect()
        };
        Self {
            market: market.id.to_string(),
            name: market.name.clone(),
            currency: market.locale.currency.code().to_owned(),
            time_zone: market.locale.zone.name().to_owned(),
            country: market.country.clone(),
            locales: market.locales.clone(),
            price_basis: market.price_basis.as_str(),
            search_attributes: texts(&market.search_attributes),
            cross_market_attribute: market
                .cross_market_attribute
                .as_ref()
                .map(ToString::to_string),
            display_source: market.display_source.as_str(),
            share_shown_percent: market.share_shown.to_string(),
            handpick_import_max: market.handpick_import_max,
            harm_guard: HarmGuardBody {
                vanished_percent_max: market.harm_guard.vanished_percent_max.to_string(),
                sold_out_percent_max: market.harm_guard.sold_out_percent_max.to_string(),
            },
        }
    }
}

impl MarketAnswer {
    fn of(state: &MarketState) -> Self {
        Self {
            body: MarketBody::of(&state.market.value),
            revision: Some(state.market.revision.0),
        }
    }
}
