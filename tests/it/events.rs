//! A shop tells what its shoppers did.

use serde_json::{Value, json};

use crate::app::{Answer, App};

const LINES: [(&str, &str); 1] = [("content-type", "application/x-ndjson")];

/// Bytes of the longest body of events.
const BYTES_MAX: usize = 2 << 20;

async fn send(app: &App, events: &Value) -> Answer {
    app.post("/v1/events", &json!({ "events": events })).await
}

/// A click that is well-formed.
fn click(id: &str) -> Value {
    json!({ "id": id, "type": "click", "session_key": "s-7f31c2d0", "market": "se", "variant": "u001" })
}

/// How many were received, accepted and refused, with the places and codes of these.
fn verdicts(answer: &Answer) -> (u64, u64, Vec<(u64, String)>) {
    answer.is(200);
    let rejected = answer.json["rejected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|own| {
            let code = own["code"].as_str().unwrap().to_owned();
            (own["index"].as_u64().unwrap(), code)
        });
    let count = |name: &str| answer.json[name].as_u64().unwrap();
    (count("received"), count("accepted"), rejected.collect())
}

#[tokio::test]
async fn a_refused_event_costs_no_other() {
    let app = App::shop(5).await;
    let mut tagged = click("e-2");
    tagged["id"] = json!(2);
    tagged["bot"] = json!("no");
    let answer = send(&app, &json!([click("e-1"), tagged, 7, click("e-3")])).await;
    let expected = json!([
        {
            "index": 1, "id": null, "code": "invalid",
            "detail": "id: expected text, found a number; bot: expected true or false, found text",
        },
        {
            "index": 2, "id": null, "code": "invalid",
            "detail": "expected an object, found a number",
        },
    ]);
    assert_eq!(verdicts(&answer).1, 2);
    assert_eq!(answer.json["rejected"], expected);
}

#[tokio::test]
async fn orders_come_with_what_was_paid_and_what_it_cost() {
    let app = App::shop(5).await;
    let order = |line: Value| {
        json!([{
            "id": "e-9003", "type": "purchase", "session_key": "s-7f31c2d0", "market": "se",
            "order_id": "SE-70412", "currency": "SEK", "lines": [line],
        }])
    };
    let line = json!({
        "line_id": "1", "variant": "u001", "quantity": 2, "line_paid": "4271.50",
        "unit_cost": "1180.00",
    });
    assert_eq!(verdicts(&send(&app, &order(line)).await), (1, 1, vec![]));
    let line = json!({
        "variant": "u001", "quantity": 0, "line_paid": 4271.5, "unit_paid": "1.005",
    });
    let answer = send(&app, &order(line)).await;
    assert_eq!(
        answer.json["rejected"],
        json!([{
            "index": 0, "id": "e-9003", "code": "invalid",
            "detail": "lines/0/quantity: 0 is out of range: 1 to 1000000; \
                       lines/0/unit_paid: SEK has 2 decimals, found 3; \
                       lines/0/line_paid: expected text, found a number; \
                       lines/0/line_paid: unit_paid and line_paid exclude each other",
        }])
    );
}

#[tokio::test]
async fn a_bad_line_is_told_from_a_bad_event() {
    let app = App::shop(5).await;
    let body = format!("{}\n{{\"id\":\n\n{{}}\n{}", click("e-1"), click("e-2"));
    let answer = app.ask("POST", "/v1/events", &LINES, &body).await;
    let refused = vec![(1, "bad-json".to_owned()), (2, "invalid".to_owned())];
    assert_eq!(verdicts(&answer), (4, 2, refused));
}

#[tokio::test]
async fn beacons_send_json_as_plain_text() {
    let app = App::shop(5).await;
    let own = json!({ "origins": ["https://shop.example"] });
    let key = app.key("storefront-public", &own).await;
    let body = json!({ "events": [click("e-1")] }).to_string();
    let headers = [
        ("content-type", "text/plain;charset=UTF-8"),
        ("origin", "https://shop.example"),
    ];
    let path = format!("/v1/events?key={key}");
    let answer = app.ask_as("", "POST", &path, &headers, &body).await;
    assert_eq!(verdicts(&answer), (1, 1, vec![]));
}

#[tokio::test]
async fn a_call_has_a_thousand_events() {
    let app = App::shop(5).await;
    let click = click("e").to_string();
    for (n, status) in [(1_000, 200), (1_001, 413)] {
        let body = format!("{{\"events\":[{}]}}", vec![&*click; n].join(","));
        app.ask("POST", "/v1/events", &[], &body).await.is(status);
        let body = vec![&*click; n].join("\n");
        let answer = app.ask("POST", "/v1/events", &LINES, &body).await;
        answer.is(status);
        if status == 413 {
            answer.refuses(413, "body-too-large");
        }
    }
}

