//! The n-th call to the disk fails, for every n and in every way that call can fail.
//!
//! One fixed script of 200 store operations runs over a simulated disk, once without a fault: that
//! numbers its calls. Then, for each call and each kind of fault that the call heeds, it runs from
//! the last kill before that call to the first kill behind it. The call fails once; the disk is
//! sound again behind it. What was acknowledged must be there in every case: after power loss with
//! nothing of what was not synced, and with half or all of it; all is what a kill leaves.
//!
//! `ENDCAP_NTH=n` fails call n only.

use std::collections::BTreeSet;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Instant;

use endcap::domain::time::Timestamp;
use endcap::store::backup::BackupError;
use endcap::store::backup::export::export_stopped;
use endcap::store::backup::import::{Over, import};
use endcap::store::chunk::ChunkHash;
use endcap::store::commit::{Commit, CommitError, Expected};
use endcap::store::index::follower::Progress;
use endcap::store::index::plain::{Content, PlainIndex};
use endcap::store::seam::BackupPoint;
use endcap::store::sim::{Dice, Fault, FaultKind, SimDisk, Survival};
use endcap::store::start::{self, Class, Parts, Raised, Settings};
use endcap::store::{Mode, Revision};

use crate::nth_io_script::{Operation, script};
use crate::rig::{Rig, SeededEntropy, TIME, commit, delete, key, put};
use crate::twin::Expectation;

const KINDS: [FaultKind; 4] = [
    FaultKind::Io,
    FaultKind::NoSpace,
    FaultKind::ShortWrite,
    FaultKind::LostSync,
];

const EXPORT: &str = "/export";

/// What a run met, over all runs: a proof that the faults bite.
#[derive(Clone, Copy, Debug, Default)]
struct Met {
    runs: u64,
    unknown: u64,
    full: u64,
    read_only: u64,
    refused_starts: u64,
    lost_imports: u64,
}

/// What is known of a store beside it.
#[derive(Clone)]
struct Known {
    /// The next operation of the script.
    next: usize,
    dice: Dice,
    spaces: [Expectation; 3],
    chunks: BTreeSet<ChunkHash>,
    backups: Vec<BackupPoint>,
    next_id: u64,
}

/// A store that nobody runs.
struct Killed {
    disk: SimDisk,
    index: Content,
    known: Known,
    /// Calls made to its disk so far.
    calls: u64,
}

struct Run {
    disk: SimDisk,
    index: PlainIndex,
    settings: Settings,
    parts: Parts,
    fault: Option<Fault>,
    raised: Option<Raised>,
    known: Known,
    /// Spaces that take nothing more until restart.
    is_frozen: [bool; 3],
    /// Calls that looking made; no fault is meant for them.
    looks: Vec<Range<u64>>,
    met: Met,
}

impl Killed {
    /// An empty disk.
    fn fresh() -> Self {
        Self {
            disk: SimDisk::new(1 << 30),
            index: Content::default(),
            known: Known {
                next: 0,
                dice: Dice::new(9),
                spaces: Default::default(),
                chunks: BTreeSet::new(),
                backups: Vec::new(),
                next_id: 0,
            },
            calls: 0,
        }
    }

    /// The same store on a disk of its own.
    fn run(&self, fault: Option<Fault>) -> Run {
        let (disk, index) = (self.disk.fork(), PlainIndex::default());
        index.replace(self.index.clone());
        let (settings, parts) = fresh_parts(&disk, &index);
        disk.set_fault(fault);
        Run {
            disk,
            index,
            settings,
            parts,
            fault,
            raised: None,
            known: self.known.clone(),
            is_frozen: [false; 3],
            looks: Vec::new(),
            met: Met::default(),
        }
    }
}

/// What a process that begins now is built upon.
fn fresh_parts(disk: &SimDisk, index: &PlainIndex) -> (Settings, Parts) {
    let rig = Rig::Simulated(disk.clone(), index.clone());
    let settings = Settings {
        journal_file_bytes: 3_072,
        ..rig.settings()
    };
    let parts = Parts {
        entropy: SeededEntropy::new(disk.calls()),
        ..rig.parts()
    };
    (settings, parts)
}

