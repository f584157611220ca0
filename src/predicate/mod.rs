//! **Does this thing fit these rules, and which rule said no?**
//!
//! The one rule language. Rule sets of promotions, filters of a rank request and targets of cart
//! rules are the same thing: a list of [`Rule`](rule::Rule)s that must all agree.
//!
//! - [`written`]: rules as a person wrote them, free of any market; these are stored
//! - [`matcher`]: what a value must be, typed for one market, and the check of one against the
//!   other
//! - [`rule`]: [`RuleSet`](rule::RuleSet), typed
//! - [`words`]: rules as people say them
//! - [`facts`]: whatever can tell its attribute values, and [`first_failure`](facts::first_failure)
//!
//! Invariants: the order of rules and of values is irrelevant to whether a thing fits; exclude is
//! the negation of include; a missing value fits only `exists: false`. The bounds of lists, and
//! what an empty list of rules means, belong to the owner.
//!
//! Cost of `first_failure`: one look-up of the attribute and one binary search a value, per rule,
//! until the first that fails.

pub mod facts;
pub mod matcher;
pub mod rule;
pub mod words;
pub mod written;
