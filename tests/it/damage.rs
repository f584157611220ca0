//! Damaged files of every kind: each start ends as what it says, and nothing wrong is served.
//!
//! A whole server builds a store once, with goods, promotions, events and backups. Then, for each
//! kind of file and each kind of damage, one copy of it is damaged and started, and ends in exactly
//! one class:
//!
//! - *same*: nothing was mended, everything is as it was left
//! - *repaired*: the report says what was mended, everything is as it was left
//! - *older*: an earlier whole state is served read-only, or a market's goods are earlier ones
//! - *refused*: the start names the file, the offset and the remedy
//!
//! Where the end of a journal and the index are gone together, nothing tells that loss from a kill in
//! the middle of a write: then it is an earlier whole state, and what was cut is reported.
//!
//! A difference that nobody was told of fails, and so does a panic or a minute without an end.
//!
//! `ENDCAP_SEED=n` draws other places, `ENDCAP_DAMAGES=n` so many in each cell (2).

use std::collections::BTreeMap;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use endcap::store::Mode;
use endcap::store::sim::Dice;
use endcap::store::start::{self, Class, StartError};
use serde_json::Value;

use crate::app::App;
use crate::golden::{Golden, Held, Records, parts, run, store_settings};

const START_WITHIN: Duration = Duration::from_mins(1);

/// Which file is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum File {
    ConfigJournal,
    TradeJournal,
    EventsJournal,
    Index,
    Chunk,
    Current,
    Format,
    ConfigBackup,
    TradeBackup,
    BackupChunk,
    Ballast,
    Lock,
    /// A journal, with the index gone as well.
    JournalAndIndex,
}

const FILES: [File; 13] = [
    File::ConfigJournal,
    File::TradeJournal,
    File::EventsJournal,
    File::Index,
    File::Chunk,
    File::Current,
    File::Format,
    File::ConfigBackup,
    File::TradeBackup,
    File::BackupChunk,
    File::Ballast,
    File::Lock,
    File::JournalAndIndex,
];

/// What is done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Harm {
    EndCut,
    CutAnywhere,
    BitFlipped,
    Zeroed,
    Garbage,
    Appended,
    Emptied,
    Removed,
    /// Something half written beside it.
    HalfWritten,
}

const HARMS: [Harm; 9] = [
    Harm::EndCut,
    Harm::CutAnywhere,
    Harm::BitFlipped,
    Harm::Zeroed,
    Harm::Garbage,
    Harm::Appended,
    Harm::Emptied,
    Harm::Removed,
    Harm::HalfWritten,
];

/// How a start ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Ended {
    Same,
    Repaired,
    /// Taken for a kill that nothing contradicts: an earlier whole state, and the report says what
    /// was cut. Only where the journal's end and the index are gone together.
    Earlier,
    Older,
    Refused,
}

/// All files below `dir` for which `fits` holds, sorted.
fn files(dir: &Path, fits: &dyn Fn(&str) -> bool) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, fits));
        } else if fits(path.file_name().unwrap().to_str().unwrap()) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// One of the files of a kind.
fn pick(data: &Path, file: File, dice: &mut Dice) -> PathBuf {
    let generation = data.join("gen-0001");
    let any = |_: &str| true;
    let found = match file {
        File::ConfigJournal => files(&generation.join("config"), &any),
        File::TradeJournal => files(&generation.join("trade"), &any),
        File::EventsJournal => files(&generation.join("events"), &any),
        File::Index => files(&generation.join("index"), &any),
        File::Chunk => files(&generation.join("chunks"), &any),
        File::Current => vec![data.join("CURRENT")],
        File::Format => vec![generation.join("FORMAT")],
        File::ConfigBackup => files(&data.join("backup"), &|name| name.starts_with("config-")),
        File::TradeBackup => files(&data.join("backup"), &|name| name.starts_with("trade-")),
        File::BackupChunk => files(&data.join("backup/chunks"), &any),
        File::Ballast => vec![data.join("ballast")],
        File::Lock => vec![data.join("LOCK")],
        File::JournalAndIndex => {
            fs::remove_dir_all(generation.join("index")).unwrap();
            let space = ["config", "trade"][dice.place(2)];
            files(&generation.join(space), &any)
        }
    };
    found[dice.place(found.len())].clone()
}

