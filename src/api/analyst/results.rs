//! Whether a promotion helped, and how sure one may be.

use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::Value;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::analyst::bodies::{ResultsBody, Seen, results_body};
use crate::api::wire::{answer, path, query, scalar};
use crate::domain::complaint::Fault;
use crate::domain::id::MarketId;
use crate::engine::start::Engine;
use crate::http::extract::{Caller, Query};
use crate::http::gate::Route;
use crate::http::problem::Problem;
use crate::measurement::sums::Scope;

/// Most epochs of a promotion.
pub(super) const EPOCHS_MAX: u32 = 100;

/// Which results.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ResultsParams {
    /// The market.
    pub market: String,
    /// `promoted`, the default: what the promotion holds; or `basket`: everything.
    pub scope: Option<String>,
    /// Number of the measured stretch; the last one if absent.
    pub epoch: Option<u32>,
    /// `on`, the default: money of one session is capped in comparisons; or `off`.
    pub cap: Option<String>,
}

/// Routes of this file.
pub(crate) fn routes() -> OpenApiRouter<Engine> {
    OpenApiRouter::new()
        .routes(routes!(read_results))
        .route_layer(Route::desk())
}

/// Read whether a promotion helped
///
/// Sessions that see it against those that do not, up to the newest event on disk. Each effect is an
/// average over the other promotions that sessions see. What cannot be told is null with a reason.
#[utoipa::path(
    get, path = "/v1/promotions/{promotion}/results", tag = "analyst",
    params(("promotion" = String, Path, description = "Its id"), ResultsParams),
    responses((status = 200, description = "The results", body = ResultsBody)),
    extensions(("x-problems" = json!(["market-forbidden", "not-found", "store-unavailable"]))),
)]
async fn read_results(
    State(engine): State<Engine>,
    caller: Caller,
    Path(promotion): Path<String>,
    members: Query,
) -> Result<Response, Problem> {
    let id = path::promotion(&promotion)?;
    let (market, scope, epoch, cap) = query::read(&members, |fields| {
        let market = fields.need("market", scalar::parsed(MarketId::parse));
        let scope = fields.scalar("scope", scalar::parsed(read_scope));
        let epoch = fields.scalar("epoch", query::whole(1, EPOCHS_MAX));
        let cap = fields.scalar("cap", read_switch);
        (market, scope, epoch, cap)
    })?;
    let market = market.ok_or_else(|| Problem::not_found("market"))?;
    let evidence = engine.evidence(&caller.principal, id, &market, epoch);
    let evidence = evidence.await?;
    let scope = scope.unwrap_or(Scope::Promoted);
    Ok(answer::ok(&results_body(&Seen {
        evidence: &evidence,
        scope,
        results: &evidence.results(scope, cap.unwrap_or(true)),
        sees_profit: caller.principal.may_see_cost().is_ok(),
    })))
}

pub(super) fn read_scope(text: &str) -> Result<Scope, Fault> {
    let found = Scope::ALL.into_iter().find(|scope| scope.as_str() == text);
    found.ok_or_else(|| Fault::unknown_value(text, &Scope::ALL.map(Scope::as_str)))
}

pub(super) fn read_switch(value: &Value) -> Result<bool, Fault> {
    match scalar::text(value)? {
        "on" => Ok(true),
        "off" => Ok(false),
        other => Err(Fault::unknown_value(other, &["on", "off"])),
    }
}
