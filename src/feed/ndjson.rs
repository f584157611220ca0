//! The native format: one operation a line, products with nested variants.
//!
//! ```text
//! {"op":"replace","product":"P","product_group":…,"seller":…,"categories":[…],"score":…,
//!  "attributes":{…},"variants":{"V":{"list_price":…,"attributes":{…}}}}
//! {"op":"replace","variant":"V","product":"P","product_group":…,"list_price":…,"attributes":{…}}
//! {"op":"edit","variant":"V","stock":0}             {"op":"delete","product":"P"}
//! {"op":"replace","category":"main:c","name":"C","parents":["main:b"]}
//! {"op":"mention","category":"main:c","parents":["main:b"]}
//! {"variant":"V","score":"1.5"}                     (a feed of scores)
//! ```
//!
//! A product without `variants` is its own variant and takes that one's fields itself. A flat
//! variant brings the values its product holds as `product_attributes`. Other members are
//! attributes of the record they stand in. `mention` adds edges and, where there is none, a name.
//! What a record says for some markets alone stands in its `markets`: see [`overrides`](super::overrides).

use std::io::BufRead;

use crate::catalogue::product::{
    AttributeTexts, CategoryEdit, CategoryRecord, FeedOperation, ProductEdit, ProductFields,
    ProductRecord, VariantEdit, VariantRecord,
};
use crate::domain::category::CategoryId;
use crate::domain::complaint::Fault;
use crate::domain::id::{GroupKey, ProductKey, SellerKey, VariantKey};
use crate::domain::money::{Currency, Minor};
use crate::domain::number::Score;
use crate::domain::text;
use crate::domain::value::TEXT_CHARS_MAX;
use crate::feed::bytes::{Lines, split_terminator};
use crate::feed::json::{Json, Object, Place};
use crate::feed::member::{Members, within};
use crate::feed::overrides::{Localised, localise};
use crate::feed::result::{Counts, Faults, FeedError, Refused, Subject, refuse};
use crate::feed::{Kind, Reading, Rows};

/// Most variants of a product.
pub const VARIANTS_MAX: usize = 1_000;

/// Reads native lines.
pub(super) fn read<R: BufRead, E: FnMut(u64, Result<FeedOperation, Refused>)>(
    lines: &mut Lines<R>,
    reading: &Reading<'_>,
    rows: &mut Rows<'_, E>,
) -> Result<(), FeedError> {
    while let Some((row, line)) = lines.next_line()? {
        let (line, _) = split_terminator(line);
        if line.trim_ascii().is_empty() {
            continue;
        }
        let outcome = for_market(row, line, reading, &mut rows.counts);
        let outcome = outcome.map(|operation| rows.operations.extend(operation));
        rows.finish(row, outcome, |target| format!("/{target}"));
    }
    Ok(())
}

/// What the market reads in a line; nothing if it is not for it.
fn for_market(
    row: u64,
    line: &[u8],
    reading: &Reading<'_>,
    counts: &mut Counts,
) -> Result<Option<FeedOperation>, Refused> {
    let Ok(text) = str::from_utf8(line) else {
        return operation_of(row, line, reading);
    };
    let (localised, n_elsewhere) = localise(row, text, reading.market)?;
    counts.other_markets += n_elsewhere;
    match localised {
        Localised::AsItIs => operation_of(row, line, reading),
        Localised::Line(own) => operation_of(row, own.as_bytes(), reading),
        Localised::Elsewhere => {
            counts.other_markets += 1;
            Ok(None)
        }
    }
}

fn operation_of(
    row: u64,
    line: &[u8],
    reading: &Reading<'_>,
) -> Result<Option<FeedOperation>, Refused> {
    let mut object = object_of(row, line)?;
    let mut faults = Faults::of_row(row);
    let mut line = Line {
        currency: reading.locale.currency,
        members: Members {
            object: &mut object,
            place: Place::ROOT,
            faults: &mut faults,
        },
    };
    let operation = match reading.kind {
        Kind::Catalogue => line.record(),
        Kind::Categories => line.category(),
        Kind::Scores => line.score(),
    };
    faults.finish()?;
    Ok(operation)
}

