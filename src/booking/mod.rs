//! **Is there room, and if not, from when?**
//!
//! A [`Calendar`] of some capacity holds whole half-open periods under keys and never knows what
//! is booked: the promotions of a market (capacity 100), a SKU among seller promotions (1), a
//! product among smart plans (1). It is folded from the aggregates and never stored.
//!
//! - [`Calendar::reserve`]: takes a place over the whole period or none, and says who is in the way
//! - [`Calendar::room`]: the same question without taking the place
//! - [`Calendar::segments`]: how full it is, for drawing
//!
//! Invariants: a key holds one period; what `reserve` takes leaves no instant with more than
//! `capacity` holders. [`Calendar::place`] and [`Calendar::open`] take what was committed
//! elsewhere and do not refuse, so that later zone rules never lose a booking.
//!
//! Cost: the boundaries of all periods lie in one sorted map, each with the number of holders from
//! there to the next. A question is one search and a walk over the boundaries inside the asked
//! period; a booking adds two boundaries and one to each inside. At capacity c every boundary lies
//! inside at most c periods, so n bookings cost at most `n · (log n + 2c)` steps. Opening sorts all
//! boundaries once. A refusal also walks the bookings until it has found the holders.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::domain::time::{Period, Timestamp};

/// Who holds which period, and how many at each instant.
#[derive(Clone, Debug)]
pub struct Calendar<K> {
    capacity: u32,
    periods: BTreeMap<K, Period>,
    /// Ascending; nobody holds anything before the first or from the last on.
    boundaries: BTreeMap<Timestamp, Boundary>,
}

/// An instant at which a period begins or ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Boundary {
    /// Holders from here to the next boundary.
    count: u32,
    /// Starts and ends that lie here; the boundary goes with the last of them.
    n_edges: u32,
}

/// Why there is no room.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("full from {first} to {free_from}")]
pub struct Full<K> {
    /// First instant of the wished period without room.
    pub first: Timestamp,
    /// Next instant with room; it may lie behind the wished period.
    pub free_from: Timestamp,
    /// Who holds the places at `first`, ascending.
    pub holders: Vec<K>,
}

/// A stretch in which the number of holders does not change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// First instant inside.
    pub start: Timestamp,
    /// First instant outside.
    pub end: Timestamp,
    /// Holders at each instant.
    pub count: u32,
}

impl<K: Ord + Clone> Calendar<K> {
    /// Nothing booked.
    ///
    /// # Panics
    /// If `capacity` is 0: there would never be room again.
    pub fn new(capacity: u32) -> Self {
        Self::open(capacity, [])
    }

    /// A calendar of what was booked before; of entries with one key the last counts.
    ///
    /// # Panics
    /// If `capacity` is 0.
    pub fn open(capacity: u32, entries: impl IntoIterator<Item = (K, Period)>) -> Self {
        assert!(0 < capacity, "a calendar has at least one place");
        let periods: BTreeMap<K, Period> = entries.into_iter().collect();
        let mut starts: Vec<Timestamp> = periods.values().map(|period| period.start()).collect();
        let mut ends: Vec<Timestamp> = periods.values().map(|period| period.end()).collect();
        starts.sort_unstable();
        ends.sort_unstable();
        Self {
            capacity,
            periods,
            boundaries: sweep(&starts, &ends),
        }
    }

    /// Takes the whole period for `key`, giving up what it held before, or changes nothing.
    ///
    /// # Errors
    /// [`Full`] as soon as one instant of the period has no room.
    pub fn reserve(&mut self, key: K, wish: Period) -> Result<(), Full<K>> {
        self.room(wish, Some(&key))?;
        self.place(key, wish);
        Ok(())
    }

