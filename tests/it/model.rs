//! Random commands against the engine and a naive twin: plain maps, the written definitions, no
//! sets, no index, no fold. After each command both must give the same order and the same states.
//!
//! `ENDCAP_SEED=n` draws other commands, `ENDCAP_CASES=n` more of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use endcap::access::principal::Principal;
use endcap::catalogue::market::{Market, MarketDraft};
use endcap::domain::boost::BoostLevel;
use endcap::domain::id::{MarketId, PromotionId};
use endcap::domain::time::Timestamp;
use endcap::engine::clock::Clock;
use endcap::engine::commit::{Idempotency, Intent, Known, StoredAnswer, Written};
use endcap::engine::entropy::Entropy;
use endcap::engine::error::EngineError;
use endcap::engine::imports::{ImportOrder, Mode};
use endcap::engine::promotions::{PromotionFilter, PromotionView, Step};
use endcap::engine::rank::{RankExtras, RankRequest, UserContext};
use endcap::engine::start::{Engine, Settings};
use endcap::feed::{Format, Kind};
use endcap::promotion::draft::PromotionDraft;
use endcap::promotion::state::State;
use endcap::ranking::query::GroupBy;
use endcap::selection::definition::SelectionDraft;
use endcap::store::StoreId;
use endcap::store::memory::Memory;
use rand::rngs::ChaCha8Rng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};

const HOUR_MS: i64 = 3_600_000;
const BEGIN_MS: i64 = 1_800_000_000_000;
const N_STEPS: usize = 60;

/// A promotion as the twin knows it.
#[derive(Clone, Debug)]
struct Twinned {
    name: String,
    level: BoostLevel,
    held: Vec<String>,
    start: i64,
    end: i64,
    suspended: bool,
    archived: bool,
}

impl Twinned {
    fn state(&self, now: i64) -> State {
        match () {
            () if self.archived => State::Archived,
            () if self.end <= now => State::Ended,
            () if self.suspended => State::Suspended,
            () if now < self.start => State::Scheduled,
            () => State::Active,
        }
    }
}

#[derive(Debug, Default)]
struct Twin {
    now: i64,
    /// Score by variant; each is a product of the same key.
    goods: BTreeMap<String, i64>,
    promotions: BTreeMap<PromotionId, Twinned>,
}

impl Twin {
    /// The whole order by the definition.
    fn order(&self) -> Vec<String> {
        let mut base: Vec<(&String, i64)> =
            self.goods.iter().map(|(key, own)| (key, *own)).collect();
        base.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
        let n_higher = |score: i64| base.iter().filter(|(_, own)| score < *own).count();
        let block = |place: usize| n_higher(base[place].1);
        let mut keyed = Vec::new();
        for (place, (key, score)) in base.iter().enumerate() {
            let h = n_higher(*score);
            let placed = match self.level(key) {
                Some(BoostLevel::High) => (0, place, 0, place),
                Some(BoostLevel::Medium) => (1, block(h / 100), 0, place),
                Some(BoostLevel::Low) => (1, block(h / 10), 1, place),
                None => (1, place, 2, place),
                Some(BoostLevel::Demoted) => (2, place, 0, place),
            };
            keyed.push((placed, (*key).clone()));
        }
        keyed.sort();
        keyed.into_iter().map(|(_, key)| key).collect()
    }

    fn level(&self, key: &str) -> Option<BoostLevel> {
        let active = self
            .promotions
            .values()
            .filter(|own| own.state(self.now) == State::Active);
        active
            .filter(|own| own.held.iter().any(|held| held == key))
            .map(|own| own.level)
            .max()
    }

    fn name_is_taken(&self, name: &str, level: BoostLevel) -> bool {
        self.promotions.values().any(|own| {
            let same_kind = (own.level == BoostLevel::Demoted) == (level == BoostLevel::Demoted);
            !own.archived && same_kind && own.name == name
        })
    }
}

struct Run {
    memory: Memory,
    engine: Engine,
    twin: Twin,
    random: ChaCha8Rng,
    n_made: u32,
}

