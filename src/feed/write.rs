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
            line.change("name", &edit.name);
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
            line.change("score", &Some(*score));
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

    fn change(&mut self, name: &str, change: &Change<impl ToString>) {
        match change {
            None => {}
            Some(None) => self.null(name),
            Some(Some(value)) => self.text(name, &value.to_string()),
        }
    }

    fn money_change(&mut self, name: &str, change: Change<Minor>) {
        let text = change.map(|amount| amount.map(|amount| self.currency.format(amount)));
        self.change(name, &text);
    }

    fn number_change(&mut self, name: &str, change: &Change<impl ToString>) {
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
        self.number_change("stock", &variant.stock.map(Some));
        self.some("score", variant.score.as_ref());
        self.number_change("weight_g", &variant.weight_g.map(Some));
        self.attributes("attributes", &variant.attributes);
    }

    fn product_edit(&mut self, edit: &ProductEdit) {
        self.change("product_group", &edit.group);
        self.change("seller", &edit.seller);
        if let Some(categories) = &edit.categories {
            self.categories("categories", categories);
        }
        self.change("score", &edit.score);
        self.attributes("attributes", &edit.attributes);
    }

    fn variant_edit(&mut self, edit: &VariantEdit) {
        self.money_change("list_price", edit.list_price);
        self.money_change("sale_price", edit.sale_price);
        self.money_change("cost", edit.cost);
        self.number_change("stock", &edit.stock);
        self.change("score", &edit.score);
        self.number_change("weight_g", &edit.weight_g);
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
