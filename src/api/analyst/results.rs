//! Whether a promotion helped, and how sure one may be.

use axum::extract::{Path, State};
use axum::response::Response;
use rust_decimal::Decimal;
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::analyst::words::{basket, said, too_few};
use crate::api::wire::{answer, path, query, scalar};
use crate::domain::complaint::Fault;
use crate::domain::id::{MarketId, PromotionId};
use crate::domain::metric::Metric;
use crate::domain::money::Currency;
use crate::engine::events::results::{Results, ResultsAsked};
use crate::engine::start::Engine;
use crate::http::extract::{Caller, Query};
use crate::http::gate::Route;
use crate::http::problem::Problem;
use crate::measurement::compare::{Comparison, Interval, Unknown};
use crate::measurement::split::FUNCTION;
use crate::measurement::sums::Scope;
use crate::measurement::verdict::{
    ArmFigure, MetricFinding, Spread, Verdict, interval_of, is_money,
};

/// Most epochs of a promotion.
const EPOCHS_MAX: u32 = 100;

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

/// What may be said of a measured promotion in one market.
#[derive(Debug, Serialize, ToSchema)]
pub struct ResultsBody {
    promotion: String,
    market: String,
    currency: &'static str,
    /// `promoted` or `basket`.
    scope: &'static str,
    /// Sessions compared: `t2` those whose page the promotion changed, `t1` those it could reach.
    level: &'static str,
    /// `running` or `over`.
    state: &'static str,
    as_of: String,
    verdict: VerdictBody,
    epoch: EpochBody,
    health: HealthBody,
    /// Every metric; ratios are of sums over sessions.
    metrics: Vec<MetricBody>,
    money: MoneyBody,
}

/// What may be said.
#[derive(Debug, Serialize, ToSchema)]
pub struct VerdictBody {
    /// `helps`, `hurts`, `no-difference-larger-than`, `not-enough-data` or `not-trustworthy`.
    code: &'static str,
    /// In words.
    text: String,
    /// The same metric over the whole basket, in words.
    basket: String,
    /// Why figures are not trusted: `sample-ratio`, `arms`, `foreign-tickets`, `overflow`,
    /// `cost-unknown`.
    #[serde(skip_serializing_if = "Option::is_none")]
    reasons: Option<Vec<&'static str>>,
    /// Largest effect that is not ruled out, in percent.
    #[serde(skip_serializing_if = "Option::is_none")]
    x_percent: Option<f64>,
    /// Mature sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    have: Option<u64>,
    /// Sessions to find a lift of 5 % with a chance of 80 %.
    #[serde(skip_serializing_if = "Option::is_none")]
    need: Option<f64>,
    /// Days until then at the present pace.
    #[serde(skip_serializing_if = "Option::is_none")]
    days: Option<f64>,
}

/// The measured stretch.
#[derive(Debug, Serialize, ToSchema)]
pub struct EpochBody {
    number: u32,
    start: String,
    end: String,
    share_shown_percent: String,
    function: &'static str,
    /// `anytime` or `fixed`.
    plan: &'static str,
    /// Days before this one are compared: all their sessions had a day to end.
    mature_before: String,
}

/// Whether the counting is sound.
#[derive(Debug, Serialize, ToSchema)]
pub struct HealthBody {
    sessions: SessionsBody,
    /// Whether the arms hold other shares than promised.
    sample_ratio_alarm: bool,
    /// Pages ranked for the arm that the split gives.
    #[schema(required = true)]
    arm_check_percent: Option<String>,
    /// Events with a ticket of another session.
    #[schema(required = true)]
    foreign_percent: Option<String>,
    /// Events told more than a day later.
    #[schema(required = true)]
    late_percent: Option<String>,
    /// Revenue whose cost is known.
    #[schema(required = true)]
    profit_coverage_percent: Option<String>,
}

/// Sessions at each level.
#[derive(Debug, Serialize, ToSchema)]
pub struct SessionsBody {
    /// Assigned.
    t0: SpreadBody,
    /// Reachable.
    t1: SpreadBody,
    /// Different.
    t2: SpreadBody,
    /// Left out, for no person acts like that.
    excluded: SpreadBody,
}