    /// Whether every instant of `wish` has room, not counting what `except` holds.
    ///
    /// # Errors
    /// [`Full`] with the first instant that has none.
    pub fn room(&self, wish: Period, except: Option<&K>) -> Result<(), Full<K>> {
        let own = except.and_then(|key| self.period_of(key));
        let mut full_from = None;
        for stretch in self.stretches(wish.start()) {
            let is_own = own.is_some_and(|own| own.contains(stretch.start));
            let has_room = stretch.count - u32::from(is_own) < self.capacity;
            match full_from {
                None if wish.end() <= stretch.start => break,
                None if !has_room => full_from = Some(stretch.start),
                Some(first) if has_room => {
                    let holders = self.holders_at(first, except);
                    return Err(Full {
                        first,
                        free_from: stretch.start,
                        holders,
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Books what was decided elsewhere, giving up what `key` held before. Never refuses.
    pub fn place(&mut self, key: K, period: Period) {
        self.release(&key);
        self.add_edge(period.start());
        self.add_edge(period.end());
        for (_, inside) in self.boundaries.range_mut(period.start()..period.end()) {
            inside.count += 1;
        }
        self.periods.insert(key, period);
    }

    /// Gives the key's place up; whether it held one.
    pub fn release(&mut self, key: &K) -> bool {
        let Some(period) = self.periods.remove(key) else {
            return false;
        };
        for (_, inside) in self.boundaries.range_mut(period.start()..period.end()) {
            inside.count -= 1;
        }
        self.remove_edge(period.start());
        self.remove_edge(period.end());
        true
    }

    /// How many hold a place, in maximal stretches that cover `period` without a gap.
    pub fn segments(&self, period: Period) -> Vec<Segment> {
        let mut segments: Vec<Segment> = Vec::new();
        for stretch in self.stretches(period.start()) {
            if period.end() <= stretch.start {
                break;
            }
            let end = stretch.end.min(period.end());
            match segments.last_mut() {
                Some(last) if last.count == stretch.count => last.end = end,
                _ => segments.push(Segment { end, ..stretch }),
            }
        }
        segments
    }

    /// Most holders at one instant.
    pub fn capacity(&self) -> u32 {
        self.capacity
    }

    /// The period that `key` holds.
    pub fn period_of(&self, key: &K) -> Option<Period> {
        self.periods.get(key).copied()
    }

    /// Everything booked, ascending by key.
    pub fn entries(&self) -> impl Iterator<Item = (&K, Period)> {
        self.periods.iter().map(|(key, period)| (key, *period))
    }

    /// Number of bookings.
    pub fn len(&self) -> usize {
        self.periods.len()
    }

    /// Whether nothing is booked.
    pub fn is_empty(&self) -> bool {
        self.periods.is_empty()
    }

    /// Stretches between boundaries, the first cut at `from`, the last without end and empty.
    fn stretches(&self, from: Timestamp) -> impl Iterator<Item = Segment> {
        let before = self.boundaries.range(..=from).next_back();
        let first = before.map_or(0, |(_, boundary)| boundary.count);
        let later = self.boundaries.range(from.plus_ms(1)..);
        let ends = later.clone().map(|(at, _)| *at);
        let starts = later.map(|(at, boundary)| (*at, boundary.count));
        std::iter::once((from, first))
            .chain(starts)
            .zip(ends.chain([Timestamp(i64::MAX)]))
            .map(|((start, count), end)| Segment { start, end, count })
    }

    fn holders_at(&self, instant: Timestamp, except: Option<&K>) -> Vec<K> {
        self.periods
            .iter()
            .filter(|(key, period)| Some(*key) != except && period.contains(instant))
            .map(|(key, _)| key.clone())
            .collect()
    }

    fn add_edge(&mut self, at: Timestamp) {
        let before = self.boundaries.range(..at).next_back();
        let count = before.map_or(0, |(_, boundary)| boundary.count);
        match self.boundaries.entry(at) {
            Entry::Occupied(mut known) => known.get_mut().n_edges += 1,
            Entry::Vacant(new) => {
                new.insert(Boundary { count, n_edges: 1 });
            }
        }
    }

    fn remove_edge(&mut self, at: Timestamp) {
        if let Entry::Occupied(mut known) = self.boundaries.entry(at) {
            known.get_mut().n_edges -= 1;
            if known.get().n_edges == 0 {
                known.remove();
            }
        }
    }
}

/// Boundaries of periods, given by their starts and their ends, each ascending.
fn sweep(starts: &[Timestamp], ends: &[Timestamp]) -> BTreeMap<Timestamp, Boundary> {
    let mut boundaries = Vec::with_capacity(starts.len() + ends.len());
    let (mut n_started, mut n_ended) = (0, 0);
    let mut count = 0_u32;
    // Every start lies before its end, so the ends are the last to run out.
    while let Some(&next_end) = ends.get(n_ended) {
        let at = starts
            .get(n_started)
            .map_or(next_end, |&start| start.min(next_end));
        let starting = run_of(at, &starts[n_started..]);
        let ending = run_of(at, &ends[n_ended..]);
        n_started += starting as usize;
        n_ended += ending as usize;
        count = count + starting - ending;
        let n_edges = starting + ending;
        boundaries.push((at, Boundary { count, n_edges }));
    }
    boundaries.into_iter().collect()
}

/// How many of the ascending `instants` stand first and equal `at`.
fn run_of(at: Timestamp, instants: &[Timestamp]) -> u32 {
    let run = instants.iter().take_while(|&&instant| instant == at);
    u32::try_from(run.count()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Days of a week as instants.
    const MON: i64 = 0;
    const TUE: i64 = 1;
    const WED: i64 = 2;
    const THU: i64 = 3;
    const FRI: i64 = 4;
    const SUN: i64 = 6;

    fn period(start: i64, end: i64) -> Period {
        Period::new(Timestamp(start), Timestamp(end)).unwrap()
    }

    fn busy_week() -> Calendar<u32> {
        let mut calendar = Calendar::new(100);
        for key in 0..97 {
            calendar.reserve(key, period(MON, SUN)).unwrap();
        }
        for key in 97..99 {
            calendar.reserve(key, period(MON, WED)).unwrap();
        }
        for key in 99..101 {
            calendar.reserve(key, period(WED, FRI)).unwrap();
        }
        calendar
    }

    #[test]
    fn the_last_place_of_a_busy_week_is_taken_once() {
        let mut calendar = busy_week();
        let peak = calendar.segments(period(MON, SUN));
        assert_eq!(peak.iter().map(|segment| segment.count).max(), Some(99));
        calendar.reserve(101, period(TUE, THU)).unwrap();
        let full = calendar.reserve(102, period(TUE, THU)).unwrap_err();
        assert_eq!(full.first, Timestamp(TUE));
        assert_eq!(full.free_from, Timestamp(THU));
        let expected: Vec<u32> = (0..99).chain([101]).collect();
        assert_eq!(full.holders, expected);
        assert_eq!(calendar.period_of(&102), None);
    }

    #[test]
    fn a_period_is_refused_as_soon_as_one_instant_is_full() {
        let mut calendar = Calendar::new(1);
        calendar.reserve("later", period(10, 20)).unwrap();
        let full = calendar.reserve("new", period(0, 11)).unwrap_err();
        assert_eq!((full.first, full.free_from), (Timestamp(10), Timestamp(20)));
        calendar.reserve("new", period(0, 10)).unwrap();
        calendar.reserve("next", period(20, 21)).unwrap();
        assert_eq!(
            calendar.room(period(5, 6), None).unwrap_err().free_from,
            Timestamp(21)
        );
    }

    #[test]
    fn a_key_does_not_stand_in_its_own_way() {
        let mut calendar = Calendar::new(1);
        calendar.reserve("a", period(0, 10)).unwrap();
        calendar.reserve("a", period(5, 15)).unwrap();
        calendar.reserve("b", period(0, 5)).unwrap();
        assert!(calendar.reserve("a", period(4, 15)).is_err());
        assert_eq!(calendar.period_of(&"a"), Some(period(5, 15)));
        assert!(calendar.release(&"a") && !calendar.release(&"a"));
        assert!(calendar.reserve("b", period(0, 100)).is_ok());
    }

    #[test]
    fn segments_cover_the_period_and_are_maximal() {
        let mut calendar = Calendar::new(2);
        calendar.reserve("a", period(0, 10)).unwrap();
        calendar.reserve("b", period(10, 20)).unwrap();
        calendar.reserve("c", period(15, 16)).unwrap();
        let spans: Vec<_> = calendar
            .segments(period(-5, 30))
            .iter()
            .map(|segment| (segment.start.0, segment.end.0, segment.count))
            .collect();
        assert_eq!(
            spans,
            [
                (-5, 0, 0),
                (0, 15, 1),
                (15, 16, 2),
                (16, 20, 1),
                (20, 30, 0)
            ]
        );
        assert_eq!(Calendar::<u8>::new(1).segments(period(3, 4)).len(), 1);
    }

    #[test]
    fn what_was_committed_is_never_refused() {
        let entries = (0..3).map(|key| (key, period(0, 10)));
        let calendar = Calendar::open(2, entries);
        let full = calendar.room(period(9, 11), Some(&0)).unwrap_err();
        assert_eq!(full.holders, [1, 2]);
        assert!(calendar.room(period(10, 11), None).is_ok());
    }

    /// A booking step of the slow twin.
    #[derive(Clone, Debug)]
    enum Step {
        Reserve(u8, Period),
        Release(u8),
    }

    fn a_period() -> impl Strategy<Value = Period> {
        (0_i64..40, 1_i64..12).prop_map(|(start, length)| period(start, start + length))
    }

    fn a_step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0_u8..30, a_period()).prop_map(|(key, wish)| Step::Reserve(key, wish)),
            1 => (0_u8..30).prop_map(Step::Release),
        ]
    }

    /// Counting at each instant: the twin that is obviously right.
    fn holders_at(booked: &BTreeMap<u8, Period>, instant: i64, except: Option<u8>) -> Vec<u8> {
        let holds = |(key, period): (&u8, &Period)| {
            (Some(*key) != except && period.contains(Timestamp(instant))).then_some(*key)
        };
        booked.iter().filter_map(holds).collect()
    }

    fn room_by_counting(
        booked: &BTreeMap<u8, Period>,
        capacity: u32,
        wish: Period,
        except: Option<u8>,
    ) -> Result<(), Full<u8>> {
        let is_full = |at: &i64| capacity as usize <= holders_at(booked, *at, except).len();
        match (wish.start().0..wish.end().0).find(is_full) {
            None => Ok(()),
            Some(first) => Err(Full {
                first: Timestamp(first),
                free_from: Timestamp((first..100).find(|at| !is_full(at)).unwrap()),
                holders: holders_at(booked, first, except),
            }),
        }
    }

    proptest! {
        #[test]
        fn the_sweep_agrees_with_counting_at_each_instant(
            capacity in 1_u32..4,
            steps in prop::collection::vec(a_step(), 0..60),
        ) {
            let mut calendar = Calendar::new(capacity);
            let mut booked: BTreeMap<u8, Period> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Reserve(key, wish) => {
                        let expected = room_by_counting(&booked, capacity, wish, Some(key));
                        prop_assert_eq!(calendar.room(wish, None),
                            room_by_counting(&booked, capacity, wish, None));
                        prop_assert_eq!(&calendar.reserve(key, wish), &expected);
                        if expected.is_ok() {
                            booked.insert(key, wish);
                        }
                    }
                    Step::Release(key) => {
                        prop_assert_eq!(calendar.release(&key), booked.remove(&key).is_some());
                    }
                }
            }
            for segment in calendar.segments(period(-3, 60)) {
                for at in segment.start.0..segment.end.0 {
                    let count = holders_at(&booked, at, None).len();
                    prop_assert_eq!(segment.count as usize, count);
                    prop_assert!(count <= capacity as usize);
                }
            }
        }

        #[test]
        fn opening_at_once_equals_placing_one_by_one(
            entries in prop::collection::vec((0_u8..40, a_period()), 0..80),
        ) {
            let opened = Calendar::open(3, entries.clone());
            let mut placed = Calendar::new(3);
            for (key, period) in entries {
                placed.place(key, period);
            }
            prop_assert_eq!(&opened.boundaries, &placed.boundaries);
            prop_assert_eq!(&opened.periods, &placed.periods);
        }
    }
}
