//! Whether sealed journal files are still what they were: read frame by frame, nothing changed.

use std::io;
use std::ops::ControlFlow;

use crate::store::disk::{Disk, DiskFile};
use crate::store::journal::file::{HEADER_BYTES, Header};
use crate::store::journal::recover::{ScannedFile, frame_at};
use crate::store::scrub::{Look, Part};
use crate::store::{Finding, Identity, Revision};

/// Reads a sealed file, behind which the journal goes on at `next`. A file is told once, at its
/// first damaged byte.
///
/// # Errors
/// `NotFound` if it is not there: it may have been trimmed.
pub(in crate::store::journal) fn check_sealed(
    disk: &dyn Disk,
    identity: Identity,
    file: &ScannedFile,
    next: Revision,
    look: &mut Look<'_>,
) -> io::Result<ControlFlow<()>> {
    let handle = match disk.open(&file.path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(error),
        handle => handle,
    };
    let read = handle.and_then(|handle| read_frames(handle.as_ref(), identity, file, next, look));
    let (offset, what) = match read {
        Ok(Reading::Whole) => return Ok(ControlFlow::Continue(())),
        Ok(Reading::Stopped) => return Ok(ControlFlow::Break(())),
        Ok(Reading::Damaged(offset, what)) => (Some(offset), what.to_owned()),
        Err(error) => (None, error.to_string()),
    };
    let path = file.path.clone();
    let finding = Finding { path, offset, what };
    look.found(Part::Journal(identity.space), finding, false);
    Ok(ControlFlow::Continue(()))
}

enum Reading {
    Whole,
    Stopped,
    Damaged(u64, &'static str),
}

fn read_frames(
    handle: &dyn DiskFile,
    identity: Identity,
    file: &ScannedFile,
    next: Revision,
    look: &mut Look<'_>,
) -> io::Result<Reading> {
    let mut head = [0; HEADER_BYTES];
    let n_read = handle.read_at(0, &mut head)?;
    let expected = Header {
        identity,
        first: file.first,
        salt: file.salt,
    };
    if Header::open(&head[..n_read]) != Some(expected) {
        return Ok(Reading::Damaged(0, "header"));
    }
    let end = handle.len()?;
    let mut at = HEADER_BYTES as u64;
    let mut revision = file.first;
    while at < end {
        let frame = frame_at(handle, file.salt, at)?;
        let Some(frame) = frame.filter(|frame| frame.first() == revision) else {
            return Ok(Reading::Damaged(at, "no frame, or another than the next"));
        };
        if frame.records().is_err() {
            return Ok(Reading::Damaged(at, "a record of a whole frame"));
        }
        revision = frame.last().next();
        at += frame.file_bytes() as u64;
        if look.read(frame.file_bytes() as u64).is_break() {
            return Ok(Reading::Stopped);
        }
    }
    Ok(if revision == next {
        Reading::Whole
    } else {
        Reading::Damaged(at, "the end is missing")
    })
}
