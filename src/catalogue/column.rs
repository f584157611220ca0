//! All values of one attribute: a dictionary, the ids each row holds, the rows that hold each id.

use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

use crate::catalogue::folded::Folded;
use crate::catalogue::lists::Lists;
use crate::catalogue::row::{Row, RowSet};
use crate::domain::value::{Value, ValueType};

/// Place of a value among the distinct values of one [`Column`] value, ascending.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueId(pub u32);

/// All values of one attribute of one market.
///
/// Cost a row and value: 4 bytes forward and 4 bytes back, for frequent values about 1 to 2 back;
/// rows with equal lists share one. Every value is held by at least one row.
#[derive(Clone, Debug)]
pub struct Column {
    pub(super) kind: ValueType,
    pub(super) multi: bool,
    /// Distinct and ascending; shared by columns that number them alike.
    pub(super) values: Arc<[Value]>,
    pub(super) cells: Cells,
    pub(super) postings: Postings,
    pub(super) present: RowSet,
    /// The values as folded words, if a text query looks into the attribute.
    pub(super) folded: Option<Folded>,
}

/// What each row holds; rows past the end hold nothing.
#[derive(Clone, Debug)]
pub(super) enum Cells {
    /// One value id a row.
    Single(Forward<ValueId>),
    /// The place of each row's list; lists are distinct, ascending, not empty.
    Many(Forward<u32>, Lists<ValueId>),
}

impl Cells {
    /// The ids that `row` holds.
    pub(super) fn of(&self, row: Row) -> &[ValueId] {
        match self {
            Self::Single(ids) => ids.get(row).map_or(&[], std::slice::from_ref),
            Self::Many(places, lists) => places
                .get(row)
                .map_or(&[], |&place| lists.at(place as usize)),
        }
    }

    /// Rows that hold something, ascending, with what they hold.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Row, &[ValueId])> + Clone {
        let (single, many) = match self {
            Self::Single(ids) => (Some(ids.iter()), None),
            Self::Many(places, lists) => (None, Some((places.iter(), lists))),
        };
        let single = single.into_iter().flatten();
        let single = single.map(|(row, id)| (row, std::slice::from_ref(id)));
        let many = many.into_iter().flat_map(|(places, lists)| {
            places.map(move |(row, &place)| (row, lists.at(place as usize)))
        });
        single.chain(many)
    }
}

/// One small number a row, or none.
#[derive(Clone, Debug)]
pub(super) enum Forward<T> {
    /// By row, with [`Slot::NONE`] in the gaps.
    Dense(Vec<T>),
    /// The rows that have one, ascending, and their numbers.
    Sparse(Vec<Row>, Vec<T>),
}

/// A number with one value that means "none".
pub(super) trait Slot: Copy + PartialEq {
    /// Means "none".
    const NONE: Self;
}

impl Slot for u32 {
    const NONE: Self = u32::MAX;
}

impl Slot for ValueId {
    const NONE: Self = Self(u32::MAX);
}

impl<T: Slot> Forward<T> {
    /// From rows in ascending order; dense if at least a quarter of `n_rows` has one.
    pub(super) fn new(n_rows: u32, pairs: Vec<(Row, T)>) -> Self {
        if pairs.len() < n_rows as usize / 4 {
            let (rows, slots) = pairs.into_iter().unzip();
            return Self::Sparse(rows, slots);
        }
        let mut slots = vec![T::NONE; n_rows as usize];
        for (row, slot) in pairs {
            slots[row.0 as usize] = slot;
        }
        Self::Dense(slots)
    }

    fn get(&self, row: Row) -> Option<&T> {
        match self {
            Self::Dense(slots) => slots.get(row.0 as usize).filter(|slot| **slot != T::NONE),
            Self::Sparse(rows, slots) => rows.binary_search(&row).ok().map(|place| &slots[place]),
        }
    }

    /// Rows that have one, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Row, &T)> + Clone {
        let (dense, sparse) = match self {
            Self::Dense(slots) => (&slots[..], None),
            Self::Sparse(rows, slots) => (&[][..], Some(rows.iter().copied().zip(slots))),
        };
        let dense = (0..).map(Row).zip(dense);
        let dense = dense.filter(|(_, slot)| **slot != T::NONE);
        dense.chain(sparse.into_iter().flatten())
    }
}

/// Rows by value id.
#[derive(Clone, Debug)]
pub(super) struct Postings {
    /// Sets of the frequent values, ascending by id.
    pub(super) frequent: Vec<(ValueId, Arc<RowSet>)>,
    /// Rows of the others, ascending; the lists of frequent values are empty.
    pub(super) lists: Lists<Row>,
}

/// Values held by at least this many of `n_rows` rows get a set instead of a list.
///
/// A set then costs at most the 4 bytes a row that a list does, containers included.
pub(super) fn frequent_from(n_rows: u32) -> u32 {
    (n_rows / 512).max(64)
}

