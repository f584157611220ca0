//! API keys. A key's text is answered once, when it is made or rotated.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use hyper::{StatusCode, Uri};
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::draft::{KeyDraft, ScopeDraft};
use crate::access::key::KeyRecord;
use crate::access::principal::MarketScope;
use crate::api::wire::change::{Asked, seen, seen_or_any};
use crate::api::wire::fields::{Fields, whole, wrong_type};
use crate::api::wire::list::{List, Listing, Window, WindowParams};
use crate::api::wire::patch::merge;
use crate::api::wire::{answer, path, query, scalar};
use crate::engine::commit::{StoredAnswer, Written};
use crate::engine::error::EngineError;
use crate::engine::keys::KeyMadeNow;
use crate::engine::start::Engine;
use crate::http::extract::{Caller, IfMatch, IfNoneMatch, Json, Query};
use crate::http::gate::Route;
use crate::http::problem::Problem;

/// Most entries of a list; the room's own bounds are told by it.
const ENTRIES_MAX: usize = 10_000;

/// An API key as a person decides it.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyBody {
    /// For people, 1 to 100 characters.
    #[schema(examples("storefront"))]
    name: String,
    /// What it may do; `storefront-public` stands alone.
    #[schema(examples(json!(["storefront-server"])))]
    roles: Vec<String>,
    /// Keys of markets, or `"*"` for all.
    #[schema(value_type = Vec<String>, examples(json!(["se"])))]
    markets: Value,
    /// For whom a seller's key acts.
    #[schema(required = false)]
    sellers: Vec<String>,
    /// Extra rights: `import`, `profit`, `cart-rules`.
    #[schema(required = false)]
    grants: Vec<String>,
    /// Web origins a public key may be used from, exactly as browsers send them, or `*`.
    #[schema(required = false)]
    origins: Vec<String>,
    /// First instant at which it opens nothing; in a year if absent, in two at most.
    expires_at: Option<String>,
    /// Requests a second, where that is not what its class is.
    rate: Option<u32>,
}

/// An API key as it stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyAnswer {
    id: String,
    #[serde(flatten)]
    body: KeyBody,
    created_at: String,
    created_by: String,
    /// When the secret before the newest one ends, while a key is being rotated.
    #[serde(skip_serializing_if = "Option::is_none")]
    former_ends_at: Option<String>,
    /// The key itself; only in the answer that makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    /// Store revision of its last change: its `ETag`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64, required = true)]
    revision: Option<u64>,
}

/// A change of secrets.
#[derive(Debug, ToSchema)]
#[expect(
    dead_code,
    reason = "it is read field by field; this is its description"
)]
pub struct RotateBody {
    /// Seconds for which the old secret still opens, 0 to 86,400; 0 if absent.
    grace_s: Option<i64>,
}

/// Routes of this file.
pub(crate) fn routes() -> OpenApiRouter<Engine> {
    OpenApiRouter::new()
        .routes(routes!(list_keys, create_key))
        .routes(routes!(read_key, change_key, revoke_key))
        .routes(routes!(rotate_key))
        .route_layer(Route::desk())
}

/// List keys
///
/// Those whose markets all lie in the caller's scope, oldest first, without their secrets.
#[utoipa::path(
    get, path = "/v1/keys", tag = "operator",
    params(WindowParams),
    responses((status = 200, description = "A page of keys", body = Listing<KeyAnswer>)),
    extensions(("x-problems" = json!(["bad-cursor"]))),
)]
async fn list_keys(
    State(engine): State<Engine>,
    caller: Caller,
    uri: Uri,
    members: Query,
) -> Result<Response, Problem> {
    let window = query::read(&members, Window::read)?;
    let list = List::new(&engine, &uri, &members);
    let after = list.after(&window)?;
    let keys = engine.keys(&caller.principal)?;
    let behind = |id: &str| after.as_deref().is_none_or(|after| after < id);
    let page = window.cut(
        keys.into_iter()
            .filter(|held| behind(&held.value.id.to_string())),
    );
    let next = page
        .last_if_more()
        .map(|held| list.cursor(&held.value.id.to_string()));
    let view = |held: &crate::engine::snapshot::Held<KeyRecord>| KeyAnswer {
        revision: Some(held.revision.0),
        ..KeyAnswer::of(&held.value)
    };
    Ok(list.answer(page.items.iter().map(view).collect(), next))
}

