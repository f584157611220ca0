//! What publishing a draft would run into, told before anybody publishes it.
//!
//! Here problems are data: a field that is wrong, a market without room and a promotion in the way
//! stand side by side in one answer, and nothing is written. The goods and the other promotions are
//! those of now; the others counted are those whose time meets the draft's and that are not held
//! back.

use std::sync::Arc;

use rayon::prelude::*;

use crate::access::principal::Principal;
use crate::booking::Full;
use crate::catalogue::Catalogue;
use crate::catalogue::row::RowSet;
use crate::domain::boost::BoostLevel;
use crate::domain::complaint::Complaint;
use crate::domain::id::{MarketId, PromotionId};
use crate::domain::time::{Period, Timestamp, Today};
use crate::engine::calendar::{most_at_once, no_room};
use crate::engine::error::EngineError;
use crate::engine::promotions::namesake;
use crate::engine::snapshot::{Held, HeldSet, MarketState, Snapshot};
use crate::engine::start::Engine;
use crate::engine::unsaved::{Desk, may_look_at};
use crate::engine::view::{Known, rows_of};
use crate::promotion::draft::PromotionDraft;
use crate::promotion::lint::{lint, many_active, overlaps};
use crate::promotion::overlap::{Outcome, Reach, in_words, overlap, reach};
use crate::promotion::state::occupies_calendar;
use crate::promotion::terms::Promotion;
use crate::selection::count::{Counts, counts};
use crate::selection::evaluate::{ChangedRows, evaluate};
use crate::selection::remark::Lint;

/// What publishing a draft would run into.
#[derive(Debug, Default)]
pub struct Checked {
    /// What is wrong with its fields. If anything is, nothing below is known.
    pub faults: Vec<Complaint>,
    /// Another one of its kind that has its name.
    pub namesake: Option<PromotionId>,
    /// Markets without room over its whole period ahead, also if it is held back for now.
    pub full: Vec<(MarketId, Full<PromotionId>)>,
    /// What it would find and do, market by market.
    pub markets: Vec<MarketCheck>,
    /// What a person should know.
    pub remarks: Vec<Lint>,
}

/// What a draft would find and do in one market.
#[derive(Debug)]
pub struct MarketCheck {
    /// The market.
    pub market: MarketId,
    /// Variants after each step of its selection.
    pub counts: Counts,
    /// What others leave of them.
    pub reach: Reach,
    /// Each promotion that holds some of them, most first.
    pub overlaps: Vec<Overlap>,
}

/// Another promotion that holds some of the same variants.
#[derive(Debug)]
pub struct Overlap {
    /// The other.
    pub promotion: Arc<Promotion>,
    /// Variants that both hold.
    pub n_shared: u32,
    /// How the other fares there.
    pub outcome: Outcome,
    /// The same in words.
    pub text: String,
}

impl Engine {
    /// Checks a draft, of a new promotion or of the one with this id.
    ///
    /// # Errors
    /// What the caller may not do; `not-found` and `wrong-state` for the promotion named.
    pub async fn check_promotion(
        &self,
        principal: &Principal,
        id: Option<PromotionId>,
        draft: PromotionDraft,
    ) -> Result<Checked, EngineError> {
        may_look_at(principal, &draft)?;
        let (snapshot, now) = (self.snapshot(), self.now());
        let desk = Desk {
            principal,
            snapshot: &snapshot,
            promotions: &snapshot.promotions,
            now,
        };
        let promotion = match desk.read(id, PromotionId(self.new_id()), draft) {
            Ok(promotion) => promotion,
            Err(EngineError::Invalid(faults)) => {
                return Ok(Checked {
                    faults,
                    ..Checked::default()
                });
            }
            Err(refused) => return Err(refused),
        };
        tokio::task::spawn_blocking(move || check(&snapshot, &promotion, now))
            .await
            .map_err(EngineError::internal)
    }
}

