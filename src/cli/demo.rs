//! `endcap demo`: a sample shop with running promotions, gone when it ends.

use std::sync::Arc;

use indicatif::ProgressBar;

use crate::access::draft::{KeyDraft, ScopeDraft};
use crate::access::key::{ApiKey, KeyRecord};
use crate::access::principal::{Principal, Role};
use crate::catalogue::market::{Market, MarketDraft};
use crate::cli::args::Demo;
use crate::cli::client::Client;
use crate::cli::crowd::Crowd;
use crate::cli::folder::TempFolder;
use crate::cli::house::{self, Server};
use crate::cli::output::{Failure, Outcome, say};
use crate::cli::sample::stream;
use crate::cli::serve::Signals;
use crate::cli::settings::Settings;
use crate::domain::category::CategoryId;
use crate::domain::complaint::Fault;
use crate::domain::id::{MarketId, PromotionId, SessionKey};
use crate::domain::time::{DAY_MS, Period};
use crate::engine::clock::Clock;
use crate::engine::commit::{Intent, StoredAnswer, Written};
use crate::engine::error::EngineError;
use crate::engine::imports::{ImportOrder, Mode};
use crate::engine::promotions::PromotionView;
use crate::engine::rank::{RankExtras, RankRequest, UserContext};
use crate::engine::results::ImportResult;
use crate::engine::start::Engine;
use crate::feed::{Format, Kind};
use crate::generator::desk::named;
use crate::generator::shop::Shop;
use crate::measurement::split::Arm;
use crate::ranking::query::GroupBy;
use crate::store::opened::Opened;
use crate::telemetry::log;

/// Key of the sample market.
const MARKET: &str = "se";

/// The category page that is shown, and a measured promotion that changes it.
const CATEGORY: &str = "main:outerwear";
const MEASURED: &str = "Warm week";

/// Days for which the promotions run already, and will run on.
const RUNNING_DAYS: (i64, i64) = (7, 21);

/// Sessions that are tried until one of each arm is found.
const SESSIONS_MAX: u32 = 1_000;

/// Runs the sample shop until a signal ends it.
///
/// # Errors
/// If the port is taken or the temporary directory cannot be written.
pub(in crate::cli) fn demo(command: &Demo) -> Outcome<()> {
    let quiet = log::Settings {
        level: log::Level::Warn,
        format: log::Format::Text,
    };
    log::init(quiet).map_err(|error| Failure::failed(error.to_string()))?;
    let folder = TempFolder::make("demo")?;
    let mut settings = Settings::default();
    settings.server.listen.set_port(command.port);
    settings.store.path = folder.path().to_path_buf();
    settings.store.ballast_mib = Some(0);
    let clock = Clock::real();
    let stores = house::open_store(&settings, clock.now())?;
    let runtime = house::runtime()?;
    let outcome = runtime.block_on(run(&settings, command, clock, stores));
    house::end(runtime);
    outcome
}

async fn run(settings: &Settings, command: &Demo, clock: Clock, stores: Opened) -> Outcome<()> {
    let raised = Server::raise(settings, clock, stores, None).await;
    let (server, stop) = raised.map_err(|failure| failure.hint("a free port: --port 0"))?;
    let mut signals = Signals::hear()?;
    let filled = fill(&server.engine, command).await;
    let shown = filled.map_err(|error| Failure::failed(format!("the sample shop: {error}")))?;
    let url = format!("http://{}", server.address);
    for line in words(&shown, &url, command.variants) {
        say(&line);
    }
    let word = stop.clone();
    tokio::spawn(async move {
        signals.next().await;
        word.now();
    });
    let client = Client::new(&url, Some(shown.storefront.expose().to_string()))?;
    Crowd::new(client, MARKET, CATEGORY, command.seed).come();
    server.serve(stop).await;
    Ok(())
}

/// What the sample shop offers to look at.
struct Shown {
    /// Opens what a shop front needs.
    storefront: Arc<ApiKey>,
    /// Opens everything.
    operator: Arc<ApiKey>,
    n_promotions: usize,
    /// The one that is measured.
    measured: Option<PromotionId>,
    /// A session that sees the measured promotion, and one that does not.
    sessions: Option<[String; 2]>,
}

