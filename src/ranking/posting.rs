//! Which variants have which value: one attribute, by rank and by unit.
//!
//! A frequent value has words, a rare one ascending lists; numbers, money and times have the value
//! of each variant besides, so that a range of many values is one comparison. Texts that hardly two
//! variants share, such as keys and titles, are *thin*: the catalogue's own lists serve them.

use std::ops::Range;
use std::sync::Arc;

use crate::catalogue::column::{Column, ValueId};
use crate::domain::value::ValueType;
use crate::ranking::layout::Layout;
use crate::ranking::words::{BLOCK_BITS, Bits, Block, Draft};

/// A value held by one variant in this many, or more, gets words; others stay lists.
const DENSE_FROM_ONE_IN: usize = 128;

/// A text attribute with more than one value in this many variants is thin.
const THIN_FROM_ONE_IN: usize = 8;

/// Values of a page of lists, when it is built.
const VALUES_PER_PAGE: usize = 256;

/// Number of a value that is missing.
pub(super) const MISSING: u32 = u32::MAX;

/// One attribute.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Postings {
    /// Products of which some variants differ.
    pub(super) n_varying: u32,
    /// Whether a variant may hold several values.
    pub(super) multi: bool,
    /// Variants that hold any value; `None` if all do.
    pub(super) present: Option<Arc<Dense>>,
    /// Value of each variant, for single-valued numbers, money and times.
    pub(super) forward: Option<Forward>,
    /// Holders of each value; `None` if the attribute is thin.
    pub(super) values: Option<Values>,
    pub(super) n_values: u32,
}

/// Who holds each value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Values {
    /// Frequent values, ascending.
    pub(super) dense: Vec<(u32, Arc<Dense>)>,
    /// Lists of the others.
    pub(super) lists: Lists,
    /// Number of products and of groups that hold each value.
    pub(super) n_owners: Vec<(u32, u32)>,
}

/// A set of variants as words.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Dense {
    /// By rank.
    pub(super) by_rank: Bits,
    /// By unit.
    pub(super) by_unit: Bits,
}

/// The variants that hold one value.
#[derive(Clone, Copy, Debug)]
pub(super) enum Holders<'a> {
    /// Frequent.
    Dense(&'a Dense),
    /// Rare.
    List(List<'a>),
}

/// The variants of a set, twice.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct List<'a> {
    /// Ascending ranks.
    pub(super) ranks: &'a [u32],
    /// Ascending units.
    pub(super) units: &'a [u32],
}

/// Lists by value, in pages of neighbouring values that copies share.
#[derive(Clone, Debug, Default)]
pub(super) struct Lists {
    pub(super) pages: Vec<Arc<Page>>,
    /// First value of each page.
    pub(super) firsts: Vec<u32>,
}

/// Lists of neighbouring values.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Page {
    /// Where each list begins; one more than there are lists.
    pub(super) starts: Vec<u32>,
    pub(super) ranks: Vec<u32>,
    pub(super) units: Vec<u32>,
}

/// The only value of each variant.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Forward {
    /// By rank.
    pub(super) by_rank: Codes,
    /// By unit.
    pub(super) by_unit: Codes,
}

/// Numbers of values in chunks that copies share.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Codes {
    /// Of an attribute of less than 65,535 values.
    Narrow(Vec<Arc<[u16]>>),
    /// Of any other.
    Wide(Vec<Arc<[u32]>>),
}

impl Postings {
    /// Reads a column.
    pub(super) fn build(column: &Column, layout: &Layout) -> Self {
        let n = layout.n();
        let n_values = column.values().len();
        let held = Held::gather(column, layout);
        let census = Census::take(&held, n_values, layout);
        let present = (census.n_present < n).then(|| {
            let some = held.units().filter(|(_, ids)| !ids.is_empty());
            Arc::new(Dense::of(layout, some.map(|(unit, _)| unit)))
        });
        let forward = (is_ordered(column.kind()) && !column.multi())
            .then(|| Forward::build(&held, n_values, layout));
        Self {
            n_varying: census.n_varying,
            multi: column.multi(),
            present,
            forward,
            values: (!is_thin(column, n)).then(|| Values::build(&held, layout, census)),
            n_values: u32::try_from(n_values).expect("fewer values than memberships"),
        }
    }

