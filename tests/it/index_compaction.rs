//! An index that has grown is written anew: nothing in it changes, whatever the moment of a crash.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use endcap::store::index::compact::{CompactAbove, Compacted};
use endcap::store::index::sled::SledHome;
use endcap::store::index::{Index, IndexError, IndexHome, Rung};
use endcap::store::opened::Opened;
use endcap::store::seam::State;
use endcap::store::sim::Dice;
use endcap::store::start::{self, Class, Parts};

use crate::rig::{Rig, block_on, commit, key, put, real};

/// Bounds that every index is above.
const ALWAYS: CompactAbove = CompactAbove {
    times_live: 0,
    bytes: 0,
};

fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    Dice::new(seed).fill(&mut noise);
    noise
}

/// Overwrites eight hot and eight cold records again and again, some of them large.
fn overwrite(store: &Opened, ids: std::ops::RangeInclusive<u64>) {
    for n in ids {
        let large = 1 + 60_000 * usize::from(n % 8 == 7);
        let size = usize::try_from(n % 8).unwrap() * 1_500 + large;
        let writes = vec![
            put(&format!("promo.{}", n % 8), &noise(n, size)),
            put(&format!("audit.{}", n % 8), &noise(n + 1_000, size)),
        ];
        block_on(store.config.commit(commit(n, writes))).unwrap();
        if n.is_multiple_of(10) {
            store.with_states(|_| ()).unwrap();
        }
    }
}

/// Every record of both spaces, as the index holds it.
fn records(store: &Opened) -> BTreeMap<String, Vec<u8>> {
    let walked = store.with_states(|states| {
        let mut found = BTreeMap::new();
        for state in states {
            let mut each = |key: endcap::store::key::Key, value: endcap::store::codec::Value| {
                found.insert(key.to_string(), value.bytes().to_vec());
                Ok(())
            };
            state.walk(&mut each).unwrap();
        }
        found
    });
    walked.unwrap()
}

fn index_dir(rig: &Rig) -> PathBuf {
    rig.settings().path.join("gen-0001").join("index")
}

fn names(dir: &Path) -> Vec<String> {
    let mut names = all_names(dir);
    names.retain(|name| name.starts_with("index"));
    names
}

fn all_names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn a_grown_index_shrinks_and_holds_what_it_held() {
    let rig = Rig::embedded();
    let store = rig.open();
    overwrite(&store, 1..=400);
    let before = records(&store);
    assert_eq!(before.len(), 16);
    let live: usize = before
        .iter()
        .map(|(key, value)| key.len() + value.len())
        .sum();
    let Compacted {
        live_bytes,
        before_bytes,
        after_bytes,
    } = store.compact_index(ALWAYS).unwrap().unwrap();
    assert_eq!(live_bytes, live as u64);
    assert!(
        after_bytes < before_bytes / 2,
        "{before_bytes} bytes became {after_bytes}"
    );
    assert_eq!(records(&store), before);
    assert_eq!(names(index_dir(&rig).parent().unwrap()), ["index"]);
    // Hot and cold records are read, written and overwritten as before.
    overwrite(&store, 401..=440);
    let after = records(&store);
    let audit = block_on(store.config.get(&key("audit.0")))
        .unwrap()
        .unwrap();
    assert_eq!(audit.bytes(), after["audit.0"]);
    assert_ne!(after["audit.0"], before["audit.0"]);
    drop(store);
    let store = rig.open();
    assert_eq!(store.report.class, Class::Whole, "{:?}", store.report);
    assert_eq!(records(&store), after);
}

