//! Promotions and demotions: create, edit, the steps of their life, and what they hold.
//!
//! Every write that moves a place in a market's calendar guards and rewrites that market's commit
//! point. It is decided against one snapshot; if another write came in between, the decision is
//! made again, up to eight times.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::access::may::{Object, Verb};
use crate::access::principal::Principal;
use crate::catalogue::Catalogue;
use crate::domain::id::{MarketId, PromotionId};
use crate::domain::money::Percent;
use crate::domain::time::{Timestamp, Today};
use crate::engine::calendar::check_calendars;
use crate::engine::commit::{Change, Intent, Known, Missed, StoredAnswer, TRIES, Written};
use crate::engine::error::EngineError;
use crate::engine::markets::market_state;
use crate::engine::snapshot::{Held, Snapshot};
use crate::engine::start::Engine;
use crate::engine::unsaved::Promotions;
use crate::promotion::draft::{Made, PromotionDraft};
use crate::promotion::lint::lint;
use crate::promotion::state::{self, Refusal, State};
use crate::promotion::terms::{Kind, Promotion};
use crate::record::desk::CalendarV1;
use crate::record::key;
use crate::record::promotion::PromotionV1;
use crate::selection::count::{Counts, counts};
use crate::selection::remark::Lint;
use crate::store::Revision;
use crate::store::commit::Expected;

/// A step in the life of a promotion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Hold it back.
    Suspend,
    /// Let it go on.
    Resume,
    /// Set its end to now.
    End,
    /// Delete it.
    Archive,
    /// Open a new epoch, with another share if one is given.
    RestartMeasurement(Option<Percent>),
}

/// A promotion as answers show it.
#[derive(Clone, Debug)]
pub struct PromotionView {
    /// The promotion.
    pub promotion: Arc<Promotion>,
    /// What it is now.
    pub state: State,
    /// What its selection finds, by market.
    pub counts: Vec<(MarketId, Counts)>,
    /// What a person should know about it.
    pub warnings: Vec<Lint>,
}

/// Which promotions to list.
#[derive(Clone, Debug, Default)]
pub struct PromotionFilter {
    /// Only those of this market.
    pub market: Option<MarketId>,
    /// Only those in this state; without one, archived ones are left out.
    pub state: Option<State>,
    /// Only of this kind.
    pub kind: Option<Kind>,
    /// Only those whose name holds this text, without regard to case.
    pub q: Option<String>,
    /// Only measured, or only unmeasured ones.
    pub measured: Option<bool>,
    /// Only those active at this instant, suspended ones left out.
    pub active_at: Option<Timestamp>,
}

/// How an edge turns a promotion into the answer that is stored for repeated requests.
pub type Render<'a> = &'a (dyn Fn(&PromotionView) -> StoredAnswer + Send + Sync);

/// How a draft is made of what stands: a whole one, or a patch of the current.
pub type Redraft<'a> =
    &'a (dyn Fn(&Promotion) -> Result<PromotionDraft, EngineError> + Send + Sync);

/// How a promotion becomes another one, over the goods of a snapshot.
pub(in crate::engine) type ChangePromotion<'a> =
    &'a (dyn Fn(&Snapshot, &Promotion) -> Result<Promotion, EngineError> + Send + Sync);

impl Engine {
    /// Creates a promotion.
    ///
    /// # Errors
    /// All complaints at once; `name-taken`, `market-full`, and what the caller may not do.
    pub async fn create_promotion(
        &self,
        intent: &Intent,
        draft: PromotionDraft,
        render: Render<'_>,
    ) -> Result<Written<PromotionView>, EngineError> {
        self.create_promotion_as("promotion.create", intent, draft, render)
            .await
    }

    /// The same under another name in the audit.
    pub(in crate::engine) async fn create_promotion_as(
        &self,
        action: &'static str,
        intent: &Intent,
        draft: PromotionDraft,
        render: Render<'_>,
    ) -> Result<Written<PromotionView>, EngineError> {
        let _turn = self.begin(intent)?;
        if let Some((answer, revision)) = self.replay(intent).await? {
            return Ok(Written::Replayed(answer, revision));
        }
        let made = Made {
            id: PromotionId(self.new_id()),
            by: intent.principal.actor(),
            at: self.now(),
            salt: self.entropy().salt(),
        };
        for _ in 0..TRIES {
            let snapshot = self.snapshot();
            may_draft(intent, &draft)?;
            let find = |id: &MarketId| goods_of(&snapshot, id);
            let made_now = Made {
                at: self.now(),
                ..made.clone()
            };
            let promotion =
                Promotion::create(draft.clone(), made_now, &find).map_err(EngineError::Invalid)?;
            may_write(&intent.principal, &promotion.markets)?;
            let decision = Decision {
                action,
                before: None,
                promotion,
            };
            match self
                .decide(intent, &snapshot, decision, Known::Any, render)
                .await
            {
                Err(Missed::Overtaken) => self.catch_up(&snapshot).await?,
                Err(Missed::Before) => return self.first_answer(intent).await,
                Err(Missed::Refused(error)) => return Err(error),
                Ok(written) => return Ok(written),
            }
        }
        Err(EngineError::Overloaded)
    }

