//! Product groups with nested products and variants, one a line, as Elevate's catalogue imports
//! have them.
//!
//! ```text
//! {"replace":{"key":"G","productGroup":{"products":{"P":{"markets":["se"],
//!   "defaults":{"title":…,"brand":…,"ontology":"Clothing > Coats","customLabels":{"season":["winter"]}},
//!   "overrides":{"se":{"title":…}},
//!   "variants":{"V":{"defaults":{"sellingPrice":129.0,"listPrice":199.0,"cost":55.0,"stock":2,"size":"M"}}}}}}}}
//! ```
//!
//! What stands right in a product or variant counts as its defaults; what `overrides` says for the
//! market counts instead. A product whose `markets` leave this one out is passed over. Of the two
//! prices the lower one is charged. Content and translations are passed over; groups are replaced,
//! never edited.

use std::io::BufRead;

use crate::catalogue::product::{AttributeTexts, FeedOperation, ProductRecord, VariantRecord};
use crate::domain::category::CategoryId;
use crate::domain::complaint::{Fault, token};
use crate::domain::id::{GroupKey, ProductKey, VariantKey};
use crate::domain::money::{Currency, Minor};
use crate::domain::number::Score;
use crate::domain::value::TEXT_CHARS_MAX;
use crate::feed::bytes::{Lines, split_terminator};
use crate::feed::json::{Json, Object};
use crate::feed::mapping::Mapping;
use crate::feed::member::{attr_of, attribute_text, within};
use crate::feed::ndjson::{VARIANTS_MAX, object_of, whole_number};
use crate::feed::path::Paths;
use crate::feed::result::{Counts, Faults, FeedError, Refused, Subject};
use crate::feed::{Reading, Rows};

/// Members that are no facts.
const STRUCTURE: [&str; 5] = ["markets", "defaults", "overrides", "variants", "images"];

/// Reads lines of product groups.
pub(super) fn read<R: BufRead, E: FnMut(u64, Result<FeedOperation, Refused>)>(
    lines: &mut Lines<R>,
    reading: &Reading<'_>,
    mapping: &Mapping,
    rows: &mut Rows<'_, E>,
) -> Result<(), FeedError> {
    let mut groups = Groups {
        currency: reading.locale.currency,
        market: reading.market,
        paths: Paths::new(&mapping.path_separator),
    };
    while let Some((row, line)) = lines.next_line()? {
        let (line, _) = split_terminator(line);
        if line.trim_ascii().is_empty() {
            continue;
        }
        let out = (&mut rows.operations, &mut rows.counts);
        let outcome = groups.read(row, line, out);
        rows.finish(row, outcome, |target| format!("/{target}"));
    }
    Ok(())
}

struct Groups<'r> {
    currency: Currency,
    market: &'r [&'r str],
    paths: Paths,
}

/// What a product or variant says of itself for the market, each name once; pointers say where.
type Facts<'a> = Vec<(String, Json<'a>, String)>;

