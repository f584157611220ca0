//! A query in terms of one view: what matches, and how two places compare.

use std::ops::Range;

use crate::catalogue::column::ValueId;
use crate::catalogue::row::RowSet;
use crate::promotion::slot::SlotMask;
use crate::ranking::build::MarketView;
use crate::ranking::clause::Clause;
use crate::ranking::cursor::{Place, SORT_KEYS_MAX};
use crate::ranking::filter::Filter;
use crate::ranking::layout::Stretches;
use crate::ranking::order::Key;
use crate::ranking::posting::{MISSING, Postings};
use crate::ranking::query::{GroupBy, Query, SortKey};

/// Results of at most this many variants are ordered eagerly, whatever the market's size.
const EAGER_MIN: usize = 1_024;

/// The same, as one in how many of the market's variants.
const EAGER_ONE_IN: usize = 512;

/// The same, where an attribute sorts: its runs may be walked in vain.
const EAGER_SORTED_ONE_IN: usize = 32;

/// A query in terms of one view.
pub(in crate::ranking) struct Ask<'a> {
    pub(in crate::ranking) view: &'a MarketView,
    pub(in crate::ranking) filter: Filter<'a>,
    /// Applicable slots; none where relevance is never reached.
    pub(in crate::ranking) mask: SlotMask,
    /// Units that are one place; `None` if each is one by itself.
    pub(in crate::ranking) stretches: Option<&'a Stretches>,
    pub(in crate::ranking) sort: Vec<By<'a>>,
    /// Units of all match classes, ascending, with the class of each.
    classes: Option<Vec<(u32, u32)>>,
    /// Places, as [`Ask::owner`] names them, that the panel's own hits stand for; ascending.
    taken: Vec<u32>,
}

/// A sort key that stands before relevance.
#[derive(Clone, Copy)]
pub(in crate::ranking) struct By<'a> {
    attr: &'a str,
    pub(in crate::ranking) postings: &'a Postings,
    pub(in crate::ranking) descending: bool,
}

impl<'a> Ask<'a> {
    pub(in crate::ranking) fn new(view: &'a MarketView, query: &'a Query, mask: SlotMask) -> Self {
        let base = &*view.base;
        let mut filter = Filter::new(base, &query.filter, &query.today);
        if let Some(Some(node)) = query.category {
            filter.restrict(Clause::of_category(base, node));
        }
        let units_of = |rows: &RowSet| -> Vec<u32> {
            let units = rows.iter().filter_map(|row| base.layout.unit_of_row(row));
            units.collect()
        };
        let mut classes = None;
        match query.classes.as_deref() {
            None => {}
            Some([rows]) => {
                let mut units = units_of(rows);
                units.sort_unstable();
                filter.restrict(Clause::units(units));
            }
            Some(all) => {
                let of_class = |(class, rows)| {
                    let units = units_of(rows).into_iter();
                    units.map(move |unit| (unit, class))
                };
                let mut units: Vec<(u32, u32)> = (0..).zip(all).flat_map(of_class).collect();
                units.sort_unstable();
                units.dedup_by_key(|(unit, _)| *unit);
                filter.restrict(Clause::units(units.iter().map(|(unit, _)| *unit).collect()));
                classes = Some(units);
            }
        }
        let (keys, relevance) = query.attribute_keys();
        let sort = keys.iter().take(SORT_KEYS_MAX).filter_map(|key| match key {
            SortKey::By { attr, descending } => Some(By {
                attr: attr.as_str(),
                postings: base.postings(attr.as_str())?,
                descending: *descending,
            }),
            SortKey::Relevance => None,
        });
        let stretches = match query.group_by {
            GroupBy::Variant => None,
            GroupBy::Product => Some(&base.layout.products),
            GroupBy::ProductGroup => Some(&base.layout.groups),
        };
        Self {
            view,
            filter,
            mask: if relevance { mask } else { SlotMask::EMPTY },
            stretches,
            sort: sort.collect(),
            classes,
            taken: Vec::new(),
        }
    }

    /// Results of at most this many variants are ordered eagerly.
    pub(in crate::ranking) fn eager_max(&self) -> usize {
        let n = self.view.base.n();
        if self.filter.is_listed() {
            return n;
        }
        let one_in = if self.sort.is_empty() {
            EAGER_ONE_IN
        } else {
            EAGER_SORTED_ONE_IN
        };
        EAGER_MIN.max(n / one_in)
    }

    /// Whether nothing but promotions and scores orders the result.
    pub(in crate::ranking) fn is_plain(&self) -> bool {
        self.sort.is_empty() && self.classes.is_none()
    }

    /// Place of a unit by promotions and scores.
    #[inline]
    pub(in crate::ranking) fn key(&self, unit: u32) -> Key {
        self.view.key_of_unit(unit, self.mask)
    }

