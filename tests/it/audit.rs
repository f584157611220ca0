//! An operator reads who changed what, and who was refused.

use std::cell::Cell;

use endcap::domain::time::Timestamp;
use serde_json::{Value, json};

use crate::app::{App, promotion};
use crate::house::House;

/// Entries of a list asked for with these members, all pages of it.
async fn entries(app: &App, key: &str, members: &str) -> Vec<Value> {
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/v1/audit?{members}{cursor}");
        let page = app.ask_as(key, "GET", &path, &[], "").await;
        page.is(200);
        found.extend(page.json["items"].as_array().unwrap().iter().cloned());
        match page.json["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

async fn own_key(app: &App) -> (String, String) {
    let body = json!({ "name": "ada", "roles": ["operator"], "markets": "*" });
    let made = app.post("/v1/keys", &body).await;
    let text = |name: &str| made.json[name].as_str().unwrap().to_owned();
    (text("id"), text("key"))
}

fn words<'a>(entry: &'a Value, names: &[&str]) -> Vec<&'a str> {
    let word = |name: &&str| entry[*name].as_str().unwrap_or("-");
    names.iter().map(word).collect()
}

/// Of what the story tells: two changes and three refusals, one a second.
async fn check_filters(app: &App, key: &str, ada: &str, path: &str) {
    let id = path.rsplit('/').next().unwrap();
    for (members, n) in [
        (format!("object={path}"), 2),
        (format!("object={id}"), 3),
        (format!("object={id}&action=promotion.suspend"), 1),
        (format!("actor={ada}&from=2027-03-10T12:00:02Z"), 3),
        (format!("actor={ada}&from=2027-03-10T12:00:02.001Z"), 2),
        (format!("actor={ada}&to=2027-03-10T12:00:02Z"), 2),
        ("actor=key_00000000000000000000000000".to_owned(), 0),
    ] {
        assert_eq!(entries(app, key, &members).await.len(), n, "{members}");
    }
}

#[tokio::test]
async fn changes_and_refusals_stand_in_one_list() {
    let app = App::shop(20).await;
    let (ada, key) = own_key(&app).await;
    let before = app.revision().await;
    // Within a millisecond entries have no order, and this clock stands.
    let n_asked = Cell::new(0);
    let ask = |method: &'static str, path: String, tag: &'static str, body: String| {
        let (app, key) = (&app, &key);
        let n = n_asked.replace(n_asked.get() + 1);
        async move {
            app.later(&format!("2027-03-10T12:00:0{n}Z")).await;
            let headers: &[_] = if tag.is_empty() {
                &[]
            } else {
                &[("if-match", tag)]
            };
            app.ask_as(key, method, &path, headers, &body).await
        }
    };
    let faulty = json!({ "name": "" }).to_string();
    ask("POST", "/v1/promotions".to_owned(), "", faulty)
        .await
        .refuses(422, "invalid");
    assert_eq!(app.revision().await, before, "a refusal moves no revision");
    let body = promotion("Warm week", "high", &["p007"]).to_string();
    let made = ask("POST", "/v1/promotions".to_owned(), "", body).await;
    made.is(201);
    let path = made.header("location").to_owned();
    let stop = format!("{path}/suspend");
    ask("POST", stop.clone(), "\"r1\"", String::new())
        .await
        .refuses(412, "stale-revision");
    ask("POST", stop.clone(), "*", String::new()).await.is(200);
    let gone = "/v1/promotions/prm_00000000000000000000000000".to_owned();
    ask("DELETE", gone.clone(), "\"r1\"", String::new())
        .await
        .refuses(404, "not-found");
    let found = entries(&app, &key, &format!("actor={ada}&limit=2")).await;
    let told: Vec<_> = found
        .iter()
        .map(|entry| words(entry, &["action", "object", "refused", "address"]))
        .collect();
    let (here, suspend) = ("127.0.0.1", "POST /v1/promotions/{promotion}/suspend");
    assert_eq!(
        told,
        [
            ["POST /v1/promotions", "/v1/promotions", "invalid", here].to_vec(),
            ["promotion.create", &path, "-", here].to_vec(),
            [suspend, &stop, "stale-revision", here].to_vec(),
            ["promotion.suspend", &path, "-", here].to_vec(),
            [
                "DELETE /v1/promotions/{promotion}",
                &gone,
                "not-found",
                here
            ]
            .to_vec(),
        ]
    );
    // What a change left is what the next one found.
    assert_eq!(found[1]["before"], Value::Null);
    assert_eq!(found[1]["after"], found[3]["before"]);
    assert_eq!(found[3]["after"].as_str().unwrap().len(), 64);
    check_filters(&app, &key, &ada, &path).await;
    let odd = app.get("/v1/audit?from=noon&who=ada").await.complaints();
    assert_eq!(odd.len(), 2, "{odd:?}");
    // No body, no secret.
    let all = app.get("/v1/audit?limit=500").await.text;
    assert!(!all.contains("Warm week") && !all.contains(&key));
}

