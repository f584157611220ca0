//! What a page would look like after changes that nobody has published.
//!
//! The same code as a rank, over a view that nobody else sees: today's goods, the promotions as
//! they stand with some of them written otherwise, any instant, arms as the caller says. Nothing is
//! stored or counted. A market without room is told, not refused.
//!
//! Cost: one edit of a view (about 20 ms at a million variants), two pages, a sort of the result
//! for what enters or leaves the page, and two pages for each category in which a changed
//! promotion holds a variant.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rayon::prelude::*;

use crate::access::may::{Object, Verb};
use crate::access::principal::Principal;
use crate::booking::Full;
use crate::catalogue::Catalogue;
use crate::catalogue::category::Node;
use crate::catalogue::row::{Row, RowSet};
use crate::domain::complaint::{Complaint, Complaints};
use crate::domain::id::{MarketId, PromotionId};
use crate::domain::time::Timestamp;
use crate::engine::calendar::no_room;
use crate::engine::error::EngineError;
use crate::engine::markets::market_state;
use crate::engine::promotions::namesake;
use crate::engine::rank::{RankAnswer, RankExtras, RankRequest, Spot, may_rank};
use crate::engine::snapshot::{Held, MarketState, Snapshot, TimedView};
use crate::engine::start::Engine;
use crate::engine::unsaved::{Desk, Promotions, may_look_at};
use crate::engine::view::{Goods, Known, build};
use crate::measurement::split::Coin;
use crate::promotion::draft::PromotionDraft;
use crate::promotion::lint::lint;
use crate::promotion::slot::SlotMask;
use crate::promotion::state::{archive, occupies_calendar};
use crate::promotion::terms::Promotion;
use crate::ranking::diff::{Diff, Side, diff};
use crate::ranking::page::page;
use crate::ranking::query::Query;
use crate::selection::category::related;
use crate::selection::evaluate::ChangedRows;
use crate::selection::remark::Lint;
use crate::store::Revision;

/// Most changes of one preview: the slots that a view has beside those of the calendar.
pub const CHANGES_MAX: usize = 20;

/// Places of a category's page that are compared.
pub const FIRST_PLACES: u32 = 60;

/// Revision of what is not stored: no rows that are known were evaluated from it.
const UNSTORED: Revision = Revision(u64::MAX);

/// How a draft is made of what stands.
pub type Patched = Box<dyn Fn(&Promotion) -> PromotionDraft + Send + Sync>;

/// A change that is tried out.
pub enum TriedChange {
    /// A whole promotion: a new one, or in the place of the one with this id.
    Put(Option<PromotionId>, Box<PromotionDraft>),
    /// Some fields of one.
    Patch(PromotionId, Patched),
    /// One goes.
    Delete(PromotionId),
}

/// What is asked of a preview.
pub struct PreviewOrder {
    /// The page; instant and arms as wished.
    pub rank: RankRequest,
    /// Offset and whether to explain.
    pub extras: RankExtras,
    /// What is changed, in order; each with what was wrong with it before it became one.
    pub changes: Vec<TriedChange>,
    /// What else was wrong with the request.
    pub faults: Vec<Complaint>,
}

/// A page before and after.
pub struct Preview {
    /// As it is.
    pub before: RankAnswer,
    /// As it would be.
    pub after: RankAnswer,
    /// What is different.
    pub diff: Diff,
    /// Categories whose first places would show other variants, by id.
    pub changed_categories: Vec<String>,
    /// Markets without room for a changed promotion.
    pub full: Vec<(MarketId, Full<PromotionId>)>,
    /// Which promotion each change is about.
    pub promotions: Vec<PromotionId>,
    /// What a person should know about the changed promotions: the number of the change with each.
    pub remarks: Vec<(usize, Lint)>,
    /// Changes whose name another one has.
    pub names_taken: Vec<(usize, PromotionId)>,
}

/// What stands after the changes.
struct Tried {
    promotions: Promotions,
    /// By change: which one it is about, and what it would be; `None` if it goes.
    changed: Vec<(PromotionId, Option<Arc<Promotion>>)>,
}

