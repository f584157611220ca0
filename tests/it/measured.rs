//! What shoppers do is counted: pages, clicks by ticket, orders, refunds; also after a restart.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::app::{App, promotion};
use crate::house::House;

const SESSIONS: usize = 40;

async fn measured(app: &App) -> String {
    let mut own = promotion("Measured", "high", &["p009"]);
    own["measurement"] = json!({ "measured": true, "share_shown_percent": "60" });
    let made = app.post("/v1/promotions", &own).await;
    made.is(201);
    made.json["id"].as_str().unwrap().to_owned()
}

async fn send(app: &App, events: &[Value]) -> Value {
    let answer = app.post("/v1/events", &json!({ "events": events })).await;
    answer.is(200);
    answer.json
}

async fn stats(app: &App, id: &str) -> Value {
    let answer = app
        .get(&format!("/v1/promotions/{id}/stats?market=se"))
        .await;
    answer.is(200);
    answer.json
}

/// Whether each session sees the promotion, by the endpoint that anybody may check arms with.
async fn arms(app: &App, id: &str) -> BTreeMap<String, bool> {
    let keys: Vec<String> = (0..SESSIONS).map(session).collect();
    let asked = json!({ "session_keys": keys });
    let answer = app.post("/v1/markets/se/assignments", &asked).await;
    answer.is(200);
    let items = answer.json["items"].as_array().unwrap().iter();
    items
        .map(|own| {
            let sees = own["shown"].as_array().unwrap().contains(&json!(id));
            (own["session_key"].as_str().unwrap().to_owned(), sees)
        })
        .collect()
}

fn session(number: usize) -> String {
    format!("s-{number}")
}

