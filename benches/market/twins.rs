//! The same pages by three slower ways, over arrays of their own.
//!
//! - *sort*: every matching variant gets its key, all are sorted
//! - *heap*: every matching variant gets its key, a heap keeps the best
//! - *roaring*: the filter's bitmaps are intersected into one, that with each level's, and the
//!   levels merged by key

use std::collections::BinaryHeap;

use endcap::catalogue::column::ValueId;
use endcap::catalogue::row::RowSet;
use endcap::domain::boost::BoostLevel;
use endcap::domain::value::Value;
use endcap::predicate::matcher::Matcher;
use endcap::promotion::slot::SlotMask;
use endcap::ranking::build::MarketView;
use endcap::ranking::order::{Rank, boosted_position};
use endcap::ranking::query::{GroupBy, Query, SortKey};
use hashbrown::HashSet;
use roaring::RoaringBitmap;

use crate::market::{Market, STOREYS};

/// Values asked for before relevance; zone, place, level, rank. The order of keys is the order of
/// the page.
type Key = ([i64; 2], (u8, u32, u8), u32);

/// A market by rank.
pub(crate) struct Twins {
    masks: Vec<u128>,
    level_masks: [SlotMask; 4],
    block_start: Vec<u32>,
    product: Vec<u32>,
    leaf: Vec<u16>,
    colour: Vec<u16>,
    brand: Vec<u16>,
    price: Vec<i64>,
    in_stock: Vec<bool>,
    bitmaps: Bitmaps,
}

struct Bitmaps {
    /// By storey and node.
    nodes: Vec<Vec<RoaringBitmap>>,
    colours: Vec<RoaringBitmap>,
    brands: Vec<RoaringBitmap>,
    in_stock: RoaringBitmap,
    /// Ranks by price.
    by_price: Vec<(i64, u32)>,
    /// Whatever some promotion of the level holds.
    levels: [RoaringBitmap; 4],
}

/// A query in terms of the arrays.
#[derive(Default)]
struct Ask {
    node: Option<(usize, usize)>,
    colours: Option<Vec<u16>>,
    brands: Option<Vec<u16>>,
    price: Option<(i64, i64)>,
    in_stock: bool,
    /// Ranks of the candidates.
    only: Option<RoaringBitmap>,
    /// By price, cheapest first, or by stock, stocked first.
    sort: Vec<By>,
    relevance: bool,
}

enum By {
    Price,
    InStock,
}

impl Twins {
    pub(crate) fn new(market: &Market, view: &MarketView) -> Self {
        let (catalogue, base) = (&market.catalogue, &market.base);
        let rows: Vec<_> = (0..base.n_ranks()).map(|r| base.row_of(Rank(r))).collect();
        let ids = |attr: &str| -> Vec<u16> {
            let column = catalogue.column(attr).expect("the market has it");
            let first = |row| column.of(row).first().map_or(0, |id: &ValueId| id.0);
            let of = rows.iter().map(|row| u16::try_from(first(*row)));
            of.map(|id| id.expect("at most 2,000 values")).collect()
        };
        let (colour, brand) = (ids("colour"), ids("brand"));
        let mut block_start: Vec<u32> = Vec::with_capacity(rows.len());
        for (rank, row) in (0_u32..).zip(&rows) {
            let above = rank.checked_sub(1).map(|above| above as usize);
            let same = above.filter(|above| catalogue.score(rows[*above]) == catalogue.score(*row));
            block_start.push(same.map_or(rank, |above| block_start[above]));
        }
        let record = |row| catalogue.record(catalogue.product_of(row));
        let leaf = |row| number_of(record(row).categories[0].as_str()).1;
        let leaf = rows.iter().map(|row| u16::try_from(leaf(*row)));
        let variant = |row| catalogue.variant_record(row);
        let price = |row| variant(row).price().map_or(0, |price| price.0);
        let mut twins = Self {
            masks: (0..base.n_ranks())
                .map(|rank| view.slots_of(Rank(rank)).0)
                .collect(),
            level_masks: view.table().level_masks(),
            block_start,
            product: rows
                .iter()
                .map(|row| catalogue.product_of(*row).0)
                .collect(),
            leaf: leaf.map(|leaf| leaf.expect("2,880 leaves")).collect(),
            colour,
            brand,
            price: rows.iter().map(|row| price(*row)).collect(),
            in_stock: rows.iter().map(|row| variant(*row).in_stock()).collect(),
            bitmaps: Bitmaps::default(),
        };
        twins.bitmaps = Bitmaps::new(&twins);
        twins
    }

