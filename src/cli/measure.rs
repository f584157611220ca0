//! Whether a measured promotion helped, as a page of text; its figures as files.

use std::thread;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};

use crate::cli::client::{Call, Client, Payload, encode};
use crate::cli::output::{Failure, Format, Outcome, align, cell, plain_table, say, show};

/// Between two looks of `--watch`.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// Tell whether a measured promotion helped.
#[derive(Debug, Args)]
pub(in crate::cli) struct Measure {
    /// Id of the promotion
    #[arg(value_name = "PROMO")]
    promotion: String,
    /// Only in this market
    #[arg(long, value_name = "M")]
    market: Option<String>,
    /// What of a session is compared: promoted, what the promotion holds, or basket, everything
    #[arg(long, default_value = "promoted")]
    scope: String,
    /// Number of the measured stretch; the last one without it
    #[arg(long, value_name = "N")]
    epoch: Option<u32>,
    /// Compare money of sessions as it is, not capped
    #[arg(long)]
    uncapped: bool,
    /// Tell again whenever something has changed
    #[arg(long)]
    watch: bool,
}

/// Which figures of a market.
#[derive(Debug, Args)]
pub(in crate::cli) struct Figures {
    /// The market
    #[arg(long, value_name = "M")]
    market: String,
    /// Only this promotion; rollups know none
    #[arg(long, value_name = "ID")]
    promotion: Option<String>,
    /// First local day, such as 2027-03-09; results know no days
    #[arg(long, value_name = "DAY")]
    from: Option<String>,
    /// Last local day, included
    #[arg(long, value_name = "DAY")]
    to: Option<String>,
}

/// Prints figures as CSV, or one JSON object a line if JSON is asked for.
///
/// # Errors
/// What the server refuses.
pub(in crate::cli) fn export(
    client: &Client,
    format: Format,
    kind: &str,
    figures: &Figures,
) -> Outcome<()> {
    let written = if format == Format::Table {
        "csv"
    } else {
        "ndjson"
    };
    let mut asked = json!({ "kind": kind, "format": written, "market": figures.market });
    for (name, value) in [
        ("promotion", &figures.promotion),
        ("from", &figures.from),
        ("to", &figures.to),
    ] {
        if let Some(value) = value {
            asked[name] = json!(value);
        }
    }
    let made = client.call(Call::new("POST", "/v1/exports").with(Payload::Json(asked)))?;
    match client.get(&cell(&made.body["content"]))?.body {
        Value::Null => {}
        Value::String(text) => say(text.trim_end()),
        row => say(&row.to_string()),
    }
    Ok(())
}

