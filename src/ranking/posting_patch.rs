//! The postings of an attribute after the values of some variants changed.
//!
//! The layout stands, so every rank and unit keeps its place, and only the numbers of values move:
//! a [`Renaming`] tells how. Sets and pages of lists in which no variant came or went are shared.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;

use crate::catalogue::column::{Column, ValueId};
use crate::catalogue::row::Row;
use crate::ranking::layout::{Layout, Stretches};
use crate::ranking::posting::{
    Codes, Dense, Forward, Holders, List, Lists, MISSING, Page, Postings, Values, is_dense,
    is_thin, is_wide,
};
use crate::ranking::renaming::{Renaming, stepped};
use crate::ranking::words::BLOCK_BITS;

/// Values that come or go before renaming takes a table.
const STEPS_MAX: usize = 16;

/// One attribute's column before and after rows changed.
#[derive(Clone, Copy)]
pub(super) struct Edit<'a> {
    pub(super) former: &'a Column,
    pub(super) column: &'a Column,
    /// Rows that may hold other values, whole products each.
    pub(super) rows: &'a [Row],
    /// Of both.
    pub(super) layout: &'a Layout,
}

/// Units that a value loses and gains.
#[derive(Default)]
struct Moved {
    lost: BTreeSet<u32>,
    gained: BTreeSet<u32>,
}

/// What the changed variants mean for an attribute, in the numbers from now on.
struct Change {
    renaming: Renaming,
    /// Changed units, and the value of each if it is one.
    units: BTreeMap<u32, Option<u32>>,
    moved: BTreeMap<u32, Moved>,
}

/// New lists by place among the former values.
struct NewLists {
    /// By former number.
    put: BTreeMap<u32, Vec<u32>>,
    /// Of new values: the former number they come before, and their units.
    came: Vec<(u32, Vec<u32>)>,
    /// Former numbers that are gone.
    gone: Vec<u32>,
}

impl Postings {
    /// What [`Postings::build`] would make of the column; `None` if it has to.
    pub(super) fn after(&self, edit: Edit<'_>) -> Option<Self> {
        let (n, n_values) = (edit.layout.n(), edit.column.values().len());
        let stays = edit.column.kind() == edit.former.kind()
            && edit.column.multi() == self.multi
            && is_thin(edit.column, n) == self.values.is_none();
        if !stays {
            return None;
        }
        let change = edit.change();
        let forward = match &self.forward {
            None => None,
            Some(forward) => Some(Forward {
                by_rank: forward
                    .by_rank
                    .after(n_values, &change, |unit| edit.layout.rank_at(unit))?,
                by_unit: forward.by_unit.after(n_values, &change, |unit| unit)?,
            }),
        };
        Some(Self {
            n_varying: edit.n_varying(self.n_varying, &change),
            multi: self.multi,
            present: self.present_after(&edit, &change),
            forward,
            values: self
                .values
                .as_ref()
                .map(|values| values.after(&edit, &change)),
            n_values: u32::try_from(n_values).expect("fewer values than memberships"),
        })
    }

    fn present_after(&self, edit: &Edit<'_>, change: &Change) -> Option<Arc<Dense>> {
        let layout = edit.layout;
        let is_empty = |unit: u32| edit.column.of(layout.row_at(unit)).is_empty();
        let mut present = match &self.present {
            Some(present) => Dense::clone(present),
            None if change.units.keys().any(|unit| is_empty(*unit)) => {
                Dense::of(layout, 0..layout.n_ranks())
            }
            None => return None,
        };
        for unit in change.units.keys() {
            present.set(layout, *unit, !is_empty(*unit));
        }
        ((present.by_unit.count() as usize) < layout.n()).then(|| Arc::new(present))
    }
}

impl Change {
    /// Stretches around the changed units, each once.
    fn around(&self, stretches: &Stretches) -> Vec<Range<u32>> {
        let mut all: Vec<Range<u32>> = Vec::new();
        for unit in self.units.keys() {
            if all.last().is_none_or(|last| last.end <= *unit) {
                all.push(stretches.around(*unit));
            }
        }
        all
    }
}

