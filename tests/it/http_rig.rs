//! A server on port 0 with a few routes, and clients that send exactly the bytes they are told.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use endcap::access::key::{ApiKey, Doorkeeper, KeyDigest, KeyRefusal};
use endcap::access::principal::{Actor, Principal, Role};
use endcap::domain::id::KeyId;
use endcap::domain::time::Timestamp;
use endcap::engine::error::EngineError;
use endcap::engine::refusals::RefusedWrite;
use endcap::http::Settings;
use endcap::http::accept::{Drained, serve};
use endcap::http::body::Upload;
use endcap::http::extract::{Caller, Json, Raw};
use endcap::http::gate::Route;
use endcap::http::problem::Problem;
use endcap::http::shell::{House, Parts, Shell};
use endcap::http::stop::Stop;
use endcap::telemetry::metrics::Metrics;
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Long enough for anything that happens at all.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// What is waited for that must not happen.
pub(crate) const NEVER: Duration = Duration::from_hours(1);

/// Short enough to be waited for.
pub(crate) const BRIEF: Duration = Duration::from_millis(40);

/// When the house's clock stands.
pub(crate) const NOW: Timestamp = Timestamp(1_767_225_600_000);

/// A key of the role, the same in every test.
pub(crate) fn key(role: Role) -> String {
    ApiKey::new(role, [role as u8 + 1; 32]).expose().to_owned()
}

/// A key whose time is over.
pub(crate) fn expired_key() -> String {
    ApiKey::new(Role::Analyst, [99; 32]).expose().to_owned()
}

/// Keys, a revision that is published, and nothing else.
pub(crate) struct TestHouse {
    keys: BTreeMap<KeyDigest, Arc<Principal>>,
    revision: AtomicU64,
    /// Refused changes it was told of.
    refused: Arc<Mutex<Vec<RefusedWrite>>>,
}

impl TestHouse {
    fn new() -> Self {
        let mut keys = BTreeMap::new();
        for (role, ..) in Role::ALL {
            let own = Principal {
                by: Actor::Key(KeyId([role as u8 + 1; 16])),
                roles: [role].into(),
                origins: vec!["https://shop.example".to_owned()],
                ..Principal::system()
            };
            keys.insert(KeyDigest::of(&key(role)), Arc::new(own));
        }
        let over = Principal {
            expires: Some(NOW),
            ..Principal::system()
        };
        keys.insert(KeyDigest::of(&expired_key()), Arc::new(over));
        Self {
            keys,
            revision: AtomicU64::new(7),
            refused: Arc::default(),
        }
    }
}

impl Doorkeeper for TestHouse {
    fn principal(&self, digest: &KeyDigest, now: Timestamp) -> Result<Arc<Principal>, KeyRefusal> {
        let found = self.keys.get(digest).ok_or(KeyRefusal::Unknown)?;
        match found.expires {
            Some(end) if end <= now => Err(KeyRefusal::Expired),
            _ => Ok(Arc::clone(found)),
        }
    }
}

impl House for TestHouse {
    fn now(&self) -> Timestamp {
        NOW
    }

    fn revision(&self) -> Option<u64> {
        Some(self.revision.load(Ordering::Relaxed))
    }

    fn reached(
        &self,
        revision: u64,
    ) -> Pin<Box<dyn Future<Output = Result<(), EngineError>> + Send + '_>> {
        let is_there = Some(revision) <= self.revision();
        Box::pin(async move {
            if is_there {
                Ok(())
            } else {
                Err(EngineError::SnapshotBehind)
            }
        })
    }

    fn refused(&self, refused: RefusedWrite) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.refused.lock().unwrap().push(refused);
        Box::pin(std::future::ready(()))
    }
}

/// What slow handlers wait for, and how many of them do.
#[derive(Clone)]
pub(crate) struct Bell {
    pub(crate) rung: Arc<Semaphore>,
    pub(crate) waiting: Arc<AtomicU64>,
}

/// A running server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) stop: Stop,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) bell: Bell,
    pub(crate) refused: Arc<Mutex<Vec<RefusedWrite>>>,
    pub(crate) serving: JoinHandle<Drained>,
}

