//! Real data through the documented mappings: the figures that their READMEs state, and a promotion
//! ranked on them. Where `../shared` is absent, each test says so and ends.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use endcap::access::principal::Principal;
use endcap::catalogue::Catalogue;
use endcap::catalogue::market::{Market, MarketDraft};
use endcap::domain::category::CategoryId;
use endcap::domain::id::MarketId;
use endcap::domain::time::Timestamp;
use endcap::engine::clock::Clock;
use endcap::engine::commit::{Intent, StoredAnswer, Written};
use endcap::engine::entropy::Entropy;
use endcap::engine::error::EngineError;
use endcap::engine::imports::{ImportOrder, Mode};
use endcap::engine::promotions::PromotionView;
use endcap::engine::rank::{RankAnswer, RankExtras, RankRequest, UserContext};
use endcap::engine::results::ImportResult;
use endcap::engine::start::{Engine, Settings};
use endcap::feed::{Format, Kind};
use endcap::predicate::rule::{Attr, Op};
use endcap::predicate::written::{WrittenMatcher, WrittenRule};
use endcap::promotion::draft::PromotionDraft;
use endcap::ranking::query::GroupBy;
use endcap::selection::definition::SelectionDraft;
use endcap::store::StoreId;
use endcap::store::memory;

const NOW: &str = "2011-12-10T09:00:00Z";

/// The file of a dataset; `None`, and a line that says so, where it is absent.
fn dataset(file: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/datasets")
        .join(file);
    if path.exists() {
        return Some(path);
    }
    println!("not run: {} is absent", path.display());
    None
}

struct Shop {
    engine: Engine,
    market: MarketId,
}

impl Shop {
    /// A market of that name, with the documented mapping of the same name.
    async fn open(market: &str, mapping: &str) -> Self {
        let clock = Clock::standing_at(Timestamp::parse(NOW).unwrap());
        let stores = memory::open(StoreId([9; 16])).unwrap();
        let (settings, metrics) = (Settings::default(), Arc::default());
        let engine = Engine::start(settings, clock, Entropy::seeded(1), stores, metrics);
        let engine = engine.await.unwrap();
        let text = |text: &str| text.parse().ok();
        let draft = MarketDraft {
            market: text(market),
            name: text(market),
            currency: text("GBP"),
            time_zone: text("Europe/London"),
            ..MarketDraft::default()
        };
        let answer = |_: &Market| answered();
        engine
            .create_market(&Intent::system(), &draft, &answer)
            .await
            .unwrap();
        let market = MarketId::parse(market).unwrap();
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("data/mappings")
            .join(mapping);
        let json = std::fs::read_to_string(path.with_extension("json")).unwrap();
        let intent = Intent::system();
        engine
            .put_mapping(&intent, &market, mapping, json, None)
            .await
            .unwrap();
        Self { engine, market }
    }

    async fn import(
        &self,
        path: &Path,
        (kind, format): (Kind, Format),
        mapping: &str,
        errors_max: u64,
    ) -> Result<ImportResult, EngineError> {
        let order = ImportOrder {
            market: self.market.clone(),
            kind,
            mode: Mode::Full,
            format,
            encoding: None,
            mapping: Some(mapping.to_owned()),
            errors_max,
            force: false,
        };
        let job = self
            .engine
            .begin_import(&Intent::system(), order, |_| answered())
            .unwrap();
        let file = File::open(path).unwrap();
        let run = tokio::task::spawn_blocking(move || job.run(file));
        match run.await.unwrap()? {
            Written::Now(result, _) => Ok(result),
            Written::Replayed(..) => panic!("nobody repeated it"),
        }
    }

    async fn promote(&self, name: &str, level: &str, rules: Vec<WrittenRule>, include: &[&str]) {
        let text = |text: &str| text.parse().ok();
        let draft = PromotionDraft {
            kind: text("promotion"),
            level: text(level),
            name: Some(name.to_owned()),
            markets: Some(vec![self.market.to_string()]),
            start: text("2011-12-10"),
            end: text("2011-12-24"),
            selection: SelectionDraft {
                rule_sets: vec![rules.into_iter().map(Ok).collect()],
                ..SelectionDraft::default()
            },
            include: include.iter().map(ToString::to_string).collect(),
            ..PromotionDraft::default()
        };
        let render = |_: &PromotionView| answered();
        self.engine
            .create_promotion(&Intent::system(), draft, &render)
            .await
            .unwrap();
    }