/// The members of a line.
pub(super) fn object_of(row: u64, line: &[u8]) -> Result<Object<'_>, Refused> {
    let Ok(line) = str::from_utf8(line) else {
        let shown = String::from_utf8_lossy(line);
        return Err(refuse(row, "", &shown, Fault::bad_format("UTF-8", &shown)));
    };
    Json::parse(line)
        .and_then(Json::object)
        .map_err(|fault| refuse(row, "", line, fault))
}

/// What a line does with its record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Op {
    Replace,
    Edit,
    Delete,
    Mention,
}

impl Op {
    const KNOWN: [&str; 4] = ["replace", "edit", "delete", "mention"];

    fn parse(text: &str) -> Result<Self, Fault> {
        match text {
            "replace" => Ok(Self::Replace),
            "edit" => Ok(Self::Edit),
            "delete" => Ok(Self::Delete),
            "mention" => Ok(Self::Mention),
            _ => Err(Fault::unknown_value(text, &Self::KNOWN)),
        }
    }
}

/// One line, or a variant inside one. Every reader answers `None` after a fault it noted.
struct Line<'r, 'a> {
    currency: Currency,
    members: Members<'r, 'a>,
}

impl Line<'_, '_> {
    /// A line about whatever record it names.
    fn record(&mut self) -> Option<FeedOperation> {
        if self.members.object.has("category") {
            self.category()
        } else if self.members.object.has("variant") {
            self.variant()
        } else {
            self.product()
        }
    }

    fn op(&mut self) -> Option<Op> {
        self.members.required("op", |json| Op::parse(&json.text()?))
    }

    /// Products and variants are there or not; only categories are mentioned.
    fn cannot_mention(&mut self) -> Option<FeedOperation> {
        let fault = Fault::unknown_value("mention", &Op::KNOWN[..3]);
        self.members.faults.add("/op", "mention", fault);
        None
    }

    fn product(&mut self) -> Option<FeedOperation> {
        let op = self.op();
        let key = self
            .members
            .required("product", |json| ProductKey::parse(&json.text()?))?;
        self.members.faults.about(Subject::Product(key.clone()));
        match op? {
            Op::Replace => Some(FeedOperation::ReplaceProduct(self.product_record(key))),
            Op::Edit => {
                let edit = self.product_edit();
                Some(FeedOperation::EditProduct { product: key, edit })
            }
            Op::Delete => {
                self.members.nothing_else(&[]);
                Some(FeedOperation::DeleteProduct(key))
            }
            Op::Mention => self.cannot_mention(),
        }
    }

    fn product_record(&mut self, key: ProductKey) -> ProductRecord {
        let variants = match self.variants() {
            Some(variants) => variants,
            None => VariantKey::parse(key.as_str())
                .map(|key| variant_record(key, self.facts()))
                .into_iter()
                .collect(),
        };
        let edit = self.product_edit();
        ProductRecord {
            key,
            group: edit.group.flatten(),
            seller: edit.seller.flatten(),
            categories: edit.categories.unwrap_or_default(),
            score: edit.score.flatten(),
            attributes: present(edit.attributes),
            variants,
        }
    }

    fn product_edit(&mut self) -> ProductEdit {
        let members = &mut self.members;
        ProductEdit {
            group: members.parsed("product_group", GroupKey::parse),
            seller: members.parsed("seller", SellerKey::parse),
            categories: members.categories("categories"),
            score: members.change("score", score),
            attributes: members.all_attributes(),
        }
    }

