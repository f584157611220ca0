//! Tidy tests itself: for each rule a planted source that must fail and one that must pass.

use std::collections::BTreeMap;

use super::faults;
use super::house::House;

/// The smallest house without a fault.
fn bare() -> House {
    let page = "\
| room | floor | may import | the question it answers |
|---|---|---|---|
| [`domain`] | 0 | – | What? |
| [`ranking`] | 1 | `domain` | Where? |
| `pricing` *(to come)* | 1 | `domain` | How much? |
| [`store`] | 2 | `domain` | When? |
| [`engine`] | 3 | `domain` `ranking` `store` | How? |
| [`cli`] | 6 | `engine` | Who? |

| crates | only in |
|---|---|
| `serde` | every room |
| `rayon` | floors 1 to 3 |
| `bincode` | `store` in `codec` |
| `rand` `rand_distr` | `ranking`, seeded; `engine` in `entropy` |
| `proptest` | tests and benches |
";
    let manifest = "[dependencies]\nserde = \"1\"\n[lints]\nx = 1\n";
    let sources = [
        ("lib.rs", "#![doc = include_str!(\"x\")]\npub mod domain;\n"),
        ("main.rs", "fn main() { endcap::cli::run() }"),
        ("domain/mod.rs", "use serde::Serialize;"),
        (
            "domain/limits.rs",
            "/// \"A page has 60 places.\"\npub const PLACES: u32 = 60;",
        ),
        ("ranking/mod.rs", "use crate::domain::limits::PLACES;"),
        ("store/mod.rs", ""),
        ("engine/mod.rs", ""),
        ("cli/mod.rs", ""),
    ];
    House {
        page: page.to_owned(),
        manifest: manifest.to_owned(),
        sources: BTreeMap::from(sources.map(|(path, text)| (path.to_owned(), text.to_owned()))),
        tests: String::new(),
    }
}

/// Plants `text` at `path`; `expected` is the rule that must speak, with the line, or nothing.
#[track_caller]
fn check(path: &str, text: &str, expected: &str) {
    let mut house = bare();
    house.sources.insert(path.to_owned(), text.to_owned());
    check_house(&house, expected);
}

/// Adds a dependency beside the planted source.
#[track_caller]
fn check_crate(name: &str, path: &str, text: &str, expected: &str) {
    let mut house = bare();
    house.manifest = format!("[dependencies]\n{name} = \"1\"\nserde = \"1\"\n");
    house.sources.insert(path.to_owned(), text.to_owned());
    check_house(&house, expected);
}

#[track_caller]
fn check_house(house: &House, expected: &str) {
    let found = faults(house);
    if expected.is_empty() {
        assert_eq!(found, Vec::<String>::new());
    } else {
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains(expected), "{found:?}");
    }
}

#[track_caller]
fn check_page(from: &str, to: &str, expected: &str) {
    let mut house = bare();
    assert!(house.page.contains(from));
    house.page = house.page.replace(from, to);
    check_house(&house, expected);
}

#[test]
fn a_bare_house_has_no_fault() {
    check_house(&bare(), "");
}

#[test]
fn every_folder_has_a_row_and_rows_may_wait() {
    check(
        "attic/mod.rs",
        "",
        "table: no linked row for the folder attic",
    );
    check(
        "pricing/mod.rs",
        "",
        "table: no linked row for the folder pricing",
    );
    check_page(
        "`pricing` *(to come)*",
        "[`pricing`]",
        "table: pricing is linked but",
    );
}

#[test]
fn the_table_looks_down_and_has_no_cycle() {
    check_page(
        "1 | `domain` | How",
        "1 | `store` | How",
        "table: pricing may not look up to store",
    );
    check_page(
        "1 | `domain` | How",
        "1 | `pricing` | How",
        "table: pricing lies on or above a cycle",
    );
    check_page("1 | `domain` | How", "1 | `ranking` | How", "");
}

#[test]
fn arrows_are_those_of_the_table() {
    check("engine/x.rs", "use crate::store::Commit;", "");
    check("store/x.rs", "use crate::store::Commit;", "");
    check(
        "ranking/x.rs",
        "\nuse crate::store::Commit;",
        "src/ranking/x.rs:2: arrow:",
    );
    check(
        "ranking/x.rs",
        "fn f() { $crate::store::f() }",
        "x.rs:1: arrow:",
    );
    check(
        "main.rs",
        "use endcap::engine::Engine;",
        "src/main.rs:1: arrow:",
    );
}

#[test]
fn words_in_comments_strings_and_tests_are_no_imports() {
    check(
        "ranking/x.rs",
        "//! [`crate::store::Commit`]\n/* crate::store::x */",
        "",
    );
    check(
        "ranking/x.rs",
        "const A: &str = \"\\\" crate::store::x\";",
        "",
    );
    check(
        "ranking/x.rs",
        "const A: &str = r#\"\" crate::store::x\"#;",
        "",
    );
    check(
        "ranking/x.rs",
        "const A: char = '\"'; use crate::store::x;",
        "x.rs:1: arrow:",
    );
    check(
        "ranking/x.rs",
        "fn f<'a>(x: &'a u8) { crate::store::x() }",
        "x.rs:1: arrow:",
    );
    check(
        "ranking/x.rs",
        "#[cfg(test)]\nmod tests {\n fn f() { crate::store::x() }\n}",
        "",
    );
    check(
        "ranking/x.rs",
        "#[cfg(test)]\nmod tests {}\nuse crate::store::x;",
        "x.rs:3: arrow:",
    );
    check("ranking/x.rs", "#[cfg(test)]\nuse crate::store::x;", "");
}

