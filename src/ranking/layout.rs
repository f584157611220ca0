//! The variants of a market in two orders: by rank, and as units side by side with their siblings.
//!
//! A *unit* is a place in product-major order: the variants of a group are neighbours, in it those
//! of a product, in it they ascend by rank. Groups follow each other as a walk through the category
//! graph meets them, so a category's variants lie in few stretches, and whatever is counted or
//! picked inside a category touches memory that lies together.

use std::ops::Range;

use rayon::prelude::*;

use crate::catalogue::Catalogue;
use crate::catalogue::category::{CategoryGraph, Node};
use crate::catalogue::row::{ProductNo, Row};
use crate::catalogue::score::in_base_order;
use crate::predicate::rule::Attr;
use crate::ranking::words::{BLOCK_WORDS, Block, n_blocks};

/// A row that is no longer alive.
const VACANT: u32 = u32::MAX;

/// Ranks, units and rows of a market, each as a place in the orders of the others.
#[derive(Debug, PartialEq)]
pub(super) struct Layout {
    /// First place of each rank's tie block.
    pub(super) block_start: Vec<u32>,
    rank_at: Vec<u32>,
    unit_of: Vec<u32>,
    row_at: Vec<Row>,
    unit_of_row: Vec<u32>,
    /// Stretches of units of one product.
    pub(super) products: Stretches,
    /// Stretches of units of one group.
    pub(super) groups: Stretches,
}

/// Runs of neighbouring units that belong together, told by the last unit of each.
#[derive(Debug, PartialEq)]
pub(super) struct Stretches {
    ends: Vec<u64>,
    n: u32,
}

impl Layout {
    /// Sorts by score, then puts siblings together.
    pub(super) fn build(catalogue: &Catalogue) -> Self {
        let ordered = in_base_order(catalogue);
        let mut block_start: Vec<u32> = Vec::with_capacity(ordered.len());
        for (rank, (_, score)) in (0_u32..).zip(&ordered) {
            let above = rank.checked_sub(1);
            let same = above.filter(|above| ordered[*above as usize].1 == *score);
            block_start.push(same.map_or(rank, |above| block_start[above as usize]));
        }
        let n = ordered.len();
        let shelf = Shelf::new(catalogue);
        let mut next = shelf.first_units.clone();
        let (mut rank_at, mut unit_of) = (vec![0; n], Vec::with_capacity(n));
        let mut row_at = vec![Row(0); n];
        let mut unit_of_row = vec![VACANT; catalogue.n_rows() as usize];
        for (rank, (row, _)) in (0_u32..).zip(&ordered) {
            let unit = &mut next[catalogue.product_of(*row).0 as usize];
            rank_at[*unit as usize] = rank;
            row_at[*unit as usize] = *row;
            unit_of_row[row.0 as usize] = *unit;
            unit_of.push(*unit);
            *unit += 1;
        }
        Self {
            block_start,
            rank_at,
            unit_of,
            row_at,
            unit_of_row,
            products: Stretches::ending_at(n, shelf.product_ends),
            groups: Stretches::ending_at(n, shelf.group_ends),
        }
    }

    /// Number of variants.
    pub(super) fn n(&self) -> usize {
        self.rank_at.len()
    }

    /// Number of variants, as ranks count.
    pub(super) fn n_ranks(&self) -> u32 {
        u32::try_from(self.n()).expect("a market has less than 2^32 variants")
    }

    /// Rank of a unit.
    #[inline]
    pub(super) fn rank_at(&self, unit: u32) -> u32 {
        self.rank_at[unit as usize]
    }

    /// Unit of a rank.
    #[inline]
    pub(super) fn unit_of(&self, rank: u32) -> u32 {
        self.unit_of[rank as usize]
    }

    /// Row of a unit.
    pub(super) fn row_at(&self, unit: u32) -> Row {
        self.row_at[unit as usize]
    }

    /// Unit of a row; `None` if it is vacant.
    pub(super) fn unit_of_row(&self, row: Row) -> Option<u32> {
        let unit = *self.unit_of_row.get(row.0 as usize)?;
        (unit != VACANT).then_some(unit)
    }

    /// All units with their rows.
    pub(super) fn units(&self) -> impl Iterator<Item = (u32, Row)> + '_ {
        (0..).zip(self.row_at.iter().copied())
    }

    /// All ranks with their units.
    pub(super) fn ranks(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        (0..).zip(self.unit_of.iter().copied())
    }

    /// Bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        let numbers = self.block_start.len() + self.rank_at.len() + self.unit_of.len();
        let rows = self.row_at.len() + self.unit_of_row.len();
        (numbers + rows) * size_of::<u32>()
            + (self.products.ends.len() + self.groups.ends.len()) * size_of::<u64>()
    }
}

impl Stretches {
    pub(super) fn ending_at(n: usize, units: impl IntoIterator<Item = u32>) -> Self {
        let mut ends = vec![0_u64; n_blocks(n) * BLOCK_WORDS];
        let mut n_stretches = 0;
        for unit in units {
            ends[unit as usize / 64] |= 1 << (unit % 64);
            n_stretches += 1;
        }
        Self {
            ends,
            n: n_stretches,
        }
    }

    /// Number of stretches.
    pub(super) fn len(&self) -> u32 {
        self.n
    }

