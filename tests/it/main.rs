//! Whole rooms and whole servers, in one binary.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

mod app;
mod conformance;
mod rig;
mod sim_disk;
mod storefront;
