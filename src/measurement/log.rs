//! What the event log says: entries that need nobody else to be counted.
//!
//! Whatever counting an event depends on is stamped on it before it is written: the local day, the
//! promotions that ever held a variant, the arms of a page, the cost stored with an order. So sums
//! can be made again from the log alone, in any order of sessions, years later. Keys of sessions
//! and shoppers are not in it, only their digests.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::domain::id::{MarketId, ProductKey, PromotionId, VariantKey};
use crate::domain::money::{Minor, Percent};
use crate::domain::time::{Date, Timestamp};
use crate::measurement::split::{Arm, Coin, SessionDigest, Share};

/// One event of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it was taken in, by our clock.
    pub received: Timestamp,
    /// When it happened, by the shop's clock.
    pub at: Timestamp,
    /// The market's day of `at`.
    pub day: Date,
    /// The day whose rollup takes it: `day`, or the open one if that was closed already.
    pub booked: Date,
    /// The market.
    pub market: MarketId,
    /// The visit; of a refund, the one that ordered.
    pub session: SessionDigest,
    /// The person, if known.
    pub shopper: Option<SessionDigest>,
    /// What kind of shopper the shop says this is.
    pub group: Option<Arc<str>>,
    /// Digest of the event's id: a repeated one counts once in a session. 0: without an id.
    pub id: u64,
    /// Whether the shop says that this is no person.
    pub is_bot: bool,
    /// Whether its ticket was made for another session.
    pub is_foreign: bool,
    /// What happened.
    pub what: What,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// A page was answered.
    Page(PageEntry),
    /// Items were shown.
    Display {
        /// Measured stretches that the named category page may have reached.
        marks: Vec<Mark>,
        /// What was shown.
        items: Vec<Item>,
    },
    /// An item was opened from a list.
    Click(Item),
    /// A product's page was opened, by any road.
    View(Item),
    /// Something was put into the cart.
    AddToCart {
        /// What.
        item: Item,
        /// How many.
        quantity: u32,
    },
    /// An order was placed.
    Purchase(Order),
    /// Lines of a known order came back.
    Refund(Order),
    /// The shopper left.
    End,
}

/// A counted answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageEntry {
    /// Revision it was computed from.
    pub revision: u64,
    /// First eight bytes of the panel's hash.
    pub panel: u64,
    /// Whether its items count as displays: not where the shop sends displays itself.
    pub displays: bool,
    /// What was served.
    pub items: Vec<Item>,
    /// Every stretch that was being measured.
    pub marks: Vec<Mark>,
}

/// A measured stretch as it stood on one page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Which.
    pub epoch: Arc<MeasuredEpoch>,
    /// The arm that was applied.
    pub arm: Arm,
    /// How deep the page was exposed to it.
    pub trigger: Trigger,
}

/// How deep a session was exposed to a promotion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Trigger {
    /// Assigned: it was being measured.
    T0,
    /// Reachable: it applied to the page and held something in the result.
    T1,
    /// Different: in the other arm the page would have been another.
    T2,
}

impl Trigger {
    /// All of them, shallow first.
    pub const ALL: [Self; 3] = [Self::T0, Self::T1, Self::T2];

    /// As the wire spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::T0 => "t0",
            Self::T1 => "t1",
            Self::T2 => "t2",
        }
    }
}

/// Names an epoch everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EpochKey {
    /// The promotion.
    pub promotion: PromotionId,
    /// Number of its epoch, from 1.
    pub number: u32,
}

/// What a page's arms are checked against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeasuredEpoch {
    /// Which.
    pub key: EpochKey,
    /// Its random bits.
    pub salt: u64,
    /// Share of sessions that see it.
    pub share: Share,
}

impl MeasuredEpoch {
    /// The arm the split gives to a session.
    pub fn arm(&self, session: SessionDigest) -> Arm {
        Coin::new(self.salt, self.share).toss(session)
    }

    /// The share as a percentage.
    pub fn share_shown(&self) -> Percent {
        self.share.percent()
    }
}

/// Something shown, opened or put into the cart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The variant, as named.
    pub variant: VariantKey,
    /// Its product; itself if unknown.
    pub product: ProductKey,
    /// Promotions that hold it, or held it before and have not ended.
    pub promotions: Arc<[PromotionId]>,
    /// The offer it stood under.
    pub offer: Option<StampedOffer>,
}

/// The smart offer that an item stood under.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StampedOffer {
    /// Id of the plan.
    pub plan: [u8; 16],
    /// Its window, by the day it begins.
    pub window: Date,
    /// Number of the discount level.
    pub level: u16,
}

/// Lines of an order, or those that came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Digest of the order's id.
    pub id: OrderDigest,
    /// The lines.
    pub lines: Vec<OrderLine>,
}

/// Digest of an order's id, under the split key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OrderDigest(pub [u8; 16]);

/// One line; all figures positive, also of what came back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderLine {
    /// Digest of the line's id, or its place in the order.
    pub line: u64,
    /// What was sold.
    pub item: Item,
    /// Units.
    pub quantity: u32,
    /// Paid for all of them.
    pub paid: Minor,
    /// What all of them cost the shop; `None`: unknown.
    pub cost: Option<Minor>,
}

/// The beginning or end of an epoch, written into every partition so that the log explains itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Control {
    /// The market.
    pub market: MarketId,
    /// The epoch, its salt and share.
    pub epoch: MeasuredEpoch,
    /// Whether ranking ignores the split.
    pub aa: bool,
    /// When it begins or ends; this counts, not where the record stands.
    pub at: Timestamp,
    /// Begins or ends.
    pub is_end: bool,
}
