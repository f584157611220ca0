//! Shop fronts: open one, change its settings, and how its attributes are to be read.

use std::sync::Arc;

use crate::access::may::{Object, Verb};
use crate::access::principal::Principal;
use crate::catalogue::Catalogue;
use crate::catalogue::attribute::{Declaration, Level, is_built_in};
use crate::catalogue::market::{Market, MarketDraft};
use crate::domain::complaint::{Complaint, Complaints, Fault};
use crate::domain::id::MarketId;
use crate::domain::value::ValueType;
use crate::engine::commit::{Change, Intent, Known, Missed, StoredAnswer, TRIES, Written};
use crate::engine::error::EngineError;
use crate::engine::snapshot::{Held, MarketState, Snapshot};
use crate::engine::start::Engine;
use crate::predicate::rule::Attr;
use crate::record::key;
use crate::record::market::{DeclaredV1, GoodsV1, MarketV1};
use crate::store::commit::Expected;

/// How an edge turns a market into the answer that is kept for repeated requests.
pub type RenderMarket<'a> = &'a (dyn Fn(&Market) -> StoredAnswer + Send + Sync);

/// How a draft is made of the market that stands.
pub type RedraftMarket<'a> =
    &'a (dyn Fn(&Market) -> Result<MarketDraft, EngineError> + Send + Sync);

/// What shall be different about an attribute; `None` leaves alone.
#[derive(Clone, Debug, Default)]
pub struct AttributeEdit {
    /// Type of its values.
    pub kind: Option<ValueType>,
    /// Where its values stand.
    pub level: Option<Level>,
    /// Whether it may have several values.
    pub multi: Option<bool>,
    /// Whether pages offer it as a facet.
    pub facet: Option<bool>,
    /// Whether text queries look into it.
    pub search: Option<bool>,
    /// What was wrong with it before it became an edit; told with everything else.
    pub faults: Vec<Complaint>,
}

/// A market as it shall be, and its goods.
type ChangeMarket<'a> =
    &'a (dyn Fn(&MarketState) -> Result<(Market, GoodsV1), EngineError> + Send + Sync);

impl Engine {
    /// Opens a market.
    ///
    /// # Errors
    /// All complaints at once; `name-taken` if the key exists, `limit-reached`.
    pub async fn create_market(
        &self,
        intent: &Intent,
        draft: &MarketDraft,
        render: RenderMarket<'_>,
    ) -> Result<Written<Arc<Market>>, EngineError> {
        intent
            .principal
            .may(Verb::WriteMarkets, &Object::Anywhere)?;
        let _turn = self.begin(intent)?;
        if let Some((answer, revision)) = self.replay(intent).await? {
            return Ok(Written::Replayed(answer, revision));
        }
        let market = Market::read(draft).map_err(EngineError::Invalid)?;
        intent
            .principal
            .may(Verb::WriteMarkets, &Object::Market(&market.id))?;
        let snapshot = self.snapshot();
        if snapshot.markets.contains_key(&market.id) {
            return Err(EngineError::NameTaken {
                id: market.id.to_string(),
            });
        }
        let limit = self.settings().markets_max;
        if limit <= snapshot.markets.len() {
            return Err(EngineError::LimitReached { limit });
        }
        let object = key::market(&market.id);
        let form = MarketV1::new(&market, GoodsV1::default());
        let change = Change::put("market.create", object.clone(), &form, self.now())?
            .guard(object, Expected::Absent);
        let answer = intent.idempotency.map(|_| render(&market));
        match self.commit(intent, change, answer.as_ref()).await {
            Ok(revision) => Ok(Written::Now(Arc::new(market), revision)),
            Err(Missed::Before) => self.first_answer(intent).await,
            Err(Missed::Overtaken) => Err(EngineError::Overloaded),
            Err(Missed::Refused(EngineError::StaleRevision { .. })) => {
                Err(EngineError::NameTaken {
                    id: market.id.to_string(),
                })
            }
            Err(Missed::Refused(error)) => Err(error),
        }
    }

    /// Changes a market's settings.
    ///
    /// # Errors
    /// All complaints at once, `read-only` for another key; `in-use` for another currency while
    /// there are goods, whose prices are kept in its minor units.
    pub async fn edit_market(
        &self,
        intent: &Intent,
        id: &MarketId,
        known: Known,
        redraft: RedraftMarket<'_>,
        render: RenderMarket<'_>,
    ) -> Result<Written<Arc<Market>>, EngineError> {
        let edit = |state: &MarketState| {
            let before = &*state.market.value;
            let after = Market::read(&redraft(before)?).map_err(EngineError::Invalid)?;
            if after.id != before.id {
                return Err(EngineError::Invalid(vec![Fault::ReadOnly.at("/market")]));
            }
            if after.locale.currency != before.locale.currency && !state.catalogue.live().is_empty()
            {
                return Err(EngineError::InUse {
                    by: "catalogue".to_owned(),
                });
            }
            Ok((after, (*state.goods).clone()))
        };
        self.change_market(intent, "market.edit", id, known, &edit, render)
            .await
    }

