//! The use cases together, over a store in memory and a clock that stands.

use std::sync::Arc;

use crate::access::principal::Principal;
use crate::catalogue::market::{Market, MarketDraft};
use crate::domain::id::{MarketId, PromotionId, SessionKey};
use crate::domain::time::Timestamp;
use crate::engine::clock::Clock;
use crate::engine::commit::{Idempotency, Intent, Known, StoredAnswer, Written};
use crate::engine::entropy::Entropy;
use crate::engine::error::EngineError;
use crate::engine::imports::{ImportOrder, Mode};
use crate::engine::promotions::{PromotionView, Step};
use crate::engine::rank::{RankExtras, RankRequest, UserContext};
use crate::engine::results::{ImportResult, ImportState};
use crate::engine::start::{Engine, Settings};
use crate::feed::{Format, Kind};
use crate::promotion::draft::PromotionDraft;
use crate::promotion::epoch::MeasurementDraft;
use crate::promotion::state::State;
use crate::ranking::query::GroupBy;
use crate::selection::definition::SelectionDraft;
use crate::store::StoreId;
use crate::store::memory::Memory;
use crate::telemetry::metrics::Metrics;

const NOON: &str = "2027-03-10T12:00:00Z";

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

async fn start(memory: &Memory, now: &str) -> Engine {
    let (clock, entropy) = (Clock::standing_at(at(now)), Entropy::seeded(7));
    let metrics = Arc::new(Metrics::default());
    Engine::start(
        Settings::default(),
        clock,
        entropy,
        memory.open().unwrap(),
        metrics,
    )
    .await
    .unwrap()
}

fn text(text: &str) -> Option<String> {
    text.parse().ok()
}

fn se() -> MarketId {
    MarketId::parse("se").unwrap()
}

async fn open_market(engine: &Engine) {
    let draft = MarketDraft {
        market: text("se"),
        name: text("Sweden"),
        currency: text("SEK"),
        time_zone: text("Europe/Stockholm"),
        ..MarketDraft::default()
    };
    let nothing = |_: &Market| answer(201);
    engine
        .create_market(&Intent::system(), &draft, &nothing)
        .await
        .unwrap();
}

fn answer(status: u16) -> StoredAnswer {
    StoredAnswer {
        status,
        location: None,
        body: Some(b"{}".to_vec()),
    }
}

fn line(n: u32) -> String {
    let brand = if n.is_multiple_of(10) { "Nord" } else { "Vela" };
    let score = 1_000 - n;
    format!(
        r#"{{"op":"replace","product":"p{n:03}","attributes":{{"brand":"{brand}"}},"variants":{{"u{n:03}":{{"list_price":"10.00","score":"{score}"}}}}}}"#
    )
}

fn shop(n: u32) -> String {
    (0..n).map(|n| line(n) + "\n").collect()
}

async fn import(engine: &Engine, feed: String, mode: Mode) -> Result<ImportResult, EngineError> {
    import_as(engine, feed, mode, false).await
}

async fn import_as(
    engine: &Engine,
    feed: String,
    mode: Mode,
    force: bool,
) -> Result<ImportResult, EngineError> {
    let order = ImportOrder {
        market: se(),
        kind: Kind::Catalogue,
        mode,
        format: Format::Ndjson,
        encoding: None,
        mapping: None,
        errors_max: 0,
        force,
    };
    let job = engine.begin_import(&Intent::system(), order, |_| answer(200))?;
    let run = tokio::task::spawn_blocking(move || job.run(feed.as_bytes()));
    match run.await.unwrap()? {
        Written::Now(result, _) => Ok(result),
        Written::Replayed(..) => panic!("nobody repeated it"),
    }
}

fn draft(name: &str, level: &str) -> PromotionDraft {
    PromotionDraft {
        kind: text("promotion"),
        level: text(level),
        name: text(name),
        markets: Some(vec!["se".to_owned()]),
        start: text("2027-03-10T13:00:00Z"),
        end: text("2027-03-11T13:00:00Z"),
        selection: SelectionDraft {
            handpicked: vec!["p090".to_owned()],
            ..SelectionDraft::default()
        },
        measurement: None,
        ..PromotionDraft::default()
    }
}

fn render(_: &PromotionView) -> StoredAnswer {
    answer(201)
}

