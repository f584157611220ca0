//! How a page differs from itself under other promotions.
//!
//! Both pages answer one query over one layout of the market, so they hold places of the same
//! result: what is on one page only stands somewhere on the other side as well, and it is told
//! where. A place is the same on both sides if it stands for the same group.

use std::collections::BTreeMap;

use crate::catalogue::row::Row;
use crate::promotion::slot::SlotMask;
use crate::ranking::ask::Ask;
use crate::ranking::build::MarketView;
use crate::ranking::cursor::Place;
use crate::ranking::eager::Groups;
use crate::ranking::matching::all_units;
use crate::ranking::page::Page;
use crate::ranking::query::Query;

/// One side of a comparison.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// The view.
    pub view: &'a MarketView,
    /// The applicable slots.
    pub mask: SlotMask,
    /// The page they gave.
    pub page: &'a Page,
}

/// A group that stands elsewhere; places are of the whole result, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shift {
    /// The variant that stands for it: on the page after if it is there, else on the page before.
    pub row: Row,
    /// Its place before.
    pub from: u32,
    /// Its place after.
    pub to: u32,
}

/// What is different between two pages of one result.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// On both pages, at other places; by place after.
    pub moved: Vec<Shift>,
    /// On the page after only; by place after.
    pub entered: Vec<Shift>,
    /// On the page before only; by place before.
    pub left: Vec<Shift>,
}

/// What is different. Costs a sort of the whole result for each side on which a group of the other
/// page stands elsewhere.
pub fn diff(query: &Query, before: Side<'_>, after: Side<'_>) -> Diff {
    let (old, new) = (places_on(query, &before), places_on(query, &after));
    let (on_old, on_new) = (by_owner(&old), by_owner(&new));
    let (entered, moved): (Vec<_>, Vec<_>) = new
        .iter()
        .copied()
        .partition(|spot| !on_old.contains_key(&spot.owner));
    let left = old.iter().copied();
    let left: Vec<_> = left
        .filter(|spot| !on_new.contains_key(&spot.owner))
        .collect();
    let (before_entering, after_leaving) = (
        places_in(query, &before, &entered),
        places_in(query, &after, &left),
    );
    let came = |spots: &[Spot], from: &BTreeMap<u32, u32>| {
        let shifts = spots.iter().filter_map(|spot| {
            let from = *from.get(&spot.owner)?;
            let (row, to) = (spot.row, spot.place);
            Some(Shift { row, from, to })
        });
        shifts.filter(|shift| shift.from != shift.to).collect()
    };
    let went = left.iter().filter_map(|spot| {
        let to = *after_leaving.get(&spot.owner)?;
        let (row, from) = (spot.row, spot.place);
        Some(Shift { row, from, to })
    });
    Diff {
        moved: came(&moved, &on_old),
        entered: came(&entered, &before_entering),
        left: went.collect(),
    }
}

/// A group on a page.
#[derive(Clone, Copy)]
struct Spot {
    owner: u32,
    place: u32,
    row: Row,
}

fn by_owner(spots: &[Spot]) -> BTreeMap<u32, u32> {
    spots.iter().map(|spot| (spot.owner, spot.place)).collect()
}

fn places_on(query: &Query, side: &Side<'_>) -> Vec<Spot> {
    let ask = Ask::new(side.view, query, side.mask);
    let layout = &side.view.base.layout;
    let items = (side.page.offset..).zip(&side.page.items);
    items
        .filter_map(|(place, item)| {
            let unit = layout.unit_of_row(item.row)?;
            let (owner, row) = (ask.owner(unit), item.row);
            Some(Spot { owner, place, row })
        })
        .collect()
}

