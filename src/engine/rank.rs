//! A search panel asks for a page.
//!
//! Everything is read from one snapshot: the caller's key, the market's view that holds now, the
//! promotions and the secrets. The session's arms become one mask; from there on `ranking` knows
//! neither session nor time. No lock, no store, no allocation that grows with the market.

use std::hash::Hasher;
use std::sync::Arc;

use siphasher::sip128::{Hasher128, SipHasher24};

use crate::access::may::{Object, Verb};
use crate::access::principal::Principal;
use crate::catalogue::attribute::COST;
use crate::catalogue::row::Row;
use crate::domain::category::CategoryId;
use crate::domain::complaint::Complaint;
use crate::domain::id::{
    GroupOfShoppers, IdText, MarketId, Panel, PromotionId, SessionKey, Shopper,
};
use crate::domain::time::Timestamp;
use crate::engine::arms::{arms_of, withheld};
use crate::engine::asked::read_query;
use crate::engine::error::EngineError;
use crate::engine::events::page_job::PageJob;
use crate::engine::idle::{Idle, idle_holders};
use crate::engine::markets::market_state;
use crate::engine::page_cursor::{PageCursor, fingerprint};
use crate::engine::seal::{PageSeal, TicketMaker};
use crate::engine::snapshot::{MarketState, Snapshot, TimedView};
use crate::engine::start::Engine;
use crate::engine::unsaved::Promotions;
use crate::measurement::split::{Arm, SessionDigest};
use crate::predicate::rule::Attr;
use crate::predicate::written::WrittenRule;
use crate::promotion::slot::SlotMask;
use crate::ranking::cursor::Position;
use crate::ranking::explain::{Explanation, explain};
use crate::ranking::page::{Item, Page, page};
use crate::ranking::query::{GroupBy, Query};

/// A page as asked for. `Hash` is its fingerprint: what a cursor is bound to.
#[derive(Clone, Debug, Hash)]
pub struct RankRequest {
    /// The market.
    pub market: MarketId,
    /// The visit; without one every measured promotion is shown and nothing counted.
    pub session: Option<SessionKey>,
    /// The person.
    pub shopper: Option<Shopper>,
    /// How far the answer may be personal.
    pub context: UserContext,
    /// Free name for statistics.
    pub panel: Option<Panel>,
    /// Category page.
    pub category: Option<CategoryId>,
    /// Whether the category only switches promotions on, without restricting the result.
    pub activate_only: bool,
    /// Text query.
    pub q: Option<String>,
    /// Match classes of the shop's own engine, best first.
    pub candidates: Option<Vec<Vec<String>>>,
    /// The panel's own hits.
    pub primary: Vec<String>,
    /// Clauses that must all be true of the same variant.
    pub filter: Vec<WrittenRule>,
    /// Keys, first one first.
    pub sort: Vec<WrittenSort>,
    /// What a place on the page stands for.
    pub group_by: GroupBy,
    /// Places on the page.
    pub limit: u32,
    /// Attributes to count.
    pub facets: Vec<Attr>,
    /// Most values of each.
    pub facet_limit: u32,
    /// Attributes to answer with each item.
    pub fields: Vec<Attr>,
    /// Another instant.
    pub at: Option<Timestamp>,
    /// Forced arms.
    pub arms: Option<ForcedArms>,
}

/// Where the page begins and what is told beside it; no part of the fingerprint.
#[derive(Clone, Debug)]
pub struct RankExtras {
    /// Places to skip.
    pub offset: u32,
    /// Continues an earlier page.
    pub cursor: Option<String>,
    /// What kind of shopper the shop says this is; recorded, and moves nothing.
    pub group: Option<GroupOfShoppers>,
    /// Whether it may be recorded.
    pub count: bool,
    /// Whether to say why.
    pub explain: bool,
    /// What was wrong with the request before it became one; told with everything else.
    pub faults: Vec<Complaint>,
}

