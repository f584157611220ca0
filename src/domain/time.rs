//! Instants, local dates, zones and half-open periods. Nothing here reads a clock.

use std::fmt;
use std::sync::Arc;

use jiff::tz::TimeZone;

use serde::{Deserialize, Serialize};

use crate::domain::complaint::Fault;
use crate::domain::text;

/// Milliseconds of a day of 24 hours.
pub const DAY_MS: i64 = 86_400_000;

/// An instant, in milliseconds since 1970-01-01T00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Reads RFC 3339 with an offset; digits finer than a millisecond are cut.
    ///
    /// # Errors
    /// `bad-format`.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let expected = "a time with offset, such as 2027-03-08T06:00:00+01:00";
        text.parse::<jiff::Timestamp>()
            .map(|instant| {
                Self(
                    instant
                        .as_nanosecond()
                        .div_euclid(1_000_000)
                        .try_into()
                        .unwrap_or(0),
                )
            })
            .map_err(|_| Fault::bad_format(expected, text))
    }

    /// The instant `ms` milliseconds later.
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// The local date in `zone`.
    pub fn date_in(self, zone: &Zone) -> Date {
        Date(self.instant().to_zoned(zone.0.clone()).date())
    }

    /// Times outside jiff's range (years −9999 to 9999) are clamped to it.
    fn instant(self) -> jiff::Timestamp {
        jiff::Timestamp::from_millisecond(self.0).unwrap_or(if self.0 < 0 {
            jiff::Timestamp::MIN
        } else {
            jiff::Timestamp::MAX
        })
    }
}

impl fmt::Display for Timestamp {
    /// UTC with milliseconds, as answers spell it: `2027-10-30T22:00:00.000Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.instant())
    }
}

/// A calendar day without a zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "i32", try_from = "i32")]
pub struct Date(jiff::civil::Date);

impl From<Date> for i32 {
    fn from(date: Date) -> Self {
        date.epoch_days()
    }
}

impl TryFrom<i32> for Date {
    type Error = &'static str;

    fn try_from(days: i32) -> Result<Self, Self::Error> {
        Self::from_epoch_days(days).ok_or("a day outside the years -9999 to 9999")
    }
}

/// The day from which days are counted.
const EPOCH: Date = Date(jiff::civil::date(1970, 1, 1));

impl Date {
    /// Reads `2027-10-30`.
    ///
    /// # Errors
    /// `bad-format`.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let refused = || Fault::bad_format("a date, such as 2027-10-30", text);
        let shaped = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        if !shaped {
            return Err(refused());
        }
        text.parse().map(Self).map_err(|_| refused())
    }

    /// The day after; the last day of year 9999 is its own successor.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.tomorrow().unwrap_or(self.0))
    }

    /// Whole days from `earlier` to this day; negative if it lies ahead.
    pub fn days_since(self, earlier: Self) -> i32 {
        earlier.0.until(self.0).map_or(0, |span| span.get_days())
    }

    /// Whole days since 1970-01-01; negative before it.
    pub fn epoch_days(self) -> i32 {
        self.days_since(EPOCH)
    }

    /// From what [`Self::epoch_days`] gave; `None` outside the years −9999 to 9999.
    pub fn from_epoch_days(days: i32) -> Option<Self> {
        let span = jiff::Span::new().try_days(days).ok()?;
        EPOCH.0.checked_add(span).ok().map(Self)
    }

    /// First instant of this day in `zone`.
    ///
    /// A midnight that the clock skips moves forward by the gap, as RFC 5545 has it.
    pub fn midnight_in(self, zone: &Zone) -> Timestamp {
        match self.0.to_zoned(zone.0.clone()) {
            Ok(zoned) => Timestamp(zoned.timestamp().as_millisecond()),
            Err(_) => Timestamp(i64::MAX),
        }
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An IANA time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Zone {
    /// Looks the name up in the bundled zone database.
    ///
    /// # Errors
    /// `unknown-value`.
    pub fn parse(name: &str) -> Result<Self, Fault> {
        jiff::tz::db()
            .get(name)
            .ok()
            .filter(|zone| zone.iana_name().is_some())
            .map(Self)
            .ok_or_else(|| {
                let names: Vec<_> = jiff::tz::db().available().collect();
                Fault::UnknownValue {
                    found: name.to_owned(),
                    known: "the zones of IANA, such as Europe/Stockholm".into(),
                    did_you_mean: text::nearest(
                        name,
                        names.iter().map(jiff::tz::TimeZoneName::as_str),
                    ),
                }
            })
    }

    /// The instant of a local date and time such as `2027-03-01T13:00` or `2027-03-01T13:00:30`; one
    /// that the clock skips moves forward by the gap, of two the earlier is meant, as RFC 5545 has
    /// it.
    pub fn instant_of(&self, local: &str) -> Option<Timestamp> {
        let civil: jiff::civil::DateTime = local.parse().ok()?;
        let zoned = civil.to_zoned(self.0.clone()).ok()?;
        Some(Timestamp(zoned.timestamp().as_millisecond()))
    }

    /// The IANA name.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }
}

/// The day on which a rule is asked, in the market's zone.
#[derive(Clone, Debug)]
pub struct Today {
    /// The local date.
    pub date: Date,
    /// The zone in which instants become dates.
    pub zone: Zone,
}

impl Today {
    /// The local day of an instant.
    pub fn at(now: Timestamp, zone: &Zone) -> Self {
        Self {
            date: now.date_in(zone),
            zone: zone.clone(),
        }
    }

    /// The instant at which the next local day begins.
    pub fn ends(&self) -> Timestamp {
        self.date.next().midnight_in(&self.zone)
    }

    /// Whole local days from `instant` to today; negative if it lies ahead.
    pub fn age_days(&self, instant: Timestamp) -> i32 {
        self.date.days_since(instant.date_in(&self.zone))
    }
}

/// The half-open stretch `[start, end)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Period {
    start: Timestamp,
    end: Timestamp,
}