/// Damages one file; says what was done to it.
fn damage(data: &Path, file: File, harm: Harm, dice: &mut Dice) -> String {
    let path = pick(data, file, dice);
    let mut bytes = fs::read(&path).unwrap();
    let length = bytes.len();
    let at = dice.place(length);
    let end = length.min(at + 4_096);
    let mut noise = vec![0; 4_096];
    dice.fill(&mut noise);
    match harm {
        Harm::EndCut => bytes.truncate(length.saturating_sub(1 + dice.place(2_000))),
        Harm::CutAnywhere => bytes.truncate(at),
        Harm::BitFlipped if length == 0 => {}
        Harm::BitFlipped => bytes[at] ^= 1 << dice.below(8),
        Harm::Zeroed => bytes[at..end].fill(0),
        Harm::Garbage => bytes[at..end].copy_from_slice(&noise[..end - at]),
        Harm::Appended => bytes.extend_from_slice(&noise[..=dice.place(4_000)]),
        Harm::Emptied => bytes.clear(),
        Harm::Removed | Harm::HalfWritten => {}
    }
    match harm {
        Harm::Removed => fs::remove_file(&path).unwrap(),
        Harm::HalfWritten => {
            let name = match file {
                File::Index => "snap.00000000000FFFFF.generating".to_owned(),
                _ => format!("{}.new", path.file_name().unwrap().display()),
            };
            fs::write(path.with_file_name(name), &noise[..dice.place(4_000)]).unwrap();
        }
        _ => fs::write(&path, &bytes).unwrap(),
    }
    let below = path.strip_prefix(data).unwrap().display().to_string();
    format!("{below} {harm:?} at {at} of {length}")
}

/// Starts a damaged copy and says how it ended; what is wrong with that is an error.
fn start_damaged(golden: &Golden, file: File, data: &Path) -> Result<Ended, String> {
    let stores = match start::open(&store_settings(data), &parts(data)) {
        Ok(stores) => stores,
        Err(error @ StartError::Damaged { .. }) => {
            let said = error.to_string();
            let names = said.contains(data.to_str().unwrap());
            let helps = said.contains("at byte") && said.contains("endcap ");
            return if names && helps {
                Ok(Ended::Refused)
            } else {
                Err(format!("refused without a way out: {said}"))
            };
        }
        Err(other) => return Err(format!("no start: {other}")),
    };
    let report = stores.report.clone();
    run(async {
        let app = App::over(stores, golden.operator.clone())
            .await
            .map_err(|error| format!("no engine: {error}"))?;
        let held = Held::of(&app).await;
        let ready = app.get("/health/ready").await;
        ready.is(200);
        let said = judge((golden, file), &held, &app, &report, &ready.json);
        app.engine.stop();
        said
    })
}

fn judge(
    (golden, file): (&Golden, File),
    held: &Held,
    app: &App,
    report: &start::Report,
    ready: &Value,
) -> Result<Ended, String> {
    let stores = app.engine.stores();
    let modes = [
        stores.config.health().mode,
        stores.trade.health().mode,
        stores.events.health().mode,
    ];
    let is_earlier = held.records.iter().zip(&golden.held.records).all(is_past);
    if report.class == Class::Older || ready.get("damaged").is_some() {
        let is_marked = modes.contains(&Mode::Older) || ready.get("damaged").is_some();
        let n_events = held.events.len().max(1);
        let mut parts = golden.held.events.windows(n_events);
        let is_part = held.events.is_empty() || parts.any(|part| part == held.events);
        return if is_marked && is_earlier && is_part {
            Ok(Ended::Older)
        } else {
            Err(format!("older, but of no past: {modes:?}, {report:?}"))
        };
    }
    if *held != golden.held {
        // Nothing is left that knows of the newest commits, so their loss looks like a torn write.
        let knows_no_more = file == File::JournalAndIndex && report.class == Class::Repaired;
        if knows_no_more && is_earlier {
            return Ok(Ended::Earlier);
        }
        return Err(format!("silently other: {report:?}"));
    }
    if modes != [Mode::Ok; 3] {
        return Err(format!("whole, and takes no writes: {modes:?}, {report:?}"));
    }
    Ok(match report.class {
        Class::Whole => Ended::Same,
        _ => Ended::Repaired,
    })
}

