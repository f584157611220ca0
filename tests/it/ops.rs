//! What looks after the process asks how it is.

use endcap::http::host::PublicUrl;
use serde_json::{Value, json};

use crate::app::{App, DOCUMENT, NOON};

#[tokio::test]
async fn a_process_says_how_it_is() {
    let app = App::shop(3).await;
    for path in [
        "/health/live",
        "/health/ready",
        "/health/ready?for=writes",
        "/version",
        "/openapi.json",
        "/problems/market-full",
    ] {
        app.ask_as("", "GET", path, &[], "").await.is(200);
    }
    let ready = app.ask_as("", "GET", "/health/ready", &[], "").await;
    assert_eq!(
        (&ready.json["ready"], &ready.json["writes"]),
        (&json!(true), &json!("ok"))
    );
    assert!(ready.json["markets"]["se"].is_u64());
    let odd = app
        .ask_as("", "GET", "/health/ready?for=reads", &[], "")
        .await;
    assert_eq!(odd.complaints()[0].0, "/for");
    assert_eq!(app.get("/version").await.json["test_clock"], true);
    assert_eq!(app.get("/openapi.json").await.json, *DOCUMENT);
    let status = app.get("/v1/status").await;
    assert_eq!(status.json["markets"][0]["variants"], 3);
    let market = &status.json["markets"][0];
    assert_eq!(market["snapshot"], market["revision"]);
    assert_eq!(market["published_at"], NOON);
    assert_eq!(status.json["config"]["last_backup"], Value::Null);
    let limits = app.get("/v1/limits").await.json;
    assert_eq!(limits["promotion"]["name_chars_max"], 50);
    assert_eq!(limits["variants_per_market_max"], 10_000_000);
    assert_eq!(
        limits["rank"],
        json!({ "limit_max": 600, "offset_max": 10_000, "candidates_max": 10_000, "facets_max": 20 })
    );
    assert_eq!(
        limits["rates"]["writes"],
        json!({ "calls": 20, "window_s": 1, "burst": 60 })
    );
    app.post("/v1/markets/se/rank", &json!({})).await.is(200);
    let metrics = app.get("/metrics").await;
    assert!(
        metrics.text.contains("endcap_") && metrics.text.ends_with("# EOF\n"),
        "{}",
        metrics.text
    );
    app.stop.begin();
    app.ask_as("", "GET", "/health/ready", &[], "")
        .await
        .refuses(503, "not-ready");
}

#[tokio::test]
async fn those_who_watch_need_no_key_and_see_nothing_else() {
    let app = App::shop(3).await;
    let watched = app.watched().await;
    for path in [
        "/health/live",
        "/health/ready",
        "/health/ready?for=writes",
        "/metrics",
        "/v1/status",
    ] {
        watched.get(path).await.is(200);
    }
    assert!(watched.get("/metrics").await.text.ends_with("# EOF\n"));
    let status = watched.get("/v1/status").await;
    assert_eq!(status.json["markets"][0]["variants"], 3);
    for path in [
        "/v1/markets",
        "/v1/keys",
        "/v1/limits",
        "/v1/audit",
        "/openapi.json",
        "/version",
        "/test/clock",
        "/",
    ] {
        let answer = watched.exchange("", "GET", path, &[], "").await;
        answer.refuses(404, "not-found");
    }
    let path = "/v1/markets/se/rank";
    let rank = watched.exchange("", "POST", path, &[], "{}").await;
    rank.refuses(404, "not-found");
    let posted = watched.exchange("", "DELETE", "/v1/status", &[], "").await;
    posted.refuses(405, "method-not-allowed");
    // The other socket asks for a key as before.
    for path in ["/metrics", "/v1/status"] {
        let answer = app.ask_as("", "GET", path, &[], "").await;
        answer.refuses(401, "key-missing");
    }
    app.stop.begin();
    let ready = watched.get("/health/ready").await;
    ready.refuses(503, "not-ready");
}

#[tokio::test]
async fn a_server_with_a_name_says_it_and_takes_sessions_under_it() {
    let app = App::with(|settings| {
        settings.public_url = Some(PublicUrl::parse("https://endcap.shop.example").unwrap());
    })
    .await;
    let document = app.get("/openapi.json").await.json;
    assert_eq!(
        document["servers"],
        json!([{ "url": "https://endcap.shop.example" }])
    );
    assert_eq!(document["paths"], DOCUMENT["paths"]);
    // The client of these stories speaks to endcap.test.
    let session = ("cookie", "endcap_session=x");
    app.ask("GET", "/v1/markets", &[session], "")
        .await
        .refuses(400, "bad-header");
    app.ask("GET", "/v1/markets", &[("cookie", "other=x")], "")
        .await
        .is(200);
}

#[tokio::test]
async fn everything_is_read_again_once_a_day() {
    let app = App::shop(3).await;
    assert_eq!(app.get("/v1/status").await.json["scrub"], json!(null));
    let scrubbed = async |expected: &str| {
        app.engine.run_due_upkeep().await;
        let scrub = app.get("/v1/status").await.json["scrub"].clone();
        assert_eq!(
            (&scrub["at"], &scrub["complete"], &scrub["damaged"]),
            (&json!(expected), &json!(true), &json!([]))
        );
        assert!(0 < scrub["bytes"].as_u64().unwrap());
    };
    scrubbed(NOON).await;
    app.later("2027-03-11T11:59:59Z").await;
    scrubbed(NOON).await;
    app.later("2027-03-11T12:00:00Z").await;
    scrubbed("2027-03-11T12:00:00.000Z").await;
    let text = app.get("/metrics").await.text;
    let line = text
        .lines()
        .find(|line| line.starts_with("endcap_store_scrubbed_bytes_total "));
    assert!(!line.unwrap().ends_with(" 0"), "{text}");
}

#[tokio::test]
async fn the_test_clock_only_moves_forward() {
    let app = App::shop(3).await;
    assert_eq!(app.get("/test/clock").await.json["now"], NOON);
    app.later("2027-03-10T13:00:00Z").await;
    let back = app
        .ask(
            "PUT",
            "/test/clock",
            &[],
            &json!({ "now": NOON }).to_string(),
        )
        .await;
    assert_eq!(
        back.complaints(),
        [("/now".to_owned(), "out-of-range".to_owned())]
    );
    assert_eq!(
        app.get("/test/clock").await.json["now"],
        "2027-03-10T13:00:00.000Z"
    );
}

#[tokio::test]
async fn a_write_can_be_waited_for() {
    let app = App::shop(3).await;
    let revision = app.revision().await;
    let path = "/v1/markets/se/rank";
    app.ask("POST", path, &[("x-endcap-min-revision", &revision)], "{}")
        .await
        .is(200);
    app.ask("POST", path, &[("x-endcap-min-revision", "x")], "{}")
        .await
        .refuses(400, "bad-header");
}

#[tokio::test]
async fn what_is_no_route_is_not_found_and_what_is_no_method_not_allowed() {
    let app = App::empty().await;
    app.get("/v1/nothing").await.refuses(404, "not-found");
    app.ask("PUT", "/v1/markets", &[], "{}")
        .await
        .refuses(405, "method-not-allowed");
    app.ask("GET", "/problems/no-such-code", &[], "")
        .await
        .refuses(404, "not-found");
    let head = app.ask("HEAD", "/v1/markets", &[], "").await;
    assert_eq!((head.status, head.text.len()), (200, 0));
}

#[test]
fn the_document_is_what_was_agreed() {
    insta::assert_json_snapshot!("openapi", *DOCUMENT);
}
