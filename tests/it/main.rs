//! Whole rooms and whole servers, in one binary.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod backup;
mod conformance;
mod restore;
mod rig;
mod sim_disk;