impl Run {
    /// One operation a minute.
    fn minute(&self) -> i64 {
        i64::try_from(self.known.next).unwrap()
    }

    fn has_struck(&self) -> bool {
        0 < self.disk.strikes()
    }

    /// An operation failed: there must have been a fault.
    #[track_caller]
    fn excuse(&self, what: &dyn std::fmt::Debug) {
        assert!(self.has_struck(), "failed on a sound disk: {what:?}");
    }

    /// The script from here to the first kill behind the fault, then what is left after power
    /// losses at that moment. A kill is the one of them that all unsynced writes survive.
    fn go(&mut self) {
        self.start();
        while let Some(operation) = script().get(self.known.next) {
            if self.has_struck() && operation.kills() {
                break;
            }
            self.known.next += 1;
            self.perform(*operation);
        }
        let some = match self.disk.calls() % 2 {
            0 => Survival::Percent(50),
            _ => Survival::All,
        };
        for survival in [Survival::None, some] {
            let left = self.killed();
            let mut dice = Dice::new(left.calls);
            left.disk.cut_power(&mut dice, survival);
            left.run(None).look();
        }
    }

    /// The whole script without a fault: the store as it was before the first operation and at
    /// each kill.
    fn go_soundly(&mut self) -> Vec<Killed> {
        let mut begun = vec![Killed::fresh()];
        self.start();
        while let Some(operation) = script().get(self.known.next) {
            self.known.next += 1;
            if operation.kills() {
                self.die(*operation);
                begun.push(self.killed());
                self.start();
            } else {
                self.perform(*operation);
            }
        }
        begun
    }

    /// What a kill leaves at this moment.
    fn killed(&self) -> Killed {
        let disk = self.disk.fork();
        disk.kill_process();
        Killed {
            calls: disk.calls(),
            disk,
            index: self.index.content(),
            known: self.known.clone(),
        }
    }

    /// Everything acknowledged is there, and the store goes on.
    fn look(&mut self) {
        let mut raised = self.raise().unwrap();
        self.check(&mut raised);
        for (place, writer) in raised.writers.iter_mut().enumerate() {
            assert_eq!(writer.shared().mode(), Mode::Ok, "space {place}");
            let made = writer.group(&[commit(900_000, vec![put("promo.last", b"x")])]);
            let next = Revision(self.known.spaces[place].revision).next();
            assert_eq!(made, [Ok(next)]);
        }
        for hash in &self.known.chunks {
            let content = raised.chunks.get(hash).unwrap();
            assert_eq!(ChunkHash::of(&content), *hash);
        }
        for point in self.known.backups.iter().rev().take(2) {
            raised.backups.read(point, &mut |_, _| Ok(())).unwrap();
        }
    }

    fn raise(&self) -> Result<Raised, start::StartError> {
        start::raise(&self.settings, &self.parts)
    }

    /// Brings the store up. A fault may keep it from coming up, or leave it read-only; then it
    /// comes up with the next try, and with everything.
    fn start(&mut self) {
        let before = self.disk.strikes();
        let first = self.raise();
        let struck = before < self.disk.strikes();
        let mut raised = match first {
            Ok(raised) if raised.report.class < Class::Older => raised,
            failed => {
                let said = failed
                    .map(|raised| raised.report)
                    .map_err(|e| e.to_string());
                assert!(struck, "no start on a sound disk: {said:?}");
                self.met.refused_starts += 1;
                self.raise().unwrap()
            }
        };
        self.check(&mut raised);
        for (place, writer) in raised.writers.iter().enumerate() {
            let mode = writer.shared().mode();
            assert!(mode == Mode::Ok || struck, "{:?}", raised.report);
            self.is_frozen[place] = mode != Mode::Ok;
        }
        self.raised = Some(raised);
    }