/// Places of some groups in the whole result, which is sorted for it.
fn places_in(query: &Query, side: &Side<'_>, wanted: &[Spot]) -> BTreeMap<u32, u32> {
    if wanted.is_empty() {
        return BTreeMap::new();
    }
    let mut ask = Ask::new(side.view, query, side.mask);
    let (primary, _) = ask.primary(query);
    let mut order: Vec<u32> = primary.iter().map(|unit| ask.owner(*unit)).collect();
    let mut groups = Groups::new(ask.stretches);
    let mut behind: Vec<(Place, u32)> = Vec::new();
    let mut add = |group: Option<(u32, Option<Place>)>| {
        if let Some((owner, Some(best))) = group
            && !ask.is_taken(owner)
        {
            behind.push((best, owner));
        }
    };
    for unit in all_units(&ask.filter) {
        add(groups.add(unit, Some(ask.place(unit))));
    }
    add(groups.last());
    behind.sort_unstable();
    order.extend(behind.into_iter().map(|(_, owner)| owner));
    let wanted = by_owner(wanted);
    (0..)
        .zip(order)
        .filter(|(_, owner)| wanted.contains_key(owner))
        .map(|(place, owner)| (owner, place))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::ranking::page::page;
    use crate::ranking::query::GroupBy;
    use crate::ranking::twin::{Draw, Scene, random_mask, random_query, random_scene, seeded};

    /// Every group of the result in order, by the page that shows all of it.
    fn whole(scene: &Scene, query: &Query, mask: SlotMask) -> Vec<u32> {
        let all = Query {
            limit: u32::MAX,
            offset: 0,
            ..query.clone()
        };
        let page = page(&scene.view, &all, mask);
        page.items
            .iter()
            .map(|item| group(scene, query, item.row))
            .collect()
    }

    fn group(scene: &Scene, query: &Query, row: Row) -> u32 {
        match query.group_by {
            GroupBy::Variant => row.0,
            GroupBy::Product => scene.catalogue.product_of(row).0,
            GroupBy::ProductGroup => scene.catalogue.group_of(row).0,
        }
    }

    /// Group, place before, place after.
    fn told(scene: &Scene, query: &Query, shifts: &[Shift]) -> Vec<(u32, u32, u32)> {
        let of = |shift: &Shift| (group(scene, query, shift.row), shift.from, shift.to);
        shifts.iter().map(of).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn places_are_those_of_the_whole_result(seed in any::<u64>(), limit in 0_u32..30, offset in 0_u32..20) {
            let mut random = seeded(seed);
            let draw = Draw { n_products: 60, siblings_max: 3, n_scores: 12, n_promotions: 9 };
            let scene = random_scene(&mut random, draw);
            for _ in 0..8 {
                let query = Query { limit, offset, ..random_query(&mut random, &scene) };
                let masks = [random_mask(&mut random), random_mask(&mut random)];
                let pages = masks.map(|mask| page(&scene.view, &query, mask));
                let side = |at: usize| Side { view: &scene.view, mask: masks[at], page: &pages[at] };
                let found = diff(&query, side(0), side(1));
                let [old, new] = masks.map(|mask| whole(&scene, &query, mask));
                let on = |list: &[u32]| -> Vec<u32> {
                    list.iter().copied().skip(offset as usize).take(limit as usize).collect()
                };
                let (on_old, on_new) = (on(&old), on(&new));
                let place = |list: &[u32], own: u32| {
                    u32::try_from(list.iter().position(|other| *other == own).unwrap()).unwrap()
                };
                let shift = |own: &u32| (*own, place(&old, *own), place(&new, *own));
                let moved = on_new.iter().filter(|own| on_old.contains(own)).map(shift);
                let moved: Vec<_> = moved.filter(|(_, from, to)| from != to).collect();
                let entered: Vec<_> = on_new.iter().filter(|own| !on_old.contains(own)).map(shift).collect();
                let left: Vec<_> = on_old.iter().filter(|own| !on_new.contains(own)).map(shift).collect();
                prop_assert_eq!(told(&scene, &query, &found.moved), moved);
                prop_assert_eq!(told(&scene, &query, &found.entered), entered);
                prop_assert_eq!(told(&scene, &query, &found.left), left);
                prop_assert_eq!(diff(&query, side(0), side(0)), Diff::default());
            }
        }
    }
}
