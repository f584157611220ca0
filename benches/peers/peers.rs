//! The same pages by Tantivy, in one process and on one thread.
//!
//! Data and requests: see [`market`]; pages of 24 variants, ungrouped. In Tantivy a variant is a
//! document; documents were added in base order into one segment, categories with all above them,
//! colour, brand and stock are indexed, prices too; rank, tie block and the mask of promotions are
//! fast fields. A request builds its query and a collector whose sort key is the exact promise,
//! computed from the fast fields of each match; *plain* orders by rank alone, without promotions.
//!
//! Every page of the exact order is compared with endcap's before anything is timed. Each request
//! counts with the best of its rounds; engines take turns round by round, so each finds its own data
//! in the caches, as it would alone.

#![expect(clippy::print_stdout, reason = "figures are this program's answer")]
#![expect(clippy::unwrap_used, reason = "a bench ends at the first surprise")]

#[expect(dead_code, reason = "other benches use the rest of it")]
#[path = "../market/mod.rs"]
mod market;

use std::hint::black_box;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Instant;

use endcap::catalogue::column::ValueId;
use endcap::domain::boost::BoostLevel;
use endcap::domain::value::Value;
use endcap::predicate::matcher::Matcher;
use endcap::predicate::rule::Rule;
use endcap::promotion::slot::SlotMask;
use endcap::ranking::order::{Rank, boosted_position};
use endcap::ranking::page::page;
use endcap::ranking::query::{GroupBy, Query as Asked};
use market::{Market, Request, Shape};
use tantivy::collector::TopDocs;
use tantivy::query::{AllQuery, BooleanQuery, Occur, Query, RangeQuery, TermQuery};
use tantivy::schema::{FAST, Field, INDEXED, IndexRecordOption, Schema};
use tantivy::{DocAddress, Index, IndexSettings, Order, Searcher, TantivyDocument, Term};

const N_REQUESTS: usize = 400;
const ROUNDS: usize = 5;

fn main() {
    if !std::env::args().any(|arg| arg == "--bench") {
        return;
    }
    for n in [100_000, 1_000_000] {
        println!("\n## {n} variants, 100 promotions, {N_REQUESTS} mixed requests");
        let market = Market::new(n, Shape::Usual);
        let peer = Peer::new(&market);
        let mut requests = market.requests(N_REQUESTS);
        for request in &mut requests {
            request.query.group_by = GroupBy::Variant;
        }
        for request in &requests {
            let own = own_page(&market, request);
            assert_eq!(own, peer.exact(&market, request), "{:?}", request.query);
        }
        println!("all pages are equal");
        compare(&market, &peer, &requests);
    }
}

/// Ranks of the page.
fn own_page(market: &Market, request: &Request) -> Vec<u32> {
    let items = page(&market.view, &request.query, request.mask).items;
    items.iter().map(|item| item.rank.0).collect()
}

fn compare(market: &Market, peer: &Peer, requests: &[Request]) {
    let mut best = [(); 3].map(|()| vec![u64::MAX; requests.len()]);
    for _ in 0..ROUNDS {
        for (best, request) in best[0].iter_mut().zip(requests) {
            time(best, || {
                page(&market.view, black_box(&request.query), request.mask)
            });
        }
        for (best, request) in best[1].iter_mut().zip(requests) {
            time(best, || peer.exact(market, black_box(request)));
        }
        for (best, request) in best[2].iter_mut().zip(requests) {
            time(best, || peer.plain(market, black_box(request)));
        }
    }
    let figures = best.map(figures);
    let names = [
        "endcap",
        "Tantivy, exact order by custom score",
        "Tantivy, no promotions",
    ];
    println!(
        "{:<40} {:>10} {:>10} {:>10} {:>10}",
        "", "p50 us", "mean us", "p50", "mean"
    );
    for (name, [p50, mean]) in names.iter().zip(figures) {
        let [own_p50, own_mean] = figures[0];
        println!(
            "{name:<40} {:>10} {:>10} {:>9}x {:>9}x",
            micros(p50),
            micros(mean),
            p50 / own_p50.max(1),
            mean / own_mean.max(1)
        );
    }
}

