//! What a promotion holds: its variants one by one, and imports of handpicked keys.

use std::sync::Arc;

use crate::access::may::{Object, Verb};
use crate::access::principal::Principal;
use crate::catalogue::Catalogue;
use crate::catalogue::row::Row;
use crate::domain::boost::BoostLevel;
use crate::domain::id::{MarketId, PromotionId};
use crate::domain::time::Today;
use crate::engine::commit::{Intent, Known, Written};
use crate::engine::error::EngineError;
use crate::engine::markets::market_state;
use crate::engine::promotions::{PromotionView, Render, visible};
use crate::engine::snapshot::Snapshot;
use crate::engine::start::Engine;
use crate::promotion::slot::SlotMask;
use crate::promotion::terms::Promotion;
use crate::selection::count::{Counts, counts};
use crate::selection::evaluate::evaluate;
use crate::selection::explain::{Why, explain};
use crate::selection::handpick::{self, Mode};

/// One variant that a promotion holds, or would hold if it were not blocked.
#[derive(Clone, Debug)]
pub struct Unit {
    /// Its key.
    pub variant: String,
    /// Its product's key.
    pub product: String,
    /// Why it is held.
    pub why: Why,
    /// The level it has now in a category that every promotion acts in.
    pub level_now: Option<BoostLevel>,
    /// Whether it can be bought.
    pub in_stock: bool,
}

/// A stretch of a promotion's variants, by key.
#[derive(Clone, Debug)]
pub struct Units {
    /// The variants.
    pub units: Vec<Unit>,
    /// How many after each step of the selection.
    pub counts: Counts,
    /// Whether more follow.
    pub has_more: bool,
}

/// Which variants to list.
#[derive(Clone, Debug, Default)]
pub struct UnitFilter {
    /// Only handpicked ones (`handpicked`), those of one rule set (`set:2`), or `blocked` ones.
    pub reason: Option<UnitReason>,
    /// Only those whose key lies behind this one.
    pub after: Option<String>,
    /// At most so many.
    pub limit: usize,
}

/// Why a variant is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitReason {
    /// Picked by hand.
    Handpicked,
    /// Found by this rule set, counted from 0, and by none before.
    Set(usize),
    /// Found by rules, but blocked.
    Blocked,
}

/// Keys to be picked by hand.
#[derive(Clone, Debug)]
pub struct PickOrder {
    /// Product keys, or cross-market keys.
    pub keys: Vec<String>,
    /// Whether they are cross-market keys.
    pub cross_market: bool,
    /// Beside those picked before, or instead.
    pub mode: Mode,
}

/// What came of an import of keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PickResult {
    /// Distinct keys.
    pub unique: usize,
    /// Of them, new ones.
    pub added: usize,
    /// Of them, those picked before.
    pub already: usize,
    /// Of them, those that no market of the promotion has.
    pub unknown: Vec<String>,
}

impl Engine {
    /// The variants that a promotion selects in a market, by key.
    ///
    /// # Errors
    /// `not-found`; `market-forbidden` for a market out of scope.
    pub async fn promotion_units(
        &self,
        principal: &Principal,
        id: PromotionId,
        market: &MarketId,
        filter: UnitFilter,
    ) -> Result<Units, EngineError> {
        principal.may(Verb::ReadPromotions, &Object::Market(market))?;
        let snapshot = self.snapshot();
        let promotion = visible(&snapshot, principal, id)?.value;
        let (market, now) = (market.clone(), self.now());
        let list = move || {
            let state = market_state(&snapshot, &market)?;
            let today = Today::at(now, &state.catalogue.locale().zone);
            let catalogue = &state.catalogue;
            let timed = state.view_at(now);
            let level = |row: Row| {
                let view = &timed?.view;
                let all = view.nodes().at(None);
                let held = view
                    .rank_of(row)
                    .map_or(SlotMask::EMPTY, |rank| view.slots_of(rank));
                view.table().effective(held & all)
            };
            Ok(list_units(&promotion, catalogue, &today, &filter, &level))
        };
        tokio::task::spawn_blocking(list)
            .await
            .map_err(EngineError::internal)?
    }

