//! The binary as a process: killed, stopped, out of room, out of descriptors.
#![expect(clippy::unwrap_used, reason = "a test crate")]
#![expect(clippy::print_stdout, reason = "a run says its seed and counts")]

#[path = "kill/events.rs"]
mod events;
#[cfg(feature = "fail")]
#[path = "kill/faults.rs"]
mod faults;
#[path = "kill/full.rs"]
mod full;
#[path = "kill/kills.rs"]
mod kills;
#[path = "kill/rig.rs"]
mod rig;