#[test]
fn an_index_within_either_bound_is_left_alone() {
    let rig = Rig::embedded();
    let store = rig.open();
    overwrite(&store, 1..=40);
    for above in [
        CompactAbove::default(),
        CompactAbove {
            times_live: 1_000_000,
            bytes: 0,
        },
        CompactAbove {
            times_live: 0,
            bytes: 1 << 40,
        },
    ] {
        assert_eq!(store.compact_index(above), Ok(None), "{above:?}");
    }
    for rig in [Rig::memory(), Rig::simulated()] {
        let store = rig.open();
        block_on(store.config.commit(commit(1, vec![put("promo.a", b"x")]))).unwrap();
        assert_eq!(store.compact_index(ALWAYS), Ok(None), "it takes no disk");
    }
}

#[test]
fn readers_find_what_is_there_or_wait() {
    let rig = Rig::embedded();
    let store = rig.open();
    overwrite(&store, 1..=16);
    let before = records(&store);
    let is_over = Arc::new(AtomicBool::new(false));
    let (space, over) = (store.config.clone(), is_over.clone());
    let expected = before["audit.3"].clone();
    let reader = std::thread::spawn(move || {
        let mut n_found = 0;
        while !over.load(Ordering::Relaxed) {
            // An error says that the index is away for a moment.
            if let Ok(found) = block_on(space.get(&key("audit.3"))) {
                assert_eq!(found.unwrap().bytes(), expected);
                n_found += 1;
            }
        }
        n_found
    });
    for n in 0..5 {
        assert!(store.compact_index(ALWAYS).unwrap().is_some());
        let made = commit(100 + n, vec![put("promo.x", b"x")]);
        assert!(block_on(store.config.commit(made)).is_ok());
    }
    is_over.store(true, Ordering::Relaxed);
    assert!(0 < reader.join().unwrap());
    let mut after = records(&store);
    after.remove("promo.x");
    assert_eq!(after, before);
}

fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Indexes in quarantine.
fn n_aside(dir: &Path) -> usize {
    let quarantine = dir.with_file_name("quarantine");
    if quarantine.exists() {
        names(&quarantine).len()
    } else {
        0
    }
}

/// Puts the directories as a crash may have left them, and says how the next start ends and how
/// many indexes it puts into quarantine.
#[track_caller]
fn check_crash(arrange: impl Fn(&Path, &Path, &Path), class: Class, n_more_aside: usize) {
    let rig = Rig::embedded();
    let store = rig.open();
    overwrite(&store, 1..=40);
    let before = records(&store);
    drop(store);
    let dir = index_dir(&rig);
    let n_before = n_aside(&dir);
    let (fresh, old) = (dir.with_extension("new"), dir.with_extension("old"));
    arrange(&dir, &fresh, &old);
    let store = rig.open();
    assert_eq!(store.report.class, class, "{:?}", store.report);
    assert_eq!(records(&store), before);
    let audit = block_on(store.config.get(&key("audit.3")))
        .unwrap()
        .unwrap();
    assert_eq!(audit.bytes(), before["audit.3"]);
    assert_eq!(names(dir.parent().unwrap()), ["index"]);
    assert_eq!(n_aside(&dir) - n_before, n_more_aside);
    // The next one does not stumble over what this one left.
    assert!(store.compact_index(ALWAYS).unwrap().is_some());
    assert_eq!(records(&store), before);
}

#[test]
fn a_crash_while_copying_leaves_the_old_index() {
    check_crash(|dir, fresh, _| copy_dir(dir, fresh), Class::Whole, 0);
    let cut = |_: &Path, fresh: &Path, _: &Path| {
        std::fs::create_dir(fresh).unwrap();
        std::fs::write(fresh.join("db"), b"half a page").unwrap();
    };
    check_crash(cut, Class::Whole, 0);
}

#[test]
fn a_crash_between_the_renames_means_a_rebuild() {
    let between = |dir: &Path, fresh: &Path, old: &Path| {
        copy_dir(dir, fresh);
        std::fs::rename(dir, old).unwrap();
    };
    // The old index is kept aside; the empty one that was opened in its place is thrown away too.
    check_crash(between, Class::Repaired, 2);
}

#[test]
fn a_crash_after_the_renames_leaves_the_new_index() {
    check_crash(|dir, _, old| copy_dir(dir, old), Class::Whole, 0);
}

