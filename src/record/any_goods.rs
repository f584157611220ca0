//! Any goods, for tests: products, categories and every operation of a delta.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;

use super::any::{any_attr, any_category, any_text};
use crate::catalogue::product::{
    AttributeTexts, CategoryEdit, CategoryRecord, Change, FeedOperation, ProductEdit,
    ProductFields, ProductRecord, VariantEdit, VariantRecord,
};
use crate::domain::category::CategoryId;
use crate::domain::id::{GroupKey, ProductKey, SellerKey, VariantKey};
use crate::domain::money::Minor;
use crate::domain::number::{Number, Score};

fn any_product_key() -> impl Strategy<Value = ProductKey> {
    any_text().prop_map(|key| ProductKey::parse(&key).unwrap())
}

fn any_variant_key() -> impl Strategy<Value = VariantKey> {
    any_text().prop_map(|key| VariantKey::parse(&key).unwrap())
}

fn any_group() -> impl Strategy<Value = GroupKey> {
    any_text().prop_map(|key| GroupKey::parse(&key).unwrap())
}

fn any_seller() -> impl Strategy<Value = SellerKey> {
    any_text().prop_map(|key| SellerKey::parse(&key).unwrap())
}

fn any_categories() -> impl Strategy<Value = Vec<CategoryId>> {
    vec(any_category(), 0..3)
}

fn any_minor() -> impl Strategy<Value = Minor> {
    any::<i64>().prop_map(Minor)
}

fn any_score() -> impl Strategy<Value = Score> {
    (
        -999_999_999_999_999_999_i64..=999_999_999_999_999_999,
        0_u32..=18,
    )
        .prop_map(|parts| {
            let number = Number::from_parts(i128::from(parts.0), parts.1).unwrap();
            Score::parse(&number.to_string()).unwrap()
        })
}

fn any_attributes() -> impl Strategy<Value = Vec<AttributeTexts>> {
    let texts = vec(any_text().prop_map(Arc::<str>::from), 0..3);
    btree_map(any_attr(), texts, 0..3).prop_map(|named: BTreeMap<_, _>| {
        named
            .into_iter()
            .map(|(attr, texts)| AttributeTexts { attr, texts })
            .collect()
    })
}

fn any_change<T: std::fmt::Debug>(
    value: impl Strategy<Value = T>,
) -> impl Strategy<Value = Change<T>> {
    of(of(value))
}

prop_compose! {
    pub(super) fn any_variant()(
        key in any_variant_key(),
        (list_price, sale_price, cost) in (of(any_minor()), of(any_minor()), of(any_minor())),
        (stock, weight_g) in any::<(Option<i64>, Option<u32>)>(),
        score in of(any_score()),
        attributes in any_attributes(),
    ) -> VariantRecord {
        VariantRecord { key, list_price, sale_price, cost, stock, score, weight_g, attributes }
    }
}

prop_compose! {
    pub(super) fn any_product()(
        key in any_product_key(),
        (group, seller) in (of(any_group()), of(any_seller())),
        categories in any_categories(),
        score in of(any_score()),
        attributes in any_attributes(),
        variants in vec(any_variant(), 1..3),
    ) -> ProductRecord {
        ProductRecord { key, group, seller, categories, score, attributes, variants }
    }
}

prop_compose! {
    fn any_fields()(
        (group, seller) in (of(any_group()), of(any_seller())),
        categories in any_categories(),
        attributes in any_attributes(),
    ) -> ProductFields {
        ProductFields { group, seller, categories, attributes }
    }
}

prop_compose! {
    fn any_product_edit()(
        (group, seller) in (any_change(any_group()), any_change(any_seller())),
        categories in of(any_categories()),
        score in any_change(any_score()),
        attributes in any_attributes(),
    ) -> ProductEdit {
        ProductEdit { group, seller, categories, score, attributes }
    }
}

prop_compose! {
    fn any_variant_edit()(
        (list_price, sale_price) in (any_change(any_minor()), any_change(any_minor())),
        (cost, stock) in (any_change(any_minor()), any_change(any::<i64>())),
        (score, weight_g) in (any_change(any_score()), any_change(any::<u32>())),
        attributes in any_attributes(),
    ) -> VariantEdit {
        VariantEdit { list_price, sale_price, cost, stock, score, weight_g, attributes }
    }
}

prop_compose! {
    pub(super) fn any_node()(
        id in any_category(),
        name in of(any_text()),
        parents in any_categories(),
    ) -> CategoryRecord {
        CategoryRecord { id, name, parents }
    }
}

pub(super) fn any_operation() -> impl Strategy<Value = FeedOperation> {
    use FeedOperation as Is;
    let flat = (of(any_product_key()), of(any_fields()), any_variant());
    let category_edit = (any_category(), any_change(any_text()), of(any_categories()));
    prop_oneof![
        any_product().prop_map(Is::ReplaceProduct),
        flat.prop_map(|(product, product_fields, variant)| Is::ReplaceVariant {
            product,
            product_fields,
            variant,
        }),
        (any_product_key(), any_product_edit())
            .prop_map(|(product, edit)| Is::EditProduct { product, edit }),
        (any_variant_key(), any_variant_edit())
            .prop_map(|(variant, edit)| Is::EditVariant { variant, edit }),
        any_product_key().prop_map(Is::DeleteProduct),
        any_variant_key().prop_map(Is::DeleteVariant),
        any_node().prop_map(Is::ReplaceCategory),
        any_node().prop_map(Is::MentionCategory),
        category_edit.prop_map(|(category, name, parents)| Is::EditCategory {
            category,
            edit: CategoryEdit { name, parents },
        }),
        any_category().prop_map(Is::DeleteCategory),
        (any_variant_key(), of(any_score()))
            .prop_map(|(variant, score)| Is::SetScore { variant, score }),
    ]
}
