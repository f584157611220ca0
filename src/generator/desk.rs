//! Promotions and demotions for a generated shop, as a merchandiser would send them.
//!
//! Rules are written from what the generator knows: how often each brand, colour and category is
//! drawn. So a promotion covers about what it is meant to cover, without a catalogue at hand.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::catalogue::attribute::{PRICE, STOCK};
use crate::domain::category::CategoryId;
use crate::domain::money::Minor;
use crate::domain::time::{GivenTime, Period};
use crate::generator::chance::{Stream, Subject, Weighted};
use crate::generator::shop::{Shop, price};
use crate::generator::tree::Tree;
use crate::generator::words::{COLOURS, brand};
use crate::predicate::rule::{Attr, Op};
use crate::predicate::written::{WrittenMatcher, WrittenRule};
use crate::promotion::draft::PromotionDraft;
use crate::promotion::epoch::MeasurementDraft;
use crate::selection::definition::SelectionDraft;

/// One promotion in so many is broad.
const BROAD_EVERY: usize = 20;

/// Share of the market, in millionths, that a broad promotion covers.
const BROAD_SHARE: u64 = 200_000;

/// Least number of products that the others cover; the most is a hundred times as many.
const NARROW_PRODUCTS: u64 = 50;

/// Greatest share of the market, in millionths, that the others are meant to cover.
const NARROW_SHARE_MAX: u64 = 50_000;

/// Most values of an `in` that are written here.
const VALUES_MAX: usize = 60;

/// Most draws for covering a share; one that is nearly as small as the smallest place needs many.
const DRAWS_MAX: usize = 1_000;

/// Days within which a release is new, and the share of releases, in millionths, that are.
const NEW_DAYS: i32 = 30;
const NEW_SHARE: u64 = 128_000;

/// A price range, in kronor, and the share of the goods, in millionths, that lie in it.
const PRICES: (u64, u64) = (250, 900);
const PRICES_SHARE: u64 = 500_000;

/// Which promotions to make.
#[derive(Clone, Debug)]
pub struct Desk {
    /// How many.
    pub n_promotions: usize,
    /// Keys of the markets they are for.
    pub markets: Vec<String>,
    /// When they run.
    pub period: Period,
}

/// As many promotions as wished, one in five a demotion, half of them measured, three in ten
/// restricted to one to three categories of the second storey.
///
/// One in twenty covers a fifth of the market (of 100: one medium, three low, one demotion), the
/// rest 50 to 5,000 products, at most a twentieth of the market, by brand, category, colour, price,
/// stock, age or by hand. The same shop and wish give the same drafts.
pub fn desk(shop: &Shop, wish: &Desk) -> Vec<PromotionDraft> {
    let mut drafting = Drafting::new(shop);
    (0..wish.n_promotions)
        .map(|number| drafting.draft(number, wish))
        .collect()
}

/// What selections are drawn from.
struct Drafting<'s> {
    shop: &'s Shop,
    tree: Tree,
    kinds: Vec<(CategoryId, u64)>,
    brands: Weighted,
    colours: Weighted,
    /// So many exist for certain.
    n_products: u64,
    selections: Stream,
    restrictions: Stream,
}

impl<'s> Drafting<'s> {
    fn new(shop: &'s Shop) -> Self {
        let tree = Tree::new(shop.n_variants, shop.seed);
        Self {
            kinds: tree.kinds(),
            brands: Weighted::zipf(shop.n_brands()),
            colours: Weighted::zipf(COLOURS.len()),
            // Four variants a product, give or take.
            n_products: (shop.n_variants / 5).max(1),
            selections: Stream::new(shop.seed, Subject::Selections),
            restrictions: Stream::new(shop.seed, Subject::Restrictions),
            shop,
            tree,
        }
    }

