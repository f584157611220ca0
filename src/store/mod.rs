//! **What was written last, what since, and is it whole?**
//!
//! Floor 2: mechanism only. The room knows keys and bytes, not what a promotion is; `record`
//! knows the forms and `engine::fold` the meaning.
//!
//! Truth is a journal of our own: append-only files, CRC-framed, synced before every answer. The
//! index beside it (sled) is a checkpoint for a quick start and the home of cold records; it may
//! be thrown away at any time.
//!
//! ```text
//! Commit → committer (ids, guards) → journal frame, fdatasync → Folded swapped → answer
//!                                         └→ index follower, lazily: hot tree, cold tree
//! ```
//!
//! - [`key`], [`codec`]: what a key and a value look like, to the byte
//! - [`commit`]: the all-or-nothing write, its guards and limits
//! - [`disk`]: the one way to files; [`sim`] is its twin that loses power
//! - [`fault`]: places at which tests let the process die
//! - [`seam`]: what an engine supplies (`CommitLog`), what `record` does (`Forms`)
//! - [`journal`]: frames, files, recovery of one space
//! - [`event`]: the event log by partition; [`fold`]: what is made from it and kept
//! - [`chunk`]: what is too large for a value, named by its content
//! - [`start`]: opens a store, whatever happened to it
//! - [`scrub`]: reads everything now and then, whatever nobody asks for
//!
//! Invariants: an acknowledged commit is in every later state (S1); a commit is wholly there or
//! absent (S2); revisions of a space are contiguous within an era and never fall (S4); damaged
//! bytes are repaired, reported or refused, never served (S9).
//!
//! Cost: a commit is its share of one write and one `fdatasync` of its group (64 writers share
//! one), one chunk of ≤ 512 entries copied for each chunk it touches, and one `Arc` swap.
//! Reading the folded state is one `Arc` clone. A start reads the
//! journal once, at disk speed, and the hot tree once.

pub mod backup;
pub mod chunk;
pub mod codec;
pub mod commit;
pub mod committer;
pub mod disk;
pub mod event;
pub(crate) mod fault;
pub mod fold;
pub mod folded;
pub mod follow;
pub mod ids;
pub mod index;
pub mod journal;
pub mod key;
pub mod layout;
pub mod memory;
pub mod opened;
pub mod overlay;
pub mod quarantine;
pub mod room;
pub mod scrub;
pub mod seam;
pub mod shared;
pub mod sim;
pub mod space;
pub mod start;
mod words;
pub mod writer;

pub use words::{Entry, Finding, Identity, Mode, Revision, Space, StoreHealth, StoreId};
