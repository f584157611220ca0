//! The native format, written: what [`read`](super::read) reads back as the same operation.

use crate::catalogue::product::{
    AttributeTexts, CategoryRecord, Change, FeedOperation, ProductEdit, ProductFields,
    ProductRecord, VariantEdit, VariantRecord,
};
use crate::domain::category::CategoryId;
use crate::domain::money::{Currency, Minor};

/// Appends one line, its end included.
///
/// A category without a name is written as a mention, since a definition has one. Scores are
/// lines of a feed of scores.
pub fn write(operation: &FeedOperation, currency: Currency, out: &mut Vec<u8>) {
    let mut line = Object::open(out, currency);
    match operation {
        FeedOperation::ReplaceProduct(product) => line.product(product),
        FeedOperation::ReplaceVariant {
            product,
            product_fields,
            variant,
        } => {
            line.text("op", "replace");
            line.text("variant", variant.key.as_str());
            line.some("product", product.as_ref());
            if let Some(fields) = product_fields {
                line.product_fields(fields);
            }
            line.variant(variant);
        }
        FeedOperation::EditProduct { product, edit } => {
            line.text("op", "edit");
            line.text("product", product.as_str());
            line.product_edit(edit);
        }
        FeedOperation::EditVariant { variant, edit } => {
            line.text("op", "edit");
            line.text("variant", variant.as_str());
            line.variant_edit(edit);
        }
        FeedOperation::EditCategory { category, edit } => {
            line.text("op", "edit");
            line.text("category", category.as_str());
            line.change("name", edit.name.as_ref());
            if let Some(parents) = &edit.parents {
                line.categories("parents", parents);
            }
        }
        FeedOperation::DeleteProduct(key) => line.delete("product", key.as_str()),
        FeedOperation::DeleteVariant(key) => line.delete("variant", key.as_str()),
        FeedOperation::DeleteCategory(id) => line.delete("category", id.as_str()),
        FeedOperation::ReplaceCategory(record) if record.name.is_some() => {
            line.category("replace", record);
        }
        FeedOperation::ReplaceCategory(record) | FeedOperation::MentionCategory(record) => {
            line.category("mention", record);
        }
        FeedOperation::SetScore { variant, score } => {
            line.text("variant", variant.as_str());
            line.change("score", Some(score));
        }
    }
    line.close();
    out.push(b'\n');
}

/// An object being written.
struct Object<'o> {
    out: &'o mut Vec<u8>,
    currency: Currency,
    is_empty: bool,
}

impl<'o> Object<'o> {
    fn open(out: &'o mut Vec<u8>, currency: Currency) -> Self {
        out.push(b'{');
        Self {
            out,
            currency,
            is_empty: true,
        }
    }

    fn close(self) {
        self.out.push(b'}');
    }

    fn name(&mut self, name: &str) {
        if !self.is_empty {
            self.out.push(b',');
        }
        self.is_empty = false;
        quote(self.out, name);
        self.out.push(b':');
    }

