//! Counts of page events: every counted rank answer, queued without waiting.
//!
//! A full queue drops the event and counts the drop, so that measuring never slows ranking.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of page events since the start of the process.
#[derive(Debug, Default)]
pub struct Pages {
    answered: AtomicU64,
    items: AtomicU64,
    dropped: AtomicU64,
}

impl Pages {
    /// Notes one page of `n_items`.
    pub fn offer(&self, n_items: usize) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        self.items.fetch_add(n_items as u64, Ordering::Relaxed);
    }

    /// Notes pages that will not be measured: no room, or no log.
    pub fn dropped(&self, n_pages: usize) {
        self.dropped.fetch_add(n_pages as u64, Ordering::Relaxed);
    }

    /// Pages and items noted.
    pub fn counted(&self) -> (u64, u64) {
        (
            self.answered.load(Ordering::Relaxed),
            self.items.load(Ordering::Relaxed),
        )
    }

    /// Pages that were not measured.
    pub fn n_dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}
