//! Before a merchandiser publishes: what a draft would run into, and why it holds what it holds.

use serde_json::{Value, json};

use crate::app::{App, promotion};

/// A promotion of everything that these rules of one set select.
fn by_rules(name: &str, level: &str, rules: &[Value]) -> Value {
    let mut body = promotion(name, level, &[]);
    body["selection"] = json!({ "rule_sets": [{ "rules": rules }] });
    body
}

fn brand(op: &str, brand: &str) -> Value {
    json!({ "op": op, "attr": "brand", "in": [brand] })
}

fn cheap(max: &str) -> Value {
    json!({ "op": "include", "attr": "stock", "min": "1", "max": max })
}

/// A demotion in place of a promotion.
fn demotion(mut body: Value) -> Value {
    body["kind"] = json!("demotion");
    body.as_object_mut().unwrap().remove("level");
    body
}

#[tokio::test]
async fn a_check_tells_what_is_demoted_boosted_more_and_moved() {
    let app = App::shop(60).await;
    let keys: Vec<String> = (0..60).map(|at| format!("p{at:03}")).collect();
    let of = |range: std::ops::Range<usize>| -> Vec<&str> {
        keys[range].iter().map(String::as_str).collect()
    };
    let bad = demotion(promotion("Slow sellers", "low", &of(0..20)));
    let strong = promotion("Front row", "high", &of(15..30));
    let same = promotion("Also medium", "medium", &of(28..34));
    let weak = promotion("Weak", "low", &of(0..60));
    let mut other_time = promotion("Next year", "high", &of(0..60));
    other_time["start"] = json!("2028-01-01");
    other_time["end"] = json!("2028-01-02");
    let mut held_back = promotion("Held back", "high", &of(0..60));
    held_back["suspended"] = json!(true);
    let mut ids = Vec::new();
    for body in [&bad, &strong, &same, &weak, &other_time, &held_back] {
        let made = app.post("/v1/promotions", body).await;
        made.is(201);
        ids.push(made.json["id"].clone());
    }
    let mine = promotion("Mine", "medium", &of(10..40));
    let before = app.revision().await;
    let checked = app.post("/v1/promotions/check", &mine).await;
    checked.is(200);
    assert_eq!(checked.json["errors"], json!([]));
    let reach =
        json!({ "selected": 30, "demoted": 10, "stronger_level": 10, "same_level": 4, "moved": 6 });
    assert_eq!(checked.json["reach"]["se"], reach);
    let overlaps = checked.json["overlaps"].as_array().unwrap();
    let found: Vec<_> = overlaps
        .iter()
        .map(|own| {
            (
                own["promotion"].clone(),
                own["shared_variants"].as_u64().unwrap(),
                own["outcome"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        (ids[3].clone(), 30, "weaker-level"),
        (ids[1].clone(), 15, "stronger-level"),
        (ids[0].clone(), 10, "demoted-wins"),
        (ids[2].clone(), 6, "same-level"),
    ];
    assert_eq!(found, expected);
    assert_eq!(
        overlaps[2]["text"],
        "10 of your 30 variants are demoted by \"Slow sellers\" and will not move"
    );
    let lint = checked.json["lint"].as_array().unwrap();
    let remark = lint.iter().find(|own| own["code"] == "overlaps").unwrap();
    assert_eq!(remark["counts"], json!({ "promotions": 4, "variants": 30 }));
    assert_eq!(app.revision().await, before, "a check writes nothing");

    // In its own place a promotion does not stand in its own way.
    let mut again = strong.clone();
    again["id"] = ids[1].clone();
    let checked = app.post("/v1/promotions/check", &again).await;
    checked.is(200);
    assert_eq!(checked.json["errors"], json!([]));
    assert_eq!(checked.json["reach"]["se"]["selected"], 15);
    assert_eq!(checked.json["reach"]["se"]["demoted"], 5);
    assert_eq!(checked.json["reach"]["se"]["stronger_level"], 0);
}

#[tokio::test]
async fn a_check_tells_problems_as_data() {
    let app = App::shop(30).await;
    let made = app
        .post("/v1/promotions", &promotion("Push", "high", &["p003"]))
        .await;
    made.is(201);
    let checked = app
        .post("/v1/promotions/check", &promotion("PUSH", "low", &["p004"]))
        .await;
    checked.is(200);
    assert_eq!(checked.json["errors"][0]["pointer"], "/name");
    assert_eq!(checked.json["errors"][0]["code"], "name-taken");
    assert_eq!(
        checked.json["counts"]["se"]["selected"], 1,
        "the rest is told all the same"
    );
    let wrong = json!({ "kind": "promotion", "level": "highest", "name": "", "markets": ["se"],
        "start": "2027-03-10", "end": "2027-03-09", "selecton": {} });
    let checked = app.post("/v1/promotions/check", &wrong).await;
    checked.is(200);
    let codes: Vec<_> = checked.json["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|own| {
            (
                own["pointer"].as_str().unwrap(),
                own["code"].as_str().unwrap(),
            )
        })
        .collect();
    for expected in [
        ("/selecton", "unknown-field"),
        ("/level", "unknown-value"),
        ("/name", "too-short"),
        ("/end", "out-of-range"),
    ] {
        assert!(codes.contains(&expected), "{expected:?} in {codes:?}");
    }
    assert_eq!(checked.json["overlaps"], json!([]));
    app.post("/v1/promotions/check", &json!({ "markets": ["no"] }))
        .await
        .is(200);
    let mut unknown = promotion("X", "low", &[]);
    unknown["id"] = json!("prm_00000000000000000000000000");
    app.post("/v1/promotions/check", &unknown)
        .await
        .refuses(404, "not-found");
}

#[tokio::test]
async fn a_full_market_is_told_before_publishing() {
    let app = App::shop(30).await;
    app.crowd(100).await;
    let checked = app
        .post(
            "/v1/promotions/check",
            &promotion("One more", "low", &["p002"]),
        )
        .await;
    checked.is(200);
    let full = &checked.json["calendar"][0];
    assert_eq!(full["market"], "se");
    assert_eq!(
        full["first_full"], "2027-03-10T12:00:00.000Z",
        "from now on"
    );
    assert_eq!(full["free_from"], "2027-03-11T23:00:00.000Z");
    assert_eq!(full["promotions"].as_array().unwrap().len(), 100);
    let lint = checked.json["lint"].as_array().unwrap();
    let many = lint
        .iter()
        .find(|own| own["code"] == "many-active")
        .unwrap();
    assert_eq!(many["counts"]["active"], 101);
    let mut later = promotion("Later", "low", &["p002"]);
    later["start"] = json!("2027-03-12");
    later["end"] = json!("2027-03-12");
    let checked = app.post("/v1/promotions/check", &later).await;
    assert_eq!(checked.json["calendar"], json!([]));
}

#[tokio::test]
async fn categories_of_an_unsaved_selection_are_counted() {
    let app = App::shop(30).await;
    let body = json!({ "selection": { "handpicked": ["p010", "p020"] } });
    let ask = async |query: &str, body: &Value| {
        let path = format!("/v1/markets/se/categories{query}");
        app.post(&path, body).await
    };
    let counted = |answer: &Value| -> Vec<(String, u64)> {
        let items = answer["items"].as_array().unwrap().iter();
        items
            .map(|own| {
                (
                    own["category"].as_str().unwrap().to_owned(),
                    own["related"].as_u64().unwrap(),
                )
            })
            .collect()
    };
    let found = ask("", &body).await;
    found.is(200);
    assert_eq!(counted(&found.json), [("main:jackets".to_owned(), 2)]);
    let all = ask("?show=all", &body).await;
    let expected = [("main:jackets".to_owned(), 2), ("main:shoes".to_owned(), 0)];
    assert_eq!(counted(&all.json), expected);
    let first = ask("?show=all&limit=1", &body).await;
    let next = format!(
        "?show=all&limit=1&cursor={}",
        first.json["next_cursor"].as_str().unwrap()
    );
    assert_eq!(counted(&ask(&next, &body).await.json), expected[1..]);
    ask("?show=some", &body).await.refuses(422, "invalid");
    ask("", &json!({})).await.refuses(422, "invalid");
    let odd = json!({ "selection": { "rule_sets": [{ "rules": [brand("include", "Nord"), { "op": "include", "attr": "brnd", "in": ["x"] }] }] } });
    let refused = ask("", &odd).await;
    let at = "/selection/rule_sets/0/rules/1/attr".to_owned();
    assert_eq!(refused.complaints(), [(at, "unknown-attribute".to_owned())]);
}

#[tokio::test]
async fn a_selection_says_what_it_does_with_a_variant() {
    let app = App::shop(30).await;
    let draft = by_rules("Nord", "low", &[brand("include", "Nord"), cheap("4")]);
    let ask = async |variant: &str, draft: &Value| {
        let question = json!({ "market": "se", "variant": variant, "promotion": draft });
        let told = app.post("/v1/promotions/explain", &question).await;
        told.is(200);
        told.json
    };
    let vela = ask("u001", &draft).await;
    assert_eq!(
        (&vela["selected"], &vela["by"]),
        (&json!(false), &Value::Null)
    );
    assert_eq!(vela["sets"][0]["dropped_by"], 0);
    assert_eq!(
        vela["sets"][0]["text"],
        "rule 1 keeps brand Nord; it has Vela"
    );
    let nord = ask("u010", &draft).await;
    assert_eq!(nord["sets"][0]["dropped_by"], 1);
    assert_eq!(
        nord["sets"][0]["text"],
        "rule 2 keeps stock from 1 to 4; it has 5"
    );
    let mut picked = draft.clone();
    picked["selection"]["handpicked"] = json!(["p010"]);
    let nord = ask("u010", &picked).await;
    assert_eq!(
        (&nord["selected"], &nord["by"]),
        (&json!(true), &json!("handpicked"))
    );
    let mut blocked = by_rules("Nord", "low", &[brand("include", "Nord")]);
    blocked["selection"]["blocked"] = json!(["p010"]);
    let nord = ask("u010", &blocked).await;
    assert_eq!(
        (&nord["selected"], &nord["blocked"]),
        (&json!(false), &json!(true))
    );
    assert_eq!(
        nord["text"],
        "rule set 1 would hold it, but its product is blocked"
    );

    // The same of one that stands.
    let made = app.post("/v1/promotions", &draft).await;
    let question = json!({ "market": "se", "variant": "u001", "id": made.json["id"] });
    let told = app.post("/v1/promotions/explain", &question).await;
    told.is(200);
    assert_eq!(told.json, vela);
    let question = json!({ "market": "se", "variant": "gone", "id": made.json["id"] });
    app.post("/v1/promotions/explain", &question)
        .await
        .refuses(404, "not-found");
    let refused = app
        .post(
            "/v1/promotions/explain",
            &json!({ "markt": "se", "promotion": { "name": 3 } }),
        )
        .await;
    assert_eq!(
        refused.complaints(),
        [
            ("/market", "required"),
            ("/variant", "required"),
            ("/markt", "unknown-field"),
            ("/promotion/name", "wrong-type"),
        ]
        .map(|(at, code)| (at.to_owned(), code.to_owned()))
    );
}

#[tokio::test]
async fn ten_thousand_long_keys_are_picked_by_hand() {
    let app = App::shop(20).await;
    // Like the ids that many systems make: little of them repeats.
    let uuid = |at: u128| {
        let mixed = (at + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        format!("{:032x}", mixed ^ (mixed >> 61))
    };
    let mut keys: Vec<String> = (0..9_999).map(uuid).collect();
    keys.push("p001".to_owned());
    let mut draft = promotion("Everything", "high", &[]);
    draft["selection"] = json!({ "handpicked": keys });
    let made = app.post("/v1/promotions", &draft).await;
    made.is(201);
    let path = format!("/v1/promotions/{}", made.json["id"].as_str().unwrap());
    let read = app.get(&path).await;
    assert_eq!(
        read.json["selection"]["handpicked"]
            .as_array()
            .unwrap()
            .len(),
        10_000
    );
    let first = app
        .ranked(&json!({ "limit": 1, "group_by": "variant" }))
        .await;
    assert_eq!(first, ["u001"]);
    let renamed = json!({ "name": "Nearly everything" });
    app.change("PATCH", &path, &read.json["revision"], &renamed)
        .await
        .is(200);
    let history = app.get(&format!("{path}/history")).await;
    history.is(200);
    // No version was too long to be kept.
    for item in history.json["items"].as_array().unwrap() {
        assert!(!item["diff"].is_null(), "{}", item["revision"]);
    }
}
