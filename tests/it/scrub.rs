//! Everything read again: what is damaged is found, told and, where there is a copy, mended.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use endcap::domain::time::Timestamp;
use endcap::store::backup::tend;
use endcap::store::backup::verify::verify_dir;
use endcap::store::chunk::{ChunkError, ChunkHash, KEPT_MS};
use endcap::store::event::{EventBatch, LogPosition, Partition};
use endcap::store::index::Tree;
use endcap::store::index::plain::{Content, PlainIndex};
use endcap::store::opened::Opened;
use endcap::store::scrub::{Damaged, Part, Scrubbed, scrub};
use endcap::store::sim::{Dice, SimDisk};
use endcap::store::start::Class;
use endcap::store::{Mode, Space};

use crate::rig::{Rig, TIME, at, block_on, commit, id, key, put};

const LATER: Timestamp = Timestamp(TIME.0 + 86_400_000);

fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut noise = vec![0; bytes];
    Dice::new(seed).fill(&mut noise);
    noise
}

/// Some journal files of each space, chunks, and a backup in the middle.
fn fill(store: &Opened) {
    for n in 1..=40 {
        let writes = vec![
            put(&format!("promo.{:02}", n % 20), &noise(n, 300)),
            put(&format!("audit.{n:02}"), &noise(n, 200)),
        ];
        block_on(store.config.commit(commit(n, writes))).unwrap();
        let order = vec![
            put(&format!("order.se.{n}"), &noise(n, 200)),
            put("use.a", b"1"),
        ];
        block_on(store.trade.commit(commit(n, order))).unwrap();
        let batch = EventBatch::new(Partition::new(3).unwrap(), 1, &noise(n, 300)).unwrap();
        block_on(store.events.append(id(n), TIME, vec![batch])).unwrap();
        if n == 20 {
            store
                .chunks
                .put(b"a chunk that the backup has, too")
                .unwrap();
            tend::back_up(store).unwrap();
        }
    }
    store.with_states(|_| ()).unwrap();
}

fn look(store: &Opened) -> Vec<Damaged> {
    let scrubbed = scrub(store, LATER, &mut |_| ControlFlow::Continue(()));
    assert!(scrubbed.is_complete && 0 < scrubbed.n_bytes);
    assert_eq!(store.last_scrub(), Some(scrubbed.clone()));
    scrubbed.damaged.clone()
}

/// A filled store over a simulated disk.
struct Home {
    rig: Rig,
    disk: SimDisk,
    index: PlainIndex,
    store: Opened,
}

impl Home {
    fn new() -> Self {
        let (disk, index) = (SimDisk::new(1 << 30), PlainIndex::default());
        let rig = Rig::Simulated(disk.clone(), index.clone());
        let store = rig.open();
        fill(&store);
        Self {
            rig,
            disk,
            index,
            store,
        }
    }

    /// Files whose path holds `part`, ascending.
    fn files(&self, part: &str) -> Vec<PathBuf> {
        let holds = |path: &PathBuf| path.to_str().unwrap().contains(part);
        self.disk.files().into_iter().filter(holds).collect()
    }

    fn flip(&self, path: &Path, byte: usize) {
        self.disk.damage(path, |bytes| bytes[byte] ^= 1);
    }

    /// The one thing that a scrub finds.
    #[track_caller]
    fn found(&self, part: Part, path: &Path, is_mended: bool) -> Damaged {
        let damaged = look(&self.store);
        assert_eq!(damaged.len(), 1, "{damaged:?}");
        let found = damaged[0].clone();
        assert_eq!(
            (found.part, found.finding.path.as_path(), found.is_mended),
            (part, path, is_mended),
            "{found}"
        );
        found
    }
}