/// Make a key
///
/// The answer holds the key itself, once; a repeated request gets the answer without it. Nobody
/// hands out more than they hold.
#[utoipa::path(
    post, path = "/v1/keys", tag = "operator",
    request_body = KeyBody,
    responses((status = 201, description = "The key", body = KeyAnswer)),
    extensions(("x-problems" = json!([]))),
)]
async fn create_key(
    State(engine): State<Engine>,
    Asked(intent): Asked,
    Json(body): Json,
) -> Result<Response, Problem> {
    let draft = read(&body);
    let written = engine
        .create_key(&intent, draft, &|record| made(201, record, None))
        .await?;
    Ok(answered(written, 201))
}

/// Read a key
#[utoipa::path(
    get, path = "/v1/keys/{id}", tag = "operator",
    params(("id" = String, Path, description = "Id of the key")),
    responses(
        (status = 200, description = "The key", body = KeyAnswer),
        (status = 304, description = "It is as `If-None-Match` has it"),
    ),
    extensions(("x-problems" = json!([]))),
)]
async fn read_key(
    State(engine): State<Engine>,
    caller: Caller,
    Path(id): Path<String>,
    known: IfNoneMatch,
) -> Result<Response, Problem> {
    let held = engine.key(&caller.principal, path::key(&id)?)?;
    let revision = held.revision.0;
    let view = || KeyAnswer {
        revision: Some(revision),
        ..KeyAnswer::of(&held.value)
    };
    Ok(answer::object(revision, &known, view))
}

/// Change a key
///
/// A merge patch. Its secret stays; `in-use` if no operator would be left.
#[utoipa::path(
    patch, path = "/v1/keys/{id}", tag = "operator",
    params(("id" = String, Path, description = "Id of the key")),
    request_body(content = Object, content_type = "application/merge-patch+json", description = "Fields of a key; null takes one back to its default"),
    responses((status = 200, description = "The key", body = KeyAnswer)),
    extensions(("x-problems" = json!(["precondition-required", "stale-revision", "in-use"]))),
)]
async fn change_key(
    State(engine): State<Engine>,
    Asked(intent): Asked,
    Path(id): Path<String>,
    if_match: IfMatch,
    Json(patch): Json,
) -> Result<Response, Problem> {
    let (id, known) = (path::key(&id)?, seen(if_match)?);
    let redraft = |standing: &KeyRecord| {
        let body = serde_json::to_value(KeyBody::of(standing));
        let mut body = body.expect("texts, lists and numbers make JSON");
        merge(&mut body, patch.clone());
        Ok(read(&body))
    };
    let render = |record: &KeyRecord| made(200, record, None);
    let written = engine
        .edit_key(&intent, id, known, &redraft, &render)
        .await?;
    Ok(answered(written, 200))
}

/// Revoke a key
///
/// It opens nothing from the answer on. Takes `If-Match: *`; `in-use` for the last operator.
#[utoipa::path(
    delete, path = "/v1/keys/{id}", tag = "operator",
    params(("id" = String, Path, description = "Id of the key")),
    responses((status = 204, description = "It is revoked")),
    extensions(("x-problems" = json!(["precondition-required", "stale-revision", "in-use"]))),
)]
async fn revoke_key(
    State(engine): State<Engine>,
    Asked(intent): Asked,
    Path(id): Path<String>,
    if_match: IfMatch,
) -> Result<Response, Problem> {
    engine
        .revoke_key(&intent, path::key(&id)?, seen_or_any(if_match)?)
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Rotate a key
///
/// The answer holds the new key, once.
#[utoipa::path(
    post, path = "/v1/keys/{id}/rotate", tag = "operator",
    params(("id" = String, Path, description = "Id of the key")),
    request_body(content = RotateBody, description = "How long the old secret still opens"),
    responses((status = 200, description = "The key", body = KeyAnswer)),
    extensions(("x-problems" = json!(["precondition-required", "stale-revision"]))),
)]
async fn rotate_key(
    State(engine): State<Engine>,
    Asked(intent): Asked,
    Path(id): Path<String>,
    if_match: IfMatch,
    Json(body): Json,
) -> Result<Response, Problem> {
    let (id, known) = (path::key(&id)?, seen(if_match)?);
    let grace_s = match &body {
        Value::Null => 0,
        body => {
            let (grace_s, faults) =
                Fields::gather(body, |fields| fields.scalar("grace_s", scalar::integer));
            if !faults.is_empty() {
                return Err(EngineError::Invalid(faults).into());
            }
            grace_s.unwrap_or(0)
        }
    };
    let render = |record: &KeyRecord| made(200, record, None);
    let written = engine
        .rotate_key(&intent, id, known, grace_s, &render)
        .await?;
    Ok(answered(written, 200))
}