    fn draft(&mut self, number: usize, wish: &Desk) -> PromotionDraft {
        let block = number / BROAD_EVERY % 5;
        let is_broad = number % BROAD_EVERY == if block == 4 { 9 } else { 7 };
        let is_demotion = number % 5 == 4;
        let level = match (is_broad, block) {
            (true, 0) => "medium",
            (true, _) => "low",
            (false, _) => ["high", "medium", "low"][(number - number / 5) % 3],
        };
        let (subject, selection) = match is_broad {
            true => ("Broad push", self.broad(number)),
            false => self.narrow(number),
        };
        let subject = if is_demotion { "Hold back" } else { subject };
        PromotionDraft {
            kind: Some(if is_demotion { "demotion" } else { "promotion" }.to_owned()),
            level: (!is_demotion).then(|| level.to_owned()),
            selection,
            include: self.restriction(number),
            measurement: number.is_multiple_of(2).then(measured),
            ..draft(&format!("{subject} {}", number + 1), wish)
        }
    }

    /// A fifth of the market, by brands or by categories.
    fn broad(&mut self, number: usize) -> SelectionDraft {
        let rule = match number % 3 {
            0 => self.brands_covering(BROAD_SHARE),
            _ => self.kinds_covering(BROAD_SHARE),
        };
        ruled(vec![vec![rule]])
    }

    /// Some products, and what they have in common.
    fn narrow(&mut self, number: usize) -> (&'static str, SelectionDraft) {
        let n_products = self.selections.log_uniform(NARROW_PRODUCTS);
        let share = (n_products * 1_000_000 / self.n_products).clamp(1, NARROW_SHARE_MAX);
        let n_products = self.n_products * share / 1_000_000;
        match number % 6 {
            0 => (
                "Brand focus",
                ruled(vec![vec![self.brands_covering(share)]]),
            ),
            1 => (
                "Category push",
                ruled(vec![vec![self.leaves_covering(share)]]),
            ),
            2 => ("Fairly priced", self.priced(share)),
            3 => ("Handpicked", self.handpicked(n_products.max(1))),
            4 => ("Colour story", self.coloured(share)),
            _ => ("New arrivals", self.new_arrivals(share)),
        }
    }

    fn brands_covering(&mut self, share: u64) -> Rule {
        let chosen = cover(&mut self.selections, &self.brands, share);
        one_of("brand", chosen.into_iter().map(|place| brand(place).into()))
    }

    fn leaves_covering(&mut self, share: u64) -> Rule {
        let chosen = cover(&mut self.selections, &self.tree.popularity, share);
        let leaves = chosen
            .into_iter()
            .map(|place| self.tree.leaves[place].id.shared());
        one_of(Attr::CATEGORY, leaves)
    }

    fn kinds_covering(&mut self, share: u64) -> Rule {
        let order = self.selections.shuffled(self.kinds.len());
        let shares = order.iter().map(|place| (*place, self.kinds[*place].1));
        let chosen = greedy(shares, share);
        one_of(
            Attr::CATEGORY,
            chosen.into_iter().map(|place| self.kinds[place].0.shared()),
        )
    }

    /// Some brands, where they are neither cheap nor dear, and in stock.
    fn priced(&mut self, share: u64) -> SelectionDraft {
        let wider = (share * 1_000_000 / PRICES_SHARE).min(1_000_000);
        let amount = |kronor| {
            let minor = i64::try_from(price(kronor, self.shop.currency)).expect("a small price");
            Some(Arc::from(self.shop.currency.format(Minor(minor))))
        };
        let (min, max) = (amount(PRICES.0), amount(PRICES.1));
        let range = rule(Op::Include, PRICE, WrittenMatcher::Range { min, max });
        ruled(vec![vec![
            self.brands_covering(wider),
            range,
            not_sold_out(),
        ]])
    }

    /// Some colours of some categories.
    fn coloured(&mut self, share: u64) -> SelectionDraft {
        let n_colours = 1 + self.selections.place(3);
        let drawn = (0..n_colours).map(|_| self.colours.draw(&mut self.selections));
        let chosen: BTreeSet<usize> = drawn.collect();
        let of_colours = self.colours.share(chosen.iter().copied()).max(1);
        let wider = (share * 1_000_000 / of_colours).min(BROAD_SHARE);
        let colours = one_of("color", chosen.iter().map(|place| COLOURS[*place].into()));
        ruled(vec![vec![self.leaves_covering(wider), colours]])
    }

