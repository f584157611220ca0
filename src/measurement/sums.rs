//! What is summed: cells of a measured stretch, totals of a promotion, daily rollups.
//!
//! ```text
//! stretch (promotion, epoch, market) → day → level → arm → scope → n, figures, products, cubes
//! promotion × market × day           → totals over all sessions
//! product × market × booked day      → rollup
//! ```
//!
//! All of it adds up over partitions, in any order; nothing added is nothing changed.
#![deny(clippy::float_arithmetic)]

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::domain::id::{ProductKey, PromotionId};
use crate::domain::time::Date;
use crate::measurement::histogram::Histogram;
use crate::measurement::log::{EpochKey, Trigger};
use crate::measurement::moments::{FIGURES, Figure, Moments, Vector};
use crate::measurement::split::Arm;

/// What of a session is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Scope {
    /// What the promotion holds.
    Promoted,
    /// Everything: what was gained here may have been lost elsewhere.
    Basket,
}

impl Scope {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Promoted, Self::Basket];

    /// As the wire spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Promoted => "promoted",
            Self::Basket => "basket",
        }
    }
}

/// Sessions and their figures, where nothing is compared but how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Sessions.
    pub n: i64,
    /// Sums in the order of [`Vector`].
    pub sums: [i128; FIGURES],
}

impl Counts {
    /// A session's share goes from one vector to another; `None`: it is not counted.
    pub fn change(&mut self, from: Option<&Vector>, to: Option<&Vector>) {
        self.n += i64::from(to.is_some()) - i64::from(from.is_some());
        for (i, sum) in self.sums.iter_mut().enumerate() {
            let of = |vector: Option<&Vector>| vector.map_or(0, |vector| i128::from(vector.0[i]));
            *sum += of(to) - of(from);
        }
    }

    /// Adds those of other sessions.
    pub fn merge(&mut self, other: &Self) {
        self.n += other.n;
        for (sum, more) in self.sums.iter_mut().zip(other.sums) {
            *sum += more;
        }
    }
}

/// What one arm is compared by.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cell {
    /// Sums, products, cubes.
    pub moments: Moments,
    /// Revenue of the sessions, in buckets.
    pub revenue: Histogram,
    /// Profit of the sessions, in buckets.
    pub profit: Histogram,
}

impl Cell {
    /// A session's share goes from one vector to another; `None`: it is not counted.
    pub fn change(&mut self, from: Option<&Vector>, to: Option<&Vector>) {
        let money = |vector: &Vector, figure: Figure| vector.0[figure as usize];
        match (from, to) {
            (None, None) => {}
            (None, Some(to)) => {
                self.moments.add(to);
                self.revenue.add(money(to, Figure::Revenue));
                self.profit.add(money(to, Figure::Profit));
            }
            (Some(from), None) => {
                self.moments.remove(from);
                self.revenue.remove(money(from, Figure::Revenue));
                self.profit.remove(money(from, Figure::Profit));
            }
            (Some(from), Some(to)) => {
                self.moments.change(from, to);
                let change = |histogram: &mut Histogram, figure| {
                    histogram.change(money(from, figure), money(to, figure));
                };
                change(&mut self.revenue, Figure::Revenue);
                change(&mut self.profit, Figure::Profit);
            }
        }
    }

    /// Adds that of other sessions.
    pub fn merge(&mut self, other: &Self) {
        self.moments.merge(&other.moments);
        self.revenue.merge(&other.revenue);
        self.profit.merge(&other.profit);
    }
}

/// What was changed since somebody kept it: beside the sums, and no part of them.
#[derive(Clone, Debug)]
pub struct Touched<T>(pub BTreeSet<T>);

impl<T> Default for Touched<T> {
    fn default() -> Self {
        Self(BTreeSet::new())
    }
}

impl<T> PartialEq for Touched<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T> Eq for Touched<T> {}

/// A part of a day: level, arm and scope.
pub type Place = (Trigger, Arm, Scope);

