//! A feed that replaces everything of the kinds it contains.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::catalogue::Catalogue;
use crate::catalogue::build::assemble;
use crate::catalogue::cells::Map;
use crate::catalogue::change::{Changes, Imported, Kinds, Refusal, Unreadable};
use crate::catalogue::delta::{allowed, changes};
use crate::catalogue::product::{CategoryRecord, FeedOperation, ProductFields, ProductRecord};
use crate::catalogue::row::Row;
use crate::catalogue::stage::{Stage, target_of};
use crate::catalogue::tally::counts;
use crate::domain::category::CategoryId;
use crate::domain::complaint::Fault;
use crate::domain::id::{ProductKey, VariantKey};
use crate::predicate::rule::Attr;

/// What a full feed says.
#[derive(Clone, Debug, Default)]
pub struct FullFeed {
    /// Its rows, in any order; only replacing operations and scores.
    pub operations: Vec<FeedOperation>,
    /// Kinds of record it replaces; [`Kinds::of`] tells them from the operations.
    pub kinds: Kinds,
    /// Keys of rows that could not be read.
    pub unreadable: Unreadable,
}

/// Replaces the kinds of record that the feed contains; the others stay as they are.
///
/// The record of a bad row stays as it was, if it was there, so that a typo deletes nothing.
/// Rows are numbered anew if products are replaced.
///
/// # Errors
/// All refusals, ascending by operation, if there are more than `refusals_max`.
pub fn full(
    current: &Catalogue,
    feed: FullFeed,
    refusals_max: usize,
) -> Result<Imported, Vec<Refusal>> {
    let base = if feed.kinds.products {
        current.emptied()
    } else {
        current.clone()
    };
    let mut stage = Stage::new(&base);
    stage.kept_categories = if feed.kinds.categories {
        Arc::default()
    } else {
        Arc::clone(&current.categories)
    };
    let (scores, records): (Vec<_>, Vec<_>) = (0..)
        .zip(feed.operations)
        .partition(|(_, operation)| matches!(operation, FeedOperation::SetScore { .. }));
    stage.replace_all(records);
    stage.keep_bad(current, &feed.unreadable);
    stage.replace_scores(current, feed.kinds, scores, &feed.unreadable);
    let kept = if feed.kinds.categories {
        &BTreeMap::new()
    } else {
        &*current.categories
    };
    stage.settle_categories(kept, &current.categories);
    if feed.kinds.categories {
        for id in current.categories.keys() {
            stage.categories.entry(id.clone()).or_insert(None);
        }
    }
    let (next, changes, refusals) = if feed.kinds.products {
        rebuilt(current, stage, refusals_max)?
    } else {
        let refusals = allowed(std::mem::take(&mut stage.refusals), refusals_max)?;
        let changes = changes(current, stage, BTreeMap::new());
        (current.with(&changes), changes, refusals)
    };
    Ok(Imported {
        counts: counts(current, &changes),
        warnings: next.oddities(),
        next,
        changes,
        refusals,
    })
}

/// Indexes the staged products; those that contradict themselves go back, and it starts again.
fn rebuilt(
    current: &Catalogue,
    mut stage: Stage<'_>,
    refusals_max: usize,
) -> Result<(Catalogue, Changes, Vec<Refusal>), Vec<Refusal>> {
    let categories: Vec<_> = stage.merged(&current.categories).into_values().collect();
    let build = |products: Vec<Arc<ProductRecord>>| {
        let declared = current.schema().declared();
        assemble(
            Arc::clone(&current.market),
            declared,
            products,
            categories.clone(),
        )
    };
    let mut refusals = std::mem::take(&mut stage.refusals);
    if refusals_max < refusals.len() {
        let products = stage.products.values().flatten().cloned().map(Arc::new);
        let (next, findings) = build(products.collect());
        stage.settle_levels(current, &suspects(&next, &findings.dissenters));
        refusals.append(&mut stage.refusals);
        return Err(allowed(refusals, refusals_max).unwrap_or_else(|all| all));
    }
    let (mut next, findings) = build(shared(current, std::mem::take(&mut stage.products)));
    if !findings.dissenters.is_empty() {
        let suspects = suspects(&next, &findings.dissenters);
        for (_, record) in next.products() {
            let record = ProductRecord::clone(record);
            stage.products.insert(record.key.clone(), Some(record));
        }
        stage.settle_levels(current, &suspects);
        refusals.append(&mut stage.refusals);
        refusals = allowed(refusals, refusals_max)?;
        next = build(shared(current, std::mem::take(&mut stage.products))).0;
    }
    let changes = difference(current, &next);
    Ok((next, changes, allowed(refusals, refusals_max)?))
}

