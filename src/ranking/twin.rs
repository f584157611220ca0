//! The slow obvious twin: the written definition, sorted whole.
//!
//! It sorts the market by comparing scores and keys, counts higher scores one by one, asks
//! `first_failure` of every variant and groups by looking at everything. The fast paths must give
//! the same pages, totals and facets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use rand::rngs::ChaCha8Rng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};

use crate::catalogue::Catalogue;
use crate::catalogue::market::{DisplaySource, HarmGuard, Market, PriceBasis};
use crate::catalogue::product::{AttributeTexts, CategoryRecord, ProductRecord, VariantRecord};
use crate::catalogue::row::{Row, RowSet};
use crate::domain::boost::BoostLevel;
use crate::domain::category::CategoryId;
use crate::domain::id::{GroupKey, MarketId, ProductKey, PromotionId, VariantKey};
use crate::domain::money::{Currency, Minor, Percent};
use crate::domain::number::Score;
use crate::domain::time::{Timestamp, Today, Zone};
use crate::domain::value::{Locale, Value, ValueRef};
use crate::predicate::facts::{Facts, first_failure};
use crate::predicate::matcher::{Matcher, ValueSet};
use crate::predicate::rule::{Attr, Op, Rule, RuleSet};
use crate::promotion::restriction::node_masks;
use crate::promotion::slot::{SlotMask, SlotTable};
use crate::ranking::base::RankBase;
use crate::ranking::build::MarketView;
use crate::ranking::page::{Page, page};
use crate::ranking::query::{FacetQuery, GroupBy, Query, SortKey};

/// A shop with promotions, and the view that was built of it.
pub(super) struct Scene {
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) promotions: Vec<(BoostLevel, RowSet)>,
    pub(super) view: MarketView,
}

/// What the definition says about a query.
#[derive(Debug, PartialEq)]
pub(super) struct Expected {
    pub(super) rows: Vec<(Row, Option<BoostLevel>)>,
    facets: Vec<Vec<(Value, u32)>>,
}

impl Scene {
    pub(super) fn new(catalogue: Catalogue, mut promotions: Vec<(BoostLevel, RowSet)>) -> Self {
        promotions.sort_by_key(|(level, _)| std::cmp::Reverse(*level));
        let catalogue = Arc::new(catalogue);
        let id = |place: usize| PromotionId(u128::try_from(place).unwrap().to_be_bytes());
        let levels = promotions
            .iter()
            .enumerate()
            .map(|(place, (level, _))| (id(place), *level));
        let table = SlotTable::new(levels.collect());
        let sets: Vec<&RowSet> = table
            .iter()
            .map(|(_, own, _)| &promotions[usize::try_from(u128::from_be_bytes(own.0)).unwrap()].1)
            .collect();
        let base = Arc::new(RankBase::build(&catalogue));
        let nodes = node_masks(catalogue.graph(), &[]);
        let view = MarketView::build(&base, table, nodes, &sets);
        Self {
            catalogue,
            promotions,
            view,
        }
    }

    /// Effective level of a row under the promotions of `mask`, asked of each one.
    fn level(&self, row: Row, mask: SlotMask) -> Option<BoostLevel> {
        let applicable = self.view.table().iter().filter(|(slot, id, _)| {
            let place = usize::try_from(u128::from_be_bytes(id.0)).unwrap();
            mask.contains(*slot) && self.promotions[place].1.contains(row)
        });
        applicable.map(|(_, _, level)| level).max()
    }

    pub(super) fn matches(&self, query: &Query, row: Row, but: Option<&Attr>) -> bool {
        let facts = self.catalogue.facts(row);
        let asked = query
            .filter
            .iter()
            .filter(|rule| Some(&rule.attr) != but)
            .cloned();
        let in_category = match query.category {
            None => true,
            Some(None) => false,
            Some(Some(node)) => {
                let id = self.catalogue.graph().id(node).as_str();
                let category = Attr::parse(Attr::CATEGORY).unwrap();
                facts
                    .values(&category)
                    .any(|value| value.to_value() == Value::Text(id.into()))
            }
        };
        let in_class = query
            .classes
            .as_ref()
            .is_none_or(|classes| classes.iter().any(|class| class.contains(row)));
        in_category
            && in_class
            && first_failure(&RuleSet(asked.collect()), &facts, &query.today).is_none()
    }

    pub(super) fn owner(&self, row: Row, group_by: GroupBy) -> (u32, u32) {
        match group_by {
            GroupBy::Variant => (0, row.0),
            GroupBy::Product => (1, self.catalogue.product_of(row).0),
            GroupBy::ProductGroup => (2, self.catalogue.group_of(row).0),
        }
    }

