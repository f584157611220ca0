//! Real orders as sessions: an A/A, and one where half of those who see a promotion buy three times
//! as much. Figures are checked against plain arithmetic over the list of sessions. Where
//! `../shared` is absent, each test says so and ends.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use flate2::read::GzDecoder;
use serde_json::{Value, json};

use crate::app::{App, promotion};

/// Trading days of the shop that are replayed, each as one day.
const DAYS: usize = 40;

/// Most lines of an order.
const LINES_MAX: usize = 1_000;

/// Events of a call.
const CALL: usize = 100;

/// A line: what, how many, minor units of one.
type Line = (String, u32, i64);

/// The first day that is replayed, at noon, and the days behind it.
fn noon(day: usize) -> String {
    let (month, date) = if day < 21 {
        (3, day + 11)
    } else {
        (4, day - 20)
    };
    format!("2027-{month:02}-{date:02}T12:00:00Z")
}

/// Invoices by trading day.
type Days = Vec<BTreeMap<String, Vec<Line>>>;

/// Minor units of an amount with at most two decimals.
fn minor(text: &str) -> Option<i64> {
    let (units, part) = text.split_once('.').unwrap_or((text, ""));
    let part: i64 = match part.len() {
        0 => 0,
        1 => part.parse::<i64>().ok()? * 10,
        2 => part.parse().ok()?,
        _ => return None,
    };
    Some(units.parse::<i64>().ok()? * 100 + part)
}

/// The orders of the first trading days; cancellations, charges without a price and orders of too
/// many lines are left out.
fn orders() -> Option<Days> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/datasets/online-retail/order_lines.csv.gz");
    let Ok(file) = File::open(&path) else {
        println!("not run: {} is absent", path.display());
        return None;
    };
    let mut days: BTreeMap<String, BTreeMap<String, Vec<Line>>> = BTreeMap::new();
    for line in BufReader::new(GzDecoder::new(file)).lines().skip(1) {
        let line = line.unwrap();
        let cells: Vec<&str> = line.split(',').collect();
        let day = cells[1].get(..10).unwrap().to_owned();
        if DAYS == days.len() && !days.contains_key(&day) {
            break;
        }
        let (quantity, price) = (cells[3].parse().unwrap_or(0), minor(cells[4]));
        if let (1.., Some(price @ 1..)) = (quantity, price) {
            let lines = days.entry(day).or_default();
            let lines = lines.entry(cells[0].to_owned()).or_default();
            lines.push((cells[2].to_owned(), quantity, price));
        }
    }
    for invoices in days.values_mut() {
        invoices.retain(|number, lines| !number.starts_with('C') && lines.len() <= LINES_MAX);
    }
    Some(days.into_values().collect())
}

/// What one session is known to have done.
#[derive(Clone, Copy, Debug)]
struct Bought {
    is_shown: bool,
    units: i64,
    /// Of all, and of what the promotion holds.
    revenue: [i64; 2],
    /// What it would have been with nothing planted.
    plain: i64,
}

/// Goods of all orders, the promotion, and the products it holds: those that most orders name.
async fn open(days: &Days) -> (App, String, BTreeSet<String>) {
    let app = App::shop(1).await;
    let mut sold: BTreeMap<&str, usize> = BTreeMap::new();
    for (variant, ..) in days.iter().flat_map(BTreeMap::values).flatten() {
        *sold.entry(variant).or_default() += 1;
    }
    let mut feed = String::new();
    for (place, variant) in sold.keys().enumerate() {
        let score = 100_000 - place;
        writeln!(
            feed,
            "{{\"op\":\"replace\",\"product\":\"{variant}\",\"variants\":{{\"{variant}\":\
             {{\"list_price\":\"1.00\",\"score\":\"{score}\"}}}}}}"
        )
        .unwrap();
    }
    app.feed(&feed, "delta").await.is(200);
    let mut ranked: Vec<(&usize, &&str)> = sold.iter().map(|(name, n)| (n, name)).collect();
    ranked.sort();
    let held: BTreeSet<String> = ranked
        .iter()
        .rev()
        .take(20)
        .map(|own| (*own.1).to_owned())
        .collect();
    let names: Vec<&str> = held.iter().map(String::as_str).collect();
    let mut draft = promotion("Most bought", "high", &names);
    draft["end"] = json!(noon(DAYS));
    draft["measurement"] = json!({ "plan": "fixed", "primary_metric": "revenue" });
    let made = app.post("/v1/promotions", &draft).await;
    made.is(201);
    let id = made.json["id"].as_str().unwrap().to_owned();
    (app, id, held)
}

