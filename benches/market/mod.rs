//! The market that the benches of ranking share.
//!
//! Data, all drawn from fixed seeds: n variants of n / 4 products (1 to 7 variants each); 2,000
//! brands, 24 colours and 30 sizes, log-uniform; 2,880 leaf categories in a tree of 12, 96, 576
//! and 2,880 nodes, log-uniform over the leaves, which lie scattered over the tree; log-normal
//! prices; one variant in ten out of stock; scores from 0 to 10 million, so some are equal.
//!
//! Promotions: 80 boosts, a third each high, medium and low, and 20 demotions. One medium, three
//! low and one demotion hold a fifth of the market each, the others 50 to 5,000 products,
//! log-uniform. 30 are restricted to one to three categories of the second level. 50 are measured:
//! the real split withholds each from a fifth of the sessions.

use std::sync::Arc;

use endcap::catalogue::Catalogue;
use endcap::catalogue::attribute::Declared;
use endcap::catalogue::category::Node;
use endcap::catalogue::market::{DisplaySource, HarmGuard, Market as Front, PriceBasis};
use endcap::catalogue::product::{AttributeTexts, CategoryRecord, ProductRecord, VariantRecord};
use endcap::catalogue::row::RowSet;
use endcap::domain::boost::BoostLevel;
use endcap::domain::category::CategoryId;
use endcap::domain::id::{MarketId, ProductKey, PromotionId, SessionKey, VariantKey};
use endcap::domain::money::{Currency, Minor, Percent};
use endcap::domain::number::Score;
use endcap::domain::time::{Timestamp, Today, Zone};
use endcap::domain::value::{Locale, Value};
use endcap::measurement::split::{Coin, Share, SplitKey, assign};
use endcap::predicate::matcher::{Matcher, ValueSet};
use endcap::predicate::rule::{Attr, Op, Rule};
use endcap::promotion::restriction::{NodeMasks, node_masks};
use endcap::promotion::slot::{Slot, SlotMask, SlotTable};
use endcap::promotion::terms::Restriction;
use endcap::ranking::base::RankBase;
use endcap::ranking::build::MarketView;
use endcap::ranking::query::{GroupBy, Query};

/// Nodes of each storey of the category tree.
pub(crate) const STOREYS: [usize; 4] = [12, 96, 576, 2_880];
const N_BRANDS: usize = 2_000;
const N_COLOURS: usize = 24;
const N_SIZES: usize = 30;
const N_PROMOTIONS: usize = 100;

/// A seeded stream of numbers.
#[derive(Clone)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let once = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let twice = (once ^ (once >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        twice ^ (twice >> 31)
    }

    /// Below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.bits() % u64::try_from(bound).unwrap_or(1)).unwrap_or(0)
    }

    /// From 0 to 1.
    fn unit(&mut self) -> f64 {
        f64::from(u32::try_from(self.bits() >> 32).unwrap_or(0)) / f64::from(u32::MAX)
    }

    /// Below `bound`, with odds as one over the number: log-uniform.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "small whole numbers"
    )]
    fn skewed(&mut self, bound: usize) -> usize {
        let drawn = (self.unit() * (bound as f64 + 1.0).ln()).exp() as usize;
        drawn.clamp(1, bound) - 1
    }

    /// Log-uniform.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a whole number below 5,001"
    )]
    fn between_50_and_5_000(&mut self) -> usize {
        (50.0 * 100_f64.powf(self.unit())) as usize
    }

    /// Log-normal around 200.00.
    #[expect(clippy::cast_possible_truncation, reason = "prices below a million")]
    fn price(&mut self) -> Minor {
        let normal: f64 = (0..12).map(|_| self.unit()).sum::<f64>() - 6.0;
        Minor(100 * (200.0 * normal.exp()) as i64 + 90)
    }
}

/// A market with its promotions.
pub(crate) struct Market {
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) base: Arc<RankBase>,
    pub(crate) view: MarketView,
    /// Rows of its promotions, by slot.
    pub(crate) sets: Vec<RowSet>,
    pub(crate) today: Today,
    /// Coins of the measured promotions.
    pub(crate) coins: Vec<(Slot, Coin)>,
}

/// One request with what its session does not see taken out of the mask.
pub(crate) struct Request {
    pub(crate) query: Query,
    pub(crate) mask: SlotMask,
    pub(crate) kind: Kind,
}

/// What a request asks for beside its category.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Root,
    Plain,
    Colours,
    Brands,
    PriceAndStock,
}

/// Which goods a market has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// As the page says.
    Usual,
    /// Nine tenths of the variants have one score.
    Tied,
    /// Every product has a thousand variants.
    Huge,
}

