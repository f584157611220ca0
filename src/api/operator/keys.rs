//! API keys.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use hyper::{StatusCode, Uri};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::access::draft::{KeyDraft, ScopeDraft};
use crate::access::key::{GRACE_S_MAX, KeyRecord, ORIGINS_MAX, SCOPE_MAX};
use crate::access::principal::MarketScope;
use crate::api::wire::change::{Asked, seen, seen_or_any};
use crate::api::wire::fields::{Fields, read_list, whole};
use crate::api::wire::list::{List, Listing, Window, WindowParams};
use crate::api::wire::patch::merge;
use crate::api::wire::{answer, path, query, scalar};
use crate::domain::complaint::Complaint;
use crate::domain::time::Timestamp;
use crate::engine::commit::{StoredAnswer, Written};
use crate::engine::error::EngineError;
use crate::engine::keys::KeyMadeNow;
use crate::engine::snapshot::Held;
use crate::engine::start::Engine;
use crate::http::extract::{Caller, IfMatch, IfNoneMatch, Json, Query};
use crate::http::gate::Route;
use crate::http::problem::Problem;

/// Most roles or grants that are read.
const WORDS_MAX: usize = 100;

/// What a key may do, where and until when.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyBody {
    /// For people; keys may share a name.
    #[schema(examples("shop server"))]
    name: String,
    /// At least one; `storefront-public` stands alone.
    #[schema(examples(json!(["storefront-server"])))]
    roles: Vec<&'static str>,
    markets: ScopeBody,
    /// Keys of sellers; required for the role `seller`.
    #[schema(required = false)]
    sellers: Vec<String>,
    /// `import`, `profit`, `cart-rules`.
    #[schema(required = false)]
    grants: Vec<&'static str>,
    /// Web origins that a public key may be used from; `*` for any.
    #[schema(required = false)]
    origins: Vec<String>,
    /// At most two years ahead; one year if absent. Public keys may have none.
    expires_at: Option<String>,
    /// Calls a second that it is held to, and twice as many at once, in the place of the limits
    /// that every key has on ranks, events and writes. What is limited by address or by the hour
    /// stays. 1 to 100,000.
    rate: Option<u32>,
}

/// `"*"`, or a list of markets.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum ScopeBody {
    /// All, also those to come.
    All(&'static str),
    /// These only.
    Only(Vec<String>),
}

/// A key as it stands; its text is told once, when it is made or rotated.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeyAnswer {
    id: String,
    #[serde(flatten)]
    body: KeyBody,
    created_by: String,
    created_at: String,
    /// Day in UTC on which it was last used; null if it never was.
    #[schema(required = true, examples("2027-03-10"))]
    last_used_day: Option<String>,
    /// Until when the text before the last rotation still opens.
    #[serde(skip_serializing_if = "Option::is_none")]
    former_until: Option<String>,
    /// The key itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("ec_srv_…"))]
    key: Option<String>,
    /// Store revision of its last change: its `ETag`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64, required = true)]
    revision: Option<u64>,
}

/// A rotation.
#[derive(Debug, ToSchema)]
pub struct RotateBody {
    /// Seconds for which the old text still opens; 0 if absent.
    #[schema(maximum = 86400)]
    pub grace_s: Option<u32>,
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
/// Those that reach no further than the caller's markets, oldest first.
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
    let is_behind = |held: &Held<KeyRecord>| {
        after
            .as_ref()
            .is_none_or(|after| *after < held.value.id.to_string())
    };
    let page = window.cut(keys.into_iter().filter(is_behind));
    let next = page
        .last_if_more()
        .map(|held| list.cursor(&held.value.id.to_string()));
    let items = page.items.iter();
    let items: Result<_, EngineError> = items
        .map(|held| KeyAnswer::of_held(&engine, held))
        .collect();
    Ok(list.answer(items?, next))
}

/// Make a key
///
/// The answer holds its text, which is told this once and kept nowhere: a repeated request gets the
/// answer without it. Nobody hands out more than they hold.
#[utoipa::path(
    post, path = "/v1/keys", tag = "operator",
    request_body = KeyBody,
    responses((status = 201, description = "The key with its text", body = KeyAnswer)),
    extensions(("x-problems" = json!(["market-forbidden"]))),
)]
async fn create_key(
    State(engine): State<Engine>,
    Asked(intent): Asked,
    Json(body): Json,
) -> Result<Response, Problem> {
    let answering = Answering::new(201, None);
    let render = |record: &KeyRecord| answering.to(record, None);
    let written = engine.create_key(&intent, read(&body), &render).await?;
    Ok(answering.answered(written))
}

