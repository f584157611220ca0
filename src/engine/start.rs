//! The engine itself: what it is made of, how it starts and stops.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use crate::access::key::{Doorkeeper, KeyDigest, KeyRefusal};
use crate::access::principal::Principal;
use crate::catalogue::Catalogue;
use crate::catalogue::market::Market;
use crate::domain::id::{ImportId, MarketId};
use crate::domain::time::Timestamp;
use crate::engine::background;
use crate::engine::clock::Clock;
use crate::engine::commit::Intent;
use crate::engine::entropy::Entropy;
use crate::engine::error::EngineError;
use crate::engine::events::exports::Exports;
use crate::engine::events::sequencer::Running;
use crate::engine::fold::{FoldError, Folder, Wake};
use crate::engine::imports::{Prepared, Progress};
use crate::engine::jobs::Ran;
use crate::engine::kept::{Keep, Kept};
use crate::engine::pages::Pages;
use crate::engine::snapshot::{MarketState, Snapshot, TimedView};
use crate::engine::uses::Uses;
use crate::engine::view::{self, Goods, Known};
use crate::ranking::base::RankBase;
use crate::record::Stored;
use crate::record::desk::MetaV1;
use crate::record::key;
use crate::record::market::GoodsV1;
use crate::selection::evaluate::ChangedRows;
use crate::store::Revision;
use crate::store::chunk::ChunkStore;
use crate::store::commit::{Commit, CommitError, CommitId, Expected, Write};
use crate::store::opened::Opened;
use crate::store::space::SpaceStore;
use crate::telemetry::metrics::Metrics;

/// What the engine can be told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a replaced snapshot answers the cursors that name it, and how much of that there is.
    pub keep: Keep,
    /// How long a caller waits for a revision to be published.
    pub wait_max: Duration,
    /// Most markets.
    pub markets_max: usize,
    /// Where the first key of a fresh store was written, to be removed with it.
    pub first_key_file: Option<std::path::PathBuf>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            keep: Keep {
                time: Duration::from_mins(10),
                bytes: 1 << 30,
            },
            wait_max: Duration::from_secs(2),
            markets_max: 200,
            first_key_file: None,
        }
    }
}

/// Every use case of endcap; cheap to clone.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    settings: Settings,
    clock: Clock,
    entropy: Entropy,
    stores: Opened,
    metrics: Arc<Metrics>,
    snapshot: ArcSwapOption<Snapshot>,
    published: watch::Sender<u64>,
    wakes: Mutex<Option<Sender<Wake>>>,
    folder: Mutex<Option<std::thread::JoinHandle<()>>>,
    replaced: Mutex<Kept<Snapshot>>,
    prepared: Mutex<BTreeMap<MarketId, Prepared>>,
    in_progress: Mutex<BTreeSet<CommitId>>,
    importing: Mutex<BTreeMap<MarketId, Arc<Progress>>>,
    uses: Uses,
    ran: Mutex<Ran>,
    pages: Arc<Pages>,
    exports: Exports,
    events: OnceLock<Running>,
}

/// Why the engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The stored configuration cannot be read.
    #[error(transparent)]
    Fold(#[from] FoldError),
    /// The first record of a new store could not be written.
    #[error("a new store could not be begun: {0}")]
    Begin(CommitError),
    /// A test clock was asked for on a store of real time, or the other way round.
    #[error("this data directory was made {made} a test clock; start it the same way")]
    OtherClock {
        /// `with` or `without`.
        made: &'static str,
    },
    /// No thread could be made.
    #[error("no thread for folding: {0}")]
    Thread(std::io::Error),
}

/// One idempotent request at work; the next one with its key is told so until this is dropped.
pub(in crate::engine) struct Turn {
    engine: Engine,
    id: Option<CommitId>,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(id) = &self.id {
            lock(&self.engine.0.in_progress).remove(id);
        }
    }
}

impl Engine {
    /// Opens the engine over stores that are already up: secrets are made if the store is new, the
    /// whole configuration is folded, the first snapshot published.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn start(
        settings: Settings,
        clock: Clock,
        entropy: Entropy,
        stores: Opened,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StartError> {
        let engine = Self(Arc::new(Inner {
            settings,
            clock,
            entropy,
            stores,
            metrics,
            snapshot: ArcSwapOption::empty(),
            published: watch::Sender::new(0),
            wakes: Mutex::new(None),
            folder: Mutex::new(None),
            replaced: Mutex::default(),
            prepared: Mutex::default(),
            in_progress: Mutex::default(),
            importing: Mutex::default(),
            uses: Uses::default(),
            ran: Mutex::default(),
            pages: Arc::default(),
            exports: Exports::default(),
            events: OnceLock::new(),
        }));
        engine.begin_store().await?;
        let own = engine.clone();
        let folder = tokio::task::spawn_blocking(move || {
            let mut folder = Folder::load(&own)?;
            folder.catch_up()?;
            Ok::<_, FoldError>(folder)
        });
        let folder = folder
            .await
            .map_err(|error| StartError::Thread(error.into()))??;
        for fault in folder.check_calendars() {
            tracing::error!(fault, "calendar counts differ from what is stored");
            engine.metrics().store_errors.inc();
        }
        engine.spawn_folder(folder)?;
        engine.count_events().map_err(StartError::Thread)?;
        Ok(engine)
    }

