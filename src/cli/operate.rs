//! What operators do over the API: markets, keys, backups, a look at the server.

use std::path::Path;

use serde_json::{Value, json};

use crate::cli::args::{Audit, Key, KeyCreate, Market};
use crate::cli::client::{Call, Client, Payload, encode};
use crate::cli::credential;
use crate::cli::output::{Failure, Format, Outcome, note, show};

const MARKETS: &str = "/v1/markets";
const KEYS: &str = "/v1/keys";

/// Runs a `market` command.
///
/// # Errors
/// What the server refuses.
pub(in crate::cli) fn market(client: &Client, format: Format, command: &Market) -> Outcome<()> {
    match command {
        Market::Create {
            market,
            name,
            currency,
            time_zone,
        } => {
            let body = json!({
                "market": market, "name": name, "currency": currency, "time_zone": time_zone,
            });
            let call = Call::new("POST", MARKETS).with(Payload::Json(body));
            show(
                format,
                &client.call(call)?.body,
                &["market", "name", "currency", "time_zone"],
            );
        }
        Market::List => {
            let columns = ["market", "name", "currency", "time_zone"];
            show(format, &client.list(MARKETS)?, &columns);
        }
        Market::Show { market } => {
            show(
                format,
                &client.get(&format!("{MARKETS}/{}", encode(market)))?.body,
                &[],
            );
        }
    }
    Ok(())
}

/// Runs a `key` command.
///
/// # Errors
/// What the server refuses.
pub(in crate::cli) fn key(client: &Client, format: Format, command: &Key) -> Outcome<()> {
    match command {
        Key::Create(wished) => {
            refuse_taken(wished.save.as_deref())?;
            let call = Call::new("POST", KEYS).with(Payload::Json(key_body(wished)));
            let made = client.call(call)?.body;
            hand_out(format, made, wished.save.as_deref())?;
        }
        Key::List => {
            let columns = [
                "id",
                "name",
                "roles",
                "markets",
                "expires_at",
                "last_used_day",
            ];
            show(format, &client.list(KEYS)?, &columns);
        }
        Key::Rotate { id, grace_s, save } => {
            refuse_taken(save.as_deref())?;
            let path = format!("{KEYS}/{}", encode(id));
            let etag = client.get(&path)?.etag;
            let etag = etag.ok_or_else(|| Failure::failed("the server named no revision"))?;
            let path = format!("{path}/rotate");
            let payload = Payload::Json(json!({ "grace_s": grace_s }));
            let call = Call::new("POST", &path).if_match(&etag).with(payload);
            hand_out(format, client.call(call)?.body, save.as_deref())?;
        }
        Key::Revoke { id } => {
            let path = format!("{KEYS}/{}", encode(id));
            // A revocation must never lose a race.
            client.call(Call::new("DELETE", &path).if_match("*"))?;
            note(&format!("{id} is revoked"));
        }
    }
    Ok(())
}

fn key_body(wished: &KeyCreate) -> Value {
    let markets = match wished.markets.as_slice() {
        [all] if all == "*" => json!("*"),
        markets => json!(markets),
    };
    let name = wished
        .name
        .clone()
        .unwrap_or_else(|| wished.roles.join(", "));
    let mut body = json!({ "name": name, "roles": wished.roles, "markets": markets });
    let lists = [
        ("sellers", &wished.sellers),
        ("grants", &wished.grants),
        ("origins", &wished.origins),
    ];
    for (name, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
        body[name] = json!(list);
    }
    if let Some(end) = &wished.expires_at {
        body["expires_at"] = json!(end);
    }
    body
}

/// Before a key is made: one that could not be saved would have to be revoked again.
fn refuse_taken(save: Option<&Path>) -> Outcome<()> {
    match save.filter(|path| path.exists()) {
        Some(path) => Err(Failure::failed(format!(
            "{} exists; name another file",
            path.display()
        ))),
        None => Ok(()),
    }
}

/// Shows a new key, or puts it into a file. If the file cannot be written it is shown after all:
/// nobody could ever learn it again.
fn hand_out(format: Format, mut made: Value, save: Option<&Path>) -> Outcome<()> {
    let columns = ["id", "name", "roles", "markets", "expires_at", "key"];
    let Some((path, key)) = save.zip(made["key"].as_str()) else {
        show(format, &made, &columns);
        return Ok(());
    };
    match credential::save(path, key) {
        Ok(()) => {
            note(&format!("the key is in {}", path.display()));
            made["key"] = Value::Null;
            show(format, &made, &columns[..5]);
            Ok(())
        }
        Err(error) => {
            show(format, &made, &columns);
            Err(error.into())
        }
    }
}

