//! Feed mappings: which column of a foreign feed means what, kept by market and name.

use crate::access::may::{Object, Verb};
use crate::domain::id::MarketId;
use crate::domain::text::bounded;
use crate::engine::commit::{Change, Intent, Known, Missed, StoredAnswer, Written};
use crate::engine::error::EngineError;
use crate::engine::markets::market_state;
use crate::engine::start::Engine;
use crate::feed::mapping::Mapping;
use crate::record::import::MappingV1;
use crate::record::key;
use crate::store::commit::Expected;

/// Longest name of a mapping.
const NAME_CHARS_MAX: usize = 64;

/// Most mappings of a market.
const MAPPINGS_MAX: usize = 200;

impl Engine {
    /// Keeps a mapping under a name. A new name needs no revision; replacing one does.
    ///
    /// # Errors
    /// All complaints about the mapping at once; `precondition-required` is the edge's to ask,
    /// `stale-revision`, `limit-reached`.
    pub async fn put_mapping(
        &self,
        intent: &Intent,
        market: &MarketId,
        name: &str,
        json: String,
        known: Option<Known>,
    ) -> Result<Written<bool>, EngineError> {
        intent
            .principal
            .may(Verb::Import, &Object::Market(market))?;
        let _turn = self.begin(intent)?;
        if let Some((answer, revision)) = self.replay(intent).await? {
            return Ok(Written::Replayed(answer, revision));
        }
        let name = bounded(name, NAME_CHARS_MAX)
            .map_err(|fault| EngineError::Invalid(vec![fault.at("/name")]))?
            .into_owned();
        Mapping::parse(&json).map_err(EngineError::Invalid)?;
        let snapshot = self.snapshot();
        market_state(&snapshot, market)?;
        let held = snapshot.mappings.get(&(market.clone(), name.clone()));
        let expected = match (held, known) {
            (None, _) => Expected::Absent,
            (Some(held), None) => {
                return Err(EngineError::StaleRevision {
                    current: held.revision.0,
                });
            }
            (Some(held), Some(known)) => {
                known.check(held.revision)?;
                Expected::At(held.revision)
            }
        };
        let own = snapshot
            .mappings
            .keys()
            .filter(|(id, _)| id == market)
            .count();
        if held.is_none() && MAPPINGS_MAX <= own {
            return Err(EngineError::LimitReached {
                limit: MAPPINGS_MAX,
            });
        }
        let is_new = held.is_none();
        let object = key::mapping(market, &name);
        let form = MappingV1 { name, json };
        let change =
            Change::put("mapping.put", object.clone(), &form, self.now())?.guard(object, expected);
        let status = if is_new { 201 } else { 200 };
        let answer = StoredAnswer {
            status,
            location: None,
            body: Some(form.json.into_bytes()),
        };
        match self.commit(intent, change, Some(&answer)).await {
            Ok(revision) => Ok(Written::Now(is_new, revision)),
            Err(Missed::Before) => self.first_answer(intent).await,
            Err(Missed::Overtaken) => Err(EngineError::Overloaded),
            Err(Missed::Refused(error)) => Err(error),
        }
    }

    /// Forgets a mapping.
    ///
    /// # Errors
    /// `not-found`, `stale-revision`.
    pub async fn delete_mapping(
        &self,
        intent: &Intent,
        market: &MarketId,
        name: &str,
        known: Known,
    ) -> Result<(), EngineError> {
        intent
            .principal
            .may(Verb::Import, &Object::Market(market))?;
        let held = self.mapping(&intent.principal, market, name)?;
        known.check(held.revision)?;
        let object = key::mapping(market, name);
        let change = Change::delete("mapping.delete", object.clone(), self.now())
            .guard(object, Expected::At(held.revision));
        match self.commit(intent, change, None).await {
            Ok(_) | Err(Missed::Before) => Ok(()),
            Err(Missed::Overtaken) => Err(EngineError::Overloaded),
            Err(Missed::Refused(error)) => Err(error),
        }
    }
}