    /// Ranks of the page, all matching variants sorted by key.
    pub(crate) fn by_sort(&self, market: &Market, query: &Query, mask: SlotMask) -> Vec<u32> {
        let keys = self.sorted(market, query, mask);
        self.grouped(query, keys).unwrap_or_else(|short| short)
    }

    /// Places of the whole result.
    pub(crate) fn total(&self, market: &Market, query: &Query) -> usize {
        let keys = self.sorted(market, query, SlotMask::EMPTY);
        let owners: HashSet<u32> = keys.iter().map(|key| self.owner(query, key.2)).collect();
        owners.len()
    }

    fn sorted(&self, market: &Market, query: &Query, mask: SlotMask) -> Vec<Key> {
        let ask = Ask::new(market, query);
        let mask = if ask.relevance { mask } else { SlotMask::EMPTY };
        let matching = (0..self.n()).filter(|rank| self.matches(&ask, *rank));
        let mut keys: Vec<Key> = matching.map(|rank| self.key(&ask, rank, mask)).collect();
        keys.sort_unstable();
        keys
    }

    /// Ranks of the page, the best keys kept in a heap.
    pub(crate) fn by_heap(&self, market: &Market, query: &Query, mask: SlotMask) -> Vec<u32> {
        let ask = Ask::new(market, query);
        let mut size = 4 * (query.limit + query.offset) as usize;
        loop {
            let mut heap: BinaryHeap<Key> = BinaryHeap::with_capacity(size + 1);
            for rank in (0..self.n()).filter(|rank| self.matches(&ask, *rank)) {
                let key = self.key(&ask, rank, mask);
                if heap.len() < size {
                    heap.push(key);
                } else if heap.peek().is_some_and(|worst| key < *worst) {
                    heap.pop();
                    heap.push(key);
                }
            }
            let complete = heap.len() < size;
            let keys = heap.into_sorted_vec();
            if let Ok(page) = self
                .grouped(query, keys)
                .or_else(|short| if complete { Ok(short) } else { Err(short) })
            {
                return page;
            }
            size *= 4;
        }
    }

    /// Ranks of the page, by bitmaps made for the request.
    pub(crate) fn by_roaring(&self, market: &Market, query: &Query, mask: SlotMask) -> Vec<u32> {
        let ask = Ask::new(market, query);
        let filter = self.bitmaps.matching(&ask);
        let streams = BoostLevel::BY_PRECEDENCE
            .iter()
            .enumerate()
            .map(|(place, level)| {
                let all = &self.bitmaps.levels[place];
                let own = filter
                    .as_ref()
                    .map_or_else(|| all.clone(), |filter| all & filter);
                (Some(*level), own)
            });
        let mut streams: Vec<(Option<BoostLevel>, RoaringBitmap)> = streams.collect();
        let everything = || RoaringBitmap::from_sorted_iter(0..self.n()).unwrap_or_default();
        streams.push((None, filter.unwrap_or_else(everything)));
        let mut heads: Vec<_> = streams
            .iter()
            .map(|(level, own)| {
                let of_level = own.iter().filter(|rank| self.level(*rank, mask) == *level);
                of_level.map(|rank| self.key(&ask, rank, mask)).peekable()
            })
            .collect();
        let (mut page, mut seen) = (Vec::new(), HashSet::new());
        let mut skip = query.offset;
        while page.len() < query.limit as usize {
            let least = (0..heads.len())
                .filter_map(|at| heads[at].peek().copied().map(|key| (key, at)))
                .min();
            let Some((key, at)) = least else { break };
            heads[at].next();
            if seen.insert(self.owner(query, key.2)) {
                if 0 < skip {
                    skip -= 1;
                } else {
                    page.push(key.2);
                }
            }
        }
        page
    }

    fn n(&self) -> u32 {
        u32::try_from(self.masks.len()).expect("below 2^32")
    }