    /// What is there is what was acknowledged. Nothing fails while it is looked at.
    fn check(&mut self, raised: &mut Raised) {
        let report = &raised.report;
        assert!(report.class < Class::Older, "{report:?}");
        let before = self.disk.calls();
        self.disk.set_fault(None);
        while raised.follower.step() != Progress::CaughtUp {
            self.excuse(&"no index");
        }
        for (space, writer) in self.known.spaces.iter_mut().zip(&raised.writers) {
            space.check(writer.shared());
        }
        self.arm();
        self.looks.push(before + 1..self.disk.calls() + 1);
    }

    /// Lets the fault strike if it has not yet.
    fn arm(&self) {
        self.disk
            .set_fault(self.fault.filter(|_| !self.has_struck()));
    }

    fn stop(&mut self) {
        if let Some(mut raised) = self.raised.take() {
            raised.follower.finish();
        }
    }

    fn perform(&mut self, operation: Operation) {
        match operation {
            Operation::Commits(place) => self.commits(place),
            Operation::Put => self.put(),
            Operation::Get => self.get(),
            Operation::Index => {
                let progress = self.raised().follower.step();
                if progress == Progress::Waiting {
                    self.excuse(&progress);
                }
            }
            Operation::BackUp => {
                if let Err(error) = self.back_up() {
                    self.excuse(&error);
                }
            }
            Operation::Trim => self.trim(),
            Operation::Retain => self.retain(),
            Operation::Restart => {
                self.stop();
                self.start();
            }
            Operation::Kill | Operation::LoseIndex => {
                self.die(operation);
                self.start();
            }
            Operation::Import => self.import(),
        }
    }

    fn raised(&mut self) -> &mut Raised {
        self.raised.as_mut().unwrap()
    }

    fn die(&mut self, how: Operation) {
        self.raised = None;
        self.disk.kill_process();
        self.parts = fresh_parts(&self.disk, &self.index).1;
        self.arm();
        if matches!(how, Operation::LoseIndex) {
            self.index.replace(Content::default());
        }
    }

    /// Hands a group to a writer: no acknowledgement without durability, none after a failed sync.
    fn commits(&mut self, place: usize) {
        let n_commits = 1 + self.known.dice.below(3);
        let commits: Vec<(u64, Commit)> = (0..n_commits).map(|_| self.draw(place)).collect();
        let list: Vec<Commit> = commits.iter().map(|(_, commit)| commit.clone()).collect();
        let answers = self.raised().writers[place].group(&list);
        let mut next = self.known.spaces[place].clone();
        let mut admitted = Vec::new();
        for (n, commit) in &commits {
            admitted.push(next.admits(*n, commit));
            if admitted.last() == Some(&true) {
                next.apply(*n, commit);
            }
        }
        let failed = |answer: &Result<_, CommitError>| {
            matches!(
                answer,
                Err(CommitError::Unknown | CommitError::ReadOnly | CommitError::Full)
            )
        };
        if let Some(why) = answers.iter().find(|answer| failed(answer)) {
            self.excuse(why);
            assert!(answers.iter().all(Result::is_err), "{answers:?}");
            self.fail(place, &answers, next);
            return;
        }
        for ((n, _), (answer, admitted)) in commits.iter().zip(answers.iter().zip(admitted)) {
            assert_eq!(answer.is_ok(), admitted, "{answer:?}");
            assert!(!self.is_frozen[place] || !admitted, "{answer:?}");
            if let Ok(revision) | Err(CommitError::AlreadyDone(revision)) = answer {
                assert_eq!(next.ids[n], revision.0);
            }
        }
        self.known.spaces[place] = next;
    }

    /// A group failed: it is wholly there or not at all if that is unknown, else it is not.
    fn fail(&mut self, place: usize, answers: &[Result<Revision, CommitError>], next: Expectation) {
        let has = |error: CommitError| answers.contains(&Err(error));
        if has(CommitError::Unknown) {
            assert!(!self.is_frozen[place], "{answers:?}");
            self.known.spaces[place].open = Some(Box::new(next));
            self.met.unknown += 1;
        }
        self.is_frozen[place] |= has(CommitError::Unknown) || has(CommitError::ReadOnly);
        self.met.read_only += u64::from(has(CommitError::ReadOnly));
        self.met.full += u64::from(has(CommitError::Full));
    }

