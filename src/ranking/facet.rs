//! Counts of an attribute's values over a result.

use crate::domain::value::{Value, ValueType};
use crate::predicate::rule::Attr;
use crate::ranking::page::Ask;
use crate::ranking::posting::{Holders, Postings};
use crate::ranking::query::{FacetQuery, GroupBy, Query};
use crate::ranking::total::stretches_in;
use crate::ranking::words::{Block, Words, n_blocks};

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

/// Counts over the result without the filter's own clauses on the attribute.
pub(in crate::ranking) fn count(ask: &Ask<'_>, query: &Query, asked: &FacetQuery) -> Facet {
    let base = ask.view.base();
    let attr = asked.attr.as_str();
    let (Some(postings), Some(column)) = (base.postings(attr), base.catalogue().column(attr))
    else {
        return Facet {
            attr: asked.attr.clone(),
            counts: Vec::new(),
            bounds: None,
        };
    };
    let counts = match ask.filter.shortest_list(Some(&asked.attr)) {
        Some(list) => {
            let inside = list.iter().copied();
            let ranks = inside.filter(|rank| ask.filter.contains_but(*rank, &asked.attr));
            count_ranks(ask, query.group_by, attr, postings, ranks)
        }
        None if everything(ask, &asked.attr) => count_known(postings, query.group_by),
        None => count_words(ask, query.group_by, &asked.attr, postings),
    };
    let occurs: Vec<(u32, u32)> = (0_u32..)
        .zip(counts)
        .filter(|(_, count)| 0 < *count)
        .collect();
    let value = |id: u32| column.values()[id as usize].clone();
    let ordered = matches!(
        column.kind(),
        ValueType::Number | ValueType::Money | ValueType::Time
    );
    let bounds = match (occurs.first(), occurs.last()) {
        (Some((least, _)), Some((most, _))) if ordered => Some((value(*least), value(*most))),
        _ => None,
    };
    let mut by_count = occurs;
    by_count.sort_unstable_by_key(|(id, count)| (std::cmp::Reverse(*count), *id));
    by_count.truncate(asked.limit as usize);
    let counts = by_count
        .into_iter()
        .map(|(id, count)| (value(id), count))
        .collect();
    Facet {
        attr: asked.attr.clone(),
        counts,
        bounds,
    }
}

/// Whether nothing restricts the result but clauses on the attribute itself.
fn everything(ask: &Ask<'_>, attr: &Attr) -> bool {
    ask.filter
        .clauses
        .iter()
        .all(|clause| clause.attr == Some(attr))
}

/// Counts over the whole market are known beforehand.
fn count_known(postings: &Postings, group_by: GroupBy) -> Vec<u32> {
    (0..postings.n_values())
        .map(|value| {
            let (n_products, n_groups) = postings.n_holders[value as usize];
            match group_by {
                GroupBy::Variant => u32::try_from(postings.list(value).len()).unwrap_or(u32::MAX),
                GroupBy::Product => n_products,
                GroupBy::ProductGroup => n_groups,
            }
        })
        .collect()
}

/// Counts over a short list: rank by rank, each place once a value.
fn count_ranks(
    ask: &Ask<'_>,
    group_by: GroupBy,
    attr: &str,
    postings: &Postings,
    ranks: impl Iterator<Item = u32>,
) -> Vec<u32> {
    let mut counts = vec![0; postings.n_values() as usize];
    let Some(column) = ask.view.catalogue().column(attr) else {
        return counts;
    };
    let mut held: Vec<(u32, u32)> = Vec::new();
    for rank in ranks {
        let row = ask.view.base().rows[rank as usize];
        held.extend(
            column
                .of(row)
                .iter()
                .map(|id| (id.0, owner(ask, group_by, rank))),
        );
    }
    held.sort_unstable();
    held.dedup();
    for (value, _) in held {
        counts[value as usize] += 1;
    }
    counts
}

/// Counts over many ranks: by words for frequent values, by looking up each holder of rare ones.
fn count_words(ask: &Ask<'_>, group_by: GroupBy, attr: &Attr, postings: &Postings) -> Vec<u32> {
    let base = ask.view.base();
    let blocks = n_blocks(base.n());
    let by_rank: Vec<Block> = (0..blocks)
        .map(|block| ask.filter.block(block, Some(attr)))
        .collect();
    let stretches = match group_by {
        GroupBy::Variant => None,
        GroupBy::Product => Some(&base.units.products),
        GroupBy::ProductGroup => Some(&base.units.groups),
    };
    let by_unit: Vec<Block> = match stretches {
        Some(_) => {
            let units = ask.filter.by_unit();
            (0..blocks)
                .map(|block| units.block(block, Some(attr)))
                .collect()
        }
        None => Vec::new(),
    };
    let count = |value: u32| match (postings.holders(value), stretches) {
        (Holders::Dense(words), None) => both(&by_rank, &words.by_rank)
            .flatten()
            .map(u64::count_ones)
            .sum(),
        (Holders::Dense(words), Some(stretches)) => {
            stretches_in(both(&by_unit, &words.by_unit), &stretches.ends)
        }
        (Holders::List(list), _) => {
            let inside = list.iter().copied().filter(|rank| {
                let (block, bit) = (*rank as usize / 4_096, *rank as usize % 4_096);
                by_rank[block][bit / 64] >> (bit % 64) & 1 == 1
            });
            let mut owners: Vec<u32> = inside.map(|rank| owner(ask, group_by, rank)).collect();
            owners.sort_unstable();
            owners.dedup();
            u32::try_from(owners.len()).unwrap_or(u32::MAX)
        }
    };
    (0..postings.n_values()).map(count).collect()
}

/// What is set in a result and in a value's words, block by block.
fn both<'b>(set: &'b [Block], words: &'b Words) -> impl Iterator<Item = Block> + 'b {
    set.iter().enumerate().map(|(block, own)| {
        let mut common = *own;
        crate::ranking::words::and_into(&mut common, words.block(block));
        common
    })
}

fn owner(ask: &Ask<'_>, group_by: GroupBy, rank: u32) -> u32 {
    let units = &ask.view.base().units;
    match group_by {
        GroupBy::Variant => rank,
        GroupBy::Product => units.products.of(rank),
        GroupBy::ProductGroup => units.groups.of(rank),
    }
}