impl Edit<'_> {
    fn change(&self) -> Change {
        let renaming = Renaming::new(self.former, self.column);
        let mut units = BTreeMap::new();
        let mut moved: BTreeMap<u32, Moved> = BTreeMap::new();
        for row in self.rows {
            let Some(unit) = self.layout.unit_of_row(*row) else {
                continue;
            };
            let before = renaming.all(self.former.of(*row));
            let after: Vec<u32> = self.column.of(*row).iter().map(|id| id.0).collect();
            if before == after {
                continue;
            }
            units.insert(unit, after.first().copied());
            for value in before.iter().filter(|value| **value != MISSING) {
                if !after.contains(value) {
                    moved.entry(*value).or_default().lost.insert(unit);
                }
            }
            for value in after.iter().filter(|value| !before.contains(value)) {
                moved.entry(*value).or_default().gained.insert(unit);
            }
        }
        Change {
            renaming,
            units,
            moved,
        }
    }

    /// How many products have variants that differ in the attribute.
    fn n_varying(&self, before: u32, change: &Change) -> u32 {
        let varies = |column: &Column, units: &Range<u32>| {
            let mut held = units
                .clone()
                .map(|unit| column.of(self.layout.row_at(unit)));
            let first = held.next();
            held.any(|ids| Some(ids) != first)
        };
        let mut n = before;
        for units in change.around(&self.layout.products) {
            n -= u32::from(varies(self.former, &units));
            n += u32::from(varies(self.column, &units));
        }
        n
    }

    /// Values that some units hold now, and that they held before.
    fn held(&self, units: Range<u32>, renaming: &Renaming) -> (BTreeSet<u32>, BTreeSet<u32>) {
        let rows = units.map(|unit| self.layout.row_at(unit));
        let now = rows
            .clone()
            .flat_map(|row| self.column.of(row))
            .map(|id| id.0);
        let before = rows.flat_map(|row| renaming.all(self.former.of(row)));
        (now.collect(), before.filter(|id| *id != MISSING).collect())
    }
}

impl Values {
    fn after(&self, edit: &Edit<'_>, change: &Change) -> Self {
        let (layout, n) = (edit.layout, edit.layout.n());
        let renaming = &change.renaming;
        let mut dense: BTreeMap<u32, Arc<Dense>> = (self.dense.iter())
            .map(|(value, own)| (renaming.new_id(*value), Arc::clone(own)))
            .filter(|(value, _)| *value != MISSING)
            .collect();
        let mut lists = NewLists {
            put: BTreeMap::new(),
            came: Vec::new(),
            gone: renaming.gone.clone(),
        };
        for (value, moved) in &change.moved {
            let old = edit.former.find(edit.column.value(ValueId(*value)));
            let old = old.map(|id| id.0);
            let held = old.map_or(Holders::List(List::default()), |old| self.holders(old));
            let n_held = held.len() + moved.gained.len() - moved.lost.len();
            let was_dense = dense.remove(value);
            let units = if is_dense(n_held, n) {
                let own = match was_dense {
                    Some(own) => moved.over(layout, &own),
                    None => Dense::of(layout, moved.list(held)),
                };
                dense.insert(*value, Arc::new(own));
                Vec::new()
            } else {
                moved.list(held)
            };
            if let Some(old) = old {
                lists.put.insert(old, units);
            } else {
                lists.came.push((renaming.place_of_new(*value), units));
            }
        }
        Self {
            dense: dense.into_iter().collect(),
            lists: self.lists.after(&lists, layout),
            n_owners: self.owners_after(edit, change),
        }
    }

    fn owners_after(&self, edit: &Edit<'_>, change: &Change) -> Vec<(u32, u32)> {
        let renaming = &change.renaming;
        let mut owners = match &renaming.new_of {
            None => self.n_owners.clone(),
            Some(new_of) => {
                let mut owners = vec![(0, 0); edit.column.values().len()];
                for (new, own) in new_of.iter().zip(&self.n_owners) {
                    if *new != MISSING {
                        owners[*new as usize] = *own;
                    }
                }
                owners
            }
        };
        let mut count_anew = |stretches, of: fn(&mut (u32, u32)) -> &mut u32| {
            for units in change.around(stretches) {
                let (now, before) = edit.held(units, renaming);
                for value in before.difference(&now) {
                    *of(&mut owners[*value as usize]) -= 1;
                }
                for value in now.difference(&before) {
                    *of(&mut owners[*value as usize]) += 1;
                }
            }
        };
        count_anew(&edit.layout.products, |(products, _)| products);
        count_anew(&edit.layout.groups, |(_, groups)| groups);
        owners
    }
}

impl Moved {
    /// The units of a value from now on, ascending.
    fn list(&self, held: Holders<'_>) -> Vec<u32> {
        let mut units: Vec<u32> = match held {
            Holders::Dense(own) => own.by_unit.iter().collect(),
            Holders::List(list) => list.units.to_vec(),
        };
        units.retain(|unit| !self.lost.contains(unit));
        units.extend(&self.gained);
        units.sort_unstable();
        units
    }

    fn over(&self, layout: &Layout, held: &Dense) -> Dense {
        let mut own = held.clone();
        self.lost
            .iter()
            .for_each(|unit| own.set(layout, *unit, false));
        self.gained
            .iter()
            .for_each(|unit| own.set(layout, *unit, true));
        own
    }
}

