//! **Which shop do size n and seed s give?**
//!
//! - [`shop`]: categories, products and variants with prices, stock and scores, as feed operations
//! - [`desk`]: promotions and demotions for such a shop, as a merchandiser would send them
//! - `chance`, `words`, `tree`: seeded draws in whole numbers, the words of a shop, its categories
//! - [`traffic`]: what sessions do; [`trials`]: how often measuring them errs
//!
//! Invariants: the same seed gives the same shop to the byte on every machine, for there is no
//! float (but in `traffic` and `trials`) and no clock; every subject draws from a stream of its own, so that one added later leaves the bytes
//! of the others alone.
//!
//! Cost: about twenty draws a product and two a variant; memory that of the category tree and of
//! one product, however large the shop.

mod chance;
pub mod desk;
pub mod shop;
pub mod traffic;
mod tree;
pub mod trials;
mod words;
