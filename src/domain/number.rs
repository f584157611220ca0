//! Exact decimals: scores and attribute numbers.

use std::fmt;

use rust_decimal::Decimal;

use crate::domain::complaint::Fault;

/// Longest text taken for a number.
const TEXT_MAX: usize = 40;

/// An exact decimal number, compared by value: 10 equals 10.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(Decimal);

impl Number {
    /// Reads plain decimal text: an optional sign, digits, at most one point; no exponent.
    ///
    /// # Errors
    /// `bad-format` if it is anything else, `out-of-range` if it needs more than 28 digits.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if !is_plain_decimal(text) {
            return Err(Fault::bad_format("a decimal number", text));
        }
        match Decimal::from_str_exact(text) {
            Ok(decimal) => Ok(Self(decimal.normalize())),
            Err(_) => Err(Fault::OutOfRange {
                found: text.to_owned(),
                allowed: "at most 28 digits".to_owned(),
            }),
        }
    }

    /// A whole number.
    pub fn from_integer(value: i64) -> Self {
        Self(Decimal::from(value))
    }

    /// `mantissa` × 10^−`scale`, for reading stored forms; `None` if the scale exceeds 28.
    pub fn from_parts(mantissa: i128, scale: u32) -> Option<Self> {
        Decimal::try_from_i128_with_scale(mantissa, scale)
            .ok()
            .map(|decimal| Self(decimal.normalize()))
    }

    /// Mantissa and scale of the shortest form.
    pub fn to_parts(self) -> (i128, u32) {
        (self.0.mantissa(), self.0.scale())
    }

    /// The underlying decimal.
    pub fn decimal(self) -> Decimal {
        self.0
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Strategy score of a variant: the base order is this, descending.
///
/// At most 18 digits, may be negative, never a float.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Score(Number);

impl Score {
    /// Most significant digits.
    pub const DIGITS_MAX: u32 = 18;

    /// Reads a decimal text of at most 18 digits.
    ///
    /// # Errors
    /// As [`Number::parse`], and `out-of-range` above 18 digits.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let number = Number::parse(text)?;
        let (mantissa, scale) = number.to_parts();
        let too_long =
            10_u128.pow(Self::DIGITS_MAX) <= mantissa.unsigned_abs() || Self::DIGITS_MAX < scale;
        if too_long {
            return Err(Fault::OutOfRange {
                found: text.to_owned(),
                allowed: format!("at most {} digits", Self::DIGITS_MAX),
            });
        }
        Ok(Self(number))
    }

    /// A whole score.
    pub fn from_integer(value: i32) -> Self {
        Self(Number::from_integer(i64::from(value)))
    }

    /// The score as a number.
    pub fn number(self) -> Number {
        self.0
    }

    /// The score in units of 10^-18: whole numbers in the order of scores, quick to compare.
    ///
    /// At most 18 digits stand before and behind the point, so it stays below 10^36.
    pub fn fixed(self) -> i128 {
        let (mantissa, scale) = self.0.to_parts();
        mantissa * 10_i128.pow(Self::DIGITS_MAX - scale)
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether `text` is `[+-]?digits[.digits]` or `[+-]?.digits`, at most 40 characters.
pub fn is_plain_decimal(text: &str) -> bool {
    if TEXT_MAX < text.len() {
        return false;
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole)
        && digits(fraction)
        && !(whole.is_empty() && fraction.is_empty())
        && !unsigned.ends_with('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: Result<&str, &str>) {
        let found = Number::parse(text).map(|number| number.to_string());
        assert_eq!(found.as_deref().map_err(Fault::code), expected);
    }

    #[test]
    fn numbers_are_plain_decimals() {
        check("10.0", Ok("10"));
        check("-0.50", Ok("-0.5"));
        check("+7", Ok("7"));
        check(".5", Ok("0.5"));
        check("1e3", Err("bad-format"));
        check("1.", Err("bad-format"));
        check("", Err("bad-format"));
        check("-", Err("bad-format"));
        check("1.2.3", Err("bad-format"));
        check("NaN", Err("bad-format"));
        check("99999999999999999999999999999999", Err("out-of-range"));
        check(&"1".repeat(41), Err("bad-format"));
    }

    #[test]
    fn scores_take_eighteen_digits() {
        assert!(Score::parse("999999999999999999").is_ok());
        assert_eq!(
            Score::parse("1000000000000000000").unwrap_err().code(),
            "out-of-range"
        );
        assert!(Score::parse("0.000000000000000001").is_ok());
        assert_eq!(
            Score::parse("0.0000000000000000001").unwrap_err().code(),
            "out-of-range"
        );
        assert!(Score::parse("10").unwrap() == Score::parse("10.0").unwrap());
        assert!(Score::parse("9.9").unwrap() < Score::parse("10").unwrap());
    }
}
