//! What may be said of a measured stretch.
//!
//! ```text
//! cells of the mature days → comparison of each metric → start rule → verdict, with words
//! ```
//!
//! The first of these that holds is the verdict: the figures cannot be trusted; there are too few;
//! it hurts; it helps; no difference larger than a margin; there are too few. "Too few" is an answer
//! of its own, never p = 1.

mod answer;
#[cfg(test)]
mod cases;

pub use answer::{Distrust, Need, Verdict};

use crate::domain::metric::Metric;
use crate::domain::time::Date;
use crate::measurement::compare::{ArmSums, Asked, Comparison, Interval, Unknown, compare};
use crate::measurement::histogram::{Cap, Histogram};
use crate::measurement::log::Trigger;
use crate::measurement::moments::{Figure, Moments, Overflow};
use crate::measurement::power::Design;
use crate::measurement::ratio_check::{RatioCheck, SequentialCheck, once, sequential};
use crate::measurement::split::{Arm, Share};
use crate::measurement::summary::Sums;
use crate::measurement::sums::{EpochSums, Scope};
use crate::promotion::epoch::Plan;

/// Chance of an error that is accepted; also the share of false discoveries in a market.
pub const ALPHA: f64 = 0.05;

/// Sessions that an always valid test is tuned by, where nobody planned others.
pub const PLANNED_SESSIONS: u32 = 100_000;

/// Sessions of an arm in which the metric must not be 0 before anything is said of it.
pub const NONZERO_MIN: i64 = 50;

/// Mature days before anything is said.
pub const MATURE_DAYS_MIN: usize = 7;

/// Sessions with money before a cap is fixed.
const CAP_SESSIONS_MIN: u64 = 200;

/// Withheld sessions with money before a planned end says anything of money.
const BUYERS_MIN: i64 = 100;

/// A lift within this counts as none.
pub const MARGIN: f64 = 0.05;

/// Chance to find a lift of the margin that missing sessions are counted for.
const POWER: f64 = 0.8;

/// Tickets of other sessions above which figures are not trusted.
const FOREIGN_MAX: f64 = 0.01;

/// Revenue with a known cost below which nothing is said of profit.
const COST_KNOWN_MIN: f64 = 0.95;

/// What is asked of a stretch.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Its sums.
    pub sums: &'a EpochSums,
    /// Share of sessions that see the promotion.
    pub share: Share,
    /// What it is judged by.
    pub primary: Metric,
    /// When a verdict may be given.
    pub plan: Plan,
    /// Whether it is over and every session of it mature.
    pub is_over: bool,
    /// Days before this one are mature: all their sessions had a day to end.
    pub mature_before: Date,
    /// How deep a session must have been exposed to be compared: T1 or T2.
    pub level: Trigger,
    /// What of a session is compared.
    pub scope: Scope,
    /// Whether money is capped in comparisons.
    pub is_capped: bool,
    /// Share of events with a ticket of another session.
    pub foreign: Option<f64>,
    /// Share of the revenue whose cost is known.
    pub cost_known: Option<f64>,
}

/// One arm's figure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ArmFigure {
    /// Sessions.
    pub n: i64,
    /// Sum of the metric, or of the upper figure of a ratio.
    pub sum: i128,
    /// Sum of the lower figure of a ratio.
    pub den: Option<i128>,
}

impl ArmFigure {
    /// Per session, or the ratio; `None` without any.
    #[expect(clippy::cast_precision_loss, reason = "a mean for people")]
    pub fn mean(&self) -> Option<f64> {
        let den = self.den.unwrap_or(i128::from(self.n));
        (den != 0).then(|| self.sum as f64 / den as f64)
    }
}

/// Why a metric is not compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// Too few days or sessions that did anything.
    StartRule,
    /// A sum needed more than 128 bits.
    Overflow,
    /// Nothing varies.
    Unknown(Unknown),
}

