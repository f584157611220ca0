//! The outside crates: how many, under which licences, from where, none of the banned.
//!
//! Asks cargo what the lock file resolves to and reads the lists of `deny.toml`. Known
//! vulnerabilities need a network and are left to `cargo deny check advisories`.
#![expect(clippy::unwrap_used, reason = "a test crate")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::Value;

/// Most outside crates that the default build for Linux may compile.
const CRATES_MAX: usize = 325;

/// Crates whose version is part of a stored format or of a promise.
const PINNED: [(&str, &str); 2] = [("sled", "=0.34.7"), ("bincode", "=2.0.1")];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What cargo resolves for Linux, tests included.
fn metadata() -> &'static Value {
    static METADATA: OnceLock<Value> = OnceLock::new();
    METADATA.get_or_init(|| {
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version", "1", "--locked"])
            .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
            .current_dir(root())
            .output()
            .expect("cargo runs");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cargo metadata: {complaint}");
        serde_json::from_slice(&output.stdout).expect("cargo writes JSON")
    })
}

/// Packages by id, the product itself included.
fn packages() -> BTreeMap<&'static str, &'static Value> {
    let listed = metadata()["packages"].as_array().unwrap().iter();
    listed
        .map(|package| (text(&package["id"]), package))
        .collect()
}

fn text(value: &'static Value) -> &'static str {
    value.as_str().unwrap_or_default()
}

/// Ids of all that the product needs, directly or not, along dependencies of the given kinds.
fn needed(kinds: &[Value]) -> BTreeSet<&'static str> {
    let resolve = &metadata()["resolve"];
    let nodes = resolve["nodes"].as_array().unwrap().iter();
    let nodes: BTreeMap<&str, &'static Value> =
        nodes.map(|node| (text(&node["id"]), node)).collect();
    let product = text(&resolve["root"]);
    let mut found = BTreeSet::new();
    let mut open = vec![product];
    while let Some(id) = open.pop() {
        for dependency in nodes[id]["deps"].as_array().unwrap() {
            let along = dependency["dep_kinds"].as_array().unwrap();
            let wanted = along.iter().any(|kind| kinds.contains(&kind["kind"]));
            if wanted && found.insert(text(&dependency["pkg"])) {
                open.push(text(&dependency["pkg"]));
            }
        }
    }
    found
}

/// Build and test dependencies alike.
fn all_needed() -> Vec<&'static Value> {
    let packages = packages();
    let ids = needed(&[Value::Null, Value::from("build"), Value::from("dev")]);
    ids.into_iter().map(|id| packages[id]).collect()
}

/// Lines of a list in `deny.toml`, from `name = [` below `section` to its `]`.
fn list(section: &str, name: &str) -> Vec<String> {
    let page = fs::read_to_string(root().join("deny.toml")).expect("deny.toml is committed");
    let opening = format!("{name} = [");
    let inside = page
        .lines()
        .skip_while(|line| *line != section)
        .skip_while(|line| *line != opening)
        .skip(1);
    let lines: Vec<String> = inside
        .take_while(|line| *line != "]")
        .map(|line| line.trim().to_owned())
        .collect();
    assert!(!lines.is_empty(), "no list {name} below {section}");
    lines
}

/// The text in quotes behind `key`, or the first one for an empty key.
fn quoted<'a>(line: &'a str, key: &str) -> &'a str {
    let (_, rest) = line.split_once(key).unwrap_or_default();
    rest.split('"').nth(1).unwrap_or_default()
}

#[test]
fn the_default_build_stays_small() {
    let n_crates = needed(&[Value::Null, Value::from("build")]).len();
    assert!(n_crates <= CRATES_MAX, "{n_crates} crates");
    assert!(100 < n_crates, "the graph was not walked: {n_crates}");
}

#[test]
fn every_licence_is_permissive() {
    let lines = list("[licenses]", "allow");
    let allowed: BTreeSet<&str> = lines.iter().map(|line| quoted(line, "")).collect();
    let mut refused = Vec::new();
    for package in all_needed() {
        let licence = text(&package["license"]);
        if !permits(licence, &allowed) {
            refused.push(format!("{}: \"{licence}\"", text(&package["id"])));
        }
    }
    assert!(refused.is_empty(), "{}", refused.join("\n"));
}

/// Whether the licence expression (SPDX, or the older form with slashes) can be met by `allowed`.
///
/// `OR` binds weaker than `AND`; parentheses enclose whole alternatives of an `AND`.
fn permits(expression: &str, allowed: &BTreeSet<&str>) -> bool {
    let normal = expression.replace(" or ", " OR ").replace('/', " OR ");
    let tokens: Vec<&str> = normal
        .split(' ')
        .filter(|token| !token.is_empty())
        .collect();
    let spaced = tokens.join(" ").replace('(', "( ").replace(')', " )");
    let words: Vec<&str> = spaced.split(' ').collect();
    let (met, rest) = either(&words, allowed);
    met && rest.is_empty()
}