/// Whether every record of an earlier state is one that was there, or was overwritten since.
fn is_past((held, golden): (&Records, &Records)) -> bool {
    held.iter().all(|(key, (revision, content))| {
        golden
            .get(key)
            .is_none_or(|(newest, own)| revision < newest || (revision, content) == (newest, own))
    })
}

/// One cell of the table, once: within a minute, without a panic.
fn cell(golden: &Arc<Golden>, (file, harm, seed): (File, Harm, u64)) -> Result<Ended, String> {
    let mut dice = Dice::new(seed);
    let dir = tempfile::tempdir().unwrap();
    let data = golden.copy(dir.path());
    let what = damage(&data, file, harm, &mut dice);
    let (answer, ended) = mpsc::channel();
    let golden = Arc::clone(golden);
    std::thread::spawn(move || {
        let said = catch_unwind(AssertUnwindSafe(|| start_damaged(&golden, file, &data)));
        drop(answer.send(said.unwrap_or_else(|panic| {
            let text = panic.downcast_ref::<String>().cloned();
            Err(format!("panicked: {}", text.unwrap_or_default()))
        })));
    });
    let said = ended.recv_timeout(START_WITHIN);
    said.unwrap_or_else(|_| Err("no end within a minute".to_owned()))
        .map_err(|why| format!("{file:?}, {harm:?}, seed {seed}: {what}: {why}"))
}

/// Classes of all cells, and what went wrong.
#[derive(Default)]
struct Table {
    counts: BTreeMap<File, BTreeMap<Ended, u32>>,
    failures: Vec<String>,
}

impl Table {
    fn note(&mut self, file: File, ended: Ended) {
        *self
            .counts
            .entry(file)
            .or_default()
            .entry(ended)
            .or_default() += 1;
    }

    fn n(&self, fits: impl Fn(File, Ended) -> bool) -> u32 {
        let cells = self
            .counts
            .iter()
            .flat_map(|(file, ended)| ended.iter().map(|(ended, n)| (*file, *ended, *n)));
        cells
            .filter(|(file, ended, _)| fits(*file, *ended))
            .map(|(.., n)| n)
            .sum()
    }
}

#[test]
fn every_damage_is_repaired_reported_or_refused() {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let (first, n_each) = (number("ENDCAP_SEED").unwrap_or(1), number("ENDCAP_DAMAGES"));
    let began = Instant::now();
    let golden = Arc::new(Golden::build());
    let mut cells = Vec::new();
    for file in FILES {
        for harm in HARMS {
            cells.extend((first..first + n_each.unwrap_or(2)).map(|seed| (file, harm, seed)));
        }
    }
    let n_cells = u32::try_from(cells.len()).unwrap();
    let (cells, table) = (Mutex::new(cells), Mutex::new(Table::default()));
    let work = || {
        loop {
            let Some(next) = cells.lock().unwrap().pop() else {
                return;
            };
            let said = cell(&golden, next);
            let mut table = table.lock().unwrap();
            match said {
                Ok(ended) => table.note(next.0, ended),
                Err(why) => table.failures.push(why),
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
    let table = table.into_inner().unwrap();
    for (file, ended) in &table.counts {
        println!("{file:?}: {ended:?}");
    }
    println!("{n_cells} starts in {:?}", began.elapsed());
    let (failures, n_failed) = (table.failures.join("\n"), table.failures.len());
    assert!(failures.is_empty(), "{n_failed} of {n_cells}:\n{failures}");
    let is_good = |ended| matches!(ended, Ended::Same | Ended::Repaired);
    let index_bad = table.n(|file, ended| file == File::Index && !is_good(ended));
    assert_eq!(
        index_bad, 0,
        "index damage costs nothing while the rest is whole"
    );
    // The event log has no second copy: its damage is told, and what lies before it served.
    let has_copy = |file| {
        let is_backup = matches!(file, File::ConfigBackup | File::TradeBackup);
        !is_backup && !matches!(file, File::JournalAndIndex | File::EventsJournal)
    };
    let all = table.n(|file, _| has_copy(file));
    let good = table.n(|file, ended| has_copy(file) && is_good(ended));
    println!("with whole backups {good} of {all} same or repaired");
    assert!(97 * all <= 100 * good, "{good} of {all} same or repaired");
    let classes = [Ended::Same, Ended::Repaired, Ended::Older];
    assert!(
        classes
            .iter()
            .all(|class| 0 < table.n(|_, ended| ended == *class))
    );
}
