//! What analysts call: who sees what, what they did, and whether it helped.

pub mod assignments;
pub mod bodies;
pub mod exports;
pub mod results;
mod rows;
pub mod series;
pub mod stats;
mod words;
