//! The shop front.

use crate::domain::complaint::{Complaint, Complaints, Fault};
use crate::domain::id::MarketId;
use crate::domain::limits::{HANDPICK_IMPORT_MAX, SHARE_SHOWN_PERCENT};
use crate::domain::money::{Currency, Percent};
use crate::domain::text::bounded;
use crate::domain::time::Zone;
use crate::domain::value::Locale;
use crate::predicate::rule::Attr;

/// Longest name for people.
pub const NAME_CHARS_MAX: usize = 100;

/// Most languages of a shop front.
pub const LOCALES_MAX: usize = 20;

/// Most attributes that a text query looks into beside keys and title.
pub const SEARCH_ATTRIBUTES_MAX: usize = 50;

/// Most keys that one handpick import may be allowed.
const HANDPICK_IMPORT_BOUND: usize = 10_000;

/// Share of products that may vanish in a full import, in basis points.
const VANISHED_BP: u32 = 2_000;

/// Share of stocked variants that may sell out in a full import, in basis points.
const SOLD_OUT_BP: u32 = 5_000;

/// What counts as a display of a product.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisplaySource {
    /// The rank answer itself.
    Answer,
    /// Display events sent by the shop.
    Events,
}

impl DisplaySource {
    /// Every source with its spelling on the wire.
    pub const ALL: [(Self, &'static str); 2] = [(Self::Answer, "answer"), (Self::Events, "events")];

    /// Reads the spelling on the wire.
    ///
    /// # Errors
    /// `unknown-value`.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        one_of(&Self::ALL, text)
    }

    /// As the wire spells it.
    pub fn as_str(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// Whether prices in this market contain tax.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PriceBasis {
    /// Prices are what the shopper pays.
    TaxInclusive,
    /// Tax is added at checkout.
    TaxExclusive,
}

impl PriceBasis {
    /// Every basis with its spelling on the wire.
    pub const ALL: [(Self, &'static str); 2] = [
        (Self::TaxInclusive, "tax-inclusive"),
        (Self::TaxExclusive, "tax-exclusive"),
    ];

    /// Reads the spelling on the wire.
    ///
    /// # Errors
    /// `unknown-value`.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        one_of(&Self::ALL, text)
    }

    /// As the wire spells it.
    pub fn as_str(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

fn one_of<T: Copy>(all: &[(T, &'static str); 2], text: &str) -> Result<T, Fault> {
    let found = all.iter().find(|(_, name)| *name == text);
    found.map(|(value, _)| *value).ok_or_else(|| {
        let names = all.each_ref().map(|(_, name)| *name);
        Fault::unknown_value(text, &names)
    })
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

/// A market as sent: texts, with `None` for what is absent or null.
#[derive(Clone, Debug, Default)]
pub struct MarketDraft {
    /// Its key.
    pub market: Option<String>,
    /// Its name for people.
    pub name: Option<String>,
    /// ISO 4217.
    pub currency: Option<String>,
    /// IANA name.
    pub time_zone: Option<String>,
    /// ISO 3166, two letters.
    pub country: Option<String>,
    /// BCP 47.
    pub locales: Vec<String>,
    /// `tax-inclusive`, the default, or `tax-exclusive`.
    pub price_basis: Option<String>,
    /// Names of attributes.
    pub search_attributes: Vec<String>,
    /// Name of an attribute.
    pub cross_market_attribute: Option<String>,
    /// `answer`, the default, or `events`.
    pub display_source: Option<String>,
    /// Percent; 80 if absent.
    pub share_shown_percent: Option<String>,
    /// Most keys of one handpick import; 700 if absent.
    pub handpick_import_max: Option<u32>,
    /// Percent of products; 20 if absent.
    pub vanished_percent_max: Option<String>,
    /// Percent of stocked variants; 50 if absent.
    pub sold_out_percent_max: Option<String>,
}

impl Market {
    /// Reads a market as sent.
    ///
    /// # Errors
    /// All complaints at once, with pointers as the API names the fields.
    pub fn read(draft: &MarketDraft) -> Result<Self, Vec<Complaint>> {
        let mut complaints = Complaints::new();
        let id = required(
            draft.market.as_deref(),
            "/market",
            &mut complaints,
            MarketId::parse,
        );
        let name = required(draft.name.as_deref(), "/name", &mut complaints, |text| {
            bounded(text, NAME_CHARS_MAX).map(std::borrow::Cow::into_owned)
        });
        let currency = required(
            draft.currency.as_deref(),
            "/currency",
            &mut complaints,
            Currency::parse,
        );
        let zone = required(
            draft.time_zone.as_deref(),
            "/time_zone",
            &mut complaints,
            Zone::parse,
        );
        let country = optional(
            draft.country.as_deref(),
            "/country",
            &mut complaints,
            country,
        );
        let price_basis = optional(
            draft.price_basis.as_deref(),
            "/price_basis",
            &mut complaints,
            PriceBasis::parse,
        );
        let display_source = optional(
            draft.display_source.as_deref(),
            "/display_source",
            &mut complaints,
            DisplaySource::parse,
        );
        let cross = draft.cross_market_attribute.as_deref();
        let cross = optional(
            cross,
            "/cross_market_attribute",
            &mut complaints,
            Attr::parse,
        );
        let share = draft.share_shown_percent.as_deref();
        let share = optional(share, "/share_shown_percent", &mut complaints, share_shown);
        let locales = list(
            &draft.locales,
            "/locales",
            LOCALES_MAX,
            &mut complaints,
            locale,
        );
        let search = list(
            &draft.search_attributes,
            "/search_attributes",
            SEARCH_ATTRIBUTES_MAX,
            &mut complaints,
            Attr::parse,
        );
        let harm_guard = read_guard(draft, &mut complaints);
        let handpick_import_max = read_handpick_max(draft.handpick_import_max, &mut complaints);
        let (Some(id), Some(name), Some(currency), Some(zone)) = (id, name, currency, zone) else {
            return Err(complaints.into_vec());
        };
        complaints.finish(Some(Self {
            id,
            name,
            locale: Locale { currency, zone },
            country,
            locales,
            price_basis: price_basis.unwrap_or(PriceBasis::TaxInclusive),
            search_attributes: search,
            cross_market_attribute: cross,
            display_source: display_source.unwrap_or(DisplaySource::Answer),
            share_shown: share.unwrap_or(percent(SHARE_SHOWN_PERCENT * 100)),
            handpick_import_max,
            harm_guard,
        }))
    }

    /// The market as it would be sent.
    pub fn draft(&self) -> MarketDraft {
        let guard = &self.harm_guard;
        MarketDraft {
            market: Some(self.id.to_string()),
            name: Some(self.name.clone()),
            currency: Some(self.locale.currency.code().to_owned()),
            time_zone: Some(self.locale.zone.name().to_owned()),
            country: self.country.clone(),
            locales: self.locales.clone(),
            price_basis: Some(self.price_basis.as_str().to_owned()),
            search_attributes: self
                .search_attributes
                .iter()
                .map(ToString::to_string)
                .collect(),
            cross_market_attribute: self
                .cross_market_attribute
                .as_ref()
                .map(ToString::to_string),
            display_source: Some(self.display_source.as_str().to_owned()),
            share_shown_percent: Some(self.share_shown.to_string()),
            handpick_import_max: u32::try_from(self.handpick_import_max).ok(),
            vanished_percent_max: Some(guard.vanished_percent_max.to_string()),
            sold_out_percent_max: Some(guard.sold_out_percent_max.to_string()),
        }
    }
}

fn required<T>(
    text: Option<&str>,
    pointer: &str,
    complaints: &mut Complaints,
    parse: impl Fn(&str) -> Result<T, Fault>,
) -> Option<T> {
    if text.is_none() {
        complaints.add(pointer, Fault::Required);
    }
    optional(text, pointer, complaints, parse)
}

fn optional<T>(
    text: Option<&str>,
    pointer: &str,
    complaints: &mut Complaints,
    parse: impl Fn(&str) -> Result<T, Fault>,
) -> Option<T> {
    text.and_then(|text| complaints.take(pointer, parse(text)))
}

fn list<T: PartialEq>(
    texts: &[String],
    pointer: &str,
    max: usize,
    complaints: &mut Complaints,
    parse: impl Fn(&str) -> Result<T, Fault>,
) -> Vec<T> {
    if max < texts.len() {
        let have = texts.len();
        complaints.add(pointer, Fault::TooMany { have, max });
        return Vec::new();
    }
    let mut items = Vec::with_capacity(texts.len());
    for (place, text) in texts.iter().enumerate() {
        let at = format!("{pointer}/{place}");
        match complaints.take(at.as_str(), parse(text)) {
            Some(item) if items.contains(&item) => {
                let value = text.clone();
                complaints.add(at, Fault::Duplicate { value });
            }
            Some(item) => items.push(item),
            None => {}
        }
    }
    items
}

fn read_guard(draft: &MarketDraft, complaints: &mut Complaints) -> HarmGuard {
    let vanished = draft.vanished_percent_max.as_deref();
    let vanished = optional(
        vanished,
        "/harm_guard/vanished_percent_max",
        complaints,
        Percent::parse,
    );
    let sold_out = draft.sold_out_percent_max.as_deref();
    let sold_out = optional(
        sold_out,
        "/harm_guard/sold_out_percent_max",
        complaints,
        Percent::parse,
    );
    HarmGuard {
        vanished_percent_max: vanished.unwrap_or(percent(VANISHED_BP)),
        sold_out_percent_max: sold_out.unwrap_or(percent(SOLD_OUT_BP)),
    }
}

fn read_handpick_max(wished: Option<u32>, complaints: &mut Complaints) -> usize {
    let Some(wished) = wished else {
        return HANDPICK_IMPORT_MAX;
    };
    let max = wished as usize;
    if max == 0 || HANDPICK_IMPORT_BOUND < max {
        let allowed = format!("1 to {HANDPICK_IMPORT_BOUND}");
        let fault = Fault::OutOfRange {
            found: wished.to_string(),
            allowed,
        };
        complaints.add("/handpick_import_max", fault);
    }
    max
}

fn percent(basis_points: u32) -> Percent {
    Percent::from_basis_points(basis_points).expect("a constant below 100 percent")
}

/// A split needs someone on each side: 50 to 99 percent.
fn share_shown(text: &str) -> Result<Percent, Fault> {
    let share = Percent::parse(text)?;
    if (5_000..=9_900).contains(&share.basis_points()) {
        return Ok(share);
    }
    Err(Fault::OutOfRange {
        found: text.to_owned(),
        allowed: "50 to 99".to_owned(),
    })
}

fn country(text: &str) -> Result<String, Fault> {
    let is_code = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_uppercase());
    let well_formed = is_code.then(|| text.to_owned());
    well_formed.ok_or_else(|| Fault::bad_format("two capital letters of ISO 3166", text))
}

fn locale(text: &str) -> Result<String, Fault> {
    let part = |part: &str| {
        (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let well_formed = text.split('-').all(part) && text.len() <= 35;
    let well_formed = well_formed.then(|| text.to_owned());
    well_formed.ok_or_else(|| Fault::bad_format("a BCP 47 language tag", text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn sweden() -> MarketDraft {
        MarketDraft {
            market: text("se"),
            name: text("Sweden"),
            currency: text("SEK"),
            time_zone: text("Europe/Stockholm"),
            ..MarketDraft::default()
        }
    }

    #[test]
    fn four_fields_make_a_market_and_the_rest_has_defaults() {
        let market = Market::read(&sweden()).unwrap();
        assert_eq!(market.share_shown.basis_points(), 8_000);
        assert_eq!(market.handpick_import_max, 700);
        assert_eq!(market.harm_guard.vanished_percent_max.basis_points(), 2_000);
        assert_eq!(Market::read(&market.draft()).unwrap(), market);
    }

    #[test]
    fn all_faults_come_at_once() {
        let draft = MarketDraft {
            currency: text("XXY"),
            country: text("Sweden"),
            locales: vec!["sv-SE".to_owned(), "sv-SE".to_owned()],
            share_shown_percent: text("49.99"),
            handpick_import_max: Some(0),
            ..MarketDraft {
                name: None,
                ..sweden()
            }
        };
        let complaints = Market::read(&draft).unwrap_err();
        let found: Vec<_> = complaints
            .iter()
            .map(|complaint| (complaint.pointer.as_str(), complaint.fault.code()))
            .collect();
        assert_eq!(
            found,
            [
                ("/name", "required"),
                ("/currency", "unknown-value"),
                ("/country", "bad-format"),
                ("/share_shown_percent", "out-of-range"),
                ("/locales/1", "duplicate"),
                ("/handpick_import_max", "out-of-range"),
            ]
        );
    }
}
