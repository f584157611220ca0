//! Killed at every fault point: what was acknowledged is there, the rest is whole or absent.
//!
//! Each `fault!("…")` of the sources stands in [`POINTS`] with what leads there. The process aborts
//! when it comes to the point for the n-th time, n drawn from a seed, while twelve writers, a
//! reader of ranks and the one who leads there are at work. It must have died there and nowhere
//! else; then everything is checked as after any other kill.
//!
//! Built only with feature `fail`: `cargo test --features fail --test kill faults`.
//! `ENDCAP_FAULTS=n` kills n times at each point (1), `ENDCAP_FAULT=name` at this one only.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::kills::{N_PRODUCTS, Round, check, edit, rank, rank_on, set_up, write_each, write_on};
use crate::rig::{Client, Dice, Server, binary, listening, seed};

const DIES_WITHIN: Duration = Duration::from_mins(1);
const SIGABRT: i32 = 6;

/// What leads to a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// The writers alone.
    Writes,
    /// Full feeds, one after the other.
    Imports,
    /// Backups, one after the other.
    Backups,
    /// Edits so large that journal files of 1 MiB fill up.
    LargeWrites,
    /// A start without an index.
    Start,
    /// The start that makes the store.
    FirstStart,
    /// An export imported over the store.
    Replace,
}

/// Every point, on how many of its first passes a kill may fall, and what leads there.
const POINTS: [(&str, u64, &[Way]); 34] = [
    ("frame.before-append", 40, &[Way::Writes]),
    ("frame.before-sync", 40, &[Way::Writes]),
    ("frame.after-sync", 40, &[Way::Writes]),
    ("group.before-swap", 40, &[Way::Writes]),
    ("group.after-swap", 40, &[Way::Writes]),
    ("snapshot.before-swap", 20, &[Way::Writes]),
    ("snapshot.after-swap", 20, &[Way::Writes]),
    ("commit.before-answer", 40, &[Way::Writes]),
    ("index.before-batch", 6, &[Way::Writes]),
    ("index.between-trees", 6, &[Way::Writes]),
    ("index.after-batch", 6, &[Way::Writes]),
    ("file.before-create", 1, &[Way::LargeWrites]),
    ("file.before-sync", 1, &[Way::LargeWrites]),
    ("file.after-sync", 1, &[Way::LargeWrites]),
    ("chunk.before-write", 4, &[Way::Imports]),
    ("chunk.before-sync", 4, &[Way::Imports]),
    ("chunk.before-rename", 4, &[Way::Imports]),
    ("chunk.after-rename", 4, &[Way::Imports]),
    ("import.before-commit", 2, &[Way::Imports]),
    ("import.before-result", 2, &[Way::Imports]),
    ("backup.before-write", 4, &[Way::Backups]),
    ("backup.before-rename", 4, &[Way::Backups]),
    ("backup.after-rename", 4, &[Way::Backups]),
    ("backup.before-prune", 4, &[Way::Backups]),
    ("resume.before-write", 2, &[Way::Start]),
    ("resume.before-sync", 2, &[Way::Start]),
    ("rebuild.between-trees", 2, &[Way::Start]),
    ("rebuild.after-load", 1, &[Way::Start]),
    ("replace.before-sync", 2, &[Way::FirstStart, Way::Replace]),
    ("replace.before-rename", 2, &[Way::FirstStart, Way::Replace]),
    ("replace.after-rename", 2, &[Way::FirstStart, Way::Replace]),
    ("current.before-switch", 1, &[Way::FirstStart, Way::Replace]),
    ("current.after-switch", 1, &[Way::FirstStart, Way::Replace]),
    (
        "generation.before-complete",
        1,
        &[Way::FirstStart, Way::Replace],
    ),
];

/// A store and what is known of it beside it.
struct World {
    _folder: tempfile::TempDir,
    data: PathBuf,
    key: String,
    round: Round,
    /// Number of the newest feed sent, and of the newest acknowledged.
    fed: (u64, u64),
    seed: u64,
}

/// Where a process shall die.
#[derive(Clone, Copy, Debug)]
struct Armed {
    point: &'static str,
    /// How often it passes there before.
    passes: u64,
}

impl Armed {
    fn arm(self, command: &mut Command, log: &Path) -> Child {
        let Self { point, passes } = self;
        command
            .env("FAILPOINTS", format!("{point}={passes}*off->return"))
            .stderr(File::create(log).unwrap())
            .spawn()
            .unwrap()
    }

    /// Waits for its death, and says so if it was not this one.
    fn wait(self, process: &mut Child, log: &Path) -> Result<(), String> {
        let status = ended(process);
        let said = fs::read_to_string(log).unwrap();
        // Other threads may log a line between that one and the end.
        let here = format!("dies at {}", self.point);
        let was_here = said.lines().any(|line| line == here);
        if status.signal() == Some(SIGABRT) && was_here {
            return Ok(());
        }
        Err(format!("{self:?}, but: {status:?}\n{said}"))
    }
}

