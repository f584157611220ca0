//! The OpenAPI document: made of the handlers, finished with what holds for many of them.
//!
//! A handler names its answers and, as `x-problems`, the codes that only it can refuse with. What
//! follows from method, path and body alone is added here: headers, security, and all other codes,
//! grouped by status.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use axum::Extension;
use axum::response::{IntoResponse, Response};
use hyper::body::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use serde_json::{Value, json};
use utoipa::openapi::OpenApi;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use crate::engine::start::Engine;
use crate::http::gate::Route;
use crate::http::host::PublicUrl;
use crate::http::problem::code::Code;

const METHODS: [&str; 5] = ["get", "put", "post", "delete", "patch"];

const ABOUT: &str = "Decides what a shop's search and category pages show first, and proves whether that helped.\n\nEvery refusal is `application/problem+json` with a `code`; `/problems/{code}` explains each. What is wrong with a request is told all at once, in `errors`.";

/// Codes that any route can refuse with.
const EVERYWHERE: &str = "bad-header not-acceptable body-too-large uri-too-long headers-too-large unsupported-media-type internal deadline";

/// Codes of routes that ask for a key.
const WITH_KEY: &str = "key-missing key-unknown key-expired key-in-url not-permitted rate-limited overloaded snapshot-behind not-ready store-unavailable";

/// Codes of routes that change something.
const OF_CHANGES: &str =
    "idempotency-key-reused idempotency-in-progress outcome-unknown overloaded storage-full";

static BYTES: LazyLock<Bytes> = LazyLock::new(|| crate::api::openapi().into());

/// The document as it is served; `None`: as it is.
#[derive(Clone)]
struct Served(Option<Bytes>);

impl Served {
    /// With the one server that is meant, if it has a name.
    fn of(public_url: Option<&PublicUrl>) -> Self {
        let named = public_url.map(|url| {
            let mut document: Value =
                serde_json::from_slice(&BYTES).expect("the document was written as JSON");
            document["servers"] = json!([{ "url": url.as_str() }]);
            format!("{document:#}").into()
        });
        Self(named)
    }
}

/// Routes of this file.
pub(crate) fn routes(public_url: Option<&PublicUrl>) -> OpenApiRouter<Engine> {
    OpenApiRouter::new()
        .routes(routes!(read_document).layer(Extension(Served::of(public_url))))
        .route_layer(Route::open())
}