/// sled whose copy never gets into its place.
#[derive(Debug)]
struct HalfRenamed(SledHome);

impl IndexHome for HalfRenamed {
    fn open(&self, dir: &Path, aside: &Path, rung: Rung) -> Result<Arc<dyn Index>, IndexError> {
        self.0.open(dir, aside, rung)
    }

    fn disk_bytes(&self, dir: &Path) -> Result<u64, IndexError> {
        self.0.disk_bytes(dir)
    }

    fn open_beside(&self, dir: &Path) -> Result<Arc<dyn Index>, IndexError> {
        self.0.open_beside(dir)
    }

    fn take_beside(&self, dir: &Path) -> Result<(), IndexError> {
        let renamed = std::fs::rename(dir, dir.with_extension("old"));
        renamed.map_err(IndexError::new)?;
        Err(IndexError::new("the disk is gone for a moment"))
    }
}

#[test]
fn a_swap_that_fails_ends_in_a_rebuild_behind_the_scenes() {
    let rig = Rig::embedded();
    let cache_bytes = 8 << 20;
    let parts = Parts {
        index: Arc::new(HalfRenamed(SledHome { cache_bytes })),
        ..real()
    };
    let store = start::open(&rig.settings(), &parts).unwrap();
    overwrite(&store, 1..=40);
    let before = records(&store);
    let refused = store.compact_index(ALWAYS).unwrap_err();
    assert_eq!(refused.to_string(), "index: the disk is gone for a moment");
    assert!(block_on(store.config.commit(commit(100, vec![put("promo.x", b"x")]))).is_ok());
    let mut after = records(&store);
    after.remove("promo.x");
    assert_eq!(after, before);
    let audit = block_on(store.config.get(&key("audit.3")))
        .unwrap()
        .unwrap();
    assert_eq!(audit.bytes(), before["audit.3"]);
}

#[test]
fn quarantine_keeps_the_newest_three_indexes() {
    let rig = Rig::embedded();
    let home = SledHome {
        cache_bytes: 8 << 20,
    };
    let dir = rig.settings().path.join("index");
    let quarantine = rig.settings().path.join("quarantine");
    for n in 0..6 {
        drop(home.open(&dir, &quarantine, Rung::Empty).unwrap());
        std::fs::write(dir.join("mark"), n.to_string()).unwrap();
    }
    // The first open had nothing to move; the sixth is in place.
    let kept = names(&quarantine);
    assert_eq!(kept, ["index.3", "index.4", "index.5"]);
    let marks = kept.iter().map(|name| {
        let text = std::fs::read_to_string(quarantine.join(name).join("mark"));
        text.unwrap()
    });
    assert!(marks.eq(["2", "3", "4"]));
}

#[test]
fn quarantine_keeps_the_snapshots_of_the_newest_three_openings() {
    let rig = Rig::embedded();
    let home = SledHome {
        cache_bytes: 8 << 20,
    };
    let dir = rig.settings().path.join("index");
    let quarantine = rig.settings().path.join("quarantine");
    let file = |n: u32, ending: &str| format!("snap.{n:016x}{ending}");
    for n in 0..5 {
        drop(home.open(&dir, &quarantine, Rung::AsIs).unwrap());
        for half in [file(n, ".generating"), file(n + 100, ".generating")] {
            std::fs::write(dir.join(half), "half").unwrap();
        }
        drop(
            home.open(&dir, &quarantine, Rung::WithoutGenerating)
                .unwrap(),
        );
        assert!(
            !all_names(&dir)
                .iter()
                .any(|name| name.ends_with(".generating"))
        );
    }
    let kept = all_names(&quarantine);
    assert_eq!(kept, ["snapshots.3", "snapshots.4", "snapshots.5"]);
    let last = all_names(&quarantine.join("snapshots.5"));
    assert_eq!(last, [file(4, ".generating"), file(104, ".generating")]);
}
