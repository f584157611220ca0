//! The eager plans: every rank of a small result gets its place, the best of them are sorted.

use crate::ranking::cursor::Place;

/// Hands out places in order, sorting no more of them than is asked for.
///
/// The unsorted rest lies behind a prefix that is selected and sorted in steps, each twice the one
/// before; so n places cost O(n) and the k first ones O(k log k).
pub(super) struct Eager {
    places: Vec<Place>,
    sorted: usize,
    next: usize,
    step: usize,
}

impl Eager {
    /// Takes places in any order; `first` are expected to be needed.
    pub(super) fn new(places: Vec<Place>, first: usize) -> Self {
        Self {
            places,
            sorted: 0,
            next: 0,
            step: first.max(16),
        }
    }

    /// The next place; `None` when all were handed out.
    pub(super) fn next(&mut self) -> Option<Place> {
        if self.next == self.sorted {
            self.sort_more();
        }
        let place = self.places.get(self.next).copied()?;
        self.next += 1;
        Some(place)
    }

    fn sort_more(&mut self) {
        let rest = &mut self.places[self.sorted..];
        let n = self.step.min(rest.len());
        if n < rest.len() {
            rest.select_nth_unstable(n);
        }
        rest[..n].sort_unstable();
        self.sorted += n;
        self.step *= 2;
    }
}
