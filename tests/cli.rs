//! The program as people run it: help, exit codes, and a walk from an empty directory to a promoted
//! page.
#![expect(clippy::unwrap_used, reason = "a test ends at the first surprise")]

#[path = "cli/codes.rs"]
mod codes;
#[path = "cli/desk.rs"]
mod desk;
#[path = "cli/help.rs"]
mod help;
#[path = "cli/infer.rs"]
mod infer;
#[path = "cli/measured.rs"]
mod measured;
#[path = "cli/rig.rs"]
mod rig;
#[path = "cli/simulate.rs"]
mod simulate;
#[path = "cli/walk.rs"]
mod walk;