    /// Writes secrets into a new store, and checks that the clock is the one it was made with.
    async fn begin_store(&self) -> Result<(), StartError> {
        let meta_key = key::meta();
        if let Some(value) = self.config().folded().get(&meta_key) {
            let wrong = |source| FoldError::Record {
                key: meta_key.clone(),
                source,
            };
            let meta = MetaV1::open(value).map_err(wrong)?;
            return match (meta.test_clock, self.0.clock.is_test()) {
                (true, false) => Err(StartError::OtherClock { made: "with" }),
                (false, true) => Err(StartError::OtherClock { made: "without" }),
                _ => Ok(()),
            };
        }
        let meta = MetaV1 {
            created: self.now().0,
            split_key: self.0.entropy.bytes(),
            ticket_key: self.0.entropy.bytes(),
            cursor_key: self.0.entropy.bytes(),
            hash_key: self.0.entropy.bytes(),
            test_clock: self.0.clock.is_test(),
        };
        let draft = meta.draft().expect("a hundred bytes fit into a value");
        let write = Write {
            key: meta_key.clone(),
            change: crate::store::commit::Change::Put(draft),
        };
        let commit = Commit::new(self.0.entropy.commit_id(), self.now(), vec![write])
            .guarded(meta_key, Expected::Absent);
        self.config()
            .commit(commit)
            .await
            .map(|_| ())
            .map_err(StartError::Begin)
    }

    fn spawn_folder(&self, folder: Folder) -> Result<(), StartError> {
        let (wakes, receiver) = channel();
        *lock(&self.0.wakes) = Some(wakes);
        let thread = std::thread::Builder::new()
            .name("fold".to_owned())
            .spawn(move || {
                background::stand_back();
                folder.run(&receiver);
            })
            .map_err(StartError::Thread)?;
        *lock(&self.0.folder) = Some(thread);
        Ok(())
    }

    /// Where the sequencer of events stands once it runs.
    pub(in crate::engine) fn sequencer(&self) -> &OnceLock<Running> {
        &self.0.events
    }

    /// Ends folding and counting; what is acknowledged is durable already.
    pub fn stop(&self) {
        if let Some(events) = self.0.events.get() {
            events.stop();
        }
        if let Some(wakes) = lock(&self.0.wakes).take() {
            let _ = wakes.send(Wake::Stop);
        }
        if let Some(thread) = lock(&self.0.folder).take() {
            let _ = thread.join();
        }
    }