/// Read this document
#[utoipa::path(
    get, path = "/openapi.json", tag = "ops", security(()),
    responses((status = 200, description = "OpenAPI 3.1", body = Object)),
    extensions(("x-problems" = json!([]))),
)]
async fn read_document(Extension(Served(named)): Extension<Served>) -> Response {
    let shared = [(
        CACHE_CONTROL,
        HeaderValue::from_static("public, max-age=300"),
    )];
    let json = [(CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    let bytes = named.unwrap_or_else(|| BYTES.clone());
    (shared, json, bytes).into_response()
}

/// The whole document.
pub(crate) fn finish(collected: &OpenApi) -> Value {
    let mut document = serde_json::to_value(collected).expect("a description is JSON");
    document["openapi"] = json!("3.1.0");
    document["info"] = json!({
        "title": "endcap", "version": env!("CARGO_PKG_VERSION"), "description": ABOUT,
        "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
    });
    document["servers"] = json!([{ "url": "/" }]);
    document["paths"]["/problems/{code}"] = explanation();
    if let Value::Object(paths) = &mut document["paths"] {
        for (path, item) in paths {
            for method in METHODS {
                if let Some(operation) = item.get_mut(method) {
                    finish_operation(path, method, operation);
                }
            }
        }
    }
    let components = &mut document["components"];
    components["schemas"]["Problem"] = problem_schema();
    components["schemas"]["Complaint"] = complaint_schema();
    components["securitySchemes"] = json!({
        "key": { "type": "http", "scheme": "bearer", "description": "An API key, `ec_…`." },
        "public-key": { "type": "apiKey", "in": "query", "name": "key", "description": "A public key, where no header can be sent." },
    });
    document
}

/// The pages of the shell that explain codes.
fn explanation() -> Value {
    json!({ "get": {
        "tags": ["ops"], "summary": "Explain a code", "operationId": "explain_problem", "security": [{}],
        "parameters": [{ "name": "code", "in": "path", "required": true, "schema": { "type": "string" } }],
        "responses": { "200": { "description": "What it means, and what to do", "content": { "text/html": { "schema": { "type": "string" } } } } },
        "x-problems": ["not-found"],
    } })
}

fn finish_operation(path: &str, method: &str, operation: &mut Value) {
    let is_open = operation["security"] == json!([{}]);
    let is_rank = operation["tags"] == json!(["storefront"]);
    let mut codes = own_codes(operation);
    let is_guarded = codes.contains("precondition-required");
    codes.extend(words(EVERYWHERE));
    if !is_open {
        codes.extend(words(WITH_KEY));
        operation["security"] = if is_rank {
            json!([{ "key": [] }, { "public-key": [] }])
        } else {
            json!([{ "key": [] }])
        };
        add_header(
            operation,
            "x-endcap-min-revision",
            "A revision to wait for, at most 2 s.",
            false,
        );
    }
    if is_rank {
        codes.extend(words("origin-not-allowed"));
    }
    if path.contains("{market}") {
        codes.extend(words("market-forbidden not-found"));
    }
    let has_query = operation["parameters"]
        .as_array()
        .into_iter()
        .flatten()
        .any(|own| own["in"] == "query");
    if has_query {
        codes.extend(words("bad-query invalid"));
    }
    if operation.get("requestBody").is_some() {
        codes.extend(words("malformed-json invalid"));
    }
    if method != "get" && !is_rank {
        codes.extend(words(OF_CHANGES));
        add_header(
            operation,
            "Idempotency-Key",
            "1 to 255 visible ASCII characters: the same again does nothing twice.",
            false,
        );
    }
    if is_guarded {
        let is_always = !path.ends_with("/feed-mappings/{name}") || method == "delete";
        add_header(
            operation,
            "If-Match",
            "The `ETag` that the caller saw.",
            is_always,
        );
    }
    if operation["responses"].get("304").is_some() {
        add_header(
            operation,
            "If-None-Match",
            "`ETag`s that the caller has.",
            false,
        );
    }
    add_problems(operation, &codes);
}

/// The codes that the handler named; they are no part of the document as such.
fn own_codes(operation: &mut Value) -> BTreeSet<String> {
    let named = operation
        .as_object_mut()
        .and_then(|members| members.shift_remove("x-problems"));
    let named = named
        .as_ref()
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    named.filter_map(Value::as_str).map(str::to_owned).collect()
}

fn words(text: &str) -> impl Iterator<Item = String> {
    text.split(' ').map(str::to_owned)
}

fn add_header(operation: &mut Value, name: &str, about: &str, required: bool) {
    let header = json!({ "name": name, "in": "header", "description": about, "required": required, "schema": { "type": "string" } });
    match operation
        .get_mut("parameters")
        .and_then(Value::as_array_mut)
    {
        Some(parameters) => parameters.push(header),
        None => operation["parameters"] = json!([header]),
    }
}

/// One answer for each status that the codes have.
fn add_problems(operation: &mut Value, codes: &BTreeSet<String>) {
    let mut by_status: BTreeMap<u16, Vec<&str>> = BTreeMap::new();
    for code in codes {
        let known = Code::parse(code).expect("handlers name codes of the one table");
        by_status.entry(known.status()).or_default().push(code);
    }
    for (status, codes) in by_status {
        let links: Vec<String> = codes.iter().map(|code| format!("`{code}`")).collect();
        operation["responses"][status.to_string()] = json!({
            "description": links.join(", "),
            "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
            "x-codes": codes,
        });
    }
}

fn problem_schema() -> Value {
    json!({
        "type": "object",
        "description": "Why a request was refused (RFC 9457); codes have members of their own.",
        "required": ["type", "title", "status", "code", "detail", "request_id"],
        "properties": {
            "type": { "type": "string", "description": "Page that explains the code." },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "code": { "type": "string" },
            "detail": { "type": "string" },
            "instance": { "type": "string" },
            "request_id": { "type": "string" },
            "errors": { "type": "array", "items": { "$ref": "#/components/schemas/Complaint" } },
        },
    })
}

fn complaint_schema() -> Value {
    json!({
        "type": "object",
        "description": "What one field, or one row of a feed, got wrong.",
        "required": ["code", "message"],
        "properties": {
            "pointer": { "type": "string", "description": "JSON pointer into the body; of a query, `/` and the member." },
            "code": { "type": "string" },
            "message": { "type": "string" },
            "did_you_mean": { "type": "string" },
            "row": { "type": "integer" },
            "column": { "type": "string" },
            "value": { "type": "string" },
        },
    })
}