    /// The nested variants, if there are any.
    fn variants(&mut self) -> Option<Vec<VariantRecord>> {
        let read = |json: Json<'_>| {
            let object = json.object()?;
            within(object.rest().count(), VARIANTS_MAX)?;
            Ok(())
        };
        let json = self.members.object.peek("variants");
        self.members.change("variants", read).flatten()?;
        let object = json.and_then(|json| json.object().ok())?;
        let place = self.members.place.at("variants");
        let mut variants = Vec::new();
        for (name, json) in object.rest() {
            let place = place.at(name);
            let read = VariantKey::parse(name).and_then(|key| Ok((key, json.object()?)));
            let (key, mut object) = match read {
                Ok(read) => read,
                Err(fault) => {
                    let faults = &mut *self.members.faults;
                    faults.add(place.to_string(), &json.shown(), fault);
                    continue;
                }
            };
            let mut nested = Line {
                currency: self.currency,
                members: Members {
                    object: &mut object,
                    place,
                    faults: self.members.faults,
                },
            };
            variants.push(variant_record(key, nested.variant_edit()));
        }
        (!variants.is_empty() || object.rest().next().is_some()).then_some(variants)
    }

    fn variant(&mut self) -> Option<FeedOperation> {
        let op = self.op();
        let key = self
            .members
            .required("variant", |json| VariantKey::parse(&json.text()?))?;
        self.members.faults.about(Subject::Variant(key.clone()));
        match op? {
            Op::Replace => {
                let product = self.members.parsed("product", ProductKey::parse).flatten();
                let product_fields = self.product_fields();
                Some(FeedOperation::ReplaceVariant {
                    product,
                    product_fields,
                    variant: variant_record(key, self.variant_edit()),
                })
            }
            Op::Edit => Some(FeedOperation::EditVariant {
                variant: key,
                edit: self.variant_edit(),
            }),
            Op::Delete => {
                self.members.nothing_else(&[]);
                Some(FeedOperation::DeleteVariant(key))
            }
            Op::Mention => self.cannot_mention(),
        }
    }

    /// The product's part of a flat line, if it brings any of it.
    fn product_fields(&mut self) -> Option<ProductFields> {
        let names = [
            "product_group",
            "seller",
            "categories",
            "product_attributes",
        ];
        let members = &mut self.members;
        names.iter().find(|name| members.object.has(name))?;
        Some(ProductFields {
            group: members.parsed("product_group", GroupKey::parse).flatten(),
            seller: members.parsed("seller", SellerKey::parse).flatten(),
            categories: members.categories("categories").unwrap_or_default(),
            attributes: present(members.attributes("product_attributes")),
        })
    }

    fn variant_edit(&mut self) -> VariantEdit {
        let mut edit = self.facts();
        edit.score = self.members.change("score", score);
        edit.attributes = self.members.all_attributes();
        edit
    }

    /// What only a variant has: not its score, not its attributes.
    fn facts(&mut self) -> VariantEdit {
        let currency = self.currency;
        let money = |json: Json<'_>| money(json, currency);
        let members = &mut self.members;
        VariantEdit {
            list_price: members.change("list_price", money),
            sale_price: members.change("sale_price", money),
            cost: members.change("cost", money),
            stock: members.change("stock", whole),
            weight_g: members.change("weight_g", whole),
            score: None,
            attributes: Vec::new(),
        }
    }

    fn category(&mut self) -> Option<FeedOperation> {
        const KNOWN: [&str; 4] = ["op", "category", "name", "parents"];
        let op = self.op();
        let members = &mut self.members;
        let id = members.required("category", |json| CategoryId::parse(&json.text()?))?;
        members.faults.about(Subject::Category(id.clone()));
        let op = op?;
        if op == Op::Delete {
            members.nothing_else(&KNOWN);
            return Some(FeedOperation::DeleteCategory(id));
        }
        let name = members.parsed("name", category_name);
        let parents = members.categories("parents");
        members.nothing_else(&KNOWN);
        if op == Op::Edit {
            let edit = CategoryEdit { name, parents };
            return Some(FeedOperation::EditCategory { category: id, edit });
        }
        let record = CategoryRecord {
            name: name.flatten(),
            parents: parents.unwrap_or_default(),
            id,
        };
        if op == Op::Mention {
            return Some(FeedOperation::MentionCategory(record));
        }
        Some(FeedOperation::ReplaceCategory(named(record)))
    }

    fn score(&mut self) -> Option<FeedOperation> {
        let members = &mut self.members;
        let key = members.required("variant", |json| VariantKey::parse(&json.text()?));
        if let Some(key) = &key {
            members.faults.about(Subject::Variant(key.clone()));
        }
        if !members.object.has("score") {
            members.faults.add("/score", "", Fault::Required);
        }
        let score = members.change("score", score);
        members.nothing_else(&["variant", "score"]);
        Some(FeedOperation::SetScore {
            variant: key?,
            score: score?,
        })
    }
}