fn time<T>(best: &mut u64, run: impl FnOnce() -> T) {
    let start = Instant::now();
    black_box(run());
    let took = u64::try_from(start.elapsed().as_nanos()).unwrap();
    *best = (*best).min(took);
}

/// The median and the mean.
fn figures(mut times: Vec<u64>) -> [u64; 2] {
    times.sort_unstable();
    let sum: u64 = times.iter().sum();
    [times[times.len() / 2], sum / times.len() as u64]
}

fn micros(nanos: u64) -> String {
    format!("{}.{}", nanos / 1_000, nanos % 1_000 / 100)
}

/// The market in the other engine.
struct Peer {
    searcher: Searcher,
    fields: Fields,
    block_start: Arc<[u32]>,
    level_masks: [SlotMask; 4],
}

#[derive(Clone, Copy)]
struct Fields {
    rank: Field,
    mask_low: Field,
    mask_high: Field,
    node: Field,
    colour: Field,
    brand: Field,
    price: Field,
    in_stock: Field,
}

impl Fields {
    fn new() -> (Schema, Self) {
        let mut schema = Schema::builder();
        let fields = Self {
            rank: schema.add_u64_field("rank", FAST),
            mask_low: schema.add_u64_field("mask_low", FAST),
            mask_high: schema.add_u64_field("mask_high", FAST),
            node: schema.add_u64_field("node", INDEXED),
            colour: schema.add_u64_field("colour", INDEXED),
            brand: schema.add_u64_field("brand", INDEXED),
            price: schema.add_i64_field("price", INDEXED | FAST),
            in_stock: schema.add_u64_field("in_stock", INDEXED),
        };
        (schema.build(), fields)
    }
}

impl Peer {
    fn new(market: &Market) -> Self {
        let (schema, fields) = Fields::new();
        let index = Index::create(
            tantivy::directory::RamDirectory::create(),
            schema,
            IndexSettings::default(),
        );
        let index = index.unwrap();
        let mut writer = index.writer_with_num_threads(1, 2_000_000_000).unwrap();
        let mut block_start: Vec<u32> = Vec::new();
        let base = &market.base;
        for rank in 0..base.n_ranks() {
            let score = |rank: u32| market.catalogue.score(base.row_of(Rank(rank)));
            let above = rank.checked_sub(1);
            let same = above.filter(|above| score(*above) == score(rank));
            block_start.push(same.map_or(rank, |above| block_start[above as usize]));
            writer.add_document(document(market, fields, rank)).unwrap();
        }
        writer.commit().unwrap();
        let searcher = index.reader().unwrap().searcher();
        assert_eq!(searcher.segment_readers().len(), 1, "documents are ranks");
        Self {
            searcher,
            fields,
            block_start: block_start.into(),
            level_masks: market.view.table().level_masks(),
        }
    }

    /// Ranks of the page in the promised order.
    fn exact(&self, market: &Market, request: &Request) -> Vec<u32> {
        let query = self.query(market, &request.query);
        let (block_start, levels) = (Arc::clone(&self.block_start), self.level_masks);
        let mask = request.mask.0;
        let by_promise =
            TopDocs::with_limit(24).tweak_score(move |segment: &tantivy::SegmentReader| {
                let column = |name: &str| {
                    let column = segment.fast_fields().u64(name).unwrap();
                    column.first_or_default_col(0)
                };
                let (low, high) = (column("mask_low"), column("mask_high"));
                let block_start = Arc::clone(&block_start);
                move |rank: u32, _: f32| {
                    let held = u128::from(high.get_val(rank)) << 64 | u128::from(low.get_val(rank));
                    let place = place(&block_start, rank, level(&levels, held & mask));
                    // The greatest come first.
                    u64::MAX - place
                }
            });
        let found = self.searcher.search(&*query, &by_promise).unwrap();
        found.iter().map(|(_, found)| found.doc_id).collect()
    }

    /// Documents of the page in base order.
    fn plain(&self, market: &Market, request: &Request) -> Vec<DocAddress> {
        let query = self.query(market, &request.query);
        let by_rank = TopDocs::with_limit(24).order_by_fast_field::<u64>("rank", Order::Asc);
        let found = self.searcher.search(&*query, &by_rank).unwrap();
        found.into_iter().map(|(_, found)| found).collect()
    }

