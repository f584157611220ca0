//! What records say about each attribute, gathered row by row.

use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use hashbrown::HashMap;

use crate::catalogue::ProductSlot;
use crate::catalogue::attribute::{
    COST, IN_STOCK, LIST_PRICE, ON_SALE, PRICE, PRODUCT_GROUP, PRODUCT_KEY, SALE_PRICE, STOCK,
    VARIANT_KEY,
};
use crate::catalogue::category::{CategoryGraph, Node};
use crate::catalogue::column_build::RawCells;
use crate::catalogue::lists::Lists;
use crate::catalogue::product::{ProductRecord, VariantRecord};
use crate::catalogue::row::Row;
use crate::domain::money::Minor;
use crate::domain::number::Number;
use crate::domain::value::Value;
use crate::predicate::rule::Attr;

/// A map that takes equal steps in every process.
pub(super) type Map<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

/// Texts of one attribute, at a product or at a variant.
pub(super) struct Occurrence<'r> {
    /// First and last row that inherit or own them.
    rows: (Row, Row),
    own: bool,
    texts: &'r [Arc<str>],
}

/// Texts by attribute, as products and variants have them, ascending by row.
pub(super) struct Occurrences<'r> {
    place: Map<&'r Attr, usize>,
    by_attr: Vec<(&'r Attr, Vec<Occurrence<'r>>)>,
}

impl<'r> Occurrences<'r> {
    /// One walk over all records. The rows of each product ascend and follow those of the one
    /// before, as a build numbers them.
    pub(super) fn gather(products: impl Iterator<Item = &'r ProductSlot>) -> Self {
        let mut all = Self {
            place: Map::default(),
            by_attr: Vec::new(),
        };
        for slot in products {
            let (Some(&first), Some(&last)) = (slot.rows.first(), slot.rows.last()) else {
                continue;
            };
            for own in &slot.record.attributes {
                all.add(&own.attr, (first, last), false, &own.texts);
            }
            for (&row, variant) in slot.rows.iter().zip(&slot.record.variants) {
                for own in &variant.attributes {
                    all.add(&own.attr, (row, row), true, &own.texts);
                }
            }
        }
        all
    }

    /// By attribute, ascending.
    pub(super) fn into_sorted(mut self) -> Vec<(&'r Attr, Vec<Occurrence<'r>>)> {
        self.by_attr.sort_unstable_by_key(|(attr, _)| *attr);
        self.by_attr
    }

    fn add(&mut self, attr: &'r Attr, rows: (Row, Row), own: bool, texts: &'r [Arc<str>]) {
        let next = self.by_attr.len();
        let place = *self.place.entry(attr).or_insert(next);
        if place == next {
            self.by_attr.push((attr, Vec::new()));
        }
        self.by_attr[place].1.push(Occurrence { rows, own, texts });
    }
}

/// Distinct lists of texts, and which of them each row has.
#[derive(Default)]
pub(super) struct TextCells<'r> {
    /// Each ascending, without repeats.
    pub(super) cells: Lists<&'r str>,
    /// Ascending by row, each row once.
    pub(super) of_rows: Vec<(Row, u32)>,
}

