//! What merchandisers do: promotions and demotions, over the API.

use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};

use crate::cli::client::{Call, Client, Payload, encode, with_query};
use crate::cli::output::{Failure, Format, Outcome, cell, note, say, show};
use crate::cli::promo_args::Promo;
use crate::cli::whatif::{self, list};

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
        Promo::Check { file, id } => whatif::check(client, format, file, id.as_deref())?,
        Promo::Preview(command) => whatif::preview(client, format, command)?,
        Promo::Why {
            variant,
            market,
            draft,
            id,
        } => {
            let whose = (draft.as_deref(), id.as_deref());
            whatif::why(client, format, (market, variant), whose)?;
        }
        Promo::Edit { id, file } => {
            let patch = Payload::Json(read_json(file)?);
            let etag = etag_of(client, id)?;
            let path = path_of(id);
            let call = Call::new("PATCH", &path).with(patch).if_match(&etag);
            told(format, &client.call(call)?.body);
        }
        Promo::Duplicate { id, name } => {
            let copy = name
                .as_ref()
                .map_or(json!({}), |name| json!({ "name": name }));
            act(client, format, (id, "duplicate"), copy)?;
        }
        Promo::Suspend { ids } => stop(client, format, "suspend", ids)?,
        Promo::End { ids } => stop(client, format, "end", ids)?,
        Promo::Resume { ids } => resume(client, format, ids)?,
        Promo::History { id } => history(client, format, id)?,
        Promo::Restore { id, revision } => {
            act(
                client,
                format,
                (id, "restore"),
                json!({ "revision": revision }),
            )?;
        }
        Promo::Calendar { market, from, to } => {
            let period = [("from", from), ("to", to)];
            let set = period
                .iter()
                .filter_map(|(name, value)| Some((*name, (*value).clone()?)));
            let path = format!("/v1/markets/{}/calendar", encode(market));
            let path = with_query(&path, &set.collect::<Vec<_>>());
            calendar(format, &client.get(&path)?.body);
        }
    }
    Ok(())
}

fn path_of(id: &str) -> String {
    format!("/v1/promotions/{}", encode(id))
}

fn etag_of(client: &Client, id: &str) -> Outcome<String> {
    let etag = client.get(&path_of(id))?.etag;
    etag.ok_or_else(|| Failure::failed("the server named no revision"))
}

fn create(client: &Client, format: Format, file: &Path) -> Outcome<()> {
    let call = Call::new("POST", "/v1/promotions").with(Payload::Json(read_json(file)?));
    told(format, &client.call(call)?.body);
    Ok(())
}

/// Shows what became of a promotion, and on the side what is odd about it.
fn told(format: Format, promotion: &Value) {
    for own in list(&promotion["warnings"]) {
        note(&format!("warning: {}", warning(own)));
    }
    show(format, promotion, &CHANGED);
}

/// Does something with a promotion as it stands.
fn act(client: &Client, format: Format, (id, verb): (&str, &str), body: Value) -> Outcome<()> {
    let etag = etag_of(client, id)?;
    let path = format!("{}/{verb}", path_of(id));
    let mut call = Call::new("POST", &path).if_match(&etag);
    if !body.is_null() {
        call = call.with(Payload::Json(body));
    }
    told(format, &client.call(call)?.body);
    Ok(())
}

/// Stops some, each for itself. Stopping must never lose a race, so it does not ask what others did
/// meanwhile.
fn stop(client: &Client, format: Format, action: &str, ids: &[String]) -> Outcome<()> {
    if let [id] = ids {
        let path = format!("{}/{action}", path_of(id));
        told(
            format,
            &client.call(Call::new("POST", &path).if_match("*"))?.body,
        );
        return Ok(());
    }
    let promotions: Vec<Value> = ids.iter().map(|id| json!({ "promotion": id })).collect();
    step_all(client, format, action, &promotions)
}

/// Lets some go on, as they stand.
fn resume(client: &Client, format: Format, ids: &[String]) -> Outcome<()> {
    if let [id] = ids {
        return act(client, format, (id, "resume"), Value::Null);
    }
    let as_it_stands = |id: &String| -> Outcome<Value> {
        let stored = client.get(&path_of(id))?.body;
        Ok(json!({ "promotion": id, "revision": stored["revision"] }))
    };
    let promotions: Outcome<Vec<Value>> = ids.iter().map(as_it_stands).collect();
    step_all(client, format, "resume", &promotions?)
}

/// Takes one step with each of several promotions, and tells what came of each.
fn step_all(client: &Client, format: Format, action: &str, promotions: &[Value]) -> Outcome<()> {
    let body = json!({ "action": action, "promotions": promotions });
    let call = Call::new("POST", "/v1/promotions/bulk").with(Payload::Json(body));
    let outcome = client.call(call)?.body;
    let refused = list(&outcome["items"])
        .iter()
        .filter(|own| own["problem"].is_object());
    let refused: Vec<String> = refused
        .map(|own| {
            let problem = &own["problem"];
            let (detail, code) = (cell(&problem["detail"]), cell(&problem["code"]));
            format!("{}: {detail} ({code})", cell(&own["promotion"]))
        })
        .collect();
    show(format, &outcome, &["promotion", "state", "revision"]);
    if refused.is_empty() {
        Ok(())
    } else {
        Err(Failure::refused(refused.join("\n")))
    }
}

fn history(client: &Client, format: Format, id: &str) -> Outcome<()> {
    let past = client.list(&format!("{}/history", path_of(id)))?;
    if format != Format::Table {
        show(format, &past, &[]);
        return Ok(());
    }
    for change in list(&past["items"]) {
        let (revision, at) = (cell(&change["revision"]), cell(&change["at"]));
        let (action, actor) = (cell(&change["action"]), cell(&change["actor"]));
        say(&format!("{revision}  {at}  {action} by {actor}"));
        for field in list(&change["diff"]) {
            say(&format!("    {}", field_change(field)));
        }
    }
    Ok(())
}

/// One field that became different: `/level: high > low`, `/selection/handpicked: +2 −1`.
fn field_change(field: &Value) -> String {
    let pointer = cell(&field["pointer"]);
    if field["added_count"].is_u64() {
        let named = |name: &str, sign: &str| -> Vec<String> {
            let entries = list(&field[name]).iter().take(5);
            entries.map(|own| format!("{sign}{}", cell(own))).collect()
        };
        let mut parts = named("added", "+");
        parts.extend(named("removed", "-"));
        let count = |name: &str| field[name].as_u64().unwrap_or_default();
        let n_more = count("added_count") + count("removed_count") - parts.len() as u64;
        if 0 < n_more {
            parts.push(format!("and {n_more} more"));
        }
        return format!("{pointer}: {}", parts.join(" "));
    }
    format!(
        "{pointer}: {} > {}",
        cell(&field["before"]),
        cell(&field["after"])
    )
}

fn calendar(format: Format, told: &Value) {
    if format != Format::Table {
        show(format, told, &[]);
        return;
    }
    show(format, &told["segments"], &["start", "end", "count"]);
    let limit = cell(&told["limit"]);
    match told["first_full"].as_str() {
        Some(first) => say(&format!(
            "full ({limit}) from {first}; room again from {}",
            cell(&told["free_from"])
        )),
        None => say(&format!("never full: {limit} may be active at once")),
    }
}

/// One remark of lint: where, what, in which market.
pub(in crate::cli) fn warning(remark: &Value) -> String {
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
pub(in crate::cli) fn read_json(file: &Path) -> Outcome<Value> {
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