/// Market, goods, promotions and keys, through the same use cases as everybody's.
async fn fill(engine: &Engine, command: &Demo) -> Result<Shown, EngineError> {
    let (intent, now) = (Intent::system(), engine.now());
    let sample = Shop::new(command.variants, command.seed);
    open_market(engine, &intent, &sample).await?;
    feed(engine, &intent, &sample).await?;
    let start = now.plus_ms(-RUNNING_DAYS.0 * DAY_MS);
    let period = Period::new(start, now.plus_ms(RUNNING_DAYS.1 * DAY_MS));
    let period = period.map_err(|fault| EngineError::Invalid(vec![fault.at("")]))?;
    let mut measured = None;
    let drafts = named(&sample, &[MARKET.to_owned()], period);
    let n_promotions = drafts.len();
    for draft in drafts {
        let is_measured = draft.name.as_deref() == Some(MEASURED);
        let created = engine.create_promotion(&intent, draft, &|_: &PromotionView| nothing());
        if let Written::Now(view, _) = created.await?
            && is_measured
        {
            measured = Some(view.promotion.id);
        }
    }
    let sessions = match measured {
        Some(promotion) => sessions(engine, &intent, promotion).await?,
        None => None,
    };
    Ok(Shown {
        storefront: make_key(engine, &intent, Role::StorefrontServer).await?,
        operator: make_key(engine, &intent, Role::Operator).await?,
        n_promotions,
        measured,
        sessions,
    })
}

/// What is kept for repeating a request that nobody repeats.
fn nothing() -> StoredAnswer {
    StoredAnswer {
        status: 201,
        location: None,
        body: None,
    }
}

async fn open_market(engine: &Engine, intent: &Intent, sample: &Shop) -> Result<(), EngineError> {
    let draft = MarketDraft {
        market: Some(MARKET.to_owned()),
        name: Some("Sweden".to_owned()),
        currency: Some(sample.currency.code().to_owned()),
        time_zone: Some("Europe/Stockholm".to_owned()),
        search_attributes: vec!["brand".to_owned()],
        ..MarketDraft::default()
    };
    engine
        .create_market(intent, &draft, &|_: &Market| nothing())
        .await
        .map(|_| ())
}

/// Imports the shop while it is made: no feed lies anywhere.
async fn feed(engine: &Engine, intent: &Intent, sample: &Shop) -> Result<(), EngineError> {
    let order = ImportOrder {
        market: market(),
        kind: Kind::Catalogue,
        mode: Mode::Full,
        format: Format::Ndjson,
        encoding: None,
        mapping: None,
        errors_max: 0,
        force: true,
    };
    let job = engine.begin_import(intent, order, |_: &ImportResult| nothing())?;
    let (reader, mut writer) = std::io::pipe().map_err(EngineError::internal)?;
    let sample = sample.clone();
    // An import that gives up closes the pipe, and the writer with it.
    std::thread::spawn(move || stream(&sample, &mut writer, &ProgressBar::hidden()));
    let imported = tokio::task::spawn_blocking(move || job.run(reader));
    imported.await.map_err(EngineError::internal)??;
    Ok(())
}

async fn make_key(
    engine: &Engine,
    intent: &Intent,
    role: Role,
) -> Result<Arc<ApiKey>, EngineError> {
    let draft = KeyDraft {
        name: Some("demo".to_owned()),
        roles: Some(vec![role.as_str().to_owned()]),
        markets: Some(ScopeDraft::Text("*".to_owned())),
        ..KeyDraft::default()
    };
    let made = engine
        .create_key(intent, draft, &|_: &KeyRecord| nothing())
        .await?;
    match made {
        Written::Now(made, _) => made.secret.ok_or(EngineError::NotReady),
        Written::Replayed(..) => Err(EngineError::NotReady),
    }
}

/// The first sessions `visit-…` of either arm.
async fn sessions(
    engine: &Engine,
    intent: &Intent,
    promotion: PromotionId,
) -> Result<Option<[String; 2]>, EngineError> {
    let mut found = [None, None];
    for number in 1..=SESSIONS_MAX {
        let name = format!("visit-{number}");
        let arm = arm(engine, &intent.principal, &name, promotion).await?;
        let place = usize::from(arm == Some(Arm::Withheld));
        found[place].get_or_insert(name);
        if let [Some(shown), Some(withheld)] = &found {
            return Ok(Some([shown.clone(), withheld.clone()]));
        }
    }
    Ok(None)
}

