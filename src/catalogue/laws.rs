//! Laws: the index is a linear scan over records, a delta is a rebuild, lines have no order.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use crate::catalogue::Catalogue;
use crate::catalogue::attribute::{Declaration, Declared, Level};
use crate::catalogue::change::{Kinds, Unreadable};
use crate::catalogue::delta::delta;
use crate::catalogue::fixture;
use crate::catalogue::full::{FullFeed, full};
use crate::catalogue::product::{
    AttributeTexts, CategoryRecord, FeedOperation, ProductEdit, ProductFields, ProductRecord,
    VariantEdit, VariantRecord,
};
use crate::catalogue::row::{Row, RowSet};
use crate::domain::category::CategoryId;
use crate::domain::id::{GroupKey, ProductKey, VariantKey};
use crate::domain::money::Minor;
use crate::domain::number::{Number, Score};
use crate::domain::value::{Value, ValueType};
use crate::predicate::rule::Attr;

const OWN: [(&str, ValueType); 3] = [
    ("brand", ValueType::Text),
    ("size", ValueType::Number),
    ("tags", ValueType::Text),
];

/// All attributes at variant level, so that nothing contradicts its siblings.
fn declared() -> Declared {
    let declaration = |kind| Declaration {
        level: Level::Variant,
        kind,
        multi: false,
        facet: true,
        search: false,
    };
    let own = OWN.map(|(attr, kind)| (Attr::parse(attr).unwrap(), declaration(kind)));
    Declared::from(own)
}

fn key() -> impl Strategy<Value = String> {
    (0..12_u32).prop_map(|number| format!("k{number}"))
}

fn category_id() -> impl Strategy<Value = CategoryId> {
    (0..8_u32).prop_map(|number| CategoryId::parse(&format!("c{number}")).unwrap())
}

fn own_attributes() -> impl Strategy<Value = Vec<AttributeTexts>> {
    let brand = prop::option::of("[ab]");
    let size = prop::option::of(prop_oneof!["[1-3]", Just("1.0".to_owned())]);
    let tags = prop::collection::vec("[x-z]", 0..4);
    (brand, size, tags).prop_map(|(brand, size, tags)| {
        let all = [
            ("brand", Vec::from_iter(brand)),
            ("size", Vec::from_iter(size)),
            ("tags", tags),
        ];
        let some = all.into_iter().filter(|(_, texts)| !texts.is_empty());
        let own = some.map(|(attr, texts)| AttributeTexts {
            attr: Attr::parse(attr).unwrap(),
            texts: texts.into_iter().map(Arc::from).collect(),
        });
        own.collect()
    })
}

fn variant() -> impl Strategy<Value = VariantRecord> {
    let money = || prop::option::of((1..5_i64).prop_map(|amount| Minor(amount * 100)));
    let score = prop::option::of((0..4).prop_map(Score::from_integer));
    let stock = prop::option::of(-1..3_i64);
    (key(), money(), money(), stock, score, own_attributes()).prop_map(
        |(key, list_price, sale_price, stock, score, attributes)| VariantRecord {
            key: VariantKey::parse(&key).unwrap(),
            list_price,
            sale_price,
            cost: None,
            stock,
            score,
            weight_g: None,
            attributes,
        },
    )
}

fn fields() -> impl Strategy<Value = ProductFields> {
    let group = prop::option::of("g[0-2]".prop_map(|key| GroupKey::parse(&key).unwrap()));
    let categories = prop::collection::btree_set(category_id(), 0..3);
    (group, categories, own_attributes()).prop_map(|(group, categories, attributes)| {
        ProductFields {
            group,
            seller: None,
            categories: categories.into_iter().collect(),
            attributes,
        }
    })
}

fn product() -> impl Strategy<Value = ProductRecord> {
    let variants = prop::collection::vec(variant(), 1..4);
    (key(), fields(), variants).prop_map(|(key, fields, variants)| {
        let distinct: BTreeMap<VariantKey, VariantRecord> = variants
            .into_iter()
            .map(|variant| (variant.key.clone(), variant))
            .collect();
        ProductRecord {
            key: ProductKey::parse(&key).unwrap(),
            group: fields.group,
            seller: None,
            categories: fields.categories,
            score: None,
            attributes: fields.attributes,
            variants: distinct.into_values().collect(),
        }
    })
}

