//! Reading a journal directory back: which revisions are there, what is torn, what is damaged.
//!
//! A bad frame is a *torn write* only in the last file and only if no valid frame begins at any
//! later byte; everything else is *damage*. The scan changes nothing: it reports
//! [`Run`]s of contiguous revisions, and start decides what they are good for.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::store::disk::{Disk, DiskFile};
use crate::store::journal::file::{HEADER_BYTES, Header, first_of};
use crate::store::journal::frame::{BODY_BYTES_MAX, Frame, HEAD_BYTES, MAGIC, Salt};
use crate::store::{Identity, Revision};

/// Most bytes of a journal file: the sealing size of 1 GiB at most, and one frame.
const FILE_BYTES_MAX: u64 = (1 << 30) + BODY_BYTES_MAX as u64;

/// Bytes between two entries of a file's sparse index.
const STRIDE_BYTES: u64 = 65_536;

/// Where frames lie in one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScannedFile {
    /// Its path.
    pub path: PathBuf,
    /// Revision of its first record, as its header (or, that being damaged, its name) says.
    pub first: Revision,
    /// Salt of its frames.
    pub salt: Salt,
    /// Bytes up to the end of the last valid frame.
    pub good_bytes: u64,
    /// Offset of the last valid frame; `None` without one.
    pub last_frame_at: Option<u64>,
    /// First revision and offset of some frames, ascending.
    pub marks: Vec<(Revision, u64)>,
}

/// Contiguous revisions that can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// First revision.
    pub first: Revision,
    /// Last revision.
    pub last: Revision,
}

/// A place where the journal is not what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub path: PathBuf,
    /// Bytes concerned.
    pub bytes: Range<u64>,
    /// What is wrong, in words.
    pub what: &'static str,
}

/// What a journal directory holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Readable files, ascending by first revision.
    pub files: Vec<ScannedFile>,
    /// What can be read, ascending and disjoint.
    pub runs: Vec<Run>,
    /// Bytes behind the last valid frame of the last file: a torn write, unless revisions that
    /// they might have held are known from elsewhere.
    pub torn: Option<Damage>,
    /// Damage proper.
    pub damages: Vec<Damage>,
    /// A last file without a header or frame: the leftover of a crash, to be removed.
    pub leftover: Option<PathBuf>,
    /// Files that are no journal files; left alone.
    pub unknown: Vec<PathBuf>,
    /// Highest revision that existed, as far as files tell.
    pub highest: Revision,
}

impl Scan {
    /// Whether the journal begins where the era does, so that nothing before it is needed.
    pub fn first(&self) -> Option<Revision> {
        self.files.first().map(|file| file.first)
    }

    /// The furthest revision that can be replayed without a gap on top of a state at `base`.
    pub fn reach(&self, base: Revision) -> Revision {
        let follows = |run: &&Run| run.first <= base.next() && base <= run.last;
        self.runs.iter().find(follows).map_or(base, |run| run.last)
    }
}

/// Reads all journal files in `dir`. `each` gets every valid frame, in order.
///
/// # Errors
/// What the disk says, or what `each` returns.
pub fn scan<E: From<io::Error>>(
    disk: &dyn Disk,
    dir: &Path,
    identity: Identity,
    each: &mut dyn FnMut(Frame) -> Result<(), E>,
) -> Result<Scan, E> {
    let mut scan = Scan::default();
    let mut names = Vec::new();
    for listed in disk.list(dir)? {
        match first_of(&listed.name) {
            Some(first) if !listed.is_dir => names.push((first, dir.join(&listed.name))),
            _ => scan.unknown.push(dir.join(&listed.name)),
        }
    }
    let n_files = names.len();
    for (place, (first, path)) in names.into_iter().enumerate() {
        let bytes = read_file(disk, &path)?;
        let mut reading = Reading {
            scan: &mut scan,
            path,
            bytes: &bytes,
            is_last: place + 1 == n_files,
        };
        reading.file(first, identity, each)?;
    }
    Ok(scan)
}

fn read_file(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    crate::store::disk::read_whole(disk, path, FILE_BYTES_MAX)
}

/// One file being read.
struct Reading<'a> {
    scan: &'a mut Scan,
    path: PathBuf,
    bytes: &'a [u8],
    is_last: bool,
}