    fn object(&mut self, name: &str) -> Object<'_> {
        self.name(name);
        Object::open(self.out, self.currency)
    }

    fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        quote(self.out, text);
    }

    fn some(&mut self, name: &str, value: Option<&impl ToString>) {
        if let Some(value) = value {
            self.text(name, &value.to_string());
        }
    }

    fn money(&mut self, name: &str, amount: Option<Minor>) {
        let text = amount.map(|amount| self.currency.format(amount));
        self.some(name, text.as_ref());
    }

    fn number(&mut self, name: &str, number: &impl ToString) {
        self.name(name);
        self.out.extend_from_slice(number.to_string().as_bytes());
    }

    fn null(&mut self, name: &str) {
        self.name(name);
        self.out.extend_from_slice(b"null");
    }

    fn change(&mut self, name: &str, change: Option<&Option<impl ToString>>) {
        match change {
            None => {}
            Some(None) => self.null(name),
            Some(Some(value)) => self.text(name, &value.to_string()),
        }
    }

    fn money_change(&mut self, name: &str, change: Change<Minor>) {
        let text = change.map(|amount| amount.map(|amount| self.currency.format(amount)));
        self.change(name, text.as_ref());
    }

    fn number_change(&mut self, name: &str, change: Option<&Option<impl ToString>>) {
        match change {
            None => {}
            Some(None) => self.null(name),
            Some(Some(number)) => self.number(name, number),
        }
    }

    fn categories(&mut self, name: &str, ids: &[CategoryId]) {
        self.name(name);
        self.texts(ids.iter().map(CategoryId::as_str));
    }

    fn texts<'t>(&mut self, texts: impl Iterator<Item = &'t str>) {
        self.out.push(b'[');
        for (idx, text) in texts.enumerate() {
            if 0 < idx {
                self.out.push(b',');
            }
            quote(self.out, text);
        }
        self.out.push(b']');
    }

    /// A single value as itself, several as a list, none as null.
    fn attributes(&mut self, name: &str, attributes: &[AttributeTexts]) {
        if attributes.is_empty() {
            return;
        }
        let mut object = self.object(name);
        for attribute in attributes {
            let attr = attribute.attr.as_str();
            match attribute.texts.as_slice() {
                [] => object.null(attr),
                [text] => object.text(attr, text),
                texts => {
                    object.name(attr);
                    object.texts(texts.iter().map(|text| &**text));
                }
            }
        }
        object.close();
    }

    fn delete(&mut self, what: &str, key: &str) {
        self.text("op", "delete");
        self.text(what, key);
    }

    fn product(&mut self, product: &ProductRecord) {
        self.text("op", "replace");
        self.text("product", product.key.as_str());
        self.some("product_group", product.group.as_ref());
        self.some("seller", product.seller.as_ref());
        if !product.categories.is_empty() {
            self.categories("categories", &product.categories);
        }
        self.some("score", product.score.as_ref());
        self.attributes("attributes", &product.attributes);
        let mut variants = self.object("variants");
        for variant in &product.variants {
            let mut nested = variants.object(variant.key.as_str());
            nested.variant(variant);
            nested.close();
        }
        variants.close();
    }

    /// The list of categories is always written: it tells that the row brings its product's part.
    fn product_fields(&mut self, fields: &ProductFields) {
        self.some("product_group", fields.group.as_ref());
        self.some("seller", fields.seller.as_ref());
        self.categories("categories", &fields.categories);
        self.attributes("product_attributes", &fields.attributes);
    }

    fn variant(&mut self, variant: &VariantRecord) {
        self.money("list_price", variant.list_price);
        self.money("sale_price", variant.sale_price);
        self.money("cost", variant.cost);
        self.number_change("stock", variant.stock.map(Some).as_ref());
        self.some("score", variant.score.as_ref());
        self.number_change("weight_g", variant.weight_g.map(Some).as_ref());
        self.attributes("attributes", &variant.attributes);
    }

    fn product_edit(&mut self, edit: &ProductEdit) {
        self.change("product_group", edit.group.as_ref());
        self.change("seller", edit.seller.as_ref());
        if let Some(categories) = &edit.categories {
            self.categories("categories", categories);
        }
        self.change("score", edit.score.as_ref());
        self.attributes("attributes", &edit.attributes);
    }

    fn variant_edit(&mut self, edit: &VariantEdit) {
        self.money_change("list_price", edit.list_price);
        self.money_change("sale_price", edit.sale_price);
        self.money_change("cost", edit.cost);
        self.number_change("stock", edit.stock.as_ref());
        self.change("score", edit.score.as_ref());
        self.number_change("weight_g", edit.weight_g.as_ref());
        self.attributes("attributes", &edit.attributes);
    }

    fn category(&mut self, op: &str, record: &CategoryRecord) {
        self.text("op", op);
        self.text("category", record.id.as_str());
        self.some("name", record.name.as_ref());
        if !record.parents.is_empty() {
            self.categories("parents", &record.parents);
        }
    }
}

