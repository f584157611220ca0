//! What a command says, and the code it ends with.

use std::fmt::Write as _;
use std::io::IsTerminal;
use std::process::ExitCode;

use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value;

use crate::cli::client::Answer;

/// What a command gives.
pub(in crate::cli) type Outcome<T> = Result<T, Failure>;

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum Format {
    /// Columns for people.
    Table,
    /// One JSON document.
    Json,
    /// One JSON object a line.
    Ndjson,
}

/// Why a command did not do what it was told.
#[derive(Debug)]
pub(in crate::cli) struct Failure {
    code: u8,
    text: String,
}

impl Failure {
    /// Something went wrong: exit code 1.
    pub(in crate::cli) fn failed(text: impl Into<String>) -> Self {
        Self { code: 1, text: text.into() }
    }

    /// The command line makes no sense: exit code 2.
    pub(in crate::cli) fn usage(text: impl Into<String>) -> Self {
        Self { code: 2, text: text.into() }
    }

    /// The input is invalid: exit code 3.
    pub(in crate::cli) fn invalid(text: impl Into<String>) -> Self {
        Self { code: 3, text: text.into() }
    }

    /// Nobody answers: exit code 6.
    pub(in crate::cli) fn unreachable(text: impl Into<String>) -> Self {
        Self { code: 6, text: text.into() }
    }

    /// Data is damaged: exit code 7.
    pub(in crate::cli) fn damaged(text: impl Into<String>) -> Self {
        Self { code: 7, text: text.into() }
    }

    /// What a problem document says, with all its complaints.
    pub(in crate::cli) fn of_problem(answer: &Answer) -> Self {
        let body = &answer.body;
        let word = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let mut text = format!("{} {}: {}", answer.status, word("code"), word("detail"));
        for error in body["errors"].as_array().into_iter().flatten() {
            let place = error["pointer"].as_str().map(str::to_owned).unwrap_or_else(|| {
                format!("row {} {}", error["row"], error["column"].as_str().unwrap_or_default())
            });
            let message = error["message"].as_str().unwrap_or_default();
            let _ = write!(text, "\n  {place}: {} ({})", message, error["code"].as_str().unwrap_or_default());
            if let Some(meant) = error["did_you_mean"].as_str() {
                let _ = write!(text, ", did you mean \"{meant}\"?");
            }
        }
        let code = match answer.status {
            400 | 413..=415 | 422 => 3,
            401 | 403 => 5,
            404 => 1,
            409 | 410 | 412 | 428 => 4,
            429 | 502..=504 => 6,
            _ => 1,
        };
        Self { code, text }
    }
}

/// Ends the process's work: prints a failure and gives its code.
pub(in crate::cli) fn finish(outcome: Outcome<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            note(&format!("endcap: {}", failure.text));
            ExitCode::from(failure.code)
        }
    }
}

/// Says something on stderr.
pub(in crate::cli) fn note(text: &str) {
    eprintln!("{text}");
}

/// Says a result on stdout; a closed pipe is the reader's choice, not a failure.
pub(in crate::cli) fn say(text: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{text}").is_err() {
        std::process::exit(0);
    }
}

/// Prints one object, or the rows of a list.
pub(in crate::cli) fn show(format: Format, value: &Value, columns: &[&str]) {
    match format {
        Format::Json => say(&format!("{value:#}")),
        Format::Ndjson => match value["items"].as_array().or_else(|| value.as_array()) {
            Some(items) => items.iter().for_each(|item| say(&item.to_string())),
            None => say(&value.to_string()),
        },
        Format::Table => say(&table(value, columns)),
    }
}

/// Rows under the named columns; a single object as name and value.
fn table(value: &Value, columns: &[&str]) -> String {
    let items = value["items"].as_array().or_else(|| value.as_array());
    let mut table = plain_table();
    match items {
        Some(items) => {
            table.set_header(columns.iter().map(|column| column.replace('_', " ")));
            for item in items {
                table.add_row(columns.iter().map(|column| cell(&item[*column])));
            }
        }
        None => {
            for (name, inner) in value.as_object().into_iter().flatten() {
                if columns.is_empty() || columns.contains(&name.as_str()) {
                    table.add_row([name.replace('_', " "), cell(inner)]);
                }
            }
        }
    }
    table.to_string()
}

/// A table without frames: columns, a rule below the header.
pub(in crate::cli) fn plain_table() -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if !std::io::stdout().is_terminal() {
        table.force_no_tty();
    }
    table
}

/// One value as a person reads it.
pub(in crate::cli) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(entries) if entries.iter().all(|entry| !entry.is_object()) => {
            entries.iter().map(cell).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

/// Whether progress is worth drawing.
pub(in crate::cli) fn draws_progress() -> bool {
    std::io::stderr().is_terminal()
}
