//! What merchandisers do: promotions and demotions, over the API.

use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use serde_json::Value;

use crate::cli::args::Promo;
use crate::cli::client::{Call, Client, Payload, encode, with_query};
use crate::cli::output::{Failure, Format, Outcome, note, show};

/// What a change shows of the promotion it left.
const CHANGED: [&str; 5] = ["id", "name", "state", "resolved", "revision"];

/// Columns of a list.
const LISTED: [&str; 8] = [
    "id",
    "name",
    "kind",
    "level",
    "state",
    "markets",
    "resolved.start",
    "resolved.end",
];

/// Runs a `promo` command.
///
/// # Errors
/// What the server refuses.
pub(in crate::cli) fn promo(client: &Client, format: Format, command: &Promo) -> Outcome<()> {
    match command {
        Promo::List { market, state } => {
            let filters = [("market", market), ("state", state)];
            let set = filters
                .iter()
                .filter_map(|(name, value)| Some((*name, (*value).clone()?)));
            let path = with_query("/v1/promotions", &set.collect::<Vec<_>>());
            show(format, &client.list(&path)?, &LISTED);
        }
        Promo::Show { id } => show(format, &client.get(&path_of(id))?.body, &[]),
        Promo::Create { file } => create(client, format, file)?,
        // Stopping must never lose a race, so it does not ask what others did meanwhile.
        Promo::Suspend { id } => step(client, format, id, "suspend", "*")?,
        Promo::End { id } => step(client, format, id, "end", "*")?,
        Promo::Resume { id } => {
            let etag = client.get(&path_of(id))?.etag;
            let etag = etag.ok_or_else(|| Failure::failed("the server named no revision"))?;
            step(client, format, id, "resume", &etag)?;
        }
    }
    Ok(())
}

fn path_of(id: &str) -> String {
    format!("/v1/promotions/{}", encode(id))
}

fn create(client: &Client, format: Format, file: &Path) -> Outcome<()> {
    let call = Call::new("POST", "/v1/promotions").with(Payload::Json(read_json(file)?));
    let created = client.call(call)?.body;
    let warnings = created["warnings"].as_array().into_iter().flatten();
    warnings.for_each(|own| note(&format!("warning: {}", warning(own))));
    show(format, &created, &CHANGED);
    Ok(())
}

fn step(client: &Client, format: Format, id: &str, verb: &str, etag: &str) -> Outcome<()> {
    let path = format!("{}/{verb}", path_of(id));
    let answer = client.call(Call::new("POST", &path).if_match(etag))?;
    show(format, &answer.body, &CHANGED);
    Ok(())
}

/// One remark of lint: where, what, in which market.
fn warning(remark: &Value) -> String {
    let word = |name: &str| remark[name].as_str().unwrap_or_default();
    let mut text = String::new();
    if !word("pointer").is_empty() {
        let _ = write!(text, "{}: ", word("pointer"));
    }
    text.push_str(word("detail"));
    if let Some(market) = remark["market"].as_str() {
        let _ = write!(text, ", in {market}");
    }
    let _ = write!(text, " ({})", word("code"));
    if let Some(meant) = remark["did_you_mean"].as_str() {
        let _ = write!(text, ", did you mean \"{meant}\"?");
    }
    text
}

/// A JSON document from a file, or from standard input.
///
/// # Errors
/// Exit code 3 with line and column if it is no JSON.
fn read_json(file: &Path) -> Outcome<Value> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map(|_| ())
    } else {
        std::fs::read_to_string(file).map(|read| text = read)
    };
    read.with_context(|| format!("{} cannot be read", file.display()))?;
    serde_json::from_str(&text)
        .map_err(|error| Failure::invalid(format!("{}: {error}", file.display())))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_remark_is_told_in_words_with_its_place() {
        let unmeasured = json!({ "code": "unmeasured", "detail": "not measured", "pointer": "" });
        assert_eq!(warning(&unmeasured), "not measured (unmeasured)");
        let unknown = json!({
            "code": "unknown-value", "detail": "no variant has this value", "market": "se",
            "pointer": "/selection/rule_sets/0/rules/0/in/0", "did_you_mean": "Nordvik",
        });
        assert_eq!(
            warning(&unknown),
            "/selection/rule_sets/0/rules/0/in/0: no variant has this value, in se \
             (unknown-value), did you mean \"Nordvik\"?"
        );
    }

    #[test]
    fn a_file_that_is_no_json_is_named_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("warm.json");
        std::fs::write(&path, "{\n  \"name\": }").unwrap();
        let failure = read_json(&path).unwrap_err();
        assert_eq!(failure.code(), 3);
        assert!(failure.text().contains("warm.json: "), "{}", failure.text());
        assert!(
            failure.text().contains("line 2 column 11"),
            "{}",
            failure.text()
        );
        assert_eq!(
            read_json(&folder.path().join("none.json"))
                .unwrap_err()
                .code(),
            1
        );
    }
}
