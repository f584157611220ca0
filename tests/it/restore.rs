//! Earlier states brought back, and reports that touch nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use endcap::domain::time::Timestamp;
use endcap::store::backup::restore::{Loss, RestoreError, Restored, Target, restore};
use endcap::store::backup::tend;
use endcap::store::backup::verify::{Verified, verify_dir, verify_file};
use endcap::store::chunk::ChunkHash;
use endcap::store::commit::FollowError;
use endcap::store::disk::{Disk, read_whole};
use endcap::store::event::{EventBatch, LogPosition, Partition};
use endcap::store::index::plain::{Content, PlainIndex};
use endcap::store::opened::Opened;
use endcap::store::sim::SimDisk;
use endcap::store::start::{Class, Parts, StartError};
use endcap::store::{Mode, Space};

use crate::rig::{Rig, TIME, at, block_on, commit, id, key, put};

const DATA: &str = "/data";

struct Home {
    rig: Rig,
    disk: SimDisk,
    index: PlainIndex,
}

impl Home {
    fn new() -> Self {
        let (disk, index) = (SimDisk::new(1 << 30), PlainIndex::default());
        let rig = Rig::Simulated(disk.clone(), index.clone());
        Self { rig, disk, index }
    }

    fn restore(&self, target: Target, loss: Loss) -> Result<Restored, RestoreError> {
        let parts = Parts {
            now: minute(1_000),
            ..self.rig.parts()
        };
        restore(&self.rig.settings(), &parts, target, loss)
    }

    fn verify(&self) -> Verified {
        let scratch = tempfile::tempdir().unwrap();
        let (settings, parts) = (self.rig.settings(), self.rig.parts());
        let before = self.content();
        let index = self.index.content();
        let dir = Path::new(DATA).join("backup");
        let verified = verify_dir(&settings, &parts, &dir, scratch.path()).unwrap();
        assert!(self.content() == before, "verify touched something");
        self.index.replace(index);
        verified
    }

    fn content(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let read = |path: PathBuf| {
            let bytes = read_whole(&self.disk, &path, 1 << 30).unwrap();
            (path, bytes)
        };
        self.disk
            .files()
            .into_iter()
            .filter(|path| !path.ends_with("LOCK"))
            .map(read)
            .collect()
    }

    /// The journal files of a space, ascending.
    fn journal(&self, space: &str) -> Vec<PathBuf> {
        let dir = Path::new(DATA).join("gen-0001").join(space);
        self.disk
            .files()
            .into_iter()
            .filter(|path| path.starts_with(&dir))
            .collect()
    }
}

/// Minute n after the beginning.
fn minute(n: u64) -> Timestamp {
    Timestamp(TIME.0 + i64::try_from(n).unwrap() * 60_000)
}

/// One commit a minute in `config` and `trade`, and one of events.
fn fill(store: &Opened, minutes: std::ops::RangeInclusive<u64>) {
    for n in minutes {
        for (space, writes) in [
            (
                &store.config,
                vec![
                    put("promo.a", &n.to_le_bytes()),
                    put(&format!("audit.{n:03}"), &[7; 300]),
                ],
            ),
            (
                &store.trade,
                vec![
                    put(&format!("order.se.{n:03}"), b"x"),
                    put("use.a", &n.to_le_bytes()),
                ],
            ),
        ] {
            let mut made = commit(n, writes);
            made.at = minute(n);
            block_on(space.commit(made)).unwrap();
        }
        let batches = vec![batch(3, &n.to_le_bytes()), batch(4, b"event")];
        block_on(store.events.append(id(n), minute(n), batches)).unwrap();
    }
}

fn batch(number: u8, events: &[u8]) -> EventBatch {
    EventBatch::new(Partition::new(number).unwrap(), 1, events).unwrap()
}

