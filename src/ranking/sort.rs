//! Orders that begin with attributes: the values of the first one are walked, each a run of its own.
//!
//! A short run is sorted whole. In a long one the next attribute's values are walked, or, where
//! only promotions and scores are left, the streams are merged under one clause more. So a page
//! sorted by price costs the cheapest goods until it is full, not the market.

use crate::ranking::ask::{Ask, By};
use crate::ranking::clause::Clause;
use crate::ranking::cursor::Place;
use crate::ranking::filter::Filter;
use crate::ranking::posting::{Holders, MISSING};
use crate::ranking::serve::{Pile, serve_firsts, serve_lazily};
use crate::ranking::words::BLOCK_BITS;

/// Runs longer than this are not sorted whole.
const RUN_SORTED_MAX: usize = 2 * BLOCK_BITS;

/// Fills the page in the order of the request's attributes.
pub(super) fn serve_runs(ask: &Ask<'_>, filter: &Filter<'_>, pile: &mut Pile) -> u32 {
    let from = pile.from();
    let mut runs = Runs {
        ask,
        pile,
        n_looked_at: 0,
    };
    runs.walk(filter, &ask.sort, from);
    runs.n_looked_at
}

struct Runs<'r, 'a> {
    ask: &'r Ask<'a>,
    pile: &'r mut Pile,
    n_looked_at: u32,
}

impl Runs<'_, '_> {
    /// Walks what `filter` lets through in the order of `keys`, behind `from`.
    fn walk(&mut self, filter: &Filter<'_>, keys: &[By<'_>], from: Option<Place>) {
        let Some((by, rest)) = keys.split_first() else {
            let from = from.map(|from| from.key);
            let walked = serve_lazily(self.ask, filter, self.pile, from, u64::MAX);
            self.n_looked_at += walked.unwrap_or_else(|(_, n_looked_at)| n_looked_at);
            return;
        };
        let depth = self.ask.sort.len() - keys.len();
        let first = from.map_or(0, |from| from.sort[depth]);
        for place in by.places(filter).filter(|place| first <= *place) {
            let resumed = from.filter(|from| from.sort[depth] == place);
            self.run(filter, (by, by.value(place)), rest, resumed);
            if self.pile.is_full() {
                return;
            }
        }
        if let Some(present) = &by.postings.present {
            let resumed = from.filter(|from| from.sort[depth] == MISSING);
            let within = Filter::within(filter, Clause::missing(present));
            self.walk(&within, rest, resumed);
        }
    }

    /// Serves the run of one value.
    fn run(
        &mut self,
        filter: &Filter<'_>,
        (by, value): (&By<'_>, u32),
        rest: &[By<'_>],
        from: Option<Place>,
    ) {
        let holders = by
            .postings
            .values
            .as_ref()
            .map(|values| values.holders(value));
        match holders {
            Some(holders) if RUN_SORTED_MAX < holders.len() => {
                let within = Filter::within(filter, Clause::any(vec![holders]));
                self.walk(&within, rest, from);
            }
            Some(Holders::Dense(dense)) => self.sorted(filter, dense.by_unit.iter(), from),
            Some(Holders::List(list)) => self.sorted(filter, list.units.iter().copied(), from),
            None => {
                let units = by.thin_units(self.ask, value);
                self.sorted(filter, units.into_iter(), from);
            }
        }
    }

    fn sorted(
        &mut self,
        filter: &Filter<'_>,
        units: impl Iterator<Item = u32>,
        from: Option<Place>,
    ) {
        let inside = units.filter(|unit| filter.contains(*unit));
        self.n_looked_at += serve_firsts(self.ask, inside, self.pile, from);
    }
}