/// How sessions are spread over the arms.
#[derive(Debug, Serialize, ToSchema)]
pub struct SpreadBody {
    shown: u64,
    withheld: u64,
    #[schema(required = true)]
    chi_square: Option<f64>,
    /// Of one look.
    #[schema(required = true)]
    p: Option<f64>,
    /// Of a look at the end of each day; below 0.001 is an alarm.
    p_sequential: f64,
}

/// One metric.
#[derive(Debug, Serialize, ToSchema)]
pub struct MetricBody {
    metric: &'static str,
    primary: bool,
    withheld: ArmFigureBody,
    shown: ArmFigureBody,
    /// Shown less Withheld, per session.
    #[schema(required = true)]
    difference: Option<DifferenceBody>,
    /// Shown over Withheld, less 1.
    #[schema(required = true)]
    lift_percent: Option<LiftBody>,
    /// All sessions over Withheld, less 1: what shops are used to.
    #[schema(required = true)]
    lift_customary_percent: Option<f64>,
    /// Chance that the effect is above 0, with a flat prior; no licence to peek.
    #[schema(required = true)]
    chance: Option<f64>,
    #[schema(required = true)]
    expected_loss: Option<LossBody>,
    /// Most that one session's money counts in the comparison.
    #[serde(skip_serializing_if = "Option::is_none")]
    cap: Option<String>,
    /// Why there is no difference: `start-rule`, `no-variance`, `overflow`.
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown: Option<&'static str>,
    /// Why there is no lift: `withheld-mean`, `g-too-large`.
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown_lift: Option<&'static str>,
}

/// One arm.
#[derive(Debug, Serialize, ToSchema)]
pub struct ArmFigureBody {
    sessions: i64,
    /// Of the whole stretch, never capped.
    sum: String,
    /// Per session, or the ratio.
    #[schema(required = true)]
    mean: Option<f64>,
    /// Of the days that are compared.
    mature: MatureBody,
}

/// One arm's mature days.
#[derive(Debug, Serialize, ToSchema)]
pub struct MatureBody {
    sessions: i64,
    sum: String,
    #[schema(required = true)]
    mean: Option<f64>,
}

/// A difference with its errors.
#[derive(Debug, Serialize, ToSchema)]
pub struct DifferenceBody {
    value: f64,
    stderr: f64,
    #[schema(value_type = Vec<f64>)]
    interval_fixed: Interval,
    #[schema(value_type = Option<Vec<f64>>, required = true)]
    interval_always: Option<Interval>,
    p_fixed: f64,
    #[schema(required = true)]
    p_always: Option<f64>,
    /// Of the primary metric, corrected over the promotions of the market.
    #[schema(required = true)]
    p_adjusted: Option<f64>,
}

/// A lift in percent.
#[derive(Debug, Serialize, ToSchema)]
pub struct LiftBody {
    value: f64,
    #[schema(value_type = Option<Vec<f64>>, required = true)]
    interval_fixed: Option<Interval>,
    #[schema(value_type = Option<Vec<f64>>, required = true)]
    interval_always: Option<Interval>,
}

/// Mean loss of deciding now.
#[derive(Debug, Serialize, ToSchema)]
pub struct LossBody {
    /// Of showing it to all, where it harms.
    ship: f64,
    /// Of showing it to none, where it helps.
    keep: f64,
}

/// What it comes to, by the revenue of what is compared.
#[derive(Debug, Serialize, ToSchema)]
pub struct MoneyBody {
    /// By the sessions that saw it.
    #[schema(required = true)]
    gained: Option<AmountBody>,
    /// A day, if everybody saw it.
    #[schema(required = true)]
    per_day: Option<AmountBody>,
    /// By the sessions that did not.
    #[schema(required = true)]
    price_of_withholding: Option<AmountBody>,
}

/// An amount with its interval.
#[derive(Debug, Serialize, ToSchema)]
pub struct AmountBody {
    value: String,
    #[schema(value_type = Vec<String>)]
    interval: [String; 2],
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
    let asked = ResultsAsked {
        market: market.ok_or_else(|| Problem::not_found("market"))?,
        scope: scope.unwrap_or(Scope::Promoted),
        epoch,
        is_capped: cap.unwrap_or(true),
    };
    let results = engine.results(&caller.principal, id, &asked).await?;
    Ok(answer::ok(&body(id, &asked, &results)))
}

