//! Words that every file of the room uses.

use std::fmt;
use std::path::PathBuf;

use crate::store::codec::Value;
use crate::store::key::Key;

/// Version of a space: the number of its newest commit, 0 before the first.
///
/// Contiguous within an era; a restore begins a new era above every revision ever seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Revision(pub u64);

impl Revision {
    /// Before the first commit of a fresh store.
    pub const ZERO: Self = Self(0);

    /// The revision of the next commit.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Name of one store, drawn at random when it is created; a copy keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreId(pub [u8; 16]);

impl StoreId {
    /// Reads 32 lower-case hexadecimal digits.
    pub fn parse(hex: &str) -> Option<Self> {
        let number = u128::from_str_radix(hex, 16).ok()?;
        let store = Self(number.to_be_bytes());
        (store.to_string() == hex).then_some(store)
    }
}

impl fmt::Display for StoreId {
    /// 32 lower-case hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A part of the store with a journal and a revision counter of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Space {
    /// All that people edit, and offer tables: the revision that answers name.
    Config = 1,
    /// Orders, quotes, uses, ledgers, reports, console sessions.
    Trade = 2,
    /// Derived from events; in embedded mode it has trees but no journal.
    Fold = 3,
    /// Log only.
    Events = 4,
}

impl Space {
    /// The spaces that have a journal in embedded mode.
    pub const WITH_JOURNAL: [Self; 3] = [Self::Config, Self::Trade, Self::Events];

    /// Name in paths and exports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Trade => "trade",
            Self::Fold => "fold",
            Self::Events => "events",
        }
    }

    /// The space with this number, as journal headers hold it.
    pub fn from_number(number: u8) -> Option<Self> {
        [Self::Config, Self::Trade, Self::Fold, Self::Events]
            .into_iter()
            .find(|space| *space as u8 == number)
    }

    /// The space with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Config, Self::Trade, Self::Fold, Self::Events]
            .into_iter()
            .find(|space| space.name() == name)
    }
}

/// Which store, which stretch of its history, which space.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The store.
    pub store: StoreId,
    /// Revision at which this era began; 1 in a fresh store.
    pub era: u64,
    /// The space.
    pub space: Space,
}

impl Identity {
    /// The same store and era, seen from another space.
    #[must_use]
    pub fn of(self, space: Space) -> Self {
        Self { space, ..self }
    }
}

/// What a space still does. Ranks are answered in every one of these states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Everything.
    Ok,
    /// Space is short: only commits that help ([`Purpose::Relief`](crate::store::commit::Purpose)).
    Low,
    /// No space: reads only, until there is room again.
    Full,
    /// Reads only until restart: a sync failed, or start found the disk full.
    ReadOnly,
    /// An older whole state is served, read-only: newer data was damaged.
    Older,
}

/// How a space is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreHealth {
    /// What is still done.
    pub mode: Mode,
    /// Newest durable commit.
    pub revision: Revision,
    /// Newest commit that the index holds; `None` while it is rebuilt.
    pub applied: Option<Revision>,
    /// Free bytes of the volume; `None` for a store in memory.
    pub free_bytes: Option<u64>,
    /// What the last start repaired, one line each; empty when all was whole.
    pub repairs: Vec<String>,
}

impl StoreHealth {
    /// Commits that the index has yet to take in; `None` while it is rebuilt.
    pub fn lag(&self) -> Option<u64> {
        self.applied
            .map(|applied| self.revision.0.saturating_sub(applied.0))
    }
}

/// A place that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The file or directory.
    pub path: PathBuf,
    /// First byte concerned; `None` for the whole of it.
    pub offset: Option<u64>,
    /// What is wrong, in words.
    pub what: String,
}

/// A key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Key,
    /// The value, already checked.
    pub value: Value,
}
