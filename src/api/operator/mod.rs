//! What operators call.

pub mod audit;
pub mod backups;
pub mod keys;
pub mod status;
