//! A merchandiser decides, and the desk keeps order.

use serde_json::{Value, json};

use crate::app::{App, feed, fits, promotion};

#[tokio::test]
async fn a_promotion_is_created_read_changed_and_archived() {
    let app = App::shop(30).await;
    let made = app
        .post(
            "/v1/promotions",
            &promotion("Warm week", "medium", &["p003", "gone"]),
        )
        .await;
    made.is(201);
    let path = made.header("location").to_owned();
    assert_eq!(
        made.header("etag"),
        format!("\"r{}\"", made.json["revision"])
    );
    assert_eq!(made.json["resolved"]["end"], "2027-03-11T23:00:00.000Z");
    assert_eq!(made.json["counts"]["se"]["selected"], 1);
    let codes: Vec<_> = made.json["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|own| own["code"].as_str().unwrap())
        .collect();
    assert!(
        codes.contains(&"unmeasured") && codes.contains(&"unknown-handpick"),
        "{codes:?}"
    );
    let read = app.get(&path).await;
    assert_eq!(read.json, made.json);
    let tag = [("if-none-match", made.header("etag"))];
    app.ask("GET", &path, &tag, "").await.is(304);
    let patch = json!({ "name": "Warmer week", "note": "agreed", "level": "low" });
    let changed = app
        .change("PATCH", &path, &made.json["revision"], &patch)
        .await;
    changed.is(200);
    assert_eq!(
        (&changed.json["name"], &changed.json["level"]),
        (&json!("Warmer week"), &json!("low"))
    );
    assert_eq!(changed.json["selection"], made.json["selection"]);
    let gone = app
        .change("DELETE", &path, &changed.json["revision"], &Value::Null)
        .await;
    gone.is(200);
    assert_eq!(gone.json["state"], "archived");
}

#[tokio::test]
async fn a_refused_change_leaves_everything_as_it_was() {
    let app = App::shop(30).await;
    let made = app
        .post("/v1/promotions", &promotion("Push", "high", &["p003"]))
        .await;
    let (path, revision) = (
        made.header("location").to_owned(),
        made.json["revision"].clone(),
    );
    let (before, at) = (app.get(&path).await.json, app.revision().await);
    app.ask("PATCH", &path, &[], "{\"name\":\"x\"}")
        .await
        .refuses(428, "precondition-required");
    app.ask("PATCH", &path, &[("if-match", "*")], "{\"name\":\"x\"}")
        .await
        .refuses(428, "precondition-required");
    let stale = app
        .change("PATCH", &path, &json!(1), &json!({ "name": "x" }))
        .await;
    stale.refuses(412, "stale-revision");
    assert_eq!(stale.json["current_revision"], revision);
    let resume = format!("{path}/resume");
    let refused = app.change("POST", &resume, &revision, &Value::Null).await;
    refused.refuses(409, "wrong-state");
    assert_eq!(
        (&refused.json["state"], &refused.json["allowed"]),
        (&json!("active"), &json!(["suspended"]))
    );
    app.post("/v1/promotions", &promotion("pUSH", "low", &[]))
        .await
        .refuses(409, "name-taken");
    let set = json!({ "id": "x", "revision": 1, "state": "active", "created_by": "me", "resolved": {}, "kind": "demotion" });
    let refused = app
        .change("PATCH", &path, &revision, &set)
        .await
        .complaints();
    assert!(
        refused.iter().all(|(_, code)| code == "read-only"),
        "{refused:?}"
    );
    assert_eq!(refused.len(), 6);
    app.get("/v1/promotions/prm_00000000000000000000000000")
        .await
        .refuses(404, "not-found");
    app.get("/v1/promotions/nothing")
        .await
        .refuses(404, "not-found");
    assert_eq!(
        (app.get(&path).await.json, app.revision().await),
        (before, at)
    );
}

#[tokio::test]
async fn one_answer_names_everything_that_is_wrong() {
    let app = App::shop(10).await;
    let body = json!({ "kind": "promotion", "name": "x".repeat(57), "markets": ["se", 7], "start": "2027-03-11", "end": "2027-03-10",
        "selection": { "handpicked": ["p001"], "blocked": ["p001"], "rule_sets": [{ "rules": [{ "op": "include", "atr": "brand", "in": ["Nord"] }] }] },
        "measurement": { "share_shown_percent": "49" }, "colour": "red" });
    let found = app.post("/v1/promotions", &body).await.complaints();
    for expected in [
        ("/markets/1", "wrong-type"),
        ("/colour", "unknown-field"),
        ("/level", "required"),
        ("/name", "too-long"),
        ("/measurement/share_shown_percent", "out-of-range"),
        ("/selection/blocked/0", "contradiction"),
        ("/selection/rule_sets/0/rules/0/attr", "required"),
        ("/selection/rule_sets/0/rules/0/atr", "unknown-field"),
    ] {
        let expected = (expected.0.to_owned(), expected.1.to_owned());
        assert!(found.contains(&expected), "{expected:?} in {found:?}");
    }
}

#[tokio::test]
async fn a_calendar_says_how_full_a_market_is() {
    let app = App::shop(10).await;
    let read = async |query: &str| app.get(&format!("/v1/markets/se/calendar{query}")).await;
    let empty = read("").await;
    empty.is(200);
    assert_eq!(empty.json["segments"][0]["count"], 0);
    assert_eq!(empty.json["segments"].as_array().unwrap().len(), 1);
    app.crowd(100).await;
    let full = app
        .post("/v1/promotions", &promotion("One more", "low", &["p001"]))
        .await;
    full.refuses(409, "market-full");
    assert_eq!(
        (&full.json["market"], &full.json["limit"]),
        (&json!("se"), &json!(100))
    );
    assert_eq!(full.json["free_from"], "2027-03-11T23:00:00.000Z");
    let list = app.get("/v1/promotions?limit=1").await;
    assert_eq!(
        (&list.json["active"]["se"], &list.json["limit"]),
        (&json!(100), &json!(100))
    );
    let path = format!(
        "/v1/promotions/{}/end",
        list.json["items"][0]["id"].as_str().unwrap()
    );
    app.later("2027-03-10T12:00:01Z").await;
    app.ask("POST", &path, &[("if-match", "*")], "")
        .await
        .is(200);
    app.post("/v1/promotions", &promotion("One more", "low", &["p001"]))
        .await
        .is(201);
}

#[tokio::test]
async fn the_same_request_again_does_nothing_twice() {
    let app = App::shop(10).await;
    let key = [("idempotency-key", "5b1f-77")];
    let body = promotion("Once", "high", &["p003"]).to_string();
    let first = app.ask("POST", "/v1/promotions", &key, &body).await;
    let again = app.ask("POST", "/v1/promotions", &key, &body).await;
    assert_eq!((again.status, &again.text), (201, &first.text));
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.header("location"), first.header("location"));
    let other = promotion("Twice", "high", &["p003"]).to_string();
    app.ask("POST", "/v1/promotions", &key, &other)
        .await
        .refuses(422, "idempotency-key-reused");
    assert_eq!(
        app.get("/v1/promotions").await.json["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    let tag = first.header("etag").to_owned();
    let path = format!("{}/suspend", first.header("location"));
    let step = [("idempotency-key", "s"), ("if-match", &*tag)];
    app.ask("POST", &path, &step, "").await.is(200);
    let again = app.ask("POST", &path, &step, "").await;
    assert_eq!(
        (again.status, again.header("idempotency-replayed")),
        (200, "true")
    );
}

#[tokio::test]
async fn lists_are_filtered_sorted_and_paged() {
    let app = App::shop(10).await;
    for (name, level) in [("Beta", "low"), ("alpha", "high"), ("Gamma", "medium")] {
        app.post("/v1/promotions", &promotion(name, level, &["p001"]))
            .await
            .is(201);
    }
    let names = |page: &Value| -> Vec<String> {
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let by_name = app
        .get("/v1/promotions?sort=name:desc&limit=2&market=se&state=active&measured=false")
        .await;
    assert_eq!(names(&by_name.json), ["Gamma", "Beta"]);
    let link = by_name.header("link").to_owned();
    let next = link
        .strip_prefix('<')
        .and_then(|rest| rest.split('>').next())
        .unwrap()
        .to_owned();
    assert_eq!(names(&app.get(&next).await.json), ["alpha"]);
    let other = next.replace("state=active", "state=ended");
    app.get(&other).await.refuses(400, "bad-cursor");
    assert_eq!(
        names(&app.get("/v1/promotions?q=ALPH").await.json),
        ["alpha"]
    );
    let refused = app
        .get("/v1/promotions?stat=active&limit=0&sort=nmae")
        .await
        .complaints();
    assert_eq!(refused.len(), 3);
}

#[tokio::test]
async fn seven_hundred_products_are_picked_at_once_and_no_more() {
    let app = App::shop(10).await;
    let made = app
        .post("/v1/promotions", &promotion("Picked", "low", &["p001"]))
        .await;
    let path = format!("{}/handpicked/import", made.header("location"));
    let keys = |n: usize| (0..n).map(|n| format!("p{n:03}")).collect::<Vec<_>>();
    let refused = app
        .change(
            "POST",
            &path,
            &made.json["revision"],
            &json!({ "keys": keys(701) }),
        )
        .await;
    assert_eq!(
        refused.complaints(),
        [("/keys".to_owned(), "too-many".to_owned())]
    );
    let tag = made.header("etag").to_owned();
    let table = "p001,x\n\"p002\",y\np002\nnew,z\n";
    let csv = [("if-match", &*tag), ("content-type", "text/csv")];
    let picked = app.ask("POST", &path, &csv, table).await;
    picked.is(200);
    let counts = ["unique", "added", "already"].map(|name| picked.json[name].as_u64().unwrap());
    assert_eq!(
        (counts, &picked.json["unknown"]),
        ([3, 2, 1], &json!(["new"]))
    );
    let units = app
        .get(&format!("{}/variants?market=se", made.header("location")))
        .await;
    units.is(200);
    assert_eq!(
        units.json["items"][1],
        json!({ "variant": "u002", "product": "p002", "by": "handpicked", "blocked": false, "level_now": "low", "in_stock": true })
    );
}

#[tokio::test]
async fn a_feed_is_taken_whole_or_not_at_all() {
    let app = App::shop(30).await;
    let bad = format!(
        "{}{}\n",
        feed(29),
        json!({ "op": "replace", "product": "p029", "variants": { "u029": { "list_price": "free" } } })
    );
    let refused = app.feed(&bad, "full").await;
    refused.refuses(422, "import-invalid");
    assert_eq!(
        (
            &refused.json["rows_rejected"],
            &refused.json["errors"][0]["row"]
        ),
        (&json!(1), &json!(30))
    );
    let import = format!("/v1/imports/{}", refused.json["import"].as_str().unwrap());
    assert_eq!(app.get(&import).await.json["state"], "refused");
    let lines = app.get(&format!("{import}/errors")).await;
    assert_eq!(lines.text.lines().count(), 1);
    assert_eq!(
        app.ranked(&json!({ "limit": 1, "offset": 29 })).await,
        ["u029"]
    );
    let harmful = app.feed(&feed(20), "full").await;
    harmful.refuses(409, "import-harmful");
    let import = format!("/v1/imports/{}", harmful.json["import"].as_str().unwrap());
    assert_eq!(harmful.json["harms"][0]["code"], "products-vanish");
    assert_eq!(harmful.json["harms"], app.get(&import).await.json["harms"]);
    let no = app
        .post(&format!("{import}/apply"), &json!({ "force": false }))
        .await;
    assert_eq!(no.complaints()[0].0, "/force");
    let done = app
        .post(&format!("{import}/apply"), &json!({ "force": true }))
        .await;
    done.is(200);
    assert_eq!(done.json["state"], "applied");
    app.ask("DELETE", &import, &[], "")
        .await
        .refuses(409, "wrong-state");
    assert_eq!(
        app.post("/v1/markets/se/rank", &json!({})).await.json["total"],
        20
    );
}

#[tokio::test]
async fn imports_repeat_idempotently_and_name_what_they_miss() {
    let app = App::shop(30).await;
    let path = "/v1/markets/se/imports?kind=catalogue&mode=delta&max_errors=5";
    let headers = [
        ("content-type", "application/x-ndjson"),
        ("idempotency-key", "i-1"),
    ];
    let row = json!({ "op": "edit", "variant": "u001", "stock": 0 }).to_string() + "\n";
    let first = app.ask("POST", path, &headers, &row).await;
    first.is(200);
    assert_eq!(
        (&first.json["state"], &first.json["changed"]),
        (&json!("applied"), &json!(1))
    );
    let again = app.ask("POST", path, &headers, &row).await;
    assert_eq!(
        (again.status, again.header("idempotency-replayed")),
        (200, "true")
    );
    assert_eq!(again.json["revision"], first.json["revision"]);
    let missing = app
        .ask("POST", "/v1/markets/se/imports?mode=ful", &headers, &row)
        .await;
    assert_eq!(missing.complaints().len(), 2);
    let pictures = [("content-type", "image/png")];
    let path = "/v1/markets/se/imports?kind=catalogue&mode=delta";
    app.ask("POST", path, &pictures, "x")
        .await
        .refuses(415, "unsupported-media-type");
    let mapping = "/v1/markets/se/imports?kind=catalogue&mode=delta&mapping=none";
    app.ask("POST", mapping, &headers[..1], &row)
        .await
        .refuses(404, "not-found");
}

#[tokio::test]
async fn a_table_is_read_by_a_stored_mapping() {
    let app = App::shop(3).await;
    let path = "/v1/markets/se/feed-mappings/erp";
    let mapping = json!({ "columns": { "variant": "ArtNr", "list_price": "UVP" }, "delimiter": ";", "decimal": "," }).to_string();
    let made = app.ask("PUT", path, &[], &mapping).await;
    made.is(201);
    app.ask("PUT", path, &[], &mapping)
        .await
        .refuses(428, "precondition-required");
    let tag = made.header("etag").to_owned();
    app.ask("PUT", path, &[("if-match", &tag)], "{\"colums\":{}}")
        .await
        .complaints();
    assert_eq!(
        app.get("/v1/markets/se/feed-mappings").await.json["items"][0]["name"],
        "erp"
    );
    let import = "/v1/markets/se/imports?kind=catalogue&mode=delta&mapping=erp";
    let table = app
        .ask(
            "POST",
            import,
            &[("content-type", "text/csv")],
            "ArtNr;UVP\nx1;\"1.299,50\"\n",
        )
        .await;
    table.is(200);
    let found = app.get("/v1/markets/se/variants/x1").await;
    assert_eq!(found.json["list_price"], "1299.50");
    app.ask("DELETE", path, &[("if-match", &tag)], "")
        .await
        .is(204);
    app.get(path).await.refuses(404, "not-found");
}

#[tokio::test]
async fn one_looks_around_in_the_goods() {
    let app = App::shop(30).await;
    let made = app
        .post("/v1/promotions", &promotion("Push", "high", &["p010"]))
        .await;
    let related = format!(
        "/v1/markets/se/categories?related_to={}",
        made.json["id"].as_str().unwrap()
    );
    let categories = app.get(&related).await;
    assert_eq!(
        (
            &categories.json["items"][0]["category"],
            &categories.json["items"][0]["related"]
        ),
        (&json!("main:jackets"), &json!(1))
    );
    let values = app
        .get("/v1/markets/se/attributes/brand/values?limit=1")
        .await;
    assert_eq!(
        values.json["items"],
        json!([{ "value": "Vela", "count": 27 }])
    );
    let cursor = values.json["next_cursor"].as_str().unwrap();
    let next = app
        .get(&format!(
            "/v1/markets/se/attributes/brand/values?limit=1&cursor={cursor}"
        ))
        .await;
    assert_eq!(next.json["items"], json!([{ "value": "Nord", "count": 3 }]));
    let variant = app.get("/v1/markets/se/variants?key=u010").await;
    assert_eq!(variant.json["items"][0]["promotions"][0]["name"], "Push");
    assert_eq!(variant.json["items"][0]["cost"], "4.00");
    assert_eq!(
        app.get("/v1/markets/se/variants?q=thing+12").await.json["items"][0]["variant"],
        "u012"
    );
    let attributes = app.get("/v1/markets/se/attributes").await;
    let tag = attributes.header("etag").to_owned();
    let changed = app
        .ask(
            "PATCH",
            "/v1/markets/se/attributes/brand",
            &[("if-match", &tag)],
            "{\"facet\":true}",
        )
        .await;
    changed.is(200);
    assert_eq!(changed.json["facet"], true);
    app.ask(
        "PATCH",
        "/v1/markets/se/attributes/brand",
        &[("if-match", &tag)],
        "{}",
    )
    .await
    .refuses(412, "stale-revision");
    app.get("/v1/markets/se/attributes/none/values")
        .await
        .refuses(404, "not-found");
}

#[tokio::test]
async fn the_share_of_a_running_measurement_changes_by_a_new_start_only() {
    let app = App::shop(10).await;
    let mut body = promotion("Measured", "high", &["p003"]);
    body["measurement"] = json!({ "measured": true, "share_shown_percent": "80" });
    let made = app.post("/v1/promotions", &body).await;
    let (path, revision) = (made.header("location").to_owned(), &made.json["revision"]);
    let share = json!({ "measurement": { "share_shown_percent": "90" } });
    let refused = app.change("PATCH", &path, revision, &share).await;
    assert_eq!(
        refused.complaints(),
        [(
            "/measurement/share_shown_percent".to_owned(),
            "read-only".to_owned()
        )]
    );
    let restart = format!("{path}/restart-measurement");
    let restarted = app
        .change(
            "POST",
            &restart,
            revision,
            &json!({ "share_shown_percent": "90" }),
        )
        .await;
    restarted.is(200);
    assert_eq!(restarted.json["measurement"]["share_shown_percent"], "90");
}

#[tokio::test]
async fn examples_of_the_document_fit_what_is_sent() {
    let app = App::shop(3).await;
    let body = promotion("Push", "high", &["p001"]);
    app.post("/v1/promotions", &body).await.is(201);
    let (_, operation) = crate::app::operation("POST", "/v1/promotions").unwrap();
    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    assert_eq!(fits(schema, &body, false), Ok(()));
    assert!(fits(schema, &json!({ "kind": 7 }), false).is_err());
}
