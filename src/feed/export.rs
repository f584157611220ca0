//! Products in the formats that shops export: the other direction of `google` and `shopify`.
//!
//! Each carries what it has a place for. All of them: product and variant keys, prices, cost,
//! effective score, whether a variant can be bought, attributes as a variant sees them. Beside that
//!
//! | | categories | values of an attribute | stock, weight |
//! |---|---|---|---|
//! | `google-tsv`, `google-xml` | all that are paths of the tree `main` | all | no |
//! | `shopify-csv` | the first | the first; what only some variants have, later ones inherit | yes |
//!
//! Sellers, product groups and the names of categories are carried by none.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::catalogue::product::{AttributeTexts, ProductRecord, VariantRecord};
use crate::domain::category::CategoryId;
use crate::domain::money::{Currency, Minor};
use crate::domain::number::Score;

/// Attributes that Shopify has a place for.
const OPTIONS: [&str; 2] = ["color", "size"];

/// Columns of a Shopify export that are always there.
const SHOPIFY: [&str; 17] = [
    "Handle",
    "Title",
    "Vendor",
    "Product Category",
    "Option1 Name",
    "Option1 Value",
    "Option2 Name",
    "Option2 Value",
    "Variant SKU",
    "Variant Grams",
    "Variant Inventory Qty",
    "Variant Price",
    "Variant Compare At Price",
    "Cost per item",
    "score",
    "Published",
    "Status",
];

/// A format that is written here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// Google's product data as tab-separated values.
    GoogleTsv,
    /// The same as RSS 2.0.
    GoogleXml,
    /// Shopify's product export, with the older column names.
    ShopifyCsv,
}

/// An export that is being written.
#[derive(Clone, Debug)]
pub struct Export {
    format: Written,
    currency: Currency,
    /// Attributes that have columns, with most values of one variant.
    columns: BTreeMap<String, usize>,
    n_categories: usize,
}

/// A variant with what it takes from its product.
struct Offer<'a> {
    product: &'a ProductRecord,
    variant: &'a VariantRecord,
}