/// Prints the results of each market of a promotion.
///
/// # Errors
/// What the server refuses, such as a promotion that is not measured.
pub(in crate::cli) fn measure(client: &Client, format: Format, command: &Measure) -> Outcome<()> {
    let path = format!("/v1/promotions/{}", encode(&command.promotion));
    let promotion = client.call(Call::new("GET", &path))?.body;
    let markets = match &command.market {
        Some(market) => vec![market.clone()],
        None => texts(&promotion["markets"]),
    };
    let mut told: Vec<Value> = vec![Value::Null; markets.len()];
    loop {
        for (market, last) in markets.iter().zip(&mut told) {
            let results = client.call(Call::new("GET", &question(&path, market, command)))?;
            let mut now = results.body;
            let as_of = now["as_of"].take();
            if *last == now {
                continue;
            }
            last.clone_from(&now);
            now["as_of"] = as_of;
            if format == Format::Table {
                say(&page(&cell(&promotion["name"]), &now));
            } else {
                show(format, &now, &[]);
            }
        }
        if markets.is_empty() {
            return Err(Failure::refused("the promotion runs in no market"));
        }
        if !command.watch {
            return Ok(());
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn question(path: &str, market: &str, command: &Measure) -> String {
    let (market, scope) = (encode(market), encode(&command.scope));
    let cap = if command.uncapped { "off" } else { "on" };
    let mut question = format!("{path}/results?market={market}&scope={scope}&cap={cap}");
    if let Some(epoch) = command.epoch {
        question = format!("{question}&epoch={epoch}");
    }
    question
}

fn texts(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().map(cell).collect()
}

fn page(name: &str, results: &Value) -> String {
    let epoch = &results["epoch"];
    let (verdict, health) = (&results["verdict"], &results["health"]);
    let mut lines = vec![
        format!(
            "\"{name}\" in {}, stretch {}: shown to {} % of sessions from {} to {}, {}",
            cell(&results["market"]),
            cell(&epoch["number"]),
            cell(&epoch["share_shown_percent"]),
            cell(&epoch["start"]),
            cell(&epoch["end"]),
            cell(&results["state"]),
        ),
        format!("{}: {}", cell(&verdict["code"]), cell(&verdict["text"])),
        cell(&verdict["basket"]),
    ];
    if verdict["need"].is_number() {
        lines.push(format!(
            "sessions: {} of {} for a lift of 5 %, {} days more",
            cell(&verdict["have"]),
            number(&verdict["need"], 0),
            cell(&verdict["days"])
        ));
    }
    lines.extend([
        String::new(),
        sessions(&health["sessions"]),
        checks(health),
        String::new(),
        metrics(results),
    ]);
    let money = &results["money"];
    for (name, text) in [
        ("gained", "gained so far"),
        ("per_day", "a day, if everybody saw it"),
        ("price_of_withholding", "price of withholding"),
    ] {
        let amount = &money[name];
        if amount.is_object() {
            let [low, high] = [0, 1].map(|end| cell(&amount["interval"][end]));
            let (value, currency) = (cell(&amount["value"]), cell(&results["currency"]));
            lines.push(format!("{text}: {value} {currency}, {low} to {high}"));
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

fn sessions(levels: &Value) -> String {
    let mut table = plain_table();
    table.set_header(["sessions", "shown", "withheld", "p"]);
    for (name, words) in [
        ("t0", "assigned"),
        ("t1", "reachable"),
        ("t2", "page differs"),
        ("excluded", "left out"),
    ] {
        let own = &levels[name];
        table.add_row([
            words.to_owned(),
            cell(&own["shown"]),
            cell(&own["withheld"]),
            number(&own["p"], 4),
        ]);
    }
    align(&mut table, [false, true, true, true]);
    table.trim_fmt()
}

fn checks(health: &Value) -> String {
    let percent = |name: &str| format!("{} %", cell(&health[name]));
    format!(
        "right arm {}, tickets of others {}, late {}, revenue with a cost {}",
        percent("arm_check_percent"),
        percent("foreign_percent"),
        percent("late_percent"),
        percent("profit_coverage_percent")
    )
}

/// All metrics so far, and the comparison of its mature days; the primary one is marked.
fn metrics(results: &Value) -> String {
    let is_anytime = results["epoch"]["plan"] == "anytime";
    let (interval, p) = if is_anytime {
        ("interval_always", "p_always")
    } else {
        ("interval_fixed", "p_fixed")
    };
    let mut table = plain_table();
    table.set_header([
        "per session so far",
        "shown",
        "withheld",
        "lift %",
        "95 % interval",
        "p",
        "adjusted",
        "",
    ]);
    for own in results["metrics"].as_array().into_iter().flatten() {
        let mark = if own["primary"] == true { " *" } else { "" };
        let lift = &own["lift_percent"];
        let ends = [0, 1].map(|end| number(&lift[interval][end], 1));
        let between = if lift[interval].is_array() {
            ends.join(" to ")
        } else {
            cell(&Value::Null)
        };
        let why = [&own["unknown"], &own["unknown_lift"]];
        let why: Vec<String> = why
            .into_iter()
            .filter(|own| own.is_string())
            .map(why_not)
            .collect();
        table.add_row([
            format!("{}{mark}", cell(&own["metric"])),
            number(&own["shown"]["mean"], 4),
            number(&own["withheld"]["mean"], 4),
            number(&lift["value"], 1),
            between,
            number(&own["difference"][p], 4),
            number(&own["difference"]["p_adjusted"], 4),
            why.join(", "),
        ]);
    }
    align(
        &mut table,
        [false, true, true, true, false, true, true, false],
    );
    table.trim_fmt()
}

fn why_not(code: &Value) -> String {
    match code.as_str() {
        Some("start-rule") => "too early".to_owned(),
        _ => cell(code),
    }
}

fn number(value: &Value, decimals: usize) -> String {
    match value.as_f64() {
        Some(number) => format!("{number:.decimals$}"),
        None => cell(value),
    }
}