#[test]
fn a_whole_store_is_read_and_nothing_is_told() {
    for rig in [Rig::memory(), Rig::simulated(), Rig::embedded()] {
        let store = rig.open();
        assert_eq!(store.last_scrub(), None);
        for n in 1..=40 {
            let writes = (0..90).map(|k| put(&format!("promo.{k}.{n}"), &noise(n, 60)));
            block_on(store.config.commit(commit(n, writes.collect()))).unwrap();
        }
        let large = vec![put("promo.large", &noise(1, 150_000)), put("audit.1", b"x")];
        block_on(store.config.commit(commit(41, large))).unwrap();
        store.chunks.put(b"a chunk").unwrap();
        assert_eq!(look(&store), []);
        if matches!(rig, Rig::Memory(_)) {
            continue;
        }
        let before = scrub(&store, LATER, &mut |_| ControlFlow::Continue(())).n_bytes;
        tend::back_up(&store).unwrap();
        let after = scrub(&store, LATER, &mut |_| ControlFlow::Continue(())).n_bytes;
        assert!(before + 3_601 * 60 < after, "backups are read as well");
    }
}

#[test]
fn damage_in_a_sealed_journal_file_is_covered_by_a_backup() {
    for (space, name) in [(Space::Config, "config"), (Space::Trade, "trade")] {
        let home = Home::new();
        let files = home.files(&format!("/{name}/"));
        assert!(3 < files.len());
        home.flip(&files[1], 200);
        let found = home.found(Part::Journal(space), &files[1], true);
        assert_eq!(found.finding.offset, Some(64), "the first frame");
        let told = found.to_string();
        assert!(told.ends_with("or another than the next; mended"), "{told}");
        // Without the backup that was written just now, a lost index would cost what lies behind.
        let before = (home.store.config.folded(), home.store.trade.folded());
        drop(home.store);
        home.index.replace(Content::default());
        let store = home.rig.open();
        assert_eq!(store.report.class, Class::Repaired);
        assert_eq!((store.config.folded(), store.trade.folded()), before);
        let order = block_on(store.trade.get(&key("order.se.39"))).unwrap();
        assert!(order.is_some());
    }
}

#[test]
fn every_kind_of_journal_damage_is_found() {
    type Harm = fn(&mut Vec<u8>);
    let harms: [(&str, Harm); 5] = [
        ("header", |bytes| bytes[9] ^= 1),
        ("a bit in the middle", |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 4;
        }),
        ("the last frame", |bytes| {
            let end = bytes.len() - 40;
            bytes.truncate(end);
        }),
        ("emptied", Vec::clear),
        ("garbage behind", |bytes| bytes.extend_from_slice(&[7; 99])),
    ];
    for (what, harm) in harms {
        let home = Home::new();
        let files = home.files("/config/");
        home.disk.damage(&files[2], harm);
        let damaged = look(&home.store);
        assert_eq!(damaged.len(), 1, "{what}: {damaged:?}");
        assert_eq!(damaged[0].finding.path, files[2], "{what}");
    }
}

#[test]
fn damaged_events_are_told_and_stay() {
    let home = Home::new();
    let files = home.files("/events/");
    home.flip(&files[0], 100);
    home.found(Part::Journal(Space::Events), &files[0], false);
    assert_eq!(home.store.events.health().mode, Mode::Ok);
}

#[test]
fn a_damaged_chunk_is_copied_from_the_backup() {
    let home = Home::new();
    let hash = ChunkHash::of(b"a chunk that the backup has, too");
    let own = home
        .files("/chunks/")
        .into_iter()
        .find(|path| path.starts_with("/data/gen-0001"))
        .unwrap();
    home.flip(&own, 20);
    home.found(Part::Chunk, &own, true);
    assert_eq!(look(&home.store), []);
    // The copy and the chunk heal each other, one at a time.
    let copy = home
        .files("/chunks/")
        .into_iter()
        .find(|path| path.starts_with("/data/backup"))
        .unwrap();
    home.flip(&copy, 20);
    home.found(Part::Copy, &copy, true);
    assert_eq!(look(&home.store), []);
    assert!(home.store.chunks.get(&hash).is_ok());
    home.flip(&own, 20);
    home.flip(&copy, 20);
    let damaged = look(&home.store);
    let told: Vec<_> = damaged.iter().map(|it| (it.part, it.is_mended)).collect();
    assert_eq!(told, [(Part::Chunk, false), (Part::Copy, false)]);
    let refused = home.store.chunks.get(&hash);
    assert!(matches!(refused, Err(ChunkError::Damaged { .. })));
}

