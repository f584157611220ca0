//! What one field of an input got wrong.

use std::fmt;

/// Most members of an enumeration that a fault names.
const TOLD_MAX: usize = 12;

/// What is wrong with a value, with the figures that say why.
///
/// Each variant is one of the stable field codes of the API; [`Fault::code`] spells it and
/// `Display` says it to a person, lower case and without a full stop.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Absent or null where a value is needed.
    #[error("is required")]
    Required,
    /// A column that a feed needs and its header lacks.
    #[error("is required, the header has \"{found}\"")]
    RequiredColumn {
        /// The header's names, cut to 80 characters.
        found: String,
    },
    /// Not a member of an enumeration.
    #[error("\"{found}\" is not one of {known}")]
    UnknownValue {
        /// The text that was sent.
        found: String,
        /// All members, or "the known values" where they are many.
        known: Box<str>,
        /// The nearest member, if one is near.
        did_you_mean: Option<String>,
    },
    /// No field of that name exists.
    #[error("no field \"{found}\"")]
    UnknownField {
        /// The name that was sent.
        found: String,
        /// The nearest known name, if one is near.
        did_you_mean: Option<String>,
    },
    /// Another JSON or attribute type than expected.
    #[error("expected {expected}, found {found}")]
    WrongType {
        /// What fits here, in words.
        expected: &'static str,
        /// What was sent, in words or as its text.
        found: String,
    },
    /// The right type, but unreadable.
    #[error("expected {expected}, found \"{found}\"")]
    BadFormat {
        /// What fits here, in words.
        expected: &'static str,
        /// The text that was sent, cut to 80 characters.
        found: String,
    },
    /// Fewer characters than allowed.
    #[error("at least {}, found {have}", counted(*.min, "character", "characters"))]
    TooShort {
        /// Characters found.
        have: usize,
        /// Least number of characters.
        min: usize,
    },
    /// More characters than allowed.
    #[error("at most {}, found {have}", counted(*.max, "character", "characters"))]
    TooLong {
        /// Characters found.
        have: usize,
        /// Greatest number of characters.
        max: usize,
    },
    /// A list with too few entries.
    #[error("at least {}, found {have}", counted(*.min, "entry", "entries"))]
    TooFew {
        /// Entries found.
        have: usize,
        /// Least number of entries.
        min: usize,
    },
    /// A list with too many entries.
    #[error("at most {}, found {have}", counted(*.max, "entry", "entries"))]
    TooMany {
        /// Entries found.
        have: usize,
        /// Greatest number of entries.
        max: usize,
    },
    /// A number or time outside its bounds.
    #[error("{found} is out of range: {allowed}")]
    OutOfRange {
        /// What was sent.
        found: String,
        /// The bound, in words, for example "0 to 600".
        allowed: String,
    },
    /// Named twice where once is allowed.
    #[error("\"{value}\" appears more than once")]
    Duplicate {
        /// The repeated value.
        value: String,
    },
    /// Points at something that does not exist.
    #[error("no {what} \"{value}\"")]
    UnknownReference {
        /// Kind of the missing thing.
        what: &'static str,
        /// Its name as sent.
        value: String,
    },
    /// No market concerned has an attribute of this name.
    #[error("no attribute \"{name}\"")]
    UnknownAttribute {
        /// The name that was sent.
        name: String,
        /// The nearest attribute, if one is near.
        did_you_mean: Option<String>,
    },
    /// The matcher does not fit the attribute's type.
    #[error("{matcher} does not fit {attribute_type} attributes")]
    WrongOperator {
        /// The matcher or operation, as spelled on the wire.
        matcher: &'static str,
        /// Type of the attribute, or what about it does not fit.
        attribute_type: &'static str,
    },
    /// Two parts of the input cannot both hold.
    #[error("{why}")]
    Contradiction {
        /// Which parts, in words.
        why: String,
    },
    /// Set by the server, or fixed once created.
    #[error("cannot be set here")]
    ReadOnly,
    /// More decimals than the currency has.
    #[error("{currency} has {digits} decimals, found {found}")]
    MoneyPrecision {
        /// ISO 4217 code.
        currency: &'static str,
        /// Decimals of the currency.
        digits: u32,
        /// Decimals that were sent.
        found: u32,
    },
    /// An amount in another currency than the market's.
    #[error("the market's currency is {expected}, found {found}")]
    CurrencyMismatch {
        /// ISO 4217 code of the market.
        expected: &'static str,
        /// The code that was sent.
        found: String,
    },
    /// A bare date, and no single zone to read it in.
    #[error("a bare date needs a time_zone: the markets lie in {zones}")]
    ZoneAmbiguous {
        /// The zones of the markets concerned.
        zones: String,
    },
    /// A demotion has one strength.
    #[error("a demotion has no level")]
    LevelNotAllowed,
}

