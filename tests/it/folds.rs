//! What is folded from events is kept in the index, through whatever happens to the two.

use std::collections::BTreeMap;

use endcap::store::codec::{Draft, Kind};
use endcap::store::event::{EventBatch, LogPosition, Partition};
use endcap::store::fold::{FoldStoreError, FoldTree};
use endcap::store::index::compact::CompactAbove;
use endcap::store::index::plain::{Content, PlainIndex};
use endcap::store::index::{Applied, Tree};
use endcap::store::opened::Opened;
use endcap::store::sim::SimDisk;
use endcap::store::start::Class;
use endcap::store::{Mode, Revision, Space};

use crate::rig::{Rig, TIME, block_on, commit, id, key, put};

fn partition() -> Partition {
    Partition::new(3).unwrap()
}

fn append(store: &Opened, n: u64) {
    let batch = EventBatch::new(partition(), 1, format!("event {n}").as_bytes());
    let appended = store.events.append(id(n), TIME, vec![batch.unwrap()]);
    assert_eq!(block_on(appended), Ok(LogPosition(n)));
}

fn open(store: &Opened) -> FoldTree {
    store.folds.open(partition()).unwrap()
}

/// Folds what the log has after the tree's position, as far as `through`: a count and the texts.
fn fold(store: &Opened, tree: &mut FoldTree, through: u64) -> Result<(), FoldStoreError> {
    let page = block_on(store.events.read(partition(), tree.position(), 100)).unwrap();
    let draft = |text: &[u8]| Draft::new(Kind(240), 1, text).unwrap();
    let mut n_events = tree.get(&key("count"))?.map_or(0, |value| {
        let digits = value.payload().unwrap().into_owned();
        String::from_utf8(digits).unwrap().parse::<u64>().unwrap()
    });
    let mut puts = Vec::new();
    for batch in page.batches {
        if LogPosition(through) < batch.position {
            break;
        }
        n_events += 1;
        let name = key(&format!("event.{}", batch.position.0));
        puts.push((name, draft(&batch.events.payload().unwrap())));
    }
    puts.push((key("count"), draft(n_events.to_string().as_bytes())));
    tree.commit(puts, vec![], LogPosition(through))
}

#[track_caller]
fn check(tree: &FoldTree, n_events: u64) {
    let mut found = BTreeMap::new();
    tree.scan("", &mut |key, value| {
        let text = String::from_utf8(value.payload().unwrap().into_owned());
        found.insert(key.to_string(), text.unwrap());
    })
    .unwrap();
    let mut expected = BTreeMap::new();
    for n in 1..=n_events {
        expected.insert(format!("event.{n}"), format!("event {n}"));
    }
    if 0 < n_events {
        expected.insert("count".to_owned(), n_events.to_string());
    }
    assert_eq!(found, expected);
    assert_eq!(tree.position(), LogPosition(n_events));
}

#[test]
fn folding_goes_on_where_it_was_kept() {
    for rig in [Rig::embedded(), Rig::simulated()] {
        let store = rig.open();
        for n in 1..=3 {
            append(&store, n);
        }
        let mut tree = open(&store);
        check(&tree, 0);
        fold(&store, &mut tree, 2).unwrap();
        drop((tree, store));
        let store = rig.open();
        assert_eq!(store.report.class, Class::Whole, "{:?}", store.report);
        let mut tree = open(&store);
        check(&tree, 2);
        fold(&store, &mut tree, 3).unwrap();
        check(&open(&store), 3);
    }
}

#[test]
fn a_store_in_memory_folds_anew_when_it_is_opened_again() {
    let rig = Rig::memory();
    let store = rig.open();
    append(&store, 1);
    fold(&store, &mut open(&store), 1).unwrap();
    check(&open(&store), 1);
    drop(store);
    let store = rig.open();
    check(&open(&store), 0);
    fold(&store, &mut open(&store), 1).unwrap();
    check(&open(&store), 1);
}

#[test]
fn an_index_written_anew_keeps_what_was_folded() {
    let rig = Rig::embedded();
    let store = rig.open();
    append(&store, 1);
    append(&store, 2);
    block_on(store.config.commit(commit(1, vec![put("promo.a", b"x")]))).unwrap();
    store.with_states(|_| ()).unwrap();
    let mut tree = open(&store);
    fold(&store, &mut tree, 1).unwrap();
    let always = CompactAbove {
        times_live: 0,
        bytes: 0,
    };
    assert!(store.compact_index(always).unwrap().is_some());
    check(&tree, 1);
    fold(&store, &mut tree, 2).unwrap();
    drop((tree, store));
    check(&open(&rig.open()), 2);
}

#[test]
fn an_index_built_anew_is_folded_into_from_the_first_event_on() {
    let index = PlainIndex::default();
    let rig = Rig::Simulated(SimDisk::new(1 << 30), index.clone());
    let store = rig.open();
    append(&store, 1);
    append(&store, 2);
    let mut tree = open(&store);
    fold(&store, &mut tree, 1).unwrap();
    index.replace(Content::default());
    // The follower meets an index that knows nothing, and builds another.
    block_on(store.config.commit(commit(1, vec![put("promo.a", b"x")]))).unwrap();
    store.with_states(|_| ()).unwrap();
    let moved = FoldStoreError::Moved {
        at: LogPosition(1),
        kept: LogPosition(0),
    };
    assert_eq!(fold(&store, &mut tree, 2), Err(moved));
    assert_eq!(tree.commit(vec![], vec![], LogPosition(2)), Err(moved));
    let mut tree = open(&store);
    check(&tree, 0);
    fold(&store, &mut tree, 2).unwrap();
    drop((tree, store));
    check(&open(&rig.open()), 2);
}

#[test]
fn a_log_that_ends_before_what_was_folded_lacks_events() {
    let (disk, index) = (SimDisk::new(1 << 30), PlainIndex::default());
    let rig = Rig::Simulated(disk.clone(), index.clone());
    let store = rig.open();
    for n in 1..=3 {
        append(&store, n);
    }
    fold(&store, &mut open(&store), 3).unwrap();
    drop(store);
    // The last frame is cut in two, and the index had not noted the log's end yet.
    let files = disk.files();
    let is_log = |path: &&std::path::PathBuf| path.to_string_lossy().contains("/events/");
    let last = files.iter().filter(is_log).max().unwrap();
    disk.damage(last, |bytes| bytes.truncate(bytes.len() - 3));
    let mut content = index.content();
    let noted = content.trees.get_mut(&Tree::Hot(Space::Events)).unwrap();
    let said = noted.1.unwrap();
    noted.1 = Some(Applied {
        revision: Revision(2),
        ..said
    });
    index.replace(content);
    for _ in 0..2 {
        let store = rig.open();
        assert_eq!(store.report.class, Class::Older, "{:?}", store.report);
        assert_eq!(store.report.missing, [(Space::Events, Revision(3))]);
        assert_eq!(store.events.position(), LogPosition(2));
        let mut tree = open(&store);
        check(&tree, 0);
        let refused = FoldStoreError::NotNow { mode: Mode::Older };
        assert_eq!(fold(&store, &mut tree, 2), Err(refused));
    }
}
