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
//!
//! Invariants: blocked products never appear by rule; another include never makes a set larger;
//! the order of keys, values, rules and rule sets is irrelevant.

pub mod definition;
