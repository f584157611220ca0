//! Which promotions make a difference to a page.
//!
//! A promotion makes one if the page would be another with its bit of the mask the other way round,
//! all other bits as they are. The two pages are the same pair whichever of them is served, so the
//! answer does not depend on the arm that a session is in.
//!
//! Pages are compared as lists of what a place stands for: variants, products or product groups,
//! as the request groups. Which variant stands for a group is no part of it.
//!
//! **Why hardly any page is made twice.** Let A be the served page, B the other one and p the
//! promotion. Flipping p changes the places of the variants that p *decides*, and all of them the
//! same way: where a boost comes or a demotion goes they only rise, else they only fall. The
//! places of all other variants stay. So, of the groups on A in their order:
//!
//! 1. If their places in B do not ascend, or one is no longer behind the cursor, A and B differ.
//! 2. Else B differs only if a group that is not on A comes before the last one that is. It comes
//!    by a variant whose place in B lies between the cursor and the last group's. If p decides that
//!    variant, it is looked for by rank, as its ranks follow from the two places. If not, a better
//!    one of its group fell from before the cursor and *uncovered* it; what is covered on A is
//!    gathered once. Where variants fall and there is no cursor, no group comes: all others were
//!    behind already.
//! 3. Where variants fall and the last group is one of them, groups that p leaves alone may come
//!    before it as well. Only then, and in two cases more, a page is made: where an offset begins
//!    the page, the last group rises and another one comes before it; and where an
//!    attribute sorts a large result and the page lies in more than one run of equal values,
//!    because no ranks follow from places there.
//!
//! Cost of a page of k groups with s siblings each: k · s masks; for every promotion the places of
//! the groups that it holds, and words up to the first variant of it that comes onto the page.
//! Whether a promotion holds anything of the result costs one walk over the filter's blocks, up to
//! the first variant of each; an unfiltered result has nearly all of them in the first block.

use crate::promotion::slot::{SLOTS_MAX, Slot, SlotMask};
use crate::ranking::ask::Ask;
use crate::ranking::build::MarketView;
use crate::ranking::cursor::Place;
use crate::ranking::matching::Matching;
use crate::ranking::order::Effect;
use crate::ranking::page::Page;
use crate::ranking::query::Query;
use crate::ranking::reach::Reach;
use crate::ranking::serve::{Pile, serve, words_worth};
use crate::ranking::window::{Spot, Window};

/// Most pages made to answer one request; what would need more counts as differing.
const MERGES_MAX: u32 = 32;

/// What promotions have to do with a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compared {
    /// Those of the asked ones that hold a variant of the result, on this page or not.
    pub reachable: SlotMask,
    /// Those of the reachable ones without whose bit, or with it, the page would be another.
    pub differing: SlotMask,
    /// Pages that were made to find out.
    pub n_merges: u32,
    /// Promotions that count as differing because that would have been too many.
    pub n_unchecked: u32,
}

