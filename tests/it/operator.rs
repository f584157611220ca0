//! An operator opens markets and hands out keys.

use serde_json::{Value, json};

use crate::app::App;

#[tokio::test]
async fn a_market_is_opened_changed_and_fixed_where_it_must_be() {
    let app = App::shop(3).await;
    let list = app.get("/v1/markets").await;
    let market = &list.json["items"][0];
    assert_eq!(
        (
            &market["share_shown_percent"],
            &market["handpick_import_max"]
        ),
        (&json!("80"), &json!(700))
    );
    let (path, revision) = ("/v1/markets/se", &market["revision"]);
    let patch = json!({ "name": "Sverige", "harm_guard": { "vanished_percent_max": "30" } });
    let changed = app.change("PATCH", path, revision, &patch).await;
    changed.is(200);
    assert_eq!(
        (
            &changed.json["name"],
            &changed.json["harm_guard"]["vanished_percent_max"]
        ),
        (&json!("Sverige"), &json!("30"))
    );
    let revision = &changed.json["revision"];
    app.change("PATCH", path, revision, &json!({ "currency": "EUR" }))
        .await
        .refuses(409, "in-use");
    let other = app
        .change("PATCH", path, revision, &json!({ "market": "no" }))
        .await;
    assert_eq!(
        other.complaints(),
        [("/market".to_owned(), "read-only".to_owned())]
    );
    let again =
        json!({ "market": "se", "name": "x", "currency": "SEK", "time_zone": "Europe/Stockholm" });
    app.post("/v1/markets", &again)
        .await
        .refuses(409, "name-taken");
    let faulty = app
        .post("/v1/markets", &json!({ "market": "NO", "nmae": "x" }))
        .await
        .complaints();
    assert_eq!(faulty.len(), 5, "{faulty:?}");
    assert_eq!(app.get(path).await.json, changed.json);
}

#[tokio::test]
async fn the_text_of_a_key_is_told_once() {
    let app = App::shop(3).await;
    let body =
        json!({ "name": "shop", "roles": ["storefront-server"], "markets": ["se"] }).to_string();
    let idempotent = [("idempotency-key", "k")];
    let made = app.ask("POST", "/v1/keys", &idempotent, &body).await;
    made.is(201);
    let text = made.json["key"].as_str().unwrap();
    assert!(text.starts_with("ec_srv_"));
    assert_eq!(made.header("cache-control"), "no-store");
    let again = app.ask("POST", "/v1/keys", &idempotent, &body).await;
    assert_eq!((again.status, again.json.get("key")), (201, None));
    let path = made.header("location").to_owned();
    for listing in [app.get(&path).await, app.get("/v1/keys").await] {
        assert!(!listing.text.contains(text));
    }
    let rank = |key: String| {
        let app = &app;
        async move {
            app.ask_as(&key, "POST", "/v1/markets/se/rank", &[], "{}")
                .await
        }
    };
    rank(text.to_owned()).await.is(200);
    let rotate = format!("{path}/rotate");
    let rotated = app
        .change("POST", &rotate, &made.json["revision"], &Value::Null)
        .await;
    rotated.is(200);
    let fresh = rotated.json["key"].as_str().unwrap().to_owned();
    rank(text.to_owned()).await.refuses(401, "key-unknown");
    rank(fresh.clone()).await.is(200);
    app.ask("DELETE", &path, &[("if-match", "*")], "")
        .await
        .is(204);
    rank(fresh).await.refuses(401, "key-unknown");
    app.get(&path).await.refuses(404, "not-found");
}

#[tokio::test]
async fn nobody_hands_out_more_than_they_hold_and_one_operator_stays() {
    let app = App::shop(3).await;
    let local = app.key("operator", &json!({})).await;
    let ask = |body: Value| {
        let (app, key) = (&app, &local);
        async move {
            app.ask_as(key, "POST", "/v1/keys", &[], &body.to_string())
                .await
        }
    };
    ask(json!({ "name": "x", "roles": ["ops"], "markets": "*" }))
        .await
        .refuses(403, "not-permitted");
    ask(json!({ "name": "x", "roles": ["ops"], "markets": ["no"] }))
        .await
        .refuses(403, "market-forbidden");
    ask(json!({ "name": "x", "roles": ["ops"], "markets": ["se"] }))
        .await
        .is(201);
    let faulty = app
        .post(
            "/v1/keys",
            &json!({ "name": "", "roles": ["opreator"], "market": "*" }),
        )
        .await;
    let codes: Vec<String> = faulty
        .complaints()
        .into_iter()
        .map(|(_, code)| code)
        .collect();
    for code in ["too-short", "unknown-value", "required", "unknown-field"] {
        assert!(codes.contains(&code.to_owned()), "{code} in {codes:?}");
    }
    let main = app
        .post(
            "/v1/keys",
            &json!({ "name": "main", "roles": ["operator"], "markets": "*" }),
        )
        .await;
    main.is(201);
    let key = main.json["key"].as_str().unwrap().to_owned();
    let any = [("if-match", "*")];
    let keys = app.ask_as(&key, "GET", "/v1/keys", &[], "").await;
    let own = keys.json["items"].as_array().unwrap().iter();
    let own = own
        .filter(|row| row["name"] == "own")
        .map(|row| row["id"].as_str().unwrap());
    for id in own {
        let path = format!("/v1/keys/{id}");
        app.ask_as(&key, "DELETE", &path, &any, "").await.is(204);
    }
    let path = main.header("location").to_owned();
    let last = app.ask_as(&key, "DELETE", &path, &any, "").await;
    last.refuses(409, "in-use");
}

