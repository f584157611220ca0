//! Backups, exports and imports: whole, damaged, interrupted.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use endcap::domain::time::Timestamp;
use endcap::store::backup::BackupError;
use endcap::store::backup::export::{export, export_stopped};
use endcap::store::backup::import::{ImportError, Imported, Over, import};
use endcap::store::backup::tend;
use endcap::store::chunk::ChunkHash;
use endcap::store::disk::{Disk, read_whole};
use endcap::store::index::plain::{Content, PlainIndex};
use endcap::store::opened::Opened;
use endcap::store::seam::{Backups, Entropy};
use endcap::store::sim::{Dice, Fault, FaultKind, SimDisk, Survival};
use endcap::store::start::{Class, Parts, StartError, open};
use endcap::store::{Mode, Revision, Space, StoreId};

use crate::rig::{Rig, TIME, at, block_on, commit, delete, key, put};

const DAY_MS: i64 = 86_400_000;

/// A simulated store, and where its parts are.
struct Store {
    rig: Rig,
    disk: SimDisk,
    index: PlainIndex,
}

impl Store {
    fn new() -> Self {
        let (disk, index) = (SimDisk::new(1 << 30), PlainIndex::default());
        let rig = Rig::Simulated(disk.clone(), index.clone());
        Self { rig, disk, index }
    }

    fn parts(&self) -> Parts {
        self.rig.parts()
    }

    /// All bytes below the data directory, but for the lock and backups.
    fn content(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut found = Vec::new();
        for path in self.disk.files() {
            if path.starts_with("/data") && !path.ends_with("LOCK") {
                let bytes = read_whole(&self.disk, &path, 1 << 30).unwrap();
                found.push((path, bytes));
            }
        }
        found
    }

    fn export(&self, store: &Opened, path: &str) -> Vec<u8> {
        let disk: Arc<dyn Disk> = Arc::new(self.disk.clone());
        let exported = export(store, &disk, self.parts().forms.as_ref(), Path::new(path)).unwrap();
        let bytes = read_whole(&self.disk, Path::new(path), 1 << 30).unwrap();
        assert_eq!(exported.written.bytes, bytes.len() as u64);
        bytes
    }

    fn import(&self, path: &str, over: Over) -> Result<Imported, ImportError> {
        let parts = Parts {
            now: Timestamp(TIME.0 + DAY_MS),
            ..self.parts()
        };
        import(&self.rig.settings(), &parts, Path::new(path), over)
    }

    fn write(&self, path: &str, bytes: &[u8]) {
        drop(self.disk.remove(Path::new(path)));
        let file = self.disk.create(Path::new(path)).unwrap();
        file.append(bytes).unwrap();
        file.sync_data().unwrap();
        self.disk.sync_dir(Path::new("/")).unwrap();
    }
}

/// 600 bytes that are no text and that no packing makes smaller.
fn noise(seed: u64) -> Vec<u8> {
    let mut noise = vec![0; 600];
    Dice::new(seed).fill(&mut noise);
    noise
}

/// Hot and cold records of both spaces, packed and unpacked ones, a deleted one, and chunks.
fn fill(store: &Opened) {
    block_on(async {
        for n in 1..=12_u64 {
            let mut made = commit(
                n,
                vec![
                    put(&format!("promo.{n}"), &n.to_le_bytes()),
                    put("cal.no", format!("{{\"changes\": {n}}}").as_bytes()),
                    put(&format!("audit.{n:03}"), &noise(n)),
                ],
            );
            made.at = Timestamp(TIME.0 + i64::try_from(n).unwrap());
            store.config.commit(made).await.unwrap();
            let orders = vec![put(&format!("order.se.{n}"), b"order"), put("use.a", b"1")];
            store.trade.commit(commit(n, orders)).await.unwrap();
        }
        let gone = commit(99, vec![delete("promo.3"), delete("order.se.4")]);
        store.config.commit(gone.clone()).await.unwrap();
        store.trade.commit(gone).await.unwrap();
    });
    let packed = "Röd \"klänning\" ".repeat(90);
    let text = commit(100, vec![put("report.a", packed.as_bytes())]);
    block_on(store.trade.commit(text)).unwrap();
    for text in ["chunk one", "chunk two", ""] {
        store.chunks.put(text.as_bytes()).unwrap();
    }
}

