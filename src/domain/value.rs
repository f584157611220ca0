//! Values of attributes.

use std::fmt;
use std::sync::Arc;

use crate::domain::complaint::Fault;
use crate::domain::money::{Currency, Minor};
use crate::domain::number::Number;
use crate::domain::text;
use crate::domain::time::{Date, Timestamp, Zone};

/// Most Unicode scalar values of a text value.
pub const TEXT_CHARS_MAX: usize = 256;

/// What kind of value an attribute holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ValueType {
    /// Any text.
    Text,
    /// An exact decimal.
    Number,
    /// An amount in the market's currency.
    Money,
    /// `true` or `false`.
    Flag,
    /// An instant.
    Time,
}

impl ValueType {
    /// Every type with its spelling on the wire.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Text, "text"),
        (Self::Number, "number"),
        (Self::Money, "money"),
        (Self::Flag, "flag"),
        (Self::Time, "time"),
    ];

    /// Reads the spelling on the wire.
    ///
    /// # Errors
    /// `unknown-value`.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let found = Self::ALL.iter().find(|(_, name)| *name == text);
        found
            .map(|(kind, _)| *kind)
            .ok_or_else(|| Fault::unknown_value(text, &Self::ALL.map(|(_, name)| name)))
    }

    /// As the wire spells it.
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(kind, _)| *kind == self)
            .map_or("", |(_, name)| name)
    }
}

/// What a market's amounts and dates are read in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locale {
    /// Currency of every amount.
    pub currency: Currency,
    /// Zone in which bare dates begin.
    pub zone: Zone,
}

/// One value of an attribute.
///
/// The order is by value inside a type: numbers and money by amount, text by code point, `false`
/// before `true`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// Normalised text of at most 256 scalar values.
    Text(Arc<str>),
    /// An exact decimal.
    Number(Number),
    /// An amount in the market's currency.
    Money(Minor),
    /// Yes or no.
    Flag(bool),
    /// An instant.
    Time(Timestamp),
}

impl Value {
    /// Reads `text` as a value of the given type.
    ///
    /// # Errors
    /// The fault of the type's own constructor.
    pub fn parse(kind: ValueType, text: &str, locale: &Locale) -> Result<Self, Fault> {
        match kind {
            ValueType::Text => Self::text(text),
            ValueType::Number => Number::parse(text.trim()).map(Self::Number),
            ValueType::Money => locale.currency.parse_amount(text.trim()).map(Self::Money),
            ValueType::Flag => parse_flag(text.trim()).map(Self::Flag),
            ValueType::Time => parse_time(text.trim(), &locale.zone).map(Self::Time),
        }
    }

    /// A text value.
    ///
    /// # Errors
    /// `too-short`, `too-long` or `bad-format`.
    pub fn text(text: &str) -> Result<Self, Fault> {
        text::bounded(text, TEXT_CHARS_MAX).map(|text| Self::Text(text.into()))
    }

    /// The type it belongs to.
    pub fn kind(&self) -> ValueType {
        match self {
            Self::Text(_) => ValueType::Text,
            Self::Number(_) => ValueType::Number,
            Self::Money(_) => ValueType::Money,
            Self::Flag(_) => ValueType::Flag,
            Self::Time(_) => ValueType::Time,
        }
    }

    /// The same value, borrowed.
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Text(text) => ValueRef::Text(text),
            Self::Number(number) => ValueRef::Number(*number),
            Self::Money(amount) => ValueRef::Money(*amount),
            Self::Flag(flag) => ValueRef::Flag(*flag),
            Self::Time(time) => ValueRef::Time(*time),
        }
    }

    /// As answers spell it; money with the digits of `currency`.
    pub fn format(&self, currency: Currency) -> String {
        match self {
            Self::Money(amount) => currency.format(*amount),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Value {
    /// Money shows its minor units here; use [`Value::format`] where a currency is at hand.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => number.fmt(f),
            Self::Money(Minor(minor)) => write!(f, "{minor} minor units"),
            Self::Flag(flag) => flag.fmt(f),
            Self::Time(time) => time.fmt(f),
        }
    }
}

/// A borrowed [`Value`], with the same order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ValueRef<'a> {
    /// Normalised text.
    Text(&'a str),
    /// An exact decimal.
    Number(Number),
    /// An amount in the market's currency.
    Money(Minor),
    /// Yes or no.
    Flag(bool),
    /// An instant.
    Time(Timestamp),
}

impl ValueRef<'_> {
    /// An owned copy.
    pub fn to_value(self) -> Value {
        match self {
            Self::Text(text) => Value::Text(text.into()),
            Self::Number(number) => Value::Number(number),
            Self::Money(amount) => Value::Money(amount),
            Self::Flag(flag) => Value::Flag(flag),
            Self::Time(time) => Value::Time(time),
        }
    }
}

fn parse_flag(text: &str) -> Result<bool, Fault> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(Fault::bad_format("true or false", text)),
    }
}

/// An RFC 3339 time, or a date: its midnight in `zone`.
fn parse_time(text: &str, zone: &Zone) -> Result<Timestamp, Fault> {
    match Date::parse(text) {
        Ok(date) => Ok(date.midnight_in(zone)),
        Err(_) => Timestamp::parse(text)
            .map_err(|_| Fault::bad_format("a date or a time with offset", text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: ValueType, text: &str, expected: Result<&str, &str>) {
        let currency = Currency::parse("SEK").unwrap();
        let locale = Locale {
            currency,
            zone: Zone::parse("Europe/Stockholm").unwrap(),
        };
        let found = Value::parse(kind, text, &locale).map(|value| value.format(currency));
        assert_eq!(found.as_deref().map_err(Fault::code), expected);
    }

    #[test]
    fn values_are_read_by_their_type() {
        check(ValueType::Text, " Nord ", Ok("Nord"));
        check(ValueType::Text, &"x".repeat(257), Err("too-long"));
        check(ValueType::Number, " 10.0 ", Ok("10"));
        check(ValueType::Number, "ten", Err("bad-format"));
        check(ValueType::Money, "12.5", Ok("12.50"));
        check(ValueType::Money, "12.505", Err("money-precision"));
        check(ValueType::Flag, "true", Ok("true"));
        check(ValueType::Flag, "yes", Err("bad-format"));
        check(
            ValueType::Time,
            "2027-05-20",
            Ok("2027-05-19T22:00:00.000Z"),
        );
        check(
            ValueType::Time,
            "2027-05-20T00:00:00Z",
            Ok("2027-05-20T00:00:00.000Z"),
        );
    }
}
