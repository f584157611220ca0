//! What events cost: a server process with its store on disk, fed over HTTP in calls of 1,000.
//!
//! Data: 2,000 products, a hundred promotions of twenty each, half of them measured. An event names a
//! session (five events each), an id and a product: 70 % clicks, 20 % views, 5 % put into the cart,
//! 5 % orders of two lines. Every call is answered when it is synced. The bare twin appends as many
//! bytes a call as the server wrote, and syncs them.
//!
//! Beside that, ranked pages one after the other, without and with that load: the client shares the
//! machine's cores with the server, so read their ratio. `ENDCAP_BENCH_CALLS` sets the calls (400).

#![expect(clippy::unwrap_used, reason = "a bench ends at the first surprise")]
#![expect(clippy::print_stdout, reason = "figures are this program's answer")]

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde_json::{Value, json};

const EVENTS: usize = 1_000;
const EVENTS_OF_SESSION: usize = 5;
const PRODUCTS: usize = 2_000;
const PROMOTIONS: usize = 100;
const HELD: usize = 20;
const CONNECTIONS: usize = 8;
const PAGES: usize = 4_000;

fn main() {
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    let n_calls = std::env::var("ENDCAP_BENCH_CALLS").ok();
    let n_calls: usize = n_calls.map_or(400, |text| text.parse().unwrap());
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let data = folder.path().join("data");
    let mut server = Server::start(&data);
    let key = server.fill(&data);
    println!(
        "{:<34} {:>10} {:>10} {:>10} {:>10}",
        "", "a second", "mean us", "p50 us", "p99 us"
    );
    let quiet = pages(&server.address, &key, &AtomicBool::new(false), PAGES);
    line("pages in peace", quiet.len(), total(&quiet), &quiet);

    let before = written(&server.process);
    let alone: Vec<String> = (0..n_calls).map(call).collect();
    let began = Instant::now();
    let lone = send(&server.address, &key, &alone);
    let lone_took = began.elapsed();
    let grown = written(&server.process) - before;
    line("calls of 1,000 events", lone.len(), lone_took, &lone);

    let calls: Vec<String> = (n_calls..2 * n_calls).map(call).collect();
    let began = Instant::now();
    let (times, busy) = load(&server, &key, &calls);
    let took = began.elapsed();
    line("the same, with pages beside", times.len(), took, &times);
    line("pages under that load", busy.len(), total(&busy), &busy);
    server.process.kill().unwrap();
    server.process.wait().unwrap();

    let a_call = usize::try_from(grown).unwrap() / n_calls;
    let bare = bare(folder.path(), n_calls, a_call);
    line("bare append and fdatasync", bare.len(), total(&bare), &bare);
    let events_a_second = rate(n_calls * EVENTS, lone_took);
    println!(
        "events a second: {events_a_second}, {} bytes each on disk",
        a_call / EVENTS
    );
    println!(
        "against the bare disk: {:.2} of its calls a second",
        total(&bare).as_secs_f64() / lone_took.as_secs_f64()
    );
    println!(
        "p99 of a page under load, against peace: {:.2}",
        quantile(&busy, 0.99).as_secs_f64() / quantile(&quiet, 0.99).as_secs_f64()
    );
    let began = Instant::now();
    let again = Server::start(&data);
    let ready = began.elapsed().as_secs_f64();
    // Answered when everything is counted.
    let (status, _) = Connection::new(&again.address, &key).call("POST", "/v1/events", &call(0));
    assert_eq!(status, 200);
    println!(
        "started again over {} events: ranks after {ready:.1} s, counts after {:.1} s",
        2 * n_calls * EVENTS,
        began.elapsed().as_secs_f64()
    );
    drop(again);
}

fn total(times: &[Duration]) -> Duration {
    times.iter().sum()
}

fn rate(n: usize, took: Duration) -> u128 {
    n as u128 * 1_000_000_000 / took.as_nanos()
}

fn quantile(times: &[Duration], at: f64) -> Duration {
    let mut histogram = Histogram::<u64>::new(3).unwrap();
    for time in times {
        histogram
            .record(u64::try_from(time.as_nanos()).unwrap())
            .unwrap();
    }
    Duration::from_nanos(histogram.value_at_quantile(at))
}

fn line(name: &str, n: usize, took: Duration, times: &[Duration]) {
    let mean = total(times).as_micros() / times.len().max(1) as u128;
    println!(
        "{name:<34} {:>10} {mean:>10} {:>10} {:>10}",
        rate(n, took),
        quantile(times, 0.5).as_micros(),
        quantile(times, 0.99).as_micros()
    );
}