/// Whether each session sees the promotion.
async fn arms(app: &App, id: &str, sessions: &[&String]) -> BTreeMap<String, bool> {
    let asked = json!({ "session_keys": sessions });
    let told = app.post("/v1/markets/se/assignments", &asked).await;
    told.is(200);
    let items = told.json["items"].as_array().unwrap().iter();
    items
        .map(|own| {
            let sees = own["shown"].as_array().unwrap().contains(&json!(id));
            (own["session_key"].as_str().unwrap().to_owned(), sees)
        })
        .collect()
}

fn money(minor: i64) -> String {
    format!("{}.{:02}", minor / 100, minor % 100)
}

/// Replays every order as a session: one page, then the purchase; what each did.
async fn replay(
    app: &App,
    id: &str,
    held: &BTreeSet<String>,
    days: &Days,
    planted: bool,
) -> Vec<Bought> {
    let mut all = Vec::new();
    for (day, invoices) in days.iter().enumerate() {
        app.later(&noon(day)).await;
        let sessions: Vec<&String> = invoices.keys().collect();
        let arms = arms(app, id, &sessions).await;
        let mut events = Vec::new();
        for (session, lines) in invoices {
            let page = json!({ "session_key": session, "limit": 24 });
            app.post("/v1/markets/se/rank", &page).await.is(200);
            let is_shown = arms[session];
            let number: u32 = session.parse().unwrap_or(1);
            let times = if planted && is_shown && number.is_multiple_of(2) {
                3
            } else {
                1
            };
            let mut own = Bought {
                is_shown,
                units: 0,
                revenue: [0; 2],
                plain: 0,
            };
            let mut sent = Vec::new();
            for (variant, quantity, price) in lines {
                let units = quantity * times;
                let paid = price * i64::from(units);
                own.units += i64::from(units);
                own.revenue[0] += paid;
                own.revenue[1] += if held.contains(variant) { paid } else { 0 };
                own.plain += price * i64::from(*quantity);
                sent.push(
                    json!({ "variant": variant, "quantity": units, "line_paid": money(paid) }),
                );
            }
            events.push(
                json!({ "type": "purchase", "id": "o", "session_key": session, "market": "se",
                "order_id": session, "currency": "SEK", "lines": sent }),
            );
            all.push(own);
        }
        for call in events.chunks(CALL) {
            let told = app.post("/v1/events", &json!({ "events": call })).await;
            told.is(200);
            assert_eq!(told.json["accepted"], call.len(), "{}", told.json);
        }
    }
    // A day after the end every session is mature.
    app.later(&noon(DAYS + 2)).await;
    all
}

/// Mean and squared standard error of a list.
#[expect(clippy::cast_precision_loss, reason = "the textbook's formula")]
fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (mean, squares / (n - 1.0) / n)
}

#[track_caller]
fn near(found: &Value, expected: f64) {
    let found = found.as_f64().unwrap();
    let bound = 1e-9 * expected.abs().max(1e-3);
    assert!(
        (found - expected).abs() <= bound,
        "{found} is not {expected}"
    );
}