/// Read a key
#[utoipa::path(
    get, path = "/v1/keys/{key}", tag = "operator",
    params(("key" = String, Path, description = "Its id")),
    responses(
        (status = 200, description = "The key, without its text", body = KeyAnswer),
        (status = 304, description = "It is as `If-None-Match` has it"),
    ),
    extensions(("x-problems" = json!(["not-found"]))),
)]
async fn read_key(
    State(engine): State<Engine>,
    caller: Caller,
    Path(key): Path<String>,
    known: IfNoneMatch,
) -> Result<Response, Problem> {
    let held = engine.key(&caller.principal, path::key(&key)?)?;
    let body = KeyAnswer::of_held(&engine, &held)?;
    Ok(answer::object(held.revision.0, &known, || body))
}

/// Change a key
///
/// A merge patch. The last operator key that reaches all markets stays one (`in-use`).
#[utoipa::path(
    patch, path = "/v1/keys/{key}", tag = "operator",
    params(("key" = String, Path, description = "Its id")),
    request_body(content = Object, content_type = "application/merge-patch+json", description = "Fields of a key"),
    responses((status = 200, description = "The key, without its text", body = KeyAnswer)),
    extensions(("x-problems" = json!(["not-found", "market-forbidden", "precondition-required", "stale-revision", "in-use"]))),
)]
async fn change_key(
    State(engine): State<Engine>,
    Asked(intent): Asked,
    Path(key): Path<String>,
    if_match: IfMatch,
    Json(patch): Json,
) -> Result<Response, Problem> {
    let (id, known) = (path::key(&key)?, seen(if_match)?);
    let redraft = |standing: &KeyRecord| {
        let body = serde_json::to_value(KeyBody::of(standing));
        let mut body = body.expect("texts, lists and numbers make JSON");
        merge(&mut body, patch.clone());
        Ok(read(&body))
    };
    let answering = Answering::new(200, engine.last_used_day(id)?);
    let render = |record: &KeyRecord| answering.to(record, None);
    let written = engine
        .edit_key(&intent, id, known, &redraft, &render)
        .await?;
    Ok(answering.answered(written))
}

/// Revoke a key
///
/// It opens nothing from the answer on. `If-Match: *` is taken.
#[utoipa::path(
    delete, path = "/v1/keys/{key}", tag = "operator",
    params(("key" = String, Path, description = "Its id")),
    responses((status = 204, description = "It is revoked")),
    extensions(("x-problems" = json!(["not-found", "precondition-required", "stale-revision", "in-use"]))),
)]
async fn revoke_key(
    State(engine): State<Engine>,
    Asked(intent): Asked,
    Path(key): Path<String>,
    if_match: IfMatch,
) -> Result<Response, Problem> {
    let (id, known) = (path::key(&key)?, seen_or_any(if_match)?);
    engine.revoke_key(&intent, id, known).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Rotate a key
///
/// Gives it a new text, told in this answer only.
#[utoipa::path(
    post, path = "/v1/keys/{key}/rotate", tag = "operator",
    params(("key" = String, Path, description = "Its id")),
    request_body(content = Option<RotateBody>, description = "Nothing, or a time of grace"),
    responses((status = 200, description = "The key with its new text", body = KeyAnswer)),
    extensions(("x-problems" = json!(["not-found", "market-forbidden", "precondition-required", "stale-revision"]))),
)]
async fn rotate_key(
    State(engine): State<Engine>,
    Asked(intent): Asked,
    Path(key): Path<String>,
    if_match: IfMatch,
    Json(body): Json,
) -> Result<Response, Problem> {
    let (id, known) = (path::key(&key)?, seen(if_match)?);
    let grace_s = read_grace(&body)?;
    let answering = Answering::new(200, engine.last_used_day(id)?);
    let render = |record: &KeyRecord| answering.to(record, None);
    let written = engine
        .rotate_key(&intent, id, known, grace_s, &render)
        .await?;
    Ok(answering.answered(written))
}

/// What the answers to one change have in common, the first one and those to its repetitions.
struct Answering {
    status: u16,
    last_used: Option<Timestamp>,
}

