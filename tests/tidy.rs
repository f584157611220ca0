//! Keeps the house as `src/ARCHITECTURE.md` draws it: rooms, arrows, purity, crates, sizes, seeds.
//!
//! Reads sources as text and names all faults at once, with file, line and rule. That each rule
//! can fail and can pass is shown in `tidy/planted.rs`.

use std::collections::{BTreeMap, BTreeSet};

#[path = "tidy/code.rs"]
mod code;
#[path = "tidy/house.rs"]
mod house;
#[path = "tidy/planted.rs"]
mod planted;

use code::{blank_words, code_of, first_word, hits, line_of, n_lines};
use house::{House, Rooms, dependencies, read_house, read_places, read_rooms, rows, ticked};

const LINES_MAX: usize = 600;
const VAGUE: [&str; 5] = ["util", "helpers", "common", "manager", "models"];
const IMPURE: [&str; 23] = [
    "async fn",
    "async move",
    ".await",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "std::{",
    "SystemTime",
    "::now(",
    ".elapsed(",
    "thread_rng",
    "rand::rng",
    "rand::random",
    "SysRng",
    "OsRng",
    "print!",
    "println!",
    "eprint!",
    "eprintln!",
    "dbg!",
    "tracing::",
];

/// A place and what is wrong there, ready to print; the rule stands between colons.
type Faults = Vec<String>;

/// Paths below `src` with their code; files that only tests see are left out.
type Codes<'a> = BTreeMap<&'a str, String>;

#[test]
fn the_house_is_tidy() {
    let found = faults(&read_house());
    assert!(
        found.is_empty(),
        "{} faults\n{}",
        found.len(),
        found.join("\n")
    );
}

fn faults(house: &House) -> Faults {
    let rooms = read_rooms(&house.page);
    let codes: Codes<'_> = house
        .sources
        .iter()
        .filter(|(path, _)| !only_tests_see(house, path))
        .map(|(path, text)| (path.as_str(), code_of(text)))
        .collect();
    let mut found = check_table(&codes, &rooms);
    for (path, code) in &codes {
        let inner = check_arrows(path, code, &rooms)
            .chain(check_purity(path, code, &rooms))
            .chain(check_size_and_names(path, code));
        found.extend(inner);
    }
    found.extend(check_crates(house, &codes, &rooms));
    found.extend(check_seeds(house, &codes));
    found
}

/// Whether the module next door declares this file for tests alone.
fn only_tests_see(house: &House, path: &str) -> bool {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let front = house.sources.get(&format!("{folder}/mod.rs"));
    let declared = format!("#[cfg(test)]\nmod {};", file.trim_end_matches(".rs"));
    front.is_some_and(|front| front.contains(&declared))
}

/// The room of a path; empty for `lib.rs` and `main.rs`.
fn room_of(path: &str) -> &str {
    path.split_once('/').map_or("", |(room, _)| room)
}

fn check_table(codes: &Codes<'_>, rooms: &Rooms) -> Faults {
    let mut found = Faults::new();
    let mut add = |what: String| found.push(format!("src/ARCHITECTURE.md: table: {what}"));
    let folders: BTreeSet<&str> = codes.keys().map(|path| room_of(path)).collect();
    for folder in folders.iter().filter(|folder| !folder.is_empty()) {
        if !rooms.get(*folder).is_some_and(|room| room.exists) {
            add(format!("no linked row for the folder {folder}"));
        }
    }
    let mut free = BTreeSet::new();
    while let Some((name, _)) = rooms
        .iter()
        .find(|(name, room)| !free.contains(*name) && room.imports.is_subset(&free))
    {
        free.insert(name.clone());
    }
    for (name, room) in rooms {
        if room.exists && !folders.contains(name.as_str()) {
            add(format!("{name} is linked but has no folder"));
        }
        if !free.contains(name) {
            add(format!("{name} lies on or above a cycle"));
        }
        for import in &room.imports {
            if rooms
                .get(import)
                .is_none_or(|below| room.floor < below.floor)
            {
                add(format!("{name} may not look up to {import}"));
            }
        }
    }
    found
}

fn check_arrows(path: &str, code: &str, rooms: &Rooms) -> impl Iterator<Item = String> {
    let mut found = Faults::new();
    let mut add = |at, rule, what: &str| {
        found.push(format!("src/{path}:{}: {rule}: {what}", line_of(code, at)));
    };
    let room = room_of(path);
    let root = if path == "main.rs" { "endcap" } else { "crate" };
    for at in hits(code, root) {
        let rest = &code[at + root.len()..];
        let target = rest.strip_prefix("::").map_or("", first_word);
        let may = rooms.get(room).map(|row| row.imports.contains(target));
        let may = may.unwrap_or((path, target) == ("main.rs", "cli"));
        if target.is_empty() && !code[..at].ends_with('(') {
            add(at, "hidden", "a path into the crate names its room");
        } else if !target.is_empty() && target != room && !may {
            add(at, "arrow", &format!("{room} may not import {target}"));
        }
        let line = code[..at].rsplit('\n').next().unwrap_or_default().trim();
        if line.starts_with("pub") && line.ends_with("use") {
            add(at, "hidden", "no re-exports of other rooms");
        }
    }
    let depth = path.matches('/').count() - usize::from(path.ends_with("/mod.rs"));
    for at in hits(code, &"super::".repeat(depth + 1)) {
        add(at, "hidden", "super leaves the room");
    }
    for at in hits(code, "#[macro_export]") {
        add(at, "hidden", "an exported macro has no room");
    }
    let door =
        |line: &str| line.is_empty() || line.starts_with("pub mod ") || line.starts_with("#![doc");
    if path == "lib.rs" && !code.lines().all(door) {
        add(0, "hidden", "lib.rs holds pub mod lines only");
    }
    found.into_iter()
}