impl Groups<'_> {
    fn read(
        &mut self,
        row: u64,
        line: &[u8],
        (operations, counts): (&mut Vec<FeedOperation>, &mut Counts),
    ) -> Result<(), Refused> {
        let mut line = object_of(row, line)?;
        let mut reading = Line {
            faults: Faults::of_row(row),
            paths: Vec::new(),
            n_other_markets: 0,
            n_long_texts: 0,
        };
        let products = self.group(&mut line, &mut reading);
        reading.faults.finish()?;
        counts.other_markets += reading.n_other_markets;
        counts.long_texts += reading.n_long_texts;
        operations.extend(products.into_iter().map(FeedOperation::ReplaceProduct));
        for path in reading.paths {
            let mentions = self.paths.mention(&path).into_iter();
            operations.extend(mentions.map(FeedOperation::MentionCategory));
        }
        Ok(())
    }

    /// The products of a group that are for this market.
    fn group(&self, line: &mut Object<'_>, reading: &mut Line) -> Vec<ProductRecord> {
        let Some(json) = line.take("replace") else {
            let why = "each line replaces one product group".to_owned();
            reading.faults.add("", "", Fault::Contradiction { why });
            return Vec::new();
        };
        let Some(mut replace) = reading.object("/replace", json) else {
            return Vec::new();
        };
        let key = replace.take("key");
        let key = reading.required("/replace/key", key, |json| GroupKey::parse(&json.text()?));
        let Some(json) = replace.take("productGroup") else {
            return Vec::new();
        };
        let at = "/replace/productGroup";
        let Some(mut group) = reading.object(at, json) else {
            return Vec::new();
        };
        let at = format!("{at}/products");
        let products = group.take("products");
        let products = reading.required(&at, products, super::json::Json::object);
        let mut made = Vec::new();
        for (name, json) in products.iter().flat_map(Object::rest) {
            let at = format!("{at}/{}", token(name));
            let product = self.product(&at, name, json, reading);
            made.extend(product.map(|product| ProductRecord {
                group: key.clone(),
                ..product
            }));
        }
        made
    }

    fn product(
        &self,
        at: &str,
        name: &str,
        json: Json<'_>,
        reading: &mut Line,
    ) -> Option<ProductRecord> {
        let mut object = reading.object(at, json)?;
        if !self.is_for_market(at, &mut object, reading) {
            reading.n_other_markets += 1;
            return None;
        }
        let key = reading.read(at, json, |_| ProductKey::parse(name))?;
        reading.faults.about(Subject::Product(key.clone()));
        let mut variants = Vec::new();
        let nested = object.take("variants");
        if let Some(nested) =
            nested.and_then(|json| reading.object(&format!("{at}/variants"), json))
        {
            let n = nested.rest().count();
            reading.read(at, json, |_| within(n, VARIANTS_MAX));
            for (name, json) in nested.rest() {
                let at = format!("{at}/variants/{}", token(name));
                variants.extend(self.variant(&at, name, json, reading));
            }
        }
        let facts = self.facts(at, &mut object, reading);
        let mut product = ProductRecord {
            key,
            group: None,
            seller: None,
            categories: Vec::new(),
            score: None,
            attributes: Vec::new(),
            variants,
        };
        for (name, json, at) in facts {
            match name.as_str() {
                "ontology" => {
                    let path = reading.read(&at, json, |json| Ok(json.text()?.into_owned()));
                    let id = path
                        .as_ref()
                        .and_then(|path| reading.read(&at, json, |_| self.paths.last(path)));
                    reading.paths.extend(path.filter(|_| id.is_some()));
                    product.categories.extend(id);
                }
                "category" => product.categories.extend(reading.categories(&at, json)),
                "customLabels" => reading.labels(&at, json, &mut product.attributes),
                _ => reading.attribute(&at, &name, json, &mut product.attributes),
            }
        }
        product.categories.sort_unstable();
        product.categories.dedup();
        if product.variants.is_empty() {
            let key = reading.read(at, json, |_| VariantKey::parse(name))?;
            product.variants.push(bare(key));
        }
        reading.once(at, &mut product.attributes);
        Some(product)
    }

    fn variant(
        &self,
        at: &str,
        name: &str,
        json: Json<'_>,
        reading: &mut Line,
    ) -> Option<VariantRecord> {
        let mut object = reading.object(at, json)?;
        if !self.is_for_market(at, &mut object, reading) {
            reading.n_other_markets += 1;
            return None;
        }
        let mut variant = bare(reading.read(at, json, |_| VariantKey::parse(name))?);
        let (mut selling, mut list) = (None, None);
        let money = |json| amount(json, self.currency);
        for (name, json, at) in self.facts(at, &mut object, reading) {
            match name.as_str() {
                "sellingPrice" => selling = reading.read(&at, json, money),
                "listPrice" => list = reading.read(&at, json, money),
                "cost" => variant.cost = reading.read(&at, json, money),
                "stock" => {
                    variant.stock = reading.read(&at, json, |json| whole_number(&json.scalar()?));
                }
                "score" => {
                    variant.score = reading.read(&at, json, |json| Score::parse(&json.scalar()?));
                }
                "customLabels" => reading.labels(&at, json, &mut variant.attributes),
                _ => reading.attribute(&at, &name, json, &mut variant.attributes),
            }
        }
        (variant.list_price, variant.sale_price) = prices(selling, list);
        reading.once(at, &mut variant.attributes);
        Some(variant)
    }

    /// Whether a record without a list of markets, or with ours in it, stands in `object`.
    fn is_for_market(&self, at: &str, object: &mut Object<'_>, reading: &mut Line) -> bool {
        let Some(json) = object.take("markets").filter(|json| !json.is_null()) else {
            return true;
        };
        let Some(entries) = json.list() else {
            let fault = json.wrong("a list of markets");
            reading
                .faults
                .add(format!("{at}/markets"), &json.shown(), fault);
            return true;
        };
        let is_own = |json: &Json<'_>| {
            let text = json.text();
            text.is_ok_and(|text| {
                self.market
                    .iter()
                    .any(|own| own.eq_ignore_ascii_case(&text))
            })
        };
        entries.iter().any(is_own)
    }

    /// Defaults and what stands beside them, with what the market overrides.
    fn facts<'a>(&self, at: &str, object: &mut Object<'a>, reading: &mut Line) -> Facts<'a> {
        let mut facts: Facts<'a> = Vec::new();
        let mut set = |name: &str, json: Json<'a>, at: String| match facts
            .iter_mut()
            .find(|(own, ..)| own == name)
        {
            Some(own) => (own.1, own.2) = (json, at),
            None => facts.push((name.to_owned(), json, at)),
        };
        let part = |name: &str, object: &mut Object<'a>, reading: &mut Line| {
            let json = object.take(name).filter(|json| !json.is_null())?;
            reading.object(&format!("{at}/{name}"), json)
        };
        if let Some(defaults) = part("defaults", object, reading) {
            for (name, json) in defaults.rest() {
                set(name, json, format!("{at}/defaults/{}", token(name)));
            }
        }
        let overrides = part("overrides", object, reading);
        for (name, json) in object.rest().filter(|(name, _)| !STRUCTURE.contains(name)) {
            set(name, json, format!("{at}/{}", token(name)));
        }
        for (market, json) in overrides.iter().flat_map(Object::rest) {
            if !self
                .market
                .iter()
                .any(|own| own.eq_ignore_ascii_case(market))
            {
                continue;
            }
            let at = format!("{at}/overrides/{}", token(market));
            let own = reading.object(&at, json);
            for (name, json) in own.iter().flat_map(Object::rest) {
                set(name, json, format!("{at}/{}", token(name)));
            }
        }
        facts
    }
}

