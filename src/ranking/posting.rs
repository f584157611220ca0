//! Which ranks have which value: one attribute in rank order.

use std::ops::Range;

use crate::catalogue::column::Column;
use crate::catalogue::row::Row;
use crate::domain::value::ValueType;
use crate::ranking::base::Units;
use crate::ranking::words::Words;

/// A value held by one rank in this many, or more, gets dense words; others stay sorted lists.
const DENSE_FROM_ONE_IN: usize = 128;

/// `forward` of a rank without a value.
pub(super) const MISSING: u32 = u32::MAX;

/// One attribute: its values ascending, and for each the ranks that hold it.
#[derive(Debug)]
pub(super) struct Postings {
    /// Whether variants of one product may differ.
    pub(super) varies: bool,
    /// Where the ranks of each value begin in `ranks`; one more than there are values.
    offsets: Vec<u32>,
    /// Ranks by value, ascending in each: also the order of a sort by this attribute.
    ranks: Vec<u32>,
    /// Words of values that are frequent enough.
    dense: Vec<Option<Dense>>,
    /// Value of each rank, for single-valued numbers, money and times.
    pub(super) forward: Option<Forward>,
    /// Ranks that hold any value.
    pub(super) present: Dense,
    /// Number of products and of groups that hold each value.
    pub(super) n_holders: Vec<(u32, u32)>,
}

/// A set of ranks as words, and the same variants in product-major order.
#[derive(Debug)]
pub(super) struct Dense {
    /// By rank.
    pub(super) by_rank: Words,
    /// By unit, where variants of a product stand side by side.
    pub(super) by_unit: Words,
}

/// The only value of each rank, and the same by unit.
#[derive(Debug)]
pub(super) struct Forward {
    /// By rank.
    pub(super) by_rank: Vec<u32>,
    /// By unit.
    pub(super) by_unit: Vec<u32>,
}

/// The ranks that hold one value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Holders<'a> {
    /// Frequent.
    Dense(&'a Dense),
    /// Rare: ascending ranks.
    List(&'a [u32]),
}

impl Postings {
    /// Reads a column in rank order.
    pub(super) fn build(column: &Column, rows: &[Row], units: &Units) -> Self {
        let n = rows.len();
        let n_values = column.values().len();
        let mut offsets = vec![0_u32; n_values + 1];
        for row in rows {
            for id in column.of(*row) {
                offsets[id.0 as usize + 1] += 1;
            }
        }
        for value in 0..n_values {
            offsets[value + 1] += offsets[value];
        }
        let mut ends = offsets.clone();
        let mut ranks = vec![0; offsets[n_values] as usize];
        let mut present = Words::empty(n);
        for (rank, row) in (0_u32..).zip(rows) {
            for id in column.of(*row) {
                let end = &mut ends[id.0 as usize];
                ranks[*end as usize] = rank;
                *end += 1;
                present.insert(rank);
            }
        }
        let dense = (0..n_values)
            .map(|value| {
                let own = &ranks[offsets[value] as usize..offsets[value + 1] as usize];
                (n <= own.len() * DENSE_FROM_ONE_IN && 64 <= n)
                    .then(|| units.dense(own.iter().copied()))
            })
            .collect();
        let ordered = matches!(
            column.kind(),
            ValueType::Number | ValueType::Money | ValueType::Time
        );
        let forward = (ordered && !column.multi()).then(|| forward(column, rows, units));
        let (n_holders, varies) = holders(column, rows, units);
        let present = units.dense_of(present);
        Self {
            varies,
            offsets,
            ranks,
            dense,
            forward,
            present,
            n_holders,
        }
    }

    /// Number of values.
    pub(super) fn n_values(&self) -> u32 {
        u32::try_from(self.dense.len()).expect("fewer values than memberships")
    }

    /// Ranks that hold a value.
    pub(super) fn holders(&self, value: u32) -> Holders<'_> {
        match &self.dense[value as usize] {
            Some(dense) => Holders::Dense(dense),
            None => Holders::List(self.list(value)),
        }
    }

    /// The same as a list, whatever its length.
    pub(super) fn list(&self, value: u32) -> &[u32] {
        self.lists(value..value + 1)
    }

    /// Ranks of a range of values, value by value.
    pub(super) fn lists(&self, values: Range<u32>) -> &[u32] {
        let at = |value: u32| self.offsets[value as usize] as usize;
        &self.ranks[at(values.start)..at(values.end)]
    }
}

fn forward(column: &Column, rows: &[Row], units: &Units) -> Forward {
    let value = |row: &Row| column.of(*row).first().map_or(MISSING, |id| id.0);
    let by_rank: Vec<u32> = rows.iter().map(value).collect();
    let by_unit = units
        .rank_at
        .iter()
        .map(|rank| by_rank[*rank as usize])
        .collect();
    Forward { by_rank, by_unit }
}

/// Products and groups that hold each value, and whether variants of any product differ.
fn holders(column: &Column, rows: &[Row], units: &Units) -> (Vec<(u32, u32)>, bool) {
    let n_values = column.values().len();
    let mut last = vec![(MISSING, MISSING); n_values];
    let mut n_holders = vec![(0, 0); n_values];
    let mut varies = false;
    let mut former: Option<(u32, Row)> = None;
    for rank in &units.rank_at {
        let row = rows[*rank as usize];
        let (product, group) = (units.products.of(*rank), units.groups.of(*rank));
        let ids = column.of(row);
        if let Some((own, sibling)) = former
            && own == product
        {
            varies |= column.of(sibling) != ids;
        }
        former = Some((product, row));
        for id in ids {
            let (seen, count) = (&mut last[id.0 as usize], &mut n_holders[id.0 as usize]);
            count.0 += u32::from(seen.0 != product);
            count.1 += u32::from(seen.1 != group);
            *seen = (product, group);
        }
    }
    (n_holders, varies)
}