impl Kind {
    pub(crate) const ALL: [Self; 5] = [
        Self::Root,
        Self::Plain,
        Self::Colours,
        Self::Brands,
        Self::PriceAndStock,
    ];
}

impl Market {
    pub(crate) fn new(n: usize, shape: Shape) -> Self {
        let catalogue = Arc::new(goods(n, shape));
        let base = Arc::new(RankBase::build(&catalogue));
        let mut chance = Chance(23);
        let (table, sets) = promotions(&catalogue, &mut chance);
        let nodes = restrict(&catalogue, &table, &mut chance);
        let borrowed: Vec<&RowSet> = sets.iter().collect();
        let coins = table
            .iter()
            .filter(|(slot, ..)| slot.0 % 2 == 0)
            .map(|(slot, ..)| (slot, coin(&mut chance)))
            .collect();
        let view = MarketView::build(&base, table, nodes, &borrowed);
        let noon = Timestamp::parse("2026-05-20T12:00:00Z").expect("a fixed time");
        let today = Today::at(noon, &catalogue.locale().zone);
        Self {
            catalogue,
            base,
            view,
            sets,
            today,
            coins,
        }
    }

    /// The same goods under other promotions, which no category restricts.
    pub(crate) fn with(&self, promotions: &[(BoostLevel, RowSet)]) -> MarketView {
        let ids = promotions.iter().enumerate();
        let levels = ids.map(|(place, (level, _))| (id(place), *level)).collect();
        let table = SlotTable::new(levels);
        let sets: Vec<&RowSet> = table
            .iter()
            .map(|(_, own, _)| &promotions[place_of(own)].1)
            .collect();
        let free = Restriction::default();
        let slots: Vec<_> = table.iter().map(|(slot, ..)| (slot, &free)).collect();
        let nodes = node_masks(self.catalogue.graph(), &slots);
        MarketView::build(&self.base, table, nodes, &sets)
    }

    /// A page of 24 products of the whole market.
    pub(crate) fn root(&self) -> Query {
        Query {
            category: None,
            filter: Vec::new(),
            classes: None,
            primary: Vec::new(),
            sort: Vec::new(),
            group_by: GroupBy::Product,
            limit: 24,
            offset: 0,
            from: None,
            facets: Vec::new(),
            today: self.today.clone(),
        }
    }

    /// What the session of this number does not see.
    pub(crate) fn withheld(&self, session: usize) -> SlotMask {
        let key = SessionKey::parse(&format!("s-{session:06}")).expect("a fixed form");
        let digest = SplitKey::new([7; 16]).digest(&key);
        assign(digest, self.coins.iter().copied()).collect()
    }

    /// Mixed traffic: one request in ten for the whole market, the others for a category of any
    /// storey, as often as it has products; half of them plain, a quarter with two colours, 15 %
    /// with three brands, 10 % with a price range and in stock.
    pub(crate) fn requests(&self, n: usize) -> Vec<Request> {
        let mut chance = Chance(5);
        (0..n)
            .map(|session| self.request(session, &mut chance))
            .collect()
    }

    fn request(&self, session: usize, chance: &mut Chance) -> Request {
        let node = (chance.below(10) != 0).then(|| self.category(chance));
        let (kind, filter) = match chance.below(20) {
            0..10 if node.is_none() => (Kind::Root, Vec::new()),
            0..10 => (Kind::Plain, Vec::new()),
            10..15 => (Kind::Colours, vec![any_of("colour", 2, N_COLOURS, chance)]),
            15..18 => (Kind::Brands, vec![any_of("brand", 3, N_BRANDS, chance)]),
            _ => (Kind::PriceAndStock, vec![price(chance), in_stock()]),
        };
        let query = Query {
            category: node.map(Some),
            filter,
            ..self.root()
        };
        let allowed = self.view.nodes().at(node);
        let mask = allowed & !self.withheld(session);
        Request { query, mask, kind }
    }

    /// A category of a random storey, weighted by its products.
    fn category(&self, chance: &mut Chance) -> Node {
        let storey = chance.below(4);
        let leaf = place_in_tree(chance.skewed(STOREYS[3]));
        let number = leaf * STOREYS[storey] / STOREYS[3];
        self.node(storey, number)
    }

    /// The node of a storey.
    pub(crate) fn node(&self, storey: usize, number: usize) -> Node {
        let id = category(storey, number);
        let found = self.catalogue.graph().find(id.as_str());
        found.expect("every node is defined")
    }
}