/// A line as far as it is read.
struct Line {
    faults: Faults,
    /// Category paths that it names.
    paths: Vec<String>,
    n_other_markets: u64,
    n_long_texts: u64,
}

impl Line {
    fn read<'a, T>(
        &mut self,
        at: &str,
        json: Json<'a>,
        read: impl FnOnce(Json<'a>) -> Result<T, Fault>,
    ) -> Option<T> {
        if json.is_null() {
            return None;
        }
        match read(json) {
            Ok(value) => Some(value),
            Err(fault) => {
                self.faults.add(at, &json.shown(), fault);
                None
            }
        }
    }

    fn required<'a, T>(
        &mut self,
        at: &str,
        json: Option<Json<'a>>,
        read: impl FnOnce(Json<'a>) -> Result<T, Fault>,
    ) -> Option<T> {
        let Some(json) = json.filter(|json| !json.is_null()) else {
            self.faults.add(at, "", Fault::Required);
            return None;
        };
        self.read(at, json, read)
    }

    fn object<'a>(&mut self, at: &str, json: Json<'a>) -> Option<Object<'a>> {
        self.read(at, json, super::json::Json::object)
    }

    fn categories(&mut self, at: &str, json: Json<'_>) -> Vec<CategoryId> {
        let entries = json.list().unwrap_or_else(|| vec![json]);
        let id = |json: &Json<'_>| {
            let json = *json;
            self.read(at, json, |json| CategoryId::parse(&json.text()?))
        };
        entries.iter().filter_map(id).collect()
    }

    /// Labels of the shop's own: each is an attribute.
    fn labels(&mut self, at: &str, json: Json<'_>, found: &mut Vec<AttributeTexts>) {
        let labels = self.object(at, json);
        for (name, json) in labels.iter().flat_map(Object::rest) {
            self.attribute(&format!("{at}/{}", token(name)), name, json, found);
        }
    }

    /// A text, number, flag or list of them is an attribute; objects are passed over, and so are
    /// texts too long for one.
    fn attribute(&mut self, at: &str, name: &str, json: Json<'_>, found: &mut Vec<AttributeTexts>) {
        let entries = json.list().unwrap_or_else(|| vec![json]);
        let texts = entries.iter().filter_map(|own| own.scalar().ok());
        let (short, long): (Vec<_>, Vec<_>) =
            texts.partition(|text| text.chars().count() <= TEXT_CHARS_MAX);
        self.n_long_texts += long.len() as u64;
        if short.is_empty() {
            return;
        }
        let attribute = self.read(at, json, |_| {
            let mut texts = Vec::with_capacity(short.len());
            for text in &short {
                texts.extend(attribute_text(text)?);
            }
            let attr = attr_of(name)?;
            Ok(AttributeTexts { attr, texts })
        });
        found.extend(attribute.filter(|own| !own.texts.is_empty()));
    }

    /// Attributes ascending, each once.
    fn once(&mut self, at: &str, attributes: &mut [AttributeTexts]) {
        attributes.sort_by(|left, right| left.attr.cmp(&right.attr));
        if let Some(pair) = attributes
            .windows(2)
            .find(|pair| pair[0].attr == pair[1].attr)
        {
            let value = pair[0].attr.to_string();
            self.faults.add(
                at,
                &value,
                Fault::Duplicate {
                    value: value.clone(),
                },
            );
        }
    }
}

