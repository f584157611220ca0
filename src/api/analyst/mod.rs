//! What analysts call: who sees what, what they did, and, to come, whether it helped.

pub mod assignments;
pub mod stats;
