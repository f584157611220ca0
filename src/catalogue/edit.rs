//! Records in canonical form, and changes of their fields.

use crate::catalogue::product::{
    AttributeTexts, Change, ProductEdit, ProductFields, ProductRecord, VariantEdit, VariantRecord,
};
use crate::domain::id::{ProductKey, VariantKey};

/// Most categories that a product is put into directly.
pub(super) const CATEGORIES_PER_PRODUCT_MAX: usize = 100;

/// A product without anything, for a variant that comes alone.
pub(super) fn shell(key: ProductKey) -> ProductRecord {
    ProductRecord {
        key,
        group: None,
        seller: None,
        categories: Vec::new(),
        score: None,
        attributes: Vec::new(),
        variants: Vec::new(),
    }
}

/// The product's part of a record.
pub(super) fn without_variants(record: &ProductRecord) -> ProductRecord {
    ProductRecord {
        group: record.group.clone(),
        seller: record.seller.clone(),
        categories: record.categories.clone(),
        score: record.score,
        attributes: record.attributes.clone(),
        ..shell(record.key.clone())
    }
}

/// The key of the product that a variant is by itself.
pub(super) fn own_product(variant: &VariantKey) -> ProductKey {
    ProductKey::parse(variant.as_str()).expect("keys of variants and products obey one rule")
}

/// Sorts variants by key and attributes by name and drops attributes without texts, so that equal
/// goods are equal records.
pub(super) fn canonical(record: &mut ProductRecord) {
    record
        .variants
        .sort_by(|left, right| left.key.cmp(&right.key));
    canonical_attributes(&mut record.attributes);
    for variant in &mut record.variants {
        canonical_variant(variant);
    }
}

/// Sorts attributes by name and drops those without texts.
pub(super) fn canonical_variant(variant: &mut VariantRecord) {
    canonical_attributes(&mut variant.attributes);
}

fn canonical_attributes(attributes: &mut Vec<AttributeTexts>) {
    attributes.retain(|own| !own.texts.is_empty());
    attributes.sort_by(|left, right| left.attr.cmp(&right.attr));
}

/// The variant of a record in canonical form.
pub(super) fn find_variant(record: &ProductRecord, key: &VariantKey) -> Result<usize, usize> {
    record.variants.binary_search_by(|own| own.key.cmp(key))
}

/// Puts a variant into a record, in place of the one of its key.
pub(super) fn put_variant(record: &mut ProductRecord, variant: VariantRecord) {
    match find_variant(record, &variant.key) {
        Ok(place) => record.variants[place] = variant,
        Err(place) => record.variants.insert(place, variant),
    }
}

/// Sets the product's fields that came along with a flat row; what it does not say stays.
pub(super) fn set_fields(record: &mut ProductRecord, fields: ProductFields) {
    record.group = fields.group.or(record.group.take());
    record.seller = fields.seller.or(record.seller.take());
    if !fields.categories.is_empty() {
        record.categories = fields.categories;
    }
    set_attributes(&mut record.attributes, fields.attributes);
}

/// Changes the named fields of a product.
pub(super) fn edit_product(record: &mut ProductRecord, edit: ProductEdit) {
    change(&mut record.group, edit.group);
    change(&mut record.seller, edit.seller);
    change(&mut record.score, edit.score);
    if let Some(categories) = edit.categories {
        record.categories = categories;
    }
    set_attributes(&mut record.attributes, edit.attributes);
}

/// Changes the named fields of a variant.
pub(super) fn edit_variant(variant: &mut VariantRecord, edit: VariantEdit) {
    change(&mut variant.list_price, edit.list_price);
    change(&mut variant.sale_price, edit.sale_price);
    change(&mut variant.cost, edit.cost);
    change(&mut variant.stock, edit.stock);
    change(&mut variant.score, edit.score);
    change(&mut variant.weight_g, edit.weight_g);
    set_attributes(&mut variant.attributes, edit.attributes);
}

fn change<T>(field: &mut Option<T>, change: Change<T>) {
    if let Some(new) = change {
        *field = new;
    }
}

/// Replaces named attributes; an empty list of texts takes one away.
fn set_attributes(own: &mut Vec<AttributeTexts>, set: Vec<AttributeTexts>) {
    for new in set {
        match own.binary_search_by(|old| old.attr.cmp(&new.attr)) {
            Ok(place) if new.texts.is_empty() => {
                own.remove(place);
            }
            Ok(place) => own[place] = new,
            Err(_) if new.texts.is_empty() => {}
            Err(place) => own.insert(place, new),
        }
    }
}