/// A page of three to a session; the items with their tickets.
async fn page(app: &App, session: &str) -> Vec<(String, String)> {
    let asked = json!({ "session_key": session, "limit": 3 });
    let answer = app.post("/v1/markets/se/rank", &asked).await;
    answer.is(200);
    let items = answer.json["items"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    items
        .map(|item| (text(&item["variant"]), text(&item["ticket"])))
        .collect()
}

fn order(session: &str, variant: &str) -> Value {
    json!({ "id": format!("o-{session}"), "type": "purchase", "session_key": session, "market": "se",
        "order_id": format!("order-{session}"), "currency": "SEK",
        "lines": [{ "variant": variant, "quantity": 2, "line_paid": "19.99", "unit_cost": "4.00" }] })
}

fn refund(session: &str, variant: &str, id: &str) -> Value {
    json!({ "id": id, "type": "refund", "session_key": "another", "market": "se",
        "order_id": format!("order-{session}"), "currency": "SEK",
        "lines": [{ "variant": variant, "quantity": 1, "line_paid": "9.99" }] })
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Arm {
    sessions: i64,
    displays: i64,
    clicks: i64,
    units: i64,
    orders: i64,
    revenue: i64,
    profit: i64,
}

impl Arm {
    fn body(self) -> Value {
        let money = |minor: i64| {
            let sign = if minor < 0 { "-" } else { "" };
            format!("{sign}{}.{:02}", minor.abs() / 100, minor.abs() % 100)
        };
        json!({ "sessions": self.sessions, "displays": self.displays, "clicks": self.clicks,
            "sold_units": self.units, "orders": self.orders, "revenue": money(self.revenue),
            "profit": money(self.profit), "profit_coverage_percent": "100" })
    }
}

/// Lets every session look, click what the promotion holds if it stands on the page, and every
/// third one buy it; every ninth sends one back. What that comes to, arm by arm.
async fn shop(app: &App, arms: &BTreeMap<String, bool>) -> [Arm; 2] {
    let mut expected = [Arm::default(); 2];
    for (number, (session, sees)) in arms.iter().enumerate() {
        let own = &mut expected[usize::from(!sees)];
        own.sessions += 1;
        let items = page(app, session).await;
        let shown = items.iter().find(|(variant, _)| variant == "u009");
        assert_eq!(shown.is_some(), *sees, "{session}");
        if let Some((_, ticket)) = shown {
            own.displays += 1;
            own.clicks += 1;
            let click =
                json!({ "id": "c", "type": "click", "session_key": session, "ticket": ticket });
            let told = send(app, &[click.clone(), click]).await;
            assert_eq!(
                (&told["accepted"], &told["duplicate"]),
                (&json!(1), &json!(1))
            );
        }
        if number % 3 == 0 {
            own.units += 2;
            own.orders += 1;
            own.revenue += 1_999;
            own.profit += 1_199;
            let bought = order(session, "u009");
            assert_eq!(send(app, &[bought]).await["accepted"], 1);
        }
        if number % 9 == 0 {
            own.units -= 1;
            own.revenue -= 999;
            own.profit -= 599;
            let back = refund(session, "u009", "r-1");
            assert_eq!(send(app, std::slice::from_ref(&back)).await["accepted"], 1);
            assert_eq!(send(app, &[back]).await["duplicate"], 1);
        }
    }
    expected
}

#[test]
fn figures_are_those_of_what_shoppers_did_and_outlive_a_restart() {
    let house = House::build(12);
    let (id, expected) = house.open(async |app: &App| {
        let id = measured(app).await;
        let arms = arms(app, &id).await;
        let expected = shop(app, &arms).await;
        // A call is answered when all pages before it are counted.
        let told = stats(app, &id).await;
        assert_eq!(told["shown"], expected[0].body());
        assert_eq!(told["withheld"], expected[1].body());
        // 14 orders of 19.99, 5 refunds of 9.99.
        assert_eq!(told["all"]["revenue"], "229.91");
        let results = app
            .get(&format!("/v1/promotions/{id}/results?market=se"))
            .await;
        results.is(200);
        check_results(&results.json, expected);
        check_series(app, &id, expected).await;
        check_exports(app, &id, expected).await;
        check_profit_is_hidden(app, &id).await;
        (id, told)
    });
    house.open(async |app: &App| {
        assert_eq!(stats(app, &id).await, expected);
        // What was said before the restart is known after it.
        let arms = arms(app, &id).await;
        let session = arms.keys().next().unwrap();
        assert_eq!(send(app, &[order(session, "u009")]).await["duplicate"], 1);
    });
}

/// Every session saw a page that the promotion changes, so all levels hold all of them.
fn check_results(results: &Value, expected: [Arm; 2]) {
    assert_eq!(results["verdict"]["code"], "not-enough-data");
    assert_eq!(results["verdict"]["have"], 0);
    let sessions = &results["health"]["sessions"];
    for level in ["t0", "t1", "t2"] {
        let own = &sessions[level];
        let n = [&own["shown"], &own["withheld"]];
        assert_eq!(
            n,
            [&json!(expected[0].sessions), &json!(expected[1].sessions)]
        );
    }
    assert_eq!(sessions["excluded"]["shown"], 0);
    assert_eq!(results["health"]["arm_check_percent"], "100");
    assert_eq!(results["health"]["sample_ratio_alarm"], false);
    let metrics = results["metrics"].as_array().unwrap();
    let of = |name: &str| metrics.iter().find(|own| own["metric"] == name).unwrap();
    assert_eq!(of("clicks")["shown"]["sum"], expected[0].clicks.to_string());
    assert_eq!(
        of("revenue")["withheld"]["sum"],
        expected[1].body()["revenue"]
    );
    assert_eq!(of("revenue")["primary"], true);
    assert_eq!(of("revenue")["unknown"], "start-rule");
    assert_eq!(of("revenue")["difference"], Value::Null);
}

async fn check_series(app: &App, id: &str, expected: [Arm; 2]) {
    let path = format!("/v1/promotions/{id}/series?market=se");
    let series = app.get(&format!("{path}&metric=clicks")).await;
    series.is(200);
    let points = series.json["points"].as_array().unwrap();
    assert_eq!(points.len(), 1);
    let sums = [&points[0]["shown"]["sum"], &points[0]["withheld"]["sum"]];
    assert_eq!(
        sums,
        expected.map(|own| json!(own.clicks.to_string())).each_ref()
    );
    assert_eq!(points[0]["lift_percent"], Value::Null);
    app.get(&format!("{path}&metric=click&granularity=hour"))
        .await
        .refuses(422, "invalid");
}

/// Makes an export and fetches it, as rows.
async fn exported(app: &App, asked: &Value) -> Vec<Value> {
    let made = app.post("/v1/exports", asked).await;
    made.is(201);
    let content = app.get(made.json["content"].as_str().unwrap()).await;
    content.is(200);
    let rows: Vec<Value> = content
        .text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(made.json["rows"], rows.len());
    rows
}

async fn check_exports(app: &App, id: &str, expected: [Arm; 2]) {
    let asked =
        |kind: &str, format: &str| json!({ "kind": kind, "format": format, "market": "se" });
    let moments = exported(app, &asked("moments", "ndjson")).await;
    // One day, three levels, two arms, two scopes.
    assert_eq!(moments.len(), 12);
    let cell = |level: &str, arm: &str| {
        let is_it = |own: &&Value| {
            (&own["level"], &own["arm"], &own["scope"])
                == (&json!(level), &json!(arm), &json!("promoted"))
        };
        moments.iter().find(is_it).unwrap()
    };
    for (arm, own) in ["shown", "withheld"].into_iter().zip(expected) {
        let cell = cell("t2", arm);
        assert_eq!(cell["promotion"], id);
        assert_eq!(cell["n"], own.sessions);
        assert_eq!(cell["s_revenue"], own.revenue.to_string());
        assert_eq!(cell["s_units"], own.units.to_string());
        // A click or none a session: its square and cube are itself.
        assert_eq!(cell["p_clicks_clicks"], own.clicks.to_string());
        assert_eq!(cell["c_clicks"], own.clicks.to_string());
        assert_eq!(cell["nonzero_clicks"], own.clicks);
    }
    assert_eq!(cell("t0", "shown")["p_clicks_clicks"], Value::Null);
    let rollups = exported(app, &asked("rollups", "ndjson")).await;
    assert_eq!(rollups.len(), 1);
    assert_eq!(
        (
            &rollups[0]["product"],
            &rollups[0]["orders"],
            &rollups[0]["customers"]
        ),
        (&json!("p009"), &json!(14), &json!(14))
    );
    assert_eq!(exported(app, &asked("results", "ndjson")).await.len(), 22);
    let made = app.post("/v1/exports", &asked("moments", "csv")).await;
    let content = app.get(made.json["content"].as_str().unwrap()).await;
    let heads: Vec<&str> = content.text.lines().next().unwrap().split(',').collect();
    let keys: Vec<&String> = moments[0].as_object().unwrap().keys().collect();
    assert_eq!(heads, keys);
    assert_eq!(content.text.lines().count(), 13);
    let wrong = json!({ "kind": "moment", "format": "xml", "market": "se", "from": "2027-03-11",
        "to": "2027-03-10" });
    let refused = app.post("/v1/exports", &wrong).await;
    refused.refuses(422, "invalid");
    assert_eq!(refused.json["errors"].as_array().unwrap().len(), 3);
    app.get("/v1/exports/exp_01k9tr6y0b2d4f6h8k0m2p4r6t/content")
        .await
        .refuses(410, "export-gone");
}

/// An analyst without the grant sees neither profit nor what it is made of.
async fn check_profit_is_hidden(app: &App, id: &str) {
    let key = app.key("analyst", &json!({})).await;
    let ask = async |method: &str, path: &str, body: &str| {
        app.ask_as(&key, method, path, &[], body).await
    };
    let told = ask("GET", &format!("/v1/promotions/{id}/stats?market=se"), "").await;
    assert_eq!(told.json["all"]["profit"], Value::Null);
    assert_eq!(told.json["all"]["profit_coverage_percent"], Value::Null);
    let path = format!("/v1/promotions/{id}/results?market=se");
    assert!(!ask("GET", &path, "").await.text.contains("\"profit\""));
    let path = format!("/v1/promotions/{id}/series?market=se&metric=profit");
    ask("GET", &path, "").await.refuses(403, "not-permitted");
    let asked = json!({ "kind": "moments", "format": "csv", "market": "se" }).to_string();
    let made = ask("POST", "/v1/exports", &asked).await;
    let content = ask("GET", made.json["content"].as_str().unwrap(), "").await;
    assert!(content.text.contains("s_revenue") && !content.text.contains("profit"));
    // What somebody else exported with profit is closed to it.
    let made = app
        .post("/v1/exports", &serde_json::from_str(&asked).unwrap())
        .await;
    ask("GET", made.json["content"].as_str().unwrap(), "")
        .await
        .refuses(403, "not-permitted");
}

#[tokio::test]
async fn what_was_never_measured_has_no_results() {
    let app = App::shop(12).await;
    let made = app
        .post("/v1/promotions", &promotion("Plain", "high", &["p009"]))
        .await;
    let id = made.json["id"].as_str().unwrap();
    assert_eq!(send(&app, &[order("s-1", "u009")]).await["accepted"], 1);
    assert_eq!(send(&app, &[order("s-1", "u009")]).await["duplicate"], 1);
    let metrics = app.get("/metrics").await.text;
    for line in [
        "endcap_events_total{verdict=\"accepted\"} 1",
        "endcap_events_total{verdict=\"duplicate\"} 1",
        "endcap_dropped_page_events_total 0",
    ] {
        assert!(metrics.lines().any(|own| own == line), "{line}\n{metrics}");
    }
    let told = stats(&app, id).await;
    assert_eq!(told["all"]["revenue"], "19.99");
    assert_eq!(
        (&told["shown"], &told["epoch"]),
        (&Value::Null, &Value::Null)
    );
    let path = format!("/v1/promotions/{id}/results?market=se");
    app.get(&path).await.refuses(404, "not-found");
    app.get(&format!("{path}&scope=all&cap=no&epoch=0"))
        .await
        .refuses(422, "invalid");
    let backwards = format!("/v1/promotions/{id}/stats?market=se&from=2027-03-11&to=2027-03-10");
    app.get(&backwards).await.refuses(422, "invalid");
}

#[tokio::test]
async fn refusals_say_why_and_cost_no_other() {
    let app = App::shop(12).await;
    let id = measured(&app).await;
    let (_, ticket) = page(&app, "s-1").await.remove(0);
    let forged = format!("{}A", &ticket[..ticket.len() - 1]);
    let click = |ticket: &str| json!({ "type": "click", "session_key": "s-1", "ticket": ticket });
    let at = |at: &str| json!({ "type": "view", "session_key": "s-1", "market": "se", "variant": "u001", "at": at });
    let mut euros = order("s-1", "u009");
    euros["currency"] = json!("EUR");
    let mut unknown = refund("s-2", "u009", "r-2");
    unknown["order_id"] = json!("SE-70399");
    let mut more = refund("s-1", "u009", "r-3");
    more["lines"][0]["quantity"] = json!(3);
    let mut elsewhere = click(&ticket);
    elsewhere["market"] = json!("no");
    let told = send(
        &app,
        &[
            click(&forged),
            at("2027-03-10T12:05:01Z"),
            at("2027-02-08T11:59:59Z"),
            euros,
            unknown,
            order("s-1", "u009"),
            more,
            elsewhere,
            json!({ "type": "display", "session_key": "s-1", "market": "se", "variant": "u001" }),
            json!({ "type": "view", "session_key": "s-1", "market": "zz", "variant": "u001" }),
            click(&ticket),
        ],
    )
    .await;
    assert_eq!(
        (&told["received"], &told["accepted"], &told["ignored"]),
        (&json!(11), &json!(2), &json!(1))
    );
    let refused: Vec<(u64, &str)> = told["rejected"]
        .as_array()
        .unwrap()
        .iter()
        .map(|own| {
            (
                own["index"].as_u64().unwrap(),
                own["code"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        (0, "ticket-invalid"),
        (1, "at-in-future"),
        (2, "too-old"),
        (3, "currency-mismatch"),
        (4, "order-unknown"),
        (6, "refund-exceeds"),
        (7, "invalid"),
        (9, "invalid"),
    ];
    assert_eq!(refused, expected);
    assert_eq!(
        told["rejected"][4]["detail"],
        "order SE-70399 is not known in market se"
    );
    assert_eq!(stats(&app, &id).await["all"]["orders"], 1);
}
