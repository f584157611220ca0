//! Feeding a market over the API: the file is streamed as it lies, checked and applied there.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::cli::args::{Feed, FeedFile, FeedKind, FeedMode, Import, Validate};
use crate::cli::client::{Answer, Call, Client, Payload, Pieces, encode, with_query};
use crate::cli::events;
use crate::cli::output::{
    Failure, Format, Outcome, complaint, draws_progress, note, printable, say, show,
};

/// Bytes read from a file at once.
const PIECE_BYTES: usize = 64 << 10;

/// Most characters of a warning in words.
const BRIEF_CHARS_MAX: usize = 160;

/// Pause between two looks at an import that is still running.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Suffixes of packed files.
const PACKED: [&str; 2] = ["gz", "zst"];

/// Bytes of a file looked at to tell what it holds.
const HEAD_BYTES: u64 = 4_096;

/// Runs an `import` command that needs a server.
///
/// # Errors
/// What the server refuses, with every row error it names.
pub(in crate::cli) fn import(client: &Client, format: Format, command: &Import) -> Outcome<()> {
    match command {
        Import::Catalogue(feed) => upload(client, format, FeedKind::Catalogue, feed),
        Import::Categories(feed) => upload(client, format, FeedKind::Categories, feed),
        Import::Scores(feed) => upload(client, format, FeedKind::Scores, feed),
        Import::Events(own) => events::import(client, format, own, false),
        Import::Orders(own) => events::import(client, format, own, true),
        Import::Show { id } => {
            let answer = client.get(&format!("/v1/imports/{}", encode(id)))?;
            tell(format, &answer.body);
            Ok(())
        }
        Import::Errors { id } => errors(client, format, id),
        Import::Apply { id } => {
            let path = format!("/v1/imports/{}/apply", encode(id));
            let payload = Payload::Json(json!({ "force": true }));
            let answer = client.call(Call::new("POST", &path).with(payload))?;
            tell(format, &finished(client, answer)?);
            Ok(())
        }
        Import::Store { .. } => Err(Failure::usage("a store is imported without a server")),
    }
}

/// Checks a feed and changes nothing.
///
/// # Errors
/// What the server refuses, with every row error it names.
pub(in crate::cli) fn validate(client: &Client, format: Format, command: &Validate) -> Outcome<()> {
    let mode = FeedMode::Validate.as_str().to_owned();
    let parameters = vec![("kind", command.kind.as_str().to_owned()), ("mode", mode)];
    send(client, format, &command.feed, parameters)
}

fn upload(client: &Client, format: Format, kind: FeedKind, feed: &Feed) -> Outcome<()> {
    let parameters = vec![
        ("kind", kind.as_str().to_owned()),
        ("mode", feed.mode.as_str().to_owned()),
        ("force", feed.force.to_string()),
    ];
    send(client, format, &feed.file, parameters)
}

fn send(
    client: &Client,
    format: Format,
    feed: &FeedFile,
    mut parameters: Vec<(&str, String)>,
) -> Outcome<()> {
    let (file, n_bytes) = open(&feed.file)?;
    let market = encode(&feed.market);
    let is_mapped = feed.mapping.is_some();
    let guessed = || {
        let by_name = format_of(&feed.file);
        if is_mapped {
            by_name
        } else {
            told_apart(by_name, &head(&feed.file))
        }
    };
    let guessed = || guessed().map(str::to_owned);
    let written_as = feed.feed_format.clone().or_else(guessed);
    let media = match written_as.as_deref() {
        Some("csv" | "shopify-csv") => "text/csv",
        Some("google-tsv") => "text/tab-separated-values",
        Some("google-xml") => "application/xml",
        _ => "application/x-ndjson",
    };
    parameters.push(("max_errors", feed.max_errors.to_string()));
    parameters.extend(written_as.map(|written_as| ("format", written_as)));
    if let Some(mapping) = &feed.mapping {
        parameters.push(("mapping", store_mapping(client, &market, mapping)?));
    }
    let path = with_query(&format!("/v1/markets/{market}/imports"), &parameters);
    let bar = progress(n_bytes);
    let payload = Payload::Stream(media, n_bytes, pieces(file, bar.clone()));
    let sent = client.call(Call::new("POST", &path).with(payload));
    bar.finish_and_clear();
    let result = sent
        .and_then(|answer| finished(client, answer))
        .map_err(explain)?;
    tell(format, &result);
    Ok(())
}