#[tokio::test]
async fn an_import_called_off_is_a_change() {
    let app = App::shop(20).await;
    let harmful = app.feed(&crate::app::feed(5), "full").await;
    harmful.refuses(409, "import-harmful");
    let path = format!("/v1/imports/{}", harmful.json["import"].as_str().unwrap());
    app.ask("DELETE", &path, &[], "").await.is(204);
    assert_eq!(app.get(&path).await.json["state"], "cancelled");
    let found = app.get(&format!("/v1/audit?object={path}")).await;
    let entry = &found.json["items"][0];
    assert_eq!(entry["action"], "import.cancel");
    assert!(entry["before"].is_string() && entry["before"] != entry["after"]);
    let force = json!({ "force": true });
    let gone = app.post(&format!("{path}/apply"), &force).await;
    gone.refuses(409, "wrong-state");
}

#[tokio::test]
async fn operators_of_a_market_see_what_is_about_theirs() {
    let app = App::shop(20).await;
    let market =
        json!({ "market": "no", "name": "Norway", "currency": "NOK", "time_zone": "Europe/Oslo" });
    app.post("/v1/markets", &market).await.is(201);
    let made = app
        .post("/v1/promotions", &promotion("Warm week", "high", &["p007"]))
        .await;
    made.is(201);
    let [se, no] = [["se"], ["no"]].map(|markets| json!({ "markets": markets }));
    let [se, no] = [
        app.key("operator", &se).await,
        app.key("operator", &no).await,
    ];
    let path = made.header("location").to_owned();
    let foreign = app
        .ask_as(&no, "DELETE", &path, &[("if-match", "\"r1\"")], "")
        .await;
    foreign.refuses(404, "not-found");
    let objects = |found: Vec<Value>| -> Vec<String> {
        found
            .iter()
            .map(|entry| format!("{} {}", entry["action"], entry["object"]).replace('"', ""))
            .collect()
    };
    let theirs = objects(entries(&app, &se, "").await);
    for own in [
        "market.create /v1/markets/se",
        "catalogue.import /v1/markets/se",
        &format!("promotion.create {path}"),
        &format!("DELETE /v1/promotions/{{promotion}} {path}"),
    ] {
        assert!(theirs.contains(&own.to_owned()), "{own} in {theirs:?}");
    }
    assert!(!theirs.iter().any(|entry| entry.ends_with("/v1/markets/no")));
    let others = objects(entries(&app, &no, "").await);
    assert!(others.contains(&"market.create /v1/markets/no".to_owned()));
    let told = |entry: &&String| entry.contains("markets/se") || entry.contains("promotion.create");
    assert_eq!(others.iter().find(told), None);
    // What its own key was refused is its own.
    assert!(others.contains(&format!("DELETE /v1/promotions/{{promotion}} {path}")));
}

/// Lets time pass with nobody there: a clock moved by a request would leave an entry.
async fn pass(app: &App, now: &str) {
    let now = Timestamp::parse(now).unwrap();
    app.engine.clock().set(now).unwrap();
    app.engine.run_due_jobs().await;
}

#[tokio::test]
async fn each_night_is_chained_to_the_one_before() {
    let app = App::shop(20).await;
    let (ada, key) = own_key(&app).await;
    let digests = || entries(&app, &key, "action=audit.digest");
    pass(&app, "2027-03-11T00:59:59Z").await;
    assert_eq!(
        digests().await,
        Vec::<Value>::new(),
        "the day may still grow"
    );
    pass(&app, "2027-03-11T02:00:00Z").await;
    let first = digests().await;
    assert_eq!(first.len(), 1);
    assert_eq!(first[0]["at"], "2027-03-11T00:00:00.000Z");
    assert_eq!(
        (&first[0]["actor"], &first[0]["before"]),
        (&json!("audit"), &Value::Null)
    );
    // Two nights without an entry, then one with a refusal only.
    pass(&app, "2027-03-13T02:00:00Z").await;
    assert_eq!(digests().await, first);
    let odd = app.ask_as(&key, "POST", "/v1/promotions", &[], "{}").await;
    odd.refuses(422, "invalid");
    pass(&app, "2027-03-14T02:00:00Z").await;
    let second = digests().await;
    assert_eq!(second.len(), 2);
    assert_eq!(second[1]["at"], "2027-03-14T00:00:00.000Z");
    assert_eq!(second[1]["before"], first[0]["after"]);
    assert_ne!(second[1]["after"], first[0]["after"]);
    // Callers of one market only see what is about theirs.
    let local = app.key("operator", &json!({})).await;
    let seen = entries(&app, &local, "action=audit.digest").await;
    assert_eq!(seen, Vec::<Value>::new());
    assert_eq!(entries(&app, &key, &format!("actor={ada}")).await.len(), 1);
}

#[test]
fn backups_and_a_moved_clock_are_told() {
    let house = House::build(20);
    house.open(async |app| {
        let before = app.revision().await;
        let now = "2027-03-11T08:00:00.000Z";
        let moved = json!({ "now": now }).to_string();
        app.ask("PUT", "/test/clock", &[], &moved).await.is(200);
        app.ask("POST", "/v1/backups", &[], "").await.is(200);
        let found = entries(app, app.operator(), "from=2027-03-11T08:00:00Z").await;
        let told = |entry: &Value| words(entry, &["action", "object", "at", "refused"]).join(" ");
        let mut told: Vec<String> = found.iter().map(told).collect();
        told.sort();
        let deeds = ["backup.create /v1/backups", "clock.set /test/clock"];
        assert_eq!(told, deeds.map(|deed| format!("{deed} {now} -")));
        assert!(found.iter().all(|entry| entry["actor"].is_string()));
        assert_eq!(app.revision().await, before);
    });
}