impl Reading<'_> {
    fn file<E>(
        &mut self,
        named: Revision,
        identity: Identity,
        each: &mut dyn FnMut(Frame) -> Result<(), E>,
    ) -> Result<(), E> {
        let Some(header) = self.header(named, identity) else {
            return Ok(());
        };
        let before = Revision(header.first.0.saturating_sub(1));
        self.scan.highest = self.scan.highest.max(before);
        let mut file = ScannedFile {
            path: self.path.clone(),
            first: header.first,
            salt: header.salt,
            good_bytes: HEADER_BYTES as u64,
            last_frame_at: None,
            marks: Vec::new(),
        };
        let mut at = HEADER_BYTES;
        while at < self.bytes.len() {
            let Some((start, frame)) = next_frame(header.salt, self.bytes, at) else {
                self.tail(at);
                break;
            };
            if at < start {
                self.damage(at..start, "bytes between frames");
            }
            at = start + frame.file_bytes();
            file.note(start as u64, &frame);
            self.scan.add(&frame);
            each(frame)?;
        }
        self.scan.files.push(file);
        Ok(())
    }

    /// The header, or what stands for it; `None` if the file cannot be read at all.
    fn header(&mut self, named: Revision, identity: Identity) -> Option<Header> {
        if let Some(header) = Header::open(self.bytes) {
            if header.identity == identity && header.first == named {
                return Some(header);
            }
            self.damage(0..HEADER_BYTES, "a header of another journal");
            return None;
        }
        // Frames that are valid under a salt prove it, so a damaged header costs nothing else.
        let guess = Header::unchecked(self.bytes, identity.space)
            .filter(|guess| next_frame(guess.salt, self.bytes, HEADER_BYTES).is_some());
        if let Some(guess) = guess {
            self.damage(0..HEADER_BYTES, "header");
            return Some(Header {
                identity,
                first: named,
                salt: guess.salt,
            });
        }
        let has_frame = self
            .bytes
            .windows(MAGIC.len())
            .any(|window| window == MAGIC);
        if self.is_last && !has_frame {
            self.scan.leftover = Some(self.path.clone());
        } else {
            self.damage(0..self.bytes.len(), "header, and no frame can be read");
            self.scan.highest = self.scan.highest.max(named);
        }
        None
    }

    /// No frame begins from `at` to the end.
    fn tail(&mut self, at: usize) {
        let end = self.bytes.len();
        if self.is_last {
            let damage = self.place(at..end, "torn write");
            self.scan.torn = Some(damage);
        } else {
            self.damage(at..end, "the end of a sealed file");
        }
    }

    fn damage(&mut self, bytes: Range<usize>, what: &'static str) {
        let damage = self.place(bytes, what);
        self.scan.damages.push(damage);
    }

    fn place(&self, bytes: Range<usize>, what: &'static str) -> Damage {
        Damage {
            path: self.path.clone(),
            bytes: bytes.start as u64..bytes.end as u64,
            what,
        }
    }
}

impl ScannedFile {
    /// Takes note of a frame at `at`. One behind damage is marked, so that it can be read from.
    pub(in crate::store) fn note(&mut self, at: u64, frame: &Frame) {
        let follows_damage = at != self.good_bytes;
        let due = self
            .marks
            .last()
            .is_none_or(|mark| follows_damage || mark.1 + STRIDE_BYTES <= at);
        if due {
            self.marks.push((frame.first(), at));
        }
        self.last_frame_at = Some(at);
        self.good_bytes = at + frame.file_bytes() as u64;
    }

    /// Offset of a frame at or before the one that holds `revision`.
    pub(in crate::store) fn offset_before(&self, revision: Revision) -> u64 {
        let later = self.marks.partition_point(|mark| mark.0 <= revision);
        match later.checked_sub(1) {
            Some(place) => self.marks[place].1,
            None => HEADER_BYTES as u64,
        }
    }
}

impl Scan {
    fn add(&mut self, frame: &Frame) {
        let (first, last) = (frame.first(), frame.last());
        self.highest = self.highest.max(last);
        match self.runs.last_mut() {
            Some(run) if run.last.next() == first => run.last = last,
            _ => self.runs.push(Run { first, last }),
        }
    }

    /// Gaps between runs are damage, even where no byte looks wrong.
    pub fn is_damaged(&self) -> bool {
        let begins_late = match (self.first(), self.runs.first()) {
            (Some(first), Some(run)) => first != run.first,
            _ => false,
        };
        let last = self.runs.last().map(|run| run.last);
        let ends_early = last.is_some_and(|last| last < self.highest);
        !self.damages.is_empty() || 1 < self.runs.len() || begins_late || ends_early
    }
}

/// The first valid frame that begins at or after `from`, and where.
fn next_frame(salt: Salt, bytes: &[u8], from: usize) -> Option<(usize, Frame)> {
    let mut at = from;
    loop {
        let rest = bytes.get(at..)?;
        let skip = rest
            .windows(MAGIC.len())
            .position(|window| window == MAGIC)?;
        at += skip;
        if let Some(frame) = Frame::open(salt, &bytes[at..]) {
            return Some((at, frame));
        }
        at += 1;
    }
}

/// The frame at `at` of an open file; `None` if there is none.
///
/// # Errors
/// What the disk says.
pub(in crate::store) fn frame_at(
    file: &dyn DiskFile,
    salt: Salt,
    at: u64,
) -> io::Result<Option<Frame>> {
    let mut head = [0; HEAD_BYTES];
    let read = file.read_at(at, &mut head)?;
    let Some((body_bytes, ..)) = Frame::open_head(salt, &head[..read]) else {
        return Ok(None);
    };
    let mut bytes = vec![0; (HEAD_BYTES + body_bytes).next_multiple_of(8)];
    let read = file.read_at(at, &mut bytes)?;
    Ok(Frame::open(salt, &bytes[..read]))
}
