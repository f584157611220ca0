//! Three lanes with queues and permits of their own, so that none can starve another.
//!
//! A request that finds no permit waits in its lane, first in first out; one that finds the queue
//! full is refused at once, and one whose deadline passes while it waits is refused without work.
//! The way through a lane that is not full is one compare-and-swap in and one short lock out; a
//! refusal is one atomic load.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

use crate::http::counts::Counts;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;

/// What kind of work a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Storefront: short, many, and what shoppers wait for.
    Rank,
    /// Events and imports.
    Ingest,
    /// People and their tools.
    Desk,
}

/// How much a lane takes at once.
#[derive(Clone, Copy, Debug)]
pub struct Width {
    /// Requests at work at the same time.
    pub permits: usize,
    /// Requests that may wait.
    pub queue: usize,
}

/// The width of each lane.
#[derive(Clone, Copy, Debug)]
pub struct Widths {
    /// Of [`Class::Rank`].
    pub rank: Width,
    /// Of [`Class::Ingest`].
    pub ingest: Width,
    /// Of [`Class::Desk`].
    pub desk: Width,
}

impl Widths {
    /// For a machine of so many cores.
    ///
    /// Ranks compute: four a core keep every core busy, and 64 times as many may wait, 256 a core.
    /// Events mostly wait for a sync that they share, and desk calls for a commit, so more of them
    /// are under way at once.
    pub fn of_cores(cores: usize) -> Self {
        Self {
            rank: Width {
                permits: 4 * cores,
                queue: 256 * cores,
            },
            ingest: Width {
                permits: 32 * cores,
                queue: 128 * cores,
            },
            desk: Width {
                permits: 16 * cores,
                queue: 64 * cores,
            },
        }
    }
}

/// The lanes of one server.
#[derive(Debug)]
pub(in crate::http) struct Lanes {
    rank: Lane,
    ingest: Lane,
    desk: Lane,
}

impl Lanes {
    /// Empty lanes.
    pub(in crate::http) fn new(widths: Widths) -> Self {
        Self {
            rank: Lane::new(widths.rank),
            ingest: Lane::new(widths.ingest),
            desk: Lane::new(widths.desk),
        }
    }

    /// The lane of a class.
    pub(in crate::http) fn of(&self, class: Class) -> &Lane {
        match class {
            Class::Rank => &self.rank,
            Class::Ingest => &self.ingest,
            Class::Desk => &self.desk,
        }
    }
}

/// Permits, and a queue before them.
#[derive(Debug)]
pub(in crate::http) struct Lane {
    permits: Semaphore,
    n_waiting: AtomicUsize,
    queue_max: usize,
}

impl Lane {
    fn new(width: Width) -> Self {
        Self {
            permits: Semaphore::new(width.permits),
            n_waiting: AtomicUsize::new(0),
            queue_max: width.queue,
        }
    }

    /// Whether a request that comes now would find no place, neither at work nor in the queue.
    pub(in crate::http) fn is_full(&self) -> bool {
        self.permits.available_permits() == 0
            && self.queue_max <= self.n_waiting.load(Ordering::Relaxed)
    }

    /// Waits for a permit, if need be.
    ///
    /// # Errors
    /// `overloaded` at once if the queue is full; `deadline` if it passes in the queue.
    pub(in crate::http) async fn enter(
        &self,
        deadline: Option<Instant>,
        counts: &Counts,
    ) -> Result<SemaphorePermit<'_>, Problem> {
        if let Ok(permit) = self.permits.try_acquire() {
            return Ok(permit);
        }
        let place = self.queue_up().inspect_err(|_| counts.overloaded.inc())?;
        let turn = self.permits.acquire();
        let permit = match deadline {
            Some(at) => timeout_at(at, turn).await.map_err(|_| late(counts))?,
            None => turn.await,
        };
        drop(place);
        if deadline.is_some_and(|at| at <= Instant::now()) {
            return Err(late(counts));
        }
        // The permits are never closed, so a turn always comes.
        permit.map_err(Problem::internal)
    }

    fn queue_up(&self) -> Result<Place<'_>, Problem> {
        let before = self.n_waiting.fetch_add(1, Ordering::Relaxed);
        let place = Place(self);
        if before < self.queue_max {
            Ok(place)
        } else {
            Err(overloaded())
        }
    }
}

/// A place in a queue, until it is dropped.
struct Place<'a>(&'a Lane);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.n_waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Too many are waiting.
pub(in crate::http) fn overloaded() -> Problem {
    Problem::new(Code::Overloaded, "too many requests are waiting")
}

/// It took too long.
pub(in crate::http) fn late(counts: &Counts) -> Problem {
    counts.late.inc();
    Problem::new(Code::Deadline, "the time for this request is over")
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::{Pin, pin};
    use std::task::{Context, Poll, Waker};

    use super::*;
    use crate::telemetry::metrics::Metrics;

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    fn code<T>(polled: Poll<Result<T, Problem>>) -> Option<Code> {
        match polled {
            Poll::Ready(Err(problem)) => Some(problem.code()),
            _ => None,
        }
    }

    #[test]
    fn a_lane_lets_in_queues_and_refuses_in_order() {
        let counts = Counts::of(&Metrics::default());
        let lane = Lane::new(Width {
            permits: 1,
            queue: 2,
        });
        let Poll::Ready(Ok(at_work)) = poll(pin!(lane.enter(None, &counts))) else {
            unreachable!("an empty lane lets in at once")
        };
        let mut second = Box::pin(lane.enter(None, &counts));
        let mut third = Box::pin(lane.enter(None, &counts));
        assert!(poll(second.as_mut()).is_pending());
        assert!(!lane.is_full());
        assert!(poll(third.as_mut()).is_pending());
        assert!(lane.is_full());
        assert_eq!(
            code(poll(pin!(lane.enter(None, &counts)))),
            Some(Code::Overloaded)
        );
        assert_eq!(counts.overloaded.get(), 1);
        drop(at_work);
        assert!(poll(third.as_mut()).is_pending(), "the second came first");
        let Poll::Ready(Ok(at_work)) = poll(second.as_mut()) else {
            unreachable!("the permit was free")
        };
        drop(at_work);
        assert!(matches!(poll(third.as_mut()), Poll::Ready(Ok(_))));
        assert_eq!(lane.n_waiting.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn whoever_gives_up_leaves_the_queue() {
        let counts = Counts::of(&Metrics::default());
        let lane = Lane::new(Width {
            permits: 1,
            queue: 1,
        });
        let at_work = lane.permits.try_acquire().unwrap();
        let mut waiting = Box::pin(lane.enter(None, &counts));
        assert!(poll(waiting.as_mut()).is_pending());
        assert!(lane.is_full());
        drop(waiting);
        assert!(!lane.is_full());
        drop(at_work);
        assert!(matches!(
            poll(pin!(lane.enter(None, &counts))),
            Poll::Ready(Ok(_))
        ));
    }

    #[tokio::test]
    async fn a_deadline_in_the_queue_is_refused_without_work() {
        let counts = Counts::of(&Metrics::default());
        let lane = Lane::new(Width {
            permits: 1,
            queue: 1,
        });
        let _at_work = lane.permits.try_acquire().unwrap();
        let refused = lane.enter(Some(Instant::now()), &counts).await;
        assert_eq!(
            refused.err().map(|problem| problem.code()),
            Some(Code::Deadline)
        );
        assert_eq!(counts.late.get(), 1);
    }
}
