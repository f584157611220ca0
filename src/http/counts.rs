//! What the shell counts about itself, for whoever shows metrics.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows, or that goes up and down.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// How much it is.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// One more.
    pub(in crate::http) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub(in crate::http) fn take(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts of one process since its start, but for `connections_open`.
#[derive(Debug, Default)]
pub struct Counts {
    /// Connections now open.
    pub connections_open: Count,
    /// Connections closed as soon as they were accepted, being too many.
    pub connections_refused: Count,
    /// Times that accepting failed, for example for want of descriptors.
    pub accepts_failed: Count,
    /// Requests that could not be read.
    pub requests_unreadable: Count,
    /// Handlers that panicked.
    pub panics: Count,
    /// Requests refused because too many were waiting.
    pub shed: Count,
    /// Requests whose deadline passed.
    pub late: Count,
    /// Requests refused by a rate limit.
    pub rate_limited: Count,
    /// Requests with a key that opens nothing.
    pub keys_refused: Count,
    /// Answers by the first digit of their status, from 1xx to 5xx.
    pub answers: [Count; 5],
}

impl Counts {
    /// Counts one answer.
    pub(in crate::http) fn answered(&self, status: u16) {
        let class = usize::from(status / 100).clamp(1, 5) - 1;
        self.answers[class].add();
    }
}
