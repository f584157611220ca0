//! What-if: a page before and after changes that nobody has published.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::app::{Answer, App, promotion};

const ROW: &[&str] = &["product", "variant", "position", "base_rank", "level"];

/// What a page of ranks and a page of a preview both say of each place.
fn places(page: &Value) -> Vec<Vec<Value>> {
    let items = page["items"].as_array().unwrap().iter();
    items
        .map(|item| ROW.iter().map(|name| item[*name].clone()).collect())
        .collect()
}

fn products(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap().iter();
    items
        .map(|item| item["product"].as_str().unwrap().to_owned())
        .collect()
}

async fn preview(app: &App, body: &Value) -> Answer {
    let answer = app.post("/v1/markets/se/preview", body).await;
    answer.is(200);
    answer
}

fn put(promotion: &Value) -> Value {
    json!({ "op": "put", "promotion": promotion })
}

#[tokio::test]
async fn without_changes_nothing_differs() {
    let app = App::shop(80).await;
    let push = promotion("Push", "high", &["p040", "p050"]);
    app.post("/v1/promotions", &push).await.is(201);
    let found = preview(&app, &json!({ "rank": { "limit": 9 } })).await;
    let nothing = json!({ "moved": [], "entered": [], "left": [] });
    assert_eq!(found.json["diff"], nothing);
    assert_eq!(found.json["changed_categories"], json!([]));
    assert_eq!(found.json["before"], found.json["after"]);
    let ranked = app
        .post("/v1/markets/se/rank", &json!({ "limit": 9 }))
        .await;
    assert_eq!(places(&found.json["after"]), places(&ranked.json));
    assert!(found.json["after"]["items"][0].get("ticket").is_none());
}

#[tokio::test]
async fn what_is_previewed_is_what_comes_of_publishing() {
    let app = App::shop(90).await;
    app.post("/v1/promotions", &promotion("Old", "medium", &["p060"]))
        .await
        .is(201);
    let new = promotion("New", "high", &["p070", "p010", "p033"]);
    let before = app.revision().await;
    for rank in [
        json!({ "limit": 5 }),
        json!({ "limit": 5, "offset": 3, "group_by": "variant" }),
        json!({ "limit": 7, "selected_category": "main:jackets" }),
        json!({ "limit": 7, "sort": ["brand:asc", "relevance"] }),
        json!({ "limit": 4, "filter": { "all": [{ "attr": "brand", "in": ["Vela"] }] } }),
    ] {
        let seen = preview(&app, &json!({ "rank": rank, "changes": [put(&new)] })).await;
        let was = app.post("/v1/markets/se/rank", &rank).await;
        assert_eq!(places(&seen.json["before"]), places(&was.json));
    }
    assert_eq!(app.revision().await, before, "nothing is stored");
    let rank = json!({ "limit": 5 });
    let seen = preview(&app, &json!({ "rank": rank, "changes": [put(&new)] })).await;
    app.post("/v1/promotions", &new).await.is(201);
    let now = app.post("/v1/markets/se/rank", &rank).await;
    assert_eq!(places(&seen.json["after"]), places(&now.json));
}

#[tokio::test]
async fn the_difference_names_where_everything_went() {
    let app = App::shop(60).await;
    let body = json!({ "rank": { "limit": 3 }, "changes": [put(&promotion("Two", "high", &["p007", "p050"]))] });
    let found = preview(&app, &body).await.json;
    assert_eq!(products(&found["before"]), ["p000", "p001", "p002"]);
    assert_eq!(products(&found["after"]), ["p007", "p050", "p000"]);
    let expected = json!({
        "moved": [{ "key": "p000", "from": 0, "to": 2 }],
        "entered": [{ "key": "p007", "from": 7, "to": 0 }, { "key": "p050", "from": 50, "to": 1 }],
        "left": [{ "key": "p001", "from": 1, "to": 3 }, { "key": "p002", "from": 2, "to": 4 }],
    });
    assert_eq!(found["diff"], expected);
    assert_eq!(found["after"]["total"], 60);
}

