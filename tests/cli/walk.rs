//! From an empty directory to a promoted page, with nothing but the program.

use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::rig::{Said, Served, run};

/// Twenty products; the later the number, the lower the score.
fn shop() -> String {
    let line = |n: u32| {
        let variants = json!({ format!("v{n:02}"): { "list_price": "10.00", "score": (100 - n).to_string() } });
        let product = json!({
            "op": "replace", "product": format!("p{n:02}"), "categories": ["main:jackets"],
            "attributes": { "title": format!("Jacket {n}"), "brand": if n < 10 { "Fjord" } else { "Vela" } },
            "variants": variants,
        });
        format!("{product}\n")
    };
    (0..20).map(line).collect()
}

pub(crate) fn promotion(name: &str, level: &str, product: &str) -> String {
    json!({
        "kind": "promotion", "level": level, "name": name, "markets": ["se"],
        "start": "2020-01-01", "end": "2099-01-01",
        "measurement": { "measured": false },
        "selection": { "handpicked": [product], "rule_sets": [] },
    })
    .to_string()
}

/// A served folder with market, goods, an operator's key in `ada.key` and a promotion of `p17`.
pub(crate) fn set_up(folder: &Path) -> (Served, String) {
    let served = Served::start(folder, &[]);
    let made = served.run(&[
        "market",
        "create",
        "se",
        "--name",
        "Sweden",
        "--currency",
        "SEK",
        "--time-zone",
        "Europe/Stockholm",
    ]);
    made.ok();
    assert!(made.err.contains("first-operator-key"), "{}", made.err);
    served
        .run(&[
            "key", "create", "--name", "ada", "--role", "operator", "--market", "*", "--save",
            "ada.key",
        ])
        .ok();
    assert!(!folder.join("data/first-operator-key").exists());
    fs::write(folder.join("shop.ndjson"), shop()).unwrap();
    let fed = served.ada(&["import", "catalogue", "shop.ndjson", "--market", "se"]);
    fed.ok();
    assert!(fed.out.contains("applied: 20 rows"), "{}", fed.out);
    fs::write(
        folder.join("warm.json"),
        promotion("Warm week", "high", "p17"),
    )
    .unwrap();
    let made = served.ada(&["promo", "create", "warm.json", "--format", "json"]);
    let id = made.json()["id"].as_str().unwrap().to_owned();
    (served, id)
}

/// Product and the rest of the first line below the heads.
fn first_row(said: &Said) -> String {
    said.out.lines().nth(1).unwrap().to_owned()
}

#[test]
fn a_newcomer_gets_to_a_promoted_page_and_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let (served, id) = set_up(folder.path());
    let rank = [
        "rank",
        "--market",
        "se",
        "--category",
        "main:jackets",
        "--explain",
    ];
    let page = served.ada(&rank);
    page.ok();
    let row: Vec<String> = first_row(&page)
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    assert_eq!(
        row[..6],
        ["1", "p17", "v17", "18", "high", "+17"],
        "{}",
        page.out
    );
    assert!(
        first_row(&page).contains("\"Warm week\" (high)"),
        "{}",
        page.out
    );
    assert!(page.out.contains("20 products in all"), "{}", page.out);
    let plain = served
        .ada(&["rank", "--market", "se", "--limit", "2", "--format", "json"])
        .json();
    assert_eq!(plain["items"].as_array().unwrap().len(), 2);
    assert_eq!(plain["items"][0]["product"], "p17");
    served.kill();

    let served = Served::start(folder.path(), &[]);
    assert!(
        !served.notes().contains("first operator key"),
        "{}",
        served.notes()
    );
    assert_eq!(served.ada(&rank).out, page.out);
    let listed = served.ada(&["promo", "list", "--market", "se", "--format", "ndjson"]);
    let listed: Value = serde_json::from_str(listed.out.trim()).unwrap();
    assert_eq!(
        (&listed["id"], &listed["state"]),
        (&json!(id), &json!("active"))
    );
    served.ada(&["promo", "suspend", &id]).ok();
    assert!(first_row(&served.ada(&rank)).contains("p00"));
    served.ada(&["promo", "resume", &id]).ok();
    assert!(first_row(&served.ada(&rank)).contains("p17"));
    let ended = served
        .ada(&["promo", "end", &id, "--format", "json"])
        .json();
    assert_eq!(ended["state"], "ended");
    assert_eq!(served.terminate(), Some(0));
}