/// How far an answer may be personal, and whether it counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum UserContext {
    /// All of it.
    Personalized,
    /// Split, but no personal offers.
    Unpersonalized,
    /// No session and no person.
    Anonymous,
    /// A machine: ranked, never counted.
    Synthetic,
}

/// One sort key as asked for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum WrittenSort {
    /// The order of promotions and scores.
    Relevance,
    /// An attribute, ascending or descending.
    By {
        /// Which.
        attr: Attr,
        /// Greatest first.
        descending: bool,
    },
}

/// Arms set by the caller instead of the session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ForcedArms {
    /// The same arm for every measured promotion.
    All(Arm),
    /// The named ones; the others follow the session, else Shown.
    Each(Vec<(PromotionId, Arm)>),
}

/// Something odd about a request that was answered all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RankWarning {
    /// Stable code.
    pub code: &'static str,
    /// What about it, for people.
    pub detail: String,
}

/// A page and all that is needed to write it out.
pub struct RankAnswer {
    /// Revision it was computed from.
    pub snapshot: Arc<Snapshot>,
    /// The market's part.
    pub state: Arc<MarketState>,
    /// The view.
    pub timed: Arc<TimedView>,
    /// The page.
    pub page: Page,
    /// Place of the first item.
    pub offset: u32,
    /// Why, item by item, if it was asked.
    pub explanations: Vec<Explanation>,
    /// Slots that the page's category lets through, and those that were withheld.
    masks: Masks,
    /// Whether anybody's arms were asked for.
    is_split: bool,
    /// The instant it holds for.
    pub at: Timestamp,
    /// What was odd.
    pub warnings: Vec<RankWarning>,
    /// Makes the items' tickets.
    pub tickets: TicketMaker,
    /// Where the next page begins.
    pub next_cursor: Option<String>,
    /// Item by item, the promotions that would hold it and are in no view; if it was asked why.
    pub idle: Vec<Vec<Idle>>,
}

impl RankAnswer {
    /// Arms of the measured promotions as written, in order of their ids; none without a session.
    pub fn arms(&self) -> impl Iterator<Item = (&IdText, Arm)> {
        let split = self.is_split.then_some(self.masks.withheld).into_iter();
        split.flat_map(|withheld| arms_of(&self.timed, withheld))
    }

    /// The slots that applied.
    pub(in crate::engine) fn mask(&self) -> SlotMask {
        self.masks.allowed & !self.masks.withheld
    }

    /// The slots that were withheld.
    pub(in crate::engine) fn withheld(&self) -> SlotMask {
        self.masks.withheld
    }

    /// Says why each item stands where it stands, and which of these promotions would hold it
    /// without being active.
    pub(in crate::engine) async fn explain(
        &mut self,
        promotions: Arc<Promotions>,
    ) -> Result<(), EngineError> {
        let of = |item: &Item| {
            let (allowed, withheld) = (self.masks.allowed, self.masks.withheld);
            explain(&self.timed.view, item.rank, allowed, withheld)
        };
        self.explanations = self.page.items.iter().map(of).collect();
        let rows: Vec<Row> = self.page.items.iter().map(|item| item.row).collect();
        let state = Arc::clone(&self.state);
        self.idle = idle_holders(promotions, state, rows, self.at).await?;
        Ok(())
    }

    fn cursor_behind(&self, fingerprint: u128) -> Option<String> {
        let cursor = PageCursor {
            revision: self.snapshot.revision.0,
            at: self.at,
            fingerprint,
            position: self.page.next.clone()?,
        };
        Some(cursor.seal(&self.snapshot.secrets.cursor))
    }
}

