//! All sums of one partition of the event log.
//!
//! ```text
//! entry → duplicate? → session (made at its first event) → day's quality, totals, rollups
//!       → within 24 h of the session's first event? → its figures → cells of its stretches
//! ```
//!
//! A tally is made from its log alone, entry by entry; of sessions shorter than a day the order
//! does not matter. It is the judge of repetition too: what it calls a duplicate is not logged.
#![deny(clippy::float_arithmetic)]

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::domain::id::{MarketId, PromotionId};
use crate::domain::time::{Date, Timestamp};
use crate::measurement::log::{Control, Entry, EpochKey, Item, OrderDigest, What};
use crate::measurement::moments::{FIGURES, Vector};
use crate::measurement::orders::OrderRecord;
use crate::measurement::session::{Delta, Session, check_arms};
use crate::measurement::split::SessionDigest;
use crate::measurement::sums::{MarketSums, Rollup, Totals};

const HOUR_MS: i64 = 3_600_000;

/// How far from its session's first event something may be to count for a promotion, and how late
/// browsing may be told: 24 h.
pub const WINDOW_MS: i64 = 24 * HOUR_MS;

/// After the end of a stretch its cells stay as they are: 48 h.
pub const FREEZE_MS: i64 = 48 * HOUR_MS;

/// How long a session without an order is remembered after its last event: 48 h.
const SESSION_KEPT_MS: i64 = 48 * HOUR_MS;

/// How long an order is remembered, to know it again and what of it came back: 90 days.
pub const ORDER_KEPT_MS: i64 = 90 * 24 * HOUR_MS;

/// What became of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// It is in the sums.
    Counted,
    /// It was there before: nothing changed.
    Duplicate,
}

/// All sums of one partition.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub(super) markets: BTreeMap<MarketId, MarketTally>,
    /// Latest receipt.
    pub(super) latest: Option<Timestamp>,
    /// When sessions and orders are looked through for what may be forgotten.
    pub(super) next_sweep: Option<Timestamp>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct MarketTally {
    pub(super) sessions: HashMap<SessionDigest, Session>,
    pub(super) orders: HashMap<OrderDigest, OrderRecord>,
    pub(super) ends: BTreeMap<EpochKey, Timestamp>,
    pub(super) sums: MarketSums,
    pub(super) touched_sessions: BTreeSet<SessionDigest>,
    pub(super) touched_orders: BTreeSet<OrderDigest>,
}

impl Tally {
    /// Counts an entry.
    pub fn apply(&mut self, entry: &Entry) -> Applied {
        self.sweep(entry.received);
        let market = match self.markets.get_mut(&entry.market) {
            Some(market) => market,
            None => self.markets.entry(entry.market.clone()).or_default(),
        };
        market.apply(entry)
    }

    /// Notes when a stretch ended.
    pub fn control(&mut self, control: &Control) {
        if control.is_end {
            let market = self.markets.entry(control.market.clone()).or_default();
            market.ends.insert(control.epoch.key, control.at);
            market.sums.touched_epochs.0.insert(control.epoch.key);
        }
    }

    /// An order placed here in the last 90 days.
    pub fn order(&self, market: &MarketId, id: OrderDigest) -> Option<&OrderRecord> {
        self.markets.get(market)?.orders.get(&id)
    }

    /// Whether a session sent an event of this id before; 0 names none.
    pub fn knows(&self, market: &MarketId, session: SessionDigest, id: u64) -> bool {
        let session = self.session(market, session);
        id != 0 && session.is_some_and(|session| session.ids.contains(&id))
    }

    /// Whether a page differed for a session already, so that nobody needs to ask again.
    pub fn has_differed(&self, market: &MarketId, session: SessionDigest, key: EpochKey) -> bool {
        let session = self.session(market, session);
        session.is_some_and(|session| session.has_differed(key))
    }

    fn session(&self, market: &MarketId, session: SessionDigest) -> Option<&Session> {
        self.markets.get(market)?.sessions.get(&session)
    }

    /// The sums of a market; `None`: nothing happened there.
    pub fn sums(&self, market: &MarketId) -> Option<&MarketSums> {
        self.markets.get(market).map(|market| &market.sums)
    }

    /// Sessions in memory.
    pub fn n_sessions(&self) -> usize {
        self.markets
            .values()
            .map(|market| market.sessions.len())
            .sum()
    }

    /// Once an hour of receipts, forgets what nothing can be told about any more.
    fn sweep(&mut self, received: Timestamp) {
        let latest = self.latest.map_or(received, |latest| latest.max(received));
        self.latest = Some(latest);
        if self.next_sweep.is_some_and(|next| latest < next) {
            return;
        }
        self.next_sweep = Some(latest.plus_ms(HOUR_MS));
        for market in self.markets.values_mut() {
            market.forget(latest);
        }
    }
}

impl MarketTally {
    fn forget(&mut self, latest: Timestamp) {
        self.sessions.retain(|digest, session| {
            let kept = if session.ordered {
                ORDER_KEPT_MS
            } else {
                SESSION_KEPT_MS
            };
            let stays = latest < session.last_received.plus_ms(kept);
            if !stays {
                self.touched_sessions.insert(*digest);
            }
            stays
        });
        self.orders.retain(|id, order| {
            let stays = latest < order.at.plus_ms(ORDER_KEPT_MS);
            if !stays {
                self.touched_orders.insert(*id);
            }
            stays
        });
    }

