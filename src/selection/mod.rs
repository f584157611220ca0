//! **Which rows does this promotion hold, and why this one?**
//!
//! ```text
//! selected = (union of rule sets − blocked products) ∪ handpicked products
//! ```
//!
//! A [`Selection`](definition::Selection) is written once and evaluated in each market on its own,
//! against that market's schema and goods. Nothing here orders anything; time is known only as the
//! local day.
//!
//! - [`definition`]: the selection as written, its bounds and contradictions
//! - [`check`]: what is wrong with it in the markets it is meant for
//! - [`compile`]: the selection read against one market, and whether it holds one row
//! - [`evaluate`]: the rows it holds, by sets
//! - [`count`]: how many after each step
//! - [`handpick`]: imports of keys
//! - [`category`]: the categories that hold what is selected
//! - [`lint`]: what is odd about it without being wrong
//! - [`remark`]: what lint says, as data and in words
//! - [`explain`]: why it holds a variant, or does not
//!
//! Invariants: blocked products never appear by rule; another include never makes a set larger;
//! the order of keys, values, rules and rule sets is irrelevant; a row is held exactly when
//! [`explain`] says so by the definition,
//! [`first_failure`](crate::predicate::facts::first_failure).
//!
//! Cost: compiling is one binary search a written value. A set of rules begins with its include of
//! fewest rows; each further rule costs a pass over words of 64 rows, or a look-up for each row
//! left if that is less. One row against one selection is a look at its value ids a rule.

pub mod category;
pub mod check;
pub mod compile;
pub mod count;
pub mod definition;
pub mod evaluate;
pub mod explain;
pub mod handpick;
pub mod lint;
pub mod remark;

#[cfg(test)]
pub(crate) mod sample;
