//! The harm that a full import would do, in words.

use crate::catalogue::Catalogue;
use crate::catalogue::guard::{Harm, harms};
use crate::domain::time::{Timestamp, Today};
use crate::engine::snapshot::MarketState;
use crate::selection::evaluate::evaluate;

/// Names of the active promotions that would lose their last variant.
pub(in crate::engine) fn emptied(
    before: &MarketState,
    next: &Catalogue,
    now: Timestamp,
) -> Vec<String> {
    let Some(timed) = before.view_at(now) else {
        return Vec::new();
    };
    let today = Today::at(now, &next.locale().zone);
    let loses_all = |promotion: &&crate::promotion::terms::Promotion| {
        let held = before.sets.get(&promotion.id);
        held.is_some_and(|set| !set.rows.is_empty())
            && evaluate(&promotion.selection, next, &today).is_empty()
    };
    let promotions = timed.promotions.iter().map(|held| &*held.value);
    promotions
        .filter(loses_all)
        .map(|promotion| promotion.name.clone())
        .collect()
}

/// Code and text of each harm; none means that the import may go on.
pub(in crate::engine) fn words(
    before: &Catalogue,
    next: &Catalogue,
    emptied: &[String],
) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = harms(before, next).iter().map(word).collect();
    found.extend(emptied.iter().map(|name| {
        let text = format!("the active promotion \"{name}\" would lose its last variant");
        ("promotion-emptied".to_owned(), text)
    }));
    found
}

fn word(harm: &Harm) -> (String, String) {
    match harm {
        Harm::Vanished { count, of, allowed } => (
            "products-vanish".to_owned(),
            format!("{count} of {of} products would vanish, at most {allowed} % may"),
        ),
        Harm::SoldOut { count, of, allowed } => (
            "stock-drops".to_owned(),
            format!("{count} of {of} variants in stock would sell out, at most {allowed} % may"),
        ),
    }
}