impl Export {
    /// An export of these products; they are gone through to know the columns.
    pub fn new<'p>(
        format: Written,
        currency: Currency,
        products: impl IntoIterator<Item = &'p ProductRecord>,
    ) -> Self {
        let mut export = Self {
            format,
            currency,
            columns: BTreeMap::new(),
            n_categories: 1,
        };
        for product in products {
            export.count(product);
        }
        export
    }

    /// Makes room for the columns of a product.
    pub fn count(&mut self, product: &ProductRecord) {
        self.n_categories = self.n_categories.max(product.categories.len());
        let of_variants = product.variants.iter().flat_map(|own| &own.attributes);
        for own in product.attributes.iter().chain(of_variants) {
            let most = self.columns.entry(own.attr.to_string()).or_default();
            *most = (*most).max(own.texts.len());
        }
    }

    /// What stands before the first product.
    pub fn head(&self, out: &mut String) {
        match self.format {
            Written::GoogleTsv => {
                let mut names = vec!["id", "item_group_id", "price", "sale_price"];
                names.extend(["cost_of_goods_sold", "availability", "score"]);
                names.extend(std::iter::repeat_n("product_type", self.n_categories));
                for (name, n_values) in &self.columns {
                    names.extend(std::iter::repeat_n(name.as_str(), *n_values));
                }
                row(out, '\t', names.into_iter().map(str::to_owned));
            }
            Written::GoogleXml => out.push_str(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<rss version=\"2.0\" \
                 xmlns:g=\"http://base.google.com/ns/1.0\">\n<channel>\n",
            ),
            Written::ShopifyCsv => {
                let fixed = SHOPIFY.iter().map(|name| (*name).to_owned());
                row(out, ',', fixed.chain(self.shopify_columns().cloned()));
            }
        }
    }

    /// A product's variants.
    pub fn product(&self, product: &ProductRecord, out: &mut String) {
        for variant in &product.variants {
            let offer = Offer { product, variant };
            match self.format {
                Written::GoogleTsv => row(out, '\t', self.google_cells(&offer).into_iter()),
                Written::GoogleXml => self.item(&offer, out),
                Written::ShopifyCsv => row(out, ',', self.shopify_cells(&offer).into_iter()),
            }
        }
    }

    /// What stands behind the last product.
    pub fn foot(&self, out: &mut String) {
        if self.format == Written::GoogleXml {
            out.push_str("</channel>\n</rss>\n");
        }
    }

    /// Names and texts of what Google has a place for, attributes and categories left out.
    fn google_fields(&self, offer: &Offer<'_>) -> [(&'static str, String); 7] {
        let money = |amount: Option<Minor>| {
            let text = amount.map(|amount| self.currency.format(amount));
            text.map_or(String::new(), |text| {
                format!("{text} {}", self.currency.code())
            })
        };
        let variant = offer.variant;
        let availability = if variant.in_stock() {
            "in_stock"
        } else {
            "out_of_stock"
        };
        [
            ("id", variant.key.to_string()),
            ("item_group_id", offer.product.key.to_string()),
            ("price", money(variant.list_price)),
            ("sale_price", money(variant.sale_price)),
            ("cost_of_goods_sold", money(variant.cost)),
            ("availability", availability.to_owned()),
            (
                "score",
                offer.score().map_or(String::new(), ToString::to_string),
            ),
        ]
    }

    fn google_cells(&self, offer: &Offer<'_>) -> Vec<String> {
        let mut cells: Vec<String> = self.google_fields(offer).map(|(_, text)| text).into();
        let paths = offer.paths();
        cells.extend((0..self.n_categories).map(|at| paths.get(at).cloned().unwrap_or_default()));
        for (name, n_values) in &self.columns {
            let texts = offer.texts(name);
            let text = |at: usize| texts.get(at).map(ToString::to_string).unwrap_or_default();
            cells.extend((0..*n_values).map(text));
        }
        cells
    }

    fn item(&self, offer: &Offer<'_>, out: &mut String) {
        out.push_str("<item>");
        let mut field = |name: &str, text: &str| {
            if !text.is_empty() {
                let _ = write!(out, "<g:{name}>{}</g:{name}>", escaped(text));
            }
        };
        for (name, text) in self.google_fields(offer) {
            field(name, &text);
        }
        for path in offer.paths() {
            field("product_type", &path);
        }
        for name in self.columns.keys() {
            for text in offer.texts(name) {
                field(name, text);
            }
        }
        out.push_str("</item>\n");
    }

    fn shopify_columns(&self) -> impl Iterator<Item = &String> {
        let placed = |name: &str| OPTIONS.contains(&name) || ["title", "brand"].contains(&name);
        self.columns.keys().filter(move |name| !placed(name))
    }

    fn shopify_cells(&self, offer: &Offer<'_>) -> Vec<String> {
        let variant = offer.variant;
        let money = |amount: Option<Minor>| {
            amount.map_or(String::new(), |amount| self.currency.format(amount))
        };
        let first = |name: &str| {
            offer
                .texts(name)
                .first()
                .map_or(String::new(), ToString::to_string)
        };
        let (price, compare_at) = match variant.sale_price {
            Some(sale) => (Some(sale), variant.list_price),
            None => (variant.list_price, None),
        };
        let mut cells = vec![
            offer.product.key.to_string(),
            first("title"),
            first("brand"),
            offer.paths().into_iter().next().unwrap_or_default(),
        ];
        for name in OPTIONS {
            let value = first(name);
            let is_there = !value.is_empty();
            cells.push(if is_there {
                name.to_owned()
            } else {
                String::new()
            });
            cells.push(value);
        }
        cells.extend([
            variant.key.to_string(),
            variant
                .weight_g
                .map_or(String::new(), |grams| grams.to_string()),
            variant
                .stock
                .map_or(String::new(), |stock| stock.to_string()),
            money(price),
            money(compare_at),
            money(variant.cost),
            offer.score().map_or(String::new(), ToString::to_string),
            "true".to_owned(),
            "active".to_owned(),
        ]);
        cells.extend(self.shopify_columns().map(|name| first(name)));
        cells
    }
}

impl Offer<'_> {
    fn score(&self) -> Option<&Score> {
        self.variant.score.as_ref().or(self.product.score.as_ref())
    }

    /// Values as the variant sees them: its own, else its product's.
    fn texts(&self, name: &str) -> &[std::sync::Arc<str>] {
        let find =
            |list: &'_ [AttributeTexts]| list.iter().position(|own| own.attr.as_str() == name);
        match find(&self.variant.attributes) {
            Some(place) => &self.variant.attributes[place].texts,
            None => match find(&self.product.attributes) {
                Some(place) => &self.product.attributes[place].texts,
                None => &[],
            },
        }
    }

    /// Paths of its categories, as far as their keys are paths.
    fn paths(&self) -> Vec<String> {
        let own = self
            .product
            .categories
            .iter()
            .filter(|id| id.tree() == CategoryId::DEFAULT_TREE);
        let key = |id: &CategoryId| {
            id.as_str()
                .split_once(':')
                .map(|(_, key)| key.replace('/', " > "))
        };
        own.filter_map(key).collect()
    }
}

