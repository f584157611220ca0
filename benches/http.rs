//! What the HTTP layer costs: CPU of a server process per request, a canned answer of the same size
//! against ranked pages, over the real accept loop and shell.
//!
//! The server is this same program, started again as a child with a market of 100,000 variants
//! (`ENDCAP_BENCH_VARIANTS`); its user and system time is read from `/proc` before and after each
//! round, so the client's share does not count. Rounds alternate between the endpoints, and the
//! median of the rounds is printed. A word behind `--` picks the endpoints whose names hold it.

#![expect(clippy::unwrap_used, reason = "a bench ends at the first surprise")]
#![expect(clippy::print_stdout, reason = "a bench prints figures")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::routing::get;
use endcap::access::draft::{KeyDraft, ScopeDraft};
use endcap::access::key::KeyRecord;
use endcap::catalogue::market::{Market, MarketDraft};
use endcap::domain::id::MarketId;
use endcap::domain::time::Timestamp;
use endcap::engine::clock::Clock;
use endcap::engine::commit::{Intent, StoredAnswer, Written};
use endcap::engine::entropy::Entropy;
use endcap::engine::imports::{ImportOrder, Mode};
use endcap::engine::promotions::PromotionView;
use endcap::engine::start::{Engine, Settings};
use endcap::feed::{Format, Kind};
use endcap::http::gate::Route;
use endcap::http::shell::{Parts, Shell};
use endcap::http::stop::Stop;
use endcap::promotion::draft::PromotionDraft;
use endcap::promotion::epoch::MeasurementDraft;
use endcap::selection::definition::SelectionDraft;
use endcap::store::StoreId;
use endcap::store::memory;

const AS_SERVER: &str = "ENDCAP_BENCH_SERVER";
const N_CONNECTIONS: usize = 4;
const N_REQUESTS: usize = 20_000;
const N_ROUNDS: usize = 5;

const N_KEYS: usize = 64;

/// A body of the size of a ranked page.
const CANNED_BYTES: usize = 8_670;