fn read_scope(text: &str) -> Result<Scope, Fault> {
    let found = Scope::ALL.into_iter().find(|scope| scope.as_str() == text);
    found.ok_or_else(|| Fault::unknown_value(text, &Scope::ALL.map(Scope::as_str)))
}

fn read_switch(value: &Value) -> Result<bool, Fault> {
    match scalar::text(value)? {
        "on" => Ok(true),
        "off" => Ok(false),
        other => Err(Fault::unknown_value(other, &["on", "off"])),
    }
}

fn body(id: PromotionId, asked: &ResultsAsked, results: &Results) -> ResultsBody {
    let findings = &results.findings;
    let metric = |own: &MetricFinding| metric(own, results);
    ResultsBody {
        promotion: id.to_string(),
        market: asked.market.to_string(),
        currency: results.currency.code(),
        scope: asked.scope.as_str(),
        level: results.level.as_str(),
        state: if results.is_over { "over" } else { "running" },
        as_of: results.as_of.to_string(),
        verdict: verdict(results),
        epoch: EpochBody {
            number: results.epoch.number,
            start: results.start.to_string(),
            end: results.end.to_string(),
            share_shown_percent: results.epoch.settings.share_shown.to_string(),
            function: FUNCTION,
            plan: results.epoch.settings.plan.as_str(),
            mature_before: results.mature_before.to_string(),
        },
        health: health(results),
        metrics: findings.metrics.iter().map(metric).collect(),
        money: money(results),
    }
}

fn health(results: &Results) -> HealthBody {
    let findings = &results.findings;
    let [t0, t1, t2, excluded] = findings.spreads.each_ref().map(spread);
    let alarms = findings.spreads.iter().any(|own| own.sequential.is_alarm());
    let (pages, contradicting) = results.pages;
    let quality = &results.quality;
    let of = |part: u64| percent(i128::from(part), i128::from(quality.events));
    HealthBody {
        sessions: SessionsBody {
            t0,
            t1,
            t2,
            excluded,
        },
        sample_ratio_alarm: alarms,
        arm_check_percent: percent(i128::from(pages - contradicting), i128::from(pages)),
        foreign_percent: of(quality.foreign),
        late_percent: of(quality.late),
        profit_coverage_percent: results
            .cost_known
            .and_then(|cost| percent(cost.known, cost.revenue)),
    }
}

fn spread(own: &Spread) -> SpreadBody {
    SpreadBody {
        shown: own.n[0],
        withheld: own.n[1],
        chi_square: own.once.map(|once| once.chi_square),
        p: own.once.map(|once| once.p),
        p_sequential: own.sequential.p,
    }
}

/// Rounded down to two decimals, so that 100 means all of it.
pub(crate) fn percent(part: i128, all: i128) -> Option<String> {
    let basis_points = part.checked_mul(10_000)?.checked_div(all)?;
    let percent = Decimal::new(i64::try_from(basis_points).ok()?, 2);
    Some(percent.normalize().to_string())
}

/// Minor units of money to units, so that a reader need not know the currency's decimals.
fn scale(metric: Metric, currency: Currency) -> f64 {
    let decimals = i32::try_from(currency.digits()).unwrap_or_default();
    let has_money =
        is_money(metric) || matches!(metric, Metric::RevenuePerDisplay | Metric::RevenuePerOrder);
    if has_money {
        10_f64.powi(-decimals)
    } else {
        1.0
    }
}

