//! The goods of a shop: categories, then products with their variants.

use std::sync::Arc;

use crate::catalogue::attribute::TITLE;
use crate::catalogue::product::{AttributeTexts, FeedOperation, ProductRecord, VariantRecord};
use crate::domain::category::CategoryId;
use crate::domain::id::{GroupKey, ProductKey, SellerKey, VariantKey};
use crate::domain::money::{Currency, Minor};
use crate::domain::number::Score;
use crate::domain::time::{DAY_MS, Date, Zone};
use crate::generator::chance::{Stream, Subject, Weighted};
use crate::generator::tree::Tree;
use crate::generator::words::{
    BRANDS_MAX, COLOURS, DEPARTMENTS, Kind, QUALITIES, SEASONS, SELLERS, Sizing, brand,
};
use crate::predicate::rule::Attr;

/// Most variants of a product.
const VARIANTS_MAX: u64 = 7;

/// Of 1,000: variants that are sold out; variants whose stock is unknown.
const SOLD_OUT_PERMILLE: u64 = 100;
const UNKNOWN_STOCK_PERMILLE: u64 = 20;

/// Of 1,000: models in several colours; products on sale; products of other sellers; products
/// without a cost; products without a score; products whose variants share one score; products
/// not released yet; products with two seasons, or in two categories.
const GROUPS_PERMILLE: u64 = 120;
const SALES_PERMILLE: u64 = 150;
const SELLERS_PERMILLE: u64 = 150;
const NO_COST_PERMILLE: u64 = 50;
const NO_SCORE_PERMILLE: u64 = 10;
const ONE_SCORE_PERMILLE: u64 = 300;
const UNRELEASED_PERMILLE: u64 = 10;
const TWO_SEASONS_PERMILLE: u64 = 150;
const TWO_CATEGORIES_PERMILLE: u64 = 80;

/// Scores in tenths: the least, and a bound that one product in 100,000 meets.
const SCORE_TENTHS: (u64, u64) = (100, 10_000_000);

/// Days over which releases lie; half of them in the latest quarter.
const RELEASE_DAYS: u64 = 5 * 365;

/// Which shop to make.
#[derive(Clone, Debug)]
pub struct Shop {
    /// Exactly so many variants; about a quarter as many products.
    pub n_variants: u64,
    /// The same seed makes the same shop.
    pub seed: u64,
    /// Before it most products were released.
    pub today: Date,
    /// Currency of prices; amounts are of a size usual in it.
    pub currency: Currency,
    /// What product and variant keys begin with. The same shop under another prefix and in another
    /// currency is the same goods in another market, told by their `ean`.
    pub prefix: String,
}

impl Shop {
    /// A shop in Swedish kronor on the day that all generated files agree on.
    pub fn new(n_variants: u64, seed: u64) -> Self {
        Self {
            n_variants,
            seed,
            today: Date::parse("2027-03-08").expect("a date"),
            currency: Currency::parse("SEK").expect("a currency"),
            prefix: "P".to_owned(),
        }
    }

    /// The sample shop: `data/demo/shop.ndjson` is its feed.
    pub fn demo() -> Self {
        Self::new(400, 63)
    }

    /// How many brands it has.
    pub(in crate::generator) fn n_brands(&self) -> usize {
        usize::try_from(self.n_variants / 20)
            .unwrap_or(BRANDS_MAX)
            .clamp(12, BRANDS_MAX)
    }

    /// Key of a product, from 0.
    pub(in crate::generator) fn product_key(&self, number: u64) -> String {
        format!("{}{:06}", self.prefix, number + 1)
    }
}

/// What a feed of the whole shop says, line by line: every category, then every product.
///
/// Made as it is asked for: memory is that of the category tree and of one product.
pub fn shop(shop: &Shop) -> impl Iterator<Item = FeedOperation> + use<> {
    let tree = Tree::new(shop.n_variants, shop.seed);
    let categories: Vec<_> = tree
        .nodes
        .iter()
        .cloned()
        .map(FeedOperation::ReplaceCategory)
        .collect();
    let products = Products::new(shop.clone(), tree).map(FeedOperation::ReplaceProduct);
    categories.into_iter().chain(products)
}

