//! Folds committed changes into the next snapshot, on one thread of its own.
//!
//! The folder follows the configuration space: whatever is committed, by this process or another,
//! reaches the snapshot this way and no other. It also wakes before each boundary of time, so that
//! the view behind it is ready when it comes. What did not change is shared with the snapshot
//! before; a market is built anew only when its goods, settings, promotions or day changed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use crate::access::key::KeyRecord;
use crate::catalogue::Catalogue;
use crate::catalogue::market::Market;
use crate::domain::id::{KeyId, MarketId, PromotionId};
use crate::domain::time::Timestamp;
use crate::engine::snapshot::{Held, MarketState, Secrets, Snapshot};
use crate::engine::standing::{self, Standing};
use crate::engine::start::Engine;
use crate::engine::view::{self, Goods, Known, Sets};
use crate::promotion::terms::Promotion;
use crate::ranking::base::RankBase;
use crate::record::access::KeyV1;
use crate::record::desk::{CalendarV1, MetaV1};
use crate::record::import::MappingV1;
use crate::record::market::{GoodsV1, MarketV1};
use crate::record::promotion::PromotionV1;
use crate::record::{RecordError, Stored};
use crate::selection::evaluate::ChangedRows;
use crate::store::Revision;
use crate::store::codec::Value;
use crate::store::fault::fault;
use crate::store::key::Key;

/// What wakes the folder.
pub(in crate::engine) enum Wake {
    /// Something was committed.
    Changed,
    /// Time was moved; answered when all that became due is done.
    Moved(std::sync::mpsc::Sender<()>),
    /// The process ends.
    Stop,
}

/// How long the folder sleeps at most; the clock may be set while it does.
const SLEEP_MS_MAX: u64 = 1_000;

/// Decoded configuration: what snapshots are made of.
pub(in crate::engine) struct Folder {
    engine: Engine,
    revision: Revision,
    secrets: Arc<Secrets>,
    markets: BTreeMap<MarketId, Held<(Market, GoodsV1)>>,
    promotions: Arc<BTreeMap<PromotionId, Held<Promotion>>>,
    keys: Arc<BTreeMap<KeyId, Held<KeyRecord>>>,
    calendars: Arc<BTreeMap<MarketId, Held<CalendarV1>>>,
    mappings: Arc<BTreeMap<(MarketId, String), Held<String>>>,
    states: BTreeMap<MarketId, Arc<MarketState>>,
    dirty: BTreeSet<MarketId>,
}

/// A market's goods in memory.
struct Loaded {
    catalogue: Arc<Catalogue>,
    base: Arc<RankBase>,
    standing: Standing,
}

impl Loaded {
    fn of(state: &MarketState) -> Self {
        Self {
            catalogue: Arc::clone(&state.catalogue),
            base: Arc::clone(&state.base),
            standing: state.standing,
        }
    }
}

/// Promotions are asked about each changed row for one row in so many, and evaluated for more.
const ASKED_TO_ONE_IN: usize = 16;

/// The rows that changed between two values of a market's goods, if they are few.
fn rows_changed(goods: &Arc<Catalogue>, former: &Arc<Catalogue>) -> Option<ChangedRows> {
    if Arc::ptr_eq(goods, former) {
        return Some(ChangedRows::default());
    }
    let changed = goods.rows_changed_since(former)?;
    let are_few = changed.len() * ASKED_TO_ONE_IN <= goods.n_rows() as usize;
    are_few.then(|| ChangedRows::new(goods, changed))
}

/// Why a snapshot cannot be made of what is stored.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
    /// A record cannot be read.
    #[error("{key}: {source}")]
    Record {
        /// The record's key.
        key: Key,
        /// What is wrong with it.
        source: RecordError,
    },
    /// The store holds no secrets.
    #[error("the store holds no meta record")]
    NoMeta,
    /// Not even a market without goods can be made of its record.
    #[error("goods of market {market}: {why}")]
    Goods {
        /// The market.
        market: MarketId,
        /// What is wrong.
        why: String,
    },
}

