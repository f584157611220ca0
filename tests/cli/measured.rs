//! What an analyst does with the program alone: look at results, take figures away.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::rig::{Served, run};
use crate::walk::{promotion, set_up};

/// Ranks a page that counts; the program's own do not.
fn look(served: &Served, session: &str) {
    let address = served.url().trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).unwrap();
    let head = [
        format!("GET /v1/markets/se/rank?limit=5&session_key={session} HTTP/1.1"),
        format!("host: {address}"),
        format!("authorization: Bearer {}", served.read("ada.key").trim()),
        "connection: close".to_owned(),
    ];
    let head = head.join("\r\n") + "\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

#[test]
fn a_file_of_orders_counts_once_and_bad_lines_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (served, _) = set_up(folder.path());
    let order = |number: u32| {
        json!({ "id": "o", "session_key": format!("s-{number}"), "order_id": format!("A-{number}"),
            "currency": if number == 7 { "EUR" } else { "SEK" },
            "lines": [{ "variant": "v15", "quantity": 1, "line_paid": "10.00" }] })
    };
    let mut lines: Vec<String> = (1..=1_100)
        .map(|number| order(number).to_string())
        .collect();
    lines.insert(3, "no json".to_owned());
    // Of two amounts none is picked.
    lines[20] = lines[20].replace("\"quantity\":1", "\"quantity\":1,\"line_paid\":\"99.00\"");
    fs::write(folder.path().join("orders.ndjson"), lines.join("\n")).unwrap();
    let import = ["import", "orders", "orders.ndjson", "--market", "se"];
    let told = served.ada(&import);
    assert_eq!(told.code, Some(3), "{}", told.err);
    assert!(
        told.out
            .starts_with("1101 received, 1098 accepted, 3 refused"),
        "{}",
        told.out
    );
    let rows: Vec<Vec<&str>> = told
        .out
        .lines()
        .skip(2)
        .map(|row| row.split_whitespace().collect())
        .collect();
    assert_eq!(rows[0][..3], ["4", "–", "bad-json"], "{}", told.out);
    assert_eq!(
        rows[1][..3],
        ["8", "o", "currency-mismatch"],
        "{}",
        told.out
    );
    let told = served.ada(&[&import[..], &["--format", "json"]].concat());
    let told: Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!(
        (&told["accepted"], &told["duplicate"]),
        (&json!(0), &json!(1_098))
    );
    let rows = served.ada(&["export", "rollups", "--market", "se", "--format", "ndjson"]);
    let row: Value = serde_json::from_str(rows.out.trim()).unwrap();
    assert_eq!(
        (&row["orders"], &row["gmv"]),
        (&json!(1_098), &json!("10980.00"))
    );
}

#[test]
fn results_are_a_page_and_figures_are_files() {
    let folder = tempfile::tempdir().unwrap();
    let (served, unmeasured) = set_up(folder.path());
    let mut draft: Value = serde_json::from_str(&promotion("Cold week", "high", "p15")).unwrap();
    draft["measurement"] = json!({ "primary_metric": "click_rate" });
    fs::write(folder.path().join("cold.json"), draft.to_string()).unwrap();
    let made = served.ada(&["promo", "create", "cold.json", "--format", "json"]);
    let made = made.json();
    let id = made["id"].as_str().unwrap();
    for session in ["s-1", "s-2", "s-3"] {
        look(&served, session);
    }
    let told = served.ada(&["measure", id]);
    told.ok();
    let lines: Vec<&str> = told.out.lines().collect();
    assert!(lines[0].starts_with("\"Cold week\" in se, stretch 1: shown to 80 % of sessions"));
    assert!(
        lines[1].starts_with("not-enough-data: too few mature days"),
        "{}",
        told.out
    );
    let differs = lines.iter().find(|line| line.starts_with("page differs"));
    let counts: Vec<u32> = differs
        .unwrap()
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    assert_eq!(counts[..2].iter().sum::<u32>(), 3, "{}", told.out);
    let primary = lines.iter().find(|line| line.starts_with("click_rate *"));
    assert!(primary.unwrap().ends_with("too early"), "{}", told.out);
    let told = served.ada(&["measure", id, "--scope", "basket", "--format", "json"]);
    assert_eq!(told.json()["scope"], "basket");

    let file = served.ada(&["export", "moments", "--market", "se"]);
    file.ok();
    assert!(
        file.out
            .starts_with("promotion,epoch,market,day,arm,level,scope,n,s_displays,")
    );
    assert_eq!(file.out.lines().count(), 13);
    let rows = served.ada(&["export", "moments", "--market", "se", "--format", "ndjson"]);
    assert_eq!(rows.out.lines().count(), 12);
    assert_eq!(
        served.ada(&["export", "rollups", "--market", "no"]).code,
        Some(1)
    );

    let told = served.ada(&["measure", &unmeasured]);
    assert_eq!(told.code, Some(1));
    assert!(
        told.err.contains("no measurement of promotion"),
        "{}",
        told.err
    );
    assert_eq!(run(folder.path(), &["measure"]).code, Some(2));
}