/// A variant that stands as the edit says.
fn variant_record(key: VariantKey, edit: VariantEdit) -> VariantRecord {
    VariantRecord {
        key,
        list_price: edit.list_price.flatten(),
        sale_price: edit.sale_price.flatten(),
        cost: edit.cost.flatten(),
        stock: edit.stock.flatten(),
        score: edit.score.flatten(),
        weight_g: edit.weight_g.flatten(),
        attributes: present(edit.attributes),
    }
}

/// Those that have a value.
fn present(mut attributes: Vec<AttributeTexts>) -> Vec<AttributeTexts> {
    attributes.retain(|attribute| !attribute.texts.is_empty());
    attributes
}

/// A category that is defined has a name: its key stands in, as a variant's does for its title.
pub(super) fn named(mut record: CategoryRecord) -> CategoryRecord {
    let key = record.id.as_str().split_once(':').map(|(_, key)| key);
    record.name = record.name.or_else(|| key.map(str::to_owned));
    record
}

/// The name of a category.
pub(super) fn category_name(text: &str) -> Result<String, Fault> {
    text::bounded(text, TEXT_CHARS_MAX).map(std::borrow::Cow::into_owned)
}

fn money(json: Json<'_>, currency: Currency) -> Result<Minor, Fault> {
    match json.number() {
        Some(_) => Err(json.wrong("an amount as text")),
        None => currency.parse_amount(json.text()?.trim()),
    }
}

fn score(json: Json<'_>) -> Result<Score, Fault> {
    match json.number() {
        Some(digits) => Score::parse(digits),
        None => Score::parse(json.text()?.trim()),
    }
}

fn whole<T: std::str::FromStr>(json: Json<'_>) -> Result<T, Fault> {
    let digits = json.number().ok_or_else(|| json.wrong("a whole number"))?;
    whole_number(digits)
}