fn bare(key: VariantKey) -> VariantRecord {
    VariantRecord {
        key,
        list_price: None,
        sale_price: None,
        cost: None,
        stock: None,
        score: None,
        weight_g: None,
        attributes: Vec::new(),
    }
}

/// List and sale price: the selling price is a sale where it is the lower one.
fn prices(selling: Option<Minor>, list: Option<Minor>) -> (Option<Minor>, Option<Minor>) {
    match (selling, list) {
        (Some(selling), Some(list)) if selling < list => (Some(list), Some(selling)),
        (selling, list) => (selling.or(list), None),
    }
}

/// An amount, as text or with the digits of a number; zeros at the end of its fraction say nothing.
fn amount(json: Json<'_>, currency: Currency) -> Result<Minor, Fault> {
    let text = json.scalar()?;
    let text = text.trim();
    let plain = match text.split_once('.') {
        Some((whole, fraction)) => match fraction.trim_end_matches('0') {
            "" => whole.to_owned(),
            digits => format!("{whole}.{digits}"),
        },
        None => text.to_owned(),
    };
    currency.parse_amount(&plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::trial::{Taken, Trial, texts};
    use crate::feed::{Format, Kind};

    fn read(line: &str) -> Taken {
        Trial::of(Format::Elevate, Kind::Catalogue)
            .read(line.as_bytes())
            .unwrap()
    }

    fn product(taken: &Taken) -> &ProductRecord {
        let found = taken
            .operations
            .iter()
            .find_map(|(_, operation)| match operation {
                FeedOperation::ReplaceProduct(product) => Some(product),
                _ => None,
            });
        found.unwrap()
    }

    #[test]
    fn groups_hold_products_and_they_hold_variants() {
        let taken = read(
            r#"{"replace":{"key":"G","productGroup":{"products":{"P":{"markets":["se","no"],
            "defaults":{"title":"Rain coat","ontology":"Clothing > Coats","brand":"Tern","customLabels":{"season":["S1","S2"]}},
            "overrides":{"se":{"title":"Regnrock"},"no":{"title":"Regnfrakk"}},
            "variants":{"V":{"defaults":{"sellingPrice":129.0,"listPrice":199.0,"cost":55.50,"stock":2,"size":"M"}},
                        "W":{"markets":["no"],"defaults":{"stock":1}},
                        "X":{"defaults":{"sellingPrice":"99","listPrice":"99","stock":null}}}},
            "Q":{"markets":["no"],"defaults":{}}}}}}"#
                .replace('\n', "")
                .as_str(),
        );
        assert_eq!(taken.faults(), vec![]);
        let own = product(&taken);
        assert_eq!(
            (own.key.as_str(), own.group.as_ref().unwrap().as_str()),
            ("P", "G")
        );
        let title = own
            .attributes
            .iter()
            .find(|own| own.attr.as_str() == "title");
        assert_eq!(&*title.unwrap().texts[0], "Regnrock");
        let season = own
            .attributes
            .iter()
            .find(|own| own.attr.as_str() == "season");
        assert_eq!(season.unwrap().texts.len(), 2);
        assert_eq!(own.categories[0].as_str(), "main:clothing/coats");
        let variants = taken.variants();
        assert_eq!(variants.keys().collect::<Vec<_>>(), ["V", "X"]);
        let first = &variants["V"].1;
        assert_eq!(
            (first.list_price, first.sale_price),
            (Some(Minor(19_900)), Some(Minor(12_900)))
        );
        assert_eq!((first.cost, first.stock), (Some(Minor(5_550)), Some(2)));
        assert_eq!(texts(first, "size"), ["M"]);
        let last = &variants["X"].1;
        assert_eq!(
            (last.list_price, last.sale_price, last.stock),
            (Some(Minor(9_900)), None, None)
        );
        assert_eq!(taken.counts.other_markets, 2);
        let mentions = taken
            .operations
            .iter()
            .filter(|(_, operation)| matches!(operation, FeedOperation::MentionCategory(_)));
        assert_eq!(mentions.count(), 2);
    }

    #[test]
    fn content_is_passed_over_and_edits_are_refused() {
        let taken = read(r#"{"replace":{"key":"c","content":{"markets":["se"]}}}"#);
        assert_eq!((taken.faults(), taken.counts.rows), (vec![], 1));
        let taken = read(r#"{"edit":{"key":"G","productGroup":{}}}"#);
        assert_eq!(taken.faults(), [(1, String::new(), "contradiction")]);
    }

    #[test]
    fn all_that_is_wrong_is_named_with_its_place() {
        let taken = read(
            r#"{"replace":{"productGroup":{"products":{"P":{"variants":{"V":{"defaults":{"sellingPrice":1.005,"stock":1.5,"in_stock":true}},"W":3}}}}}}"#,
        );
        let at = "/replace/productGroup/products/P/variants";
        let expected = vec![
            (1, "/replace/key".to_owned(), "required"),
            (
                1,
                format!("{at}/V/defaults/sellingPrice"),
                "money-precision",
            ),
            (1, format!("{at}/V/defaults/stock"), "bad-format"),
            (1, format!("{at}/V/defaults/in_stock"), "contradiction"),
            (1, format!("{at}/W"), "wrong-type"),
        ];
        assert_eq!(taken.faults(), expected);
    }
}