/// Which of the `asked` promotions are reachable from a page, and which make a difference to it.
///
/// `page` is what `query` gives under `mask`; `asked` are slots that the category allows, whether
/// they are in `mask` or withheld. Slots that the view does not have are neither.
pub fn differs(
    view: &MarketView,
    query: &Query,
    mask: SlotMask,
    page: &Page,
    asked: SlotMask,
) -> Compared {
    let taken = view.table.level_masks().into_iter();
    let asked = asked & taken.fold(SlotMask::EMPTY, |all, own| all | own);
    let mut compared = Compared::default();
    if asked.is_empty() || page.total == 0 {
        return compared;
    }
    let mut ask = Ask::new(view, query, mask);
    let matching = known_matching(&ask, query, page);
    let reach = Reach::new(&ask, &matching, asked);
    compared.reachable = reach.slots;
    let (_, is_by_relevance) = query.attribute_keys();
    if !is_by_relevance || query.limit == 0 || page.total <= page.offset || reach.slots.is_empty() {
        return compared;
    }
    let (primary, _) = ask.primary(query);
    let n_own = primary.len().saturating_sub(page.offset as usize);
    let wanted = query.limit.min(page.total - page.offset) as usize;
    if wanted <= n_own {
        return compared;
    }
    let from = query.from.as_ref().and_then(|position| position.last);
    let n_before = match from {
        Some(_) => 0,
        None => (page.offset as usize).saturating_sub(primary.len()),
    };
    let mut comparison = Comparison {
        query,
        mask,
        from,
        primary,
        wanted,
        served: owners_of(&ask, page),
        n_before,
        window: Window::default(),
        covered: Vec::new(),
        matching,
        reach,
        ask,
    };
    comparison.window = if 0 < n_before {
        compared.n_merges += 1;
        comparison.prefix(n_before + wanted - n_own)
    } else {
        let units = page.items.iter().skip(n_own);
        let units = units.filter_map(|item| view.base.layout.unit_of_row(item.row));
        let units: Vec<u32> = units.collect();
        Window::new(&comparison.ask, &units, wanted - n_own, compared.reachable)
    };
    if comparison.covers() {
        compared.n_merges += 1;
        comparison.covered = comparison.all_covered();
    }
    comparison.all(compared)
}

/// What the result holds, counted again only where it may be little enough to be gathered.
fn known_matching(ask: &Ask<'_>, query: &Query, page: &Page) -> Matching {
    if page.total as usize <= ask.eager_max() {
        return Matching::new(&ask.filter, query.group_by, ask.eager_max());
    }
    Matching {
        total: page.total,
        units: None,
    }
}

fn owners_of(ask: &Ask<'_>, page: &Page) -> Vec<u32> {
    let rows = page.items.iter().map(|item| item.row);
    let units = rows.filter_map(|row| ask.view.base.layout.unit_of_row(row));
    units.map(|unit| ask.owner(unit)).collect()
}

/// What can be said without making the other page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Same,
    Other,
    Unsure,
}

/// One promotion turned the other way round.
#[derive(Clone, Copy)]
pub(super) struct Flip {
    pub(super) slot: Slot,
    pub(super) effect: Effect,
    /// The applicable slots on the other side.
    pub(super) other: SlotMask,
    /// Whether what it decides rises.
    pub(super) rises: bool,
}

/// What is known of a flip from the groups on the served page alone.
struct Opening {
    flip: Flip,
    /// Behind the cursor and before this place others may come; `None` is the end of the result.
    bound: Option<Place>,
    /// The answer if another group comes there.
    entered: Verdict,
    /// The answer if none does.
    stayed: Verdict,
}

impl Opening {
    /// Nothing that may come changes the answer.
    fn close(&mut self, verdict: Verdict) {
        (self.entered, self.stayed) = (verdict, verdict);
    }

    fn verdict(&self, enters: bool) -> Verdict {
        if enters { self.entered } else { self.stayed }
    }
}

/// A served page and what is needed to tell other ones from it.
pub(super) struct Comparison<'a> {
    pub(super) query: &'a Query,
    /// The request, its mask now the one of the other side.
    pub(super) ask: Ask<'a>,
    /// The applicable slots under which the page was served.
    pub(super) mask: SlotMask,
    pub(super) matching: Matching,
    pub(super) reach: Reach,
    /// The cursor.
    pub(super) from: Option<Place>,
    pub(super) primary: Vec<u32>,
    /// Places on the page, those of the panel's own hits included.
    pub(super) wanted: usize,
    /// What they stand for.
    pub(super) served: Vec<u32>,
    /// Places passed over that no cursor stands for.
    pub(super) n_before: usize,
    pub(super) window: Window,
    /// Units behind the cursor that match and stand on this page, but not for their group, which
    /// came before; with the promotions that decide any of the group.
    pub(super) covered: Vec<(u32, SlotMask)>,
}