impl Answering {
    fn new(status: u16, last_used: Option<Timestamp>) -> Self {
        Self { status, last_used }
    }

    fn answered(&self, written: Written<KeyMadeNow>) -> Response {
        let response = match written {
            Written::Now(key, revision) => {
                let text = key.secret.as_ref().map(|secret| secret.expose().to_owned());
                answer::written(&self.to(&key.record, text), revision.0)
            }
            Written::Replayed(first, revision) => answer::replayed(&first, revision.0),
        };
        answer::never_stored(response)
    }

    /// The answer without its revision.
    fn to(&self, record: &KeyRecord, text: Option<String>) -> StoredAnswer {
        StoredAnswer {
            status: self.status,
            location: Some(format!("/v1/keys/{}", record.id)),
            body: Some(answer::json(&KeyAnswer {
                key: text,
                ..KeyAnswer::of(record, self.last_used)
            })),
        }
    }
}

fn read_grace(body: &Value) -> Result<i64, Problem> {
    let nothing = Value::Object(Map::new());
    let body = if body.is_null() { &nothing } else { body };
    let read = |fields: &mut Fields<'_>| fields.scalar("grace_s", scalar::up_to(GRACE_S_MAX));
    match Fields::gather(body, read) {
        (grace_s, complaints) if complaints.is_empty() => Ok(grace_s.unwrap_or(0).into()),
        (_, complaints) => Err(Problem::invalid(&complaints)),
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
        "revision",
        "key",
        "created_by",
        "created_at",
        "last_used_day",
        "former_until",
    ];
    fields.read_only(&set);
    let words = |fields: &mut Fields<'_>, name, max| fields.list(name, max, whole(scalar::owned));
    KeyDraft {
        name: fields.scalar("name", scalar::owned),
        roles: words(fields, "roles", WORDS_MAX),
        markets: fields.part("markets", read_scope),
        sellers: words(fields, "sellers", SCOPE_MAX).unwrap_or_default(),
        grants: words(fields, "grants", WORDS_MAX).unwrap_or_default(),
        origins: words(fields, "origins", ORIGINS_MAX).unwrap_or_default(),
        expires_at: fields.scalar("expires_at", scalar::owned),
        rate: fields.scalar("rate", scalar::integer),
        faults: Vec::new(),
    }
}

fn read_scope(value: &Value) -> Result<ScopeDraft, Vec<Complaint>> {
    match value {
        Value::String(text) => Ok(ScopeDraft::Text(text.clone())),
        list => read_list(list, SCOPE_MAX, whole(scalar::owned)).map(ScopeDraft::List),
    }
}

impl KeyBody {
    fn of(record: &KeyRecord) -> Self {
        let own = &record.principal;
        Self {
            name: record.name.clone(),
            roles: own.roles.iter().map(|role| role.as_str()).collect(),
            markets: match &own.markets {
                MarketScope::All => ScopeBody::All("*"),
                MarketScope::Only(ids) => {
                    ScopeBody::Only(ids.iter().map(ToString::to_string).collect())
                }
            },
            sellers: own.sellers.iter().map(ToString::to_string).collect(),
            grants: own.grants.iter().map(|grant| grant.as_str()).collect(),
            origins: own.origins.clone(),
            expires_at: own.expires.map(|end| end.to_string()),
            rate: own.rate,
        }
    }
}

impl KeyAnswer {
    fn of(record: &KeyRecord, last_used: Option<Timestamp>) -> Self {
        let former = record.digests.iter().find_map(|(_, ends)| *ends);
        Self {
            id: record.id.to_string(),
            body: KeyBody::of(record),
            created_by: record.created_by.clone(),
            created_at: record.created.to_string(),
            last_used_day: last_used.map(|day| day_of(&day.to_string())),
            former_until: former.map(|end| end.to_string()),
            key: None,
            revision: None,
        }
    }

    fn of_held(engine: &Engine, held: &Held<KeyRecord>) -> Result<Self, EngineError> {
        let record: &Arc<KeyRecord> = &held.value;
        let last_used = engine.last_used_day(record.id)?;
        Ok(Self {
            revision: Some(held.revision.0),
            ..Self::of(record, last_used)
        })
    }
}

/// The date in a time.
fn day_of(time: &str) -> String {
    time.split('T').next().unwrap_or(time).to_owned()
}
