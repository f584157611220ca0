//! The answer to a query, by whichever plan costs least.

use std::borrow::Cow;

use crate::catalogue::row::Row;
use crate::domain::boost::BoostLevel;
use crate::domain::value::Value;
use crate::predicate::rule::Attr;
use crate::promotion::slot::SlotMask;
use crate::ranking::base::Stretches;
use crate::ranking::build::{MarketView, precedence};
use crate::ranking::cursor::{Place, Position, SORT_KEYS_MAX};
use crate::ranking::eager::Eager;
use crate::ranking::facet::{self, Facet};
use crate::ranking::filter::Filter;
use crate::ranking::merge::{Merge, Run, Source};
use crate::ranking::order::{Key, Rank};
use crate::ranking::posting::{Holders, MISSING, Postings};
use crate::ranking::query::{GroupBy, Query, SortKey};
use crate::ranking::total;
use crate::ranking::words::{BLOCK_RANKS, for_each, n_blocks};

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

/// Runs longer than this are merged lazily where nothing is sorted behind them.
const RUN_EAGER_MAX: usize = 2 * BLOCK_RANKS;

/// What a place stands for, as places compare.
pub(in crate::ranking) struct Ask<'a> {
    pub(in crate::ranking) view: &'a MarketView,
    pub(in crate::ranking) filter: Filter<'a>,
    /// Applicable slots; none where relevance is never reached.
    mask: SlotMask,
    stretches: Option<&'a Stretches>,
    sort: Vec<(&'a str, &'a Postings, bool)>,
    /// Ranks of all match classes, ascending, and the class of each.
    classes: Option<(Vec<u32>, Vec<u32>)>,
    /// Stretches, or ranks, that the panel's own hits stand for.
    taken: Vec<u32>,
}