    /// The whole order of the result, each group at its best unit, and the facets.
    pub(super) fn expected(&self, query: &Query, mask: SlotMask) -> Expected {
        let base = self.base_order();
        let matching: BTreeSet<Row> = base
            .iter()
            .copied()
            .filter(|row| self.matches(query, *row, None))
            .collect();
        let mut rows = Vec::new();
        let mut seen = BTreeSet::new();
        for primary in &query.primary {
            let mut inside: Vec<Row> = primary
                .iter()
                .copied()
                .filter(|row| matching.contains(row))
                .collect();
            inside.sort_by_key(|row| base.iter().position(|own| own == row));
            for row in inside {
                if seen.insert(self.owner(row, query.group_by)) {
                    rows.push((row, None));
                }
            }
        }
        for (row, level) in self.in_order(query, mask, &base, &matching) {
            if seen.insert(self.owner(row, query.group_by)) {
                rows.push((row, level));
            }
        }
        let facets = query
            .facets
            .iter()
            .map(|facet| self.facet(query, facet))
            .collect();
        Expected { rows, facets }
    }

    /// The market by score and key.
    fn base_order(&self) -> Vec<Row> {
        let catalogue = &*self.catalogue;
        let mut base: Vec<Row> = catalogue.live().iter().collect();
        base.sort_by(|a, b| {
            let (own, other) = (catalogue.score(*a), catalogue.score(*b));
            other
                .cmp(&own)
                .then_with(|| catalogue.variant_key(*a).cmp(catalogue.variant_key(*b)))
        });
        base
    }

    /// Every matching variant with its level, sorted by the definition's key.
    fn in_order(
        &self,
        query: &Query,
        mask: SlotMask,
        base: &[Row],
        matching: &BTreeSet<Row>,
    ) -> Vec<(Row, Option<BoostLevel>)> {
        let scores: Vec<_> = base.iter().map(|row| self.catalogue.score(*row)).collect();
        let n_higher = |row: Row| {
            let own = self.catalogue.score(row);
            scores.partition_point(|score| own < *score)
        };
        let first_of_block = |place: usize| n_higher(base[place]);
        let (attributes, relevance) = query.attribute_keys();
        let mask = if relevance { mask } else { SlotMask::EMPTY };
        let mut keyed = Vec::new();
        let places = base.iter().enumerate();
        for (place, row) in places.filter(|(_, row)| matching.contains(row)) {
            let level = self.level(*row, mask);
            let h = n_higher(*row);
            let relevance = match level {
                Some(BoostLevel::High) => (0, place, 0, place),
                Some(BoostLevel::Medium) => (1, first_of_block(h / 100), 0, place),
                Some(BoostLevel::Low) => (1, first_of_block(h / 10), 1, place),
                None => (1, place, 2, place),
                Some(BoostLevel::Demoted) => (2, place, 0, place),
            };
            let class = query.classes.as_ref().map_or(0, |classes| {
                classes
                    .iter()
                    .position(|class| class.contains(*row))
                    .unwrap()
            });
            let values = self.sort_values(attributes, *row);
            keyed.push((values, class, relevance, *row, level));
        }
        keyed.sort_by(|a, b| compare(attributes, &a.0, &b.0).then((a.1, a.2).cmp(&(b.1, b.2))));
        keyed
            .into_iter()
            .map(|(.., row, level)| (row, level))
            .collect()
    }

    fn sort_values(&self, keys: &[SortKey], row: Row) -> Vec<Option<Value>> {
        let facts = self.catalogue.facts(row);
        let value = |key: &SortKey| match key {
            SortKey::By { attr, .. } => facts.values(attr).next().map(ValueRef::to_value),
            SortKey::Relevance => None,
        };
        keys.iter().map(value).collect()
    }

    fn facet(&self, query: &Query, facet: &FacetQuery) -> Vec<(Value, u32)> {
        let mut holders: BTreeMap<Value, BTreeSet<(u32, u32)>> = BTreeMap::new();
        for row in self.catalogue.live().iter() {
            if query.category != Some(None) && self.matches(query, row, Some(&facet.attr)) {
                for value in self.catalogue.facts(row).values(&facet.attr) {
                    let owner = self.owner(row, query.group_by);
                    holders.entry(value.to_value()).or_default().insert(owner);
                }
            }
        }
        let mut counts: Vec<(Value, u32)> = holders
            .into_iter()
            .map(|(value, owners)| (value, u32::try_from(owners.len()).unwrap()))
            .collect();
        counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        counts.truncate(facet.limit as usize);
        counts
    }

