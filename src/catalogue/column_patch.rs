//! A column after some rows changed.
//!
//! What comes and what goes is a few [`Splice`]s in the dictionary; all between them is copied as it
//! lies. If no value comes or goes, ids stay as they are and the dictionary is shared, so a patch
//! costs the copy of a few bytes a row.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::catalogue::column::{
    Cells, Column, Forward, Postings, Rows, Slot, ValueId, frequent_from, ordinal,
};
use crate::catalogue::lists::Lists;
use crate::catalogue::row::{Row, RowSet};
use crate::domain::value::{Value, ValueType};

/// New values of rows, ascending by row, each row once; an empty list takes the values away.
/// The values of a row ascend without repeats.
pub(super) type RowChanges = Vec<(Row, Vec<Value>)>;

/// A place of the dictionary where something changes.
struct Splice {
    /// The old value there; empty if one comes before it.
    at: Range<usize>,
    /// The value there from now on, and its rows; none if the old one goes.
    put: Option<(Value, Holders)>,
    /// Its id from now on.
    id: ValueId,
}

/// Rows of one value, as [`Postings`] keep them.
enum Holders {
    Frequent(Arc<RowSet>),
    Rare(Vec<Row>),
}

/// Rows that a value loses and gains, ascending.
#[derive(Default)]
struct Moved {
    lost: Vec<Row>,
    gained: Vec<Row>,
}

impl Column {
    /// A column without values, to be patched.
    pub(super) fn empty(kind: ValueType, multi: bool) -> Self {
        let cells = Cells::Single(Forward::new(0, Vec::new()));
        Self::from_cells(kind, multi, 0, Vec::new(), cells)
    }

    /// The column after `changes`, as a build of all rows would give it.
    ///
    /// In a column with several values a row, changed rows get lists of their own until a build
    /// shares equal ones.
    pub(super) fn patched(&self, n_rows: u32, changes: &RowChanges) -> Self {
        let splices = self.splices(n_rows, changes);
        let new_ids = self.new_ids(&splices);
        let values = match &new_ids {
            None => Arc::clone(&self.values),
            Some(_) => self.spliced_values(&splices).into(),
        };
        let multi = self.multi || changes.iter().any(|(_, given)| 1 < given.len());
        let mut present = self.present.clone();
        for (row, given) in changes {
            if given.is_empty() {
                present.remove(*row);
            } else {
                present.insert(*row);
            }
        }
        Self {
            kind: self.kind,
            multi,
            cells: self.patched_cells(n_rows, changes, multi, (&values, new_ids.as_deref())),
            postings: self.postings.spliced(&splices, new_ids.as_deref()),
            present,
            folded: self.folded.as_ref().map(|folded| match &new_ids {
                None => folded.clone(),
                Some(new_ids) => {
                    let fresh = splices.iter().filter(|splice| splice.at.is_empty());
                    let added: Vec<ValueId> = fresh.map(|splice| splice.id).collect();
                    folded.patched(&values, new_ids, &added)
                }
            }),
            values,
        }
    }

    /// What changes in the dictionary and in the rows of its values, ascending.
    fn splices(&self, n_rows: u32, changes: &RowChanges) -> Vec<Splice> {
        let mut moved: BTreeMap<&Value, Moved> = BTreeMap::new();
        for (row, given) in changes {
            let held = self.of(*row).iter().map(|id| self.value(*id));
            for value in held.clone().filter(|value| !given.contains(value)) {
                moved.entry(value).or_default().lost.push(*row);
            }
            for value in given
                .iter()
                .filter(|value| !held.clone().any(|own| own == *value))
            {
                moved.entry(value).or_default().gained.push(*row);
            }
        }
        let frequent_from = frequent_from(n_rows);
        let mut splices = Vec::with_capacity(moved.len());
        let (mut came, mut went) = (0, 0);
        for (value, moved) in moved {
            let (at, rows) = match self.values.binary_search(value) {
                Ok(place) => (place..place + 1, self.rows(ValueId(ordinal(place)))),
                Err(place) => (place..place, Rows::List(&[])),
            };
            let rows = Holders::after(rows, &moved, frequent_from);
            let id = ValueId(ordinal(at.start + came - went));
            came += usize::from(at.is_empty());
            went += usize::from(rows.is_none());
            let put = rows.map(|rows| (value.clone(), rows));
            splices.push(Splice { at, put, id });
        }
        splices
    }

