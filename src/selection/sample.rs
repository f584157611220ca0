//! Small catalogues and selections for the tests of this room and of `promotion`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::catalogue::Catalogue;
use crate::catalogue::attribute::{Declaration, Declared, Level};
use crate::catalogue::market::{DisplaySource, HarmGuard, Market, PriceBasis};
use crate::catalogue::product::{AttributeTexts, CategoryRecord, ProductRecord, VariantRecord};
use crate::catalogue::row::RowSet;
use crate::domain::category::CategoryId;
use crate::domain::id::{MarketId, ProductKey, VariantKey};
use crate::domain::money::{Currency, Percent};
use crate::domain::time::{Timestamp, Today, Zone};
use crate::domain::value::{Locale, ValueType};
use crate::predicate::rule::{Attr, Op};
use crate::predicate::written::{WrittenMatcher, WrittenRule};
use crate::selection::definition::{Selection, SelectionDraft};

/// Attribute and value; an attribute may come several times.
pub(crate) type Fact = (&'static str, &'static str);

/// A market in euro and Berlin, identifying articles by `ean`.
pub(crate) fn market(id: &str) -> Market {
    let percent = |share: u32| Percent::from_basis_points(share * 100).unwrap();
    Market {
        id: MarketId::parse(id).unwrap(),
        name: id.to_owned(),
        locale: Locale {
            currency: Currency::parse("EUR").unwrap(),
            zone: Zone::parse("Europe/Berlin").unwrap(),
        },
        country: None,
        locales: Vec::new(),
        price_basis: PriceBasis::TaxInclusive,
        search_attributes: Vec::new(),
        cross_market_attribute: Attr::parse("ean").ok(),
        display_source: DisplaySource::Answer,
        share_shown: percent(80),
        handpick_import_max: 700,
        harm_guard: HarmGuard {
            vanished_percent_max: percent(20),
            sold_out_percent_max: percent(50),
        },
    }
}

/// A product with facts of its own and of each variant; `price`, `stock` and `category` go where
/// records keep them.
pub(crate) fn product(key: &str, facts: &[Fact], variants: &[(&str, &[Fact])]) -> ProductRecord {
    let categories = facts.iter().filter(|(attr, _)| *attr == Attr::CATEGORY);
    ProductRecord {
        key: ProductKey::parse(key).unwrap(),
        group: None,
        seller: None,
        categories: categories
            .map(|(_, id)| CategoryId::parse(id).unwrap())
            .collect(),
        score: None,
        attributes: attributes(facts),
        variants: variants
            .iter()
            .map(|(key, facts)| variant(key, facts))
            .collect(),
    }
}

fn variant(key: &str, facts: &[Fact]) -> VariantRecord {
    let fact = |name: &str| {
        let mut named = facts.iter().filter(|(attr, _)| *attr == name);
        named.next().map(|(_, value)| *value)
    };
    let euro = Currency::parse("EUR").unwrap();
    VariantRecord {
        key: VariantKey::parse(key).unwrap(),
        list_price: fact("price").map(|price| euro.parse_amount(price).unwrap()),
        sale_price: None,
        cost: None,
        stock: fact("stock").map(|stock| stock.parse().unwrap()),
        score: None,
        weight_g: None,
        attributes: attributes(facts),
    }
}

fn attributes(facts: &[Fact]) -> Vec<AttributeTexts> {
    let mut by_attr: BTreeMap<&str, Vec<Arc<str>>> = BTreeMap::new();
    for (attr, value) in facts {
        if !matches!(*attr, "price" | "stock" | Attr::CATEGORY) {
            by_attr.entry(attr).or_default().push((*value).into());
        }
    }
    let texts = by_attr.into_iter().map(|(attr, texts)| AttributeTexts {
        attr: Attr::parse(attr).unwrap(),
        texts,
    });
    texts.collect()
}