#[test]
fn export_import_export_is_byte_equal() {
    for rig in [Rig::embedded(), Rig::simulated()] {
        let store = rig.open();
        fill(&store);
        let parts = rig.parts();
        let dir = tempfile::tempdir().unwrap();
        let dir = match &rig {
            Rig::Embedded(_) => dir.path().to_path_buf(),
            _ => PathBuf::from("/"),
        };
        let read = |name: &str| read_whole(parts.disk.as_ref(), &dir.join(name), 1 << 30).unwrap();
        let (first, second) = (dir.join("first"), dir.join("second"));
        let exported = export(&store, &parts.disk, parts.forms.as_ref(), &first).unwrap();
        assert_eq!(exported.n_chunks, 3);
        drop(store);
        let imported = import(&rig.settings(), &parts, &first, Over::Store).unwrap();
        assert_eq!(imported.identity.era, u64::try_from(parts.now.0).unwrap());
        for _ in 0..2 {
            let store = rig.open();
            assert_eq!(store.config.revision().0, imported.identity.era - 1);
            export(&store, &parts.disk, parts.forms.as_ref(), &second).unwrap();
            assert!(read("first") == read("second"));
        }
        let (exported, _) = export_stopped(&rig.settings(), &parts, &second).unwrap();
        assert_eq!(
            exported.revisions[&Space::Config].0,
            imported.identity.era - 1
        );
        assert!(read("first") == read("second"));
    }
}

#[test]
fn an_imported_store_goes_on() {
    let home = Store::new();
    let store = home.rig.open();
    fill(&store);
    let before = store.config.folded();
    home.export(&store, "/export");
    drop(store);
    let imported = home.import("/export", Over::Store).unwrap();
    for n in 0..3 {
        let store = home.rig.open();
        assert!(store.report.class == Class::Whole, "{:?}", store.report);
        let folded = store.config.folded();
        let kept: Vec<_> = folded
            .iter()
            .filter(|(key, _)| key.as_str() != "promo.new")
            .collect();
        assert!(kept.into_iter().eq(before.iter()));
        let again = commit(500 + n, vec![put("promo.new", b"x")]);
        let made = block_on(store.config.commit(again)).unwrap();
        assert_eq!(made.0, imported.identity.era + n);
        let order = block_on(store.trade.get(&key("order.se.7"))).unwrap();
        assert_eq!(order.unwrap().revision(), at(7));
        assert_eq!(
            store.chunks.get(&ChunkHash::of(b"chunk one")).unwrap(),
            b"chunk one"
        );
    }
    // Without its index the state comes from the first backup.
    home.index.replace(Content::default());
    let store = home.rig.open();
    assert_eq!(store.config.folded().len(), before.len() + 1);
    assert!(
        block_on(store.trade.get(&key("order.se.4")))
            .unwrap()
            .is_none()
    );
}

#[test]
fn a_store_is_replaced_only_on_demand() {
    let home = Store::new();
    let store = home.rig.open();
    fill(&store);
    home.export(&store, "/export");
    let refused = home.import("/export", Over::Store);
    assert!(matches!(
        refused,
        Err(ImportError::Directory(StartError::Locked { .. }))
    ));
    drop(store);
    let before = home.content();
    assert!(matches!(
        home.import("/export", Over::Nothing),
        Err(ImportError::Occupied)
    ));
    assert!(home.content() == before);
    home.import("/export", Over::Store).unwrap();
    // Backups are no exports.
    let backup = "/data/backup/config-1767311999999.jsonl";
    let refused = home.import(backup, Over::Store);
    assert!(matches!(refused, Err(ImportError::Backup)), "{refused:?}");
    // Another place needs no replacing.
    let elsewhere = Store::new();
    elsewhere.disk.create_dir(Path::new("/")).unwrap();
    elsewhere.write("/export", &home.export(&home.rig.open(), "/export"));
    elsewhere.import("/export", Over::Nothing).unwrap();
    assert_eq!(elsewhere.rig.open().config.folded().len(), 12);
}

