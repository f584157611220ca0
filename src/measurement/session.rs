//! What one session did so far, and where that is counted.
#![deny(clippy::float_arithmetic)]

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::domain::id::PromotionId;
use crate::domain::time::{Date, Timestamp};
use crate::measurement::log::{Entry, EpochKey, Item, Mark, Order, Trigger, What};
use crate::measurement::moments::{FIGURES, Figure, Vector};
use crate::measurement::split::{Arm, SessionDigest};
use crate::measurement::sums::{EpochSums, MarketSums, Scope};

/// Pages of a session above which no person is behind it.
pub(super) const PAGES_MAX: u32 = 300;

/// Displays of a session above which no person is behind it.
pub(super) const DISPLAYS_MAX: u32 = 3_000;

/// Other events of a session above which no person is behind it.
pub(super) const OTHERS_MAX: u32 = 1_000;

/// What an event adds to a session: to all it did, and to what it did with each promotion's
/// variants.
#[derive(Debug, Default)]
pub(super) struct Delta {
    pub(super) basket: Vector,
    pub(super) promoted: BTreeMap<PromotionId, Vector>,
}

impl Delta {
    /// That of an entry; nothing of what came back is negative yet.
    pub(super) fn of(what: &What) -> Self {
        let mut delta = Self::default();
        match what {
            What::Page(page) if page.displays => delta.shown(&page.items),
            What::Display { items, .. } => delta.shown(items),
            What::Click(item) => delta.add(item, &[(Figure::Clicks, 1)]),
            What::Purchase(order) => {
                delta.lines(order);
                delta.basket.0[Figure::Orders as usize] = 1;
                for vector in delta.promoted.values_mut() {
                    vector.0[Figure::Orders as usize] = 1;
                }
            }
            What::Refund(order) => delta.lines(order),
            What::Page(_) | What::View(_) | What::AddToCart { .. } | What::End => {}
        }
        delta
    }

    fn shown(&mut self, items: &[Item]) {
        for item in items {
            self.add(item, &[(Figure::Displays, 1)]);
        }
    }

    fn lines(&mut self, order: &Order) {
        for line in &order.lines {
            let profit = line.cost.map_or(0, |cost| line.paid.0 - cost.0);
            let figures = [
                (Figure::Units, i64::from(line.quantity)),
                (Figure::Revenue, line.paid.0),
                (Figure::Profit, profit),
            ];
            self.add(&line.item, &figures);
        }
    }

    fn add(&mut self, item: &Item, figures: &[(Figure, i64)]) {
        let add = |vector: &mut Vector| {
            for &(figure, more) in figures {
                vector.0[figure as usize] += more;
            }
        };
        add(&mut self.basket);
        for promotion in item.promotions.iter() {
            add(self.promoted.entry(*promotion).or_default());
        }
    }

    /// The same, taken away.
    pub(super) fn negated(mut self) -> Self {
        for vector in self.promoted.values_mut().chain([&mut self.basket]) {
            for figure in &mut vector.0 {
                *figure = -*figure;
            }
        }
        self
    }
}

/// Where a session stands in a measured stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Standing {
    arm: Arm,
    /// First local day at each level.
    days: [Option<Date>; 3],
}

/// What one session did so far.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    /// When its first logged event happened.
    pub(super) first: Timestamp,
    /// When its last event was taken in.
    pub(super) last_received: Timestamp,
    /// Whether it placed an order, so that a refund may come.
    pub(super) ordered: bool,
    pub(super) ids: HashSet<u64>,
    /// Promotions of which it put something into the cart, by day.
    pub(super) adding: HashSet<(PromotionId, Date)>,
    is_bot: bool,
    n_pages: u32,
    n_displays: u32,
    n_others: u32,
    basket: Vector,
    promoted: BTreeMap<PromotionId, Vector>,
    standings: BTreeMap<EpochKey, Standing>,
}

impl Session {
    pub(super) fn new(entry: &Entry) -> Self {
        Self {
            first: entry.at,
            last_received: entry.received,
            ordered: false,
            ids: HashSet::new(),
            adding: HashSet::new(),
            is_bot: false,
            n_pages: 0,
            n_displays: 0,
            n_others: 0,
            basket: Vector::default(),
            promoted: BTreeMap::new(),
            standings: BTreeMap::new(),
        }
    }

    /// Whether a person may be behind it.
    fn is_counted(&self) -> bool {
        let too_many = self.n_pages > PAGES_MAX
            || self.n_displays > DISPLAYS_MAX
            || self.n_others > OTHERS_MAX;
        !(self.is_bot || too_many)
    }

    /// Whether a page differed for it in this stretch.
    pub(super) fn has_differed(&self, key: EpochKey) -> bool {
        let standing = self.standings.get(&key);
        standing.is_some_and(|standing| standing.days[Trigger::T2 as usize].is_some())
    }

