//! Money: a currency, integer minor units, percentages in hundredths of a percent.
#![deny(clippy::float_arithmetic)]

use std::fmt;

use rust_decimal::Decimal;
use rust_decimal::RoundingStrategy::MidpointAwayFromZero;

use serde::{Deserialize, Serialize};

use crate::domain::complaint::Fault;
use crate::domain::number::is_plain_decimal;

/// An ISO 4217 currency that has minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Currency(iso_currency::Currency);

impl Currency {
    /// Reads a three-letter code in capitals.
    ///
    /// # Errors
    /// `unknown-value` for a code that ISO 4217 lacks or gives no minor unit, such as `XAU`.
    pub fn parse(code: &str) -> Result<Self, Fault> {
        iso_currency::Currency::from_code(code)
            .filter(|currency| currency.exponent().is_some())
            .map(Self)
            .ok_or_else(|| Fault::UnknownValue {
                found: code.to_owned(),
                known: "the codes of ISO 4217, such as SEK".into(),
                did_you_mean: None,
            })
    }

    /// The three-letter code.
    pub fn code(self) -> &'static str {
        self.0.code()
    }

    /// Decimals of an amount: 2 for SEK, 0 for JPY, 3 for KWD.
    pub fn digits(self) -> u32 {
        u32::from(self.0.exponent().unwrap_or(0))
    }

    /// Reads a decimal string with at most the currency's decimals.
    ///
    /// # Errors
    /// `bad-format`, `money-precision` for surplus decimals (even zeros), `out-of-range` beyond
    /// 64 bits of minor units.
    pub fn parse_amount(self, text: &str) -> Result<Minor, Fault> {
        if !is_plain_decimal(text) {
            return Err(Fault::bad_format("a decimal amount", text));
        }
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let found = u32::try_from(fraction.len()).unwrap_or(u32::MAX);
        let digits = self.digits();
        if digits < found {
            return Err(Fault::MoneyPrecision {
                currency: self.code(),
                digits,
                found,
            });
        }
        let zeros = "0".repeat((digits - found) as usize);
        let joined = format!("{whole}{fraction}{zeros}");
        joined.parse().map(Minor).map_err(|_| Fault::OutOfRange {
            found: text.to_owned(),
            allowed: "at most 64 bits of minor units".to_owned(),
        })
    }

    /// Reads a decimal string with any number of decimals, half a minor unit up, and says whether
    /// that changed the amount.
    ///
    /// # Errors
    /// `bad-format`; `out-of-range` beyond 28 digits or 64 bits of minor units.
    pub fn round_amount(self, text: &str) -> Result<(Minor, bool), Fault> {
        if !is_plain_decimal(text) {
            return Err(Fault::bad_format("a decimal amount", text));
        }
        let exact: Decimal = text.parse().map_err(|_| Fault::OutOfRange {
            found: text.to_owned(),
            allowed: "at most 28 digits".to_owned(),
        })?;
        let near = exact.round_dp_with_strategy(self.digits(), MidpointAwayFromZero);
        let minor = self.parse_amount(&near.normalize().to_string())?;
        Ok((minor, near != exact))
    }

    /// The amount with exactly the currency's decimals, as answers spell it.
    pub fn format(self, amount: Minor) -> String {
        self.format_sum(i128::from(amount.0))
    }

    /// The same for a sum of minor units, which may need more bits than an amount.
    pub fn format_sum(self, sum: i128) -> String {
        let digits = self.digits() as usize;
        let sign = if sum < 0 { "-" } else { "" };
        let text = format!("{:0width$}", sum.unsigned_abs(), width = digits + 1);
        let (whole, fraction) = text.split_at(text.len() - digits);
        if digits == 0 {
            format!("{sign}{whole}")
        } else {
            format!("{sign}{whole}.{fraction}")
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// An amount in minor units of a currency named elsewhere: öre, cents, yen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Minor(pub i64);

/// A percentage from 0 to 100 with at most two decimals, held in basis points.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u32);

impl Percent {
    /// From hundredths of a percent, 0 to 10,000; `None` above.
    pub fn from_basis_points(basis_points: u32) -> Option<Self> {
        (basis_points <= 10_000).then_some(Self(basis_points))
    }

    /// Reads a decimal string such as `80` or `12.5`.
    ///
    /// # Errors
    /// `bad-format`, or `out-of-range` outside 0 to 100 or with more than two decimals.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if !is_plain_decimal(text) {
            return Err(Fault::bad_format("a percentage", text));
        }
        let refused = || Fault::OutOfRange {
            found: text.to_owned(),
            allowed: "0 to 100 with at most 2 decimals".to_owned(),
        };
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if 2 < fraction.len() {
            return Err(refused());
        }
        let joined = format!("{whole}{fraction:0<2}");
        joined
            .parse()
            .ok()
            .and_then(Self::from_basis_points)
            .ok_or_else(refused)
    }

    /// Hundredths of a percent.
    pub fn basis_points(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Percent {
    /// The shortest form: `80`, `12.5`, `0.25`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) = (self.0 / 100, self.0 % 100);
        match fraction {
            0 => write!(f, "{whole}"),
            _ if fraction % 10 == 0 => write!(f, "{whole}.{}", fraction / 10),
            _ => write!(f, "{whole}.{fraction:02}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: &str, text: &str, expected: Result<i64, &str>) {
        let currency = Currency::parse(code).unwrap();
        let found = currency.parse_amount(text).map(|minor| minor.0);
        assert_eq!(found.map_err(|fault| fault.code()), expected);
    }

    #[test]
    fn surplus_decimals_round_half_up() {
        let of = |code: &str, text: &str| {
            let (minor, is_rounded) = Currency::parse(code).unwrap().round_amount(text).unwrap();
            (minor.0, is_rounded)
        };
        assert_eq!(of("SEK", "1.005"), (101, true));
        assert_eq!(of("SEK", "1.00499999999999999999"), (100, true));
        assert_eq!(of("SEK", "33.333333333333336"), (3_333, true));
        assert_eq!(of("SEK", "12"), (1_200, false));
        assert_eq!(of("SEK", "12.3000"), (1_230, false));
        assert_eq!(of("JPY", "12.5"), (13, true));
        assert_eq!(of("SEK", "0.004"), (0, true));
        let sek = Currency::parse("SEK").unwrap();
        for wrong in ["", "1e5", "1,5", "99999999999999999999.01"] {
            assert!(sek.round_amount(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn amounts_take_the_decimals_of_their_currency() {
        check("SEK", "1890.00", Ok(189_000));
        check("SEK", "1890", Ok(189_000));
        check("SEK", "-0.05", Ok(-5));
        check("SEK", "0.005", Err("money-precision"));
        check("JPY", "1890", Ok(1890));
        check("JPY", "12.5", Err("money-precision"));
        check("KWD", "1.25", Ok(1250));
        check("EUR", "1,25", Err("bad-format"));
        check("EUR", "92233720368547758.07", Ok(i64::MAX));
        check("EUR", "92233720368547758.08", Err("out-of-range"));
    }

    #[test]
    fn answers_carry_exactly_the_decimals() {
        let format = |code, minor| Currency::parse(code).unwrap().format(Minor(minor));
        assert_eq!(format("SEK", 189_000), "1890.00");
        assert_eq!(format("SEK", -5), "-0.05");
        assert_eq!(format("JPY", 1890), "1890");
        assert_eq!(format("KWD", 1250), "1.250");
        assert_eq!(format("EUR", i64::MIN), "-92233720368547758.08");
    }

    #[test]
    fn currencies_are_real() {
        assert_eq!(Currency::parse("EURO").unwrap_err().code(), "unknown-value");
        assert_eq!(Currency::parse("XAU").unwrap_err().code(), "unknown-value");
    }

    #[test]
    fn percentages_keep_two_decimals() {
        assert_eq!(Percent::parse("12.5").unwrap().basis_points(), 1250);
        assert_eq!(Percent::parse("100").unwrap().to_string(), "100");
        assert_eq!(Percent::parse("0.25").unwrap().to_string(), "0.25");
        assert_eq!(Percent::parse("12.50").unwrap().to_string(), "12.5");
        assert_eq!(Percent::parse("100.01").unwrap_err().code(), "out-of-range");
        assert_eq!(Percent::parse("1.234").unwrap_err().code(), "out-of-range");
        assert_eq!(Percent::parse("-1").unwrap_err().code(), "out-of-range");
    }
}