fn category() -> impl Strategy<Value = CategoryRecord> {
    let parents = prop::collection::btree_set(category_id(), 0..3);
    (category_id(), parents).prop_map(|(id, parents)| CategoryRecord {
        name: Some(id.to_string()),
        id,
        parents: parents.into_iter().collect(),
    })
}

fn operation() -> impl Strategy<Value = FeedOperation> {
    let product_key = || key().prop_map(|key| ProductKey::parse(&key).unwrap());
    let variant_key = || key().prop_map(|key| VariantKey::parse(&key).unwrap());
    let score = prop::option::of((0..4).prop_map(Score::from_integer));
    let flat = (
        prop::option::of(product_key()),
        prop::option::of(fields()),
        variant(),
    );
    let edit_product = (product_key(), fields()).prop_map(|(product, fields)| {
        let edit = ProductEdit {
            group: Some(fields.group),
            categories: Some(fields.categories),
            attributes: fields.attributes,
            ..ProductEdit::default()
        };
        FeedOperation::EditProduct { product, edit }
    });
    let edit_variant = (variant_key(), variant()).prop_map(|(key, from)| {
        let edit = VariantEdit {
            stock: Some(from.stock),
            sale_price: Some(from.sale_price),
            attributes: from.attributes,
            ..VariantEdit::default()
        };
        FeedOperation::EditVariant { variant: key, edit }
    });
    prop_oneof![
        3 => product().prop_map(FeedOperation::ReplaceProduct),
        3 => flat.prop_map(|(product, product_fields, variant)| FeedOperation::ReplaceVariant {
            product,
            product_fields,
            variant,
        }),
        2 => edit_product,
        3 => edit_variant,
        1 => product_key().prop_map(FeedOperation::DeleteProduct),
        2 => variant_key().prop_map(FeedOperation::DeleteVariant),
        2 => category().prop_map(FeedOperation::ReplaceCategory),
        1 => category_id().prop_map(FeedOperation::DeleteCategory),
        1 => (variant_key(), score)
            .prop_map(|(variant, score)| FeedOperation::SetScore { variant, score }),
    ]
}

fn empty() -> Catalogue {
    Catalogue::build(fixture::market(), declared(), Vec::new(), Vec::new()).0
}

fn rebuilt(catalogue: &Catalogue) -> Catalogue {
    let products = catalogue.products().map(|(_, record)| Arc::clone(record));
    let categories = catalogue
        .categories()
        .map(|record| CategoryRecord::clone(record));
    let declared = catalogue.schema().declared().clone();
    let market = catalogue.market().clone();
    Catalogue::build(market, declared, products.collect(), categories.collect()).0
}

/// Values of an attribute, straight from the records and by a naive walk up the categories.
fn scanned(
    catalogue: &Catalogue,
    product: &ProductRecord,
    own: &VariantRecord,
    attr: &str,
) -> BTreeSet<Value> {
    let money = |amount: Option<Minor>| amount.map(Value::Money).into_iter().collect();
    let text = |text: &str| BTreeSet::from([Value::text(text).unwrap()]);
    let find = |all: &[AttributeTexts]| {
        let found = all.iter().find(|own| own.attr.as_str() == attr);
        found.map(|own| own.texts.clone())
    };
    match attr {
        "variant_key" => text(own.key.as_str()),
        "product_key" => text(product.key.as_str()),
        "product_group" => product
            .group
            .iter()
            .flat_map(|group| text(group.as_str()))
            .collect(),
        "list_price" => money(own.list_price),
        "sale_price" => money(own.sale_price),
        "price" => money(own.sale_price.or(own.list_price)),
        "cost" => money(own.cost),
        "stock" => own
            .stock
            .map(|n| Value::Number(Number::from_integer(n)))
            .into_iter()
            .collect(),
        "in_stock" => BTreeSet::from([Value::Flag(own.stock.is_none_or(|stock| 0 < stock))]),
        "on_sale" => BTreeSet::from([Value::Flag(own.sale_price.is_some())]),
        "category" => {
            let mut all: BTreeSet<CategoryId> = product.categories.iter().cloned().collect();
            loop {
                let records = all.iter().filter_map(|id| catalogue.category(id.as_str()));
                let above: Vec<_> = records.flat_map(|record| record.parents.clone()).collect();
                let n_before = all.len();
                all.extend(above);
                if all.len() == n_before {
                    break;
                }
            }
            all.iter().flat_map(|id| text(id.as_str())).collect()
        }
        _ => {
            let kind = catalogue.schema().kind(attr).unwrap();
            let texts = find(&own.attributes).or_else(|| find(&product.attributes));
            let typed = texts.into_iter().flatten();
            typed
                .map(|text| Value::parse(kind, &text, catalogue.locale()).unwrap())
                .collect()
        }
    }
}

