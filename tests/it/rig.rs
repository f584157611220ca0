//! Stores of every kind that can be closed and opened again, and small writes for them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use endcap::domain::time::Timestamp;
use endcap::store::backup::dir::DirBackups;
use endcap::store::codec::{CodecError, Kind};
use endcap::store::commit::{Commit, CommitId, Write};
use endcap::store::index::plain::PlainIndex;
use endcap::store::index::sled::SledHome;
use endcap::store::key::Key;
use endcap::store::memory::Memory;
use endcap::store::opened::Opened;
use endcap::store::seam::{Entropy, Forms, NoBackups};
use endcap::store::sim::{Dice, SimDisk};
use endcap::store::start::{self, Parts, Settings};
use endcap::store::{Revision, StoreId};
use serde_json::json;

/// When everything happens.
pub(crate) const TIME: Timestamp = Timestamp(1_767_225_600_000);

/// Random bytes from a seed.
#[derive(Debug)]
pub(crate) struct SeededEntropy(Mutex<Dice>);

impl SeededEntropy {
    pub(crate) fn new(seed: u64) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Dice::new(seed))))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().unwrap().fill(bytes);
    }
}

/// Knows every kind below 1,000 in schema 1.
#[derive(Debug)]
pub(crate) struct TestForms;

impl Forms for TestForms {
    fn to_json(&self, _: Kind, _: u16, payload: &[u8]) -> Result<serde_json::Value, CodecError> {
        Ok(match std::str::from_utf8(payload) {
            Ok(text) => json!({ "text": text }),
            Err(_) => json!({ "base64": STANDARD.encode(payload) }),
        })
    }

    fn to_bytes(&self, _: Kind, _: u16, value: &serde_json::Value) -> Result<Vec<u8>, CodecError> {
        let word = |name: &str| value.get(name).and_then(serde_json::Value::as_str);
        match (word("text"), word("base64")) {
            (Some(text), None) => Ok(text.as_bytes().to_vec()),
            (None, Some(text)) => Ok(STANDARD.decode(text).unwrap_or_default()),
            _ => Err(CodecError::Form {
                why: "neither text nor bytes".to_owned(),
            }),
        }
    }

    fn newest(&self, kind: Kind) -> Option<u16> {
        (kind.0 < 1_000).then_some(1)
    }
}

/// What a store runs on.
pub(crate) enum Rig {
    Memory(Memory),
    Embedded(Box<tempfile::TempDir>),
    Simulated(SimDisk, PlainIndex),
}

impl Rig {
    pub(crate) fn memory() -> Self {
        Self::Memory(Memory::new(StoreId([7; 16])))
    }

    pub(crate) fn embedded() -> Self {
        Self::Embedded(Box::new(tempfile::tempdir().unwrap()))
    }

    pub(crate) fn simulated() -> Self {
        Self::Simulated(SimDisk::new(1 << 30), PlainIndex::default())
    }

    /// Opens the store, or opens it again.
    pub(crate) fn open(&self) -> Opened {
        if let Self::Memory(memory) = self {
            return memory.open().unwrap();
        }
        start::open(&self.settings(), &self.parts()).unwrap()
    }

    pub(crate) fn settings(&self) -> Settings {
        match self {
            Self::Memory(_) => settings(PathBuf::new()),
            Self::Embedded(dir) => settings(dir.path().join("data")),
            Self::Simulated(..) => settings(PathBuf::from("/data")),
        }
    }

    /// What the store is built upon, backups in its directory.
    pub(crate) fn parts(&self) -> Parts {
        let mut parts = real();
        if let Self::Simulated(disk, index) = self {
            parts.disk = Arc::new(disk.clone());
            parts.index = Arc::new(index.clone());
        }
        parts.backups = self.backups(&parts);
        parts
    }

    pub(crate) fn backups(&self, parts: &Parts) -> Arc<DirBackups> {
        let dir = self.settings().path.join("backup");
        Arc::new(DirBackups::new(
            parts.disk.clone(),
            dir,
            parts.forms.clone(),
        ))
    }
}

/// Small journal files, no waiting, no ballast.
pub(crate) fn settings(path: PathBuf) -> Settings {
    Settings {
        path,
        group_ms: 0,
        events_ms: 0,
        cache_mib: 8,
        journal_file_bytes: 4_096,
        ballast_mib: Some(0),
    }
}

pub(crate) fn real() -> Parts {
    Parts {
        disk: Arc::new(endcap::store::disk::RealDisk),
        index: Arc::new(SledHome {
            cache_bytes: 8 << 20,
        }),
        backups: Arc::new(NoBackups),
        entropy: SeededEntropy::new(1),
        forms: Arc::new(TestForms),
        now: TIME,
    }
}

pub(crate) fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

pub(crate) fn put(text: &str, payload: &[u8]) -> Write {
    Write::put(key(text), Kind(4), 1, payload).unwrap()
}

pub(crate) fn delete(text: &str) -> Write {
    Write::delete(key(text))
}

pub(crate) fn id(n: u64) -> CommitId {
    CommitId(u128::from(n).to_be_bytes())
}

pub(crate) fn commit(n: u64, writes: Vec<Write>) -> Commit {
    Commit::new(id(n), TIME, writes)
}

pub(crate) fn at(revision: u64) -> Revision {
    Revision(revision)
}

/// Runs a future to its end on this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap().block_on(future)
}
