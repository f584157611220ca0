//! Events as other systems send them, so that a shop need not tag its pages again.
//!
//! Each adapter makes [`Sent`](crate::engine::events::draft::Sent) events of a foreign body, with
//! [`loose`] reading: numbers come as they are written, texts that are numbers are taken for such,
//! and whatever nobody knows is passed over.

pub mod elevate;
pub mod ga4;
pub mod loose;
pub mod segment;
