//! **What is for sale in this market, with which attributes, categories, scores?**
//!
//! A [`Catalogue`] is one market's goods as an immutable value. Feeds bring
//! [`ProductRecord`]s; everything else is derived from them.
//!
//! - [`product`]: records as stored, and what a variant inherits from its product
//! - [`row`]: [`Row`], the stable ordinal of a variant, and sets of rows
//! - [`market`]: the shop front: currency, zone, settings
//! - [`attribute`]: the schema: what is built in, declared, inferred
//! - [`category`]: the graph of categories, with placeholders for ids that nobody defines
//! - [`mod@column`]: all values of one attribute, and the rows that hold each
//! - [`facts`]: one variant as the rule language sees it
//! - [`score`]: the base order
//! - [`text`]: the matcher of `q`
//!
//! Invariants: a `Row` keeps its meaning in a value and in the values that deltas make of it; the
//! index agrees with a linear scan; a delta gives what a full rebuild would.

pub mod attribute;
mod build;
pub mod category;
mod cells;
pub mod change;
mod check;
mod chunked;
pub mod column;
mod column_build;
mod column_patch;
pub mod delta;
mod edit;
pub mod facts;
#[cfg(test)]
mod fixture;
mod folded;
pub mod full;
pub mod guard;
mod infer;
mod key_index;
mod labels;
#[cfg(test)]
mod laws;
mod lists;
pub mod market;
mod next;
pub mod product;
pub mod row;
pub mod score;
mod settle;
mod shape;
mod stage;
mod tally;
pub mod text;
pub mod warning;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::catalogue::attribute::{PRODUCT_KEY, Schema, TITLE, VARIANT_KEY};
use crate::catalogue::category::CategoryGraph;
use crate::catalogue::chunked::Chunked;
use crate::catalogue::column::Column;
use crate::catalogue::facts::RowFacts;
use crate::catalogue::key_index::KeyIndex;
use crate::catalogue::labels::Labels;
use crate::catalogue::market::Market;
use crate::catalogue::product::{CategoryRecord, ProductRecord, VariantRecord};
use crate::catalogue::row::{GroupNo, ProductNo, Row, RowSet};
use crate::domain::category::CategoryId;
use crate::domain::id::{GroupKey, ProductKey, VariantKey};
use crate::domain::number::Score;
use crate::domain::value::Locale;
use crate::predicate::rule::Attr;

/// Most variants of a market.
pub const VARIANTS_MAX: usize = 10_000_000;

/// Most variants of a product.
pub const VARIANTS_PER_PRODUCT_MAX: usize = 1_000;

/// One market's goods, indexed; immutable, and cheap to derive the next value from.
#[derive(Clone, Debug)]
pub struct Catalogue {
    market: Arc<Market>,
    schema: Arc<Schema>,
    products: Chunked<ProductSlot>,
    product_index: KeyIndex,
    rows: Chunked<RowSlot>,
    variant_index: KeyIndex,
    labels: Labels,
    live: Arc<RowSet>,
    groups: Chunked<GroupSlot>,
    group_index: KeyIndex,
    categories: Arc<BTreeMap<CategoryId, Arc<CategoryRecord>>>,
    /// How many products are put directly into each category.
    named: Arc<BTreeMap<CategoryId, u32>>,
    graph: Arc<CategoryGraph>,
    columns: BTreeMap<Attr, Arc<Column>>,
}

/// A product, or, without rows, the place where one was.
#[derive(Clone, Debug)]
struct ProductSlot {
    record: Arc<ProductRecord>,
    /// Of its variants, ascending.
    rows: Arc<[Row]>,
    group: GroupNo,
}

/// A variant, or the place where one was.
#[derive(Clone, Debug)]
struct RowSlot {
    key: VariantKey,
    product: ProductNo,
    /// Place among the variants of the product's record; means nothing when vacant.
    place: u32,
}

/// Products that belong together.
#[derive(Clone, Debug)]
enum GroupSlot {
    /// One product without a group.
    Own(ProductNo),
    /// A group that the shop named, with the rows of its products, ascending; possibly none.
    Named(GroupKey, Box<[Row]>),
}

impl Catalogue {
    /// The shop front.
    pub fn market(&self) -> &Market {
        &self.market
    }

    /// Currency and zone of the shop front.
    pub fn locale(&self) -> &Locale {
        &self.market.locale
    }

    /// What is known about each attribute.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// The categories.
    pub fn graph(&self) -> &CategoryGraph {
        &self.graph
    }

    /// One more than the greatest row; rows below it may be vacant.
    pub fn n_rows(&self) -> u32 {
        u32::try_from(self.rows.len()).expect("a market has at most 10 million variants")
    }

    /// The rows that are not vacant.
    pub fn live(&self) -> &RowSet {
        &self.live
    }

    /// Key of the variant that stands, or stood, at `row`.
    pub fn variant_key(&self, row: Row) -> &VariantKey {
        &self.rows.at(row.0 as usize).key
    }

    /// Key of the product.
    pub fn product_key(&self, product: ProductNo) -> &ProductKey {
        &self.product(product).record.key
    }

