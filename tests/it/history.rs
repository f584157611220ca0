//! What was decided before, going back, copies, and several promotions at once.

use serde_json::{Value, json};

use crate::app::{Answer, App, promotion};

async fn history(app: &App, path: &str) -> Vec<Value> {
    let read = app.get(&format!("{path}/history")).await;
    read.is(200);
    assert_eq!(read.json["next_cursor"], Value::Null);
    read.json["items"].as_array().unwrap().clone()
}

/// A promotion that was made, made low, renamed and suspended; its path and the last answer.
async fn lived(app: &App) -> (String, Answer) {
    let made = app
        .post("/v1/promotions", &promotion("Warm week", "high", &["p003"]))
        .await;
    made.is(201);
    let path = made.header("location").to_owned();
    let mut last = made;
    for patch in [
        json!({ "level": "low", "selection": { "handpicked": ["p004", "p005"] } }),
        json!({ "name": "Warmer week", "note": "as agreed" }),
    ] {
        last = app
            .change("PATCH", &path, &last.json["revision"], &patch)
            .await;
        last.is(200);
    }
    let suspend = format!("{path}/suspend");
    last = app
        .change("POST", &suspend, &last.json["revision"], &Value::Null)
        .await;
    last.is(200);
    (path, last)
}

#[tokio::test]
async fn every_change_is_told_with_who_when_and_what() {
    let app = App::shop(10).await;
    let (path, last) = lived(&app).await;
    let past = history(&app, &path).await;
    let actions: Vec<_> = past
        .iter()
        .map(|own| own["action"].as_str().unwrap())
        .collect();
    let expected = [
        "promotion.create",
        "promotion.edit",
        "promotion.edit",
        "promotion.suspend",
    ];
    assert_eq!(actions, expected);
    assert_eq!(past[3]["revision"], last.json["revision"]);
    assert_eq!(past[1]["at"], "2027-03-10T12:00:00.000Z");
    assert!(past[1]["actor"].as_str().unwrap().starts_with("key_"));
    let level = json!({ "pointer": "/level", "before": "high", "after": "low" });
    let picks = json!({ "pointer": "/selection/handpicked", "added": ["p004", "p005"],
        "removed": ["p003"], "added_count": 2, "removed_count": 1 });
    assert_eq!(past[1]["diff"], json!([level, picks]));
    let renamed = json!([
        { "pointer": "/name", "before": "Warm week", "after": "Warmer week" },
        { "pointer": "/note", "after": "as agreed" },
    ]);
    assert_eq!(past[2]["diff"], renamed);
    let held = json!([{ "pointer": "/suspended", "before": false, "after": true }]);
    assert_eq!(past[3]["diff"], held);
    let first = past[0]["diff"].as_array().unwrap();
    assert!(first.contains(&json!({ "pointer": "/name", "after": "Warm week" })));

    // A page at a time, each change against the one before it.
    let (mut found, mut next) = (Vec::new(), String::new());
    loop {
        let page = app.get(&format!("{path}/history?limit=1{next}")).await;
        page.is(200);
        found.extend(page.json["items"].as_array().unwrap().clone());
        match page.json["next_cursor"].as_str() {
            Some(cursor) => next = format!("&cursor={cursor}"),
            None => break,
        }
    }
    assert_eq!(found, past);

    // A refused change is none.
    let refused = app
        .change("PATCH", &path, &json!(1), &json!({ "name": "x" }))
        .await;
    refused.refuses(412, "stale-revision");
    assert_eq!(history(&app, &path).await.len(), 4);
}

