//! A disk in memory that loses power and fails on demand: the twin of the real one.
//!
//! It ships with the library because the integration tests, the vault's tests and any later
//! engine drive it from outside; it holds no state of its own between uses and costs nothing
//! when unused.
//!
//! Per file it keeps the durable bytes and the pending writes, per directory the pending names.
//! [`SimDisk::cut_power`] lets *any subset* of the 512-byte sectors of unsynced writes survive, in
//! any order; a new length survives or not; each unsynced creation, rename or removal survives or
//! not by itself. Everything is drawn from a seed, so a run repeats.

mod calls;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::store::disk::DiskFile;
use crate::store::sim::calls::SimFile;

/// Bytes that reach a disk as one.
const SECTOR: usize = 512;

/// A seeded source of draws (`SplitMix64`), so that a run repeats.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Draws that follow from `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `n`; 0 if `n` is 0.
    pub fn below(&mut self, n: u64) -> u64 {
        self.bits().checked_rem(n).unwrap_or(0)
    }

    /// A place in a list of `n`; 0 if `n` is 0.
    pub fn place(&mut self, n: usize) -> usize {
        usize::try_from(self.below(n as u64)).unwrap_or(0)
    }

    /// True `n` times in 100.
    pub fn percent(&mut self, n: u64) -> bool {
        self.below(100) < n
    }

    /// Fills `bytes`.
    pub fn fill(&mut self, bytes: &mut [u8]) {
        for group in bytes.chunks_mut(8) {
            let drawn = self.bits().to_le_bytes();
            group.copy_from_slice(&drawn[..group.len()]);
        }
    }
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// `EIO`, nothing done.
    Io,
    /// No room: an append keeps nothing, other calls that need room do nothing.
    NoSpace,
    /// An append writes a part and fails; other calls are left alone.
    ShortWrite,
    /// A sync fails and drops what was written to the file; the next sync succeeds, as Linux
    /// does. Names stay pending.
    LostSync,
    /// Power goes: this call and all later ones fail until [`SimDisk::cut_power`].
    PowerOff,
}

/// A call number and what happens to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Number of the call since the disk was made, from 1.
    pub at_call: u64,
    /// What happens.
    pub kind: FaultKind,
}

/// How much of what was not synced survives a power cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Survival {
    /// Nothing.
    None,
    /// Each sector, length and name by itself, this many times in 100.
    Percent(u64),
    /// Everything.
    All,
}

/// A disk in memory. Clones share it.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<State>>);

#[derive(Clone, Default)]
struct State {
    inodes: Vec<Inode>,
    /// Names as the running process sees them.
    view: BTreeMap<PathBuf, Node>,
    /// Names that survive a power cut for certain.
    durable: BTreeMap<PathBuf, Node>,
    pending_names: Vec<NameChange>,
    locked: BTreeSet<PathBuf>,
    total_bytes: u64,
    /// Every call so far, in order.
    calls: Vec<Call>,
    /// Counts faults that struck.
    strikes: u64,
    /// Counts power cuts: handles of an earlier life are dead.
    life: u64,
    is_off: bool,
    fault: Option<Fault>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Node {
    File(usize),
    Dir,
}

#[derive(Clone, Default)]
struct Inode {
    durable: Vec<u8>,
    view: Vec<u8>,
    pending: Vec<Pending>,
}

#[derive(Clone)]
enum Pending {
    Write { at: usize, bytes: Vec<u8> },
    Cut { bytes: usize },
}

/// One creation, removal or rename: names that vanish and names that appear, together.
#[derive(Clone)]
struct NameChange {
    /// Directories that have yet to be synced.
    unsynced: Vec<PathBuf>,
    gone: Option<PathBuf>,
    there: Option<(PathBuf, Node)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Call {
    Read,
    NeedsRoom,
    Append,
    Change,
    Sync,
}

impl fmt::Debug for SimDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimDisk at call {}", self.calls())
    }
}