fn either<'a, 'b>(words: &'b [&'a str], allowed: &BTreeSet<&str>) -> (bool, &'b [&'a str]) {
    let (mut met, mut rest) = both(words, allowed);
    while let ["OR", tail @ ..] = rest {
        let (other, behind) = both(tail, allowed);
        (met, rest) = (met | other, behind);
    }
    (met, rest)
}

fn both<'a, 'b>(words: &'b [&'a str], allowed: &BTreeSet<&str>) -> (bool, &'b [&'a str]) {
    let (mut met, mut rest) = one(words, allowed);
    while let ["AND", tail @ ..] = rest {
        let (other, behind) = one(tail, allowed);
        (met, rest) = (met & other, behind);
    }
    (met, rest)
}

fn one<'a, 'b>(words: &'b [&'a str], allowed: &BTreeSet<&str>) -> (bool, &'b [&'a str]) {
    match words {
        ["(", tail @ ..] => match either(tail, allowed) {
            (met, [")", rest @ ..]) => (met, rest),
            (_, rest) => (false, rest),
        },
        [licence, "WITH", exception, rest @ ..] => {
            let whole = format!("{licence} WITH {exception}");
            (allowed.contains(whole.as_str()), rest)
        }
        [licence, rest @ ..] => (allowed.contains(licence), rest),
        [] => (false, words),
    }
}

#[test]
fn licence_expressions_are_read_as_spdx_has_them() {
    let allowed = BTreeSet::from(["MIT", "Zlib", "Apache-2.0 WITH LLVM-exception"]);
    let check = |expression, expected| {
        assert_eq!(permits(expression, &allowed), expected, "{expression}");
    };
    check("MIT", true);
    check("GPL-3.0-only OR MIT", true);
    check("GPL-3.0/MIT", true);
    check("MIT AND MPL-2.0", false);
    check("(GPL-2.0-only OR MIT) AND Zlib", true);
    check("(GPL-2.0-only OR MIT) AND MPL-2.0", false);
    check("MPL-2.0 AND MIT OR Zlib", true);
    check("Apache-2.0 WITH LLVM-exception", true);
    check("Apache-2.0", false);
    check("", false);
}

#[test]
fn no_banned_crate_came_in() {
    let lines = list("[bans]", "deny");
    let banned: BTreeSet<&str> = lines.iter().map(|line| quoted(line, "crate")).collect();
    assert!(banned.contains("openssl-sys"), "the list was not read");
    let names = all_needed()
        .into_iter()
        .map(|package| text(&package["name"]));
    let found: Vec<&str> = names.filter(|name| banned.contains(name)).collect();
    assert!(found.is_empty(), "{found:?}");
}

#[test]
fn all_crates_come_from_one_registry() {
    let sources: BTreeSet<&str> = all_needed()
        .iter()
        .map(|package| text(&package["source"]))
        .collect();
    assert_eq!(sources.len(), 1, "{sources:?}");
    assert!(sources.iter().all(|source| source.starts_with("registry+")));
}

#[test]
fn formats_are_pinned_to_the_version() {
    let product = packages()[text(&metadata()["resolve"]["root"])];
    for (name, requirement) in PINNED {
        let dependencies = product["dependencies"].as_array().unwrap();
        let found = dependencies.iter().find(|found| found["name"] == name);
        let found = found.map(|found| text(&found["req"]));
        assert_eq!(found, Some(requirement), "{name}");
    }
}

#[test]
fn exceptions_are_dated_and_still_needed() {
    let names: BTreeSet<&str> = all_needed()
        .into_iter()
        .map(|package| text(&package["name"]))
        .collect();
    let expected = [
        ("RUSTSEC-2025-0141", "bincode"),
        ("RUSTSEC-2025-0057", "fxhash"),
        ("RUSTSEC-2024-0384", "instant"),
    ];
    let lines = list("[advisories]", "ignore");
    let found: Vec<&str> = lines.iter().map(|line| quoted(line, "id")).collect();
    assert_eq!(found, expected.map(|(id, _)| id));
    for (line, (_, name)) in lines.iter().zip(expected) {
        let (date, reason) = quoted(line, "reason").split_once(": ").unwrap_or_default();
        let digits = date.split('-').map(str::len).collect::<Vec<_>>();
        assert_eq!(digits, [4, 2, 2], "no date in {line}");
        assert!(reason.starts_with(name), "another crate in {line}");
        assert!(
            names.contains(name),
            "{name} is gone: take its exception away"
        );
    }
}
