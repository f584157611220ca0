//! What analysts call: who sees what, and, to come, whether it helped.

pub mod assignments;
