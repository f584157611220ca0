//! The process at a glance, and what bounds it.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use crate::access::may::{Object, Verb};
use crate::api::storefront::rank_request;
use crate::api::wire::answer;
use crate::api::wire::list::LIMIT_MAX;
use crate::catalogue::VARIANTS_MAX;
use crate::domain::limits::{ACTIVE_PER_MARKET_MAX, HANDPICK_IMPORT_MAX, PROMOTION_NAME_CHARS_MAX};
use crate::engine::error::EngineError;
use crate::engine::health::{MarketStatus, Status};
use crate::engine::start::Engine;
use crate::feed::bytes::{FEED_BYTES_MAX, LINE_BYTES_MAX};
use crate::http::extract::Caller;
use crate::http::gate::Route;
use crate::http::problem::Problem;
use crate::http::quota::{Quota, Rates};
use crate::promotion::terms::{MARKETS_MAX, MARKS_MAX};
use crate::selection::definition::{KEYS_MAX, RULE_SETS_MAX, RULES_MAX, VALUES_MAX};

/// The process at a glance.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatusBody {
    /// `ok`, `full` or `read-only`.
    writes: &'static str,
    /// Revision of the snapshot that answers.
    revision: u64,
    markets: Vec<MarketStatusBody>,
    /// What people edit.
    config: StoreBody,
    /// Results of imports, uses, what else is no configuration.
    trade: StoreBody,
    /// What was found when all of the store was read last; null if this process has not yet.
    #[schema(required = true)]
    scrub: Option<ScrubBody>,
    pages: PagesBody,
}

/// One market at a glance.
#[derive(Debug, Serialize, ToSchema)]
pub struct MarketStatusBody {
    market: String,
    variants: u32,
    products: usize,
    categories: usize,
    /// Promotions and demotions active now.
    active: usize,
    /// Most that may be active at once.
    limit: usize,
    /// `whole`; `older` while earlier goods stand in for damaged ones, `lost` without any: then its
    /// whole feed has to be imported again.
    goods: &'static str,
    /// Revision of its settings and goods.
    revision: u64,
    /// Revision that its newest snapshot came with; later ones changed nothing in it.
    #[schema(required = true)]
    snapshot: Option<u64>,
    /// When that was published.
    #[schema(required = true)]
    published_at: Option<String>,
    /// When its order changes by time alone; null if it does not.
    #[schema(required = true)]
    view_until: Option<String>,
}

/// One space of the store.
#[derive(Debug, Serialize, ToSchema)]
pub struct StoreBody {
    /// Newest durable commit.
    revision: u64,
    /// Commits that the index has yet to take in; null while it is rebuilt.
    #[schema(required = true)]
    index_lag: Option<u64>,
    /// Free bytes of the volume; null in memory.
    #[schema(required = true)]
    free_bytes: Option<u64>,
    /// What the last start repaired, one line each.
    repairs: Vec<String>,
    /// Null if there is none.
    #[schema(required = true)]
    last_backup: Option<LastBackupBody>,
}

/// A space's newest backup.
#[derive(Debug, Serialize, ToSchema)]
pub struct LastBackupBody {
    /// Up to which revision it reaches.
    revision: u64,
    /// Time of the last commit in it; null if there was none.
    #[schema(required = true)]
    as_of: Option<String>,
}

/// All of the store read for damage.
#[derive(Debug, Serialize, ToSchema)]
pub struct ScrubBody {
    /// When that began.
    at: String,
    /// Bytes read.
    bytes: u64,
    /// Whether it came to its end.
    complete: bool,
    /// What was damaged, one line each, with whether it was mended.
    damaged: Vec<String>,
}

/// Pages counted since the start.
#[derive(Debug, Serialize, ToSchema)]
pub struct PagesBody {
    pages: u64,
    items: u64,
}

/// What bounds requests and objects.
#[derive(Debug, Serialize, ToSchema)]
pub struct LimitsBody {
    /// Markets of this server.
    markets_max: usize,
    /// Promotions and demotions active at once in a market.
    active_per_market_max: usize,
    /// Variants of a market.
    variants_per_market_max: usize,
    promotion: PromotionLimits,
    rank: RankLimits,
    feed: FeedLimits,
    /// Items of a list's page.
    list_limit_max: u32,
    rates: RatesBody,
}

/// How often one may call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RatesBody {
    /// Ranks of one key that is not public.
    rank: QuotaBody,
    /// Ranks of public keys from one address.
    rank_address: QuotaBody,
    /// Ranks of one public key from all addresses.
    rank_public: QuotaBody,
    /// Calls that bring events, of one key, or of public keys from one address.
    events: QuotaBody,
    /// Calls of one key that change something.
    writes: QuotaBody,
    /// Exports begun by one key.
    exports: QuotaBody,
    /// Backups begun by one key.
    backups: QuotaBody,
}

/// So many calls in so long a time. A key with a `rate` of its own is held to that instead, where
/// the window is a second and calls are counted by key.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct QuotaBody {
    /// Calls in a window.
    calls: u32,
    /// Seconds.
    window_s: u32,
    /// Calls at once.
    burst: u32,
}

/// What bounds a promotion.
#[derive(Debug, Serialize, ToSchema)]
#[expect(
    clippy::struct_field_names,
    reason = "the wire says of every bound that it is one"
)]
pub struct PromotionLimits {
    name_chars_max: usize,
    markets_max: usize,
    handpicked_max: usize,
    blocked_max: usize,
    rule_sets_max: usize,
    rules_per_set_max: usize,
    values_per_rule_max: usize,
    category_marks_max: usize,
    /// Keys of one handpick import, where its market says nothing else.
    handpick_import_max: usize,
}