/// One line of cells, quoted where they must be.
fn row(out: &mut String, delimiter: char, cells: impl Iterator<Item = String>) {
    for (place, cell) in cells.enumerate() {
        if 0 < place {
            out.push(delimiter);
        }
        if cell.contains([delimiter, '"', '\n', '\r']) {
            let _ = write!(out, "\"{}\"", cell.replace('"', "\"\""));
        } else {
            out.push_str(&cell);
        }
    }
    out.push('\n');
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;
    use crate::catalogue::product::FeedOperation;
    use crate::domain::id::{ProductKey, VariantKey};
    use crate::feed::trial::{Taken, Trial, sek};
    use crate::feed::{Format, Kind};
    use crate::predicate::rule::Attr;

    /// What a format carries of a variant.
    #[derive(Debug, PartialEq)]
    struct Carried {
        product: String,
        prices: (Option<Minor>, Option<Minor>, Option<Minor>),
        stock: Option<i64>,
        in_stock: bool,
        weight_g: Option<u32>,
        score: Option<String>,
        categories: BTreeSet<String>,
        attributes: BTreeMap<String, Vec<String>>,
    }

    fn carried(format: Written, product: &ProductRecord) -> BTreeMap<String, Carried> {
        let is_shopify = format == Written::ShopifyCsv;
        let most = if is_shopify { 1 } else { usize::MAX };
        let of_one = |variant: &VariantRecord| {
            let offer = Offer { product, variant };
            let names = product.attributes.iter().chain(&variant.attributes);
            let names: BTreeSet<String> = names.map(|own| own.attr.to_string()).collect();
            let texts = |name: &String| -> Vec<String> {
                let all = offer.texts(name).iter().take(most);
                all.map(ToString::to_string).collect()
            };
            let attributes = names.iter().map(|name| (name.clone(), texts(name)));
            let categories = product.categories.iter().map(ToString::to_string);
            let own = Carried {
                product: product.key.to_string(),
                prices: (variant.list_price, variant.sale_price, variant.cost),
                stock: variant.stock.filter(|_| is_shopify),
                in_stock: variant.in_stock(),
                weight_g: variant.weight_g.filter(|_| is_shopify),
                score: offer.score().map(ToString::to_string),
                categories: categories.take(most).collect(),
                attributes: attributes.filter(|(_, texts)| !texts.is_empty()).collect(),
            };
            (variant.key.to_string(), own)
        };
        let mut found: Vec<(String, Carried)> = product.variants.iter().map(of_one).collect();
        if is_shopify {
            // What a later row leaves blank of the product is what an earlier one said.
            let mut said: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for (_, own) in &mut found {
                said.extend(own.attributes.clone());
                said.retain(|name, _| !OPTIONS.contains(&name.as_str()));
                let blank = said
                    .iter()
                    .filter(|(name, _)| !own.attributes.contains_key(*name));
                let blank: Vec<_> = blank
                    .map(|(name, texts)| (name.clone(), texts.clone()))
                    .collect();
                own.attributes.extend(blank);
            }
        }
        found.into_iter().collect()
    }

    /// The same of what was read back.
    fn came_back(format: Written, taken: &Taken) -> BTreeMap<String, Carried> {
        let is_shopify = format == Written::ShopifyCsv;
        let rows = taken
            .operations
            .iter()
            .filter_map(|(_, operation)| match operation {
                FeedOperation::ReplaceVariant {
                    product,
                    product_fields,
                    variant,
                } => Some((product, product_fields, variant)),
                _ => None,
            });
        let of_one =
            |(product, fields, variant): (&Option<ProductKey>, &Option<_>, &VariantRecord)| {
                let fields: Option<&crate::catalogue::product::ProductFields> = fields.as_ref();
                let categories = fields.iter().flat_map(|own| &own.categories);
                let attributes = variant.attributes.iter().map(|own| {
                    let texts = own.texts.iter().map(ToString::to_string).collect();
                    (own.attr.to_string(), texts)
                });
                // What every Shopify export says beside.
                let said = |name: &str| is_shopify && ["Published", "Status"].contains(&name);
                let own = Carried {
                    product: product.as_ref().unwrap().to_string(),
                    prices: (variant.list_price, variant.sale_price, variant.cost),
                    stock: variant.stock.filter(|_| is_shopify),
                    in_stock: variant.in_stock(),
                    weight_g: variant.weight_g,
                    score: variant.score.as_ref().map(ToString::to_string),
                    categories: categories.map(ToString::to_string).collect(),
                    attributes: attributes.filter(|(name, _)| !said(name)).collect(),
                };
                (variant.key.to_string(), own)
            };
        rows.map(of_one).collect()
    }

    fn any_text() -> impl Strategy<Value = String> {
        prop::sample::select(vec![
            "Nord",
            "moss & sand",
            "a \"b\"",
            "<b>",
            "tab\there",
            "5",
            "S/M",
            "true",
            "ä, ö",
        ])
        .prop_map(|text: &str| text.replace('\t', " "))
    }

    fn any_attributes() -> impl Strategy<Value = Vec<AttributeTexts>> {
        let names = prop::sample::subsequence(
            vec!["brand", "color", "rating", "season", "size", "title"],
            0..=6,
        );
        let texts = prop::collection::vec(any_text(), 1..3);
        prop::collection::vec(texts, 6).prop_flat_map(move |texts| {
            names.clone().prop_map(move |names| {
                let own = names.into_iter().zip(texts.clone());
                own.map(|(name, texts)| {
                    let mut texts: Vec<_> = texts.into_iter().map(Into::into).collect();
                    texts.dedup();
                    AttributeTexts {
                        attr: Attr::parse(name).unwrap(),
                        texts,
                    }
                })
                .collect()
            })
        })
    }

    prop_compose! {
        fn any_variant()(
            (list, sale) in (1_i64..100_000, prop::option::of(1_i64..100)),
            (cost, stock, weight_g) in (prop::option::of(0_i64..9_999), prop::option::of(-3_i64..9), prop::option::of(0_u32..9_000)),
            score in prop::option::of(-50_i32..900),
            attributes in any_attributes(),
        ) -> VariantRecord {
            VariantRecord {
                key: VariantKey::parse("v").unwrap(),
                list_price: Some(Minor(list)),
                sale_price: sale.map(|percent| Minor(list * percent / 100)).filter(|sale| sale.0 < list),
                cost: cost.map(Minor),
                stock,
                score: score.map(Score::from_integer),
                weight_g,
                attributes,
            }
        }
    }

    prop_compose! {
        /// The product's own key and those of its variants are given where it stands in a shop.
        fn any_product()(
            attributes in any_attributes(),
            variants in prop::collection::vec(any_variant(), 1..4),
            score in prop::option::of(0_i32..99),
            categories in prop::sample::subsequence(vec!["main:a/b-c", "main:d", "main:e/f"], 0..=3),
        ) -> ProductRecord {
            ProductRecord {
                key: ProductKey::parse("p").unwrap(),
                group: None,
                seller: None,
                categories: categories.into_iter().map(|id| CategoryId::parse(id).unwrap()).collect(),
                score: score.map(Score::from_integer),
                attributes,
                variants,
            }
        }
    }

    fn any_products() -> impl Strategy<Value = Vec<ProductRecord>> {
        prop::collection::vec(any_product(), 1..5).prop_map(|mut products| {
            for (at, product) in products.iter_mut().enumerate() {
                product.key = ProductKey::parse(&format!("p{at}")).unwrap();
                for (own, variant) in product.variants.iter_mut().enumerate() {
                    variant.key = VariantKey::parse(&format!("p{at}-{own}")).unwrap();
                }
            }
            products
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(96))]
        #[test]
        fn what_is_written_is_read_back(products in any_products()) {
            for (written, format) in [
                (Written::GoogleTsv, Format::GoogleTsv),
                (Written::GoogleXml, Format::GoogleXml),
                (Written::ShopifyCsv, Format::ShopifyCsv),
            ] {
                let export = Export::new(written, sek(), &products);
                let mut feed = String::new();
                export.head(&mut feed);
                for product in &products {
                    export.product(product, &mut feed);
                }
                export.foot(&mut feed);
                let taken = Trial::of(format, Kind::Catalogue).read(feed.as_bytes()).unwrap();
                prop_assert_eq!(taken.faults(), vec![], "{}", feed);
                let expected: BTreeMap<_, _> =
                    products.iter().flat_map(|product| carried(written, product)).collect();
                prop_assert_eq!(came_back(written, &taken), expected, "{}", feed);
            }
        }
    }
}