    fn ask(&self) -> RankRequest {
        RankRequest {
            market: self.market.clone(),
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
            limit: 10,
            facets: Vec::new(),
            facet_limit: 1_000,
            fields: Vec::new(),
            at: None,
            arms: None,
        }
    }

    async fn rank(&self, request: &RankRequest) -> RankAnswer {
        let extras = RankExtras {
            offset: 0,
            cursor: None,
            group: None,
            count: false,
            explain: true,
            faults: Vec::new(),
        };
        self.engine
            .rank(&Principal::system(), request, &extras)
            .await
            .unwrap()
    }

    async fn total(&self, filter: Vec<WrittenRule>, group_by: GroupBy) -> u32 {
        let request = RankRequest {
            filter,
            group_by,
            limit: 0,
            ..self.ask()
        };
        self.rank(&request).await.page.total
    }
}

fn answered() -> StoredAnswer {
    StoredAnswer {
        status: 200,
        location: None,
        body: None,
    }
}

fn is_in(attr: &str, values: &[&str]) -> WrittenRule {
    let values = values.iter().map(|value| (*value).into()).collect();
    let attr = Attr::parse(attr).unwrap();
    WrittenRule {
        op: Op::Include,
        attr,
        matcher: WrittenMatcher::In(values),
    }
}

fn keys(answer: &RankAnswer) -> Vec<String> {
    let catalogue = &answer.state.catalogue;
    let items = answer.page.items.iter();
    items
        .map(|item| catalogue.variant_key(item.row).to_string())
        .collect()
}