/// A whole number of the type's range.
pub(super) fn whole_number<T: std::str::FromStr>(digits: &str) -> Result<T, Fault> {
    digits.parse().map_err(|_| {
        let unsigned = digits.strip_prefix(['-', '+']).unwrap_or(digits);
        if !unsigned.is_empty() && unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
            return Fault::OutOfRange {
                found: digits.chars().take(80).collect(),
                allowed: "whole numbers that a shop can have".to_owned(),
            };
        }
        Fault::bad_format("a whole number", digits)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::Format;
    use crate::feed::trial::{Taken, Trial};

    fn one(line: &str) -> FeedOperation {
        let taken = Trial::native().read(line.as_bytes()).unwrap();
        assert_eq!(taken.faults(), vec![]);
        taken.operations.into_iter().next().unwrap().1
    }

    #[track_caller]
    fn check_faults(taken: &Taken, expected: &[(&str, &str)]) {
        let found: Vec<_> = taken
            .errors
            .iter()
            .map(|error| (error.column.as_str(), error.fault.code()))
            .collect();
        assert_eq!(found, expected);
    }

    #[track_caller]
    fn check(line: &str, expected: &[(&str, &str)]) {
        check_faults(&Trial::native().read(line.as_bytes()).unwrap(), expected);
    }

    #[test]
    fn a_product_comes_with_its_variants() {
        let operation = one(
            r#"{"op":"replace","product":"FJO-DOWN","product_group":"FJO-DOWN-ALL","seller":"fjord",
            "categories":["main:jackets"],"attributes":{"title":"Down jacket","season":["winter"]},
            "variants":{"FJO-DOWN-L":{"list_price":"2290.00","sale_price":"2135.75",
            "cost":"1180.00","stock":14,"score":"41.7","weight_g":640,"attributes":{"size":"L"}}}}"#
                .replace('\n', " ")
                .as_str(),
        );
        let FeedOperation::ReplaceProduct(product) = operation else {
            panic!("{operation:?}");
        };
        assert_eq!(product.group.unwrap().as_str(), "FJO-DOWN-ALL");
        assert_eq!(product.categories[0].as_str(), "main:jackets");
        assert_eq!(product.attributes.len(), 2);
        let variant = &product.variants[0];
        assert_eq!(variant.sale_price, Some(Minor(213_575)));
        assert_eq!((variant.stock, variant.weight_g), (Some(14), Some(640)));
        assert_eq!(variant.score.unwrap().to_string(), "41.7");
        assert_eq!(&*variant.attributes[0].texts[0], "L");
    }

    #[test]
    fn a_product_without_variants_is_its_own() {
        for variants in ["", r#","variants":{}"#, r#","variants":null"#] {
            let line = r#"{"op":"replace","product":"P","list_price":"5","score":2,"brand":"b""#;
            let operation = one(&format!("{line}{variants}}}"));
            let FeedOperation::ReplaceProduct(product) = operation else {
                panic!("{operation:?}");
            };
            assert_eq!(product.variants.len(), 1);
            assert_eq!(product.variants[0].key.as_str(), "P");
            assert_eq!(product.variants[0].list_price, Some(Minor(500)));
            assert_eq!(product.score.unwrap().to_string(), "2");
            assert_eq!(product.attributes[0].attr.as_str(), "brand");
        }
    }

    #[test]
    fn an_edit_changes_what_it_names_and_null_takes_away() {
        let operation = one(
            r#"{"op":"edit","variant":"V","stock":0,"cost":null,"attributes":{"size":null},"b":[]}"#,
        );
        let FeedOperation::EditVariant { edit, .. } = operation else {
            panic!("{operation:?}");
        };
        assert_eq!((edit.stock, edit.cost), (Some(Some(0)), Some(None)));
        assert_eq!(edit.list_price, None);
        let mut attributes = edit.attributes.iter();
        assert!(edit.attributes.len() == 2 && attributes.all(|own| own.texts.is_empty()));
    }

    #[test]
    fn numbers_are_taken_by_their_digits() {
        let line =
            r#"{"op":"replace","variant":"V","w":1.50,"big":12345678901234567890.10,"f":true}"#;
        let FeedOperation::ReplaceVariant { variant, .. } = one(line) else {
            panic!("another operation");
        };
        let texts: Vec<&str> = variant
            .attributes
            .iter()
            .map(|own| &*own.texts[0])
            .collect();
        assert_eq!(texts, ["12345678901234567890.10", "true", "1.50"]);
    }

    #[test]
    fn blank_attributes_are_absent() {
        let line =
            r#"{"op":"replace","variant":"V","attributes":{"a":" ","b":["","x",null],"c":null}}"#;
        let FeedOperation::ReplaceVariant { variant, .. } = one(line) else {
            panic!("another operation");
        };
        assert_eq!(variant.attributes.len(), 1);
        assert_eq!(variant.attributes[0].texts.len(), 1);
    }

    #[test]
    fn each_fault_has_its_pointer_and_code() {
        check(
            r#"{"op":"replace","variant":"V","list_price":12.5,"cost":"1,5","sale_price":"0.005","stock":1.5,"weight_g":-1,"score":"1e3"}"#,
            &[
                ("/list_price", "wrong-type"),
                ("/sale_price", "money-precision"),
                ("/cost", "bad-format"),
                ("/stock", "bad-format"),
                ("/weight_g", "out-of-range"),
                ("/score", "bad-format"),
            ],
        );
        check(
            r#"{"op":"replace","product":"P","variants":{"a/b":{"stock":"4","color":{}}," ":{},"c":3}}"#,
            &[
                ("/variants/a~1b/stock", "wrong-type"),
                ("/variants/a~1b/color", "wrong-type"),
                ("/variants/ ", "too-short"),
                ("/variants/c", "wrong-type"),
            ],
        );
        check(
            r#"{"op":"replace","product":"P","variants":{"V":{}},"price":"1","stock":1,"weight_g":2}"#,
            &[
                ("/price", "contradiction"),
                ("/stock", "contradiction"),
                ("/weight_g", "contradiction"),
            ],
        );
        check(
            r#"{"op":"replace","product":"P","brand":"x","attributes":{"brand":"y","in_stock":"z"}}"#,
            &[
                ("/attributes/in_stock", "contradiction"),
                ("/brand", "duplicate"),
            ],
        );
    }

    #[test]
    fn a_line_must_say_what_it_does_to_what() {
        check("{}", &[("/op", "required"), ("/product", "required")]);
        check(
            r#"{"op":"replce","product":"P"}"#,
            &[("/op", "unknown-value")],
        );
        check(
            r#"{"op":"mention","product":"P"}"#,
            &[("/op", "unknown-value")],
        );
        check(
            r#"{"op":"replace","product":null}"#,
            &[("/product", "required")],
        );
        check(
            r#"{"op":"delete","product":"P","stock":1}"#,
            &[("/stock", "unknown-field")],
        );
        check(
            r#"{"op":"edit","variant":"V","product":"P","variants":{}}"#,
            &[
                ("/product", "contradiction"),
                ("/variants", "contradiction"),
            ],
        );
        check(
            r#"{"op":"replace","category":"c","nme":"C"}"#,
            &[("/nme", "unknown-field")],
        );
        check(
            r#"{"op":"replace","product":"P","product":"Q"}"#,
            &[("", "duplicate")],
        );
        check("[1]", &[("", "wrong-type")]);
        check("{", &[("", "bad-format")]);
    }

    #[test]
    fn rows_are_physical_lines() {
        let bytes = b"\xef\xbb\xbf{\"op\":\"delete\",\"product\":\"P\"}\r\n\n \t\nx\n\xff\xfe\n";
        let taken = Trial::native().read(bytes).unwrap();
        let expected = vec![
            (4, String::new(), "bad-format"),
            (5, String::new(), "bad-format"),
        ];
        assert_eq!(taken.faults(), expected);
        assert_eq!((taken.counts.rows, taken.counts.rejected), (3, 2));
    }

    #[test]
    fn long_values_are_cut_to_eighty_characters() {
        let line = format!("{{\"op\":\"replace\",\"product\":\"{}\"}}", "ä".repeat(200));
        let taken = Trial::native().read(line.as_bytes()).unwrap();
        assert_eq!(taken.errors[0].value, "ä".repeat(80));
        assert_eq!(taken.errors[0].fault.code(), "too-long");
    }

    #[test]
    fn scores_and_categories_have_feeds_of_their_own() {
        let scores = Trial::of(Format::Ndjson, Kind::Scores);
        let lines = b"{\"variant\":\"A\",\"score\":\"1.5\"}\n{\"variant\":\"B\",\"score\":null}\n\
                      {\"variant\":\"C\"}\n{\"variant\":\"D\",\"score\":\"2\",\"x\":1}\n";
        let taken = scores.read(lines).unwrap();
        check_faults(&taken, &[("/score", "required"), ("/x", "unknown-field")]);
        assert_eq!(taken.operations.len(), 2);
        let categories = Trial::of(Format::Ndjson, Kind::Categories);
        let taken = categories
            .read(b"{\"op\":\"replace\",\"product\":\"P\"}")
            .unwrap();
        check_faults(&taken, &[("/category", "required")]);
    }

    #[test]
    fn a_defined_category_has_a_name() {
        let operation = one(r#"{"op":"replace","category":"sale:x","parents":["a","main:a"]}"#);
        let FeedOperation::ReplaceCategory(record) = operation else {
            panic!("{operation:?}");
        };
        assert_eq!(record.name.as_deref(), Some("x"));
        assert_eq!(record.parents.len(), 1);
    }
}
