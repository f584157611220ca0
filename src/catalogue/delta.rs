//! Upserts, edits and deletes, and the catalogue after them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::catalogue::Catalogue;
use crate::catalogue::attribute::{Declared, Level};
use crate::catalogue::build::number;
use crate::catalogue::cells::{Occurrences, TextCells};
use crate::catalogue::change::{Changes, Imported, Refusal};
use crate::catalogue::infer;
use crate::catalogue::product::{FeedOperation, ProductRecord};
use crate::catalogue::row::Row;
use crate::catalogue::stage::Stage;
use crate::catalogue::tally::counts;
use crate::domain::id::ProductKey;
use crate::predicate::rule::Attr;

/// Applies upserts, edits and deletes in their order.
///
/// # Errors
/// All refusals, ascending by operation, if there are more than `refusals_max`.
pub fn delta(
    current: &Catalogue,
    operations: Vec<FeedOperation>,
    refusals_max: usize,
) -> Result<Imported, Vec<Refusal>> {
    let mut stage = Stage::new(current);
    let is_mention =
        |operation: &FeedOperation| matches!(operation, FeedOperation::MentionCategory(_));
    let mut mentions = Vec::new();
    for (place, operation) in operations.into_iter().enumerate() {
        if is_mention(&operation) {
            mentions.push((place, operation));
        } else {
            stage.apply(place, operation);
        }
    }
    for (place, mention) in mentions {
        stage.apply(place, mention);
    }
    let (mut declared, suspects) = inferred(&stage);
    stage.settle_levels(current, &suspects);
    stage.settle_categories(&current.categories, &current.categories);
    let refusals = allowed(std::mem::take(&mut stage.refusals), refusals_max)?;
    if !suspects.is_empty() {
        declared = inferred(&stage).0;
    }
    let changes = changes(current, stage, declared);
    let counts = counts(current, &changes);
    let next = current.with(&changes);
    Ok(Imported {
        warnings: next.oddities(),
        next,
        changes,
        refusals,
        counts,
    })
}

/// The refusals in order, if they are few enough.
pub(super) fn allowed(
    mut refusals: Vec<Refusal>,
    max: usize,
) -> Result<Vec<Refusal>, Vec<Refusal>> {
    refusals.sort_by_key(|refusal| refusal.operation);
    if refusals.len() <= max {
        Ok(refusals)
    } else {
        Err(refusals)
    }
}

/// Attributes that are new or became multi-valued, and products whose variants differ in an
/// attribute of products.
fn inferred(stage: &Stage<'_>) -> (Declared, BTreeMap<ProductKey, BTreeSet<Attr>>) {
    let staged = stage.products.values().flatten();
    let records: Vec<Arc<ProductRecord>> = staged.cloned().map(Arc::new).collect();
    let (slots, _) = number(records);
    let schema = stage.base.schema();
    let mut declared = Declared::new();
    let mut suspects: BTreeMap<ProductKey, BTreeSet<Attr>> = BTreeMap::new();
    for (attr, occurrences) in Occurrences::gather(slots.iter()).into_sorted() {
        let cells = TextCells::resolve(&occurrences);
        let dissenters = infer::dissenters(&cells, slots.iter().map(|slot| &*slot.rows));
        let known = schema.get(attr.as_str());
        if known.is_some_and(|known| known.level == Level::Product) {
            for row in &dissenters {
                let place = slots.partition_point(|slot| slot.rows.last() < Some(row));
                let key = slots[place].record.key.clone();
                suspects.entry(key).or_default().insert(attr.clone());
            }
        }
        let n_rows = slots.last().and_then(|slot| slot.rows.last());
        let context = (stage.base.locale(), n_rows.map_or(0, |Row(last)| last + 1));
        let found = infer::find(attr.as_str(), known, cells, dissenters, context);
        if known != Some(found.declaration) {
            declared.insert(attr.clone(), found.declaration);
        }
    }
    (declared, suspects)
}

/// What of the staged records differs from those that stand.
pub(super) fn changes(current: &Catalogue, stage: Stage<'_>, declared: Declared) -> Changes {
    let mut changes = Changes {
        declared,
        ..Changes::default()
    };
    for (key, staged) in stage.products {
        let number = current.find_product(key.as_str());
        let standing = number.map(|number| current.record(number).as_ref());
        if standing != staged.as_ref() {
            changes.products.insert(key, staged.map(Arc::new));
        }
    }
    for (id, staged) in stage.categories {
        if current.category(id.as_str()).map(Arc::as_ref) != staged.as_ref() {
            changes.categories.insert(id, staged.map(Arc::new));
        }
    }
    changes
}