async fn create(engine: &Engine, draft: PromotionDraft) -> Result<PromotionId, EngineError> {
    match engine
        .create_promotion(&Intent::system(), draft, &render)
        .await?
    {
        Written::Now(view, _) => Ok(view.promotion.id),
        Written::Replayed(..) => panic!("nobody repeated it"),
    }
}

fn request() -> RankRequest {
    RankRequest {
        market: se(),
        session: None,
        shopper: None,
        context: UserContext::Personalized,
        panel: None,
        category: None,
        activate_only: false,
        q: None,
        candidates: None,
        primary: Vec::new(),
        filter: Vec::new(),
        sort: Vec::new(),
        group_by: GroupBy::Product,
        limit: 3,
        facets: Vec::new(),
        facet_limit: 50,
        fields: Vec::new(),
        at: None,
        arms: None,
    }
}

fn extras() -> RankExtras {
    RankExtras {
        offset: 0,
        cursor: None,
        group: None,
        count: true,
        explain: false,
        faults: Vec::new(),
    }
}

async fn page(engine: &Engine, request: &RankRequest, extras: &RankExtras) -> Vec<String> {
    let answer = engine
        .rank(&Principal::system(), request, extras)
        .await
        .unwrap();
    let catalogue = &answer.state.catalogue;
    let keys = answer
        .page
        .items
        .iter()
        .map(|item| catalogue.variant_key(item.row).to_string());
    keys.collect()
}