/// Where more is to be had about a refused import.
fn explain(failure: Failure) -> Failure {
    let Some(import) = failure.import() else {
        return failure;
    };
    let hint = hint(failure.is("import-harmful"), &import);
    failure.hint(&hint)
}

/// Stores a mapping under the name of its file, unless it stands there already, and gives that
/// name.
fn store_mapping(client: &Client, market: &str, file: &Path) -> Outcome<String> {
    let name = file.file_stem().and_then(|stem| stem.to_str());
    let name = name.ok_or_else(|| Failure::usage("the mapping file has no readable name"))?;
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("the mapping {} cannot be read", file.display()))?;
    let mapping: Value = serde_json::from_str(&text)
        .map_err(|error| Failure::invalid(format!("{}: {error}", file.display())))?;
    let path = format!("/v1/markets/{market}/feed-mappings/{}", encode(name));
    let standing = match client.get(&path) {
        Ok(answer) => Some(answer),
        Err(failure) if failure.is("not-found") => None,
        Err(failure) => return Err(failure),
    };
    if standing.as_ref().is_some_and(|own| own.body == mapping) {
        return Ok(name.to_owned());
    }
    let etag = standing.and_then(|own| own.etag);
    let mut put = Call::new("PUT", &path).with(Payload::Json(mapping));
    if let Some(etag) = &etag {
        put = put.if_match(etag);
    }
    client.call(put)?;
    note(&format!("stored the mapping \"{name}\""));
    Ok(name.to_owned())
}

/// The end of an import: what was answered, or what comes of it in the background.
fn finished(client: &Client, answer: Answer) -> Outcome<Value> {
    let mut result = answer.body;
    if answer.status != 202 {
        return Ok(result);
    }
    let id = result["id"].as_str().unwrap_or_default().to_owned();
    let path = format!("/v1/imports/{}", encode(&id));
    let bar = spinner();
    while matches!(result["state"].as_str(), Some("receiving" | "checking")) {
        std::thread::sleep(LOOK_EVERY);
        result = client.get(&path)?.body;
        bar.set_message(format!("{} rows", result["rows"]));
        bar.tick();
    }
    bar.finish_and_clear();
    if let Some("applied" | "valid") = result["state"].as_str() {
        return Ok(result);
    }
    tell(Format::Table, &result);
    let is_harmful = result["harms"]
        .as_array()
        .is_some_and(|harms| !harms.is_empty());
    let failure = if is_harmful {
        Failure::refused("the import was held back as harmful")
    } else {
        Failure::invalid("the import was refused; nothing was changed")
    };
    Err(failure.hint(&hint(is_harmful, &id)))
}

fn hint(is_harmful: bool, id: &str) -> String {
    if is_harmful {
        format!("it is kept for a day; to let it happen: endcap import apply {id}")
    } else {
        format!("every row error: endcap import errors {id}")
    }
}

/// Every row error, one a line.
fn errors(client: &Client, format: Format, id: &str) -> Outcome<()> {
    let body = client
        .get(&format!("/v1/imports/{}/errors", encode(id)))?
        .body;
    let rows: Vec<Value> = match body {
        Value::String(lines) => lines
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect(),
        Value::Null => Vec::new(),
        one => vec![one],
    };
    match format {
        Format::Table => rows.iter().for_each(|row| say(&complaint(row))),
        other => show(other, &Value::Array(rows), &[]),
    }
    Ok(())
}

/// What came of an import.
fn tell(format: Format, result: &Value) {
    if format != Format::Table {
        return show(format, result, &[]);
    }
    for line in words(result) {
        say(&line);
    }
}