#[test]
fn one_wrong_byte_and_every_truncation_is_refused() {
    let home = Store::new();
    let store = home.rig.open();
    fill(&store);
    let whole = home.export(&store, "/export");
    drop(store);
    let before = home.content();
    let mut dice = Dice::new(7);
    let check = |bytes: &[u8], what: String| {
        home.write("/bad", bytes);
        let refused = home.import("/bad", Over::Store);
        assert!(
            matches!(refused, Err(ImportError::File(_))),
            "{what}: {refused:?}"
        );
    };
    for _ in 0..150 {
        let mut flipped = whole.clone();
        let place = dice.place(whole.len());
        flipped[place] ^= 1 << dice.below(8);
        check(&flipped, format!("flipped at {place}"));
    }
    let ends: BTreeSet<usize> = (0..150)
        .map(|_| dice.place(whole.len()))
        .chain(
            whole
                .iter()
                .enumerate()
                .filter(|(_, byte)| **byte == b'\n')
                .map(|(at, _)| at + 1),
        )
        .filter(|end| *end < whole.len())
        .chain([0, whole.len() - 1])
        .collect();
    for end in ends {
        check(&whole[..end], format!("cut at {end}"));
    }
    check(&[&whole[..], b"\n"].concat(), "a byte too many".into());
    check(&[&whole[..], &whole[..]].concat(), "twice".into());
    assert!(home.content() == before);
    assert!(home.import("/export", Over::Store).is_ok());
}

/// Puts `text` through a change and gives it a fitting last line again.
fn forged(whole: &[u8], change: impl FnOnce(&mut Vec<String>)) -> Vec<u8> {
    let text = std::str::from_utf8(whole).unwrap();
    let mut lines: Vec<String> = text.lines().map(|line| format!("{line}\n")).collect();
    lines.pop();
    change(&mut lines);
    let body = lines.concat();
    format!(
        "{body}{{\"sha256\":\"{}\"}}\n",
        ChunkHash::of(body.as_bytes())
    )
    .into_bytes()
}