fn market() -> MarketId {
    MarketId::parse("se").unwrap()
}

fn text(text: &impl ToString) -> Option<String> {
    text.to_string().parse().ok()
}

fn answered() -> StoredAnswer {
    StoredAnswer {
        status: 200,
        location: None,
        body: Some(Vec::new()),
    }
}

fn render(_: &PromotionView) -> StoredAnswer {
    answered()
}

async fn start(memory: &Memory, now: i64, seed: u64) -> Engine {
    let clock = Clock::standing_at(Timestamp(now));
    let stores = memory.open().unwrap();
    Engine::start(
        Settings::default(),
        clock,
        Entropy::seeded(seed),
        stores,
        Arc::default(),
    )
    .await
    .unwrap()
}

impl Run {
    async fn begin(seed: u64) -> Self {
        let memory = Memory::new(StoreId([3; 16]));
        let engine = start(&memory, BEGIN_MS, seed).await;
        let draft = MarketDraft {
            market: text(&"se"),
            name: text(&"Sweden"),
            currency: text(&"SEK"),
            time_zone: text(&"Europe/Stockholm"),
            ..MarketDraft::default()
        };
        engine
            .create_market(&Intent::system(), &draft, &|_: &Market| answered())
            .await
            .unwrap();
        let twin = Twin {
            now: BEGIN_MS,
            ..Twin::default()
        };
        let random = ChaCha8Rng::seed_from_u64(seed);
        let mut run = Self {
            memory,
            engine,
            twin,
            random,
            n_made: 0,
        };
        for n in 0..40 {
            let score = run.random.random_range(0..25);
            run.twin.goods.insert(format!("u{n:02}"), score);
        }
        run.feed_all().await;
        run
    }

    /// All goods as they stand: of a market that has them already nothing changes.
    async fn feed_all(&self) {
        let goods = self.twin.goods.iter();
        let feed = goods.map(|(key, score)| replace(key, *score)).collect();
        self.import(feed, Mode::Full).await;
    }

    /// Settings that move nothing on a page, but everything that is read by them.
    async fn set(&mut self) {
        let name = format!("Sweden {}", self.random.random_range(0..3));
        let redraft = |market: &Market| {
            Ok(MarketDraft {
                name: Some(name.clone()),
                ..market.draft()
            })
        };
        let (intent, render) = (Intent::system(), |_: &Market| answered());
        self.engine
            .edit_market(&intent, &market(), Known::Any, &redraft, &render)
            .await
            .unwrap();
    }

    async fn import(&self, feed: String, mode: Mode) {
        let order = ImportOrder {
            market: market(),
            kind: Kind::Catalogue,
            mode,
            format: Format::Ndjson,
            encoding: None,
            mapping: None,
            errors_max: 0,
            force: true,
        };
        let job = self
            .engine
            .begin_import(&Intent::system(), order, |_| answered())
            .unwrap();
        tokio::task::spawn_blocking(move || job.run(feed.as_bytes()))
            .await
            .unwrap()
            .unwrap();
    }

    async fn step(&mut self) {
        match self.random.random_range(0..23) {
            0..=5 => self.create().await,
            6..=8 => self.edit().await,
            9..=13 => self.take_step().await,
            14..=15 => self.feed().await,
            16..=18 => self.wait().await,
            19..=20 => self.set().await,
            21 => self.feed_all().await,
            _ => self.restart().await,
        }
    }

    fn draw_held(&mut self) -> Vec<String> {
        let n = self.random.random_range(1..8);
        let key = |random: &mut ChaCha8Rng| format!("u{:02}", random.random_range(0..45));
        let mut held: Vec<String> = (0..n).map(|_| key(&mut self.random)).collect();
        held.sort();
        held.dedup();
        held
    }

