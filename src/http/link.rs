//! One connection, as its stream and its requests share it.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use hyper::body::{Bytes, Frame, SizeHint};
use tokio::time::Instant;

use crate::http::head::Unreadable;

/// A connection's state. All of it is told by requests and read by the stream, but for the fault.
#[derive(Debug)]
pub(in crate::http) struct Link {
    /// Who is at the other end: a client, or a proxy in front of it.
    pub(in crate::http) peer: IpAddr,
    opened: Instant,
    /// Requests without a whole answer.
    n_open: AtomicU32,
    /// When the last of them was answered, in milliseconds since `opened`.
    quiet_since_ms: AtomicU64,
    /// Answers whose client has not taken what there is of them.
    n_offered: AtomicU32,
    /// When one of them last was taken from, in milliseconds since `opened`.
    taken_at_ms: AtomicU64,
    fault: OnceLock<Unreadable>,
}

impl Link {
    /// A connection that has just been opened.
    pub(in crate::http) fn new(peer: IpAddr) -> Self {
        Self {
            peer,
            opened: Instant::now(),
            n_open: AtomicU32::new(0),
            quiet_since_ms: AtomicU64::new(0),
            n_offered: AtomicU32::new(0),
            taken_at_ms: AtomicU64::new(0),
            fault: OnceLock::new(),
        }
    }

    /// When it was opened.
    pub(in crate::http) fn opened(&self) -> Instant {
        self.opened
    }

    /// Since when no request is under way; `None` if one is.
    pub(in crate::http) fn quiet_since(&self) -> Option<Instant> {
        let is_quiet = self.n_open.load(Ordering::Acquire) == 0;
        is_quiet.then(|| self.instant(&self.quiet_since_ms))
    }

    /// Since when the client has taken nothing of any answer; `None` if there is nothing to take.
    pub(in crate::http) fn stalled_since(&self) -> Option<Instant> {
        let is_offered = 0 < self.n_offered.load(Ordering::Acquire);
        is_offered.then(|| self.instant(&self.taken_at_ms))
    }

    /// Leaves word why the next request cannot be read.
    pub(in crate::http) fn break_with(&self, fault: Unreadable) {
        // The first fault ends the connection, so there is no second one to keep.
        let _ = self.fault.set(fault);
    }

    /// Why the last request could not be read.
    pub(in crate::http) fn fault(&self) -> Option<Unreadable> {
        self.fault.get().copied()
    }

    /// Marks a request as under way until its [`Open`] is dropped.
    pub(in crate::http) fn begin(self: &Arc<Self>) -> Open {
        self.n_open.fetch_add(1, Ordering::AcqRel);
        Open(Arc::clone(self))
    }

    fn instant(&self, since_ms: &AtomicU64) -> Instant {
        self.opened + Duration::from_millis(since_ms.load(Ordering::Acquire))
    }

    fn stamp(&self, since_ms: &AtomicU64) {
        let ms = u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX);
        since_ms.store(ms, Ordering::Release);
    }
}

/// A request under way.
#[derive(Debug)]
pub(in crate::http) struct Open(Arc<Link>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.stamp(&self.0.quiet_since_ms);
        self.0.n_open.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The body of an answer. While it is not taken whole, its request is under way; while it waits for
/// its client, the connection's clock for slow readers runs.
pub(in crate::http) struct Offered {
    body: Body,
    is_waiting: bool,
    open: Open,
}

impl Offered {
    /// An answer whose head now goes out.
    pub(in crate::http) fn new(body: Body, open: Open) -> Self {
        let mut offered = Self {
            body,
            is_waiting: false,
            open,
        };
        offered.wait();
        offered
    }

    fn wait(&mut self) {
        let link = &self.open.0;
        link.stamp(&link.taken_at_ms);
        link.n_offered.fetch_add(1, Ordering::AcqRel);
        self.is_waiting = true;
    }

    fn proceed(&mut self) {
        if std::mem::take(&mut self.is_waiting) {
            self.open.0.n_offered.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl hyper::body::Body for Offered {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.proceed();
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(_))) = &frame {
            self.wait();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Offered {
    fn drop(&mut self) {
        self.proceed();
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use hyper::body::Body as _;

    use super::*;

    #[test]
    fn a_connection_is_quiet_once_its_answers_are_taken() {
        let link = Arc::new(Link::new(IpAddr::from([127, 0, 0, 1])));
        assert!(link.quiet_since().is_some());
        let open = link.begin();
        assert_eq!((link.quiet_since(), link.stalled_since()), (None, None));
        let mut answer = Offered::new(Body::from("abc"), open);
        assert!(link.stalled_since().is_some());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(Pin::new(&mut answer).poll_frame(&mut cx).is_ready());
        assert!(link.stalled_since().is_some());
        assert!(matches!(
            Pin::new(&mut answer).poll_frame(&mut cx),
            Poll::Ready(None)
        ));
        assert_eq!((link.quiet_since(), link.stalled_since()), (None, None));
        drop(answer);
        assert!(link.quiet_since().is_some());
    }

    #[test]
    fn the_first_fault_stays() {
        let link = Link::new(IpAddr::from([127, 0, 0, 1]));
        assert_eq!(link.fault(), None);
        link.break_with(Unreadable::Folding);
        link.break_with(Unreadable::Chunk);
        assert_eq!(link.fault(), Some(Unreadable::Folding));
    }
}