#[test]
fn a_damaged_backup_is_set_aside_and_another_written() {
    let home = Home::new();
    let backups = home.files("/backup/config-");
    assert_eq!(backups.len(), 1);
    home.flip(&backups[0], 400);
    home.found(Part::Backup, &backups[0], true);
    let names = |files: Vec<PathBuf>| -> Vec<String> {
        let name = |path: PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
        files.into_iter().map(name).collect()
    };
    let now = names(home.files("/backup/config-"));
    assert_eq!(now, ["config-20.damaged", "config-40.jsonl"]);
    assert_eq!(look(&home.store), []);
    // At most three such files are kept, the newest.
    for n in 41..=44 {
        let writes = vec![put("promo.a", &noise(n, 100))];
        block_on(home.store.config.commit(commit(n, writes))).unwrap();
        let newest = home.files(&format!("/backup/config-{}.jsonl", n - 1));
        home.disk.damage(&newest[0], |bytes| bytes.truncate(300));
        home.found(Part::Backup, &newest[0], true);
    }
    let now = names(home.files("/backup/config-"));
    assert_eq!(
        now,
        [
            "config-41.damaged",
            "config-42.damaged",
            "config-43.damaged",
            "config-44.jsonl"
        ]
    );
}

#[test]
fn an_index_that_disagrees_with_memory_is_built_anew() {
    type Harm = fn(&mut Content);
    fn tree(content: &mut Content, tree: Tree) -> &mut endcap::store::index::plain::PlainTree {
        content.trees.get_mut(&tree).unwrap()
    }
    let harms: [(&str, Harm); 5] = [
        ("a hot record of an older time", |content| {
            let records = &mut tree(content, Tree::Hot(Space::Config)).0;
            let other = records[&key("promo.03")].clone();
            records.insert(key("promo.02"), other);
        }),
        ("a hot record is missing", |content| {
            tree(content, Tree::Hot(Space::Trade)).0.clear();
        }),
        ("the last hot record is missing", |content| {
            tree(content, Tree::Hot(Space::Config)).0.pop_last();
        }),
        ("a hot record too many", |content| {
            let records = &mut tree(content, Tree::Hot(Space::Config)).0;
            let other = records[&key("promo.03")].clone();
            records.insert(key("zzz"), other);
        }),
        ("a cold record is damaged", |content| {
            let records = &mut tree(content, Tree::Cold(Space::Trade)).0;
            records.get_mut(&key("order.se.7")).unwrap()[30] ^= 1;
        }),
    ];
    for (what, harm) in harms {
        let home = Home::new();
        let (before, mut content) = (home.store.config.folded(), home.index.content());
        harm(&mut content);
        home.index.replace(content);
        let damaged = look(&home.store);
        assert_eq!(damaged.len(), 1, "{what}: {damaged:?}");
        assert!(
            damaged[0].part == Part::Index && damaged[0].is_mended,
            "{what}"
        );
        assert_eq!(look(&home.store), [], "{what}");
        let order = block_on(home.store.trade.get(&key("order.se.7"))).unwrap();
        assert_eq!(order.unwrap().payload().unwrap().as_ref(), noise(7, 200));
        drop(home.store);
        let store = home.rig.open();
        assert_eq!(
            store.report.class,
            Class::Whole,
            "{what}: {:?}",
            store.report
        );
        assert_eq!(store.config.folded(), before);
    }
}

