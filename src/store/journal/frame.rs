//! Frames: one group of commits, written by one `write` and one `fdatasync`.
//!
//! ```text
//! frame   'ECFR' · body length u32 · first revision u64 · records u32 · 0 u32
//!         · CRC(salt ‖ body) u32 · CRC(salt ‖ 0–27) u32 · body · zeros to a multiple of 8
//! record  length of what follows u32 · commit id 16 · time i64 ms · writes u16 · 0 u16 · writes
//! write   op u8 (1 put, 2 delete) · key length u8 · 0 u16 · value length u32 · key · value
//! ```
//!
//! The frame is the whole group because the pages of one unsynced write reach the disk in any
//! order: with a CRC per record an intact third record behind a torn first would look like damage.
//! A later *frame* can exist only if the earlier sync returned.

use std::sync::Arc;

use crate::domain::time::Timestamp;
use crate::store::Revision;
use crate::store::codec::{CodecError, Value, u16_at, u32_at, u64_at};
use crate::store::commit::{Change, Commit, CommitId};
use crate::store::key::Key;

/// Most bytes of a frame's body.
pub const BODY_BYTES_MAX: usize = 786_432;

/// Most records of a frame.
pub const RECORDS_MAX: usize = 1_024;

/// Bytes before the body.
pub const HEAD_BYTES: usize = 32;

/// What a frame begins with.
pub const MAGIC: [u8; 4] = *b"ECFR";

const PUT: u8 = 1;
const DELETE: u8 = 2;

/// Random per file and never shown, so that no value can imitate a frame.
pub type Salt = [u8; 8];

/// The records of one group, encoded. Free of salt: each file adds its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    first: Revision,
    records: u32,
    body: Vec<u8>,
}

/// One commit as the log holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Revision it made.
    pub revision: Revision,
    /// Its name.
    pub id: CommitId,
    /// When it was decided.
    pub at: Timestamp,
    /// Each key with its value, or `None` where it was deleted.
    pub writes: Vec<(Key, Option<Value>)>,
}

/// A shared [`Record`], as followers get it.
pub type SharedRecord = Arc<Record>;

impl Record {
    /// What a commit becomes at `revision`: its values sealed.
    pub fn of(commit: &Commit, revision: Revision) -> Self {
        let sealed = |change: &Change, key: &Key| match change {
            Change::Put(draft) => Some(draft.seal(key, revision)),
            Change::Delete => None,
        };
        let writes = commit
            .writes
            .iter()
            .map(|write| (write.key.clone(), sealed(&write.change, &write.key)))
            .collect();
        Self {
            revision,
            id: commit.id,
            at: commit.at,
            writes,
        }
    }

    fn encode(&self, body: &mut Vec<u8>) {
        let start = body.len();
        body.extend_from_slice(&[0; 4]);
        body.extend_from_slice(&self.id.0);
        body.extend_from_slice(&self.at.0.to_le_bytes());
        body.extend_from_slice(&narrow::<u16>(self.writes.len()).to_le_bytes());
        body.extend_from_slice(&[0; 2]);
        for (key, value) in &self.writes {
            let bytes = value.as_ref().map_or(&[][..], Value::bytes);
            body.push(if value.is_some() { PUT } else { DELETE });
            body.push(narrow::<u8>(key.as_str().len()));
            body.extend_from_slice(&[0; 2]);
            body.extend_from_slice(&narrow::<u32>(bytes.len()).to_le_bytes());
            body.extend_from_slice(key.as_str().as_bytes());
            body.extend_from_slice(bytes);
        }
        let length = narrow::<u32>(body.len() - start - 4);
        body[start..start + 4].copy_from_slice(&length.to_le_bytes());
    }
}

/// A length that the limits of a commit keep within its field.
fn narrow<T: TryFrom<usize>>(length: usize) -> T {
    match T::try_from(length) {
        Ok(narrow) => narrow,
        Err(_) => unreachable!("checked by Commit::check_limits"),
    }
}