/// Any of `n` values, the frequent ones likelier.
fn any_of(attr: &str, n: usize, bound: usize, chance: &mut Chance) -> Rule {
    let mut numbers: Vec<usize> = Vec::new();
    while numbers.len() < n {
        let number = chance.skewed(bound);
        if !numbers.contains(&number) {
            numbers.push(number);
        }
    }
    let values = numbers.into_iter().map(|number| text(attr, number));
    rule(
        attr,
        Matcher::In(ValueSet::new(
            values.map(|text| Value::Text(text.into())).collect(),
        )),
    )
}

/// A factor of two somewhere around the middle.
fn price(chance: &mut Chance) -> Rule {
    let low = chance.price().0;
    rule("price", between(low, 2 * low))
}

pub(crate) fn between(min: i64, max: i64) -> Matcher {
    Matcher::Range {
        min: Some(Value::Money(Minor(min))),
        max: Some(Value::Money(Minor(max))),
    }
}

pub(crate) fn in_stock() -> Rule {
    rule(
        "in_stock",
        Matcher::In(ValueSet::new(vec![Value::Flag(true)])),
    )
}

pub(crate) fn rule(attr: &str, matcher: Matcher) -> Rule {
    let attr = Attr::parse(attr).expect("a fixed name");
    Rule {
        op: Op::Include,
        attr,
        matcher,
    }
}

/// The number of a promotion made by [`id`].
fn place_of(id: PromotionId) -> usize {
    usize::try_from(u128::from_be_bytes(id.0)).expect("a small number")
}

fn id(place: usize) -> PromotionId {
    PromotionId(u128::try_from(place).unwrap_or(0).to_be_bytes())
}

fn coin(chance: &mut Chance) -> Coin {
    let share = Percent::from_basis_points(8_000).expect("a percentage");
    Coin::new(chance.bits(), Share::new(share).expect("80 % is allowed"))
}

/// The table of slots, and the rows of each.
fn promotions(catalogue: &Catalogue, chance: &mut Chance) -> (SlotTable, Vec<RowSet>) {
    let levels = [BoostLevel::High, BoostLevel::Medium, BoostLevel::Low];
    let level = |place: usize| match place {
        0..20 => BoostLevel::Demoted,
        _ => levels[place % 3],
    };
    let table = SlotTable::new((0..N_PROMOTIONS).map(|p| (id(p), level(p))).collect());
    // The first of a level that comes, and of low three, hold a fifth.
    let mut broad_left = [1, 0, 1, 3];
    let sets = table.iter().map(|(_, _, level)| {
        let place = BoostLevel::BY_PRECEDENCE
            .iter()
            .position(|own| *own == level);
        let left = &mut broad_left[place.unwrap_or(0)];
        if 0 < *left {
            *left -= 1;
            return products(catalogue, chance, |chance| chance.below(5) == 0);
        }
        let wanted = chance.between_50_and_5_000();
        some_products(catalogue, chance, wanted)
    });
    let sets = sets.collect();
    (table, sets)
}

/// All variants of the products that are taken.
pub(crate) fn products(
    catalogue: &Catalogue,
    chance: &mut Chance,
    mut takes: impl FnMut(&mut Chance) -> bool,
) -> RowSet {
    let mut rows = RowSet::new();
    for (product, _) in catalogue.products() {
        if takes(chance) {
            rows.extend(catalogue.rows_of_product(product).iter().copied());
        }
    }
    rows
}

/// All variants of `n` products, or a few less.
fn some_products(catalogue: &Catalogue, chance: &mut Chance, n: usize) -> RowSet {
    let n_products = catalogue.n_product_numbers() as usize;
    let mut rows = RowSet::new();
    for _ in 0..n {
        let number = u32::try_from(chance.below(n_products)).unwrap_or(0);
        let product = endcap::catalogue::row::ProductNo(number);
        rows.extend(catalogue.rows_of_product(product).iter().copied());
    }
    rows
}

/// 30 promotions act in one to three categories of the second level only.
fn restrict(catalogue: &Catalogue, table: &SlotTable, chance: &mut Chance) -> NodeMasks {
    let restrictions: Vec<(Slot, Restriction)> = table
        .iter()
        .map(|(slot, ..)| {
            let n_marks = if slot.0 % 10 < 3 {
                1 + chance.below(3)
            } else {
                0
            };
            let marks = (0..n_marks).map(|_| category(1, chance.below(STOREYS[1])));
            let restriction = Restriction {
                include: marks.collect(),
                exclude: Vec::new(),
            };
            (slot, restriction)
        })
        .collect();
    let borrowed: Vec<_> = restrictions
        .iter()
        .map(|(slot, own)| (*slot, own))
        .collect();
    node_masks(catalogue.graph(), &borrowed)
}