    /// The new id of each old value; `None` if all keep theirs. A value that goes gets none.
    fn new_ids(&self, splices: &[Splice]) -> Option<Vec<ValueId>> {
        let stays = |splice: &Splice| splice.at.len() == usize::from(splice.put.is_some());
        if splices.iter().all(stays) {
            return None;
        }
        let mut ids = Vec::with_capacity(self.values.len());
        let mut next = 0;
        let copy = |ids: &mut Vec<ValueId>, until: usize, next: u32| {
            let n = ordinal(until - ids.len());
            ids.extend((next..next + n).map(ValueId));
            next + n
        };
        for splice in splices {
            next = copy(&mut ids, splice.at.start, next);
            if !splice.at.is_empty() {
                ids.push(splice.put.as_ref().map_or(ValueId::NONE, |_| splice.id));
            }
            next += u32::from(splice.put.is_some());
        }
        copy(&mut ids, self.values.len(), next);
        Some(ids)
    }

    fn spliced_values(&self, splices: &[Splice]) -> Vec<Value> {
        let mut values = Vec::with_capacity(self.values.len() + splices.len());
        let mut from = 0;
        for splice in splices {
            values.extend_from_slice(&self.values[from..splice.at.start]);
            values.extend(splice.put.iter().map(|(value, _)| value.clone()));
            from = splice.at.end;
        }
        values.extend_from_slice(&self.values[from..]);
        values
    }

    fn patched_cells(
        &self,
        n_rows: u32,
        changes: &RowChanges,
        multi: bool,
        (values, new_ids): (&[Value], Option<&[ValueId]>),
    ) -> Cells {
        let ids_of = |given: &[Value]| {
            let place = |value| values.binary_search(value);
            let id = |value| ordinal(place(value).expect("every new value was merged in"));
            given.iter().map(id).map(ValueId).collect::<Vec<_>>()
        };
        if let (Cells::Single(ids), false) = (&self.cells, multi) {
            let first = |(row, given): &(Row, Vec<Value>)| (*row, ids_of(given).pop());
            let changed = changes.iter().map(first).collect();
            return Cells::Single(match new_ids {
                None => ids.patched(n_rows, |id| id, &changed),
                Some(new_ids) => ids.patched(n_rows, |id| new_ids[id.0 as usize], &changed),
            });
        }
        let (places, mut lists) = self.cells.as_lists(self.values.len());
        if let Some(new_ids) = new_ids {
            let old = std::mem::take(&mut lists);
            for place in 0..old.len() {
                let kept = old.at(place).iter().map(|id| new_ids[id.0 as usize]);
                lists.push(kept.filter(|id| *id != ValueId::NONE));
            }
        }
        let mut changed = BTreeMap::new();
        for (row, given) in changes {
            let place = (!given.is_empty()).then(|| ordinal(lists.len()));
            if place.is_some() {
                lists.push(ids_of(given));
            }
            changed.insert(*row, place);
        }
        Cells::Many(places.patched(n_rows, |place| place, &changed), lists)
    }
}

impl Holders {
    /// The rows of a value after some were lost and gained; none if no row is left.
    fn after(rows: Rows<'_>, moved: &Moved, frequent_from: u32) -> Option<Self> {
        let n = rows.len() as usize + moved.gained.len() - moved.lost.len();
        if n == 0 {
            return None;
        }
        if let Rows::List(own) = rows
            && n < frequent_from as usize
        {
            let kept = own
                .iter()
                .filter(|row| moved.lost.binary_search(row).is_err());
            let mut rows: Vec<Row> = kept.chain(&moved.gained).copied().collect();
            rows.sort_unstable();
            return Some(Self::Rare(rows));
        }
        let mut set = match rows {
            Rows::Set(own) => own.clone(),
            Rows::List(own) => RowSet::from_ascending(own.iter().copied()),
        };
        moved.lost.iter().for_each(|row| set.remove(*row));
        set.extend(moved.gained.iter().copied());
        Some(if frequent_from as usize <= n {
            Self::Frequent(Arc::new(set))
        } else {
            Self::Rare(set.iter().collect())
        })
    }
}