    async fn create(&mut self) {
        let levels = [
            BoostLevel::Low,
            BoostLevel::Medium,
            BoostLevel::High,
            BoostLevel::Demoted,
        ];
        let level = *levels.choose(&mut self.random).unwrap();
        self.n_made += 1;
        let number = self
            .random
            .random_range(self.n_made.saturating_sub(8)..=self.n_made);
        let start = self.twin.now + self.random.random_range(-2..4) * HOUR_MS;
        let end = start + self.random.random_range(1..6) * HOUR_MS;
        let own = Twinned {
            name: format!("promotion {number}"),
            level,
            held: self.draw_held(),
            start,
            end,
            suspended: self.random.random_bool(0.1),
            archived: false,
        };
        let draft = draft_of(&own);
        let body = format!("{draft:?}");
        let idempotency = Idempotency::new(
            "system",
            "POST",
            "/",
            &self.n_made.to_string(),
            body.as_bytes(),
        );
        let intent = Intent {
            idempotency: Some(idempotency),
            ..Intent::system()
        };
        let made = self
            .engine
            .create_promotion(&intent, draft.clone(), &render)
            .await;
        if self.twin.name_is_taken(&own.name, level) {
            assert!(
                matches!(made, Err(EngineError::NameTaken { .. })),
                "{made:?}"
            );
            return;
        }
        let Written::Now(view, revision) = made.unwrap() else {
            panic!("it is new")
        };
        self.twin.promotions.insert(view.promotion.id, own);
        match self
            .engine
            .create_promotion(&intent, draft, &render)
            .await
            .unwrap()
        {
            Written::Replayed(_, again) => assert_eq!(again, revision),
            Written::Now(..) => panic!("it was made before"),
        }
    }

    fn draw_promotion(&mut self) -> Option<PromotionId> {
        let ids: Vec<PromotionId> = self.twin.promotions.keys().copied().collect();
        ids.choose(&mut self.random).copied()
    }

    async fn edit(&mut self) {
        let Some(id) = self.draw_promotion() else {
            return;
        };
        let held = self.draw_held();
        let own = self.twin.promotions[&id].clone();
        let redraft = |before: &endcap::promotion::terms::Promotion| {
            let mut draft = before.draft();
            draft.selection.handpicked.clone_from(&held);
            Ok(draft)
        };
        let (intent, known) = (Intent::system(), Known::Any);
        let edited = self
            .engine
            .edit_promotion(&intent, id, known, &redraft, &render)
            .await;
        if own.archived {
            assert!(
                matches!(edited, Err(EngineError::WrongState { .. })),
                "{edited:?}"
            );
            return;
        }
        edited.unwrap();
        self.twin.promotions.get_mut(&id).unwrap().held = held;
    }

    async fn take_step(&mut self) {
        let Some(id) = self.draw_promotion() else {
            return;
        };
        let now = self.twin.now;
        let own = self.twin.promotions.get_mut(&id).unwrap();
        let state = own.state(now);
        let running = [State::Scheduled, State::Active, State::Suspended];
        let (step, may) = match self.random.random_range(0..4) {
            0 => (Step::Suspend, running.contains(&state)),
            1 => (Step::Resume, state == State::Suspended),
            2 => {
                let begun = own.start <= now;
                (
                    Step::End,
                    begun && [State::Active, State::Suspended].contains(&state),
                )
            }
            _ => (Step::Archive, state != State::Archived),
        };
        let (intent, known) = (Intent::system(), Known::Any);
        let taken = self
            .engine
            .step_promotion(&intent, id, known, step, &render)
            .await;
        if !may {
            assert!(
                matches!(taken, Err(EngineError::WrongState { .. })),
                "{step:?} {taken:?}"
            );
            return;
        }
        taken.unwrap();
        match step {
            Step::Suspend => own.suspended = true,
            Step::Resume => own.suspended = false,
            Step::End => own.end = now.max(own.start + 1),
            Step::Archive => own.archived = true,
            Step::RestartMeasurement(_) => {}
        }
    }

