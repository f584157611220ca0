//! Who may call what: every operation of the document by every kind of caller.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::app::{App, DOCUMENT, promotion};

/// What a key of another market is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outside {
    /// The market is named: `market-forbidden`.
    Market,
    /// The object lies in it: `not-found`.
    Object,
    /// Nothing of a market is named.
    Free,
}

/// An operation with what each role alone may: public, server, merchandiser, analyst, seller,
/// operator, ops; `x` may, `g` may with the grant `import`, `-` may not.
type Row = (
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    Outside,
);

use Outside::{Free, Market, Object};

const TABLE: &[Row] = &[
    ("POST", "/v1/markets/{market}/rank", "{}", "xxx--x-", Market),
    ("GET", "/v1/markets/{market}/rank", "", "xxx--x-", Market),
    ("POST", "/v1/events", "{\"events\":[]}", "xx---x-", Free),
    ("POST", "/v1/events/ga4", "{}", "xx---x-", Free),
    ("POST", "/v1/events/segment", "{}", "xx---x-", Free),
    ("POST", "/v1/events/elevate/click", "{}", "xx---x-", Free),
    (
        "POST",
        "/v1/events/elevate/add-to-cart",
        "{}",
        "xx---x-",
        Free,
    ),
    ("POST", "/v1/events/elevate/payment", "{}", "xx---x-", Free),
    ("POST", "/v1/events/elevate/end", "{}", "xx---x-", Free),
    ("GET", "/v1/markets", "", "-xxxxx-", Free),
    ("POST", "/v1/markets", "{}", "-----x-", Free),
    ("GET", "/v1/markets/{market}", "", "-xxxxx-", Market),
    ("PATCH", "/v1/markets/{market}", "{}", "-----x-", Market),
    (
        "GET",
        "/v1/markets/{market}/calendar",
        "",
        "--xx-x-",
        Market,
    ),
    (
        "GET",
        "/v1/markets/{market}/categories",
        "",
        "-xxxxx-",
        Market,
    ),
    (
        "POST",
        "/v1/markets/{market}/categories",
        "{\"selection\":{}}",
        "--xx-x-",
        Market,
    ),
    (
        "GET",
        "/v1/markets/{market}/attributes",
        "",
        "-xxxxx-",
        Market,
    ),
    (
        "PATCH",
        "/v1/markets/{market}/attributes/{attribute}",
        "{}",
        "--g--x-",
        Market,
    ),
    (
        "GET",
        "/v1/markets/{market}/attributes/{attribute}/values",
        "",
        "-xxxxx-",
        Market,
    ),
    (
        "GET",
        "/v1/markets/{market}/variants",
        "",
        "-xxxxx-",
        Market,
    ),
    (
        "GET",
        "/v1/markets/{market}/variants/{variant}",
        "",
        "-xxxxx-",
        Market,
    ),
    (
        "GET",
        "/v1/markets/{market}/feed-mappings",
        "",
        "--x--x-",
        Market,
    ),
    (
        "GET",
        "/v1/markets/{market}/feed-mappings/{name}",
        "",
        "--x--x-",
        Market,
    ),
    (
        "PUT",
        "/v1/markets/{market}/feed-mappings/{name}",
        "{}",
        "--g--x-",
        Market,
    ),
    (
        "DELETE",
        "/v1/markets/{market}/feed-mappings/{name}",
        "",
        "--g--x-",
        Market,
    ),
    (
        "POST",
        "/v1/markets/{market}/imports",
        "feed",
        "--g--x-",
        Market,
    ),
    ("GET", "/v1/imports/{import}", "", "--x--x-", Object),
    ("GET", "/v1/imports/{import}/errors", "", "--x--x-", Object),
    (
        "POST",
        "/v1/imports/{import}/apply",
        "{\"force\":true}",
        "--g--x-",
        Object,
    ),
    ("DELETE", "/v1/imports/{import}", "", "--g--x-", Object),
    ("GET", "/v1/promotions", "", "--xx-x-", Free),
    (
        "POST",
        "/v1/promotions",
        "{\"markets\":[\"se\"]}",
        "--x--x-",
        Market,
    ),
    ("GET", "/v1/promotions/{promotion}", "", "--xx-x-", Object),
    ("PUT", "/v1/promotions/{promotion}", "{}", "--x--x-", Object),
    (
        "PATCH",
        "/v1/promotions/{promotion}",
        "{}",
        "--x--x-",
        Object,
    ),
    (
        "DELETE",
        "/v1/promotions/{promotion}",
        "",
        "--x--x-",
        Object,
    ),
    (
        "POST",
        "/v1/markets/{market}/assignments",
        "{\"session_keys\":[\"s-1\"]}",
        "--xx-x-",
        Market,
    ),
    (
        "POST",
        "/v1/promotions/check",
        "{\"markets\":[\"se\"]}",
        "--xx-x-",
        Market,
    ),
    (
        "POST",
        "/v1/promotions/explain",
        "{\"market\":\"se\",\"variant\":\"u001\",\"promotion\":{}}",
        "--xx-x-",
        Market,
    ),
    (
        "POST",
        "/v1/markets/{market}/preview",
        "{}",
        "--x--x-",
        Market,
    ),
    (
        "GET",
        "/v1/promotions/{promotion}/history",
        "",
        "--xx-x-",
        Object,
    ),
    (
        "POST",
        "/v1/promotions/{promotion}/restore",
        "{\"revision\":1}",
        "--x--x-",
        Object,
    ),
    (
        "POST",
        "/v1/promotions/{promotion}/duplicate",
        "{}",
        "--x--x-",
        Object,
    ),
    (
        "POST",
        "/v1/promotions/bulk",
        "{\"action\":\"suspend\",\"promotions\":[]}",
        "--x--x-",
        Free,
    ),
    (
        "POST",
        "/v1/promotions/{promotion}/suspend",
        "",
        "--x--x-",
        Object,
    ),
    (
        "POST",
        "/v1/promotions/{promotion}/resume",
        "",
        "--x--x-",
        Object,
    ),
    (
        "POST",
        "/v1/promotions/{promotion}/end",
        "",
        "--x--x-",
        Object,
    ),
    (
        "POST",
        "/v1/promotions/{promotion}/restart-measurement",
        "",
        "--x--x-",
        Object,
    ),
    (
        "POST",
        "/v1/promotions/{promotion}/handpicked/import",
        "{\"keys\":[]}",
        "--x--x-",
        Object,
    ),
    (
        "GET",
        "/v1/promotions/{promotion}/variants",
        "",
        "--xx-x-",
        Market,
    ),
    (
        "GET",
        "/v1/promotions/{promotion}/stats",
        "",
        "--xx-x-",
        Market,
    ),
    (
        "GET",
        "/v1/promotions/{promotion}/results",
        "",
        "--xx-x-",
        Market,
    ),
    (
        "GET",
        "/v1/promotions/{promotion}/series",
        "",
        "--xx-x-",
        Market,
    ),
    ("POST", "/v1/exports", "{}", "--xx-x-", Free),
    ("GET", "/v1/exports/{export}", "", "--xx-x-", Object),
    ("GET", "/v1/exports/{export}/content", "", "--xx-x-", Object),
    ("GET", "/v1/keys", "", "-----x-", Free),
    ("POST", "/v1/keys", "{}", "-----x-", Free),
    ("GET", "/v1/keys/{key}", "", "-----x-", Object),
    ("PATCH", "/v1/keys/{key}", "{}", "-----x-", Object),
    ("DELETE", "/v1/keys/{key}", "", "-----x-", Object),
    ("POST", "/v1/keys/{key}/rotate", "", "-----x-", Object),
    ("GET", "/v1/status", "", "-----xx", Free),
    ("GET", "/v1/limits", "", "-----xx", Free),
    ("GET", "/v1/backups", "", "-----x-", Free),
    ("POST", "/v1/backups", "", "-----x-", Free),
    ("GET", "/v1/audit", "", "-----x-", Free),
    ("GET", "/metrics", "", "-----xx", Free),
    ("GET", "/test/clock", "", "-----x-", Free),
    (
        "PUT",
        "/test/clock",
        "{\"now\":\"2020-01-01T00:00:00Z\"}",
        "-----x-",
        Free,
    ),
];

