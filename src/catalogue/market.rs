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
    /// What was wrong with it before it became a draft; told with everything else.
    pub faults: Vec<Complaint>,
}

impl Market {
    /// Reads a market as sent.
    ///
    /// # Errors
    /// All complaints at once, with pointers as the API names the fields.
    pub fn read(draft: &MarketDraft) -> Result<Self, Vec<Complaint>> {
        let mut reader = Reader(Complaints::after(draft.faults.clone()));
        let long = |text: &str| bounded(text, NAME_CHARS_MAX).map(std::borrow::Cow::into_owned);
        let id = reader.required("/market", draft.market.as_deref(), MarketId::parse);
        let name = reader.required("/name", draft.name.as_deref(), long);
        let currency = reader.required("/currency", draft.currency.as_deref(), Currency::parse);
        let zone = reader.required("/time_zone", draft.time_zone.as_deref(), Zone::parse);
        let country = reader.optional("/country", draft.country.as_deref(), country);
        let basis = reader.optional(
            "/price_basis",
            draft.price_basis.as_deref(),
            PriceBasis::parse,
        );
        let source = reader.optional(
            "/display_source",
            draft.display_source.as_deref(),
            DisplaySource::parse,
        );
        let cross = draft.cross_market_attribute.as_deref();
        let cross = reader.optional("/cross_market_attribute", cross, Attr::parse);
        let share = reader.optional(
            "/share_shown_percent",
            draft.share_shown_percent.as_deref(),
            share_shown,
        );
        let locales = reader.list("/locales", &draft.locales, LOCALES_MAX, locale);
        let search = &draft.search_attributes;
        let search = reader.list(
            "/search_attributes",
            search,
            SEARCH_ATTRIBUTES_MAX,
            Attr::parse,
        );
        let harm_guard = reader.guard(draft);
        let handpick_import_max = reader.handpick_max(draft.handpick_import_max);
        let complaints = reader.0;
        let (Some(id), Some(name), Some(currency), Some(zone)) = (id, name, currency, zone) else {
            return Err(complaints.into_vec());
        };
        complaints.finish(Some(Self {
            id,
            name,
            locale: Locale { currency, zone },
            country,
            locales,
            price_basis: basis.unwrap_or(PriceBasis::TaxInclusive),
            search_attributes: search,
            cross_market_attribute: cross,
            display_source: source.unwrap_or(DisplaySource::Answer),
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
            faults: Vec::new(),
        }
    }
}

/// Reads fields and gathers what is wrong with them.
struct Reader(Complaints);

impl Reader {
    fn required<T>(
        &mut self,
        pointer: &str,
        text: Option<&str>,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> Option<T> {
        if text.is_none() {
            self.0.add(pointer, Fault::Required);
        }
        self.optional(pointer, text, parse)
    }

    fn optional<T>(
        &mut self,
        pointer: &str,
        text: Option<&str>,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> Option<T> {
        self.0.take(pointer, parse(text?))
    }

    fn list<T: PartialEq>(
        &mut self,
        pointer: &str,
        texts: &[String],
        max: usize,
        parse: impl Fn(&str) -> Result<T, Fault>,
    ) -> Vec<T> {
        if max < texts.len() {
            let have = texts.len();
            self.0.add(pointer, Fault::TooMany { have, max });
            return Vec::new();
        }
        let mut items = Vec::with_capacity(texts.len());
        for (place, text) in texts.iter().enumerate() {
            let at = format!("{pointer}/{place}");
            match self.0.take(at.as_str(), parse(text)) {
                Some(item) if items.contains(&item) => {
                    let value = text.clone();
                    self.0.add(at, Fault::Duplicate { value });
                }
                Some(item) => items.push(item),
                None => {}
            }
        }
        items
    }

    fn guard(&mut self, draft: &MarketDraft) -> HarmGuard {
        let vanished = draft.vanished_percent_max.as_deref();
        let vanished = self.optional("/harm_guard/vanished_percent_max", vanished, Percent::parse);
        let sold_out = draft.sold_out_percent_max.as_deref();
        let sold_out = self.optional("/harm_guard/sold_out_percent_max", sold_out, Percent::parse);
        HarmGuard {
            vanished_percent_max: vanished.unwrap_or(percent(VANISHED_BP)),
            sold_out_percent_max: sold_out.unwrap_or(percent(SOLD_OUT_BP)),
        }
    }

    fn handpick_max(&mut self, wished: Option<u32>) -> usize {
        let Some(wished) = wished else {
            return HANDPICK_IMPORT_MAX;
        };
        let max = wished as usize;
        if max == 0 || HANDPICK_IMPORT_BOUND < max {
            let allowed = format!("1 to {HANDPICK_IMPORT_BOUND}");
            let found = wished.to_string();
            self.0
                .add("/handpick_import_max", Fault::OutOfRange { found, allowed });
        }
        max
    }
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
        text.parse().ok()
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