impl Silence {
    /// As the wire spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StartRule => "start-rule",
            Self::Overflow => "overflow",
            Self::Unknown(unknown) => unknown.as_str(),
        }
    }
}

/// A metric of both arms.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MetricFinding {
    /// Which.
    pub metric: Metric,
    /// Of the whole stretch, never capped, by arm.
    pub whole: [ArmFigure; 2],
    /// Of its mature days, by arm.
    pub mature: [ArmFigure; 2],
    /// Mature days compared, or why not.
    pub compared: Result<Comparison, Silence>,
    /// Cap of one session's money in the comparison.
    pub cap: Option<Cap>,
}

/// How sessions are spread over the arms at one level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// By arm.
    pub n: [u64; 2],
    /// Against the promised shares; `None` without sessions.
    pub once: Option<RatioCheck>,
    /// The same at the end of each day: this one verdicts obey.
    pub sequential: SequentialCheck,
}

/// All that may be said of a stretch, but for the correction over a market.
#[derive(Clone, Debug, PartialEq)]
pub struct Findings {
    /// Sessions by level, then those left out as no persons.
    pub spreads: [Spread; 4],
    /// Every metric.
    pub metrics: Vec<MetricFinding>,
    /// Place of the primary one.
    primary: usize,
    /// The primary metric over the whole basket: the guardrail.
    pub basket: MetricFinding,
    /// Why it is not trusted, if it is not.
    pub distrust: Vec<Distrust>,
    need: Need,
    plan: Plan,
    is_over: bool,
}

/// How a metric is made from figures.
fn figures(metric: Metric) -> (Figure, Option<Figure>) {
    match metric {
        Metric::Displays => (Figure::Displays, None),
        Metric::Clicks => (Figure::Clicks, None),
        Metric::SoldUnits => (Figure::Units, None),
        Metric::Orders => (Figure::Orders, None),
        Metric::Revenue => (Figure::Revenue, None),
        Metric::Profit => (Figure::Profit, None),
        Metric::ClickRate => (Figure::Clicks, Some(Figure::Displays)),
        Metric::UnitsPerClick => (Figure::Units, Some(Figure::Clicks)),
        Metric::RevenuePerDisplay => (Figure::Revenue, Some(Figure::Displays)),
        Metric::RevenuePerOrder => (Figure::Revenue, Some(Figure::Orders)),
        Metric::Margin => (Figure::Profit, Some(Figure::Revenue)),
    }
}

/// Whether a metric is counted in minor units of the currency.
pub fn is_money(metric: Metric) -> bool {
    matches!(metric, Metric::Revenue | Metric::Profit)
}

const ARMS: [Arm; 2] = [Arm::Shown, Arm::Withheld];

/// Says all that may be said.
pub fn find(question: &Question<'_>) -> Findings {
    let spreads = [
        spread(question, Trigger::T0),
        spread(question, Trigger::T1),
        spread(question, Trigger::T2),
        excluded(question),
    ];
    let metrics: Vec<MetricFinding> = Metric::ALL
        .iter()
        .map(|(metric, _)| find_metric(question, *metric, question.scope))
        .collect();
    let is_primary = |own: &MetricFinding| own.metric == question.primary;
    let primary = metrics.iter().position(is_primary).unwrap_or_default();
    let basket = find_metric(question, question.primary, Scope::Basket);
    let mut distrust = Vec::new();
    if spreads.iter().any(|spread| spread.sequential.is_alarm()) {
        distrust.push(Distrust::SampleRatio);
    }
    if question.sums.contradicting > 0 {
        distrust.push(Distrust::Arms);
    }
    if question.foreign.is_some_and(|share| share > FOREIGN_MAX) {
        distrust.push(Distrust::Foreign);
    }
    if matches!(metrics[primary].compared, Err(Silence::Overflow)) {
        distrust.push(Distrust::Overflow);
    }
    let is_cost_short = question
        .cost_known
        .is_some_and(|share| share < COST_KNOWN_MIN);
    if question.primary == Metric::Profit && is_cost_short {
        distrust.push(Distrust::CostUnknown);
    }
    Findings {
        need: need(question, &metrics[primary]),
        spreads,
        metrics,
        primary,
        basket,
        distrust,
        plan: question.plan,
        is_over: question.is_over,
    }
}

