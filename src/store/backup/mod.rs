//! Whole states beside the journal: backups, exports, and what is done with them.
//!
//! ```text
//! running store ── tend, back_up ──→ <backup_dir>/<space>-<revision>.jsonl, chunks/   (one space each)
//!               └─ export ─────────→ FILE                                             (all, with chunks)
//! FILE ─ import ─→ new generation        DIR ─ restore ─→ new generation, new era
//! FILE, DIR ─ verify ─→ report, nothing touched
//! ```
//!
//! - [`mod@file`]: the export file, line by line; a backup has the same form
//! - [`tend`]: when a backup is due, and which journal files it makes unnecessary
//! - [`restore`]: an earlier state, or what is left, in a new era
//! - [`verify`]: a report that touches nothing
//! - [`lines`]: lines of JSON that have one form only
//! - [`dir`]: backups in a directory
//! - [`export`], [`import`]: a store as one file, and back
//!
//! Invariants: a backup has its name only once it was read back; equal states give equal exports
//! (S8); a file with one wrong byte is refused, and what it should have replaced is untouched; a
//! generation is complete before CURRENT names it.
//!
//! Cost: a state is walked twice, once to count and once to write, then the file is read back;
//! memory holds one line at a time.

mod build;
mod check;
pub mod dir;
pub mod export;
pub mod file;
pub mod import;
pub mod lines;
pub mod restore;
pub mod tend;
pub mod verify;

use std::io;
use std::path::PathBuf;

use crate::store::chunk::ChunkError;
use crate::store::codec::CodecError;
use crate::store::index::IndexError;
use crate::store::key::Key;

/// Why a state was not written, or not read.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file is not what was written.
    #[error("{path}: line {line} at byte {offset}: {what}")]
    NotWhole {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// Offset of its first byte.
        offset: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Written by a newer endcap.
    #[error("format-too-new: {what}")]
    TooNew {
        /// Kind, schema or version found.
        what: String,
    },
    /// A record that its kind's form cannot read or write.
    #[error("{key}: {source}")]
    Form {
        /// Its key.
        key: Key,
        /// What is wrong with it.
        source: CodecError,
    },
    /// A chunk is missing or damaged.
    #[error(transparent)]
    Chunk(#[from] ChunkError),
    /// The index is being rebuilt or fails; try again later.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// The disk fails or has no room.
    #[error("the disk fails: {0}")]
    Disk(#[from] io::Error),
}