fn goods(n: usize, shape: Shape) -> Catalogue {
    let mut chance = Chance(11);
    let mut records = Vec::with_capacity(n / 4);
    let mut left = n;
    while 0 < left {
        let n_variants = match shape {
            Shape::Huge => 1_000,
            Shape::Usual | Shape::Tied => 1 + chance.below(7),
        };
        let n_variants = n_variants.min(left);
        left -= n_variants;
        let mut record = product(records.len(), n_variants, &mut chance);
        if shape == Shape::Tied {
            tie(&mut record, &mut chance);
        }
        records.push(Arc::new(record));
    }
    Catalogue::build(front(), Declared::new(), records, categories()).0
}

/// Gives nine tenths of the variants the same score.
fn tie(record: &mut ProductRecord, chance: &mut Chance) {
    for variant in &mut record.variants {
        if chance.below(10) != 0 {
            variant.score = Score::parse("0").ok();
        }
    }
}

fn product(number: usize, n_variants: usize, chance: &mut Chance) -> ProductRecord {
    let leaf = place_in_tree(chance.skewed(STOREYS[3]));
    let brand = chance.skewed(N_BRANDS);
    ProductRecord {
        key: ProductKey::parse(&format!("P{number:07}")).expect("a fixed form"),
        group: None,
        seller: None,
        categories: vec![category(3, leaf)],
        score: None,
        attributes: vec![attribute("brand", text("brand", brand))],
        variants: (0..n_variants)
            .map(|place| variant(number, place, chance))
            .collect(),
    }
}

fn variant(product: usize, place: usize, chance: &mut Chance) -> VariantRecord {
    let (colour, size) = (chance.skewed(N_COLOURS), chance.skewed(N_SIZES));
    let stock = if chance.below(10) == 0 {
        0
    } else {
        1 + i64::try_from(chance.skewed(200)).unwrap_or(0)
    };
    let score = i64::try_from(chance.below(10_000_000)).unwrap_or(0);
    VariantRecord {
        key: VariantKey::parse(&format!("P{product:07}-{place}")).expect("a fixed form"),
        list_price: Some(chance.price()),
        sale_price: None,
        cost: None,
        stock: Some(stock),
        score: Some(Score::parse(&score.to_string()).expect("a whole number")),
        weight_g: None,
        attributes: vec![
            attribute("colour", text("colour", colour)),
            attribute("size", text("size", size)),
        ],
    }
}

fn attribute(attr: &str, text: String) -> AttributeTexts {
    AttributeTexts {
        attr: Attr::parse(attr).expect("a fixed name"),
        texts: vec![text.into()],
    }
}

fn text(attr: &str, number: usize) -> String {
    format!("{attr} {number:04}")
}

/// Where the leaf of a rank by size stands in the tree.
fn place_in_tree(leaf: usize) -> usize {
    // 1,369 shares no factor with 2,880, so this is a permutation.
    leaf * 1_369 % STOREYS[3]
}

fn category(storey: usize, number: usize) -> CategoryId {
    CategoryId::parse(&format!("c{storey}-{number:04}")).expect("a fixed form")
}

fn categories() -> Vec<CategoryRecord> {
    let mut records = Vec::new();
    for (storey, n_nodes) in STOREYS.into_iter().enumerate() {
        for number in 0..n_nodes {
            let parent = storey
                .checked_sub(1)
                .map(|above| category(above, number * STOREYS[above] / n_nodes));
            records.push(CategoryRecord {
                id: category(storey, number),
                name: Some(format!("Category {number}")),
                parents: parent.into_iter().collect(),
            });
        }
    }
    records
}

fn front() -> Front {
    let percent = |share: u32| Percent::from_basis_points(share * 100).expect("a percentage");
    Front {
        id: MarketId::parse("se").expect("a fixed key"),
        name: "Sweden".to_owned(),
        locale: Locale {
            currency: Currency::parse("SEK").expect("a fixed code"),
            zone: Zone::parse("Europe/Stockholm").expect("a fixed zone"),
        },
        country: None,
        locales: Vec::new(),
        price_basis: PriceBasis::TaxInclusive,
        search_attributes: Vec::new(),
        cross_market_attribute: None,
        display_source: DisplaySource::Answer,
        share_shown: percent(80),
        handpick_import_max: 700,
        harm_guard: HarmGuard {
            vanished_percent_max: percent(20),
            sold_out_percent_max: percent(50),
        },
    }
}