    /// Compares one page with what was expected.
    #[track_caller]
    pub(super) fn check_page(&self, query: &Query, mask: SlotMask, expected: &Expected) -> Page {
        let found = page(&self.view, query, mask);
        let (from, n) = (query.offset as usize, query.limit as usize);
        let wanted: Vec<_> = expected.rows.iter().copied().skip(from).take(n).collect();
        assert_eq!(shown(&found), wanted, "page of {query:?} under {mask:?}");
        assert_eq!(
            found.total as usize,
            expected.rows.len(),
            "total of {query:?}"
        );
        let facets: Vec<_> = found
            .facets
            .iter()
            .map(|facet| facet.counts.clone())
            .collect();
        assert_eq!(facets, expected.facets, "facets of {query:?}");
        found
    }

    /// Compares a page, and all pages by cursor behind it, with the definition.
    #[track_caller]
    pub(super) fn check(&self, query: &Query, mask: SlotMask) {
        let expected = self.expected(query, mask);
        let found = self.check_page(query, mask, &expected);
        let (from, n) = (query.offset as usize, query.limit as usize);
        if n == 0 {
            return;
        }
        let mut all = shown(&found);
        let mut next = found.next;
        while let Some(position) = next {
            let mut bytes = Vec::new();
            position.write(&mut bytes);
            let from = crate::ranking::cursor::Position::read(&bytes);
            let more = page(
                &self.view,
                &Query {
                    from,
                    ..query.clone()
                },
                mask,
            );
            assert!(
                !more.items.is_empty(),
                "a promised page is empty: {query:?}"
            );
            all.extend(shown(&more));
            next = more.next;
        }
        let rest: Vec<_> = expected.rows.into_iter().skip(from).collect();
        assert_eq!(all, rest, "pages by cursor of {query:?} under {mask:?}");
    }
}

/// Order of two variants by the attribute keys; missing values stand last either way.
fn compare(keys: &[SortKey], own: &[Option<Value>], other: &[Option<Value>]) -> std::cmp::Ordering {
    use std::cmp::Ordering::{Equal, Greater, Less};
    for ((key, a), b) in keys.iter().zip(own).zip(other) {
        let descending = matches!(
            key,
            SortKey::By {
                descending: true,
                ..
            }
        );
        let order = match (a, b) {
            (None, None) => Equal,
            (None, Some(_)) => Greater,
            (Some(_), None) => Less,
            (Some(a), Some(b)) if descending => b.cmp(a),
            (Some(a), Some(b)) => a.cmp(b),
        };
        if order != Equal {
            return order;
        }
    }
    Equal
}

fn shown(page: &Page) -> Vec<(Row, Option<BoostLevel>)> {
    page.items
        .iter()
        .map(|item| (item.row, item.level))
        .collect()
}

pub(super) fn market() -> Market {
    Market {
        id: MarketId::parse("se").unwrap(),
        name: "Sweden".to_owned(),
        locale: Locale {
            currency: Currency::parse("SEK").unwrap(),
            zone: Zone::parse("Europe/Stockholm").unwrap(),
        },
        country: None,
        locales: Vec::new(),
        price_basis: PriceBasis::TaxInclusive,
        search_attributes: Vec::new(),
        cross_market_attribute: None,
        display_source: DisplaySource::Answer,
        share_shown: Percent::from_basis_points(8_000).unwrap(),
        handpick_import_max: 700,
        harm_guard: HarmGuard {
            vanished_percent_max: Percent::from_basis_points(2_000).unwrap(),
            sold_out_percent_max: Percent::from_basis_points(5_000).unwrap(),
        },
    }
}

fn today() -> Today {
    let noon = Timestamp::parse("2026-05-20T12:00:00Z").unwrap();
    Today::at(noon, &Zone::parse("Europe/Stockholm").unwrap())
}

pub(super) fn query() -> Query {
    Query {
        category: None,
        filter: Vec::new(),
        classes: None,
        primary: Vec::new(),
        sort: Vec::new(),
        group_by: GroupBy::Variant,
        limit: 24,
        offset: 0,
        from: None,
        facets: Vec::new(),
        today: today(),
    }
}

