//! The shop front.

use crate::domain::id::MarketId;
use crate::domain::money::Percent;
use crate::domain::value::Locale;
use crate::predicate::rule::Attr;

/// What counts as a display of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisplaySource {
    /// The rank answer itself.
    Answer,
    /// Display events sent by the shop.
    Events,
}

/// Whether prices in this market contain tax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PriceBasis {
    /// Prices are what the shopper pays.
    TaxInclusive,
    /// Tax is added at checkout.
    TaxExclusive,
}

/// Thresholds above which a full import is held back as harmful, each in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HarmGuard {
    /// Products that may vanish.
    pub vanished_percent_max: Percent,
    /// Stocked variants that may drop to zero.
    pub sold_out_percent_max: Percent,
}

/// One shop front. Units of one market never count in another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Market {
    /// Its name in paths.
    pub id: MarketId,
    /// Its name for people, 1 to 100 characters.
    pub name: String,
    /// Currency and zone.
    pub locale: Locale,
    /// ISO 3166 country, if the shop names one.
    pub country: Option<String>,
    /// BCP 47 languages of the shop front.
    pub locales: Vec<String>,
    /// Whether prices contain tax.
    pub price_basis: PriceBasis,
    /// Attributes that a text query looks into, beside keys.
    pub search_attributes: Vec<Attr>,
    /// The attribute that identifies the same article in other markets.
    pub cross_market_attribute: Option<Attr>,
    /// What counts as a display.
    pub display_source: DisplaySource,
    /// Share of sessions that see a measured promotion, unless it says otherwise.
    pub share_shown: Percent,
    /// Most distinct keys of one handpick import.
    pub handpick_import_max: usize,
    /// When a full import is held back.
    pub harm_guard: HarmGuard,
}
