//! **May this principal do that to this object?**
//!
//! - [`principal`]: who asks: roles, markets, sellers, extra grants
//! - [`may`]: the one decision, a pure function
//! - [`key`]: API keys: their form, their digests and records, and finding out whose a key is
//! - [`draft`]: a key as wished for, and everything that is wrong with the wish
//!
//! Invariants: nobody grants more than they hold; an object outside a caller's markets answers the
//! same whether it exists or not; secrets are kept as digests only.
//!
//! Cost: `may` is a few comparisons and one look-up in a list of markets.

pub mod draft;
pub mod key;
pub mod may;
pub mod principal;