pub(super) fn variant(key: &str, score: Option<i32>) -> VariantRecord {
    VariantRecord {
        key: VariantKey::parse(key).unwrap(),
        list_price: None,
        sale_price: None,
        cost: None,
        stock: None,
        score: score.map(Score::from_integer),
        weight_g: None,
        attributes: Vec::new(),
    }
}

pub(super) fn product(key: &str, variants: Vec<VariantRecord>) -> Arc<ProductRecord> {
    Arc::new(ProductRecord {
        key: ProductKey::parse(key).unwrap(),
        group: None,
        seller: None,
        categories: Vec::new(),
        score: None,
        attributes: Vec::new(),
        variants,
    })
}

pub(super) fn attribute(name: &str, texts: &[&str]) -> AttributeTexts {
    AttributeTexts {
        attr: Attr::parse(name).unwrap(),
        texts: texts.iter().map(|text| (*text).into()).collect(),
    }
}

/// How a random shop is drawn.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draw {
    pub(super) n_products: usize,
    pub(super) siblings_max: usize,
    /// Distinct scores; few of them make many ties.
    pub(super) n_scores: i32,
    pub(super) n_promotions: usize,
}

pub(super) fn random_scene(random: &mut ChaCha8Rng, draw: Draw) -> Scene {
    let nodes: Vec<CategoryId> = (0..12)
        .map(|n| CategoryId::parse(&format!("c{n:02}")).unwrap())
        .collect();
    let categories: Vec<CategoryRecord> = nodes
        .iter()
        .enumerate()
        .map(|(place, id)| {
            let above = (0..place)
                .filter(|_| random.random_ratio(3, 2 * u32::try_from(place + 1).unwrap()));
            let parents = above.map(|parent| nodes[parent].clone()).collect();
            CategoryRecord {
                id: id.clone(),
                name: Some(format!("Node {place}")),
                parents,
            }
        })
        .collect();
    let products = (0..draw.n_products)
        .map(|n| {
            let mut record = ProductRecord::clone(&product(&format!("p{n:05}"), Vec::new()));
            if random.random_bool(0.2) {
                let group = format!("g{}", random.random_range(0..=draw.n_products / 4));
                record.group = Some(GroupKey::parse(&group).unwrap());
            }
            let n_categories = random.random_range(0..3);
            record.categories = nodes.sample(random, n_categories).cloned().collect();
            record.score = random
                .random_bool(0.5)
                .then(|| Score::from_integer(random.random_range(0..draw.n_scores)));
            record.attributes = vec![attribute(
                "brand",
                &[["Nord", "Vela", "Fjord", "Haglund"].choose(random).unwrap()],
            )];
            record.variants = (0..random.random_range(1..=draw.siblings_max))
                .map(|v| random_variant(random, &format!("p{n:05}-{v}"), draw))
                .collect();
            Arc::new(record)
        })
        .collect();
    let (catalogue, _) = Catalogue::build(market(), BTreeMap::new(), products, categories);
    let promotions = (0..draw.n_promotions)
        .map(|_| {
            let level = *BoostLevel::BY_PRECEDENCE.choose(random).unwrap();
            let share = *[0.02, 0.05, 0.1, 0.5, 0.9].choose(random).unwrap();
            let rows = catalogue
                .live()
                .iter()
                .filter(|_| random.random_bool(share));
            (level, rows.collect())
        })
        .collect();
    Scene::new(catalogue, promotions)
}

fn random_variant(random: &mut ChaCha8Rng, key: &str, draw: Draw) -> VariantRecord {
    let score = random
        .random_bool(0.7)
        .then(|| random.random_range(0..draw.n_scores));
    let mut record = variant(key, score);
    record.list_price = random
        .random_bool(0.9)
        .then(|| Minor(random.random_range(1..40) * 500));
    record.stock = random.random_bool(0.8).then(|| random.random_range(-1..4));
    let colours = ["red", "blue", "green"];
    let n_colours = random.random_range(0..3);
    let own: Vec<&str> = colours.sample(random, n_colours).copied().collect();
    if !own.is_empty() {
        record.attributes.push(attribute("color", &own));
    }
    if random.random_bool(0.6) {
        let size = random.random_range(36..46).to_string();
        record.attributes.push(attribute("size", &[&size]));
    }
    record
}

