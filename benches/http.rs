//! What the HTTP layer costs: CPU of a server process per request, a canned answer of the same size
//! against ranked pages, over the real accept loop and shell.
//!
//! The server is this same program, started again as a child with one worker thread and a market of
//! 100,000 variants (`ENDCAP_BENCH_VARIANTS`), 2,880 categories in four storeys, brands and colours
//! of which few carry most, and a hundred promotions, half of them measured. Mixed requests: 10 % the
//! whole market, the rest a category of any storey; half plain, a quarter with two colours, 15 % with
//! three brands, 10 % with a price range and in stock; 24 products a page, a session each.
//!
//! One client thread keeps 32 connections busy and never sleeps, so the server neither sleeps between
//! requests nor pays for waking somebody; its user and system time is read from `/proc` before and after each
//! round, so the client's share does not count. Rounds alternate between the endpoints, and the
//! median of the rounds is printed. A word behind `--` picks the endpoints whose names hold it.

#![expect(clippy::unwrap_used, reason = "a bench ends at the first surprise")]
#![expect(clippy::print_stdout, reason = "a bench prints figures")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

mod chance;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::routing::get;
use chance::Chance;
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
const N_CONNECTIONS: usize = 32;
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

/// Categories of each storey.
const STOREYS: [usize; 4] = [12, 96, 576, 2_880];

fn category(storey: usize, number: usize) -> String {
    format!("c{storey}-{number}")
}

fn categories(feed: &mut String) {
    for (storey, n) in STOREYS.into_iter().enumerate() {
        for number in 0..n {
            let parents = match storey.checked_sub(1) {
                Some(above) => format!(r#"["{}"]"#, category(above, number * STOREYS[above] / n)),
                None => "[]".to_owned(),
            };
            let _ = writeln!(
                feed,
                r#"{{"op":"replace","category":"{}","parents":{parents}}}"#,
                category(storey, number)
            );
        }
    }
}

/// Four variants a product, falling scores.
fn feed(n_variants: u32) -> String {
    let mut feed = String::new();
    categories(&mut feed);
    let mut chance = Chance(3);
    for product in 0..n_variants / 4 {
        let brand = chance.skewed(2_000);
        let leaf = category(3, chance.skewed(STOREYS[3]) * 7 % STOREYS[3]);
        let mut variants = String::new();
        for place in 0..4 {
            let n = product * 4 + place;
            let score = (n_variants - n) * 10 + n * 31 % 7;
            let colour = chance.skewed(24);
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
            r#"{{"op":"replace","product":"p{product}","categories":["{leaf}"],"attributes":{{"brand":"b{brand}","title":"Product {product}"}},"variants":{{{variants}}}}}"#
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

/// Sends requests over connections in turn, on each the next one after the answer; mean bytes of a
/// body.
fn drive(address: &str, requests: &[String]) -> usize {
    let connect = |_| {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream
    };
    let mut streams: Vec<TcpStream> = (0..N_CONNECTIONS).map(connect).collect();
    let mut buffer = vec![0; 64 << 10];
    let mut n_bytes = 0;
    for (place, request) in requests.iter().enumerate() {
        let stream = &mut streams[place % N_CONNECTIONS];
        if N_CONNECTIONS <= place {
            n_bytes += answer(stream, &mut buffer);
        }
        stream.write_all(request.as_bytes()).unwrap();
    }
    for stream in &mut streams {
        n_bytes += answer(stream, &mut buffer);
    }
    n_bytes / requests.len()
}

/// Reads one answer to its end; bytes of its body.
fn answer(stream: &mut TcpStream, buffer: &mut [u8]) -> usize {
    let mut have = 0;
    loop {
        match stream.read(&mut buffer[have..]) {
            Ok(read) => {
                assert!(0 < read, "the server hung up");
                have += read;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::hint::spin_loop();
                continue;
            }
            Err(error) => panic!("{error}"),
        }
        let mut parts = buffer[..have].windows(4);
        let Some(end) = parts.position(|part| part == b"\r\n\r\n") else {
            continue;
        };
        let head = std::str::from_utf8(&buffer[..end]).unwrap();
        let text = String::from_utf8_lossy(&buffer[..have]);
        assert!(head.starts_with("HTTP/1.1 200"), "{text}");
        let mut lines = head.lines();
        let length = lines.find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.unwrap().parse().unwrap();
        if end + 4 + length <= have {
            return length;
        }
    }
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

/// Where a page of mixed traffic is and what it asks for, in the spelling of a query.
fn mixed(n: usize) -> String {
    let mut chance = Chance(n as u64 * 977 + 5);
    chance.below(2);
    let mut query = String::new();
    if chance.below(10) != 0 {
        let storey = chance.below(4);
        let leaf = chance.skewed(STOREYS[3]) * 7 % STOREYS[3];
        let number = leaf * STOREYS[storey] / STOREYS[3];
        let _ = write!(query, "&selected_category={}", category(storey, number));
    }
    let mut any = |name: &str, sign: &str, n: usize, bound: usize| {
        for _ in 0..n {
            let _ = write!(query, "&f.{name}={sign}{}", chance.skewed(bound));
        }
    };
    match n % 20 {
        0..10 => {}
        10..15 => any("color", "c", 2, 24),
        15..18 => any("brand", "b", 3, 2_000),
        _ => {
            let from = 10 + n % 300;
            let _ = write!(
                query,
                "&f.price.min={from}&f.price.max={}&f.in_stock=true",
                from + 60
            );
        }
    }
    query
}

fn endpoints() -> [(&'static str, Make); 4] {
    let page = "/v1/markets/se/rank?limit=24&session_key=s-";
    [
        ("canned answer", Box::new(|_| get_of("/canned"))),
        (
            "rank root, GET",
            Box::new(move |n| get_of(&format!("{page}{n}"))),
        ),
        (
            "rank root, POST",
            Box::new(|n| post_of(&format!(r#"{{"limit":24,"session_key":"s-{n}"}}"#))),
        ),
        (
            "rank mixed, GET",
            Box::new(move |n| get_of(&format!("{page}{n}{}", mixed(n)))),
        ),
    ]
}

/// CPU of the server a request in microseconds, requests a second, and bytes of a body.
fn round(pid: u32, address: &str, keys: &[String], make: &Make) -> (f64, f64, usize) {
    let requests: Vec<String> = (0..N_REQUESTS)
        .map(|place| make(place).replace("KEY", &keys[place % keys.len()]))
        .collect();
    let (before, began) = (cpu_ms(pid), Instant::now());
    let n_bytes = drive(address, &requests);
    let cost_us = (cpu_ms(pid) - before) * 1_000.0 / N_REQUESTS as f64;
    (
        cost_us,
        N_REQUESTS as f64 / began.elapsed().as_secs_f64(),
        n_bytes,
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
