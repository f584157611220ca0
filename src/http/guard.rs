//! The stream between a socket and hyper: nothing passes that cannot be read in one way, and
//! nobody holds it for ever.
//!
//! Bytes go straight into hyper's buffer; only a head that has not come whole stays behind here.
//! When something cannot be read, hyper gets a request of this stream's own making in its place
//! ([`REFUSED`]), so that the refusal is answered in its turn, behind the answers that are due
//! before it; then nothing passes any more.
//!
//! Times are kept by one timer per direction, which is only set anew when it would fire too late.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use crate::http::alarm::Alarm;
use crate::http::framing::{Passed, Scanner};
use crate::http::head::Unreadable;
use crate::http::link::Link;

/// Method of the request that stands for one that cannot be read. No client can send it over
/// HTTP/1, since its name is refused there; over HTTP/2 it means nothing, as its link has no fault.
pub(in crate::http) const REFUSED: &str = "ENDCAP-REFUSED";

/// Bytes read at once behind a head that has not come whole.
const PIECE_BYTES: usize = 4 << 10;

/// Most bytes that are read and thrown away after the last answer.
const LINGER_BYTES_MAX: usize = 16 << 20;

/// How long each stage of a connection may take.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// From opening to the first byte.
    pub first_byte: Duration,
    /// From the first byte of a head to its last.
    pub head: Duration,
    /// Without any request under way.
    pub idle: Duration,
    /// Without a byte taken of an answer.
    pub stalled: Duration,
    /// For what is under way to the server after its last answer, so that the answer is not lost
    /// when the connection ends.
    pub linger: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Self {
            first_byte: Duration::from_secs(5),
            head: Duration::from_secs(5),
            idle: Duration::from_mins(1),
            stalled: Duration::from_secs(30),
            linger: Duration::from_secs(1),
        }
    }
}

/// A socket under guard.
#[derive(Debug)]
pub(in crate::http) struct Guard<S> {
    socket: S,
    link: Arc<Link>,
    times: Times,
    scanner: Scanner,
    /// Bytes that have not passed yet: part of a head.
    held: Vec<u8>,
    /// When the first of them came.
    held_since: Instant,
    /// Bytes that may pass, and how many of them did.
    passing: Vec<u8>,
    n_passed: usize,
    /// Why reading a body ends; told once.
    fault: Option<Unreadable>,
    reading: Alarm,
    writing: Alarm,
    stalled_since: Option<Instant>,
    closing: Option<Closing>,
}

/// What has been done of closing.
#[derive(Debug)]
struct Closing {
    since: Instant,
    n_thrown_away: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Guard<S> {
    /// A socket that has just been opened.
    pub(in crate::http) fn new(socket: S, link: Arc<Link>, times: Times) -> Self {
        Self {
            socket,
            times,
            scanner: Scanner::Opening,
            held: Vec::new(),
            held_since: link.opened(),
            passing: Vec::new(),
            n_passed: 0,
            fault: None,
            reading: Alarm::default(),
            writing: Alarm::default(),
            stalled_since: None,
            closing: None,
            link,
        }
    }

    /// Moves what may pass into `out`; false if there is nothing.
    fn pass(&mut self, out: &mut ReadBuf<'_>) -> bool {
        let rest = &self.passing[self.n_passed..];
        if rest.is_empty() {
            return false;
        }
        let n = rest.len().min(out.remaining());
        out.put_slice(&rest[..n]);
        self.n_passed += n;
        if self.n_passed == self.passing.len() {
            (self.passing, self.n_passed) = (Vec::new(), 0);
        }
        true
    }

    /// Reads straight into `out` and takes back what may not pass yet. 0 bytes are the end.
    fn poll_direct(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<usize>> {
        let before = out.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, out))?;
        let fresh = &out.filled()[before..];
        let n_fresh = fresh.len();
        let passed = self.scanner.scan(fresh);
        if passed.fault.is_none() && passed.n_bytes < n_fresh {
            self.held = fresh[passed.n_bytes..].to_vec();
            self.held_since = Instant::now();
        }
        out.set_filled(before + passed.n_bytes);
        self.settle(passed);
        Poll::Ready(Ok(n_fresh))
    }