fn check(snapshot: &Snapshot, promotion: &Promotion, now: Timestamp) -> Checked {
    let ahead = ahead(promotion, now);
    let full = promotion.markets.iter().filter_map(|market| {
        let full = no_room(&snapshot.promotions, market, promotion.id, ahead?, now)?;
        Some((market.clone(), full))
    });
    let known = promotion
        .markets
        .iter()
        .filter_map(|id| snapshot.markets.get(id));
    let states: Vec<&Arc<MarketState>> = known.collect();
    let catalogues: Vec<&Catalogue> = states.iter().map(|state| &*state.catalogue).collect();
    let mut remarks = lint(promotion, &catalogues, now);
    let mut markets = Vec::with_capacity(states.len());
    for state in states {
        let id = &state.market.value.id;
        let (check, n_variants) = check_market(snapshot, state, promotion, ahead, now);
        let most = ahead.map_or(0, |ahead| {
            most_at_once(&snapshot.promotions, id, promotion.id, ahead, now) + 1
        });
        let n_promotions = u32::try_from(check.overlaps.len()).unwrap_or(u32::MAX);
        remarks.extend(overlaps(id, n_promotions, n_variants));
        remarks.extend(many_active(id, most));
        markets.push(check);
    }
    Checked {
        faults: Vec::new(),
        namesake: namesake(&snapshot.promotions, promotion),
        full: full.collect(),
        markets,
        remarks,
    }
}

/// The part of its period that lies ahead, whether or not it is held back for now.
fn ahead(promotion: &Promotion, now: Timestamp) -> Option<Period> {
    let period = promotion.period;
    Period::new(period.start().max(now), period.end()).ok()
}

/// What the draft finds and does in a market, and how many of its variants others hold as well.
fn check_market(
    snapshot: &Snapshot,
    state: &MarketState,
    promotion: &Promotion,
    ahead: Option<Period>,
    now: Timestamp,
) -> (MarketCheck, u32) {
    let catalogue = &*state.catalogue;
    let today = Today::at(now, &catalogue.locale().zone);
    let own = evaluate(&promotion.selection, catalogue, &today);
    let others = rivals(snapshot, state, promotion, ahead, now);
    let known = Known {
        sets: &state.sets,
        changed: Some(&ChangedRows::default()),
        view: None,
    };
    let sets: Vec<Arc<HeldSet>> = others
        .par_iter()
        .map(|held| rows_of(held, catalogue, &today, known))
        .collect();
    let levels: Vec<(BoostLevel, &RowSet)> = others
        .iter()
        .zip(&sets)
        .map(|(held, set)| (held.value.level, &set.rows))
        .collect();
    let mine = (promotion.level, &own);
    let mut left = own.clone();
    let mut overlaps: Vec<Overlap> = Vec::new();
    for (held, other) in others.iter().zip(&levels) {
        left.subtract(other.1);
        if let Some((n_shared, outcome)) = overlap(mine, *other) {
            overlaps.push(Overlap {
                promotion: Arc::clone(&held.value),
                n_shared,
                outcome,
                text: in_words(promotion, (n_shared, own.len()), &held.value),
            });
        }
    }
    overlaps.sort_by_key(|own| (std::cmp::Reverse(own.n_shared), own.promotion.id));
    let check = MarketCheck {
        market: state.market.value.id.clone(),
        counts: counts(&promotion.selection, catalogue, &today),
        reach: reach(mine, &levels),
        overlaps,
    };
    (check, own.len() - left.len())
}

/// The other promotions of a market that will be active at some time while this one is.
fn rivals(
    snapshot: &Snapshot,
    state: &MarketState,
    promotion: &Promotion,
    ahead: Option<Period>,
    now: Timestamp,
) -> Vec<Held<Promotion>> {
    let Some(ahead) = ahead else {
        return Vec::new();
    };
    let meets = |other: &Promotion| {
        let own = occupies_calendar(other, now);
        own.is_some_and(|own| own.start() < ahead.end() && ahead.start() < own.end())
    };
    let market = &state.market.value.id;
    let others = snapshot.promotions.values().filter(|held| {
        let other = &held.value;
        other.id != promotion.id && other.markets.contains(market) && meets(other)
    });
    others.cloned().collect()
}