/// One day of a measured stretch; indices are arm, then scope.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaySums {
    t0: [[Counts; 2]; 2],
    t1: [[Cell; 2]; 2],
    t2: [[Cell; 2]; 2],
}

impl DaySums {
    /// Of all assigned sessions.
    pub fn assigned(&self, arm: Arm, scope: Scope) -> &Counts {
        &self.t0[arm as usize][scope as usize]
    }

    /// Of the sessions at a level; `None` for T0, whose products nobody sums.
    pub fn cell(&self, level: Trigger, arm: Arm, scope: Scope) -> Option<&Cell> {
        let cells = match level {
            Trigger::T0 => return None,
            Trigger::T1 => &self.t1,
            Trigger::T2 => &self.t2,
        };
        Some(&cells[arm as usize][scope as usize])
    }

    /// A session's share goes from one vector to another; `None`: it is not counted.
    pub fn change(
        &mut self,
        (level, arm, scope): Place,
        from: Option<&Vector>,
        to: Option<&Vector>,
    ) {
        let (arm, scope) = (arm as usize, scope as usize);
        match level {
            Trigger::T0 => self.t0[arm][scope].change(from, to),
            Trigger::T1 => self.t1[arm][scope].change(from, to),
            Trigger::T2 => self.t2[arm][scope].change(from, to),
        }
    }

    /// Puts a part back as it was kept.
    pub(super) fn put(&mut self, (level, arm, scope): Place, part: DayPart) {
        let (arm, scope) = (arm as usize, scope as usize);
        match (level, part) {
            (Trigger::T0, DayPart::Counts(counts)) => self.t0[arm][scope] = counts,
            (Trigger::T1, DayPart::Cell(cell)) => self.t1[arm][scope] = *cell,
            (Trigger::T2, DayPart::Cell(cell)) => self.t2[arm][scope] = *cell,
            // No T0 has a cell, and nothing else counts alone.
            (Trigger::T0, DayPart::Cell(_)) | (_, DayPart::Counts(_)) => {}
        }
    }

    /// A part as it is now.
    pub(super) fn part(&self, (level, arm, scope): Place) -> DayPart {
        match self.cell(level, arm, scope) {
            None => DayPart::Counts(self.assigned(arm, scope).clone()),
            Some(cell) => DayPart::Cell(Box::new(cell.clone())),
        }
    }

    /// Adds those of other sessions.
    pub fn merge(&mut self, other: &Self) {
        for arm in 0..2 {
            for scope in 0..2 {
                self.t0[arm][scope].merge(&other.t0[arm][scope]);
                self.t1[arm][scope].merge(&other.t1[arm][scope]);
                self.t2[arm][scope].merge(&other.t2[arm][scope]);
            }
        }
    }
}

/// A part of a day by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DayPart {
    /// Of T0.
    Counts(Counts),
    /// Of T1 or T2.
    Cell(Box<Cell>),
}

/// A measured stretch in one market.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EpochSums {
    /// By the local day on which a session came to a level.
    pub days: BTreeMap<Date, DaySums>,
    /// Sessions not counted because no person acts like that, per arm.
    pub excluded: [i64; 2],
    /// Pages seen.
    pub pages: u64,
    /// Pages whose arm was not the one of the split: none, if ranking and split agree.
    pub contradicting: u64,
    /// Parts of its days.
    pub touched: Touched<(Date, Place)>,
}

impl EpochSums {
    /// Adds those of other sessions.
    pub fn merge(&mut self, other: &Self) {
        for (day, sums) in &other.days {
            self.days.entry(*day).or_default().merge(sums);
        }
        for (sum, more) in self.excluded.iter_mut().zip(other.excluded) {
            *sum += more;
        }
        self.pages += other.pages;
        self.contradicting += other.contradicting;
    }
}

