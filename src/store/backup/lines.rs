//! Lines of JSON in a file: written in one form only, and read back only in that form.

use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest, Sha256};

use crate::store::backup::BackupError;
use crate::store::chunk::{CHUNK_BYTES_MAX, ChunkHash};
use crate::store::disk::{Disk, DiskFile};

/// Bytes written or read at a time.
const PIECE_BYTES: usize = 1 << 20;

/// Most bytes of a line: the largest chunk in base64.
const LINE_BYTES_MAX: usize = CHUNK_BYTES_MAX / 3 * 4 + 1_024;

/// What was written, or read to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Bytes of the file.
    pub bytes: u64,
    /// SHA-256 of all lines but the last.
    pub sha256: ChunkHash,
}

/// Writes lines and their digest.
pub(in crate::store) struct LineWriter {
    file: Box<dyn DiskFile>,
    buffer: Vec<u8>,
    digest: Sha256,
    bytes: u64,
}

impl LineWriter {
    /// An empty file at `path`, over whatever is there.
    pub(in crate::store) fn create(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        match disk.remove(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        Ok(Self {
            file: disk.create(path)?,
            buffer: Vec::new(),
            digest: Sha256::new(),
            bytes: 0,
        })
    }

    /// One line more.
    pub(in crate::store) fn put<T: Serialize>(&mut self, line: &T) -> io::Result<()> {
        let from = self.buffer.len();
        serde_json::to_writer(&mut self.buffer, line)?;
        self.buffer.push(b'\n');
        self.digest.update(&self.buffer[from..]);
        if PIECE_BYTES <= self.buffer.len() {
            self.flush()?;
        }
        Ok(())
    }

    /// Digest of all lines so far.
    pub(in crate::store) fn digest(&self) -> ChunkHash {
        ChunkHash(self.digest.clone().finalize().into())
    }

    /// Makes the content durable and says how many bytes it has.
    pub(in crate::store) fn finish(mut self) -> io::Result<u64> {
        self.flush()?;
        self.file.sync_data()?;
        Ok(self.bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.append(&self.buffer)?;
        self.bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

/// Reads lines and their digest.
pub(in crate::store) struct LineReader {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    /// Offset of the first byte of `buffer`.
    offset: u64,
    buffer: Vec<u8>,
    /// Bytes of `buffer` that were handed out.
    used: usize,
    /// Bytes of `buffer` that are in the digest: all before the line handed out last.
    digested: usize,
    n_lines: u64,
    digest: Sha256,
}

/// One line, its end left out.
pub(in crate::store) struct Line<'a> {
    path: &'a Path,
    number: u64,
    offset: u64,
    bytes: &'a [u8],
    before: &'a Sha256,
}

impl LineReader {
    /// Reads `path` from its beginning.
    pub(in crate::store) fn open(disk: &dyn Disk, path: &Path) -> Result<Self, BackupError> {
        let file = disk.open(path)?;
        Ok(Self::from(path.to_path_buf(), file, 0))
    }

    fn from(path: PathBuf, file: Box<dyn DiskFile>, offset: u64) -> Self {
        Self {
            path,
            file,
            offset,
            buffer: Vec::new(),
            used: 0,
            digested: 0,
            n_lines: 0,
            digest: Sha256::new(),
        }
    }

    /// The lines in the last `bytes` of the file, counted from 1 again.
    pub(in crate::store) fn tail(self, bytes: u64) -> Result<Self, BackupError> {
        let length = self.file.len()?;
        match length.checked_sub(bytes) {
            Some(offset) => Ok(Self::from(self.path, self.file, offset)),
            None => Err(self.refuse_end("shorter than its header says")),
        }
    }

    /// Bytes handed out so far.
    pub(in crate::store) fn n_bytes(&self) -> u64 {
        self.offset + self.used as u64
    }

    /// The next line; there must be one.
    pub(in crate::store) fn next_line(&mut self) -> Result<Line<'_>, BackupError> {
        self.digest.update(&self.buffer[self.digested..self.used]);
        self.digested = self.used;
        let mut looked = self.used;
        let end = loop {
            let found = self.buffer[looked..].iter().position(|&byte| byte == b'\n');
            if let Some(at) = found {
                break looked + at;
            }
            looked = self.buffer.len() - self.used;
            if LINE_BYTES_MAX < looked {
                return Err(self.refuse_end("a line without end"));
            }
            if !self.fill()? {
                return Err(self.refuse_end("the file ends too early"));
            }
        };
        let (from, offset) = (self.used, self.offset + self.used as u64);
        self.used = end + 1;
        self.n_lines += 1;
        Ok(Line {
            path: &self.path,
            number: self.n_lines,
            offset,
            bytes: &self.buffer[from..end],
            before: &self.digest,
        })
    }

    /// Reads a piece more, in place of what was handed out; false at the end of the file.
    fn fill(&mut self) -> io::Result<bool> {
        self.digest.update(&self.buffer[self.digested..self.used]);
        self.offset += self.used as u64;
        self.buffer.drain(..self.used);
        (self.used, self.digested) = (0, 0);
        let at = self.offset + self.buffer.len() as u64;
        let left = usize::try_from(self.file.len()?.saturating_sub(at)).unwrap_or(usize::MAX);
        let mut piece = vec![0; left.min(PIECE_BYTES)];
        let read = self.file.read_at(at, &mut piece)?;
        self.buffer.extend_from_slice(&piece[..read]);
        Ok(0 < read)
    }

    /// Checks that nothing follows, and says how many bytes there are.
    pub(in crate::store) fn end(&mut self) -> Result<u64, BackupError> {
        if self.used < self.buffer.len() || self.fill()? {
            return Err(self.refuse_end("something stands behind the last line"));
        }
        Ok(self.offset)
    }

    fn refuse_end(&self, what: &'static str) -> BackupError {
        BackupError::NotWhole {
            path: self.path.clone(),
            line: self.n_lines + 1,
            offset: self.offset + self.used as u64,
            what,
        }
    }
}

impl Line<'_> {
    pub(in crate::store) fn starts_with(&self, prefix: &[u8]) -> bool {
        self.bytes.starts_with(prefix)
    }

    /// Digest of all lines before this one.
    pub(in crate::store) fn digest_before(&self) -> ChunkHash {
        ChunkHash(self.before.clone().finalize().into())
    }

    /// The line as what it should be, in exactly the bytes that would be written for it.
    pub(in crate::store) fn parse<T: Serialize + DeserializeOwned>(
        &self,
    ) -> Result<T, BackupError> {
        let Ok(said) = serde_json::from_slice::<T>(self.bytes) else {
            return Err(self.refuse("not a line of an export"));
        };
        let is_same = serde_json::to_vec(&said).is_ok_and(|again| again == self.bytes);
        is_same
            .then_some(said)
            .ok_or_else(|| self.refuse("not the form that endcap writes"))
    }

    pub(in crate::store) fn refuse(&self, what: &'static str) -> BackupError {
        BackupError::NotWhole {
            path: self.path.to_path_buf(),
            line: self.number,
            offset: self.offset,
            what,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sim::SimDisk;

    /// A file of these bytes, read line by line to its end: lines, or where it ends wrongly.
    fn lines_of(bytes: &[u8]) -> Result<Vec<Vec<u8>>, (u64, u64)> {
        let disk = SimDisk::new(1 << 30);
        let path = Path::new("/file");
        disk.create_dir(Path::new("/")).unwrap();
        disk.create(path).unwrap().append(bytes).unwrap();
        let mut reader = LineReader::open(&disk, path).unwrap();
        let (mut found, mut before) = (Vec::new(), Vec::new());
        while before.len() < bytes.len() {
            match reader.next_line() {
                Ok(line) => {
                    assert_eq!(line.digest_before(), ChunkHash::of(&before));
                    found.push(line.bytes.to_vec());
                    before.extend_from_slice(line.bytes);
                    before.push(b'\n');
                }
                Err(BackupError::NotWhole { line, offset, .. }) => return Err((line, offset)),
                Err(error) => panic!("{error}"),
            }
        }
        assert_eq!(reader.end().unwrap(), bytes.len() as u64);
        Ok(found)
    }

    #[test]
    fn lines_cross_the_pieces_they_are_read_in() {
        for length in [
            0,
            1,
            PIECE_BYTES - 1,
            PIECE_BYTES,
            PIECE_BYTES + 1,
            3 * PIECE_BYTES,
        ] {
            let lines = [
                vec![b'a'; length],
                b"b".to_vec(),
                vec![b'c'; length],
                Vec::new(),
            ];
            let bytes: Vec<u8> = lines
                .iter()
                .flat_map(|line| [line, &b"\n"[..]].concat())
                .collect();
            assert_eq!(lines_of(&bytes).unwrap(), lines, "{length}");
        }
    }

    #[test]
    fn a_line_without_end_is_no_line() {
        assert_eq!(lines_of(b"one\ntwo"), Err((2, 4)));
    }

    #[test]
    fn a_line_has_one_form() {
        let line = |bytes| {
            Line {
                path: Path::new("/file"),
                number: 1,
                offset: 0,
                bytes,
                before: &Sha256::new(),
            }
            .parse::<Vec<u32>>()
        };
        assert_eq!(line(b"[1,2]").unwrap(), [1, 2]);
        for other in [&b"[1, 2]"[..], b"[1,2] ", b"[01,2]", b"[1,2", b""] {
            assert!(line(other).is_err());
        }
    }
}
