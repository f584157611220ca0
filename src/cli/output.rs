//! What a command says, and the code it ends with.
//!
//! Results go to standard output, everything else to standard error. Colours and bars come from
//! `clap` and `indicatif`, which keep to `NO_COLOR`; here nothing is coloured.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};
use std::process::ExitCode;

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde_json::Value;

use crate::cli::client::Answer;
use crate::feed::export::Written;

/// What a command gives.
pub(in crate::cli) type Outcome<T> = Result<T, Failure>;

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(in crate::cli) enum Format {
    /// Columns for people
    Table,
    /// One JSON document
    Json,
    /// One JSON object a line
    Ndjson,
    /// Of `generate` alone: Google's product data as TSV
    #[value(hide = true)]
    GoogleTsv,
    /// Of `generate` alone: Google's product data as XML
    #[value(hide = true)]
    GoogleXml,
    /// Of `generate` alone: Shopify's product export
    #[value(hide = true)]
    ShopifyCsv,
}

impl Format {
    /// The format of feeds that it is, if it is one.
    pub(in crate::cli) fn written(self) -> Option<Written> {
        match self {
            Self::Table | Self::Json | Self::Ndjson => None,
            Self::GoogleTsv => Some(Written::GoogleTsv),
            Self::GoogleXml => Some(Written::GoogleXml),
            Self::ShopifyCsv => Some(Written::ShopifyCsv),
        }
    }
}

/// Why a command did not do what it was told.
#[derive(Debug)]
pub(in crate::cli) struct Failure {
    code: u8,
    text: String,
    /// What the server answered, if it did.
    problem: Value,
}

impl Failure {
    fn new(code: u8, text: impl Into<String>) -> Self {
        Self {
            code,
            text: text.into(),
            problem: Value::Null,
        }
    }

    /// Something went wrong: exit code 1.
    pub(in crate::cli) fn failed(text: impl Into<String>) -> Self {
        Self::new(1, text)
    }

    /// The command line or the settings make no sense: exit code 2.
    pub(in crate::cli) fn usage(text: impl Into<String>) -> Self {
        Self::new(2, text)
    }

    /// The input is invalid: exit code 3.
    pub(in crate::cli) fn invalid(text: impl Into<String>) -> Self {
        Self::new(3, text)
    }

    /// What stands does not allow it: exit code 4.
    pub(in crate::cli) fn refused(text: impl Into<String>) -> Self {
        Self::new(4, text)
    }

    /// Nobody answers: exit code 6.
    pub(in crate::cli) fn unreachable(text: impl Into<String>) -> Self {
        Self::new(6, text)
    }

    /// Data is damaged: exit code 7.
    pub(in crate::cli) fn damaged(text: impl Into<String>) -> Self {
        Self::new(7, text)
    }

    /// What a problem document says, with all its complaints.
    pub(in crate::cli) fn of_problem(answer: &Answer) -> Self {
        let text = words_of_problem(answer);
        Self {
            code: code_of_status(answer.status),
            text,
            problem: answer.body.clone(),
        }
    }

    /// Whether the server answered a problem of this code.
    pub(in crate::cli) fn is(&self, code: &str) -> bool {
        self.problem["code"] == code
    }

    /// The import that the server's answer is about.
    pub(in crate::cli) fn import(&self) -> Option<String> {
        self.problem["import"].as_str().map(str::to_owned)
    }

    /// The same, and what to do about it.
    pub(in crate::cli) fn hint(mut self, hint: &str) -> Self {
        self.text.push('\n');
        self.text.push_str(hint);
        self
    }

    /// What went wrong, for people.
    #[cfg(test)]
    pub(in crate::cli) fn text(&self) -> &str {
        &self.text
    }

    /// What the process ends with.
    #[cfg(test)]
    pub(in crate::cli) fn code(&self) -> u8 {
        self.code
    }
}

/// What the system says, with what was tried: exit code 1.
impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::failed(format!("{error:#}"))
    }
}

fn code_of_status(status: u16) -> u8 {
    match status {
        400 | 413..=415 | 422 | 431 => 3,
        401 | 403 => 5,
        409 | 410 | 412 | 428 => 4,
        429 | 502..=504 => 6,
        _ => 1,
    }
}

