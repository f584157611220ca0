//! Ending in good order.
//!
//! The first word ([`Stop::begin`]) makes the server unready; a second later it accepts no more,
//! finishes what is under way within its grace, and its serving future ends. The second word
//! ([`Stop::now`]) ends it at once. Whoever hears the signals says the words.

use std::sync::Arc;

use tokio::sync::watch;

/// How far ending has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    Serving,
    Ending,
    Ended,
}

/// A handle for ending a server; its clones are the same.
#[derive(Clone, Debug)]
pub struct Stop(Arc<watch::Sender<Phase>>);

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

impl Stop {
    /// A server that is not ending.
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Phase::Serving)))
    }

    /// Begins to end, as at the first SIGTERM.
    pub fn begin(&self) {
        self.advance(Phase::Ending);
    }

    /// Ends at once, as at the second SIGTERM.
    pub fn now(&self) {
        self.advance(Phase::Ended);
    }

    /// Whether the end has begun: the server is no longer ready.
    pub fn has_begun(&self) -> bool {
        Phase::Serving < *self.0.borrow()
    }

    /// Waits until the end begins.
    pub async fn begun(&self) {
        self.reached(Phase::Ending).await;
    }

    /// Waits until everything has to end at once.
    pub async fn ended(&self) {
        self.reached(Phase::Ended).await;
    }

    fn advance(&self, phase: Phase) {
        self.0.send_if_modified(|current| {
            let is_later = *current < phase;
            *current = phase.max(*current);
            is_later
        });
    }

    async fn reached(&self, phase: Phase) {
        // The sender lives as long as this handle, so waiting never fails.
        let _ = self
            .0
            .subscribe()
            .wait_for(|current| phase <= *current)
            .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_end_only_comes_nearer() {
        let stop = Stop::new();
        let other = stop.clone();
        assert!(!stop.has_begun());
        other.begin();
        stop.begun().await;
        assert!(stop.has_begun());
        stop.now();
        other.begin();
        other.ended().await;
        stop.begun().await;
    }
}