#[tokio::test]
async fn every_category_whose_first_page_changes_is_named() {
    let app = App::shop(900).await;
    let first = async |category: &str| {
        let body = json!({ "selected_category": category, "limit": 60 });
        places(&app.post("/v1/markets/se/rank", &body).await.json)
    };
    // p003 lies in shoes, and so high that it hardly moves; p800 in jackets; p799 stays too deep.
    let deep = promotion("Deep", "low", &["p799"]);
    for (new, expected) in [
        (promotion("Shoe", "high", &["p003"]), vec!["main:shoes"]),
        (
            promotion("Both", "high", &["p003", "p800"]),
            vec!["main:jackets", "main:shoes"],
        ),
        (deep, vec![]),
    ] {
        let found = preview(&app, &json!({ "changes": [put(&new)] })).await.json;
        assert_eq!(found["changed_categories"], json!(expected), "{new}");
        let before = [first("main:jackets").await, first("main:shoes").await];
        let made = app.post("/v1/promotions", &new).await;
        let after = [first("main:jackets").await, first("main:shoes").await];
        let names = ["main:jackets", "main:shoes"].into_iter();
        let changed: Vec<&str> = names
            .zip(before.iter().zip(&after))
            .filter(|(_, (old, new))| old != new)
            .map(|(name, _)| name)
            .collect();
        assert_eq!(changed, expected);
        let path = made.header("location").to_owned();
        let gone = app.change("DELETE", &path, &made.json["revision"], &Value::Null);
        gone.await.is(200);
    }
}

#[tokio::test]
async fn stored_promotions_are_tried_otherwise_or_without() {
    let app = App::shop(200).await;
    let made = app
        .post("/v1/promotions", &promotion("Push", "high", &["p150"]))
        .await;
    let id = made.json["id"].clone();
    let place = async |changes: Value| {
        let body = json!({ "rank": { "limit": 200 }, "changes": changes });
        let found = preview(&app, &body).await.json;
        let all = products(&found["after"]);
        all.iter().position(|own| own == "p150").unwrap()
    };
    assert_eq!(place(json!([])).await, 0);
    for (level, expected) in [("high", 0), ("medium", 1), ("low", 15)] {
        let patch = json!({ "op": "patch", "id": id, "promotion": { "level": level } });
        assert_eq!(place(json!([patch])).await, expected, "{level}");
    }
    assert_eq!(place(json!([{ "op": "delete", "id": id }])).await, 150);
    let held = json!({ "op": "patch", "id": id, "promotion": { "suspended": true } });
    assert_eq!(place(json!([held])).await, 150);
    let mut again = promotion("Push", "low", &["p150"]);
    again["id"] = id.clone();
    assert_eq!(place(json!([put(&again)])).await, 15);
    let low = json!({ "op": "patch", "id": id, "promotion": { "level": "low" } });
    let gone = json!({ "op": "delete", "id": id });
    assert_eq!(place(json!([low, gone])).await, 150, "one after the other");
    let twice = json!({ "changes": [gone, low] });
    app.post("/v1/markets/se/preview", &twice)
        .await
        .refuses(404, "not-found");
}

#[tokio::test]
async fn any_instant_and_either_side_of_the_split_can_be_seen() {
    let app = App::shop(100).await;
    let mut measured = promotion("Split", "high", &["p050"]);
    measured["measurement"] = json!({ "measured": true });
    let first = async |body: Value| {
        let found = preview(&app, &body).await.json;
        products(&found["after"])[0].clone()
    };
    let body =
        |at: &str, arms: &str| json!({ "at": at, "arms": arms, "changes": [put(&measured)] });
    assert_eq!(first(body("2027-03-10T13:00:00Z", "shown")).await, "p050");
    assert_eq!(
        first(body("2027-03-10T13:00:00Z", "withheld")).await,
        "p000"
    );
    assert_eq!(
        first(body("2027-03-12T13:00:00Z", "shown")).await,
        "p000",
        "it is over"
    );
    // Whose coins are not drawn yet is shown to everybody.
    for session in 0..30 {
        let rank = json!({ "session_key": format!("s-{session}") });
        assert_eq!(
            first(json!({ "rank": rank, "changes": [put(&measured)] })).await,
            "p050"
        );
    }
    let made = app.post("/v1/promotions", &measured).await;
    let id = made.json["id"].as_str().unwrap().to_owned();
    assert_eq!(first(json!({ "arms": { &id: "withheld" } })).await, "p000");
    assert_eq!(first(json!({ "arms": { &id: "shown" } })).await, "p050");
    let arms: BTreeSet<String> = {
        let mut seen = BTreeSet::new();
        for session in 0..40 {
            let rank = json!({ "session_key": format!("s-{session}") });
            seen.insert(first(json!({ "rank": rank })).await);
        }
        seen
    };
    assert_eq!(arms.len(), 2, "stored ones follow the session");
}

