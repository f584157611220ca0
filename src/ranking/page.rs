//! The answer to a query, by whichever plan costs least.

use crate::catalogue::row::Row;
use crate::domain::boost::BoostLevel;
use crate::promotion::slot::SlotMask;
use crate::ranking::ask::Ask;
use crate::ranking::build::MarketView;
use crate::ranking::cursor::Position;
use crate::ranking::facet::{self, Facet};
use crate::ranking::matching::Matching;
use crate::ranking::order::{Effect, Rank};
use crate::ranking::query::Query;
use crate::ranking::serve::{Pile, serve, words_worth};

/// One place on a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// The variant shown: the best matching one of its group.
    pub row: Row,
    /// Its base rank.
    pub rank: Rank,
    /// Its effective level; `None` for unboosted ones and for the panel's own hits.
    pub level: Option<BoostLevel>,
}

/// A page.
#[derive(Clone, Debug)]
pub struct Page {
    /// Places of the whole result.
    pub total: u32,
    /// This page's.
    pub items: Vec<Item>,
    /// Place of the first item.
    pub offset: u32,
    /// Counts, in the order asked.
    pub facets: Vec<Facet>,
    /// Promotions that gave an item of this page its level.
    pub applied: SlotMask,
    /// Places in `Query::primary` whose rows are not in the result.
    pub skipped_primary: Vec<usize>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<Position>,
}

/// What stands at the places that the query asks for.
///
/// `mask` holds the applicable slots: allowed by their category, and not withheld.
pub fn page(view: &MarketView, query: &Query, mask: SlotMask) -> Page {
    page_and_work(view, query, mask, None).0
}

/// The same, and how many variants were looked at one by one; `words_max` bounds the lazy plan in
/// place of what it is worth.
pub(in crate::ranking) fn page_and_work(
    view: &MarketView,
    query: &Query,
    mask: SlotMask,
    words_max: Option<u64>,
) -> (Page, u32) {
    let mut page = empty(query);
    if query.category == Some(None) {
        return (page, 0);
    }
    let mut ask = Ask::new(view, query, mask);
    let matching = Matching::new(&ask.filter, query.group_by, ask.eager_max());
    page.facets = facet::count_all(&ask, query, &matching);
    let (primary, skipped_primary) = ask.primary(query);
    page.total = matching.total;
    page.skipped_primary = skipped_primary;
    if query.limit == 0 || page.total <= page.offset {
        return (page, 0);
    }
    let shown = (query.limit).min(page.total - page.offset) as usize;
    let mut pile = Pile::new(query, &primary, shown);
    let words_max = words_max.unwrap_or_else(|| words_worth(&ask, &matching));
    let n_looked_at = serve(&ask, &matching, &mut pile, words_max);
    let last = pile.last;
    page.items.reserve(pile.units.len());
    for (unit, effect) in pile.units {
        if effect != Effect::NONE {
            page.applied |= view.by_unit.at(unit) & ask.mask & view.levels.slots(effect);
        }
        page.items.push(Item {
            row: view.base.layout.row_at(unit),
            rank: Rank(view.base.layout.rank_at(unit)),
            level: effect.level(),
        });
    }
    let served = page.offset + u32::try_from(page.items.len()).unwrap_or(0);
    if served < page.total {
        page.next = Some(Position { served, last });
    }
    (page, n_looked_at)
}

fn empty(query: &Query) -> Page {
    let facet = |asked: &crate::ranking::query::FacetQuery| Facet {
        attr: asked.attr.clone(),
        counts: Vec::new(),
        bounds: None,
    };
    Page {
        total: 0,
        items: Vec::new(),
        offset: query.from.as_ref().map_or(query.offset, |from| from.served),
        facets: query.facets.iter().map(facet).collect(),
        applied: SlotMask::EMPTY,
        skipped_primary: (0..query.primary.len()).collect(),
        next: None,
    }
}
