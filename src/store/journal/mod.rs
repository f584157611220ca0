//! One space's journal: append-only files, one frame per group of commits.
//!
//! - [`frame`]: frames, records and writes, byte for byte
//! - [`mod@file`]: the header and name of a file
//! - [`mod@check`]: whether sealed files still are what they were
//! - [`recover`]: what a directory holds after whatever happened
//!
//! [`Journal`] appends: one `write`, one `fdatasync`, and only then is a frame known to readers.
//! A write that fails is cut off again; after a sync that fails nothing is written any more,
//! because the kernel may have dropped the pages and will call the next sync a success.
//!
//! Cost: two system calls a group; a new file every `seal_bytes`, with two more syncs.

mod check;
pub mod file;
pub mod frame;
pub mod recover;

use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::store::commit::FollowError;
use crate::store::disk::{Disk, DiskFile};
use crate::store::fault::fault;
use crate::store::journal::file::{HEADER_BYTES, Header, name_of};
use crate::store::journal::frame::{Frame, Salt};
use crate::store::journal::recover::{Scan, ScannedFile, frame_at};
use crate::store::scrub::{Look, Part};
use crate::store::seam::{AppendError, CommitLog, Entropy, LogReader};
use crate::store::{Finding, Identity, Revision};

/// Where a journal lives and how large its files become.
#[derive(Clone, Debug)]
pub struct JournalPlace {
    /// The disk.
    pub disk: Arc<dyn Disk>,
    /// The directory; it exists.
    pub dir: PathBuf,
    /// Whose journal it is.
    pub identity: Identity,
    /// Bytes from which a file is sealed and the next one begun.
    pub seal_bytes: u64,
    /// Where salts come from.
    pub entropy: Arc<dyn Entropy>,
}

/// The log of one space in files.
#[derive(Debug)]
pub struct Journal {
    place: JournalPlace,
    files: Arc<Files>,
    open: Option<Box<dyn DiskFile>>,
    last: Revision,
    is_broken: bool,
}

/// What writer and readers share: files up to their durable ends.
#[derive(Debug)]
struct Files {
    disk: Arc<dyn Disk>,
    identity: Identity,
    list: RwLock<Listing>,
}

#[derive(Debug, Default)]
struct Listing {
    files: Vec<ScannedFile>,
    last: Revision,
}