impl Findings {
    /// The metric it is judged by.
    pub fn primary(&self) -> &MetricFinding {
        &self.metrics[self.primary]
    }

    /// Evidence against nothing, to be corrected over a market: of a look at any time, or of the one
    /// planned look; `None` where nothing may be said.
    pub fn p(&self) -> Option<f64> {
        p_of(self.primary(), self.plan, self.is_over)
    }

    /// What may be said, with the primary metric's p as corrected over the market.
    pub fn verdict(&self, p_adjusted: Option<f64>) -> Verdict {
        if !self.distrust.is_empty() {
            return Verdict::NotTrustworthy(self.distrust.clone());
        }
        let primary = self.primary();
        let (Some(p), Ok(compared)) = (p_adjusted, &primary.compared) else {
            return Verdict::NotEnoughData(self.need);
        };
        let is_found = p <= ALPHA;
        let d = compared.difference.map_or(0.0, |effect| effect.value);
        let guard = interval_of(&self.basket, self.plan);
        if is_found && d < 0.0 || guard.is_some_and(|[_, high]| high < 0.0) {
            return Verdict::Hurts;
        }
        if is_found && d > 0.0 {
            return Verdict::Helps;
        }
        match lift_interval_of(primary, self.plan) {
            Some([low, high]) if -MARGIN <= low && high <= MARGIN => {
                Verdict::NoDifferenceLargerThan(low.abs().max(high.abs()))
            }
            _ => Verdict::NotEnoughData(self.need),
        }
    }
}

/// The p of the primary metric alone, for the correction over a market.
pub fn primary_p(question: &Question<'_>) -> Option<f64> {
    let finding = find_metric(question, question.primary, question.scope);
    p_of(&finding, question.plan, question.is_over)
}

/// The p that counts under a plan.
pub fn p_of(finding: &MetricFinding, plan: Plan, is_over: bool) -> Option<f64> {
    let compared = finding.compared.as_ref().ok()?;
    let difference = compared.difference?;
    match plan {
        Plan::Anytime => difference.always.map(|always| always.p),
        Plan::Fixed if !is_over => None,
        Plan::Fixed => {
            let is_buying = !is_money(finding.metric) || finding.cap.is_some();
            let hall = compared.hall.filter(|_| is_money(finding.metric));
            is_buying.then(|| hall.map_or(difference.p, |hall| hall.p))
        }
    }
}

/// The interval of the difference that counts under a plan.
pub fn interval_of(finding: &MetricFinding, plan: Plan) -> Option<Interval> {
    let compared = finding.compared.as_ref().ok()?;
    let difference = compared.difference?;
    match plan {
        Plan::Anytime => difference.always.map(|always| always.interval),
        Plan::Fixed => Some(difference.interval),
    }
}

/// The interval of the lift that counts under a plan; fractions.
pub fn lift_interval_of(finding: &MetricFinding, plan: Plan) -> Option<Interval> {
    let compared = finding.compared.as_ref().ok()?;
    match plan {
        Plan::Anytime => compared.lift.interval_always,
        Plan::Fixed => compared.lift.interval,
    }
}

fn spread(question: &Question<'_>, level: Trigger) -> Spread {
    let n = |n: i64| u64::try_from(n).unwrap_or_default();
    let days: Vec<Vec<u64>> = question
        .sums
        .days
        .values()
        .map(|day| {
            let of = |arm: &Arm| match day.cell(level, *arm, Scope::Basket) {
                None => n(day.assigned(*arm, Scope::Basket).n),
                Some(cell) => n(cell.moments.read().map_or(0, |read| read.n())),
            };
            ARMS.iter().map(of).collect()
        })
        .collect();
    spread_of(question.share, &days)
}

