//! A whole server over a store on a simulated disk, stopped and started at will.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use endcap::record::json::RecordForms;
use endcap::store::backup::dir::DirBackups;
use endcap::store::index::plain::PlainIndex;
use endcap::store::sim::SimDisk;
use endcap::store::start::{self, Class, Parts};
use serde_json::json;

use crate::app::{App, feed};
use crate::rig::{real, settings};

/// A store on a simulated disk, and the key of its operator.
pub(crate) struct House {
    pub(crate) disk: SimDisk,
    index: PlainIndex,
    operator: String,
}

impl House {
    fn parts(&self) -> Parts {
        let disk = Arc::new(self.disk.clone());
        let forms = Arc::new(RecordForms);
        let backups = DirBackups::new(disk.clone(), PathBuf::from("/backup"), forms.clone());
        Parts {
            disk,
            index: Arc::new(self.index.clone()),
            backups: Arc::new(backups),
            forms,
            ..real()
        }
    }

    /// Two markets, `se` with a first feed of n products; no backup.
    pub(crate) fn build(n: usize) -> Self {
        let mut house = Self {
            disk: SimDisk::new(1 << 30),
            index: PlainIndex::default(),
            operator: String::new(),
        };
        let stores = start::open(&settings("/data".into()), &house.parts()).unwrap();
        house.operator = run(async {
            let app = App::begun(stores).await;
            for market in ["se", "no"] {
                let own = json!({ "market": market, "name": market, "currency": "SEK", "time_zone": "Europe/Stockholm" });
                app.post("/v1/markets", &own).await.is(201);
            }
            app.feed(&feed(n), "full").await.is(200);
            app.engine.stop();
            app.operator().to_owned()
        });
        house
    }

    /// Starts a server, has it do something, and stops it.
    pub(crate) fn open<T>(&self, act: impl AsyncFnOnce(&App) -> T) -> T {
        let stores = start::open(&settings("/data".into()), &self.parts()).unwrap();
        assert!(stores.report.class < Class::Older, "{:?}", stores.report);
        run(async {
            let app = App::over(stores, self.operator.clone()).await.unwrap();
            let done = act(&app).await;
            app.engine.stop();
            done
        })
    }

    /// The same on a disk of its own.
    pub(crate) fn copy(&self) -> Self {
        let index = PlainIndex::default();
        index.replace(self.index.content());
        let disk = self.disk.fork();
        disk.kill_process();
        Self {
            disk,
            index,
            operator: self.operator.clone(),
        }
    }

    pub(crate) fn chunks(&self) -> Vec<PathBuf> {
        let below = Path::new("/data/gen-0001/chunks");
        let files = self.disk.files().into_iter();
        files.filter(|path| path.starts_with(below)).collect()
    }
}

/// On threads that are gone afterwards, with all that ran on them.
fn run<T>(act: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all();
    builder.build().unwrap().block_on(act)
}