fn words(result: &Value) -> Vec<String> {
    let number = |name: &str| result[name].as_u64().unwrap_or_default();
    let word = |name: &str| result[name].as_str().unwrap_or_default().to_owned();
    let mut lines = vec![format!(
        "{} {}: {} rows; {} added, {} changed, {} removed, {} unchanged, {} rejected; {} ms",
        word("id"),
        word("state"),
        number("rows"),
        number("added"),
        number("changed"),
        number("removed"),
        number("unchanged"),
        number("rejected"),
        number("took_ms"),
    )];
    if let Some(revision) = result["revision"].as_u64() {
        lines.push(format!("visible from revision {revision}"));
    }
    for (title, name) in [("harm", "harms"), ("warning", "warnings")] {
        for entry in result[name].as_array().into_iter().flatten() {
            let text = ["text", "message", "detail"]
                .iter()
                .find_map(|name| entry[*name].as_str());
            let text = text.map_or_else(|| entry.to_string(), brief);
            lines.push(format!(
                "{title}: {text} ({})",
                entry["code"].as_str().unwrap_or_default()
            ));
        }
    }
    let errors = result["errors"].as_array();
    lines.extend(
        errors
            .into_iter()
            .flatten()
            .map(|error| format!("  {}", complaint(error))),
    );
    let n_told = errors.map_or(0, Vec::len) as u64;
    if n_told < number("rejected") {
        lines.push(format!(
            "more row errors: endcap import errors {}",
            word("id")
        ));
    }
    lines
}

/// The beginning of a text with many examples; `import show --format json` has them all.
fn brief(text: &str) -> String {
    let text = printable(text);
    if text.chars().count() <= BRIEF_CHARS_MAX {
        return text;
    }
    let begin: String = text.chars().take(BRIEF_CHARS_MAX).collect();
    let whole = begin.rsplit_once(", ").map_or(&*begin, |(whole, _)| whole);
    format!("{whole}, …")
}

/// The format that the file's name ends like, `.gz` and `.zst` left aside.
fn format_of(file: &Path) -> Option<&'static str> {
    let is_packed = |extension: &std::ffi::OsStr| PACKED.iter().any(|own| extension == *own);
    let name = match file.extension() {
        Some(extension) if is_packed(extension) => PathBuf::from(file.file_stem()?),
        _ => file.to_path_buf(),
    };
    match name.extension()?.to_str()? {
        "csv" => Some("csv"),
        "tsv" | "txt" => Some("google-tsv"),
        "xml" | "rss" | "atom" => Some("google-xml"),
        "ndjson" | "jsonl" => Some("ndjson"),
        _ => None,
    }
}