fn main() {
    if std::env::var_os(AS_SERVER).is_none() {
        return measure();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build();
    runtime.unwrap().block_on(serve());
}

fn text(text: &str) -> Option<String> {
    text.parse().ok()
}

fn answered() -> StoredAnswer {
    StoredAnswer {
        status: 200,
        location: None,
        body: None,
    }
}

/// Four variants a product, 200 brands, 24 colours, falling scores.
fn feed(n_variants: u32) -> String {
    let mut feed = String::new();
    for product in 0..n_variants / 4 {
        let brand = product * 7_919 % 200;
        let mut variants = String::new();
        for place in 0..4 {
            let n = product * 4 + place;
            let score = (n_variants - n) * 10 + n * 31 % 7;
            let colour = n * 104_729 % 24;
            let comma = if place == 0 { "" } else { "," };
            let _ = write!(
                variants,
                r#"{comma}"v{n}":{{"list_price":"{}.90","stock":{},"score":"{score}","attributes":{{"color":"c{colour}"}}}}"#,
                10 + n % 400,
                n % 10,
            );
        }
        let _ = writeln!(
            feed,
            r#"{{"op":"replace","product":"p{product}","attributes":{{"brand":"b{brand}","title":"Product {product}"}},"variants":{{{variants}}}}}"#
        );
    }
    feed
}

async fn engine(n_variants: u32) -> (Engine, Vec<String>) {
    let now = Timestamp::parse("2027-03-09T12:00:00Z").unwrap();
    let (clock, stores) = (
        Clock::standing_at(now),
        memory::open(StoreId([5; 16])).unwrap(),
    );
    let (settings, entropy) = (Settings::default(), Entropy::seeded(5));
    let engine = Engine::start(settings, clock, entropy, stores, Arc::default())
        .await
        .unwrap();
    let intent = Intent::system();
    let draft = MarketDraft {
        market: text("se"),
        name: text("Sweden"),
        currency: text("SEK"),
        time_zone: text("Europe/Stockholm"),
        ..MarketDraft::default()
    };
    engine
        .create_market(&intent, &draft, &|_: &Market| answered())
        .await
        .unwrap();
    let order = ImportOrder {
        market: MarketId::parse("se").unwrap(),
        kind: Kind::Catalogue,
        mode: Mode::Full,
        format: Format::Ndjson,
        encoding: None,
        mapping: None,
        errors_max: 0,
        force: false,
    };
    let job = engine.begin_import(&intent, order, |_| answered()).unwrap();
    let goods = feed(n_variants);
    tokio::task::spawn_blocking(move || job.run(goods.as_bytes()))
        .await
        .unwrap()
        .unwrap();
    promote(&engine, n_variants).await;
    let keys = make_keys(&engine).await;
    (engine, keys)
}

/// A hundred promotions of fifty products, a fifth of them demotions, half of them measured.
async fn promote(engine: &Engine, n_variants: u32) {
    let intent = Intent::system();
    for n in 0..100_u32 {
        let is_demotion = n % 5 == 4;
        let level = ["high", "medium", "low"][n as usize % 3];
        let products = (0..50).map(|k| format!("p{}", (n * 977 + k * 463) % (n_variants / 4)));
        let draft = PromotionDraft {
            kind: text(if is_demotion { "demotion" } else { "promotion" }),
            level: text(level).filter(|_| !is_demotion),
            name: Some(format!("promotion {n}")),
            markets: Some(vec!["se".to_owned()]),
            start: text("2027-03-01"),
            end: text("2027-04-01"),
            selection: SelectionDraft {
                handpicked: products.collect(),
                ..SelectionDraft::default()
            },
            measurement: Some(MeasurementDraft {
                measured: Some(n % 2 == 0),
                ..MeasurementDraft::default()
            }),
            ..PromotionDraft::default()
        };
        let render = |_: &PromotionView| answered();
        engine
            .create_promotion(&intent, draft, &render)
            .await
            .unwrap();
    }
}

/// So many that no key meets its rate limit.
async fn make_keys(engine: &Engine) -> Vec<String> {
    let intent = Intent::system();
    let mut keys = Vec::new();
    for n in 0..N_KEYS {
        let draft = KeyDraft {
            name: Some(format!("key {n}")),
            roles: Some(vec!["storefront-server".to_owned()]),
            markets: Some(ScopeDraft::Text("*".to_owned())),
            ..KeyDraft::default()
        };
        let made = engine
            .create_key(&intent, draft, &|_: &KeyRecord| answered())
            .await
            .unwrap();
        let Written::Now(made, _) = made else {
            panic!("it is new")
        };
        keys.push(made.secret.unwrap().expose().to_owned());
    }
    keys
}

async fn serve() {
    let n_variants = std::env::var("ENDCAP_BENCH_VARIANTS").ok();
    let n_variants = n_variants.map_or(100_000, |text| text.parse().unwrap());
    let (engine, keys) = engine(n_variants).await;
    let canned = Router::new()
        .route("/canned", get(|| async { "x".repeat(CANNED_BYTES) }))
        .route_layer(Route::rank());
    let settings = endcap::http::Settings::of_cores(1);
    let routes = endcap::api::routes(engine.clone(), Stop::new(), &settings).merge(canned);
    let parts = Parts {
        house: Arc::new(engine.clone()),
        metrics: Arc::clone(engine.metrics()),
        settings,
        process: 1,
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("{} {}", listener.local_addr().unwrap(), keys.join(" "));
    let stop = Stop::new();
    let ending = stop.clone();
    // The parent's end closes standard input.
    std::thread::spawn(move || {
        let _ = std::io::stdin().read(&mut [0]);
        ending.now();
    });
    endcap::http::accept::serve(listener, Arc::new(Shell::new(routes, parts)), stop).await;
    engine.stop();
}

/// Milliseconds of user and system time of a process; a tick of the kernel is 10 ms.
fn cpu_ms(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    ticks * 10.0
}

/// Sends `n` requests over one connection, the next one after each answer.
fn drive(address: &str, keys: &[String], n: usize, request: &Make) -> usize {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut buffer = vec![0; 64 << 10];
    let mut n_bytes = 0;
    for place in 0..n {
        let key = &keys[place % keys.len()];
        let head = request(place).replace("KEY", key);
        stream.write_all(head.as_bytes()).unwrap();
        let mut have = 0;
        loop {
            let read = stream.read(&mut buffer[have..]).unwrap();
            assert!(0 < read, "the server hung up");
            have += read;
            let Some(end) = buffer[..have]
                .windows(4)
                .position(|part| part == b"\r\n\r\n")
            else {
                continue;
            };
            let head = std::str::from_utf8(&buffer[..end]).unwrap();
            assert!(head.starts_with("HTTP/1.1 200"), "{head}");
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.unwrap().parse().unwrap();
            if end + 4 + length <= have {
                n_bytes += length;
                break;
            }
        }
    }
    n_bytes / n
}

fn get_of(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer KEY\r\n\r\n")
}

fn post_of(body: &str) -> String {
    let length = body.len();
    format!(
        "POST /v1/markets/se/rank HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer KEY\r\n\
         content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    )
}

/// What is asked of the server, by the number of the request.
type Make = Box<dyn Fn(usize) -> String + Sync>;

fn endpoints() -> [(&'static str, Make); 4] {
    let filtered = |n: usize| {
        let (brand, colour) = (n * 31 % 200, n % 24);
        let other = (colour + 7) % 24;
        get_of(&format!(
            "/v1/markets/se/rank?limit=24&session_key=s-{n}&f.brand=b{brand}&f.color=c{colour}&f.color=c{other}"
        ))
    };
    let root = |n| get_of(&format!("/v1/markets/se/rank?limit=24&session_key=s-{n}"));
    let posted = |n| post_of(&format!(r#"{{"limit":24,"session_key":"s-{n}"}}"#));
    [
        ("canned answer", Box::new(|_| get_of("/canned"))),
        ("rank root, GET", Box::new(root)),
        ("rank root, POST", Box::new(posted)),
        ("rank filtered, GET", Box::new(filtered)),
    ]
}

/// CPU of the server a request in microseconds, requests a second, and bytes of a body.
fn round(pid: u32, address: &str, keys: &[String], make: &Make) -> (f64, f64, usize) {
    let (before, began) = (cpu_ms(pid), Instant::now());
    let each = N_REQUESTS / N_CONNECTIONS;
    let n_bytes = std::thread::scope(|scope| {
        let drive_one = || drive(address, keys, each, make);
        let drivers: Vec<_> = (0..N_CONNECTIONS).map(|_| scope.spawn(drive_one)).collect();
        drivers
            .into_iter()
            .map(|driver| driver.join().unwrap())
            .max()
    });
    let cost_us = (cpu_ms(pid) - before) * 1_000.0 / N_REQUESTS as f64;
    (
        cost_us,
        N_REQUESTS as f64 / began.elapsed().as_secs_f64(),
        n_bytes.unwrap(),
    )
}

fn measure() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .env(AS_SERVER, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let mut words = line.split_whitespace().map(str::to_owned);
    let address = words.next().expect("the server says where it listens");
    let keys: Vec<String> = words.collect();
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let is_wanted = |name: &str| wanted.as_ref().is_none_or(|word| name.contains(&**word));
    let endpoints: Vec<_> = endpoints()
        .into_iter()
        .filter(|(name, _)| is_wanted(name))
        .collect();
    let mut rounds = vec![Vec::new(); endpoints.len()];
    for number in 0..=N_ROUNDS {
        for ((_, make), rounds) in endpoints.iter().zip(&mut rounds) {
            let measured = round(child.id(), &address, &keys, make);
            // The first round warms up.
            if 0 < number {
                rounds.push(measured);
            }
        }
    }
    drop(child.stdin.take());
    child.wait().unwrap();
    let median = |rounds: &mut Vec<(f64, f64, usize)>| {
        rounds.sort_by(|left, right| left.0.total_cmp(&right.0));
        rounds[rounds.len() / 2]
    };
    let (canned, ..) = median(&mut rounds[0]);
    println!("server CPU per request, {N_REQUESTS} requests a round, median of {N_ROUNDS} rounds");
    for ((name, _), rounds) in endpoints.iter().zip(&mut rounds) {
        let (cost_us, rate, bytes) = median(rounds);
        let ratio = canned / cost_us;
        println!(
            "{name:20} {cost_us:7.1} us  canned/this {ratio:5.2}  {rate:8.0}/s  {bytes} bytes"
        );
    }
}
