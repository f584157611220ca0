//! What sessions did with a promotion's variants.

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::analyst::bodies::percent;
use crate::api::wire::{answer, path, query, scalar};
use crate::domain::id::MarketId;
use crate::domain::time::Date;
use crate::engine::events::stats::{Stats, StatsAsked, StatsSide};
use crate::engine::start::Engine;
use crate::http::extract::{Caller, Query};
use crate::http::gate::Route;
use crate::http::problem::Problem;
use crate::measurement::moments::Figure;

/// Which figures.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct StatsParams {
    /// The market.
    pub market: String,
    /// First local day, such as 2027-03-09.
    pub from: Option<String>,
    /// Last local day, included.
    pub to: Option<String>,
}

/// Figures of a promotion in one market, net of what came back.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatsBody {
    currency: &'static str,
    /// Epoch of the arms; null if the promotion was never measured.
    #[schema(required = true)]
    epoch: Option<u32>,
    /// Every session, in whatever arm or in none.
    all: StatsSideBody,
    /// Sessions that see the promotion; null if it was never measured.
    #[schema(required = true)]
    shown: Option<StatsSideBody>,
    /// Sessions for which it does not exist.
    #[schema(required = true)]
    withheld: Option<StatsSideBody>,
}

/// Figures of some sessions with the promotion's variants.
#[derive(Debug, Serialize, ToSchema)]
pub struct StatsSideBody {
    /// Sessions assigned, those left out that no person made; null if nothing was measured.
    #[schema(required = true)]
    sessions: Option<i64>,
    displays: i64,
    clicks: i64,
    sold_units: i64,
    /// A refund leaves them.
    orders: i64,
    /// In the market's currency.
    revenue: String,
    /// Null if no cost is known of anything sold, or for an analyst without the grant `profit`.
    #[schema(required = true)]
    profit: Option<String>,
    /// Percent of the revenue of all sessions whose cost is known; the rest adds nothing to the
    /// profit. Null without revenue.
    #[schema(required = true)]
    profit_coverage_percent: Option<String>,
}

/// Routes of this file.
pub(crate) fn routes() -> OpenApiRouter<Engine> {
    OpenApiRouter::new()
        .routes(routes!(read_stats))
        .route_layer(Route::desk())
}

/// Read a promotion's figures
///
/// What sessions did with its variants, up to the newest event on disk. Whether the promotion
/// helped is another question: arms differ by chance too.
#[utoipa::path(
    get, path = "/v1/promotions/{promotion}/stats", tag = "analyst",
    params(("promotion" = String, Path, description = "Its id"), StatsParams),
    responses((status = 200, description = "The figures", body = StatsBody)),
    extensions(("x-problems" = json!(["market-forbidden", "not-found", "store-unavailable"]))),
)]
async fn read_stats(
    State(engine): State<Engine>,
    caller: Caller,
    Path(promotion): Path<String>,
    members: Query,
) -> Result<Response, Problem> {
    let id = path::promotion(&promotion)?;
    let (market, from, to) = query::read(&members, |fields| {
        let market = fields.need("market", scalar::parsed(MarketId::parse));
        let from = fields.scalar("from", scalar::parsed(Date::parse));
        let to = fields.scalar("to", scalar::parsed(Date::parse));
        (market, from, to)
    })?;
    let market = market.ok_or_else(|| Problem::not_found("market"))?;
    let asked = StatsAsked { market, from, to };
    let stats = engine.stats(&caller.principal, id, &asked).await?;
    let sees_profit = caller.principal.may_see_cost().is_ok();
    Ok(answer::ok(&StatsBody::of(&stats, sees_profit)))
}

impl StatsBody {
    fn of(stats: &Stats, sees_profit: bool) -> Self {
        let side = |side: &StatsSide| {
            // Counts of events that were logged one by one.
            let sum = |figure| i64::try_from(side.sum(figure)).unwrap_or(i64::MAX);
            let money = |figure| stats.currency.format_sum(side.sum(figure));
            let is_told = sees_profit && stats.cost_known.is_none_or(|cost| cost.known > 0);
            StatsSideBody {
                sessions: side.sessions,
                displays: sum(Figure::Displays),
                clicks: sum(Figure::Clicks),
                sold_units: sum(Figure::Units),
                orders: sum(Figure::Orders),
                revenue: money(Figure::Revenue),
                profit: is_told.then(|| money(Figure::Profit)),
                profit_coverage_percent: stats
                    .cost_known
                    .filter(|_| sees_profit)
                    .and_then(|cost| percent(cost.known, cost.revenue)),
            }
        };
        Self {
            currency: stats.currency.code(),
            epoch: stats.epoch,
            all: side(&stats.all),
            shown: stats.shown.as_ref().map(side),
            withheld: stats.withheld.as_ref().map(side),
        }
    }
}