impl Catalogue {
    /// The same market and schema without goods.
    fn emptied(&self) -> Self {
        let declared = self.schema.declared();
        assemble(Arc::clone(&self.market), declared, Vec::new(), Vec::new()).0
    }
}

/// The records shared with `current` where they did not change.
fn shared(
    current: &Catalogue,
    staged: BTreeMap<ProductKey, Option<ProductRecord>>,
) -> Vec<Arc<ProductRecord>> {
    let share = |record: ProductRecord| {
        let number = current.find_product(record.key.as_str());
        let standing = number.map(|number| current.record(number));
        match standing.filter(|standing| ***standing == record) {
            Some(standing) => Arc::clone(standing),
            None => Arc::new(record),
        }
    };
    staged.into_values().flatten().map(share).collect()
}

/// Products of variants that differ from their siblings.
fn suspects(
    next: &Catalogue,
    dissenters: &BTreeMap<Attr, Vec<Row>>,
) -> BTreeMap<ProductKey, BTreeSet<Attr>> {
    let mut suspects: BTreeMap<ProductKey, BTreeSet<Attr>> = BTreeMap::new();
    for (attr, rows) in dissenters {
        for row in rows {
            let key = next.product_key(next.product_of(*row)).clone();
            suspects.entry(key).or_default().insert(attr.clone());
        }
    }
    suspects
}

/// What of `next` differs from `current`.
fn difference(current: &Catalogue, next: &Catalogue) -> Changes {
    let mut changes = Changes::default();
    for (_, record) in current.products() {
        if next.find_product(record.key.as_str()).is_none() {
            changes.products.insert(record.key.clone(), None);
        }
    }
    for (_, record) in next.products() {
        let number = current.find_product(record.key.as_str());
        if number.map(|number| current.record(number)) != Some(record) {
            changes
                .products
                .insert(record.key.clone(), Some(Arc::clone(record)));
        }
    }
    for id in current.categories.keys() {
        if !next.categories.contains_key(id) {
            changes.categories.insert(id.clone(), None);
        }
    }
    for (id, record) in &*next.categories {
        if current.categories.get(id) != Some(record) {
            changes
                .categories
                .insert(id.clone(), Some(Arc::clone(record)));
        }
    }
    for (attr, declaration) in next.schema.declared() {
        if current.schema.get(attr.as_str()) != Some(*declaration) {
            changes.declared.insert(attr.clone(), *declaration);
        }
    }
    changes
}

/// Operations with their places in the feed.
type Numbered = Vec<(usize, FeedOperation)>;

impl Stage<'_> {
    /// Applies replacing operations: whole products first, so that the order of rows is
    /// irrelevant; mentions of categories last.
    fn replace_all(&mut self, mut operations: Numbered) {
        operations.sort_by_key(|(_, what)| match what {
            FeedOperation::ReplaceVariant { .. } => 1,
            FeedOperation::MentionCategory(_) => 2,
            _ => 0,
        });
        let mut seen = Seen::default();
        for (place, what) in operations {
            match seen.fault(&what, |variant| self.home(variant).is_some()) {
                None => self.apply(place, what),
                Some(fault) => {
                    let mut refusal = Refusal::of(place, fault);
                    refusal.name(&target_of(&what));
                    self.refusals.push(refusal);
                }
            }
        }
    }

    /// Puts records of bad rows back as they were, unless a good row brought them as well.
    fn keep_bad(&mut self, current: &Catalogue, unreadable: &Unreadable) {
        let refused = self.refusals.clone();
        let (nested, flat): (Vec<_>, Vec<_>) = refused
            .into_iter()
            .partition(|refusal| refusal.product.is_some());
        let nested = nested.into_iter().filter_map(|refusal| refusal.product);
        for key in nested.chain(unreadable.products.iter().cloned()) {
            if self.product_mut(&key).is_none() {
                self.restore_product(current, &key);
            }
        }
        let categories = flat.iter().filter_map(|refusal| refusal.category.clone());
        for id in categories.chain(unreadable.categories.iter().cloned()) {
            if let Some(record) = current.category(id.as_str()) {
                let entry = self.categories.entry(id);
                entry.or_insert_with(|| Some(CategoryRecord::clone(record)));
            }
        }
        let variants = flat.into_iter().filter_map(|refusal| refusal.variant);
        for key in variants.chain(unreadable.variants.iter().cloned()) {
            if self.home(&key).is_none() {
                self.restore_variant(current, &key);
            }
        }
    }

    /// Sets the scores of the feed; others go if the feed replaces scores, else they stay.
    fn replace_scores(
        &mut self,
        current: &Catalogue,
        kinds: Kinds,
        scores: Numbered,
        unreadable: &Unreadable,
    ) {
        let mut kept: BTreeSet<VariantKey> = unreadable.variants.iter().cloned().collect();
        for (place, what) in scores {
            if let FeedOperation::SetScore { variant, .. } = &what {
                if kept.insert(variant.clone()) || unreadable.variants.contains(variant) {
                    self.apply(place, what);
                } else {
                    let value = variant.to_string();
                    let refusal = Refusal::of(place, Fault::Duplicate { value });
                    self.refusals.push(Refusal {
                        variant: Some(variant.clone()),
                        ..refusal
                    });
                }
            }
        }
        match (kinds.products, kinds.scores) {
            (true, false) => self.inherit_scores(current),
            (false, true) => self.clear_scores(current, &kept),
            _ => {}
        }
    }

    fn inherit_scores(&mut self, current: &Catalogue) {
        for record in self.products.values_mut().flatten() {
            if let Some(number) = current.find_product(record.key.as_str()) {
                record.score = current.record(number).score;
            }
            for variant in &mut record.variants {
                if let Some(row) = current.find_variant(variant.key.as_str()) {
                    variant.score = current.variant_record(row).score;
                }
            }
        }
    }

    fn clear_scores(&mut self, current: &Catalogue, kept: &BTreeSet<VariantKey>) {
        for row in current.live().iter() {
            let variant = current.variant_record(row);
            if variant.score.is_some() && !kept.contains(&variant.key) {
                self.clear_score(&variant.key);
            }
        }
    }
}