/// How a process ended; by a kill of ours if it lives on.
fn ended(process: &mut Child) -> ExitStatus {
    let began = Instant::now();
    loop {
        if let Some(status) = process.try_wait().unwrap() {
            return status;
        }
        if DIES_WITHIN < began.elapsed() {
            process.kill().unwrap();
            return process.wait().unwrap();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let (key, round) = set_up(&data);
        Self {
            _folder: folder,
            data,
            key,
            round,
            fed: (0, 0),
            seed,
        }
    }

    fn log(&self) -> PathBuf {
        self.data.with_extension("stderr")
    }

    /// One death at a point, and a look at what is left.
    fn die(&mut self, way: Way, armed: Armed) {
        match way {
            Way::Replace => self.replace(armed),
            Way::Start => {
                self.lose_index();
                self.serve(way, armed);
            }
            _ => self.serve(way, armed),
        }
        check(&self.data, &self.key, &mut self.round);
        if way == Way::Imports {
            self.check_goods();
        }
    }

    /// Serves with everybody at work until the process dies.
    fn serve(&mut self, way: Way, armed: Armed) {
        let log = self.log();
        let mut command = Server::command(&self.data, &[]);
        if way == Way::LargeWrites {
            command.env("ENDCAP_STORE__JOURNAL_FILE_MIB", "1");
        }
        let mut process = armed.arm(&mut command, &log);
        let wait = |process: &mut Child| armed.wait(process, &log);
        let died = match listening(&mut process) {
            Some(address) => self.work(way, &address, || wait(&mut process)),
            None => wait(&mut process),
        };
        died.unwrap();
    }

    /// Everybody works until `until` returns, which it does when nobody is served any more.
    fn work<T>(&mut self, way: Way, address: &str, until: impl FnOnce() -> T) -> T {
        let ranks = Mutex::new(std::mem::take(&mut self.round.ranks));
        let (stop, seed, fed) = (AtomicBool::new(false), self.seed, &mut self.fed);
        let client = || Client::new(address, Some(&self.key));
        let said = std::thread::scope(|scope| {
            for (writer, history) in (0..).zip(&mut self.round.histories) {
                let client = client();
                let is_large = way == Way::LargeWrites && writer == 0;
                let edit = if is_large { large_edit } else { edit };
                scope.spawn(move || write_each(&client, writer, history, seed, edit));
            }
            let (reader, feeder, stop, seen) = (client(), client(), &stop, &ranks);
            scope.spawn(move || rank_on(&reader, stop, seen));
            match way {
                Way::Imports => drop(scope.spawn(move || feed_on(&feeder, fed))),
                Way::Backups => drop(scope.spawn(move || back_up_on(&feeder))),
                _ => {}
            }
            let said = until();
            stop.store(true, Ordering::Relaxed);
            said
        });
        self.round.ranks = ranks.into_inner().unwrap();
        said
    }

    /// Dies while an export takes the place of the store.
    fn replace(&mut self, armed: Armed) {
        let export = self.data.with_extension("jsonl");
        let (data, export) = (self.data.as_os_str(), export.as_os_str());
        let written = Command::new(binary())
            .args(["export", "store"])
            .args([export, "--data".as_ref(), data])
            .output()
            .unwrap();
        assert!(written.status.success(), "{written:?}");
        let mut command = Command::new(binary());
        command
            .args(["import", "store"])
            .args([export, "--into".as_ref(), data, "--replace".as_ref()])
            .stdin(Stdio::null())
            .stdout(Stdio::null());
        let log = self.log();
        let mut process = armed.arm(&mut command, &log);
        armed.wait(&mut process, &log).unwrap();
        fs::remove_file(export).unwrap();
    }

    fn lose_index(&self) {
        for entry in fs::read_dir(&self.data).unwrap() {
            let index = entry.unwrap().path().join("index");
            if index.exists() {
                fs::remove_dir_all(index).unwrap();
            }
        }
    }

    /// The goods are those of one feed, and none acknowledged is lost.
    fn check_goods(&mut self) {
        let server = Server::start(&self.data);
        let client = Client::new(&server.address, Some(&self.key));
        let (_, items) = rank(&client).unwrap();
        let feeds: BTreeSet<u64> = items.split(' ').map(feed_of).collect();
        let (sent, acknowledged) = self.fed;
        assert_eq!(feeds.len(), 1, "of several feeds: {items}");
        let stored = *feeds.first().unwrap();
        assert!(
            acknowledged <= stored && stored <= sent,
            "feed {stored} is stored, {acknowledged} acknowledged, {sent} sent"
        );
        self.fed.1 = stored;
        server.kill();
    }

    /// After all deaths a backup can be made, a stop is clean, and everything is whole.
    fn end(mut self) {
        let server = Server::start(&self.data);
        let client = Client::new(&server.address, Some(&self.key));
        let made = client.call("POST", "/v1/backups", None, &[]).unwrap();
        assert_eq!(made.status, 200, "{}", made.body);
        assert_eq!(server.terminate(1), Some(0));
        let verified = Command::new(binary())
            .arg("verify")
            .arg(&self.data)
            .output()
            .unwrap();
        assert!(verified.status.success(), "{verified:?}");
        check(&self.data, &self.key, &mut self.round);
    }
}

/// An edit of about 200 KiB.
fn large_edit(writer: u64, n: u64) -> Value {
    let mut body = edit(writer, n);
    let mut dice = Dice(n);
    let keys = (0..5_000).map(|_| format!("{:016x}{:016x}", dice.below(u64::MAX), n));
    body["selection"] = json!({ "handpicked": keys.collect::<Vec<_>>() });
    body
}

/// The feed that a variant came with; 0 is that of the set-up.
fn feed_of(variant: &str) -> u64 {
    let number = variant
        .strip_prefix('i')
        .and_then(|rest| rest.split('.').next());
    number.map_or(0, |number| number.parse().unwrap())
}

/// Full feeds, each with variants of its own, until the server is gone.
fn feed_on(client: &Client, (sent, acknowledged): &mut (u64, u64)) {
    let path = "/v1/markets/se/imports?kind=catalogue&mode=full&format=ndjson";
    loop {
        let n = *sent + 1;
        let line = |product| {
            let variant = format!(
                r#""i{n}.{product:03}":{{"list_price":"{n}.00","score":"{}"}}"#,
                1_000 - product
            );
            format!(r#"{{"op":"replace","product":"p{product:03}","variants":{{{variant}}}}}"#)
        };
        let feed: String = (0..N_PRODUCTS)
            .map(|product| line(product) + "\n")
            .collect();
        *sent = n;
        match client.send("POST", path, ("application/x-ndjson", &feed), &[]) {
            Some(answer) if answer.status == 200 => *acknowledged = n,
            Some(answer) => {
                assert!(
                    [429, 503].contains(&answer.status),
                    "{} {}",
                    answer.status,
                    answer.body
                );
                std::thread::sleep(Duration::from_millis(20));
            }
            None => return,
        }
    }
}

/// Backups until the server is gone.
fn back_up_on(client: &Client) {
    while let Some(answer) = client.call("POST", "/v1/backups", None, &[]) {
        if answer.status != 200 {
            assert!(
                [429, 503].contains(&answer.status),
                "{} {}",
                answer.status,
                answer.body
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// A store that died while it was made is made by the next start.
fn die_at_first_start(armed: Armed, seed: u64) {
    let folder = tempfile::tempdir().unwrap();
    let (data, log) = (folder.path().join("data"), folder.path().join("stderr"));
    let mut process = armed.arm(&mut Server::command(&data, &[]), &log);
    armed.wait(&mut process, &log).unwrap();
    let (key, mut round) = set_up(&data);
    let server = Server::start(&data);
    let client = Client::new(&server.address, Some(&key));
    std::thread::scope(|scope| {
        let history = &mut round.histories[0];
        scope.spawn(move || write_on(&client, 0, history, seed));
        std::thread::sleep(Duration::from_millis(100));
        server.kill();
    });
    check(&data, &key, &mut round);
}

/// The names of all points in the sources.
fn in_sources(dir: &Path, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            in_sources(&path, found);
            continue;
        }
        for line in fs::read_to_string(&path).unwrap().lines() {
            let call = line.trim().strip_prefix("fault!(\"");
            found.extend(call.and_then(|rest| Some(rest.split_once('"')?.0.to_owned())));
        }
    }
}

#[test]
fn every_fault_point_of_the_sources_is_known_here() {
    let mut found = BTreeSet::new();
    in_sources(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("src"),
        &mut found,
    );
    let known: BTreeSet<String> = POINTS
        .iter()
        .map(|(point, ..)| (*point).to_owned())
        .collect();
    assert_eq!(found, known);
    assert_eq!(known.len(), POINTS.len());
}

#[test]
fn no_acknowledged_write_is_lost_at_any_fault_point() {
    let n_kills = std::env::var("ENDCAP_FAULTS").map_or(1, |n| n.parse().unwrap());
    let only = std::env::var("ENDCAP_FAULT").ok();
    let seed = seed();
    let mut dice = Dice(seed);
    // Each way has a store of its own, so that large edits do not burden the others.
    let mut worlds = BTreeMap::new();
    let (began, mut n_done) = (Instant::now(), 0);
    for (point, n_passes, ways) in POINTS {
        if only.as_ref().is_some_and(|only| only != point) {
            continue;
        }
        for (way, _) in ways
            .iter()
            .flat_map(|way| (0..n_kills).map(move |n| (*way, n)))
        {
            let passes = dice.below(n_passes);
            let armed = Armed { point, passes };
            println!("{:?} {way:?} {armed:?}", began.elapsed());
            if way == Way::FirstStart {
                die_at_first_start(armed, seed);
            } else {
                let world = worlds.entry(way).or_insert_with(|| World::new(seed));
                world.die(way, armed);
            }
            n_done += 1;
        }
    }
    worlds.into_values().for_each(World::end);
    println!("{n_done} deaths at fault points, seed {seed}: nothing lost");
}