    /// Bytes on the heap.
    pub(super) fn bytes(&self) -> usize {
        let present = self.present.as_ref().map_or(0, |dense| dense.bytes());
        let forward = self.forward.as_ref().map_or(0, |forward| {
            forward.by_rank.bytes() + forward.by_unit.bytes()
        });
        present + forward + self.values.as_ref().map_or(0, Values::bytes)
    }
}

/// Whether the texts of a column are too many to be worth lists here.
pub(super) fn is_thin(column: &Column, n: usize) -> bool {
    column.kind() == ValueType::Text && n < column.values().len() * THIN_FROM_ONE_IN
}

/// Whether a value that `count` of `n` variants hold gets words.
pub(super) fn is_dense(count: usize, n: usize) -> bool {
    64 <= n && n <= count * DENSE_FROM_ONE_IN
}

/// Whether so many values need four bytes each.
pub(super) fn is_wide(n_values: usize) -> bool {
    usize::from(u16::MAX) <= n_values
}

/// Whether a type has an order that ranges and bounds mean.
pub(super) fn is_ordered(kind: ValueType) -> bool {
    matches!(kind, ValueType::Number | ValueType::Money | ValueType::Time)
}

/// The ids of values that each unit holds, one unit behind the other.
///
/// A column lies in the order of rows, where neighbouring units are far apart, so it is read once.
struct Held {
    ids: Vec<ValueId>,
    /// Where the ids of each unit begin; one more than there are units.
    starts: Vec<u32>,
}

impl Held {
    fn gather(column: &Column, layout: &Layout) -> Self {
        let mut held = Self {
            ids: Vec::with_capacity(layout.n()),
            starts: Vec::with_capacity(layout.n() + 1),
        };
        held.starts.push(0);
        for (_, row) in layout.units() {
            held.ids.extend_from_slice(column.of(row));
            let end = u32::try_from(held.ids.len());
            held.starts
                .push(end.expect("less than 2^32 memberships of an attribute"));
        }
        held
    }

    fn units(&self) -> impl Iterator<Item = (u32, &[ValueId])> {
        let ranges = self.starts.windows(2);
        let held = ranges.map(|pair| &self.ids[pair[0] as usize..pair[1] as usize]);
        (0..).zip(held)
    }
}

/// What one walk over the units tells.
struct Census {
    counts: Vec<u32>,
    n_owners: Vec<(u32, u32)>,
    n_present: usize,
    n_varying: u32,
}

impl Census {
    fn take(held: &Held, n_values: usize, layout: &Layout) -> Self {
        let mut last = vec![MISSING; n_values];
        let mut census = Self {
            counts: vec![0; n_values],
            n_owners: vec![(0, 0); n_values],
            n_present: 0,
            n_varying: 0,
        };
        let (mut product, mut group) = (0..0, 0..0);
        let (mut first, mut varies): (&[ValueId], bool) = (&[], false);
        for (unit, ids) in held.units() {
            if product.end <= unit {
                product = unit..layout.products.end_of(unit) + 1;
                if group.end <= unit {
                    group = unit..layout.groups.end_of(unit) + 1;
                }
                (first, varies) = (ids, false);
            } else if !varies && first != ids {
                varies = true;
                census.n_varying += 1;
            }
            census.n_present += usize::from(!ids.is_empty());
            for id in ids {
                let at = id.0 as usize;
                let seen = std::mem::replace(&mut last[at], unit);
                let is_new = |owner: &Range<u32>| u32::from(seen == MISSING || seen < owner.start);
                census.counts[at] += 1;
                census.n_owners[at].0 += is_new(&product);
                census.n_owners[at].1 += is_new(&group);
            }
        }
        census
    }
}

