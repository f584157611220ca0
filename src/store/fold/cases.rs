//! What is kept, what is not, and what is refused.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::*;
use crate::store::StoreId;
use crate::store::codec::Kind;
use crate::store::commit::FollowError;
use crate::store::folded::Folded;
use crate::store::index::plain::PlainIndex;
use crate::store::journal::frame::Frame;
use crate::store::scrub::Look;
use crate::store::seam::LogReader;

pub(super) type Content = BTreeMap<String, Vec<u8>>;

/// A log that nobody reads here.
#[derive(Debug)]
struct Unread;

impl LogReader for Unread {
    fn read(&self, _: Revision, _: usize) -> Result<Vec<Frame>, FollowError> {
        Err(FollowError::Unreadable)
    }

    fn check_sealed(&self, _: &mut Look<'_>) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn bytes_after(&self, _: Revision) -> u64 {
        0
    }
}

/// The fold store of a process that has just started over a log of this era and end.
pub(super) fn started(index: Arc<dyn Index>, era: u64, end: u64, mode: Mode) -> FoldStore {
    let identity = Identity {
        store: StoreId([7; 16]),
        era,
        space: Space::Events,
    };
    let slot: IndexSlot = Arc::new(RwLock::new(Some(index)));
    let folded = Folded::empty(identity, Revision(end));
    let events = Shared::new(folded, None, Box::new(Unread), slot.clone(), mode);
    FoldStore::new(slot, Arc::new(events))
}

fn over(index: &PlainIndex) -> FoldStore {
    started(Arc::new(index.clone()), 1, 1_000, Mode::Ok)
}

pub(super) fn open(store: &FoldStore) -> FoldTree {
    store.open(Partition::new(3).unwrap()).unwrap()
}

pub(super) fn key(text: &str) -> Key {
    Key::parse(text).unwrap()
}

pub(super) fn put(name: &str, content: &[u8]) -> (Key, Draft) {
    (key(name), Draft::new(Kind(240), 1, content).unwrap())
}

pub(super) fn content(tree: &FoldTree, prefix: &str) -> Content {
    let mut found = Content::new();
    tree.scan(prefix, &mut |key, value| {
        found.insert(key.to_string(), value.payload().unwrap().into_owned());
    })
    .unwrap();
    found
}

/// `a` and `b` in partition 3, kept at 7.
fn kept_at_seven() -> PlainIndex {
    let index = PlainIndex::default();
    let puts = vec![put("a", b"1"), put("b", b"2")];
    let kept = open(&over(&index)).commit(puts, vec![], LogPosition(7));
    kept.unwrap();
    index
}

/// Whether a process that starts over `index` has nothing of the partition.
#[track_caller]
fn check_nothing_kept(index: &PlainIndex, era: u64, end: u64) {
    let tree = open(&started(Arc::new(index.clone()), era, end, Mode::Ok));
    assert_eq!(tree.position(), LogPosition(0));
    assert_eq!(content(&tree, ""), Content::new());
    assert_eq!(tree.get(&key("a")), Ok(None));
}

#[test]
fn what_was_committed_is_there_after_a_restart() {
    let index = kept_at_seven();
    let mut tree = open(&over(&index));
    assert_eq!(tree.position(), LogPosition(7));
    let value = tree.get(&key("a")).unwrap().unwrap();
    assert_eq!(value.revision(), Revision(7));
    let puts = vec![put("a", b"3"), put("ab", b"4")];
    tree.commit(puts, vec![key("b"), key("a")], LogPosition(9))
        .unwrap();
    let tree = open(&over(&index));
    assert_eq!(tree.position(), LogPosition(9));
    let all = [("a", b"3"), ("ab", b"4")].map(|(key, value)| (key.into(), value.to_vec()));
    assert_eq!(content(&tree, ""), Content::from(all.clone()));
    assert_eq!(content(&tree, "ab"), Content::from([all[1].clone()]));
    let other = Partition::new(4).unwrap();
    assert_eq!(over(&index).position(other), Ok(LogPosition(0)));
}

#[test]
fn a_position_never_falls_and_stays_within_the_log() {
    let index = kept_at_seven();
    let mut tree = open(&over(&index));
    for wished in [0, 6, 1_001] {
        let refused = tree.commit(vec![put("a", b"x")], vec![], LogPosition(wished));
        let said = FoldStoreError::Position {
            wished: LogPosition(wished),
            kept: LogPosition(7),
            end: LogPosition(1_000),
        };
        assert_eq!(refused, Err(said));
    }
    assert_eq!(content(&open(&over(&index)), "")["a"], b"1");
    // A change that no event made leaves the position where it is.
    assert_eq!(tree.commit(vec![], vec![key("a")], LogPosition(7)), Ok(()));
    assert_eq!(tree.commit(vec![], vec![], LogPosition(1_000)), Ok(()));
}