    /// What came within a month, of some brands.
    fn new_arrivals(&mut self, share: u64) -> SelectionDraft {
        let wider = (share * 1_000_000 / NEW_SHARE).min(1_000_000);
        ruled(vec![vec![
            self.brands_covering(wider),
            age(None, Some(NEW_DAYS)),
        ]])
    }

    /// Products at equal distances from some place on.
    fn handpicked(&mut self, n_products: u64) -> SelectionDraft {
        let first = self.selections.below(self.n_products);
        let step = (self.n_products / n_products).max(1);
        let numbers = (0..n_products).map(|place| (first + place * step) % self.n_products);
        SelectionDraft {
            handpicked: numbers
                .map(|number| self.shop.product_key(number))
                .collect(),
            ..SelectionDraft::default()
        }
    }

    fn restriction(&mut self, number: usize) -> Vec<String> {
        let n_marks = 1 + self.restrictions.place(3);
        let order = self.restrictions.shuffled(self.kinds.len());
        let marks = order
            .iter()
            .take(n_marks)
            .map(|place| self.kinds[*place].0.to_string());
        if [1, 4, 8].contains(&(number % 10)) {
            marks.collect()
        } else {
            Vec::new()
        }
    }
}

/// Six running promotions and a demotion with names that people give, which visibly change the
/// category pages of a small shop.
pub fn named(shop: &Shop, markets: &[String], period: Period) -> Vec<PromotionDraft> {
    let wish = Desk {
        n_promotions: 0,
        markets: markets.to_vec(),
        period,
    };
    let promotion = |name: &str, level: &str, rules| PromotionDraft {
        kind: Some("promotion".to_owned()),
        level: Some(level.to_owned()),
        selection: ruled(vec![rules]),
        ..draft(name, &wish)
    };
    let warm = vec![
        categories(&["outerwear/coats", "outerwear/parkas"]),
        not_sold_out(),
    ];
    let slow = vec![
        categories(&["shoes/sandals"]),
        age(Some(180), None),
        at_least(STOCK, "3"),
    ];
    let just_in = vec![age(None, Some(60)), not_sold_out()];
    let sweaters = vec![categories(&["tops/sweaters"]), at_least("rating", "3.8")];
    let cheap = i64::try_from(price(250, shop.currency)).expect("a small price");
    let gifts = vec![
        categories(&["home"]),
        at_most(PRICE, &shop.currency.format(Minor(cheap))),
    ];
    let all_year = one_of("season", ["all year".into()]);
    let last = vec![
        vec![at_most(STOCK, "0")],
        vec![at_most("rating", "3.1"), all_year],
    ];
    let brand_rule = one_of("brand", [brand(0).into()]);
    vec![
        PromotionDraft {
            measurement: Some(measured()),
            note: Some("Cold front from Friday: coats and parkas first.".to_owned()),
            ..promotion("Warm week", "high", warm)
        },
        promotion("Clear the slow sandals", "medium", slow),
        PromotionDraft {
            measurement: Some(measured()),
            ..promotion("Just in", "medium", just_in)
        },
        promotion(&format!("{} fortnight", brand(0)), "low", vec![brand_rule]),
        PromotionDraft {
            include: vec![format!("{}:tops", CategoryId::DEFAULT_TREE)],
            ..promotion("Sweater weather", "medium", sweaters)
        },
        promotion("Small gifts for the home", "low", gifts),
        PromotionDraft {
            kind: Some("demotion".to_owned()),
            selection: ruled(last),
            ..draft("Sold out or poorly rated", &wish)
        },
    ]
}

/// A draft with a name, markets and period.
fn draft(name: &str, wish: &Desk) -> PromotionDraft {
    let text = |instant| Some(GivenTime::from_instant(instant).text().to_owned());
    PromotionDraft {
        name: Some(name.to_owned()),
        markets: Some(wish.markets.clone()),
        start: text(wish.period.start()),
        end: text(wish.period.end()),
        ..PromotionDraft::default()
    }
}

