//! From records to a [`Catalogue`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rayon::iter::{IntoParallelIterator, ParallelIterator};
use rayon::slice::ParallelSliceMut;

use crate::catalogue::attribute::{ATTRIBUTES_MAX, Declared, Schema, is_built_in};
use crate::catalogue::category::{CategoryGraph, Loop};
use crate::catalogue::cells::{self, FROM_VARIANT, KEYS, Occurrence, Occurrences, TextCells};
use crate::catalogue::column::Column;
use crate::catalogue::column_build::RawCells;
use crate::catalogue::infer::{self, Found};
use crate::catalogue::key_index::KeyIndex;
use crate::catalogue::labels::Labels;
use crate::catalogue::market::Market;
use crate::catalogue::product::{CategoryRecord, ProductRecord, VariantRecord};
use crate::catalogue::row::{GroupNo, ProductNo, Row, RowSet};
use crate::catalogue::warning::{EXAMPLES_MAX, Warning};
use crate::catalogue::{Catalogue, GroupSlot, ProductSlot, RowSlot};
use crate::domain::category::CategoryId;
use crate::domain::id::GroupKey;
use crate::domain::value::Value;
use crate::predicate::rule::Attr;

/// What a build finds wrong with records, so that an import can name the rows.
#[derive(Debug, Default)]
pub(super) struct Findings {
    /// Per attribute, texts that do not fit its type, ascending.
    pub(super) misfits: BTreeMap<Attr, Vec<String>>,
    /// Per attribute of products, variants that differ from their siblings.
    pub(super) dissenters: BTreeMap<Attr, Vec<Row>>,
    /// Categories that are above each other.
    pub(super) loops: Vec<Loop>,
}

impl Catalogue {
    /// Indexes the records of one market; the order of both lists is irrelevant.
    ///
    /// `declared` are the attributes as stored; others are inferred and stay so in
    /// [`Schema::declared`]. Records are taken as they are: what does not fit is left out of the
    /// index and named in a warning. Each key stands once in `products` and in `categories`.
    ///
    /// About 4 s a million variants on one core; columns are built in parallel.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "callers hand over all that the catalogue is made of"
    )]
    pub fn build(
        market: Market,
        declared: Declared,
        products: Vec<Arc<ProductRecord>>,
        categories: Vec<CategoryRecord>,
    ) -> (Self, Vec<Warning>) {
        let categories = categories.into_iter().map(Arc::new);
        let (catalogue, findings) =
            assemble(Arc::new(market), &declared, products, categories.collect());
        let mut warnings = catalogue.oddities();
        if !findings.loops.is_empty() {
            warnings.push(Warning::Loops(findings.loops));
        }
        warnings.extend(findings.misfits.into_iter().map(|(attr, texts)| {
            let count = texts.len();
            let first = texts.into_iter().take(EXAMPLES_MAX).collect();
            Warning::Misfits { attr, count, first }
        }));
        (catalogue, warnings)
    }

    /// Warnings that any import gives: placeholders and variants without price.
    pub(super) fn oddities(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        let count = self.graph.placeholders().count();
        if 0 < count {
            let first = self.graph.placeholders().take(EXAMPLES_MAX).cloned();
            let first = first.collect();
            warnings.push(Warning::Placeholders { count, first });
        }
        let priced = self.column(crate::catalogue::attribute::LIST_PRICE);
        let n_priced = priced.map_or(0, |column| column.present().len());
        if n_priced < self.live.len() {
            let count = (self.live.len() - n_priced) as usize;
            warnings.push(Warning::Unpriced { count });
        }
        warnings
    }
}

