//! Small goods for tests, written as texts.

use std::sync::Arc;

use crate::catalogue::Catalogue;
use crate::catalogue::attribute::Declared;
use crate::catalogue::market::{DisplaySource, HarmGuard, Market, PriceBasis};
use crate::catalogue::product::{AttributeTexts, CategoryRecord, ProductRecord, VariantRecord};
use crate::domain::id::{MarketId, ProductKey, VariantKey};
use crate::domain::money::{Currency, Percent};
use crate::domain::time::Zone;
use crate::domain::value::Locale;
use crate::predicate::rule::Attr;

/// A market in euros and Berlin time that searches `brand` beside titles.
pub(super) fn market() -> Market {
    let percent = |text| Percent::parse(text).unwrap();
    Market {
        id: MarketId::parse("de").unwrap(),
        name: "Germany".to_owned(),
        locale: Locale {
            currency: Currency::parse("EUR").unwrap(),
            zone: Zone::parse("Europe/Berlin").unwrap(),
        },
        country: None,
        locales: Vec::new(),
        price_basis: PriceBasis::TaxInclusive,
        search_attributes: vec![Attr::parse("brand").unwrap()],
        cross_market_attribute: None,
        display_source: DisplaySource::Answer,
        share_shown: percent("80"),
        handpick_import_max: 700,
        harm_guard: HarmGuard {
            vanished_percent_max: percent("20"),
            sold_out_percent_max: percent("50"),
        },
    }
}

/// Attributes by name; several values of one are written `a|b`.
pub(super) fn attributes(texts: &[(&str, &str)]) -> Vec<AttributeTexts> {
    let own = texts.iter().map(|(attr, values)| AttributeTexts {
        attr: Attr::parse(attr).unwrap(),
        texts: values.split('|').map(Arc::from).collect(),
    });
    let mut own: Vec<_> = own.collect();
    own.sort_by(|left, right| left.attr.cmp(&right.attr));
    own
}

/// A variant with attributes and nothing else.
pub(super) fn variant(key: &str, texts: &[(&str, &str)]) -> VariantRecord {
    VariantRecord {
        key: VariantKey::parse(key).unwrap(),
        list_price: None,
        sale_price: None,
        cost: None,
        stock: None,
        score: None,
        weight_g: None,
        attributes: attributes(texts),
    }
}

/// A product with attributes and variants and nothing else.
pub(super) fn product(
    key: &str,
    texts: &[(&str, &str)],
    variants: Vec<VariantRecord>,
) -> ProductRecord {
    ProductRecord {
        key: ProductKey::parse(key).unwrap(),
        group: None,
        seller: None,
        categories: Vec::new(),
        score: None,
        attributes: attributes(texts),
        variants,
    }
}

/// A catalogue of the fixture's market.
pub(super) fn catalogue(
    products: Vec<ProductRecord>,
    categories: Vec<CategoryRecord>,
) -> Catalogue {
    let products = products.into_iter().map(Arc::new).collect();
    Catalogue::build(market(), Declared::new(), products, categories).0
}