impl Folder {
    /// Reads the whole configuration.
    pub(in crate::engine) fn load(engine: &Engine) -> Result<Self, FoldError> {
        let folded = engine.config().folded();
        let meta_key = crate::record::key::meta();
        let meta = folded.get(&meta_key).ok_or(FoldError::NoMeta)?;
        let meta = MetaV1::open(meta).map_err(|source| FoldError::Record {
            key: meta_key,
            source,
        })?;
        let mut folder = Self {
            engine: engine.clone(),
            revision: folded.revision(),
            secrets: Arc::new(Secrets::from(&meta)),
            markets: BTreeMap::new(),
            promotions: Arc::default(),
            keys: Arc::default(),
            calendars: Arc::default(),
            mappings: Arc::default(),
            states: BTreeMap::new(),
            dirty: BTreeSet::new(),
        };
        for (key, value) in folded.iter() {
            folder.apply(key, Some(value))?;
        }
        Ok(folder)
    }

    /// Folds until the process ends.
    pub(in crate::engine) fn run(mut self, wakes: &Receiver<Wake>) {
        loop {
            let mut moved = Vec::new();
            match wakes.recv_timeout(self.sleep()) {
                Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(Wake::Moved(done)) => moved.push(done),
                Ok(Wake::Changed) | Err(RecvTimeoutError::Timeout) => {}
            }
            while let Ok(more) = wakes.try_recv() {
                match more {
                    Wake::Stop => return,
                    Wake::Moved(done) => moved.push(done),
                    Wake::Changed => {}
                }
            }
            if let Err(error) = self.catch_up() {
                tracing::error!(%error, "the snapshot stays as it was");
            }
            for done in moved {
                let _ = done.send(());
            }
        }
    }

    /// Takes in what was committed since, builds what it touches, and publishes.
    pub(in crate::engine) fn catch_up(&mut self) -> Result<(), FoldError> {
        let seen = Instant::now();
        let before = self.revision;
        self.follow()?;
        let last = self.revision;
        let now = self.engine.now();
        let due: Vec<MarketId> = self
            .markets
            .keys()
            .filter(|market| self.is_due(market, now))
            .cloned()
            .collect();
        let is_first = !self.engine.has_snapshot();
        if due.is_empty() && before == last && !is_first {
            return Ok(());
        }
        for market in &due {
            let state = self.build(market, now)?;
            self.states.insert(market.clone(), Arc::new(state));
        }
        self.dirty.clear();
        fault!("snapshot.before-swap");
        self.engine.publish(self.snapshot());
        fault!("snapshot.after-swap");
        for market in &due {
            let series = &self.states[market].series;
            series.publish_duration.observe(seen.elapsed());
            series.published(last.0, now);
        }
        Ok(())
    }

    /// Takes in every commit since; all of the configuration if the log no longer reaches back.
    fn follow(&mut self) -> Result<(), FoldError> {
        loop {
            let Ok(records) = self.engine.config().records_after(self.revision) else {
                tracing::warn!("the log does not reach back; all configuration is read again");
                return self.reload();
            };
            let Some(last) = records.last() else {
                return Ok(());
            };
            let last = last.revision;
            for record in &records {
                for (key, value) in &record.writes {
                    self.apply(key, value.as_ref())?;
                }
            }
            self.revision = last;
        }
    }

    fn reload(&mut self) -> Result<(), FoldError> {
        let fresh = Self::load(&self.engine)?;
        let states = std::mem::take(&mut self.states);
        *self = fresh;
        self.states = states;
        Ok(())
    }

    fn snapshot(&self) -> Snapshot {
        let by_digest = self.keys.values().flat_map(|held| {
            held.value
                .digests
                .iter()
                .map(|(digest, _)| (*digest, held.clone()))
        });
        Snapshot {
            revision: self.revision,
            secrets: Arc::clone(&self.secrets),
            keys_by_digest: Arc::new(by_digest.collect()),
            keys: Arc::clone(&self.keys),
            markets: self.states.clone(),
            promotions: Arc::clone(&self.promotions),
            calendars: Arc::clone(&self.calendars),
            mappings: Arc::clone(&self.mappings),
        }
    }