impl<'r> TextCells<'r> {
    /// Lets own values replace the product's and gives equal lists one number.
    pub(super) fn resolve(occurrences: &[Occurrence<'r>]) -> Self {
        let mut all = Self::default();
        let mut numbers: Map<Vec<&'r str>, u32> = Map::default();
        for occurrence in occurrences {
            let mut texts: Vec<&str> = occurrence.texts.iter().map(AsRef::as_ref).collect();
            texts.sort_unstable();
            texts.dedup();
            let next = all.cells.len();
            let number = *numbers.entry(texts).or_insert_with_key(|texts| {
                all.cells.push(texts.iter().copied());
                u32::try_from(next).expect("cells are fewer than rows")
            });
            all.assign(occurrence, number);
        }
        all
    }

    /// A product's occurrence comes before those of its variants, so the rows of the latter are
    /// either among the last rows or behind them.
    fn assign(&mut self, occurrence: &Occurrence<'_>, number: u32) {
        let (first, last) = occurrence.rows;
        if occurrence.own {
            let place = self.of_rows.binary_search_by_key(&first, |(row, _)| *row);
            match place {
                Ok(place) => self.of_rows[place].1 = number,
                Err(place) => self.of_rows.insert(place, (first, number)),
            }
        } else {
            let rows = first.0..=last.0;
            self.of_rows.extend(rows.map(|row| (Row(row), number)));
        }
    }
}

/// An attribute and how a variant's record tells it.
type FromVariant = (&'static str, fn(&VariantRecord) -> Option<Value>);

/// The built-in attributes that are told from a variant's record alone.
pub(super) const FROM_VARIANT: [FromVariant; 7] = [
    (COST, |variant| money(variant.cost)),
    (IN_STOCK, |variant| Some(Value::Flag(variant.in_stock()))),
    (LIST_PRICE, |variant| money(variant.list_price)),
    (ON_SALE, |variant| {
        Some(Value::Flag(variant.sale_price.is_some()))
    }),
    (PRICE, |variant| money(variant.price())),
    (SALE_PRICE, |variant| money(variant.sale_price)),
    (STOCK, |variant| {
        variant.stock.map(Number::from_integer).map(Value::Number)
    }),
];

fn money(amount: Option<Minor>) -> Option<Value> {
    amount.map(Value::Money)
}

/// The keys of product and group, and the key of the variant.
pub(super) const KEYS: [&str; 3] = [PRODUCT_KEY, PRODUCT_GROUP, VARIANT_KEY];

/// A product's value of [`PRODUCT_KEY`] or [`PRODUCT_GROUP`].
pub(super) fn key_of_product(attr: &str, record: &ProductRecord) -> Option<Value> {
    let text = match attr {
        PRODUCT_KEY => Some(record.key.shared()),
        _ => record
            .group
            .as_ref()
            .map(crate::domain::id::GroupKey::shared),
    };
    text.map(Value::Text)
}

/// Cells of a built-in attribute of variants.
pub(super) fn of_variants<'r>(
    products: impl Iterator<Item = &'r ProductSlot>,
    value_of: fn(&VariantRecord) -> Option<Value>,
) -> RawCells {
    let mut raw = Interned::default();
    for slot in products {
        for (&row, variant) in slot.rows.iter().zip(&slot.record.variants) {
            if let Some(value) = value_of(variant) {
                raw.add(value, row);
            }
        }
    }
    raw.finish()
}

/// Cells of the keys, which need no interning: each is met once, or once a product.
pub(super) fn of_keys<'r>(products: impl Iterator<Item = &'r ProductSlot>, attr: &str) -> RawCells {
    let mut raw = Interned::default();
    for slot in products {
        if attr == VARIANT_KEY {
            for (&row, variant) in slot.rows.iter().zip(&slot.record.variants) {
                raw.push(Value::Text(variant.key.shared()), [row]);
            }
        } else if let Some(value) = key_of_product(attr, &slot.record) {
            raw.push(value, slot.rows.iter().copied());
        }
    }
    raw.finish()
}

/// Cells of `category`: direct nodes and all their ancestors.
pub(super) fn of_categories<'r>(
    products: impl Iterator<Item = &'r ProductSlot>,
    graph: &CategoryGraph,
) -> RawCells {
    let mut cells = Lists::default();
    let mut of_rows = Vec::new();
    let mut numbers: Map<Vec<Node>, u32> = Map::default();
    for slot in products {
        let direct = &slot.record.categories;
        if direct.is_empty() {
            continue;
        }
        let nodes: Vec<Node> = direct
            .iter()
            .filter_map(|id| graph.find(id.as_str()))
            .collect();
        let next = cells.len();
        let number = *numbers.entry(nodes).or_insert_with_key(|nodes| {
            cells.push(category_values(graph, nodes));
            u32::try_from(next).expect("cells are fewer than rows")
        });
        of_rows.extend(slot.rows.iter().map(|&row| (row, number)));
    }
    // Deltas number rows in any order.
    of_rows.sort_unstable_by_key(|(row, _)| *row);
    RawCells { cells, of_rows }
}

/// Ids of the nodes and of all above them.
pub(super) fn category_values(graph: &CategoryGraph, nodes: &[Node]) -> Vec<Value> {
    let all = graph.ancestors_or_selves(nodes).into_iter();
    all.map(|node| Value::Text(graph.id(node).shared()))
        .collect()
}

/// Single values, equal ones kept once.
#[derive(Default)]
struct Interned {
    cells: Lists<Value>,
    of_rows: Vec<(Row, u32)>,
    numbers: Map<Value, u32>,
}

impl Interned {
    fn add(&mut self, value: Value, row: Row) {
        if let Some(&number) = self.numbers.get(&value) {
            self.of_rows.push((row, number));
        } else {
            let number = self.push(value.clone(), [row]);
            self.numbers.insert(value, number);
        }
    }

    fn push(&mut self, value: Value, rows: impl IntoIterator<Item = Row>) -> u32 {
        let number = u32::try_from(self.cells.len()).expect("cells are fewer than rows");
        self.cells.push([value]);
        self.of_rows
            .extend(rows.into_iter().map(|row| (row, number)));
        number
    }

    fn finish(self) -> RawCells {
        RawCells {
            cells: self.cells,
            of_rows: self.of_rows,
        }
    }
}