/// Names of the attributes that products and variants have.
struct Attrs {
    title: Attr,
    brand: Attr,
    color: Attr,
    size: Attr,
    season: Attr,
    material: Attr,
    released: Attr,
    rating: Attr,
    recycled: Attr,
    ean: Attr,
}

impl Attrs {
    fn new() -> Self {
        let attr = |name| Attr::parse(name).expect("a short word");
        Self {
            title: attr(TITLE),
            brand: attr("brand"),
            color: attr("color"),
            size: attr("size"),
            season: attr("season"),
            material: attr("material"),
            released: attr("released"),
            rating: attr("rating"),
            recycled: attr("recycled"),
            ean: attr("ean"),
        }
    }
}

/// What the products of a group have in common.
struct Model {
    leaf: usize,
    brand: Arc<str>,
    title: Arc<str>,
    material: Arc<str>,
    seasons: Vec<Arc<str>>,
    /// List price in kronor.
    price: u64,
    weight_g: u32,
    group: Option<GroupKey>,
    /// Places in [`COLOURS`] that its products have so far.
    colours: Vec<usize>,
    n_left: u64,
}

/// A stream for every subject.
struct Streams {
    groups: Stream,
    counts: Stream,
    categories: Stream,
    brands: Stream,
    titles: Stream,
    colours: Stream,
    sizes: Stream,
    seasons: Stream,
    prices: Stream,
    sales: Stream,
    stocks: Stream,
    costs: Stream,
    scores: Stream,
    releases: Stream,
    sellers: Stream,
    ratings: Stream,
    recycled: Stream,
    weights: Stream,
}

impl Streams {
    fn new(seed: u64) -> Self {
        let stream = |subject| Stream::new(seed, subject);
        Self {
            groups: stream(Subject::Groups),
            counts: stream(Subject::Counts),
            categories: stream(Subject::Categories),
            brands: stream(Subject::Brands),
            titles: stream(Subject::Titles),
            colours: stream(Subject::Colours),
            sizes: stream(Subject::Sizes),
            seasons: stream(Subject::Seasons),
            prices: stream(Subject::Prices),
            sales: stream(Subject::Sales),
            stocks: stream(Subject::Stocks),
            costs: stream(Subject::Costs),
            scores: stream(Subject::Scores),
            releases: stream(Subject::Releases),
            sellers: stream(Subject::Sellers),
            ratings: stream(Subject::Ratings),
            recycled: stream(Subject::Recycled),
            weights: stream(Subject::Weights),
        }
    }
}

/// Makes products until there are enough variants.
struct Products {
    shop: Shop,
    tree: Tree,
    brands: Weighted,
    colours: Weighted,
    attrs: Attrs,
    zone: Zone,
    draw: Streams,
    n_variants_left: u64,
    n_products: u64,
    n_models: u64,
    model: Option<Model>,
}

/// What a product hands on to its variants.
struct Basis {
    key: String,
    sizes: &'static [&'static str],
    colour: usize,
    list_price: Minor,
    sale_price: Option<Minor>,
    cost: Option<Minor>,
    weight_g: u32,
    score_tenths: Option<u64>,
}

impl Products {
    fn new(shop: Shop, tree: Tree) -> Self {
        Self {
            brands: Weighted::zipf(shop.n_brands()),
            colours: Weighted::zipf(COLOURS.len()),
            attrs: Attrs::new(),
            zone: Zone::parse("UTC").expect("a zone"),
            draw: Streams::new(shop.seed),
            n_variants_left: shop.n_variants,
            n_products: 0,
            n_models: 0,
            model: None,
            shop,
            tree,
        }
    }

