//! Why a promotion that would hold a variant does not: it is held back, or its time is another.
//!
//! What is active stands in the view and is explained by `ranking`; what is not stands only in the
//! snapshot, and is asked here, for the few variants of one explained page.

use std::sync::Arc;

use crate::catalogue::row::Row;
use crate::domain::id::MarketId;
use crate::domain::time::{DAY_MS, Timestamp, Today};
use crate::engine::error::EngineError;
use crate::engine::snapshot::MarketState;
use crate::engine::unsaved::Promotions;
use crate::promotion::state::{State, state};
use crate::promotion::terms::Promotion;
use crate::selection::compile::CompiledSelection;

/// How long after its end a promotion is still told of: who wonders why it does not help any more
/// wonders soon.
const TOLD_AFTER_END_MS: i64 = 30 * DAY_MS;

/// A promotion that would hold a variant, and why it does not rank.
pub type Idle = (Arc<Promotion>, IdleReason);

/// Why a promotion is in no view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IdleReason {
    /// Held back by a person.
    Suspended,
    /// Its period lies ahead or is over.
    Period,
}

impl IdleReason {
    /// As the wire spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Suspended => "suspended",
            Self::Period => "period",
        }
    }
}

/// The idle promotions that would hold each of these rows at `at`; off the async threads, since
/// each promotion is compiled against the market's goods.
pub(in crate::engine) async fn idle_holders(
    promotions: Arc<Promotions>,
    market: Arc<MarketState>,
    rows: Vec<Row>,
    at: Timestamp,
) -> Result<Vec<Vec<Idle>>, EngineError> {
    let find = move || {
        let today = Today::at(at, &market.catalogue.locale().zone);
        let mut holders = vec![Vec::new(); rows.len()];
        for (promotion, reason) in idle(&promotions, &market.market.value.id, at) {
            let selection = &promotion.selection;
            let compiled = CompiledSelection::new(selection, &market.catalogue, &today);
            for (own, row) in holders.iter_mut().zip(&rows) {
                if compiled.fits(*row) {
                    own.push((Arc::clone(&promotion), reason));
                }
            }
        }
        holders
    };
    tokio::task::spawn_blocking(find)
        .await
        .map_err(EngineError::internal)
}

fn idle<'s>(
    promotions: &'s Promotions,
    market: &'s MarketId,
    at: Timestamp,
) -> impl Iterator<Item = Idle> + 's {
    let own = promotions
        .values()
        .filter(|held| held.value.markets.contains(market));
    own.filter_map(move |held| {
        let promotion = &held.value;
        let reason = match state(promotion, at) {
            State::Suspended => IdleReason::Suspended,
            State::Scheduled => IdleReason::Period,
            State::Ended if at < promotion.period.end().plus_ms(TOLD_AFTER_END_MS) => {
                IdleReason::Period
            }
            State::Ended | State::Active | State::Archived => return None,
        };
        Some((Arc::clone(promotion), reason))
    })
}