fn random_rule(random: &mut ChaCha8Rng, catalogue: &Catalogue) -> Rule {
    let attrs = [
        "brand", "color", "size", "price", "in_stock", "category", "stock",
    ];
    let known: Vec<&str> = attrs
        .into_iter()
        .filter(|attr| catalogue.column(attr).is_some())
        .collect();
    let attr = *known.choose(random).unwrap();
    let column = catalogue.column(attr).unwrap();
    let some = |random: &mut ChaCha8Rng| column.values().choose(random).cloned();
    let matcher = match random.random_range(0..4) {
        0 => Matcher::Exists(random.random_bool(0.7)),
        1 if attr == "price" || attr == "size" || attr == "stock" => {
            let (a, b) = (some(random), some(random));
            if b < a {
                Matcher::Range { min: b, max: a }
            } else {
                Matcher::Range { min: a, max: b }
            }
        }
        _ => {
            let n = random.random_range(1..3);
            Matcher::In(ValueSet::new((0..n).filter_map(|_| some(random)).collect()))
        }
    };
    let op = if random.random_bool(0.8) {
        Op::Include
    } else {
        Op::Exclude
    };
    Rule {
        op,
        attr: Attr::parse(attr).unwrap(),
        matcher,
    }
}

pub(super) fn random_query(random: &mut ChaCha8Rng, scene: &Scene) -> Query {
    let catalogue = &*scene.catalogue;
    let rows: Vec<Row> = catalogue.live().iter().collect();
    let n_rules = *[0, 0, 1, 1, 2, 3].choose(random).unwrap();
    let sorts = [
        vec![],
        vec![],
        vec![],
        vec![by("in_stock", true), SortKey::Relevance],
        vec![by("price", false)],
        vec![by("size", true), by("price", false), SortKey::Relevance],
        vec![by("price", true), SortKey::Relevance],
    ];
    let sort = sorts.choose(random).unwrap().clone();
    let known = |key: &SortKey| match key {
        SortKey::By { attr, .. } => catalogue
            .column(attr.as_str())
            .is_some_and(|column| !column.multi()),
        SortKey::Relevance => true,
    };
    let nodes: Vec<_> = catalogue.graph().nodes().collect();
    let facets = ["brand", "color", "price", "category"]
        .into_iter()
        .filter(|attr| catalogue.column(attr).is_some() && random.random_bool(0.15));
    let facets = facets.map(|attr| FacetQuery {
        attr: Attr::parse(attr).unwrap(),
        limit: 5,
    });
    let facets = facets.collect();
    Query {
        category: random
            .random_bool(0.5)
            .then(|| nodes.choose(random).copied()),
        filter: (0..n_rules)
            .map(|_| random_rule(random, catalogue))
            .collect(),
        classes: random
            .random_bool(0.15)
            .then(|| random_classes(random, &rows)),
        primary: random_primary(random, &rows, catalogue),
        sort: sort.into_iter().filter(known).collect(),
        group_by: *[
            GroupBy::Variant,
            GroupBy::Product,
            GroupBy::Product,
            GroupBy::ProductGroup,
        ]
        .choose(random)
        .unwrap(),
        limit: *[0, 1, 3, 24, 60].choose(random).unwrap(),
        offset: *[0, 0, 0, 2, 17].choose(random).unwrap(),
        from: None,
        facets,
        today: today(),
    }
}

fn by(attr: &str, descending: bool) -> SortKey {
    SortKey::By {
        attr: Attr::parse(attr).unwrap(),
        descending,
    }
}

fn random_classes(random: &mut ChaCha8Rng, rows: &[Row]) -> Vec<RowSet> {
    let mut left: Vec<Row> = rows.to_vec();
    left.shuffle(random);
    let n_classes = random.random_range(1..4);
    (0..n_classes)
        .map(|_| {
            let n = random.random_range(0..=left.len() / 2);
            left.drain(..n).collect()
        })
        .collect()
}

fn random_primary(random: &mut ChaCha8Rng, rows: &[Row], catalogue: &Catalogue) -> Vec<Vec<Row>> {
    if random.random_bool(0.85) {
        return Vec::new();
    }
    (0..random.random_range(1..5))
        .map(|_| {
            let row = *rows.choose(random).unwrap();
            if random.random_bool(0.5) {
                vec![row]
            } else {
                catalogue
                    .rows_of_product(catalogue.product_of(row))
                    .to_vec()
            }
        })
        .collect()
}

pub(super) fn random_mask(random: &mut ChaCha8Rng) -> SlotMask {
    match random.random_range(0..3) {
        0 => SlotMask::ALL,
        1 => SlotMask(random.random()),
        _ => SlotMask(random.random::<u128>() & random.random::<u128>()),
    }
}

pub(super) fn seeded(seed: u64) -> ChaCha8Rng {
    ChaCha8Rng::seed_from_u64(seed)
}