    /// Last units of stretches, as words of a block.
    pub(super) fn ends(&self, block: usize) -> &Block {
        let words = &self.ends[block * BLOCK_WORDS..(block + 1) * BLOCK_WORDS];
        words.try_into().expect("a slice of 64 words")
    }

    /// Last unit of the stretch that a unit is in.
    #[inline]
    pub(super) fn end_of(&self, unit: u32) -> u32 {
        let (mut word, bit) = (unit as usize / 64, unit % 64);
        let mut rest = self.ends[word] >> bit << bit;
        while rest == 0 {
            word += 1;
            rest = self.ends[word];
        }
        first_of_word(word) + rest.trailing_zeros()
    }

    /// Units of the stretch that a unit is in.
    pub(super) fn around(&self, unit: u32) -> Range<u32> {
        let (mut word, bit) = (unit as usize / 64, unit % 64);
        let mut before = self.ends[word] & ((1 << bit) - 1);
        while before == 0 && 0 < word {
            word -= 1;
            before = self.ends[word];
        }
        let first = match before {
            0 => 0,
            some => first_of_word(word) + 64 - some.leading_zeros(),
        };
        first..self.end_of(unit) + 1
    }
}

fn first_of_word(word: usize) -> u32 {
    u32::try_from(word * 64).expect("a market has less than 2^32 variants")
}

/// Where the products stand.
struct Shelf {
    /// First unit of each product number; of a vacant one, any.
    first_units: Vec<u32>,
    product_ends: Vec<u32>,
    group_ends: Vec<u32>,
}

impl Shelf {
    fn new(catalogue: &Catalogue) -> Self {
        let near = Neighbourhoods::new(catalogue);
        let mut of_group = vec![u32::MAX; catalogue.n_group_numbers() as usize];
        let mut products: Vec<(u32, u32, ProductNo)> = Vec::new();
        for (product, _) in catalogue.products() {
            let row = catalogue.rows_of_product(product)[0];
            let (group, near) = (catalogue.group_of(row).0, near.of(row));
            let first = &mut of_group[group as usize];
            *first = near.min(*first);
            products.push((near, group, product));
        }
        products.par_sort_unstable_by_key(|(near, group, product)| {
            (of_group[*group as usize], *group, *near, *product)
        });
        let mut first_units = vec![0; catalogue.n_product_numbers() as usize];
        let (mut product_ends, mut group_ends) = (Vec::new(), Vec::new());
        let mut unit = 0;
        for (place, (_, group, product)) in products.iter().enumerate() {
            first_units[product.0 as usize] = unit;
            let n_rows = catalogue.rows_of_product(*product).len();
            unit += u32::try_from(n_rows).expect("at most 1,000 variants a product");
            product_ends.push(unit - 1);
            if products.get(place + 1).is_none_or(|next| next.1 != *group) {
                group_ends.push(unit - 1);
            }
        }
        Self {
            first_units,
            product_ends,
            group_ends,
        }
    }
}

/// Numbers that are near each other for variants of near categories.
struct Neighbourhoods<'a> {
    catalogue: &'a Catalogue,
    /// By value of the category attribute: when a walk down the graph met that node.
    met: Vec<u32>,
}

impl<'a> Neighbourhoods<'a> {
    fn new(catalogue: &'a Catalogue) -> Self {
        let graph = catalogue.graph();
        let met_at = walk(graph);
        let values = catalogue
            .column(Attr::CATEGORY)
            .map_or(&[][..], |column| column.values());
        let met = values.iter().map(|value| match value {
            crate::domain::value::Value::Text(id) => {
                graph.find(id).map_or(0, |node| met_at[node.0 as usize])
            }
            _ => 0,
        });
        Self {
            catalogue,
            met: met.collect(),
        }
    }

    /// Where the walk met the last of the row's categories; a category comes after those above it.
    fn of(&self, row: Row) -> u32 {
        let column = self.catalogue.column(Attr::CATEGORY);
        let held = column.map_or(&[][..], |column| column.of(row));
        let met = held.iter().map(|id| self.met[id.0 as usize]);
        met.max().unwrap_or(u32::MAX - 1)
    }
}

/// When a walk from the top, each branch to its end, meets each node first.
fn walk(graph: &CategoryGraph) -> Vec<u32> {
    let mut met = vec![u32::MAX; graph.len()];
    let mut n_met = 0;
    let is_top = |node: &Node| graph.parents(*node).is_empty();
    let mut open: Vec<Node> = graph.nodes().filter(is_top).collect();
    open.reverse();
    while let Some(node) = open.pop() {
        let met = &mut met[node.0 as usize];
        if *met == u32::MAX {
            *met = n_met;
            n_met += 1;
            open.extend(graph.children(node).iter().rev());
        }
    }
    met
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_are_found_around_each_unit() {
        let ends = [0, 1, 4, 200, 4_095, 4_096, 8_999];
        let stretches = Stretches::ending_at(9_000, ends);
        let mut first = 0;
        for end in ends {
            for unit in [first, first + (end - first) / 2, end] {
                assert_eq!(stretches.around(unit), first..end + 1);
                assert_eq!(stretches.end_of(unit), end);
            }
            first = end + 1;
        }
        assert_eq!(stretches.len(), 7);
        assert_eq!(stretches.ends(1)[0], 1);
    }
}
