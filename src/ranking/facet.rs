//! Counts of an attribute's values over a result.
//!
//! Over the whole market they are known beforehand. Few variants are asked for their values; many
//! are counted value by value: words of frequent values, lists of rare ones.

use std::cmp::Reverse;

use crate::catalogue::column::Column;
use crate::domain::value::Value;
use crate::predicate::rule::Attr;
use crate::ranking::ask::Ask;
use crate::ranking::base::RankBase;
use crate::ranking::filter::{By, Filter, Walk};
use crate::ranking::layout::Stretches;
use crate::ranking::matching::{Counter, Matching, ones};
use crate::ranking::posting::{Holders, Postings, Values, is_ordered};
use crate::ranking::query::{FacetQuery, GroupBy, Query};
use crate::ranking::words::{BLOCK_BITS, BLOCK_WORDS, Block, and_into, members, n_blocks};

/// Values of one attribute and how many places hold each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facet {
    /// Which attribute.
    pub attr: Attr,
    /// By count descending, then by value; only values that occur, at most as many as asked for.
    pub counts: Vec<(Value, u32)>,
    /// Least and greatest value, for numbers, money and times.
    pub bounds: Option<(Value, Value)>,
}

/// Asking a variant for its values costs as much as counting this many words.
const WORDS_PER_VARIANT: usize = 4;

/// Counts of all attributes asked, each over the result without the filter's own clauses on it.
pub(in crate::ranking) fn count_all(
    ask: &Ask<'_>,
    query: &Query,
    matching: &Matching,
) -> Vec<Facet> {
    // Facets without clauses of their own share one result.
    let mut shared: Option<Result> = None;
    let count = |asked: &FacetQuery| {
        let base = &*ask.view.base;
        let attr = asked.attr.as_str();
        let known = base.postings(attr).zip(base.catalogue().column(attr));
        let Some((postings, column)) = known else {
            return Facet {
                attr: asked.attr.clone(),
                counts: Vec::new(),
                bounds: None,
            };
        };
        let counting = Counting {
            base,
            stretches: ask.stretches,
            group_by: query.group_by,
            postings,
            column,
        };
        let counts = if ask.filter.asks(&asked.attr) {
            let filter = Filter::but(&ask.filter, &asked.attr);
            counting.over(&filter, &mut None, None)
        } else {
            counting.over(&ask.filter, &mut shared, matching.units.as_deref())
        };
        told(asked, column, counts)
    };
    query.facets.iter().map(count).collect()
}

/// The answer from the numbers of values and their counts, ascending by number, none of them 0.
fn told(asked: &FacetQuery, column: &Column, mut counts: Vec<(u32, u32)>) -> Facet {
    let value = |id: u32| column.values()[id as usize].clone();
    let bounds = match (counts.first(), counts.last()) {
        (Some((least, _)), Some((most, _))) if is_ordered(column.kind()) => {
            Some((value(*least), value(*most)))
        }
        _ => None,
    };
    let limit = asked.limit as usize;
    let by_count = |(id, count): &(u32, u32)| (Reverse(*count), *id);
    if limit < counts.len() {
        counts.select_nth_unstable_by_key(limit, by_count);
        counts.truncate(limit);
    }
    counts.sort_unstable_by_key(by_count);
    let counts = counts.into_iter().map(|(id, count)| (value(id), count));
    Facet {
        attr: asked.attr.clone(),
        counts: counts.collect(),
        bounds,
    }
}

/// A result by unit: its blocks that are not empty.
struct Result {
    /// Place of each block of the market among `blocks`.
    places: Vec<Option<u32>>,
    blocks: Vec<(usize, Block)>,
    n_units: usize,
}

impl Result {
    fn new(filter: &Filter<'_>) -> Self {
        let n = n_blocks(filter.base().n());
        let mut result = Self {
            places: vec![None; n],
            blocks: Vec::new(),
            n_units: 0,
        };
        let mut walk = Walk::new(filter, By::Unit);
        let mut words = [0; BLOCK_WORDS];
        for block in 0..n {
            if walk.block(block, &mut words) {
                result.places[block] = u32::try_from(result.blocks.len()).ok();
                result.blocks.push((block, words));
                result.n_units += ones(&words) as usize;
            }
        }
        result
    }

    fn contains(&self, unit: u32) -> bool {
        let inside = unit as usize % BLOCK_BITS;
        self.places[unit as usize / BLOCK_BITS].is_some_and(|place| {
            let (_, words) = &self.blocks[place as usize];
            words[inside / 64] >> (inside % 64) & 1 == 1
        })
    }

    fn units(&self) -> impl Iterator<Item = u32> + '_ {
        let blocks = self.blocks.iter();
        blocks.flat_map(|(block, words)| members(*block, words))
    }
}

