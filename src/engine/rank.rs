//! A search panel asks for a page.
//!
//! Everything is read from one snapshot: the caller's key, the market's view that holds now, the
//! promotions and the secrets. The session's arms become one mask; from there on `ranking` knows
//! neither session nor time. No lock, no store, no allocation that grows with the market.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use siphasher::sip128::{Hasher128, SipHasher24};

use crate::access::may::{Object, Verb};
use crate::access::principal::Principal;
use crate::catalogue::Catalogue;
use crate::catalogue::row::{Row, RowSet};
use crate::catalogue::text::match_classes;
use crate::domain::category::CategoryId;
use crate::domain::complaint::{Complaints, Fault};
use crate::domain::id::{MarketId, Panel, PromotionId, SessionKey, Shopper};
use crate::domain::time::{Timestamp, Today};
use crate::domain::value::ValueType;
use crate::engine::error::EngineError;
use crate::engine::seal::{self, PageSeal, TicketMaker};
use crate::engine::snapshot::{MarketState, Snapshot, TimedView};
use crate::engine::start::Engine;
use crate::measurement::split::{Arm, SessionDigest};
use crate::predicate::rule::{Attr, Rule};
use crate::predicate::written::WrittenRule;
use crate::promotion::slot::SlotMask;
use crate::ranking::cursor::Position;
use crate::ranking::explain::{Explanation, explain};
use crate::ranking::page::{Page, page};
use crate::ranking::query::{FacetQuery, GroupBy, Query, SortKey};

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
    /// Whether it may be recorded.
    pub count: bool,
    /// Whether to say why.
    pub explain: bool,
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
    /// Arms of the measured promotions, in order of their ids.
    pub arms: Vec<(PromotionId, Arm)>,
    /// What was odd.
    pub warnings: Vec<RankWarning>,
    /// Makes the items' tickets.
    pub tickets: TicketMaker,
    /// Where the next page begins.
    pub next_cursor: Option<String>,
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
            Some(text) => Some(self.open_cursor(text, fingerprint)?),
            None => None,
        };
        let (snapshot, state, timed, at) = self.read_at(request, resumed.as_ref(), now).await?;
        let mut warnings = Vec::new();
        let digest = request
            .session
            .as_ref()
            .map(|session| snapshot.secrets.split.digest(session));
        let node = request
            .category
            .as_ref()
            .map(|id| state.catalogue.graph().find(id.as_str()));
        let withheld = withheld(&timed, digest, request.arms.as_ref(), &mut warnings);
        let allowed = timed.view.nodes().at(node.flatten());
        let mask = allowed & !withheld;
        let (mut query, known_primary) =
            read_query(request, extras, &state.catalogue, at, &mut warnings)?;
        query.from = resumed.map(|resumed| resumed.position);
        let page = page(&timed.view, &query, mask);
        for place in &page.skipped_primary {
            warnings.push(warning("primary-skipped", known_primary[*place].clone()));
        }
        let explanations = match extras.explain {
            true => page
                .items
                .iter()
                .map(|item| explain(&timed.view, item.rank, allowed, withheld))
                .collect(),
            false => Vec::new(),
        };
        let arms = arms_of(&timed, withheld, digest.is_some() || request.arms.is_some());
        let offset = page.offset;
        let next_cursor = page.next.as_ref().map(|position| {
            let cursor = Cursor {
                revision: snapshot.revision.0,
                at,
                fingerprint,
                position: position.clone(),
            };
            seal::seal_cursor(&snapshot.secrets.cursor, &cursor.to_bytes())
        });
        let tickets = TicketMaker::new(
            &snapshot.secrets.ticket,
            &PageSeal {
                market: request.market.clone(),
                snapshot: snapshot.revision.0,
                panel: panel_hash(request.panel.as_ref()),
                issued: now,
                session: digest.map_or([0; 16], SessionDigest::to_bytes),
            },
        );
        let counts = extras.count
            && request.context != UserContext::Synthetic
            && request.at.is_none()
            && request.arms.is_none();
        if counts {
            self.pages().offer(page.items.len());
        }
        Ok(RankAnswer {
            snapshot,
            state,
            timed,
            page,
            offset,
            explanations,
            arms,
            warnings,
            tickets,
            next_cursor,
        })
    }

    /// The snapshot, market, view and instant a request is answered from.
    async fn read_at(
        &self,
        request: &RankRequest,
        resumed: Option<&Cursor>,
        now: Timestamp,
    ) -> Result<(Arc<Snapshot>, Arc<MarketState>, Arc<TimedView>, Timestamp), EngineError> {
        if let Some(cursor) = resumed {
            let pinned = self.pinned(cursor.revision, &request.market, cursor.at);
            let (snapshot, state, timed) = pinned.ok_or(EngineError::SnapshotGone)?;
            return Ok((snapshot, state, timed, cursor.at));
        }
        let forbidden = || EngineError::MarketForbidden {
            market: request.market.clone(),
        };
        if let Some(at) = request.at {
            let snapshot = self.snapshot();
            let state = Arc::clone(
                snapshot
                    .markets
                    .get(&request.market)
                    .ok_or_else(forbidden)?,
            );
            let timed = self.view_of_instant(&snapshot, &state, at).await?;
            return Ok((snapshot, state, timed, at));
        }
        let mut snapshot = self.snapshot();
        for _ in 0..2 {
            let state = Arc::clone(
                snapshot
                    .markets
                    .get(&request.market)
                    .ok_or_else(forbidden)?,
            );
            if let Some(timed) = state.view_at(now).map(Arc::clone) {
                return Ok((snapshot, state, timed, now));
            }
            self.boundary_passed().await?;
            snapshot = self.snapshot();
        }
        Err(EngineError::SnapshotBehind)
    }

    fn open_cursor(&self, text: &str, fingerprint: u128) -> Result<Cursor, EngineError> {
        let snapshot = self.snapshot();
        let bytes = seal::open_cursor(&snapshot.secrets.cursor, text)
            .map_err(|_| EngineError::BadCursor)?;
        let cursor = Cursor::from_bytes(&bytes).ok_or(EngineError::BadCursor)?;
        if cursor.fingerprint == fingerprint {
            Ok(cursor)
        } else {
            Err(EngineError::BadCursor)
        }
    }
}