fn measured() -> MeasurementDraft {
    MeasurementDraft {
        measured: Some(true),
        ..MeasurementDraft::default()
    }
}

/// A rule as written.
type Rule = WrittenRule;

fn rule(op: Op, attr: &str, matcher: WrittenMatcher) -> Rule {
    Rule {
        op,
        attr: Attr::parse(attr).expect("a short word"),
        matcher,
    }
}

fn one_of(attr: &str, values: impl IntoIterator<Item = Arc<str>>) -> Rule {
    rule(
        Op::Include,
        attr,
        WrittenMatcher::In(values.into_iter().collect()),
    )
}

fn not_sold_out() -> Rule {
    Rule {
        op: Op::Exclude,
        ..at_most(STOCK, "0")
    }
}

fn at_most(attr: &str, max: &str) -> Rule {
    rule(
        Op::Include,
        attr,
        WrittenMatcher::Range {
            min: None,
            max: Some(max.into()),
        },
    )
}

fn at_least(attr: &str, min: &str) -> Rule {
    rule(
        Op::Include,
        attr,
        WrittenMatcher::Range {
            min: Some(min.into()),
            max: None,
        },
    )
}

fn age(min: Option<i32>, max: Option<i32>) -> Rule {
    rule(
        Op::Include,
        "released",
        WrittenMatcher::AgeDays { min, max },
    )
}

/// In one of these categories of the default tree.
fn categories(paths: &[&str]) -> Rule {
    let ids = paths
        .iter()
        .map(|path| format!("{}:{path}", CategoryId::DEFAULT_TREE).into());
    one_of(Attr::CATEGORY, ids)
}

fn ruled(rule_sets: Vec<Vec<Rule>>) -> SelectionDraft {
    let rule_sets = rule_sets
        .into_iter()
        .map(|rules| rules.into_iter().map(Ok).collect());
    SelectionDraft {
        rule_sets: rule_sets.collect(),
        ..SelectionDraft::default()
    }
}

/// Places whose shares add up to about `share` millionths, the popular ones first among equals.
fn cover(stream: &mut Stream, weighted: &Weighted, share: u64) -> Vec<usize> {
    let mut drawn = BTreeSet::new();
    let places = (0..DRAWS_MAX)
        .map(|_| weighted.draw(stream))
        .filter(|place| drawn.insert(*place));
    greedy(places.map(|place| (place, weighted.share([place]))), share)
}

