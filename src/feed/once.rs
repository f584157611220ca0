//! Keys that a feed may replace once.

use std::collections::HashSet;
use std::hash::Hash;

use crate::catalogue::product::FeedOperation;
use crate::domain::category::CategoryId;
use crate::domain::complaint::{Fault, token};
use crate::domain::id::{ProductKey, VariantKey};
use crate::feed::result::{Faults, Refused, subject};

/// Every key replaced so far. About 30 bytes a key beside its text, which the records share.
#[derive(Default)]
pub(super) struct Once {
    products: HashSet<ProductKey>,
    variants: HashSet<VariantKey>,
    categories: HashSet<CategoryId>,
    scores: HashSet<VariantKey>,
}

impl Once {
    /// Takes the keys of a row's operations; `name` tells the column of a target.
    ///
    /// # Errors
    /// `duplicate` for each key that an earlier row took.
    pub(super) fn check(
        &mut self,
        row: u64,
        operations: &[FeedOperation],
        name: impl Fn(&str) -> String,
    ) -> Result<(), Refused> {
        let mut faults = Faults::of_row(row);
        for operation in operations {
            match operation {
                FeedOperation::ReplaceProduct(product) => {
                    let column = || name("product");
                    take(&mut self.products, &product.key, &mut faults, column);
                    for variant in &product.variants {
                        let column = || format!("/variants/{}", token(variant.key.as_str()));
                        take(&mut self.variants, &variant.key, &mut faults, column);
                    }
                }
                FeedOperation::ReplaceVariant { variant, .. } => {
                    let column = || name("variant");
                    take(&mut self.variants, &variant.key, &mut faults, column);
                }
                FeedOperation::ReplaceCategory(category) => {
                    let column = || name("category");
                    take(&mut self.categories, &category.id, &mut faults, column);
                }
                FeedOperation::SetScore { variant, .. } => {
                    take(&mut self.scores, variant, &mut faults, || name("variant"));
                }
                FeedOperation::EditProduct { .. }
                | FeedOperation::EditVariant { .. }
                | FeedOperation::EditCategory { .. }
                | FeedOperation::MentionCategory(_)
                | FeedOperation::DeleteProduct(_)
                | FeedOperation::DeleteVariant(_)
                | FeedOperation::DeleteCategory(_) => {}
            }
        }
        if let Some(first) = operations.first() {
            faults.about(subject(first));
        }
        faults.finish()
    }
}

fn take<K: Clone + Eq + Hash + ToString>(
    taken: &mut HashSet<K>,
    key: &K,
    faults: &mut Faults,
    column: impl Fn() -> String,
) {
    if !taken.insert(key.clone()) {
        let value = key.to_string();
        faults.add(
            column(),
            &value,
            Fault::Duplicate {
                value: value.clone(),
            },
        );
    }
}
