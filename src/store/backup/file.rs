//! The export file: JSON Lines that say whether they are whole.
//!
//! ```text
//! {"endcap_export":1,"store":"<hex>","revisions":{"config":57,"trade":0},"as_of":"<time>","records":2,"chunks":1}
//! {"space":"config","key":"cal.no","kind":3,"schema":1,"revision":57,"value":{…}}      by space, key
//! {"chunk":"<sha256>","bytes":"<base64>"}                                              by hash
//! {"sha256":"<of all bytes before this line>"}
//! ```
//!
//! `revisions` are the highest of each space's *records*, not of the space, and `as_of` is the
//! time of the last commit: both survive an import, so equal states give equal bytes. A backup has
//! the same lines for one space; its header says in `backup` which state it is, and its chunk
//! lines only name the chunks, whose copies lie beside it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::domain::time::Timestamp;
use crate::store::backup::BackupError;
use crate::store::backup::lines::{Line, LineReader, LineWriter, Written};
use crate::store::chunk::ChunkHash;
use crate::store::codec::{Draft, Kind, Value};
use crate::store::disk::Disk;
use crate::store::key::Key;
use crate::store::seam::{BackupPoint, EachRecord, Forms, State};
use crate::store::start::too_new;
use crate::store::{Identity, Revision, Space, StoreId};

/// Newest version of the file.
const VERSION: u32 = 1;

/// Bytes of the last line: `{"sha256":"` 64 digits `"}` and a line end.
const FOOTER_BYTES: u64 = 78;

/// Bytes of a line that only names a chunk.
const NAME_BYTES: u64 = 77;

/// What a file says about itself before its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The store.
    pub store: StoreId,
    /// Highest revision among the records of each space.
    pub revisions: BTreeMap<Space, Revision>,
    /// Time of the last commit.
    pub as_of: Option<Timestamp>,
    /// Number of records.
    pub n_records: u64,
    /// Number of chunks.
    pub n_chunks: u64,
    /// Which state this is, if it is a backup.
    pub backup: Option<BackupPoint>,
}

/// What a whole file holds.
#[derive(Clone, Debug)]
pub struct Whole {
    /// Its first line.
    pub header: Header,
    /// Count and sum of all records.
    pub census: Census,
    /// Its digest, as the last line says.
    pub written: Written,
}

/// One thing in a file.
#[derive(Debug)]
pub enum Item {
    /// A record, sealed again.
    Record(Space, Key, Value),
    /// A chunk, checked against its name; without content in a backup.
    Chunk(ChunkHash, Option<Vec<u8>>),
}

/// Count, highest revision and sum of records: two states with equal ones are equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Census {
    /// Number of records.
    pub records: u64,
    /// Highest revision among them.
    pub highest: Revision,
    /// Wrapping sum of a CRC over all that a record is; packing does not matter.
    pub sum: u64,
}

impl Census {
    fn add(&mut self, key: &Key, value: &Value, payload: &[u8]) {
        let mut crc = crc32fast::Hasher::new();
        crc.update(key.as_str().as_bytes());
        crc.update(&value.revision().0.to_le_bytes());
        crc.update(&value.kind().0.to_le_bytes());
        crc.update(&value.schema().to_le_bytes());
        crc.update(payload);
        self.count(value);
        self.sum = self.sum.wrapping_add(u64::from(crc.finalize()));
    }

    fn count(&mut self, value: &Value) {
        self.records += 1;
        self.highest = self.highest.max(value.revision());
    }

