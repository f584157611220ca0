//! Several promotions at once, and copies.

use crate::access::may::{Object, Verb};
use crate::domain::id::PromotionId;
use crate::domain::limits::PROMOTION_NAME_CHARS_MAX;
use crate::engine::commit::{Intent, Known, Written};
use crate::engine::error::EngineError;
use crate::engine::promotions::{
    PromotionView, Redraft, Render, Step, may_write, namesake, visible,
};
use crate::engine::snapshot::Snapshot;
use crate::engine::start::Engine;
use crate::promotion::terms::Promotion;

/// Most promotions of one call: as many as may be active in a market.
pub const BULK_MAX: usize = 100;

impl Engine {
    /// Takes the same step with several promotions, one after the other. Each stands for itself:
    /// what one is refused for keeps none of the others.
    ///
    /// # Errors
    /// Only if the caller may change none.
    pub async fn step_promotions(
        &self,
        intent: &Intent,
        order: &[(PromotionId, Known)],
        step: Step,
        render: Render<'_>,
    ) -> Result<Vec<Result<Written<PromotionView>, EngineError>>, EngineError> {
        intent
            .principal
            .may(Verb::WritePromotions, &Object::Anywhere)?;
        let mut outcomes = Vec::with_capacity(order.len());
        for (id, known) in order {
            let own = intent.part(&id.to_string());
            outcomes.push(self.step_promotion(&own, *id, *known, step, render).await);
        }
        Ok(outcomes)
    }

    /// Creates a copy of a promotion, held back unless the draft says otherwise, under a name of
    /// its own. `redraft` makes a draft of the copy.
    ///
    /// # Errors
    /// As creating; `not-found`, `stale-revision` for the original.
    pub async fn duplicate_promotion(
        &self,
        intent: &Intent,
        id: PromotionId,
        known: Known,
        redraft: Redraft<'_>,
        render: Render<'_>,
    ) -> Result<Written<PromotionView>, EngineError> {
        let snapshot = self.snapshot();
        let original = visible(&snapshot, &intent.principal, id)?;
        may_write(&intent.principal, &original.value.markets)?;
        // A repeated request gets its first answer, whatever became of the original since.
        if self.replay(intent).await?.is_none() {
            known.check(original.revision)?;
        }
        let copy = copy_of(&snapshot, &original.value).map_err(EngineError::Invalid)?;
        let draft = redraft(&copy)?;
        self.create_promotion_as("promotion.duplicate", intent, draft, render)
            .await
    }
}

/// A copy that is held back, with the first name that is free: `Name (copy)`, `Name (copy 2)`, …
fn copy_of(
    snapshot: &Snapshot,
    original: &Promotion,
) -> Result<Promotion, Vec<crate::domain::complaint::Complaint>> {
    let named = |n: u32| {
        let mut terms = original.clone().into_terms();
        terms.id = PromotionId([0; 16]);
        terms.name = copied_name(&original.name, n);
        terms.suspended = true;
        terms.archived = false;
        Promotion::new(terms)
    };
    let mut n = 1;
    loop {
        let copy = named(n)?;
        if namesake(&snapshot.promotions, &copy).is_none() {
            return Ok(copy);
        }
        n += 1;
    }
}

/// The name of the `n`th copy, cut where it would become too long.
fn copied_name(name: &str, n: u32) -> String {
    let tail = match n {
        1 => " (copy)".to_owned(),
        n => format!(" (copy {n})"),
    };
    let room = PROMOTION_NAME_CHARS_MAX - tail.chars().count();
    let head: String = name.chars().take(room).collect();
    format!("{}{tail}", head.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_copies_are_never_too_long() {
        let check = |name: &str, n: u32, expected: &str| {
            let found = copied_name(name, n);
            assert_eq!(found, expected);
            assert!(found.chars().count() <= PROMOTION_NAME_CHARS_MAX);
        };
        check("Warm week", 1, "Warm week (copy)");
        check("Warm week", 12, "Warm week (copy 12)");
        let long = "ö".repeat(50);
        check(&long, 1, &format!("{} (copy)", "ö".repeat(43)));
        let spaced = format!("{} {}", "x".repeat(40), "y".repeat(9));
        check(&spaced, 10, &format!("{} (copy 10)", "x".repeat(40)));
    }
}