    /// Keys of the product and of the variant that stand, or stood, at `row`; the cheap way to many.
    pub fn keys(&self, row: Row) -> (&str, &str) {
        self.labels.at(row)
    }

    /// The row of a variant.
    pub fn find_variant(&self, key: &str) -> Option<Row> {
        let key_of = |row: u32| self.variant_key(Row(row)).as_str();
        self.variant_index.find(key, key_of).map(Row)
    }

    /// The number of a product.
    pub fn find_product(&self, key: &str) -> Option<ProductNo> {
        let key_of = |product: u32| self.product_key(ProductNo(product)).as_str();
        self.product_index.find(key, key_of).map(ProductNo)
    }

    /// The number of a group that the shop named.
    pub fn find_group(&self, key: &str) -> Option<GroupNo> {
        self.group_index
            .find(key, |group| self.groups.at(group as usize).name())
            .map(GroupNo)
    }

    /// The product of a variant.
    pub fn product_of(&self, row: Row) -> ProductNo {
        self.rows.at(row.0 as usize).product
    }

    /// The group of a variant.
    pub fn group_of(&self, row: Row) -> GroupNo {
        self.product(self.product_of(row)).group
    }

    /// The rows of a product, ascending; none if the number is vacant.
    pub fn rows_of_product(&self, product: ProductNo) -> &[Row] {
        &self.product(product).rows
    }

    /// The rows of a group, ascending; none if the number is vacant.
    pub fn rows_of_group(&self, group: GroupNo) -> &[Row] {
        match self.groups.at(group.0 as usize) {
            GroupSlot::Own(product) if self.product(*product).group == group => {
                self.rows_of_product(*product)
            }
            GroupSlot::Own(_) => &[],
            GroupSlot::Named(_, rows) => rows,
        }
    }

    /// One more than the greatest product number; numbers below it may be vacant.
    pub fn n_product_numbers(&self) -> u32 {
        u32::try_from(self.products.len()).expect("a market has fewer products than variants")
    }

    /// One more than the greatest group number; numbers below it may be vacant.
    pub fn n_group_numbers(&self) -> u32 {
        u32::try_from(self.groups.len()).expect("a market has fewer groups than variants")
    }

    /// The products, ascending by number, none of them vacant.
    pub fn products(&self) -> impl Iterator<Item = (ProductNo, &Arc<ProductRecord>)> {
        let slots = (0..).map(ProductNo).zip(self.products.iter());
        slots
            .filter(|(_, slot)| !slot.rows.is_empty())
            .map(|(product, slot)| (product, &slot.record))
    }

    /// The product's record; of a vacant number, the last one.
    pub fn record(&self, product: ProductNo) -> &Arc<ProductRecord> {
        &self.product(product).record
    }

    /// The variant's record.
    ///
    /// # Panics
    /// If the row is vacant.
    pub fn variant_record(&self, row: Row) -> &VariantRecord {
        assert!(self.live.contains(row), "row {} is vacant", row.0);
        let slot = self.rows.at(row.0 as usize);
        &self.product(slot.product).record.variants[slot.place as usize]
    }

    /// The variant's own score, else its product's.
    ///
    /// # Panics
    /// If the row is vacant.
    pub fn score(&self, row: Row) -> Option<Score> {
        let own = self.variant_record(row).score;
        own.or_else(|| self.record(self.product_of(row)).score)
    }

    /// The definition of a category; placeholders have none.
    pub fn category(&self, id: &str) -> Option<&Arc<CategoryRecord>> {
        self.categories.get(id)
    }

    /// The definitions of categories, ascending by id.
    pub fn categories(&self) -> impl Iterator<Item = &Arc<CategoryRecord>> + Clone {
        self.categories.values()
    }

    /// All values of an attribute, built-in ones included; `None` if no variant has one.
    pub fn column(&self, attr: &str) -> Option<&Column> {
        self.columns.get(attr).map(Arc::as_ref)
    }

    /// Attributes that a text query looks into, each once: title and keys, what the market names,
    /// and what is declared so.
    pub fn search_attributes(&self) -> impl Iterator<Item = &str> {
        let always = [TITLE, VARIANT_KEY, PRODUCT_KEY].into_iter();
        let market = self.market.search_attributes.iter().map(Attr::as_str);
        let declared = self.schema.iter().filter(|(_, found)| found.search);
        let all = always.chain(market).chain(declared.map(|(attr, _)| attr));
        all.collect::<BTreeSet<&str>>().into_iter()
    }

    /// The variant as the rule language sees it; a vacant row has no values.
    pub fn facts(&self, row: Row) -> RowFacts<'_> {
        RowFacts::new(self, row)
    }

    fn product(&self, product: ProductNo) -> &ProductSlot {
        self.products.at(product.0 as usize)
    }
}

impl GroupSlot {
    /// The name that the shop gave, or nothing; names are never empty.
    fn name(&self) -> &str {
        match self {
            Self::Own(_) => "",
            Self::Named(key, _) => key.as_str(),
        }
    }
}
