//! A shop's pages ask for an order of goods.

use serde_json::{Value, json};

use crate::app::{App, promotion, variants};

#[tokio::test]
async fn a_high_promotion_leads_and_ends_by_its_period_alone() {
    let app = App::shop(30).await;
    assert_eq!(app.ranked(&json!({ "limit": 2 })).await, ["u000", "u001"]);
    let made = app
        .post("/v1/promotions", &promotion("Push", "high", &["p020"]))
        .await;
    made.is(201);
    assert_eq!(made.json["state"], "active");
    assert_eq!(app.ranked(&json!({ "limit": 2 })).await, ["u020", "u000"]);
    app.later("2027-03-11T23:00:00Z").await;
    assert_eq!(app.ranked(&json!({ "limit": 2 })).await, ["u000", "u001"]);
}

#[tokio::test]
async fn low_and_medium_overtake_their_share_of_what_has_a_higher_score() {
    let app = App::shop(320).await;
    app.post("/v1/promotions", &promotion("Low", "low", &["p127"]))
        .await
        .is(201);
    app.post("/v1/promotions", &promotion("Medium", "medium", &["p301"]))
        .await
        .is(201);
    let page = app.ranked(&json!({ "limit": 20 })).await;
    let place = |key: &str| page.iter().position(|own| own == key);
    assert_eq!(place("u301"), Some(3), "3 of 301 may stay above");
    assert_eq!(
        place("u127"),
        Some(13),
        "12 of 127 and the other promotion stay above"
    );
}

#[tokio::test]
async fn a_demotion_beats_every_promotion() {
    let app = App::shop(30).await;
    app.post("/v1/promotions", &promotion("Push", "high", &["p005"]))
        .await
        .is(201);
    let mut demotion = promotion("Stale", "high", &["p005"]);
    demotion["kind"] = json!("demotion");
    demotion.as_object_mut().unwrap().remove("level");
    app.post("/v1/promotions", &demotion).await.is(201);
    let page = app.ranked(&json!({ "limit": 30 })).await;
    assert_eq!(page.last().unwrap(), "u005");
}

#[tokio::test]
async fn a_restricted_promotion_acts_on_its_category_pages_only() {
    let app = App::shop(30).await;
    let mut body = promotion("Jackets", "high", &["p020"]);
    body["categories"] = json!({ "include": ["main:jackets"] });
    app.post("/v1/promotions", &body).await.is(201);
    assert_eq!(app.ranked(&json!({ "limit": 1 })).await, ["u000"]);
    let jackets = json!({ "limit": 3, "selected_category": "main:jackets" });
    assert_eq!(app.ranked(&jackets).await, ["u020", "u000", "u010"]);
}

#[tokio::test]
async fn four_of_five_sessions_see_a_measured_promotion() {
    let app = App::shop(30).await;
    let mut body = promotion("Measured", "high", &["p020"]);
    body["measurement"] = json!({ "measured": true });
    let id = app.post("/v1/promotions", &body).await.json["id"].clone();
    let mut shown = 0;
    for session in 0..200 {
        let request = json!({ "limit": 1, "session_key": format!("s-{session}") });
        let page = app.post("/v1/markets/se/rank", &request).await;
        page.is(200);
        let sees = variants(&page.json) == ["u020"];
        let arm = if sees { "shown" } else { "withheld" };
        assert_eq!(
            page.json["measurement"],
            json!([{ "promotion": id, "arm": arm }])
        );
        assert_eq!(page.header("cache-control"), "private, no-store");
        shown += u32::from(sees);
    }
    assert!((140..=180).contains(&shown), "{shown} of 200");
    let no_session = app
        .post("/v1/markets/se/rank", &json!({ "limit": 1 }))
        .await;
    assert_eq!(no_session.json["warnings"][0]["code"], "no-session");
}