impl Fault {
    /// Stable code on the wire; never renamed or reused.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Required | Self::RequiredColumn { .. } => "required",
            Self::UnknownValue { .. } => "unknown-value",
            Self::UnknownField { .. } => "unknown-field",
            Self::WrongType { .. } => "wrong-type",
            Self::BadFormat { .. } => "bad-format",
            Self::TooShort { .. } => "too-short",
            Self::TooLong { .. } => "too-long",
            Self::TooFew { .. } => "too-few",
            Self::TooMany { .. } => "too-many",
            Self::OutOfRange { .. } => "out-of-range",
            Self::Duplicate { .. } => "duplicate",
            Self::UnknownReference { .. } => "unknown-reference",
            Self::UnknownAttribute { .. } => "unknown-attribute",
            Self::WrongOperator { .. } => "wrong-operator",
            Self::Contradiction { .. } => "contradiction",
            Self::ReadOnly => "read-only",
            Self::MoneyPrecision { .. } => "money-precision",
            Self::CurrencyMismatch { .. } => "currency-mismatch",
            Self::ZoneAmbiguous { .. } => "zone-ambiguous",
            Self::LevelNotAllowed => "level-not-allowed",
        }
    }

    /// The nearest thing that would have been right, where one is near.
    pub fn did_you_mean(&self) -> Option<&str> {
        match self {
            Self::UnknownValue { did_you_mean, .. }
            | Self::UnknownField { did_you_mean, .. }
            | Self::UnknownAttribute { did_you_mean, .. } => did_you_mean.as_deref(),
            _ => None,
        }
    }

    /// An unreadable text, quoted up to 80 characters.
    pub fn bad_format(expected: &'static str, found: &str) -> Self {
        Self::BadFormat {
            expected,
            found: found.chars().take(80).collect(),
        }
    }

    /// A word that is none of `known`, with the nearest of them, and all of them where they are few.
    pub fn unknown_value(found: &str, known: &[&str]) -> Self {
        let did_you_mean = crate::domain::text::nearest(found, known.iter().copied());
        Self::UnknownValue {
            found: found.to_owned(),
            known: if known.len() <= TOLD_MAX {
                known.join(", ").into()
            } else {
                "the known values".into()
            },
            did_you_mean,
        }
    }

    /// This fault at a place of the input.
    pub fn at(self, pointer: impl Into<String>) -> Complaint {
        Complaint {
            pointer: pointer.into(),
            fault: self,
        }
    }
}

/// A [`Fault`] and the place in the input where it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// JSON pointer (RFC 6901) into the input; empty means the whole of it.
    pub pointer: String,
    /// What is wrong there.
    pub fault: Fault,
}

impl Complaint {
    /// The same complaint seen from a document that holds the input at `prefix`.
    #[must_use]
    pub fn under(mut self, prefix: &str) -> Self {
        self.pointer.insert_str(0, prefix);
        self
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.pointer, self.fault)
    }
}

/// Collects complaints while an input is read to its end.
///
/// Every reader keeps going after a fault, so that the answer names all of them at once.
#[derive(Debug, Default)]
pub struct Complaints {
    found: Vec<Complaint>,
    /// How many of them an earlier reader found.
    n_earlier: usize,
}

impl Complaints {
    /// None so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Goes on from what an earlier reader of the same input found. Nothing more is said about the
    /// places it complained of, nor about what lies in or around them: a value that could not be
    /// read is not also missing.
    pub fn after(earlier: Vec<Complaint>) -> Self {
        Self {
            n_earlier: earlier.len(),
            found: earlier,
        }
    }

