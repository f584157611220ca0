//! Processes killed over HTTP: what was acknowledged is there, what was not is whole or absent.
//!
//! The release binary serves a data directory; twelve writers edit a promotion each, every write
//! with a number that grows in two fields and an idempotency key of its own, while a reader ranks.
//! SIGKILL comes at a seeded moment, in a quarter of the rounds in the middle of recovery.
//!
//! A kill keeps the page cache, so this alone would not notice a store that never syncs: the last
//! test counts the syncs that the process asks for.
//!
//! `ENDCAP_KILLS=n` makes n rounds (100), `ENDCAP_SEED=n` another order of events.
#![expect(clippy::unwrap_used, reason = "a test crate")]
#![expect(clippy::print_stdout, reason = "a run says its seed and counts")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

const N_WRITERS: u64 = 12;
const N_PRODUCTS: u64 = 240;
const START_WITHIN: Duration = Duration::from_mins(1);
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

fn seed() -> u64 {
    std::env::var("ENDCAP_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(1)
}

/// `SplitMix64` (Steele, Lea, Flood 2014): enough to choose moments.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

fn binary() -> PathBuf {
    let named = std::env::var_os("ENDCAP_KILL_BIN").map(PathBuf::from);
    let built = || PathBuf::from(env!("CARGO_BIN_EXE_endcap"));
    named.filter(|path| path.exists()).unwrap_or_else(built)
}

/// A served data directory.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    /// Starts it and does not wait.
    fn spawn(data: &Path, wrapper: &[&str]) -> Child {
        let mut words: Vec<String> = wrapper.iter().map(ToString::to_string).collect();
        words.push(binary().display().to_string());
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--data"];
        words.extend(arguments.map(str::to_owned));
        words.push(data.display().to_string());
        Command::new(&words[0])
            .args(&words[1..])
            .current_dir(data.parent().unwrap())
            .env_remove("ENDCAP_SEED")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap()
    }

    /// Starts it and waits until it can rank.
    fn start(data: &Path) -> Self {
        Self::of(Self::spawn(data, &[]))
    }

    fn of(mut process: Child) -> Self {
        let began = Instant::now();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let line = loop {
            match lines.next() {
                Some(line) => {
                    let line = line.unwrap();
                    if line.contains("http://") {
                        break line;
                    }
                }
                None => panic!("the server ended before it listened: {:?}", process.wait()),
            }
            assert!(began.elapsed() < START_WITHIN, "not listening in time");
        };
        let address = line.split("http://").nth(1).unwrap();
        let address = address.split_whitespace().next().unwrap().to_owned();
        // Whatever else it prints is read and dropped, so that it never waits for a reader.
        std::thread::spawn(move || lines.for_each(drop));
        let server = Self { process, address };
        loop {
            let ready = Client::new(&server.address, None).call("GET", "/health/ready", None, &[]);
            if ready.is_some_and(|answer| answer.status == 200) {
                return server;
            }
            assert!(began.elapsed() < START_WITHIN, "not ready in time");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// The served process: the child where another program traces it.
    fn pid(&self) -> u32 {
        let own = self.process.id();
        let children = std::fs::read_to_string(format!("/proc/{own}/task/{own}/children"));
        let child = children
            .ok()
            .and_then(|pids| pids.split_whitespace().next()?.parse().ok());
        child.unwrap_or(own)
    }

    /// SIGTERM; the exit code.
    fn terminate(mut self, times: usize) -> Option<i32> {
        let pid = self.pid().to_string();
        for _ in 0..times {
            Command::new("kill").args(["-TERM", &pid]).status().unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
        let began = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return status.code();
            }
            if Duration::from_secs(30) < began.elapsed() {
                self.process.kill().unwrap();
                panic!("it did not stop within its grace");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

struct Answer {
    status: u16,
    etag: String,
    revision: u64,
    replayed: bool,
    body: Value,
}

/// One connection a call; `None` if the whole answer did not come.
struct Client {
    address: String,
    key: Option<String>,
}

impl Client {
    fn new(address: &str, key: Option<&str>) -> Self {
        Self {
            address: address.to_owned(),
            key: key.map(str::to_owned),
        }
    }

    fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Option<Answer> {
        let text = body.map(Value::to_string);
        self.send(
            method,
            path,
            ("application/json", text.as_deref().unwrap_or("")),
            headers,
        )
    }

    fn send(
        &self,
        method: &str,
        path: &str,
        (media, body): (&str, &str),
        headers: &[(&str, &str)],
    ) -> Option<Answer> {
        let mut stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(ANSWER_WITHIN)).ok()?;
        let mut lines = vec![
            format!("{method} {path} HTTP/1.1"),
            format!("host: {}", self.address),
            "connection: close".to_owned(),
        ];
        let key = self.key.iter();
        lines.extend(key.map(|key| format!("authorization: Bearer {key}")));
        if !body.is_empty() {
            lines.push(format!("content-type: {media}"));
            lines.push(format!("content-length: {}", body.len()));
        }
        let named = headers.iter();
        lines.extend(named.map(|(name, value)| format!("{name}: {value}")));
        let head = lines.join("\r\n");
        stream
            .write_all(format!("{head}\r\n\r\n{body}").as_bytes())
            .ok()?;
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).ok()?;
        read_answer(&bytes)
    }
}

fn read_answer(bytes: &[u8]) -> Option<Answer> {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = head.lines();
    let status: u16 = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let header = |name: &str| headers.get(name).cloned().unwrap_or_default();
    let body = &bytes[end + 4..];
    let length: usize = header("content-length").parse().ok()?;
    if body.len() < length {
        return None;
    }
    Some(Answer {
        status,
        etag: header("etag"),
        revision: header("x-endcap-revision").parse().unwrap_or(0),
        replayed: header("idempotency-replayed") == "true",
        body: serde_json::from_slice(&body[..length]).unwrap_or(Value::Null),
    })
}

/// What a writer did: the newest number sent and acknowledged.
#[derive(Clone, Debug, Default)]
struct History {
    promotion: String,
    sent: u64,
    acknowledged: u64,
    etag: String,
    /// The write that was sent and not answered.
    open: Option<(String, String, Value)>,
}

struct Round {
    histories: Vec<History>,
    /// Items of a rank answer by the revision it named.
    ranks: BTreeMap<u64, String>,
    revision: u64,
}

fn edit(writer: u64, n: u64) -> Value {
    json!({
        "name": format!("writer {writer} at {n}"),
        "note": n.to_string(),
        "selection": { "handpicked": [format!("p{:03}", (writer * 17 + n) % N_PRODUCTS)] },
    })
}

fn number_of(promotion: &Value) -> (u64, u64) {
    let name = promotion["name"].as_str().unwrap();
    let name = name.rsplit(' ').next().unwrap().parse().unwrap();
    (name, promotion["note"].as_str().unwrap().parse().unwrap())
}

/// Writes until the server is gone.
fn write_on(client: &Client, writer: u64, history: &mut History, seed: u64) {
    loop {
        let n = history.sent + 1;
        let (body, etag) = (edit(writer, n), history.etag.clone());
        let key = format!("w{writer}-{n}-{seed}");
        history.sent = n;
        history.open = Some((key.clone(), etag.clone(), body.clone()));
        let path = format!("/v1/promotions/{}", history.promotion);
        let headers = [
            ("if-match", etag.as_str()),
            ("idempotency-key", key.as_str()),
        ];
        let Some(answer) = client.call("PATCH", &path, Some(&body), &headers) else {
            return;
        };
        if answer.status == 429 {
            // Refused before any work: the next number comes a little later.
            history.open = None;
            std::thread::sleep(Duration::from_millis(20));
            continue;
        }
        if answer.status != 200 {
            // Stopping servers may refuse; the write stays open and is repeated.
            assert!(
                [503, 507].contains(&answer.status),
                "{} {}",
                answer.status,
                answer.body
            );
            return;
        }
        history.acknowledged = n;
        history.etag = answer.etag;
        history.open = None;
    }
}

fn rank_on(client: &Client, stop: &AtomicBool, ranks: &Mutex<BTreeMap<u64, String>>) {
    while !stop.load(Ordering::Relaxed) {
        let Some((revision, items)) = rank(client) else {
            continue;
        };
        let mut ranks = ranks.lock().unwrap();
        let known = ranks.entry(revision).or_insert_with(|| items.clone());
        assert_eq!(*known, items, "two answers of revision {revision}");
    }
}

fn rank(client: &Client) -> Option<(u64, String)> {
    let asked = json!({ "limit": 60 });
    let answer = client.call("POST", "/v1/markets/se/rank", Some(&asked), &[])?;
    if answer.status != 200 {
        return None;
    }
    let items = answer.body["items"].as_array()?;
    let keys: Vec<&str> = items
        .iter()
        .filter_map(|item| item["variant"].as_str())
        .collect();
    Some((answer.body["snapshot"].as_u64()?, keys.join(" ")))
}

/// Fresh directory with a market, goods, a key and a promotion for each writer.
fn set_up(data: &Path) -> (String, Round) {
    let server = Server::start(data);
    let first = std::fs::read_to_string(data.join("first-operator-key")).unwrap();
    let client = Client::new(&server.address, Some(first.trim()));
    let wished = json!({ "name": "kill", "roles": ["operator"], "markets": "*" });
    let made = client.call("POST", "/v1/keys", Some(&wished), &[]).unwrap();
    assert_eq!(made.status, 201, "{}", made.body);
    let key = made.body["key"].as_str().unwrap().to_owned();
    let client = Client::new(&server.address, Some(&key));
    let market = json!({
        "market": "se", "name": "Sweden", "currency": "SEK", "time_zone": "Europe/Stockholm",
    });
    assert_eq!(
        client
            .call("POST", "/v1/markets", Some(&market), &[])
            .unwrap()
            .status,
        201
    );
    let feed: String = (0..N_PRODUCTS)
        .map(|n| {
            let variant = format!(
                r#""v{n:03}":{{"list_price":"1.00","score":"{}"}}"#,
                1_000 - n
            );
            format!(r#"{{"op":"replace","product":"p{n:03}","variants":{{{variant}}}}}"#) + "\n"
        })
        .collect();
    let path = "/v1/markets/se/imports?kind=catalogue&mode=full&format=ndjson";
    let fed = client
        .send("POST", path, ("application/x-ndjson", &feed), &[])
        .unwrap();
    assert_eq!(fed.status, 200, "{}", fed.body);
    let histories = (0..N_WRITERS)
        .map(|writer| {
            let mut promotion = edit(writer, 0);
            let levels = ["high", "medium", "low"];
            let more = json!({
                "kind": "promotion", "level": levels[usize::try_from(writer % 3).unwrap()],
                "markets": ["se"], "start": "2020-01-01", "end": "2099-01-01",
            });
            promotion
                .as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            let made = client
                .call("POST", "/v1/promotions", Some(&promotion), &[])
                .unwrap();
            assert_eq!(made.status, 201, "{}", made.body);
            let promotion = made.body["id"].as_str().unwrap().to_owned();
            History {
                promotion,
                etag: made.etag,
                ..History::default()
            }
        })
        .collect();
    assert_eq!(server.terminate(1), Some(0));
    (
        key,
        Round {
            histories,
            ranks: BTreeMap::new(),
            revision: 0,
        },
    )
}

/// Load until a kill `after` it is up.
fn load_and_kill(data: &Path, key: &str, round: &mut Round, after: Duration, seed: u64) {
    let server = Server::start(data);
    let address = server.address.clone();
    let ranks = Arc::new(Mutex::new(std::mem::take(&mut round.ranks)));
    let stop = Arc::new(AtomicBool::new(false));
    std::thread::scope(|scope| {
        for (writer, history) in (0..).zip(&mut round.histories) {
            let client = Client::new(&address, Some(key));
            scope.spawn(move || write_on(&client, writer, history, seed));
        }
        let client = Client::new(&address, Some(key));
        let (stop_ranks, seen) = (stop.clone(), ranks.clone());
        scope.spawn(move || rank_on(&client, &stop_ranks, &seen));
        std::thread::sleep(after);
        server.kill();
        stop.store(true, Ordering::Relaxed);
    });
    round.ranks = std::mem::take(&mut *ranks.lock().unwrap());
}

/// After a restart: nothing acknowledged is lost, nothing is torn, repeating is safe.
fn check(data: &Path, key: &str, round: &mut Round) {
    let server = Server::start(data);
    let client = Client::new(&server.address, Some(key));
    let list = client
        .call("GET", "/v1/promotions?limit=100", None, &[])
        .unwrap();
    assert_eq!(list.status, 200, "{}", list.body);
    assert!(round.revision <= list.revision, "revisions never fall");
    round.revision = list.revision;
    let listed: BTreeMap<String, (u64, u64)> = list.body["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["id"].as_str().unwrap().to_owned(), number_of(item)))
        .collect();
    let (revision, items) = rank(&client).unwrap();
    if let Some(known) = round.ranks.get(&revision) {
        assert_eq!(
            *known, items,
            "revision {revision} ranks otherwise after the restart"
        );
    }
    for history in &mut round.histories {
        let path = format!("/v1/promotions/{}", history.promotion);
        let stored = client.call("GET", &path, None, &[]).unwrap();
        let (name, note) = number_of(&stored.body);
        assert_eq!(name, note, "torn: {}", stored.body);
        assert_eq!(
            listed[&history.promotion],
            (name, note),
            "list and object differ"
        );
        assert!(
            history.acknowledged <= name,
            "lost: {history:?} but stored {name}"
        );
        assert!(
            name <= history.sent,
            "invented: {history:?} but stored {name}"
        );
        history.etag = stored.etag;
        if let Some((key, etag, body)) = history.open.take() {
            let headers = [
                ("if-match", etag.as_str()),
                ("idempotency-key", key.as_str()),
            ];
            let again = client.call("PATCH", &path, Some(&body), &headers).unwrap();
            assert_eq!(again.status, 200, "{history:?} {}", again.body);
            assert_eq!(
                again.replayed,
                name == history.sent,
                "{history:?} stored {name}"
            );
            assert_eq!(number_of(&again.body), (history.sent, history.sent));
            history.acknowledged = history.sent;
            history.etag = again.etag;
        }
    }
    server.kill();
}

#[test]
fn no_acknowledged_write_is_lost_in_kills() {
    let n_kills: u64 = match std::env::var("ENDCAP_KILLS") {
        Ok(text) => text.parse().unwrap(),
        Err(_) => 100,
    };
    let seed = seed();
    let mut dice = Dice(seed);
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (key, mut round) = set_up(&data);
    let (mut n_done, mut n_in_start) = (0, 0);
    while n_done < n_kills {
        if dice.below(4) == 0 {
            let mut process = Server::spawn(&data, &[]);
            std::thread::sleep(Duration::from_millis(dice.below(250)));
            process.kill().unwrap();
            process.wait().unwrap();
            n_in_start += 1;
        } else {
            let after = Duration::from_millis(30 + dice.below(1_470));
            load_and_kill(&data, &key, &mut round, after, seed);
        }
        // The check kills as well: it is a kill of an idle server.
        check(&data, &key, &mut round);
        n_done += 2;
    }
    let n_writes: u64 = round
        .histories
        .iter()
        .map(|history| history.acknowledged)
        .sum();
    println!(
        "{n_done} kills, {n_in_start} of them in start, {n_writes} writes, seed {seed}: none lost"
    );
    assert!(
        n_kills < 20 || n_writes > 100,
        "too few writes to mean anything: {n_writes}"
    );
}

#[test]
fn a_terminated_server_answers_what_it_took_and_ends_well() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (key, mut round) = set_up(&data);
    for times in [1, 1, 1, 1, 2] {
        let server = Server::start(&data);
        let address = server.address.clone();
        let code = std::thread::scope(|scope| {
            for (writer, history) in (0..).zip(&mut round.histories) {
                let client = Client::new(&address, Some(&key));
                scope.spawn(move || write_on(&client, writer, history, 7));
            }
            std::thread::sleep(Duration::from_millis(150));
            server.terminate(times)
        });
        if times == 1 {
            assert_eq!(code, Some(0));
        }
        check(&data, &key, &mut round);
    }
}

#[test]
fn every_write_is_synced_before_it_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (key, mut round) = set_up(&data);
    let counts = folder.path().join("counts");
    let output = counts.display().to_string();
    let wrapper = [
        "strace",
        "-f",
        "-c",
        "-e",
        "trace=fdatasync,fsync",
        "-o",
        &output,
    ];
    let traced = Server::of(Server::spawn(&data, &wrapper));
    let client = Client::new(&traced.address, Some(&key));
    let history = &mut round.histories[0];
    let mut n = 0;
    while n < 150 {
        let path = format!("/v1/promotions/{}", history.promotion);
        let headers = [("if-match", history.etag.as_str())];
        let answer = client
            .call("PATCH", &path, Some(&edit(0, n + 1)), &headers)
            .unwrap();
        if answer.status == 429 {
            // Faster than a key may write.
            std::thread::sleep(Duration::from_millis(50));
            continue;
        }
        assert_eq!(answer.status, 200, "{}", answer.body);
        history.etag = answer.etag;
        n += 1;
    }
    traced.terminate(1);
    let table = std::fs::read_to_string(&counts).unwrap();
    let calls = |line: &str| -> u64 {
        line.split_whitespace()
            .nth(3)
            .and_then(|text| text.parse().ok())
            .unwrap_or(0)
    };
    let syncs = table
        .lines()
        .filter(|line| line.ends_with("fdatasync") || line.ends_with("fsync"));
    let n_syncs: u64 = syncs.map(calls).sum();
    assert!(150 <= n_syncs, "{n_syncs} syncs for 150 writes\n{table}");
}
