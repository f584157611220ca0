//! Rules as a person wrote them, and their reading in one market.
//!
//! The same promotion may stand in markets with other currencies and attribute types, and a later
//! feed may retype an attribute. So what is stored are the texts; each market reads them against
//! its own schema.

use std::sync::Arc;

use crate::domain::category::CategoryId;
use crate::domain::complaint::{Complaint, Complaints, Fault};
use crate::domain::text;
use crate::domain::time::Date;
use crate::domain::value::{Locale, Value, ValueType};
use crate::predicate::matcher::{Matcher, ValueSet};
use crate::predicate::rule::{Attr, Op, Rule};

/// A matcher with the texts as written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum WrittenMatcher {
    /// Any of these values.
    In(Vec<Arc<str>>),
    /// Inclusive bounds; at least one is given.
    Range {
        /// Least value.
        min: Option<Arc<str>>,
        /// Greatest value; a bare date means the whole of that day.
        max: Option<Arc<str>>,
    },
    /// Whether there is a value.
    Exists(bool),
    /// How the text begins.
    Prefix(Arc<str>),
    /// Age in whole local days.
    AgeDays {
        /// Least age, 0 unless given.
        min: Option<i32>,
        /// Greatest age.
        max: Option<i32>,
    },
}

impl WrittenMatcher {
    /// As the wire spells it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::In(_) => "in",
            Self::Range { .. } => "min/max",
            Self::Exists(_) => "exists",
            Self::Prefix(_) => "prefix",
            Self::AgeDays { .. } => "age_days",
        }
    }

    /// Whether values of `kind` can be asked this.
    pub fn fits_type(&self, kind: ValueType) -> bool {
        match self {
            Self::In(_) | Self::Exists(_) => true,
            Self::Range { .. } => {
                matches!(kind, ValueType::Number | ValueType::Money | ValueType::Time)
            }
            Self::Prefix(_) => kind == ValueType::Text,
            Self::AgeDays { .. } => kind == ValueType::Time,
        }
    }
}

/// A rule with the texts as written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WrittenRule {
    /// Keep or drop.
    pub op: Op,
    /// Which attribute is asked.
    pub attr: Attr,
    /// What its value must be.
    pub matcher: WrittenMatcher,
}

impl WrittenRule {
    /// The rule for a market in which the attribute holds values of `kind`.
    ///
    /// # Errors
    /// All of them at once, with pointers such as `/in/3` or `/min`: `wrong-operator`, the faults
    /// of the values, `contradiction` if `min` lies above `max`.
    pub fn read(&self, kind: ValueType, locale: &Locale) -> Result<Rule, Vec<Complaint>> {
        if !self.matcher.fits_type(kind) {
            let attribute_type = kind.as_str();
            let fault = Fault::WrongOperator {
                matcher: self.matcher.name(),
                attribute_type,
            };
            return Err(vec![fault.at("")]);
        }
        let matcher = match &self.matcher {
            WrittenMatcher::In(texts) => self.read_list(texts, kind, locale)?,
            WrittenMatcher::Range { min, max } => {
                read_range(min.as_deref(), max.as_deref(), kind, locale)?
            }
            WrittenMatcher::Exists(wanted) => Matcher::Exists(*wanted),
            WrittenMatcher::Prefix(prefix) => Matcher::Prefix(text::normal(prefix).into()),
            WrittenMatcher::AgeDays { min, max } => read_ages(min.unwrap_or(0), *max)?,
        };
        Ok(Rule {
            op: self.op,
            attr: self.attr.clone(),
            matcher,
        })
    }

    fn read_list(
        &self,
        texts: &[Arc<str>],
        kind: ValueType,
        locale: &Locale,
    ) -> Result<Matcher, Vec<Complaint>> {
        let mut complaints = Complaints::new();
        let mut values = Vec::with_capacity(texts.len());
        for (place, written) in texts.iter().enumerate() {
            let value = if self.attr.is_category() {
                CategoryId::parse(written).map(|id| Value::Text(id.as_str().into()))
            } else {
                Value::parse(kind, written, locale)
            };
            values.extend(complaints.take(format!("/in/{place}"), value));
        }
        complaints.finish(Some(Matcher::In(ValueSet::new(values))))
    }
}

