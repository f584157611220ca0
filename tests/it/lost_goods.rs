//! Chunks of a market's goods that are lost in every copy: the market serves what it had before,
//! the house goes on, and the whole feed heals it.

use serde_json::{Value, json};

use crate::app::{App, promotion};
use crate::house::House;

const N: usize = 700;

/// The same products in the opposite order.
fn reversed() -> String {
    let product = |n: usize| {
        let variants =
            json!({ format!("u{n:03}"): { "list_price": "1.00", "score": n.to_string() } });
        json!({ "op": "replace", "product": format!("p{n:03}"), "variants": variants }).to_string()
    };
    (0..N).map(|n| product(n) + "\n").collect()
}

async fn ranked(app: &App) -> Vec<String> {
    app.ranked(&json!({ "limit": 50 })).await
}

async fn damaged(app: &App) -> Value {
    let ready = app.get("/health/ready").await;
    ready.is(200);
    ready.json["damaged"].clone()
}

async fn goods(app: &App) -> String {
    let status = app.get("/v1/status").await;
    let markets = status.json["markets"].as_array().unwrap();
    let se = markets.iter().find(|own| own["market"] == "se").unwrap();
    se["goods"].as_str().unwrap().to_owned()
}

/// The whole feed again, then all is as new, also after a restart.
fn heal(house: &House, newest: &[String]) {
    house.open(async |app| {
        let change = json!({ "op": "edit", "variant": "u001", "stock": 0 }).to_string();
        let refused = app.feed(&change, "delta").await;
        refused.refuses(503, "store-unavailable");
        assert_eq!(refused.json["market"], "se");
        let fed = app.feed(&reversed(), "full&force=true").await;
        fed.is(200);
        assert_eq!(ranked(app).await, newest);
        assert_eq!(damaged(app).await, Value::Null);
    });
    house.open(async |app| {
        assert_eq!(ranked(app).await, newest);
        assert_eq!(goods(app).await, "whole");
    });
}

#[test]
fn a_lost_chunk_brings_the_goods_before_and_the_feed_heals_them() {
    let house = House::build(N);
    let first_chunks = house.chunks();
    let (first, newest) = house.open(async |app| {
        let first = ranked(app).await;
        app.feed(&reversed(), "full&force=true").await.is(200);
        (first, ranked(app).await)
    });
    assert_ne!(first, newest);
    let mut of_the_second = house.chunks();
    of_the_second.retain(|path| !first_chunks.contains(path));
    assert!(2 <= of_the_second.len(), "{of_the_second:?}");
    for path in of_the_second {
        let house = house.copy();
        house.disk.damage(&path, Vec::clear);
        house.open(async |app| {
            assert_eq!(ranked(app).await, first, "{}", path.display());
            assert_eq!(damaged(app).await, json!({ "se": "older" }));
            assert_eq!(goods(app).await, "older");
            let other = app.post("/v1/markets/no/rank", &json!({})).await;
            other.is(200);
            // What is no goods is written as ever, and kept.
            let high = promotion("High", "high", &["p690"]);
            app.post("/v1/promotions", &high).await.is(201);
            assert_eq!(ranked(app).await[0], "u690");
        });
        let mut healed = newest.clone();
        healed.retain(|key| key != "u690");
        healed.insert(0, "u690".to_owned());
        healed.truncate(50);
        heal(&house, &healed);
    }
}

#[test]
fn a_market_without_any_goods_left_refuses_ranks_and_the_house_goes_on() {
    let house = House::build(N);
    let newest = house.open(async |app| {
        app.feed(&reversed(), "full&force=true").await.is(200);
        ranked(app).await
    });
    for path in house.chunks() {
        house.disk.damage(&path, |bytes| bytes.truncate(20));
    }
    house.open(async |app| {
        let refused = app.post("/v1/markets/se/rank", &json!({})).await;
        refused.refuses(503, "store-unavailable");
        assert_eq!(refused.json["market"], "se");
        let other = app.post("/v1/markets/no/rank", &json!({})).await;
        other.is(200);
        assert_eq!(damaged(app).await, json!({ "se": "lost" }));
        assert_eq!(goods(app).await, "lost");
    });
    heal(&house, &newest);
}
