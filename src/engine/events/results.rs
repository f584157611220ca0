//! Whether a promotion helped.
//!
//! ```text
//! promotion, epoch, market → Evidence: sums and all else that is needed → results, series, report
//! ```

use crate::access::may::{Object, Verb};
use crate::access::principal::Principal;
use crate::catalogue::market::DisplaySource;
use crate::domain::id::{MarketId, PromotionId};
use crate::domain::metric::Metric;
use crate::domain::money::Currency;
use crate::domain::time::{Date, Timestamp};
use crate::engine::error::EngineError;
use crate::engine::events::stats::{CostKnown, cost_known};
use crate::engine::markets::market_state;
use crate::engine::promotions::visible;
use crate::engine::snapshot::MarketState;
use crate::engine::start::Engine;
use crate::measurement::log::{EpochKey, Trigger};
use crate::measurement::many::benjamini_hochberg;
use crate::measurement::split::Share;
use crate::measurement::sums::{EpochSums, MarketSums, Quality, Scope};
use crate::measurement::tally::WINDOW_MS;
use crate::measurement::verdict::{
    Findings, MetricFinding, Question, Verdict, find, find_metric, primary_p,
};
use crate::promotion::epoch::{Epoch, Plan};
use crate::promotion::terms::Promotion;

/// All that results of one measured stretch in one market depend on.
#[derive(Clone, Debug, PartialEq)]
pub struct Evidence {
    /// The market.
    pub market: MarketId,
    /// The promotion.
    pub promotion: PromotionId,
    /// Of its money.
    pub currency: Currency,
    /// Number of the stretch.
    pub number: u32,
    /// Share of sessions that see it.
    pub share: Share,
    /// What it is judged by.
    pub primary: Metric,
    /// When a verdict may be given.
    pub plan: Plan,
    /// When it runs or ran.
    pub start: Timestamp,
    /// Its end.
    pub end: Timestamp,
    /// Whether it is over and every session of it mature.
    pub is_over: bool,
    /// How deep a session must have been exposed to be compared.
    pub level: Trigger,
    /// Days before this one are compared.
    pub mature_before: Date,
    /// When this was gathered.
    pub as_of: Timestamp,
    /// Its sums.
    pub sums: EpochSums,
    /// How well its days were told.
    pub quality: Quality,
    /// How much of the revenue has a known cost.
    pub cost_known: Option<CostKnown>,
    /// p of the primary metrics of the market's other promotions.
    pub others: Vec<f64>,
}

/// What may be said of it.
#[derive(Clone, Debug)]
pub struct Results {
    /// What was found.
    pub findings: Findings,
    /// p of the primary metric, corrected over the promotions of the market.
    pub p_adjusted: Option<f64>,
    /// What may be said.
    pub verdict: Verdict,
}

/// A metric as it stood at the end of a day.
#[derive(Clone, Debug)]
pub struct Point {
    /// The day.
    pub day: Date,
    /// All of the stretch up to then.
    pub finding: MetricFinding,
}

impl Evidence {
    /// What may be said.
    pub fn results(&self, scope: Scope, is_capped: bool) -> Results {
        let findings = find(&self.question(scope, is_capped));
        let p_adjusted = findings.p().map(|p| {
            let all: Vec<f64> = std::iter::once(p).chain(self.others.clone()).collect();
            benjamini_hochberg(&all)[0]
        });
        Results {
            verdict: findings.verdict(p_adjusted),
            findings,
            p_adjusted,
        }
    }

    /// A metric day by day, each with all days before it; the days that are not mature are the last.
    pub fn series(&self, metric: Metric, scope: Scope, is_capped: bool) -> Vec<Point> {
        let mut so_far = self.clone();
        so_far.sums.days.clear();
        let mut points = Vec::with_capacity(self.sums.days.len());
        for (day, sums) in &self.sums.days {
            so_far.sums.days.insert(*day, sums.clone());
            so_far.mature_before = self.mature_before.min(day.next());
            let finding = find_metric(&so_far.question(scope, is_capped), metric, scope);
            points.push(Point { day: *day, finding });
        }
        points
    }

    fn question(&self, scope: Scope, is_capped: bool) -> Question<'_> {
        Question {
            sums: &self.sums,
            share: self.share,
            primary: self.primary,
            plan: self.plan,
            is_over: self.is_over,
            mature_before: self.mature_before,
            level: self.level,
            scope,
            is_capped,
            foreign: part(self.quality.foreign, self.quality.events),
            cost_known: self.cost_known.map(CostKnown::share),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share, not a sum")]
fn part(of: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| of as f64 / all as f64)
}

/// What evidence is gathered from.
struct Base<'a> {
    market: &'a MarketId,
    sums: MarketSums,
    state: &'a MarketState,
    now: Timestamp,
}