/// Keys that a feed has named so far.
#[derive(Default)]
struct Seen {
    products: Map<ProductKey, ()>,
    categories: Map<CategoryId, ()>,
    /// What flat rows said about products.
    fields: Map<ProductKey, ProductFields>,
}

impl Seen {
    /// What is wrong with an operation next to those before it.
    fn fault(
        &mut self,
        what: &FeedOperation,
        has_variant: impl Fn(&VariantKey) -> bool,
    ) -> Option<Fault> {
        let repeated = |key: &str| {
            let value = key.to_owned();
            Some(Fault::Duplicate { value })
        };
        match what {
            FeedOperation::ReplaceProduct(record) => {
                if self.products.insert(record.key.clone(), ()).is_some() {
                    return repeated(record.key.as_str());
                }
                let taken = record.variants.iter().find(|own| has_variant(&own.key));
                taken.and_then(|own| repeated(own.key.as_str()))
            }
            FeedOperation::ReplaceVariant {
                product,
                product_fields,
                variant,
            } => {
                if has_variant(&variant.key) {
                    return repeated(variant.key.as_str());
                }
                let (product, fields) = (product.as_ref()?, product_fields.as_ref()?);
                let said = self.fields.entry(product.clone()).or_default();
                join(said, fields).err()
            }
            FeedOperation::ReplaceCategory(record) => {
                let before = self.categories.insert(record.id.clone(), ());
                before.and_then(|()| repeated(record.id.as_str()))
            }
            FeedOperation::MentionCategory(_) => None,
            _ => {
                let why = "a full feed replaces; edits and deletes belong to a delta".to_owned();
                Some(Fault::Contradiction { why })
            }
        }
    }
}

/// Adds what a flat row says about its product to what others said.
///
/// # Errors
/// `contradiction` if both say something else about one field; then nothing is added.
fn join(said: &mut ProductFields, fields: &ProductFields) -> Result<(), Fault> {
    let contradicts = |field: &str| Fault::Contradiction {
        why: format!("rows of one product differ in {field}"),
    };
    if said.group.is_some() && fields.group.is_some() && said.group != fields.group {
        return Err(contradicts("product_group"));
    }
    if said.seller.is_some() && fields.seller.is_some() && said.seller != fields.seller {
        return Err(contradicts("seller"));
    }
    let both = !said.categories.is_empty() && !fields.categories.is_empty();
    if both && as_set(&said.categories) != as_set(&fields.categories) {
        return Err(contradicts("category"));
    }
    for own in &fields.attributes {
        let other = said.attributes.iter().find(|other| other.attr == own.attr);
        if other.is_some_and(|other| as_set(&other.texts) != as_set(&own.texts)) {
            return Err(contradicts(own.attr.as_str()));
        }
    }
    said.group = said.group.take().or_else(|| fields.group.clone());
    said.seller = said.seller.take().or_else(|| fields.seller.clone());
    if said.categories.is_empty() {
        said.categories.clone_from(&fields.categories);
    }
    for own in &fields.attributes {
        if !said.attributes.iter().any(|other| other.attr == own.attr) {
            said.attributes.push(own.clone());
        }
    }
    Ok(())
}

fn as_set<T: Ord>(items: &[T]) -> BTreeSet<&T> {
    items.iter().collect()
}