/// Types of the attributes that sample goods have.
pub(crate) fn declared() -> Declared {
    let declare = |(attr, kind, multi): (&str, ValueType, bool)| {
        let declaration = Declaration {
            level: Level::Variant,
            kind,
            multi,
            facet: true,
            search: false,
        };
        (Attr::parse(attr).unwrap(), declaration)
    };
    let known = [
        ("brand", ValueType::Text, true),
        ("color", ValueType::Text, false),
        ("ean", ValueType::Text, false),
        ("launched", ValueType::Time, false),
        ("weight", ValueType::Number, true),
        ("vegan", ValueType::Flag, false),
    ];
    known.into_iter().map(declare).collect()
}

/// A catalogue of the products and of categories given as id and parents.
pub(crate) fn catalogue(
    market: Market,
    products: Vec<ProductRecord>,
    categories: &[(&str, &[&str])],
) -> Catalogue {
    let id = |key: &str| CategoryId::parse(key).unwrap();
    let categories = categories.iter().map(|(key, parents)| CategoryRecord {
        id: id(key),
        name: Some((*key).to_owned()),
        parents: parents.iter().map(|parent| id(parent)).collect(),
    });
    let products = products.into_iter().map(Arc::new).collect();
    Catalogue::build(market, declared(), products, categories.collect()).0
}

/// The five variants of the specification's table, each its own product.
pub(crate) fn table() -> Catalogue {
    let single = |key: &'static str, facts: &[Fact]| product(key, &[], &[(key, facts)]);
    let (nord, vela) = (("brand", "Nord"), ("brand", "Vela"));
    let (red, blue) = (("color", "red"), ("color", "blue"));
    let products = vec![
        single("a", &[nord, red, ("price", "40"), ("stock", "3")]),
        single("b", &[nord, blue, ("price", "55"), ("stock", "0")]),
        single("c", &[vela, red, ("price", "40"), ("stock", "5")]),
        single("d", &[vela, ("price", "80"), ("stock", "1")]),
        single("e", &[nord, vela, blue, ("price", "61.50"), ("stock", "2")]),
    ];
    catalogue(market("de"), products, &[])
}

/// Noon of 20 May 2026 in Berlin.
pub(crate) fn noon() -> Timestamp {
    Timestamp::parse("2026-05-20T12:00:00+02:00").unwrap()
}

/// The local day of [`noon`].
pub(crate) fn today() -> Today {
    Today::at(noon(), &Zone::parse("Europe/Berlin").unwrap())
}

pub(crate) fn include(attr: &str, matcher: WrittenMatcher) -> WrittenRule {
    WrittenRule {
        op: Op::Include,
        attr: Attr::parse(attr).unwrap(),
        matcher,
    }
}

pub(crate) fn exclude(attr: &str, matcher: WrittenMatcher) -> WrittenRule {
    WrittenRule {
        op: Op::Exclude,
        ..include(attr, matcher)
    }
}

pub(crate) fn is_in(values: &[&str]) -> WrittenMatcher {
    WrittenMatcher::In(values.iter().map(|&value| value.into()).collect())
}

pub(crate) fn range(min: Option<&str>, max: Option<&str>) -> WrittenMatcher {
    WrittenMatcher::Range {
        min: min.map(Into::into),
        max: max.map(Into::into),
    }
}

pub(crate) fn keys(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|&key| key.to_owned()).collect()
}

/// A selection by rules alone.
pub(crate) fn by_rules(rule_sets: Vec<Vec<WrittenRule>>) -> SelectionDraft {
    let sets = rule_sets.into_iter();
    SelectionDraft {
        rule_sets: sets
            .map(|rules| rules.into_iter().map(Ok).collect())
            .collect(),
        ..SelectionDraft::default()
    }
}

pub(crate) fn selection(draft: SelectionDraft) -> Selection {
    Selection::new(draft).unwrap()
}

/// Keys of the variants in a set, in text order.
pub(crate) fn names(rows: &RowSet, catalogue: &Catalogue) -> String {
    let keys = rows.iter().map(|row| catalogue.variant_key(row).as_str());
    let mut keys: Vec<&str> = keys.collect();
    keys.sort_unstable();
    keys.join(" ")
}