    /// The page among sorted keys; too few as an error.
    fn grouped(&self, query: &Query, keys: Vec<Key>) -> Result<Vec<u32>, Vec<u32>> {
        let mut seen = HashSet::new();
        let firsts = keys
            .into_iter()
            .filter(|key| seen.insert(self.owner(query, key.2)));
        let page: Vec<u32> = firsts
            .skip(query.offset as usize)
            .take(query.limit as usize)
            .map(|key| key.2)
            .collect();
        if page.len() == query.limit as usize {
            Ok(page)
        } else {
            Err(page)
        }
    }

    fn owner(&self, query: &Query, rank: u32) -> u32 {
        match query.group_by {
            GroupBy::Variant => rank,
            GroupBy::Product | GroupBy::ProductGroup => self.product[rank as usize],
        }
    }

    fn matches(&self, ask: &Ask, rank: u32) -> bool {
        let at = rank as usize;
        let inside = |(storey, number): (usize, usize)| {
            usize::from(self.leaf[at]) * STOREYS[storey] / STOREYS[3] == number
        };
        let is_any =
            |ids: &Option<Vec<u16>>, own: u16| ids.as_ref().is_none_or(|ids| ids.contains(&own));
        ask.only.as_ref().is_none_or(|only| only.contains(rank))
            && ask.node.is_none_or(inside)
            && is_any(&ask.colours, self.colour[at])
            && is_any(&ask.brands, self.brand[at])
            && (!ask.in_stock || self.in_stock[at])
            && ask
                .price
                .is_none_or(|(min, max)| (min..=max).contains(&self.price[at]))
    }

    fn level(&self, rank: u32, mask: SlotMask) -> Option<BoostLevel> {
        let met = SlotMask(self.masks[rank as usize] & mask.0);
        let of = |place: &usize| !(self.level_masks[*place] & met).is_empty();
        (0..4)
            .find(of)
            .map(|place| BoostLevel::BY_PRECEDENCE[place])
    }

    fn key(&self, ask: &Ask, rank: u32, mask: SlotMask) -> Key {
        let at = rank as usize;
        let place = match self.level(rank, mask) {
            Some(BoostLevel::High) => (0, rank, 0),
            Some(BoostLevel::Demoted) => (2, rank, 0),
            None => (1, rank, 2),
            Some(level) => {
                let n_higher = self.block_start[at];
                let keep = boosted_position(n_higher, level).map_or(0, |keep| keep.0);
                let landing = self.block_start[keep as usize];
                (1, landing, u8::from(level == BoostLevel::Low))
            }
        };
        let mut values = [0; 2];
        for (value, by) in values.iter_mut().zip(&ask.sort) {
            *value = match by {
                By::Price => self.price[at],
                By::InStock => i64::from(!self.in_stock[at]),
            };
        }
        (values, place, rank)
    }
}

impl Default for Bitmaps {
    fn default() -> Self {
        Self {
            nodes: Vec::new(),
            colours: Vec::new(),
            brands: Vec::new(),
            in_stock: RoaringBitmap::new(),
            by_price: Vec::new(),
            levels: std::array::from_fn(|_| RoaringBitmap::new()),
        }
    }
}

impl Bitmaps {
    fn new(twins: &Twins) -> Self {
        let nodes = STOREYS.iter().map(|n_nodes| {
            let number = |leaf: u16| usize::from(leaf) * n_nodes / STOREYS[3];
            gathered(*n_nodes, twins.leaf.iter().map(|leaf| number(*leaf)))
        });
        let of_ids = |ids: &[u16]| {
            let n = usize::from(ids.iter().copied().max().unwrap_or(0)) + 1;
            gathered(n, ids.iter().map(|id| usize::from(*id)))
        };
        let mut by_price: Vec<(i64, u32)> = twins.price.iter().copied().zip(0..).collect();
        by_price.sort_unstable();
        let stocked = (0..).zip(&twins.in_stock).filter(|(_, own)| **own);
        let level = |place: usize| {
            let mask = twins.level_masks[place].0;
            let held = (0..).zip(&twins.masks).filter(|(_, own)| *own & mask != 0);
            held.map(|(rank, _)| rank).collect()
        };
        Self {
            nodes: nodes.collect(),
            colours: of_ids(&twins.colour),
            brands: of_ids(&twins.brand),
            in_stock: stocked.map(|(rank, _)| rank).collect(),
            by_price,
            levels: std::array::from_fn(level),
        }
    }