    fn apply(&mut self, entry: &Entry) -> Applied {
        if let What::Purchase(order) = &entry.what
            && self.orders.contains_key(&order.id)
        {
            return Applied::Duplicate;
        }
        self.touched_sessions.insert(entry.session);
        let session = self
            .sessions
            .entry(entry.session)
            .or_insert_with(|| Session::new(entry));
        if entry.id != 0 && !session.ids.insert(entry.id) {
            return Applied::Duplicate;
        }
        session.last_received = session.last_received.max(entry.received);
        self.sums.touched_quality.0.insert(entry.day);
        let quality = self.sums.quality.entry(entry.day).or_default();
        quality.events += 1;
        quality.foreign += u64::from(entry.is_foreign);
        let is_late = entry.at.plus_ms(WINDOW_MS) < entry.received;
        let is_outside = WINDOW_MS < entry.at.0.saturating_sub(session.first.0).saturating_abs();
        let is_within = match &entry.what {
            What::Refund(back) => {
                let Some(order) = self.orders.get_mut(&back.id) else {
                    return Applied::Counted;
                };
                order.give_back(&back.lines);
                self.touched_orders.insert(back.id);
                order.is_within
            }
            What::Purchase(order) => {
                let is_within = !is_late && !is_outside;
                session.ordered = true;
                let record = OrderRecord::new(entry.session, entry.at, is_within, order);
                self.orders.insert(order.id, record);
                self.touched_orders.insert(order.id);
                is_within
            }
            _ => !is_late && !is_outside,
        };
        let is_order = matches!(entry.what, What::Purchase(_) | What::Refund(_));
        if is_late {
            quality.late += 1;
            if !is_order {
                return Applied::Counted;
            }
        } else if !is_within {
            quality.outside_window += 1;
        }
        let delta = Delta::of(&entry.what);
        total(entry, &delta, session, &mut self.sums);
        roll_up(entry, &mut self.sums);
        if is_within {
            check_arms(&entry.what, entry.session, &mut self.sums);
            let delta = match &entry.what {
                What::Refund(_) => delta.negated(),
                _ => delta,
            };
            let ends = &self.ends;
            let is_frozen = |key: EpochKey| {
                let end = ends.get(&key);
                end.is_some_and(|end| end.plus_ms(FREEZE_MS) <= entry.received)
            };
            session.count(entry, &delta, &mut self.sums, &is_frozen);
        }
        Applied::Counted
    }
}

fn totals_of(sums: &mut MarketSums, promotion: PromotionId, day: Date) -> &mut Totals {
    let key = (promotion, day);
    sums.touched_totals.0.insert(key);
    sums.totals.entry(key).or_default()
}

/// Adds to the totals of the promotions that an entry touches.
fn total(entry: &Entry, delta: &Delta, session: &mut Session, sums: &mut MarketSums) {
    let is_refund = matches!(entry.what, What::Refund(_));
    for (promotion, vector) in &delta.promoted {
        let totals = totals_of(sums, *promotion, entry.day);
        let side = if is_refund {
            &mut totals.refunded
        } else {
            &mut totals.gross
        };
        add(side, vector);
    }
    match &entry.what {
        What::Purchase(order) | What::Refund(order) => {
            let sign = if is_refund { -1 } else { 1 };
            for line in order.lines.iter().filter(|line| line.cost.is_none()) {
                for promotion in line.item.promotions.iter() {
                    let totals = totals_of(sums, *promotion, entry.day);
                    totals.revenue_without_cost += sign * i128::from(line.paid.0);
                }
            }
        }
        What::AddToCart { item, quantity } => {
            for promotion in item.promotions.iter() {
                let totals = totals_of(sums, *promotion, entry.day);
                totals.added += u64::from(*quantity);
                totals.sessions_adding += u64::from(session.adding.insert((*promotion, entry.day)));
            }
        }
        _ => {}
    }
}

fn add(sums: &mut [i128; FIGURES], vector: &Vector) {
    for (sum, more) in sums.iter_mut().zip(vector.0) {
        *sum += i128::from(more);
    }
}

fn rollup<'a>(sums: &'a mut MarketSums, item: &Item, booked: Date) -> &'a mut Rollup {
    let key = (item.product.clone(), booked);
    sums.touched_rollups.0.insert(key.clone());
    sums.rollups.entry(key).or_default()
}

/// Adds to the rollups of the products that an entry names.
fn roll_up(entry: &Entry, sums: &mut MarketSums) {
    let is_late = entry.booked != entry.day;
    match &entry.what {
        What::View(item) => {
            let rollup = rollup(sums, item, entry.booked);
            rollup.views += 1;
            rollup.late += u64::from(is_late);
        }
        What::Click(item) => {
            let rollup = rollup(sums, item, entry.booked);
            rollup.clicks += 1;
            rollup.late += u64::from(is_late);
        }
        What::Purchase(order) => {
            let mut products = BTreeSet::new();
            for line in &order.lines {
                let rollup = rollup(sums, &line.item, entry.booked);
                rollup.units += u64::from(line.quantity);
                rollup.paid += i128::from(line.paid.0);
                if line.cost.is_none() {
                    rollup.paid_without_cost += i128::from(line.paid.0);
                }
                if products.insert(line.item.product.clone()) {
                    rollup.orders += 1;
                    rollup.late += u64::from(is_late);
                    let buyer = entry.shopper.unwrap_or(entry.session);
                    rollup.customers.insert(buyer.first_half());
                }
            }
        }
        What::Refund(order) => {
            let mut products = BTreeSet::new();
            for line in &order.lines {
                let rollup = rollup(sums, &line.item, entry.booked);
                rollup.refunded_units += u64::from(line.quantity);
                rollup.refunded += i128::from(line.paid.0);
                if products.insert(line.item.product.clone()) {
                    rollup.late += u64::from(is_late);
                }
            }
        }
        _ => {}
    }
}
