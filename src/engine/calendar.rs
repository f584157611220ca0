//! The calendar of a market: whether there is room for what is being decided, and how full it is over
//! time, for those who plan.
//!
//! It is folded from the promotions, never stored. What is being decided needs room from now on;
//! who plans is told of whole periods.

use crate::access::may::{Object, Verb};
use crate::access::principal::Principal;
use crate::booking::{Calendar, Full, Segment};
use crate::domain::id::{MarketId, PromotionId};
use crate::domain::limits::ACTIVE_PER_MARKET_MAX;
use crate::domain::time::{DAY_MS, GivenTime, Period, Timestamp};
use crate::engine::error::EngineError;
use crate::engine::markets::market_state;
use crate::engine::snapshot::{Held, Snapshot};
use crate::engine::start::Engine;
use crate::engine::unsaved::Promotions;
use crate::promotion::state::occupies_calendar;
use crate::promotion::terms::Promotion;

/// Places of a market.
#[expect(clippy::cast_possible_truncation, reason = "a hundred")]
const CAPACITY: u32 = ACTIVE_PER_MARKET_MAX as u32;

/// Days told about unless the caller names an end.
const DAYS: i64 = 92;

/// The period that is asked about.
#[derive(Clone, Debug, Default)]
pub struct WishedPeriod {
    /// From here on; now if absent. A date is the midnight of the market.
    pub from: Option<GivenTime>,
    /// Up to here; 92 days after the beginning if absent. A date is inclusive.
    pub to: Option<GivenTime>,
}

/// Who holds a place in a market when, and how many at once.
#[derive(Debug)]
pub struct MarketCalendar {
    /// The period told about.
    pub period: Period,
    /// How many hold a place, in maximal stretches that cover the period.
    pub segments: Vec<Segment>,
    /// Promotions and demotions that hold a place somewhere inside, by start, then id.
    pub bars: Vec<Held<Promotion>>,
    /// The first instant inside without room, and when there is room again.
    pub full: Option<Full<PromotionId>>,
}

impl Engine {
    /// How full a market is: every promotion and demotion neither suspended nor archived counts
    /// over its whole period, as it stands now.
    ///
    /// # Errors
    /// What the caller may not do; `not-found`; `out-of-range` at `/to` unless it lies behind the
    /// beginning.
    pub fn calendar(
        &self,
        principal: &Principal,
        market: &MarketId,
        wish: &WishedPeriod,
    ) -> Result<MarketCalendar, EngineError> {
        principal.may(Verb::ReadPromotions, &Object::Market(market))?;
        let snapshot = self.snapshot();
        let state = market_state(&snapshot, market)?;
        let zone = Some(&state.market.value.locale.zone);
        let from = wish.from.as_ref().and_then(|from| from.as_start(zone));
        let from = from.unwrap_or_else(|| self.now());
        let to = wish.to.as_ref().and_then(|to| to.as_end(zone));
        let to = to.unwrap_or_else(|| from.plus_ms(DAYS * DAY_MS));
        let period = Period::new(from, to);
        let period = period.map_err(|fault| EngineError::Invalid(vec![fault.at("/to")]))?;
        let mut bars = holders(&snapshot, market);
        let places = bars.iter().map(|held| (held.value.id, held.value.period));
        let calendar = Calendar::open(CAPACITY, places);
        bars.retain(|held| {
            let own = held.value.period;
            own.start() < period.end() && period.start() < own.end()
        });
        bars.sort_by_key(|held| (held.value.period.start(), held.value.id));
        Ok(MarketCalendar {
            segments: calendar.segments(period),
            full: calendar.room(period, None).err(),
            period,
            bars,
        })
    }
}

/// Promotions and demotions that take places in a market.
fn holders(snapshot: &Snapshot, market: &MarketId) -> Vec<Held<Promotion>> {
    let own = snapshot.promotions.values().filter(|held| {
        let promotion = &held.value;
        promotion.markets.contains(market) && !promotion.suspended && !promotion.archived
    });
    own.cloned().collect()
}

/// A place in every market over the whole period ahead, all markets or none. A change that takes
/// no more than it held before needs no new place.
pub(in crate::engine) fn check_calendars(
    snapshot: &Snapshot,
    before: Option<&Held<Promotion>>,
    promotion: &Promotion,
    now: Timestamp,
) -> Result<(), EngineError> {
    let Some(wish) = occupies_calendar(promotion, now) else {
        return Ok(());
    };
    for market in &promotion.markets {
        let held = before
            .map(|held| &*held.value)
            .filter(|old| old.markets.contains(market));
        let covered = held.and_then(|old| occupies_calendar(old, now));
        if covered.is_some_and(|old| old.start() <= wish.start() && wish.end() <= old.end()) {
            continue;
        }
        if let Err(full) =
            calendar_ahead(&snapshot.promotions, market, now).room(wish, Some(&promotion.id))
        {
            return Err(market_full(market, &full));
        }
    }
    Ok(())
}

/// Where a market has no room over a period ahead for a promotion, counting none of its places now.
pub(in crate::engine) fn no_room(
    promotions: &Promotions,
    market: &MarketId,
    id: PromotionId,
    ahead: Period,
    now: Timestamp,
) -> Option<Full<PromotionId>> {
    let calendar = calendar_ahead(promotions, market, now);
    calendar.room(ahead, Some(&id)).err()
}

/// Most promotions and demotions of a market that are active at one instant of a period ahead,
/// leaving one out.
pub(in crate::engine) fn most_at_once(
    promotions: &Promotions,
    market: &MarketId,
    but: PromotionId,
    ahead: Period,
    now: Timestamp,
) -> u32 {
    let mut calendar = calendar_ahead(promotions, market, now);
    calendar.release(&but);
    let segments = calendar.segments(ahead);
    segments.iter().map(|own| own.count).max().unwrap_or(0)
}

/// The calendar of a market from now on, folded from its promotions.
fn calendar_ahead(
    promotions: &Promotions,
    market: &MarketId,
    now: Timestamp,
) -> Calendar<PromotionId> {
    let own = promotions
        .values()
        .filter(|held| held.value.markets.contains(market));
    let entries =
        own.filter_map(|held| Some((held.value.id, occupies_calendar(&held.value, now)?)));
    Calendar::open(CAPACITY, entries)
}

fn market_full(market: &MarketId, full: &Full<PromotionId>) -> EngineError {
    EngineError::MarketFull {
        market: market.clone(),
        limit: ACTIVE_PER_MARKET_MAX,
        first_full: full.first,
        free_from: full.free_from,
        promotions: full.holders.iter().map(ToString::to_string).collect(),
    }
}