/// A burst is twice the rate, so what comes in far less than a second is told apart.
#[tokio::test]
async fn a_key_is_held_to_its_own_rate() {
    let app = App::shop(3).await;
    let slow = app.key("storefront-server", &json!({ "rate": 1 })).await;
    let rank = || app.ask_as(&slow, "POST", "/v1/markets/se/rank", &[], "{}");
    let first = rank().await;
    assert_eq!(first.header("ratelimit-policy"), "\"rank\";q=1;w=1");
    assert_eq!(first.header("ratelimit"), "\"rank\";r=1;t=1");
    let mut answer = first;
    for _ in 0..1_000 {
        if answer.status != 200 {
            break;
        }
        answer = rank().await;
    }
    answer.refuses(429, "rate-limited");
    assert_eq!(answer.header("retry-after"), "1");
    let other = app.key("storefront-server", &json!({})).await;
    let other = app
        .ask_as(&other, "POST", "/v1/markets/se/rank", &[], "{}")
        .await;
    other.is(200);
    assert_eq!(other.header("ratelimit-policy"), "\"rank\";q=2000;w=1");
}

#[tokio::test]
async fn a_key_tells_the_last_day_of_its_use() {
    let app = App::shop(3).await;
    let body = json!({ "name": "shop", "roles": ["storefront-server"], "markets": ["se"] });
    let made = app.post("/v1/keys", &body).await;
    assert_eq!(made.json["last_used_day"], Value::Null);
    let (path, key) = (made.header("location"), made.json["key"].as_str().unwrap());
    let day = || async { app.get(path).await.json["last_used_day"].clone() };
    assert_eq!(day().await, Value::Null);
    let rank = || app.ask_as(key, "POST", "/v1/markets/se/rank", &[], "{}");
    rank().await.is(200);
    assert_eq!(day().await, "2027-03-10");
    // Shortly after midnight the note of the day before is written as what it was.
    app.later("2027-03-11T00:10:00Z").await;
    assert_eq!(day().await, "2027-03-10");
    app.later("2027-03-13T23:59:59Z").await;
    assert_eq!(day().await, "2027-03-10");
    rank().await.is(200);
    assert_eq!(day().await, "2027-03-13");
    let list = app.get("/v1/keys").await.json;
    let rows = list["items"].as_array().unwrap();
    let row = rows.iter().find(|row| row["id"] == made.json["id"]);
    assert_eq!(row.unwrap()["last_used_day"], "2027-03-13");
    // It is no change of the key: neither a revision moves, nor may it be set.
    let now = app.get(path).await;
    assert_eq!(now.json["revision"], made.json["revision"]);
    let patch = json!({ "last_used_day": "2027-03-14" });
    let refused = app
        .change("PATCH", path, &now.json["revision"], &patch)
        .await;
    assert_eq!(
        refused.complaints(),
        [("/last_used_day".to_owned(), "read-only".to_owned())]
    );
    let renamed = json!({ "name": "server" });
    let renamed = app
        .change("PATCH", path, &now.json["revision"], &renamed)
        .await;
    assert_eq!(renamed.json["last_used_day"], "2027-03-13");
}

#[tokio::test]
async fn a_store_in_memory_says_that_it_has_no_backups() {
    let app = App::shop(3).await;
    assert_eq!(app.get("/v1/backups").await.json["items"], json!([]));
    let refused = app.ask("POST", "/v1/backups", &[], "").await;
    refused.refuses(503, "store-unavailable");
    assert_eq!(refused.header("ratelimit-policy"), "\"backups\";q=4;w=3600");
}