    /// Whether a market changed, or its views no longer reach far enough.
    fn is_due(&self, market: &MarketId, now: Timestamp) -> bool {
        let Some(state) = self
            .states
            .get(market)
            .filter(|_| !self.dirty.contains(market))
        else {
            return true;
        };
        let reaches = |at: Timestamp| state.view_at(at).is_some();
        !reaches(now) || !reaches(now.plus_ms(view::SUCCESSOR_AHEAD_MS / 2))
    }

    fn sleep(&self) -> Duration {
        let now = self.engine.now();
        let ends = self.states.values().filter_map(|state| state.views.last());
        let next = ends
            .map(|timed| timed.period.end().0 - view::SUCCESSOR_AHEAD_MS - now.0)
            .min();
        let wait_ms = u64::try_from(next.unwrap_or(i64::MAX)).unwrap_or(0);
        Duration::from_millis(wait_ms.clamp(1, SLEEP_MS_MAX))
    }

    fn build(&self, id: &MarketId, now: Timestamp) -> Result<MarketState, FoldError> {
        let held = &self.markets[id];
        let (market, stored) = &*held.value;
        let former = self.states.get(id);
        let same_goods =
            former.filter(|state| *state.goods == *stored && *state.market.value == *market);
        let loaded = match same_goods {
            Some(state) => Loaded::of(state),
            None => self.load_goods(market, stored, former.map(|state| &*state.base))?,
        };
        let none = Sets::new();
        let changed = former.and_then(|state| rows_changed(&loaded.catalogue, &state.catalogue));
        let known = Known {
            sets: former.map_or(&none, |state| &state.sets),
            changed: changed.as_ref(),
            view: former.and_then(|state| state.views.last().map(Arc::as_ref)),
        };
        let Loaded {
            catalogue,
            base,
            standing,
        } = loaded;
        let promotions: Vec<Held<Promotion>> = self
            .promotions
            .values()
            .filter(|promotion| promotion.value.markets.contains(id) && !promotion.value.archived)
            .cloned()
            .collect();
        let goods = Goods {
            catalogue: &catalogue,
            base: &base,
            promotions: &promotions,
        };
        let (views, sets) = view::views(&goods, now, known);
        Ok(MarketState {
            market: Held::new(held.revision, market.clone()),
            goods: Arc::new(stored.clone()),
            standing,
            catalogue,
            base,
            sets,
            views,
            series: self.engine.metrics().market(id),
        })
    }

    /// Goods that an import has just built, or those in the store as far as they can be read.
    fn load_goods(
        &self,
        market: &Market,
        stored: &GoodsV1,
        former: Option<&RankBase>,
    ) -> Result<Loaded, FoldError> {
        if let Some((catalogue, base)) = self.engine.take_prepared(market, stored) {
            return Ok(Loaded {
                catalogue,
                base,
                standing: Standing::Whole,
            });
        }
        let read = standing::newest_readable(&self.engine, market, stored);
        let (catalogue, standing) = read.map_err(|why| FoldError::Goods {
            market: market.id.clone(),
            why: why.to_string(),
        })?;
        let catalogue = Arc::new(catalogue);
        let base = match former {
            Some(former) => RankBase::after(former, &catalogue),
            None => RankBase::build(&catalogue),
        };
        Ok(Loaded {
            catalogue,
            base: Arc::new(base),
            standing,
        })
    }

    /// Takes in one record as it stands now; `None` for one that was deleted.
    fn apply(&mut self, key: &Key, value: Option<&Value>) -> Result<(), FoldError> {
        self.decode(key, value).map_err(|source| FoldError::Record {
            key: key.clone(),
            source,
        })
    }