impl Engine {
    /// Previews a page.
    ///
    /// # Errors
    /// What the caller may not do; `not-found` for what a change names; all complaints at once,
    /// those about the page under `/rank`, about changes under `/changes/0`.
    pub async fn preview(
        &self,
        principal: &Principal,
        order: PreviewOrder,
    ) -> Result<Preview, EngineError> {
        let market = &order.rank.market;
        principal.may(Verb::RankAt, &Object::Market(market))?;
        principal.may(Verb::ReadPromotions, &Object::Market(market))?;
        may_rank(principal, &order.rank, &order.extras)?;
        for change in &order.changes {
            if let TriedChange::Put(_, draft) = change {
                may_look_at(principal, draft)?;
            }
        }
        let (snapshot, now) = (self.snapshot(), self.now());
        let state = market_state(&snapshot, market)?;
        state.standing.serves(market)?;
        let at = order.rank.at.unwrap_or(now);
        let mut complaints = Complaints::after(order.faults);
        let desk = Desk {
            principal,
            snapshot: &snapshot,
            promotions: &snapshot.promotions,
            now,
        };
        let tried = self.tried(desk, order.changes, &mut complaints)?;
        let timed = self.view_of_instant(&snapshot, &state, at).await?;
        let spot = Spot {
            snapshot,
            state,
            timed,
            at,
        };
        let (rank, extras) = (order.rank, order.extras);
        let is_explained = extras.explain;
        let work = move || compare(spot, tried, (&rank, &extras), complaints, now);
        let (mut preview, promotions) = tokio::task::spawn_blocking(work)
            .await
            .map_err(EngineError::internal)??;
        if is_explained {
            let standing = Arc::clone(&preview.before.snapshot.promotions);
            preview.before.explain(standing).await?;
            preview.after.explain(Arc::new(promotions)).await?;
        }
        Ok(preview)
    }

    /// What stands after the changes; complaints about them, each under its place.
    fn tried(
        &self,
        desk: Desk<'_>,
        changes: Vec<TriedChange>,
        complaints: &mut Complaints,
    ) -> Result<Tried, EngineError> {
        let mut promotions = desk.promotions.clone();
        let mut changed = Vec::with_capacity(changes.len());
        for (place, change) in changes.into_iter().enumerate() {
            let desk = Desk {
                promotions: &promotions,
                ..desk
            };
            let (id, made) = self.tried_one(desk, change);
            match made {
                Ok(after) => {
                    match &after {
                        Some(after) => {
                            let held = Held {
                                revision: UNSTORED,
                                value: Arc::clone(after),
                            };
                            promotions.insert(id, held);
                        }
                        None => drop(promotions.remove(&id)),
                    }
                    changed.push((id, after));
                }
                Err(EngineError::Invalid(found)) => {
                    let at = format!("/changes/{place}/promotion");
                    complaints.take_all::<()>(&at, Err(found));
                }
                Err(refused) => return Err(refused),
            }
        }
        Ok(Tried {
            promotions,
            changed,
        })
    }

    fn tried_one(
        &self,
        desk: Desk<'_>,
        change: TriedChange,
    ) -> (PromotionId, Result<Option<Arc<Promotion>>, EngineError>) {
        let made = |found: Result<Promotion, EngineError>| found.map(|own| Some(Arc::new(own)));
        match change {
            TriedChange::Put(id, draft) => {
                let fresh = PromotionId(self.new_id());
                (id.unwrap_or(fresh), made(desk.read(id, fresh, *draft)))
            }
            TriedChange::Patch(id, patched) => {
                let draft = desk.standing(id).map(|held| patched(&held.value));
                (
                    id,
                    made(draft.and_then(|draft| desk.read(Some(id), id, draft))),
                )
            }
            TriedChange::Delete(id) => {
                let gone = desk.standing(id).and_then(|held| {
                    archive(&held.value, desk.now)?;
                    Ok(None)
                });
                (id, gone)
            }
        }
    }
}

/// Both pages and what is different.
fn compare(
    spot: Spot,
    tried: Tried,
    (request, extras): (&RankRequest, &RankExtras),
    mut complaints: Complaints,
    now: Timestamp,
) -> Result<(Preview, Promotions), EngineError> {
    let changed: BTreeSet<PromotionId> = tried.changed.iter().map(|(id, _)| *id).collect();
    let timed = Arc::new(view_after(&spot, &tried.promotions, &changed, now));
    let other = Spot {
        snapshot: Arc::clone(&spot.snapshot),
        state: Arc::clone(&spot.state),
        timed,
        at: spot.at,
    };
    let rows = rows_concerned(&[&spot.timed, &other.timed], &changed);
    let before = spot.page(request, extras, None, now);
    let (before, query) = match before {
        Ok(both) => both,
        Err(EngineError::Invalid(found)) => {
            complaints.take_all::<()>("/rank", Err(found));
            return Err(EngineError::Invalid(complaints.into_vec()));
        }
        Err(refused) => return Err(refused),
    };
    if !complaints.is_empty() {
        return Err(EngineError::Invalid(complaints.into_vec()));
    }
    let (after, _) = other.page(request, extras, None, now)?;
    let sides = (side(&before), side(&after));
    let remarks = remarks(&before.snapshot, &tried, now);
    let preview = Preview {
        diff: diff(&query, sides.0, sides.1),
        changed_categories: changed_categories(&before, &after, &query, &rows),
        full: full(&tried, now),
        promotions: tried.changed.iter().map(|(id, _)| *id).collect(),
        names_taken: names_taken(&tried),
        remarks,
        before,
        after,
    };
    Ok((preview, tried.promotions))
}

fn side(answer: &RankAnswer) -> Side<'_> {
    Side {
        view: &answer.timed.view,
        mask: answer.mask(),
        page: &answer.page,
    }
}

