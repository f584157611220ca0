//! Whether the process can rank, and whether it takes writes.

use std::collections::BTreeMap;

use crate::access::may::{Object, Verb};
use crate::access::principal::Principal;
use crate::domain::id::MarketId;
use crate::domain::limits::ACTIVE_PER_MARKET_MAX;
use crate::domain::time::Timestamp;
use crate::engine::error::EngineError;
use crate::engine::standing::Standing;
use crate::engine::start::Engine;
use crate::promotion::state::{State, state};
use crate::store::layout::FORMAT_VERSION;
use crate::store::scrub::Scrubbed;
use crate::store::{Mode, StoreHealth};
use crate::telemetry::metrics::CONTENT_TYPE;

/// What is done with writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// Everything is taken.
    Ok,
    /// No room on the disk; at best what frees some is taken.
    Full,
    /// Nothing is taken until a restart or a restore.
    ReadOnly,
}

impl Writes {
    /// As the wire spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Full => "full",
            Self::ReadOnly => "read-only",
        }
    }

    fn of(mode: Mode) -> Self {
        match mode {
            Mode::Ok => Self::Ok,
            Mode::Low | Mode::Full => Self::Full,
            Mode::ReadOnly | Mode::Older => Self::ReadOnly,
        }
    }

    fn worse(self, other: Self) -> Self {
        match (self, other) {
            (Self::ReadOnly, _) | (_, Self::ReadOnly) => Self::ReadOnly,
            (Self::Full, _) | (_, Self::Full) => Self::Full,
            (Self::Ok, Self::Ok) => Self::Ok,
        }
    }
}

/// How the process is.
#[derive(Clone, Debug)]
pub struct Health {
    /// Whether every market has a snapshot.
    pub ready: bool,
    /// What is done with writes.
    pub writes: Writes,
    /// Revision of each market's snapshot.
    pub markets: BTreeMap<MarketId, u64>,
    /// Markets whose goods are damaged: they need their whole feed again.
    pub damaged: BTreeMap<MarketId, Standing>,
}

/// One market at a glance.
#[derive(Clone, Debug)]
pub struct MarketStatus {
    /// Its key.
    pub market: MarketId,
    /// Variants.
    pub variants: u32,
    /// Products.
    pub products: usize,
    /// Categories.
    pub categories: usize,
    /// Promotions and demotions active now.
    pub active: usize,
    /// Most that may be active at once.
    pub limit: usize,
    /// Whether its goods are those that its record names.
    pub goods: Standing,
    /// Revision of its settings and goods.
    pub revision: u64,
    /// Revision of its newest snapshot, and when that was published.
    pub snapshot: Option<(u64, Timestamp)>,
    /// Until when its ranking view holds, if it is not for ever.
    pub view_until: Option<Timestamp>,
}

/// One space of the store.
#[derive(Clone, Debug)]
pub struct SpaceHealth {
    /// Newest durable commit.
    pub revision: u64,
    /// Commits that the index has yet to take in; `None` while it is rebuilt.
    pub index_lag: Option<u64>,
    /// Free bytes of the volume; `None` for a store in memory.
    pub free_bytes: Option<u64>,
    /// What the last start repaired, one line each.
    pub repairs: Vec<String>,
    /// Its newest backup.
    pub last_backup: Option<BackedUp>,
}

/// What a backup holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BackedUp {
    /// Up to which revision.
    pub revision: u64,
    /// Time of the last commit in it, if there was one.
    pub as_of: Option<Timestamp>,
}

impl SpaceHealth {
    fn of(health: StoreHealth, last_backup: Option<BackedUp>) -> Self {
        Self {
            revision: health.revision.0,
            index_lag: health.lag(),
            free_bytes: health.free_bytes,
            repairs: health.repairs,
            last_backup,
        }
    }
}

/// What was found when everything that the store has on disk was read last.
#[derive(Clone, Debug)]
pub struct ScrubStatus {
    /// When that began.
    pub at: Timestamp,
    /// Bytes read.
    pub n_bytes: u64,
    /// Whether it came to its end.
    pub is_complete: bool,
    /// What was damaged, one line each, with whether it was mended.
    pub damaged: Vec<String>,
}