/// One attribute to be counted in places of one kind.
struct Counting<'a> {
    base: &'a RankBase,
    stretches: Option<&'a Stretches>,
    group_by: GroupBy,
    postings: &'a Postings,
    column: &'a Column,
}

impl Counting<'_> {
    /// Numbers of values and their counts over what a filter lets through.
    fn over(
        &self,
        filter: &Filter<'_>,
        result: &mut Option<Result>,
        units: Option<&[u32]>,
    ) -> Vec<(u32, u32)> {
        if let Some(units) = units {
            return self.of_units(units.len(), units.iter().copied());
        }
        match &self.postings.values {
            Some(values) if filter.is_everything() => self.known(values),
            values => {
                let result = result.get_or_insert_with(|| Result::new(filter));
                match values {
                    Some(values) if is_cheaper_by_value(values, result) => {
                        self.by_value(values, result)
                    }
                    _ => self.of_units(result.n_units, result.units()),
                }
            }
        }
    }

    fn known(&self, values: &Values) -> Vec<(u32, u32)> {
        let count = |value: u32| {
            let (n_products, n_groups) = values.n_owners[value as usize];
            match self.group_by {
                GroupBy::Variant => u32::try_from(values.holders(value).len()).unwrap_or(u32::MAX),
                GroupBy::Product => n_products,
                GroupBy::ProductGroup => n_groups,
            }
        };
        let all = (0..self.postings.n_values).map(|value| (value, count(value)));
        all.filter(|(_, count)| 0 < *count).collect()
    }

    /// Asks each of some ascending units for its values.
    fn of_units(&self, n_units: usize, units: impl Iterator<Item = u32>) -> Vec<(u32, u32)> {
        let layout = &self.base.layout;
        let mut owner = Owner::new(self.stretches);
        let n_values = self.postings.n_values as usize;
        if n_units < n_values / 4 {
            let mut held: Vec<(u32, u32)> = Vec::new();
            for unit in units {
                let owner = owner.of(unit);
                let ids = self.column.of(layout.row_at(unit)).iter();
                held.extend(ids.map(|id| (id.0, owner)));
            }
            held.sort_unstable();
            held.dedup();
            let runs = held.chunk_by(|own, other| own.0 == other.0);
            return runs
                .map(|run| (run[0].0, u32::try_from(run.len()).unwrap_or(u32::MAX)))
                .collect();
        }
        let mut counts = vec![(u32::MAX, 0_u32); n_values];
        for unit in units {
            let owner = owner.of(unit);
            for id in self.column.of(layout.row_at(unit)) {
                let (last, count) = &mut counts[id.0 as usize];
                *count += u32::from(*last != owner);
                *last = owner;
            }
        }
        let counts = (0..).zip(counts).map(|(value, (_, count))| (value, count));
        counts.filter(|(_, count)| 0 < *count).collect()
    }

    /// Counts value by value.
    fn by_value(&self, values: &Values, result: &Result) -> Vec<(u32, u32)> {
        let count = |value: u32| match values.holders(value) {
            Holders::Dense(dense) => {
                let mut counter = Counter::new(self.stretches);
                let mut next = 0;
                for (block, words) in &result.blocks {
                    counter.skip(next..*block);
                    next = block + 1;
                    match dense.by_unit.block(*block) {
                        Some(own) => {
                            let mut common = *words;
                            and_into(&mut common, own);
                            counter.add(*block, &common);
                        }
                        None => counter.skip(*block..next),
                    }
                }
                counter.skip(next..result.places.len());
                counter.n
            }
            Holders::List(list) => {
                let mut owner = Owner::new(self.stretches);
                let (mut last, mut n) = (None, 0);
                for unit in list.units.iter().filter(|unit| result.contains(**unit)) {
                    let own = Some(owner.of(*unit));
                    n += u32::from(own != last);
                    last = own;
                }
                n
            }
        };
        let all = (0..self.postings.n_values).map(|value| (value, count(value)));
        all.filter(|(_, count)| 0 < *count).collect()
    }
}

/// Names the group of ascending units by its last unit.
struct Owner<'a> {
    stretches: Option<&'a Stretches>,
    last: Option<u32>,
}

impl<'a> Owner<'a> {
    fn new(stretches: Option<&'a Stretches>) -> Self {
        Self {
            stretches,
            last: None,
        }
    }

    fn of(&mut self, unit: u32) -> u32 {
        match (self.last, self.stretches) {
            (Some(last), Some(_)) if unit <= last => last,
            (_, None) => unit,
            (_, Some(stretches)) => {
                let last = stretches.end_of(unit);
                self.last = Some(last);
                last
            }
        }
    }
}

fn is_cheaper_by_value(values: &Values, result: &Result) -> bool {
    let n_words = values.dense.len() * result.blocks.len() * BLOCK_WORDS;
    n_words + values.lists.n_members() < result.n_units * WORDS_PER_VARIANT
}
