//! Whether a promotion helped.

use crate::access::may::{Object, Verb};
use crate::access::principal::Principal;
use crate::catalogue::market::DisplaySource;
use crate::domain::id::{MarketId, PromotionId};
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
use crate::measurement::verdict::{Findings, Question, Verdict, find, primary_p};
use crate::promotion::epoch::Epoch;
use crate::promotion::terms::Promotion;

/// What is asked for.
#[derive(Clone, Debug)]
pub struct ResultsAsked {
    /// The market.
    pub market: MarketId,
    /// What of a session is compared.
    pub scope: Scope,
    /// Which stretch; the last one if absent.
    pub epoch: Option<u32>,
    /// Whether money is capped in comparisons.
    pub is_capped: bool,
}

/// What may be said of one measured stretch in one market.
#[derive(Clone, Debug)]
pub struct Results {
    /// Of its money.
    pub currency: Currency,
    /// The stretch.
    pub epoch: Epoch,
    /// When it runs or ran.
    pub start: Timestamp,
    /// Its end.
    pub end: Timestamp,
    /// Whether it is over.
    pub is_over: bool,
    /// How deep a session must have been exposed to be compared.
    pub level: Trigger,
    /// Days before this one are compared.
    pub mature_before: Date,
    /// When this was computed.
    pub as_of: Timestamp,
    /// What was found.
    pub findings: Findings,
    /// p of the primary metric, corrected over the promotions of the market.
    pub p_adjusted: Option<f64>,
    /// What may be said.
    pub verdict: Verdict,
    /// How well its days were told.
    pub quality: Quality,
    /// Pages whose arm was checked, and those where it was not the one of the split.
    pub pages: (u64, u64),
    /// How much of the revenue has a known cost.
    pub cost_known: Option<CostKnown>,
}

/// What sums are asked with.
struct Base<'a> {
    sums: &'a MarketSums,
    state: &'a MarketState,
    now: Timestamp,
    empty: EpochSums,
}

impl Base<'_> {
    fn mature_before(&self) -> Date {
        let zone = &self.state.catalogue.locale().zone;
        self.now.plus_ms(-WINDOW_MS).date_in(zone)
    }

    fn level(&self) -> Trigger {
        match self.state.held().value.display_source {
            DisplaySource::Answer => Trigger::T2,
            DisplaySource::Events => Trigger::T1,
        }
    }

    fn question<'a>(
        &'a self,
        promotion: &Promotion,
        epoch: &Epoch,
        (scope, is_capped): (Scope, bool),
    ) -> Option<Question<'a>> {
        let key = EpochKey {
            promotion: promotion.id,
            number: epoch.number,
        };
        let sums = self.sums.epochs.get(&key).unwrap_or(&self.empty);
        let end = epoch.runs(promotion.period)?.end();
        let quality = self.quality(sums);
        Some(Question {
            sums,
            share: Share::new(epoch.settings.share_shown).ok()?,
            primary: epoch.settings.primary_metric,
            plan: epoch.settings.plan,
            is_over: end.plus_ms(WINDOW_MS) <= self.now,
            mature_before: self.mature_before(),
            level: self.level(),
            scope,
            is_capped,
            foreign: part(quality.foreign, quality.events),
            cost_known: self.cost_known(promotion.id, sums).map(CostKnown::share),
        })
    }

    /// Of the days of a stretch.
    fn quality(&self, sums: &EpochSums) -> Quality {
        let mut all = Quality::default();
        for day in sums.days.keys() {
            if let Some(quality) = self.sums.quality.get(day) {
                all.merge(quality);
            }
        }
        all
    }

    fn cost_known(&self, id: PromotionId, sums: &EpochSums) -> Option<CostKnown> {
        cost_known(self.sums, id, &|day| sums.days.contains_key(&day))
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share, not a sum")]
fn part(of: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| of as f64 / all as f64)
}

impl Engine {
    /// What may be said of a promotion's measured stretch in one market.
    ///
    /// # Errors
    /// What the caller may not read; `not-found`, also for a promotion that was never measured or a
    /// stretch that never ran.
    pub async fn results(
        &self,
        principal: &Principal,
        id: PromotionId,
        asked: &ResultsAsked,
    ) -> Result<Results, EngineError> {
        principal.may(Verb::ReadPromotions, &Object::Market(&asked.market))?;
        let snapshot = self.snapshot();
        let promotion = visible(&snapshot, principal, id)?.value;
        let state = market_state(&snapshot, &asked.market)?;
        let nothing = |what: &'static str| EngineError::NotFound {
            what,
            id: id.to_string(),
        };
        if !promotion.markets.contains(&asked.market) {
            return Err(nothing("promotion in this market"));
        }
        let mut epochs = promotion.epochs.iter().rev();
        let is_asked = |own: &&Epoch| asked.epoch.is_none_or(|number| own.number == number);
        let epoch = epochs
            .find(is_asked)
            .ok_or_else(|| nothing("measurement of promotion"))?;
        let runs = epoch.runs(promotion.period);
        let runs = runs.ok_or_else(|| nothing("measurement of promotion"))?;
        let sums = self.events().sums(&asked.market).await?;
        let base = Base {
            sums: &sums,
            state: &state,
            now: self.now(),
            empty: EpochSums::default(),
        };
        let question = base.question(&promotion, epoch, (asked.scope, asked.is_capped));
        let question = question.ok_or_else(|| nothing("measurement of promotion"))?;
        let findings = find(&question);
        let others = snapshot
            .promotions
            .values()
            .filter(|held| held.value.id != id && held.value.markets.contains(&asked.market));
        let others = others.filter_map(|held| {
            let own = &held.value;
            let last = own.epochs.last()?;
            primary_p(&base.question(own, last, (Scope::Promoted, true))?)
        });
        let p_adjusted = findings.p().map(|p| {
            let all: Vec<f64> = std::iter::once(p).chain(others).collect();
            benjamini_hochberg(&all)[0]
        });
        Ok(Results {
            currency: state.held().value.locale.currency,
            epoch: *epoch,
            start: runs.start(),
            end: runs.end(),
            is_over: question.is_over,
            level: question.level,
            mature_before: question.mature_before,
            as_of: base.now,
            verdict: findings.verdict(p_adjusted),
            p_adjusted,
            quality: base.quality(question.sums),
            pages: (question.sums.pages, question.sums.contradicting),
            cost_known: base.cost_known(id, question.sums),
            findings,
        })
    }
}
