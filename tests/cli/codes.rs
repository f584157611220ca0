//! What a command ends with when there is no server to ask.

use std::fs;
use std::net::TcpListener;

use crate::rig::{endcap, run, said};

#[test]
fn wrong_words_are_usage_and_get_a_suggestion() {
    let folder = tempfile::tempdir().unwrap();
    let check = |arguments: &[&str], expected: &str| {
        let said = run(folder.path(), arguments);
        assert_eq!(said.code, Some(2), "{arguments:?}: {}", said.err);
        assert!(said.err.contains(expected), "{arguments:?}: {}", said.err);
        assert_eq!(said.out, "");
    };
    check(&["sevre"], "serve");
    check(&["promo", "lst"], "list");
    check(&["limits", "--format", "jsn"], "json");
    check(
        &["rank", "--market", "se", "--filter", "brand"],
        "attribute=value",
    );
    check(&["status", "--url", "https://127.0.0.1"], "only http://");
    check(&["backup", "into"], "--data");
}

#[test]
fn wrong_settings_are_usage_and_get_a_suggestion() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("endcap.toml"),
        "[server]\nlissten = \"127.0.0.1:9\"\n",
    )
    .unwrap();
    let said = run(folder.path(), &["config", "check"]);
    assert_eq!(said.code, Some(2));
    assert!(
        said.err.contains("did you mean \"listen\"?"),
        "{}",
        said.err
    );
}

#[test]
fn settings_are_printed_with_their_origin() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("endcap.toml"), "[store]\ngroup_ms = 3\n").unwrap();
    let arguments = ["config", "print", "--format", "ndjson"];
    let said = said(endcap(folder.path(), &arguments).env("ENDCAP_LOG__LEVEL", "warn"));
    assert_eq!(said.code, Some(0), "{}", said.err);
    let rows: Vec<serde_json::Value> = said
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let of = |name: &str| rows.iter().find(|row| row["setting"] == name).unwrap();
    assert_eq!(of("store.group_ms")["value"], 3);
    assert!(
        of("store.group_ms")["origin"]
            .as_str()
            .unwrap()
            .ends_with("endcap.toml")
    );
    assert_eq!(of("log.level")["value"], "warn");
    assert_eq!(of("log.level")["origin"], "ENDCAP_LOG__LEVEL");
    assert_eq!(of("server.listen")["origin"], "default");
}

#[test]
fn a_server_that_does_not_answer_is_unreachable() {
    let folder = tempfile::tempdir().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let said = run(folder.path(), &["market", "list", "--url", &url]);
    assert_eq!(said.code, Some(6));
    assert!(said.err.contains("endcap serve"), "{}", said.err);
}

#[test]
fn unreadable_input_is_told_before_anybody_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("warm.json"), "{ \"name\": ").unwrap();
    let said = run(folder.path(), &["promo", "create", "warm.json"]);
    assert_eq!(said.code, Some(3));
    assert!(said.err.contains("line 1 column"), "{}", said.err);
    let said = run(
        folder.path(),
        &["import", "catalogue", "none.ndjson", "--market", "se"],
    );
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("none.ndjson"), "{}", said.err);
    let said = run(folder.path(), &["status", "--key-file", "no.key"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("no.key"), "{}", said.err);
}

#[test]
fn a_taken_address_is_told_before_a_store_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let said = run(folder.path(), &["serve", "--listen", &address]);
    assert_eq!(said.code, Some(1), "{}", said.err);
    assert!(said.err.contains("cannot be listened on"), "{}", said.err);
    assert!(!folder.path().join("data").exists(), "nothing was made");
}
