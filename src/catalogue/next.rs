//! From a catalogue and changed records to the next catalogue, which shares the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rayon::iter::{IntoParallelIterator, ParallelIterator};

use crate::catalogue::attribute::{Schema, VARIANT_KEY};
use crate::catalogue::build::{graph_of, ordinal};
use crate::catalogue::category::Node;
use crate::catalogue::cells::{self, FROM_VARIANT, KEYS, category_values, key_of_product};
use crate::catalogue::change::Changes;
use crate::catalogue::column::Column;
use crate::catalogue::column_patch::RowChanges;
use crate::catalogue::market::Market;
use crate::catalogue::product::{AttributeTexts, ProductRecord};
use crate::catalogue::row::{GroupNo, ProductNo, Row};
use crate::catalogue::{Catalogue, GroupSlot, ProductSlot, RowSlot};
use crate::domain::category::CategoryId;
use crate::domain::id::GroupKey;
use crate::domain::value::{Value, ValueType};
use crate::predicate::rule::Attr;

impl Catalogue {
    /// The catalogue in which the changed records stand.
    ///
    /// Variants keep their rows, also when they move to another product; those that are gone leave
    /// theirs vacant. Shares chunks of records and all columns that no changed record touches; a
    /// touched column costs one pass over its rows.
    #[must_use]
    pub fn with(&self, changes: &Changes) -> Self {
        let mut next = self.clone();
        let mut declared = self.schema.declared().clone();
        declared.extend(
            changes
                .declared
                .iter()
                .map(|(attr, found)| (attr.clone(), *found)),
        );
        next.schema = Arc::new(Schema::new(declared));
        let graph_changed = next.change_graph(self, changes);
        let touched = next.change_records(self, changes);
        next.change_columns(self, &touched, graph_changed);
        next.make_searchable();
        next
    }
}

impl Catalogue {
    /// The same goods under other settings of the market.
    ///
    /// Another currency or zone reads texts anew, so it takes a [`Catalogue::build`].
    #[must_use]
    pub fn with_market(&self, market: Market) -> Self {
        debug_assert!(
            market.locale == self.market.locale,
            "another locale takes a build"
        );
        let mut next = self.clone();
        next.market = Arc::new(market);
        next.make_searchable();
        next
    }

    /// Folds the attributes that a text query looks into and that are not folded yet.
    pub(super) fn make_searchable(&mut self) {
        let attrs: Vec<String> = self.search_attributes().map(str::to_owned).collect();
        for attr in attrs {
            if let Some(column) = self.columns.get_mut(attr.as_str())
                && column.folded.is_none()
            {
                Arc::make_mut(column).make_searchable();
            }
        }
    }
}

/// What a change of records touched.
struct Touched {
    /// Rows of changed products, before and after, ascending; some are vacant by now.
    rows: Vec<Row>,
    /// Attributes that their records name, before or after.
    attrs: BTreeSet<Attr>,
}

impl Catalogue {
    /// Brings categories up to date; whether any edge may have changed.
    fn change_graph(&mut self, old: &Self, changes: &Changes) -> bool {
        let named = Arc::make_mut(&mut self.named);
        for (key, new) in &changes.products {
            let number = old.find_product(key.as_str());
            for id in number
                .iter()
                .flat_map(|number| &old.record(*number).categories)
            {
                if let Some(count) = named.get_mut(id) {
                    *count -= 1;
                }
            }
            for id in new.iter().flat_map(|record| &record.categories) {
                *named.entry(id.clone()).or_default() += 1;
            }
        }
        named.retain(|_, count| 0 < *count);
        if !changes.categories.is_empty() {
            let categories = Arc::make_mut(&mut self.categories);
            for (id, new) in &changes.categories {
                match new {
                    Some(record) => categories.insert(id.clone(), Arc::clone(record)),
                    None => categories.remove(id),
                };
            }
        }
        let edges_changed = !changes.categories.is_empty();
        if edges_changed || !named.keys().eq(old.named.keys()) {
            self.graph = Arc::new(graph_of(&self.categories, &self.named).0);
        }
        edges_changed
    }