#[tokio::test]
async fn a_full_market_and_other_oddities_are_told() {
    let app = App::shop(20).await;
    app.crowd(100).await;
    let odd = promotion("no 3", "high", &["gone"]);
    let found = preview(
        &app,
        &json!({ "rank": { "selected_category": "main:none" }, "changes": [put(&odd)] }),
    )
    .await
    .json;
    assert_eq!(found["calendar"][0]["market"], "se");
    assert_eq!(found["calendar"][0]["limit"], 100);
    let told: BTreeSet<(&str, &str)> = found["warnings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|own| {
            (
                own["code"].as_str().unwrap(),
                own["pointer"].as_str().unwrap(),
            )
        })
        .collect();
    for expected in [
        ("unknown-category", "/rank"),
        ("name-taken", "/changes/0/promotion/name"),
        ("unmeasured", "/changes/0/promotion"),
        (
            "unknown-handpick",
            "/changes/0/promotion/selection/handpicked/0",
        ),
    ] {
        assert!(told.contains(&expected), "{expected:?} in {told:?}");
    }
    let full = promotion("One more", "high", &["p005"]);
    let found = preview(&app, &json!({ "changes": [put(&full)] }))
        .await
        .json;
    assert_eq!(
        products(&found["after"])[0],
        "p005",
        "it is shown all the same"
    );
    let many: Vec<Value> = (0..21)
        .map(|n| put(&promotion(&format!("N{n}"), "high", &[])))
        .collect();
    let refused = app
        .post("/v1/markets/se/preview", &json!({ "changes": many }))
        .await;
    assert_eq!(
        refused.complaints(),
        [("/changes".to_owned(), "too-many".to_owned())]
    );
    let twenty = json!({ "changes": &many[..20] });
    preview(&app, &twenty).await;
}

#[tokio::test]
async fn all_that_is_wrong_is_told_at_once() {
    let app = App::shop(20).await;
    let bad = json!({ "kind": "promotion", "level": "top", "name": "X", "markets": ["se"], "start": "2027-03-10", "end": "2027-03-11" });
    let body = json!({ "rank": { "limit": 601, "at": "2027-03-10T13:00:00Z", "filter": { "all": [{ "attr": "brnd", "in": ["x"] }] } },
        "changes": [put(&bad), { "op": "patch" }, { "op": "remove" }, 3], "ats": 1 });
    let refused = app.post("/v1/markets/se/preview", &body).await;
    refused.refuses(422, "invalid");
    let told: BTreeSet<(String, String)> = refused.complaints().into_iter().collect();
    for (at, code) in [
        ("/rank/limit", "out-of-range"),
        ("/rank/at", "contradiction"),
        ("/rank/filter/all/0/attr", "unknown-attribute"),
        ("/changes/0/promotion/level", "unknown-value"),
        ("/changes/1/id", "required"),
        ("/changes/1/promotion", "required"),
        ("/changes/2/op", "unknown-value"),
        ("/changes/3", "wrong-type"),
        ("/ats", "unknown-field"),
    ] {
        let expected = (at.to_owned(), code.to_owned());
        assert!(told.contains(&expected), "{expected:?} in {told:?}");
    }
}

#[tokio::test]
async fn a_preview_explains_its_items() {
    let app = App::shop(50).await;
    let body = json!({ "rank": { "limit": 2, "explain": true, "fields": ["brand"] },
        "changes": [put(&promotion("Try", "low", &["p030"])), put(&promotion("Held", "high", &["p030"])),
            ] });
    let found = preview(&app, &body).await.json;
    let first = &found["after"]["items"][0];
    assert_eq!(first["product"], "p030");
    assert_eq!(first["fields"]["brand"], "Nord");
    assert_eq!(first["explain"]["because"][0]["name"], "Held");
    assert_eq!(
        first["explain"]["because"][0]["promotion"],
        found["promotions"][1]
    );
    assert_eq!(first["explain"]["not_used"][0]["reason"], "weaker-level");
    assert_eq!(found["before"]["items"][0]["explain"]["because"], json!([]));
}
