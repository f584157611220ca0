//! One space's journal: append-only files, one frame per group of commits.
//!
//! - [`frame`]: frames, records and writes, byte for byte

pub mod frame;