    /// Brings products, rows and groups up to date.
    fn change_records(&mut self, old: &Self, changes: &Changes) -> Touched {
        let mut before = BTreeSet::new();
        let mut attrs = BTreeSet::new();
        let mut now = BTreeSet::new();
        let mut dirty: BTreeMap<GroupNo, Vec<Row>> = BTreeMap::new();
        for (key, new) in &changes.products {
            let number = old.find_product(key.as_str());
            if let Some(number) = number {
                before.extend(old.rows_of_product(number));
                note_attrs(old.record(number), &mut attrs);
                dirty.entry(old.product(number).group).or_default();
            }
            match (new, number) {
                (Some(record), _) => {
                    note_attrs(record, &mut attrs);
                    let rows = self.place_variants(old, record);
                    now.extend(rows.iter().copied());
                    let group = self.place_product(number, record, rows.clone());
                    dirty.entry(group).or_default().extend(rows);
                }
                (None, Some(number)) => {
                    self.product_index.remove(key.as_str(), number.0);
                    self.products.edit(number.0 as usize).rows = Arc::default();
                }
                (None, None) => {}
            }
        }
        for row in before.difference(&now) {
            Arc::make_mut(&mut self.live).remove(*row);
            self.variant_index
                .remove(old.variant_key(*row).as_str(), row.0);
        }
        self.relabel(old, &now);
        let rows: BTreeSet<Row> = before.union(&now).copied().collect();
        for (group, fresh) in dirty {
            self.regroup(group, &rows, fresh);
        }
        Touched {
            rows: rows.into_iter().collect(),
            attrs,
        }
    }

    /// Writes down the keys of rows that are new or went to another product.
    fn relabel(&mut self, old: &Self, rows: &BTreeSet<Row>) {
        let keys = |row: Row| {
            let product = self.product_key(self.product_of(row));
            (product.as_str(), self.variant_key(row).as_str())
        };
        let is_known = |row: Row| row.0 < old.n_rows() && old.keys(row) == keys(row);
        let changed = rows.iter().filter(|row| !is_known(**row));
        let changed: BTreeMap<Row, (&str, &str)> = changed.map(|row| (*row, keys(*row))).collect();
        if !changed.is_empty() {
            self.labels = old.labels.patched(self.rows.len(), &changed);
        }
    }

    /// Finds or makes the rows of a record's variants, ascending.
    fn place_variants(&mut self, old: &Self, record: &ProductRecord) -> Vec<Row> {
        let mut rows = Vec::with_capacity(record.variants.len());
        for variant in &record.variants {
            let row = old.find_variant(variant.key.as_str()).unwrap_or_else(|| {
                let row = Row(ordinal(self.rows.len()));
                self.rows.push(RowSlot {
                    key: variant.key.clone(),
                    product: ProductNo(0),
                    place: 0,
                });
                let key_of = |row: u32| self.rows.at(row as usize).key.as_str();
                self.variant_index
                    .insert(variant.key.as_str(), row.0, key_of);
                Arc::make_mut(&mut self.live).insert(row);
                row
            });
            rows.push(row);
        }
        rows.sort_unstable();
        rows
    }

    /// Puts a record into its slot, a new one if it has none; tells its group.
    fn place_product(
        &mut self,
        number: Option<ProductNo>,
        record: &Arc<ProductRecord>,
        rows: Vec<Row>,
    ) -> GroupNo {
        let number = number.unwrap_or(ProductNo(ordinal(self.products.len())));
        let is_new = self.products.len() <= number.0 as usize;
        let stays = !is_new && self.product(number).record.group == record.group;
        let group = if stays {
            self.product(number).group
        } else {
            self.group_for(number, record.group.as_ref())
        };
        let slot = ProductSlot {
            record: Arc::clone(record),
            rows: rows.into(),
            group,
        };
        if is_new {
            self.products.push(slot);
            let key_of = |product: u32| self.products.at(product as usize).record.key.as_str();
            self.product_index
                .insert(record.key.as_str(), number.0, key_of);
        } else {
            *self.products.edit(number.0 as usize) = slot;
        }
        for (place, variant) in (0..).zip(&record.variants) {
            let row = self.find_variant(variant.key.as_str());
            let row = row.expect("each variant of the record was given a row").0 as usize;
            let known = self.rows.at(row);
            if (known.product, known.place) != (number, place) {
                let slot = self.rows.edit(row);
                slot.product = number;
                slot.place = place;
            }
        }
        group
    }

    /// The number of a group, a new one if it has none.
    fn group_for(&mut self, product: ProductNo, key: Option<&GroupKey>) -> GroupNo {
        let fresh = ordinal(self.groups.len());
        let Some(key) = key else {
            self.groups.push(GroupSlot::Own(product));
            return GroupNo(fresh);
        };
        if let Some(group) = self.find_group(key.as_str()) {
            return group;
        }
        self.groups
            .push(GroupSlot::Named(key.clone(), Box::default()));
        let name = |group: u32| self.groups.at(group as usize).name();
        self.group_index.insert(key.as_str(), fresh, name);
        GroupNo(fresh)
    }

    /// Replaces what a named group holds of the touched rows by `fresh`.
    fn regroup(&mut self, group: GroupNo, touched: &BTreeSet<Row>, fresh: Vec<Row>) {
        if let GroupSlot::Named(_, rows) = self.groups.edit(group.0 as usize) {
            let kept = rows.iter().filter(|row| !touched.contains(row));
            let mut all: Vec<Row> = kept.copied().chain(fresh).collect();
            all.sort_unstable();
            *rows = all.into();
        }
    }