/// Counts of a facet, by value.
async fn facet(shop: &Shop, attr: &str) -> Vec<(String, u32)> {
    let facets = vec![Attr::parse(attr).unwrap()];
    let answer = shop
        .rank(&RankRequest {
            facets,
            limit: 0,
            ..shop.ask()
        })
        .await;
    let counts = &answer.page.facets[0].counts;
    let currency = answer.state.catalogue.locale().currency;
    counts
        .iter()
        .map(|(value, count)| (value.format(currency), *count))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn online_retail_has_the_goods_it_states_and_a_promotion_moves_them() {
    let Some(path) = dataset("online-retail/products.ndjson") else {
        return;
    };
    let name = "online-retail";
    let shop = Shop::open("uk", name).await;
    let what = (Kind::Catalogue, Format::Ndjson);
    match shop.import(&path, what, name, 0).await {
        Err(EngineError::ImportInvalid { errors, .. }) => {
            let [pads] = errors.as_slice() else {
                panic!("one row holds a price that no GBP amount is: {errors:?}")
            };
            assert_eq!((pads.row, pads.value.as_str()), (3_810, "0.001"));
            assert_eq!(pads.column, "list_price_gbp");
            assert_eq!(pads.code, "money-precision");
        }
        other => panic!("{:?}", other.map(|result| result.state)),
    }
    let result = shop.import(&path, what, name, 1).await.unwrap();
    assert_eq!(
        (result.rows, result.added, result.rejected),
        (3_812, 3_811, 1)
    );
    assert_eq!(shop.total(Vec::new(), GroupBy::Variant).await, 3_811);
    let goods = || vec![is_in("kind", &["product"])];
    assert_eq!(shop.total(goods(), GroupBy::Variant).await, 3_791);
    assert_eq!(shop.total(goods(), GroupBy::Product).await, 3_282);
    let answer = shop.rank(&shop.ask()).await;
    let catalogue = &answer.state.catalogue;
    let is_good = |row| {
        let facts = catalogue.facts(row);
        facts
            .get("kind")
            .any(|value| value.to_string() == "product")
    };
    let several = catalogue.products().filter(|(product, _)| {
        let rows = catalogue.rows_of_product(*product);
        1 < rows.iter().filter(|row| is_good(**row)).count()
    });
    assert_eq!(several.count(), 272);

    a_low_boost_lifts_a_lunch_bag(&shop, &answer).await;
}

/// The best sellers by revenue lead; a low boost lifts a bag past nine in ten.
async fn a_low_boost_lifts_a_lunch_bag(shop: &Shop, before: &RankAnswer) {
    let catalogue = &before.state.catalogue;
    let first = keys(before);
    let lunch = RankRequest {
        q: Some("lunch bag".to_owned()),
        ..shop.ask()
    };
    let bags = shop.rank(&lunch).await;
    assert!(5 < bags.page.total, "{}", bags.page.total);
    let title = |row| {
        catalogue
            .facts(row)
            .get("title")
            .next()
            .unwrap()
            .to_string()
    };
    let last = bags.page.items.last().unwrap();
    assert!(title(last.row).contains("LUNCH BAG"));
    shop.promote(
        "Lunch time",
        "low",
        vec![is_in("title", &[&title(last.row)])],
        &[],
    )
    .await;
    let whole = shop
        .rank(&RankRequest {
            limit: 600,
            ..shop.ask()
        })
        .await;
    let place = whole
        .page
        .items
        .iter()
        .position(|item| item.row == last.row)
        .unwrap();
    let why = &whole.explanations[place];
    let keep = why.stay_above_max.unwrap();
    assert_eq!(keep, why.higher_scored / 10);
    assert!(
        u32::try_from(place).unwrap() <= keep,
        "{place} of at most {keep}"
    );
    assert_eq!(keys(&whole)[..3], first[..3]);
}

#[tokio::test(flavor = "multi_thread")]
async fn pricerunner_offers_keep_their_brands_and_sellers() {
    let Some(path) = dataset("pricerunner-offers/offers.csv.gz") else {
        return;
    };
    let name = "pricerunner-offers";
    let shop = Shop::open("dk", name).await;
    let what = (Kind::Catalogue, Format::Csv);
    let result = shop.import(&path, what, name, 0).await.unwrap();
    assert_eq!((result.rows, result.rejected), (35_311, 0));
    assert_eq!(shop.total(Vec::new(), GroupBy::Variant).await, 35_311);
    assert_eq!(shop.total(Vec::new(), GroupBy::Product).await, 13_233);
    assert_eq!(facet(&shop, "merchant").await.len(), 306);
    let brands = facet(&shop, "brand").await;
    let caseless: BTreeSet<String> = brands
        .iter()
        .map(|(brand, _)| brand.to_lowercase())
        .collect();
    assert_eq!(caseless.len(), 284);
    let top: Vec<_> = brands
        .iter()
        .take(3)
        .map(|(brand, n)| (brand.as_str(), *n))
        .collect();
    assert_eq!(
        top,
        [("Bosch", 3_271), ("Samsung", 2_413), ("Intel", 2_147)]
    );
    let n_of = |categories: &[(String, u32)], id: &str| {
        categories
            .iter()
            .find(|(own, _)| own == id)
            .map(|(_, n)| *n)
    };
    let categories = facet(&shop, "category").await;
    assert_eq!(categories.len(), 10);
    for (id, n) in [
        ("main:fridge-freezers", 5_501),
        ("main:mobile-phones", 4_081),
        ("main:washing-machines", 4_044),
        ("main:cpus", 3_862),
        ("main:freezers", 2_212),
    ] {
        assert_eq!(n_of(&categories, id), Some(n), "{id}");
    }
    let answer = shop.rank(&shop.ask()).await;
    let catalogue = &answer.state.catalogue;
    let sizes = catalogue
        .products()
        .map(|(own, _)| catalogue.rows_of_product(own).len());
    let sizes: Vec<usize> = sizes.collect();
    assert_eq!(sizes.iter().filter(|n| 1 < **n).count(), 7_859);
    assert_eq!(sizes.iter().max(), Some(&27));
    bosch_leads_where_it_is_promoted(&shop, catalogue).await;
}

async fn bosch_leads_where_it_is_promoted(shop: &Shop, catalogue: &Catalogue) {
    shop.promote(
        "Bosch first",
        "high",
        vec![is_in("brand", &["Bosch"])],
        &["main:dishwashers"],
    )
    .await;
    let dishwashers = Some(CategoryId::parse("main:dishwashers").unwrap());
    let page = RankRequest {
        category: dishwashers,
        group_by: GroupBy::Product,
        ..shop.ask()
    };
    let page = shop.rank(&page).await;
    let brand = |row| {
        catalogue
            .facts(row)
            .get("brand")
            .next()
            .unwrap()
            .to_string()
    };
    assert_eq!(page.page.items.len(), 10);
    assert!(
        page.page
            .items
            .iter()
            .all(|item| brand(item.row) == "Bosch")
    );
    let fridges = Some(CategoryId::parse("main:fridges").unwrap());
    let elsewhere = shop
        .rank(&RankRequest {
            category: fridges,
            ..shop.ask()
        })
        .await;
    assert!(elsewhere.page.items.iter().all(|item| item.level.is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn bestbuy_categories_make_a_graph_with_placeholders() {
    let Some(path) = dataset("bestbuy-categories/categories.ndjson") else {
        return;
    };
    let name = "bestbuy-categories";
    let shop = Shop::open("us", name).await;
    let what = (Kind::Categories, Format::Ndjson);
    let result = shop.import(&path, what, name, 0).await.unwrap();
    assert_eq!((result.rows, result.rejected), (4_584, 0));
    let answer = shop.rank(&shop.ask()).await;
    let graph = answer.state.catalogue.graph();
    let text = std::fs::read_to_string(&path).unwrap();
    let rows: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let defined: BTreeSet<&str> = rows.iter().map(|row| row["id"].as_str().unwrap()).collect();
    let children = || {
        rows.iter()
            .flat_map(|row| row["child_ids"].as_array().unwrap())
    };
    let undefined: BTreeSet<&str> = children()
        .map(|child| child.as_str().unwrap())
        .filter(|child| !defined.contains(child))
        .collect();
    assert_eq!(undefined.len(), 2_100);
    let placeholders: BTreeSet<String> = graph.placeholders().map(ToString::to_string).collect();
    assert!(
        undefined
            .iter()
            .all(|id| placeholders.contains(&format!("main:{id}")))
    );
    assert_eq!(graph.len(), defined.len() + placeholders.len());
    let warning = result
        .warnings
        .iter()
        .find(|own| own.code == "placeholder-categories")
        .unwrap();
    assert_eq!(warning.count, placeholders.len() as u64);
    let mut n_listed: std::collections::BTreeMap<&str, u32> = std::collections::BTreeMap::new();
    for child in children() {
        *n_listed.entry(child.as_str().unwrap()).or_default() += 1;
    }
    assert_eq!(n_listed.values().filter(|n| 1 < **n).count(), 428);

    let (child, _) = n_listed
        .iter()
        .find(|(id, n)| 1 < **n && defined.contains(**id))
        .unwrap();
    a_restriction_to_a_parent_acts_below(&shop, child).await;
}

/// A few made goods in a real category below two others: a restriction to either switches on.
async fn a_restriction_to_a_parent_acts_below(shop: &Shop, child: &str) {
    let answer = shop.rank(&shop.ask()).await;
    let graph = answer.state.catalogue.graph();
    let node = graph.find(&format!("main:{child}")).unwrap();
    let parent = graph.id(graph.parents(node)[0]).to_string();
    let goods: String = (0..30)
        .map(|n| {
            let score = 100 - n;
            format!(
                r#"{{"op":"replace","product":"p{n:02}","categories":["main:{child}"],"attributes":{{"brand":"b{}"}},"variants":{{"u{n:02}":{{"list_price":"1.00","score":"{score}"}}}}}}"#,
                n % 3
            ) + "\n"
        })
        .collect();
    let order = ImportOrder {
        market: shop.market.clone(),
        kind: Kind::Catalogue,
        mode: Mode::Full,
        format: Format::Ndjson,
        encoding: None,
        mapping: None,
        errors_max: 0,
        force: false,
    };
    let job = shop
        .engine
        .begin_import(&Intent::system(), order, |_| answered())
        .unwrap();
    tokio::task::spawn_blocking(move || job.run(goods.as_bytes()))
        .await
        .unwrap()
        .unwrap();
    shop.promote(
        "Second brand",
        "high",
        vec![is_in("brand", &["b2"])],
        &[&parent],
    )
    .await;
    let category = Some(CategoryId::parse(&format!("main:{child}")).unwrap());
    let inside = shop
        .rank(&RankRequest {
            category,
            limit: 3,
            ..shop.ask()
        })
        .await;
    assert_eq!(keys(&inside), ["u02", "u05", "u08"]);
    let outside = shop
        .rank(&RankRequest {
            limit: 3,
            ..shop.ask()
        })
        .await;
    assert_eq!(keys(&outside), ["u00", "u01", "u02"]);
}