    fn kind(&self, leaf: usize) -> (&'static Kind, Sizing, &'static [&'static str]) {
        let leaf = &self.tree.leaves[leaf];
        let department = &DEPARTMENTS[leaf.department];
        (
            &department.kinds[leaf.kind],
            department.sizing,
            department.materials,
        )
    }

    fn next_model(&mut self) -> Model {
        let is_group = self.draw.groups.permille(GROUPS_PERMILLE);
        let n_more = self.draw.groups.below(3) + 1;
        let n_products = if is_group { 1 + n_more } else { 1 };
        self.n_models += 1;
        let leaf = self.tree.popularity.draw(&mut self.draw.categories);
        let (kind, _, materials) = self.kind(leaf);
        let quality = self.draw.titles.among(&QUALITIES);
        let material = self.draw.titles.among(materials);
        let group = format!("{}G{:06}", self.shop.prefix, self.n_models);
        let weight_g = self.draw.weights.spread(kind.weight_g, 300).max(10);
        Model {
            leaf,
            brand: brand(self.brands.draw(&mut self.draw.brands)).into(),
            title: format!("{quality} {material} {}", kind.one).into(),
            material: (*material).into(),
            seasons: seasons(&mut self.draw.seasons),
            price: self.draw.prices.spread(kind.price, 700),
            weight_g: u32::try_from(weight_g).unwrap_or(u32::MAX),
            group: is_group.then(|| GroupKey::parse(&group).expect("letters and digits")),
            colours: Vec::new(),
            n_left: n_products,
        }
    }

    fn product(&mut self, model: &mut Model) -> ProductRecord {
        let number = self.n_products;
        self.n_products += 1;
        let (_, sizing, _) = self.kind(model.leaf);
        let n_variants = (self.draw.counts.below(VARIANTS_MAX) + 1).min(self.n_variants_left);
        self.n_variants_left -= n_variants;
        let basis = self.basis(number, sizing, model);
        let mut attributes = self.attributes(model, number);
        if sizing != Sizing::One {
            attributes.push(own(&self.attrs.color, COLOURS[basis.colour]));
        }
        attributes.sort_by(|left, right| left.attr.cmp(&right.attr));
        let is_own = !self.draw.sellers.permille(SELLERS_PERMILLE);
        let seller = self.draw.sellers.among(&SELLERS);
        let seller = SellerKey::parse(seller).expect("a word");
        let (score, variants) = self.variants(&basis, n_variants);
        ProductRecord {
            key: ProductKey::parse(&basis.key).expect("a prefix and digits"),
            group: model.group.clone(),
            seller: (!is_own).then_some(seller),
            categories: self.categories(model.leaf),
            score,
            attributes,
            variants,
        }
    }

    fn categories(&mut self, leaf: usize) -> Vec<CategoryId> {
        let is_in_two = self.draw.categories.permille(TWO_CATEGORIES_PERMILLE);
        let other = self.tree.popularity.draw(&mut self.draw.categories);
        let mut ids = vec![self.tree.leaves[leaf].id.clone()];
        if is_in_two && other != leaf {
            ids.push(self.tree.leaves[other].id.clone());
        }
        ids
    }

    fn attributes(&mut self, model: &Model, number: u64) -> Vec<AttributeTexts> {
        let rating = 50 - self.draw.ratings.below(5) - self.draw.ratings.below(18);
        let rating = format!("{}.{}", rating / 10, rating % 10);
        let is_recycled = model.material.contains("recycled") || self.draw.recycled.permille(200);
        let released = self.release_day();
        let attrs = &self.attrs;
        vec![
            own_shared(&attrs.title, &model.title),
            own_shared(&attrs.brand, &model.brand),
            own_shared(&attrs.material, &model.material),
            AttributeTexts {
                attr: attrs.season.clone(),
                texts: model.seasons.clone(),
            },
            own(&attrs.rating, &rating),
            own(&attrs.recycled, if is_recycled { "true" } else { "false" }),
            own(&attrs.released, &released),
            own(&attrs.ean, &ean(number)),
        ]
    }

    fn release_day(&mut self) -> String {
        let is_ahead = self.draw.releases.permille(UNRELEASED_PERMILLE);
        let u = self.draw.releases.below(1 << 16);
        let days_ago = (RELEASE_DAYS * u * u) >> 32;
        let days_ahead = self.draw.releases.below(30) + 1;
        let days = match is_ahead {
            true => i64::try_from(days_ahead),
            false => i64::try_from(days_ago).map(|days| -days),
        };
        let ms = days.expect("a few years") * DAY_MS;
        let day = self.shop.today.midnight_in(&self.zone).plus_ms(ms);
        day.date_in(&self.zone).to_string()
    }

    fn basis(&mut self, number: u64, sizing: Sizing, model: &mut Model) -> Basis {
        let colour = self.colours.draw(&mut self.draw.colours);
        let others = (0..COLOURS.len()).map(|step| (colour + step) % COLOURS.len());
        let mut free = others.filter(|colour| !model.colours.contains(colour));
        let colour = free.next().unwrap_or(colour);
        model.colours.push(colour);
        let list_price = price(model.price, self.shop.currency);
        let on_sale = self.draw.sales.permille(SALES_PERMILLE);
        let percent_kept = 50 + 5 * self.draw.sales.below(9);
        let sale_price = price(model.price * percent_kept / 100, self.shop.currency);
        let no_cost = self.draw.costs.permille(NO_COST_PERMILLE);
        let cost_percent = 30 + self.draw.costs.below(35);
        let cost = list_price * cost_percent / 100;
        let tenths = self.draw.scores.tail(SCORE_TENTHS.0, SCORE_TENTHS.1);
        let no_score = self.draw.scores.permille(NO_SCORE_PERMILLE);
        let money = |minor: u64| Minor(i64::try_from(minor).expect("a price fits"));
        Basis {
            key: self.shop.product_key(number),
            sizes: sizing.sizes(),
            colour,
            list_price: money(list_price),
            sale_price: (on_sale && sale_price < list_price).then(|| money(sale_price)),
            cost: (!no_cost).then(|| money(cost)),
            weight_g: model.weight_g,
            score_tenths: (!no_score).then_some(tenths),
        }
    }

    /// The score that all variants share, if they do, and the variants.
    fn variants(&mut self, basis: &Basis, n_variants: u64) -> (Option<Score>, Vec<VariantRecord>) {
        let share_score = self.draw.scores.permille(ONE_SCORE_PERMILLE);
        let n = usize::try_from(n_variants).expect("at most seven");
        let first_size = match basis.sizes.len() {
            0 => 0,
            n_sizes => self.draw.sizes.place(n_sizes + 1 - n),
        };
        let variants = (0..n).map(|place| {
            let (attr, text) = match basis.sizes.get(first_size + place) {
                Some(size) => (&self.attrs.size, *size),
                None => (
                    &self.attrs.color,
                    COLOURS[(basis.colour + place) % COLOURS.len()],
                ),
            };
            let attribute = own(attr, text);
            // The middle of a run of sizes sells best.
            let off = place.abs_diff(n / 2) as u64;
            let tenths = basis.score_tenths.map(|tenths| tenths * (10 - off) / 10);
            VariantRecord {
                key: VariantKey::parse(&format!("{}-{}", basis.key, place + 1))
                    .expect("letters, digits and a hyphen"),
                list_price: Some(basis.list_price),
                sale_price: basis.sale_price,
                cost: basis.cost,
                stock: stock(&mut self.draw.stocks),
                score: tenths.filter(|_| !share_score).map(score),
                weight_g: Some(basis.weight_g),
                attributes: vec![attribute],
            }
        });
        let variants = variants.collect();
        (
            basis.score_tenths.filter(|_| share_score).map(score),
            variants,
        )
    }
}

impl Iterator for Products {
    type Item = ProductRecord;