const OPEN: &[&str] = &[
    "/health/live",
    "/health/ready",
    "/version",
    "/v1/assignment-function",
    "/openapi.json",
    "/problems/{code}",
];

const ROLES: [&str; 7] = [
    "storefront-public",
    "storefront-server",
    "merchandiser",
    "analyst",
    "seller",
    "operator",
    "ops",
];

/// A shop, and objects to be asked for.
struct Stage {
    app: App,
    promotion: String,
    key: String,
    import: String,
    export: String,
}

impl Stage {
    async fn new() -> Self {
        let app = App::shop(5).await;
        let made = app
            .post("/v1/promotions", &promotion("Push", "high", &["p001"]))
            .await;
        let promotion = made.json["id"].as_str().unwrap().to_owned();
        let body = json!({ "name": "some", "roles": ["ops"], "markets": ["se"] });
        let key = app.post("/v1/keys", &body).await.json["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let held = app
            .feed("{\"op\":\"replace\",\"product\":\"z\"}\n", "full")
            .await;
        held.refuses(409, "import-harmful");
        let import = held.json["import"].as_str().unwrap().to_owned();
        app.ask("PUT", "/v1/markets/se/feed-mappings/erp", &[], "{}")
            .await
            .is(201);
        let asked = json!({ "kind": "rollups", "format": "csv", "market": "se" }).to_string();
        let analyst = app.key("analyst", &json!({})).await;
        let made = app.ask_as(&analyst, "POST", "/v1/exports", &[], &asked);
        let export = made.await.json["id"].as_str().unwrap().to_owned();
        Self {
            app,
            promotion,
            key,
            import,
            export,
        }
    }

    /// Asks a row with a key; every change names a revision that nothing has, so that nobody who may
    /// changes anything.
    async fn ask(&self, row: &Row, key: &str, more: &str) -> (u16, Value) {
        let (method, template, body, ..) = *row;
        let mut path = template
            .replace("{market}", "se")
            .replace("{attribute}", "brand")
            .replace("{variant}", "u001")
            .replace("{name}", "erp")
            .replace("{promotion}", &self.promotion)
            .replace("{key}", &self.key)
            .replace("{import}", &self.import)
            .replace("{export}", &self.export);
        let ends = ["/variants", "/stats", "/results", "/series"];
        if ends.iter().any(|end| template.ends_with(end)) && template.contains("promotions") {
            path.push_str("?market=se");
        }
        if body == "feed" {
            path.push_str("?kind=catalogue&mode=validate");
        }
        let separator = if path.contains('?') { '&' } else { '?' };
        if !more.is_empty() {
            path = format!("{path}{separator}{more}");
        }
        let mut headers = vec![("if-match", "\"r1\"")];
        if body == "feed" {
            headers.push(("content-type", "application/x-ndjson"));
        }
        let sent = if body == "feed" { "" } else { body };
        let answer = self.app.ask_as(key, method, &path, &headers, sent).await;
        (answer.status, answer.json["code"].clone())
    }
}

#[track_caller]
fn check(row: &Row, who: &str, found: &(u16, Value), expected: (u16, &str)) {
    assert_eq!(
        (found.0, found.1.as_str()),
        (expected.0, Some(expected.1)),
        "{} {} by {who}",
        row.0,
        row.1
    );
}

#[test]
fn no_operation_is_missing_from_the_table() {
    let mut described = BTreeSet::new();
    for (path, item) in DOCUMENT["paths"].as_object().unwrap() {
        for method in item
            .as_object()
            .unwrap()
            .keys()
            .filter(|_| !OPEN.contains(&&**path))
        {
            described.insert((method.to_uppercase(), path.clone()));
        }
    }
    let table: BTreeSet<_> = TABLE
        .iter()
        .map(|row| (row.0.to_owned(), row.1.to_owned()))
        .collect();
    assert_eq!(table, described);
}

#[tokio::test]
async fn every_operation_is_decided_for_every_role() {
    let stage = Stage::new().await;
    let before = stage.app.revision().await;
    for (column, role) in ROLES.into_iter().enumerate() {
        let seller = json!({ "sellers": ["fjord"] });
        let more = if role == "seller" { seller } else { json!({}) };
        let plain = stage.app.key(role, &more).await;
        let granted = match role {
            "merchandiser" => stage.app.key(role, &json!({ "grants": ["import"] })).await,
            _ => plain.clone(),
        };
        let at = stage.app.revision().await;
        for row in TABLE {
            // Calling an import off needs no revision, so whoever may would change something.
            if row.0 == "DELETE"
                && row.1.starts_with("/v1/imports")
                && row.3.as_bytes()[column] != b'-'
            {
                continue;
            }
            // So does forcing one.
            if row.1.ends_with("/apply") && row.3.as_bytes()[column] != b'-' {
                continue;
            }
            let found = stage.ask(row, &plain, "").await;
            match row.3.as_bytes()[column] {
                b'x' => assert!(
                    ![401, 403].contains(&found.0),
                    "{row:?} by {role}: {found:?}"
                ),
                b'g' => {
                    check(row, role, &found, (403, "not-permitted"));
                    let found = stage.ask(row, &granted, "").await;
                    let is_let_in = ![401, 403].contains(&found.0) || role != "merchandiser";
                    assert!(is_let_in, "{row:?} by {role} with the grant: {found:?}");
                }
                _ => check(row, role, &found, (403, "not-permitted")),
            }
        }
        assert_eq!(stage.app.revision().await, at, "{role} changed something");
    }
    assert_ne!(stage.app.revision().await, before, "keys were made");
}

#[tokio::test]
async fn another_market_is_forbidden_and_its_objects_do_not_exist() {
    let stage = Stage::new().await;
    let key = stage
        .app
        .key("operator", &json!({ "markets": ["no"] }))
        .await;
    for row in TABLE {
        let found = stage.ask(row, &key, "").await;
        match row.4 {
            Market => check(row, "no", &found, (403, "market-forbidden")),
            Object => check(row, "no", &found, (404, "not-found")),
            Free => assert!(![401, 403, 404].contains(&found.0), "{row:?}: {found:?}"),
        }
    }
}

#[tokio::test]
async fn without_a_key_or_with_one_in_the_address_nobody_comes_in() {
    let stage = Stage::new().await;
    let key = stage.app.key("operator", &json!({})).await;
    for row in TABLE {
        check(
            row,
            "nobody",
            &stage.ask(row, "", "").await,
            (401, "key-missing"),
        );
        let found = stage.ask(row, "", &format!("key={key}")).await;
        check(row, "a key in the address", &found, (401, "key-in-url"));
    }
}

#[tokio::test]
async fn garbage_opens_nothing() {
    let stage = Stage::new().await;
    for row in TABLE {
        let found = stage.ask(row, "ec_opr_garbage", "").await;
        check(row, "garbage", &found, (401, "key-unknown"));
    }
}

#[tokio::test]
async fn an_expired_key_opens_nothing() {
    let stage = Stage::new().await;
    let ends = json!({ "expires_at": "2027-03-10T12:01:00Z" });
    let key = stage.app.key("operator", &ends).await;
    stage.app.later("2027-03-10T12:01:00Z").await;
    for row in TABLE {
        check(
            row,
            "expired",
            &stage.ask(row, &key, "").await,
            (401, "key-expired"),
        );
    }
}

#[tokio::test]
async fn a_revoked_key_opens_nothing() {
    let stage = Stage::new().await;
    let body = json!({ "name": "gone", "roles": ["operator"], "markets": ["se"] });
    let made = stage.app.post("/v1/keys", &body).await;
    let key = made.json["key"].as_str().unwrap().to_owned();
    let path = made.header("location").to_owned();
    stage
        .app
        .ask("DELETE", &path, &[("if-match", "*")], "")
        .await
        .is(204);
    for row in TABLE {
        check(
            row,
            "revoked",
            &stage.ask(row, &key, "").await,
            (401, "key-unknown"),
        );
    }
}

#[tokio::test]
async fn a_public_key_is_for_pages_of_its_origins() {
    let stage = Stage::new().await;
    let own = json!({ "origins": ["https://shop.example"] });
    let key = stage.app.key("storefront-public", &own).await;
    let path = "/v1/markets/se/rank";
    for (origin, status) in [
        ("https://shop.example", 200),
        ("https://evil.example", 403),
        ("http://shop.example", 403),
    ] {
        let answer = stage
            .app
            .ask_as(&key, "POST", path, &[("origin", origin)], "{}")
            .await;
        answer.is(status);
        if status == 403 {
            answer.refuses(403, "origin-not-allowed");
        }
    }
}