    /// Number and highest revision of a state's records; the sum is left out.
    ///
    /// # Errors
    /// What keeps the state from being walked.
    pub fn count_of(state: &dyn State) -> Result<Self, BackupError> {
        let mut census = Self::default();
        state.walk(&mut |_, value| {
            census.count(&value);
            Ok(())
        })?;
        Ok(census)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct HeaderLine {
    endcap_export: u32,
    store: String,
    revisions: BTreeMap<String, u64>,
    as_of: Option<String>,
    records: u64,
    chunks: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    backup: Option<BackupLine>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BackupLine {
    space: String,
    era: u64,
    revision: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordLine {
    space: String,
    key: String,
    kind: u16,
    schema: u16,
    revision: u64,
    value: Json,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ChunkLine {
    chunk: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bytes: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FooterLine {
    sha256: String,
}

impl Header {
    fn line(&self) -> HeaderLine {
        let revisions = self.revisions.iter();
        HeaderLine {
            endcap_export: VERSION,
            store: self.store.to_string(),
            revisions: revisions
                .map(|(space, revision)| (space.name().to_owned(), revision.0))
                .collect(),
            as_of: self.as_of.map(|time| time.to_string()),
            records: self.n_records,
            chunks: self.n_chunks,
            backup: self.backup.map(|point| BackupLine {
                space: point.identity.space.name().to_owned(),
                era: point.identity.era,
                revision: point.revision.0,
            }),
        }
    }

    fn of(line: &HeaderLine) -> Option<Self> {
        let store = StoreId::parse(&line.store)?;
        let mut revisions = BTreeMap::new();
        for (name, revision) in &line.revisions {
            revisions.insert(Space::from_name(name)?, Revision(*revision));
        }
        let as_of = match &line.as_of {
            Some(text) => Some(Timestamp::parse(text).ok()?),
            None => None,
        };
        let backup = match &line.backup {
            Some(said) => Some(BackupPoint {
                identity: Identity {
                    store,
                    era: said.era,
                    space: Space::from_name(&said.space)?,
                },
                revision: Revision(said.revision),
                as_of,
            }),
            None => None,
        };
        Some(Self {
            store,
            revisions,
            as_of,
            n_records: line.records,
            n_chunks: line.chunks,
            backup,
        })
    }
}

/// A file being written. It has its name, and is durable, only after [`finish`](Self::finish).
pub struct Writer<'a> {
    lines: LineWriter,
    forms: &'a dyn Forms,
    census: Census,
}

impl<'a> Writer<'a> {
    /// Begins a file at `path`, over whatever is there.
    ///
    /// # Errors
    /// What the disk says.
    pub fn begin(
        disk: &dyn Disk,
        path: &Path,
        header: &Header,
        forms: &'a dyn Forms,
    ) -> Result<Self, BackupError> {
        let mut lines = LineWriter::create(disk, path)?;
        lines.put(&header.line())?;
        Ok(Self {
            lines,
            forms,
            census: Census::default(),
        })
    }

    /// Writes the records of one space.
    ///
    /// # Errors
    /// [`BackupError::Form`] for a record that cannot be shown, or what keeps the state from being
    /// walked.
    pub fn records(&mut self, space: Space, state: &dyn State) -> Result<(), BackupError> {
        state.walk(&mut |key, value| {
            let (kind, schema) = (value.kind(), value.schema());
            let shown = value.payload().and_then(|payload| {
                self.census.add(&key, &value, &payload);
                self.forms.to_json(kind, schema, &payload)
            });
            let shown = match shown {
                Ok(shown) => shown,
                Err(source) => return Err(BackupError::Form { key, source }),
            };
            self.lines.put(&RecordLine {
                space: space.name().to_owned(),
                key: key.to_string(),
                kind: kind.0,
                schema,
                revision: value.revision().0,
                value: shown,
            })?;
            Ok(())
        })
    }

    /// Writes a chunk, or only its name.
    ///
    /// # Errors
    /// What the disk says.
    pub fn chunk(&mut self, hash: &ChunkHash, content: Option<&[u8]>) -> io::Result<()> {
        self.lines.put(&ChunkLine {
            chunk: hash.to_string(),
            bytes: content.map(|content| STANDARD.encode(content)),
        })
    }

    /// Writes the last line and syncs the content; the name is the caller's.
    ///
    /// # Errors
    /// What the disk says.
    pub fn finish(mut self) -> io::Result<(Census, Written)> {
        let sha256 = self.lines.digest();
        self.lines.put(&FooterLine {
            sha256: sha256.to_string(),
        })?;
        let bytes = self.lines.finish()?;
        Ok((self.census, Written { bytes, sha256 }))
    }
}

/// Reads a whole file, checking everything that can be checked.
pub struct Reader<'a> {
    lines: LineReader,
    header: Header,
    progress: Progress<'a>,
    written: Option<Written>,
}

/// What of a file was read so far.
struct Progress<'a> {
    forms: &'a dyn Forms,
    census: Census,
    /// Highest revision of each space so far.
    found: BTreeMap<Space, Revision>,
    last_key: Option<(Space, Key)>,
    last_hash: Option<ChunkHash>,
    n_chunks: u64,
}

impl<'a> Reader<'a> {
    /// Reads the header of the file at `path`.
    ///
    /// # Errors
    /// [`BackupError::NotWhole`], [`BackupError::TooNew`] or what the disk says.
    pub fn open(disk: &dyn Disk, path: &Path, forms: &'a dyn Forms) -> Result<Self, BackupError> {
        let mut lines = LineReader::open(disk, path)?;
        let header = header(&mut lines)?;
        let spaces = header.revisions.keys();
        let progress = Progress {
            forms,
            census: Census::default(),
            found: spaces.map(|space| (*space, Revision::ZERO)).collect(),
            last_key: None,
            last_hash: None,
            n_chunks: 0,
        };
        Ok(Self {
            lines,
            header,
            progress,
            written: None,
        })
    }

    /// What the file says about itself.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Bytes read so far.
    pub fn n_bytes(&self) -> u64 {
        self.lines.n_bytes()
    }

    /// The next item; `None` once the last line has confirmed all before it.
    ///
    /// # Errors
    /// [`BackupError::NotWhole`] at the first line that is not as it was written,
    /// [`BackupError::TooNew`], [`BackupError::Form`], or what the disk says.
    pub fn next_item(&mut self) -> Result<Option<Item>, BackupError> {
        if self.written.is_some() {
            return Ok(None);
        }
        let line = self.lines.next_line()?;
        if !line.starts_with(b"{\"sha256\":") {
            let is_chunk = line.starts_with(b"{\"chunk\":");
            let item = if is_chunk {
                self.progress.chunk(&line, self.header.backup.is_some())
            } else {
                self.progress.record(&line)
            };
            return item.map(Some);
        }
        let sha256 = line.digest_before();
        if line.parse::<FooterLine>()?.sha256 != sha256.to_string() {
            return Err(line.refuse("the digest of what stands before is another"));
        }
        if !self.progress.agrees_with(&self.header) {
            return Err(line.refuse("counts or revisions other than the header's"));
        }
        let bytes = self.lines.end()?;
        self.written = Some(Written { bytes, sha256 });
        Ok(None)
    }

    /// Reads what is left and says what the whole file holds.
    ///
    /// # Errors
    /// As [`next_item`](Self::next_item).
    pub fn finish(mut self) -> Result<Whole, BackupError> {
        loop {
            if let Some(written) = self.written {
                let (header, census) = (self.header, self.progress.census);
                return Ok(Whole {
                    header,
                    census,
                    written,
                });
            }
            self.next_item()?;
        }
    }
}

fn header(lines: &mut LineReader) -> Result<Header, BackupError> {
    let line = lines.next_line()?;
    let said: HeaderLine = line.parse()?;
    if VERSION < said.endcap_export {
        let what = format!("export version {}", said.endcap_export);
        return Err(BackupError::TooNew { what });
    }
    Header::of(&said).ok_or_else(|| line.refuse("a header that no export has"))
}

impl Progress<'_> {
    fn record(&mut self, line: &Line<'_>) -> Result<Item, BackupError> {
        let said: RecordLine = line.parse()?;
        let space = Space::from_name(&said.space);
        let (Some(space), Ok(key)) = (space, Key::parse(&said.key)) else {
            return Err(line.refuse("a space or key that no store has"));
        };
        let place = (space, key.clone());
        if self.last_key.as_ref().is_some_and(|last| place <= *last) || self.last_hash.is_some() {
            return Err(line.refuse("out of order"));
        }
        let (kind, schema) = (Kind(said.kind), said.schema);
        if let Some(what) = too_new(self.forms, kind, schema) {
            return Err(BackupError::TooNew { what });
        }
        let revision = Revision(said.revision);
        let highest = self.found.get_mut(&space);
        let Some(highest) = highest.filter(|_| Revision::ZERO < revision) else {
            return Err(line.refuse("a space or revision that the header leaves out"));
        };
        *highest = revision.max(*highest);
        let payload = self.forms.to_bytes(kind, schema, &said.value);
        let sealed = payload.and_then(|payload| {
            let value = Draft::new(kind, schema, &payload)?.seal(&key, revision);
            self.census.add(&key, &value, &payload);
            Ok(value)
        });
        self.last_key = Some(place);
        match sealed {
            Ok(value) => Ok(Item::Record(space, key, value)),
            Err(source) => Err(BackupError::Form { key, source }),
        }
    }

    fn chunk(&mut self, line: &Line<'_>, is_backup: bool) -> Result<Item, BackupError> {
        let said: ChunkLine = line.parse()?;
        let hash = ChunkHash::parse(&said.chunk).filter(|hash| self.last_hash < Some(*hash));
        let Some(hash) = hash else {
            return Err(line.refuse("out of order, or no hash"));
        };
        self.last_hash = Some(hash);
        self.n_chunks += 1;
        let content = match said.bytes {
            None if is_backup => None,
            Some(text) if !is_backup => {
                let content = STANDARD.decode(text).ok();
                let content = content.filter(|content| ChunkHash::of(content) == hash);
                Some(content.ok_or_else(|| line.refuse("not the content of its hash"))?)
            }
            _ => return Err(line.refuse("content in a backup, or none in an export")),
        };
        Ok(Item::Chunk(hash, content))
    }

    fn agrees_with(&self, header: &Header) -> bool {
        self.census.records == header.n_records
            && self.n_chunks == header.n_chunks
            && self.found == header.revisions
    }
}

/// The records of one space in a file that was read to its end before.
pub struct FileState<'a> {
    /// Where the file is.
    pub disk: &'a dyn Disk,
    /// The file.
    pub path: &'a Path,
    /// How records look.
    pub forms: &'a dyn Forms,
    /// The space.
    pub space: Space,
}

impl State for FileState<'_> {
    fn walk(&self, each: EachRecord<'_>) -> Result<(), BackupError> {
        let mut reader = Reader::open(self.disk, self.path, self.forms)?;
        while let Some(Item::Record(space, key, value)) = reader.next_item()? {
            if space == self.space {
                each(key, value)?;
            }
        }
        Ok(())
    }
}