    /// What time it is.
    pub fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    /// The clock, for moving it in tests.
    pub fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// Counts of this process.
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.0.metrics
    }

    /// The stores beneath, for backups and health.
    pub fn stores(&self) -> &Opened {
        &self.0.stores
    }

    /// Settings it was started with.
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// The snapshot published last.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.0
            .snapshot
            .load_full()
            .expect("the first snapshot is published before start returns")
    }

    /// Page events counted so far.
    pub fn pages(&self) -> &Arc<Pages> {
        &self.0.pages
    }

    pub(in crate::engine) fn has_snapshot(&self) -> bool {
        self.0.snapshot.load().is_some()
    }

    pub(in crate::engine) fn config(&self) -> &SpaceStore {
        &self.0.stores.config
    }

    pub(in crate::engine) fn trade(&self) -> &SpaceStore {
        &self.0.stores.trade
    }

    /// The chunks, for a blocking thread.
    pub(in crate::engine) fn chunk_store(&self) -> Arc<dyn ChunkStore> {
        Arc::clone(&self.0.stores.chunks)
    }

    pub(in crate::engine) fn entropy(&self) -> &Entropy {
        &self.0.entropy
    }

    pub(in crate::engine) fn exports(&self) -> &Exports {
        &self.0.exports
    }

    /// A fresh id for an object created now.
    pub fn new_id(&self) -> [u8; 16] {
        self.0.entropy.id(self.now().0)
    }

    /// Publishes a snapshot; the one before stays for its cursors.
    pub(in crate::engine) fn publish(&self, snapshot: Snapshot) {
        let revision = snapshot.revision.0;
        let snapshot = Arc::new(snapshot);
        if let Some(before) = self.0.snapshot.swap(Some(Arc::clone(&snapshot))) {
            let bytes = before.bytes_apart(&snapshot);
            let keep = self.0.settings.keep;
            // Dropping a market takes a while; no cursor waits for it.
            let gone = lock(&self.0.replaced).add(before, bytes, Instant::now(), keep);
            drop(gone);
        }
        self.0.published.send_replace(revision);
    }

    /// Snapshot, market and view that a cursor names, while they are kept.
    pub(in crate::engine) fn pinned(
        &self,
        revision: u64,
        market: &MarketId,
        at: Timestamp,
    ) -> Option<(Arc<Snapshot>, Arc<MarketState>, Arc<TimedView>)> {
        let find = |snapshot: &Arc<Snapshot>| {
            let state = snapshot
                .markets
                .get(market)
                .filter(|_| snapshot.revision.0 == revision)?;
            let timed = state.view_at(at)?;
            Some((Arc::clone(snapshot), Arc::clone(state), Arc::clone(timed)))
        };
        if let Some(found) = find(&self.snapshot()) {
            return Some(found);
        }
        lock(&self.0.replaced).iter().find_map(find)
    }

    /// Waits until a revision is published, waking the folder.
    ///
    /// # Errors
    /// `snapshot-behind` if it does not come in time.
    pub async fn published(&self, revision: Revision) -> Result<(), EngineError> {
        self.wake(Wake::Changed);
        let mut watch = self.0.published.subscribe();
        let arrived = watch.wait_for(|published| revision.0 <= *published);
        match tokio::time::timeout(self.0.settings.wait_max, arrived).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(EngineError::SnapshotBehind),
        }
    }

    /// Waits until the revision of this number is published.
    ///
    /// # Errors
    /// `snapshot-behind` if it does not come in time.
    pub async fn reached_revision(&self, revision: u64) -> Result<(), EngineError> {
        self.published(Revision(revision)).await
    }

    /// Waits until something newer than `snapshot` is published, after a lost race.
    pub(in crate::engine) async fn catch_up(&self, snapshot: &Snapshot) -> Result<(), EngineError> {
        self.published(snapshot.revision.next()).await
    }

    /// Has the folder build the view behind a boundary that has passed.
    pub(in crate::engine) async fn boundary_passed(&self) -> Result<(), EngineError> {
        self.moved().await
    }

    /// Waits until everything that became due is done.
    pub(in crate::engine) async fn moved(&self) -> Result<(), EngineError> {
        let (done, finished) = channel();
        self.wake(Wake::Moved(done));
        let waited = tokio::task::spawn_blocking(move || finished.recv());
        match waited.await {
            Ok(Ok(())) => Ok(()),
            _ => Err(EngineError::NotReady),
        }
    }

    /// Sets a test clock and waits until every job that became due has run. Its audit entry carries
    /// the new time.
    ///
    /// # Errors
    /// `out-of-range` at `/now` if time would go back; `not-found` without a test clock.
    pub async fn set_clock(&self, intent: &Intent, now: Timestamp) -> Result<(), EngineError> {
        use crate::access::may::{Object, Verb};
        use crate::domain::complaint::Fault;
        intent.principal.may(Verb::MoveClock, &Object::Anywhere)?;
        if !self.0.clock.is_test() {
            return Err(EngineError::NotFound {
                what: "route",
                id: "/test/clock".to_owned(),
            });
        }
        self.0.clock.set(now).map_err(|backwards| {
            let allowed = format!("not before {}", backwards.now);
            let fault = Fault::OutOfRange {
                found: now.to_string(),
                allowed,
            };
            EngineError::Invalid(vec![fault.at("/now")])
        })?;
        self.note_deed(intent, "clock.set", "/test/clock").await;
        self.moved().await?;
        self.run_due_jobs().await;
        Ok(())
    }

    fn wake(&self, wake: Wake) {
        if let Some(wakes) = &*lock(&self.0.wakes) {
            let _ = wakes.send(wake);
        }
    }

    /// Keeps others with the same idempotency key out until the turn is dropped.
    ///
    /// # Errors
    /// `idempotency-in-progress`.
    pub(in crate::engine) fn begin(&self, intent: &Intent) -> Result<Turn, EngineError> {
        let id = intent.idempotency.map(|idempotency| idempotency.id);
        if let Some(id) = id
            && !lock(&self.0.in_progress).insert(id)
        {
            return Err(EngineError::IdempotencyInProgress);
        }
        Ok(Turn {
            engine: self.clone(),
            id,
        })
    }

    /// Marks a market as being fed, until the claim is dropped.
    ///
    /// # Errors
    /// `import-running` if it is already.
    pub(in crate::engine) fn claim_import(
        &self,
        progress: &Arc<Progress>,
    ) -> Result<Importing, EngineError> {
        let market = &progress.order.market;
        let mut importing = lock(&self.0.importing);
        if let Some(other) = importing.get(market) {
            return Err(EngineError::ImportRunning { import: other.id });
        }
        importing.insert(market.clone(), Arc::clone(progress));
        Ok(Importing {
            engine: self.clone(),
            market: market.clone(),
        })
    }

    /// An import that is running.
    pub(in crate::engine) fn running_import(&self, id: ImportId) -> Option<Arc<Progress>> {
        lock(&self.0.importing)
            .values()
            .find(|progress| progress.id == id)
            .cloned()
    }

    /// Uses of keys that are not written yet.
    pub(in crate::engine) fn uses(&self) -> &Uses {
        &self.0.uses
    }

    /// Asks or notes when jobs ran.
    pub(in crate::engine) fn ran<T>(&self, ask: impl FnOnce(&mut Ran) -> T) -> T {
        ask(&mut lock(&self.0.ran))
    }

    /// Removes the file that held the first key of the store, now that the key is gone.
    pub(in crate::engine) fn forget_first_key_file(&self) {
        let Some(path) = &self.0.settings.first_key_file else {
            return;
        };
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!(%error, path = %path.display(), "remove this file by hand");
            }
            _ => {}
        }
    }

    /// Leaves goods for the folder, which will meet their commit.
    pub(in crate::engine) fn prepare(
        &self,
        goods: GoodsV1,
        catalogue: Arc<Catalogue>,
        base: Arc<RankBase>,
    ) {
        let market = catalogue.market().id.clone();
        lock(&self.0.prepared).insert(
            market,
            Prepared {
                goods,
                catalogue,
                base,
            },
        );
    }

    /// Goods left for this commit, if they are the ones it names, read by the settings it names.
    pub(in crate::engine) fn take_prepared(
        &self,
        market: &Market,
        goods: &GoodsV1,
    ) -> Option<(Arc<Catalogue>, Arc<RankBase>)> {
        let prepared = lock(&self.0.prepared).remove(&market.id)?;
        let fits = prepared.goods == *goods && *prepared.catalogue.market() == *market;
        fits.then_some((prepared.catalogue, prepared.base))
    }

    /// A view for any instant, over today's goods and definitions; built off the async threads.
    pub(in crate::engine) async fn view_of_instant(
        &self,
        snapshot: &Arc<Snapshot>,
        state: &Arc<MarketState>,
        at: Timestamp,
    ) -> Result<Arc<TimedView>, EngineError> {
        if let Some(timed) = state.view_at(at) {
            return Ok(Arc::clone(timed));
        }
        let (snapshot, state) = (Arc::clone(snapshot), Arc::clone(state));
        let build = move || {
            let id = &state.market.value.id;
            let standing = snapshot
                .promotions
                .values()
                .filter(|held| held.value.markets.contains(id) && !held.value.archived);
            let promotions: Vec<_> = standing.cloned().collect();
            let goods = Goods {
                catalogue: &state.catalogue,
                base: &state.base,
                promotions: &promotions,
            };
            let known = Known {
                sets: &state.sets,
                changed: Some(&ChangedRows::default()),
                view: state.views.last().map(Arc::as_ref),
            };
            Arc::new(view::build(&goods, at, known).0)
        };
        tokio::task::spawn_blocking(build)
            .await
            .map_err(EngineError::internal)
    }
}

impl Doorkeeper for Engine {
    fn principal(&self, digest: &KeyDigest, now: Timestamp) -> Result<Arc<Principal>, KeyRefusal> {
        let snapshot = self.0.snapshot.load();
        let held = snapshot
            .as_ref()
            .and_then(|snapshot| snapshot.keys_by_digest.get(digest));
        let record = &held.ok_or(KeyRefusal::Unknown)?.value;
        let principal = record.open(digest, now)?;
        self.uses().note(record.id, now);
        Ok(principal)
    }
}

/// A market being fed, until this is dropped.
pub(in crate::engine) struct Importing {
    engine: Engine,
    market: MarketId,
}

impl Drop for Importing {
    fn drop(&mut self) {
        // Nobody asks for goods that stood already, nor for those whose commit was refused.
        lock(&self.engine.0.prepared).remove(&self.market);
        lock(&self.engine.0.importing).remove(&self.market);
    }
}

/// Nothing held by these locks can be left half done, so a panic elsewhere does not spoil them.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