/// The number that the last commit left in `config` and in `trade`.
fn numbers(store: &Opened) -> (u64, u64) {
    let read = |value: &endcap::store::codec::Value| {
        let payload = value.payload().unwrap();
        u64::from_le_bytes(payload.as_ref().try_into().unwrap())
    };
    let config = store.config.folded();
    let trade = store.trade.folded();
    (
        config.get(&key("promo.a")).map_or(0, read),
        trade.get(&key("use.a")).map_or(0, read),
    )
}

fn n_cold(store: &Opened) -> (usize, usize) {
    let audits = block_on(store.config.scan("audit.", None, 1_000)).unwrap();
    let orders = block_on(store.trade.scan("order.", None, 1_000)).unwrap();
    (audits.len(), orders.len())
}

#[test]
fn a_revision_or_an_instant_comes_back_with_everything_of_its_time() {
    let cases = [
        (Target::Revision(at(12)), 12),
        (Target::Revision(at(1)), 1),
        (Target::Time(minute(17)), 17),
        (Target::Time(Timestamp(minute(18).0 - 1)), 17),
        (Target::Time(minute(0)), 0),
        (Target::Time(minute(900)), 40),
        (Target::Newest, 40),
        (Target::Revision(at(40)), 40),
    ];
    for (target, expected) in cases {
        let home = Home::new();
        let store = home.rig.open();
        fill(&store, 1..=10);
        tend::back_up(&store).unwrap();
        fill(&store, 11..=40);
        store.chunks.put(b"a chunk").unwrap();
        drop(store);
        let before = home.content();
        let refused = home.restore(target, Loss::Refused);
        if expected < 40 {
            let Err(RestoreError::Loss { steps }) = refused else {
                panic!("{target:?}: {refused:?}");
            };
            assert_eq!((steps[0].to, steps[0].highest), (at(expected), at(40)));
            assert!(home.content() == before);
        } else {
            refused.unwrap();
        }
        if 40 <= expected {
            continue;
        }
        let restored = home.restore(target, Loss::Accepted).unwrap();
        assert_eq!(
            restored.identity.era,
            u64::try_from(minute(1_000).0).unwrap()
        );
        assert_eq!((restored.n_events, restored.n_chunks), (40, 1));
        let store = home.rig.open();
        assert_eq!(store.report.class, Class::Whole, "{:?}", store.report);
        assert_eq!(numbers(&store), (expected, expected), "{target:?}");
        let n = usize::try_from(expected).unwrap();
        assert_eq!(n_cold(&store), (n, n));
        assert_eq!(store.config.revision().0, restored.identity.era - 1);
        assert_eq!(
            store.chunks.get(&ChunkHash::of(b"a chunk")).unwrap(),
            b"a chunk"
        );
        // Every file of the old generation is still what it was.
        let after = home.content();
        let old = before
            .iter()
            .filter(|(path, _)| path.starts_with("/data/gen-0001"));
        assert!(
            old.into_iter()
                .all(|(path, bytes)| after.get(path) == Some(bytes))
        );
    }
}

#[test]
fn events_come_along_under_new_revisions_and_their_old_ids() {
    let home = Home::new();
    let store = home.rig.open();
    fill(&store, 1..=30);
    drop(store);
    let restored = home
        .restore(Target::Revision(at(3)), Loss::Accepted)
        .unwrap();
    let era = restored.identity.era;
    let store = home.rig.open();
    assert_eq!(store.events.position().0, era + 29);
    let third = Partition::new(3).unwrap();
    let read = |after| block_on(store.events.read(third, LogPosition(after), 1_000));
    let batches = read(era - 1).unwrap().batches;
    for (batch, n) in batches.iter().zip(1..) {
        assert_eq!((batch.position.0, batch.at), (era + n - 1, minute(n)));
        assert_eq!(batch.events.payload().unwrap().as_ref(), n.to_le_bytes());
    }
    assert_eq!(batches.len(), 30);
    // Who read the log before the restore does not read on as if nothing had been.
    assert!(matches!(read(20), Err(FollowError::Compacted { first }) if first.0 == era));
    let again = store.events.append(id(7), TIME, vec![batch(3, b"")]);
    let known = block_on(again).unwrap_err();
    assert_eq!(
        known.to_string(),
        format!("already done at revision {}", era + 6)
    );
}