#[tokio::test]
async fn anyone_can_check_the_arms_that_ranks_apply() {
    let app = App::shop(30).await;
    let mut ids = Vec::new();
    for (name, product) in [("One", "p020"), ("Two", "p021"), ("Unmeasured", "p022")] {
        let mut body = promotion(name, "high", &[product]);
        body["measurement"] = json!({ "measured": name != "Unmeasured" });
        ids.push(app.post("/v1/promotions", &body).await.json["id"].clone());
    }
    let sessions: Vec<String> = (0..60).map(|at| format!("s-{at}")).collect();
    let path = "/v1/markets/se/assignments";
    let asked = app.post(path, &json!({ "session_keys": sessions })).await;
    asked.is(200);
    let items = asked.json["items"].as_array().unwrap();
    let keys: Vec<&Value> = items.iter().map(|item| &item["session_key"]).collect();
    assert_eq!(json!(keys), json!(sessions));
    for item in items {
        let request = json!({ "limit": 0, "session_key": item["session_key"] });
        let page = app.post("/v1/markets/se/rank", &request).await;
        let arms = page.json["measurement"].as_array().unwrap();
        let of = |arm: &str| {
            let own = arms.iter().filter(|own| own["arm"] == arm);
            json!(own.map(|own| &own["promotion"]).collect::<Vec<_>>())
        };
        assert_eq!(
            (&item["shown"], &item["withheld"]),
            (&of("shown"), &of("withheld"))
        );
    }
    let all = |arm: &str| {
        items
            .iter()
            .map(|item| item[arm].as_array().unwrap().len())
            .sum::<usize>()
    };
    assert!(all("withheld") > 0 && all("shown") > all("withheld"));
    let of_one = json!({ "session_keys": ["s-1"], "promotions": [ids[1]] });
    let one = app.post(path, &of_one).await;
    let item = &one.json["items"][0];
    let told = [&item["shown"], &item["withheld"]].map(|ids| ids.as_array().unwrap().len());
    assert_eq!(told[0] + told[1], 1);
    let wrong = json!({ "session_keys": ["", "ok"], "promotions": [ids[0], ids[2]] });
    let faults = app.post(path, &wrong).await.complaints();
    let pointers: Vec<&str> = faults.iter().map(|(pointer, _)| pointer.as_str()).collect();
    assert_eq!(pointers, ["/session_keys/0", "/promotions/1"]);
    assert_eq!(
        app.post(path, &json!({})).await.complaints()[0].1,
        "required"
    );
}

#[tokio::test]
async fn the_function_that_splits_is_told_with_vectors() {
    let app = App::empty().await;
    let told = app.get("/v1/assignment-function").await;
    told.is(200);
    assert_eq!(told.json["function"], "split-1");
    let vectors = told.json["vectors"].as_array().unwrap();
    let found = vectors
        .iter()
        .find(|own| own["session_key"] == "s-000011")
        .unwrap();
    // By the vectors of the specification.
    assert_eq!(found["split_key"], "000102030405060708090a0b0c0d0e0f");
    assert_eq!(found["digest"], "7438c2a6d84558fcf94260872e73cd0a");
    assert_eq!(
        (&found["salt"], &found["number"]),
        (&json!("0123456789abcdef"), &json!("fba040d0c062c645"))
    );
    assert_eq!(found["arm"], "withheld");
    assert_eq!(vectors.len(), 10);
}

#[tokio::test]
async fn a_get_answers_as_the_equal_post() {
    let app = App::shop(30).await;
    let query = "limit=4&f.brand=Nord&f.brand=Vela&f.price.max=10&sort=in_stock:desc,relevance&facets=brand&fields=title&group_by=variant";
    let got = app.get(&format!("/v1/markets/se/rank?{query}")).await;
    let body = json!({ "limit": 4, "sort": ["in_stock:desc", "relevance"], "facets": ["brand"], "fields": ["title"], "group_by": "variant",
        "filter": { "all": [{ "attr": "brand", "in": ["Nord", "Vela"] }, { "attr": "price", "max": "10" }] } });
    let posted = app.post("/v1/markets/se/rank", &body).await;
    let (mut left, mut right) = (got.json.clone(), posted.json.clone());
    for page in [&mut left, &mut right] {
        page["request_id"] = json!(null);
    }
    assert_eq!(left, right);
    assert_eq!(got.header("cache-control"), "public, max-age=5");
    assert_eq!(
        left["facets"]["brand"],
        json!([{ "value": "Vela", "count": 27 }, { "value": "Nord", "count": 3 }])
    );
}

#[tokio::test]
async fn pages_by_offset_and_by_cursor_make_one_big_page() {
    let app = App::shop(30).await;
    app.post(
        "/v1/promotions",
        &promotion("Push", "low", &["p025", "p015"]),
    )
    .await
    .is(201);
    let whole = app.ranked(&json!({ "limit": 30 })).await;
    let (mut by_offset, mut by_cursor, mut cursor) = (Vec::new(), Vec::new(), json!(null));
    for page in 0..5 {
        by_offset.extend(app.ranked(&json!({ "limit": 7, "offset": 7 * page })).await);
        let next = app
            .post(
                "/v1/markets/se/rank",
                &json!({ "limit": 7, "cursor": cursor }),
            )
            .await;
        next.is(200);
        by_cursor.extend(variants(&next.json));
        cursor = next.json["next_cursor"].clone();
        // An edit between two pages changes nothing for whoever has begun.
        let name = format!("Later {page}");
        app.post("/v1/promotions", &promotion(&name, "high", &["p029"]))
            .await
            .is(201);
        if page == 0 {
            assert_eq!(by_offset, whole[..7]);
            by_offset = whole.clone();
        }
    }
    assert_eq!(by_cursor, whole);
    assert_eq!(cursor, json!(null));
    let other = json!({ "limit": 7, "cursor": "c1.AAAA" });
    app.post("/v1/markets/se/rank", &other)
        .await
        .refuses(400, "bad-cursor");
}