impl Frame {
    /// Encodes 1 to 1,024 records of ascending, contiguous revisions.
    pub fn of(records: &[SharedRecord]) -> Self {
        assert!(
            !records.is_empty() && records.len() <= RECORDS_MAX,
            "bounded by the group"
        );
        let first = records[0].revision;
        let mut body = Vec::new();
        for (record, revision) in records.iter().zip(first.0..) {
            assert_eq!(record.revision.0, revision, "revisions are contiguous");
            record.encode(&mut body);
        }
        assert!(body.len() <= BODY_BYTES_MAX, "bounded by the group");
        Self {
            first,
            records: narrow(records.len()),
            body,
        }
    }

    /// Revision of the first record.
    pub fn first(&self) -> Revision {
        self.first
    }

    /// Revision of the last record.
    pub fn last(&self) -> Revision {
        Revision(self.first.0 + u64::from(self.records) - 1)
    }

    /// Bytes in a file, padding included.
    pub fn file_bytes(&self) -> usize {
        (HEAD_BYTES + self.body.len()).next_multiple_of(8)
    }

    /// The bytes for a file of this salt.
    pub fn seal(&self, salt: Salt) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.file_bytes());
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&narrow::<u32>(self.body.len()).to_le_bytes());
        bytes.extend_from_slice(&self.first.0.to_le_bytes());
        bytes.extend_from_slice(&self.records.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&salted_crc(salt, &self.body).to_le_bytes());
        let crc = salted_crc(salt, &bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes.extend_from_slice(&self.body);
        bytes.resize(self.file_bytes(), 0);
        bytes
    }

    /// Reads the frame that `bytes` begin with; `None` if they hold no whole, valid one.
    ///
    /// Lengths, both CRCs and the zero padding are checked; records are not opened.
    pub fn open(salt: Salt, bytes: &[u8]) -> Option<Self> {
        let (body_bytes, first, records) = Self::open_head(salt, bytes)?;
        let end = HEAD_BYTES + body_bytes;
        let body = bytes.get(HEAD_BYTES..end)?;
        let padding = bytes.get(end..end.next_multiple_of(8))?;
        let whole = salted_crc(salt, body) == u32_at(bytes, 24) && padding.iter().all(|&b| b == 0);
        whole.then(|| Self {
            first,
            records,
            body: body.to_vec(),
        })
    }

    /// Body length, first revision and number of records of a valid head.
    pub(in crate::store) fn open_head(salt: Salt, bytes: &[u8]) -> Option<(usize, Revision, u32)> {
        let head = bytes.get(..HEAD_BYTES)?;
        if head[..4] != MAGIC || salted_crc(salt, &head[..28]) != u32_at(head, 28) {
            return None;
        }
        let body_bytes = u32_at(head, 4) as usize;
        let records = u32_at(head, 16);
        let sound = body_bytes <= BODY_BYTES_MAX
            && (1..=RECORDS_MAX).contains(&(records as usize))
            && u32_at(head, 20) == 0;
        sound.then(|| (body_bytes, Revision(u64_at(head, 8)), records))
    }

    /// The records, each value checked.
    ///
    /// # Errors
    /// [`CodecError`] if the body, whose CRC was right, holds what no commit makes.
    pub fn records(&self) -> Result<Vec<Record>, CodecError> {
        let mut rest = Cursor(&self.body);
        let mut records = Vec::with_capacity(self.records as usize);
        for revision in (self.first.0..).take(self.records as usize) {
            records.push(rest.record(Revision(revision))?);
        }
        if rest.0.is_empty() {
            Ok(records)
        } else {
            Err(damaged())
        }
    }
}

fn salted_crc(salt: Salt, bytes: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&salt);
    crc.update(bytes);
    crc.finalize()
}

fn damaged() -> CodecError {
    CodecError::Damaged { what: "record" }
}

