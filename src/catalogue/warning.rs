//! What is odd about a catalogue without being wrong.

use crate::catalogue::category::Loop;
use crate::domain::category::CategoryId;
use crate::predicate::rule::Attr;

/// Most examples that a warning names.
pub const EXAMPLES_MAX: usize = 100;

/// Something odd that a person should know; counts are complete, examples are the first few.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// Categories that are named but not defined.
    Placeholders {
        /// How many.
        count: usize,
        /// The first 100 by id.
        first: Vec<CategoryId>,
    },
    /// Stored categories that lie in loops; the loops were cut at their smallest ids.
    Loops(Vec<Loop>),
    /// Stored texts that do not fit the type that their attribute was given later; they count as
    /// missing.
    Misfits {
        /// Which attribute.
        attr: Attr,
        /// Number of distinct texts.
        count: usize,
        /// The first 100 of them.
        first: Vec<String>,
    },
    /// Variants that rank but cannot be priced, for want of a list price.
    Unpriced {
        /// How many.
        count: usize,
    },
}