impl Base<'_> {
    /// Takes the sums of a stretch out, without what other promotions say; `None` for one that never
    /// ran.
    fn evidence(&mut self, promotion: &Promotion, epoch: &Epoch) -> Option<Evidence> {
        let runs = epoch.runs(promotion.period)?;
        let key = EpochKey {
            promotion: promotion.id,
            number: epoch.number,
        };
        let sums = self.sums.epochs.remove(&key).unwrap_or_default();
        let market = &self.state.held().value;
        let mut quality = Quality::default();
        for day in sums.days.keys() {
            if let Some(own) = self.sums.quality.get(day) {
                quality.merge(own);
            }
        }
        let takes = |day| sums.days.contains_key(&day);
        Some(Evidence {
            market: self.market.clone(),
            promotion: promotion.id,
            currency: market.locale.currency,
            number: epoch.number,
            share: Share::new(epoch.settings.share_shown).ok()?,
            primary: epoch.settings.primary_metric,
            plan: epoch.settings.plan,
            start: runs.start(),
            end: runs.end(),
            is_over: runs.end().plus_ms(WINDOW_MS) <= self.now,
            level: match market.display_source {
                DisplaySource::Answer => Trigger::T2,
                DisplaySource::Events => Trigger::T1,
            },
            mature_before: self
                .now
                .plus_ms(-WINDOW_MS)
                .date_in(&self.state.catalogue.locale().zone),
            as_of: self.now,
            quality,
            cost_known: cost_known(&self.sums, promotion.id, &takes),
            others: Vec::new(),
            sums,
        })
    }
}

impl Engine {
    /// All that results of a promotion's measured stretch in one market depend on: of the last
    /// stretch, if no number is given.
    ///
    /// # Errors
    /// What the caller may not read; `not-found`, also for a promotion that was never measured or a
    /// stretch that never ran.
    pub async fn evidence(
        &self,
        principal: &Principal,
        id: PromotionId,
        market: &MarketId,
        number: Option<u32>,
    ) -> Result<Evidence, EngineError> {
        principal.may(Verb::ReadPromotions, &Object::Market(market))?;
        let promotion = visible(&self.snapshot(), principal, id)?.value;
        let nothing = |what: &'static str| EngineError::NotFound {
            what,
            id: id.to_string(),
        };
        if !promotion.markets.contains(market) {
            return Err(nothing("promotion in this market"));
        }
        let all = self.all_evidence(principal, market).await?;
        let is_asked = |own: &Evidence| {
            own.promotion == id && number.is_none_or(|number| own.number == number)
        };
        let found = all.into_iter().rfind(is_asked);
        found.ok_or_else(|| nothing("measurement of promotion"))
    }

    /// The evidence of every stretch that ran in a market: by promotion, each from the first on.
    ///
    /// # Errors
    /// What the caller may not read; `not-found`.
    pub async fn all_evidence(
        &self,
        principal: &Principal,
        market: &MarketId,
    ) -> Result<Vec<Evidence>, EngineError> {
        principal.may(Verb::ReadPromotions, &Object::Market(market))?;
        let snapshot = self.snapshot();
        let state = market_state(&snapshot, market)?;
        let mut base = Base {
            market,
            sums: self.events().sums(market).await?,
            state: &state,
            now: self.now(),
        };
        let mut all = Vec::new();
        let mut judged = Vec::new();
        for held in snapshot.promotions.values() {
            let promotion = &held.value;
            if !promotion.markets.contains(market) {
                continue;
            }
            for epoch in &promotion.epochs {
                all.extend(base.evidence(promotion, epoch));
            }
            let last = all.last().filter(|own| own.promotion == promotion.id);
            let p = last.and_then(|own| primary_p(&own.question(Scope::Promoted, true)));
            judged.extend(p.map(|p| (promotion.id, p)));
        }
        for own in &mut all {
            let others = judged.iter().filter(|(id, _)| *id != own.promotion);
            own.others = others.map(|(_, p)| *p).collect();
        }
        Ok(all)
    }

    /// Every sum of a market.
    ///
    /// # Errors
    /// What the caller may not read; `not-found`.
    pub async fn market_sums(
        &self,
        principal: &Principal,
        market: &MarketId,
    ) -> Result<MarketSums, EngineError> {
        principal.may(Verb::ReadPromotions, &Object::Market(market))?;
        market_state(&self.snapshot(), market)?;
        self.events().sums(market).await
    }
}
