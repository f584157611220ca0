//! How many records an import changed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalogue::Catalogue;
use crate::catalogue::change::{Changes, Counts, Tally};
use crate::catalogue::edit::without_variants;
use crate::catalogue::product::ProductRecord;
use crate::domain::id::VariantKey;

/// Counts what `changes` do to `current`.
pub(super) fn counts(current: &Catalogue, changes: &Changes) -> Counts {
    let mut counts = Counts::default();
    let mut variants: BTreeMap<&VariantKey, (Place<'_>, Place<'_>)> = BTreeMap::new();
    for (key, new) in &changes.products {
        let number = current.find_product(key.as_str());
        let old = number.map(|number| current.record(number));
        let differs = match (old, new) {
            (Some(old), Some(new)) => without_variants(old) != without_variants(new),
            _ => true,
        };
        counts.products.note(old.is_some(), new.is_some(), differs);
        for (place, variant) in places(old) {
            variants.entry(variant).or_default().0 = Some(place);
        }
        for (place, variant) in places(new.as_ref()) {
            variants.entry(variant).or_default().1 = Some(place);
        }
    }
    for (old, new) in variants.into_values() {
        let differs = match (old, new) {
            (Some(old), Some(new)) => !same(old, new),
            _ => true,
        };
        counts.variants.note(old.is_some(), new.is_some(), differs);
    }
    for (id, new) in &changes.categories {
        let old = current.category(id.as_str());
        counts
            .categories
            .note(old.is_some(), new.is_some(), old != new.as_ref());
    }
    counts.products.rest(current.products().count());
    counts.variants.rest(current.live.len() as usize);
    counts.categories.rest(current.categories.len());
    counts
}

/// Where a variant's record is found.
type Place<'r> = Option<(&'r Arc<ProductRecord>, usize)>;

fn places(
    record: Option<&Arc<ProductRecord>>,
) -> impl Iterator<Item = ((&Arc<ProductRecord>, usize), &VariantKey)> {
    record.into_iter().flat_map(|record| {
        let variants = record.variants.iter().enumerate();
        variants.map(move |(place, variant)| ((record, place), &variant.key))
    })
}

fn same(old: (&Arc<ProductRecord>, usize), new: (&Arc<ProductRecord>, usize)) -> bool {
    old.0.variants[old.1] == new.0.variants[new.1]
        && without_variants(old.0) == without_variants(new.0)
}

impl Tally {
    fn note(&mut self, was: bool, is: bool, differs: bool) {
        match (was, is) {
            (false, true) => self.added += 1,
            (true, false) => self.removed += 1,
            (true, true) if differs => self.changed += 1,
            _ => {}
        }
    }

    /// All others are unchanged.
    fn rest(&mut self, n_before: usize) {
        let n_before = u32::try_from(n_before).unwrap_or(u32::MAX);
        self.unchanged = n_before - self.changed - self.removed;
    }
}