/// What bounds a page.
#[derive(Debug, Serialize, ToSchema)]
#[expect(
    clippy::struct_field_names,
    reason = "the wire says of every bound that it is one"
)]
pub struct RankLimits {
    /// Items.
    limit_max: u32,
    /// Items skipped; cursors go beyond.
    offset_max: u32,
    /// Keys in the lists of `candidates`.
    candidates_max: usize,
    facets_max: usize,
}

/// What bounds a feed.
#[derive(Debug, Serialize, ToSchema)]
pub struct FeedLimits {
    bytes_max: u64,
    line_bytes_max: usize,
}

/// Routes of this file.
pub(crate) fn routes(rates: &Rates) -> OpenApiRouter<Engine> {
    OpenApiRouter::new()
        .routes(routes!(read_status))
        .routes(routes!(read_limits).layer(Extension(RatesBody::of(rates))))
        .route_layer(Route::desk())
}

/// The status for those who reach a socket for watching.
pub(crate) fn watched_routes() -> OpenApiRouter<Engine> {
    OpenApiRouter::new()
        .routes(routes!(read_status))
        .route_layer(Route::watched())
}

/// Read the status
///
/// As far as the caller's markets reach.
#[utoipa::path(
    get, path = "/v1/status", tag = "operator",
    responses((status = 200, description = "The process at a glance", body = StatusBody)),
    extensions(("x-problems" = json!([]))),
)]
async fn read_status(State(engine): State<Engine>, caller: Caller) -> Result<Response, Problem> {
    let status = engine.status(&caller.principal).await?;
    Ok(answer::ok(&StatusBody::of(status)))
}

/// Read the limits
#[utoipa::path(
    get, path = "/v1/limits", tag = "operator",
    responses((status = 200, description = "What bounds requests and objects", body = LimitsBody)),
    extensions(("x-problems" = json!([]))),
)]
async fn read_limits(
    State(engine): State<Engine>,
    Extension(rates): Extension<RatesBody>,
    caller: Caller,
) -> Result<Response, Problem> {
    let may = caller.principal.may(Verb::Watch, &Object::Anywhere);
    may.map_err(EngineError::from)?;
    Ok(answer::ok(&LimitsBody {
        markets_max: engine.settings().markets_max,
        active_per_market_max: ACTIVE_PER_MARKET_MAX,
        variants_per_market_max: VARIANTS_MAX,
        promotion: PromotionLimits {
            name_chars_max: PROMOTION_NAME_CHARS_MAX,
            markets_max: MARKETS_MAX,
            handpicked_max: KEYS_MAX,
            blocked_max: KEYS_MAX,
            rule_sets_max: RULE_SETS_MAX,
            rules_per_set_max: RULES_MAX,
            values_per_rule_max: VALUES_MAX,
            category_marks_max: MARKS_MAX,
            handpick_import_max: HANDPICK_IMPORT_MAX,
        },
        rank: RankLimits {
            limit_max: rank_request::LIMIT_MAX,
            offset_max: rank_request::OFFSET_MAX,
            candidates_max: rank_request::CANDIDATES_MAX,
            facets_max: rank_request::FACETS_MAX,
        },
        feed: FeedLimits {
            bytes_max: FEED_BYTES_MAX,
            line_bytes_max: LINE_BYTES_MAX,
        },
        list_limit_max: LIMIT_MAX,
        rates,
    }))
}

impl RatesBody {
    fn of(rates: &Rates) -> Self {
        Self {
            rank: QuotaBody::of(&rates.rank),
            rank_address: QuotaBody::of(&rates.rank_address),
            rank_public: QuotaBody::of(&rates.rank_public),
            events: QuotaBody::of(&rates.events),
            writes: QuotaBody::of(&rates.writes),
            exports: QuotaBody::of(&rates.exports),
            backups: QuotaBody::of(&rates.backups),
        }
    }
}

impl QuotaBody {
    fn of(quota: &Quota) -> Self {
        Self {
            calls: quota.tokens,
            window_s: quota.window_s,
            burst: quota.burst,
        }
    }
}

impl StatusBody {
    fn of(status: Status) -> Self {
        let (pages, items) = status.pages;
        let [config, trade] = [status.config, status.trade].map(|space| StoreBody {
            revision: space.revision,
            index_lag: space.index_lag,
            free_bytes: space.free_bytes,
            repairs: space.repairs,
            last_backup: space.last_backup.map(|last| LastBackupBody {
                revision: last.revision,
                as_of: last.as_of.map(|at| at.to_string()),
            }),
        });
        Self {
            writes: status.writes.as_str(),
            revision: status.revision,
            markets: status
                .markets
                .into_iter()
                .map(|status| MarketStatusBody::of(&status))
                .collect(),
            config,
            trade,
            scrub: status.scrub.map(|scrub| ScrubBody {
                at: scrub.at.to_string(),
                bytes: scrub.n_bytes,
                complete: scrub.is_complete,
                damaged: scrub.damaged,
            }),
            pages: PagesBody { pages, items },
        }
    }
}

impl MarketStatusBody {
    fn of(status: &MarketStatus) -> Self {
        Self {
            market: status.market.to_string(),
            variants: status.variants,
            products: status.products,
            categories: status.categories,
            active: status.active,
            limit: status.limit,
            goods: status.goods.as_str(),
            revision: status.revision,
            snapshot: status.snapshot.map(|(revision, _)| revision),
            published_at: status.snapshot.map(|(_, at)| at.to_string()),
            view_until: status.view_until.map(|until| until.to_string()),
        }
    }
}