/// Reads the first line, and looks whether the last one has its place and form. Cheap: whether
/// the rest is whole is not known.
///
/// # Errors
/// [`BackupError::NotWhole`], [`BackupError::TooNew`] or what the disk says.
pub fn peek(disk: &dyn Disk, path: &Path) -> Result<Header, BackupError> {
    let mut lines = LineReader::open(disk, path)?;
    let header = header(&mut lines)?;
    let mut footer = lines.tail(FOOTER_BYTES)?;
    footer.next_line()?.parse::<FooterLine>()?;
    Ok(header)
}

/// Size of a file, and its digest as its last line says; whether it is whole is not known.
///
/// # Errors
/// As [`peek`].
pub fn written(disk: &dyn Disk, path: &Path) -> Result<Written, BackupError> {
    let mut footer = LineReader::open(disk, path)?.tail(FOOTER_BYTES)?;
    let line = footer.next_line()?;
    let said: FooterLine = line.parse()?;
    let sha256 = ChunkHash::parse(&said.sha256).ok_or_else(|| line.refuse("no digest"))?;
    let bytes = footer.end()?;
    Ok(Written { bytes, sha256 })
}

/// The chunks that a backup names, from its end.
///
/// # Errors
/// As [`peek`].
pub fn names(disk: &dyn Disk, path: &Path) -> Result<Vec<ChunkHash>, BackupError> {
    let mut lines = LineReader::open(disk, path)?;
    let header = header(&mut lines)?;
    let tail_bytes = header.n_chunks.saturating_mul(NAME_BYTES);
    let mut lines = lines.tail(tail_bytes.saturating_add(FOOTER_BYTES))?;
    let mut found = Vec::new();
    for _ in 0..header.n_chunks {
        let line = lines.next_line()?;
        let said: ChunkLine = line.parse()?;
        let hash = ChunkHash::parse(&said.chunk);
        found.push(hash.ok_or_else(|| line.refuse("no hash"))?);
    }
    Ok(found)
}