    async fn feed(&mut self) {
        let mut feed = String::new();
        for _ in 0..self.random.random_range(1..4) {
            let key = format!("u{:02}", self.random.random_range(0..45));
            if self.random.random_bool(0.2) && self.twin.goods.remove(&key).is_some() {
                let _ = writeln!(feed, r#"{{"op":"delete","product":"{key}"}}"#);
                continue;
            }
            let score = self.random.random_range(0..25);
            self.twin.goods.insert(key.clone(), score);
            feed.push_str(&replace(&key, score));
        }
        self.import(feed, Mode::Delta).await;
    }

    async fn wait(&mut self) {
        self.twin.now += self.random.random_range(1..3 * HOUR_MS);
        let now = Timestamp(self.twin.now);
        self.engine.set_clock(&Intent::system(), now).await.unwrap();
    }

    async fn restart(&mut self) {
        self.engine.stop();
        let seed = self.random.random();
        // The former engine lets its store go before the next one opens it.
        let placeholder = start(&Memory::new(StoreId([4; 16])), self.twin.now, seed).await;
        drop(std::mem::replace(&mut self.engine, placeholder));
        self.engine = start(&self.memory, self.twin.now, seed).await;
    }

    async fn compare(&self) {
        let request = RankRequest {
            market: market(),
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
            group_by: GroupBy::Variant,
            limit: 600,
            facets: Vec::new(),
            facet_limit: 0,
            fields: Vec::new(),
            at: None,
            arms: None,
        };
        let extras = RankExtras {
            offset: 0,
            cursor: None,
            group: None,
            count: true,
            explain: false,
            faults: Vec::new(),
        };
        let system = Principal::system();
        let answer = self.engine.rank(&system, &request, &extras).await.unwrap();
        let catalogue = &answer.state.catalogue;
        assert_eq!(*catalogue.market(), *answer.state.market.value);
        let items = answer.page.items.iter();
        let found: Vec<String> = items
            .map(|item| catalogue.variant_key(item.row).to_string())
            .collect();
        assert_eq!(found, self.twin.order(), "{:#?}", self.twin.promotions);
        for state in State::ALL.map(|(state, _)| state) {
            let filter = PromotionFilter {
                state: Some(state),
                ..PromotionFilter::default()
            };
            let listed = self.engine.promotions(&system, &filter).unwrap();
            let found: Vec<_> = listed.iter().map(|(held, _)| held.value.id).collect();
            let own = self.twin.promotions.iter();
            let expected = own.filter(|(_, own)| own.state(self.twin.now) == state);
            let expected: Vec<_> = expected.map(|(id, _)| *id).collect();
            assert_eq!(found, expected, "{state:?}");
        }
    }
}

fn draft_of(own: &Twinned) -> PromotionDraft {
    let is_demotion = own.level == BoostLevel::Demoted;
    PromotionDraft {
        kind: text(&if is_demotion { "demotion" } else { "promotion" }),
        level: text(&own.level.as_str()).filter(|_| !is_demotion),
        name: text(&own.name),
        markets: Some(vec!["se".to_owned()]),
        start: text(&Timestamp(own.start)),
        end: text(&Timestamp(own.end)),
        selection: SelectionDraft {
            handpicked: own.held.clone(),
            ..SelectionDraft::default()
        },
        suspended: own.suspended,
        ..PromotionDraft::default()
    }
}

fn replace(key: &str, score: i64) -> String {
    let variant = format!(r#"{{"{key}":{{"list_price":"1.00","score":"{score}"}}}}"#);
    format!(r#"{{"op":"replace","product":"{key}","variants":{variant}}}"#) + "\n"
}

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_commands_leave_what_the_twin_says() {
    let (seed, n_cases) = (number("ENDCAP_SEED", 1), number("ENDCAP_CASES", 100));
    for case in 0..n_cases {
        let mut run = Run::begin(seed.wrapping_mul(1_000_003).wrapping_add(case)).await;
        run.compare().await;
        for _ in 0..N_STEPS {
            run.step().await;
            run.compare().await;
        }
        run.engine.stop();
    }
}
