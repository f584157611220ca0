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

#[tokio::test]
async fn what_was_never_measured_has_no_results() {
    let app = App::shop(12).await;
    let made = app
        .post("/v1/promotions", &promotion("Plain", "high", &["p009"]))
        .await;
    let id = made.json["id"].as_str().unwrap();
    assert_eq!(send(&app, &[order("s-1", "u009")]).await["accepted"], 1);
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
