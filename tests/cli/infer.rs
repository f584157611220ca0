//! `endcap infer`: the figures of public libraries, and what it says to faulty lines.

use serde_json::Value;

use crate::rig::{Said, endcap, said};

/// Figures of public libraries and of the specification; `tests/golden/infer.py` writes them.
const GOLDEN: &str = include_str!("../../data/golden/measurement/infer.jsonl");

/// Relative distance allowed: chances are wanted to six figures, sizes too, all else to nine.
const CHANCE: f64 = 1e-6;
const FIGURE: f64 = 1e-9;

fn infer(lines: &str) -> Said {
    let folder = tempfile::tempdir().unwrap();
    let mut command = endcap(folder.path(), &["infer"]);
    said(command.write_stdin(lines))
}

fn answers(told: &Said) -> Vec<Value> {
    let lines = told.out.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// How far apart two figures may be: by the pointer's last name, and whether they are sizes.
fn allowed(pointer: &str, method: &str) -> f64 {
    let is_chance = ["/p", "/p_always", "/power", "/chance", "/ln_bayes_factor"]
        .iter()
        .any(|name| pointer.ends_with(name));
    if is_chance || method == "power" {
        CHANCE
    } else {
        FIGURE
    }
}

#[test]
fn every_figure_agrees_with_public_libraries() {
    let cases: Vec<Value> = GOLDEN
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let lines: Vec<String> = cases.iter().map(|case| case["input"].to_string()).collect();
    let told = infer(&lines.join("\n"));
    told.ok();
    let answers = answers(&told);
    assert_eq!(answers.len(), cases.len());
    let mut n_figures = 0;
    for (case, answer) in cases.iter().zip(&answers) {
        assert_eq!(answer["id"], case["input"]["id"]);
        for (pointer, expected) in case["expected"].as_object().unwrap() {
            let name = format!("{}{pointer}", case["name"]);
            let found = answer.pointer(pointer);
            let found = found.unwrap_or_else(|| panic!("{name} is missing"));
            n_figures += 1;
            let Some((found, expected)) = found.as_f64().zip(expected.as_f64()) else {
                assert_eq!(found, expected, "{name}");
                continue;
            };
            let apart = (found - expected).abs() / expected.abs().max(f64::MIN_POSITIVE);
            let allowed = allowed(pointer, case["input"]["method"].as_str().unwrap());
            assert!(
                found.to_bits() == expected.to_bits() || apart <= allowed,
                "{name}: {found} instead of {expected}"
            );
        }
    }
    assert!(900 < n_figures, "only {n_figures} figures were compared");
}

#[test]
fn a_faulty_line_costs_only_itself() {
    let arm = r#"{"n":12,"sum":60,"sum_squares":420}"#;
    let line = |id: u32, rest: &str| format!("{{\"id\":{id},\"method\":{rest}}}\n");
    let faulty = [
        (
            format!("\"compare\",\"metric\":\"mean\",\"shown\":{arm}"),
            "required",
            "/withheld",
        ),
        (
            format!(
                "\"compare\",\"metric\":\"mean\",\"shown\":{arm},\"withheld\":{{\"n\":5,\"sum\":1.5}}"
            ),
            "wrong-type",
            "/withheld/sum",
        ),
        (
            format!(
                "\"compare\",\"metric\":\"mean\",\"shown\":{arm},\"withheld\":{{\"n\":2,\"sum\":10,\"sum_squares\":9}}"
            ),
            "contradiction",
            "/withheld",
        ),
        (
            format!("\"compare\",\"metric\":\"median\",\"shown\":{arm},\"withheld\":{arm}"),
            "unknown-value",
            "/metric",
        ),
        (
            format!(
                "\"compare\",\"metric\":\"mean\",\"shown\":{arm},\"withheld\":{arm},\"alhpa\":0.1"
            ),
            "unknown-field",
            "/alhpa",
        ),
        (
            "\"srm\",\"weights\":[4],\"observed\":[1]".into(),
            "too-few",
            "/weights",
        ),
        (
            "\"srm\",\"weights\":[4,1],\"observed\":[1,2,3]".into(),
            "contradiction",
            "/observed",
        ),
        ("\"bh\",\"p\":[0.1,1.1]".into(), "out-of-range", "/p/1"),
        ("\"guess\"".into(), "unknown-value", "/method"),
    ];
    let mut lines = String::from("not json\n");
    for (place, (rest, _, _)) in (0..).zip(&faulty) {
        lines += &line(place, rest);
        lines += &line(100 + place, "\"bh\",\"p\":[0.5]");
    }
    let told = infer(&lines);
    assert_eq!(told.code, Some(3), "{}", told.err);
    assert!(told.err.contains("10 lines are faulty"), "{}", told.err);
    let answers = answers(&told);
    assert_eq!(answers[0]["error"]["code"], "malformed-json");
    for (place, (rest, code, pointer)) in faulty.iter().enumerate() {
        let (wrong, right) = (&answers[1 + 2 * place], &answers[2 + 2 * place]);
        assert_eq!(wrong["id"], place);
        assert_eq!(wrong["error"]["code"], *code, "{rest}");
        assert_eq!(wrong["error"]["pointer"], *pointer, "{rest}");
        assert_eq!(right["adjusted"][0], 0.5);
    }
}

#[test]
fn what_cannot_be_told_is_null_with_its_reason() {
    let compare = |shown: &str, withheld: &str| {
        let line = format!(
            "{{\"method\":\"compare\",\"metric\":\"mean\",\"shown\":{shown},\"withheld\":{withheld}}}"
        );
        let told = infer(&line);
        told.ok();
        answers(&told).remove(0)
    };
    let varied = r#"{"n":12,"sum":60,"sum_squares":420}"#;
    let same = compare(varied, r#"{"n":5,"sum":15,"sum_squares":45}"#);
    assert_eq!(same["difference"], Value::Null);
    assert_eq!(same["unknown"], "no-variance");
    assert_eq!(same["shown"]["mean"], 5.0);
    let nothing = compare(varied, r#"{"n":5,"sum":-1,"sum_squares":65}"#);
    assert!(nothing["difference"]["p"].is_f64());
    assert_eq!(nothing["lift"]["value"], Value::Null);
    assert_eq!(nothing["lift_delta"], Value::Null);
    assert_eq!(nothing["unknown_lift"], "withheld-mean");
    let unsure = compare(varied, r#"{"n":5,"sum":2,"sum_squares":65}"#);
    assert!(unsure["lift_delta"]["p"].is_f64());
    assert_eq!(unsure["lift"]["interval"], Value::Null);
    assert_eq!(unsure["unknown_lift"], "g-too-large");
    let only_means = compare(r#"{"n":12,"sum":60}"#, r#"{"n":5,"sum":15}"#);
    assert_eq!(only_means["difference"], Value::Null);
    let near = |pointer: &str, expected: f64| {
        let found = only_means.pointer(pointer).unwrap().as_f64().unwrap();
        assert!((found - expected).abs() < 1e-12, "{pointer}: {found}");
    };
    near("/lift/value", 2.0 / 3.0);
    near("/lift_customary", 75.0 / 17.0 / 3.0 - 1.0);
}
