//! Events and orders of a file, sent to a running server.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use anyhow::Context;
use clap::Args;
use serde_json::{Value, json};

use crate::cli::client::{Call, Client, Payload};
use crate::cli::output::{Failure, Format, Outcome, align, cell, plain_table, say, show};

/// Events of one call, and their bytes.
const EVENTS_MAX: usize = 1_000;
const BYTES_MAX: usize = 1 << 20;

/// How lines are sent.
const NDJSON: &str = "application/x-ndjson";

/// How often a call is repeated that the server has no room for, and how long after.
const REPEATS: u32 = 5;
const REPEAT_AFTER: Duration = Duration::from_secs(1);

/// Refused lines that a table shows.
const SHOWN_MAX: usize = 20;

/// Events of a file.
#[derive(Debug, Args)]
pub(in crate::cli) struct EventFile {
    /// One JSON object a line, as the API takes them; - for standard input
    file: PathBuf,
    /// The market of lines that name none
    #[arg(long, value_name = "M")]
    market: String,
}

/// What became of all lines.
#[derive(Debug, Default)]
struct Told {
    counts: [u64; COUNTS.len()],
    rejected: Vec<Value>,
}

const COUNTS: [&str; 5] = ["received", "accepted", "duplicate", "ignored", "rounded"];

/// Sends a file's events, or its orders, call by call; a call may be repeated, since ids count once.
///
/// # Errors
/// Exit code 3 if a line was refused; the others count.
pub(in crate::cli) fn import(
    client: &Client,
    format: Format,
    command: &EventFile,
    are_orders: bool,
) -> Outcome<()> {
    let mut told = Told::default();
    let (mut call, mut rows) = (String::new(), Vec::new());
    for (line, row) in open(&command.file)?.lines().zip(1_u64..) {
        let line = line.with_context(|| format!("line {row} cannot be read"))?;
        if line.trim().is_empty() {
            continue;
        }
        let line = filled(line.trim(), &command.market, are_orders);
        if EVENTS_MAX <= rows.len() || BYTES_MAX <= call.len() + line.len() {
            send(client, &mut call, &mut rows, &mut told)?;
        }
        call.push_str(&line);
        call.push('\n');
        rows.push(row);
    }
    send(client, &mut call, &mut rows, &mut told)?;
    tell(format, &mut told)
}

/// A line with the market, and the type of an order, if it names none; else as it is, so that the
/// server sees and names whatever is wrong with it.
fn filled(line: &str, market: &str, is_order: bool) -> String {
    let Ok(Value::Object(event)) = serde_json::from_str(line) else {
        return line.to_owned();
    };
    let mut missing = Vec::new();
    if !event.contains_key("market") && !line.contains("\"ticket\"") {
        missing.push(("market", market));
    }
    if is_order && !event.contains_key("type") {
        missing.push(("type", "purchase"));
    }
    let mut filled = line.to_owned();
    for (name, value) in missing {
        let comma = if event.is_empty() { "" } else { "," };
        let value = json!(value);
        filled.insert_str(1, &format!("\"{name}\":{value}{comma}"));
    }
    filled
}

fn open(file: &Path) -> Outcome<Box<dyn BufRead>> {
    if file == Path::new("-") {
        return Ok(Box::new(BufReader::new(io::stdin())));
    }
    let opened = File::open(file);
    let opened = opened.with_context(|| format!("{} cannot be opened", file.display()))?;
    Ok(Box::new(BufReader::new(opened)))
}

fn send(client: &Client, call: &mut String, rows: &mut Vec<u64>, told: &mut Told) -> Outcome<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let body = std::mem::take(call).into_bytes();
    let rows = std::mem::take(rows);
    let mut left = REPEATS;
    let answer = loop {
        let pieces = Box::new(std::iter::once(Ok(body.clone())));
        let payload = Payload::Stream(NDJSON, Some(body.len() as u64), pieces);
        match client.call(Call::new("POST", "/v1/events").with(payload)) {
            Err(failure) if left > 0 && has_no_room(&failure) => {
                left -= 1;
                thread::sleep(REPEAT_AFTER);
            }
            sent => break sent?.body,
        }
    };
    for (count, name) in told.counts.iter_mut().zip(COUNTS) {
        *count += answer[name].as_u64().unwrap_or(0);
    }
    for rejected in answer["rejected"].as_array().into_iter().flatten() {
        let index = rejected["index"]
            .as_u64()
            .and_then(|index| usize::try_from(index).ok());
        let row = index.and_then(|index| rows.get(index));
        told.rejected.push(
            json!({ "row": row, "id": rejected["id"], "code": rejected["code"],
            "detail": rejected["detail"] }),
        );
    }
    Ok(())
}

fn has_no_room(failure: &Failure) -> bool {
    [
        "rate-limited",
        "overloaded",
        "event-log-full",
        "store-unavailable",
    ]
    .iter()
    .any(|code| failure.is(code))
}

fn tell(format: Format, told: &mut Told) -> Outcome<()> {
    told.rejected.sort_by_key(|own| own["row"].as_u64());
    let n_rejected = told.rejected.len();
    if format == Format::Table {
        let counts: Vec<String> = COUNTS
            .iter()
            .zip(told.counts)
            .filter(|(name, count)| *count > 0 || ["received", "accepted"].contains(*name))
            .map(|(name, count)| format!("{count} {name}"))
            .collect();
        say(&format!("{}, {n_rejected} refused", counts.join(", ")));
        if n_rejected > 0 {
            let mut table = plain_table();
            table.set_header(["row", "id", "code", "detail"]);
            for own in told.rejected.iter().take(SHOWN_MAX) {
                table.add_row(["row", "id", "code", "detail"].map(|name| cell(&own[name])));
            }
            align(&mut table, [true, false, false, false]);
            say(&table.trim_fmt());
        }
    } else {
        let mut all = serde_json::Map::new();
        for (name, count) in COUNTS.iter().zip(told.counts) {
            all.insert((*name).to_owned(), json!(count));
        }
        all.insert("rejected".to_owned(), Value::Array(told.rejected.clone()));
        show(format, &Value::Object(all), &[]);
    }
    if n_rejected == 0 {
        return Ok(());
    }
    Err(Failure::invalid(format!(
        "{n_rejected} lines were refused; the others count"
    )))
}
