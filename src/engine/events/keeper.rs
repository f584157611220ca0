//! Tallies are kept in fold trees, so that a start counts only what came after.
//!
//! ```text
//! every 4 s or 65,536 events: one partition's changes, with their position → its tree, in one batch
//! start: tree → tally at its position → the log behind it
//! ```
//!
//! Partitions take turns, after a round of events and never in idleness, so each is at most sixteen
//! turns or a million events behind, which is counted again in three seconds; keeping all of them at
//! once, and oftener, would write the same cells of the day over and over. What a tree lacks the log
//! has: whatever goes wrong here costs time at the next start and nothing else.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use crate::measurement::kept::Changes;
use crate::measurement::tally::Tally;
use crate::record::kept::{key_of, open, seal};
use crate::store::event::{LogPosition, Partition};
use crate::store::fold::{FoldStore, FoldStoreError, FoldTree};

/// Events between two turns, of all partitions.
const EVENTS_BETWEEN: usize = 65_536;

/// Time between two turns.
const BETWEEN: Duration = Duration::from_secs(4);

/// Keeps tallies.
pub(super) struct Keeper {
    folds: FoldStore,
    runtime: Handle,
    /// By partition; `None`: what is kept of it is not what was last handed over, so all of it is
    /// to be kept anew.
    trees: Vec<Option<FoldTree>>,
    /// Whose turn it is.
    next: usize,
    /// The one being kept.
    busy: Option<mpsc::Receiver<Option<FoldTree>>>,
    n_events: usize,
    last: Instant,
}

impl Keeper {
    pub(super) fn new(folds: FoldStore, runtime: Handle) -> Self {
        Self {
            folds,
            runtime,
            trees: Partition::all().map(|_| None).collect(),
            next: 0,
            busy: None,
            n_events: 0,
            last: Instant::now(),
        }
    }

    /// The tallies that are kept, each with its place in the log; empty ones where nothing is.
    pub(super) fn load(&mut self) -> Vec<(Tally, LogPosition)> {
        self.wait();
        let mut all = Vec::new();
        for (partition, place) in Partition::all().zip(&mut self.trees) {
            let loaded = self.folds.open(partition).ok().and_then(|tree| {
                let tally = load(&tree)?;
                Some((tree, tally))
            });
            *place = None;
            let (tally, position) = loaded.map_or_else(Default::default, |(tree, tally)| {
                let position = tree.position();
                *place = Some(tree);
                (tally, position)
            });
            all.push((tally, position));
        }
        all
    }

    /// After a round of `n_events`, of which `position` is the end: keeps one partition if it is
    /// time.
    pub(super) fn turn(&mut self, tallies: &mut [Tally], n_events: usize, position: LogPosition) {
        self.n_events += n_events;
        if let Some(busy) = &self.busy {
            match busy.try_recv() {
                Err(mpsc::TryRecvError::Empty) => return,
                done => self.finish(done.ok().flatten()),
            }
        }
        let is_time = EVENTS_BETWEEN <= self.n_events || BETWEEN <= self.last.elapsed();
        if is_time {
            self.n_events = 0;
            self.last = Instant::now();
            self.begin(tallies, position);
        }
    }

    /// Keeps every partition, and waits for it.
    pub(super) fn keep_all(&mut self, tallies: &mut [Tally], position: LogPosition) {
        self.wait();
        for _ in 0..self.trees.len() {
            self.begin(tallies, position);
            self.wait();
        }
    }

    /// Begins to keep the partition whose turn it is.
    fn begin(&mut self, tallies: &mut [Tally], position: LogPosition) {
        let place = self.next;
        let Some((tally, partition)) = tallies.get_mut(place).zip(Partition::all().nth(place))
        else {
            return;
        };
        if self.trees[place].is_none() {
            let opened = self.folds.clear(partition);
            let opened = opened.and_then(|()| self.folds.open(partition));
            self.trees[place] = opened.ok();
            tally.touch_all();
        }
        let Some(tree) = self.trees[place].take() else {
            // The index is being rebuilt; its turn comes again.
            self.next = (place + 1) % self.trees.len();
            return;
        };
        let changes = tally.take_changes();
        let (sender, receiver) = mpsc::channel();
        self.busy = Some(receiver);
        self.runtime.spawn_blocking(move || {
            // Who waits for it may have gone.
            let _ = sender.send(keep(tree, &changes, position));
        });
    }

    fn finish(&mut self, tree: Option<FoldTree>) {
        self.busy = None;
        self.trees[self.next] = tree;
        self.next = (self.next + 1) % self.trees.len();
    }

    fn wait(&mut self) {
        if let Some(busy) = &self.busy {
            let tree = busy.recv().ok().flatten();
            self.finish(tree);
        }
    }
}

