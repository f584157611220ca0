//! What merchandisers call.

pub mod catalogue;
pub mod markets;
pub mod picks;
pub mod promotion;
pub mod promotion_list;
pub mod promotions;