    fn decode(&mut self, key: &Key, value: Option<&Value>) -> Result<(), RecordError> {
        match key.first_part() {
            "market" => self.apply_market(value),
            "promo" => self.apply_promotion(value),
            "key" => self.apply_key(key, value),
            "cal" => self.apply_calendar(key, value),
            "map" => self.apply_mapping(key, value),
            _ => Ok(()),
        }
    }

    fn apply_market(&mut self, value: Option<&Value>) -> Result<(), RecordError> {
        let Some(value) = value else { return Ok(()) };
        let stored = MarketV1::open(value)?;
        let market = stored.market()?;
        let id = market.id.clone();
        self.dirty.insert(id.clone());
        self.markets
            .insert(id, Held::new(value.revision(), (market, stored.goods)));
        Ok(())
    }

    fn apply_promotion(&mut self, value: Option<&Value>) -> Result<(), RecordError> {
        let Some(value) = value else { return Ok(()) };
        let promotion = Promotion::try_from(PromotionV1::open(value)?)?;
        let former = self
            .promotions
            .get(&promotion.id)
            .map(|held| Arc::clone(&held.value));
        let markets = former.iter().flat_map(|former| former.markets.iter());
        self.dirty
            .extend(markets.chain(&promotion.markets).cloned());
        let held = Held::new(value.revision(), promotion);
        Arc::make_mut(&mut self.promotions).insert(held.value.id, held);
        Ok(())
    }

    fn apply_key(&mut self, key: &Key, value: Option<&Value>) -> Result<(), RecordError> {
        let keys = Arc::make_mut(&mut self.keys);
        match value {
            Some(value) => {
                let record = KeyRecord::try_from(KeyV1::open(value)?)?;
                keys.insert(record.id, Held::new(value.revision(), record));
            }
            None => keys.retain(|id, _| crate::record::key::api_key(*id) != *key),
        }
        Ok(())
    }

    fn apply_calendar(&mut self, key: &Key, value: Option<&Value>) -> Result<(), RecordError> {
        let Some(value) = value else { return Ok(()) };
        let point = CalendarV1::open(value)?;
        let market = key.as_str().trim_start_matches("cal.");
        let market = MarketId::parse(market).map_err(|fault| RecordError::field("cal", fault))?;
        let held = Held::new(value.revision(), point);
        Arc::make_mut(&mut self.calendars).insert(market, held);
        Ok(())
    }

    fn apply_mapping(&mut self, key: &Key, value: Option<&Value>) -> Result<(), RecordError> {
        let mappings = Arc::make_mut(&mut self.mappings);
        let Some(value) = value else {
            mappings.retain(|(market, name), _| crate::record::key::mapping(market, name) != *key);
            return Ok(());
        };
        let mapping = MappingV1::open(value)?;
        let market = key.as_str().split('.').nth(1).unwrap_or_default();
        let market = MarketId::parse(market).map_err(|fault| RecordError::field("map", fault))?;
        let held = Held::new(value.revision(), mapping.json);
        mappings.insert((market, mapping.name), held);
        Ok(())
    }

    /// Compares the calendars' counts with what was folded; a difference is damage.
    pub(in crate::engine) fn check_calendars(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for (market, held) in self.calendars.iter() {
            let standing = self.promotions.values().filter(|promotion| {
                !promotion.value.archived && promotion.value.markets.contains(market)
            });
            let have = standing.count();
            if have != held.value.bookings as usize {
                let counted = held.value.bookings;
                faults.push(format!(
                    "cal.{market} counts {counted} promotions, {have} stand"
                ));
            }
        }
        faults
    }
}

impl From<&MetaV1> for Secrets {
    fn from(meta: &MetaV1) -> Self {
        Self {
            split: crate::measurement::split::SplitKey::new(meta.split_key),
            ticket: crate::engine::seal::SealKey(meta.ticket_key),
            cursor: crate::engine::seal::SealKey(meta.cursor_key),
        }
    }
}