impl ScrubStatus {
    fn of(scrubbed: &Scrubbed) -> Self {
        Self {
            at: scrubbed.at,
            n_bytes: scrubbed.n_bytes,
            is_complete: scrubbed.is_complete,
            damaged: scrubbed.damaged.iter().map(ToString::to_string).collect(),
        }
    }
}

/// The whole process at a glance.
#[derive(Clone, Debug)]
pub struct Status {
    /// What is done with writes.
    pub writes: Writes,
    /// Revision of the snapshot.
    pub revision: u64,
    /// The caller's markets.
    pub markets: Vec<MarketStatus>,
    /// The configuration's store.
    pub config: SpaceHealth,
    /// The store of what is not configuration.
    pub trade: SpaceHealth,
    /// What was damaged when everything was read last; `None` before this process did.
    pub scrub: Option<ScrubStatus>,
    /// Pages and items counted since the start.
    pub pages: (u64, u64),
}

impl Engine {
    /// Format of the data directory that this build writes.
    pub const STORE_FORMAT: u32 = FORMAT_VERSION;

    /// How the process is; asks nobody's permission.
    pub fn health(&self) -> Health {
        let snapshot = self.snapshot();
        let now = self.now();
        let [config, trade] = [self.config(), self.trade()].map(|space| space.health().mode);
        let revision = snapshot.revision.0;
        let damaged = snapshot
            .markets
            .iter()
            .filter(|(_, state)| state.standing != Standing::Whole);
        Health {
            damaged: damaged
                .map(|(id, state)| (id.clone(), state.standing))
                .collect(),
            ready: snapshot
                .markets
                .values()
                .all(|state| state.view_at(now).is_some() || !state.views.is_empty()),
            writes: Writes::of(config).worse(Writes::of(trade)),
            markets: snapshot
                .markets
                .keys()
                .map(|id| (id.clone(), revision))
                .collect(),
        }
    }

    /// The process at a glance, as far as the caller's markets reach.
    ///
    /// # Errors
    /// What the caller may not do.
    pub async fn status(&self, principal: &Principal) -> Result<Status, EngineError> {
        principal.may(Verb::Watch, &Object::Anywhere)?;
        let snapshot = self.snapshot();
        let now = self.now();
        let own = snapshot
            .markets
            .iter()
            .filter(|(id, _)| principal.markets.holds(id));
        let markets = own.map(|(id, market)| {
            let mut active = snapshot.promotions.values().filter(|held| {
                held.value.markets.contains(id) && state(&held.value, now) == State::Active
            });
            let until = market.view_at(now).map(|timed| timed.period.end());
            MarketStatus {
                market: id.clone(),
                variants: market.catalogue.live().len(),
                products: market.catalogue.products().count(),
                categories: market.catalogue.graph().len(),
                active: active.by_ref().count(),
                limit: ACTIVE_PER_MARKET_MAX,
                goods: market.standing,
                revision: market.market.revision.0,
                snapshot: market.series.snapshot(now).map(|(revision, age)| {
                    let age_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
                    (revision, now.plus_ms(-age_ms))
                }),
                view_until: until.filter(|until| until.0 != i64::MAX),
            }
        });
        let markets = markets.collect();
        let [config, trade] = self.last_backups().await?;
        Ok(Status {
            writes: self.health().writes,
            revision: snapshot.revision.0,
            markets,
            config: SpaceHealth::of(self.config().health(), config),
            trade: SpaceHealth::of(self.trade().health(), trade),
            scrub: self
                .stores()
                .last_scrub()
                .map(|last| ScrubStatus::of(&last)),
            pages: self.pages().counted(),
        })
    }

    /// Media type and text of all metrics.
    ///
    /// # Errors
    /// What the caller may not do.
    pub fn scrape(&self, principal: &Principal) -> Result<(&'static str, String), EngineError> {
        principal.may(Verb::Watch, &Object::Anywhere)?;
        Ok((CONTENT_TYPE, self.metrics().encode(self.now())))
    }

    /// Whether the caller may read and move the test clock.
    ///
    /// # Errors
    /// `not-found` on a server without one; what the caller may not do.
    pub fn may_see_clock(&self, principal: &Principal) -> Result<(), EngineError> {
        if !self.clock().is_test() {
            let id = "/test/clock".to_owned();
            return Err(EngineError::NotFound { what: "route", id });
        }
        Ok(principal.may(Verb::MoveClock, &Object::Anywhere)?)
    }
}