#[test]
fn another_era_and_a_shorter_log_leave_nothing_kept() {
    let index = kept_at_seven();
    check_nothing_kept(&index, 5, 1_000);
    check_nothing_kept(&index, 1, 6);
    let mut tree = open(&started(Arc::new(index.clone()), 5, 1_000, Mode::Ok));
    tree.commit(vec![put("c", b"3")], vec![], LogPosition(8))
        .unwrap();
    assert_eq!(content(&tree, "").len(), 1, "nothing of the era before");
    check_nothing_kept(&index, 1, 1_000);
}

#[test]
fn a_tree_that_disagrees_with_itself_is_no_state() {
    let index = kept_at_seven();
    let whole = index.content();
    let tree = Tree::Fold(3);
    let mut cut = whole.clone();
    cut.trees.get_mut(&tree).unwrap().0.remove("b");
    let mut flipped = whole.clone();
    flipped
        .trees
        .get_mut(&tree)
        .unwrap()
        .0
        .get_mut("a")
        .unwrap()[21] ^= 1;
    let mut unsaid = whole.clone();
    unsaid.trees.get_mut(&tree).unwrap().1 = None;
    for damaged in [cut, flipped, unsaid] {
        index.replace(damaged);
        check_nothing_kept(&index, 1, 1_000);
        // It is made anew from the log.
        let mut tree = open(&over(&index));
        tree.commit(vec![put("c", b"3")], vec![], LogPosition(9))
            .unwrap();
        assert_eq!(content(&tree, "").len(), 1);
        assert_eq!(content(&open(&over(&index)), "").len(), 1);
    }
}

#[test]
fn damage_met_while_reading_costs_the_state() {
    let index = kept_at_seven();
    let store = over(&index);
    let tree = open(&store);
    let mut flipped = index.content();
    let records = &mut flipped.trees.get_mut(&Tree::Fold(3)).unwrap().0;
    records.get_mut("a").unwrap()[21] ^= 1;
    index.replace(flipped);
    let moved = FoldStoreError::Moved {
        at: LogPosition(7),
        kept: LogPosition(0),
    };
    assert_eq!(tree.get(&key("a")), Err(moved));
    assert_eq!(tree.get(&key("b")), Err(moved));
    assert_eq!(open(&store).position(), LogPosition(0));
}

#[test]
fn changes_go_on_top_of_the_state_they_were_made_from_only() {
    let index = kept_at_seven();
    let store = over(&index);
    let (mut tree, mut other) = (open(&store), open(&store));
    other.commit(vec![], vec![], LogPosition(8)).unwrap();
    let kept = |kept| FoldStoreError::Moved {
        at: LogPosition(7),
        kept: LogPosition(kept),
    };
    let changed = tree.commit(vec![put("a", b"x")], vec![], LogPosition(9));
    assert_eq!(changed, Err(kept(8)));
    index.replace(PlainIndex::default().content());
    let changed = tree.commit(vec![put("a", b"x")], vec![], LogPosition(9));
    assert_eq!(changed, Err(kept(0)));
    assert_eq!(tree.scan("", &mut |_, _| ()), Err(kept(0)));
    assert_eq!(open(&store).position(), LogPosition(0));
    let index = kept_at_seven();
    over(&index).clear(Partition::new(3).unwrap()).unwrap();
    check_nothing_kept(&index, 1, 1_000);
}

#[test]
fn nothing_is_kept_without_room_or_index_or_while_it_is_copied() {
    for mode in [Mode::Low, Mode::Full, Mode::Older] {
        let index = kept_at_seven();
        let mut tree = open(&started(Arc::new(index), 1, 1_000, mode));
        let refused = tree.commit(vec![], vec![], LogPosition(8));
        assert_eq!(refused, Err(FoldStoreError::NotNow { mode }));
        assert_eq!(content(&tree, "").len(), 2);
    }
    let store = over(&kept_at_seven());
    let mut tree = open(&store);
    let paused = store.pause();
    let refused = tree.commit(vec![], vec![], LogPosition(8));
    assert_eq!(refused, Err(FoldStoreError::Rebuilding));
    assert_eq!(content(&tree, "").len(), 2);
    drop(paused);
    assert_eq!(tree.commit(vec![], vec![], LogPosition(8)), Ok(()));
    *store.0.index.write().unwrap() = None;
    let refused = tree.commit(vec![], vec![], LogPosition(9));
    assert_eq!(refused, Err(FoldStoreError::Rebuilding));
}