/// The view that holds at the preview's instant, with the changed promotions.
///
/// A measured stretch that is not stored has no random bits yet, so no session is withheld from it
/// unless the caller says so.
fn view_after(
    spot: &Spot,
    promotions: &Promotions,
    changed: &BTreeSet<PromotionId>,
    now: Timestamp,
) -> TimedView {
    let market = &spot.state.market.value.id;
    let standing = promotions
        .values()
        .filter(|held| held.value.markets.contains(market) && !held.value.archived);
    let standing: Vec<_> = standing.cloned().collect();
    let goods = Goods {
        catalogue: &spot.state.catalogue,
        base: &spot.state.base,
        promotions: &standing,
    };
    let known = Known {
        sets: &spot.state.sets,
        changed: Some(&ChangedRows::default()),
        view: Some(&spot.timed),
    };
    let (mut timed, _) = build(&goods, spot.at, known);
    for measured in &mut timed.measured {
        let promotion = &timed.promotions[usize::from(measured.slot.0)].value;
        let is_new = promotion
            .running_epoch(spot.at)
            .is_some_and(|epoch| epoch.opened == now);
        if is_new && changed.contains(&promotion.id) {
            measured.coin = Coin::shown_to_all();
        }
    }
    timed
}

/// Every row that a changed promotion holds in one of the views.
fn rows_concerned(views: &[&TimedView], changed: &BTreeSet<PromotionId>) -> RowSet {
    let mut rows = RowSet::new();
    for timed in views {
        for (held, set) in timed.promotions.iter().zip(&timed.sets) {
            if changed.contains(&held.value.id) {
                rows.unite(&set.rows);
            }
        }
    }
    rows
}

/// Categories whose first places change: only those that hold a row of a changed promotion can.
fn changed_categories(
    before: &RankAnswer,
    after: &RankAnswer,
    query: &Query,
    rows: &RowSet,
) -> Vec<String> {
    let catalogue: &Catalogue = &before.state.catalogue;
    let first = |answer: &RankAnswer, node: Node| -> Vec<Row> {
        let view = &answer.timed.view;
        let mask: SlotMask = view.nodes().at(Some(node)) & !answer.withheld();
        let page = page(view, &first_places(query, node), mask);
        page.items.iter().map(|item| item.row).collect()
    };
    let nodes: Vec<Node> = related(rows, catalogue)
        .into_iter()
        .map(|(node, _)| node)
        .collect();
    let changed = nodes
        .into_par_iter()
        .filter(|node| first(before, *node) != first(after, *node));
    let mut ids: Vec<String> = changed
        .map(|node| catalogue.graph().id(node).to_string())
        .collect();
    ids.sort_unstable();
    ids
}

/// The first page of a category, grouped as the preview's.
fn first_places(query: &Query, node: Node) -> Query {
    Query {
        category: Some(Some(node)),
        filter: Vec::new(),
        classes: None,
        primary: Vec::new(),
        sort: Vec::new(),
        group_by: query.group_by,
        limit: FIRST_PLACES,
        offset: 0,
        from: None,
        facets: Vec::new(),
        today: query.today.clone(),
    }
}

/// Changed promotions as they would stand at the end, each with its last change.
fn last_changes(tried: &Tried) -> BTreeMap<PromotionId, (usize, &Arc<Promotion>)> {
    let mut last = BTreeMap::new();
    for (place, (id, after)) in tried.changed.iter().enumerate() {
        match after {
            Some(after) => drop(last.insert(*id, (place, after))),
            None => drop(last.remove(id)),
        }
    }
    last
}

fn full(tried: &Tried, now: Timestamp) -> Vec<(MarketId, Full<PromotionId>)> {
    let mut full = Vec::new();
    for (id, (_, promotion)) in last_changes(tried) {
        let Some(ahead) = occupies_calendar(promotion, now) else {
            continue;
        };
        for market in &promotion.markets {
            let found = no_room(&tried.promotions, market, id, ahead, now);
            full.extend(found.map(|found| (market.clone(), found)));
        }
    }
    full
}

fn names_taken(tried: &Tried) -> Vec<(usize, PromotionId)> {
    let last = last_changes(tried).into_values();
    let taken = last.filter_map(|(place, own)| Some((place, namesake(&tried.promotions, own)?)));
    taken.collect()
}

fn remarks(snapshot: &Snapshot, tried: &Tried, now: Timestamp) -> Vec<(usize, Lint)> {
    let last = last_changes(tried).into_values();
    let of_one = |(place, promotion): (usize, &Arc<Promotion>)| {
        let known = promotion.markets.iter();
        let states: Vec<&Arc<MarketState>> =
            known.filter_map(|id| snapshot.markets.get(id)).collect();
        let catalogues: Vec<&Catalogue> = states.iter().map(|state| &*state.catalogue).collect();
        let remarks = lint(promotion, &catalogues, now);
        remarks.into_iter().map(move |remark| (place, remark))
    };
    last.flat_map(of_one).collect()
}
