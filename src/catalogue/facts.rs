//! One variant as the rule language sees it.

use crate::catalogue::Catalogue;
use crate::catalogue::row::Row;
use crate::domain::value::{Value, ValueRef};
use crate::predicate::facts::Facts;
use crate::predicate::rule::Attr;

/// A variant's attribute values: its own, else its product's; categories with all ancestors.
#[derive(Clone, Copy, Debug)]
pub struct RowFacts<'c> {
    catalogue: &'c Catalogue,
    row: Row,
}

impl<'c> RowFacts<'c> {
    /// The facts of `row`; a vacant row has none.
    pub fn new(catalogue: &'c Catalogue, row: Row) -> Self {
        Self { catalogue, row }
    }

    /// The values of an attribute, ascending; none if it has none.
    pub fn get(&self, attr: &str) -> impl Iterator<Item = &'c Value> + use<'c> {
        let row = self.row;
        let column = self.catalogue.column(attr);
        column.into_iter().flat_map(move |column| {
            let ids = column.of(row).iter();
            ids.map(|&id| column.value(id))
        })
    }
}

impl Facts for RowFacts<'_> {
    fn values<'a>(&'a self, attr: &'a Attr) -> impl Iterator<Item = ValueRef<'a>> {
        self.get(attr.as_str()).map(Value::as_ref)
    }
}
