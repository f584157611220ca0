//! A whole store built once, and all that it holds, for tests that damage copies of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use endcap::record::json::RecordForms;
use endcap::store::backup::dir::DirBackups;
use endcap::store::backup::tend;
use endcap::store::chunk::ChunkHash;
use endcap::store::commit::{CommitId, FollowError};
use endcap::store::event::{EventBatch, EventLog, LogPosition, Partition};
use endcap::store::space::SpaceStore;
use endcap::store::start::{self, Class, Parts, Settings};
use serde_json::json;

use crate::app::{App, feed, promotion};
use crate::rig::{TIME, real, settings};

const INDEX_WITHIN: Duration = Duration::from_mins(1);

/// Revision and content of each key.
pub(crate) type Records = BTreeMap<String, (u64, u32)>;

/// Everything that a store holds and a server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Held {
    /// By space.
    pub(crate) records: [Records; 2],
    pub(crate) events: Vec<u32>,
    pub(crate) chunks: BTreeMap<ChunkHash, u32>,
    pub(crate) ranked: Vec<String>,
    pub(crate) promotions: usize,
}

/// The store that all others are copies of.
pub(crate) struct Golden {
    dir: tempfile::TempDir,
    pub(crate) operator: String,
    pub(crate) held: Held,
}

pub(crate) fn store_settings(data: &Path) -> Settings {
    Settings {
        journal_file_bytes: 24 << 10,
        ballast_mib: Some(1),
        ..settings(data.to_path_buf())
    }
}

pub(crate) fn parts(data: &Path) -> Parts {
    let own = real();
    let forms = Arc::new(RecordForms);
    let backups = DirBackups::new(own.disk.clone(), data.join("backup"), forms.clone());
    Parts {
        backups: Arc::new(backups),
        forms,
        ..own
    }
}

/// The partition that all events lie in.
fn partition() -> Partition {
    Partition::new(3).unwrap()
}

pub(crate) fn run<T>(act: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).enable_all();
    builder.build().unwrap().block_on(act)
}

impl Golden {
    pub(crate) fn build() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("data");
        let stores = start::open(&store_settings(&data), &parts(&data)).unwrap();
        let operator = run(async {
            let app = App::begun(stores).await;
            let market = json!({ "market": "se", "name": "Sweden", "currency": "SEK", "time_zone": "Europe/Stockholm" });
            app.post("/v1/markets", &market).await.is(201);
            app.feed(&feed(600), "full").await.is(200);
            for n in 0..40 {
                let product = format!("p{:03}", 599 - n);
                let own = promotion(&format!("Promotion {n}"), "high", &[&product]);
                app.post("/v1/promotions", &own).await.is(201);
                if n == 10 || n == 25 {
                    tend::back_up(app.engine.stores()).unwrap();
                }
            }
            let change = json!({ "op": "edit", "variant": "u001", "stock": 0 });
            app.feed(&change.to_string(), "delta").await.is(200);
            write_events(&app.engine.stores().events).await;
            tend::back_up(app.engine.stores()).unwrap();
            for n in 40..45 {
                let own = promotion(&format!("Promotion {n}"), "low", &["p300"]);
                app.post("/v1/promotions", &own).await.is(201);
            }
            app.engine.stop();
            app.operator().to_owned()
        });
        let stores = start::open(&store_settings(&data), &parts(&data)).unwrap();
        assert_eq!(stores.report.class, Class::Whole, "{:?}", stores.report);
        let held = run(async {
            let app = App::over(stores, operator.clone()).await.unwrap();
            let held = Held::of(&app).await;
            app.engine.stop();
            held
        });
        assert_eq!((held.promotions, held.events.len()), (45, 300));
        Self {
            dir,
            operator,
            held,
        }
    }

    /// A copy of all files, below `to`.
    pub(crate) fn copy(&self, to: &Path) -> PathBuf {
        copy_dir(&self.dir.path().join("data"), &to.join("data"));
        to.join("data")
    }
}

async fn write_events(events: &EventLog) {
    for n in 0..300_u64 {
        let batch = EventBatch::new(partition(), 1, format!("event {n}").as_bytes());
        let id = CommitId(u128::from(n).to_be_bytes());
        events.append(id, TIME, vec![batch.unwrap()]).await.unwrap();
    }
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let path = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &path);
        } else {
            fs::copy(entry.path(), path).unwrap();
        }
    }
}

impl Held {
    pub(crate) async fn of(app: &App) -> Self {
        let stores = app.engine.stores();
        // A log that lost its first files is read from where it begins.
        let read = |after| {
            stores
                .events
                .read(partition(), LogPosition(after), usize::MAX)
        };
        let events = match read(0).await {
            Err(FollowError::Compacted { first }) => read(first.0 - 1).await,
            events => events,
        };
        let events = events.unwrap().batches;
        let content = |hash: &ChunkHash| stores.chunks.get(hash).map_or(0, |c| crc32fast::hash(&c));
        let listed = app.get("/v1/promotions?limit=200").await;
        listed.is(200);
        Self {
            records: [
                records_of(&stores.config).await,
                records_of(&stores.trade).await,
            ],
            events: events
                .iter()
                .map(|batch| crc32fast::hash(batch.events.bytes()))
                .collect(),
            chunks: stores
                .chunks
                .hashes()
                .unwrap()
                .iter()
                .map(|hash| (*hash, content(hash)))
                .collect(),
            ranked: app.ranked(&json!({ "limit": 60 })).await,
            promotions: listed.json["items"].as_array().map_or(0, Vec::len),
        }
    }
}

/// All records, cold ones once they can be read.
async fn records_of(space: &SpaceStore) -> Records {
    let mut found = BTreeMap::new();
    for prefix in ["", "audit.", "idem.", "imp."] {
        let began = Instant::now();
        let entries = loop {
            match space.scan(prefix, None, 10_000).await {
                Ok(entries) => break entries,
                Err(rebuilding) => assert!(began.elapsed() < INDEX_WITHIN, "{rebuilding}"),
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        for entry in entries {
            let content = crc32fast::hash(entry.value.bytes());
            found.insert(entry.key.to_string(), (entry.value.revision().0, content));
        }
    }
    found
}