#[tokio::test]
async fn explain_names_who_moved_an_item_and_who_did_not() {
    let app = App::shop(30).await;
    app.post("/v1/promotions", &promotion("Strong", "high", &["p012"]))
        .await
        .is(201);
    app.post("/v1/promotions", &promotion("Weak", "low", &["p012"]))
        .await
        .is(201);
    let mut held = promotion("Held", "high", &["p012"]);
    held["suspended"] = json!(true);
    app.post("/v1/promotions", &held).await.is(201);
    let page = app
        .post(
            "/v1/markets/se/rank",
            &json!({ "limit": 1, "explain": true }),
        )
        .await;
    page.is(200);
    let why = &page.json["items"][0]["explain"];
    assert_eq!(
        (&why["score"], &why["higher_scored"]),
        (&json!("18"), &json!(12))
    );
    assert_eq!(why["because"][0]["name"], "Strong");
    let reasons: Vec<_> = why["not_used"]
        .as_array()
        .unwrap()
        .iter()
        .map(|own| (own["name"].as_str(), own["reason"].as_str()))
        .collect();
    assert_eq!(
        reasons,
        [
            (Some("Weak"), Some("weaker-level")),
            (Some("Held"), Some("suspended"))
        ]
    );
}

#[tokio::test]
async fn browsers_get_the_narrowed_answer() {
    let app = App::shop(30).await;
    let key = app
        .key(
            "storefront-public",
            &json!({ "origins": ["https://shop.example"] }),
        )
        .await;
    let path = format!("/v1/markets/se/rank?limit=2&key={key}");
    let page = app
        .ask_as("", "GET", &path, &[("origin", "https://shop.example")], "")
        .await;
    page.is(200);
    assert_eq!(
        page.header("access-control-allow-origin"),
        "https://shop.example"
    );
    for hidden in ["measurement", "applied"] {
        assert!(page.json.get(hidden).is_none(), "{hidden}");
    }
    for hidden in ["base_rank", "level", "explain"] {
        assert!(page.json["items"][0].get(hidden).is_none(), "{hidden}");
    }
    let rank = |body: serde_json::Value| {
        let (app, key) = (&app, &key);
        async move {
            app.ask_as(key, "POST", "/v1/markets/se/rank", &[], &body.to_string())
                .await
        }
    };
    for asked in [
        json!({ "explain": true }),
        json!({ "at": "2027-03-12T00:00:00Z" }),
        json!({ "arms": "shown" }),
        json!({ "fields": ["cost"] }),
        json!({ "facets": ["cost"] }),
        json!({ "sort": ["cost:asc"] }),
        json!({ "filter": { "all": [{ "attr": "cost", "min": "3" }] } }),
    ] {
        rank(asked).await.refuses(403, "not-permitted");
    }
}

#[tokio::test]
async fn everything_wrong_with_a_request_is_told_at_once() {
    let app = App::shop(10).await;
    let body = json!({ "limit": 601, "selected_categry": "main:x", "sort": ["colour:asc"],
        "filter": { "all": [{ "attr": "brnad", "in": ["Nord"] }, { "attr": "brand", "in": [{}] }] } });
    let refused = app.post("/v1/markets/se/rank", &body).await;
    let expected = [
        ("/filter/all/1/in/0", "wrong-type"),
        ("/limit", "out-of-range"),
        ("/selected_categry", "unknown-field"),
        ("/sort/0", "unknown-attribute"),
    ];
    let expected = expected.map(|(pointer, code)| (pointer.to_owned(), code.to_owned()));
    assert_eq!(refused.complaints(), expected);
    let broken = app
        .ask("POST", "/v1/markets/se/rank", &[], "{\n \"limit\": tru }")
        .await;
    broken.refuses(400, "malformed-json");
    assert_eq!(
        (&broken.json["line"], broken.json["column"].is_u64()),
        (&json!(2), true)
    );
    app.get("/v1/markets/se/rank?limit=1&limit=2")
        .await
        .refuses(400, "bad-query");
    // Who may see all markets is told that there is none; others are not.
    let none = app.post("/v1/markets/no/rank", &json!({})).await;
    none.refuses(404, "not-found");
    assert_eq!(none.json["what"], "market");
    let local = app.key("storefront-server", &json!({})).await;
    app.ask_as(&local, "POST", "/v1/markets/no/rank", &[], "{}")
        .await
        .refuses(403, "market-forbidden");
    app.post("/v1/markets/SE/rank", &json!({}))
        .await
        .refuses(404, "not-found");
}