    /// Replaces what a person decided about a promotion.
    ///
    /// # Errors
    /// As [`Engine::create_promotion`]; `not-found`, `stale-revision`, `wrong-state`.
    pub async fn edit_promotion(
        &self,
        intent: &Intent,
        id: PromotionId,
        known: Known,
        redraft: Redraft<'_>,
        render: Render<'_>,
    ) -> Result<Written<PromotionView>, EngineError> {
        let salt = self.entropy().salt();
        let change = |snapshot: &Snapshot, before: &Promotion| {
            let draft = redraft(before)?;
            may_draft(intent, &draft)?;
            let find = |id: &MarketId| goods_of(snapshot, id);
            Ok(before.edit(draft, self.now(), salt, &find)?)
        };
        self.change_promotion(intent, "promotion.edit", (id, known), &change, render)
            .await
    }

    /// Takes a step in the life of a promotion.
    ///
    /// # Errors
    /// `not-found`, `stale-revision`, `wrong-state`; `market-full` when it is resumed.
    pub async fn step_promotion(
        &self,
        intent: &Intent,
        id: PromotionId,
        known: Known,
        step: Step,
        render: Render<'_>,
    ) -> Result<Written<PromotionView>, EngineError> {
        let salt = self.entropy().salt();
        let change = |_: &Snapshot, before: &Promotion| {
            let now = self.now();
            Ok(match step {
                Step::Suspend => state::suspend(before, now)?,
                Step::Resume => state::resume(before, now)?,
                Step::End => state::end(before, now)?,
                Step::Archive => state::archive(before, now)?,
                Step::RestartMeasurement(share) => {
                    state::restart_measurement(before, share, now, salt)?
                }
            })
        };
        self.change_promotion(intent, step.action(), (id, known), &change, render)
            .await
    }

    /// One promotion as it stands, with the revision of its last change.
    ///
    /// # Errors
    /// `not-found`, also for one that lies in none of the caller's markets.
    pub async fn promotion(
        &self,
        principal: &Principal,
        id: PromotionId,
    ) -> Result<(PromotionView, Revision), EngineError> {
        let snapshot = self.snapshot();
        let held = visible(&snapshot, principal, id)?;
        let view = self.view_of(&snapshot, Arc::clone(&held.value)).await?;
        Ok((view, held.revision))
    }

    /// Promotions as answers show them, in the order given.
    ///
    /// # Errors
    /// Only if the process is ending.
    pub async fn promotion_views(
        &self,
        held: Vec<Held<Promotion>>,
    ) -> Result<Vec<(PromotionView, Revision)>, EngineError> {
        let snapshot = self.snapshot();
        let mut views = Vec::with_capacity(held.len());
        for own in held {
            views.push((self.view_of(&snapshot, own.value).await?, own.revision));
        }
        Ok(views)
    }

    /// The promotions that the caller may see and the filter lets through, oldest first.
    ///
    /// # Errors
    /// What the caller may not do.
    pub fn promotions(
        &self,
        principal: &Principal,
        filter: &PromotionFilter,
    ) -> Result<Vec<(Held<Promotion>, State)>, EngineError> {
        principal.may(Verb::ReadPromotions, &Object::Anywhere)?;
        if let Some(market) = &filter.market {
            principal.may(Verb::ReadPromotions, &Object::Market(market))?;
        }
        let now = self.now();
        let snapshot = self.snapshot();
        if let Some(market) = &filter.market {
            market_state(&snapshot, market)?;
        }
        let own = snapshot
            .promotions
            .values()
            .filter(|held| sees(principal, &held.value));
        Ok(own
            .map(|held| (held.clone(), state::state(&held.value, now)))
            .filter(|(held, state)| filter.fits(&held.value, *state))
            .collect())
    }

    /// Promotions and demotions active now, by market that the caller may see.
    pub fn n_active(&self, principal: &Principal) -> BTreeMap<MarketId, usize> {
        let now = self.now();
        let snapshot = self.snapshot();
        let active = snapshot
            .promotions
            .values()
            .filter(|held| state::state(&held.value, now) == State::Active);
        let mut n_by_market: BTreeMap<MarketId, usize> = BTreeMap::new();
        for market in active.flat_map(|held| &held.value.markets) {
            if principal
                .may(Verb::ReadPromotions, &Object::Market(market))
                .is_ok()
            {
                *n_by_market.entry(market.clone()).or_default() += 1;
            }
        }
        n_by_market
    }

