//! Whether two values of a market's goods stand alike.

use std::sync::Arc;

use crate::catalogue::{Catalogue, GroupSlot, ProductSlot, RowSlot};
use crate::predicate::rule::Attr;

impl Catalogue {
    /// Whether both have the same variants in the same rows, products, groups, categories and order
    /// of scores, so that all they may differ in are other attributes.
    ///
    /// Looks only into chunks of records that the two do not share.
    pub fn stands_like(&self, other: &Self) -> bool {
        let column = |goods: &Self| goods.columns.get(Attr::CATEGORY).map(Arc::as_ptr);
        let is_same_group = |own: &GroupSlot, others: &GroupSlot| match (own, others) {
            (GroupSlot::Own(own), GroupSlot::Own(others)) => own == others,
            (GroupSlot::Named(_, own), GroupSlot::Named(_, others)) => own == others,
            _ => false,
        };
        let is_same_product = |own: &ProductSlot, others: &ProductSlot| {
            let mut rows = own.rows.iter();
            own.rows == others.rows
                && own.group == others.group
                && (Arc::ptr_eq(&own.record, &others.record)
                    || rows.all(|row| self.score(*row) == other.score(*row)))
        };
        let is_same_row = |own: &RowSlot, others: &RowSlot| {
            own.key == others.key && own.product == others.product
        };
        self.rows.agrees(&other.rows, is_same_row)
            && (Arc::ptr_eq(&self.live, &other.live) || self.live == other.live)
            && Arc::ptr_eq(&self.graph, &other.graph)
            && column(self) == column(other)
            && self.groups.agrees(&other.groups, is_same_group)
            && self.products.agrees(&other.products, is_same_product)
    }
}