#[test]
fn refusals_have_their_codes_and_name_every_complaint() {
    let folder = tempfile::tempdir().unwrap();
    let (served, id) = set_up(folder.path());
    fs::write(
        folder.path().join("again.json"),
        promotion("Warm week", "high", "p03"),
    )
    .unwrap();
    let taken = served.ada(&["promo", "create", "again.json"]);
    assert_eq!(taken.code, Some(4), "{}", taken.err);
    assert!(taken.err.contains(&id), "{}", taken.err);

    let wrong = promotion(&"x".repeat(51), "hih", "p03");
    fs::write(folder.path().join("wrong.json"), wrong).unwrap();
    let wrong = served.ada(&["promo", "create", "wrong.json"]);
    assert_eq!(wrong.code, Some(3), "{}", wrong.err);
    assert!(
        wrong.err.contains("/name: ") && wrong.err.contains("(too-long)"),
        "{}",
        wrong.err
    );
    assert!(
        wrong.err.contains("/level: ") && wrong.err.contains("\"high\""),
        "{}",
        wrong.err
    );

    let bad =
        "{\"op\":\"replace\",\"product\":\"a\",\"variants\":{\"a1\":{\"stock\":\"x\"}}}\nno\n";
    fs::write(folder.path().join("bad.ndjson"), bad).unwrap();
    let bad = served.ada(&["import", "catalogue", "bad.ndjson", "--market", "se"]);
    assert_eq!(bad.code, Some(3), "{}", bad.err);
    for part in ["row 1", "row 2", "endcap import errors imp_"] {
        assert!(bad.err.contains(part), "{}", bad.err);
    }
    let import = bad
        .err
        .split("import errors ")
        .nth(1)
        .unwrap()
        .trim()
        .to_owned();
    let errors = served.ada(&["import", "errors", &import]);
    errors.ok();
    assert!(
        errors.out.contains("row 1") && errors.out.contains("row 2"),
        "{}",
        errors.out
    );

    let one = "{\"op\":\"replace\",\"product\":\"p00\",\"variants\":{\"v00\":{}}}\n";
    fs::write(folder.path().join("one.ndjson"), one).unwrap();
    let harmful = served.ada(&["import", "catalogue", "one.ndjson", "--market", "se"]);
    assert_eq!(harmful.code, Some(4), "{}", harmful.err);
    assert!(
        harmful.err.contains("endcap import apply imp_"),
        "{}",
        harmful.err
    );
    served
        .ada(&["validate", "shop.ndjson", "--market", "se"])
        .ok();
}

#[test]
fn a_revoked_key_opens_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (served, _) = set_up(folder.path());
    let arguments = [
        "key",
        "create",
        "--name",
        "shop",
        "--role",
        "storefront-server",
        "--market",
        "se",
        "--format",
        "json",
    ];
    let made = served.ada(&arguments).json();
    let (id, key) = (made["id"].as_str().unwrap(), made["key"].as_str().unwrap());
    fs::write(folder.path().join("shop.key"), key).unwrap();
    served
        .run(&["rank", "--market", "se", "--key-file", "shop.key"])
        .ok();
    let refused = served.run(&["promo", "create", "warm.json", "--key-file", "shop.key"]);
    assert_eq!(refused.code, Some(5), "{}", refused.err);
    served.ada(&["key", "revoke", id]).ok();
    let refused = served.run(&["rank", "--market", "se", "--key-file", "shop.key"]);
    assert_eq!(refused.code, Some(5), "{}", refused.err);
    let nobody = served.run(&["rank", "--market", "se"]);
    assert_eq!(nobody.code, Some(5), "{}", nobody.err);
    assert!(nobody.err.contains("ENDCAP_KEY"), "{}", nobody.err);
    let told = served.ada(&["audit", "--object", id]);
    told.ok();
    for action in ["key.create", "key.revoke"] {
        assert!(told.out.contains(action), "{}", told.out);
    }
    let refused = served.ada(&["audit", "--actor", id]);
    assert!(refused.out.contains("not-permitted"), "{}", refused.out);
    let listed = served.ada(&["key", "list"]);
    assert!(
        !listed.out.contains(id) && listed.out.contains("ada"),
        "{}",
        listed.out
    );
}

#[test]
fn a_data_directory_has_one_server() {
    let folder = tempfile::tempdir().unwrap();
    let served = Served::start(folder.path(), &[]);
    let second = run(folder.path(), &["serve", "--listen", "127.0.0.1:0"]);
    assert_eq!(second.code, Some(1));
    assert!(
        second.err.contains(&served.pid().to_string()),
        "{}",
        second.err
    );
    let elsewhere = run(
        folder.path(),
        &["serve", "--listen", "0.0.0.0:0", "--data", "other"],
    );
    assert_eq!(elsewhere.code, Some(2));
    assert!(
        elsewhere.err.contains("--allow-plaintext"),
        "{}",
        elsewhere.err
    );
    assert!(!folder.path().join("other").exists());
    assert_eq!(served.terminate(), Some(0));
    let other_clock = run(
        folder.path(),
        &["serve", "--listen", "127.0.0.1:0", "--test-clock"],
    );
    assert_eq!(other_clock.code, Some(2), "{}", other_clock.err);
}

