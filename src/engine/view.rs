//! One market's part of a snapshot, made from its goods and the promotions that concern it.
//!
//! Pure apart from using all cores: the same inputs give the same state. Selections are evaluated
//! again only for promotions that changed, or whose market got other goods, or that ask for ages
//! on a new day.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use crate::catalogue::Catalogue;
use crate::domain::boost::BoostLevel;
use crate::domain::id::PromotionId;
use crate::domain::time::{Period, Timestamp, Today};
use crate::engine::snapshot::{Held, HeldSet, MeasuredSlot, TimedView};
use crate::measurement::split::{Coin, Share};
use crate::predicate::written::WrittenMatcher;
use crate::promotion::restriction;
use crate::promotion::slot::SlotTable;
use crate::promotion::state::{State, state};
use crate::promotion::terms::Promotion;
use crate::ranking::base::RankBase;
use crate::ranking::build::MarketView;
use crate::selection::evaluate::evaluate;

/// Rows of promotions by id, to be used again while nothing they depend on changes.
pub(in crate::engine) type Sets = BTreeMap<PromotionId, Arc<HeldSet>>;

/// What a view is made of.
pub(in crate::engine) struct Goods<'a> {
    /// The goods.
    pub(in crate::engine) catalogue: &'a Arc<Catalogue>,
    /// What ranking derives from them.
    pub(in crate::engine) base: &'a Arc<RankBase>,
    /// Every promotion that stands in this market, archived ones left out.
    pub(in crate::engine) promotions: &'a [Held<Promotion>],
}

/// The view that holds at `now`, and the rows of its promotions; rows in `known` are used again.
pub(in crate::engine) fn build(
    goods: &Goods<'_>,
    now: Timestamp,
    known: &Sets,
) -> (TimedView, Sets) {
    let today = Today::at(now, &goods.catalogue.locale().zone);
    let active: Vec<_> = goods
        .promotions
        .iter()
        .filter(|held| state(&held.value, now) == State::Active)
        .cloned()
        .collect();
    let sets: Sets = active
        .par_iter()
        .map(|held| (held.value.id, rows_of(held, goods.catalogue, &today, known)))
        .collect();
    let levels: Vec<(PromotionId, BoostLevel)> = active
        .iter()
        .map(|held| (held.value.id, held.value.level))
        .collect();
    let table = SlotTable::new(levels);
    let by_id: BTreeMap<_, _> = active.iter().map(|held| (held.value.id, held)).collect();
    let promotions: Vec<Held<Promotion>> =
        table.iter().map(|(_, id, _)| by_id[&id].clone()).collect();
    let restrictions: Vec<_> = table
        .iter()
        .map(|(slot, id, _)| (slot, &by_id[&id].value.restriction))
        .collect();
    let nodes = restriction::node_masks(goods.catalogue.graph(), &restrictions);
    let rows: Vec<_> = table.iter().map(|(_, id, _)| &sets[&id].rows).collect();
    let measured = table
        .iter()
        .filter_map(|(slot, id, _)| {
            let epoch = by_id[&id]
                .value
                .running_epoch(now)
                .filter(|epoch| !epoch.settings.aa)?;
            let share = Share::new(epoch.settings.share_shown).ok()?;
            Some(MeasuredSlot {
                slot,
                coin: Coin::new(epoch.salt, share),
            })
        })
        .collect();
    let view = MarketView::build(goods.base, table, nodes, &rows);
    (
        TimedView {
            period: stretch(goods, now, &today),
            view,
            promotions,
            measured,
        },
        sets,
    )
}

/// The view that holds at `now`, its successor if that boundary is near, and the rows of their
/// promotions.
pub(in crate::engine) fn views(
    goods: &Goods<'_>,
    now: Timestamp,
    known: &Sets,
) -> (Vec<Arc<TimedView>>, Sets) {
    let (current, mut sets) = build(goods, now, known);
    let end = current.period.end();
    let mut views = vec![Arc::new(current)];
    if end <= now.plus_ms(SUCCESSOR_AHEAD_MS) {
        let (successor, more) = build(goods, end, &sets);
        sets.extend(more);
        views.push(Arc::new(successor));
    }
    (views, sets)
}

/// How long before a boundary the view behind it is made.
pub(in crate::engine) const SUCCESSOR_AHEAD_MS: i64 = 10_000;

fn rows_of(
    held: &Held<Promotion>,
    catalogue: &Catalogue,
    today: &Today,
    known: &Sets,
) -> Arc<HeldSet> {
    let day = asks_for_age(&held.value).then_some(today.date);
    let same = |set: &&Arc<HeldSet>| set.revision == held.revision && set.day == day;
    if let Some(set) = known.get(&held.value.id).filter(same) {
        return Arc::clone(set);
    }
    let rows = evaluate(&held.value.selection, catalogue, today);
    Arc::new(HeldSet {
        revision: held.revision,
        day,
        rows,
    })
}

/// From the last boundary at or before `now` to the first one after it.
fn stretch(goods: &Goods<'_>, now: Timestamp, today: &Today) -> Period {
    let moving = goods.promotions.iter().filter(|held| !held.value.suspended);
    let mut boundaries: Vec<Timestamp> = moving
        .flat_map(|held| [held.value.period.start(), held.value.period.end()])
        .collect();
    if goods
        .promotions
        .iter()
        .any(|held| asks_for_age(&held.value))
    {
        boundaries.push(today.date.midnight_in(&today.zone));
        boundaries.push(today.ends());
    }
    let from = boundaries.iter().copied().filter(|at| *at <= now).max();
    let until = boundaries.iter().copied().filter(|at| now < *at).min();
    let from = from.unwrap_or(Timestamp(i64::MIN));
    Period::new(from, until.unwrap_or(Timestamp(i64::MAX)))
        .expect("from is at most now, until later")
}

fn asks_for_age(promotion: &Promotion) -> bool {
    let mut rules = promotion.selection.rules();
    rules.any(|(_, rule)| matches!(rule.matcher, WrittenMatcher::AgeDays { .. }))
}