/// What a cursor carries.
#[derive(Clone, Debug, PartialEq)]
struct Cursor {
    revision: u64,
    at: Timestamp,
    fingerprint: u128,
    position: Position,
}

impl Cursor {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(96);
        bytes.extend_from_slice(&self.revision.to_le_bytes());
        bytes.extend_from_slice(&self.at.0.to_le_bytes());
        bytes.extend_from_slice(&self.fingerprint.to_le_bytes());
        self.position.write(&mut bytes);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (revision, rest) = bytes.split_at_checked(8)?;
        let (at, rest) = rest.split_at_checked(8)?;
        let (fingerprint, rest) = rest.split_at_checked(16)?;
        Some(Self {
            revision: u64::from_le_bytes(revision.try_into().ok()?),
            at: Timestamp(i64::from_le_bytes(at.try_into().ok()?)),
            fingerprint: u128::from_le_bytes(fingerprint.try_into().ok()?),
            position: Position::read(rest)?,
        })
    }
}

fn may_rank(
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
    Ok(())
}

/// Two requests with one fingerprint ask for the same list of pages.
fn fingerprint(request: &RankRequest) -> u128 {
    let mut hasher = SipHasher24::new();
    request.hash(&mut hasher);
    hasher.finish128().as_u128()
}

fn panel_hash(panel: Option<&Panel>) -> u64 {
    let mut hasher = SipHasher24::new();
    hasher.write(panel.map_or("default", Panel::as_str).as_bytes());
    hasher.finish128().h1
}

