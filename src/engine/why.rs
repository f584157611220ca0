//! Why a selection, stored or not, holds one variant or does not.

use std::sync::Arc;

use crate::access::may::{Object, Verb};
use crate::access::principal::Principal;
use crate::catalogue::row::Row;
use crate::domain::id::{MarketId, PromotionId};
use crate::domain::text::normal;
use crate::domain::time::Today;
use crate::engine::error::EngineError;
use crate::engine::markets::market_state;
use crate::engine::promotions::visible;
use crate::engine::snapshot::MarketState;
use crate::engine::start::Engine;
use crate::engine::unsaved::{Desk, may_look_at};
use crate::promotion::draft::PromotionDraft;
use crate::promotion::terms::Promotion;
use crate::selection::explain::{Why, explain};

/// Whose selection is asked.
#[derive(Clone, Debug)]
pub enum Asked {
    /// That of a promotion as it stands.
    Stored(PromotionId),
    /// That of a draft, of a new promotion or of the one with this id.
    Draft(Option<PromotionId>, Box<PromotionDraft>),
}

/// What a selection says about a variant.
#[derive(Debug)]
pub struct VariantWhy {
    /// The market's part the variant lies in.
    pub state: Arc<MarketState>,
    /// Its row there.
    pub row: Row,
    /// The promotion that was asked.
    pub promotion: Arc<Promotion>,
    /// What its selection says.
    pub why: Why,
}

impl Engine {
    /// Explains why a selection holds a variant of a market, or which rule of each set dropped it.
    ///
    /// # Errors
    /// What the caller may not do; `not-found` for market, promotion and variant; all complaints
    /// about a draft.
    pub fn explain_selection(
        &self,
        principal: &Principal,
        market: &MarketId,
        variant: &str,
        asked: Asked,
    ) -> Result<VariantWhy, EngineError> {
        principal.may(Verb::ReadPromotions, &Object::Market(market))?;
        let (snapshot, now) = (self.snapshot(), self.now());
        let promotion = match asked {
            Asked::Stored(id) => visible(&snapshot, principal, id)?.value,
            Asked::Draft(id, draft) => {
                may_look_at(principal, &draft)?;
                let desk = Desk {
                    principal,
                    snapshot: &snapshot,
                    promotions: &snapshot.promotions,
                    now,
                };
                let promotion = desk.read(id, PromotionId(self.new_id()), *draft);
                Arc::new(promotion.map_err(|refused| refused.under("/promotion"))?)
            }
        };
        let state = market_state(&snapshot, market)?;
        let row = state.catalogue.find_variant(&normal(variant));
        let row = row.ok_or_else(|| EngineError::NotFound {
            what: "variant",
            id: variant.to_owned(),
        })?;
        let today = Today::at(now, &state.catalogue.locale().zone);
        Ok(VariantWhy {
            why: explain(&promotion.selection, &state.catalogue, row, &today),
            state,
            row,
            promotion,
        })
    }
}
