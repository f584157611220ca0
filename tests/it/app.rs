//! The whole server over a store in memory and a clock that stands, and a client that holds every
//! exchange against the OpenAPI document.

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};

use axum::Router;
use endcap::domain::time::Timestamp;
use endcap::engine::clock::Clock;
use endcap::engine::entropy::Entropy;
use endcap::engine::start::{Engine, Settings as EngineSettings, StartError};
use endcap::http::Settings;
use endcap::http::accept::serve;
use endcap::http::shell::{Parts, Shell};
use endcap::http::stop::Stop;
use endcap::store::StoreId;
use endcap::store::memory::Memory;
use endcap::store::opened::Opened;
use endcap::telemetry::metrics::Metrics;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

/// When the clock stands at the beginning.
pub(crate) const NOON: &str = "2027-03-10T12:00:00.000Z";

pub(crate) static DOCUMENT: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(&endcap::api::openapi()).unwrap());

/// A running server.
pub(crate) struct App {
    pub(crate) stop: Stop,
    pub(crate) engine: Engine,
    pub(crate) address: SocketAddr,
    operator: String,
}

/// An answer, already found to be as the document says.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) json: Value,
}

impl App {
    /// A server with one operator key, which replaced the first one, and nothing else.
    pub(crate) async fn empty() -> Self {
        Self::with(|_| ()).await
    }

    /// The same with other settings of the shell.
    pub(crate) async fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let mut settings = Settings::of_cores(2);
        change(&mut settings);
        let stores = Memory::new(StoreId([7; 16])).open().unwrap();
        Self::first_of(stores, settings).await
    }

    /// The same over stores that hold nothing yet.
    pub(crate) async fn begun(stores: Opened) -> Self {
        Self::first_of(stores, Settings::of_cores(2)).await
    }

    async fn first_of(stores: Opened, settings: Settings) -> Self {
        let begun = Self::start(stores, String::new(), settings).await;
        let mut app = begun.unwrap();
        let first = app.engine.make_first_key().await.unwrap().unwrap();
        first.expose().clone_into(&mut app.operator);
        let own = json!({ "name": "own", "roles": ["operator"], "markets": "*" });
        let own = app.post("/v1/keys", &own).await;
        own.is(201);
        own.json["key"]
            .as_str()
            .unwrap()
            .clone_into(&mut app.operator);
        app
    }

    /// A server over stores that know this operator's key.
    pub(crate) async fn over(stores: Opened, operator: String) -> Result<Self, StartError> {
        Self::start(stores, operator, Settings::of_cores(2)).await
    }

    async fn start(
        stores: Opened,
        operator: String,
        settings: Settings,
    ) -> Result<Self, StartError> {
        let now = Timestamp::parse(NOON).unwrap();
        let metrics = Arc::new(Metrics::default());
        // Commits of a later life need names of their own.
        let seed = 7 + stores.config.revision().0;
        let (clock, entropy) = (Clock::standing_at(now), Entropy::seeded(seed));
        let own = EngineSettings::default();
        let engine = Engine::start(own, clock, entropy, stores, metrics).await?;
        let stop = Stop::new();
        let routes = endcap::api::routes(engine.clone(), stop.clone(), &settings);
        Ok(Self {
            address: served(&engine, routes, settings, &stop).await,
            stop,
            engine,
            operator,
        })
    }

    /// The operator's key.
    pub(crate) fn operator(&self) -> &str {
        &self.operator
    }

    /// The same process as those see it who watch, on a socket of its own.
    pub(crate) async fn watched(&self) -> Self {
        let routes = endcap::api::watched_routes(self.engine.clone(), self.stop.clone());
        let settings = Settings::of_cores(2);
        Self {
            address: served(&self.engine, routes, settings, &self.stop).await,
            stop: self.stop.clone(),
            engine: self.engine.clone(),
            operator: String::new(),
        }
    }

    /// With the market `se` and `n` products p000, p001, …: each has one variant u000, u001, … with
    /// scores n, n − 1, …; every tenth is of the brand Nord and lies in main:jackets, the others of
    /// Vela in main:shoes.
    pub(crate) async fn shop(n: usize) -> Self {
        let app = Self::empty().await;
        let market = json!({ "market": "se", "name": "Sweden", "currency": "SEK", "time_zone": "Europe/Stockholm" });
        app.post("/v1/markets", &market).await.is(201);
        app.feed(&feed(n), "full").await.is(200);
        app
    }

    /// Imports a native feed.
    pub(crate) async fn feed(&self, feed: &str, mode: &str) -> Answer {
        let path = format!("/v1/markets/se/imports?kind=catalogue&mode={mode}");
        let ndjson = [("content-type", "application/x-ndjson")];
        self.ask("POST", &path, &ndjson, feed).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask("POST", path, &[], &body.to_string()).await
    }

    /// A change of what the caller saw at this revision.
    pub(crate) async fn change(
        &self,
        method: &str,
        path: &str,
        revision: &Value,
        body: &Value,
    ) -> Answer {
        let tag = format!("\"r{revision}\"");
        let text = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.ask(method, path, &[("if-match", &tag)], &text).await
    }

    /// Asks as the operator.
    pub(crate) async fn ask(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let key = self.operator.clone();
        self.ask_as(&key, method, path, headers, body).await
    }

    /// Asks with a key, or with none if it is empty.
    pub(crate) async fn ask_as(
        &self,
        key: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let answer = self.exchange(key, method, path, headers, body).await;
        hold(method, path, &answer);
        answer
    }

    /// The same, without holding the answer against the document.
    pub(crate) async fn exchange(
        &self,
        key: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Answer {
        let body = body.as_ref();
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "endcap.test");
        if !key.is_empty() {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let has_type = headers.iter().any(|(name, _)| *name == "content-type");
        if !body.is_empty() && !has_type {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request
            .body(Full::new(Bytes::copy_from_slice(body)))
            .unwrap();
        let socket = TcpStream::connect(self.address).await.unwrap();
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(socket));
        let (mut sender, connection) = handshake.await.unwrap();
        let driver = tokio::spawn(connection);
        let response = sender.send_request(request).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        driver.abort();
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            json: serde_json::from_str(&text).unwrap_or(Value::Null),
            text,
        }
    }

    /// Makes a key of a role for the market `se`.
    pub(crate) async fn key(&self, role: &str, more: &Value) -> String {
        let mut body = json!({ "name": role, "roles": [role], "markets": ["se"] });
        for (name, value) in more.as_object().into_iter().flatten() {
            body[name] = value.clone();
        }
        let made = self.post("/v1/keys", &body).await;
        made.is(201);
        made.json["key"].as_str().unwrap().to_owned()
    }

    /// `n` low promotions of p001, No 0, No 1, …, by as many keys as the rate of writes asks for.
    pub(crate) async fn crowd(&self, n: usize) {
        let mut key = String::new();
        for at in 0..n {
            if at.is_multiple_of(50) {
                key = self.key("merchandiser", &json!({})).await;
            }
            let body = promotion(&format!("No {at}"), "low", &["p001"]).to_string();
            let made = self.ask_as(&key, "POST", "/v1/promotions", &[], &body);
            made.await.is(201);
        }
    }

    /// Keys of the variants of a page, in order.
    pub(crate) async fn ranked(&self, body: &Value) -> Vec<String> {
        let page = self.post("/v1/markets/se/rank", body).await;
        page.is(200);
        variants(&page.json)
    }

    /// Moves the clock.
    pub(crate) async fn later(&self, now: &str) {
        let body = json!({ "now": now }).to_string();
        self.ask("PUT", "/test/clock", &[], &body).await.is(200);
    }

    /// Revision of the configuration.
    pub(crate) async fn revision(&self) -> String {
        self.get("/v1/limits")
            .await
            .header("x-endcap-revision")
            .to_owned()
    }
}

