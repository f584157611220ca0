//! What a durable commit, a batch of events, a start and a rebuild cost, against the bare disk.
//!
//! Data: values of 300 bytes that no packing makes smaller under 100,000 hot keys, each commit one
//! of them, in a fresh directory of the build folder. Events: 1,000 a call, 60 bytes each, spread
//! over the 16 partitions. The bare twin of a lone commit appends the same bytes to a file of its
//! own and syncs it; both take turns, since a disk has its moods, and ratios are those of medians.
//!
//! `start`: a store of 200,000 records (`ENDCAP_BENCH_RECORDS`), opened as it was closed, with its
//! index gone, and with memory alone folding the journal.

#![expect(clippy::unwrap_used, reason = "a bench ends at the first surprise")]
#![expect(clippy::print_stdout, reason = "figures are this program's answer")]

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use endcap::domain::time::Timestamp;
use endcap::store::codec::{CodecError, Kind};
use endcap::store::commit::{Commit, CommitId, Write};
use endcap::store::event::{EventBatch, LogPosition, Partition};
use endcap::store::folded::Folded;
use endcap::store::index::compact::CompactAbove;
use endcap::store::journal::frame::{Frame, Record};
use endcap::store::key::Key;
use endcap::store::opened::Opened;
use endcap::store::scrub::scrub;
use endcap::store::seam::{Entropy, Forms, NoBackups};
use endcap::store::sim::Dice;
use endcap::store::start::{self, Parts, Settings};
use endcap::store::{Mode, Revision};
use hdrhistogram::Histogram;
use serde_json::Value as Json;
use tokio::runtime::Runtime;

const VALUE_BYTES: usize = 300;
const N_KEYS: u64 = 100_000;
const N_LONE: u64 = 1_000;
const WRITERS: [u64; 4] = [1, 8, 64, 256];

fn main() {
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let bare = lone(&runtime);
    together(&runtime, bare);
    events(&runtime);
    publish();
    starts(&runtime);
}

/// Random bytes from a seed: the store's ids and salts.
#[derive(Debug)]
struct Seeded(Mutex<Dice>);

impl Entropy for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().unwrap().fill(bytes);
    }
}

/// Knows every kind, and nothing of it.
#[derive(Debug)]
struct AnyForm;

impl Forms for AnyForm {
    fn to_json(&self, _: Kind, _: u16, payload: &[u8]) -> Result<Json, CodecError> {
        Ok(payload.iter().copied().collect())
    }

    fn to_bytes(&self, _: Kind, _: u16, value: &Json) -> Result<Vec<u8>, CodecError> {
        let bytes = value.as_array().into_iter().flatten();
        let bytes = bytes.filter_map(|byte| u8::try_from(byte.as_u64()?).ok());
        Ok(bytes.collect())
    }