impl Postings {
    fn spliced(&self, splices: &[Splice], new_ids: Option<&[ValueId]>) -> Self {
        let lists = splices.iter().map(|splice| {
            let put = splice.put.as_ref().map(|(_, rows)| match rows {
                Holders::Rare(rows) => &rows[..],
                Holders::Frequent(_) => &[],
            });
            (splice.at.clone(), put)
        });
        let lists = self.lists.spliced(lists);
        let new_id = |id: ValueId| new_ids.map_or(id, |ids| ids[id.0 as usize]);
        let replaced = splices.iter().filter(|splice| !splice.at.is_empty());
        let replaced: Vec<usize> = replaced.map(|splice| splice.at.start).collect();
        let is_kept = |id: ValueId| replaced.binary_search(&(id.0 as usize)).is_err();
        let kept = self.frequent.iter().filter(|(id, _)| is_kept(*id));
        let mut frequent: Vec<_> = kept
            .map(|(id, set)| (new_id(*id), Arc::clone(set)))
            .collect();
        frequent.extend(splices.iter().filter_map(|splice| match &splice.put {
            Some((_, Holders::Frequent(set))) => Some((splice.id, Arc::clone(set))),
            _ => None,
        }));
        frequent.sort_unstable_by_key(|(id, _)| *id);
        Self { frequent, lists }
    }
}

impl Cells {
    /// The cells as lists; single values become lists of one.
    fn as_lists(&self, n_values: usize) -> (Forward<u32>, Lists<ValueId>) {
        match self {
            Self::Many(places, lists) => (places.clone(), lists.clone()),
            Self::Single(ids) => {
                let mut lists = Lists::default();
                for id in 0..ordinal(n_values) {
                    lists.push([ValueId(id)]);
                }
                (ids.map(|id| id.0), lists)
            }
        }
    }
}

impl<T: Slot> Forward<T> {
    /// With `n_rows` rows, numbers renamed, then the changed rows set or cleared.
    fn patched(
        &self,
        n_rows: u32,
        renamed: impl Fn(T) -> T,
        changes: &BTreeMap<Row, Option<T>>,
    ) -> Self {
        match self {
            Self::Dense(slots) => {
                let rename = |&slot: &T| if slot == T::NONE { slot } else { renamed(slot) };
                let mut slots: Vec<T> = slots.iter().map(rename).collect();
                slots.resize(n_rows as usize, T::NONE);
                for (row, slot) in changes {
                    slots[row.0 as usize] = slot.unwrap_or(T::NONE);
                }
                Self::Dense(slots)
            }
            Self::Sparse(..) => {
                let kept = self.iter().filter(|(row, _)| !changes.contains_key(row));
                let kept = kept.map(|(row, slot)| (row, renamed(*slot)));
                let set = changes
                    .iter()
                    .filter_map(|(row, slot)| Some((*row, (*slot)?)));
                let mut pairs: Vec<_> = kept.chain(set).collect();
                pairs.sort_unstable_by_key(|(row, _)| *row);
                Self::new(n_rows, pairs)
            }
        }
    }

