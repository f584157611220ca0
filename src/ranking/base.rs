//! What ranking derives from the goods alone; shared by every view until the goods change.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use crate::catalogue::Catalogue;
use crate::catalogue::row::Row;
use crate::catalogue::score::in_base_order;
use crate::ranking::order::Rank;
use crate::ranking::posting::{Dense, Postings};
use crate::ranking::words::Words;

/// A market's goods in rank order.
#[derive(Debug)]
pub struct RankBase {
    catalogue: Arc<Catalogue>,
    pub(in crate::ranking) rows: Vec<Row>,
    ranks: Vec<u32>,
    pub(in crate::ranking) block_start: Vec<u32>,
    pub(in crate::ranking) units: Units,
    attributes: BTreeMap<String, Postings>,
}

/// A row that is no longer alive.
const VACANT: u32 = u32::MAX;

/// Variants in product-major order: those of a group side by side, in it those of a product, in it
/// by rank. A unit is a place in this order.
#[derive(Debug)]
pub(in crate::ranking) struct Units {
    /// Rank of each unit.
    pub(in crate::ranking) rank_at: Vec<u32>,
    /// Unit of each rank.
    unit_of: Vec<u32>,
    /// Stretches of one product.
    pub(in crate::ranking) products: Stretches,
    /// Stretches of one group.
    pub(in crate::ranking) groups: Stretches,
}

/// Runs of neighbouring units that belong together.
#[derive(Debug)]
pub(in crate::ranking) struct Stretches {
    /// Number of the stretch that each rank is in.
    of_rank: Vec<u32>,
    /// First unit of each stretch; one more than there are stretches.
    starts: Vec<u32>,
    /// Last unit of each stretch, as words by unit.
    pub(in crate::ranking) ends: Words,
    /// The best rank of each stretch, as words by rank.
    pub(in crate::ranking) firsts: Words,
}

impl RankBase {
    /// Sorts by score and turns every attribute into rank order, in parallel.
    pub fn build(catalogue: &Arc<Catalogue>) -> Self {
        let ordered = in_base_order(catalogue);
        let rows: Vec<Row> = ordered.iter().map(|(row, _)| *row).collect();
        let mut ranks = vec![VACANT; catalogue.n_rows() as usize];
        let mut block_start: Vec<u32> = Vec::with_capacity(rows.len());
        for (rank, (row, score)) in (0_u32..).zip(&ordered) {
            ranks[row.0 as usize] = rank;
            let same = rank
                .checked_sub(1)
                .filter(|above| ordered[*above as usize].1 == *score);
            block_start.push(same.map_or(rank, |above| block_start[above as usize]));
        }
        let units = Units::build(catalogue, &rows);
        let names: Vec<&str> = catalogue.schema().iter().map(|(name, _)| name).collect();
        let attributes = names
            .into_par_iter()
            .filter_map(|name| {
                let column = catalogue.column(name)?;
                Some((name.to_owned(), Postings::build(column, &rows, &units)))
            })
            .collect();
        Self {
            catalogue: Arc::clone(catalogue),
            rows,
            ranks,
            block_start,
            units,
            attributes,
        }
    }

    /// The goods.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// Number of variants alive.
    pub fn n_ranks(&self) -> u32 {
        u32::try_from(self.rows.len()).expect("a market has less than 2^32 variants")
    }

    /// Rank of a row; `None` if it is vacant.
    pub fn rank_of(&self, row: Row) -> Option<Rank> {
        let rank = *self.ranks.get(row.0 as usize)?;
        (rank != VACANT).then_some(Rank(rank))
    }

    /// Row at a rank.
    pub fn row_of(&self, rank: Rank) -> Row {
        self.rows[rank.0 as usize]
    }

    pub(in crate::ranking) fn n(&self) -> usize {
        self.rows.len()
    }

    pub(in crate::ranking) fn postings(&self, attr: &str) -> Option<&Postings> {
        self.attributes.get(attr)
    }
}

impl Units {
    fn build(catalogue: &Catalogue, rows: &[Row]) -> Self {
        let n = rows.len();
        let owner = |rank: &u32| {
            let row = rows[*rank as usize];
            (catalogue.group_of(row).0, catalogue.product_of(row).0)
        };
        let mut rank_at: Vec<u32> = (0..).take(n).collect();
        rank_at.par_sort_unstable_by_key(|rank| (owner(rank), *rank));
        let mut unit_of = vec![0; n];
        for (unit, rank) in (0_u32..).zip(&rank_at) {
            unit_of[*rank as usize] = unit;
        }
        let products = Stretches::build(&rank_at, owner);
        let groups = Stretches::build(&rank_at, |rank| owner(rank).0);
        Self {
            rank_at,
            unit_of,
            products,
            groups,
        }
    }

    /// Words by rank and by unit of the given ranks.
    pub(in crate::ranking) fn dense(&self, ranks: impl IntoIterator<Item = u32>) -> Dense {
        self.dense_of(Words::of(self.unit_of.len(), ranks))
    }

    /// The same of ranks that are words already.
    pub(in crate::ranking) fn dense_of(&self, by_rank: Words) -> Dense {
        let n = self.unit_of.len();
        let mut by_unit = Words::empty(n);
        for (word, &bits) in (0_u32..).zip(by_rank.as_slice()) {
            let mut rest = bits;
            while rest != 0 {
                by_unit.insert(self.unit_of[(word * 64 + rest.trailing_zeros()) as usize]);
                rest &= rest - 1;
            }
        }
        Dense { by_rank, by_unit }
    }

    /// Unit of a rank.
    pub(in crate::ranking) fn unit_of(&self, rank: u32) -> u32 {
        self.unit_of[rank as usize]
    }
}

impl Stretches {
    fn build<K: PartialEq>(rank_at: &[u32], owner: impl Fn(&u32) -> K) -> Self {
        let n = rank_at.len();
        let mut of_rank = vec![0; n];
        let mut starts = Vec::new();
        let mut ends = Words::empty(n);
        let mut firsts = Words::empty(n);
        for (unit, rank) in (0_u32..).zip(rank_at) {
            let begins = unit == 0 || owner(&rank_at[unit as usize - 1]) != owner(rank);
            if begins {
                starts.push(unit);
            }
            of_rank[*rank as usize] =
                u32::try_from(starts.len()).expect("fewer stretches than ranks") - 1;
        }
        starts.push(u32::try_from(n).expect("a market has less than 2^32 variants"));
        for pair in starts.windows(2).filter(|pair| pair[0] < pair[1]) {
            ends.insert(pair[1] - 1);
            let own = &rank_at[pair[0] as usize..pair[1] as usize];
            firsts.insert(own.iter().copied().min().expect("a stretch is not empty"));
        }
        Self {
            of_rank,
            starts,
            ends,
            firsts,
        }
    }

    /// Number of stretches.
    pub(in crate::ranking) fn len(&self) -> u32 {
        u32::try_from(self.starts.len() - 1).expect("fewer stretches than ranks")
    }

    /// The stretch that a rank is in.
    pub(in crate::ranking) fn of(&self, rank: u32) -> u32 {
        self.of_rank[rank as usize]
    }

    /// Units of the stretch that a rank is in.
    pub(in crate::ranking) fn around(&self, rank: u32) -> std::ops::Range<usize> {
        let stretch = self.of_rank[rank as usize] as usize;
        self.starts[stretch] as usize..self.starts[stretch + 1] as usize
    }
}