fn excluded(question: &Question<'_>) -> Spread {
    let n = |arm: &Arm| u64::try_from(question.sums.excluded[*arm as usize]).unwrap_or_default();
    spread_of(question.share, &[ARMS.iter().map(n).collect()])
}

fn spread_of(share: Share, days: &[Vec<u64>]) -> Spread {
    let shown = f64::from(share.percent().basis_points()) / 10_000.0;
    let weights = [shown, 1.0 - shown];
    let n = [0, 1].map(|arm| days.iter().map(|day| day[arm]).sum::<u64>());
    Spread {
        n,
        once: once(&weights, &n),
        sequential: sequential(&weights, days),
    }
}

/// Both arms of a metric over the days that `takes` picks.
fn moments_of(question: &Question<'_>, scope: Scope, takes: &dyn Fn(Date) -> bool) -> [Moments; 2] {
    ARMS.map(|arm| {
        let mut all = Moments::default();
        for (day, sums) in &question.sums.days {
            if takes(*day)
                && let Some(cell) = sums.cell(question.level, arm, scope)
            {
                all.merge(&cell.moments);
            }
        }
        all
    })
}

fn arm_figure(moments: &Moments, metric: Metric) -> Result<ArmFigure, Overflow> {
    let (num, den) = figures(metric);
    let read = moments.read()?;
    Ok(ArmFigure {
        n: read.n(),
        sum: read.sum(num),
        den: den.map(|den| read.sum(den)),
    })
}

/// Says what may be said of one metric in one scope.
pub fn find_metric(question: &Question<'_>, metric: Metric, scope: Scope) -> MetricFinding {
    let is_mature = |day: Date| day < question.mature_before;
    let whole = moments_of(question, scope, &|_| true);
    let mature = moments_of(question, scope, &is_mature);
    let figure =
        |arms: &[Moments; 2]| [0, 1].map(|arm| arm_figure(&arms[arm], metric).unwrap_or_default());
    let cap = match metric {
        Metric::Revenue | Metric::Profit => cap(question, metric, scope),
        _ => Ok(None),
    };
    let compared = match cap {
        Ok(cap) => compared(question, metric, scope, &mature, cap),
        Err(Overflow) => Err(Silence::Overflow),
    };
    MetricFinding {
        metric,
        whole: figure(&whole),
        mature: figure(&mature),
        compared,
        cap: cap.ok().flatten(),
    }
}

fn compared(
    question: &Question<'_>,
    metric: Metric,
    scope: Scope,
    mature: &[Moments; 2],
    cap: Option<Cap>,
) -> Result<Comparison, Silence> {
    let overflow = |_: Overflow| Silence::Overflow;
    let (num, den) = figures(metric);
    let mut arms = Vec::new();
    for moments in mature {
        let read = moments.read().map_err(overflow)?;
        let least = match (question.plan, is_money(metric)) {
            (Plan::Fixed, true) => BUYERS_MIN,
            _ => NONZERO_MIN,
        };
        if read.nonzero(num) < least {
            return Err(Silence::StartRule);
        }
        arms.push(match den {
            None => ArmSums::Mean(read.figure(num).map_err(overflow)?),
            Some(den) => ArmSums::Ratio(read.ratio(num, den).map_err(overflow)?),
        });
    }
    let days = question.sums.days.keys();
    let n_days = days.filter(|day| **day < question.mature_before).count();
    if n_days < MATURE_DAYS_MIN {
        return Err(Silence::StartRule);
    }
    if is_money(metric) {
        let cap = cap.ok_or(Silence::StartRule)?;
        if question.is_capped {
            for (arm, sums) in ARMS.iter().zip(&mut arms) {
                let capped = capped(question, metric, scope, *arm, cap).map_err(overflow)?;
                *sums = ArmSums::Mean(capped);
            }
        }
    }
    let asked = Asked {
        alpha: ALPHA,
        planned_sessions: Some(f64::from(PLANNED_SESSIONS)),
        days: u32::try_from(n_days).ok().map(f64::from),
    };
    let compared = compare([&arms[0], &arms[1]], &asked).map_err(|_| Silence::Overflow)?;
    match compared.unknown {
        Some(unknown) => Err(Silence::Unknown(unknown)),
        None => Ok(compared),
    }
}

