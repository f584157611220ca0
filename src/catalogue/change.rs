//! What an import changes, counts and refuses.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalogue::Catalogue;
use crate::catalogue::attribute::Declared;
use crate::catalogue::product::{CategoryRecord, FeedOperation, ProductRecord};
use crate::catalogue::warning::Warning;
use crate::domain::category::CategoryId;
use crate::domain::complaint::Fault;
use crate::domain::id::{ProductKey, VariantKey};
use crate::predicate::rule::Attr;

/// Records that a market holds from now on; `None` takes one away.
///
/// This is what a store keeps of an import: applied again to the same catalogue, it gives the same
/// next one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Products, with all their variants. A variant stands in one of them only.
    pub products: BTreeMap<ProductKey, Option<Arc<ProductRecord>>>,
    /// Categories; together with those that stay they lie in no loop.
    pub categories: BTreeMap<CategoryId, Option<Arc<CategoryRecord>>>,
    /// Attributes that are new or became multi-valued.
    pub declared: Declared,
}

impl Changes {
    /// Whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.products.is_empty() && self.categories.is_empty() && self.declared.is_empty()
    }
}

/// One operation that cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Place of the operation in the list given.
    pub operation: usize,
    /// The product concerned.
    pub product: Option<ProductKey>,
    /// The variant concerned.
    pub variant: Option<VariantKey>,
    /// The category concerned.
    pub category: Option<CategoryId>,
    /// The attribute, built-in ones included.
    pub attr: Option<Attr>,
    /// The value that does not fit, as text.
    pub value: Option<String>,
    /// What is wrong.
    pub fault: Fault,
}

impl Refusal {
    /// A fault of a whole operation.
    pub(super) fn of(operation: usize, fault: Fault) -> Self {
        Self {
            operation,
            product: None,
            variant: None,
            category: None,
            attr: None,
            value: None,
            fault,
        }
    }
}

/// How many records of one kind came, changed, went or stayed as they were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Keys that are new.
    pub added: u32,
    /// Keys whose record differs.
    pub changed: u32,
    /// Keys that are gone.
    pub removed: u32,
    /// Keys that the import left as they were.
    pub unchanged: u32,
}

/// What an import did, per kind of record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Variants; one also changes when its product's part of it does.
    pub variants: Tally,
    /// Products without regard to their variants.
    pub products: Tally,
    /// Defined categories.
    pub categories: Tally,
}

/// What an import gives: the next value, and everything to say about it.
#[derive(Clone, Debug)]
pub struct Imported {
    /// The catalogue after the import.
    pub next: Catalogue,
    /// What became different, for the store.
    pub changes: Changes,
    /// Operations left out, ascending; in a full import their records stay as they were.
    pub refusals: Vec<Refusal>,
    /// Oddities of the next value.
    pub warnings: Vec<Warning>,
    /// What happened.
    pub counts: Counts,
}

/// Kinds of record that a full feed replaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kinds {
    /// Products and variants without their scores.
    pub products: bool,
    /// Categories.
    pub categories: bool,
    /// Own scores of variants, and scores of products where products are replaced.
    pub scores: bool,
}

impl Kinds {
    /// The kinds that `operations` contain.
    pub fn of(operations: &[FeedOperation]) -> Self {
        let mut kinds = Self::default();
        for operation in operations {
            match operation {
                FeedOperation::ReplaceProduct(record) => {
                    kinds.products = true;
                    kinds.scores |= record.score.is_some();
                    kinds.scores |= record.variants.iter().any(|own| own.score.is_some());
                }
                FeedOperation::ReplaceVariant { variant, .. } => {
                    kinds.products = true;
                    kinds.scores |= variant.score.is_some();
                }
                FeedOperation::ReplaceCategory(_) => kinds.categories = true,
                FeedOperation::SetScore { .. } => kinds.scores = true,
                FeedOperation::EditProduct { .. }
                | FeedOperation::EditVariant { .. }
                | FeedOperation::DeleteProduct(_)
                | FeedOperation::DeleteVariant(_)
                | FeedOperation::EditCategory { .. }
                | FeedOperation::MentionCategory(_)
                | FeedOperation::DeleteCategory(_) => {}
            }
        }
        kinds
    }
}

/// Keys of rows that could not be read: a full import keeps their records as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unreadable {
    /// Products, with all their variants.
    pub products: Vec<ProductKey>,
    /// Single variants.
    pub variants: Vec<VariantKey>,
    /// Categories.
    pub categories: Vec<CategoryId>,
}