/// The tally that a tree holds; `None` if it cannot be read whole.
fn load(tree: &FoldTree) -> Option<Tally> {
    let mut tally = Tally::default();
    let mut fault = None;
    let scanned = tree.scan("", &mut |key, value| match open(&value) {
        Ok((name, part)) if key_of(&name) == key => tally.put(name, part),
        Ok(_) => fault = Some(format!("{key} names another part")),
        Err(error) => fault = Some(format!("{key}: {error}")),
    });
    let fault = fault.or_else(|| scanned.err().map(|error| error.to_string()));
    match fault {
        None => Some(tally),
        Some(error) => {
            let partition = tree.partition().number();
            tracing::warn!(partition, error, "a kept tally is counted anew");
            None
        }
    }
}

/// Keeps changes; `None` if they were not.
fn keep(mut tree: FoldTree, changes: &Changes, position: LogPosition) -> Option<FoldTree> {
    // The clock is always among them.
    if changes.len() < 2 || position <= tree.position() {
        return Some(tree);
    }
    let mut puts = Vec::with_capacity(changes.len());
    let mut deletes = Vec::new();
    for (name, part) in changes {
        let Some(part) = part else {
            deletes.push(key_of(name));
            continue;
        };
        match seal(name, part) {
            Ok(draft) => puts.push((key_of(name), draft)),
            Err(error) => {
                tracing::warn!(%error, ?name, "a tally is not kept");
                return None;
            }
        }
    }
    match tree.commit(puts, deletes, position) {
        Ok(()) => Some(tree),
        Err(FoldStoreError::Rebuilding | FoldStoreError::NotNow { .. }) => None,
        Err(error) => {
            let partition = tree.partition().number();
            tracing::warn!(partition, %error, "a tally is not kept");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::id::{MarketId, ProductKey, VariantKey};
    use crate::domain::time::{Date, Timestamp};
    use crate::measurement::log::{Entry, Item, What};
    use crate::measurement::split::SessionDigest;
    use crate::record::event;
    use crate::store::commit::CommitId;
    use crate::store::event::EventBatch;
    use crate::store::opened::Opened;
    use crate::store::{StoreId, memory};

    fn view(number: u8) -> Entry {
        let at = Timestamp(1_800_000_000_000 + i64::from(number));
        let day = Date::parse("2027-01-15").unwrap();
        Entry {
            received: at,
            at,
            day,
            booked: day,
            market: MarketId::parse("se").unwrap(),
            session: SessionDigest::from_bytes([number; 16]),
            shopper: None,
            group: None,
            id: u64::from(number) + 1,
            is_bot: false,
            is_foreign: false,
            what: What::View(Item {
                variant: VariantKey::parse("v").unwrap(),
                product: ProductKey::parse("p").unwrap(),
                promotions: Vec::new().into(),
                offer: None,
            }),
        }
    }

    /// Logs and counts one entry.
    async fn take(opened: &Opened, tallies: &mut [Tally], number: u8) {
        let entry = view(number);
        let place = entry.session.partition();
        let partition = Partition::all().nth(usize::from(place)).unwrap();
        let bytes = event::encode(std::slice::from_ref(&entry), &[]).unwrap();
        let batch = EventBatch::new(partition, event::SCHEMA, &bytes).unwrap();
        let id = CommitId([number; 16]);
        let appended = opened.events.append(id, entry.received, vec![batch]);
        appended.await.unwrap();
        tallies[usize::from(place)].apply(&entry);
    }

    fn views(kept: &[(Tally, LogPosition)]) -> u64 {
        let market = MarketId::parse("se").unwrap();
        let sums = kept.iter().filter_map(|(tally, _)| tally.sums(&market));
        sums.flat_map(|sums| sums.rollups.values())
            .map(|rollup| rollup.views)
            .sum()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_was_kept_is_loaded_with_its_place() {
        let opened = memory::open(StoreId([1; 16])).unwrap();
        let keeper = || Keeper::new(opened.folds.clone(), Handle::current());
        let mut own = keeper();
        assert_eq!(views(&own.load()), 0);
        let mut tallies: Vec<Tally> = Partition::all().map(|_| Tally::default()).collect();
        for number in 1..41 {
            take(&opened, &mut tallies, number).await;
        }
        own.keep_all(&mut tallies, opened.events.position());
        let kept = keeper().load();
        assert_eq!(views(&kept), 40);
        let end = opened.events.position();
        let at_end = |kept: &[(Tally, LogPosition)]| {
            kept.iter().filter(|(_, position)| *position == end).count()
        };
        let n_used = tallies
            .iter()
            .filter(|tally| tally.n_sessions() > 0)
            .count();
        assert_eq!(at_end(&kept), n_used);
        // Only what changed is written, and it is enough.
        for number in 41..61 {
            take(&opened, &mut tallies, number).await;
        }
        own.keep_all(&mut tallies, opened.events.position());
        assert_eq!(views(&keeper().load()), 60);
        // A tree that somebody emptied is made anew, whole.
        let partition = Partition::all().nth(usize::from(view(1).session.partition()));
        opened.folds.clear(partition.unwrap()).unwrap();
        assert!(views(&keeper().load()) < 60);
        take(&opened, &mut tallies, 0).await;
        own.keep_all(&mut tallies, opened.events.position());
        own.keep_all(&mut tallies, opened.events.position());
        assert_eq!(views(&keeper().load()), 61);
    }
}