#[test]
fn a_file_that_contradicts_itself_is_refused_with_its_line() {
    let home = Store::new();
    let store = home.rig.open();
    fill(&store);
    let whole = home.export(&store, "/export");
    drop(store);
    let refusal = |change: &dyn Fn(&mut Vec<String>)| {
        home.write("/bad", &forged(&whole, |lines| change(lines)));
        match home.import("/bad", Over::Store) {
            Err(ImportError::File(error)) => error.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let check = |change: &dyn Fn(&mut Vec<String>), expected: &str| {
        let said = refusal(change);
        assert!(said.contains(expected), "{said}");
    };
    assert_eq!(forged(&whole, |_| ()), whole);
    check(&|lines| lines.swap(1, 2), "line 3 at byte");
    check(&|lines| lines.swap(1, 2), "out of order");
    check(
        &|lines| drop(lines.remove(2)),
        "counts or revisions other than",
    );
    check(
        &|lines| lines[1] = lines[1].replace(",\"kind\"", ", \"kind\""),
        "not the form",
    );
    check(
        &|lines| lines[1] = lines[1].replace("\"kind\":4", "\"kind\":4000"),
        "kind is unknown",
    );
    check(
        &|lines| lines[1] = lines[1].replace("\"schema\":1", "\"schema\":2"),
        "known up to 1",
    );
    check(
        &|lines| lines[1] = lines[1].replace("config", "events"),
        "the header leaves out",
    );
    check(
        &|lines| lines[1] = lines[1].replace("config", "attic"),
        "a space or key",
    );
    check(
        &|lines| lines[1] = lines[1].replace("base64", "base65"),
        "audit.001",
    );
    check(
        &|lines| lines[0] = lines[0].replace("export\":1", "export\":2"),
        "export version 2",
    );
    check(
        &|lines| lines[0] = lines[0].replace("\"config\":12", "\"config\":13"),
        "counts or",
    );
    let last = |lines: &mut Vec<String>| {
        let line = lines.last_mut().unwrap();
        *line = line.replace("bytes\":\"", "bytes\":\"aaaa");
    };
    check(&last, "not the content of its hash");
}

#[test]
fn an_import_killed_anywhere_leaves_the_old_store_or_the_new_one() {
    let mut n_old = 0;
    let mut n_new = 0;
    for ahead in (1..).step_by(3) {
        let home = Store::new();
        let store = home.rig.open();
        fill(&store);
        home.export(&store, "/export");
        let later = commit(777, vec![put("promo.later", b"not in the export")]);
        block_on(store.config.commit(later)).unwrap();
        let (old, revision) = (store.config.folded(), store.config.revision());
        drop(store);
        let at_call = home.disk.calls() + ahead;
        let kind = FaultKind::PowerOff;
        home.disk.set_fault(Some(Fault { at_call, kind }));
        let imported = home.import("/export", Over::Store);
        let is_over = !home.disk.is_off();
        let mut dice = Dice::new(ahead);
        home.disk.cut_power(&mut dice, Survival::Percent(50));
        let store = home.rig.open();
        assert_eq!(store.report.class, Class::Whole, "{:?}", store.report);
        if store.config.revision() == revision {
            assert!(imported.is_err(), "acknowledged, and gone");
            assert_eq!(store.config.folded(), old);
            n_old += 1;
        } else {
            assert_eq!(
                store.config.revision().0,
                u64::try_from(TIME.0 + DAY_MS).unwrap() - 1
            );
            assert_eq!(store.config.folded().len() + 1, old.len());
            n_new += 1;
        }
        drop(store);
        // Whatever was left behind is in nobody's way.
        home.import("/export", Over::Store).unwrap();
        assert_eq!(home.rig.open().config.folded().len() + 1, old.len());
        if is_over {
            break;
        }
    }
    assert!(10 < n_old && 0 < n_new, "{n_old} old, {n_new} new");
}

#[test]
fn a_new_era_lies_above_everything_seen() {
    let home = Store::new();
    let store = home.rig.open();
    fill(&store);
    home.export(&store, "/export");
    drop(store);
    let mut last = at(0);
    // The clock stands still, and then runs backwards.
    for ms in [5_000_000, 5_000_000, 10] {
        let parts = Parts {
            now: Timestamp(ms),
            ..home.parts()
        };
        let settings = home.rig.settings();
        let path = Path::new("/export");
        let imported = import(&settings, &parts, path, Over::Store).unwrap();
        assert!(last.0 < imported.identity.era, "{last} {imported:?}");
        let store = home.rig.open();
        last = block_on(
            store
                .config
                .commit(commit(1_000, vec![put("promo.z", b"")])),
        )
        .unwrap();
        assert_eq!(last.0, imported.identity.era);
    }
}

#[test]
fn a_backup_makes_a_lost_journal_and_index_good() {
    let home = Store::new();
    let store = home.rig.open();
    fill(&store);
    let points = tend::back_up(&store).unwrap();
    let last = Timestamp(TIME.0);
    assert_eq!((points[0].revision, points[0].as_of), (at(13), Some(last)));
    let before = (store.config.folded(), store.trade.folded());
    drop(store);
    for path in home.disk.files() {
        if path.extension().is_some_and(|extension| extension == "seg") {
            home.disk.damage(&path, |bytes| bytes.truncate(64));
        }
    }
    home.index.replace(Content::default());
    let store = home.rig.open();
    assert_eq!(store.report.class, Class::Repaired, "{:?}", store.report);
    assert_eq!((store.config.folded(), store.trade.folded()), before);
    assert_eq!(store.config.health().mode, Mode::Ok);
    let audit = block_on(store.config.get(&key("audit.004"))).unwrap();
    assert_eq!(audit.unwrap().revision(), at(4));
}

#[test]
fn a_damaged_backup_is_passed_over_for_an_older_one() {
    let home = Store::new();
    let store = home.rig.open();
    fill(&store);
    tend::back_up(&store).unwrap();
    let more = commit(300, vec![put("promo.more", b"x")]);
    block_on(store.config.commit(more)).unwrap();
    tend::back_up(&store).unwrap();
    let before = store.config.folded();
    drop(store);
    home.disk
        .damage(Path::new("/data/backup/config-14.jsonl"), |bytes| {
            bytes[300] ^= 1;
        });
    home.index.replace(Content::default());
    for path in home.disk.files() {
        if path.ends_with("0000000000000001.seg") && path.to_str().unwrap().contains("config") {
            home.disk.damage(&path, |bytes| bytes[..90].fill(0));
        }
    }
    let store = home.rig.open();
    let steps = format!("{:?}", store.report);
    assert!(
        steps.contains("backup-unreadable") && steps.contains("config-14.jsonl"),
        "{steps}"
    );
    assert_eq!(store.config.folded(), before);
}

#[test]
fn seven_backups_are_kept_and_the_chunks_they_name() {
    let home = Store::new();
    let store = home.rig.open();
    let backups = home.rig.backups(&home.parts());
    let hash = |n: u64| ChunkHash::of(&n.to_le_bytes());
    for n in 1..=10_u64 {
        block_on(store.config.commit(commit(n, vec![put("promo.a", b"x")]))).unwrap();
        block_on(store.trade.commit(commit(n, vec![put("use.a", b"x")]))).unwrap();
        store.chunks.put(&n.to_le_bytes()).unwrap();
        // Only the newest chunk is named; the one before goes after its hour.
        for hour in [n, n + 1] {
            let now = Timestamp(i64::try_from(hour).unwrap() * 3_600_000);
            store
                .chunks
                .retain(&BTreeSet::from([hash(n)]), now)
                .unwrap();
        }
        tend::back_up(&store).unwrap();
    }
    for space in [&store.config, &store.trade] {
        let points = backups.verified(space.identity()).unwrap();
        let revisions: Vec<u64> = points.iter().map(|point| point.revision.0).collect();
        assert_eq!(revisions, [10, 9, 8, 7, 6, 5, 4]);
    }
    assert_eq!(store.chunks.hashes().unwrap(), BTreeSet::from([hash(10)]));
    assert!(backups.chunk(&hash(3)).unwrap().is_none());
    for n in 4..=10 {
        assert_eq!(backups.chunk(&hash(n)).unwrap().unwrap(), n.to_le_bytes());
    }
    // Nothing new: nothing is written.
    let calls = home.disk.files().len();
    tend::back_up(&store).unwrap();
    assert_eq!(home.disk.files().len(), calls);
}

#[test]
fn a_damaged_chunk_is_copied_from_the_backup() {
    let home = Store::new();
    let store = home.rig.open();
    fill(&store);
    tend::back_up(&store).unwrap();
    let hash = ChunkHash::of(b"chunk one");
    let name = hash.to_string();
    let path = home
        .disk
        .files()
        .into_iter()
        .find(|path| path.ends_with(&name));
    let path = path.unwrap();
    assert!(path.starts_with("/data/gen-0001") || path.starts_with("/data/backup"));
    let path = Path::new("/data/gen-0001/chunks")
        .join(&name[..2])
        .join(&name);
    home.disk.damage(&path, |bytes| bytes.truncate(20));
    assert_eq!(store.chunks.get(&hash).unwrap(), b"chunk one");
    // It was put back in place.
    home.disk
        .remove(
            &Path::new("/data/backup/chunks")
                .join(&name[..2])
                .join(&name),
        )
        .unwrap();
    assert_eq!(store.chunks.get(&hash).unwrap(), b"chunk one");
}

#[test]
fn a_backup_is_due_after_a_day_and_journals_go_after_seven() {
    let home = Store::new();
    let store = home.rig.open();
    let day = |n: i64| Timestamp(n * DAY_MS);
    assert!(
        !tend::is_due(&store, day(99)).unwrap(),
        "nothing to back up"
    );
    for n in 0..40_u64 {
        let mut made = commit(n, vec![put("promo.a", &[7; 900])]);
        made.at = day(i64::try_from(n).unwrap());
        block_on(store.config.commit(made)).unwrap();
    }
    assert!(!tend::is_due(&store, Timestamp(DAY_MS - 1)).unwrap());
    assert!(tend::is_due(&store, day(1)).unwrap());
    tend::trim(&store, day(39)).unwrap();
    assert!(store.config.follow(at(0)).is_ok(), "no backup yet");
    tend::back_up(&store).unwrap();
    assert!(!tend::is_due(&store, day(99)).unwrap());
    tend::trim(&store, day(39)).unwrap();
    assert!(
        store.config.follow(at(0)).is_ok(),
        "one backup is not enough"
    );
    let mut last = commit(40, vec![put("promo.b", b"")]);
    last.at = day(40);
    block_on(store.config.commit(last)).unwrap();
    tend::back_up(&store).unwrap();
    tend::trim(&store, day(40)).unwrap();
    // Commit n was made on day n − 1: day 33 is seven days ago, and four fit into a file.
    drop(store);
    let store = home.rig.open();
    assert_eq!(store.config.revision(), at(41));
    assert!(store.config.records_after(at(34)).is_ok());
    assert!(store.config.records_after(at(28)).is_err());
}

#[test]
fn the_export_has_its_golden_bytes() {
    let home = Store::new();
    let parts = Parts {
        entropy: Arc::new(Fifteen),
        ..home.parts()
    };
    let store = open(&home.rig.settings(), &parts).unwrap();
    assert_eq!(store.identity().store, StoreId([15; 16]));
    let writes = vec![
        put("promo.a", b"Lamp <A&B> \"2\""),
        put("audit.1", &[0xff, 0]),
    ];
    block_on(store.config.commit(commit(1, writes))).unwrap();
    block_on(store.trade.commit(commit(1, vec![put("order.se.1", b"")]))).unwrap();
    store.chunks.put(b"a chunk").unwrap();
    let bytes = home.export(&store, "/export");
    let golden = include_bytes!("../../data/golden/store/export.jsonl");
    assert_eq!(std::str::from_utf8(&bytes), std::str::from_utf8(golden));
}

/// Always fifteen.
#[derive(Debug)]
struct Fifteen;

impl Entropy for Fifteen {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(15);
    }
}

#[test]
fn an_export_without_index_waits_and_one_without_its_chunk_is_refused() {
    let home = Store::new();
    let store = home.rig.open();
    fill(&store);
    let name = ChunkHash::of(b"chunk two").to_string();
    let path = Path::new("/data/gen-0001/chunks")
        .join(&name[..2])
        .join(&name);
    home.disk.damage(&path, Vec::clear);
    let (disk, forms) = (home.parts().disk, home.parts().forms);
    let refused = export(&store, &disk, forms.as_ref(), Path::new("/export"));
    assert!(matches!(refused, Err(BackupError::Chunk(_))), "{refused:?}");
    assert!(home.disk.open(Path::new("/export")).is_err());
    home.disk.set_total_bytes(3 << 20);
    let refused = export(&store, &disk, forms.as_ref(), Path::new("/export"));
    assert!(
        matches!(refused, Err(BackupError::Index(_) | BackupError::Disk(_))),
        "{refused:?}"
    );
    assert!(tend::back_up(&store).is_err());
    assert_eq!(Revision(13), store.config.revision());
}