fn words_of_problem(answer: &Answer) -> String {
    let body = &answer.body;
    let status = answer.status;
    let Some(code) = body["code"].as_str() else {
        return format!("the server answered {status}, but not as endcap does");
    };
    let detail = body["detail"]
        .as_str()
        .or_else(|| body["title"].as_str())
        .unwrap_or_default();
    let mut text = format!("{detail} ({code})");
    if let Some((line, column)) = body["line"].as_u64().zip(body["column"].as_u64()) {
        let _ = write!(text, ", line {line} column {column}");
    }
    for error in body["errors"].as_array().into_iter().flatten() {
        text.push_str("\n  ");
        text.push_str(&complaint(error));
    }
    if code == "key-missing" {
        text.push_str("\nname a key with --key-file, or put it into ENDCAP_KEY");
    }
    if let Some(seconds) = &answer.retry_after {
        let _ = write!(text, "\ntry again in {seconds} s");
    }
    if let Some(request) = body["request_id"].as_str().filter(|_| 500 <= status) {
        let _ = write!(text, "\nthe server's log has more under {request}");
    }
    text
}

/// Text as a terminal may get it: what steers one is shown as what it is.
pub(in crate::cli) fn printable(text: &str) -> String {
    let shown = |character: char| {
        if character.is_control() {
            character.escape_default().to_string()
        } else {
            character.to_string()
        }
    };
    text.chars().map(shown).collect()
}

/// One fault of a field or of a row of a feed.
pub(in crate::cli) fn complaint(error: &Value) -> String {
    let word = |name: &str| error[name].as_str().unwrap_or_default();
    let place = match (
        error["pointer"].as_str(),
        error["row"].as_u64(),
        word("column"),
    ) {
        (Some(""), ..) => "the whole".to_owned(),
        (Some(pointer), ..) => pointer.to_owned(),
        (None, Some(row), "") => format!("row {row}"),
        (None, Some(row), column) => format!("row {row}, {column}"),
        (None, None, column) => column.to_owned(),
    };
    let mut text = format!("{place}: {} ({})", word("message"), word("code"));
    if let Some(meant) = error["did_you_mean"].as_str() {
        let _ = write!(text, ", did you mean \"{meant}\"?");
    }
    printable(&text)
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

/// Says something on standard error; if nobody listens, nobody is told.
pub(in crate::cli) fn note(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Says a result on standard output; a closed pipe is the reader's choice, not a failure.
pub(in crate::cli) fn say(text: &str) {
    if writeln!(std::io::stdout().lock(), "{text}").is_err() {
        std::process::exit(0);
    }
}

/// Prints one object, or the rows of a list under the named columns. A column `a.b` is field `b`
/// of field `a`.
pub(in crate::cli) fn show(format: Format, value: &Value, columns: &[&str]) {
    match format {
        Format::Json => say(&format!("{value:#}")),
        Format::Ndjson => match rows(value) {
            Some(rows) => rows.iter().for_each(|row| say(&row.to_string())),
            None => say(&value.to_string()),
        },
        _ => say(&words(value, columns)),
    }
}

fn rows(value: &Value) -> Option<&Vec<Value>> {
    value["items"].as_array().or_else(|| value.as_array())
}

/// Rows under the named columns; a single object as name and value, a part of a part as `a.b`.
fn words(value: &Value, columns: &[&str]) -> String {
    let mut table = plain_table();
    if let Some(rows) = rows(value) {
        table.set_header(columns.iter().map(|column| heading(column)));
        for row in rows {
            table.add_row(columns.iter().map(|column| cell(at(row, column))));
        }
        let is_number = |column: &str| rows.iter().any(|row| at(row, column).is_number());
        align(&mut table, columns.iter().map(|column| is_number(column)));
    } else {
        add_parts(&mut table, "", value, columns);
        align(&mut table, [false, false]);
    }
    table.trim_fmt()
}

fn add_parts(table: &mut Table, before: &str, value: &Value, columns: &[&str]) {
    for (name, inner) in value.as_object().into_iter().flatten() {
        let wanted = columns.is_empty() || !before.is_empty() || columns.contains(&name.as_str());
        let path = format!("{before}{}", name.replace('_', " "));
        match inner {
            _ if !wanted => {}
            Value::Object(parts) if !parts.is_empty() => {
                add_parts(table, &format!("{path}."), inner, columns);
            }
            _ => {
                table.add_row([path, cell(inner)]);
            }
        }
    }
}

/// The field at `a.b`; null if there is none.
fn at<'a>(row: &'a Value, path: &str) -> &'a Value {
    path.split('.').fold(row, |value, name| &value[name])
}

fn heading(column: &str) -> String {
    column
        .rsplit('.')
        .next()
        .unwrap_or_default()
        .replace('_', " ")
}

