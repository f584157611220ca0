//! **How do bytes on a socket become a known caller's request?**
//!
//! ```text
//! socket → guard → hyper → shell → router → gate → handler
//!          times,   HTTP    name,            class, body, key,
//!          framing  1, 2    panic, log       limit, turn, deadline
//! ```
//!
//! - [`accept`]: the loop that takes connections and serves them; [`stop`] ends it in good order
//! - `guard`, `framing`, `head`: nothing reaches hyper that two readers could read differently, and
//!   nobody holds a connection for ever; `link` is what a connection and its requests share
//! - [`shell`]: what stands around every request: its name, its panic, its line in the log, its
//!   problem document; [`Shell`](shell::Shell) is what is served
//! - [`gate`]: a [`Route`](gate::Route) stands before every handler and says what it takes;
//!   `passing` does with a request what the route says
//! - [`host`]: under which names sessions may come
//! - [`lanes`], [`limits`] by [`quota`], `auth`, [`body`], `cors`: what it takes for that
//! - [`extract`], [`json`]: what handlers take out of a request
//! - [`problem`]: the one table from error to status and code, and a page for each code
//!
//! # How `api` uses it
//!
//! Every handler stands behind a route, which is a layer:
//!
//! ```text
//! let routes = Router::new()
//!     .route("/v1/markets/{market}/rank", get(rank_get).post(rank).route_layer(Route::rank()))
//!     .route("/v1/promotions", get(list).post(create).route_layer(Route::desk()))
//!     .route("/health/live", get(live).route_layer(Route::open()));
//! let shell = Arc::new(Shell::new(routes, Parts { house, metrics, settings, process }));
//! let drained = accept::serve(listener, shell, stop).await;
//!
//! async fn create(caller: Caller, key: IdempotencyKey, Raw(body): Raw) -> Result<Response, Problem> {
//!     let promotion = engine.create(…).await?;      // EngineError becomes a Problem
//!     …
//! }
//! ```
//!
//! # Order
//!
//! Request id → catch panic → access log → packing of the answer → router → class → load shed →
//! length, coding and type of the body → key → origin → rate limit → awaited revision → body, timed,
//! counted, unpacked → permit of the class → deadline → handler. The permit comes after the body,
//! because a slow client must not keep others from theirs; what waits before it holds a share of
//! one bounded room for bodies instead, and only for callers who are known. The time of a class
//! runs from there; before it run the times of the body.
//!
//! # Invariants
//!
//! - Every 4xx and 5xx that is sent carries a code of the table; causes of a 500 are logged, once.
//! - After a request that cannot be read, or whose body was left unread, nothing of that connection
//!   is read as a request.
//! - A handler without a [`Route`](gate::Route) knows no caller.
//! - Connections, queues, bodies in memory and buckets are bounded.
//!
//! Cost: one future, two boxed bodies and a handful of header values a request beside what hyper
//! and axum take; no lock but a permit's on its way back and one shard of buckets.

pub mod accept;
mod address;
mod alarm;
mod auth;
pub mod body;
mod coding;
mod cors;
mod counts;
pub mod extract;
mod framing;
pub mod gate;
pub mod guard;
mod head;
pub mod host;
mod house;
pub mod json;
pub mod lanes;
pub mod limits;
mod link;
mod log;
mod panic;
mod passing;
pub mod problem;
pub mod quota;
mod request_id;
pub mod shell;
pub mod stop;
mod target;

use std::net::IpAddr;

use crate::http::accept::Accepting;
use crate::http::body::BodyTimes;
use crate::http::host::PublicUrl;
use crate::http::lanes::Widths;
use crate::http::quota::Rates;

/// Bounds and times of the shell; the defaults are those of the specification.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Connections and their times.
    pub accepting: Accepting,
    /// Times of bodies.
    pub body: BodyTimes,
    /// Bytes of whole bodies that may lie in memory at once.
    pub bodies_bytes_max: usize,
    /// Permits and queues of the lanes.
    pub widths: Widths,
    /// How often one may call.
    pub rates: Rates,
    /// Token buckets of addresses at once.
    pub buckets_max: usize,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpAddr>,
    /// Where shops reach the server, if not at the address it listens on.
    pub public_url: Option<PublicUrl>,
}

impl Settings {
    /// For a machine of so many cores.
    pub fn of_cores(cores: usize) -> Self {
        Self {
            accepting: Accepting::default(),
            body: BodyTimes::default(),
            bodies_bytes_max: 256 << 20,
            widths: Widths::of_cores(cores),
            rates: Rates::default(),
            buckets_max: 200_000,
            trusted_proxies: Vec::new(),
            public_url: None,
        }
    }
}