impl SimDisk {
    /// An empty disk of `total_bytes`.
    pub fn new(total_bytes: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            total_bytes,
            ..State::default()
        })))
    }

    /// Calls made so far.
    pub fn calls(&self) -> u64 {
        self.state().calls.len() as u64
    }

    /// Numbers of the calls made so far that a fault of this kind would have struck.
    pub fn calls_heeding(&self, kind: FaultKind) -> Vec<u64> {
        let state = self.state();
        let numbered = (1..).zip(&state.calls);
        let heeding = numbered.filter(|(_, call)| call.heeds(kind));
        heeding.map(|(n, _)| n).collect()
    }

    /// Faults that struck so far.
    pub fn strikes(&self) -> u64 {
        self.state().strikes
    }

    /// Another disk with the same content, names and pending writes; it goes its own way.
    #[must_use]
    pub fn fork(&self) -> Self {
        Self(Arc::new(Mutex::new(self.state().clone())))
    }

    /// Lets a call to come fail; `None` heals the disk.
    pub fn set_fault(&self, fault: Option<Fault>) {
        self.state().fault = fault;
    }

    /// Whether the power is off.
    pub fn is_off(&self) -> bool {
        self.state().is_off
    }

    /// Makes the volume larger or smaller.
    pub fn set_total_bytes(&self, total_bytes: u64) {
        self.state().total_bytes = total_bytes;
    }

    /// Power goes and comes back: locks are gone, open files are dead, and of what was not
    /// synced `survival` says how much is left.
    pub fn cut_power(&self, dice: &mut Dice, survival: Survival) {
        let mut state = self.state();
        let mut survives = |dice: &mut Dice| match survival {
            Survival::None => false,
            Survival::All => true,
            Survival::Percent(n) => dice.percent(n),
        };
        for change in std::mem::take(&mut state.pending_names) {
            if survives(dice) {
                change.settle(&mut state.durable);
            }
        }
        // A name in a directory that did not survive is out of reach.
        let names = std::mem::take(&mut state.durable);
        for (path, node) in names {
            let parent = path.parent();
            if parent.is_none_or(|parent| state.durable.contains_key(parent)) {
                state.durable.insert(path, node);
            }
        }
        for inode in &mut state.inodes {
            inode.cut_power(dice, &mut survives);
        }
        state.view = state.durable.clone();
        state.locked.clear();
        state.life += 1;
        state.is_off = false;
        state.fault = None;
    }

    /// The process dies but the machine stays up: locks are gone, open files are dead, and
    /// whatever was written is still seen, synced or not.
    pub fn kill_process(&self) {
        let mut state = self.state();
        state.locked.clear();
        state.life += 1;
        state.is_off = false;
        state.fault = None;
    }

    /// Changes stored bytes behind everyone's back, durably: damage for tests.
    pub fn damage(&self, path: &Path, harm: impl FnOnce(&mut Vec<u8>)) {
        let mut state = self.state();
        if let Some(Node::File(inode)) = state.view.get(path).copied() {
            let inode = &mut state.inodes[inode];
            harm(&mut inode.view);
            inode.durable = inode.view.clone();
            inode.pending.clear();
        }
    }

    /// All files as they are seen, ascending by path.
    pub fn files(&self) -> Vec<PathBuf> {
        let state = self.state();
        let is_file = |node: &Node| matches!(node, Node::File(_));
        let files = state.view.iter().filter(|(_, node)| is_file(node));
        files.map(|(path, _)| path.clone()).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn handle(&self, inode: usize, life: u64) -> Box<dyn DiskFile> {
        let disk = self.clone();
        Box::new(SimFile { disk, inode, life })
    }
}

impl Call {
    /// Whether a fault of this kind changes what the call does.
    fn heeds(self, kind: FaultKind) -> bool {
        match kind {
            FaultKind::Io | FaultKind::PowerOff => true,
            FaultKind::NoSpace => matches!(self, Self::Append | Self::NeedsRoom),
            FaultKind::ShortWrite => self == Self::Append,
            FaultKind::LostSync => self == Self::Sync,
        }
    }
}

impl NameChange {
    fn settle(self, names: &mut BTreeMap<PathBuf, Node>) {
        if let Some(gone) = self.gone {
            names.remove(&gone);
        }
        if let Some((path, node)) = self.there {
            names.insert(path, node);
        }
    }
}

