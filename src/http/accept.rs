//! The accept loop, and one connection after the other.
//!
//! `axum::serve` sets no timer, and hyper-util's detection of the protocol waits for ever for its
//! first byte. Here every connection is read through a [`Guard`], and
//! their number is bounded, in all and per address.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::http::guard::{Guard, Times};
use crate::http::link::Link;
use crate::http::shell::Shell;
use crate::http::stop::Stop;
use crate::telemetry::series::Holding;

/// hyper's read buffer: the longest head that passes the guard, and then some.
const BUFFER_BYTES_MAX: usize = 64 << 10;

/// Longest list of headers that is read over HTTP/2 at all; what is longer than allowed but shorter
/// than this gets a document as its answer.
const H2_HEADER_BYTES_MAX: u32 = 32 << 10;

/// How often the rate limits are swept.
const SWEEP_EVERY: Duration = Duration::from_mins(1);

/// Bounds and times of connections.
#[derive(Clone, Copy, Debug)]
pub struct Accepting {
    /// Connections at once.
    pub connections_max: usize,
    /// Connections at once of one address, unless it is a trusted proxy.
    pub connections_per_address_max: usize,
    /// Requests at once on one HTTP/2 connection.
    pub streams_max: u32,
    /// How long to wait when accepting fails, for example for want of descriptors.
    pub pause: Duration,
    /// Times of each connection.
    pub times: Times,
    /// How long connections are still accepted after the word to end, so that whoever asks for
    /// readiness hears of it first.
    pub notice: Duration,
    /// How long what is under way may take then.
    pub grace: Duration,
}

impl Default for Accepting {
    fn default() -> Self {
        Self {
            connections_max: 10_000,
            connections_per_address_max: 256,
            streams_max: 128,
            pause: Duration::from_millis(50),
            times: Times::default(),
            notice: Duration::from_secs(1),
            grace: Duration::from_secs(20),
        }
    }
}

/// How serving ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drained {
    /// Connections cut off with something under way.
    pub n_cut_off: usize,
}

/// Serves until the word to end, then finishes what is under way.
///
/// The word comes through `stop`: at [`Stop::begin`] connections are accepted for another
/// [`notice`](Accepting::notice), then the socket closes and what is under way has its
/// [`grace`](Accepting::grace); at [`Stop::now`] everything ends.
pub async fn serve(listener: TcpListener, shell: Arc<Shell>, stop: Stop) -> Drained {
    let tracker = TaskTracker::new();
    let (draining, cut_off) = (CancellationToken::new(), CancellationToken::new());
    let door = Door::new(&shell);
    let builder = Arc::new(builder(&door.accepting));
    let mut closing = pin!(closing(&stop, door.accepting.notice));
    let mut sweep = tokio::time::interval(SWEEP_EVERY);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut closing => break,
            _ = sweep.tick() => { shell.sweep(); continue; }
            accepted = listener.accept() => accepted,
        };
        let Some((socket, entered)) = door.enter(accepted).await else {
            continue;
        };
        let connection = Connection {
            socket,
            entered,
            shell: Arc::clone(&shell),
            builder: Arc::clone(&builder),
            draining: draining.clone(),
            cut_off: cut_off.clone(),
        };
        tracker.spawn(connection.run());
    }
    drop(listener);
    draining.cancel();
    tracker.close();
    tokio::select! {
        _ = timeout(door.accepting.grace, tracker.wait()) => {}
        () = stop.ended() => {}
    }
    let n_cut_off = tracker.len();
    cut_off.cancel();
    tracker.wait().await;
    Drained { n_cut_off }
}

/// Ends when no more connections shall be accepted.
async fn closing(stop: &Stop, notice: Duration) {
    stop.begun().await;
    tokio::select! {
        () = sleep(notice) => {}
        () = stop.ended() => {}
    }
}

/// The guard keeps the times of HTTP/1 heads, so hyper's own timer, which would end idle
/// connections too, stays off. A client that ends its side may still wait for its answer, so what
/// it asked for is finished: its deadline bounds it, and a commit is not dropped half way.
fn builder(accepting: &Accepting) -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        .half_close(true)
        .max_buf_size(BUFFER_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(accepting.streams_max)
        .max_header_list_size(H2_HEADER_BYTES_MAX);
    builder
}

/// Lets connections in, as many as there may be.
struct Door {
    shell: Arc<Shell>,
    accepting: Accepting,
    present: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Door {
    fn new(shell: &Arc<Shell>) -> Self {
        let accepting = shell.settings().accepting;
        Self {
            shell: Arc::clone(shell),
            accepting,
            present: Arc::default(),
        }
    }

    /// A connection that may stay; what may not is closed, and failing to accept is waited out.
    async fn enter(
        &self,
        accepted: io::Result<(TcpStream, std::net::SocketAddr)>,
    ) -> Option<(TcpStream, Entered)> {
        let counts = self.shell.counts();
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                counts.accept_failures.inc();
                tracing::warn!(%error, "no connection could be accepted");
                sleep(self.accepting.pause).await;
                return None;
            }
        };
        let peer = peer.ip().to_canonical();
        let per_address_max = if self.shell.settings().trusted_proxies.contains(&peer) {
            usize::MAX
        } else {
            self.accepting.connections_per_address_max
        };
        let n_open = usize::try_from(counts.connections.get()).unwrap_or(0);
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        let here = present.entry(peer).or_insert(0);
        if self.accepting.connections_max <= n_open || per_address_max <= *here {
            if *here == 0 {
                present.remove(&peer);
            }
            counts.too_many_connections.inc();
            return None;
        }
        *here += 1;
        // Answers are written whole, so waiting for more to fill a packet only delays them.
        let _ = socket.set_nodelay(true);
        let (present, open) = (Arc::clone(&self.present), counts.connections.hold());
        let entered = Entered {
            peer,
            present,
            _open: open,
        };
        Some((socket, entered))
    }
}

/// A connection's place, until it is dropped.
struct Entered {
    peer: IpAddr,
    present: Arc<Mutex<HashMap<IpAddr, usize>>>,
    _open: Holding,
}

impl Drop for Entered {
    fn drop(&mut self) {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(here) = present.get_mut(&self.peer) {
            *here -= 1;
            if *here == 0 {
                present.remove(&self.peer);
            }
        }
    }
}

/// One connection.
struct Connection {
    socket: TcpStream,
    entered: Entered,
    shell: Arc<Shell>,
    builder: Arc<Builder<TokioExecutor>>,
    draining: CancellationToken,
    cut_off: CancellationToken,
}

impl Connection {
    async fn run(self) {
        let link = Arc::new(Link::new(self.entered.peer));
        let times = self.shell.settings().accepting.times;
        let io = TokioIo::new(Guard::new(self.socket, Arc::clone(&link), times));
        let shell = &self.shell;
        let service = service_fn(move |request| {
            let (shell, link) = (Arc::clone(shell), Arc::clone(&link));
            async move { Ok::<_, Infallible>(shell.answer(&link, request).await) }
        });
        let mut connection = pin!(self.builder.serve_connection(io, service));
        // How a connection ends is the client's affair: there is nobody left to tell.
        tokio::select! {
            biased;
            () = self.cut_off.cancelled() => return,
            _ = connection.as_mut() => return,
            () = self.draining.cancelled() => {}
        }
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            () = self.cut_off.cancelled() => {}
            _ = connection => {}
        }
    }
}
