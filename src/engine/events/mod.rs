//! **What did shoppers do?**
//!
//! Events come from shops as [`draft`]s: well-formed, but naming tickets, variants and amounts that
//! nobody has looked up. Here each gets what counting it depends on, one verdict, and a place in
//! the event log; nothing is answered before it is on disk.
//!
//! [`keeper`] keeps what the sequencer counted, so that a start does not count the whole log again.
//!
//! Invariants: a refused event costs no other event anything; a repeated one counts once; the
//! figures of a partition are those of its log, whatever was restarted in between.

pub mod draft;
pub mod exports;
mod keeper;
pub mod lacking;
pub(in crate::engine) mod page_job;
pub mod results;
pub(in crate::engine) mod sequencer;
pub(in crate::engine) mod stamp;
pub mod stats;
pub mod take;