/// What a process had written to disk so far.
fn written(process: &Child) -> u64 {
    let told = fs::read_to_string(format!("/proc/{}/io", process.id())).unwrap();
    let line = told
        .lines()
        .find_map(|line| line.strip_prefix("write_bytes: "));
    line.unwrap().parse().unwrap()
}

/// Appends and syncs as a log with nothing else to do would.
fn bare(folder: &Path, n: usize, bytes: usize) -> Vec<Duration> {
    let path = folder.join("bare");
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .unwrap();
    let body: Vec<u8> = (0..=250).cycle().take(bytes).collect();
    (0..n)
        .map(|_| {
            let began = Instant::now();
            file.write_all(&body).unwrap();
            file.sync_data().unwrap();
            began.elapsed()
        })
        .collect()
}

/// Sends all calls over some connections while one more asks for pages; the times of both.
fn load(server: &Server, key: &str, calls: &[String]) -> (Vec<Duration>, Vec<Duration>) {
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let ranking = scope.spawn(|| pages(&server.address, key, &is_over, usize::MAX));
        let times = send(&server.address, key, calls);
        is_over.store(true, Ordering::Relaxed);
        (times, ranking.join().unwrap())
    })
}

fn send(address: &str, key: &str, calls: &[String]) -> Vec<Duration> {
    let next = AtomicUsize::new(0);
    let own = || {
        let mut connection = Connection::new(address, key);
        let mut times = Vec::new();
        while let Some(body) = calls.get(next.fetch_add(1, Ordering::Relaxed)) {
            let began = Instant::now();
            let (status, told) = connection.call("POST", "/v1/events", body);
            times.push(began.elapsed());
            let told: Value = serde_json::from_str(&told).unwrap();
            assert_eq!((status, &told["accepted"]), (200, &json!(EVENTS)), "{told}");
        }
        times
    };
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..CONNECTIONS).map(|_| scope.spawn(own)).collect();
        senders
            .into_iter()
            .flat_map(|own| own.join().unwrap())
            .collect()
    })
}

fn pages(address: &str, key: &str, is_over: &AtomicBool, n: usize) -> Vec<Duration> {
    let mut connection = Connection::new(address, key);
    let mut times = Vec::new();
    while times.len() < n && !is_over.load(Ordering::Relaxed) {
        let number = times.len() / 3;
        let body = format!("{{\"session_key\":\"p-{n}-{number}\",\"limit\":24}}");
        let began = Instant::now();
        let (status, told) = connection.call("POST", "/v1/markets/se/rank", &body);
        times.push(began.elapsed());
        assert_eq!(status, 200, "{told}");
    }
    times
}

/// The n-th call: 200 sessions of its own.
fn call(n: usize) -> String {
    let mut body = "{\"events\":[".to_owned();
    for at in 0..EVENTS {
        let session = n * EVENTS / EVENTS_OF_SESSION + at / EVENTS_OF_SESSION;
        let product = (n * 7_919 + at * 104_729) % PRODUCTS;
        let (kind, more) = match at % 20 {
            0..14 => ("click", format!("\"variant\":\"v{product:04}\"")),
            14..18 => ("view", format!("\"variant\":\"v{product:04}\"")),
            18 => (
                "add_to_cart",
                format!("\"variant\":\"v{product:04}\",\"quantity\":1"),
            ),
            _ => (
                "purchase",
                format!(
                    "\"order_id\":\"o-{n}-{at}\",\"currency\":\"SEK\",\"lines\":[{{\"variant\":\
                     \"v{product:04}\",\"quantity\":2,\"line_paid\":\"398.00\",\"unit_cost\":\"90.00\"}},\
                     {{\"variant\":\"v{:04}\",\"quantity\":1,\"line_paid\":\"99.90\"}}]",
                    product / 2
                ),
            ),
        };
        let comma = if at == 0 { "" } else { "," };
        write!(
            body,
            "{comma}{{\"id\":\"e-{at}\",\"type\":\"{kind}\",\"session_key\":\"s-{session}\",\
             \"market\":\"se\",{more}}}"
        )
        .unwrap();
    }
    body + "]}"
}

struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(data: &Path) -> Self {
        let process = Command::new(env!("CARGO_BIN_EXE_endcap"))
            .args(["serve", "--listen", "127.0.0.1:0", "--data"])
            .arg(data)
            .current_dir(data.parent().unwrap())
            .env("ENDCAP_LIMITS__EVENTS_PER_S", "100000")
            .env("ENDCAP_LIMITS__EVENTS_BURST", "100000")
            .env("ENDCAP_LIMITS__RANK_PER_S", "100000")
            .env("ENDCAP_LIMITS__RANK_BURST", "100000")
            .env("ENDCAP_LIMITS__WRITES_BURST", "1000")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut own = Self {
            process,
            address: String::new(),
        };
        let mut lines = BufReader::new(own.process.stdout.take().unwrap()).lines();
        let line = lines.find(|line| line.as_ref().unwrap().contains("http://"));
        let line = line.unwrap().unwrap();
        std::thread::spawn(move || lines.for_each(drop));
        let address = line.split("http://").nth(1).unwrap();
        let address = address.split_whitespace().next().unwrap();
        address.clone_into(&mut own.address);
        loop {
            let (status, _) = Connection::new(&own.address, "").call("GET", "/health/ready", "");
            if status == 200 {
                return own;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Goods and promotions; a key that may do everything.
    fn fill(&mut self, data: &Path) -> String {
        let first = fs::read_to_string(data.join("first-operator-key")).unwrap();
        let mut connection = Connection::new(&self.address, first.trim());
        let wished = json!({ "name": "bench", "roles": ["operator"], "markets": "*" });
        let (_, made) = connection.call("POST", "/v1/keys", &wished.to_string());
        let made: Value = serde_json::from_str(&made).unwrap();
        let key = made["key"].as_str().unwrap().to_owned();
        let mut connection = Connection::new(&self.address, &key);
        let mut made = |path: &str, body: &str| {
            let (status, told) = connection.call("POST", path, body);
            assert!(status < 300, "{told}");
        };
        let market = json!({ "market": "se", "name": "Sweden", "currency": "SEK",
            "time_zone": "Europe/Stockholm" });
        made("/v1/markets", &market.to_string());
        let feed: Vec<String> = (0..PRODUCTS)
            .map(|n| {
                let score = PRODUCTS - n;
                format!(
                    "{{\"op\":\"replace\",\"product\":\"p{n:04}\",\"variants\":{{\"v{n:04}\":\
                     {{\"list_price\":\"199.00\",\"score\":\"{score}\"}}}}}}\n"
                )
            })
            .collect();
        made(
            "/v1/markets/se/imports?kind=catalogue&mode=full&format=ndjson",
            &feed.concat(),
        );
        for number in 0..PROMOTIONS {
            let held: Vec<String> = (0..HELD)
                .map(|at| format!("p{:04}", (number * HELD + at) * 37 % PRODUCTS))
                .collect();
            let level = ["low", "medium", "high"][number % 3];
            let promotion = json!({ "kind": "promotion", "name": format!("n {number}"),
                "level": level, "markets": ["se"],
                "start": "2020-01-01", "end": "2099-01-01",
                "measurement": { "measured": number % 2 == 0 },
                "selection": { "handpicked": held } });
            made("/v1/promotions", &promotion.to_string());
        }
        key
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One connection that stays open.
struct Connection {
    stream: TcpStream,
    key: String,
    buffer: Vec<u8>,
}

impl Connection {
    fn new(address: &str, key: &str) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            key: key.to_owned(),
            buffer: Vec::new(),
        }
    }

    fn call(&mut self, method: &str, path: &str, body: &str) -> (u16, String) {
        let media = if path.contains("ndjson") {
            "application/x-ndjson"
        } else {
            "application/json"
        };
        let key = match self.key.as_str() {
            "" => String::new(),
            key => format!("authorization: Bearer {key}\r\n"),
        };
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: bench\r\n{key}content-type: {media}\r\n\
             content-length: {}\r\n\r\n",
            body.len()
        );
        self.stream.write_all((head + body).as_bytes()).unwrap();
        self.buffer.clear();
        let mut piece = [0; 16 << 10];
        loop {
            let n = self.stream.read(&mut piece).unwrap();
            assert!(0 < n, "the server hung up");
            self.buffer.extend_from_slice(&piece[..n]);
            let Some(end) = self.buffer.windows(4).position(|own| own == b"\r\n\r\n") else {
                continue;
            };
            let head = String::from_utf8_lossy(&self.buffer[..end]).to_ascii_lowercase();
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |text| text.trim().parse().unwrap());
            if self.buffer.len() < end + 4 + length {
                continue;
            }
            let status = head.split(' ').nth(1).unwrap().parse().unwrap();
            let body = String::from_utf8_lossy(&self.buffer[end + 4..]).into_owned();
            return (status, body);
        }
    }
}
