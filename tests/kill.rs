//! The binary as a process: killed and stopped.
#![expect(clippy::unwrap_used, reason = "a test crate")]
#![expect(clippy::print_stdout, reason = "a run says its seed and counts")]

#[path = "kill/kills.rs"]
mod kills;
#[path = "kill/rig.rs"]
mod rig;