fn answered(written: Written<KeyMadeNow>, status: u16) -> Response {
    let response = match written {
        Written::Now(now, revision) => {
            let secret = now.secret.as_ref().map(|secret| secret.expose().to_owned());
            answer::written(&made(status, &now.record, secret), revision.0)
        }
        Written::Replayed(first, revision) => answer::replayed(&first, revision.0),
    };
    answer::never_stored(response)
}

/// The answer to a change, without its revision.
fn made(status: u16, record: &KeyRecord, key: Option<String>) -> StoredAnswer {
    StoredAnswer {
        status,
        location: Some(format!("/v1/keys/{}", record.id)),
        body: Some(answer::json(&KeyAnswer {
            key,
            ..KeyAnswer::of(record)
        })),
    }
}

/// Reads a whole key; what is wrong goes with the draft.
fn read(body: &Value) -> KeyDraft {
    let (draft, faults) = Fields::gather(body, read_fields);
    KeyDraft { faults, ..draft }
}

fn read_fields(fields: &mut Fields<'_>) -> KeyDraft {
    let set = [
        "id",
        "key",
        "revision",
        "created_at",
        "created_by",
        "former_ends_at",
    ];
    fields.read_only(&set);
    let mut list = |name| fields.list(name, ENTRIES_MAX, whole(scalar::owned));
    let (roles, sellers) = (list("roles"), list("sellers"));
    let (grants, origins) = (list("grants"), list("origins"));
    KeyDraft {
        name: fields.scalar("name", scalar::owned),
        roles,
        markets: fields.part("markets", read_scope),
        sellers: sellers.unwrap_or_default(),
        grants: grants.unwrap_or_default(),
        origins: origins.unwrap_or_default(),
        expires_at: fields.scalar("expires_at", scalar::owned),
        rate: fields.scalar("rate", scalar::integer),
        faults: Vec::new(),
    }
}

fn read_scope(value: &Value) -> crate::api::wire::fields::Read<ScopeDraft> {
    match value {
        Value::String(text) => Ok(ScopeDraft::Text(text.clone())),
        Value::Array(entries) => {
            let mut texts = Vec::with_capacity(entries.len());
            let mut faults = Vec::new();
            for (place, entry) in entries.iter().enumerate() {
                match scalar::owned(entry) {
                    Ok(text) => texts.push(text),
                    Err(fault) => faults.push(fault.at(format!("/{place}"))),
                }
            }
            if faults.is_empty() {
                Ok(ScopeDraft::List(texts))
            } else {
                Err(faults)
            }
        }
        other => Err(vec![
            wrong_type("a list of markets, or \"*\"", other).at(""),
        ]),
    }
}

impl KeyBody {
    fn of(record: &KeyRecord) -> Self {
        let own = &record.principal;
        let markets = match &own.markets {
            MarketScope::All => json!("*"),
            MarketScope::Only(markets) => markets
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .into(),
        };
        Self {
            name: record.name.clone(),
            roles: own
                .roles
                .iter()
                .map(|role| role.as_str().to_owned())
                .collect(),
            markets,
            sellers: own.sellers.iter().map(ToString::to_string).collect(),
            grants: own
                .grants
                .iter()
                .map(|grant| grant.as_str().to_owned())
                .collect(),
            origins: own.origins.clone(),
            expires_at: own.expires.map(|end| end.to_string()),
            rate: record.rate,
        }
    }
}

impl KeyAnswer {
    fn of(record: &KeyRecord) -> Self {
        let former = record.digests.iter().find_map(|(_, end)| *end);
        Self {
            id: record.id.to_string(),
            body: KeyBody::of(record),
            created_at: record.created.to_string(),
            created_by: record.created_by.clone(),
            former_ends_at: former.map(|end| end.to_string()),
            key: None,
            revision: None,
        }
    }
}