    /// Place of a unit under the whole request.
    pub(in crate::ranking) fn place(&self, unit: u32) -> Place {
        self.place_of(unit, self.key(unit))
    }

    /// The same of a unit whose key is known.
    pub(in crate::ranking) fn place_of(&self, unit: u32, key: Key) -> Place {
        let mut sort = [0; SORT_KEYS_MAX];
        for (place, by) in sort.iter_mut().zip(&self.sort) {
            *place = by.place(self.value_of(unit, by));
        }
        let class = self.classes.as_ref().map_or(0, |classes| {
            let found = classes.binary_search_by_key(&unit, |(own, _)| *own);
            found.map_or(u32::MAX, |at| classes[at].1)
        });
        Place { sort, class, key }
    }

    fn value_of(&self, unit: u32, by: &By<'_>) -> u32 {
        if let Some(forward) = &by.postings.forward {
            return forward.by_unit.at(unit);
        }
        let row = self.view.base.layout.row_at(unit);
        let column = self.view.catalogue().column(by.attr);
        let first = column.and_then(|column| column.of(row).first());
        first.map_or(MISSING, |id| id.0)
    }

    /// Name of the place that a unit belongs to: the last unit of its group.
    #[inline]
    pub(in crate::ranking) fn owner(&self, unit: u32) -> u32 {
        self.stretches
            .map_or(unit, |stretches| stretches.end_of(unit))
    }

    /// Whether the panel's own hits stand for a place.
    pub(in crate::ranking) fn is_taken(&self, owner: u32) -> bool {
        !self.taken.is_empty() && self.taken.binary_search(&owner).is_ok()
    }

    /// Unit of the best matching sibling of a unit that matches itself.
    pub(in crate::ranking) fn best_sibling(&self, unit: u32) -> u32 {
        let Some(stretches) = self.stretches else {
            return unit;
        };
        let (mut best, mut least) = (unit, self.place(unit));
        for sibling in stretches.around(unit) {
            if sibling != unit {
                let place = self.place(sibling);
                if place < least && self.filter.contains(sibling) {
                    (best, least) = (sibling, place);
                }
            }
        }
        best
    }

    /// Units of the panel's own hits that are in the result, and the entries that are not.
    /// What they stand for is left out of everything else.
    pub(in crate::ranking) fn primary(&mut self, query: &Query) -> (Vec<u32>, Vec<usize>) {
        let layout = &self.view.base.layout;
        let (mut shown, mut skipped) = (Vec::new(), Vec::new());
        for (place, rows) in query.primary.iter().enumerate() {
            let units = rows.iter().filter_map(|row| layout.unit_of_row(*row));
            let inside = units.filter(|unit| self.filter.contains(*unit));
            let mut inside: Vec<u32> = inside.map(|unit| layout.rank_at(unit)).collect();
            inside.sort_unstable();
            if inside.is_empty() {
                skipped.push(place);
            }
            for rank in inside {
                let unit = layout.unit_of(rank);
                let owner = self.owner(unit);
                if !self.taken.contains(&owner) {
                    self.taken.push(owner);
                    shown.push(unit);
                }
            }
        }
        self.taken.sort_unstable();
        (shown, skipped)
    }
}

impl By<'_> {
    /// Units that hold a value of an attribute whose values hardly two variants share; ascending.
    pub(in crate::ranking) fn thin_units(&self, ask: &Ask<'_>, value: u32) -> Vec<u32> {
        let mut units = Vec::new();
        if let Some(column) = ask.view.catalogue().column(self.attr) {
            let layout = &ask.view.base.layout;
            let rows = column.rows(ValueId(value));
            rows.for_each(|row| units.extend(layout.unit_of_row(row)));
        }
        units.sort_unstable();
        units
    }

    /// Place of a value in the direction asked; a missing one stands last either way.
    pub(in crate::ranking) fn place(&self, value: u32) -> u32 {
        match value {
            MISSING => MISSING,
            value if self.descending => self.postings.n_values - 1 - value,
            value => value,
        }
    }

    /// Places of the values that a filter may leave, ascending.
    pub(in crate::ranking) fn places(&self, filter: &Filter<'_>) -> Range<u32> {
        let all = 0..self.postings.n_values;
        let left = match &self.postings.forward {
            Some(forward) => filter.left_of(forward, all),
            None => all,
        };
        if self.descending && !left.is_empty() {
            self.place(left.end - 1)..self.place(left.start) + 1
        } else {
            left
        }
    }

    /// The value at a place, which is the same the other way round.
    pub(in crate::ranking) fn value(&self, place: u32) -> u32 {
        self.place(place)
    }
}