    /// Changes a promotion: decides upon what stands, again if others were faster.
    pub(in crate::engine) async fn change_promotion(
        &self,
        intent: &Intent,
        action: &'static str,
        (id, known): (PromotionId, Known),
        change: ChangePromotion<'_>,
        render: Render<'_>,
    ) -> Result<Written<PromotionView>, EngineError> {
        let _turn = self.begin(intent)?;
        if let Some((answer, revision)) = self.replay(intent).await? {
            return Ok(Written::Replayed(answer, revision));
        }
        for _ in 0..TRIES {
            let snapshot = self.snapshot();
            let held = visible(&snapshot, &intent.principal, id)?;
            may_write(&intent.principal, &held.value.markets)?;
            known.check(held.revision)?;
            let promotion = change(&snapshot, &held.value)?;
            may_write(&intent.principal, &promotion.markets)?;
            let decision = Decision {
                action,
                before: Some(held),
                promotion,
            };
            match self
                .decide(intent, &snapshot, decision, known, render)
                .await
            {
                Err(Missed::Overtaken) => self.catch_up(&snapshot).await?,
                Err(Missed::Before) => return self.first_answer(intent).await,
                Err(Missed::Refused(EngineError::StaleRevision { .. })) if known == Known::Any => {
                    self.catch_up(&snapshot).await?;
                }
                Err(Missed::Refused(error)) => return Err(error),
                Ok(written) => return Ok(written),
            }
        }
        Err(EngineError::Overloaded)
    }

    /// Checks what lies across records, and commits.
    async fn decide(
        &self,
        intent: &Intent,
        snapshot: &Arc<Snapshot>,
        decision: Decision,
        known: Known,
        render: Render<'_>,
    ) -> Result<Written<PromotionView>, Missed> {
        let Decision {
            action,
            before,
            promotion,
        } = decision;
        let now = self.now();
        let refused = |error| Missed::Refused(error);
        if let Some(id) = namesake(&snapshot.promotions, &promotion) {
            return Err(refused(EngineError::NameTaken { id: id.to_string() }));
        }
        check_calendars(snapshot, before.as_ref(), &promotion, now).map_err(refused)?;
        let form = PromotionV1::from(&promotion);
        let object = key::promotion(promotion.id);
        let expected = match (&before, known) {
            (None, _) => Expected::Absent,
            (Some(_), Known::At(revision)) => Expected::At(revision),
            (Some(held), Known::Any) => Expected::At(held.revision),
        };
        let mut change = Change::put(action, object.clone(), &form, now)
            .map_err(refused)?
            .guard(object, expected);
        for market in touched(before.as_ref().map(|held| &*held.value), &promotion) {
            change = move_place(snapshot, change, &market, before.as_ref(), &promotion)
                .map_err(refused)?;
        }
        if matches!(
            action,
            "promotion.suspend" | "promotion.end" | "promotion.archive"
        ) {
            change = change.relief();
        }
        let view = self
            .view_of(snapshot, Arc::new(promotion))
            .await
            .map_err(refused)?;
        let answer = intent.idempotency.map(|_| render(&view));
        let revision = self.commit(intent, change, answer.as_ref()).await?;
        Ok(Written::Now(view, revision))
    }

    /// Counts and warnings for a promotion; heavy for a large market, so off the async threads.
    async fn view_of(
        &self,
        snapshot: &Arc<Snapshot>,
        promotion: Arc<Promotion>,
    ) -> Result<PromotionView, EngineError> {
        let (snapshot, now) = (Arc::clone(snapshot), self.now());
        let view = move || {
            let state = state::state(&promotion, now);
            let known = promotion
                .markets
                .iter()
                .filter_map(|id| snapshot.markets.get(id));
            let catalogues: Vec<&Catalogue> = known.map(|state| &*state.catalogue).collect();
            let count = |catalogue: &&Catalogue| {
                let today = Today::at(now, &catalogue.locale().zone);
                let counted = counts(&promotion.selection, catalogue, &today);
                (catalogue.market().id.clone(), counted)
            };
            let counts = catalogues.iter().map(count).collect();
            let warnings = lint(&promotion, &catalogues, now);
            PromotionView {
                promotion,
                state,
                counts,
                warnings,
            }
        };
        tokio::task::spawn_blocking(view)
            .await
            .map_err(EngineError::internal)
    }
}

impl Step {
    fn action(self) -> &'static str {
        match self {
            Self::Suspend => "promotion.suspend",
            Self::Resume => "promotion.resume",
            Self::End => "promotion.end",
            Self::Archive => "promotion.archive",
            Self::RestartMeasurement(_) => "promotion.restart-measurement",
        }
    }
}