#[test]
fn what_older_serves_becomes_the_store_on_demand() {
    let home = Home::new();
    let store = home.rig.open();
    fill(&store, 1..=40);
    drop(store);
    home.index.replace(Content::default());
    let files = home.journal("config");
    assert!(4 < files.len());
    home.disk.damage(&files[3], |bytes| bytes[100..200].fill(0));
    let store = home.rig.open();
    let missing = store.report.missing.clone();
    assert_eq!(
        (store.report.class, store.config.health().mode),
        (Class::Older, Mode::Older)
    );
    let older = numbers(&store).0;
    assert_eq!(missing, [(Space::Config, at(older + 1))]);
    drop(store);
    assert!(matches!(
        home.restore(Target::Newest, Loss::Refused),
        Err(RestoreError::Loss { .. })
    ));
    let restored = home.restore(Target::Newest, Loss::Accepted).unwrap();
    assert_eq!(
        (restored.steps[0].to, restored.steps[1].to),
        (at(older), at(40))
    );
    let store = home.rig.open();
    assert_eq!(
        (numbers(&store), store.config.health().mode),
        ((older, 40), Mode::Ok)
    );
    fill(&store, 50..=51);
}

#[test]
fn a_running_store_and_an_unreachable_target_are_refused() {
    let home = Home::new();
    let store = home.rig.open();
    fill(&store, 1..=5);
    let locked = home.restore(Target::Newest, Loss::Accepted);
    assert!(matches!(
        locked,
        Err(RestoreError::Directory(StartError::Locked { .. }))
    ));
    drop(store);
    let refused = home.restore(Target::Revision(at(6)), Loss::Accepted);
    let Err(RestoreError::Unreachable { wished, nearest }) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!((wished, nearest), (at(6), at(5)));
    let nowhere = Home::new();
    let refused = nowhere.restore(Target::Newest, Loss::Accepted);
    assert!(
        matches!(refused, Err(RestoreError::NoBase { .. })),
        "{refused:?}"
    );
}

#[test]
fn backups_alone_make_a_store() {
    let home = Home::new();
    let store = home.rig.open();
    fill(&store, 1..=20);
    store.chunks.put(b"a chunk").unwrap();
    tend::back_up(&store).unwrap();
    let identity = store.identity();
    drop(store);
    for path in home.disk.files() {
        if !path.starts_with("/data/backup") {
            home.disk.remove(&path).unwrap();
        }
    }
    home.index.replace(Content::default());
    let restored = home.restore(Target::Newest, Loss::Refused).unwrap();
    assert_eq!(restored.identity.store, identity.store);
    let store = home.rig.open();
    assert_eq!((numbers(&store), n_cold(&store)), ((20, 20), (20, 20)));
    // Its chunks are fetched one by one when they are asked for.
    assert_eq!(
        store.chunks.get(&ChunkHash::of(b"a chunk")).unwrap(),
        b"a chunk"
    );
}

