//! Which column of a foreign feed means what, kept by market and name.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use hyper::header::ETAG;
use hyper::{StatusCode, Uri};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::wire::change::{Asked, seen};
use crate::api::wire::list::{List, Listing, Window, WindowParams};
use crate::api::wire::{answer, path, query};
use crate::engine::commit::Written;
use crate::engine::start::Engine;
use crate::http::extract::{Caller, IfMatch, IfNoneMatch, Json, Query, entity_tag};
use crate::http::gate::Route;
use crate::http::problem::Problem;

/// How a foreign feed is read.
#[derive(Debug, ToSchema)]
pub struct MappingBody {
    /// Source column by target.
    #[schema(value_type = Option<Object>)]
    pub columns: Option<serde_json::Value>,
    /// What stands in for empty cells, by target.
    #[schema(value_type = Option<Object>)]
    pub constants: Option<serde_json::Value>,
    /// One ASCII character; `,` if absent.
    pub delimiter: Option<String>,
    /// One ASCII character, or empty for none; `"` if absent.
    pub quote: Option<String>,
    /// `.` or `,`.
    pub decimal: Option<String>,
    /// Splits the cells of lists.
    pub list_separator: Option<String>,
    /// Splits category paths; `>` if absent.
    pub path_separator: Option<String>,
    /// `utf-8`, `windows-1252` or `iso-8859-1`.
    pub encoding: Option<String>,
}

/// A mapping in a list.
#[derive(Debug, Serialize, ToSchema)]
pub struct MappingRow {
    name: String,
    revision: u64,
}

/// Routes of this file.
pub(crate) fn routes() -> OpenApiRouter<Engine> {
    OpenApiRouter::new()
        .routes(routes!(list_mappings))
        .routes(routes!(read_mapping, put_mapping, delete_mapping))
        .route_layer(Route::desk())
}

/// List feed mappings
#[utoipa::path(
    get, path = "/v1/markets/{market}/feed-mappings", tag = "merchandiser",
    params(("market" = String, Path, description = "Key of the market"), WindowParams),
    responses((status = 200, description = "A page of mappings", body = Listing<MappingRow>)),
    extensions(("x-problems" = json!(["bad-cursor"]))),
)]
async fn list_mappings(
    State(engine): State<Engine>,
    caller: Caller,
    Path(market): Path<String>,
    uri: Uri,
    members: Query,
) -> Result<Response, Problem> {
    let market = path::market(&market)?;
    let window = query::read(&members, Window::read)?;
    let list = List::new(&engine, &uri, &members);
    let after = list.after(&window)?;
    let names = engine.mappings(&caller.principal, &market)?;
    let is_behind = |name: &String| after.as_ref().is_none_or(|after| after < name);
    let page = window.cut(names.into_iter().filter(is_behind));
    let next = page.last_if_more().map(|name| list.cursor(name));
    let row = |name: String| {
        let held = engine.mapping(&caller.principal, &market, &name)?;
        Ok::<_, Problem>(MappingRow {
            name,
            revision: held.revision.0,
        })
    };
    let rows: Result<Vec<MappingRow>, Problem> = page.items.into_iter().map(row).collect();
    Ok(list.answer(rows?, next))
}

/// Read a feed mapping
///
/// As it was put.
#[utoipa::path(
    get, path = "/v1/markets/{market}/feed-mappings/{name}", tag = "merchandiser",
    params(
        ("market" = String, Path, description = "Key of the market"),
        ("name" = String, Path, description = "Its name"),
    ),
    responses(
        (status = 200, description = "The mapping", body = MappingBody),
        (status = 304, description = "It is as `If-None-Match` has it"),
    ),
    extensions(("x-problems" = json!(["not-found"]))),
)]
async fn read_mapping(
    State(engine): State<Engine>,
    caller: Caller,
    Path((market, name)): Path<(String, String)>,
    known: IfNoneMatch,
) -> Result<Response, Problem> {
    let held = engine.mapping(&caller.principal, &path::market(&market)?, &name)?;
    let tag = [(ETAG, entity_tag(held.revision.0))];
    if known.has(held.revision.0) {
        return Ok((StatusCode::NOT_MODIFIED, tag).into_response());
    }
    let json = held.value.as_bytes().to_vec();
    Ok((tag, answer::bytes(StatusCode::OK, json)).into_response())
}

/// Keep a feed mapping
///
/// A new name needs no `If-Match`; replacing a mapping does.
#[utoipa::path(
    put, path = "/v1/markets/{market}/feed-mappings/{name}", tag = "merchandiser",
    params(
        ("market" = String, Path, description = "Key of the market"),
        ("name" = String, Path, description = "Its name, at most 64 characters"),
    ),
    request_body = MappingBody,
    responses(
        (status = 200, description = "It replaced another", body = MappingBody),
        (status = 201, description = "It is new", body = MappingBody),
    ),
    extensions(("x-problems" = json!(["precondition-required", "stale-revision", "limit-reached"]))),
)]
async fn put_mapping(
    State(engine): State<Engine>,
    Asked(intent): Asked,
    Path((market, name)): Path<(String, String)>,
    if_match: IfMatch,
    Json(body): Json,
) -> Result<Response, Problem> {
    let market = path::market(&market)?;
    let stands = engine.mapping(&intent.principal, &market, &name).is_ok();
    let known = match if_match {
        IfMatch::Absent if !stands => None,
        named => Some(seen(named)?),
    };
    let text = body.to_string();
    let written = engine
        .put_mapping(&intent, &market, &name, text.clone(), known)
        .await?;
    Ok(match written {
        Written::Now(is_new, revision) => {
            let status = if is_new {
                StatusCode::CREATED
            } else {
                StatusCode::OK
            };
            tagged(revision.0, answer::bytes(status, text.into_bytes()))
        }
        Written::Replayed(first, revision) => {
            let status = StatusCode::from_u16(first.status).unwrap_or(StatusCode::OK);
            let body = answer::bytes(status, first.body.unwrap_or_else(|| text.into_bytes()));
            answer::marked_replayed(tagged(revision.0, body))
        }
    })
}

/// Forget a feed mapping
#[utoipa::path(
    delete, path = "/v1/markets/{market}/feed-mappings/{name}", tag = "merchandiser",
    params(
        ("market" = String, Path, description = "Key of the market"),
        ("name" = String, Path, description = "Its name"),
    ),
    responses((status = 204, description = "It is gone")),
    extensions(("x-problems" = json!(["not-found", "precondition-required", "stale-revision"]))),
)]
async fn delete_mapping(
    State(engine): State<Engine>,
    Asked(intent): Asked,
    Path((market, name)): Path<(String, String)>,
    if_match: IfMatch,
) -> Result<Response, Problem> {
    let (market, known) = (path::market(&market)?, seen(if_match)?);
    engine
        .delete_mapping(&intent, &market, &name, known)
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

fn tagged(revision: u64, response: Response) -> Response {
    ([(ETAG, entity_tag(revision))], response).into_response()
}
