//! What a metric is made of: counts by name, latencies in buckets, answers by status.
//!
//! All of them are handles: a clone counts into the same series.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::domain::time::Timestamp;

/// Most names of one label; what comes after counts as [`OTHER`].
pub const NAMES_MAX: usize = 1_000;

/// Where names beyond [`NAMES_MAX`] are counted together.
pub const OTHER: &str = "other";

/// A count that only grows.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// One more.
    pub fn inc(&self) {
        self.inc_by(1);
    }

    /// So many more.
    pub fn inc_by(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Counted so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many of something there are now.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicI64>);

impl Gauge {
    /// One more, until the guard is dropped.
    #[must_use]
    pub fn hold(&self) -> Holding {
        self.0.fetch_add(1, Ordering::Relaxed);
        Holding(self.clone())
    }

    /// As many as there are now.
    pub fn set(&self, n: i64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// How many there are.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One of those that a [`Gauge`] counts, while it lives.
#[derive(Debug)]
pub struct Holding(Gauge);

impl Drop for Holding {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Upper ends of latency buckets in microseconds; one more is open above.
pub const BUCKETS_US: [u64; 19] = [
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000,
    500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000,
];

/// How long something takes, in buckets. Observing takes no lock.
#[derive(Clone, Debug, Default)]
pub struct Latency(Arc<Times>);

#[derive(Debug, Default)]
struct Times {
    buckets: [AtomicU64; BUCKETS_US.len() + 1],
    sum_ns: AtomicU64,
}

/// What a [`Latency`] has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Observed {
    /// By bucket, not cumulated, the open one last.
    pub buckets: [u64; BUCKETS_US.len() + 1],
    /// All times together.
    pub sum: Duration,
}

impl Latency {
    /// Notes one.
    pub fn observe(&self, took: Duration) {
        let ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BUCKETS_US.partition_point(|end| end * 1_000 < ns);
        self.0.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.0.sum_ns.fetch_add(ns, Ordering::Relaxed);
    }

    /// All that was noted so far.
    pub fn observed(&self) -> Observed {
        let own = &self.0.buckets;
        Observed {
            buckets: std::array::from_fn(|bucket| own[bucket].load(Ordering::Relaxed)),
            sum: Duration::from_nanos(self.0.sum_ns.load(Ordering::Relaxed)),
        }
    }
}

/// Statuses that the API answers with; any other is counted in a place of its own.
const STATUSES: [u16; 26] = [
    200, 201, 202, 204, 206, 304, 400, 401, 403, 404, 405, 406, 409, 410, 412, 413, 414, 415, 422,
    428, 429, 431, 500, 503, 505, 507,
];

/// Answers of one route, by status.
#[derive(Clone, Debug, Default)]
pub struct Answers(Arc<[AtomicU64; STATUSES.len() + 1]>);

impl Answers {
    /// Notes one.
    pub fn answered(&self, status: u16) {
        let place = STATUSES.binary_search(&status).unwrap_or(STATUSES.len());
        self.0[place].fetch_add(1, Ordering::Relaxed);
    }

    /// How many there were of each status that was answered; [`OTHER`] last.
    pub fn counted(&self) -> Vec<(String, u64)> {
        let names = STATUSES
            .iter()
            .map(ToString::to_string)
            .chain([OTHER.to_owned()]);
        let counts = self.0.iter().map(|count| count.load(Ordering::Relaxed));
        names.zip(counts).filter(|(_, count)| 0 < *count).collect()
    }
}

/// What is counted of one market.
#[derive(Clone, Debug, Default)]
pub struct MarketSeries {
    /// From the request read to the answer ready.
    pub rank_latency: Latency,
    /// From a commit seen to its snapshot published.
    pub publish_duration: Latency,
    published: Arc<Published>,
}

#[derive(Debug, Default)]
struct Published {
    revision: AtomicU64,
    /// 0 before the first.
    at_ms: AtomicI64,
}

impl MarketSeries {
    /// Notes that the market's part of a snapshot was published.
    pub fn published(&self, revision: u64, at: Timestamp) {
        self.published.revision.store(revision, Ordering::Relaxed);
        self.published.at_ms.store(at.0, Ordering::Relaxed);
    }

    /// Revision of the newest snapshot and its age at `now`; `None` before the first one.
    pub fn snapshot(&self, now: Timestamp) -> Option<(u64, Duration)> {
        let at_ms = self.published.at_ms.load(Ordering::Relaxed);
        let revision = self.published.revision.load(Ordering::Relaxed);
        let age_ms = u64::try_from(now.0.saturating_sub(at_ms)).unwrap_or(0);
        (at_ms != 0).then(|| (revision, Duration::from_millis(age_ms)))
    }
}

/// Series by the value of one label.
#[derive(Clone, Debug, Default)]
pub(in crate::telemetry) struct ByName<S>(Arc<RwLock<BTreeMap<Arc<str>, S>>>);

impl<S: Clone + Default> ByName<S> {
    /// The series of a name, made if there is none yet.
    pub(in crate::telemetry) fn of(&self, name: &str) -> S {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = known.get(name) {
            return series.clone();
        }
        drop(known);
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let name = if known.len() < NAMES_MAX { name } else { OTHER };
        known.entry(name.into()).or_default().clone()
    }

    /// All series, ascending by name.
    pub(in crate::telemetry) fn all(&self) -> Vec<(Arc<str>, S)> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known
            .iter()
            .map(|(name, series)| (Arc::clone(name), series.clone()))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(us: u64, bucket: usize) {
        let latency = Latency::default();
        latency.observe(Duration::from_micros(us));
        let mut expected = [0; BUCKETS_US.len() + 1];
        expected[bucket] = 1;
        assert_eq!(latency.observed().buckets, expected);
        assert_eq!(latency.observed().sum, Duration::from_micros(us));
    }

    #[test]
    fn a_bucket_holds_its_upper_end() {
        check(0, 0);
        check(10, 0);
        check(11, 1);
        check(10_000_000, 18);
        check(10_000_001, 19);
        assert!(BUCKETS_US.is_sorted() && STATUSES.is_sorted());
    }

    #[test]
    fn names_are_bounded() {
        let series = ByName::<Counter>::default();
        for n in 0..NAMES_MAX + 5 {
            series.of(&n.to_string()).inc();
        }
        assert_eq!(series.all().len(), NAMES_MAX + 1);
        assert_eq!(series.of(OTHER).get(), 5);
        series.of("0").inc();
        assert_eq!(series.of("0").get(), 2);
    }

    #[test]
    fn statuses_nobody_expects_are_counted_too() {
        let answers = Answers::default();
        for status in [200, 418, 200, 599] {
            answers.answered(status);
        }
        let expected = [("200".to_owned(), 2), (OTHER.to_owned(), 2)];
        assert_eq!(answers.counted(), expected);
    }

    #[test]
    fn a_gauge_counts_what_lives() {
        let open = Gauge::default();
        let first = open.hold();
        drop(open.hold());
        assert_eq!(open.get(), 1);
        drop(first);
        assert_eq!(open.get(), 0);
    }
}