/// What begins a file; nothing of one that is packed or cannot be read, which is told later.
fn head(file: &Path) -> String {
    let mut head = Vec::new();
    if let Ok(opened) = File::open(file) {
        let _ = opened.take(HEAD_BYTES).read_to_end(&mut head);
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// The format, where the name says nothing or two formats end alike: a document, or a header with
/// tabs, is Google's, exports of Shopify begin with a handle, and Elevate's lines hold product groups.
fn told_apart(by_name: Option<&'static str>, head: &str) -> Option<&'static str> {
    let head = head.trim_start_matches(['\u{feff}', ' ', '\r', '\n']);
    let first = head.lines().next().unwrap_or_default().to_lowercase();
    let has = |sign: char, wanted: &[&str]| {
        let mut names = first.split(sign).map(|name| name.trim_matches(['"', ' ']));
        names.any(|name| wanted.contains(&name))
    };
    let by_name = by_name.or(match head.bytes().next() {
        Some(b'<') => Some("google-xml"),
        Some(b'{') => Some("ndjson"),
        _ if has('\t', &["id"]) => Some("google-tsv"),
        _ if first.contains(',') => Some("csv"),
        _ => None,
    });
    match by_name {
        Some("csv") if has(',', &["handle", "url handle"]) => Some("shopify-csv"),
        Some("ndjson") if head.contains("\"productGroup\"") => Some("elevate"),
        _ => by_name,
    }
}

/// A feed to read, and its length if it has one.
fn open(path: &Path) -> Outcome<(Box<dyn Read + Send + Sync>, Option<u64>)> {
    if path == Path::new("-") {
        return Ok((Box::new(io::stdin()), None));
    }
    let unreadable = || format!("the feed {} cannot be read", path.display());
    let file = File::open(path).with_context(unreadable)?;
    let about = file.metadata().with_context(unreadable)?;
    let n_bytes = about.is_file().then_some(about.len());
    Ok((Box::new(file), n_bytes))
}

/// The feed piece by piece; the bar moves with it.
fn pieces(mut file: Box<dyn Read + Send + Sync>, bar: ProgressBar) -> Pieces {
    let next = move || {
        let mut piece = vec![0; PIECE_BYTES];
        match file.read(&mut piece) {
            Ok(0) => None,
            Ok(n_read) => {
                piece.truncate(n_read);
                bar.inc(n_read as u64);
                Some(Ok(piece))
            }
            Err(error) => Some(Err(error)),
        }
    };
    Box::new(std::iter::from_fn(next))
}

fn progress(n_bytes: Option<u64>) -> ProgressBar {
    let Some(n_bytes) = n_bytes else {
        return spinner();
    };
    if !draws_progress() {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template("{bar:40} {bytes}/{total_bytes} {binary_bytes_per_sec}");
    let bar = ProgressBar::new(n_bytes);
    style.map_or_else(|_| bar.clone(), |style| bar.clone().with_style(style))
}

fn spinner() -> ProgressBar {
    if draws_progress() {
        ProgressBar::new_spinner()
    } else {
        ProgressBar::hidden()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_file_says_how_it_is_written() {
        let check = |name: &str, expected: Option<&str>| {
            assert_eq!(format_of(Path::new(name)), expected, "{name}");
        };
        check("a/shop.ndjson", Some("ndjson"));
        check("shop.jsonl.gz", Some("ndjson"));
        check("shop.csv.gz", Some("csv"));
        check("shop.csv.zst", Some("csv"));
        check("feed.xml", Some("google-xml"));
        check("feed.tsv", Some("google-tsv"));
        check("shop.gz", None);
        check("-", None);
    }

    #[test]
    fn the_first_line_tells_what_the_name_does_not() {
        let check = |name: &str, head: &str, expected: Option<&str>| {
            assert_eq!(
                told_apart(format_of(Path::new(name)), head),
                expected,
                "{head}"
            );
        };
        check("export", "id\titem_group_id\tprice\n", Some("google-tsv"));
        check(
            "export",
            "\u{feff}\n<rss version=\"2.0\">",
            Some("google-xml"),
        );
        check("export", "Handle,Title\n", Some("shopify-csv"));
        check("export", "sku,price\n", Some("csv"));
        check("export", "{\"op\":\"replace\"}\n", Some("ndjson"));
        check("a.csv", "\"URL handle\",Title\n", Some("shopify-csv"));
        check("a.ndjson", "{\"productGroup\":\"g\"}\n", Some("elevate"));
        check("-", "", None);
    }

    #[test]
    fn a_result_is_told_with_counts_warnings_and_errors() {
        let result = json!({
            "id": "imp_1", "state": "applied", "rows": 5, "added": 3, "changed": 1, "removed": 0,
            "unchanged": 0, "rejected": 2, "revision": 9, "took_ms": 12, "harms": [],
            "warnings": [{ "code": "unpriced", "text": "1 variant has no list price", "count": 1 }],
            "errors": [{ "row": 2, "column": "stock", "code": "bad-format", "message": "no" }],
        });
        assert_eq!(
            words(&result),
            [
                "imp_1 applied: 5 rows; 3 added, 1 changed, 0 removed, 0 unchanged, 2 rejected; 12 ms",
                "visible from revision 9",
                "warning: 1 variant has no list price (unpriced)",
                "  row 2, stock: no (bad-format)",
                "more row errors: endcap import errors imp_1",
            ]
        );
    }

    #[test]
    fn many_examples_are_cut_between_two() {
        assert_eq!(brief("2 categories: a, b"), "2 categories: a, b");
        let ids: Vec<String> = (0..100).map(|n| format!("main:c{n}")).collect();
        let told = brief(&format!("100 categories: {}", ids.join(", ")));
        assert!(told.ends_with("main:c14, …"), "{told}");
    }

    #[test]
    fn pieces_are_the_file() {
        let feed: Vec<u8> = (0..200_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        let file: Box<dyn Read + Send + Sync> = Box::new(io::Cursor::new(feed.clone()));
        let read: Vec<u8> = pieces(file, ProgressBar::hidden())
            .flat_map(Result::unwrap)
            .collect();
        assert_eq!(read, feed);
    }
}