fn read_range(
    min: Option<&str>,
    max: Option<&str>,
    kind: ValueType,
    locale: &Locale,
) -> Result<Matcher, Vec<Complaint>> {
    let mut complaints = Complaints::new();
    if min.is_none() && max.is_none() {
        complaints.add("/min", Fault::Required);
    }
    let read = |text: &str| Value::parse(kind, text, locale);
    let min_value = min.and_then(|text| complaints.take("/min", read(text)));
    let max_value = max.and_then(|text| complaints.take("/max", read_max(text, kind, locale)));
    if let (Some(low), Some(high)) = (&min_value, &max_value)
        && high < low
    {
        let why = format!(
            "min {} lies above max {}",
            min.unwrap_or(""),
            max.unwrap_or("")
        );
        complaints.add("/max", Fault::Contradiction { why });
    }
    complaints.finish(Some(Matcher::Range {
        min: min_value,
        max: max_value,
    }))
}

/// An upper bound; a bare date reaches to the last millisecond of its local day.
fn read_max(text: &str, kind: ValueType, locale: &Locale) -> Result<Value, Fault> {
    match Date::parse(text.trim()) {
        Ok(date) if kind == ValueType::Time => Ok(Value::Time(
            date.next().midnight_in(&locale.zone).plus_ms(-1),
        )),
        _ => Value::parse(kind, text, locale),
    }
}

fn read_ages(min: i32, max: Option<i32>) -> Result<Matcher, Vec<Complaint>> {
    let mut complaints = Complaints::new();
    for (pointer, age) in [("/age_days/min", Some(min)), ("/age_days/max", max)] {
        if age.is_some_and(|age| age < 0) {
            let found = age.unwrap_or(0).to_string();
            complaints.add(
                pointer,
                Fault::OutOfRange {
                    found,
                    allowed: "0 or more".to_owned(),
                },
            );
        }
    }
    if max.is_some_and(|max| max < min) {
        let why = format!("min {min} lies above max {}", max.unwrap_or(0));
        complaints.add("/age_days/max", Fault::Contradiction { why });
    }
    complaints.finish(Some(Matcher::AgeDays { min, max }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Currency;
    use crate::domain::time::Zone;

    #[track_caller]
    fn check(kind: ValueType, matcher: WrittenMatcher, expected: &[(&str, &str)]) {
        let zone = Zone::parse("Europe/Berlin").unwrap();
        let locale = Locale {
            currency: Currency::parse("JPY").unwrap(),
            zone,
        };
        let written = WrittenRule {
            op: Op::Include,
            attr: Attr::parse("x").unwrap(),
            matcher,
        };
        let complaints = written.read(kind, &locale).err().unwrap_or_default();
        let found: Vec<_> = complaints
            .iter()
            .map(|c| (c.pointer.as_str(), c.fault.code()))
            .collect();
        assert_eq!(found, expected);
    }

    fn range(min: &str, max: &str) -> WrittenMatcher {
        WrittenMatcher::Range {
            min: Some(min.into()),
            max: Some(max.into()),
        }
    }

    #[test]
    fn matchers_are_checked_against_the_type() {
        check(ValueType::Text, range("1", "2"), &[("", "wrong-operator")]);
        check(
            ValueType::Flag,
            WrittenMatcher::Prefix("t".into()),
            &[("", "wrong-operator")],
        );
        check(
            ValueType::Number,
            WrittenMatcher::AgeDays {
                min: None,
                max: None,
            },
            &[("", "wrong-operator")],
        );
        check(ValueType::Number, WrittenMatcher::Exists(false), &[]);
    }

    #[test]
    fn every_faulty_value_is_named() {
        check(
            ValueType::Money,
            range("12.5", "x"),
            &[("/min", "money-precision"), ("/max", "bad-format")],
        );
        check(
            ValueType::Number,
            WrittenMatcher::In(vec!["1".into(), "one".into(), "2".into(), "two".into()]),
            &[("/in/1", "bad-format"), ("/in/3", "bad-format")],
        );
        check(
            ValueType::Number,
            range("3", "2"),
            &[("/max", "contradiction")],
        );
        check(ValueType::Time, range("2026-05-20", "2026-05-20"), &[]);
        check(
            ValueType::Time,
            WrittenMatcher::AgeDays {
                min: Some(5),
                max: Some(2),
            },
            &[("/age_days/max", "contradiction")],
        );
    }
}
