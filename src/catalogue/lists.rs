//! Many short lists in two vectors.

use std::ops::Range;

/// Lists of `T`, back to back: 4 bytes a list beside its elements.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lists<T> {
    /// Where each list begins, and the end of the last.
    starts: Vec<u32>,
    items: Vec<T>,
}

impl<T> Default for Lists<T> {
    fn default() -> Self {
        Self {
            starts: vec![0],
            items: Vec::new(),
        }
    }
}

impl<T> Lists<T> {
    /// Appends a list.
    ///
    /// # Panics
    /// Above 2³² elements in all.
    pub(super) fn push(&mut self, list: impl IntoIterator<Item = T>) {
        self.items.extend(list);
        let end = u32::try_from(self.items.len()).expect("elements are counted in 32 bits");
        self.starts.push(end);
    }

    /// Number of lists.
    pub(super) fn len(&self) -> usize {
        self.starts.len() - 1
    }

    /// The list at `idx`.
    ///
    /// # Panics
    /// If there is none.
    pub(super) fn at(&self, idx: usize) -> &[T] {
        &self.items[self.starts[idx] as usize..self.starts[idx + 1] as usize]
    }

    /// The elements of the lists from `first` up to, not including, `end`.
    pub(super) fn span(&self, first: usize, end: usize) -> &[T] {
        &self.items[self.starts[first] as usize..self.starts[end] as usize]
    }

    /// All elements in order.
    pub(super) fn items(&self) -> &[T] {
        &self.items
    }
}

impl<T: Copy> Lists<T> {
    /// With others in place of some ranges of lists, ascending; what lies between is copied whole.
    pub(super) fn spliced<'s>(
        &self,
        splices: impl Iterator<Item = (Range<usize>, Option<&'s [T]>)>,
    ) -> Self
    where
        T: 's,
    {
        let mut next = Self {
            starts: Vec::with_capacity(self.starts.len()),
            items: Vec::with_capacity(self.items.len()),
        };
        next.starts.push(0);
        let mut from = 0;
        for (range, put) in splices {
            next.copy(self, from..range.start);
            from = range.end;
            if let Some(list) = put {
                next.push(list.iter().copied());
            }
        }
        next.copy(self, from..self.len());
        next
    }

    fn copy(&mut self, from: &Self, lists: Range<usize>) {
        let first = from.starts[lists.start];
        let own = u32::try_from(self.items.len()).expect("elements are counted in 32 bits");
        let ends = &from.starts[lists.start + 1..=lists.end];
        self.starts.extend(ends.iter().map(|end| end - first + own));
        self.items
            .extend_from_slice(from.span(lists.start, lists.end));
    }

    /// Sorts `entries` of `(list, element)` into `n_lists` lists; elements keep their order.
    pub(super) fn bucketed(
        n_lists: usize,
        entries: impl Iterator<Item = (u32, T)> + Clone,
        filler: T,
    ) -> Self {
        let mut starts = vec![0_u32; n_lists + 1];
        for (list, _) in entries.clone() {
            starts[list as usize + 1] += 1;
        }
        for list in 0..n_lists {
            starts[list + 1] += starts[list];
        }
        let mut next = starts.clone();
        let mut items = vec![filler; starts[n_lists] as usize];
        for (list, item) in entries {
            let place = &mut next[list as usize];
            items[*place as usize] = item;
            *place += 1;
        }
        Self { starts, items }
    }
}