impl Lists {
    /// Copies the pages in which a list changed, and shares the others.
    fn after(&self, new: &NewLists, layout: &Layout) -> Self {
        let mut next = Self::default();
        let end_of = |place: usize| match self.firsts.get(place + 1) {
            Some(first) => *first,
            None => self.firsts[place] + self.pages[place].len(),
        };
        for (place, page) in self.pages.iter().enumerate() {
            let is_last = place + 1 == self.pages.len();
            let olds = self.firsts[place]..end_of(place);
            // What is new and comes behind the last value goes to the last page.
            let reach = olds.start..olds.end + u32::from(is_last);
            let came_before = new
                .came
                .partition_point(|(before, _)| *before < reach.start);
            let came_until = new.came.partition_point(|(before, _)| *before < reach.end);
            let gone_before = new.gone.partition_point(|gone| *gone < olds.start);
            let gone_until = new.gone.partition_point(|gone| *gone < olds.end);
            let first = olds.start + count(came_before) - count(gone_before);
            let is_same = came_before == came_until
                && gone_before == gone_until
                && new.put.range(olds.clone()).next().is_none();
            next.firsts.push(first);
            next.pages.push(if is_same {
                Arc::clone(page)
            } else {
                let came = &new.came[came_before..came_until];
                Arc::new(page.after(olds, came, new, layout))
            });
        }
        next
    }
}

impl Page {
    fn after(
        &self,
        olds: Range<u32>,
        came: &[(u32, Vec<u32>)],
        new: &NewLists,
        layout: &Layout,
    ) -> Self {
        let mut next = Self {
            starts: vec![0],
            ..Self::default()
        };
        let mut came = came.iter().peekable();
        let first = olds.start;
        for old in olds {
            while let Some((_, units)) = came.next_if(|(before, _)| *before <= old) {
                next.push(layout, units);
            }
            if new.gone.binary_search(&old).is_ok() {
                continue;
            }
            if let Some(units) = new.put.get(&old) {
                next.push(layout, units);
            } else {
                let own = self.at(old - first);
                next.push_sorted(own.ranks, own.units);
            }
        }
        came.for_each(|(_, units)| next.push(layout, units));
        next
    }

    fn push(&mut self, layout: &Layout, units: &[u32]) {
        let mut ranks: Vec<u32> = units.iter().map(|unit| layout.rank_at(*unit)).collect();
        ranks.sort_unstable();
        self.push_sorted(&ranks, units);
    }

    fn push_sorted(&mut self, ranks: &[u32], units: &[u32]) {
        self.ranks.extend_from_slice(ranks);
        self.units.extend_from_slice(units);
        self.starts.push(count(self.units.len()));
    }
}

impl Codes {
    /// With values renamed, then those of changed units set; `None` if their width would change.
    fn after(
        &self,
        n_values: usize,
        change: &Change,
        place_of: impl Fn(u32) -> u32,
    ) -> Option<Self> {
        if is_wide(n_values) != matches!(self, Self::Wide(_)) {
            return None;
        }
        let mut codes = match &change.renaming.new_of {
            None => self.clone(),
            Some(new_of) => self.renamed(new_of, &change.renaming),
        };
        for (unit, value) in &change.units {
            codes.set(place_of(*unit), *value);
        }
        Some(codes)
    }

    /// Codes of gone values come out as any; their variants are all set afterwards.
    fn renamed(&self, new_of: &[u32], renaming: &Renaming) -> Self {
        let by_steps = renaming.came.len() + renaming.gone.len() <= STEPS_MAX;
        match self {
            Self::Narrow(chunks) => {
                let narrow = |new: u32| u16::try_from(new).unwrap_or(u16::MAX);
                let steps = renaming.steps().map(|(from, up)| (narrow(from), up));
                let steps: Vec<(u16, bool)> = steps.collect();
                let renamed = |chunk: &Arc<[u16]>| -> Arc<[u16]> {
                    if by_steps {
                        return stepped(chunk, &steps);
                    }
                    let new = |code: &u16| new_of.get(usize::from(*code)).copied();
                    let codes = chunk.iter().map(|code| new(code).map_or(u16::MAX, narrow));
                    codes.collect()
                };
                Self::Narrow(chunks.iter().map(renamed).collect())
            }
            Self::Wide(chunks) => {
                let steps: Vec<(u32, bool)> = renaming.steps().collect();
                let renamed = |chunk: &Arc<[u32]>| -> Arc<[u32]> {
                    if by_steps {
                        return stepped(chunk, &steps);
                    }
                    let new = |code: &u32| new_of.get(*code as usize).copied();
                    chunk
                        .iter()
                        .map(|code| new(code).unwrap_or(MISSING))
                        .collect()
                };
                Self::Wide(chunks.iter().map(renamed).collect())
            }
        }
    }

    /// Puts the value of one variant, or none; copies its chunk if another view shares it.
    fn set(&mut self, place: u32, value: Option<u32>) {
        let (chunk, inside) = (place as usize / BLOCK_BITS, place as usize % BLOCK_BITS);
        match self {
            Self::Narrow(chunks) => {
                let code = value.and_then(|value| u16::try_from(value).ok());
                Arc::make_mut(&mut chunks[chunk])[inside] = code.unwrap_or(u16::MAX);
            }
            Self::Wide(chunks) => {
                Arc::make_mut(&mut chunks[chunk])[inside] = value.unwrap_or(MISSING);
            }
        }
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).expect("fewer values than memberships, which are counted in 32 bits")
}
