//! What only shows when all operations are applied: variants that contradict their siblings, and
//! categories in loops. The records concerned go back to what they were.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::catalogue::Catalogue;
use crate::catalogue::category::{CategoryGraph, DEPTH_MAX};
use crate::catalogue::change::Refusal;
use crate::catalogue::edit::{find_variant, without_variants};
use crate::catalogue::product::{AttributeTexts, CategoryRecord, ProductRecord, VariantRecord};
use crate::catalogue::stage::{Stage, Target};
use crate::domain::category::CategoryId;
use crate::domain::complaint::Fault;
use crate::domain::id::{ProductKey, VariantKey};
use crate::predicate::rule::Attr;

/// Records that went back, and what an operation on them is told.
#[derive(Default)]
struct Undone {
    products: BTreeMap<ProductKey, Refusal>,
    variants: BTreeMap<VariantKey, Refusal>,
    categories: BTreeMap<CategoryId, Fault>,
}

impl Stage<'_> {
    /// Finds, in each of `suspects`, the variants that contradict their siblings in an attribute
    /// of products, and takes back what `previous` did not have so.
    ///
    /// Variants that say what they said in `previous` are right, whatever the others say; where
    /// there is none, the first one is.
    pub(super) fn settle_levels(
        &mut self,
        previous: &Catalogue,
        suspects: &BTreeMap<ProductKey, BTreeSet<Attr>>,
    ) {
        let mut undone = Undone::default();
        for (key, attrs) in suspects {
            let Some(Some(record)) = self.products.get(key) else {
                continue;
            };
            for attr in attrs {
                let of_base = |variant: &VariantKey| texts_before(self.base, variant, attr);
                for (variant, value) in dissent(record, attr, of_base) {
                    let why = format!("\"{attr}\" belongs to the product, but its variants differ");
                    let refusal = Refusal {
                        product: Some(key.clone()),
                        variant: Some(variant.clone()),
                        attr: Some(attr.clone()),
                        value,
                        ..Refusal::of(0, Fault::Contradiction { why })
                    };
                    undone.variants.entry(variant).or_insert(refusal);
                }
            }
        }
        if undone.variants.is_empty() {
            return;
        }
        self.widen_to_products(&mut undone);
        self.take_back(previous, &undone);
        self.name_operations(&undone);
    }

    /// A variant that came inside a product operation cannot go back without it.
    fn widen_to_products(&self, undone: &mut Undone) {
        let touched: BTreeSet<&VariantKey> = self
            .targets
            .iter()
            .filter_map(|(_, target)| match target {
                Target::Variant(key) => Some(key),
                _ => None,
            })
            .collect();
        let nested = undone.variants.values();
        let nested: Vec<Refusal> = nested
            .filter(|refusal| {
                !refusal
                    .variant
                    .as_ref()
                    .is_some_and(|key| touched.contains(key))
            })
            .cloned()
            .collect();
        for refusal in nested {
            let Some(key) = refusal.product.clone() else {
                continue;
            };
            if let Some(Some(record)) = self.products.get(&key) {
                for variant in &record.variants {
                    let entry = undone.variants.entry(variant.key.clone());
                    entry.or_insert_with(|| refusal.clone());
                }
            }
            undone.products.entry(key).or_insert(refusal);
        }
    }

    fn take_back(&mut self, previous: &Catalogue, undone: &Undone) {
        for key in undone.products.keys() {
            self.take_product(key);
            self.restore_product(previous, key);
        }
        for key in undone.variants.keys() {
            let is_back = self
                .home(key)
                .is_some_and(|home| undone.products.contains_key(&home));
            if !is_back {
                self.take_variant(key);
                self.restore_variant(previous, key);
            }
        }
    }

    /// Puts a product back as it was, without variants that stand elsewhere by now.
    pub(super) fn restore_product(&mut self, previous: &Catalogue, key: &ProductKey) {
        let Some(number) = previous.find_product(key.as_str()) else {
            return;
        };
        let record = previous.record(number);
        for variant in &record.variants {
            if self.home(&variant.key).is_none() {
                self.put_variant(without_variants(record), variant.clone());
            }
        }
    }

    /// Puts a variant back as it was, into the product it was in.
    pub(super) fn restore_variant(&mut self, previous: &Catalogue, key: &VariantKey) {
        let Some(row) = previous.find_variant(key.as_str()) else {
            return;
        };
        let record = previous.record(previous.product_of(row));
        let variant = previous.variant_record(row).clone();
        self.put_variant(without_variants(record), variant);
    }

    /// Refuses every operation on a record that went back.
    fn name_operations(&mut self, undone: &Undone) {
        for (operation, target) in &self.targets {
            let refusal = match target {
                Target::Product(key) => undone.products.get(key).cloned(),
                Target::Variant(key) => undone.variants.get(key).cloned(),
                Target::Category(id) => undone.categories.get(id).map(|fault| Refusal {
                    category: Some(id.clone()),
                    ..Refusal::of(0, fault.clone())
                }),
            };
            if let Some(refusal) = refusal {
                self.refusals.push(Refusal {
                    operation: *operation,
                    ..refusal
                });
            }
        }
    }

    /// Takes back staged categories until the graph has no loop and no chain that is too long.
    ///
    /// `kept` are the definitions that stay where nothing is staged, `previous` those to go back
    /// to.
    pub(super) fn settle_categories(
        &mut self,
        kept: &BTreeMap<CategoryId, Arc<CategoryRecord>>,
        previous: &BTreeMap<CategoryId, Arc<CategoryRecord>>,
    ) {
        let mut undone = Undone::default();
        loop {
            let faults = faults_of(&self.merged(kept));
            let mut progress = false;
            for (ids, fault) in faults {
                let before = |id: &CategoryId| previous.get(id).map(Arc::as_ref);
                let is_new = |id: &&CategoryId| match self.categories.get(*id) {
                    Some(Some(record)) => before(id) != Some(record),
                    _ => false,
                };
                let mut blamed: Vec<&CategoryId> = ids.iter().filter(is_new).collect();
                blamed.sort_unstable();
                if let Some(id) = blamed.first() {
                    self.categories.insert((*id).clone(), before(id).cloned());
                    undone.categories.insert((*id).clone(), fault);
                    progress = true;
                }
            }
            if !progress {
                break;
            }
        }
        if !undone.categories.is_empty() {
            self.name_operations(&undone);
        }
    }

    /// The definitions that stay and the staged ones, ascending by id.
    pub(super) fn merged(
        &self,
        kept: &BTreeMap<CategoryId, Arc<CategoryRecord>>,
    ) -> BTreeMap<CategoryId, Arc<CategoryRecord>> {
        let mut merged = kept.clone();
        for (id, staged) in &self.categories {
            match staged {
                Some(record) => merged.insert(id.clone(), Arc::new(record.clone())),
                None => merged.remove(id),
            };
        }
        merged
    }
}