/// Holds results in one scope against the list of sessions; the metric of revenue.
async fn check(app: &App, id: &str, scope: usize, all: &[Bought]) -> Value {
    let name = ["basket", "promoted"][scope];
    let path = format!("/v1/promotions/{id}/results?market=se&cap=off&scope={name}");
    let results = app.get(&path).await;
    results.is(200);
    let results = results.json;
    let of = |is_shown: bool| all.iter().filter(move |own| own.is_shown == is_shown);
    let metrics = results["metrics"].as_array().unwrap();
    let metric = |name: &str| metrics.iter().find(|own| own["metric"] == name).unwrap();
    let revenue = metric("revenue");
    let mut figures = Vec::new();
    for (is_shown, arm) in [(true, "shown"), (false, "withheld")] {
        let count = of(is_shown).count();
        assert_eq!(results["health"]["sessions"]["t2"][arm], count);
        assert_eq!(revenue[arm]["sessions"], count);
        let sum: i64 = of(is_shown).map(|own| own.revenue[scope]).sum();
        assert_eq!(revenue[arm]["sum"], money(sum));
        if scope == 0 {
            let units: i64 = of(is_shown).map(|own| own.units).sum();
            assert_eq!(metric("sold_units")[arm]["sum"], units.to_string());
            assert_eq!(metric("orders")[arm]["sum"], count.to_string());
        }
        #[expect(clippy::cast_precision_loss, reason = "minor units to units")]
        let values: Vec<f64> = of(is_shown)
            .map(|own| own.revenue[scope] as f64 / 100.0)
            .collect();
        figures.push(mean_and_error(&values));
    }
    let [(shown, one), (withheld, other)] = figures[..] else {
        unreachable!("two arms")
    };
    near(&revenue["difference"]["value"], shown - withheld);
    near(&revenue["difference"]["stderr"], (one + other).sqrt());
    near(
        &revenue["lift_percent"]["value"],
        (shown / withheld - 1.0) * 100.0,
    );
    assert_eq!(results["state"], "over");
    assert_eq!(results["health"]["arm_check_percent"], "100");
    assert_eq!(results["health"]["sample_ratio_alarm"], false);
    results
}

fn n_invoices(days: &Days) -> usize {
    days.iter().map(BTreeMap::len).sum()
}

#[tokio::test]
async fn real_orders_that_nothing_changed_show_no_effect() {
    let Some(days) = orders() else { return };
    let (app, id, held) = open(&days).await;
    let all = replay(&app, &id, &held, &days, false).await;
    for scope in [0, 1] {
        let results = check(&app, &id, scope, &all).await;
        let code = results["verdict"]["code"].as_str().unwrap();
        assert!(
            !["helps", "hurts"].contains(&code),
            "{}",
            results["verdict"]
        );
        println!(
            "A/A: {} orders of {DAYS} days: {}",
            n_invoices(&days),
            results["verdict"]["text"]
        );
    }
}

#[tokio::test]
async fn what_is_planted_into_real_orders_is_found() {
    let Some(days) = orders() else { return };
    let (app, id, held) = open(&days).await;
    let all = replay(&app, &id, &held, &days, true).await;
    let results = check(&app, &id, 0, &all).await;
    assert_eq!(
        results["verdict"]["code"], "helps",
        "{}",
        results["verdict"]
    );
    let revenue = results["metrics"].as_array().unwrap().iter();
    let revenue = revenue
        .clone()
        .find(|own| own["metric"] == "revenue")
        .unwrap();
    let ends = [0, 1].map(|end| {
        revenue["lift_percent"]["interval_fixed"][end]
            .as_f64()
            .unwrap()
    });
    let shown = all.iter().filter(|own| own.is_shown);
    let (told, plain) = shown.fold((0, 0), |sum, own| {
        (sum.0 + own.revenue[0], sum.1 + own.plain)
    });
    #[expect(clippy::cast_precision_loss, reason = "a lift")]
    let truth = (told as f64 / plain as f64 - 1.0) * 100.0;
    assert!(
        ends[0] < truth && truth < ends[1],
        "{truth} is not in {ends:?}"
    );
    println!("planted {truth:.1} %: {}", results["verdict"]["text"]);
}