    fn query(&self, market: &Market, asked: &Asked) -> Box<dyn Query> {
        let mut all: Vec<(Occur, Box<dyn Query>)> = Vec::new();
        if let Some(Some(node)) = asked.category {
            all.push((Occur::Must, term(self.fields.node, u64::from(node.0))));
        }
        for rule in &asked.filter {
            all.push((Occur::Must, self.clause(market, rule)));
        }
        match all.len() {
            0 => Box::new(AllQuery),
            1 => all.remove(0).1,
            _ => Box::new(BooleanQuery::new(all)),
        }
    }

    fn clause(&self, market: &Market, rule: &Rule) -> Box<dyn Query> {
        let attr = rule.attr.as_str();
        match &rule.matcher {
            Matcher::In(_) if attr == "in_stock" => term(self.fields.in_stock, 1),
            Matcher::In(values) => {
                let field = match attr {
                    "brand" => self.fields.brand,
                    _ => self.fields.colour,
                };
                let column = market.catalogue.column(attr).unwrap();
                let ids = values.as_slice().iter().filter_map(|own| column.find(own));
                let any = ids.map(|id| (Occur::Should, term(field, u64::from(id.0))));
                Box::new(BooleanQuery::new(any.collect()))
            }
            Matcher::Range { min, max } => {
                let bound = |bound: &Option<Value>| match bound {
                    Some(Value::Money(amount)) => {
                        Bound::Included(Term::from_field_i64(self.fields.price, amount.0))
                    }
                    _ => Bound::Unbounded,
                };
                Box::new(RangeQuery::new(bound(min), bound(max)))
            }
            other => panic!("no request asks for {other:?}"),
        }
    }
}

fn term(field: Field, value: u64) -> Box<dyn Query> {
    let term = Term::from_field_u64(field, value);
    Box::new(TermQuery::new(term, IndexRecordOption::Basic))
}

fn document(market: &Market, fields: Fields, rank: u32) -> TantivyDocument {
    let (goods, row) = (&market.catalogue, market.base.row_of(Rank(rank)));
    let mask = market.view.slots_of(Rank(rank)).0;
    let mut document = TantivyDocument::default();
    document.add_u64(fields.rank, u64::from(rank));
    document.add_u64(fields.mask_low, (mask & u128::from(u64::MAX)) as u64);
    document.add_u64(fields.mask_high, (mask >> 64) as u64);
    let graph = goods.graph();
    let direct = &goods.record(goods.product_of(row)).categories;
    let direct = direct.iter().filter_map(|id| graph.find(id.as_str()));
    for node in graph.ancestors_or_selves(&direct.collect::<Vec<_>>()) {
        document.add_u64(fields.node, u64::from(node.0));
    }
    for (attr, field) in [("colour", fields.colour), ("brand", fields.brand)] {
        let held = goods.column(attr).unwrap().of(row);
        let ids = held.iter().map(|id: &ValueId| u64::from(id.0));
        ids.for_each(|id| document.add_u64(field, id));
    }
    let variant = goods.variant_record(row);
    if let Some(price) = variant.price() {
        document.add_i64(fields.price, price.0);
    }
    document.add_u64(fields.in_stock, u64::from(variant.in_stock()));
    document
}

/// The strongest level of some slots.
fn level(levels: &[SlotMask; 4], met: u128) -> Option<BoostLevel> {
    let of = |place: &usize| levels[*place].0 & met != 0;
    (0..4)
        .find(of)
        .map(|place| BoostLevel::BY_PRECEDENCE[place])
}

/// Where a variant stands: zone, landing place, level, rank.
fn place(block_start: &[u32], rank: u32, level: Option<BoostLevel>) -> u64 {
    let (zone, landing, order) = match level {
        Some(BoostLevel::High) => (0, rank, 0),
        Some(BoostLevel::Demoted) => (2, rank, 0),
        None => (1, rank, 2),
        Some(level) => {
            let n_higher = block_start[rank as usize];
            let keep = boosted_position(n_higher, level).map_or(0, |keep| keep.0);
            (
                1,
                block_start[keep as usize],
                u64::from(level == BoostLevel::Low),
            )
        }
    };
    // 2 bits of zone, 28 of landing, 2 of level, 28 of rank.
    zone << 58 | u64::from(landing) << 30 | order << 28 | u64::from(rank)
}
