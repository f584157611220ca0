//! One market's part of a snapshot, made from its goods and the promotions that concern it.
//!
//! Pure apart from using all cores: the same inputs give the same state. Selections are evaluated
//! again only for promotions that changed, or whose market got other goods, or that ask for ages
//! on a new day.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use crate::catalogue::Catalogue;
use crate::catalogue::row::RowSet;
use crate::domain::boost::BoostLevel;
use crate::domain::id::PromotionId;
use crate::domain::time::{Period, Timestamp, Today};
use crate::engine::snapshot::{Held, HeldSet, MeasuredSlot, TimedView, Watched};
use crate::measurement::log::{EpochKey, MeasuredEpoch};
use crate::measurement::split::{Coin, Share};
use crate::predicate::written::WrittenMatcher;
use crate::promotion::restriction::{self, NodeMasks};
use crate::promotion::slot::SlotTable;
use crate::promotion::state::{State, state};
use crate::promotion::terms::Promotion;
use crate::ranking::base::RankBase;
use crate::ranking::build::MarketView;
use crate::ranking::edit::SlotRows;
use crate::selection::evaluate::{ChangedRows, evaluate, evaluate_changed};

/// Rows of promotions by id, to be used again while nothing they depend on changes.
pub(in crate::engine) type Sets = BTreeMap<PromotionId, Arc<HeldSet>>;

/// What was made before, to be used again.
#[derive(Clone, Copy)]
pub(in crate::engine) struct Known<'a> {
    /// Rows of promotions.
    pub(in crate::engine) sets: &'a Sets,
    /// Rows that changed since they were evaluated, none if the same goods stand; `None` if any may
    /// have.
    pub(in crate::engine) changed: Option<&'a ChangedRows>,
    /// A view with some of these rows.
    pub(in crate::engine) view: Option<&'a TimedView>,
}

/// What a view is made of.
pub(in crate::engine) struct Goods<'a> {
    /// The goods.
    pub(in crate::engine) catalogue: &'a Arc<Catalogue>,
    /// What ranking derives from them.
    pub(in crate::engine) base: &'a Arc<RankBase>,
    /// Every promotion that stands in this market, archived ones left out.
    pub(in crate::engine) promotions: &'a [Held<Promotion>],
}

/// The view that holds at `now`, and the rows of its promotions; what is known is used again.
pub(in crate::engine) fn build(
    goods: &Goods<'_>,
    now: Timestamp,
    known: Known<'_>,
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
    let held: Vec<Arc<HeldSet>> = table
        .iter()
        .map(|(_, id, _)| Arc::clone(&sets[&id]))
        .collect();
    let (measured, watched) = measurements(&table, &by_id, now);
    let view = lay(goods.base, (table, nodes), &held, known.view);
    (
        TimedView {
            period: stretch(goods, now, &today),
            view,
            promotions,
            sets: held,
            measured,
            watched,
        },
        sets,
    )
}

/// Slots whose arms depend on the session, and those whose effect is counted, by promotion.
fn measurements(
    table: &SlotTable,
    by_id: &BTreeMap<PromotionId, &Held<Promotion>>,
    now: Timestamp,
) -> (Vec<MeasuredSlot>, Vec<Watched>) {
    let mut in_order: Vec<_> = table.iter().collect();
    in_order.sort_unstable_by_key(|(_, id, _)| *id);
    let mut watched = Vec::new();
    let mut measured = Vec::new();
    for (slot, id, _) in in_order {
        let Some(epoch) = by_id[&id].value.running_epoch(now) else {
            continue;
        };
        let Ok(share) = Share::new(epoch.settings.share_shown) else {
            continue;
        };
        let key = EpochKey {
            promotion: id,
            number: epoch.number,
        };
        watched.push(Watched {
            slot,
            epoch: Arc::new(MeasuredEpoch {
                key,
                salt: epoch.salt,
                share,
            }),
        });
        if !epoch.settings.aa {
            measured.push(MeasuredSlot {
                id: id.text(),
                slot,
                coin: Coin::new(epoch.salt, share),
            });
        }
    }
    (measured, watched)
}

/// Lays promotions over the goods: anew, or as an edit of a former view of the same layout.
fn lay(
    base: &Arc<RankBase>,
    (table, nodes): (SlotTable, NodeMasks),
    held: &[Arc<HeldSet>],
    former: Option<&TimedView>,
) -> MarketView {
    let Some(former) = former.filter(|former| former.view.base().shares_layout(base)) else {
        let rows: Vec<&RowSet> = held.iter().map(|set| &set.rows).collect();
        return MarketView::build(base, table, nodes, &rows);
    };
    let rows = table.iter().zip(held).map(|((_, id, _), set)| {
        let slot = former.view.table().slot_of(id);
        SlotRows {
            rows: &set.rows,
            former: slot.map(|slot| (slot, &former.sets[usize::from(slot.0)].rows)),
        }
    });
    let rows: Vec<SlotRows<'_>> = rows.collect();
    former.view.edited(base, table, nodes, &rows)
}

/// The view that holds at `now`, its successor if that boundary is near, and the rows of their
/// promotions.
pub(in crate::engine) fn views(
    goods: &Goods<'_>,
    now: Timestamp,
    known: Known<'_>,
) -> (Vec<Arc<TimedView>>, Sets) {
    let (current, mut sets) = build(goods, now, known);
    let end = current.period.end();
    let mut views = vec![Arc::new(current)];
    if end <= now.plus_ms(SUCCESSOR_AHEAD_MS) {
        let known = Known {
            sets: &sets,
            changed: Some(&ChangedRows::default()),
            view: views.last().map(Arc::as_ref),
        };
        let (successor, more) = build(goods, end, known);
        sets.extend(more);
        views.push(Arc::new(successor));
    }
    (views, sets)
}

/// How long before a boundary the view behind it is made.
pub(in crate::engine) const SUCCESSOR_AHEAD_MS: i64 = 10_000;

/// The rows of a promotion; what is known is used again.
pub(in crate::engine) fn rows_of(
    held: &Held<Promotion>,
    catalogue: &Catalogue,
    today: &Today,
    known: Known<'_>,
) -> Arc<HeldSet> {
    let day = asks_for_age(&held.value).then_some(today.date);
    let same = |set: &&Arc<HeldSet>| set.revision == held.revision && set.day == day;
    let former = known.sets.get(&held.value.id).filter(same);
    let selection = &held.value.selection;
    let rows = match former.zip(known.changed) {
        None => Some(evaluate(selection, catalogue, today)),
        Some((set, changed)) => evaluate_changed(selection, catalogue, today, (&set.rows, changed)),
    };
    let same = |set: &&Arc<HeldSet>| rows.as_ref().is_none_or(|rows| set.rows == *rows);
    if let Some(set) = former.filter(same) {
        return Arc::clone(set);
    }
    Arc::new(HeldSet {
        revision: held.revision,
        day,
        rows: rows.unwrap_or_default(),
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