    /// Reads on behind what is held.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut piece = [0; PIECE_BYTES];
        let mut piece = ReadBuf::new(&mut piece);
        ready!(Pin::new(&mut self.socket).poll_read(cx, &mut piece))?;
        self.held.extend_from_slice(piece.filled());
        let passed = self.scanner.scan(&self.held);
        if 0 < passed.n_bytes {
            let rest = self.held.split_off(passed.n_bytes);
            self.passing = std::mem::replace(&mut self.held, rest);
            self.held_since = Instant::now();
        }
        self.settle(passed);
        Poll::Ready(Ok(piece.filled().len()))
    }

    /// Has a fault answered: in the place of a head, or as the end of a body.
    fn settle(&mut self, passed: Passed) {
        let Some(fault) = passed.fault else { return };
        self.held = Vec::new();
        self.link.break_with(fault);
        if passed.is_amid_body {
            self.fault = Some(fault);
        } else {
            let refused = format!("{REFUSED} / HTTP/1.1\r\nconnection: close\r\n\r\n");
            self.passing.extend_from_slice(refused.as_bytes());
        }
    }

    /// Until when the next byte must come.
    fn read_deadline(&self) -> Option<Instant> {
        match &self.scanner {
            Scanner::Opening if self.held.is_empty() => {
                Some(self.link.opened() + self.times.first_byte)
            }
            Scanner::Opening => Some(self.held_since + self.times.head),
            Scanner::Head(_) if !self.held.is_empty() => Some(self.held_since + self.times.head),
            Scanner::Head(_) => self.link.quiet_since().map(|quiet| quiet + self.times.idle),
            Scanner::Http2 => {
                let idle = self.link.quiet_since().map(|quiet| quiet + self.times.idle);
                let stalled = self
                    .link
                    .stalled_since()
                    .map(|since| since + self.times.stalled);
                idle.into_iter().chain(stalled).min()
            }
            // Whoever reads a body keeps its times, and answers when they are over.
            Scanner::Body(_) | Scanner::Chunks(_) | Scanner::Broken => None,
        }
    }

    /// Ends a write that has waited too long for its client.
    fn check_written<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled_since = None;
            return written;
        }
        let since = *self.stalled_since.get_or_insert_with(Instant::now);
        if self.writing.has_come(cx, since + self.times.stalled) {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Poll::Pending
    }

    /// Reads and throws away, until the client ends too or the time for it is over.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut scrap = [0; PIECE_BYTES];
        loop {
            let closing = self.closing.get_or_insert_with(|| Closing {
                since: Instant::now(),
                n_thrown_away: 0,
            });
            let deadline = closing.since + self.times.linger;
            let mut scrap = ReadBuf::new(&mut scrap);
            match Pin::new(&mut self.socket).poll_read(cx, &mut scrap) {
                Poll::Ready(Ok(())) if !scrap.filled().is_empty() => {
                    closing.n_thrown_away += scrap.filled().len();
                    if LINGER_BYTES_MAX < closing.n_thrown_away || deadline <= Instant::now() {
                        return Poll::Ready(());
                    }
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending if self.reading.has_come(cx, deadline) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Guard<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.pass(out) {
                return Poll::Ready(Ok(()));
            }
            if let Some(fault) = this.fault.take() {
                return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, fault)));
            }
            if matches!(this.scanner, Scanner::Broken) {
                return Poll::Pending;
            }
            let before = out.filled().len();
            let read = if this.held.is_empty() {
                this.poll_direct(cx, out)
            } else {
                this.poll_held(cx)
            };
            match read {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(_)) if before < out.filled().len() => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    let deadline = this.read_deadline();
                    // No request is under way, so the end needs no answer.
                    let is_over = deadline.is_some_and(|at| this.reading.has_come(cx, at));
                    return if is_over {
                        Poll::Ready(Ok(()))
                    } else {
                        Poll::Pending
                    };
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Guard<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.socket).poll_write(cx, bytes);
        this.check_written(cx, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.socket).poll_write_vectored(cx, slices);
        this.check_written(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let flushed = Pin::new(&mut this.socket).poll_flush(cx);
        this.check_written(cx, flushed)
    }

    /// Ends the answers; if bytes of the client may still be under way, they are waited for, since
    /// a socket closed over unread bytes takes the last answer with it.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.closing.is_none() {
            let shut = Pin::new(&mut this.socket).poll_shutdown(cx);
            ready!(this.check_written(cx, shut))?;
        }
        if this.scanner.is_amid_body() {
            ready!(this.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}
