//! Stores of every kind that can be closed and opened again, and small writes for them.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use endcap::domain::time::Timestamp;
use endcap::store::codec::{CodecError, Kind};
use endcap::store::commit::{Commit, CommitId, Write};
use endcap::store::disk::Disk;
use endcap::store::index::plain::PlainIndex;
use endcap::store::index::sled::SledHome;
use endcap::store::key::Key;
use endcap::store::memory::Memory;
use endcap::store::opened::Opened;
use endcap::store::seam::{Entropy, Forms, NoBackups};
use endcap::store::sim::{Dice, SimDisk};
use endcap::store::start::{self, Parts, Settings};
use endcap::store::{Revision, StoreId};

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
        Ok(serde_json::Value::from(payload))
    }

    fn to_bytes(&self, _: Kind, _: u16, value: &serde_json::Value) -> Result<Vec<u8>, CodecError> {
        serde_json::from_value(value.clone()).map_err(|error| CodecError::Form {
            why: error.to_string(),
        })
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
        let (disk, index): (Arc<dyn Disk>, _) = match self {
            Self::Memory(memory) => return memory.open().unwrap(),
            Self::Embedded(dir) => {
                return start::open(&settings(dir.path().into()), &real()).unwrap();
            }
            Self::Simulated(disk, index) => (Arc::new(disk.clone()), Arc::new(index.clone())),
        };
        let parts = Parts {
            disk,
            index,
            ..real()
        };
        start::open(&settings(PathBuf::from("/data")), &parts).unwrap()
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
        now: Timestamp(1_767_225_600_000),
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
    Commit::new(id(n), Timestamp(1_767_225_600_000), writes)
}

pub(crate) fn at(revision: u64) -> Revision {
    Revision(revision)
}