fn quote(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a text written to memory meets no error");
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use proptest::collection::{btree_map, vec};
    use proptest::option;
    use proptest::prelude::*;

    use super::*;
    use crate::catalogue::attribute::is_built_in;
    use crate::catalogue::product::CategoryEdit;
    use crate::domain::id::{GroupKey, ProductKey, SellerKey, VariantKey};
    use crate::domain::number::{Number, Score};
    use crate::domain::text;
    use crate::feed::trial::{Trial, sek};
    use crate::feed::{Format, Kind};
    use crate::predicate::rule::Attr;

    /// Text in normal form without control characters.
    fn any_text(max: usize) -> impl Strategy<Value = String> {
        let raw = prop_oneof!["[a-z\"\\\\/~:, {}]{1,12}", "\\PC{1,20}"];
        raw.prop_map(|raw| text::normal(&raw).into_owned())
            .prop_filter("bounded", move |text| text::bounded(text, max).is_ok())
            .prop_filter("normal twice", |text| text::normal(text) == *text)
    }

    fn any_variant_key() -> impl Strategy<Value = VariantKey> {
        any_text(128).prop_map(|text| VariantKey::parse(&text).unwrap())
    }

    fn any_product_key() -> impl Strategy<Value = ProductKey> {
        any_text(128).prop_map(|text| ProductKey::parse(&text).unwrap())
    }

    fn any_group() -> impl Strategy<Value = GroupKey> {
        any_text(128).prop_map(|text| GroupKey::parse(&text).unwrap())
    }

    fn any_seller() -> impl Strategy<Value = SellerKey> {
        any_text(128).prop_map(|text| SellerKey::parse(&text).unwrap())
    }

    fn any_category() -> impl Strategy<Value = CategoryId> {
        let key = any_text(100).prop_map(|key| key.replace(':', "-"));
        ("[a-z]{1,5}", key)
            .prop_map(|(tree, key)| CategoryId::parse(&format!("{tree}:{key}")).unwrap())
    }

    fn any_categories() -> impl Strategy<Value = Vec<CategoryId>> {
        vec(any_category(), 0..4).prop_map(|mut ids| {
            ids.sort();
            ids.dedup();
            ids
        })
    }

    fn any_score() -> impl Strategy<Value = Score> {
        (
            -999_999_999_999_999_999_i64..=999_999_999_999_999_999,
            0_u32..=18,
        )
            .prop_map(|(mantissa, scale)| {
                let number = Number::from_parts(i128::from(mantissa), scale).unwrap();
                Score::parse(&number.to_string()).unwrap()
            })
    }

    fn any_minor() -> impl Strategy<Value = Minor> {
        any::<i64>().prop_map(Minor)
    }

    fn any_attributes(n_min: usize) -> impl Strategy<Value = Vec<AttributeTexts>> {
        let name = any_text(128).prop_filter("not built in", |name| !is_built_in(name));
        let texts = vec(any_text(256).prop_map(Arc::<str>::from), n_min..4);
        btree_map(name, texts, 0..4).prop_map(|named: BTreeMap<_, _>| {
            let named = named.into_iter();
            named
                .map(|(name, texts)| AttributeTexts {
                    attr: Attr::parse(&name).unwrap(),
                    texts,
                })
                .collect()
        })
    }

    prop_compose! {
        fn any_variant()(
            key in any_variant_key(),
            (list_price, sale_price, cost) in (option::of(any_minor()), option::of(any_minor()), option::of(any_minor())),
            stock in any::<Option<i64>>(),
            score in option::of(any_score()),
            weight_g in any::<Option<u32>>(),
            attributes in any_attributes(1),
        ) -> VariantRecord {
            VariantRecord { key, list_price, sale_price, cost, stock, score, weight_g, attributes }
        }
    }

    prop_compose! {
        fn any_product()(
            key in any_product_key(),
            group in option::of(any_group()),
            seller in option::of(any_seller()),
            categories in any_categories(),
            score in option::of(any_score()),
            attributes in any_attributes(1),
            mut variants in vec(any_variant(), 1..4),
        ) -> ProductRecord {
            variants.sort_by(|left, right| left.key.cmp(&right.key));
            variants.dedup_by(|left, right| left.key == right.key);
            ProductRecord { key, group, seller, categories, score, attributes, variants }
        }
    }

    prop_compose! {
        fn any_fields()(
            group in option::of(any_group()),
            seller in option::of(any_seller()),
            categories in any_categories(),
            attributes in any_attributes(1),
        ) -> ProductFields {
            ProductFields { group, seller, categories, attributes }
        }
    }

    fn any_change<T: std::fmt::Debug>(
        value: impl Strategy<Value = T>,
    ) -> impl Strategy<Value = Change<T>> {
        option::of(option::of(value))
    }

    prop_compose! {
        fn any_product_edit()(
            group in any_change(any_group()),
            seller in any_change(any_seller()),
            categories in option::of(any_categories()),
            score in any_change(any_score()),
            attributes in any_attributes(0),
        ) -> ProductEdit {
            ProductEdit { group, seller, categories, score, attributes }
        }
    }

    prop_compose! {
        fn any_variant_edit()(
            (list_price, sale_price, cost) in (any_change(any_minor()), any_change(any_minor()), any_change(any_minor())),
            stock in any_change(any::<i64>()),
            score in any_change(any_score()),
            weight_g in any_change(any::<u32>()),
            attributes in any_attributes(0),
        ) -> VariantEdit {
            VariantEdit { list_price, sale_price, cost, stock, score, weight_g, attributes }
        }
    }

    prop_compose! {
        fn any_record()(id in any_category(), name in any_text(256), parents in any_categories()) -> CategoryRecord {
            CategoryRecord { id, name: Some(name), parents }
        }
    }

    prop_compose! {
        fn any_mention()(record in any_record(), is_named in any::<bool>()) -> CategoryRecord {
            CategoryRecord { name: record.name.filter(|_| is_named), ..record }
        }
    }

    fn any_operation() -> impl Strategy<Value = FeedOperation> {
        use FeedOperation as Is;
        prop_oneof![
            any_product().prop_map(Is::ReplaceProduct),
            (
                option::of(any_product_key()),
                option::of(any_fields()),
                any_variant()
            )
                .prop_map(|(product, product_fields, variant)| Is::ReplaceVariant {
                    product,
                    product_fields,
                    variant
                }),
            (any_product_key(), any_product_edit())
                .prop_map(|(product, edit)| Is::EditProduct { product, edit }),
            (any_variant_key(), any_variant_edit())
                .prop_map(|(variant, edit)| Is::EditVariant { variant, edit }),
            any_product_key().prop_map(Is::DeleteProduct),
            any_variant_key().prop_map(Is::DeleteVariant),
            any_record().prop_map(Is::ReplaceCategory),
            any_mention().prop_map(Is::MentionCategory),
            (
                any_category(),
                any_change(any_text(256)),
                option::of(any_categories())
            )
                .prop_map(|(category, name, parents)| Is::EditCategory {
                    category,
                    edit: CategoryEdit { name, parents }
                }),
            any_category().prop_map(Is::DeleteCategory),
            (any_variant_key(), option::of(any_score()))
                .prop_map(|(variant, score)| Is::SetScore { variant, score }),
        ]
    }

    fn read_back(operation: &FeedOperation) -> Vec<(u64, FeedOperation)> {
        let mut line = Vec::new();
        write(operation, sek(), &mut line);
        let kind = match operation {
            FeedOperation::SetScore { .. } => Kind::Scores,
            _ => Kind::Catalogue,
        };
        let taken = Trial::of(Format::Ndjson, kind).read(&line).unwrap();
        let shown = String::from_utf8_lossy(&line);
        assert_eq!(taken.faults(), vec![], "{shown}");
        taken.operations
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(operation in any_operation()) {
            prop_assert_eq!(read_back(&operation), vec![(1, operation)]);
        }
    }

    #[test]
    fn a_category_without_a_name_is_written_as_a_mention() {
        let record = CategoryRecord {
            id: CategoryId::parse("main:a").unwrap(),
            name: None,
            parents: vec![CategoryId::parse("main:b").unwrap()],
        };
        let expected = vec![(1, FeedOperation::MentionCategory(record.clone()))];
        assert_eq!(read_back(&FeedOperation::ReplaceCategory(record)), expected);
    }

    #[test]
    fn lines_look_like_the_documented_ones() {
        let key = VariantKey::parse("FJO-DOWN-L").unwrap();
        let edit = VariantEdit {
            stock: Some(Some(0)),
            ..VariantEdit::default()
        };
        let mut lines = Vec::new();
        write(
            &FeedOperation::EditVariant { variant: key, edit },
            sek(),
            &mut lines,
        );
        let product = ProductKey::parse("FJO-OLD").unwrap();
        write(&FeedOperation::DeleteProduct(product), sek(), &mut lines);
        let expected = "{\"op\":\"edit\",\"variant\":\"FJO-DOWN-L\",\"stock\":0}\n\
                        {\"op\":\"delete\",\"product\":\"FJO-OLD\"}\n";
        assert_eq!(String::from_utf8(lines).unwrap(), expected);
    }
}
