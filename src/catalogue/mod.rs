//! **What is for sale in this market, with which attributes, categories, scores?**
//!
//! A `Catalogue` is one market's goods as an immutable value. Feeds bring
//! [`ProductRecord`](product::ProductRecord)s; everything else is derived from them.
//!
//! - [`product`]: records as stored, and what a variant inherits from its product
//! - [`row`]: [`Row`](row::Row), the stable ordinal of a variant, and sets of rows
//! - [`market`]: the shop front: currency, zone, settings
//!
//! Invariants: a `Row` keeps its meaning in a value and in the values that deltas make of it; the
//! index agrees with a linear scan; a delta gives what a full rebuild would.

pub mod market;
pub mod product;
pub mod row;