impl Files {
    fn read(&self) -> RwLockReadGuard<'_, Listing> {
        self.list.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Listing> {
        self.list.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Journal {
    /// Goes on behind a scanned journal whose newest revision is `last`, or begins one there.
    ///
    /// What the page cache shows may not be on disk, so the last frame is written over itself and
    /// synced before anybody may read it; a torn write is cut first.
    ///
    /// # Errors
    /// What the disk says; nothing of the journal was lost.
    pub fn resume(place: JournalPlace, scan: &Scan, last: Revision) -> io::Result<Self> {
        if let Some(leftover) = &scan.leftover {
            place.disk.remove(leftover)?;
            place.disk.sync_dir(&place.dir)?;
        }
        let mut files = scan.files.clone();
        // An empty file may have a name that a failed sync lost: it is begun anew.
        if let [.., _, empty] = files.as_slice()
            && empty.last_frame_at.is_none()
        {
            place.disk.remove(&empty.path)?;
            place.disk.sync_dir(&place.dir)?;
            files.pop();
        }
        let mut open = None;
        if let Some(file) = files.last() {
            let handle = place.disk.open(&file.path)?;
            make_durable(handle.as_ref(), file)?;
            place.disk.sync_dir(&place.dir)?;
            open = Some(handle);
        }
        Ok(Self::over(place, files, last, open))
    }

    /// Reads a scanned journal and never writes to it.
    pub fn frozen(place: JournalPlace, scan: &Scan, last: Revision) -> Self {
        let mut journal = Self::over(place, scan.files.clone(), last, None);
        journal.is_broken = true;
        journal
    }

    fn over(
        place: JournalPlace,
        files: Vec<ScannedFile>,
        last: Revision,
        open: Option<Box<dyn DiskFile>>,
    ) -> Self {
        let files = Arc::new(Files {
            disk: place.disk.clone(),
            identity: place.identity,
            list: RwLock::new(Listing { files, last }),
        });
        Self {
            place,
            files,
            open,
            last,
            is_broken: false,
        }
    }

    /// The file to append to: the open one, or a new one if that is full or there is none.
    fn file_for(&mut self, frame: &Frame) -> Result<(), AppendError> {
        let full = {
            let listing = self.files.read();
            let used = listing.files.last().map_or(0, |file| file.good_bytes);
            let empty = used <= HEADER_BYTES as u64;
            !empty && self.place.seal_bytes < used + frame.file_bytes() as u64
        };
        if self.open.is_some() && !full {
            return Ok(());
        }
        let header = Header {
            identity: self.place.identity,
            first: frame.first(),
            salt: salt_of(self.place.entropy.as_ref()),
        };
        let path = self.place.dir.join(name_of(header.first));
        match self.create(&path, &header) {
            Ok(handle) => {
                self.files.write().files.push(ScannedFile {
                    path,
                    first: header.first,
                    salt: header.salt,
                    good_bytes: HEADER_BYTES as u64,
                    last_frame_at: None,
                    marks: Vec::new(),
                });
                self.open = Some(handle);
                Ok(())
            }
            Err(CreateError::NotBegun(error)) => {
                let gone = self.place.disk.remove(&path);
                let clean = matches!(&gone, Ok(()))
                    || matches!(&gone, Err(error) if error.kind() == io::ErrorKind::NotFound);
                Err(self.refuse(&error, clean))
            }
            Err(CreateError::Sync) => {
                self.is_broken = true;
                Err(AppendError::ReadOnly)
            }
        }
    }

    /// A file whose header and name are durable.
    fn create(&self, path: &Path, header: &Header) -> Result<Box<dyn DiskFile>, CreateError> {
        let disk = &self.place.disk;
        fault!("file.before-create");
        let handle = disk.create(path).map_err(CreateError::NotBegun)?;
        handle
            .append(&header.seal())
            .map_err(CreateError::NotBegun)?;
        fault!("file.before-sync");
        handle.sync_data().map_err(|_| CreateError::Sync)?;
        disk.sync_dir(&self.place.dir)
            .map_err(|_| CreateError::Sync)?;
        fault!("file.after-sync");
        Ok(handle)
    }

    /// What a failed write means once it was, or was not, undone.
    fn refuse(&mut self, error: &io::Error, undone: bool) -> AppendError {
        let no_room = matches!(
            error.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::WriteZero | io::ErrorKind::QuotaExceeded
        );
        if undone && no_room {
            return AppendError::Full;
        }
        self.is_broken = true;
        if undone {
            AppendError::ReadOnly
        } else {
            AppendError::Unknown
        }
    }

    fn write(&mut self, frame: &Frame) -> Result<(), AppendError> {
        let Some(handle) = &self.open else {
            return Err(AppendError::ReadOnly);
        };
        let (salt, good_bytes) = {
            let listing = self.files.read();
            let file = listing.files.last().ok_or(AppendError::ReadOnly)?;
            (file.salt, file.good_bytes)
        };
        fault!("frame.before-append");
        if let Err(error) = handle.append(&frame.seal(salt)) {
            let undone = handle
                .truncate(good_bytes)
                .and_then(|()| handle.sync_data());
            tracing::warn!(%error, undone = undone.is_ok(), "a frame could not be written");
            return Err(self.refuse(&error, undone.is_ok()));
        }
        fault!("frame.before-sync");
        if let Err(error) = handle.sync_data() {
            tracing::error!(%error, "a sync failed: read-only until restart");
            self.is_broken = true;
            return Err(AppendError::Unknown);
        }
        fault!("frame.after-sync");
        let mut listing = self.files.write();
        if let Some(file) = listing.files.last_mut() {
            file.note(good_bytes, frame);
        }
        listing.last = frame.last();
        drop(listing);
        self.last = frame.last();
        Ok(())
    }
}

enum CreateError {
    NotBegun(io::Error),
    Sync,
}

/// Cuts what is torn, repeats the last frame, syncs.
fn make_durable(handle: &dyn DiskFile, file: &ScannedFile) -> io::Result<()> {
    if file.good_bytes < handle.len()? {
        handle.truncate(file.good_bytes)?;
    }
    let from = file.last_frame_at.unwrap_or(0);
    let length = usize::try_from(file.good_bytes - from).unwrap_or(usize::MAX);
    let mut bytes = vec![0; length];
    if handle.read_at(from, &mut bytes)? != length {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    fault!("resume.before-write");
    handle.write_over(from, &bytes)?;
    fault!("resume.before-sync");
    handle.sync_data()
}

impl CommitLog for Journal {
    fn identity(&self) -> Identity {
        self.place.identity
    }

    fn last(&self) -> Revision {
        self.last
    }

    fn append(&mut self, expected_last: Revision, frame: &Frame) -> Result<(), AppendError> {
        if self.is_broken {
            return Err(AppendError::ReadOnly);
        }
        if expected_last != self.last || frame.first() != self.last.next() {
            return Err(AppendError::Elsewhere(self.last));
        }
        self.file_for(frame)?;
        self.write(frame)
    }

    fn reader(&self) -> Box<dyn LogReader> {
        Box::new(JournalReader {
            files: self.files.clone(),
        })
    }

    fn trim(&mut self, before: Revision) -> io::Result<()> {
        loop {
            let oldest = {
                let listing = self.files.read();
                match listing.files.as_slice() {
                    [oldest, next, ..] if next.first <= before => oldest.path.clone(),
                    _ => return Ok(()),
                }
            };
            // Readers look before they open, so the file leaves the list first.
            self.files.write().files.remove(0);
            self.place.disk.remove(&oldest)?;
            self.place.disk.sync_dir(&self.place.dir)?;
        }
    }
}

#[derive(Debug)]
struct JournalReader {
    files: Arc<Files>,
}

impl JournalReader {
    fn is_listed(&self, file: &ScannedFile) -> bool {
        let listing = self.files.read();
        listing.files.iter().any(|own| own.path == file.path)
    }

    /// The file that holds `next`, the offset to look from, and where its durable bytes end.
    fn find(&self, next: Revision) -> Result<Option<(ScannedFile, u64)>, FollowError> {
        let listing = self.files.read();
        if listing.last < Revision(next.0.saturating_sub(1)) {
            return Err(FollowError::Regressed { last: listing.last });
        }
        if listing.last < next {
            return Ok(None);
        }
        let later = listing.files.partition_point(|file| file.first <= next);
        match later.checked_sub(1) {
            Some(place) => {
                let file = listing.files[place].clone();
                let from = file.offset_before(next);
                Ok(Some((file, from)))
            }
            None => Err(FollowError::Compacted {
                first: listing
                    .files
                    .first()
                    .map_or(listing.last.next(), |file| file.first),
            }),
        }
    }

    /// Frames from the one that holds `next`, until about `bytes_max` are read or one is missing.
    fn collect(
        &self,
        mut next: Revision,
        bytes_max: usize,
        frames: &mut Vec<Frame>,
    ) -> Result<(), FollowError> {
        let mut read_bytes = 0;
        while read_bytes < bytes_max {
            let Some((file, mut at)) = self.find(next)? else {
                break;
            };
            let Ok(handle) = self.files.disk.open(&file.path) else {
                // Trimmed since it was found: looking again says so.
                return Err(self.find(next).err().unwrap_or(FollowError::Unreadable));
            };
            let before = next;
            while at < file.good_bytes && read_bytes < bytes_max {
                let frame = frame_at(handle.as_ref(), file.salt, at);
                let frame = frame.ok().flatten().ok_or(FollowError::Unreadable)?;
                at += frame.file_bytes() as u64;
                if next <= frame.last() {
                    if next < frame.first() {
                        return Err(FollowError::Unreadable);
                    }
                    read_bytes += frame.file_bytes();
                    next = frame.last().next();
                    frames.push(frame);
                }
            }
            if next == before {
                return Err(FollowError::Unreadable);
            }
        }
        Ok(())
    }
}

impl LogReader for JournalReader {
    fn read(&self, after: Revision, bytes_max: usize) -> Result<Vec<Frame>, FollowError> {
        let mut frames = Vec::new();
        match self.collect(after.next(), bytes_max, &mut frames) {
            // What lies before a gap is good; who reads on from its end meets the gap.
            Err(error) if frames.is_empty() => Err(error),
            _ => Ok(frames),
        }
    }

    fn check_sealed(&self, look: &mut Look<'_>) -> ControlFlow<()> {
        let files = self.files.read().files.clone();
        for pair in files.windows(2) {
            let [file, next] = pair else { continue };
            let (disk, identity) = (self.files.disk.as_ref(), self.files.identity);
            match check::check_sealed(disk, identity, file, next.first, look) {
                Ok(flow) => flow?,
                Err(error) if self.is_listed(file) => {
                    let finding = Finding::whole(&file.path, &error);
                    look.found(Part::Journal(identity.space), finding, false);
                }
                // Trimmed since it was listed.
                Err(_) => {}
            }
        }
        ControlFlow::Continue(())
    }

    fn bytes_after(&self, after: Revision) -> u64 {
        let listing = self.files.read();
        let begun = listing
            .files
            .partition_point(|file| file.first <= after.next());
        let later: u64 = listing.files[begun..]
            .iter()
            .map(|file| file.good_bytes)
            .sum();
        let partly = begun.checked_sub(1).map_or(0, |place| {
            let file = &listing.files[place];
            file.good_bytes - file.offset_before(after.next())
        });
        if after < listing.last {
            partly + later
        } else {
            0
        }
    }
}

fn salt_of(entropy: &dyn Entropy) -> Salt {
    let mut salt = Salt::default();
    entropy.fill(&mut salt);
    salt
}
