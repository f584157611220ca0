//! Markets: settings, declared attributes, and which generation of the catalogue stands.

use serde::{Deserialize, Serialize};

use crate::catalogue::market::{DisplaySource, HarmGuard, Market, PriceBasis};
use crate::domain::id::MarketId;
use crate::domain::money::{Currency, Percent};
use crate::domain::time::Zone;
use crate::domain::value::Locale;
use crate::predicate::rule::Attr;
use crate::record::{RecordError, Stored, hex};
use crate::store::codec::Kind;

/// A market and where its goods lie.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarketV1 {
    id: String,
    name: String,
    currency: String,
    zone: String,
    country: Option<String>,
    locales: Vec<String>,
    tax_inclusive: bool,
    search_attributes: Vec<String>,
    cross_market_attribute: Option<String>,
    display_by_events: bool,
    share_shown_bp: u32,
    handpick_import_max: u32,
    vanished_max_bp: u32,
    sold_out_max_bp: u32,
    /// The standing generation of the catalogue.
    pub goods: GoodsV1,
}

/// Where a market's goods lie.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoodsV1 {
    /// Number of the generation; 0 before the first import.
    pub generation: u64,
    /// SHA-256 of the manifest chunk; absent before the first import.
    #[serde(with = "hex::option")]
    pub manifest: Option<[u8; 32]>,
    /// SHA-256 of the delta chunks, oldest first.
    #[serde(with = "hex::list")]
    pub deltas: Vec<[u8; 32]>,
    /// Attributes with the type and level they keep until redeclared.
    pub attributes: Vec<DeclaredV1>,
}

/// A declared attribute.
#[expect(clippy::struct_excessive_bools, reason = "a frozen layout")]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeclaredV1 {
    /// Its name.
    pub attr: String,
    /// Spelling of its type on the wire.
    pub kind: String,
    /// Whether values stand at the variant.
    pub variant_level: bool,
    /// Whether it may have several values.
    pub multi: bool,
    /// Whether pages offer it as a facet.
    pub facet: bool,
    /// Whether text queries look into it.
    pub search: bool,
}

impl Stored for MarketV1 {
    const KIND: Kind = Kind(2);
    const SCHEMA: u16 = 1;

    fn check(self) -> Result<(), RecordError> {
        self.market().map(drop)
    }
}

impl MarketV1 {
    /// The stored form of a market whose goods are `goods`.
    pub fn new(market: &Market, goods: GoodsV1) -> Self {
        Self {
            id: market.id.to_string(),
            name: market.name.clone(),
            currency: market.locale.currency.to_string(),
            zone: market.locale.zone.name().to_owned(),
            country: market.country.clone(),
            locales: market.locales.clone(),
            tax_inclusive: market.price_basis == PriceBasis::TaxInclusive,
            search_attributes: market
                .search_attributes
                .iter()
                .map(ToString::to_string)
                .collect(),
            cross_market_attribute: market
                .cross_market_attribute
                .as_ref()
                .map(ToString::to_string),
            display_by_events: market.display_source == DisplaySource::Events,
            share_shown_bp: market.share_shown.basis_points(),
            handpick_import_max: u32::try_from(market.handpick_import_max).unwrap_or(u32::MAX),
            vanished_max_bp: market.harm_guard.vanished_percent_max.basis_points(),
            sold_out_max_bp: market.harm_guard.sold_out_percent_max.basis_points(),
            goods,
        }
    }

    /// The market itself.
    ///
    /// # Errors
    /// [`RecordError::Refused`] for a field its constructor refuses.
    pub fn market(&self) -> Result<Market, RecordError> {
        let percent = |name: &str, basis_points| {
            Percent::from_basis_points(basis_points)
                .ok_or_else(|| RecordError::field(name, "bound"))
        };
        let attr = |name: &String| {
            Attr::parse(name).map_err(|fault| RecordError::field("search_attributes", fault))
        };
        Ok(Market {
            id: MarketId::parse(&self.id).map_err(|fault| RecordError::field("id", fault))?,
            name: self.name.clone(),
            locale: Locale {
                currency: Currency::parse(&self.currency)
                    .map_err(|fault| RecordError::field("currency", fault))?,
                zone: Zone::parse(&self.zone).map_err(|fault| RecordError::field("zone", fault))?,
            },
            country: self.country.clone(),
            locales: self.locales.clone(),
            price_basis: if self.tax_inclusive {
                PriceBasis::TaxInclusive
            } else {
                PriceBasis::TaxExclusive
            },
            search_attributes: self
                .search_attributes
                .iter()
                .map(attr)
                .collect::<Result<_, _>>()?,
            cross_market_attribute: self.cross_market_attribute.as_ref().map(attr).transpose()?,
            display_source: if self.display_by_events {
                DisplaySource::Events
            } else {
                DisplaySource::Answer
            },
            share_shown: percent("share_shown", self.share_shown_bp)?,
            handpick_import_max: self.handpick_import_max as usize,
            harm_guard: HarmGuard {
                vanished_percent_max: percent("vanished_max", self.vanished_max_bp)?,
                sold_out_percent_max: percent("sold_out_max", self.sold_out_max_bp)?,
            },
        })
    }
}
