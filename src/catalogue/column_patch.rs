//! A column after some rows changed.

use std::collections::BTreeMap;

use crate::catalogue::column::{Cells, Column, Forward, Slot, ValueId, ordinal};
use crate::catalogue::lists::Lists;
use crate::catalogue::row::Row;
use crate::domain::value::{Value, ValueType};

/// New values of rows, ascending by row, each row once; an empty list takes the values away.
/// The values of a row ascend without repeats.
pub(super) type RowChanges = Vec<(Row, Vec<Value>)>;

impl Column {
    /// A column without values, to be patched.
    pub(super) fn empty(kind: ValueType, multi: bool) -> Self {
        let cells = Cells::Single(Forward::new(0, Vec::new()));
        Self::from_cells(kind, multi, 0, Vec::new(), cells)
    }

    /// The column after `changes`, as a build of all rows would give it.
    ///
    /// Merges into the sorted dictionary, then passes over the rows. In a column with several
    /// values a row, changed rows get lists of their own until a build shares equal ones.
    pub(super) fn patched(&self, n_rows: u32, changes: &RowChanges) -> Self {
        let (values, new_ids) = self.renumber(changes);
        let ids_of = |given: &[Value]| {
            let place = |value| values.binary_search(value);
            let id = |value| ordinal(place(value).expect("every new value was merged in"));
            given.iter().map(id).map(ValueId).collect::<Vec<_>>()
        };
        let multi = self.multi || changes.iter().any(|(_, given)| 1 < given.len());
        let new_id = |id: ValueId| new_ids[id.0 as usize];
        let cells = match &self.cells {
            Cells::Single(ids) if !multi => {
                let first = |(row, given): &(Row, Vec<Value>)| (*row, ids_of(given).pop());
                let changed = changes.iter().map(first).collect();
                Cells::Single(ids.patched(n_rows, new_id, &changed))
            }
            cells => {
                let (places, old) = cells.as_lists(self.values.len());
                let mut lists = Lists::default();
                for place in 0..old.len() {
                    let kept = old.at(place).iter().map(|id| new_id(*id));
                    lists.push(kept.filter(|id| *id != ValueId::NONE));
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
        };
        let mut patched = Self::from_cells(self.kind, multi, n_rows, values, cells);
        patched.folded = self.folded.as_ref().map(|folded| {
            if new_ids.len() == patched.values.len() && is_identity(&new_ids) {
                return folded.clone();
            }
            let mut is_new = vec![true; patched.values.len()];
            for id in new_ids.iter().filter(|id| **id != ValueId::NONE) {
                is_new[id.0 as usize] = false;
            }
            let ids = (0..).map(ValueId).zip(is_new);
            let added: Vec<ValueId> = ids
                .filter(|(_, is_new)| *is_new)
                .map(|(id, _)| id)
                .collect();
            folded.patched(&patched.values, &new_ids, &added)
        });
        patched
    }

    /// The values after `changes`, and the new id of each old one; a value that no row holds any
    /// more gets none.
    fn renumber(&self, changes: &RowChanges) -> (Vec<Value>, Vec<ValueId>) {
        let mut added: Vec<&Value> = changes.iter().flat_map(|(_, given)| given).collect();
        added.sort_unstable();
        added.dedup();
        let mut lost: BTreeMap<ValueId, u32> = BTreeMap::new();
        for (row, _) in changes {
            for id in self.of(*row) {
                *lost.entry(*id).or_default() += 1;
            }
        }
        let is_gone = |id: ValueId| {
            let all = lost
                .get(&id)
                .is_some_and(|n_lost| *n_lost == self.rows(id).len());
            all && added.binary_search(&self.value(id)).is_err()
        };
        let mut values = Vec::with_capacity(self.values.len() + added.len());
        let mut new_ids = Vec::with_capacity(self.values.len());
        let mut rest = added.iter().copied().peekable();
        for (id, value) in (0..).map(ValueId).zip(&self.values) {
            while let Some(smaller) = rest.next_if(|other| *other < value) {
                values.push(smaller.clone());
            }
            rest.next_if_eq(&value);
            if is_gone(id) {
                new_ids.push(ValueId::NONE);
            } else {
                new_ids.push(ValueId(ordinal(values.len())));
                values.push(value.clone());
            }
        }
        values.extend(rest.cloned());
        (values, new_ids)
    }
}

fn is_identity(new_ids: &[ValueId]) -> bool {
    (0..).map(ValueId).zip(new_ids).all(|(id, new)| id == *new)
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