impl Period {
    /// # Errors
    /// `out-of-range` unless `start < end`.
    pub fn new(start: Timestamp, end: Timestamp) -> Result<Self, Fault> {
        if start < end {
            return Ok(Self { start, end });
        }
        Err(Fault::OutOfRange {
            found: end.to_string(),
            allowed: format!("after the start, {start}"),
        })
    }

    /// First instant inside.
    pub fn start(self) -> Timestamp {
        self.start
    }

    /// First instant outside.
    pub fn end(self) -> Timestamp {
        self.end
    }

    /// Whether `instant` lies inside.
    pub fn contains(self, instant: Timestamp) -> bool {
        self.start <= instant && instant < self.end
    }
}

/// A start or end as a person gave it: an instant, or a bare date to be read in some zone.
///
/// The text is kept beside its meaning, so that answers show what was sent and new zone rules
/// can resolve a future date again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenTime {
    text: Arc<str>,
    meaning: Meaning,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    Instant(Timestamp),
    Date(Date),
}

impl GivenTime {
    /// Reads a date or a time with offset.
    ///
    /// # Errors
    /// `bad-format`.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let text = text.trim();
        let meaning = match Date::parse(text) {
            Ok(date) => Meaning::Date(date),
            Err(_) => Meaning::Instant(
                Timestamp::parse(text)
                    .map_err(|_| Fault::bad_format("a date or a time with offset", text))?,
            ),
        };
        Ok(Self {
            text: text.into(),
            meaning,
        })
    }

    /// The instant itself, spelled in UTC.
    pub fn from_instant(instant: Timestamp) -> Self {
        Self {
            text: instant.to_string().into(),
            meaning: Meaning::Instant(instant),
        }
    }

    /// The text as sent.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether a zone is needed to resolve it.
    pub fn is_date(&self) -> bool {
        matches!(self.meaning, Meaning::Date(_))
    }

    /// The instant as a start: of a date, its midnight. `None` if a date lacks its zone.
    pub fn as_start(&self, zone: Option<&Zone>) -> Option<Timestamp> {
        match self.meaning {
            Meaning::Instant(instant) => Some(instant),
            Meaning::Date(date) => zone.map(|zone| date.midnight_in(zone)),
        }
    }

    /// The instant as an end: a date is inclusive, so the midnight after it.
    pub fn as_end(&self, zone: Option<&Zone>) -> Option<Timestamp> {
        match self.meaning {
            Meaning::Instant(instant) => Some(instant),
            Meaning::Date(date) => zone.map(|zone| date.next().midnight_in(zone)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> Zone {
        Zone::parse(name).unwrap()
    }

    #[test]
    fn days_since_1970_name_a_date() {
        let date = |text| Date::parse(text).unwrap();
        for (text, days) in [
            ("1969-12-31", -1),
            ("1970-01-01", 0),
            ("2026-01-01", 20_454),
            ("9999-12-31", 2_932_896),
        ] {
            assert_eq!(date(text).epoch_days(), days);
            assert_eq!(Date::from_epoch_days(days), Some(date(text)));
        }
        for outside in [2_932_897, i32::MIN, i32::MAX] {
            assert_eq!(Date::from_epoch_days(outside), None);
        }
    }

    #[track_caller]
    fn check_end(text: &str, zone_name: &str, expected: &str) {
        let end = GivenTime::parse(text)
            .unwrap()
            .as_end(Some(&zone(zone_name)))
            .unwrap();
        assert_eq!(end.to_string(), expected);
    }

    #[test]
    fn an_end_date_is_inclusive_in_its_zone() {
        check_end("2027-10-30", "Europe/Berlin", "2027-10-30T22:00:00.000Z");
        check_end("2027-10-31", "Europe/Berlin", "2027-10-31T23:00:00.000Z");
        check_end("2026-10-04", "Australia/Sydney", "2026-10-04T13:00:00.000Z");
        check_end(
            "2027-03-08T06:00:00+01:00",
            "Europe/Berlin",
            "2027-03-08T05:00:00.000Z",
        );
    }

    #[test]
    fn a_day_with_a_clock_change_has_23_hours() {
        let given = GivenTime::parse("2026-10-04").unwrap();
        let sydney = zone("Australia/Sydney");
        let start = given.as_start(Some(&sydney)).unwrap();
        assert_eq!(start.to_string(), "2026-10-03T14:00:00.000Z");
        assert_eq!(
            given.as_end(Some(&sydney)).unwrap().0 - start.0,
            23 * 3_600_000
        );
    }

    #[test]
    fn a_skipped_midnight_moves_forward_by_the_gap() {
        let start = Date::parse("2018-11-04")
            .unwrap()
            .midnight_in(&zone("America/Sao_Paulo"));
        assert_eq!(start.to_string(), "2018-11-04T03:00:00.000Z");
    }

    #[test]
    fn finer_digits_are_cut() {
        assert_eq!(
            Timestamp::parse("1970-01-01T00:00:00.0019Z").unwrap(),
            Timestamp(1)
        );
        assert_eq!(
            Timestamp::parse("1969-12-31T23:59:59.9991Z").unwrap(),
            Timestamp(-1)
        );
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert!(Timestamp::parse("2027-03-08T06:00:00").is_err());
    }

    #[test]
    fn dates_need_a_zone() {
        assert_eq!(GivenTime::parse("2027-03-08").unwrap().as_start(None), None);
        assert!(Date::parse("2027-02-29").is_err());
        assert!(Date::parse("20270228").is_err());
        assert!(Zone::parse("Mars/Olympus").is_err());
    }

    #[test]
    fn ages_are_whole_local_days() {
        let noon = Timestamp::parse("2027-05-20T12:00:00+02:00").unwrap();
        let today = Today::at(noon, &zone("Europe/Berlin"));
        let age = |text: &str| today.age_days(Timestamp::parse(text).unwrap());
        assert_eq!(age("2027-04-29T00:00:00+02:00"), 21);
        assert_eq!(age("2027-04-28T23:59:59+02:00"), 22);
        assert_eq!(age("2027-05-21T00:00:00+02:00"), -1);
        assert_eq!(today.ends().to_string(), "2027-05-20T22:00:00.000Z");
    }

    #[test]
    fn periods_are_half_open_and_not_empty() {
        let period = Period::new(Timestamp(1), Timestamp(3)).unwrap();
        assert!(period.contains(Timestamp(1)) && !period.contains(Timestamp(3)));
        assert_eq!(
            Period::new(Timestamp(3), Timestamp(3)).unwrap_err().code(),
            "out-of-range"
        );
    }
}