/// Everything that a catalogue says is what a walk over its records says.
fn is_a_linear_scan(catalogue: &Catalogue) -> Result<(), TestCaseError> {
    let mut by_attr: BTreeMap<&str, BTreeMap<Value, RowSet>> = BTreeMap::new();
    let mut live = RowSet::new();
    let mut groups: BTreeMap<String, BTreeSet<Row>> = BTreeMap::new();
    for (number, record) in catalogue.products() {
        prop_assert_eq!(catalogue.find_product(record.key.as_str()), Some(number));
        let mut rows = BTreeSet::new();
        for variant in &record.variants {
            let row = catalogue.find_variant(variant.key.as_str()).unwrap();
            live.insert(row);
            rows.insert(row);
            prop_assert_eq!(catalogue.variant_record(row), variant);
            prop_assert_eq!(catalogue.variant_key(row), &variant.key);
            prop_assert_eq!(
                catalogue.keys(row),
                (record.key.as_str(), variant.key.as_str())
            );
            prop_assert_eq!(catalogue.product_of(row), number);
            prop_assert_eq!(catalogue.score(row), variant.score.or(record.score));
            for (attr, _) in catalogue.schema().iter() {
                let values = scanned(catalogue, record, variant, attr);
                let facts: Vec<Value> = catalogue.facts(row).get(attr).cloned().collect();
                prop_assert_eq!(
                    &facts,
                    &Vec::from_iter(values.clone()),
                    "{} of {}",
                    attr,
                    variant.key
                );
                for value in values {
                    by_attr
                        .entry(attr)
                        .or_default()
                        .entry(value)
                        .or_default()
                        .insert(row);
                }
            }
        }
        prop_assert_eq!(
            catalogue.rows_of_product(number),
            Vec::from_iter(rows.clone())
        );
        let group = match &record.group {
            Some(group) => format!("named {group}"),
            None => format!("own {}", record.key),
        };
        groups.entry(group).or_default().extend(rows);
    }
    prop_assert_eq!(catalogue.live(), &live);
    for rows in groups.into_values() {
        for row in &rows {
            let group = catalogue.group_of(*row);
            prop_assert_eq!(catalogue.rows_of_group(group), Vec::from_iter(rows.clone()));
        }
    }
    for (attr, _) in catalogue.schema().iter() {
        let expected = by_attr.remove(attr).unwrap_or_default();
        let Some(column) = catalogue.column(attr) else {
            prop_assert!(expected.is_empty());
            continue;
        };
        let values: Vec<Value> = expected.keys().cloned().collect();
        prop_assert_eq!(column.values(), &values[..]);
        for (value, rows) in expected {
            let id = column.find(&value).unwrap();
            prop_assert_eq!(column.rows_with(id).into_owned(), rows, "{}", value);
        }
    }
    Ok(())
}

/// What two catalogues say, rows named by their keys.
fn say_the_same(left: &Catalogue, right: &Catalogue) -> Result<(), TestCaseError> {
    let records = |catalogue: &Catalogue| {
        let all = catalogue
            .products()
            .map(|(_, record)| (record.key.clone(), Arc::clone(record)));
        all.collect::<BTreeMap<_, _>>()
    };
    prop_assert_eq!(records(left), records(right));
    prop_assert_eq!(left.schema(), right.schema());
    prop_assert_eq!(left.graph(), right.graph());
    prop_assert_eq!(left.oddities(), right.oddities());
    for (attr, _) in left.schema().iter() {
        let of = |catalogue: &Catalogue| {
            let column = catalogue.column(attr)?;
            let keys = |row: Row| catalogue.variant_key(row).to_string();
            let of_value = |id| {
                column
                    .rows_with(id)
                    .iter()
                    .map(keys)
                    .collect::<BTreeSet<_>>()
            };
            let ids = (0..u32::try_from(column.values().len()).unwrap())
                .map(crate::catalogue::column::ValueId);
            let rows: Vec<_> = ids.map(of_value).collect();
            Some((column.values().to_vec(), rows))
        };
        prop_assert_eq!(of(left), of(right), "{}", attr);
    }
    Ok(())
}

