//! What looks after the store's bytes: the index written anew when it has grown, everything read
//! again for damage.
//!
//! Both are due daily, the first time some minutes after a start. They run beside the other jobs,
//! since reading everything takes as long as its pace says.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::domain::time::{DAY_MS, Timestamp};
use crate::engine::error::EngineError;
use crate::engine::start::Engine;
use crate::store::index::compact::CompactAbove;
use crate::store::scrub::{BYTES_PER_SECOND, Throttle, scrub};

/// Time from a start to its first upkeep.
const FIRST_AFTER: Duration = Duration::from_mins(10);

/// How often it is looked whether upkeep is due.
const LOOK_EVERY: Duration = Duration::from_mins(1);

/// Shorter waits are saved up.
const WAIT_MIN: Duration = Duration::from_millis(10);

/// Longest wait between two looks whether to stop.
const WAIT_MAX: Duration = Duration::from_millis(100);

/// Tells a blocking thread that nobody waits for it any more.
struct Stopper(Arc<AtomicBool>);

impl Drop for Stopper {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Engine {
    /// Looks after the store's bytes until the process ends.
    pub(in crate::engine) async fn run_upkeep(&self) {
        tokio::time::sleep(FIRST_AFTER).await;
        loop {
            self.run_due_upkeep().await;
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Does what is due. What fails is logged, and tried again the next day.
    pub async fn run_due_upkeep(&self) {
        let now = self.now();
        if self.ran(|ran| ran.is_due("index", DAY_MS, now))
            && let Err(error) = self.compact_index().await
        {
            tracing::warn!(%error, "the index was not written anew");
        }
        if self.ran(|ran| ran.is_due("scrub", DAY_MS, now))
            && let Err(error) = self.scrub(now).await
        {
            tracing::warn!(%error, "the store was not read through");
        }
    }

    async fn compact_index(&self) -> Result<(), EngineError> {
        let engine = self.clone();
        let compact = move || engine.stores().compact_index(CompactAbove::default());
        let compacted = tokio::task::spawn_blocking(compact).await;
        let compacted = compacted.map_err(EngineError::internal)?;
        if let Some(gain) = compacted.map_err(EngineError::internal)? {
            tracing::info!(
                live_bytes = gain.live_bytes,
                before_bytes = gain.before_bytes,
                after_bytes = gain.after_bytes,
                "the index was written anew"
            );
        }
        Ok(())
    }

    /// Reads everything and counts what was damaged. Dropped, it stops reading.
    async fn scrub(&self, now: Timestamp) -> Result<(), EngineError> {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let stopper = Stopper(is_stopped.clone());
        let engine = self.clone();
        let read = move || {
            let begun = Instant::now();
            let mut throttle = Throttle::new(BYTES_PER_SECOND);
            let mut spend = |n_bytes| {
                let wait = throttle.wait(n_bytes, begun.elapsed());
                sleep_through(wait, &is_stopped)
            };
            scrub(engine.stores(), now, &mut spend)
        };
        let read = tokio::task::spawn_blocking(read).await;
        drop(stopper);
        let scrubbed = read.map_err(EngineError::internal)?;
        let metrics = self.metrics();
        metrics.store_scrubbed_bytes.inc_by(scrubbed.n_bytes);
        for found in &scrubbed.damaged {
            metrics.store_errors.inc();
            metrics.store_damaged(found.part.name()).inc();
        }
        Ok(())
    }
}

/// Waits, if it is worth it, and breaks off when told to.
fn sleep_through(wait: Duration, is_stopped: &AtomicBool) -> ControlFlow<()> {
    let mut left = if wait < WAIT_MIN {
        Duration::ZERO
    } else {
        wait
    };
    while !left.is_zero() && !is_stopped.load(Ordering::Relaxed) {
        let part = left.min(WAIT_MAX);
        std::thread::sleep(part);
        left -= part;
    }
    if is_stopped.load(Ordering::Relaxed) {
        ControlFlow::Break(())
    } else {
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_early_when_told_to_stop() {
        let begun = Instant::now();
        let stopped = sleep_through(Duration::from_hours(1), &AtomicBool::new(true));
        assert_eq!(stopped, ControlFlow::Break(()));
        let goes_on = sleep_through(Duration::from_millis(9), &AtomicBool::new(false));
        assert_eq!(goes_on, ControlFlow::Continue(()));
        assert!(begun.elapsed() < Duration::from_mins(30));
    }
}
