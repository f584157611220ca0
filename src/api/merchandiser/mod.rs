//! What merchandisers call.

pub mod calendar;
pub mod catalogue;
pub mod check;
pub mod imports;
pub mod mappings;
pub mod markets;
pub mod picks;
pub mod preview;
pub mod promotion;
pub mod promotion_list;
pub mod promotions;
pub mod versions;