impl Values {
    fn build(held: &Held, layout: &Layout, census: Census) -> Self {
        let n = layout.n();
        let is_dense = |count: u32| is_dense(count as usize, n);
        let mut drafts: Vec<Option<(Draft, Draft)>> = Vec::new();
        let (mut starts, mut n_listed) = (Vec::with_capacity(census.counts.len() + 1), 0);
        for count in &census.counts {
            starts.push(n_listed);
            drafts.push(is_dense(*count).then(|| (Draft::new(n), Draft::new(n))));
            n_listed += if is_dense(*count) { 0 } else { *count };
        }
        starts.push(n_listed);
        let (mut next, mut units) = (starts.clone(), vec![0; n_listed as usize]);
        for (unit, ids) in held.units() {
            for id in ids {
                if let Some((by_rank, by_unit)) = &mut drafts[id.0 as usize] {
                    by_rank.insert(layout.rank_at(unit));
                    by_unit.insert(unit);
                } else {
                    let place = &mut next[id.0 as usize];
                    units[*place as usize] = unit;
                    *place += 1;
                }
            }
        }
        let dense = (0..).zip(drafts).filter_map(|(value, drafts)| {
            let (by_rank, by_unit) = drafts?;
            let (by_rank, by_unit) = (by_rank.finish(), by_unit.finish());
            Some((value, Arc::new(Dense { by_rank, by_unit })))
        });
        Self {
            dense: dense.collect(),
            lists: Lists::of(layout, &starts, &units),
            n_owners: census.n_owners,
        }
    }

    /// The variants that hold a value.
    pub(super) fn holders(&self, value: u32) -> Holders<'_> {
        match self.dense.binary_search_by_key(&value, |(own, _)| *own) {
            Ok(place) => Holders::Dense(&self.dense[place].1),
            Err(_) => Holders::List(self.lists.at(value)),
        }
    }

    /// Memberships of a range of values; an upper bound of the variants in it.
    pub(super) fn n_members(&self, values: Range<u32>) -> usize {
        values.map(|value| self.holders(value).len()).sum()
    }

    fn bytes(&self) -> usize {
        let dense: usize = self.dense.iter().map(|(_, dense)| dense.bytes()).sum();
        let pages: usize = self.lists.pages.iter().map(|page| page.bytes()).sum();
        dense + pages + self.n_owners.len() * size_of::<(u32, u32)>()
    }
}

impl Dense {
    /// From units in any order.
    pub(super) fn of(layout: &Layout, units: impl IntoIterator<Item = u32>) -> Self {
        let (mut by_rank, mut by_unit) = (Draft::new(layout.n()), Draft::new(layout.n()));
        for unit in units {
            by_rank.insert(layout.rank_at(unit));
            by_unit.insert(unit);
        }
        Self {
            by_rank: by_rank.finish(),
            by_unit: by_unit.finish(),
        }
    }

    /// Adds a unit or takes it out.
    pub(super) fn set(&mut self, layout: &Layout, unit: u32, is_in: bool) {
        self.by_rank.set(layout.rank_at(unit), is_in);
        self.by_unit.set(unit, is_in);
    }

    fn bytes(&self) -> usize {
        self.by_rank.bytes() + self.by_unit.bytes()
    }
}

impl Holders<'_> {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Dense(dense) => dense.by_unit.count() as usize,
            Self::List(list) => list.units.len(),
        }
    }
}

impl Lists {
    /// From the units of each value, ascending in it; `starts` tells where each begins.
    fn of(layout: &Layout, starts: &[u32], units: &[u32]) -> Self {
        let mut lists = Self::default();
        let n_values = starts.len() - 1;
        for first in (0..n_values).step_by(VALUES_PER_PAGE) {
            let own = &starts[first..=n_values.min(first + VALUES_PER_PAGE)];
            let (from, to) = (own[0], own[own.len() - 1]);
            let units = units[from as usize..to as usize].to_vec();
            let mut ranks: Vec<u32> = units.iter().map(|unit| layout.rank_at(*unit)).collect();
            for pair in own.windows(2) {
                ranks[(pair[0] - from) as usize..(pair[1] - from) as usize].sort_unstable();
            }
            let starts = own.iter().map(|start| start - from).collect();
            lists
                .firsts
                .push(u32::try_from(first).expect("fewer values than memberships"));
            lists.pages.push(Arc::new(Page {
                starts,
                ranks,
                units,
            }));
        }
        lists
    }

    /// Memberships of all lists.
    pub(super) fn n_members(&self) -> usize {
        self.pages.iter().map(|page| page.units.len()).sum()
    }

