//! A disk that counts its bytes runs full below a whole server; the twin over a real file system is
//! in `tests/kill`.

use std::time::{Duration, Instant};

use endcap::store::start::Class;
use serde_json::json;

use crate::app::{App, feed, promotion};
use crate::house::House;

/// Low mark of the smallest volumes, in bytes.
const MARK: u64 = 4 << 20;
/// From room to the first write.
const WRITES_WITHIN: Duration = Duration::from_secs(30);

/// How much room a disk of `total` bytes has left with these files.
fn used(house: &House) -> u64 {
    use endcap::store::disk::Disk as _;
    let volume = house
        .disk
        .free_bytes(std::path::Path::new("/data"))
        .unwrap();
    volume.total - volume.free
}

async fn ranked(app: &App) -> Vec<String> {
    app.ranked(&json!({ "limit": 10 })).await
}

async fn promote(app: &App, name: &str) -> crate::app::Answer {
    let own = promotion(name, "high", &["p090"]);
    app.post("/v1/promotions", &own).await
}

#[test]
fn below_the_mark_only_what_helps_is_taken_and_room_brings_writes_back() {
    let house = House::build(100);
    let (id, order) = house.open(async |app| {
        let made = promote(app, "First").await;
        made.is(201);
        house
            .disk
            .set_total_bytes(used(&house) + MARK - (256 << 10));
        promote(app, "Second").await.refuses(507, "storage-full");
        app.feed(&feed(99), "full")
            .await
            .refuses(507, "storage-full");
        let ready = app.get("/health/ready").await;
        assert_eq!((ready.status, &ready.json["writes"]), (200, &json!("full")));
        assert_eq!(ranked(app).await[0], "u090");
        let id = made.json["id"].as_str().unwrap().to_owned();
        let path = format!("/v1/promotions/{id}/suspend");
        let revision = &made.json["revision"];
        app.change("POST", &path, revision, &json!(null))
            .await
            .is(200);
        let order = ranked(app).await;
        assert_eq!(order[0], "u000");
        (id, order)
    });
    // Nothing but reads, through a restart as well.
    house.disk.set_total_bytes(used(&house) + MARK / 4);
    house.open(async |app| {
        // The index was left alone, so nothing is said of it.
        let report = &app.engine.stores().report;
        assert_eq!((report.class, &report.steps[..]), (Class::Whole, &[][..]));
        assert_eq!(ranked(app).await, order);
        promote(app, "Third").await.refuses(507, "storage-full");
        house.disk.set_total_bytes(1 << 30);
        let began = Instant::now();
        while promote(app, "Fourth").await.status != 201 {
            assert!(began.elapsed() < WRITES_WITHIN, "no writes with room");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let kept = app.get(&format!("/v1/promotions/{id}")).await;
        assert_eq!(kept.json["suspended"], json!(true));
        assert_eq!(ranked(app).await[0], "u090");
    });
}
