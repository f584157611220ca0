//! Places in order, until the page is full.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::ranking::ask::Ask;
use crate::ranking::cursor::Place;
use crate::ranking::eager::{Groups, Least};
use crate::ranking::filter::Filter;
use crate::ranking::matching::{self, Matching};
use crate::ranking::merge::{Merge, Source};
use crate::ranking::order::{Effect, Key};
use crate::ranking::query::Query;
use crate::ranking::seen::Seen;
use crate::ranking::sort::serve_runs;

/// The page as far as it is filled.
pub(super) struct Pile {
    /// Units of the panel's own hits and of what follows, the latter with their levels.
    pub(super) units: Vec<(u32, Effect)>,
    /// The last place served behind the panel's own hits.
    pub(super) last: Option<Place>,
    /// Where the request asks to go on.
    from: Option<Place>,
    /// Places still to be passed over.
    skip: u32,
    wanted: usize,
    seen: Seen,
}

impl Pile {
    /// Begins with the panel's own hits; `wanted` places will be on the page.
    pub(super) fn new(query: &Query, primary: &[u32], wanted: usize) -> Self {
        let position = query.from.as_ref();
        let offset = position.map_or(query.offset, |from| from.served);
        let own = primary.iter().skip(offset as usize).take(wanted);
        let from = position.and_then(|from| from.last);
        let n_primary = u32::try_from(primary.len()).unwrap_or(u32::MAX);
        let skip = match from {
            Some(_) => 0,
            None => offset.saturating_sub(n_primary),
        };
        Self {
            units: own.map(|unit| (*unit, Effect::NONE)).collect(),
            last: from,
            from,
            skip,
            wanted,
            seen: match from {
                Some(_) => Seen::behind(),
                None => Seen::from_the_first(wanted + skip as usize + primary.len()),
            },
        }
    }