    /// Picks products by hand, many at once.
    ///
    /// # Errors
    /// All complaints at once, `too-many` above the bound of the narrowest market; as editing.
    pub async fn import_picks(
        &self,
        intent: &Intent,
        id: PromotionId,
        known: Known,
        order: &PickOrder,
        render: &(
             dyn Fn(&PromotionView, &PickResult) -> crate::engine::commit::StoredAnswer
                 + Send
                 + Sync
         ),
    ) -> Result<(Written<PromotionView>, PickResult), EngineError> {
        let result = Arc::new(std::sync::Mutex::new(PickResult::default()));
        let noted = Arc::clone(&result);
        let redraft = move |promotion: &Promotion| {
            let picked = pick(&self.snapshot(), promotion, order)?;
            *noted
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner) = PickResult {
                unique: picked.unique,
                added: picked.added,
                already: picked.already,
                unknown: picked.unknown,
            };
            let mut draft = promotion.draft();
            draft.selection = picked.selection.draft();
            Ok(draft)
        };
        let read = |result: &std::sync::Mutex<PickResult>| {
            result
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner)
                .clone()
        };
        let rendered: Render<'_> = &|view| render(view, &read(&result));
        let written = self
            .edit_promotion(intent, id, known, &redraft, rendered)
            .await?;
        let result = read(&result);
        Ok((written, result))
    }
}

fn pick(
    snapshot: &Snapshot,
    promotion: &Promotion,
    order: &PickOrder,
) -> Result<handpick::Imported, EngineError> {
    let states = promotion
        .markets
        .iter()
        .filter_map(|id| snapshot.markets.get(id));
    let states: Vec<_> = states.collect();
    let catalogues: Vec<&Catalogue> = states.iter().map(|state| &*state.catalogue).collect();
    let max = states
        .iter()
        .map(|state| state.market.value.handpick_import_max)
        .min();
    let max = max.unwrap_or(crate::domain::limits::HANDPICK_IMPORT_MAX);
    let import = if order.cross_market {
        handpick::import_cross_market
    } else {
        handpick::import
    };
    import(
        &promotion.selection,
        &order.keys,
        order.mode,
        max,
        &catalogues,
    )
    .map_err(EngineError::Invalid)
}

fn list_units(
    promotion: &Promotion,
    catalogue: &Catalogue,
    today: &Today,
    filter: &UnitFilter,
    level: &dyn Fn(Row) -> Option<BoostLevel>,
) -> Units {
    let selection = &promotion.selection;
    let rows: Vec<Row> = match filter.reason {
        Some(UnitReason::Blocked) => blocked_rows(promotion, catalogue),
        _ => evaluate(selection, catalogue, today).iter().collect(),
    };
    let mut keyed: Vec<(&str, Row)> = rows
        .iter()
        .map(|row| (catalogue.variant_key(*row).as_str(), *row))
        .collect();
    keyed.sort_unstable();
    let after = filter.after.as_deref();
    let mut units = Vec::new();
    let mut has_more = false;
    for (variant, row) in keyed {
        if after.is_some_and(|after| variant <= after) {
            continue;
        }
        let why = explain(selection, catalogue, row, today);
        if !filter.reason.is_none_or(|reason| fits(reason, &why)) {
            continue;
        }
        if units.len() == filter.limit {
            has_more = true;
            break;
        }
        units.push(Unit {
            variant: variant.to_owned(),
            product: catalogue.product_key(catalogue.product_of(row)).to_string(),
            why,
            level_now: level(row),
            in_stock: catalogue.variant_record(row).in_stock(),
        });
    }
    Units {
        units,
        counts: counts(selection, catalogue, today),
        has_more,
    }
}

fn blocked_rows(promotion: &Promotion, catalogue: &Catalogue) -> Vec<Row> {
    let keys = promotion.selection.blocked().iter();
    let products = keys.filter_map(|key| catalogue.find_product(key.as_str()));
    products
        .flat_map(|product| catalogue.rows_of_product(product).iter().copied())
        .collect()
}

fn fits(reason: UnitReason, why: &Why) -> bool {
    match reason {
        UnitReason::Handpicked => why.handpicked.is_some(),
        UnitReason::Set(set) => why.handpicked.is_none() && why.first_set() == Some(set),
        UnitReason::Blocked => why.blocked && why.handpicked.is_none() && why.first_set().is_some(),
    }
}