#[tokio::test]
async fn going_back_is_a_new_revision() {
    let app = App::shop(10).await;
    let (path, last) = lived(&app).await;
    let past = history(&app, &path).await;
    let restore = format!("{path}/restore");
    let to_first = json!({ "revision": past[0]["revision"] });
    app.change("POST", &restore, &json!(1), &to_first)
        .await
        .refuses(412, "stale-revision");
    let back = app
        .change("POST", &restore, &last.json["revision"], &to_first)
        .await;
    back.is(200);
    assert_eq!(back.json["name"], "Warm week");
    assert_eq!(back.json["level"], "high");
    assert_eq!(back.json["state"], "active");
    assert_eq!(back.json["selection"]["handpicked"], json!(["p003"]));
    assert!(last.json["revision"].as_u64() < back.json["revision"].as_u64());
    let now = history(&app, &path).await;
    assert_eq!(now.len(), 5);
    assert_eq!(now[..4], past[..], "what was stays");
    assert_eq!(now[4]["action"], "promotion.restore");

    // Out of the archive as well, if name and place are free.
    let gone = app
        .change("DELETE", &path, &back.json["revision"], &Value::Null)
        .await;
    gone.is(200);
    app.post("/v1/promotions", &promotion("WARM WEEK", "low", &["p001"]))
        .await
        .is(201);
    app.change("POST", &restore, &gone.json["revision"], &to_first)
        .await
        .refuses(409, "name-taken");
    let to_third = json!({ "revision": past[2]["revision"] });
    let back = app
        .change("POST", &restore, &gone.json["revision"], &to_third)
        .await;
    back.is(200);
    assert_eq!(
        (&back.json["name"], &back.json["state"]),
        (&json!("Warmer week"), &json!("active"))
    );

    for wrong in [json!({ "revision": 1 }), json!({ "revision": 999_999 })] {
        app.change("POST", &restore, &back.json["revision"], &wrong)
            .await
            .refuses(404, "not-found");
    }
    app.change(
        "POST",
        &restore,
        &back.json["revision"],
        &json!({ "revison": 3 }),
    )
    .await
    .refuses(422, "invalid");
}

#[tokio::test]
async fn going_back_never_reshuffles_the_split() {
    let app = App::shop(10).await;
    let mut measured = promotion("Split", "high", &["p003"]);
    measured["measurement"] = json!({ "measured": true, "share_shown_percent": "70" });
    let made = app.post("/v1/promotions", &measured).await;
    made.is(201);
    let path = made.header("location").to_owned();
    let arms = async || {
        let mut arms = Vec::new();
        for session in 0..50 {
            let body = json!({ "session_key": format!("s-{session}"), "limit": 1 });
            let page = app.post("/v1/markets/se/rank", &body).await;
            arms.push(page.json["measurement"][0]["arm"].clone());
        }
        arms
    };
    let before = arms().await;
    let edit = json!({ "level": "low" });
    let edited = app
        .change("PATCH", &path, &made.json["revision"], &edit)
        .await;
    edited.is(200);
    let back = json!({ "revision": made.json["revision"] });
    let restore = format!("{path}/restore");
    app.change("POST", &restore, &edited.json["revision"], &back)
        .await
        .is(200);
    assert_eq!(arms().await, before);
}

#[tokio::test]
async fn a_copy_is_held_back_and_has_a_name_of_its_own() {
    let app = App::shop(10).await;
    let made = app
        .post("/v1/promotions", &promotion("Warm week", "high", &["p003"]))
        .await;
    let duplicate = format!("{}/duplicate", made.header("location"));
    let revision = &made.json["revision"];
    let copy = app.change("POST", &duplicate, revision, &Value::Null).await;
    copy.is(201);
    assert_eq!(copy.json["name"], "Warm week (copy)");
    assert_eq!(copy.json["state"], "suspended");
    assert_eq!(copy.json["selection"], made.json["selection"]);
    assert_ne!(copy.json["id"], made.json["id"]);
    let second = app.change("POST", &duplicate, revision, &json!({})).await;
    assert_eq!(second.json["name"], "Warm week (copy 2)");
    let own = json!({ "name": "Next week", "start": "2027-03-17", "end": "2027-03-18", "suspended": false });
    let third = app.change("POST", &duplicate, revision, &own).await;
    third.is(201);
    assert_eq!(
        (&third.json["name"], &third.json["state"]),
        (&json!("Next week"), &json!("scheduled"))
    );
    app.change(
        "POST",
        &duplicate,
        revision,
        &json!({ "name": "warm WEEK" }),
    )
    .await
    .refuses(409, "name-taken");
    app.change("POST", &duplicate, &json!(1), &json!({}))
        .await
        .refuses(412, "stale-revision");
    app.post(&duplicate, &json!({}))
        .await
        .refuses(428, "precondition-required");
    app.change("POST", &duplicate, revision, &json!({ "levl": "low" }))
        .await
        .refuses(422, "invalid");
    // Repeated under one key it is one copy.
    let ask = async || {
        let tag = format!("\"r{revision}\"");
        let headers = [("if-match", &*tag), ("idempotency-key", "once")];
        app.ask("POST", &duplicate, &headers, "{\"name\":\"Once\"}")
            .await
    };
    let (first, again) = (ask().await, ask().await);
    assert_eq!((first.status, &first.json), (201, &again.json));
}

