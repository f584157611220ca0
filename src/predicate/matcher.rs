//! What a value must be.

use std::sync::Arc;

use crate::domain::time::Today;
use crate::domain::value::{Value, ValueRef};

/// Distinct values in ascending order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueSet(Arc<[Value]>);

impl ValueSet {
    /// Sorts and drops repeats.
    pub fn new(mut values: Vec<Value>) -> Self {
        values.sort_unstable();
        values.dedup();
        Self(values.into())
    }

    /// Whether `value` is one of them.
    pub fn contains(&self, value: ValueRef<'_>) -> bool {
        self.0
            .binary_search_by(|own| own.as_ref().cmp(&value))
            .is_ok()
    }

    /// The values, ascending.
    pub fn as_slice(&self) -> &[Value] {
        &self.0
    }
}

/// What an attribute's value must be. Typed for one market; one fitting value of several is enough.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matcher {
    /// Any of these; none fits the empty set.
    In(ValueSet),
    /// At least `min` and at most `max`, both inclusive, of the same type.
    Range {
        /// Least value, if bounded below.
        min: Option<Value>,
        /// Greatest value, if bounded above.
        max: Option<Value>,
    },
    /// Whether there is a value at all; the only matcher that a missing value can fit.
    Exists(bool),
    /// Text that begins so, code point by code point.
    Prefix(Arc<str>),
    /// Whole local days from the value to today.
    AgeDays {
        /// Least age; 0 keeps what lies ahead out.
        min: i32,
        /// Greatest age, if bounded.
        max: Option<i32>,
    },
}

impl Matcher {
    /// Whether one value fits. [`Matcher::Exists`] speaks about the absence of values, so it is
    /// decided by [`Matcher::fits_any`] alone.
    pub fn fits(&self, value: ValueRef<'_>, today: &Today) -> bool {
        match self {
            Self::In(values) => values.contains(value),
            Self::Range { min, max } => {
                min.as_ref().is_none_or(|min| min.as_ref() <= value)
                    && max.as_ref().is_none_or(|max| value <= max.as_ref())
            }
            Self::Exists(wanted) => *wanted,
            Self::Prefix(prefix) => {
                matches!(value, ValueRef::Text(text) if text.starts_with(&**prefix))
            }
            Self::AgeDays { min, max } => match value {
                ValueRef::Time(time) => {
                    let age = today.age_days(time);
                    *min <= age && max.is_none_or(|max| age <= max)
                }
                _ => false,
            },
        }
    }

    /// Whether one of the values fits, or, for `exists: false`, whether there is none.
    pub fn fits_any<'a>(
        &self,
        mut values: impl Iterator<Item = ValueRef<'a>>,
        today: &Today,
    ) -> bool {
        match self {
            Self::Exists(wanted) => values.next().is_some() == *wanted,
            _ => values.any(|value| self.fits(value, today)),
        }
    }
}