    fn next(&mut self) -> Option<ProductRecord> {
        if self.n_variants_left == 0 {
            return None;
        }
        let mut model = match self.model.take() {
            Some(model) if 0 < model.n_left => model,
            _ => self.next_model(),
        };
        let product = self.product(&mut model);
        model.n_left -= 1;
        self.model = Some(model);
        Some(product)
    }
}

/// Pieces at hand, most often few; `None` where nobody knows.
fn stock(stream: &mut Stream) -> Option<i64> {
    let fate = stream.below(1_000);
    let pieces = stream.tail(3, 500);
    if fate < SOLD_OUT_PERMILLE {
        return Some(0);
    }
    let is_known = SOLD_OUT_PERMILLE + UNKNOWN_STOCK_PERMILLE <= fate;
    is_known.then(|| i64::try_from(pieces).expect("at most 500"))
}

/// One season, or two that follow each other; half of all goods are for the whole year.
fn seasons(stream: &mut Stream) -> Vec<Arc<str>> {
    let n_named = SEASONS.len() - 1;
    let season = stream.place(2 * n_named).min(n_named);
    let has_two = stream.permille(TWO_SEASONS_PERMILLE) && season < n_named;
    let mut seasons = vec![Arc::from(SEASONS[season])];
    seasons.extend(has_two.then(|| Arc::from(SEASONS[(season + 1) % n_named])));
    seasons
}

/// Minor units of a price of about so many kronor: it ends on a nine, and on ninety hundredths in
/// a currency that has hundredths.
pub(in crate::generator) fn price(kronor: u64, currency: Currency) -> u64 {
    let (times, over) = level(currency);
    let units = kronor * times / over / 10 * 10 + 9;
    match currency.digits() {
        0 => units,
        digits => (units * 10 + 9) * 10_u64.pow(digits - 1),
    }
}

fn score(tenths: u64) -> Score {
    Score::parse(&format!("{}.{}", tenths / 10, tenths % 10)).expect("at most eight digits")
}

/// How many units of a currency stand for a krona, as a fraction.
fn level(currency: Currency) -> (u64, u64) {
    match currency.code() {
        "SEK" | "NOK" | "DKK" | "CZK" => (1, 1),
        "JPY" => (15, 1),
        "HUF" | "KRW" => (40, 1),
        _ => (1, 10),
    }
}

/// A GTIN-13 with the check digit of its kind, in the range for use within a company (prefix 2).
fn ean(number: u64) -> String {
    let digits = format!("2{number:011}");
    let weights = [1, 3].iter().cycle();
    let sum: u32 = digits
        .bytes()
        .zip(weights)
        .map(|(digit, n)| u32::from(digit - b'0') * n)
        .sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

fn own(attr: &Attr, text: &str) -> AttributeTexts {
    own_shared(attr, &text.into())
}

fn own_shared(attr: &Attr, text: &Arc<str>) -> AttributeTexts {
    AttributeTexts {
        attr: attr.clone(),
        texts: vec![Arc::clone(text)],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::fmt::Write as _;

    use sha2::{Digest, Sha256};

    use super::*;
    use crate::feed::write::write as write_line;

    /// The native feed of a shop.
    fn ndjson(own: &Shop) -> Vec<u8> {
        let mut bytes = Vec::new();
        for operation in shop(own) {
            write_line(&operation, own.currency, &mut bytes);
        }
        bytes
    }

    fn products(own: &Shop) -> Vec<ProductRecord> {
        let products = shop(own).filter_map(|operation| match operation {
            FeedOperation::ReplaceProduct(product) => Some(product),
            _ => None,
        });
        products.collect()
    }

    /// Size, seed and SHA-256 of the native feed of some shops, a line each.
    #[test]
    fn the_same_seed_gives_the_same_bytes_on_every_machine() {
        let mut found = String::new();
        for (n_variants, seed) in [(1_000, 1)] {
            write!(found, "{n_variants} {seed} ").unwrap();
            for byte in Sha256::digest(ndjson(&Shop::new(n_variants, seed))) {
                write!(found, "{byte:02x}").unwrap();
            }
            found.push('\n');
        }
        let golden = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/data/golden/generator/shops.txt"
        );
        let golden = std::fs::read_to_string(golden).unwrap();
        assert_eq!(found, golden, "the feed of a seed has changed");
    }

    #[test]
    fn the_sample_shop_is_the_committed_file() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/data/demo/shop.ndjson");
        let committed = std::fs::read_to_string(path).unwrap();
        let made = String::from_utf8(ndjson(&Shop::demo())).unwrap();
        let differ = made
            .lines()
            .zip(committed.lines())
            .find(|(new, old)| new != old);
        assert_eq!(differ, None);
        assert_eq!(
            made.len(),
            committed.len(),
            "the file ends elsewhere:\n{made}"
        );
    }

    #[test]
    fn ean_codes_carry_their_check_digit() {
        assert_eq!(ean(0), "2000000000008");
        assert_eq!(ean(123_456), "2000001234563");
    }

    #[test]
    fn a_shop_is_as_large_as_wished_and_scattered_as_told() {
        let own = Shop::new(40_000, 3);
        let products = products(&own);
        let variants: Vec<_> = products
            .iter()
            .flat_map(|product| &product.variants)
            .collect();
        assert_eq!(variants.len(), 40_000);
        assert!(
            (9_700..10_300).contains(&products.len()),
            "{}",
            products.len()
        );
        let keys: BTreeSet<_> = variants.iter().map(|variant| &variant.key).collect();
        assert_eq!(keys.len(), variants.len());
        let sold_out = variants
            .iter()
            .filter(|variant| !variant.in_stock())
            .count();
        assert!((3_800..4_200).contains(&sold_out), "{sold_out}");
        let mut by_brand = BTreeMap::new();
        for product in &products {
            let is_brand = |own: &&AttributeTexts| own.attr.as_str() == "brand";
            let brand = product.attributes.iter().find(is_brand).unwrap();
            *by_brand.entry(brand.texts[0].clone()).or_insert(0_u32) += 1;
        }
        let most = by_brand.values().max().unwrap();
        assert!(
            (1_000..1_450).contains(most),
            "one in 8.2 is of the first of 2,000 brands: {most}"
        );
        assert!(550 < by_brand.len(), "{}", by_brand.len());
        let grouped = products
            .iter()
            .filter(|product| product.group.is_some())
            .count();
        assert!((2_300..3_500).contains(&grouped), "{grouped}");
        let mut prices: Vec<_> = variants.iter().map(|variant| variant.list_price).collect();
        prices.sort();
        let (low, high) = (prices[4_000].unwrap().0, prices[36_000].unwrap().0);
        assert!(4 * low < high && high < 20 * low, "{low} {high}");
        let no_score = products.iter().filter(|product| {
            product.score.is_none() && product.variants.iter().all(|one| one.score.is_none())
        });
        assert!((60..140).contains(&no_score.count()));
    }

    #[test]
    fn variants_of_a_product_differ_and_prices_make_sense() {
        for product in products(&Shop::new(5_000, 4)) {
            let texts: BTreeSet<_> = product
                .variants
                .iter()
                .flat_map(|variant| &variant.attributes)
                .map(|own| &own.texts)
                .collect();
            assert_eq!(texts.len(), product.variants.len(), "{}", product.key);
            for variant in &product.variants {
                let list = variant.list_price.unwrap();
                assert!(variant.sale_price.is_none_or(|sale| sale < list));
                assert!(
                    variant
                        .cost
                        .is_none_or(|cost| Minor(0) < cost && cost < list)
                );
                assert!(variant.stock.is_none_or(|stock| (0..=500).contains(&stock)));
            }
            assert!(
                product
                    .attributes
                    .is_sorted_by(|left, right| left.attr < right.attr)
            );
        }
    }

    #[test]
    fn another_market_has_the_same_goods_at_its_own_prices() {
        let own = Shop::new(300, 5);
        let currency = Currency::parse("JPY").unwrap();
        let other = Shop {
            currency,
            prefix: "J".to_owned(),
            ..own.clone()
        };
        for (here, there) in products(&own).iter().zip(products(&other)) {
            assert_eq!(here.attributes, there.attributes);
            assert_ne!(here.key, there.key);
            let price = there.variants[0].list_price.unwrap().0;
            assert!(price % 10 == 9 && here.variants[0].list_price.unwrap().0 % 1_000 == 990);
            assert!(1_000 < price, "{price} yen");
        }
    }

    #[test]
    fn a_larger_shop_is_made_lazily() {
        let mut large = shop(&Shop::new(u64::MAX, 6)).skip(12 + 96 + 576 + 2_880);
        assert!(matches!(
            large.next(),
            Some(FeedOperation::ReplaceProduct(_))
        ));
    }
}
