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