/// Shows who changed what, and who was refused.
///
/// # Errors
/// What the server refuses.
pub(in crate::cli) fn audit(client: &Client, format: Format, command: &Audit) -> Outcome<()> {
    let columns = ["at", "actor", "address", "action", "object", "refused"];
    show(format, &client.list(&audit_path(command))?, &columns);
    Ok(())
}

fn audit_path(command: &Audit) -> String {
    let members = [
        ("actor", &command.actor),
        ("object", &command.object),
        ("action", &command.action),
        ("from", &command.from),
        ("to", &command.to),
    ];
    let set = members.into_iter().filter_map(|(name, value)| {
        let value = value.as_deref()?;
        Some(format!("{name}={}", encode(value)))
    });
    let set: Vec<String> = set.collect();
    if set.is_empty() {
        return "/v1/audit".to_owned();
    }
    format!("/v1/audit?{}", set.join("&"))
}

/// Shows how the server is.
///
/// # Errors
/// What the server refuses.
pub(in crate::cli) fn status(client: &Client, format: Format) -> Outcome<()> {
    let mut status = client.get("/v1/status")?.body;
    if format != Format::Table {
        show(format, &status, &[]);
        return Ok(());
    }
    let markets = status["markets"].take();
    if let Some(fields) = status.as_object_mut() {
        fields.remove("markets");
    }
    show(format, &status, &[]);
    let columns = [
        "market",
        "variants",
        "products",
        "categories",
        "active",
        "limit",
        "revision",
    ];
    show(format, &markets, &columns);
    Ok(())
}

/// Shows every limit.
///
/// # Errors
/// What the server refuses.
pub(in crate::cli) fn limits(client: &Client, format: Format) -> Outcome<()> {
    show(format, &client.get("/v1/limits")?.body, &[]);
    Ok(())
}

/// Has the running server write a backup.
///
/// # Errors
/// What the server refuses.
pub(in crate::cli) fn backup(client: &Client, format: Format) -> Outcome<()> {
    let call = Call::new("POST", "/v1/backups").with(Payload::Empty);
    let columns = ["space", "revision", "as_of", "bytes", "sha256"];
    show(format, &client.call(call)?.body, &columns);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audit_is_asked_for_by_what_was_said() {
        let mut command = Audit {
            actor: None,
            object: None,
            action: None,
            from: None,
            to: None,
        };
        assert_eq!(audit_path(&command), "/v1/audit");
        command.object = Some("/v1/keys".to_owned());
        command.from = Some("2027-03-10T00:00:00+01:00".to_owned());
        assert_eq!(
            audit_path(&command),
            "/v1/audit?object=%2Fv1%2Fkeys&from=2027-03-10T00%3A00%3A00%2B01%3A00"
        );
    }

    #[test]
    fn a_key_is_wished_for_as_the_api_spells_it() {
        let mut wished = KeyCreate {
            name: None,
            roles: vec!["operator".to_owned()],
            markets: vec!["*".to_owned()],
            sellers: Vec::new(),
            grants: Vec::new(),
            origins: Vec::new(),
            expires_at: None,
            save: None,
        };
        let expected = json!({ "name": "operator", "roles": ["operator"], "markets": "*" });
        assert_eq!(key_body(&wished), expected);
        wished.name = Some("ada".to_owned());
        wished.markets = vec!["se".to_owned(), "fi".to_owned()];
        wished.grants = vec!["import".to_owned()];
        wished.expires_at = Some("2027-01-01".to_owned());
        assert_eq!(
            key_body(&wished),
            json!({
                "name": "ada", "roles": ["operator"], "markets": ["se", "fi"],
                "grants": ["import"], "expires_at": "2027-01-01",
            })
        );
    }

    #[test]
    fn a_key_that_cannot_be_saved_is_not_lost_silently() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ada.key");
        let made = json!({ "id": "key_1", "key": "ec_opr_x" });
        assert!(hand_out(Format::Json, made.clone(), Some(&path)).is_ok());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "ec_opr_x\n");
        assert_eq!(
            hand_out(Format::Json, made, Some(&path))
                .unwrap_err()
                .code(),
            1
        );
    }
}
