//! Counts of page events: every counted rank answer, queued without waiting.
//!
//! A full queue drops the event, so that measuring never slows ranking; the metrics count the drops.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of page events since the start of the process.
#[derive(Debug, Default)]
pub struct Pages {
    answered: AtomicU64,
    items: AtomicU64,
}

impl Pages {
    /// Notes one page of `n_items`.
    pub fn offer(&self, n_items: usize) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        self.items.fetch_add(n_items as u64, Ordering::Relaxed);
    }

    /// Pages and items noted.
    pub fn counted(&self) -> (u64, u64) {
        (
            self.answered.load(Ordering::Relaxed),
            self.items.load(Ordering::Relaxed),
        )
    }
}
