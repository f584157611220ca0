//! Which arms sessions get, as the server's ranks apply them.

use std::collections::BTreeMap;
use std::io::Read;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use crate::cli::client::{Call, Client, Payload, encode};
use crate::cli::output::{Format, Outcome, align, cell, plain_table, say, show};

/// Session keys of one call.
const SESSIONS_A_CALL: usize = 10_000;

/// Tell the arms of sessions.
#[derive(Debug, Args)]
pub(in crate::cli) struct Assign {
    /// Session keys; - reads them from standard input, one a line
    #[arg(value_name = "SESSION", required = true)]
    sessions: Vec<String>,
    /// The market
    #[arg(long, value_name = "M")]
    market: String,
    /// Only this measured promotion; may be repeated
    #[arg(long = "promotion", value_name = "ID")]
    promotions: Vec<String>,
}

/// Asks for the arms and prints them; as a table, also how many sessions each promotion is shown to.
///
/// # Errors
/// What the server refuses.
pub(in crate::cli) fn assign(client: &Client, format: Format, command: &Assign) -> Outcome<()> {
    let path = format!("/v1/markets/{}/assignments", encode(&command.market));
    let mut items = Vec::new();
    for sessions in sessions_of(command)?.chunks(SESSIONS_A_CALL) {
        let mut body = json!({ "session_keys": sessions });
        if !command.promotions.is_empty() {
            body["promotions"] = json!(command.promotions);
        }
        let call = Call::new("POST", &path).with(Payload::Json(body));
        if let Value::Array(own) = client.call(call)?.body["items"].take() {
            items.extend(own);
        }
    }
    if format == Format::Table {
        tell(&items);
    } else {
        show(format, &json!({ "items": items }), &[]);
    }
    Ok(())
}

fn sessions_of(command: &Assign) -> Outcome<Vec<String>> {
    if command.sessions != ["-"] {
        return Ok(command.sessions.clone());
    }
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text);
    read.context("the session keys cannot be read")?;
    Ok(text.lines().map(str::to_owned).collect())
}

fn tell(items: &[Value]) {
    let mut table = plain_table();
    table.set_header(["session", "shown", "withheld"]);
    let mut counts: BTreeMap<String, [usize; 2]> = BTreeMap::new();
    for item in items {
        let ids = |name: &str| -> Vec<String> {
            let ids = item[name].as_array().into_iter().flatten();
            ids.map(cell).collect()
        };
        let arms = ["shown", "withheld"].map(ids);
        for (arm, ids) in arms.iter().enumerate() {
            for id in ids {
                counts.entry(id.clone()).or_default()[arm] += 1;
            }
        }
        let [shown, withheld] = arms.map(|ids| ids.join(" "));
        table.add_row([cell(&item["session_key"]), shown, withheld]);
    }
    align(&mut table, [false; 3]);
    say(&table.to_string());
    if counts.is_empty() {
        say("no promotion is measured in this market now");
    }
    let mut table = plain_table();
    table.set_header(["promotion", "shown", "withheld"]);
    align(&mut table, [false, true, true]);
    for (id, [shown, withheld]) in &counts {
        table.add_row([id.clone(), shown.to_string(), withheld.to_string()]);
    }
    if 1 < items.len() && !counts.is_empty() {
        say("");
        say(&table.to_string());
    }
}
