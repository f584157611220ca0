//! The process at a glance, and what is bounded.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::wire::answer;
use crate::catalogue;
use crate::domain::limits;
use crate::engine::health::{MarketStatus, Status};
use crate::engine::start::Engine;
use crate::http::extract::Caller;
use crate::http::gate::Route;
use crate::http::problem::Problem;
use crate::promotion::terms;
use crate::selection::definition;

/// One market at a glance.
#[derive(Debug, Serialize, ToSchema)]
pub struct MarketStatusAnswer {
    market: String,
    variants: u32,
    products: usize,
    categories: usize,
    /// Promotions and demotions active now.
    active: usize,
    /// Most that may be active at once.
    limit: usize,
    /// Revision of its settings and goods.
    revision: u64,
    /// The next instant at which time alone changes the order; null if there is none.
    view_until: Option<String>,
}

/// One space of the store.
#[derive(Debug, Serialize, ToSchema)]
pub struct SpaceStatusAnswer {
    /// Newest durable commit.
    revision: u64,
    /// Commits that the index has yet to take in; null while it is rebuilt.
    index_lag: Option<u64>,
    /// Free bytes of the volume; null for a store in memory.
    free_bytes: Option<u64>,
    /// What the last start repaired.
    repairs: Vec<String>,
}

/// The process at a glance.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatusAnswer {
    /// `ok`, `full` or `read-only`.
    writes: &'static str,
    /// Revision of the snapshot.
    snapshot: u64,
    markets: Vec<MarketStatusAnswer>,
    config: SpaceStatusAnswer,
    trade: SpaceStatusAnswer,
    /// Pages counted since the start.
    pages: u64,
    /// Items on them.
    items: u64,
}

/// What is bounded, and how.
#[derive(Debug, Serialize, ToSchema)]
pub struct LimitsAnswer {
    markets: usize,
    variants_per_market: usize,
    variants_per_product: usize,
    active_promotions_per_market: usize,
    markets_per_promotion: usize,
    promotion_name_characters: usize,
    rule_sets: usize,
    rules_per_set: usize,
    values_per_rule: usize,
    handpicked_keys: usize,
    handpick_import_keys: usize,
    page_items: u32,
    page_offset: u32,
}

/// Routes of this file.
pub(crate) fn routes() -> OpenApiRouter<Engine> {
    OpenApiRouter::new()
        .routes(routes!(read_status))
        .routes(routes!(read_limits))
        .route_layer(Route::desk())
}

/// Status
#[utoipa::path(
    get, path = "/v1/status", tag = "operator",
    responses((status = 200, description = "The process at a glance", body = StatusAnswer)),
    extensions(("x-problems" = json!([]))),
)]
async fn read_status(State(engine): State<Engine>, caller: Caller) -> Result<Response, Problem> {
    Ok(answer::ok(&StatusAnswer::from(
        &engine.status(&caller.principal)?,
    )))
}

/// Limits
#[utoipa::path(
    get, path = "/v1/limits", tag = "operator",
    responses((status = 200, description = "What is bounded", body = LimitsAnswer)),
    extensions(("x-problems" = json!([]))),
)]
async fn read_limits(State(engine): State<Engine>, caller: Caller) -> Result<Response, Problem> {
    // Every caller may know what is bounded.
    drop(caller);
    Ok(answer::ok(&LimitsAnswer {
        markets: engine.settings().markets_max,
        variants_per_market: catalogue::VARIANTS_MAX,
        variants_per_product: catalogue::VARIANTS_PER_PRODUCT_MAX,
        active_promotions_per_market: limits::ACTIVE_PER_MARKET_MAX,
        markets_per_promotion: terms::MARKETS_MAX,
        promotion_name_characters: limits::PROMOTION_NAME_CHARS_MAX,
        rule_sets: definition::RULE_SETS_MAX,
        rules_per_set: definition::RULES_MAX,
        values_per_rule: definition::VALUES_MAX,
        handpicked_keys: definition::KEYS_MAX,
        handpick_import_keys: limits::HANDPICK_IMPORT_MAX,
        page_items: crate::api::storefront::rank_request::LIMIT_MAX,
        page_offset: crate::api::storefront::rank_request::OFFSET_MAX,
    }))
}

impl From<&Status> for StatusAnswer {
    fn from(status: &Status) -> Self {
        let (pages, items) = status.pages;
        Self {
            writes: status.writes.as_str(),
            snapshot: status.revision,
            markets: status.markets.iter().map(Into::into).collect(),
            config: (&status.config).into(),
            trade: (&status.trade).into(),
            pages,
            items,
        }
    }
}

impl From<&MarketStatus> for MarketStatusAnswer {
    fn from(status: &MarketStatus) -> Self {
        Self {
            market: status.market.to_string(),
            variants: status.variants,
            products: status.products,
            categories: status.categories,
            active: status.active,
            limit: status.limit,
            revision: status.revision,
            view_until: status.view_until.map(|at| at.to_string()),
        }
    }
}

impl From<&crate::engine::health::SpaceHealth> for SpaceStatusAnswer {
    fn from(health: &crate::engine::health::SpaceHealth) -> Self {
        Self {
            revision: health.revision,
            index_lag: health.index_lag,
            free_bytes: health.free_bytes,
            repairs: health.repairs.clone(),
        }
    }
}
