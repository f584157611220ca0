//! What sessions did with a promotion's variants, counted and not yet compared.

use crate::access::may::{Object, Verb};
use crate::access::principal::Principal;
use crate::domain::complaint::{Complaint, Fault};
use crate::domain::id::{MarketId, PromotionId};
use crate::domain::money::Currency;
use crate::domain::time::Date;
use crate::engine::error::EngineError;
use crate::engine::markets::market_state;
use crate::engine::promotions::visible;
use crate::engine::start::Engine;
use crate::measurement::log::EpochKey;
use crate::measurement::moments::{FIGURES, Figure};
use crate::measurement::split::Arm;
use crate::measurement::sums::{MarketSums, Scope};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct StatsAsked {
    /// The market.
    pub market: MarketId,
    /// First local day; from the beginning if absent.
    pub from: Option<Date>,
    /// Last local day; to the end if absent.
    pub to: Option<Date>,
}

/// Figures of a promotion in one market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Of its money.
    pub currency: Currency,
    /// Epoch of the arms; `None`: it was never measured.
    pub epoch: Option<u32>,
    /// Every session, in whatever arm or in none; net of what came back.
    pub all: StatsSide,
    /// Sessions assigned to see it.
    pub shown: Option<StatsSide>,
    /// Sessions assigned not to.
    pub withheld: Option<StatsSide>,
    /// How much of the revenue has a known cost, over all sessions: `None` without revenue.
    pub cost_known: Option<CostKnown>,
}

/// Figures of some sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StatsSide {
    /// How many were assigned, those left out that no person made; `None` for a promotion that was
    /// never measured.
    pub sessions: Option<i64>,
    /// In the order of [`Vector`](crate::measurement::moments::Vector).
    pub sums: [i128; FIGURES],
}

impl StatsSide {
    /// One of its figures.
    pub fn sum(&self, figure: Figure) -> i128 {
        self.sums[figure as usize]
    }
}

/// Revenue, and the part of it whose cost somebody told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CostKnown {
    /// That part.
    pub known: i128,
    /// All of it.
    pub revenue: i128,
}

impl CostKnown {
    /// As a fraction.
    #[expect(clippy::cast_precision_loss, reason = "a share, not a sum")]
    pub fn share(self) -> f64 {
        self.known as f64 / self.revenue as f64
    }
}

/// How much of a promotion's net revenue on some days has a known cost.
pub(in crate::engine) fn cost_known(
    sums: &MarketSums,
    id: PromotionId,
    takes: &dyn Fn(Date) -> bool,
) -> Option<CostKnown> {
    let own = sums
        .totals
        .iter()
        .filter(|((of, day), _)| *of == id && takes(*day));
    let (mut revenue, mut unknown) = (0, 0);
    for (_, totals) in own {
        let place = Figure::Revenue as usize;
        revenue += totals.gross[place] - totals.refunded[place];
        unknown += totals.revenue_without_cost;
    }
    (revenue > 0).then_some(CostKnown {
        known: revenue - unknown,
        revenue,
    })
}

impl Engine {
    /// Counts a promotion's figures in one market, up to a durable place of the event log.
    ///
    /// # Errors
    /// What the caller may not read; `not-found`; `contradiction` at `/to` before `from`.
    pub async fn stats(
        &self,
        principal: &Principal,
        id: PromotionId,
        asked: &StatsAsked,
    ) -> Result<Stats, EngineError> {
        principal.may(Verb::ReadPromotions, &Object::Market(&asked.market))?;
        let snapshot = self.snapshot();
        let promotion = visible(&snapshot, principal, id)?;
        let state = market_state(&snapshot, &asked.market)?;
        if !promotion.value.markets.contains(&asked.market) {
            let what = "promotion in this market";
            let id = id.to_string();
            return Err(EngineError::NotFound { what, id });
        }
        if let (Some(from), Some(to)) = (asked.from, asked.to)
            && to < from
        {
            return Err(EngineError::Invalid(vec![backwards(from)]));
        }
        let sums = self.events().sums(&asked.market).await?;
        let currency = state.held().value.locale.currency;
        let epoch = promotion.value.epochs.last().map(|epoch| epoch.number);
        Ok(stats(&sums, id, epoch, currency, asked))
    }
}

fn backwards(from: Date) -> Complaint {
    Fault::Contradiction {
        why: format!("it lies before from, {from}"),
    }
    .at("/to")
}

fn stats(
    sums: &MarketSums,
    id: PromotionId,
    epoch: Option<u32>,
    currency: Currency,
    asked: &StatsAsked,
) -> Stats {
    let is_asked = |day: Date| {
        asked.from.is_none_or(|from| from <= day) && asked.to.is_none_or(|to| day <= to)
    };
    let mut all = StatsSide::default();
    let own = sums
        .totals
        .iter()
        .filter(|((of, day), _)| *of == id && is_asked(*day));
    for (_, totals) in own {
        for (i, sum) in all.sums.iter_mut().enumerate() {
            *sum += totals.gross[i] - totals.refunded[i];
        }
    }
    let of_arm = |arm: Arm| {
        let number = epoch?;
        let key = EpochKey {
            promotion: id,
            number,
        };
        let days = sums
            .epochs
            .get(&key)
            .into_iter()
            .flat_map(|epoch| &epoch.days);
        let mut side = StatsSide {
            sessions: Some(0),
            ..StatsSide::default()
        };
        for (_, day) in days.filter(|(day, _)| is_asked(**day)) {
            let counts = day.assigned(arm, Scope::Promoted);
            side.sessions = side.sessions.map(|n| n + counts.n);
            for (sum, more) in side.sums.iter_mut().zip(counts.sums) {
                *sum += more;
            }
        }
        Some(side)
    };
    let (shown, withheld) = (of_arm(Arm::Shown), of_arm(Arm::Withheld));
    let sessions = |side: Option<StatsSide>| side.and_then(|side| side.sessions);
    all.sessions = sessions(shown)
        .zip(sessions(withheld))
        .map(|(one, other)| one + other);
    Stats {
        currency,
        epoch,
        all,
        shown,
        withheld,
        cost_known: cost_known(sums, id, &is_asked),
    }
}