/// Rows that nobody names as changed have the values they had.
fn others_stay(before: &Catalogue, after: &Catalogue) -> Result<(), TestCaseError> {
    let Some(changed) = after.rows_changed_since(before) else {
        return Ok(());
    };
    let live = before.live().iter().chain(after.live().iter());
    for row in live.filter(|row| changed.binary_search(row).is_err()) {
        prop_assert!(before.live().contains(row) && after.live().contains(row));
        for (attr, _) in after.schema().iter() {
            let [old, new] = [before, after].map(|goods| goods.facts(row));
            prop_assert!(old.get(attr).eq(new.get(attr)), "{} of {}", attr, row.0);
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn a_delta_is_a_rebuild_and_rows_keep_their_meaning(
        batches in prop::collection::vec(prop::collection::vec(operation(), 1..12), 1..6),
    ) {
        let mut current = empty();
        for operations in batches {
            let done = delta(&current, operations, usize::MAX).unwrap();
            for row in current.live().iter() {
                if let Some(after) = done.next.find_variant(current.variant_key(row).as_str()) {
                    prop_assert_eq!(after, row);
                }
            }
            is_a_linear_scan(&done.next)?;
            say_the_same(&done.next, &rebuilt(&done.next))?;
            say_the_same(&done.next, &current.with(&done.changes))?;
            others_stay(&current, &done.next)?;
            let tally = done.counts.variants;
            prop_assert_eq!(tally.unchanged + tally.changed + tally.removed, current.live().len());
            prop_assert_eq!(tally.unchanged + tally.changed + tally.added, done.next.live().len());
            current = done.next;
        }
    }

    #[test]
    fn lines_of_a_full_feed_have_no_order(
        products in prop::collection::vec(product(), 0..8),
        categories in prop::collection::vec(category(), 0..8),
        seed in prop::collection::vec(any::<u32>(), 16),
        flat in any::<bool>(),
    ) {
        let mut taken = BTreeSet::new();
        let mut lines = Vec::new();
        let mut seen = BTreeSet::new();
        for mut product in products {
            product.variants.retain(|own| taken.insert(own.key.clone()));
            if product.variants.is_empty() || !seen.insert(product.key.clone()) {
                continue;
            }
            if flat {
                let fields = ProductFields {
                    group: product.group.clone(),
                    seller: None,
                    categories: product.categories.clone(),
                    attributes: product.attributes.clone(),
                };
                lines.extend(product.variants.into_iter().map(|variant| FeedOperation::ReplaceVariant {
                    product: Some(product.key.clone()),
                    product_fields: Some(fields.clone()),
                    variant,
                }));
            } else {
                lines.push(FeedOperation::ReplaceProduct(product));
            }
        }
        let mut named = BTreeSet::new();
        let distinct = categories.into_iter().filter(|record| named.insert(record.id.clone()));
        lines.extend(distinct.map(FeedOperation::ReplaceCategory));
        let import = |operations: Vec<FeedOperation>| {
            let kinds = Kinds::of(&operations);
            let feed = FullFeed { operations, kinds, unreadable: Unreadable::default() };
            full(&empty(), feed, usize::MAX).unwrap()
        };
        let mut permuted: Vec<_> = lines.iter().cloned().zip(seed.iter().cycle()).collect();
        permuted.sort_by_key(|(_, place)| **place);
        let (one, two) = (import(lines), import(permuted.into_iter().map(|(line, _)| line).collect()));
        prop_assert_eq!(one.refusals.len(), two.refusals.len());
        say_the_same(&one.next, &two.next)?;
        prop_assert_eq!(&one.changes, &two.changes);
        is_a_linear_scan(&one.next)?;
    }
}