/// Loops with the categories in them, and categories that lie too deep.
fn faults_of(
    categories: &BTreeMap<CategoryId, Arc<CategoryRecord>>,
) -> Vec<(Vec<CategoryId>, Fault)> {
    let records = categories.values().map(Arc::as_ref);
    match CategoryGraph::build(records, std::iter::empty()) {
        Ok(graph) => {
            let too_deep = graph.too_deep().into_iter().map(|node| {
                let id = graph.id(node).clone();
                let fault = Fault::OutOfRange {
                    found: id.to_string(),
                    allowed: format!("at most {DEPTH_MAX} categories above each other"),
                };
                (vec![id], fault)
            });
            too_deep.collect()
        }
        Err(loops) => {
            let fault = |ids: Vec<CategoryId>| {
                let names: Vec<&str> = ids.iter().map(CategoryId::as_str).collect();
                let why = format!("categories lie in a loop: {}", names.join(" > "));
                (ids, Fault::Contradiction { why })
            };
            loops.into_iter().map(fault).collect()
        }
    }
}

/// Variants to blame for a disagreement, with the value they bring.
fn dissent(
    record: &ProductRecord,
    attr: &Attr,
    before: impl Fn(&VariantKey) -> Option<Vec<String>>,
) -> Vec<(VariantKey, Option<String>)> {
    let now = |variant: &VariantRecord| effective(record, variant, attr);
    let stays = |variant: &&VariantRecord| before(&variant.key) == Some(now(variant));
    let reference = record
        .variants
        .iter()
        .find(stays)
        .or(record.variants.first());
    let Some(reference) = reference.map(now) else {
        return Vec::new();
    };
    let blamed = record.variants.iter().filter(|variant| {
        let own = now(variant);
        own != reference && before(&variant.key) != Some(own)
    });
    blamed
        .map(|variant| (variant.key.clone(), now(variant).first().cloned()))
        .collect()
}

/// Texts that a variant shows, ascending: its own, else its product's.
pub(super) fn effective(
    record: &ProductRecord,
    variant: &VariantRecord,
    attr: &Attr,
) -> Vec<String> {
    let find = |all: &[AttributeTexts]| {
        let place = all.binary_search_by(|own| own.attr.cmp(attr)).ok()?;
        Some(all[place].texts.iter().map(ToString::to_string).collect())
    };
    let found: Option<Vec<String>> = find(&variant.attributes).or_else(|| find(&record.attributes));
    let mut texts = found.unwrap_or_default();
    texts.sort_unstable();
    texts.dedup();
    texts
}

/// Texts that a variant showed in a catalogue, if it was there.
fn texts_before(catalogue: &Catalogue, variant: &VariantKey, attr: &Attr) -> Option<Vec<String>> {
    let row = catalogue.find_variant(variant.as_str())?;
    let record = catalogue.record(catalogue.product_of(row));
    let place = find_variant(record, variant).ok()?;
    Some(effective(record, &record.variants[place], attr))
}
