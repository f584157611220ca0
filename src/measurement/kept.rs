//! A tally in parts, so that what changed can be kept and the whole be made again from what is kept.
//!
//! ```text
//! tally → changes (part by part, or gone) → kept somewhere → put into an empty tally → the same tally
//! ```
//!
//! A part is as much as is changed together: a session, an order, one level, arm and scope of a day.
//! Nothing is known here of how and where parts are kept.

use serde::{Deserialize, Serialize};

use crate::domain::id::{MarketId, ProductKey, PromotionId};
use crate::domain::time::{Date, Timestamp};
use crate::measurement::log::{EpochKey, OrderDigest, Trigger};
use crate::measurement::orders::OrderRecord;
use crate::measurement::session::Session;
use crate::measurement::split::{Arm, SessionDigest};
use crate::measurement::sums::{DayPart, Place, Quality, Rollup, Scope, Totals};
use crate::measurement::tally::{MarketTally, Tally};

/// Names a part.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum PartName {
    /// What of the tally belongs to no market.
    Clock,
    /// One session.
    Session(MarketId, SessionDigest),
    /// One order.
    Order(MarketId, OrderDigest),
    /// A stretch beside its days.
    Epoch(MarketId, EpochKey),
    /// A part of a stretch's day.
    Day(MarketId, EpochKey, Date, Place),
    /// A promotion's day.
    Totals(MarketId, PromotionId, Date),
    /// A product's day.
    Rollup(MarketId, ProductKey, Date),
    /// How well a day was told.
    Quality(MarketId, Date),
}

/// A part as it stands.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Part {
    /// See [`PartName::Clock`].
    Clock {
        /// Latest receipt.
        latest: Option<Timestamp>,
        /// When sessions and orders are looked through.
        next_sweep: Option<Timestamp>,
    },
    /// See [`PartName::Session`].
    Session(Box<Session>),
    /// See [`PartName::Order`].
    Order(OrderRecord),
    /// See [`PartName::Epoch`].
    Epoch {
        /// When it ended, if that was told.
        ended: Option<Timestamp>,
        /// Sessions that no person made, per arm.
        excluded: [i64; 2],
        /// Pages seen.
        pages: u64,
        /// Pages of the wrong arm.
        contradicting: u64,
    },
    /// See [`PartName::Day`].
    Day(DayPart),
    /// See [`PartName::Totals`].
    Totals(Totals),
    /// See [`PartName::Rollup`].
    Rollup(Rollup),
    /// See [`PartName::Quality`].
    Quality(Quality),
}

/// Changed parts; `None`: it is gone.
pub type Changes = Vec<(PartName, Option<Part>)>;

impl Tally {
    /// What changed since this was asked last.
    pub fn take_changes(&mut self) -> Changes {
        let mut changes = vec![(
            PartName::Clock,
            Some(Part::Clock {
                latest: self.latest,
                next_sweep: self.next_sweep,
            }),
        )];
        for (id, market) in &mut self.markets {
            market.take_sessions(id, &mut changes);
            market.take_epochs(id, &mut changes);
            market.take_days(id, &mut changes);
        }
        changes
    }

    /// Has everything count as changed.
    pub fn touch_all(&mut self) {
        for market in self.markets.values_mut() {
            market.touched_sessions.extend(market.sessions.keys());
            market.touched_orders.extend(market.orders.keys());
            let sums = &mut market.sums;
            let epochs = sums.epochs.keys().chain(market.ends.keys());
            sums.touched_epochs.0.extend(epochs);
            sums.touched_totals.0.extend(sums.totals.keys());
            sums.touched_rollups.0.extend(sums.rollups.keys().cloned());
            sums.touched_quality.0.extend(sums.quality.keys());
            for epoch in sums.epochs.values_mut() {
                for day in epoch.days.keys() {
                    let all = places().map(|place| (*day, place));
                    epoch.touched.0.extend(all);
                }
            }
        }
    }

    fn of(&mut self, market: MarketId) -> &mut MarketTally {
        self.markets.entry(market).or_default()
    }

    /// Puts a part back that [`Self::take_changes`] gave, of this tally or of an equal one.
    pub fn put(&mut self, name: PartName, part: Part) {
        match (name, part) {
            (PartName::Clock, Part::Clock { latest, next_sweep }) => {
                self.latest = latest;
                self.next_sweep = next_sweep;
            }
            (PartName::Session(market, digest), Part::Session(session)) => {
                self.of(market).sessions.insert(digest, *session);
            }
            (PartName::Order(market, id), Part::Order(order)) => {
                self.of(market).orders.insert(id, order);
            }
            (
                PartName::Epoch(market, key),
                Part::Epoch {
                    ended,
                    excluded,
                    pages,
                    contradicting,
                },
            ) => {
                let market = self.of(market);
                market.ends.extend(ended.map(|at| (key, at)));
                let epoch = market.sums.epochs.entry(key).or_default();
                epoch.excluded = excluded;
                epoch.pages = pages;
                epoch.contradicting = contradicting;
            }
            (PartName::Day(market, key, day, place), Part::Day(part)) => {
                let epoch = self.of(market).sums.epochs.entry(key).or_default();
                epoch.days.entry(day).or_default().put(place, part);
            }
            (PartName::Totals(market, id, day), Part::Totals(totals)) => {
                self.of(market).sums.totals.insert((id, day), totals);
            }
            (PartName::Rollup(market, product, day), Part::Rollup(rollup)) => {
                self.of(market).sums.rollups.insert((product, day), rollup);
            }
            (PartName::Quality(market, day), Part::Quality(quality)) => {
                self.of(market).sums.quality.insert(day, quality);
            }
            // Names and parts come in pairs.
            _ => {}
        }
    }
}

