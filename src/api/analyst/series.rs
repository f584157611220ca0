//! How a metric of both arms went, day by day.

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::analyst::bodies::{MatureBody, arm_body, in_percent};
use crate::api::analyst::results::{EPOCHS_MAX, read_scope, read_switch};
use crate::api::wire::{answer, path, query, scalar};
use crate::domain::complaint::Fault;
use crate::domain::id::{MarketId, PromotionId};
use crate::domain::metric::Metric;
use crate::engine::error::EngineError;
use crate::engine::events::results::{Evidence, Point};
use crate::engine::start::Engine;
use crate::http::extract::{Caller, Query};
use crate::http::gate::Route;
use crate::http::problem::Problem;
use crate::measurement::compare::Interval;
use crate::measurement::sums::Scope;
use crate::measurement::verdict::lift_interval_of;

/// Changes looked through.
const CHANGES_MAX: usize = 500;

/// Which series.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct SeriesParams {
    /// The market.
    pub market: String,
    /// A metric; the primary one if absent.
    pub metric: Option<String>,
    /// `day`, the only one.
    pub granularity: Option<String>,
    /// `promoted`, the default, or `basket`.
    pub scope: Option<String>,
    /// Number of the measured stretch; the last one if absent.
    pub epoch: Option<u32>,
    /// `on`, the default, or `off`.
    pub cap: Option<String>,
}

/// A metric of a measured stretch, each day with all days before it.
#[derive(Debug, Serialize, ToSchema)]
pub struct SeriesBody {
    promotion: String,
    market: String,
    currency: &'static str,
    metric: &'static str,
    scope: &'static str,
    epoch: u32,
    points: Vec<PointBody>,
    /// Edits of the promotion while it was measured.
    changes: Vec<SeriesChangeBody>,
}

/// The end of one day.
#[derive(Debug, Serialize, ToSchema)]
pub struct PointBody {
    /// The local day.
    start: String,
    shown: MatureBody,
    withheld: MatureBody,
    /// Null until the start rule is met.
    #[schema(required = true)]
    lift_percent: Option<f64>,
    /// Of the lift, in percent: always valid, or of one planned look, as the stretch was planned.
    #[schema(value_type = Option<Vec<f64>>, required = true)]
    interval: Option<Interval>,
}

/// One edit.
#[derive(Debug, Serialize, ToSchema)]
pub struct SeriesChangeBody {
    at: String,
    revision: u64,
    action: String,
}

/// Routes of this file.
pub(crate) fn routes() -> OpenApiRouter<Engine> {
    OpenApiRouter::new()
        .routes(routes!(read_series))
        .route_layer(Route::desk())
}

/// Read how a metric went
///
/// Both arms, cumulative by local day of each session; of the last day or two, whose sessions may
/// still go on, only the sums.
#[utoipa::path(
    get, path = "/v1/promotions/{promotion}/series", tag = "analyst",
    params(("promotion" = String, Path, description = "Its id"), SeriesParams),
    responses((status = 200, description = "The series", body = SeriesBody)),
    extensions(("x-problems" = json!(["market-forbidden", "not-found", "store-unavailable"]))),
)]
async fn read_series(
    State(engine): State<Engine>,
    caller: Caller,
    Path(promotion): Path<String>,
    members: Query,
) -> Result<Response, Problem> {
    let id = path::promotion(&promotion)?;
    let (market, metric, scope, epoch, cap) = query::read(&members, |fields| {
        let market = fields.need("market", scalar::parsed(MarketId::parse));
        let metric = fields.scalar("metric", scalar::parsed(Metric::parse));
        fields.scalar("granularity", read_granularity);
        let scope = fields.scalar("scope", scalar::parsed(read_scope));
        let epoch = fields.scalar("epoch", query::whole(1, EPOCHS_MAX));
        let cap = fields.scalar("cap", read_switch);
        (market, metric, scope, epoch, cap)
    })?;
    let market = market.ok_or_else(|| Problem::not_found("market"))?;
    let principal = &caller.principal;
    let evidence = engine.evidence(principal, id, &market, epoch).await?;
    let metric = metric.unwrap_or(evidence.primary);
    if matches!(metric, Metric::Profit | Metric::Margin) {
        principal.may_see_cost().map_err(EngineError::from)?;
    }
    let scope = scope.unwrap_or(Scope::Promoted);
    let points = evidence.series(metric, scope, cap.unwrap_or(true));
    let changes = changes(&engine, &caller, id, &evidence).await?;
    Ok(answer::ok(&SeriesBody {
        promotion: id.to_string(),
        market: market.to_string(),
        currency: evidence.currency.code(),
        metric: metric.as_str(),
        scope: scope.as_str(),
        epoch: evidence.number,
        points: points.iter().map(|own| point(own, &evidence)).collect(),
        changes,
    }))
}

fn read_granularity(value: &Value) -> Result<(), Fault> {
    match scalar::text(value)? {
        "day" => Ok(()),
        other => Err(Fault::unknown_value(other, &["day"])),
    }
}

fn point(point: &Point, evidence: &Evidence) -> PointBody {
    let finding = &point.finding;
    let [shown, withheld] =
        [0, 1].map(|arm| arm_body(&finding.whole[arm], finding.metric, evidence.currency));
    let lift = finding.compared.as_ref().ok();
    PointBody {
        start: point.day.to_string(),
        shown,
        withheld,
        lift_percent: lift.and_then(|own| own.lift.value).map(in_percent),
        interval: lift_interval_of(finding, evidence.plan).map(|ends| ends.map(in_percent)),
    }
}

async fn changes(
    engine: &Engine,
    caller: &Caller,
    id: PromotionId,
    evidence: &Evidence,
) -> Result<Vec<SeriesChangeBody>, EngineError> {
    let history = engine.promotion_history(&caller.principal, id, None, CHANGES_MAX);
    let is_within = |at| evidence.start < at && at < evidence.end;
    let changes = history.await?.items.into_iter();
    Ok(changes
        .filter(|change| is_within(change.at))
        .map(|change| SeriesChangeBody {
            at: change.at.to_string(),
            revision: change.revision.0,
            action: change.action,
        })
        .collect())
}
