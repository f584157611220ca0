//! **What stands at places n to n + k, under this mask?**
//!
//! Everything is decided before it is asked. Ranks number a market's variants from the best base
//! score down, so a set walked upward *is* the base order; a boosted variant's place follows from
//! its rank alone, so filters never reorder anything and a page is a merge of a few streams that
//! are sorted already.
//!
//! - [`order`]: ranks, landing places, the key that every path agrees with
//! - [`base`]: what follows from the goods alone: ranks, siblings, [`posting`]s in rank order
//!   after a change of goods, [`posting_patch`] touches what moved
//! - [`build`]: one market's [`MarketView`](build::MarketView): the active promotions as a mask
//!   per variant; [`edit`]: the view after some of them changed
//! - [`query`]: what is asked; [`filter`]: its clauses over postings; [`matching`], [`facet`]: counts
//! - [`page`]: the answer, by one of three plans that give the same items: [`eager`] from the
//!   shortest list or by a scan of words, or the lazy [`merge`]
//! - [`cursor`]: where the next page begins; [`explain`]: why a variant stands where it stands;
//!   [`diff`]: what other promotions would change on a page; [`differs`]: which promotions make a
//!   difference to it at all
//!
//! This room knows neither sessions nor arms, permissions nor time: it sees one mask.
//!
//! Invariants: promises P1 to P15 of the README. A page by cursor costs the same at any depth.
//!
//! Cost at a million variants: an unfiltered page touches a few blocks of 64 words and the masks of
//! about 50 variants; a filtered one one AND of words per 4,096 variants and a few cache misses
//! for each item. Nothing is allocated that grows with the market.

mod ask;
pub mod base;
pub mod build;
mod classes;
mod clause;
pub mod cursor;
pub mod diff;
pub mod differs;
mod eager;
pub mod edit;
mod entering;
pub mod explain;
pub mod facet;
mod filter;
mod layout;
mod matching;
mod merge;
pub mod order;
pub mod page;
mod posting;
mod posting_patch;
#[cfg(test)]
mod promises;
pub mod query;
mod reach;
mod renaming;
mod seen;
mod serve;
mod sort;
#[cfg(test)]
mod twin;
mod window;
mod words;