#[tokio::test]
async fn several_are_stopped_at_once_each_for_itself() {
    let app = App::shop(10).await;
    let mut made = Vec::new();
    for name in ["A", "B", "C"] {
        let answer = app
            .post("/v1/promotions", &promotion(name, "low", &["p001"]))
            .await;
        made.push(answer.json);
    }
    let item = |at: usize| json!({ "promotion": made[at]["id"] });
    let gone = json!({ "promotion": "prm_00000000000000000000000000" });
    let stale = json!({ "promotion": made[2]["id"], "revision": 1 });
    let body = json!({ "action": "suspend", "promotions": [item(0), gone, item(1), stale] });
    let ask = async || {
        let key = [("idempotency-key", "bulk-1")];
        app.ask("POST", "/v1/promotions/bulk", &key, &body.to_string())
            .await
    };
    let told = ask().await;
    told.is(200);
    assert_eq!(
        (&told.json["done"], &told.json["refused"]),
        (&json!(2), &json!(2))
    );
    let items = told.json["items"].as_array().unwrap();
    assert_eq!(items[0]["state"], "suspended");
    assert_eq!(items[1]["problem"]["code"], "not-found");
    assert_eq!(items[2]["state"], "suspended");
    assert_eq!(items[3]["problem"]["code"], "stale-revision");
    let revision = app.revision().await;
    let again = ask().await;
    assert_eq!(again.json["items"][0]["revision"], items[0]["revision"]);
    assert_eq!(app.revision().await, revision, "repeated it writes nothing");
    let state = async |at: usize| {
        let path = format!("/v1/promotions/{}", made[at]["id"].as_str().unwrap());
        app.get(&path).await.json["state"].clone()
    };
    assert_eq!(
        [state(0).await, state(1).await, state(2).await],
        ["suspended", "suspended", "active"]
    );

    let end = json!({ "action": "end", "promotions": [item(2)] });
    let told = app.post("/v1/promotions/bulk", &end).await;
    assert_eq!(told.json["items"][0]["state"], "ended");
    let resume = json!({ "action": "resume", "promotions": [item(0)] });
    let refused = app.post("/v1/promotions/bulk", &resume).await;
    assert_eq!(
        refused.complaints(),
        [("/promotions/0/revision".to_owned(), "required".to_owned())]
    );
    let many: Vec<Value> = (0..101).map(|_| item(0)).collect();
    let refused = app
        .post(
            "/v1/promotions/bulk",
            &json!({ "action": "stop", "promotions": many }),
        )
        .await;
    assert_eq!(
        refused.complaints(),
        [("/action", "unknown-value"), ("/promotions", "too-many")]
            .map(|(at, code)| (at.to_owned(), code.to_owned()))
    );
}

#[tokio::test]
async fn a_large_promotion_has_a_history_as_well() {
    let app = App::shop(10).await;
    let keys: Vec<String> = (0..6_000).map(|at| format!("article-{at:06}")).collect();
    let mut body = promotion("Many", "low", &[]);
    body["selection"]["handpicked"] = json!(keys);
    let made = app.post("/v1/promotions", &body).await;
    made.is(201);
    let path = made.header("location").to_owned();
    body["selection"]["handpicked"] = json!(keys[1_000..]);
    let edited = app
        .change("PUT", &path, &made.json["revision"], &body)
        .await;
    edited.is(200);
    let past = history(&app, &path).await;
    assert_eq!(past[1]["diff"][0]["removed_count"], 1_000);
    assert_eq!(past[1]["diff"][0]["removed"].as_array().unwrap().len(), 100);
}