#[test]
fn files_that_only_tests_see_are_free() {
    let mut house = bare();
    let twin = (
        "ranking/twin.rs".to_owned(),
        "use crate::store::x;".to_owned(),
    );
    house.sources.insert(twin.0, twin.1);
    check_house(&house, "ranking/twin.rs:1: arrow:");
    let front = house.sources.get_mut("ranking/mod.rs").expect("is planted");
    front.push_str("\n#[cfg(test)]\nmod twin;\n");
    check_house(&house, "");
}

#[test]
fn no_arrow_hides() {
    check("engine/x.rs", "use crate::{store, ranking};", "hidden:");
    check("engine/x.rs", "use crate::*;", "hidden:");
    check(
        "engine/x.rs",
        "pub use crate::store::Commit;",
        "hidden: no re-exports",
    );
    check(
        "engine/x.rs",
        "pub(crate) use crate::store::Commit;",
        "hidden: no re-exports",
    );
    check("engine/x.rs", "pub(crate) fn f() {}", "");
    check("engine/mod.rs", "use super::store;", "hidden: super");
    check("engine/x.rs", "use super::super::store;", "hidden: super");
    check("engine/x.rs", "use super::y;", "");
    check("engine/x/y.rs", "use super::super::z;", "");
    check(
        "engine/x/mod.rs",
        "use super::super::store;",
        "hidden: super",
    );
    check(
        "engine/x.rs",
        "#[macro_export]\nmacro_rules! m { () => {} }",
        "hidden:",
    );
    check("engine/x.rs", "macro_rules! m { () => {} }", "");
    check(
        "lib.rs",
        "pub mod domain;\nuse domain::X;",
        "hidden: lib.rs",
    );
}

#[test]
fn the_lower_floors_are_pure() {
    check("ranking/x.rs", "async fn f() {}", "purity: async fn");
    check("ranking/x.rs", "use std::fs;", "purity: std::fs");
    check("ranking/x.rs", "use std::{fs, io};", "purity: std::{");
    check("ranking/x.rs", "use std::fmt;", "");
    check("domain/x.rs", "let t = Instant::now();", "purity: ::now(");
    check("domain/x.rs", "println!()", "purity: println!");
    check(
        "domain/x.rs",
        "fn now_in() { rand::random() }",
        "purity: rand::random",
    );
    check("store/x.rs", "use std::fs; async fn f() { println!() }", "");
}

#[test]
fn crates_stay_in_their_rooms() {
    check_crate("rayon", "ranking/x.rs", "use rayon::prelude;", "");
    check_crate(
        "rayon",
        "domain/x.rs",
        "use rayon::prelude;",
        "crates: rayon has no",
    );
    check_crate("rayon", "domain/x.rs", "use rayon;", "crates: rayon has no");
    check_crate(
        "rayon",
        "cli/x.rs",
        "fn f() { rayon::join() }",
        "x.rs:1: crates: rayon has no",
    );
    check_crate("bincode", "store/codec.rs", "use bincode::config;", "");
    check_crate(
        "bincode",
        "store/x.rs",
        "use bincode::config;",
        "crates: bincode has no",
    );
    check_crate("rand-distr", "ranking/x.rs", "use rand_distr::Zipf;", "");
    check_crate("rand", "engine/entropy.rs", "rand::rng()", "");
    check_crate("rand", "engine/x.rs", "rand::rng()", "crates: rand has no");
    check_crate(
        "serde",
        "store/x.rs",
        "#[derive(serde::Serialize)] struct X;",
        "",
    );
}

#[test]
fn crates_have_a_row_and_a_user() {
    check_crate(
        "left-pad",
        "store/x.rs",
        "use left_pad::pad;",
        "Cargo.toml: crates: no row for left_pad",
    );
    check_crate(
        "rayon",
        "store/x.rs",
        "// rayon::join",
        "Cargo.toml: crates: nobody uses rayon",
    );
    check_crate(
        "rayon",
        "store/x.rs",
        "use crate::store::rayon;",
        "nobody uses rayon",
    );
    let mut house = bare();
    house
        .manifest
        .push_str("[dev-dependencies]\nproptest = \"1\"\n");
    check_house(&house, "nobody uses proptest");
    house.tests = "use proptest::prelude;".to_owned();
    check_house(&house, "");
    let product = ("store/x.rs".to_owned(), "use proptest::prelude;".to_owned());
    house.sources.insert(product.0, product.1);
    check_house(&house, "crates: proptest has no");
}

#[test]
fn files_are_short_and_say_what_they_are() {
    check("store/x.rs", &"\n".repeat(600), "");
    check("store/x.rs", &"\n".repeat(601), "size: 601 lines");
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "\n".repeat(700));
    check("store/x.rs", &("\n".repeat(599) + &tests), "");
    check("store/util.rs", "", "name: util");
    check("store/helpers/mod.rs", "", "name: helpers");
    check("store/x.rs", "mod common { }", "name: common");
    check("store/utility.rs", "fn commonly() {}", "");
}

#[test]
fn seeds_are_told_and_used() {
    let limits = "domain/limits.rs";
    let both = "/// \"Sixty.\"\npub const PLACES: u32 = 60;\n";
    check(
        limits,
        &format!("{both}/// \"Two.\"\npub const TWO: u32 = 2;"),
        "limits.rs:4: seeds: nobody uses TWO",
    );
    check(
        limits,
        "pub const PLACES: u32 = 60;",
        "seeds: PLACES has no sentence",
    );
    check(limits, both, "");
}
