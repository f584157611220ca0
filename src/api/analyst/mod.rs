//! What analysts call: who sees what, what they did, and whether it helped.

pub mod assignments;
pub mod results;
pub mod stats;
mod words;