    /// The filter's ranks; `None` for all.
    fn matching(&self, ask: &Ask) -> Option<RoaringBitmap> {
        let mut clauses: Vec<RoaringBitmap> = Vec::new();
        if let Some((min, max)) = ask.price {
            let from = self.by_price.partition_point(|(price, _)| *price < min);
            let to = self.by_price.partition_point(|(price, _)| *price <= max);
            let mut ranks: Vec<u32> = self.by_price[from..to].iter().map(|own| own.1).collect();
            ranks.sort_unstable();
            clauses.push(RoaringBitmap::from_sorted_iter(ranks).unwrap_or_default());
        }
        let any = |ids: &[u16], sets: &[RoaringBitmap]| {
            let mut union = RoaringBitmap::new();
            for id in ids {
                union |= &sets[usize::from(*id)];
            }
            union
        };
        clauses.extend(ask.colours.iter().map(|ids| any(ids, &self.colours)));
        clauses.extend(ask.brands.iter().map(|ids| any(ids, &self.brands)));
        let mut whole: Vec<&RoaringBitmap> = clauses.iter().collect();
        whole.extend(ask.node.map(|(storey, number)| &self.nodes[storey][number]));
        whole.extend(ask.in_stock.then_some(&self.in_stock));
        whole.extend(&ask.only);
        whole.sort_by_key(|own| own.len());
        let (first, rest) = whole.split_first()?;
        let mut left = (*first).clone();
        for own in rest {
            left &= *own;
        }
        Some(left)
    }
}

/// Which ranks have each number.
fn gathered(n: usize, numbers: impl Iterator<Item = usize>) -> Vec<RoaringBitmap> {
    let mut sets = vec![RoaringBitmap::new(); n];
    for (rank, number) in (0..).zip(numbers) {
        sets[number].insert(rank);
    }
    sets
}

impl Ask {
    fn new(market: &Market, query: &Query) -> Self {
        let (keys, relevance) = match query.sort.split_last() {
            None => (&[][..], true),
            Some((SortKey::Relevance, keys)) => (keys, true),
            Some(_) => (&query.sort[..], false),
        };
        let by = |key: &SortKey| match key {
            SortKey::By { attr, .. } if attr.as_str() == "price" => By::Price,
            _ => By::InStock,
        };
        let mut ask = Self {
            sort: keys.iter().map(by).collect(),
            relevance,
            ..Self::default()
        };
        if let Some(classes) = &query.classes {
            let rows = classes.iter().flat_map(RowSet::iter);
            let ranks = rows.filter_map(|row| market.base.rank_of(row));
            ask.only = Some(ranks.map(|rank| rank.0).collect());
        }
        if let Some(Some(node)) = query.category {
            let id = market.catalogue.graph().id(node);
            ask.node = Some(number_of(id.as_str()));
        }
        for rule in &query.filter {
            let attr = rule.attr.as_str();
            match &rule.matcher {
                Matcher::In(values) if attr != "in_stock" => {
                    let column = market.catalogue.column(attr).expect("the market has it");
                    let found = values.as_slice().iter().filter_map(|own| column.find(own));
                    let ids = found.map(|id| u16::try_from(id.0).unwrap_or(u16::MAX));
                    let ids: Vec<u16> = ids.collect();
                    if attr == "brand" {
                        ask.brands = Some(ids);
                    } else {
                        ask.colours = Some(ids);
                    }
                }
                Matcher::Range { min, max } => {
                    let amount = |bound: &Option<Value>, open: i64| match bound {
                        Some(Value::Money(amount)) => amount.0,
                        _ => open,
                    };
                    ask.price = Some((amount(min, i64::MIN), amount(max, i64::MAX)));
                }
                _ => ask.in_stock = true,
            }
        }
        ask
    }
}

/// Storey and number of a category, from `main:c1-0007`.
fn number_of(id: &str) -> (usize, usize) {
    let key = id.trim_start_matches("main:c");
    let (storey, number) = key.split_once('-').expect("a fixed form");
    let read = |text: &str| text.parse().expect("a fixed form");
    (read(storey), read(number))
}
