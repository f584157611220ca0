//! Results in JSON.

use rust_decimal::Decimal;
use serde::Serialize;
use utoipa::ToSchema;

use crate::api::analyst::words::{basket, said, too_few};
use crate::domain::metric::Metric;
use crate::domain::money::Currency;
use crate::engine::events::results::{Evidence, Results};
use crate::measurement::compare::{Comparison, Interval, Unknown};
use crate::measurement::split::FUNCTION;
use crate::measurement::sums::Scope;
use crate::measurement::verdict::{
    ArmFigure, MetricFinding, Spread, Verdict, interval_of, is_money,
};

/// Results as somebody sees them.
pub(crate) struct Seen<'a> {
    /// What they depend on.
    pub(super) evidence: &'a Evidence,
    /// What of a session is compared.
    pub(super) scope: Scope,
    /// What may be said.
    pub(super) results: &'a Results,
    /// Whether profit and cost are shown.
    pub(super) sees_profit: bool,
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

/// One arm over some days.
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

/// Results in one scope.
pub(crate) fn results_body(seen: &Seen<'_>) -> ResultsBody {
    let evidence = seen.evidence;
    let findings = &seen.results.findings;
    let is_seen = |own: &&MetricFinding| {
        seen.sees_profit || !matches!(own.metric, Metric::Profit | Metric::Margin)
    };
    let metrics = findings.metrics.iter().filter(is_seen);
    ResultsBody {
        promotion: evidence.promotion.to_string(),
        market: evidence.market.to_string(),
        currency: evidence.currency.code(),
        scope: seen.scope.as_str(),
        level: evidence.level.as_str(),
        state: if evidence.is_over { "over" } else { "running" },
        as_of: evidence.as_of.to_string(),
        verdict: verdict(seen),
        epoch: EpochBody {
            number: evidence.number,
            start: evidence.start.to_string(),
            end: evidence.end.to_string(),
            share_shown_percent: evidence.share.percent().to_string(),
            function: FUNCTION,
            plan: evidence.plan.as_str(),
            mature_before: evidence.mature_before.to_string(),
        },
        health: health(seen),
        metrics: metrics.map(|own| metric(own, seen)).collect(),
        money: money(seen),
    }
}

fn health(seen: &Seen<'_>) -> HealthBody {
    let (findings, evidence) = (&seen.results.findings, seen.evidence);
    let [t0, t1, t2, excluded] = findings.spreads.each_ref().map(spread);
    let alarms = findings.spreads.iter().any(|own| own.sequential.is_alarm());
    let (pages, contradicting) = (evidence.sums.pages, evidence.sums.contradicting);
    let quality = &evidence.quality;
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
        profit_coverage_percent: evidence
            .cost_known
            .filter(|_| seen.sees_profit)
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

/// One arm's sum and mean of a metric.
pub(super) fn arm_body(arm: &ArmFigure, metric: Metric, currency: Currency) -> MatureBody {
    let scale = scale(metric, currency);
    let is_money = is_money(metric) || (arm.den.is_some() && scale < 1.0);
    MatureBody {
        sessions: arm.n,
        sum: if is_money || metric == Metric::Margin {
            currency.format_sum(arm.sum)
        } else {
            arm.sum.to_string()
        },
        mean: arm.mean().map(|mean| mean * scale),
    }
}

fn metric(own: &MetricFinding, seen: &Seen<'_>) -> MetricBody {
    let currency = seen.evidence.currency;
    let scale = scale(own.metric, currency);
    let is_primary = own.metric == seen.evidence.primary;
    let compared = own.compared.as_ref().ok();
    let arm = |at: usize| {
        let MatureBody {
            sessions,
            sum,
            mean,
        } = arm_body(&own.whole[at], own.metric, currency);
        ArmFigureBody {
            sessions,
            sum,
            mean,
            mature: arm_body(&own.mature[at], own.metric, currency),
        }
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
            p_adjusted: seen.results.p_adjusted.filter(|_| is_primary),
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

fn verdict(seen: &Seen<'_>) -> VerdictBody {
    let (results, plan) = (seen.results, seen.evidence.plan);
    let findings = &results.findings;
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
            too_few(seen)
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

fn money(seen: &Seen<'_>) -> MoneyBody {
    let (results, currency) = (seen.results, seen.evidence.currency);
    let is_revenue = |own: &&MetricFinding| own.metric == Metric::Revenue;
    let revenue = results.findings.metrics.iter().find(is_revenue);
    let compared = revenue.and_then(|own| own.compared.as_ref().ok().map(|it| (own, it)));
    let effect = compared.and_then(|(own, compared)| Some((own, compared.difference?)));
    let plan = seen.evidence.plan;
    let times = |arm: usize| {
        let (own, effect) = effect?;
        let ends = interval_of(own, plan)?;
        let n = sessions(own.mature[arm].n);
        Some(amount(effect.value * n, ends.map(|end| end * n), currency))
    };
    let per_day = compared.and_then(|(_, compared)| compared.per_day);
    MoneyBody {
        gained: times(0),
        per_day: per_day.map(|(value, ends)| amount(value, ends, currency)),
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