    /// Adds a fault at `pointer`.
    pub fn add(&mut self, pointer: impl Into<String>, fault: Fault) {
        self.push(fault.at(pointer));
    }

    fn push(&mut self, complaint: Complaint) {
        let mut earlier = self.found[..self.n_earlier].iter();
        if !earlier.any(|known| touch(&known.pointer, &complaint.pointer)) {
            self.found.push(complaint);
        }
    }

    /// Takes the value of a result, or its fault at `pointer`.
    pub fn take<T>(&mut self, pointer: impl Into<String>, result: Result<T, Fault>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(fault) => {
                self.add(pointer, fault);
                None
            }
        }
    }

    /// Takes the value of a part, or all its complaints seen from `prefix`.
    pub fn take_all<T>(&mut self, prefix: &str, result: Result<T, Vec<Complaint>>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(inner) => {
                for complaint in inner {
                    self.push(complaint.under(prefix));
                }
                None
            }
        }
    }

    /// Whether nothing was complained about.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// The value if nothing was complained about.
    ///
    /// # Errors
    /// All complaints, in the order they were found.
    pub fn finish<T>(self, value: Option<T>) -> Result<T, Vec<Complaint>> {
        match value {
            Some(value) if self.found.is_empty() => Ok(value),
            _ => Err(self.found),
        }
    }

    /// All complaints, in the order they were found.
    pub fn into_vec(self) -> Vec<Complaint> {
        self.found
    }
}

/// A number of things, in words.
fn counted(n: usize, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// Whether one pointer is the other, or leads into what it points at.
fn touch(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() < other.len() {
        (one, other)
    } else {
        (other, one)
    };
    let rest = long.strip_prefix(short);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// One reference token of a JSON pointer, escaped as RFC 6901 section 3 says.
pub fn token(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_complaints_carry_the_whole_pointer() {
        let mut outer = Complaints::new();
        let inner: Result<(), _> = Err(vec![Fault::Required.at("/rules/1/attr")]);
        assert_eq!(outer.take_all("/rule_sets/0", inner), None);
        assert_eq!(outer.into_vec()[0].pointer, "/rule_sets/0/rules/1/attr");
    }

    #[test]
    fn a_value_with_complaints_is_not_handed_out() {
        let mut complaints = Complaints::new();
        complaints.add("/name", Fault::TooLong { have: 57, max: 50 });
        let refused = complaints.finish(Some(1)).unwrap_err();
        assert_eq!(refused[0].fault.code(), "too-long");
        assert_eq!(
            refused[0].to_string(),
            "/name: at most 50 characters, found 57"
        );
    }

    #[test]
    fn what_was_not_readable_is_not_also_missing() {
        let wrong = |pointer: &str| Fault::ReadOnly.at(pointer);
        let mut complaints = Complaints::after(vec![wrong("/name"), wrong("/markets/1")]);
        for pointer in [
            "/name",
            "/markets",
            "/markets/1/x",
            "/markets/0",
            "/names",
            "",
        ] {
            complaints.add(pointer, Fault::Required);
        }
        let pointers = complaints.into_vec().into_iter().map(|found| found.pointer);
        let expected = ["/name", "/markets/1", "/markets/0", "/names"];
        assert_eq!(pointers.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_fault_says_what_would_fit() {
        let said = |fault: Fault| fault.to_string();
        let unknown = Fault::unknown_value("brand", &["variant", "product"]);
        assert_eq!(said(unknown), "\"brand\" is not one of variant, product");
        let unknown = Fault::unknown_value("brand", &["a"; TOLD_MAX + 1]);
        assert_eq!(said(unknown), "\"brand\" is not one of the known values");
        let short = |min| Fault::TooShort { have: 0, min };
        assert_eq!(said(short(1)), "at least 1 character, found 0");
        assert_eq!(said(short(2)), "at least 2 characters, found 0");
        let few = Fault::TooFew { have: 0, min: 1 };
        assert_eq!(said(few), "at least 1 entry, found 0");
    }

    #[test]
    fn pointer_tokens_are_escaped() {
        assert_eq!(token("a/b~c"), "a~1b~0c");
    }
}