fn histogram<'a>(
    question: &'a Question<'_>,
    (day, metric): (Date, Metric),
    scope: Scope,
    arm: Arm,
) -> Option<&'a Histogram> {
    let cell = question
        .sums
        .days
        .get(&day)?
        .cell(question.level, arm, scope)?;
    Some(match metric {
        Metric::Profit => &cell.profit,
        _ => &cell.revenue,
    })
}

/// The cap of one session's money: fixed by the first mature days that have enough sessions with
/// any, so that later days do not move it.
fn cap(question: &Question<'_>, metric: Metric, scope: Scope) -> Result<Option<Cap>, Overflow> {
    let mut before: Vec<&Histogram> = Vec::new();
    let days = question.sums.days.keys();
    for day in days.filter(|day| **day < question.mature_before) {
        let of = |arm: &Arm| histogram(question, (*day, metric), scope, *arm);
        before.extend(ARMS.iter().filter_map(of));
        if let Some(cap) = Cap::of(&before, CAP_SESSIONS_MIN)? {
            return Ok(Some(cap));
        }
    }
    Ok(None)
}

fn capped(
    question: &Question<'_>,
    metric: Metric,
    scope: Scope,
    arm: Arm,
    cap: Cap,
) -> Result<Sums, Overflow> {
    let mut all = Histogram::default();
    let days = question.sums.days.keys();
    for day in days.filter(|day| **day < question.mature_before) {
        if let Some(own) = histogram(question, (*day, metric), scope, arm) {
            all.merge(own);
        }
    }
    all.capped(cap)
}

/// How many sessions are there, how many it takes, and how long that is.
#[expect(clippy::cast_precision_loss, reason = "a plan, not a sum")]
fn need(question: &Question<'_>, primary: &MetricFinding) -> Need {
    let have = primary.mature.iter().map(|arm| arm.n.max(0)).sum::<i64>();
    let have = u64::try_from(have).unwrap_or_default();
    let summary = primary
        .compared
        .as_ref()
        .ok()
        .map(|compared| compared.withheld);
    let need = summary.and_then(|summary| {
        let design = Design {
            alpha: ALPHA,
            mean: summary.mean?,
            sd: summary.variance?.sqrt(),
            share_shown: f64::from(question.share.percent().basis_points()) / 10_000.0,
        };
        let is_planned = design.mean > 0.0 && design.sd > 0.0;
        is_planned.then(|| design.sessions(MARGIN, POWER))
    });
    let days = question.sums.days.iter().rev();
    let recent: Vec<i64> = days
        .filter(|(day, _)| **day < question.mature_before)
        .take(7)
        .map(|(_, day)| {
            let of = |arm: &Arm| day.cell(question.level, *arm, Scope::Basket);
            let cells = ARMS.iter().filter_map(of);
            cells
                .map(|cell| cell.moments.read().map_or(0, |read| read.n()))
                .sum()
        })
        .collect();
    let daily = recent.iter().sum::<i64>() as f64 / recent.len().max(1) as f64;
    let missing = need.map(|need| (need - have as f64).max(0.0));
    Need {
        have,
        need,
        days: missing
            .filter(|_| daily > 0.0)
            .map(|missing| (missing / daily).ceil()),
    }
}