    fn newest(&self, _: Kind) -> Option<u16> {
        Some(1)
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn open(dir: &Path) -> Opened {
    let settings = Settings {
        ballast_mib: Some(0),
        ..Settings::in_dir(&dir.join("data"))
    };
    let entropy = Arc::new(Seeded(Mutex::new(Dice::new(1))));
    let now = Timestamp(1_767_225_600_000);
    let parts = Parts::real(
        &settings,
        Arc::new(NoBackups),
        entropy,
        Arc::new(AnyForm),
        now,
    );
    start::open(&settings, &parts).unwrap()
}

/// The n-th commit: one record of one of the keys.
fn commit(n: u64) -> Commit {
    let mut payload = vec![0; VALUE_BYTES];
    Dice::new(n).fill(&mut payload);
    let key = Key::parse(&format!("promo.{:06}", n * 7_919 % N_KEYS)).unwrap();
    let write = Write::put(key, Kind(4), 1, &payload).unwrap();
    Commit::new(id(n), Timestamp(1_767_225_600_000), vec![write])
}

fn id(n: u64) -> CommitId {
    CommitId(u128::from(n).to_be_bytes())
}

fn nanos(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 60_000_000_000, 3).unwrap()
}

/// Microseconds with one digit more.
fn micros(nanos: u64) -> String {
    format!("{}.{}", nanos / 1_000, nanos % 1_000 / 100)
}

/// How many a second.
fn rate(n: u64, took: Duration) -> u64 {
    let per_second = u128::from(n) * 1_000_000_000 / took.as_nanos().max(1);
    u64::try_from(per_second).unwrap_or(u64::MAX)
}

fn ratio(over: u64, under: u64) -> String {
    let hundredths = over * 100 / under.max(1);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

fn line(name: &str, n: u64, per_second: u64, times: &Histogram<u64>, more: &str) {
    println!(
        "{name:<34} {n:>8} {per_second:>10} {:>10} {:>10} {:>10}  {more}",
        micros(times.value_at_quantile(0.5)),
        micros(times.value_at_quantile(0.99)),
        micros(times.max()),
    );
}

fn head(title: &str) {
    println!(
        "\n{title:<34} {:>8} {:>10} {:>10} {:>10} {:>10}",
        "n", "a second", "p50 µs", "p99 µs", "max µs"
    );
}

/// Lone commits, and the same bytes appended to a bare file; returns the bare median.
fn lone(runtime: &Runtime) -> u64 {
    let dir = folder();
    let store = open(dir.path());
    let path = dir.path().join("bare");
    let bare: File = OpenOptions::new()
        .create_new(true)
        .append(true)
        .open(path)
        .unwrap();
    let (mut own, mut twin) = (histogram(), histogram());
    for n in 1..=N_LONE {
        let made = commit(n);
        let record = Arc::new(Record::of(&made, Revision(n)));
        let begun = Instant::now();
        runtime.block_on(store.config.commit(made)).unwrap();
        own.record(nanos(begun)).unwrap();
        let bytes = Frame::of(&[record]).seal([7; 8]);
        let begun = Instant::now();
        (&bare).write_all(&bytes).unwrap();
        bare.sync_data().unwrap();
        twin.record(nanos(begun)).unwrap();
    }
    head("one writer");
    let (fast, slow) = (twin.value_at_quantile(0.5), own.value_at_quantile(0.5));
    let second = Duration::from_secs(1).as_nanos();
    let per_second = |median: u64| u64::try_from(second / u128::from(median)).unwrap_or(0);
    line("append and fdatasync", N_LONE, per_second(fast), &twin, "");
    let more = format!("{} × bare", ratio(slow, fast));
    line("commit", N_LONE, per_second(slow), &own, &more);
    fast
}

/// Durable commits of many writers at once.
fn together(runtime: &Runtime, bare: u64) {
    head("writers at once, 300 B");
    for n_writers in WRITERS {
        let dir = folder();
        let store = open(dir.path());
        let each = (40_000 / n_writers).clamp(200, 1_500);
        let begun = Instant::now();
        let times = runtime.block_on(async {
            let mut writers = Vec::new();
            for writer in 0..n_writers {
                let space = store.config.clone();
                writers.push(tokio::spawn(async move {
                    let mut times = histogram();
                    for n in writer * each..(writer + 1) * each {
                        let made = commit(n + 1);
                        let begun = Instant::now();
                        space.commit(made).await.unwrap();
                        times.record(nanos(begun)).unwrap();
                    }
                    times
                }));
            }
            let mut all = histogram();
            for writer in writers {
                all.add(writer.await.unwrap()).unwrap();
            }
            all
        });
        let (n, took) = (n_writers * each, begun.elapsed());
        assert_eq!(store.config.revision(), Revision(n));
        let per_second = rate(n, took);
        let syncs = 1_000_000_000 / bare.max(1);
        let more = format!("{} × bare syncs", ratio(per_second, syncs));
        line(
            &format!("{n_writers} writers"),
            n,
            per_second,
            &times,
            &more,
        );
    }
}

/// Calls of 1,000 events, several at once, and all of them read back.
fn events(runtime: &Runtime) {
    const CALLS: u64 = 300;
    const CALLERS: u64 = 8;
    head("events, 1,000 a call");
    let dir = folder();
    let store = open(dir.path());
    let begun = Instant::now();
    let times = runtime.block_on(async {
        let mut callers = Vec::new();
        for caller in 0..CALLERS {
            let log = store.events.clone();
            callers.push(tokio::spawn(async move {
                let mut times = histogram();
                for call in caller * CALLS..(caller + 1) * CALLS {
                    let batches = batches(call);
                    let begun = Instant::now();
                    let at = Timestamp(1_767_225_600_000);
                    log.append(id(call + 1), at, batches).await.unwrap();
                    times.record(nanos(begun)).unwrap();
                }
                times
            }));
        }
        let mut all = histogram();
        for caller in callers {
            all.add(caller.await.unwrap()).unwrap();
        }
        all
    });
    let n = CALLS * CALLERS * 1_000;
    let name = format!("append, {CALLERS} callers");
    line(
        &name,
        n,
        rate(n, begun.elapsed()),
        &times,
        "events; times of calls",
    );
    let begun = Instant::now();
    let n_found = runtime.block_on(async {
        let mut after = LogPosition(0);
        let mut n_found = 0;
        loop {
            let first = Partition::new(0).unwrap();
            let page = store.events.read(first, after, 1_000).await.unwrap();
            n_found += page.batches.len() as u64;
            if page.through == store.events.position() {
                return n_found;
            }
            after = page.through;
        }
    });
    assert_eq!(n_found, CALLS * CALLERS);
    let took = begun.elapsed();
    println!(
        "{:<34} {n:>8} {:>10}   all partitions walked for one",
        "read back",
        rate(n, took)
    );
}

/// A thousand events in a batch for each partition.
fn batches(call: u64) -> Vec<EventBatch> {
    let mut dice = Dice::new(call);
    let batch = |partition| {
        let mut events = vec![0; 1_000 / 16 * 60];
        dice.fill(&mut events);
        EventBatch::new(partition, 1, &events).unwrap()
    };
    Partition::all().map(batch).collect()
}

/// One commit published into the folded state of 100,000 keys.
fn publish() {
    let dir = folder();
    let store = open(dir.path());
    let identity = store.config.identity();
    let records: Vec<Record> = (0..N_KEYS)
        .map(|n| Record::of(&commit(n), Revision(n + 1)))
        .collect();
    let mut folded = Folded::empty(identity, Revision::ZERO);
    for record in &records {
        folded.apply(record.revision, &record.writes);
    }
    assert_eq!(folded.len() as u64, N_KEYS);
    let mut times = histogram();
    for n in 0..2_000 {
        let record = Record::of(&commit(n), Revision(N_KEYS + n + 1));
        let begun = Instant::now();
        let mut next = folded.clone();
        next.apply(record.revision, &record.writes);
        times.record(nanos(begun)).unwrap();
        folded = next;
    }
    head("fold");
    let per_second = 1_000_000_000 / times.value_at_quantile(0.5).max(1);
    line(
        "one commit into 100,000 keys",
        2_000,
        per_second,
        &times,
        "",
    );
}

/// Starts of a large store, and what keeps it sound.
fn starts(runtime: &Runtime) {
    let n_records = std::env::var("ENDCAP_BENCH_RECORDS");
    let n_records: u64 = n_records.map_or(200_000, |n| n.parse().unwrap());
    println!(
        "\n{:<34} {:>8} {:>10} {:>14}",
        "store", "records", "ms", "ms a million"
    );
    let told = |name: &str, took: Duration| {
        let ms = took.as_millis();
        let million = ms * 1_000_000 / u128::from(n_records);
        println!("{name:<34} {n_records:>8} {ms:>10} {million:>14}");
    };
    let dir = folder();
    let mut took = Duration::ZERO;
    let mut timed = |act: &mut dyn FnMut()| {
        let begun = Instant::now();
        act();
        took = begun.elapsed();
        took
    };
    let mut store = Some(open(dir.path()));
    let filled = timed(&mut || fill(runtime, store.as_ref().unwrap(), n_records));
    told("commits, 1,000 records each", filled);
    let closed = timed(&mut || store.take().unwrap().close());
    told("clean stop", closed);
    let clean = timed(&mut || store = Some(open(dir.path())));
    told("start as it was closed", clean);
    let scrubbed = timed(&mut || {
        let found = scrub(store.as_ref().unwrap(), Timestamp(0), &mut |_| {
            std::ops::ControlFlow::Continue(())
        });
        assert!(found.damaged.is_empty() && found.is_complete);
    });
    told("everything read for damage", scrubbed);
    let compacted = timed(&mut || {
        let above = CompactAbove {
            times_live: 0,
            bytes: 0,
        };
        let gain = store.as_ref().unwrap().compact_index(above).unwrap();
        let gain = gain.unwrap();
        println!(
            "  index {} MiB, copied {} MiB, live {} MiB",
            gain.before_bytes >> 20,
            gain.after_bytes >> 20,
            gain.live_bytes >> 20
        );
    });
    told("index written anew", compacted);
    store.take().unwrap().close();
    std::fs::remove_dir_all(dir.path().join("data/gen-0001/index")).unwrap();
    let replayed = timed(&mut || store = Some(open(dir.path())));
    told("start without index: ranks", replayed);
    let opened = store.as_ref().unwrap();
    assert_eq!(opened.config.health().mode, Mode::Ok);
    assert_eq!(opened.config.folded().len() as u64, n_records);
    let rebuilt = timed(&mut || {
        opened.with_states(|_| ()).unwrap();
    });
    told("  index rebuilt behind the scenes", rebuilt);
}

/// Each record under its own key.
fn fill(runtime: &Runtime, store: &Opened, n_records: u64) {
    runtime.block_on(async {
        for part in (0..n_records).step_by(1_000) {
            let writes = (part..(part + 1_000).min(n_records)).map(|n| {
                let mut payload = vec![0; VALUE_BYTES];
                Dice::new(n).fill(&mut payload);
                let key = Key::parse(&format!("promo.{n:08}")).unwrap();
                Write::put(key, Kind(4), 1, &payload).unwrap()
            });
            let at = Timestamp(1_767_225_600_000);
            let made = Commit::new(id(part + 1), at, writes.collect());
            store.config.commit(made).await.unwrap();
        }
    });
}