/// Slots that the session, or the caller in its place, does not see.
fn withheld(
    timed: &TimedView,
    digest: Option<SessionDigest>,
    forced: Option<&ForcedArms>,
    warnings: &mut Vec<RankWarning>,
) -> SlotMask {
    match forced {
        None | Some(ForcedArms::Each(_)) => {}
        Some(ForcedArms::All(Arm::Shown)) => return SlotMask::EMPTY,
        Some(ForcedArms::All(Arm::Withheld)) => {
            return timed
                .measured
                .iter()
                .map(|measured| measured.slot)
                .collect();
        }
    }
    let mut mask: SlotMask = match digest {
        Some(digest) => timed
            .measured
            .iter()
            .filter(|measured| measured.coin.toss(digest) == Arm::Withheld)
            .map(|measured| measured.slot)
            .collect(),
        None => SlotMask::EMPTY,
    };
    if let Some(ForcedArms::Each(each)) = forced {
        for (id, arm) in each {
            let slot = timed.view.table().slot_of(*id);
            let slot = slot.filter(|slot| timed.measured.iter().any(|own| own.slot == *slot));
            match (slot, arm) {
                (Some(slot), Arm::Withheld) => mask |= SlotMask::of(slot),
                (Some(slot), Arm::Shown) => mask = mask & !SlotMask::of(slot),
                (None, _) => warnings.push(warning("not-measured", id.to_string())),
            }
        }
    }
    mask
}

fn arms_of(timed: &TimedView, withheld: SlotMask, split: bool) -> Vec<(PromotionId, Arm)> {
    if !split {
        return Vec::new();
    }
    let arm = |slot| {
        if withheld.contains(slot) {
            Arm::Withheld
        } else {
            Arm::Shown
        }
    };
    let mut arms: Vec<_> = timed
        .measured
        .iter()
        .map(|measured| {
            (
                timed.view.table().promotion(measured.slot),
                arm(measured.slot),
            )
        })
        .collect();
    arms.sort_unstable_by_key(|(id, _)| *id);
    arms
}

/// The request in terms of the catalogue, all complaints at once; and the key of each list of the
/// panel's own hits.
fn read_query(
    request: &RankRequest,
    extras: &RankExtras,
    catalogue: &Arc<Catalogue>,
    at: Timestamp,
    warnings: &mut Vec<RankWarning>,
) -> Result<(Query, Vec<String>), EngineError> {
    let mut complaints = Complaints::new();
    let filter = read_filter(&request.filter, catalogue, &mut complaints);
    let sort = read_sort(&request.sort, catalogue, &mut complaints);
    let facets = request
        .facets
        .iter()
        .enumerate()
        .filter_map(|(place, attr)| {
            known_attr(
                attr,
                catalogue,
                &format!("/facets/{place}"),
                &mut complaints,
            )?;
            Some(FacetQuery {
                attr: attr.clone(),
                limit: request.facet_limit,
            })
        });
    let facets: Vec<FacetQuery> = facets.collect();
    for (place, attr) in request.fields.iter().enumerate() {
        known_attr(
            attr,
            catalogue,
            &format!("/fields/{place}"),
            &mut complaints,
        );
    }
    let complaints = complaints.into_vec();
    if !complaints.is_empty() {
        return Err(EngineError::Invalid(complaints));
    }
    if request.session.is_none() {
        warnings.push(warning(
            "no-session",
            "measured promotions are shown, no arm is counted".to_owned(),
        ));
    }
    if !request.sort.is_empty() && !request.sort.contains(&WrittenSort::Relevance) {
        warnings.push(warning(
            "sort-without-relevance",
            "promotions do nothing in this order".to_owned(),
        ));
    }
    let node = request
        .category
        .as_ref()
        .map(|id| catalogue.graph().find(id.as_str()));
    if let (Some(None), Some(id)) = (node, &request.category) {
        warnings.push(warning("unknown-category", id.to_string()));
    }
    let (classes, unknown) = classes(request, catalogue);
    let (primary, known_primary, skipped) = primary(&request.primary, catalogue);
    if 0 < unknown {
        warnings.push(warning(
            "unknown-candidates",
            format!("{unknown} keys are not known"),
        ));
    }
    for key in skipped {
        warnings.push(warning("primary-skipped", key));
    }
    let query = Query {
        category: if request.activate_only { None } else { node },
        filter,
        classes,
        primary,
        sort,
        group_by: request.group_by,
        limit: request.limit,
        offset: extras.offset,
        from: None,
        facets,
        today: Today::at(at, &catalogue.locale().zone),
    };
    Ok((query, known_primary))
}

