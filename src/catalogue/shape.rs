//! In what two values of a market's goods are alike.

use std::sync::Arc;

use crate::catalogue::column::Column;
use crate::catalogue::row::{ProductNo, Row};
use crate::catalogue::{Catalogue, GroupSlot, ProductSlot, RowSlot};
use crate::predicate::rule::Attr;

/// About what a variant's record takes, its share of the product's included.
const BYTES_A_RECORD: usize = 300;

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

    /// The rows whose attributes may differ from those in `former`, whole products each, ascending;
    /// some may be vacant by now. `None` if rows mean other variants, or settings, declarations or
    /// edges of categories changed, so that all may differ.
    ///
    /// Looks only into chunks of records that the two do not share.
    pub fn rows_changed_since(&self, former: &Self) -> Option<Vec<Row>> {
        let same_keys = |own: &RowSlot, others: &RowSlot| own.key == others.key;
        let moved = former.rows.differing(&self.rows, same_keys);
        let grown = former.rows.len()..self.rows.len();
        let is_kept = moved.len() == grown.len()
            && moved.first().is_none_or(|row| *row == grown.start)
            && Arc::ptr_eq(&self.graph, &former.graph)
            && self.schema == former.schema
            && self.market == former.market;
        if !is_kept {
            return None;
        }
        let same_record = |own: &ProductSlot, others: &ProductSlot| {
            Arc::ptr_eq(&own.record, &others.record) && own.rows == others.rows
        };
        let mut rows: Vec<Row> = Vec::new();
        for number in self.products.differing(&former.products, same_record) {
            let number = ProductNo(u32::try_from(number).expect("products are counted in 32 bits"));
            let known = |goods: &Self| number.0 < goods.n_product_numbers();
            for goods in [former, self].into_iter().filter(|goods| known(goods)) {
                rows.extend_from_slice(goods.rows_of_product(number));
            }
        }
        rows.sort_unstable();
        rows.dedup();
        Some(rows)
    }

    /// About how many bytes it holds that `other` does not share: columns and records.
    pub fn bytes_apart(&self, other: Option<&Self>) -> usize {
        let is_shared = |attr: &Attr, own: &Arc<Column>| {
            let theirs = other.and_then(|other| other.columns.get(attr.as_str()));
            theirs.is_some_and(|theirs| Arc::ptr_eq(theirs, own))
        };
        let columns = self.columns.iter();
        let columns = columns.filter(|(attr, own)| !is_shared(attr, own));
        let same =
            |own: &ProductSlot, others: &ProductSlot| Arc::ptr_eq(&own.record, &others.record);
        let n_products = match other {
            Some(other) => self.products.differing(&other.products, same).len(),
            None => self.products.len(),
        };
        let n_rows = n_products * self.rows.len() / self.products.len().max(1);
        columns.map(|(_, own)| own.bytes()).sum::<usize>() + n_rows * BYTES_A_RECORD
    }
}