/// Takes what still fits, until nine tenths are reached; the smallest if nothing fits.
fn greedy(shares: impl Iterator<Item = (usize, u64)>, wanted: u64) -> Vec<usize> {
    let mut chosen = Vec::new();
    let mut have = 0;
    let mut smallest = None;
    for (place, share) in shares {
        let is_smaller = smallest.is_none_or(|(_, least)| share < least);
        smallest = if is_smaller {
            Some((place, share))
        } else {
            smallest
        };
        if have + share <= wanted * 11 / 10 && chosen.len() < VALUES_MAX {
            chosen.push(place);
            have += share;
        }
        if wanted * 9 / 10 <= have {
            break;
        }
    }
    if chosen.is_empty() {
        chosen.extend(smallest.map(|(place, _)| place));
    }
    chosen
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;
    use crate::catalogue::Catalogue;
    use crate::catalogue::attribute::Declared;
    use crate::catalogue::category::Node;
    use crate::catalogue::market::{Market, MarketDraft};
    use crate::catalogue::product::FeedOperation;
    use crate::catalogue::row::Row;
    use crate::domain::boost::BoostLevel;
    use crate::domain::id::PromotionId;
    use crate::domain::time::{DAY_MS, Timestamp, Today, Zone};
    use crate::generator::shop::shop;
    use crate::promotion::draft::Made;
    use crate::promotion::restriction::node_masks;
    use crate::promotion::slot::{SlotMask, SlotTable};
    use crate::promotion::terms::Promotion;
    use crate::ranking::base::RankBase;
    use crate::ranking::build::MarketView;
    use crate::ranking::page::page;
    use crate::ranking::query::{GroupBy, Query};
    use crate::selection::evaluate::evaluate;

    static LARGE: LazyLock<(Shop, Catalogue)> = LazyLock::new(|| stocked(Shop::new(20_000, 7)));

    fn stocked(own: Shop) -> (Shop, Catalogue) {
        let text = |text: &str| Some(text.to_owned());
        let market = MarketDraft {
            market: text("se"),
            name: text("Sweden"),
            currency: text("SEK"),
            time_zone: text("Europe/Stockholm"),
            ..MarketDraft::default()
        };
        let (mut products, mut categories) = (Vec::new(), Vec::new());
        for operation in shop(&own) {
            match operation {
                FeedOperation::ReplaceProduct(product) => products.push(Arc::new(product)),
                FeedOperation::ReplaceCategory(category) => categories.push(category),
                other => unreachable!("{other:?}"),
            }
        }
        let market = Market::read(&market).unwrap();
        let (catalogue, warnings) = Catalogue::build(market, Declared::new(), products, categories);
        assert!(warnings.is_empty(), "{warnings:?}");
        (own, catalogue)
    }

    fn period(shop: &Shop) -> Period {
        let now = shop
            .today
            .midnight_in(&Zone::parse("Europe/Stockholm").unwrap());
        Period::new(now.plus_ms(-DAY_MS), now.plus_ms(30 * DAY_MS)).unwrap()
    }

    /// The promotions of drafts, each with the share of the variants it holds in thousandths.
    fn made(
        drafts: Vec<PromotionDraft>,
        catalogue: &Catalogue,
        now: Timestamp,
    ) -> Vec<(Promotion, u64)> {
        let today = Today::at(now, &catalogue.locale().zone);
        let n_rows = u64::from(catalogue.n_rows());
        let made = (0_u8..).zip(drafts).map(|(number, draft)| {
            let made = Made {
                id: PromotionId([number; 16]),
                by: "system".to_owned(),
                at: now,
                salt: u64::from(number),
            };
            let promotion = Promotion::create(draft, made, &|_| Some(catalogue)).unwrap();
            let held = u64::from(evaluate(&promotion.selection, catalogue, &today).len());
            (promotion, held * 1_000 / n_rows)
        });
        made.collect()
    }

    fn hundred() -> Vec<(Promotion, u64)> {
        let (shop, catalogue) = &*LARGE;
        let period = period(shop);
        let wish = Desk {
            n_promotions: 100,
            markets: vec!["se".to_owned()],
            period,
        };
        made(desk(shop, &wish), catalogue, period.start().plus_ms(DAY_MS))
    }

    #[test]
    fn a_hundred_promotions_are_mixed_as_the_bench_market_wants_them() {
        let hundred = hundred();
        let levels = |level| hundred.iter().filter(|(own, _)| own.level == level).count();
        assert_eq!(levels(BoostLevel::Demoted), 20);
        for level in [BoostLevel::High, BoostLevel::Medium, BoostLevel::Low] {
            assert!(
                (23..=31).contains(&levels(level)),
                "{level:?}: {}",
                levels(level)
            );
        }
        let measured = hundred.iter().filter(|(own, _)| own.open_epoch().is_some());
        assert_eq!(measured.count(), 50);
        let marks = hundred.iter().map(|(own, _)| own.restriction.include.len());
        let marks: Vec<_> = marks.filter(|n_marks| 0 < *n_marks).collect();
        assert_eq!(marks.len(), 30);
        assert!(marks.iter().all(|n_marks| *n_marks <= 3));
        let names: BTreeSet<_> = hundred.iter().map(|(own, _)| &own.name).collect();
        assert_eq!(names.len(), 100);
        let n_handpicked = hundred
            .iter()
            .filter(|(own, _)| !own.selection.handpicked().is_empty());
        assert!((10..=20).contains(&n_handpicked.count()));
    }

    #[test]
    fn five_of_a_hundred_are_broad_and_none_is_empty() {
        let hundred = hundred();
        let broad = hundred.iter().filter(|(_, share)| 120 < *share);
        let mut broad: Vec<_> = broad.map(|(own, share)| (own.level, *share)).collect();
        broad.sort_unstable();
        assert!(broad.iter().all(|(_, share)| *share < 300), "{broad:?}");
        let levels: Vec<_> = broad.iter().map(|(level, _)| *level).collect();
        use BoostLevel::{Demoted, Low, Medium};
        assert_eq!(levels, [Low, Low, Low, Medium, Demoted], "{broad:?}");
        let memberships: u64 = hundred.iter().map(|(_, share)| share).sum();
        assert!(
            (3_500..5_500).contains(&memberships),
            "{memberships} for 1,000 variants"
        );
        for (own, _) in &hundred {
            let today = Today::at(period(&LARGE.0).start(), &LARGE.1.locale().zone);
            assert!(
                !evaluate(&own.selection, &LARGE.1, &today).is_empty(),
                "{}",
                own.name
            );
        }
    }

    #[test]
    fn the_same_wish_gives_the_same_drafts() {
        let (shop, _) = &*LARGE;
        let period = period(shop);
        let wish = |n_promotions| Desk {
            n_promotions,
            markets: vec!["se".to_owned()],
            period,
        };
        let (fewer, more) = (desk(shop, &wish(10)), desk(shop, &wish(30)));
        for (left, right) in fewer.iter().zip(&more) {
            assert_eq!(format!("{left:?}"), format!("{right:?}"));
        }
    }

    /// A page of products of a category under a mask.
    fn page_of(view: &MarketView, node: Node, today: &Today, mask: SlotMask) -> Vec<Row> {
        let query = Query {
            category: Some(Some(node)),
            filter: Vec::new(),
            classes: None,
            primary: Vec::new(),
            sort: Vec::new(),
            group_by: GroupBy::Product,
            limit: 12,
            offset: 0,
            from: None,
            facets: Vec::new(),
            today: today.clone(),
        };
        page(view, &query, mask)
            .items
            .iter()
            .map(|item| item.row)
            .collect()
    }

    #[test]
    fn each_named_one_changes_a_category_page_of_the_demo_shop() {
        let (shop, catalogue) = stocked(Shop::demo());
        let catalogue = Arc::new(catalogue);
        let period = period(&shop);
        let now = period.start().plus_ms(DAY_MS);
        let today = Today::at(now, &catalogue.locale().zone);
        let made = made(named(&shop, &["se".to_owned()], period), &catalogue, now);
        let levels: Vec<_> = made.iter().map(|(own, _)| (own.id, own.level)).collect();
        let n_demotions = levels
            .iter()
            .filter(|(_, level)| *level == BoostLevel::Demoted)
            .count();
        assert_eq!((levels.len(), n_demotions), (7, 1));
        let table = SlotTable::new(levels);
        let by_slot: Vec<&Promotion> = table
            .iter()
            .map(|(_, id, _)| &made.iter().find(|(own, _)| own.id == id).unwrap().0)
            .collect();
        let slots: Vec<_> = table.iter().map(|(slot, ..)| slot).collect();
        let restrictions: Vec<_> = slots
            .iter()
            .zip(&by_slot)
            .map(|(slot, own)| (*slot, &own.restriction))
            .collect();
        let nodes = node_masks(catalogue.graph(), &restrictions);
        let rows: Vec<_> = by_slot
            .iter()
            .map(|own| evaluate(&own.selection, &catalogue, &today))
            .collect();
        let rows: Vec<_> = rows.iter().collect();
        let base = Arc::new(RankBase::build(&catalogue));
        let view = MarketView::build(&base, table, nodes.clone(), &rows);
        for (slot, own) in slots.iter().zip(by_slot) {
            let is_changed = |node: &Node| {
                let all = nodes.at(Some(*node));
                let others = all & !SlotMask::of(*slot);
                page_of(&view, *node, &today, all) != page_of(&view, *node, &today, others)
            };
            assert!(
                catalogue.graph().nodes().any(|node| is_changed(&node)),
                "{}",
                own.name
            );
        }
    }
}