async fn first(engine: &Engine) -> Vec<String> {
    page(engine, &request(), &extras()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_acts_from_its_start_to_its_end_and_survives_a_restart() {
    let memory = Memory::new(StoreId([1; 16]));
    let engine = start(&memory, NOON).await;
    open_market(&engine).await;
    let result = import(&engine, shop(100), Mode::Full).await.unwrap();
    assert_eq!(
        (result.state, result.added, result.rows),
        (ImportState::Applied, 100, 100)
    );
    assert_eq!(first(&engine).await, ["u000", "u001", "u002"]);
    let id = create(&engine, draft("Soon", "high")).await.unwrap();
    assert_eq!(first(&engine).await, ["u000", "u001", "u002"]);
    let system = Principal::system();
    assert_eq!(
        engine.promotion(&system, id).await.unwrap().0.state,
        State::Scheduled
    );
    let second_page = RankExtras {
        offset: 3,
        ..extras()
    };
    let before = engine.rank(&system, &request(), &extras()).await.unwrap();
    engine
        .set_clock(&Intent::system(), at("2027-03-10T13:00:00Z"))
        .await
        .unwrap();
    assert_eq!(first(&engine).await, ["u090", "u000", "u001"]);
    assert_eq!(
        page(&engine, &request(), &second_page).await,
        ["u002", "u003", "u004"]
    );
    let pinned = RankExtras {
        cursor: before.next_cursor,
        ..extras()
    };
    assert_eq!(
        page(&engine, &request(), &pinned).await,
        ["u003", "u004", "u005"]
    );
    engine.stop();
    drop(engine);

    let engine = start(&memory, "2027-03-10T14:00:00Z").await;
    assert_eq!(first(&engine).await, ["u090", "u000", "u001"]);
    engine
        .set_clock(&Intent::system(), at("2027-03-11T13:00:00Z"))
        .await
        .unwrap();
    assert_eq!(first(&engine).await, ["u000", "u001", "u002"]);
}

/// A feed that changes nothing names goods that stand already, so the folder never asked for what
/// its import had left; the next change of settings found it there, with the settings before.
#[tokio::test(flavor = "multi_thread")]
async fn settings_reach_the_goods_also_after_a_feed_that_changed_nothing() {
    let engine = start(&Memory::new(StoreId([10; 16])), NOON).await;
    open_market(&engine).await;
    for n_added in [20, 0] {
        let result = import(&engine, shop(20), Mode::Full).await.unwrap();
        assert_eq!(result.added, n_added);
    }
    let q = RankRequest {
        q: text("nord"),
        ..request()
    };
    assert!(page(&engine, &q, &extras()).await.is_empty());
    let redraft = |market: &Market| {
        Ok(MarketDraft {
            search_attributes: vec!["brand".to_owned()],
            ..market.draft()
        })
    };
    let nothing = |_: &Market| answer(200);
    engine
        .edit_market(&Intent::system(), &se(), Known::Any, &redraft, &nothing)
        .await
        .unwrap();
    assert_eq!(page(&engine, &q, &extras()).await, ["u000", "u010"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_whose_keys_ran_out_begins_with_a_first_key_again() {
    let memory = Memory::new(StoreId([9; 16]));
    let engine = start(&memory, NOON).await;
    assert!(engine.needs_first_key());
    assert!(engine.make_first_key().await.unwrap().is_some());
    assert!(engine.make_first_key().await.unwrap().is_none());
    engine.stop();
    drop(engine);

    let engine = start(&memory, "2027-03-11T11:59:59Z").await;
    assert!(!engine.needs_first_key());
    engine.stop();
    drop(engine);

    let engine = start(&memory, "2027-03-11T12:00:00Z").await;
    assert!(engine.make_first_key().await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_of_the_withheld_arm_does_not_see_a_measured_promotion() {
    let engine = start(&Memory::new(StoreId([2; 16])), NOON).await;
    open_market(&engine).await;
    import(&engine, shop(50), Mode::Full).await.unwrap();
    let measured = PromotionDraft {
        measurement: Some(MeasurementDraft {
            measured: Some(true),
            ..MeasurementDraft::default()
        }),
        start: text(NOON),
        selection: SelectionDraft {
            handpicked: vec!["p040".to_owned()],
            ..SelectionDraft::default()
        },
        ..draft("Measured", "high")
    };
    create(&engine, measured).await.unwrap();
    let mut n_shown = 0;
    for n in 0..500 {
        let session = Some(SessionKey::parse(&format!("s-{n:06}")).unwrap());
        let asked = RankRequest {
            session,
            ..request()
        };
        let first = page(&engine, &asked, &extras()).await;
        assert_eq!(page(&engine, &asked, &extras()).await, first);
        n_shown += u32::from(first[0] == "u040");
    }
    assert!(
        (360..440).contains(&n_shown),
        "about four in five, found {n_shown}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_row_or_harm_imports_nothing_and_force_does() {
    let engine = start(&Memory::new(StoreId([3; 16])), NOON).await;
    open_market(&engine).await;
    import(&engine, shop(100), Mode::Full).await.unwrap();
    let revision = engine.snapshot().revision;
    let broken =
        shop(20) + r#"{"op":"replace","product":"x","variants":{"x":{"stock":"many"}}}"# + "\n{\n";
    match import(&engine, broken, Mode::Full).await {
        Err(EngineError::ImportInvalid {
            rows_rejected,
            errors,
            ..
        }) => {
            assert_eq!(rows_rejected, 2);
            let rows: Vec<_> = errors
                .iter()
                .map(|error| (error.row, error.code.as_str()))
                .collect();
            assert_eq!(rows[0].0, 21);
            assert_eq!(rows[1].0, 22);
        }
        other => panic!("{other:?}"),
    }
    let harmful = match import(&engine, shop(79), Mode::Full).await {
        Err(EngineError::ImportHarmful { import, harms }) => {
            assert!(harms[0].1.contains("21 of 100"), "{harms:?}");
            import
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(engine.snapshot().revision, revision);
    engine
        .force_import(&Intent::system(), harmful, |_| answer(200))
        .await
        .unwrap();
    let whole = RankRequest {
        limit: 0,
        ..request()
    };
    let total = engine
        .rank(&Principal::system(), &whole, &extras())
        .await
        .unwrap()
        .page
        .total;
    assert_eq!(total, 79);
    let again = engine
        .force_import(&Intent::system(), harmful, |_| answer(200))
        .await;
    assert!(
        matches!(
            again,
            Err(EngineError::WrongState {
                state: "applied",
                ..
            })
        ),
        "{:?}",
        again.err()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delta_changes_what_it_names_and_is_there_after_a_restart() {
    let memory = Memory::new(StoreId([4; 16]));
    let engine = start(&memory, NOON).await;
    open_market(&engine).await;
    import(&engine, shop(60), Mode::Full).await.unwrap();
    let feed = r#"{"op":"edit","variant":"u059","score":"5000"}
{"op":"delete","product":"p000"}
"#;
    let result = import(&engine, feed.to_owned(), Mode::Delta).await.unwrap();
    assert_eq!((result.changed, result.removed), (1, 1));
    assert_eq!(first(&engine).await, ["u059", "u001", "u002"]);
    let valid = import(&engine, shop(60), Mode::Validate).await.unwrap();
    assert_eq!(valid.state, ImportState::Valid);
    assert_eq!(first(&engine).await, ["u059", "u001", "u002"]);
    engine.stop();
    drop(engine);
    assert_eq!(
        first(&start(&memory, NOON).await).await,
        ["u059", "u001", "u002"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hundred_and_first_of_a_period_is_refused_with_its_instant() {
    let engine = start(&Memory::new(StoreId([5; 16])), NOON).await;
    open_market(&engine).await;
    for n in 0..100 {
        create(&engine, draft(&format!("number {n}"), "low"))
            .await
            .unwrap();
    }
    match create(&engine, draft("one more", "low")).await {
        Err(EngineError::MarketFull {
            limit,
            first_full,
            free_from,
            promotions,
            ..
        }) => {
            assert_eq!((limit, promotions.len()), (100, 100));
            assert_eq!(first_full, at("2027-03-10T13:00:00Z"));
            assert_eq!(free_from, at("2027-03-11T13:00:00Z"));
        }
        other => panic!("{other:?}"),
    }
    let name_taken = create(&engine, draft("NUMBER 7", "low")).await;
    assert!(
        matches!(name_taken, Err(EngineError::NameTaken { .. })),
        "{name_taken:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn racing_for_the_last_place_one_wins() {
    let engine = start(&Memory::new(StoreId([6; 16])), NOON).await;
    open_market(&engine).await;
    for n in 0..99 {
        create(&engine, draft(&format!("number {n}"), "low"))
            .await
            .unwrap();
    }
    let race = (0..8).map(|n| {
        let engine = engine.clone();
        tokio::spawn(async move { create(&engine, draft(&format!("racer {n}"), "low")).await })
    });
    let race: Vec<_> = race.collect();
    let mut n_won = 0;
    for racer in race {
        match racer.await.unwrap() {
            Ok(_) => n_won += 1,
            Err(EngineError::MarketFull { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(n_won, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_changes_nothing_twice() {
    let engine = start(&Memory::new(StoreId([7; 16])), NOON).await;
    open_market(&engine).await;
    let idempotency = |body: &[u8]| Intent {
        idempotency: Some(Idempotency::new(
            "system",
            "POST",
            "/v1/promotions",
            "k",
            body,
        )),
        ..Intent::system()
    };
    let intent = idempotency(b"body");
    let first = engine
        .create_promotion(&intent, draft("Once", "low"), &render)
        .await
        .unwrap();
    let Written::Now(_, revision) = first else {
        panic!("the first one is new")
    };
    for _ in 0..2 {
        match engine
            .create_promotion(&intent, draft("Once", "low"), &render)
            .await
            .unwrap()
        {
            Written::Replayed(stored, at) => assert_eq!((stored, at), (answer(201), revision)),
            Written::Now(..) => panic!("it happened before"),
        }
    }
    let reused = idempotency(b"other");
    let other = engine
        .create_promotion(&reused, draft("Twice", "low"), &render)
        .await;
    assert!(matches!(other, Err(EngineError::IdempotencyKeyReused)));
    assert_eq!(engine.snapshot().promotions.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_need_the_revision_seen_but_stopping_never_loses_a_race() {
    let engine = start(&Memory::new(StoreId([8; 16])), NOON).await;
    open_market(&engine).await;
    let id = create(&engine, draft("Steps", "low")).await.unwrap();
    let intent = Intent::system();
    let (_, seen) = engine.promotion(&intent.principal, id).await.unwrap();
    let step = |known, step| engine.step_promotion(&intent, id, known, step, &render);
    step(Known::At(seen), Step::Suspend).await.unwrap();
    let stale = step(Known::At(seen), Step::Resume).await;
    assert!(matches!(stale, Err(EngineError::StaleRevision { .. })));
    engine
        .set_clock(&intent, at("2027-03-10T18:00:00Z"))
        .await
        .unwrap();
    let (_, seen) = engine.promotion(&intent.principal, id).await.unwrap();
    step(Known::At(seen), Step::Resume).await.unwrap();
    step(Known::Any, Step::End).await.unwrap();
    let ended = step(Known::Any, Step::Resume).await;
    assert!(
        matches!(ended, Err(EngineError::WrongState { state: "ended", .. })),
        "{:?}",
        ended.err()
    );
    step(Known::Any, Step::Archive).await.unwrap();
    create(&engine, draft("Steps", "low"))
        .await
        .expect("an archived name is free");
}