    /// Declares how an attribute is to be read from now on. Values that do not fit the new type
    /// count as missing, and the next full import refuses them.
    ///
    /// `known` is the revision of the market, of which declarations are a part. What is answered
    /// follows from what stands, so of the answer only the fact is kept.
    ///
    /// # Errors
    /// `not-found` for an attribute nobody has; `read-only` for a built-in one's type and level;
    /// `stale-revision`.
    pub async fn edit_attribute(
        &self,
        intent: &Intent,
        id: &MarketId,
        attr: &Attr,
        known: Known,
        edit: &AttributeEdit,
    ) -> Result<Written<Arc<Market>>, EngineError> {
        let change = |state: &MarketState| {
            let standing = state.catalogue.schema().get(attr.as_str());
            let standing = standing.ok_or_else(|| EngineError::NotFound {
                what: "attribute",
                id: attr.to_string(),
            })?;
            let declaration = edit.apply(attr, standing)?;
            let mut goods = (*state.goods).clone();
            goods
                .attributes
                .retain(|declared| declared.attr != attr.as_str());
            goods.attributes.push(declared_v1(attr, declaration));
            goods
                .attributes
                .sort_by(|left, right| left.attr.cmp(&right.attr));
            Ok(((*state.market.value).clone(), goods))
        };
        let render = |_: &Market| StoredAnswer {
            status: 200,
            location: None,
            body: None,
        };
        self.change_market(intent, "attribute.edit", id, known, &change, &render)
            .await
    }

    /// The caller's markets, by key.
    ///
    /// # Errors
    /// What the caller may not do.
    pub fn markets(&self, principal: &Principal) -> Result<Vec<Arc<MarketState>>, EngineError> {
        principal.may(Verb::ReadCatalogue, &Object::Anywhere)?;
        let snapshot = self.snapshot();
        let own = snapshot
            .markets
            .iter()
            .filter(|(id, _)| principal.markets.holds(id));
        Ok(own.map(|(_, state)| Arc::clone(state)).collect())
    }

    /// One market as it stands.
    ///
    /// # Errors
    /// What the caller may not do; `not-found`.
    pub fn market(
        &self,
        principal: &Principal,
        id: &MarketId,
    ) -> Result<Arc<MarketState>, EngineError> {
        principal.may(Verb::ReadCatalogue, &Object::Market(id))?;
        market_state(&self.snapshot(), id)
    }

    async fn change_market(
        &self,
        intent: &Intent,
        action: &'static str,
        id: &MarketId,
        known: Known,
        change: ChangeMarket<'_>,
        render: RenderMarket<'_>,
    ) -> Result<Written<Arc<Market>>, EngineError> {
        let verb = if action == "market.edit" {
            Verb::WriteMarkets
        } else {
            Verb::Import
        };
        intent.principal.may(verb, &Object::Market(id))?;
        let _turn = self.begin(intent)?;
        if let Some((answer, revision)) = self.replay(intent).await? {
            return Ok(Written::Replayed(answer, revision));
        }
        for _ in 0..TRIES {
            let snapshot = self.snapshot();
            let state = market_state(&snapshot, id)?;
            known.check(state.market.revision)?;
            let (market, goods) = change(&state)?;
            let object = key::market(id);
            let written = Change::put(
                action,
                object.clone(),
                &MarketV1::new(&market, goods),
                self.now(),
            )?
            .guard(object, Expected::At(state.market.revision));
            let answer = intent.idempotency.map(|_| render(&market));
            match self.commit(intent, written, answer.as_ref()).await {
                Ok(revision) => return Ok(Written::Now(Arc::new(market), revision)),
                Err(Missed::Before) => return self.first_answer(intent).await,
                Err(Missed::Refused(EngineError::StaleRevision { .. })) if known == Known::Any => {
                    self.catch_up(&snapshot).await?;
                }
                Err(Missed::Refused(error)) => return Err(error),
                Err(Missed::Overtaken) => self.catch_up(&snapshot).await?,
            }
        }
        Err(EngineError::Overloaded)
    }
}

impl AttributeEdit {
    fn apply(&self, attr: &Attr, standing: Declaration) -> Result<Declaration, EngineError> {
        let mut complaints = Complaints::after(self.faults.clone());
        let fixed = is_built_in(attr.as_str());
        let moved = [
            ("/type", self.kind.is_some_and(|kind| kind != standing.kind)),
            (
                "/level",
                self.level.is_some_and(|level| level != standing.level),
            ),
            (
                "/multi",
                self.multi.is_some_and(|multi| multi != standing.multi),
            ),
        ];
        for (pointer, _) in moved.into_iter().filter(|(_, moved)| fixed && *moved) {
            complaints.add(pointer, Fault::ReadOnly);
        }
        let declaration = Declaration {
            kind: self.kind.unwrap_or(standing.kind),
            level: self.level.unwrap_or(standing.level),
            multi: self.multi.unwrap_or(standing.multi),
            facet: self.facet.unwrap_or(standing.facet),
            search: self.search.unwrap_or(standing.search),
        };
        complaints
            .finish(Some(declaration))
            .map_err(EngineError::Invalid)
    }
}

/// The stored form of a declaration.
pub(in crate::engine) fn declared_v1(attr: &Attr, declaration: Declaration) -> DeclaredV1 {
    DeclaredV1 {
        attr: attr.to_string(),
        kind: declaration.kind.as_str().to_owned(),
        variant_level: declaration.level == Level::Variant,
        multi: declaration.multi,
        facet: declaration.facet,
        search: declaration.search,
    }
}

/// The stored forms of all that a catalogue has declared or inferred.
pub(in crate::engine) fn declared_of(catalogue: &Catalogue) -> Vec<DeclaredV1> {
    let declared = catalogue.schema().declared().iter();
    declared
        .map(|(attr, declaration)| declared_v1(attr, *declaration))
        .collect()
}

/// A market of a snapshot, for callers within whose scope it lies: whether others exist, nobody is
/// told.
pub(in crate::engine) fn market_state(
    snapshot: &Snapshot,
    id: &MarketId,
) -> Result<Arc<MarketState>, EngineError> {
    let found = snapshot.markets.get(id).map(Arc::clone);
    found.ok_or_else(|| EngineError::NotFound {
        what: "market",
        id: id.to_string(),
    })
}

/// The market's settings as held.
impl MarketState {
    /// The settings and the revision of their last change.
    pub fn held(&self) -> &Held<Market> {
        &self.market
    }
}
