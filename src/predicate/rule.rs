//! Rules and rule sets, typed for one market.

use std::sync::Arc;

use crate::domain::complaint::Fault;
use crate::domain::text;
use crate::predicate::matcher::Matcher;

/// Name of an attribute, 1 to 128 Unicode scalar values in normal form, compared exactly.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attr(Arc<str>);

impl Attr {
    /// Most Unicode scalar values.
    pub const CHARS_MAX: usize = 128;
    /// The built-in attribute that holds a thing's categories and all their ancestors.
    pub const CATEGORY: &'static str = "category";

    /// # Errors
    /// `too-short`, `too-long` or `bad-format`.
    pub fn parse(name: &str) -> Result<Self, Fault> {
        text::bounded(name, Self::CHARS_MAX).map(|name| Self(name.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether values of this attribute are category ids.
    pub fn is_category(&self) -> bool {
        &*self.0 == Self::CATEGORY
    }
}

impl std::fmt::Display for Attr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for Attr {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// What a rule does with the things that fit its matcher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// Keeps only them.
    Include,
    /// Drops them.
    Exclude,
}

/// Include or exclude on one attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Keep or drop.
    pub op: Op,
    /// Which attribute is asked.
    pub attr: Attr,
    /// What its value must be.
    pub matcher: Matcher,
}

/// Rules that must all agree; a thing fits the empty set, unless its owner says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleSet(pub Vec<Rule>);