impl Engine {
    /// Answers a page.
    ///
    /// # Errors
    /// What the caller may not do; all complaints about the request; `bad-cursor`,
    /// `snapshot-gone`.
    pub async fn rank(
        &self,
        principal: &Principal,
        request: &RankRequest,
        extras: &RankExtras,
    ) -> Result<RankAnswer, EngineError> {
        may_rank(principal, request, extras)?;
        let now = self.now();
        let fingerprint = fingerprint(request);
        let resumed = match &extras.cursor {
            Some(text) => {
                let key = &self.snapshot().secrets.cursor;
                Some(PageCursor::open(key, text, fingerprint)?)
            }
            None => None,
        };
        let spot = self.read_at(request, resumed.as_ref(), now).await?;
        let from = resumed.map(|resumed| resumed.position);
        let (mut answer, query) = spot.page(request, extras, from, now)?;
        if extras.explain {
            let standing = Arc::clone(&answer.snapshot.promotions);
            answer.explain(standing).await?;
        }
        if request.counts(extras) {
            self.pages().offer(answer.page.items.len());
            self.measure((request, extras), &answer, query, now);
        }
        answer.next_cursor = answer.cursor_behind(fingerprint);
        Ok(answer)
    }

    /// Leaves a page of a session to be counted.
    fn measure(
        &self,
        (request, extras): (&RankRequest, &RankExtras),
        answer: &RankAnswer,
        query: Query,
        now: Timestamp,
    ) {
        let Some(session) = &request.session else {
            return;
        };
        let page = PageJob {
            market: request.market.clone(),
            state: Arc::clone(&answer.state),
            timed: Arc::clone(&answer.timed),
            query,
            page: answer.page.clone(),
            allowed: answer.masks.allowed,
            withheld: answer.masks.withheld,
            revision: answer.snapshot.revision.0,
            panel: panel_hash(request.panel.as_ref()),
            session: answer.snapshot.secrets.split.digest(session),
            shopper: request.shopper.clone(),
            group: extras.group.clone(),
            received: now,
        };
        if !self.events().offer(Box::new(page)) {
            self.metrics().dropped_page_events.inc();
        }
    }

    /// The snapshot, market, view and instant a request is answered from.
    async fn read_at(
        &self,
        request: &RankRequest,
        resumed: Option<&PageCursor>,
        now: Timestamp,
    ) -> Result<Spot, EngineError> {
        if let Some(cursor) = resumed {
            let pinned = self.pinned(cursor.revision, &request.market, cursor.at);
            let (snapshot, state, timed) = pinned.ok_or(EngineError::SnapshotGone)?;
            return Ok(Spot {
                snapshot,
                state,
                timed,
                at: cursor.at,
            });
        }
        let mut snapshot = self.snapshot();
        if let Some(at) = request.at {
            let state = market_state(&snapshot, &request.market)?;
            state.standing.serves(&request.market)?;
            let timed = self.view_of_instant(&snapshot, &state, at).await?;
            return Ok(Spot {
                snapshot,
                state,
                timed,
                at,
            });
        }
        for _ in 0..2 {
            let state = market_state(&snapshot, &request.market)?;
            state.standing.serves(&request.market)?;
            if let Some(timed) = state.view_at(now).map(Arc::clone) {
                return Ok(Spot {
                    snapshot,
                    state,
                    timed,
                    at: now,
                });
            }
            self.boundary_passed().await?;
            snapshot = self.snapshot();
        }
        Err(EngineError::SnapshotBehind)
    }
}

impl RankRequest {
    /// Every attribute that it shows, counts, sorts by or filters by; each can tell a value.
    fn attrs(&self) -> impl Iterator<Item = &Attr> {
        let filter = self.filter.iter().map(|clause| &clause.attr);
        let sort = self.sort.iter().filter_map(|key| match key {
            WrittenSort::By { attr, .. } => Some(attr),
            WrittenSort::Relevance => None,
        });
        self.fields
            .iter()
            .chain(&self.facets)
            .chain(filter)
            .chain(sort)
    }