    /// Counts an entry that lies within the session's window, and changes the sums by what that
    /// changes; stretches that `is_frozen` names stay as they are.
    pub(super) fn count(
        &mut self,
        entry: &Entry,
        delta: &Delta,
        sums: &mut MarketSums,
        is_frozen: &dyn Fn(EpochKey) -> bool,
    ) {
        let before = Before {
            is_counted: self.is_counted(),
            basket: self.basket,
            promoted: delta
                .promoted
                .keys()
                .map(|id| (*id, self.vector(*id)))
                .collect(),
            standings: marks(&entry.what)
                .iter()
                .filter_map(|mark| {
                    let standing = self.standings.get(&mark.epoch.key)?;
                    Some((mark.epoch.key, *standing))
                })
                .collect(),
        };
        self.note(entry);
        add(&mut self.basket, &delta.basket);
        for (id, more) in &delta.promoted {
            add(self.promoted.entry(*id).or_default(), more);
        }
        let marked: HashSet<EpochKey> = marks(&entry.what)
            .iter()
            .map(|mark| mark.epoch.key)
            .collect();
        let is_counted = self.is_counted();
        let changes_all = before.basket != self.basket || before.is_counted != is_counted;
        if !changes_all && marked.is_empty() {
            return;
        }
        for (key, standing) in &self.standings {
            if is_frozen(*key) || !(changes_all || marked.contains(key)) {
                continue;
            }
            let was = match before.standings.get(key) {
                Some(was) => was.days,
                None if marked.contains(key) => [None; 3],
                None => standing.days,
            };
            let is = self.vector(key.promotion);
            let from = Share {
                is_counted: before.is_counted,
                days: was,
                vectors: [
                    *before.promoted.get(&key.promotion).unwrap_or(&is),
                    before.basket,
                ],
            };
            let to = Share {
                is_counted,
                days: standing.days,
                vectors: [is, self.basket],
            };
            if from.is_excluded() != to.is_excluded() {
                sums.touched_epochs.0.insert(*key);
            }
            let epoch = sums.epochs.entry(*key).or_default();
            move_share(epoch, standing.arm, &from, &to);
        }
    }

    /// Notes what an entry says beside its figures.
    fn note(&mut self, entry: &Entry) {
        self.is_bot |= entry.is_bot;
        let n = |items: &[Item]| u32::try_from(items.len()).unwrap_or(u32::MAX);
        match &entry.what {
            What::Page(page) => {
                self.n_pages = self.n_pages.saturating_add(1);
                if page.displays {
                    self.n_displays = self.n_displays.saturating_add(n(&page.items));
                }
            }
            What::Display { items, .. } => {
                self.n_displays = self.n_displays.saturating_add(n(items));
            }
            What::Refund(_) | What::End => {}
            _ => self.n_others = self.n_others.saturating_add(1),
        }
        for mark in marks(&entry.what) {
            let arm = mark.epoch.arm(entry.session);
            let standing = self.standings.entry(mark.epoch.key).or_insert(Standing {
                arm,
                days: [None; 3],
            });
            for level in Trigger::ALL {
                if level <= mark.trigger {
                    let day = &mut standing.days[level as usize];
                    *day = Some(day.map_or(entry.day, |day| day.min(entry.day)));
                }
            }
        }
    }

    fn vector(&self, promotion: PromotionId) -> Vector {
        self.promoted.get(&promotion).copied().unwrap_or_default()
    }
}

/// A session's share in a stretch.
struct Share {
    is_counted: bool,
    days: [Option<Date>; 3],
    /// By scope.
    vectors: [Vector; 2],
}

impl Share {
    /// The day of the cell that holds it.
    fn day(&self, level: Trigger) -> Option<Date> {
        self.days[level as usize].filter(|_| self.is_counted)
    }

    fn is_excluded(&self) -> bool {
        !self.is_counted && self.days[Trigger::T0 as usize].is_some()
    }
}

/// Takes a session's former share out of a stretch and puts the new one in.
fn move_share(epoch: &mut EpochSums, arm: Arm, from: &Share, to: &Share) {
    epoch.excluded[arm as usize] += i64::from(to.is_excluded()) - i64::from(from.is_excluded());
    for level in Trigger::ALL {
        for scope in Scope::ALL {
            let place = (level, arm, scope);
            let old = from
                .day(level)
                .map(|day| (day, &from.vectors[scope as usize]));
            let new = to.day(level).map(|day| (day, &to.vectors[scope as usize]));
            let mut change = |day: Date, from, to| {
                epoch.days.entry(day).or_default().change(place, from, to);
                epoch.touched.0.insert((day, place));
            };
            match (old, new) {
                (Some((day, from)), Some((same, to))) if day == same => {
                    change(day, Some(from), Some(to));
                }
                (old, new) => {
                    if let Some((day, from)) = old {
                        change(day, Some(from), None);
                    }
                    if let Some((day, to)) = new {
                        change(day, None, Some(to));
                    }
                }
            }
        }
    }
}

/// What a session's share was before an entry.
struct Before {
    is_counted: bool,
    basket: Vector,
    /// Of the promotions that the entry touches.
    promoted: BTreeMap<PromotionId, Vector>,
    /// Of the stretches that the entry marks.
    standings: BTreeMap<EpochKey, Standing>,
}

/// The stretches a page or display was made in.
pub(super) fn marks(what: &What) -> &[Mark] {
    match what {
        What::Page(page) => &page.marks,
        What::Display { marks, .. } => marks,
        _ => &[],
    }
}

/// At 10¹⁴ a full order, 90,000 of them fit into a session, and 1,000 exclude it.
fn add(vector: &mut Vector, more: &Vector) {
    for i in 0..FIGURES {
        vector.0[i] = vector.0[i].saturating_add(more.0[i]);
    }
}

/// Whether a page was ranked as the split says, for each stretch.
pub(super) fn check_arms(what: &What, session: SessionDigest, sums: &mut MarketSums) {
    let What::Page(page) = what else { return };
    for mark in &page.marks {
        let epoch = sums.epochs.entry(mark.epoch.key).or_default();
        epoch.pages += 1;
        epoch.contradicting += u64::from(mark.arm != mark.epoch.arm(session));
        sums.touched_epochs.0.insert(mark.epoch.key);
    }
}
