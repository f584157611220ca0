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

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use crate::rig::{Client, Dice, Server, seed};

const N_WRITERS: u64 = 12;
pub(crate) const N_PRODUCTS: u64 = 240;

/// What a writer did: the newest number sent and acknowledged.
#[derive(Clone, Debug, Default)]
pub(crate) struct History {
    pub(crate) promotion: String,
    pub(crate) sent: u64,
    pub(crate) acknowledged: u64,
    pub(crate) etag: String,
    /// The write that was sent and not answered.
    open: Option<(String, String, Value)>,
}

pub(crate) struct Round {
    pub(crate) histories: Vec<History>,
    /// Items of a rank answer by the revision it named.
    pub(crate) ranks: BTreeMap<u64, String>,
    revision: u64,
}

pub(crate) fn edit(writer: u64, n: u64) -> Value {
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
pub(crate) fn write_on(client: &Client, writer: u64, history: &mut History, seed: u64) {
    write_each(client, writer, history, seed, edit);
}

/// Writes what `edit` makes of writer and number until the server is gone.
pub(crate) fn write_each(
    client: &Client,
    writer: u64,
    history: &mut History,
    seed: u64,
    edit: fn(u64, u64) -> Value,
) {
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

pub(crate) fn rank_on(client: &Client, stop: &AtomicBool, ranks: &Mutex<BTreeMap<u64, String>>) {
    while !stop.load(Ordering::Relaxed) {
        let Some((revision, items)) = rank(client) else {
            continue;
        };
        let mut ranks = ranks.lock().unwrap();
        let known = ranks.entry(revision).or_insert_with(|| items.clone());
        assert_eq!(*known, items, "two answers of revision {revision}");
    }
}

pub(crate) fn rank(client: &Client) -> Option<(u64, String)> {
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
pub(crate) fn set_up(data: &Path) -> (String, Round) {
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
pub(crate) fn check(data: &Path, key: &str, round: &mut Round) {
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