#[test]
fn verify_names_what_is_damaged_and_what_a_start_would_do() {
    let home = Home::new();
    let store = home.rig.open();
    fill(&store, 1..=20);
    store.chunks.put(b"a chunk").unwrap();
    tend::back_up(&store).unwrap();
    fill(&store, 21..=40);
    let running = home.verify();
    assert!(matches!(running.start, Err(StartError::Locked { .. })));
    drop(store);
    let whole = home.verify();
    assert!(whole.is_whole(), "{whole:?}");
    let last = home.journal("config").pop().unwrap();
    home.disk
        .damage(&last, |bytes| bytes.extend_from_slice(b"ECFR half a frame"));
    let torn = home.verify();
    assert!(torn.is_whole(), "{torn:?}");
    let check = |path: &Path, harm: fn(&mut Vec<u8>), class: Class| {
        let kept = read_whole(&home.disk, path, 1 << 30).unwrap();
        home.disk.damage(path, harm);
        let verified = home.verify();
        assert!(!verified.is_whole());
        assert!(
            verified.findings.iter().any(|finding| finding.path == path),
            "{verified:?}"
        );
        assert_eq!(verified.start.unwrap().class, class);
        home.disk.damage(path, |bytes| *bytes = kept);
    };
    let journal = &home.journal("config")[1];
    check(journal, |bytes| bytes[150] ^= 1, Class::Repaired);
    check(
        Path::new("/data/backup/config-20.jsonl"),
        |bytes| bytes[200] ^= 1,
        Class::Repaired,
    );
    let name = ChunkHash::of(b"a chunk").to_string();
    let chunk = Path::new("/data/gen-0001/chunks")
        .join(&name[..2])
        .join(&name);
    check(&chunk, Vec::clear, Class::Repaired);
}

#[test]
fn verify_opens_a_copy_of_the_index() {
    let rig = Rig::embedded();
    let store = rig.open();
    fill(&store, 1..=20);
    tend::back_up(&store).unwrap();
    drop(store);
    let scratch = tempfile::tempdir().unwrap();
    let (settings, parts) = (rig.settings(), rig.parts());
    let listed = |parts: &Parts| {
        parts
            .disk
            .list(&settings.path.join("gen-0001/index"))
            .unwrap()
    };
    let before = listed(&parts);
    let dir = settings.path.join("backup");
    let verified = verify_dir(&settings, &parts, &dir, scratch.path()).unwrap();
    assert!(verified.is_whole(), "{verified:?}");
    assert_eq!(verified.start.unwrap().class, Class::Whole);
    assert_eq!(listed(&parts), before);
    let file = dir.join("config-20.jsonl");
    let whole = verify_file(parts.disk.as_ref(), parts.forms.as_ref(), &file).unwrap();
    assert_eq!(whole.census.records, 21);
}

/// The example of the format's section 7: an index behind the damage, a journal ahead of it.
#[test]
fn damage_before_the_index_costs_nothing_and_without_it_what_lies_behind() {
    let home = Home::new();
    let store = home.rig.open();
    fill(&store, 1..=10);
    tend::back_up(&store).unwrap();
    fill(&store, 11..=30);
    drop(store);
    let older = home.index.content();
    let store = home.rig.open();
    fill(&store, 31..=40);
    drop(store);
    let file = &home.journal("config")[1];
    let content = home.content();
    home.disk.damage(file, |bytes| bytes[2_000] ^= 1);
    home.index.replace(older);
    let store = home.rig.open();
    assert_eq!(
        (store.report.class, numbers(&store)),
        (Class::Repaired, (40, 40))
    );
    assert_eq!(
        (store.config.health().mode, n_cold(&store)),
        (Mode::Ok, (40, 40))
    );
    drop(store);
    // The same once more, with the index gone as well.
    let home = Home::new();
    home.disk
        .create_dir(Path::new("/data/gen-0001/index"))
        .unwrap();
    for (path, bytes) in &content {
        home.disk.create_dir(path.parent().unwrap()).unwrap();
        home.disk.create(path).unwrap().append(bytes).unwrap();
    }
    home.disk.damage(file, |bytes| bytes[2_000] ^= 1);
    let store = home.rig.open();
    let at_gap = numbers(&store).0;
    assert!(10 < at_gap && at_gap < 20, "{at_gap}");
    assert_eq!(store.report.missing, [(Space::Config, at(at_gap + 1))]);
    assert_eq!(
        (store.report.class, store.config.health().mode),
        (Class::Older, Mode::Older)
    );
}
