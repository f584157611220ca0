//! What merchandisers call.

pub mod promotion;