/// Builds a catalogue and says what did not fit.
pub(super) fn assemble(
    market: Arc<Market>,
    declared: &Declared,
    mut products: Vec<Arc<ProductRecord>>,
    categories: Vec<Arc<CategoryRecord>>,
) -> (Catalogue, Findings) {
    products.par_sort_unstable_by(|left, right| left.key.cmp(&right.key));
    let categories: BTreeMap<_, _> = categories
        .into_iter()
        .map(|record| (record.id.clone(), record))
        .collect();
    let named = count_named(products.iter());
    let (graph, loops) = graph_of(&categories, &named);
    let (slots, groups) = number(products);
    let rows = number_rows(&slots);
    let (columns, schema, findings) = index(&market, declared, &slots, &graph, rows.len());
    let keys = slots.iter().map(|slot| slot.record.key.as_str());
    let product_index = KeyIndex::build(keys);
    let variant_index = KeyIndex::build(rows.iter().map(|slot| slot.key.as_str()));
    let mut group_index = KeyIndex::build(std::iter::empty());
    let name = |group: u32| groups[group as usize].name();
    for group in 0..ordinal(groups.len()) {
        if !name(group).is_empty() {
            group_index.insert(name(group), group, name);
        }
    }
    let keys = |row: Row| {
        let slot = &rows[row.0 as usize];
        let product = &slots[slot.product.0 as usize].record;
        (product.key.as_str(), slot.key.as_str())
    };
    let labels = Labels::build(rows.len(), keys);
    let mut catalogue = Catalogue {
        market,
        schema: Arc::new(schema),
        live: Arc::new(RowSet::below(ordinal(rows.len()))),
        products: slots.into_iter().collect(),
        product_index,
        rows: rows.into_iter().collect(),
        variant_index,
        labels,
        groups: groups.into_iter().collect(),
        group_index,
        categories: Arc::new(categories),
        named: Arc::new(named),
        graph: Arc::new(graph),
        columns,
    };
    catalogue.make_searchable();
    let findings = Findings { loops, ..findings };
    (catalogue, findings)
}

/// How many products are put directly into each category.
pub(super) fn count_named<'r>(
    products: impl Iterator<Item = &'r Arc<ProductRecord>>,
) -> BTreeMap<CategoryId, u32> {
    let mut named = BTreeMap::new();
    for id in products.flat_map(|product| &product.categories) {
        match named.get_mut(id) {
            Some(count) => *count += 1,
            None => {
                named.insert(id.clone(), 1);
            }
        }
    }
    named
}

/// The graph; where records lie in loops, the smallest id of each loses its parents.
pub(super) fn graph_of(
    categories: &BTreeMap<CategoryId, Arc<CategoryRecord>>,
    named: &BTreeMap<CategoryId, u32>,
) -> (CategoryGraph, Vec<Loop>) {
    let records = categories.values().map(Arc::as_ref);
    let mut loops = match CategoryGraph::build(records, named.keys()) {
        Ok(graph) => return (graph, Vec::new()),
        Err(loops) => loops,
    };
    let mut cut = categories.clone();
    let mut open = loops.clone();
    loop {
        for id in open.iter().filter_map(|ids| ids.first()) {
            if let Some(record) = cut.get_mut(id) {
                Arc::make_mut(record).parents.clear();
            }
        }
        match CategoryGraph::build(cut.values().map(Arc::as_ref), named.keys()) {
            Ok(graph) => return (graph, loops),
            Err(more) => {
                loops.extend(more.iter().cloned());
                open = more;
            }
        }
    }
}

/// Numbers products, their rows and their groups in the order given.
pub(super) fn number(products: Vec<Arc<ProductRecord>>) -> (Vec<ProductSlot>, Vec<GroupSlot>) {
    let mut groups: Vec<GroupSlot> = Vec::new();
    let mut rows_of_named: Vec<Vec<Row>> = Vec::new();
    let mut named: BTreeMap<GroupKey, GroupNo> = BTreeMap::new();
    let mut slots = Vec::with_capacity(products.len());
    let mut next_row = 0;
    for (product, record) in (0..).map(ProductNo).zip(products) {
        let end = next_row + ordinal(record.variants.len());
        let rows: Arc<[Row]> = (next_row..end).map(Row).collect();
        next_row = end;
        let fresh = GroupNo(ordinal(groups.len()));
        let group = match &record.group {
            None => fresh,
            Some(key) => *named.entry(key.clone()).or_insert(fresh),
        };
        if group == fresh {
            groups.push(GroupSlot::Own(product));
            rows_of_named.push(Vec::new());
        }
        if record.group.is_some() {
            rows_of_named[group.0 as usize].extend_from_slice(&rows);
        }
        slots.push(ProductSlot {
            record,
            rows,
            group,
        });
    }
    for (key, group) in named {
        let rows = std::mem::take(&mut rows_of_named[group.0 as usize]);
        groups[group.0 as usize] = GroupSlot::Named(key, rows.into());
    }
    (slots, groups)
}