fn read_filter(
    clauses: &[WrittenRule],
    catalogue: &Catalogue,
    complaints: &mut Complaints,
) -> Vec<Rule> {
    let mut rules = Vec::with_capacity(clauses.len());
    for (place, clause) in clauses.iter().enumerate() {
        let pointer = format!("/filter/all/{place}");
        let at_attr = format!("{pointer}/attr");
        if let Some(kind) = known_attr(&clause.attr, catalogue, &at_attr, complaints) {
            rules.extend(complaints.take_all(&pointer, clause.read(kind, catalogue.locale())));
        }
    }
    rules
}

fn read_sort(
    keys: &[WrittenSort],
    catalogue: &Catalogue,
    complaints: &mut Complaints,
) -> Vec<SortKey> {
    let mut sort = Vec::with_capacity(keys.len());
    for (place, key) in keys.iter().enumerate() {
        match key {
            WrittenSort::Relevance => sort.push(SortKey::Relevance),
            WrittenSort::By { attr, descending } => {
                let pointer = format!("/sort/{place}");
                if known_attr(attr, catalogue, &pointer, complaints).is_none() {
                    continue;
                }
                if catalogue
                    .column(attr.as_str())
                    .is_some_and(|column| column.multi())
                {
                    let fault = Fault::WrongOperator {
                        matcher: "sort",
                        attribute_type: "multi-valued",
                    };
                    complaints.add(pointer, fault);
                    continue;
                }
                sort.push(SortKey::By {
                    attr: attr.clone(),
                    descending: *descending,
                });
            }
        }
    }
    sort
}

/// Type of an attribute that the market has; a complaint otherwise.
fn known_attr(
    attr: &Attr,
    catalogue: &Catalogue,
    pointer: &str,
    complaints: &mut Complaints,
) -> Option<ValueType> {
    if let Some(column) = catalogue.column(attr.as_str()) {
        return Some(column.kind());
    }
    if let Some(kind) = catalogue.schema().kind(attr.as_str()) {
        return Some(kind);
    }
    let did_you_mean = catalogue.schema().nearest(attr.as_str());
    complaints.add(
        pointer,
        Fault::UnknownAttribute {
            name: attr.to_string(),
            did_you_mean,
        },
    );
    None
}

/// Match classes from the text query or the caller's engine, and how many keys are unknown.
/// A key counts in the best class that names it.
fn classes(request: &RankRequest, catalogue: &Catalogue) -> (Option<Vec<RowSet>>, usize) {
    if let Some(q) = &request.q {
        return (Some(match_classes(catalogue, q)), 0);
    }
    let Some(lists) = &request.candidates else {
        return (None, 0);
    };
    let mut seen = RowSet::new();
    let mut unknown = 0;
    let mut classes = Vec::with_capacity(lists.len());
    for list in lists {
        let mut class = RowSet::new();
        for key in list {
            let rows = rows_of(key, catalogue);
            unknown += usize::from(rows.is_empty());
            class.extend(rows.iter().copied().filter(|row| !seen.contains(*row)));
        }
        seen.unite(&class);
        classes.push(class);
    }
    (Some(classes), unknown)
}

/// The panel's own hits as lists of rows in their order with the key of each, and the keys nothing
/// is known of.
fn primary(keys: &[String], catalogue: &Catalogue) -> (Vec<Vec<Row>>, Vec<String>, Vec<String>) {
    let (mut lists, mut known, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for key in keys {
        match rows_of(key, catalogue) {
            [] => unknown.push(key.clone()),
            rows => {
                lists.push(rows.to_vec());
                known.push(key.clone());
            }
        }
    }
    (lists, known, unknown)
}

/// A variant key's row, or all rows of a product key.
fn rows_of<'c>(key: &str, catalogue: &'c Catalogue) -> &'c [Row] {
    let key = crate::domain::text::normal(key);
    if let Some(row) = catalogue.find_variant(&key) {
        let product = catalogue.rows_of_product(catalogue.product_of(row));
        return match product.iter().position(|own| *own == row) {
            Some(place) => &product[place..=place],
            None => &[],
        };
    }
    catalogue
        .find_product(&key)
        .map_or(&[], |product| catalogue.rows_of_product(product))
}

fn warning(code: &'static str, detail: String) -> RankWarning {
    RankWarning { code, detail }
}