impl Answer {
    #[track_caller]
    pub(crate) fn is(&self, status: u16) {
        assert_eq!(self.status, status, "{}", self.text);
    }

    /// A refusal with this code.
    #[track_caller]
    pub(crate) fn refuses(&self, status: u16, code: &str) {
        assert_eq!(
            (self.status, self.json["code"].as_str()),
            (status, Some(code)),
            "{}",
            self.text
        );
    }

    /// Pointers and codes of all complaints.
    #[track_caller]
    pub(crate) fn complaints(&self) -> Vec<(String, String)> {
        self.refuses(422, "invalid");
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let errors = self.json["errors"].as_array().unwrap().iter();
        errors
            .map(|error| (text(&error["pointer"]), text(&error["code"])))
            .collect()
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }
}

/// Serves routes on a free port.
async fn served(engine: &Engine, routes: Router, settings: Settings, stop: &Stop) -> SocketAddr {
    let parts = Parts {
        house: Arc::new(engine.clone()),
        metrics: Arc::clone(engine.metrics()),
        settings,
        process: 1,
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let shell = Arc::new(Shell::new(routes, parts));
    tokio::spawn(serve(listener, shell, stop.clone()));
    address
}

/// Keys of the variants of a page.
pub(crate) fn variants(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap().iter();
    items
        .map(|item| item["variant"].as_str().unwrap().to_owned())
        .collect()
}

/// The goods of [`App::shop`].
pub(crate) fn feed(n: usize) -> String {
    let line = |at: usize| {
        let (brand, category) = if at.is_multiple_of(10) {
            ("Nord", "jackets")
        } else {
            ("Vela", "shoes")
        };
        let score = n - at;
        json!({ "op": "replace", "product": format!("p{at:03}"), "categories": [format!("main:{category}")],
            "attributes": { "brand": brand, "title": format!("Thing {at}") },
            "variants": { format!("u{at:03}"): { "list_price": "10.00", "cost": "4.00", "stock": 5, "score": score.to_string() } } })
        .to_string() + "\n"
    };
    (0..n).map(line).collect()
}

/// A promotion of these products over this and the next day.
pub(crate) fn promotion(name: &str, level: &str, products: &[&str]) -> Value {
    json!({ "kind": "promotion", "level": level, "name": name, "markets": ["se"],
        "start": "2027-03-10", "end": "2027-03-11", "selection": { "handpicked": products },
        "measurement": { "measured": false } })
}

/// The operation that a path is, if the document has one.
pub(crate) fn operation(method: &str, path: &str) -> Option<(String, &'static Value)> {
    let path = path.split('?').next().unwrap();
    let fits = |template: &str| {
        let (own, asked) = (template.split('/'), path.split('/'));
        own.clone().count() == asked.clone().count()
            && own
                .zip(asked)
                .all(|(own, asked)| own.starts_with('{') || own == asked)
    };
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let mut found: Vec<_> = paths
        .iter()
        .filter(|(template, _)| fits(template))
        .collect();
    found.sort_by_key(|(template, _)| template.matches('{').count());
    let (template, item) = found.first()?;
    let operation = item.get(method.to_lowercase())?;
    Some(((*template).clone(), operation))
}

/// Holds an answer against the document: its status is there, its code is named, its body fits.
#[track_caller]
fn hold(method: &str, path: &str, answer: &Answer) {
    if method == "HEAD" {
        assert!(answer.text.is_empty(), "HEAD {path} has no body");
        return;
    }
    let Some((template, operation)) = operation(method, path) else {
        assert!(
            [404, 405].contains(&answer.status),
            "{method} {path} is described"
        );
        return;
    };
    let place = format!("{method} {template} {}: {}", answer.status, answer.text);
    let described = operation["responses"].get(answer.status.to_string());
    let described = described.unwrap_or_else(|| panic!("not described: {place}"));
    assert!(answer.headers.contains_key("x-request-id"), "{place}");
    if 400 <= answer.status {
        let codes = described["x-codes"].as_array().unwrap();
        assert!(
            codes.contains(&answer.json["code"]),
            "code not described: {place}"
        );
    }
    let media = answer.header("content-type").split(';').next().unwrap();
    let Some(content) = described.get("content") else {
        assert!(
            answer.text.is_empty(),
            "a body that is not described: {place}"
        );
        return;
    };
    let schema = &content[media]["schema"];
    assert!(schema.is_object(), "{media} is not described: {place}");
    if ["application/json", "application/problem+json"].contains(&media) {
        let is_problem = 400 <= answer.status;
        if let Err(why) = fits(schema, &answer.json, is_problem) {
            panic!("{why}: {place}");
        }
    }
}

/// Whether a value fits a schema; unknown members only if they are `open`.
pub(crate) fn fits(schema: &Value, value: &Value, open: bool) -> Result<(), String> {
    let schema = resolved(schema);
    let choices = schema
        .get("oneOf")
        .or_else(|| schema.get("anyOf"))
        .and_then(Value::as_array);
    if let Some(choices) = choices {
        let one = choices
            .iter()
            .any(|choice| fits(choice, value, open).is_ok());
        return if one {
            Ok(())
        } else {
            Err(format!("{value} is none of {schema}"))
        };
    }
    check_type(schema, value)?;
    if let (Some(items), Some(list)) = (schema.get("items"), value.as_array()) {
        list.iter().try_for_each(|entry| fits(items, entry, open))?;
    }
    let Some(object) = value.as_object() else {
        return Ok(());
    };
    let (mut known, mut required) = (serde_json::Map::new(), Vec::new());
    collect(schema, &mut known, &mut required);
    if let Some(missing) = required.iter().find(|name| !object.contains_key(**name)) {
        return Err(format!("\"{missing}\" is missing"));
    }
    let rest = schema
        .get("additionalProperties")
        .filter(|rest| rest.is_object());
    let is_free = known.is_empty() || open;
    for (name, member) in object {
        match (known.get(name).or(rest), is_free) {
            (Some(own), _) => fits(own, member, open).map_err(|why| format!("{name}: {why}"))?,
            (None, true) => {}
            (None, false) => return Err(format!("\"{name}\" is not described")),
        }
    }
    Ok(())
}

fn check_type(schema: &Value, value: &Value) -> Result<(), String> {
    let is = |name: &str| match name {
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "null" => value.is_null(),
        _ => false,
    };
    let right = match &schema["type"] {
        Value::String(name) => is(name),
        Value::Array(names) => names.iter().filter_map(Value::as_str).any(is),
        _ => true,
    };
    if right {
        Ok(())
    } else {
        Err(format!("{value} is no {}", schema["type"]))
    }
}

/// Members and required members of an object and all it is made of.
fn collect<'s>(
    schema: &'s Value,
    known: &mut serde_json::Map<String, Value>,
    required: &mut Vec<&'s str>,
) {
    let schema = resolved(schema);
    for part in schema["allOf"].as_array().into_iter().flatten() {
        collect(part, known, required);
    }
    for (name, own) in schema["properties"].as_object().into_iter().flatten() {
        known.insert(name.clone(), own.clone());
    }
    required.extend(
        schema["required"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str),
    );
}

fn resolved(schema: &Value) -> &Value {
    match schema.get("$ref").and_then(Value::as_str) {
        Some(name) => {
            let name = name.rsplit('/').next().unwrap();
            &DOCUMENT["components"]["schemas"][name]
        }
        None => schema,
    }
}