/// Every part of a day.
fn places() -> impl Iterator<Item = Place> {
    Trigger::ALL.into_iter().flat_map(|level| {
        [Arm::Shown, Arm::Withheld]
            .into_iter()
            .flat_map(move |arm| Scope::ALL.into_iter().map(move |scope| (level, arm, scope)))
    })
}

impl MarketTally {
    fn take_sessions(&mut self, id: &MarketId, changes: &mut Changes) {
        for digest in std::mem::take(&mut self.touched_sessions) {
            let session = self.sessions.get(&digest).cloned();
            let part = session.map(|session| Part::Session(Box::new(session)));
            changes.push((PartName::Session(id.clone(), digest), part));
        }
        for order in std::mem::take(&mut self.touched_orders) {
            let part = self.orders.get(&order).cloned().map(Part::Order);
            changes.push((PartName::Order(id.clone(), order), part));
        }
    }

    fn take_epochs(&mut self, id: &MarketId, changes: &mut Changes) {
        for key in std::mem::take(&mut self.sums.touched_epochs.0) {
            let epoch = self.sums.epochs.get(&key);
            let part = Part::Epoch {
                ended: self.ends.get(&key).copied(),
                excluded: epoch.map_or([0; 2], |epoch| epoch.excluded),
                pages: epoch.map_or(0, |epoch| epoch.pages),
                contradicting: epoch.map_or(0, |epoch| epoch.contradicting),
            };
            changes.push((PartName::Epoch(id.clone(), key), Some(part)));
        }
        for (key, epoch) in &mut self.sums.epochs {
            for (day, place) in std::mem::take(&mut epoch.touched.0) {
                let part = epoch.days.get(&day).map(|own| Part::Day(own.part(place)));
                changes.push((PartName::Day(id.clone(), *key, day, place), part));
            }
        }
    }

    fn take_days(&mut self, id: &MarketId, changes: &mut Changes) {
        let sums = &mut self.sums;
        for (promotion, day) in std::mem::take(&mut sums.touched_totals.0) {
            let part = sums.totals.get(&(promotion, day)).cloned();
            let name = PartName::Totals(id.clone(), promotion, day);
            changes.push((name, part.map(Part::Totals)));
        }
        for key in std::mem::take(&mut sums.touched_rollups.0) {
            let part = sums.rollups.get(&key).cloned().map(Part::Rollup);
            changes.push((PartName::Rollup(id.clone(), key.0, key.1), part));
        }
        for day in std::mem::take(&mut sums.touched_quality.0) {
            let part = sums.quality.get(&day).cloned().map(Part::Quality);
            changes.push((PartName::Quality(id.clone(), day), part));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::measurement::laws::{entries, entry, market, refunds, sums};
    use crate::measurement::log::What;
    use crate::measurement::tally::ORDER_KEPT_MS;

    type Kept = BTreeMap<PartName, Part>;

    fn keep(kept: &mut Kept, changes: Changes) {
        for (name, part) in changes {
            match part {
                None => drop(kept.remove(&name)),
                Some(part) => drop(kept.insert(name, part)),
            }
        }
    }

    fn made_again(kept: &Kept) -> Tally {
        let mut tally = Tally::default();
        for (name, part) in kept {
            tally.put(name.clone(), part.clone());
        }
        tally
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn a_tally_made_again_goes_on_as_the_one_that_was_kept(
            entries in entries(),
            every in 1..9_usize,
            cut in any::<prop::sample::Index>(),
        ) {
            let mut all = entries.clone();
            all.extend(refunds(&entries));
            // Some come twice, so that the one made again must know them.
            all.extend(entries.iter().take(5).cloned());
            let cut = cut.index(all.len() + 1);
            let (mut tally, mut kept) = (Tally::default(), Kept::new());
            for (n, own) in all[..cut].iter().enumerate() {
                tally.apply(own);
                if n % every == 0 {
                    keep(&mut kept, tally.take_changes());
                }
            }
            keep(&mut kept, tally.take_changes());
            let mut again = made_again(&kept);
            prop_assert_eq!(sums(&again), sums(&tally));
            for own in &all[cut..] {
                prop_assert_eq!(again.apply(own), tally.apply(own));
            }
            prop_assert_eq!(sums(&again), sums(&tally));
            // Kept at once it is the same as bit by bit.
            let mut whole = Kept::new();
            tally.touch_all();
            keep(&mut whole, tally.take_changes());
            prop_assert_eq!(sums(&made_again(&whole)), sums(&tally));
        }
    }

    #[test]
    fn what_is_forgotten_is_gone_from_what_is_kept() {
        let (mut tally, mut kept) = (Tally::default(), Kept::new());
        tally.apply(&entry(1, 0, 0, 1, What::End));
        keep(&mut kept, tally.take_changes());
        let sessions = |kept: &Kept| {
            kept.keys()
                .filter(|name| matches!(name, PartName::Session(..)))
                .count()
        };
        assert_eq!(sessions(&kept), 1);
        let mut late = entry(2, 0, 0, 2, What::End);
        late.received = Timestamp(ORDER_KEPT_MS);
        tally.apply(&late);
        keep(&mut kept, tally.take_changes());
        assert_eq!(sessions(&kept), 1);
        assert_eq!(made_again(&kept).n_sessions(), 1);
        assert!(tally.sums(&market()).is_some());
    }
}
