//! From the cells of all rows to a [`Column`].

use std::sync::Arc;

use crate::catalogue::column::{Cells, Column, Forward, Postings, ValueId, frequent_from, ordinal};
use crate::catalogue::folded::Folded;
use crate::catalogue::lists::Lists;
use crate::catalogue::row::{Row, RowSet};
use crate::domain::value::{Value, ValueType};

/// Cells as they are found: lists of values, and the place of each row's list.
pub(super) struct RawCells {
    /// Values of each cell, in any order, repeats allowed, possibly empty.
    pub(super) cells: Lists<Value>,
    /// Places of cells, ascending by row, each row once.
    pub(super) of_rows: Vec<(Row, u32)>,
}

impl RawCells {
    /// Without cells that no row has, such as a product's when all its variants have their own.
    fn without_idle(mut self) -> Self {
        let mut has_row = vec![false; self.cells.len()];
        for (_, cell) in &self.of_rows {
            has_row[*cell as usize] = true;
        }
        if has_row.iter().all(|has_row| *has_row) {
            return self;
        }
        let mut cells = Lists::default();
        let mut new_place = vec![0; has_row.len()];
        for (cell, _) in has_row.iter().enumerate().filter(|(_, has_row)| **has_row) {
            new_place[cell] = ordinal(cells.len());
            cells.push(self.cells.at(cell).iter().cloned());
        }
        for (_, cell) in &mut self.of_rows {
            *cell = new_place[*cell as usize];
        }
        Self { cells, ..self }
    }
}

impl Column {
    /// Sorts the values, numbers them, and lists the rows of each.
    ///
    /// A sort of the cells' values and three passes over the rows that hold something.
    pub(super) fn build(kind: ValueType, multi: bool, n_rows: u32, raw: RawCells) -> Self {
        let raw = raw.without_idle();
        let (values, ids) = number(raw.cells.items());
        let mut multi = multi;
        let mut sorted = Lists::default();
        let mut at = 0;
        for cell in 0..raw.cells.len() {
            let n_values = raw.cells.at(cell).len();
            let mut list = ids[at..at + n_values].to_vec();
            list.sort_unstable();
            list.dedup();
            multi |= 1 < list.len();
            at += n_values;
            sorted.push(list);
        }
        let mut of_rows = raw.of_rows;
        of_rows.retain(|(_, cell)| !sorted.at(*cell as usize).is_empty());
        let cells = if multi {
            many(&sorted, n_rows, of_rows)
        } else {
            let id = |(row, cell): (Row, u32)| (row, sorted.at(cell as usize)[0]);
            Cells::Single(Forward::new(n_rows, of_rows.into_iter().map(id).collect()))
        };
        Self::from_cells(kind, multi, n_rows, values, cells)
    }

    /// Makes the values searchable, if they are not.
    pub(super) fn make_searchable(&mut self) {
        self.folded.get_or_insert_with(|| Folded::new(&self.values));
    }

    /// Derives the rows of each value from the values of each row.
    pub(super) fn from_cells(
        kind: ValueType,
        multi: bool,
        n_rows: u32,
        values: Vec<Value>,
        cells: Cells,
    ) -> Self {
        let present = RowSet::from_ascending(cells.iter().map(|(row, _)| row));
        let postings = postings(&cells, values.len(), frequent_from(n_rows));
        Self {
            kind,
            multi,
            values: values.into(),
            cells,
            postings,
            present,
            folded: None,
        }
    }
}

/// The distinct values ascending, and the id of each given one.
fn number(given: &[Value]) -> (Vec<Value>, Vec<ValueId>) {
    let mut order: Vec<u32> = (0..ordinal(given.len())).collect();
    order.sort_unstable_by(|&left, &right| given[left as usize].cmp(&given[right as usize]));
    let mut values: Vec<Value> = Vec::new();
    let mut ids = vec![ValueId(0); given.len()];
    for place in order {
        let value = &given[place as usize];
        if values.last() != Some(value) {
            values.push(value.clone());
        }
        ids[place as usize] = ValueId(ordinal(values.len() - 1));
    }
    (values, ids)
}

/// Keeps each distinct list once.
fn many(sorted: &Lists<ValueId>, n_rows: u32, of_rows: Vec<(Row, u32)>) -> Cells {
    let mut order: Vec<u32> = (0..ordinal(sorted.len())).collect();
    let list = |cell: u32| sorted.at(cell as usize);
    order.sort_unstable_by(|&left, &right| list(left).cmp(list(right)));
    let mut lists: Lists<ValueId> = Lists::default();
    let mut place_of = vec![0; sorted.len()];
    for cell in order {
        let own = list(cell);
        if own.is_empty() {
            continue;
        }
        if lists.len() == 0 || lists.at(lists.len() - 1) != own {
            lists.push(own.iter().copied());
        }
        place_of[cell as usize] = ordinal(lists.len() - 1);
    }
    let place = |(row, cell): (Row, u32)| (row, place_of[cell as usize]);
    let places = of_rows.into_iter().map(place).collect();
    Cells::Many(Forward::new(n_rows, places), lists)
}

/// Counts the rows of each value, then lists those of rare ones and gathers those of frequent ones.
fn postings(cells: &Cells, n_values: usize, frequent_from: u32) -> Postings {
    let mut counts = vec![0_u32; n_values];
    let held = cells
        .iter()
        .flat_map(|(row, ids)| ids.iter().map(move |&id| (id, row)));
    for (id, _) in held.clone() {
        counts[id.0 as usize] += 1;
    }
    let is_frequent = |id: ValueId| frequent_from <= counts[id.0 as usize];
    let rare = held.clone().filter(|(id, _)| !is_frequent(*id));
    let lists = Lists::bucketed(n_values, rare.map(|(id, row)| (id.0, row)), Row(0));
    let mut slots = vec![usize::MAX; n_values];
    let mut frequent: Vec<(ValueId, Vec<Row>)> = Vec::new();
    for id in (0..ordinal(n_values)).map(ValueId) {
        if is_frequent(id) {
            slots[id.0 as usize] = frequent.len();
            frequent.push((id, Vec::with_capacity(counts[id.0 as usize] as usize)));
        }
    }
    for (id, row) in held {
        if let Some((_, rows)) = frequent.get_mut(slots[id.0 as usize]) {
            rows.push(row);
        }
    }
    let set = |(id, rows): (ValueId, Vec<Row>)| (id, Arc::new(RowSet::from_ascending(rows)));
    Postings {
        frequent: frequent.into_iter().map(set).collect(),
        lists,
    }
}
