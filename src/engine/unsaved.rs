//! Promotions that nobody has stored: drafts as they would stand if they were published now.

use std::collections::BTreeMap;

use crate::access::may::{Object, Verb};
use crate::access::principal::Principal;
use crate::domain::id::{MarketId, PromotionId};
use crate::domain::time::Timestamp;
use crate::engine::error::EngineError;
use crate::engine::promotions::{goods_of, visible_among};
use crate::engine::snapshot::{Held, Snapshot};
use crate::promotion::draft::{Made, PromotionDraft};
use crate::promotion::terms::Promotion;

/// Random bits of an epoch that is not stored: its real ones are drawn when it is.
const NO_SALT: u64 = 0;

/// Promotions by id, as a snapshot holds them.
pub(in crate::engine) type Promotions = BTreeMap<PromotionId, Held<Promotion>>;

/// Where somebody tries out what they have not published.
#[derive(Clone, Copy)]
pub(in crate::engine) struct Desk<'a> {
    /// Who.
    pub(in crate::engine) principal: &'a Principal,
    /// The goods.
    pub(in crate::engine) snapshot: &'a Snapshot,
    /// What stands, or what was tried out before.
    pub(in crate::engine) promotions: &'a Promotions,
    /// When.
    pub(in crate::engine) now: Timestamp,
}

impl Desk<'_> {
    /// A draft as it would stand in the place of `id`; without one, as a new promotion under the id
    /// `fresh`.
    ///
    /// # Errors
    /// All complaints at once; `not-found` and `wrong-state` for the promotion it would replace.
    pub(in crate::engine) fn read(
        self,
        id: Option<PromotionId>,
        fresh: PromotionId,
        draft: PromotionDraft,
    ) -> Result<Promotion, EngineError> {
        let find = |id: &MarketId| goods_of(self.snapshot, id);
        let Some(id) = id else {
            let made = Made {
                id: fresh,
                by: self.principal.actor(),
                at: self.now,
                salt: NO_SALT,
            };
            return Promotion::create(draft, made, &find).map_err(EngineError::Invalid);
        };
        let before = self.standing(id)?;
        Ok(before.value.edit(draft, self.now, NO_SALT, &find)?)
    }

    /// One that stands.
    ///
    /// # Errors
    /// `not-found`, also for one that lies in none of the caller's markets.
    pub(in crate::engine) fn standing(
        self,
        id: PromotionId,
    ) -> Result<Held<Promotion>, EngineError> {
        visible_among(self.promotions, self.principal, id)
    }
}

/// Looking at a draft asks for the markets it names, as reading what stands there does, before it
/// is said whether they exist.
pub(in crate::engine) fn may_look_at(
    principal: &Principal,
    draft: &PromotionDraft,
) -> Result<(), EngineError> {
    principal.may(Verb::ReadPromotions, &Object::Anywhere)?;
    for text in draft.markets.iter().flatten() {
        if let Ok(market) = MarketId::parse(text) {
            principal.may(Verb::ReadPromotions, &Object::Market(&market))?;
        }
    }
    Ok(())
}