impl Comparison<'_> {
    /// Asks for one promotion after the other.
    fn all(&mut self, mut compared: Compared) -> Compared {
        let flips: Vec<Flip> = self
            .reach
            .slots
            .iter()
            .map(|slot| self.flip(slot))
            .collect();
        let openings: Vec<Opening> = flips.into_iter().map(|flip| self.opening(flip)).collect();
        let is_listed = self.matching.units.is_some();
        let entering = if is_listed {
            self.entering(&openings)
        } else {
            SlotMask::EMPTY
        };
        for opening in openings {
            let flip = opening.flip;
            self.ask.mask = flip.other;
            let verdict = if opening.entered == opening.stayed {
                opening.stayed
            } else if is_listed {
                opening.verdict(entering.contains(flip.slot))
            } else {
                self.verdict(&opening)
            };
            let is_other = match verdict {
                Verdict::Same => false,
                Verdict::Other => true,
                Verdict::Unsure if compared.n_merges < MERGES_MAX => {
                    compared.n_merges += 1;
                    self.other_page() != self.served
                }
                Verdict::Unsure => {
                    compared.n_unchecked += 1;
                    true
                }
            };
            if is_other {
                compared.differing |= SlotMask::of(flip.slot);
            }
        }
        compared
    }

    fn flip(&self, slot: Slot) -> Flip {
        let (view, mut other) = (self.ask.view, self.mask);
        other ^= SlotMask::of(slot);
        Flip {
            slot,
            effect: Effect::from(Some(view.table.level(slot))),
            other,
            rises: view.levels.rising(self.mask).contains(slot),
        }
    }

    /// The first groups of the result under the served mask.
    fn prefix(&self, n: usize) -> Window {
        let mut pile = Pile::from_the_first(self.primary.len(), n);
        let words_max = words_worth(&self.ask, &self.matching);
        serve(&self.ask, &self.matching, &mut pile, words_max);
        let units: Vec<u32> = pile.units.into_iter().map(|(unit, _)| unit).collect();
        Window::new(&self.ask, &units, n, self.reach.slots)
    }

    /// What the places of the other page stand for.
    fn other_page(&self) -> Vec<u32> {
        let mut pile = Pile::new(self.query, &self.primary, self.wanted);
        let words_max = words_worth(&self.ask, &self.matching);
        serve(&self.ask, &self.matching, &mut pile, words_max);
        let units = pile.units.into_iter();
        units.map(|(unit, _)| self.ask.owner(unit)).collect()
    }

    /// The first step of the module's page, and what the second one will decide.
    fn opening(&mut self, flip: Flip) -> Opening {
        let mut opening = Opening {
            flip,
            bound: self.window.end(),
            entered: Verdict::Other,
            stayed: Verdict::Same,
        };
        if self.window.moving.contains(flip.slot) {
            self.ask.mask = flip.other;
            self.move_groups(&mut opening);
        }
        if !flip.rises && self.from.is_none() {
            opening.entered = opening.stayed;
        }
        opening
    }

    /// Moves the groups that stand elsewhere on the other side.
    ///
    /// In front of a deep page groups may change places. What it shows is another all the same if
    /// a group comes or goes and the last one stays where it is, as that one loses its place on
    /// the page.
    fn move_groups(&self, opening: &mut Opening) {
        let flip = opening.flip;
        let spots = &self.window.spots;
        let mut places = Vec::new();
        let (mut last, mut greatest) = (self.from, self.from);
        let (mut is_ascending, mut is_last_moved) = (true, false);
        for spot in spots {
            let is_before_moved = is_last_moved;
            is_last_moved = spot.moving.contains(flip.slot);
            let place = if is_last_moved {
                self.other_place(spot, flip)
            } else {
                spot.place
            };
            let may_pass = is_before_moved || is_last_moved;
            if may_pass && last.is_some_and(|last| place <= last) {
                is_ascending = false;
                if self.n_before == 0 {
                    return opening.close(Verdict::Other);
                }
            }
            last = Some(place);
            if 0 < self.n_before {
                greatest = greatest.max(last);
                places.push(place);
            }
        }
        if self.n_before == 0 {
            greatest = last;
        }
        let is_end_moved = self.window.is_full && last != opening.bound;
        if is_end_moved && !flip.rises {
            return opening.close(Verdict::Unsure);
        }
        if !flip.rises && opening.bound.is_some() && opening.bound < greatest {
            return opening.close(Verdict::Other);
        }
        opening.bound = greatest.filter(|_| self.window.is_full);
        if is_end_moved && 0 < self.n_before {
            opening.entered = Verdict::Unsure;
        }
        if !is_ascending && self.is_slice_moved(&places) {
            opening.stayed = Verdict::Other;
        }
    }

    /// Where a group stands on the other side that may stand elsewhere there.
    ///
    /// Where variants rise, only those that rise can come before the one that is shown.
    fn other_place(&self, spot: &Spot, flip: Flip) -> Place {
        let (view, ask) = (self.ask.view, &self.ask);
        let Some(stretches) = ask.stretches.filter(|_| flip.rises) else {
            return ask.place(ask.best_sibling(spot.unit));
        };
        let mut best = spot.place;
        for sibling in stretches.around(spot.unit) {
            let held = view.by_unit.at(sibling);
            if held.contains(flip.slot) && view.levels.deciding(held, self.mask).contains(flip.slot)
            {
                let place = ask.place(sibling);
                if place < best && ask.filter.contains(sibling) {
                    best = place;
                }
            }
        }
        best
    }

    /// Whether groups that are now at these places show another slice behind `n_before` of them.
    fn is_slice_moved(&self, places: &[Place]) -> bool {
        let mut order: Vec<usize> = (0..places.len()).collect();
        order.sort_unstable_by_key(|at| places[*at]);
        let slice = order.into_iter().enumerate().skip(self.n_before);
        slice.into_iter().any(|(at, before)| at != before)
    }

    /// What is left to say of an opening, where the result was not gathered.
    fn verdict(&self, opening: &Opening) -> Verdict {
        let (flip, bound) = (opening.flip, opening.bound);
        if !self.goes_by_keys() {
            return Verdict::Unsure;
        }
        let enters = self.one_is_uncovered(flip, bound) || self.rank_enters(flip, bound);
        opening.verdict(enters)
    }

    /// Promotions by which a group comes, where the result was gathered.
    ///
    /// What stands before the cursor brings its group only by falling, all else only by rising.
    fn entering(&mut self, openings: &[Opening]) -> SlotMask {
        let (mut pending, mut entering) = (SlotMask::EMPTY, SlotMask::EMPTY);
        let (mut opening_of, mut ranks) = ([0; SLOTS_MAX], [0; SLOTS_MAX]);
        for (at, opening) in openings.iter().enumerate() {
            if opening.entered != opening.stayed {
                let slot = opening.flip.slot;
                pending |= SlotMask::of(slot);
                opening_of[usize::from(slot.0)] = at;
                ranks[usize::from(slot.0)] = self.rank_bound(opening);
            }
        }
        let rising = self.ask.view.levels.rising(self.mask);
        let units = self.matching.units.take().unwrap_or_default();
        for (unit, slots) in units.iter().zip(&self.reach.of_units) {
            let levels = &self.ask.view.levels;
            if (*slots & pending).is_empty() {
                continue;
            }
            self.ask.mask = self.mask;
            let from = self.from;
            let stands_before = from.is_some_and(|from| self.ask.place(*unit) <= from);
            let may_bring = if stands_before { !rising } else { rising };
            let held = self.ask.view.by_unit.at(*unit);
            let deciding = levels.deciding(held, self.mask) & may_bring & pending;
            let rank = self.ask.view.base.layout.rank_at(*unit);
            for slot in deciding.iter() {
                if ranks[usize::from(slot.0)] <= rank {
                    continue;
                }
                let opening = &openings[opening_of[usize::from(slot.0)]];
                self.ask.mask = opening.flip.other;
                if self.brings(*unit, opening.bound) {
                    entering |= SlotMask::of(slot);
                    pending = pending & !SlotMask::of(slot);
                }
            }
        }
        self.matching.units = Some(units);
        entering
    }

    /// No rank from this on comes before the bound by a boost that comes.
    fn rank_bound(&self, opening: &Opening) -> u32 {
        let layout = &self.ask.view.base.layout;
        let flip = opening.flip;
        let bound = opening
            .bound
            .filter(|_| self.ask.is_plain() && flip.rises && flip.effect != Effect::DEMOTED);
        bound.map_or(layout.n_ranks(), |bound| {
            bound.key.first_rank(flip.effect, &layout.block_start)
        })
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;
    use rand::rngs::ChaCha8Rng;
    use rand::seq::IndexedRandom;

    use super::*;
    use crate::catalogue::row::{Row, RowSet};
    use crate::domain::boost::BoostLevel::{self, Demoted, High, Low, Medium};
    use crate::domain::id::PromotionId;
    use crate::promotion::slot::SlotTable;
    use crate::ranking::page::page;
    use crate::ranking::promises::{falling, scene};
    use crate::ranking::twin::{
        Draw, Scene, query, random_mask, random_query, random_scene, seeded,
    };

    /// U(40) under some promotions: what the first one of the table has to do with a page of 3.
    #[track_caller]
    fn check(boosts: &[(BoostLevel, &[&str])], slot: u8, offset: u32, expected: (bool, bool)) {
        let scene = scene(falling(40), boosts);
        let asked = Query {
            limit: 3,
            offset,
            ..query()
        };
        let own = SlotMask::of(Slot(slot));
        for mask in [SlotMask::ALL, SlotMask::ALL & !own] {
            let served = page(&scene.view, &asked, mask);
            let found = differs(&scene.view, &asked, mask, &served, SlotMask::ALL);
            let told = (
                found.reachable.contains(Slot(slot)),
                found.differing.contains(Slot(slot)),
            );
            assert_eq!(told, expected, "under {mask:?}");
        }
    }

    #[test]
    fn a_promotion_differs_on_the_page_that_it_comes_to() {
        let low: [(BoostLevel, &[&str]); 1] = [(Low, &["u39"])];
        check(&low, 0, 0, (true, false));
        check(&low, 0, 3, (true, true));
        check(&[(Low, &["u25"])], 0, 0, (true, true));
    }

    #[test]
    fn a_promotion_under_a_stronger_one_does_not_differ() {
        let both: [(BoostLevel, &[&str]); 2] = [(High, &["u25"]), (Low, &["u25"])];
        check(&both, 1, 0, (true, false));
        check(&both, 0, 0, (true, true));
        let twice: [(BoostLevel, &[&str]); 2] = [(Medium, &["u30"]), (Medium, &["u30", "u0"])];
        check(&twice, 0, 0, (true, false));
    }

    #[test]
    fn a_demotion_differs_where_its_goods_would_stand() {
        check(&[(Demoted, &["u1"])], 0, 0, (true, true));
        check(&[(Demoted, &["u9"])], 0, 0, (true, false));
        check(&[(Demoted, &["u9"])], 0, 6, (true, false));
        check(&[(Demoted, &["u9"])], 0, 9, (true, true));
        // What stands after the goods that went moves up.
        check(&[(Demoted, &["u1"])], 0, 30, (true, true));
        check(&[(High, &["u0"])], 0, 0, (true, false));
    }

    #[test]
    fn nothing_is_reachable_in_an_empty_result() {
        let scene = scene(falling(40), &[(High, &["u25"])]);
        let nowhere = Query {
            category: Some(None),
            ..query()
        };
        let served = page(&scene.view, &nowhere, SlotMask::ALL);
        let found = differs(&scene.view, &nowhere, SlotMask::ALL, &served, SlotMask::ALL);
        assert_eq!(found, Compared::default());
    }

    #[test]
    fn beyond_so_many_pages_a_promotion_counts_as_differing() {
        let boosts: [(BoostLevel, &[&str]); 40] = [(Demoted, &["u2"]); 40];
        let scene = scene(falling(40), &boosts);
        let asked = Query {
            limit: 3,
            ..query()
        };
        let served = page(&scene.view, &asked, SlotMask::EMPTY);
        let found = differs(&scene.view, &asked, SlotMask::EMPTY, &served, SlotMask::ALL);
        assert_eq!((found.n_merges, found.n_unchecked), (MERGES_MAX, 8));
        assert_eq!(found.differing.len(), 40);
    }

    /// What a page shows, as groups.
    fn groups(scene: &Scene, query: &Query, rows: impl Iterator<Item = Row>) -> Vec<(u32, u32)> {
        rows.map(|row| scene.owner(row, query.group_by)).collect()
    }

    fn shown(scene: &Scene, view: &MarketView, query: &Query, mask: SlotMask) -> Vec<(u32, u32)> {
        let page = page(view, query, mask);
        groups(scene, query, page.items.iter().map(|item| item.row))
    }

    fn flipped(mask: SlotMask, slot: Slot) -> SlotMask {
        let mut other = mask;
        other ^= SlotMask::of(slot);
        other
    }

    /// How often what was seen: same, differing, made pages.
    type Tally = [u32; 3];

    /// Compares with both pages, and with the answer in the other arm.
    fn check_pages(
        scene: &Scene,
        view: &MarketView,
        query: &Query,
        mask: SlotMask,
        tally: &mut Tally,
    ) {
        let served = page(view, query, mask);
        let found = differs(view, query, mask, &served, SlotMask::ALL);
        let own = groups(scene, query, served.items.iter().map(|item| item.row));
        assert_eq!(found.n_unchecked, 0, "{query:?}");
        assert_eq!(found.differing & !found.reachable, SlotMask::EMPTY);
        tally[2] += found.n_merges;
        let matching = scene
            .catalogue
            .live()
            .iter()
            .filter(|row| query.category != Some(None) && scene.matches(query, *row, None));
        let ranks = matching.filter_map(|row| view.rank_of(row));
        let reachable = ranks.fold(SlotMask::EMPTY, |all, rank| all | view.slots_of(rank));
        assert_eq!(found.reachable, reachable, "{query:?} under {mask:?}");
        for (slot, _, level) in view.table().iter() {
            let other = flipped(mask, slot);
            let is_other = shown(scene, view, query, other) != own;
            assert_eq!(
                found.differing.contains(slot),
                is_other,
                "{level:?} in {slot:?} under {mask:?}, {query:?}"
            );
            let other_page = page(view, query, other);
            let back = differs(view, query, other, &other_page, SlotMask::of(slot));
            assert_eq!(back.differing.contains(slot), is_other, "in the other arm");
            tally[usize::from(is_other)] += u32::from(reachable.contains(slot));
        }
    }

    /// The same on a page and behind it, by cursors of both arms.
    fn check_all(
        scene: &Scene,
        view: &MarketView,
        query: &Query,
        mask: SlotMask,
        tally: &mut Tally,
    ) {
        check_pages(scene, view, query, mask, tally);
        let any = view
            .table()
            .iter()
            .last()
            .map_or(mask, |(slot, ..)| flipped(mask, slot));
        for before in [mask, any] {
            let from = page(view, query, before).next;
            if from.is_some() && 0 < query.limit {
                let behind = Query {
                    from,
                    ..query.clone()
                };
                check_pages(scene, view, &behind, mask, tally);
            }
        }
    }

    /// Promotions of a few variants each, over the same goods.
    fn with_thin_ones(random: &mut ChaCha8Rng, scene: &Scene, n: u8) -> MarketView {
        let rows: Vec<Row> = scene.catalogue.live().iter().collect();
        let level = |random: &mut ChaCha8Rng| *BoostLevel::BY_PRECEDENCE.choose(random).unwrap();
        let levels = (0..n).map(|place| (PromotionId([place; 16]), level(random)));
        let table = SlotTable::new(levels.collect());
        let set = |random: &mut ChaCha8Rng| -> RowSet {
            let n_rows = *[1, 2, 5, 40].choose(random).unwrap();
            (0..n_rows)
                .filter_map(|_| rows.choose(random).copied())
                .collect()
        };
        let sets: Vec<RowSet> = (0..n).map(|_| set(random)).collect();
        let sets: Vec<&RowSet> = sets.iter().collect();
        MarketView::build(scene.view.base(), table, scene.view.nodes().clone(), &sets)
    }

    fn check_random(seed: u64, draw: Draw, n_thin: u8, n_queries: usize) -> Tally {
        let mut random = seeded(seed);
        let scene = random_scene(&mut random, draw);
        let thin = with_thin_ones(&mut random, &scene, n_thin);
        let mut tally = Tally::default();
        for _ in 0..n_queries {
            let query = random_query(&mut random, &scene);
            let mask = random_mask(&mut random);
            check_all(&scene, &scene.view, &query, mask, &mut tally);
            check_all(&scene, &thin, &query, mask, &mut tally);
        }
        tally
    }

    fn sum(tallies: impl Iterator<Item = Tally>) -> Tally {
        tallies.fold(Tally::default(), |all, own| {
            std::array::from_fn(|at| all[at] + own[at])
        })
    }

    #[test]
    fn small_markets_agree_with_two_pages() {
        let tally = sum((0..120).map(|seed| {
            let draw = Draw {
                n_products: 1 + usize::try_from(seed).unwrap() % 90,
                siblings_max: 1 + usize::try_from(seed).unwrap() % 5,
                n_scores: [1, 3, 20, 1_000][usize::try_from(seed).unwrap() % 4],
                n_promotions: 8,
            };
            check_random(seed, draw, 12, 5)
        }));
        assert!(tally.iter().all(|n| 100 < *n), "{tally:?}");
    }

    #[test]
    fn large_markets_agree_with_two_pages() {
        let tally = sum((0..12).map(|seed| {
            let draw = Draw {
                n_products: [900, 2_600][usize::try_from(seed).unwrap() % 2],
                siblings_max: 3,
                n_scores: [20, 1_000_000][usize::try_from(seed).unwrap() / 2 % 2],
                n_promotions: 8,
            };
            check_random(1_000 + seed, draw, 24, 4)
        }));
        assert!(tally.iter().all(|n| 100 < *n), "{tally:?}");
    }

    /// The definition sorted whole, twice, cut to the page.
    #[test]
    fn offsets_agree_with_the_definition() {
        for seed in 0..40 {
            let mut random = seeded(5_000 + seed);
            let draw = Draw {
                n_products: random.random_range(1..60),
                siblings_max: 3,
                n_scores: 12,
                n_promotions: 7,
            };
            let scene = random_scene(&mut random, draw);
            for _ in 0..4 {
                let query = random_query(&mut random, &scene);
                let mask = random_mask(&mut random);
                let slice = |mask: SlotMask| {
                    let rows = scene.expected(&query, mask).rows.into_iter();
                    let rows = rows.map(|(row, _)| row).skip(query.offset as usize);
                    groups(&scene, &query, rows.take(query.limit as usize))
                };
                let own = slice(mask);
                let table = scene.view.table().iter();
                let other = table.filter(|(slot, ..)| slice(flipped(mask, *slot)) != own);
                let expected: SlotMask = other.map(|(slot, ..)| slot).collect();
                let served = page(&scene.view, &query, mask);
                let found = differs(&scene.view, &query, mask, &served, SlotMask::ALL);
                assert_eq!(found.differing, expected, "{query:?} under {mask:?}");
            }
        }
    }
}