/// The part of a body that is still to be read.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, bytes: usize) -> Result<&'a [u8], CodecError> {
        let (head, rest) = self.0.split_at_checked(bytes).ok_or_else(damaged)?;
        self.0 = rest;
        Ok(head)
    }

    fn record(&mut self, revision: Revision) -> Result<Record, CodecError> {
        let length = u32_at(self.take(4)?, 0) as usize;
        let mut inner = Cursor(self.take(length)?);
        let head = inner.take(28)?;
        let mut id = [0; 16];
        id.copy_from_slice(&head[..16]);
        let n_writes = usize::from(u16_at(head, 24));
        let mut writes = Vec::with_capacity(n_writes);
        for _ in 0..n_writes {
            writes.push(inner.write()?);
        }
        if !inner.0.is_empty() || u16_at(head, 26) != 0 {
            return Err(damaged());
        }
        Ok(Record {
            revision,
            id: CommitId(id),
            at: Timestamp(u64_at(head, 16).cast_signed()),
            writes,
        })
    }

    fn write(&mut self) -> Result<(Key, Option<Value>), CodecError> {
        let head = self.take(8)?;
        let (op, key_bytes) = (head[0], usize::from(head[1]));
        let key = std::str::from_utf8(self.take(key_bytes)?).map_err(|_| damaged())?;
        let key = Key::parse(key).map_err(|_| damaged())?;
        let value = self.take(u32_at(head, 4) as usize)?;
        match op {
            PUT => Value::open(&key, value).map(|value| (key, Some(value))),
            DELETE if value.is_empty() => Ok((key, None)),
            _ => Err(damaged()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::codec::Kind;
    use crate::store::commit::Write;
    use proptest::prelude::*;

    const SALT: Salt = [0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7];

    fn record(revision: u64, writes: &[(String, Option<Vec<u8>>)]) -> SharedRecord {
        let writes = writes
            .iter()
            .map(|(key, payload)| {
                let key = Key::parse(key).unwrap();
                match payload {
                    Some(payload) => Write::put(key, Kind(240), 1, payload).unwrap(),
                    None => Write::delete(key),
                }
            })
            .collect();
        let commit = Commit::new(CommitId([7; 16]), Timestamp(-5), writes);
        Arc::new(Record::of(&commit, Revision(revision)))
    }

    fn some_writes() -> impl Strategy<Value = Vec<(String, Option<Vec<u8>>)>> {
        let payload = prop::option::of(prop::collection::vec(any::<u8>(), 0..40));
        prop::collection::vec(("[a-z]{1,9}", payload), 0..5)
    }

    #[test]
    fn a_record_takes_the_bytes_its_commit_announced() {
        let key = Key::parse("promo.a").unwrap();
        let writes = vec![
            Write::put(key, Kind(4), 1, &[1, 2, 3]).unwrap(),
            Write::delete(Key::parse("promo.b").unwrap()),
        ];
        let commit = Commit::new(CommitId([7; 16]), Timestamp(1), writes);
        let mut body = Vec::new();
        Record::of(&commit, Revision(9)).encode(&mut body);
        assert_eq!(body.len(), commit.encoded_bytes());
    }

    #[test]
    fn a_frame_of_another_salt_is_none() {
        let bytes = Frame::of(&[record(1, &[])]).seal(SALT);
        assert!(Frame::open(SALT, &bytes).is_some());
        assert!(Frame::open([0; 8], &bytes).is_none());
    }

    proptest! {
        #[test]
        fn frames_read_what_was_written(groups in prop::collection::vec(some_writes(), 1..6)) {
            let records: Vec<_> = (57..).zip(&groups).map(|(r, w)| record(r, w)).collect();
            let frame = Frame::of(&records);
            let mut bytes = frame.seal(SALT);
            prop_assert_eq!(bytes.len() % 8, 0);
            bytes.extend_from_slice(b"what comes after");
            let read = Frame::open(SALT, &bytes).unwrap();
            let expected: Vec<Record> = records.iter().map(|r| r.as_ref().clone()).collect();
            prop_assert_eq!(read.records().unwrap(), expected);
            prop_assert_eq!(read, frame);
        }

        #[test]
        fn a_flipped_or_missing_byte_is_no_frame(
            writes in some_writes(),
            at in any::<prop::sample::Index>(),
            bit in 0_u8..8,
        ) {
            let bytes = Frame::of(&[record(1, &writes)]).seal(SALT);
            let at = at.index(bytes.len());
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            prop_assert!(Frame::open(SALT, &flipped).is_none());
            prop_assert!(Frame::open(SALT, &bytes[..at]).is_none());
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let frame = Frame { first: Revision(1), records: 2, body: bytes };
            prop_assert!(frame.records().is_err() || !frame.body.is_empty());
        }
    }
}