/// An index whose sums were made to agree, so that a start believes it.
#[test]
fn verify_holds_the_index_against_backups_and_journal() {
    let home = Home::new();
    drop(home.store);
    let verify = || {
        let (settings, parts) = (home.rig.settings(), home.rig.parts());
        let scratch = tempfile::tempdir().unwrap();
        let dir = settings.path.join("backup");
        verify_dir(&settings, &parts, &dir, scratch.path()).unwrap()
    };
    assert!(verify().is_whole(), "{:?}", verify());
    let mut content = home.index.content();
    let hot = content.trees.get_mut(&Tree::Hot(Space::Config)).unwrap();
    let (records, Some(said)) = hot else {
        panic!("it was loaded")
    };
    let forged = records.remove(&key("promo.03")).unwrap();
    said.remove(&key("promo.03"), &forged);
    home.index.replace(content);
    let verified = verify();
    assert!(!verified.is_whole());
    let what: Vec<&str> = verified
        .findings
        .iter()
        .map(|finding| finding.what.as_str())
        .collect();
    assert_eq!(
        what,
        ["config: another state than backups and journal make"]
    );
    assert_eq!(verified.start.unwrap().class, Class::Whole);
}

#[test]
fn a_scrub_ends_when_told_to() {
    let home = Home::new();
    let whole = scrub(&home.store, LATER, &mut |_| ControlFlow::Continue(())).n_bytes;
    let mut stops = 0;
    for budget in (0..whole).step_by(7_001) {
        let mut left = budget;
        let scrubbed: Scrubbed = scrub(&home.store, LATER, &mut |n_bytes| match left
            .checked_sub(n_bytes)
        {
            Some(rest) => {
                left = rest;
                ControlFlow::Continue(())
            }
            None => ControlFlow::Break(()),
        })
        .as_ref()
        .clone();
        assert!(!scrubbed.is_complete, "{budget} of {whole}");
        assert!(budget < scrubbed.n_bytes && scrubbed.n_bytes <= whole);
        assert_eq!(scrubbed.damaged, []);
        stops += 1;
    }
    assert!(5 < stops);
}

/// Commits, backups, trims and forgotten chunks come in between any two pieces: nothing of that is
/// damage.
#[test]
fn what_changes_meanwhile_is_no_damage() {
    for rig in [Rig::memory(), Rig::simulated(), Rig::embedded()] {
        let store = rig.open();
        for n in 1..=30 {
            let writes = (0..100).map(|k| put(&format!("promo.{k}.{n:02}"), &noise(n, 40)));
            block_on(store.config.commit(commit(n, writes.collect()))).unwrap();
        }
        store.chunks.put(b"one").unwrap();
        store.chunks.put(b"two").unwrap();
        let none = std::collections::BTreeSet::new();
        store.chunks.retain(&none, TIME).unwrap();
        let mut n = 100;
        let mut n_calls = 0;
        let mut busy = |n_bytes| {
            // Lines of backups are many: between some of them is enough.
            n_calls += 1;
            if n_bytes < 2_000 && n_calls % 500 != 0 {
                return ControlFlow::Continue(());
            }
            n += 1;
            let (hot, cold) = (
                format!("promo.{}.{:02}", n % 100, n % 30),
                format!("audit.{n}"),
            );
            let writes = vec![put(&hot, &noise(n, 50)), put(&cold, b"x"), put("zzz", b"x")];
            block_on(store.config.commit(commit(n, writes))).unwrap();
            let gone = vec![crate::rig::delete(&format!(
                "promo.{}.{:02}",
                n % 77,
                n % 19
            ))];
            block_on(store.config.commit(commit(n + 10_000, gone))).unwrap();
            let batch = EventBatch::new(Partition::new(1).unwrap(), 1, &noise(n, 300)).unwrap();
            block_on(store.events.append(id(n), TIME, vec![batch])).unwrap();
            if n % 7 == 0 && !matches!(rig, Rig::Memory(_)) {
                tend::back_up(&store).unwrap();
            }
            store
                .events
                .trim(LogPosition(n.saturating_sub(103)))
                .unwrap();
            store.config.trim(at(n.saturating_sub(90))).unwrap();
            let later = Timestamp(TIME.0 + KEPT_MS);
            store.chunks.retain(&none, later).unwrap();
            ControlFlow::Continue(())
        };
        let scrubbed = scrub(&store, LATER, &mut busy);
        assert_eq!(scrubbed.damaged, []);
        assert!(scrubbed.is_complete && 102 < n);
    }
}