    /// Begins at the first place behind `n_primary` hits of the panel's own, wherever the request
    /// asks to begin.
    pub(super) fn from_the_first(n_primary: usize, wanted: usize) -> Self {
        Self {
            units: Vec::new(),
            last: None,
            from: None,
            skip: 0,
            wanted,
            seen: Seen::from_the_first(wanted + n_primary),
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.wanted <= self.units.len()
    }

    /// Places that are still to be passed over or shown.
    fn n_missing(&self) -> usize {
        self.wanted - self.units.len() + self.skip as usize
    }

    /// Where the walk goes on: behind the last place of an earlier page.
    pub(super) fn from(&self) -> Option<Place> {
        self.from
    }

    /// Takes the unit at the next place, whose group did not come before; whether the page wants
    /// more.
    fn take(&mut self, unit: u32, key: Key, place: impl FnOnce() -> Place) -> bool {
        if 0 < self.skip {
            self.skip -= 1;
            return true;
        }
        self.units.push((unit, key.effect()));
        if self.is_full() {
            self.last = Some(place());
        }
        !self.is_full()
    }
}

/// Words that cost as much as gathering one unit and giving it its place.
const WORDS_PER_UNIT: u64 = 32;

/// Results of more units are never gathered.
const GATHERED_MAX: u64 = 1 << 16;

/// Words that the lazy plan may touch before the eager one would have cost less.
pub(super) fn words_worth(ask: &Ask<'_>, matching: &Matching) -> u64 {
    let n = ask.view.base.n() as u64;
    let n_places = ask.stretches.map_or(n, |own| u64::from(own.len()));
    let n_units = u64::from(matching.total) * n / n_places.max(1);
    if GATHERED_MAX < n_units {
        u64::MAX
    } else {
        n_units * WORDS_PER_UNIT
    }
}

/// Units that are looked up together.
const AT_ONCE: usize = 64;

/// Fills the page behind the panel's own hits; how many variants were looked at one by one.
///
/// Where the lazy plan finds out that it touches more than `words_max`, because hardly anything
/// that matches is of the levels that come first, the eager plan goes on behind the last place.
pub(super) fn serve(ask: &Ask<'_>, matching: &Matching, pile: &mut Pile, words_max: u64) -> u32 {
    if pile.is_full() {
        return 0;
    }
    match &matching.units {
        Some(units) => serve_eagerly(ask, units, pile, pile.from()),
        None if ask.is_plain() => {
            let from = pile.from().map(|from| from.key);
            match serve_lazily(ask, &ask.filter, pile, from, words_max) {
                Ok(n_looked_at) => n_looked_at,
                Err((last, n_looked_at)) => {
                    let units = matching::all_units(&ask.filter);
                    serve_keys(ask, &units, pile, last);
                    n_looked_at + u32::try_from(units.len()).unwrap_or(u32::MAX)
                }
            }
        }
        None => serve_runs(ask, &ask.filter, pile),
    }
}

/// Serves the groups of all these units, which are whole groups as far as they match.
fn serve_eagerly(ask: &Ask<'_>, units: &[u32], pile: &mut Pile, from: Option<Place>) -> u32 {
    if ask.is_plain() {
        serve_keys(ask, units, pile, from.map(|from| from.key));
    } else {
        serve_places(ask, units, pile, from);
    }
    u32::try_from(units.len()).unwrap_or(u32::MAX)
}

/// The same where promotions and scores alone decide.
///
/// Ranks and levels of some units are looked up before any is compared, so that the memory they lie
/// in is waited for together. Most are turned away by their rank: as soon as enough groups are gathered, the worst of
/// them says for each level below which rank a unit must be.
fn serve_keys(ask: &Ask<'_>, units: &[u32], pile: &mut Pile, from: Option<Key>) {
    let layout = &ask.view.base.layout;
    let first_ranks = |key: Key| Effect::ALL.map(|own| key.first_rank(own, &layout.block_start));
    let served = from.map_or([0; 5], |from| first_ranks(from.next()));
    let mut limits = [u32::MAX; 5];
    let mut least = Least::new(pile.n_missing());
    let mut groups = Groups::new(ask.stretches);
    for units in units.chunks(AT_ONCE) {
        let mut looked_up = [(0, Effect::NONE); AT_ONCE];
        for (own, unit) in looked_up.iter_mut().zip(units) {
            *own = (
                layout.rank_at(*unit),
                ask.view.effect_of_unit(*unit, ask.mask),
            );
        }
        for (unit, (rank, effect)) in units.iter().zip(looked_up) {
            let level = usize::from(effect.0);
            if limits[level] <= rank {
                continue;
            }
            let key = Key::of(rank, effect, &layout.block_start);
            let place = (served[level] <= rank).then_some((key, *unit));
            if let Some((owner, Some(best))) = groups.add(*unit, place)
                && !ask.is_taken(owner)
                && least.push(best)
                && let Some((bound, _)) = least.bound()
            {
                limits = first_ranks(bound);
            }
        }
    }
    if let Some((owner, Some(best))) = groups.last()
        && !ask.is_taken(owner)
    {
        least.push(best);
    }
    for (key, unit) in least.into_sorted() {
        if !pile.take(unit, key, || ask.place_of(unit, key)) {
            return;
        }
    }
}

/// The same where attributes or match classes decide as well.
fn serve_places(ask: &Ask<'_>, units: &[u32], pile: &mut Pile, from: Option<Place>) {
    let mut least = Least::new(pile.n_missing());
    let mut groups = Groups::new(ask.stretches);
    let mut push = |group: Option<(u32, Option<Place>)>| {
        if let Some((owner, Some(best))) = group
            && !ask.is_taken(owner)
        {
            least.push(best);
        }
    };
    for unit in units {
        let place = ask.place(*unit);
        let is_behind = from.is_none_or(|from| from < place);
        push(groups.add(*unit, is_behind.then_some(place)));
    }
    push(groups.last());
    let layout = &ask.view.base.layout;
    for place in least.into_sorted() {
        let unit = layout.unit_of(place.key.rank());
        if !pile.take(unit, place.key, || place) {
            return;
        }
    }
}

/// Serves variants of a run of equal sort values, in no order, if each stands for its group.
pub(super) fn serve_firsts(
    ask: &Ask<'_>,
    units: impl Iterator<Item = u32>,
    pile: &mut Pile,
    from: Option<Place>,
) -> u32 {
    let mut n_looked_at = 0;
    let places = units.map(|unit| {
        n_looked_at += 1;
        ask.place(unit)
    });
    let behind = places.filter(|place| from.is_none_or(|from| from < *place));
    let mut heap: BinaryHeap<Reverse<Place>> = behind.map(Reverse).collect();
    while let Some(Reverse(place)) = heap.pop() {
        if !serve_one(ask, pile, place.key, |_| place) {
            break;
        }
    }
    n_looked_at
}

/// Merges streams of ranks, all of one run of sort values if there are any.
///
/// # Errors
/// The last key that was served, or `from`, when `words_max` words were touched; all with how many
/// variants were looked at one by one.
pub(super) fn serve_lazily(
    ask: &Ask<'_>,
    filter: &Filter<'_>,
    pile: &mut Pile,
    from: Option<Key>,
    words_max: u64,
) -> Result<u32, (Option<Key>, u32)> {
    let source = Source {
        view: ask.view,
        filter,
        mask: ask.mask,
    };
    let mut merge = Merge::new(source, from, words_max);
    let mut last = from;
    loop {
        let Ok(next) = merge.next() else {
            return Err((last, merge.n_looked_at()));
        };
        let Some(key) = next else { break };
        last = Some(key);
        if !serve_one(ask, pile, key, |unit| ask.place_of(unit, key)) {
            break;
        }
    }
    Ok(merge.n_looked_at())
}

/// Takes a variant if it is the first of its group; whether the page wants more.
fn serve_one(ask: &Ask<'_>, pile: &mut Pile, key: Key, place: impl Fn(u32) -> Place) -> bool {
    let rank = key.rank();
    let unit = ask.view.base.layout.unit_of(rank);
    let owner = ask.owner(unit);
    let is_first = match ask.stretches {
        Some(_) => pile.seen.is_first(owner, unit, || ask.best_sibling(unit)),
        None => true,
    };
    if !is_first || ask.is_taken(owner) {
        return true;
    }
    pile.take(unit, key, || place(unit))
}
