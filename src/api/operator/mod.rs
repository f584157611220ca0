//! What operators call.

pub mod backups;
pub mod keys;
pub mod status;
