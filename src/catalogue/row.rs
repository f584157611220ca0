//! Rows: variants as small stable numbers, and sets of them.

use roaring::RoaringBitmap;

/// Stable ordinal of a variant in one `Catalogue` value and its deltas.
///
/// Dense from 0. A variant that a delta deletes leaves its row vacant; only a full import numbers
/// anew. Never leaves the process: stored records and wire formats carry the variant's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Row(pub u32);

/// Stable ordinal of a product in one `Catalogue` value and its deltas; like [`Row`], it may be
/// vacant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProductNo(pub u32);

/// Stable ordinal of a group of products in one `Catalogue` value and its deltas.
///
/// A product without a group is a group of its own, which shares no number with a named one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupNo(pub u32);

/// A set of rows, iterated in ascending order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RowSet(RoaringBitmap);

impl RowSet {
    /// No rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// All rows below `n_rows`.
    pub fn below(n_rows: u32) -> Self {
        let mut rows = RoaringBitmap::new();
        rows.insert_range(0..n_rows);
        Self(rows)
    }

    /// From rows in strictly ascending order.
    ///
    /// # Panics
    /// If they do not ascend.
    pub fn from_ascending(rows: impl IntoIterator<Item = Row>) -> Self {
        let numbers = rows.into_iter().map(|row| row.0);
        Self(RoaringBitmap::from_sorted_iter(numbers).expect("rows ascend, as the caller promises"))
    }

    /// Adds one row.
    pub fn insert(&mut self, row: Row) {
        self.0.insert(row.0);
    }

    /// Takes one row out.
    pub fn remove(&mut self, row: Row) {
        self.0.remove(row.0);
    }

    /// Whether `row` is in the set.
    pub fn contains(&self, row: Row) -> bool {
        self.0.contains(row.0)
    }

    /// Number of rows.
    pub fn len(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The rows, ascending.
    pub fn iter(&self) -> impl Iterator<Item = Row> + '_ {
        self.0.iter().map(Row)
    }

    /// Adds all of `other`.
    pub fn unite(&mut self, other: &Self) {
        self.0 |= &other.0;
    }

    /// Keeps only what `other` holds as well.
    pub fn intersect(&mut self, other: &Self) {
        self.0 &= &other.0;
    }

    /// Drops what `other` holds.
    pub fn subtract(&mut self, other: &Self) {
        self.0 -= &other.0;
    }

    /// What only one of the two holds.
    #[must_use]
    pub fn differing(&self, other: &Self) -> Self {
        Self(&self.0 ^ &other.0)
    }

    /// Number of rows in both, without building the set.
    pub fn n_common(&self, other: &Self) -> u32 {
        u32::try_from(self.0.intersection_len(&other.0)).unwrap_or(u32::MAX)
    }
}

impl FromIterator<Row> for RowSet {
    fn from_iter<I: IntoIterator<Item = Row>>(rows: I) -> Self {
        Self(rows.into_iter().map(|row| row.0).collect())
    }
}

impl Extend<Row> for RowSet {
    fn extend<I: IntoIterator<Item = Row>>(&mut self, rows: I) {
        self.0.extend(rows.into_iter().map(|row| row.0));
    }
}