#[test]
fn an_export_is_a_store_again_and_not_with_one_wrong_byte() {
    let folder = tempfile::tempdir().unwrap();
    let (served, _) = set_up(folder.path());
    let rank = ["rank", "--market", "se", "--limit", "20"];
    let page = served.ada(&rank).out;
    assert_eq!(served.terminate(), Some(0));
    let said = run(
        folder.path(),
        &["export", "store", "all.jsonl", "--data", "data"],
    );
    said.ok();
    let mut bytes = fs::read(folder.path().join("all.jsonl")).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(folder.path().join("wrong.jsonl"), bytes).unwrap();
    let refused = run(
        folder.path(),
        &["import", "store", "wrong.jsonl", "--into", "copy"],
    );
    assert_eq!(refused.code, Some(7), "{}", refused.err);
    run(
        folder.path(),
        &["import", "store", "all.jsonl", "--into", "copy"],
    )
    .ok();
    let again = run(folder.path(), &["restore", "all.jsonl", "--into", "copy"]);
    assert_eq!(again.code, Some(4), "{}", again.err);
    let served = Served::start(folder.path(), &["--data", "copy"]);
    assert_eq!(served.ada(&rank).out.lines().next(), page.lines().next());
    assert_eq!(first_row(&served.ada(&rank)), page.lines().nth(1).unwrap());
    assert_eq!(served.terminate(), Some(0));
    run(folder.path(), &["backup", "kept", "--data", "copy"]).ok();
    run(folder.path(), &["verify", "copy"]).ok();
    let kept = run(folder.path(), &["verify", "kept"]);
    kept.ok();
    assert!(kept.err.contains("all whole"), "{}", kept.err);
    fs::create_dir(folder.path().join("bare")).unwrap();
    for (path, said) in [("bare", "neither a store nor"), ("none", "cannot be read")] {
        let refused = run(folder.path(), &["verify", path]);
        assert_eq!(refused.code, Some(1), "{}", refused.err);
        assert!(refused.err.contains(said), "{}", refused.err);
    }
    assert_eq!(run(folder.path(), &["verify", "wrong.jsonl"]).code, Some(7));
    run(folder.path(), &["verify", "all.jsonl"]).ok();
}

#[test]
fn a_backup_is_told_with_its_size_and_digest() {
    let folder = tempfile::tempdir().unwrap();
    let (served, _) = set_up(folder.path());
    let told = served.ada(&["backup"]);
    assert!(first_row(&told).starts_with("config"), "{}", told.out);
    let items = served.ada(&["backup", "--format", "json"]).json()["items"].clone();
    let items = items.as_array().unwrap();
    assert_eq!(items.len(), 2);
    for item in items {
        let space = item["space"].as_str().unwrap();
        let begins = format!("{space}-{}.", item["revision"]);
        let files = fs::read_dir(folder.path().join("data/backup")).unwrap();
        let mut paths = files.map(|entry| entry.unwrap().path());
        let is_own = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.starts_with(&begins)
        };
        let bytes = fs::read(paths.find(is_own).unwrap()).unwrap();
        assert_eq!(item["bytes"], bytes.len());
        let last = bytes[..bytes.len() - 1]
            .iter()
            .rposition(|byte| *byte == b'\n');
        let lines = &bytes[..=last.unwrap()];
        let mut digest = String::new();
        for byte in Sha256::digest(lines) {
            write!(digest, "{byte:02x}").unwrap();
        }
        assert_eq!(item["sha256"], digest);
    }
    let listed = ask_as_ada(&served, "/v1/backups");
    let status = served.ada(&["status", "--format", "json"]).json();
    for item in items {
        let space = item["space"].as_str().unwrap();
        assert_eq!(status[space]["last_backup"]["revision"], item["revision"]);
        assert!(
            listed.contains(item["sha256"].as_str().unwrap()),
            "{listed}"
        );
    }
    assert_eq!(served.terminate(), Some(0));
}

/// Sends one request as its bytes; the whole answer.
fn ask(address: &str, path: &str, header: &str) -> String {
    let mut socket = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{header}\r\n");
    socket.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

fn ask_as_ada(served: &Served, path: &str) -> String {
    let address = served.url().trim_start_matches("http://");
    let key = served.read("ada.key");
    ask(
        address,
        path,
        &format!("Authorization: Bearer {}\r\n", key.trim()),
    )
}

#[test]
fn settings_open_a_socket_for_watching_and_change_the_rates() {
    let folder = tempfile::tempdir().unwrap();
    let settings = "[server]\nops_listen = \"127.0.0.1:0\"\n\
        public_url = \"https://endcap.shop.example\"\n\
        [limits]\nwrites_per_s = 1000\nwrites_burst = 2000\n";
    fs::write(folder.path().join("endcap.toml"), settings).unwrap();
    let served = Served::start(folder.path(), &[]);
    let limits = served.run(&["limits", "--format", "json"]).json();
    assert_eq!(limits["rates"]["writes"]["burst"], 2_000);
    // It was said before the line that the rig has read.
    let address = loop {
        let notes = served.notes();
        let behind = notes.split("status are on http://").nth(1);
        if let Some(line) = behind.filter(|behind| behind.contains('\n')) {
            break line.split(',').next().unwrap().to_owned();
        }
        std::thread::yield_now();
    };
    for path in ["/health/ready", "/metrics", "/v1/status"] {
        let answer = ask(&address, path, "");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    let closed = ask(&address, "/v1/keys", "");
    assert!(closed.starts_with("HTTP/1.1 404 "), "{closed}");
    assert_eq!(served.terminate(), Some(0));
}