impl Server {
    /// With settings in which no time passes by itself, changed by `change`.
    pub(crate) async fn start(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::of_cores(1);
        let accepting = &mut settings.accepting;
        let times = &mut accepting.times;
        for time in [
            &mut times.first_byte,
            &mut times.head,
            &mut times.idle,
            &mut times.stalled,
            &mut accepting.grace,
            &mut settings.body.gap,
            &mut settings.body.whole,
            &mut settings.body.stream_gap,
        ] {
            *time = NEVER;
        }
        accepting.notice = Duration::ZERO;
        change(&mut settings);
        let bell = Bell {
            rung: Arc::new(Semaphore::new(0)),
            waiting: Arc::default(),
        };
        let metrics = Arc::new(Metrics::default());
        let house = TestHouse::new();
        let refused = Arc::clone(&house.refused);
        let parts = Parts {
            house: Arc::new(house),
            metrics: Arc::clone(&metrics),
            settings,
            process: 1,
        };
        let shell = Shell::new(routes(&bell), parts);
        let (shell, stop) = (Arc::new(shell), Stop::new());
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(serve(listener, shell, stop.clone()));
        Self {
            address,
            stop,
            metrics,
            bell,
            refused,
            serving,
        }
    }

    /// As specified.
    pub(crate) async fn plain() -> Self {
        Self::start(|_| ()).await
    }

    /// A new connection.
    pub(crate) async fn connect(&self) -> Wire {
        Wire {
            socket: TcpStream::connect(self.address).await.unwrap(),
            read: Vec::new(),
        }
    }

    /// One answer to `bytes` on a connection of its own.
    pub(crate) async fn ask(&self, bytes: impl AsRef<[u8]>) -> Answer {
        let mut raw = self.connect().await;
        raw.send(bytes).await;
        raw.answer().await
    }

    /// Requests refused for a reason so far.
    pub(crate) fn n_refused(&self, reason: &'static str) -> u64 {
        self.metrics.refused(reason).get()
    }

    /// Answers of a route with a status so far.
    pub(crate) fn answered(&self, pattern: &str, status: u16) -> u64 {
        let counted = self.metrics.route(pattern).counted();
        let found = counted.iter().find(|(name, _)| *name == status.to_string());
        found.map_or(0, |(_, n)| *n)
    }

    /// Waits until `condition` holds.
    pub(crate) async fn until(&self, condition: impl Fn(&Self) -> bool) {
        let holds = async {
            while !condition(self) {
                tokio::task::yield_now().await;
            }
        };
        timeout(SOON, holds)
            .await
            .expect("the condition comes true");
    }

    /// Waits until so many handlers wait for the bell.
    pub(crate) async fn until_waiting(&self, n: u64) {
        self.until(|server| server.bell.waiting.load(Ordering::SeqCst) == n)
            .await;
    }
}

/// What `/wait` does until the bell is rung for it.
struct Waiting(Bell);