/// A table without frames, as wide as the terminal where there is one.
pub(in crate::cli) fn plain_table() -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic);
    if !std::io::stdout().is_terminal() {
        table.force_no_tty();
    }
    table
}

/// Puts the columns of numbers to the right; no column is indented.
pub(in crate::cli) fn align(table: &mut Table, is_number: impl IntoIterator<Item = bool>) {
    for (column, is_number) in table.column_iter_mut().zip(is_number) {
        column.set_padding((0, 2));
        if is_number {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// One value as a person reads it.
pub(in crate::cli) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "–".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => printable(text),
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn answer(status: u16, body: Value) -> Answer {
        Answer {
            status,
            body,
            ..Answer::default()
        }
    }

    #[track_caller]
    fn check_code(status: u16, expected: u8) {
        let failure = Failure::of_problem(&answer(status, json!({ "code": "x" })));
        assert_eq!(failure.code, expected, "{status}");
    }

    #[test]
    fn each_status_has_its_exit_code() {
        for status in [400, 413, 414, 415, 422, 431] {
            check_code(status, 3);
        }
        for status in [409, 410, 412, 428] {
            check_code(status, 4);
        }
        for status in [401, 403] {
            check_code(status, 5);
        }
        for status in [429, 502, 503, 504] {
            check_code(status, 6);
        }
        for status in [404, 405, 406, 500, 507] {
            check_code(status, 1);
        }
    }

    #[test]
    fn all_complaints_are_told_with_place_and_suggestion() {
        let body = json!({ "code": "invalid", "detail": "2 fields need attention", "errors": [
            { "pointer": "/name", "code": "too-long", "message": "at most 50 characters" },
            { "pointer": "/selection/atr", "code": "unknown-field", "message": "no field \"atr\"",
              "did_you_mean": "attr" },
            { "row": 7, "column": "price", "code": "bad-format", "message": "expected a number" },
            { "row": 8, "column": "", "code": "bad-format", "message": "not JSON" },
        ] });
        let failure = Failure::of_problem(&answer(422, body));
        let expected = "2 fields need attention (invalid)\n  \
            /name: at most 50 characters (too-long)\n  \
            /selection/atr: no field \"atr\" (unknown-field), did you mean \"attr\"?\n  \
            row 7, price: expected a number (bad-format)\n  \
            row 8: not JSON (bad-format)";
        assert_eq!(failure.text, expected);
    }

    #[test]
    fn what_a_feed_holds_does_not_steer_the_terminal() {
        let error = json!({ "row": 3, "code": "bad-format", "message": "found \"\u{1b}[31m\n\"" });
        assert_eq!(
            complaint(&error),
            r#"row 3: found "\u{1b}[31m\n" (bad-format)"#
        );
        assert_eq!(cell(&json!("a\u{7}b")), r"a\u{7}b");
    }

    #[test]
    fn places_waits_and_requests_are_told() {
        let body = json!({ "code": "malformed-json", "detail": "no JSON", "line": 3, "column": 9 });
        let failure = Failure::of_problem(&answer(400, body));
        assert_eq!(failure.text, "no JSON (malformed-json), line 3 column 9");
        let body = json!({ "code": "overloaded", "detail": "too much", "request_id": "req_1" });
        let busy = Answer {
            retry_after: Some("2".to_owned()),
            ..answer(503, body)
        };
        let expected = "too much (overloaded)\ntry again in 2 s\n\
            the server's log has more under req_1";
        assert_eq!(Failure::of_problem(&busy).text, expected);
        let foreign = answer(404, json!("<html>"));
        assert!(
            Failure::of_problem(&foreign)
                .text
                .contains("not as endcap does")
        );
    }

    #[test]
    fn lists_become_rows_and_objects_names_with_values() {
        let list = json!({ "items": [
            { "id": "a", "n": 5, "resolved": { "start": "now" } },
            { "id": "b", "n": null },
        ] });
        let text = words(&list, &["id", "n", "resolved.start"]);
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            lines,
            [
                vec!["id", "n", "start"],
                vec!["a", "5", "now"],
                vec!["b", "–", "–"]
            ]
        );
        let one = json!({ "id": "a", "is_on": true, "selection": { "handpicked": ["x", "y"] } });
        let text = words(&one, &[]);
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        assert!(
            lines[1].starts_with("is on") && lines[1].ends_with("yes"),
            "{text}"
        );
        assert!(lines[2].starts_with("selection.handpicked"), "{text}");
        assert!(lines[2].ends_with("x, y"), "{text}");
        assert_eq!(words(&one, &["id"]).lines().count(), 1);
    }
}