fn number_rows(slots: &[ProductSlot]) -> Vec<RowSlot> {
    let rows = (0..).map(ProductNo).zip(slots).flat_map(|(product, slot)| {
        let variants = (0..).zip(&slot.record.variants);
        variants.map(move |(place, variant)| RowSlot {
            key: variant.key.clone(),
            product,
            place,
        })
    });
    rows.collect()
}

/// One column to be built.
enum Task<'r> {
    Variant(&'static str, fn(&VariantRecord) -> Option<Value>),
    Key(&'static str),
    Category,
    Own(&'r Attr, Vec<Occurrence<'r>>),
}

/// All columns, the schema that they follow, and what did not fit.
fn index(
    market: &Market,
    declared: &Declared,
    slots: &[ProductSlot],
    graph: &CategoryGraph,
    n_rows: usize,
) -> (BTreeMap<Attr, Arc<Column>>, Schema, Findings) {
    let n_rows = ordinal(n_rows);
    let own = Occurrences::gather(slots.iter()).into_sorted();
    let names = own.iter().map(|(attr, _)| *attr);
    let surplus = surplus(declared, names);
    let own = own
        .into_iter()
        .filter(|(attr, _)| !surplus.contains(*attr) && !is_built_in(attr.as_str()));
    let tasks = FROM_VARIANT
        .map(|(attr, value_of)| Task::Variant(attr, value_of))
        .into_iter();
    let tasks = tasks.chain(KEYS.map(Task::Key)).chain([Task::Category]);
    let tasks: Vec<Task<'_>> = tasks
        .chain(own.map(|(attr, all)| Task::Own(attr, all)))
        .collect();
    let run = |task| match task {
        Task::Variant(attr, value_of) => {
            built_in(attr, n_rows, cells::of_variants(slots.iter(), value_of))
        }
        Task::Key(attr) => built_in(attr, n_rows, cells::of_keys(slots.iter(), attr)),
        Task::Category => built_in(
            Attr::CATEGORY,
            n_rows,
            cells::of_categories(slots.iter(), graph),
        ),
        Task::Own(attr, all) => {
            let cells = TextCells::resolve(&all);
            let rows = slots.iter().map(|slot| &*slot.rows);
            let dissenters = infer::dissenters(&cells, rows);
            let known = declared.get(attr).copied();
            let found = infer::find(
                attr.as_str(),
                known,
                cells,
                dissenters,
                (&market.locale, n_rows),
            );
            (attr.clone(), found)
        }
    };
    let found: Vec<(Attr, Found)> = tasks.into_par_iter().map(run).collect();
    let mut schema = declared.clone();
    let mut columns = BTreeMap::new();
    let mut findings = Findings::default();
    for (attr, found) in found {
        if !is_built_in(attr.as_str()) {
            schema.insert(attr.clone(), found.declaration);
        }
        if !found.misfits.is_empty() {
            findings.misfits.insert(attr.clone(), found.misfits);
        }
        if !found.dissenters.is_empty() {
            findings.dissenters.insert(attr.clone(), found.dissenters);
        }
        if let Some(column) = found.column {
            columns.insert(attr, Arc::new(column));
        }
    }
    (columns, Schema::new(schema), findings)
}

/// A column of a built-in attribute, which fits its type by birth.
fn built_in(attr: &str, n_rows: u32, raw: RawCells) -> (Attr, Found) {
    let declaration = Schema::default()
        .get(attr)
        .expect("built-in attributes are in every schema");
    let column = Column::build(declaration.kind, declaration.multi, n_rows, raw);
    let found = Found {
        declaration,
        column: (!column.values().is_empty()).then_some(column),
        misfits: Vec::new(),
        dissenters: Vec::new(),
    };
    let attr = Attr::parse(attr).expect("names of built-in attributes are in normal form");
    (attr, found)
}

/// Names that exceed the limit beside the declared ones, the last by name.
fn surplus<'r>(declared: &Declared, names: impl Iterator<Item = &'r Attr>) -> BTreeSet<Attr> {
    let room = ATTRIBUTES_MAX.saturating_sub(declared.len());
    let new = names.filter(|attr| !declared.contains_key(*attr));
    new.skip(room).cloned().collect()
}

/// A place among products, rows or groups as an ordinal.
pub(super) fn ordinal(place: usize) -> u32 {
    u32::try_from(place).expect("a market has at most 10 million variants")
}