/// What all sessions did with a promotion's variants on one day, measured or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Before anything came back, in the order of [`Vector`].
    pub gross: [i128; FIGURES],
    /// What came back of units, revenue and profit, positive; the rest is 0.
    pub refunded: [i128; FIGURES],
    /// Revenue whose cost nobody told, less what of it came back.
    pub revenue_without_cost: i128,
    /// Units put into the cart.
    pub added: u64,
    /// Sessions that put one there that day.
    pub sessions_adding: u64,
}

impl Totals {
    /// Adds those of other sessions.
    pub fn merge(&mut self, other: &Self) {
        for i in 0..FIGURES {
            self.gross[i] += other.gross[i];
            self.refunded[i] += other.refunded[i];
        }
        self.revenue_without_cost += other.revenue_without_cost;
        self.added += other.added;
        self.sessions_adding += other.sessions_adding;
    }
}

/// One product's day in a market, as others read it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollup {
    /// Openings of its page.
    pub views: u64,
    /// Openings from a list.
    pub clicks: u64,
    /// Orders that hold it.
    pub orders: u64,
    /// Units ordered.
    pub units: u64,
    /// Paid for them, in minor units.
    pub paid: i128,
    /// Units that came back.
    pub refunded_units: u64,
    /// Paid back.
    pub refunded: i128,
    /// Part of `paid` whose cost is unknown.
    pub paid_without_cost: i128,
    /// Hashes of those who ordered.
    pub customers: BTreeSet<u64>,
    /// Of these events, how many came after their own day was closed.
    pub late: u64,
}

impl Rollup {
    /// Adds that of other sessions.
    pub fn merge(&mut self, other: &Self) {
        self.views += other.views;
        self.clicks += other.clicks;
        self.orders += other.orders;
        self.units += other.units;
        self.paid += other.paid;
        self.refunded_units += other.refunded_units;
        self.refunded += other.refunded;
        self.paid_without_cost += other.paid_without_cost;
        self.customers.extend(&other.customers);
        self.late += other.late;
    }
}

/// How well one day of a market was told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quality {
    /// Events logged, pages included.
    pub events: u64,
    /// Of them, with a ticket of another session.
    pub foreign: u64,
    /// Of them, told more than a day later.
    pub late: u64,
    /// Of them, more than a day away from their session's first.
    pub outside_window: u64,
}

impl Quality {
    /// Adds that of other sessions.
    pub fn merge(&mut self, other: &Self) {
        self.events += other.events;
        self.foreign += other.foreign;
        self.late += other.late;
        self.outside_window += other.outside_window;
    }
}

/// All sums of one market.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MarketSums {
    /// Measured stretches.
    pub epochs: BTreeMap<EpochKey, EpochSums>,
    /// Promotions, measured or not, by local day.
    pub totals: BTreeMap<(PromotionId, Date), Totals>,
    /// Products by booked day.
    pub rollups: BTreeMap<(ProductKey, Date), Rollup>,
    /// How well each local day was told.
    pub quality: BTreeMap<Date, Quality>,
    /// Stretches whose figures beside the days were changed.
    pub touched_epochs: Touched<EpochKey>,
    /// Changed totals.
    pub touched_totals: Touched<(PromotionId, Date)>,
    /// Changed rollups.
    pub touched_rollups: Touched<(ProductKey, Date)>,
    /// Changed days.
    pub touched_quality: Touched<Date>,
}

impl MarketSums {
    /// Adds those of other sessions.
    pub fn merge(&mut self, other: &Self) {
        for (key, sums) in &other.epochs {
            self.epochs.entry(*key).or_default().merge(sums);
        }
        for (key, totals) in &other.totals {
            self.totals.entry(*key).or_default().merge(totals);
        }
        for (key, rollup) in &other.rollups {
            self.rollups.entry(key.clone()).or_default().merge(rollup);
        }
        for (day, quality) in &other.quality {
            self.quality.entry(*day).or_default().merge(quality);
        }
    }
}