    /// Brings the columns of all attributes concerned up to date, in parallel.
    fn change_columns(&mut self, old: &Self, touched: &Touched, edges_changed: bool) {
        let built_in = FROM_VARIANT.iter().map(|(attr, _)| *attr).chain(KEYS);
        let mut attrs: Vec<&str> = built_in.collect();
        attrs.extend(touched.attrs.iter().map(Attr::as_str));
        if !edges_changed {
            attrs.push(Attr::CATEGORY);
        }
        let patch = |attr: &str| Some((attr.to_owned(), self.patch(old, attr, &touched.rows)?));
        let mut patched: Vec<(String, Column)> = attrs.into_par_iter().filter_map(patch).collect();
        if edges_changed {
            let raw = cells::of_categories(self.products.iter(), &self.graph);
            let column = Column::build(ValueType::Text, true, self.n_rows(), raw);
            patched.push((Attr::CATEGORY.to_owned(), column));
        }
        for (name, column) in patched {
            if column.values().is_empty() {
                self.columns.remove(name.as_str());
            } else {
                let attr = Attr::parse(&name).expect("names of attributes are in normal form");
                self.columns.insert(attr, Arc::new(column));
            }
        }
    }

    /// The column of `attr` if a touched row has other values than before.
    fn patch(&self, old: &Self, attr: &str, touched: &[Row]) -> Option<Column> {
        let declaration = self.schema.get(attr)?;
        let column = old.column(attr);
        let mut changes = RowChanges::new();
        let same_kind = old.schema.kind(attr) == Some(declaration.kind);
        for &row in touched {
            if same_kind && self.says_the_same(old, row, attr) {
                continue;
            }
            let values = self.values_of(row, attr, declaration.kind);
            let held = column.map_or(&[][..], |column| column.of(row));
            let is_same = |column: &Column| held.iter().map(|id| column.value(*id)).eq(&values);
            if !column.map_or(values.is_empty(), is_same) {
                changes.push((row, values));
            }
        }
        if changes.is_empty() {
            return None;
        }
        let n_rows = self.n_rows();
        Some(match column {
            Some(column) => column.patched(n_rows, &changes),
            None => Column::empty(declaration.kind, declaration.multi).patched(n_rows, &changes),
        })
    }

    /// Whether the records have the same texts of the attribute; cheap, and false for built-in ones.
    fn says_the_same(&self, old: &Self, row: Row, attr: &str) -> bool {
        let is_built_in = attr == Attr::CATEGORY
            || KEYS.contains(&attr)
            || FROM_VARIANT.iter().any(|(name, _)| *name == attr);
        !is_built_in && self.texts_of(row, attr) == old.texts_of(row, attr)
    }

    /// The texts of an attribute as the records have them; none of a vacant row.
    fn texts_of(&self, row: Row, attr: &str) -> Option<&[Arc<str>]> {
        if !self.live.contains(row) {
            return None;
        }
        let (variant, product) = (self.variant_record(row), self.record(self.product_of(row)));
        let own = own_texts(&variant.attributes, attr);
        own.or_else(|| own_texts(&product.attributes, attr))
    }

    /// The values of an attribute as the records say, ascending, without repeats.
    fn values_of(&self, row: Row, attr: &str, kind: ValueType) -> Vec<Value> {
        if !self.live.contains(row) {
            return Vec::new();
        }
        let (variant, product) = (self.variant_record(row), self.record(self.product_of(row)));
        if attr == Attr::CATEGORY {
            let find = |id: &CategoryId| self.graph.find(id.as_str());
            let nodes: Vec<Node> = product.categories.iter().filter_map(find).collect();
            return category_values(&self.graph, &nodes);
        }
        if attr == VARIANT_KEY {
            return vec![Value::Text(variant.key.shared())];
        }
        if KEYS.contains(&attr) {
            return key_of_product(attr, product).into_iter().collect();
        }
        if let Some((_, value_of)) = FROM_VARIANT.iter().find(|(name, _)| *name == attr) {
            return value_of(variant).into_iter().collect();
        }
        let typed = self.texts_of(row, attr).into_iter().flatten();
        let typed = typed.filter_map(|text| Value::parse(kind, text, self.locale()).ok());
        let mut values: Vec<Value> = typed.collect();
        values.sort_unstable();
        values.dedup();
        values
    }
}

fn own_texts<'r>(all: &'r [AttributeTexts], attr: &str) -> Option<&'r [Arc<str>]> {
    let own = all.iter().find(|own| own.attr.as_str() == attr)?;
    Some(&own.texts)
}

fn note_attrs(record: &ProductRecord, attrs: &mut BTreeSet<Attr>) {
    let variants = record
        .variants
        .iter()
        .flat_map(|variant| &variant.attributes);
    for own in record.attributes.iter().chain(variants) {
        if !attrs.contains(&own.attr) {
            attrs.insert(own.attr.clone());
        }
    }
}