/// Rows that hold one value.
#[derive(Clone, Copy, Debug)]
pub enum Rows<'a> {
    /// Of a frequent value.
    Set(&'a RowSet),
    /// Of a rare value, ascending.
    List(&'a [Row]),
}

impl Rows<'_> {
    /// Number of rows.
    pub fn len(&self) -> u32 {
        match self {
            Self::Set(set) => set.len(),
            Self::List(list) => u32::try_from(list.len()).unwrap_or(u32::MAX),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds them to `set`.
    pub fn unite_into(&self, set: &mut RowSet) {
        match self {
            Self::Set(own) => set.unite(own),
            Self::List(list) => set.extend(list.iter().copied()),
        }
    }

    /// Calls `visit` with each row, ascending.
    pub fn for_each(&self, visit: impl FnMut(Row)) {
        match self {
            Self::Set(set) => set.iter().for_each(visit),
            Self::List(list) => list.iter().copied().for_each(visit),
        }
    }
}

impl Column {
    /// Type of the values.
    pub fn kind(&self) -> ValueType {
        self.kind
    }

    /// Whether a row may hold several values.
    pub fn multi(&self) -> bool {
        self.multi
    }

    /// The distinct values, ascending; `ValueId(i)` is the one at place `i`.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// Whether ids mean the same values in both, by being the same dictionary.
    pub fn shares_values(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.values, &other.values)
    }

    /// The ids that `row` holds, ascending; empty if it has no value.
    pub fn of(&self, row: Row) -> &[ValueId] {
        self.cells.of(row)
    }

    /// The value of an id.
    pub fn value(&self, id: ValueId) -> &Value {
        &self.values[id.0 as usize]
    }

    /// The id of a value.
    pub fn find(&self, value: &Value) -> Option<ValueId> {
        let place = self.values.binary_search(value);
        place.ok().map(|idx| ValueId(ordinal(idx)))
    }

    /// Ids of the values from `min` to `max`, both inclusive; empty if the bounds are of another
    /// type than the column.
    pub fn range(&self, min: Option<&Value>, max: Option<&Value>) -> Range<u32> {
        let foreign = |bound: Option<&Value>| bound.is_some_and(|value| value.kind() != self.kind);
        if foreign(min) || foreign(max) {
            return 0..0;
        }
        let first = min.map_or(0, |min| self.values.partition_point(|value| value < min));
        let end = max.map_or(self.values.len(), |max| {
            self.values.partition_point(|value| value <= max)
        });
        ordinal(first)..ordinal(end.max(first))
    }

    /// Ids of the texts that begin with `prefix`, code point by code point.
    pub fn prefix(&self, prefix: &str) -> Range<u32> {
        let before = |value: &Value| matches!(value, Value::Text(text) if &**text < prefix);
        let within = |value: &Value| matches!(value, Value::Text(text) if text.starts_with(prefix));
        let first = self.values.partition_point(before);
        let n_within = self.values[first..].partition_point(within);
        ordinal(first)..ordinal(first + n_within)
    }

    /// The rows that hold a value, as they are kept.
    pub fn rows(&self, id: ValueId) -> Rows<'_> {
        let frequent = &self.postings.frequent;
        match frequent.binary_search_by_key(&id, |(id, _)| *id) {
            Ok(place) => Rows::Set(&frequent[place].1),
            Err(_) => Rows::List(self.postings.lists.at(id.0 as usize)),
        }
    }

    /// The rows that hold a value, as a set; free for frequent values.
    pub fn rows_with(&self, id: ValueId) -> Cow<'_, RowSet> {
        match self.rows(id) {
            Rows::Set(set) => Cow::Borrowed(set),
            Rows::List(list) => Cow::Owned(RowSet::from_ascending(list.iter().copied())),
        }
    }

    /// The rows that hold one of the values of a range of ids.
    ///
    /// Sorts the rare rows of the range, or walks the column if that is cheaper.
    pub fn rows_in(&self, ids: Range<u32>) -> RowSet {
        if ids.is_empty() {
            return RowSet::new();
        }
        let rare = self
            .postings
            .lists
            .span(ids.start as usize, ids.end as usize);
        if self.present.len() as usize / 8 < rare.len() {
            return self.walk(&ids);
        }
        let mut rows = rare.to_vec();
        rows.sort_unstable();
        rows.dedup();
        let mut set = RowSet::from_ascending(rows);
        let frequent = &self.postings.frequent;
        let first = frequent.partition_point(|(id, _)| id.0 < ids.start);
        let end = frequent.partition_point(|(id, _)| id.0 < ids.end);
        for (_, rows) in &frequent[first..end] {
            set.unite(rows);
        }
        set
    }

    /// About how many bytes it takes on the heap.
    pub(super) fn bytes(&self) -> usize {
        let n_held = self.present.len() as usize;
        let rare = std::mem::size_of_val(self.postings.lists.items());
        let values = self.values.len() * (size_of::<Value>() + size_of::<u32>());
        n_held * size_of::<u32>() + rare + values
    }

    /// The rows that hold a value at all.
    pub fn present(&self) -> &RowSet {
        &self.present
    }

    fn walk(&self, ids: &Range<u32>) -> RowSet {
        let within = |(_, held): &(Row, &[ValueId])| held.iter().any(|id| ids.contains(&id.0));
        RowSet::from_ascending(self.cells.iter().filter(within).map(|(row, _)| row))
    }
}

/// An index into the values as an ordinal.
pub(super) fn ordinal(idx: usize) -> u32 {
    u32::try_from(idx).expect("values are counted in 32 bits")
}