impl PromotionFilter {
    fn fits(&self, promotion: &Promotion, now_state: State) -> bool {
        let at = |at: Timestamp| state::state(promotion, at) == State::Active;
        self.market
            .as_ref()
            .is_none_or(|market| promotion.markets.contains(market))
            && self
                .state
                .map_or(now_state != State::Archived, |state| state == now_state)
            && self.kind.is_none_or(|kind| promotion.kind == kind)
            && self
                .measured
                .is_none_or(|measured| promotion.open_epoch().is_some() == measured)
            && self.active_at.is_none_or(at)
            && self
                .q
                .as_ref()
                .is_none_or(|q| promotion.caseless_name().contains(q))
    }
}

impl From<Refusal> for EngineError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Invalid(complaints) => Self::Invalid(complaints),
            Refusal::WrongState { state, allowed } => Self::WrongState {
                state: state.as_str(),
                allowed: allowed.iter().map(|state| state.as_str()).collect(),
            },
        }
    }
}

struct Decision {
    action: &'static str,
    before: Option<Held<Promotion>>,
    promotion: Promotion,
}

/// The goods of a market.
pub(in crate::engine) fn goods_of<'s>(
    snapshot: &'s Snapshot,
    id: &MarketId,
) -> Option<&'s Catalogue> {
    snapshot.markets.get(id).map(|state| &*state.catalogue)
}

/// Guards and rewrites a market's commit point.
fn move_place(
    snapshot: &Snapshot,
    change: Change,
    market: &MarketId,
    before: Option<&Held<Promotion>>,
    after: &Promotion,
) -> Result<Change, EngineError> {
    let standing = snapshot.calendars.get(market);
    let key = key::calendar(market);
    let expected = standing.map_or(Expected::Absent, |held| Expected::At(held.revision));
    let mut point = standing.map(|held| *held.value).unwrap_or_default();
    let books = |promotion: &Promotion| !promotion.archived && promotion.markets.contains(market);
    let was = u32::from(before.is_some_and(|held| books(&held.value)));
    point.changes += 1;
    point.bookings = point.bookings - was + u32::from(books(after));
    change
        .guard(key.clone(), expected)
        .also::<CalendarV1>(key, &point)
}

/// Whether one of its markets lies in the caller's scope.
fn sees(principal: &Principal, promotion: &Promotion) -> bool {
    let readable = |market| {
        principal
            .may(Verb::ReadPromotions, &Object::Market(market))
            .is_ok()
    };
    promotion.markets.iter().any(readable)
}

/// A promotion that stands.
///
/// # Errors
/// `not-found`, also for one that lies in none of the caller's markets.
pub(in crate::engine) fn visible(
    snapshot: &Snapshot,
    principal: &Principal,
    id: PromotionId,
) -> Result<Held<Promotion>, EngineError> {
    visible_among(&snapshot.promotions, principal, id)
}

/// The same among other promotions than those of a snapshot.
pub(in crate::engine) fn visible_among(
    promotions: &Promotions,
    principal: &Principal,
    id: PromotionId,
) -> Result<Held<Promotion>, EngineError> {
    principal.may(Verb::ReadPromotions, &Object::Anywhere)?;
    let held = promotions
        .get(&id)
        .filter(|held| sees(principal, &held.value));
    held.cloned().ok_or(EngineError::NotFound {
        what: "promotion",
        id: id.to_string(),
    })
}

/// Writing needs every market concerned.
pub(in crate::engine) fn may_write(
    principal: &Principal,
    markets: &[MarketId],
) -> Result<(), EngineError> {
    principal.may(Verb::WritePromotions, &Object::Anywhere)?;
    for market in markets {
        principal.may(Verb::WritePromotions, &Object::Market(market))?;
    }
    Ok(())
}

/// The same for the markets a draft names, before it is said whether they exist.
fn may_draft(intent: &Intent, draft: &PromotionDraft) -> Result<(), EngineError> {
    let named = draft
        .markets
        .iter()
        .flatten()
        .filter_map(|text| MarketId::parse(text).ok());
    may_write(&intent.principal, &named.collect::<Vec<_>>())
}

/// Markets whose calendar the change concerns.
fn touched(before: Option<&Promotion>, after: &Promotion) -> BTreeSet<MarketId> {
    let former = before.into_iter().flat_map(|promotion| &promotion.markets);
    former.chain(&after.markets).cloned().collect()
}

/// Another unarchived one of its kind that has its name, without regard to case.
pub(in crate::engine) fn namesake(
    promotions: &Promotions,
    promotion: &Promotion,
) -> Option<PromotionId> {
    if promotion.archived {
        return None;
    }
    let name = promotion.caseless_name();
    let is_namesake = |other: &Promotion| {
        other.id != promotion.id
            && other.kind == promotion.kind
            && !other.archived
            && other.caseless_name() == name
    };
    let mut standing = promotions.values();
    let found = standing.find(|held| is_namesake(&held.value));
    found.map(|held| held.value.id)
}