fn check_purity(path: &str, code: &str, rooms: &Rooms) -> impl Iterator<Item = String> {
    let room = room_of(path);
    let pure = room == "record" || rooms.get(room).is_some_and(|row| row.floor <= 1);
    let words = IMPURE.iter().filter(move |_| pure);
    words.flat_map(move |word| {
        hits(code, word).map(move |at| {
            let line = line_of(code, at);
            format!("src/{path}:{line}: purity: {word} in {room}")
        })
    })
}

fn check_size_and_names(path: &str, code: &str) -> impl Iterator<Item = String> {
    let mut found = Faults::new();
    if LINES_MAX < n_lines(code) {
        let what = format!("{} lines, at most {LINES_MAX}", n_lines(code));
        found.push(format!("src/{path}:1: size: {what}"));
    }
    for word in VAGUE {
        let in_path = path
            .trim_end_matches(".rs")
            .split('/')
            .any(|part| part == word);
        let as_item = ["fn", "mod"].map(|kind| hits(code, &format!("{kind} {word}")).next());
        if in_path || as_item != [None, None] {
            found.push(format!("src/{path}:1: name: {word} says nothing"));
        }
    }
    found.into_iter()
}

fn check_crates(house: &House, codes: &Codes<'_>, rooms: &Rooms) -> Faults {
    let mut places = BTreeMap::new();
    for cells in rows(&house.page, "| crates | only in |") {
        let here = read_places(cells[2], rooms);
        places.extend(ticked(cells[1]).map(|name| (name, here.clone())));
    }
    let mut found = Faults::new();
    for (name, for_tests) in dependencies(&house.manifest) {
        let Some(allowed) = places.get(name.as_str()) else {
            found.push(format!("Cargo.toml: crates: no row for {name}"));
            continue;
        };
        let mut n_uses = 0;
        for (path, code) in codes {
            for at in uses(code, &name) {
                n_uses += 1;
                let may = |(room, file): &(String, Option<String>)| {
                    let prefix = format!("{room}/{}", file.as_deref().unwrap_or_default());
                    path.starts_with(&prefix)
                };
                if !allowed.iter().any(may) {
                    let line = line_of(code, at);
                    found.push(format!(
                        "src/{path}:{line}: crates: {name} has no business here"
                    ));
                }
            }
        }
        let named = |text: &str| hits(text, &name).next().is_some();
        let in_sources = || house.sources.values().any(|text| named(&blank_words(text)));
        let in_tests = for_tests && (named(&house.tests) || in_sources());
        if n_uses == 0 && !in_tests {
            found.push(format!("Cargo.toml: crates: nobody uses {name}"));
        }
    }
    found
}

/// Offsets where `code` names the crate, and no module of that name.
fn uses<'a>(code: &'a str, name: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_end = |at: usize| code[at + name.len()..].starts_with([';', ',', '}']);
    let is_tail = move |at: usize| code[..at].ends_with("::") && is_end(at);
    let own = hits(code, name).any(|at| is_tail(at) || code[..at].ends_with("mod "));
    hits(code, name).filter(move |&at| {
        let rest = &code[at + name.len()..];
        let imported = code[..at].ends_with("use ") && rest.starts_with([';', ' ']);
        !own && !code[..at].ends_with("::") && (imported || rest.starts_with("::"))
    })
}

/// Figures of the source documents: told in a sentence, and used.
fn check_seeds(house: &House, codes: &Codes<'_>) -> Faults {
    let path = "domain/limits.rs";
    let text = house.sources.get(path).map_or("", String::as_str);
    let mut found = Faults::new();
    let mut before = "";
    for (at, line) in text.lines().enumerate() {
        if let Some(rest) = line.strip_prefix("pub const ") {
            let name = first_word(rest);
            let mut others = codes.iter().filter(|(other, _)| **other != path);
            if !before.starts_with("///") {
                found.push(format!(
                    "src/{path}:{}: seeds: {name} has no sentence",
                    at + 1
                ));
            }
            if !others.any(|(_, code)| hits(code, name).next().is_some()) {
                found.push(format!("src/{path}:{}: seeds: nobody uses {name}", at + 1));
            }
        }
        before = line;
    }
    found
}