    /// All lists in order.
    fn iter(&self) -> impl Iterator<Item = List<'_>> {
        let pages = self.pages.iter();
        pages.flat_map(|page| (0..page.len()).map(|place| page.at(place)))
    }

    /// The list of a value.
    pub(super) fn at(&self, value: u32) -> List<'_> {
        let place = self.firsts.partition_point(|first| *first <= value) - 1;
        self.pages[place].at(value - self.firsts[place])
    }
}

impl PartialEq for Lists {
    /// Whether the lists are the same, whatever pages they lie in.
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Page {
    /// The list at a place.
    pub(super) fn at(&self, place: u32) -> List<'_> {
        let place = place as usize;
        let range = self.starts[place] as usize..self.starts[place + 1] as usize;
        List {
            ranks: &self.ranks[range.clone()],
            units: &self.units[range],
        }
    }

    /// Number of lists.
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.starts.len() - 1).expect("fewer values than memberships")
    }

    fn bytes(&self) -> usize {
        (self.starts.len() + self.ranks.len() + self.units.len()) * size_of::<u32>()
    }
}

impl Forward {
    fn build(held: &Held, n_values: usize, layout: &Layout) -> Self {
        let value = |(_, ids): (u32, &[ValueId])| ids.first().map_or(MISSING, |id| id.0);
        let by_unit: Vec<u32> = held.units().map(value).collect();
        let by_rank = layout.ranks().map(|(_, unit)| by_unit[unit as usize]);
        Self {
            by_rank: Codes::of(n_values, &by_rank.collect::<Vec<_>>()),
            by_unit: Codes::of(n_values, &by_unit),
        }
    }
}

impl Codes {
    fn of(n_values: usize, codes: &[u32]) -> Self {
        let narrow = |code: &u32| u16::try_from(*code).unwrap_or(u16::MAX);
        let chunks = codes.chunks(BLOCK_BITS);
        if is_wide(n_values) {
            Self::Wide(chunks.map(Arc::from).collect())
        } else {
            Self::Narrow(chunks.map(|own| own.iter().map(narrow).collect()).collect())
        }
    }

    /// The value at a place; [`MISSING`] if there is none.
    #[inline]
    pub(super) fn at(&self, place: u32) -> u32 {
        let (chunk, inside) = (place as usize / BLOCK_BITS, place as usize % BLOCK_BITS);
        match self {
            Self::Narrow(chunks) => match chunks[chunk][inside] {
                u16::MAX => MISSING,
                code => u32::from(code),
            },
            Self::Wide(chunks) => chunks[chunk][inside],
        }
    }

    /// Which of a block's values lie in a range; loops that compile to vector comparisons.
    pub(super) fn within(&self, values: &Range<u32>, block: usize) -> Block {
        let span = values.end - values.start;
        match self {
            Self::Narrow(chunks) => {
                let narrow = |code: u32| u16::try_from(code).unwrap_or(u16::MAX);
                let (start, span) = (narrow(values.start), narrow(span));
                words_where(&chunks[block], |code| code.wrapping_sub(start) < span)
            }
            Self::Wide(chunks) => words_where(&chunks[block], |code| {
                code.wrapping_sub(values.start) < span
            }),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Narrow(chunks) => chunks.iter().map(|own| size_of_val(&own[..])).sum(),
            Self::Wide(chunks) => chunks.iter().map(|own| size_of_val(&own[..])).sum(),
        }
    }
}

fn words_where<T: Copy>(codes: &[T], fits: impl Fn(T) -> bool) -> Block {
    let mut words = [0; 64];
    for (word, part) in words.iter_mut().zip(codes.chunks(64)) {
        let mut flags = [0_u8; 64];
        for (flag, code) in flags.iter_mut().zip(part) {
            *flag = u8::from(fits(*code));
        }
        // The product gathers the eight flags of a byte each in its top byte.
        for (place, eight) in (0..).step_by(8).zip(flags.as_chunks::<8>().0) {
            let gathered = u64::from_le_bytes(*eight).wrapping_mul(0x0102_0408_1020_4080) >> 56;
            *word |= gathered << place;
        }
    }
    words
}
