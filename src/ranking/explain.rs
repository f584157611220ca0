//! Why a variant stands where it stands.

use crate::domain::boost::BoostLevel;
use crate::promotion::slot::{Slot, SlotMask};
use crate::ranking::build::MarketView;
use crate::ranking::order::{Effect, Rank, boosted_position, landing};

/// Why a promotion that holds a variant does not move it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The session belongs to those who do not see it.
    Withheld,
    /// Its categories leave this page out.
    Category,
    /// A stronger promotion holds the variant as well.
    WeakerLevel,
    /// A demotion holds the variant, and demotions win.
    Demoted,
}

/// A variant's place in words and figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Variants of the market with a strictly higher base score.
    pub higher_scored: u32,
    /// Most unboosted variants that may stay above a boosted one; `None` where nothing is promised.
    pub stay_above_max: Option<u32>,
    /// Base place before which it lands; `None` where its level alone decides.
    pub landing_rank: Option<Rank>,
    /// Its effective level.
    pub level: Option<BoostLevel>,
    /// The promotions that gave it this level.
    pub because: Vec<Slot>,
    /// Every other active promotion that holds it, and why it does not move it.
    pub not_used: Vec<(Slot, Reason)>,
}

/// Explains a rank. `allowed` are the slots that the page's category lets through, `withheld` those
/// that the session does not see.
pub fn explain(
    view: &MarketView,
    rank: Rank,
    allowed: SlotMask,
    withheld: SlotMask,
) -> Explanation {
    let held = view.slots_of(rank);
    let applicable = held & allowed & !withheld;
    let level = view.levels.effect(applicable).level();
    let block_start = &view.base.layout.block_start;
    let higher_scored = block_start[rank.0 as usize];
    let boost = level.filter(|level| *level != BoostLevel::Demoted);
    let keep = |level| boosted_position(higher_scored, level).map(|keep| keep.0);
    let because = applicable & view.levels.slots(Effect::from(level));
    let not_used = (held & !because).iter().map(|slot| {
        let reason = match level {
            _ if !allowed.contains(slot) => Reason::Category,
            _ if withheld.contains(slot) => Reason::Withheld,
            Some(BoostLevel::Demoted) => Reason::Demoted,
            _ => Reason::WeakerLevel,
        };
        (slot, reason)
    });
    Explanation {
        higher_scored,
        stay_above_max: boost.map(|level| keep(level).unwrap_or(0)),
        landing_rank: boost
            .filter(|level| *level != BoostLevel::High)
            .map(|level| Rank(landing(rank.0, level, block_start))),
        level,
        because: because.iter().collect(),
        not_used: not_used.collect(),
    }
}