fn metric(own: &MetricFinding, results: &Results) -> MetricBody {
    let currency = results.currency;
    let scale = scale(own.metric, currency);
    let is_primary = own.metric == results.epoch.settings.primary_metric;
    let compared = own.compared.as_ref().ok();
    let sum = |arm: &ArmFigure| {
        let is_money = is_money(own.metric) || (arm.den.is_some() && scale < 1.0);
        if is_money || own.metric == Metric::Margin {
            currency.format_sum(arm.sum)
        } else {
            arm.sum.to_string()
        }
    };
    let arm = |at: usize| ArmFigureBody {
        sessions: own.whole[at].n,
        sum: sum(&own.whole[at]),
        mean: own.whole[at].mean().map(|mean| mean * scale),
        mature: MatureBody {
            sessions: own.mature[at].n,
            sum: sum(&own.mature[at]),
            mean: own.mature[at].mean().map(|mean| mean * scale),
        },
    };
    let effect = compared.and_then(|compared| compared.difference);
    MetricBody {
        metric: own.metric.as_str(),
        primary: is_primary,
        withheld: arm(1),
        shown: arm(0),
        difference: effect.map(|effect| DifferenceBody {
            value: effect.value * scale,
            stderr: effect.stderr * scale,
            interval_fixed: effect.interval.map(|end| end * scale),
            interval_always: effect
                .always
                .map(|always| always.interval.map(|end| end * scale)),
            p_fixed: effect.p,
            p_always: effect.always.map(|always| always.p),
            p_adjusted: results.p_adjusted.filter(|_| is_primary),
        }),
        lift_percent: compared.and_then(lift),
        lift_customary_percent: compared
            .and_then(|compared| compared.lift_customary)
            .map(in_percent),
        chance: effect.map(|effect| effect.bayes.chance),
        expected_loss: effect.map(|effect| LossBody {
            ship: effect.bayes.loss_ship * scale,
            keep: effect.bayes.loss_keep * scale,
        }),
        cap: own
            .cap
            .map(|cap| currency.format_sum(i128::from(cap.minor()))),
        unknown: own.compared.as_ref().err().map(|silence| silence.as_str()),
        unknown_lift: compared
            .and_then(|compared| compared.unknown_lift)
            .map(Unknown::as_str),
    }
}

fn lift(compared: &Comparison) -> Option<LiftBody> {
    let lift = &compared.lift;
    Some(LiftBody {
        value: in_percent(lift.value?),
        interval_fixed: lift.interval.map(|ends| ends.map(in_percent)),
        interval_always: lift.interval_always.map(|ends| ends.map(in_percent)),
    })
}

pub(super) fn in_percent(fraction: f64) -> f64 {
    fraction * 100.0
}

fn verdict(results: &Results) -> VerdictBody {
    let findings = &results.findings;
    let plan = results.epoch.settings.plan;
    let (mut reasons, mut x_percent, mut need) = (None, None, None);
    let text = match &results.verdict {
        Verdict::NotTrustworthy(why) => {
            reasons = Some(why.iter().map(|own| own.as_str()).collect());
            why.iter()
                .map(|own| own.words())
                .collect::<Vec<_>>()
                .join("; ")
        }
        Verdict::NotEnoughData(missing) => {
            need = Some(*missing);
            too_few(results, plan)
        }
        Verdict::Hurts => said("it hurts", findings.primary(), plan),
        Verdict::Helps => said("it helps", findings.primary(), plan),
        Verdict::NoDifferenceLargerThan(x) => {
            x_percent = Some(in_percent(*x));
            let text = format!("no difference larger than {:.1} %", in_percent(*x));
            said(&text, findings.primary(), plan)
        }
    };
    VerdictBody {
        code: results.verdict.code(),
        text,
        basket: basket(&findings.basket, plan),
        reasons,
        x_percent,
        have: need.map(|need| need.have),
        need: need.and_then(|need| need.need),
        days: need.and_then(|need| need.days),
    }
}

fn money(results: &Results) -> MoneyBody {
    let is_revenue = |own: &&MetricFinding| own.metric == Metric::Revenue;
    let revenue = results.findings.metrics.iter().find(is_revenue);
    let compared = revenue.and_then(|own| own.compared.as_ref().ok().map(|it| (own, it)));
    let effect = compared.and_then(|(own, compared)| Some((own, compared.difference?)));
    let plan = results.epoch.settings.plan;
    let times = |arm: usize| {
        let (own, effect) = effect?;
        let ends = interval_of(own, plan)?;
        let n = sessions(own.mature[arm].n);
        Some(amount(
            effect.value * n,
            ends.map(|end| end * n),
            results.currency,
        ))
    };
    let per_day = compared.and_then(|(_, compared)| compared.per_day);
    MoneyBody {
        gained: times(0),
        per_day: per_day.map(|(value, ends)| amount(value, ends, results.currency)),
        price_of_withholding: times(1),
    }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn sessions(n: i64) -> f64 {
    n as f64
}

fn amount(value: f64, interval: Interval, currency: Currency) -> AmountBody {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "an estimate, to the minor unit"
    )]
    let text = |minor: f64| currency.format_sum(minor.round() as i128);
    AmountBody {
        value: text(value),
        interval: interval.map(text),
    }
}