impl Waiting {
    async fn wait(bell: Bell) {
        bell.waiting.fetch_add(1, Ordering::SeqCst);
        let waiting = Self(bell);
        waiting.0.rung.acquire().await.unwrap().forget();
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

fn routes(bell: &Bell) -> Router {
    let wait = |bell: &Bell| {
        let bell = bell.clone();
        move || async move {
            Waiting::wait(bell).await;
            "waited"
        }
    };
    let size = |Raw(body): Raw| async move { body.len().to_string() };
    let json = |Json(body): Json| async move { body.to_string() };
    let who = |caller: Caller| async move {
        format!(
            "{} {} {}",
            caller.principal.actor(),
            caller.address,
            caller.request_id
        )
    };
    Router::new()
        .route("/size", post(size).route_layer(Route::desk()))
        .route("/lines", post(size).route_layer(Route::events()))
        .route("/json", post(json).route_layer(Route::desk()))
        .route("/who", get(who).post(who).route_layer(Route::desk()))
        .route("/rank", get(who).post(size).route_layer(Route::rank()))
        .route("/cart", post(size).route_layer(Route::cart()))
        .route("/feed", post(feed).route_layer(Route::feed()))
        .route(
            "/open/{name}",
            get(|Path(name): Path<String>| async { name }).route_layer(Route::open()),
        )
        .route(
            "/wait",
            get(wait(bell)).post(wait(bell)).route_layer(Route::desk()),
        )
        .route("/wait-rank", get(wait(bell)).route_layer(Route::rank()))
        .route(
            "/large",
            get(|| async { "x".repeat(64 << 20) }).route_layer(Route::desk()),
        )
        .route("/pieces", get(pieces).route_layer(Route::desk()))
        .route(
            "/text",
            get(|| async { "text ".repeat(1_000) }).route_layer(Route::desk()),
        )
        .route("/panic", get(panics).route_layer(Route::desk()))
        .route("/fails", get(fails).route_layer(Route::desk()))
        .route("/bare", get(who))
}

/// An answer of many pieces, for clients that stop taking them.
async fn pieces() -> Body {
    Body::from_stream(Pieces(4_096))
}

/// So many pieces of 16 KiB.
struct Pieces(u32);

impl futures_core::Stream for Pieces {
    type Item = Result<Vec<u8>, std::io::Error>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        let left = self.0.checked_sub(1);
        self.0 = left.unwrap_or(0);
        std::task::Poll::Ready(left.map(|_| Ok(vec![b'x'; 16 << 10])))
    }
}

async fn feed(mut upload: Upload) -> Result<Response, Problem> {
    let mut n = 0;
    while let Some(piece) = upload.next().await? {
        n += piece.len();
    }
    Ok(n.to_string().into_response())
}

async fn panics() {
    panic!("on purpose");
}

async fn fails() -> Result<Response, Problem> {
    Err(EngineError::internal("a secret cause").into())
}

/// A connection on which every byte is ours.
pub(crate) struct Wire {
    socket: TcpStream,
    read: Vec<u8>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// The problem document.
    #[track_caller]
    pub(crate) fn problem(&self) -> Value {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{self:?}"
        );
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Status and code of a problem.
    #[track_caller]
    pub(crate) fn code(&self) -> (u16, String) {
        let problem = self.problem();
        assert_eq!(problem["status"], self.status);
        (self.status, problem["code"].as_str().unwrap().to_owned())
    }

    /// A header's value; empty if there is none.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

impl Wire {
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        // A server that has closed already says why in its answer.
        let _ = timeout(SOON, self.socket.write_all(bytes.as_ref()))
            .await
            .unwrap();
    }

    /// Ends the client's side.
    pub(crate) async fn finish(&mut self) {
        self.socket.shutdown().await.unwrap();
    }

    /// The next answer; its body ends with its length.
    pub(crate) async fn answer(&mut self) -> Answer {
        self.answer_to("GET").await
    }

    /// The next answer, to a request of this method.
    pub(crate) async fn answer_to(&mut self, method: &str) -> Answer {
        let end = loop {
            if let Some(end) = self.read.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end + 4;
            }
            assert!(
                self.more().await,
                "an answer comes: {:?}",
                String::from_utf8_lossy(&self.read)
            );
        };
        let head = String::from_utf8(self.read.drain(..end).collect()).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let headers: BTreeMap<String, String> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let length = headers.get("content-length").filter(|_| method != "HEAD");
        let length: usize = length.map_or(0, |length| length.parse().unwrap());
        while self.read.len() < length {
            assert!(self.more().await, "the body comes whole");
        }
        Answer {
            status,
            headers,
            body: self.read.drain(..length).collect(),
        }
    }

    /// Waits for the server to end the connection; what it still sends is returned.
    pub(crate) async fn ended(&mut self) -> Vec<u8> {
        while self.more().await {}
        std::mem::take(&mut self.read)
    }

    /// Reads on; false at the end.
    async fn more(&mut self) -> bool {
        let mut piece = [0; 4_096];
        let read = timeout(SOON, self.socket.read(&mut piece))
            .await
            .expect("something happens");
        let n = read.unwrap_or(0);
        self.read.extend_from_slice(&piece[..n]);
        0 < n
    }
}

/// A request with an operator's key; `rest` are further header lines, each with its end.
pub(crate) fn request(method: &str, path: &str, rest: &str, body: &str) -> String {
    let key = key(Role::Operator);
    let length = match body {
        "" => String::new(),
        body => format!("Content-Length: {}\r\n", body.len()),
    };
    format!(
        "{method} {path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\n{length}{rest}\r\n{body}"
    )
}
