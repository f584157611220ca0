//! All that ranks and carts read, at one configuration revision.
//!
//! A [`Snapshot`] is immutable and published by one pointer swap. Of a market it holds the goods
//! and, for the stretch of time around now, the ranking view; a view holds between two boundaries
//! (a promotion starts or ends, a local day begins), and its successor is built before the
//! boundary comes, so that ranks change to the millisecond without waiting.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::access::key::{KeyDigest, KeyRecord};
use crate::catalogue::Catalogue;
use crate::catalogue::market::Market;
use crate::catalogue::row::RowSet;
use crate::domain::id::{IdText, KeyId, MarketId, PromotionId};
use crate::domain::time::{Date, Period, Timestamp};
use crate::engine::seal::SealKey;
use crate::engine::standing::{self, Standing};
use crate::measurement::log::MeasuredEpoch;
use crate::measurement::split::{Coin, SplitKey};
use crate::promotion::slot::Slot;
use crate::promotion::terms::Promotion;
use crate::ranking::base::RankBase;
use crate::ranking::build::MarketView;
use crate::record::desk::CalendarV1;
use crate::record::market::GoodsV1;
use crate::store::Revision;
use crate::telemetry::series::MarketSeries;

/// An object and the revision of its last change.
#[derive(Debug)]
pub struct Held<T> {
    /// Revision of the last change: the object's `ETag`.
    pub revision: Revision,
    /// The object.
    pub value: Arc<T>,
}

impl<T> Clone for Held<T> {
    fn clone(&self) -> Self {
        Self {
            revision: self.revision,
            value: Arc::clone(&self.value),
        }
    }
}

impl<T> Held<T> {
    /// An object as changed by `revision`.
    pub fn new(revision: Revision, value: T) -> Self {
        Self {
            revision,
            value: Arc::new(value),
        }
    }
}

/// The secrets of the store.
#[derive(Clone, Debug)]
pub struct Secrets {
    /// Under which sessions are split.
    pub split: SplitKey,
    /// Under which tickets are sealed.
    pub ticket: SealKey,
    /// Under which cursors are sealed.
    pub cursor: SealKey,
}

/// Everything one node answers from, at one revision.
#[derive(Debug)]
pub struct Snapshot {
    /// Configuration revision up to which it is current.
    pub revision: Revision,
    /// The secrets of the store.
    pub secrets: Arc<Secrets>,
    /// API keys by the hash of each living secret.
    pub keys_by_digest: Arc<BTreeMap<KeyDigest, Held<KeyRecord>>>,
    /// API keys by id.
    pub keys: Arc<BTreeMap<KeyId, Held<KeyRecord>>>,
    /// The markets.
    pub markets: BTreeMap<MarketId, Arc<MarketState>>,
    /// Every promotion and demotion, archived ones included.
    pub promotions: Arc<BTreeMap<PromotionId, Held<Promotion>>>,
    /// Commit points of the markets' calendars.
    pub calendars: Arc<BTreeMap<MarketId, Held<CalendarV1>>>,
    /// Feed mappings as JSON text, by market and name.
    pub mappings: Arc<BTreeMap<(MarketId, String), Held<String>>>,
}

/// One market's part.
#[derive(Debug)]
pub struct MarketState {
    /// Its settings.
    pub market: Held<Market>,
    /// Where its goods lie in the store.
    pub goods: Arc<GoodsV1>,
    /// How the goods served stand to those that `goods` names.
    pub standing: Standing,
    /// The goods.
    pub catalogue: Arc<Catalogue>,
    /// What ranking derives from the goods alone.
    pub base: Arc<RankBase>,
    /// Rows of each promotion that is active in one of the views.
    pub sets: BTreeMap<PromotionId, Arc<HeldSet>>,
    /// Ranking views in order of time; the last one's end is the next boundary.
    pub views: Vec<Arc<TimedView>>,
    /// Where its latencies are counted.
    pub series: MarketSeries,
}

impl Snapshot {
    /// About how many bytes it holds that its successor does not share.
    pub(in crate::engine) fn bytes_apart(&self, successor: &Self) -> usize {
        let own = self.markets.iter();
        let apart = own.map(|(id, state)| match successor.markets.get(id) {
            Some(next) if Arc::ptr_eq(next, state) => 0,
            next => state.bytes_apart(next.map(Arc::as_ref)),
        });
        apart.sum()
    }
}

impl MarketState {
    fn bytes_apart(&self, successor: Option<&Self>) -> usize {
        let goods = match successor {
            Some(next) if Arc::ptr_eq(&next.base, &self.base) => 0,
            next => {
                let catalogue = next.map(|next| &*next.catalogue);
                self.catalogue.bytes_apart(catalogue)
                    + self.base.bytes_apart(next.map(|next| &*next.base))
            }
        };
        let is_shared = |timed: &&Arc<TimedView>| {
            successor.is_some_and(|next| next.views.iter().any(|own| Arc::ptr_eq(own, timed)))
        };
        let views = self.views.iter().filter(|timed| !is_shared(timed));
        goods + views.map(|timed| timed.view.bytes()).sum::<usize>()
    }
}

/// The rows of a promotion, and what they were evaluated from.
#[derive(Debug)]
pub struct HeldSet {
    /// Revision of the promotion.
    pub revision: Revision,
    /// Local day, if the selection asks for ages.
    pub day: Option<Date>,
    /// The rows.
    pub rows: RowSet,
}

/// A ranking view and the stretch of time for which it holds.
#[derive(Debug)]
pub struct TimedView {
    /// From the boundary before to the boundary after.
    pub period: Period,
    /// The view.
    pub view: MarketView,
    /// Promotions by slot.
    pub promotions: Vec<Held<Promotion>>,
    /// Their rows, by slot.
    pub sets: Vec<Arc<HeldSet>>,
    /// Slots of measured promotions, with what assigns their arms; in order of the promotions' ids.
    pub measured: Vec<MeasuredSlot>,
    /// Slots of every running measurement, also of those that compare a promotion with itself.
    pub watched: Vec<Watched>,
}

/// A slot whose effect is counted.
#[derive(Clone, Debug)]
pub struct Watched {
    /// The slot.
    pub slot: Slot,
    /// What is being measured.
    pub epoch: Arc<MeasuredEpoch>,
}

/// A slot whose arm depends on the session.
#[derive(Clone, Copy, Debug)]
pub struct MeasuredSlot {
    /// The promotion's id as answers write it.
    pub id: IdText,
    /// The slot.
    pub slot: Slot,
    /// Decides the arm of a session.
    pub coin: Coin,
}

impl MarketState {
    /// The goods that an import adds to: none where the named ones are lost, so that it is written
    /// whole.
    pub(in crate::engine) fn goods_to_build_on(&self) -> GoodsV1 {
        match self.standing {
            Standing::Whole => (*self.goods).clone(),
            Standing::Older | Standing::Lost => standing::without(&self.goods),
        }
    }

    /// The view that holds at `now`, if it is built.
    pub fn view_at(&self, now: Timestamp) -> Option<&Arc<TimedView>> {
        self.views.iter().find(|timed| timed.period.contains(now))
    }
}
