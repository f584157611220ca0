//! For those who run it: keys, backups, what there is and what there may be.

pub mod backups;
pub mod keys;
pub mod status;
