//! Processes killed while events come: what was answered counts once, and so does what is repeated.
//!
//! Senders repeat the call that a kill left unanswered, with the same ids, as shops are told to do.
//! At the end the figures of each promotion are those of all calls, each counted once; a last kill in
//! peace changes no byte of any figure.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::kills::{N_PRODUCTS, set_up};
use crate::rig::{Client, Dice, Server, seed};

const ROUNDS: u64 = 12;
const SENDERS: u64 = 6;

/// Of each call, all in one session.
const CLICKS: u64 = 20;
const ORDERS: u64 = 5;
const REFUNDS: u64 = 2;

/// What a sender did.
#[derive(Debug, Default)]
struct Sender {
    /// Calls made, and whether the last one waits for its answer.
    n_calls: u64,
    is_open: bool,
    /// Calls of which some part was known already.
    n_repeated: u64,
}

/// The events of one call; each session buys what the promotion of its sender holds.
fn call(sender: u64, n: u64) -> Value {
    let session = format!("s-{sender}-{n}");
    let variant = format!("v{:03}", sender * 17 % N_PRODUCTS);
    let event = |kind: &str, id: String, mut more: Value| {
        let own = json!({ "id": id, "type": kind, "session_key": session, "market": "se" });
        more.as_object_mut()
            .unwrap()
            .extend(own.as_object().unwrap().clone());
        more
    };
    let order = |kind: &str, number: u64, line: Value| {
        let more = json!({ "order_id": format!("{session}-{number}"), "currency": "SEK",
            "lines": [line] });
        event(kind, format!("{kind}-{number}"), more)
    };
    let mut events = Vec::new();
    for number in 0..CLICKS {
        events.push(event(
            "click",
            format!("c-{number}"),
            json!({ "variant": variant }),
        ));
    }
    for number in 0..ORDERS {
        let line =
            json!({ "variant": variant, "quantity": 3, "line_paid": "10.01", "line_cost": "4.00" });
        events.push(order("purchase", number, line));
    }
    for number in 0..REFUNDS {
        let line = json!({ "variant": variant, "quantity": 1, "line_paid": "3.34" });
        events.push(order("refund", number, line));
    }
    json!({ "events": events })
}

/// Sends calls until the server is gone; pages of the same sessions are asked for before.
fn send_on(client: &Client, number: u64, sender: &mut Sender) {
    loop {
        if !sender.is_open {
            sender.n_calls += 1;
            sender.is_open = true;
        }
        let page = json!({ "session_key": format!("s-{number}-{}", sender.n_calls), "limit": 24 });
        client.call("POST", "/v1/markets/se/rank", Some(&page), &[]);
        let body = call(number, sender.n_calls);
        let Some(answer) = client.call("POST", "/v1/events", Some(&body), &[]) else {
            return;
        };
        if answer.status != 200 {
            assert!([429, 503].contains(&answer.status), "{}", answer.body);
            std::thread::sleep(Duration::from_millis(10));
            continue;
        }
        let told = |name: &str| answer.body[name].as_u64().unwrap();
        assert_eq!(told("received"), CLICKS + ORDERS + REFUNDS);
        assert_eq!(
            told("accepted") + told("duplicate"),
            told("received"),
            "{}",
            answer.body
        );
        sender.n_repeated += u64::from(told("duplicate") > 0);
        sender.is_open = false;
    }
}

/// Load until a kill `after` it is up.
fn run_and_kill(data: &Path, key: &str, senders: &mut [Sender], after: Duration) {
    let server = Server::start(data);
    let address = server.address.clone();
    std::thread::scope(|scope| {
        for (number, sender) in (0..).zip(&mut *senders) {
            let client = Client::new(&address, Some(key));
            scope.spawn(move || send_on(&client, number, sender));
        }
        std::thread::sleep(after);
        server.kill();
    });
}

/// A measured promotion for each sender.
fn measured(data: &Path, key: &str) -> Vec<String> {
    let server = Server::start(data);
    let client = Client::new(&server.address, Some(key));
    let made = |sender: u64| {
        let promotion = json!({ "kind": "promotion", "level": "high", "name": format!("s {sender}"),
            "markets": ["se"], "start": "2020-01-01", "end": "2099-01-01", "measurement": {},
            "selection": { "handpicked": [format!("p{:03}", sender * 17 % N_PRODUCTS)] } });
        let made = client.call("POST", "/v1/promotions", Some(&promotion), &[]);
        let made = made.unwrap();
        assert_eq!(made.status, 201, "{}", made.body);
        made.body["id"].as_str().unwrap().to_owned()
    };
    let promotions = (0..SENDERS).map(made).collect();
    assert_eq!(server.terminate(1), Some(0));
    promotions
}

/// Figures and results of a sender's promotion.
fn figures(client: &Client, promotion: &str) -> (Value, Value) {
    let read = |what: &str| {
        let path = format!("/v1/promotions/{promotion}/{what}?market=se");
        let answer = client.call("GET", &path, None, &[]).unwrap();
        assert_eq!(answer.status, 200, "{}", answer.body);
        answer.body
    };
    let mut results = read("results");
    results["as_of"].take();
    (read("stats"), results)
}

fn money(minor: u64) -> String {
    format!("{}.{:02}", minor / 100, minor % 100)
}

fn check(stats: &Value, n_calls: u64) {
    let all = &stats["all"];
    assert_eq!(all["clicks"], CLICKS * n_calls);
    assert_eq!(all["orders"], ORDERS * n_calls);
    assert_eq!(all["sold_units"], (3 * ORDERS - REFUNDS) * n_calls);
    assert_eq!(
        all["revenue"],
        money((1_001 * ORDERS - 334 * REFUNDS) * n_calls)
    );
}

#[test]
fn events_count_once_whatever_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let (key, _) = set_up(&data);
    let promotions = measured(&data, &key);
    let mut dice = Dice(seed());
    let mut senders: Vec<Sender> = (0..SENDERS).map(|_| Sender::default()).collect();
    for round in 0..ROUNDS {
        let after = Duration::from_millis(50 + dice.below(400));
        run_and_kill(&data, &key, &mut senders, after);
        if round % 4 == 3 {
            // What is counted is kept, and the next start counts only what comes after.
            assert_eq!(Server::start(&data).terminate(1), Some(0));
        }
    }
    let server = Server::start(&data);
    let client = Client::new(&server.address, Some(&key));
    for (number, sender) in (0..).zip(&mut senders) {
        if sender.is_open {
            let body = call(number, sender.n_calls);
            let answer = client.call("POST", "/v1/events", Some(&body), &[]).unwrap();
            assert_eq!(answer.status, 200, "{}", answer.body);
            assert_eq!(answer.body["rejected"], json!([]));
        }
    }
    let before: Vec<_> = senders
        .iter()
        .zip(&promotions)
        .map(|(sender, promotion)| {
            let own = figures(&client, promotion);
            check(&own.0, sender.n_calls);
            own
        })
        .collect();
    server.kill();
    let server = Server::start(&data);
    let client = Client::new(&server.address, Some(&key));
    for (own, promotion) in before.iter().zip(&promotions) {
        assert_eq!(&figures(&client, promotion), own);
    }
    assert_eq!(server.terminate(1), Some(0));
    let n_calls: u64 = senders.iter().map(|sender| sender.n_calls).sum();
    let n_repeated: u64 = senders.iter().map(|sender| sender.n_repeated).sum();
    println!("{ROUNDS} kills: {n_calls} calls of events, {n_repeated} known when repeated");
    assert!(SENDERS * ROUNDS < n_calls, "only {n_calls} calls");
}