#[tokio::test]
async fn a_call_has_two_mebibytes() {
    let app = App::shop(5).await;
    let click = click("e").to_string();
    for (bytes, status) in [(BYTES_MAX, 200), (BYTES_MAX + 1, 413)] {
        let body = format!("{click}{}", " ".repeat(bytes - click.len()));
        app.ask("POST", "/v1/events", &LINES, &body)
            .await
            .is(status);
    }
}

#[tokio::test]
async fn what_is_around_the_events_is_refused_as_a_whole() {
    let app = App::shop(5).await;
    let send = async |body: &str| app.ask("POST", "/v1/events", &[], body).await;
    send("{\"events\":[").await.refuses(400, "malformed-json");
    send("{\"evnts\":[]}").await.refuses(422, "invalid");
    let csv = [("content-type", "text/csv")];
    let answer = app.ask("POST", "/v1/events", &csv, "a,b").await;
    answer.refuses(415, "unsupported-media-type");
}

#[tokio::test]
async fn only_storefronts_and_operators_send_events() {
    let app = App::shop(5).await;
    let key = app.key("analyst", &json!({})).await;
    let answer = app.ask_as(&key, "POST", "/v1/events", &[], "no json").await;
    answer.refuses(403, "not-permitted");
    assert_eq!(answer.json["needs"], "storefront-public");
}

#[tokio::test]
async fn analytics_are_sent_on_as_they_are() {
    let app = App::shop(5).await;
    let body = r#"{
        "client_id": "1733.17", "user_id": "c-1", "events": [
            { "name": "page_view" },
            { "name": "select_item", "params": { "session_id": 17, "items": [{ "item_id": "u001" }] } },
            { "name": "purchase", "params": { "session_id": 17, "transaction_id": "T-1",
              "items": [{ "item_id": "u001", "price": 33.333333333333336, "quantity": 3 }] } },
            { "name": "view_item", "params": { "items": [{ "item_id": "u001" }] } }
        ]
    }"#;
    let answer = app.ask("POST", "/v1/events/ga4?market=se", &[], body).await;
    let missing = vec![(3, "session-missing".to_owned())];
    assert_eq!(verdicts(&answer), (4, 2, missing));
    assert_eq!(answer.json["ignored"], 1);
    let answer = app.ask("POST", "/v1/events/ga4", &[], body).await;
    answer.refuses(422, "invalid");
    let answer = app.ask("POST", "/v1/events/ga4?market=se", &[], "{}").await;
    answer.refuses(422, "invalid");
}

#[tokio::test]
async fn tracks_are_sent_on_as_they_are() {
    let app = App::shop(5).await;
    let track = json!({
        "type": "track", "event": "Product Clicked", "anonymousId": "a-1", "messageId": "m-1",
        "properties": { "product_id": "p001", "sku": "u001", "price": 18.99 },
    });
    let path = "/v1/events/segment?market=se";
    assert_eq!(verdicts(&app.post(path, &track).await), (1, 1, vec![]));
    let batch = json!({ "batch": [track, { "type": "page" }], "sentAt": "2027-03-09T08:15:20Z" });
    let answer = app.post(path, &batch).await;
    assert_eq!(verdicts(&answer), (2, 0, vec![]));
    assert_eq!(
        (&answer.json["ignored"], &answer.json["duplicate"]),
        (&json!(1), &json!(1))
    );
}

#[tokio::test]
async fn notifications_are_answered_with_a_status() {
    let app = App::shop(5).await;
    let send = async |path: &str, body: &str| {
        let path = format!("/v1/events/elevate/{path}");
        app.ask("POST", &path, &[], body).await
    };
    let whose = "?market=se&customerKey=c-1&sessionKey=s-1";
    let item = "{\"productKey\":\"p001\",\"variantKey\":\"u001\",\"other\":1}";
    let lines =
        "{\"lines\":[{\"productKey\":\"p001\",\"quantity\":2,\"sellingPrice\":19.95,\"cost\":8}]}";
    send(&format!("click{whose}"), item).await.is(204);
    send(&format!("click{whose}"), "{\"ticket\":\"t1\"}")
        .await
        .is(400);
    send(&format!("add-to-cart{whose}"), item).await.is(204);
    send(&format!("payment{whose}"), lines).await.is(204);
    send(&format!("end{whose}"), "").await.is(204);
    send("end?sessionKey=s-1", "")
        .await
        .refuses(400, "bad-query");
    send("end?market=se", "").await.refuses(400, "bad-query");
    let answer = send(&format!("click{whose}"), "{}").await;
    answer.refuses(400, "malformed-json");
    assert_eq!(answer.json["detail"], "variantKey: is required");
    send(&format!("payment{whose}"), "{\"lines\":[]}")
        .await
        .refuses(400, "malformed-json");
}