    fn draw(&mut self, place: usize) -> (u64, Commit) {
        let repeats = 0 < self.known.next_id && self.known.dice.percent(8);
        let n = if repeats {
            self.known.next_id - 1 - self.known.dice.below(self.known.next_id.min(8))
        } else {
            self.known.next_id
        };
        self.known.next_id = self.known.next_id.max(n + 1);
        let stem = ["promo", "cal", "order", "audit"][self.known.dice.place(4)];
        let mut payload = vec![0; 20 + self.known.dice.place(120)];
        self.known.dice.fill(&mut payload);
        let name = format!("{stem}.{}", self.known.dice.below(2));
        let is_gone = place != 2 && self.known.dice.percent(15);
        let write = if is_gone {
            delete(&name)
        } else {
            put(&name, &payload)
        };
        let mut drawn = commit(n, vec![write]);
        drawn.at = Timestamp(TIME.0 + self.minute() * 60_000);
        // Cold keys cannot be guarded while the index is rebuilt, so guards stay with hot ones.
        if place != 2 && self.known.dice.percent(30) {
            let name = format!("cal.{}", self.known.dice.below(2));
            let found = self.known.spaces[place].state.get(&name);
            let expected = found.map_or(Expected::Absent, |(at, _)| Expected::At(Revision(*at)));
            drawn = drawn.guarded(key(&name), expected);
        }
        (n, drawn)
    }

    fn put(&mut self) {
        let content = format!("chunk of minute {}", self.minute()).into_bytes();
        let put = self.raised().chunks.put(&content);
        match put {
            Ok(hash) => drop(self.known.chunks.insert(hash)),
            Err(error) => self.excuse(&error),
        }
    }

    fn get(&mut self) {
        let Some(hash) = self.known.chunks.first().copied() else {
            return;
        };
        match self.raised().chunks.get(&hash) {
            Ok(content) => assert_eq!(ChunkHash::of(&content), hash),
            Err(error) => self.excuse(&error),
        }
    }

    fn back_up(&mut self) -> Result<(), BackupError> {
        let raised = self.raised.as_mut().unwrap();
        raised.follower.finish();
        raised.backups.copy_chunks(raised.chunks.as_ref())?;
        for state in raised.follower.states()? {
            let point = state.point();
            if raised.backups.verified(point.identity)?.first() != Some(&point) {
                raised
                    .backups
                    .write(&point, &state, raised.chunks.as_ref())?;
            }
            self.known.backups.push(point);
        }
        Ok(())
    }

    fn trim(&mut self) {
        let raised = self.raised.as_mut().unwrap();
        for writer in &mut raised.writers[..2] {
            let identity = writer.shared().identity();
            let points = raised.backups.verified(identity);
            let trimmed = match points.as_deref() {
                Ok([_, second, ..]) => writer.trim(second.revision.next()),
                Ok(_) => Ok(()),
                Err(error) => Err(std::io::Error::other(error.to_string())),
            };
            if let Err(error) = trimmed {
                assert!(0 < self.disk.strikes(), "{error}");
            }
        }
    }

    fn retain(&mut self) {
        let live = self.known.chunks.clone();
        for hour in [1, 3] {
            let now = Timestamp(TIME.0 + hour * 3_600_000);
            if let Err(error) = self.raised().chunks.retain(&live, now) {
                self.excuse(&error);
            }
        }
    }