    /// Whether the answer counts as a display.
    fn counts(&self, extras: &RankExtras) -> bool {
        let is_real = self.at.is_none() && self.arms.is_none();
        extras.count && is_real && self.context != UserContext::Synthetic
    }
}

/// What a request is answered from.
pub(in crate::engine) struct Spot {
    pub(in crate::engine) snapshot: Arc<Snapshot>,
    pub(in crate::engine) state: Arc<MarketState>,
    pub(in crate::engine) timed: Arc<TimedView>,
    pub(in crate::engine) at: Timestamp,
}

/// Slots that the page's category lets through, and those that the session does not see.
#[derive(Clone, Copy)]
struct Masks {
    allowed: SlotMask,
    withheld: SlotMask,
}

impl Spot {
    /// The page from `from` on, or as the request says, without cursor and explanations; and what
    /// was asked of the view.
    pub(in crate::engine) fn page(
        self,
        request: &RankRequest,
        extras: &RankExtras,
        from: Option<Position>,
        now: Timestamp,
    ) -> Result<(RankAnswer, Query), EngineError> {
        let mut warnings = Vec::new();
        let session = request.session.as_ref();
        let digest = session.map(|session| self.snapshot.secrets.split.digest(session));
        let arms = request.arms.as_ref();
        let masks = Masks {
            allowed: self.allowed(request),
            withheld: withheld(&self.timed, digest, arms, &mut warnings),
        };
        let catalogue = &self.state.catalogue;
        let read = read_query(request, extras, catalogue, self.at, &mut warnings)?;
        let (mut query, known_primary) = read;
        query.from = from;
        let page = page(&self.timed.view, &query, masks.allowed & !masks.withheld);
        for place in &page.skipped_primary {
            warnings.push(warning("primary-skipped", known_primary[*place].clone()));
        }
        let answer = RankAnswer {
            offset: page.offset,
            explanations: Vec::new(),
            idle: Vec::new(),
            masks,
            is_split: digest.is_some() || arms.is_some(),
            at: self.at,
            warnings,
            tickets: self.tickets(request, digest, now),
            next_cursor: None,
            page,
            snapshot: self.snapshot,
            state: self.state,
            timed: self.timed,
        };
        Ok((answer, query))
    }

    fn allowed(&self, request: &RankRequest) -> SlotMask {
        let graph = self.state.catalogue.graph();
        let node = request
            .category
            .as_ref()
            .and_then(|id| graph.find(id.as_str()));
        self.timed.view.nodes().at(node)
    }

    fn tickets(
        &self,
        request: &RankRequest,
        digest: Option<SessionDigest>,
        issued: Timestamp,
    ) -> TicketMaker {
        let page = PageSeal {
            market: request.market.clone(),
            snapshot: self.snapshot.revision.0,
            panel: panel_hash(request.panel.as_ref()),
            issued,
            session: digest.map_or([0; 16], SessionDigest::to_bytes),
        };
        TicketMaker::new(&self.snapshot.secrets.ticket, &page)
    }
}

/// Whether the caller may ask for this page.
pub(in crate::engine) fn may_rank(
    principal: &Principal,
    request: &RankRequest,
    extras: &RankExtras,
) -> Result<(), EngineError> {
    let market = Object::Market(&request.market);
    principal.may(Verb::Rank, &market)?;
    if extras.explain {
        principal.may(Verb::Explain, &market)?;
    }
    if request.at.is_some() || request.arms.is_some() {
        principal.may(Verb::RankAt, &market)?;
    }
    if request.attrs().any(|attr| attr.as_str() == COST) {
        principal.may_see_cost()?;
    }
    Ok(())
}

fn panel_hash(panel: Option<&Panel>) -> u64 {
    let mut hasher = SipHasher24::new();
    hasher.write(panel.map_or("default", Panel::as_str).as_bytes());
    hasher.finish128().h1
}

pub(in crate::engine) fn warning(code: &'static str, detail: String) -> RankWarning {
    RankWarning { code, detail }
}