    fn map<U: Slot>(&self, to: impl Fn(&T) -> U) -> Forward<U> {
        match self {
            Self::Dense(slots) => {
                let slot = |slot: &T| if *slot == T::NONE { U::NONE } else { to(slot) };
                Forward::Dense(slots.iter().map(slot).collect())
            }
            Self::Sparse(rows, slots) => {
                Forward::Sparse(rows.clone(), slots.iter().map(to).collect())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalogue::column_build::RawCells;
    use crate::catalogue::row::RowSet;
    use crate::domain::number::Number;

    type Sheet = Vec<Vec<i64>>;

    fn values(cell: &[i64]) -> Vec<Value> {
        let numbers = cell.iter().map(|&number| Number::from_integer(number));
        numbers.map(Value::Number).collect()
    }

    fn built(sheet: &Sheet) -> Column {
        let mut cells = Lists::default();
        let mut of_rows = Vec::new();
        for (row, cell) in (0..).zip(sheet) {
            cells.push(values(cell));
            of_rows.push((Row(row), row));
        }
        let n_rows = ordinal(sheet.len());
        let raw = RawCells { cells, of_rows };
        Column::build(ValueType::Number, false, n_rows, raw)
    }

    /// The column says of each row and of each value what a look at the sheet says.
    fn agrees(column: &Column, sheet: &Sheet) -> Result<(), TestCaseError> {
        let distinct: std::collections::BTreeSet<i64> = sheet.iter().flatten().copied().collect();
        let distinct: Vec<i64> = distinct.into_iter().collect();
        prop_assert_eq!(column.values(), &values(&distinct)[..]);
        for (row, cell) in (0..).map(Row).zip(sheet) {
            let mut wanted = cell.clone();
            wanted.sort_unstable();
            wanted.dedup();
            let held = column.of(row).iter().map(|id| column.value(*id).clone());
            prop_assert_eq!(held.collect::<Vec<_>>(), values(&wanted));
        }
        let scan = |fits: &dyn Fn(&[i64]) -> bool| -> RowSet {
            let rows = (0..).map(Row).zip(sheet);
            rows.filter(|(_, cell)| fits(cell))
                .map(|(row, _)| row)
                .collect()
        };
        prop_assert_eq!(column.present(), &scan(&|cell| !cell.is_empty()));
        for (place, number) in distinct.iter().enumerate() {
            let rows = column.rows_with(ValueId(ordinal(place))).into_owned();
            prop_assert_eq!(rows, scan(&|cell| cell.contains(number)));
        }
        for (min, max) in [(-2, 3), (0, 0), (3, 1), (-9, 9)] {
            let [low, high] = [min, max].map(|n| Value::Number(Number::from_integer(n)));
            let rows = column.rows_in(column.range(Some(&low), Some(&high)));
            prop_assert_eq!(
                rows,
                scan(&|cell| cell.iter().any(|n| (min..=max).contains(n)))
            );
        }
        Ok(())
    }

    /// Full and nearly empty sheets; zero is frequent enough for a set.
    fn sheet(cells: usize) -> impl Strategy<Value = Sheet> {
        let number = prop_oneof![2 => Just(0), 1 => -5_i64..6];
        let cell = prop::collection::vec(number, 0..=cells);
        let rare = prop_oneof![9 => Just(Vec::new()), 1 => cell.clone()];
        prop_oneof![
            prop::collection::vec(cell, 0..400),
            prop::collection::vec(rare, 0..400),
        ]
    }

    proptest! {
        #[test]
        fn a_built_column_is_a_linear_scan(sheet in sheet(1), several in sheet(3)) {
            agrees(&built(&sheet), &sheet)?;
            agrees(&built(&several), &several)?;
        }

        #[test]
        fn a_patched_column_is_a_built_one(
            before in sheet(2),
            single in sheet(1),
            changes in prop::collection::btree_map(0_u32..220, prop::collection::vec(-7_i64..8, 0..=1), 0..40),
        ) {
            for before in [before, single] {
                let mut after = before.clone();
                after.resize(before.len().max(220), Vec::new());
                for (row, cell) in &changes {
                    after[*row as usize].clone_from(cell);
                }
                let given = changes.iter().map(|(row, cell)| (Row(*row), values(cell)));
                let patched = built(&before).patched(ordinal(after.len()), &given.collect());
                agrees(&patched, &after)?;
            }
        }

        #[test]
        fn a_second_value_widens_a_single_column(before in sheet(1), row in 0_u32..200) {
            let mut after = before.clone();
            after.resize(before.len().max(200), Vec::new());
            after[row as usize] = vec![-9, 4];
            let patched = built(&before).patched(ordinal(after.len()), &vec![(Row(row), values(&[-9, 4]))]);
            prop_assert!(patched.multi());
            agrees(&patched, &after)?;
        }
    }
}
