//! What a merchandiser does with the program alone: try, check, publish, look back.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::walk::{promotion, set_up};

/// A draft of a low promotion of `p15`, in `cold.json`.
fn draft(folder: &Path) -> Value {
    let draft = promotion("Cold week", "low", "p15");
    fs::write(folder.join("cold.json"), &draft).unwrap();
    serde_json::from_str(&draft).unwrap()
}

#[track_caller]
fn holds(said: &str, part: &str) {
    assert!(said.contains(part), "{part:?} in {said}");
}

#[test]
fn a_draft_is_checked_before_it_is_published() {
    let folder = tempfile::tempdir().unwrap();
    let (served, _) = set_up(folder.path());
    let mut draft = draft(folder.path());
    let checked = served.ada(&["promo", "check", "cold.json"]);
    checked.ok();
    holds(&checked.out, "se: selects 1 variants of 1 products");
    holds(&checked.out, "(unmeasured)");
    let same = promotion("Also warm", "medium", "p17");
    fs::write(folder.path().join("same.json"), same).unwrap();
    let checked = served.ada(&["promo", "check", "same.json"]);
    let overlap = "1 of your 1 variants are boosted more by \"Warm week\" (high)";
    holds(&checked.out, overlap);
    draft["level"] = json!("lowest");
    fs::write(folder.path().join("wrong.json"), draft.to_string()).unwrap();
    let checked = served.ada(&["promo", "check", "wrong.json"]);
    assert_eq!(checked.code, Some(3), "{}", checked.err);
    holds(&checked.err, "/level");
    let why = [
        "promo",
        "why",
        "v03",
        "--market",
        "se",
        "--draft",
        "cold.json",
    ];
    let told = served.ada(&why).out;
    holds(&told, "does not hold v03: it is not picked by hand");
}

#[test]
fn a_page_is_seen_before_and_after_a_draft() {
    let folder = tempfile::tempdir().unwrap();
    let (served, _) = set_up(folder.path());
    draft(folder.path());
    let preview = [
        "promo",
        "preview",
        "cold.json",
        "--market",
        "se",
        "--limit",
        "3",
    ];
    let seen = served.ada(&preview);
    seen.ok();
    let rows: Vec<Vec<&str>> = seen
        .out
        .lines()
        .map(|row| row.split_whitespace().collect())
        .collect();
    assert_eq!(rows[1], ["1", "p17", "high", "18", "same"], "{}", seen.out);
    assert_eq!(
        rows[3],
        ["3", "p15", "low", "16", "17,", "up", "14"],
        "{}",
        seen.out
    );
    holds(&seen.out, "leaves the page: p01 from 3 to 4");
    holds(&seen.out, "changes 1 category pages: main:jackets");
    let levels = served.ada(&[&preview[..], &["--levels"]].concat());
    let second: Vec<&str> = levels
        .out
        .lines()
        .nth(2)
        .unwrap()
        .split_whitespace()
        .collect();
    assert_eq!(
        second,
        ["2", "p00", "p00", "p15", "*", "p17", "*"],
        "{}",
        levels.out
    );
}

#[test]
fn what_was_decided_is_looked_up_and_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let (served, warm) = set_up(folder.path());
    draft(folder.path());
    let made = served.ada(&["promo", "create", "cold.json", "--format", "json"]);
    let made = made.json();
    let cold = made["id"].as_str().unwrap();
    fs::write(folder.path().join("patch.json"), "{ \"level\": \"high\" }").unwrap();
    served.ada(&["promo", "edit", cold, "patch.json"]).ok();
    let past = served.ada(&["promo", "history", cold]);
    past.ok();
    holds(&past.out, "promotion.create by key_");
    holds(&past.out, "    /level: low > high");
    let revision = made["revision"].to_string();
    served.ada(&["promo", "restore", cold, &revision]).ok();
    let now = served.ada(&["promo", "show", cold, "--format", "json"]);
    assert_eq!(now.json()["level"], "low");
    let copy = served.ada(&["promo", "duplicate", cold, "--format", "json"]);
    let copy = copy.json();
    assert_eq!(copy["name"], "Cold week (copy)");
    assert_eq!(copy["state"], "suspended");

    let both = served.ada(&["promo", "suspend", cold, &warm]);
    both.ok();
    assert_eq!(both.out.matches("suspended").count(), 2, "{}", both.out);
    let both = served.ada(&["promo", "resume", cold, &warm]);
    both.ok();
    assert_eq!(both.out.matches("suspended").count(), 0, "{}", both.out);
    let again = served.ada(&["promo", "resume", cold, &warm]);
    assert_eq!((again.code, again.out.lines().count()), (Some(4), 3));
    let some = served.ada(&["promo", "end", cold, "prm_00000000000000000000000000"]);
    assert_eq!(some.code, Some(4));
    holds(&some.err, "not-found");
    let span = ["--from", "2030-01-01", "--to", "2030-01-02"];
    let calendar = served.ada(&[&["promo", "calendar", "--market", "se"][..], &span].concat());
    calendar.ok();
    holds(&calendar.out, "never full: 100 may be active at once");
}