/// What stands at the places that the query asks for.
///
/// `mask` holds the applicable slots: allowed by their category, and not withheld.
pub fn page(view: &MarketView, query: &Query, mask: SlotMask) -> Page {
    if query.category == Some(None) {
        return empty(query);
    }
    let mut ask = Ask::new(view, query, mask);
    let matching = ask.short_result();
    let total = match &matching {
        Some(ranks) => total::count_among(view.base(), ranks, query.group_by),
        None => total::count(view.base(), &ask.filter, query.group_by),
    };
    let facets = query
        .facets
        .iter()
        .map(|asked| facet::count(&ask, query, asked))
        .collect();
    let (primary, skipped_primary) = ask.primary(query);
    let served = query.from.as_ref().map_or(query.offset, |from| from.served);
    let mut page = Page {
        total,
        items: Vec::with_capacity(query.limit.min(total.saturating_sub(served)) as usize),
        offset: served,
        facets,
        applied: SlotMask::EMPTY,
        skipped_primary,
        next: None,
    };
    if query.limit == 0 || total <= served {
        return page;
    }
    let own = primary
        .iter()
        .skip(served as usize)
        .take(query.limit as usize);
    page.items.extend(own.map(|rank| ask.item(*rank, None)));
    let last = ask.backfill(
        query,
        matching,
        u32::try_from(primary.len()).unwrap_or(0),
        &mut page,
    );
    for item in &page.items {
        page.applied |= ask.deciding(item);
    }
    let served_now = served + u32::try_from(page.items.len()).unwrap_or(0);
    if served_now < total {
        page.next = Some(Position {
            served: served_now,
            last,
        });
    }
    page
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

impl<'a> Ask<'a> {
    fn new(view: &'a MarketView, query: &'a Query, mask: SlotMask) -> Self {
        let base = &**view.base();
        let mut filter = Filter::new(base, &query.filter, &query.today);
        if let Some(Some(node)) = query.category {
            let id = view.catalogue().graph().id(node);
            filter.restrict_to_value(Attr::CATEGORY, &Value::Text(id.as_str().into()));
        }
        let classes = query.classes.as_ref().map(|classes| {
            let mut tagged: Vec<(u32, u32)> = Vec::new();
            for (class, rows) in (0_u32..).zip(classes) {
                let ranks = rows.iter().filter_map(|row| view.rank_of(row));
                tagged.extend(ranks.map(|rank| (rank.0, class)));
            }
            tagged.sort_unstable();
            tagged.dedup_by_key(|(rank, _)| *rank);
            tagged.into_iter().unzip()
        });
        if let Some((ranks, _)) = &classes {
            let ranks: &Vec<u32> = ranks;
            filter.restrict_to_list(Cow::Owned(ranks.clone()));
        }
        let (keys, relevance) = query.attribute_keys();
        let sort = keys.iter().take(SORT_KEYS_MAX).filter_map(|key| match key {
            SortKey::By { attr, descending } => {
                Some((attr.as_str(), base.postings(attr.as_str())?, *descending))
            }
            SortKey::Relevance => None,
        });
        let stretches = match query.group_by {
            GroupBy::Variant => None,
            GroupBy::Product => Some(&base.units.products),
            GroupBy::ProductGroup => Some(&base.units.groups),
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

    /// Place of a rank under the whole request.
    fn place(&self, rank: u32) -> Place {
        self.place_of(self.view.key_at(rank, self.mask))
    }

    fn place_of(&self, key: Key) -> Place {
        let mut sort = [0; SORT_KEYS_MAX];
        for (place, (attr, postings, descending)) in sort.iter_mut().zip(&self.sort) {
            let value = self.value_of(key.rank, attr, postings);
            *place = match value {
                MISSING => MISSING,
                value if *descending => postings.n_values() - 1 - value,
                value => value,
            };
        }
        let class = self.classes.as_ref().map_or(0, |(ranks, classes)| {
            ranks
                .binary_search(&key.rank)
                .map_or(u32::MAX, |at| classes[at])
        });
        Place { sort, class, key }
    }

    fn value_of(&self, rank: u32, attr: &str, postings: &Postings) -> u32 {
        if let Some(forward) = &postings.forward {
            return forward.by_rank[rank as usize];
        }
        let row = self.view.row_of(Rank(rank));
        let column = self.view.catalogue().column(attr);
        column
            .and_then(|column| column.of(row).first())
            .map_or(MISSING, |id| id.0)
    }

    /// Whether a matching rank stands for its group: no matching sibling has a smaller place. Asked
    /// of the rank alone, so no page needs to remember what came before.
    fn is_first(&self, place: &Place) -> bool {
        let Some(stretches) = self.stretches else {
            return true;
        };
        let rank = place.key.rank;
        let siblings = &self.view.base().units.rank_at[stretches.around(rank)];
        !siblings.iter().any(|sibling| {
            *sibling != rank && self.filter.contains(*sibling) && self.place(*sibling) < *place
        })
    }

    fn owner(&self, rank: u32) -> u32 {
        self.stretches.map_or(rank, |stretches| stretches.of(rank))
    }

    fn item(&self, rank: u32, level: Option<BoostLevel>) -> Item {
        Item {
            row: self.view.row_of(Rank(rank)),
            rank: Rank(rank),
            level,
        }
    }

    /// The applicable slots that gave an item its level.
    fn deciding(&self, item: &Item) -> SlotMask {
        item.level.map_or(SlotMask::EMPTY, |level| {
            self.view.mask_at(item.rank.0) & self.mask & self.view.level_masks[precedence(level)]
        })
    }

    /// The panel's own hits that are in the result, one rank each, and the entries that are not.
    /// What they stand for is left out of the backfill.
    fn primary(&mut self, query: &Query) -> (Vec<u32>, Vec<usize>) {
        let (mut ranks, mut skipped) = (Vec::new(), Vec::new());
        for (place, rows) in query.primary.iter().enumerate() {
            let known = rows.iter().filter_map(|row| self.view.rank_of(*row));
            let mut inside: Vec<u32> = known
                .map(|rank| rank.0)
                .filter(|rank| self.filter.contains(*rank))
                .collect();
            inside.sort_unstable();
            if inside.is_empty() {
                skipped.push(place);
            }
            for rank in inside {
                let owner = self.owner(rank);
                if !self.taken.contains(&owner) {
                    self.taken.push(owner);
                    ranks.push(rank);
                }
            }
        }
        self.taken.sort_unstable();
        (ranks, skipped)
    }

    /// All ranks of the result, if a short list or the estimate says that they are few.
    fn short_result(&self) -> Option<Vec<u32>> {
        if let Some(list) = self.filter.shortest_list(None) {
            return Some(
                list.iter()
                    .copied()
                    .filter(|rank| self.filter.contains(*rank))
                    .collect(),
            );
        }
        let blocks = n_blocks(self.view.base().n());
        let few = self.filter.estimate() < 8 * blocks.max(64);
        if self.filter.is_everything() || !few {
            return None;
        }
        let mut ranks = Vec::new();
        for block in 0..blocks {
            for_each(block, &self.filter.block(block, None), |rank| {
                ranks.push(rank);
            });
        }
        Some(ranks)
    }

    /// Fills the page behind the panel's own hits; the last place served.
    fn backfill(
        &self,
        query: &Query,
        matching: Option<Vec<u32>>,
        n_primary: u32,
        page: &mut Page,
    ) -> Option<Place> {
        let from = query.from.as_ref().and_then(|position| position.last);
        let skip = if from.is_some() {
            0
        } else {
            page.offset.saturating_sub(n_primary)
        };
        let mut server = Server {
            ask: self,
            page,
            skip,
            limit: query.limit as usize,
            last: from,
        };
        if server.is_full() {
            return server.last;
        }
        match matching {
            Some(ranks) => server.serve_eagerly(&ranks, from),
            None if self.sort.is_empty() && self.classes.is_none() => {
                server.serve_lazily(None, from);
            }
            None if self.classes.is_some() => {
                let (ranks, _) = self.classes.as_ref().expect("just asked");
                let inside = ranks
                    .iter()
                    .copied()
                    .filter(|rank| self.filter.contains(*rank));
                server.serve_eagerly(&inside.collect::<Vec<_>>(), from);
            }
            None => server.serve_runs(from),
        }
        server.last
    }
}

/// Takes places in order and keeps those of the page.
struct Server<'s, 'a> {
    ask: &'s Ask<'a>,
    page: &'s mut Page,
    skip: u32,
    limit: usize,
    last: Option<Place>,
}

impl Server<'_, '_> {
    fn is_full(&self) -> bool {
        self.limit <= self.page.items.len()
    }

    /// Takes one place; whether the page wants more.
    fn take(&mut self, place: Place) -> bool {
        let rank = place.key.rank;
        let taken = self.ask.taken.binary_search(&self.ask.owner(rank)).is_ok();
        if taken || !self.ask.is_first(&place) {
            return true;
        }
        self.last = Some(place);
        if 0 < self.skip {
            self.skip -= 1;
            return true;
        }
        let level = self.ask.view.level_at(rank, self.ask.mask);
        self.page.items.push(self.ask.item(rank, level));
        !self.is_full()
    }

    /// Whether the page is full after the places of these ranks.
    fn serve_eagerly(&mut self, ranks: &[u32], from: Option<Place>) {
        let places = ranks.iter().map(|rank| self.ask.place(*rank));
        let behind = places.filter(|place| from.is_none_or(|from| from < *place));
        let first = 8 * (self.limit + self.skip as usize);
        let mut eager = Eager::new(behind.collect(), first);
        while let Some(place) = eager.next() {
            if !self.take(place) {
                return;
            }
        }
    }

    fn serve_lazily(&mut self, run: Option<Run<'_>>, from: Option<Place>) {
        let ask = self.ask;
        let source = Source {
            view: ask.view,
            filter: &ask.filter,
            mask: ask.mask,
            run,
        };
        let mut merge = Merge::new(source, from.map(|from| from.key));
        while let Some(key) = merge.next() {
            if !self.take(ask.place_of(key)) {
                return;
            }
        }
    }

    /// Walks the values of the first sort key, each a run of its own.
    fn serve_runs(&mut self, from: Option<Place>) {
        let (_, postings, descending) = self.ask.sort[0];
        let n_values = postings.n_values();
        let first = from.map_or(0, |from| from.sort[0].min(n_values));
        for place in first..n_values {
            let value = if descending {
                n_values - 1 - place
            } else {
                place
            };
            let resumed = from.filter(|from| from.sort[0] == place);
            self.serve_run(postings, value, resumed);
            if self.is_full() {
                return;
            }
        }
        let resumed = from.filter(|from| from.sort[0] == MISSING);
        let missing = Run::Outside(&postings.present.by_rank);
        if self.ask.sort.len() == 1 {
            self.serve_lazily(Some(missing), resumed);
        } else {
            let n = self.ask.view.base().n_ranks();
            let without = (0..n).filter(|rank| !postings.present.by_rank.contains(*rank));
            let inside = without.filter(|rank| self.ask.filter.contains(*rank));
            self.serve_eagerly(&inside.collect::<Vec<_>>(), resumed);
        }
    }

    fn serve_run(&mut self, postings: &Postings, value: u32, resumed: Option<Place>) {
        let list = postings.list(value);
        match postings.holders(value) {
            Holders::Dense(words) if self.ask.sort.len() == 1 && RUN_EAGER_MAX < list.len() => {
                self.serve_lazily(Some(Run::Inside(&words.by_rank)), resumed);
            }
            _ => {
                let inside = list
                    .iter()
                    .copied()
                    .filter(|rank| self.ask.filter.contains(*rank));
                self.serve_eagerly(&inside.collect::<Vec<_>>(), resumed);
            }
        }
    }
}