async fn arm(
    engine: &Engine,
    principal: &Principal,
    session: &str,
    promotion: PromotionId,
) -> Result<Option<Arm>, EngineError> {
    let invalid = |fault: Fault| EngineError::Invalid(vec![fault.at("/session_key")]);
    let request = RankRequest {
        market: market(),
        session: Some(SessionKey::parse(session).map_err(invalid)?),
        shopper: None,
        context: UserContext::Personalized,
        panel: None,
        category: CategoryId::parse(CATEGORY).ok(),
        activate_only: false,
        q: None,
        candidates: None,
        primary: Vec::new(),
        filter: Vec::new(),
        sort: Vec::new(),
        group_by: GroupBy::Product,
        limit: 1,
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
        count: false,
        explain: false,
        faults: Vec::new(),
    };
    let answer = engine.rank(principal, &request, &extras).await?;
    let mut arms = answer.arms();
    let own = arms.find(|(id, _)| **id == promotion.text());
    Ok(own.map(|(_, arm)| arm))
}

fn market() -> MarketId {
    MarketId::parse(MARKET).expect("two letters are a market")
}

/// Where the shop is, and lines that work when they are pasted.
fn words(shown: &Shown, url: &str, n_variants: u64) -> Vec<String> {
    let page = format!("{url}/v1/markets/{MARKET}/rank?selected_category={CATEGORY}&limit=5");
    let curl = |more: &str| {
        let key = shown.storefront.expose();
        format!("  curl -s -H 'authorization: Bearer {key}' '{page}{more}'")
    };
    let mut lines = vec![
        format!(
            "endcap {} shows a sample shop on {url}",
            env!("CARGO_PKG_VERSION")
        ),
        format!(
            "  market {MARKET}: {n_variants} variants, {} promotions running",
            shown.n_promotions
        ),
        String::new(),
        format!("A category page, {CATEGORY}:"),
        curl("&fields=title"),
        "The same page, and why each product stands where it stands:".to_owned(),
        curl("&fields=title&explain=true"),
        "Only what is in stock, with counts of brands and colours:".to_owned(),
        curl("&f.in_stock=true&facets=brand,color"),
    ];
    if let Some([seen, unseen]) = &shown.sessions {
        lines.push(format!("\"{MEASURED}\" is measured: this session sees it"));
        lines.push(curl(&format!("&fields=title&session_key={seen}")));
        lines.push("and this one does not:".to_owned());
        lines.push(curl(&format!("&fields=title&session_key={unseen}")));
    }
    lines.extend([
        String::new(),
        "Or with this program, in another terminal:".to_owned(),
        format!(
            "  export ENDCAP_URL={url} ENDCAP_KEY={}",
            shown.operator.expose()
        ),
        format!("  endcap rank --market {MARKET} --category {CATEGORY} --explain"),
        "  endcap promo list".to_owned(),
    ]);
    if let Some(promotion) = shown.measured {
        lines.extend([
            "Made-up shoppers come and buy; what \"Warm week\" does to them:".to_owned(),
            format!("  endcap measure {promotion} --watch"),
        ]);
    }
    lines.extend([
        String::new(),
        "Ctrl-C ends it and leaves nothing behind.".to_owned(),
    ]);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::entropy::Entropy;
    use crate::engine::start::Settings as EngineSettings;
    use crate::store::{StoreId, memory};
    use crate::telemetry::metrics::Metrics;

    #[tokio::test(flavor = "multi_thread")]
    async fn the_sample_shop_has_a_page_that_its_promotions_change() {
        let metrics = Arc::new(Metrics::default());
        let engine = Engine::start(
            EngineSettings::default(),
            Clock::real(),
            Entropy::seeded(1),
            memory::open(StoreId([1; 16])).unwrap(),
            metrics,
        );
        let engine = engine.await.unwrap();
        let command = Demo {
            port: 0,
            variants: 2_000,
            seed: 7,
        };
        let shown = fill(&engine, &command).await.unwrap();
        assert_eq!(shown.n_promotions, engine.snapshot().promotions.len());
        let [seen, unseen] = shown.sessions.clone().unwrap();
        assert_ne!(seen, unseen);
        let lines = words(&shown, "http://127.0.0.1:7700", 2_000);
        assert_eq!(
            lines
                .iter()
                .filter(|line| line.starts_with("  curl -s -H "))
                .count(),
            5
        );
        let boosted = |session: String| {
            let engine = engine.clone();
            async move {
                let id = engine
                    .snapshot()
                    .promotions
                    .values()
                    .find(|held| held.value.name == MEASURED)
                    .unwrap()
                    .value
                    .id;
                arm(&engine, &Principal::system(), &session, id)
                    .await
                    .unwrap()
            }
        };
        assert_eq!(boosted(seen).await, Some(Arm::Shown));
        assert_eq!(boosted(unseen).await, Some(Arm::Withheld));
    }
}