    /// Replaced by its own export, or as it was.
    fn import(&mut self) {
        self.stop();
        self.start();
        self.stop();
        let path = Path::new(EXPORT);
        let later = Parts {
            now: Timestamp(TIME.0 + 86_400_000),
            ..self.parts.clone()
        };
        let exported = export_stopped(&self.settings, &self.parts, path);
        if let Err(error) = &exported {
            self.excuse(error);
            export_stopped(&self.settings, &self.parts, path).unwrap();
        }
        let imported = import(&self.settings, &later, path, Over::Store);
        let raised = match self.raise() {
            Ok(raised) if raised.report.class < Class::Older => raised,
            failed => {
                self.excuse(&failed.map(|raised| raised.report));
                self.raise().unwrap()
            }
        };
        let era = raised.identity.era;
        drop(raised);
        if let Err(error) = &imported {
            self.excuse(error);
            self.met.lost_imports += u64::from(era == 1);
        }
        assert!(imported.is_err() || era != 1, "imported, and gone");
        if era != 1 {
            for space in &mut self.known.spaces {
                space.revision = era - 1;
                space.ids.clear();
            }
            self.known.spaces[2].state.clear();
            self.known.backups.clear();
        }
        self.start();
    }
}

/// Runs the script with one fault; a failure names it.
fn run(begun: &[Killed], fault: Fault) -> Result<Met, String> {
    let place = begun.partition_point(|killed| killed.calls < fault.at_call) - 1;
    let mut run = begun[place].run(Some(fault));
    let gone = catch_unwind(AssertUnwindSafe(|| {
        run.go();
        assert_eq!(run.disk.strikes(), 1, "the fault never struck");
    }));
    gone.map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
        format!("{fault:?}: {}", text.unwrap_or_default())
    })?;
    Ok(Met { runs: 1, ..run.met })
}

/// Every call of the script and every kind of fault that it heeds, and where to begin.
fn faults() -> (Vec<Killed>, Vec<Fault>) {
    let mut sound = Killed::fresh().run(None);
    let begun = sound.go_soundly();
    let mut again = Killed::fresh().run(None);
    again.go_soundly();
    sound.killed().run(None).look();
    let only: Option<u64> = std::env::var("ENDCAP_NTH").ok().map(|n| n.parse().unwrap());
    let mut faults = Vec::new();
    for kind in KINDS {
        let calls = sound.disk.calls_heeding(kind);
        assert_eq!(calls, again.disk.calls_heeding(kind), "a run repeats");
        let is_look = |n: &u64| sound.looks.iter().any(|look| look.contains(n));
        let calls = calls
            .into_iter()
            .filter(|n| !is_look(n) && only.is_none_or(|o| o == *n));
        faults.extend(calls.map(|at_call| Fault { at_call, kind }));
    }
    (begun, faults)
}

#[test]
fn whichever_call_fails_nothing_acknowledged_is_lost() {
    let began = Instant::now();
    assert_eq!(script().len(), 200);
    let (begun, faults) = faults();
    let (begun, faults) = (&begun[..], &faults[..]);
    let half = |half| {
        let own = faults.iter().skip(half).step_by(2);
        own.map(|fault| run(begun, *fault)).collect::<Vec<_>>()
    };
    let (said, other) = std::thread::scope(|scope| {
        let other = scope.spawn(|| half(1));
        (half(0), other.join().unwrap())
    });
    let mut met = Met::default();
    let mut failures = Vec::new();
    for said in said.into_iter().chain(other) {
        match said {
            Ok(one) => met.add(one),
            Err(failure) => failures.push(failure),
        }
    }
    println!("{met:?} in {:?}", began.elapsed());
    assert!(
        failures.is_empty(),
        "{} of {}:\n{}",
        failures.len(),
        faults.len(),
        failures.join("\n\n")
    );
    if std::env::var("ENDCAP_NTH").is_ok() {
        return;
    }
    let bites = [met.unknown, met.full, met.read_only, met.refused_starts];
    assert!(bites.iter().all(|n| 0 < *n) && 1_000 < met.runs, "{met:?}");
}

impl Met {
    fn add(&mut self, one: Self) {
        self.runs += one.runs;
        self.unknown += one.unknown;
        self.full += one.full;
        self.read_only += one.read_only;
        self.refused_starts += one.refused_starts;
        self.lost_imports += one.lost_imports;
    }
}