impl Inode {
    fn cut_power(&mut self, dice: &mut Dice, survives: &mut impl FnMut(&mut Dice) -> bool) {
        for change in std::mem::take(&mut self.pending) {
            match change {
                Pending::Cut { bytes } if survives(dice) => self.durable.truncate(bytes),
                Pending::Cut { .. } => {}
                Pending::Write { at, bytes } => {
                    let end = at + bytes.len();
                    if self.durable.len() < end && survives(dice) {
                        self.durable.resize(end, 0);
                    }
                    self.write_sectors(at, &bytes, || survives(dice));
                }
            }
        }
        self.view = self.durable.clone();
    }

    /// Writes those sectors that survive, as far as the surviving length reaches.
    fn write_sectors(&mut self, at: usize, bytes: &[u8], mut survives: impl FnMut() -> bool) {
        let mut from = 0;
        while from < bytes.len() {
            let sector_end = ((at + from) / SECTOR + 1) * SECTOR - at;
            let to = sector_end.min(bytes.len());
            let reach = self.durable.len().clamp(at + from, at + to) - at;
            if survives() && from < reach {
                self.durable[at + from..at + reach].copy_from_slice(&bytes[from..reach]);
            }
            from = to;
        }
    }

    fn apply(&mut self, change: Pending) {
        change.settle(&mut self.view);
        self.pending.push(change);
    }
}

impl Pending {
    fn settle(&self, content: &mut Vec<u8>) {
        match self {
            Self::Cut { bytes } => content.truncate(*bytes),
            Self::Write { at, bytes } => {
                let end = at + bytes.len();
                if content.len() < end {
                    content.resize(end, 0);
                }
                content[*at..end].copy_from_slice(bytes);
            }
        }
    }
}

impl State {
    /// Counts a call and says how it fails, if it does.
    fn call(&mut self, call: Call) -> io::Result<Option<FaultKind>> {
        self.calls.push(call);
        if self.is_off {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let n = self.calls.len() as u64;
        let strikes = |fault: &Fault| fault.at_call == n && call.heeds(fault.kind);
        let Some(fault) = self.fault.filter(strikes) else {
            return Ok(None);
        };
        self.strikes += 1;
        match fault.kind {
            FaultKind::PowerOff => {
                self.is_off = true;
                // The write under way may still reach the disk in part.
                match call {
                    Call::Append => Ok(Some(FaultKind::PowerOff)),
                    _ => Err(io::ErrorKind::BrokenPipe.into()),
                }
            }
            FaultKind::Io => Err(io::Error::from_raw_os_error(5)),
            FaultKind::NoSpace => Err(io::ErrorKind::StorageFull.into()),
            FaultKind::ShortWrite | FaultKind::LostSync => Ok(Some(fault.kind)),
        }
    }

    fn used_bytes(&self) -> u64 {
        let bytes = |node: &Node| match node {
            Node::File(inode) => self.inodes[*inode].view.len() as u64,
            Node::Dir => 0,
        };
        self.view.values().map(bytes).sum()
    }

    fn change_names(&mut self, gone: Option<PathBuf>, there: Option<(PathBuf, Node)>) {
        let of = |path: &PathBuf| path.parent().map(Path::to_path_buf);
        let mut unsynced: Vec<PathBuf> = Vec::new();
        unsynced.extend(gone.as_ref().and_then(of));
        unsynced.extend(there.as_ref().and_then(|(path, _)| of(path)));
        unsynced.dedup();
        let change = |gone, there| NameChange {
            unsynced: unsynced.clone(),
            gone,
            there,
        };
        change(gone.clone(), there.clone()).settle(&mut self.view);
        if unsynced.is_empty() {
            // The root is always there.
            change(gone, there).settle(&mut self.durable);
        } else {
            self.pending_names.push(change(gone, there));
        }
    }

    fn file(&self, path: &Path) -> io::Result<usize> {
        match self.view.get(path) {
            Some(Node::File(inode)) => Ok(*inode),
            Some(Node::Dir) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn children(&self, path: &Path) -> impl Iterator<Item = (&PathBuf, &Node)> {
        let owner = path.to_path_buf();
        self.view
            .range(owner.clone()..)
            .take_while(move |(child, _)| child.starts_with(&owner))
            .filter(move |(child, _)| child.parent() == Some(path))
    }
}
