//! How many instructions the hot paths take, counted by callgrind: one number each, the same on every
//! run and whatever else the machine does.
//!
//! Data: the market of [`market`] with 20,000 variants and 100 promotions. Runs with
//! `benches/instructions/run`, which installs the runner that fits.

// The market is shared with benches that use more of it.
#![allow(dead_code, reason = "other benches use the rest of the shared market")]

#[path = "../market/mod.rs"]
mod market;

use std::hint::black_box;

use endcap::catalogue::row::RowSet;
use endcap::domain::boost::BoostLevel;
use endcap::measurement::split::{SplitKey, assign};
use endcap::predicate::rule::Attr;
use endcap::promotion::slot::SlotMask;
use endcap::ranking::page::{Page, page};
use endcap::ranking::query::FacetQuery;
use gungraun::{library_benchmark, library_benchmark_group, main};
use market::{Chance, Kind, Market, Request, Shape, in_stock, products};

const N_VARIANTS: usize = 20_000;

/// A market and one request for it.
type Asked = (Market, Request);

fn of_root(change: impl FnOnce(&mut Request)) -> Asked {
    let market = Market::new(N_VARIANTS, Shape::Usual);
    let mut request = Request {
        query: market.root(),
        mask: market.view.nodes().at(None) & !market.withheld(3),
        kind: Kind::Root,
    };
    change(&mut request);
    (market, request)
}

fn root() -> Asked {
    of_root(|_| {})
}

fn unpromoted() -> Asked {
    of_root(|request| request.mask = SlotMask::EMPTY)
}

fn deep() -> Asked {
    of_root(|request| request.query.offset = 2_400)
}

fn stocked() -> Asked {
    of_root(|request| request.query.filter = vec![in_stock()])
}

fn counted() -> Asked {
    of_root(|request| {
        let facet = |attr| FacetQuery {
            attr: Attr::parse(attr).expect("a fixed name"),
            limit: 20,
        };
        request.query.facets = ["brand", "colour", "size"].map(facet).to_vec();
    })
}

/// The first request of mixed traffic of one kind.
fn mixed(kind: Kind) -> Asked {
    let market = Market::new(N_VARIANTS, Shape::Usual);
    let requests = market.requests(60);
    let own = requests.into_iter().find(|request| request.kind == kind);
    (market, own.expect("sixty requests have every kind"))
}

#[library_benchmark]
#[bench::root(args = (), setup = root)]
#[bench::root_without_promotions(args = (), setup = unpromoted)]
#[bench::root_behind_2400(args = (), setup = deep)]
#[bench::root_in_stock(args = (), setup = stocked)]
#[bench::root_three_facets(args = (), setup = counted)]
#[bench::category(args = (Kind::Plain), setup = mixed)]
#[bench::category_two_colours(args = (Kind::Colours), setup = mixed)]
#[bench::category_three_brands(args = (Kind::Brands), setup = mixed)]
#[bench::category_price_and_stock(args = (Kind::PriceAndStock), setup = mixed)]
fn rank((market, request): Asked) -> (Page, Market) {
    let found = page(&market.view, black_box(&request.query), request.mask);
    (found, market)
}

fn shop() -> Market {
    Market::new(N_VARIANTS, Shape::Usual)
}

#[library_benchmark]
#[bench::fifty_measured(args = (), setup = shop)]
fn split(market: Market) -> (SlotMask, Market) {
    let session = endcap::domain::id::SessionKey::parse("s-000003").expect("a fixed form");
    let digest = SplitKey::new([7; 16]).digest(black_box(&session));
    (assign(digest, market.coins.iter().copied()).collect(), market)
}

/// A market, and a promotion of one product in a hundred to lay over it.
fn one_more() -> (Market, Vec<(BoostLevel, RowSet)>) {
    let market = shop();
    let mut chance = Chance(17);
    let rows = products(&market.catalogue, &mut chance, |chance| chance.below(100) == 0);
    (market, vec![(BoostLevel::Medium, rows)])
}

#[library_benchmark]
#[bench::one_promotion(args = (), setup = one_more)]
fn build((market, promotions): (Market, Vec<(BoostLevel, RowSet)>)) -> impl Sized {
    (market.with(black_box(&promotions)), market)
}

library_benchmark_group!(name = ranking; benchmarks = rank, split, build);

main!(library_benchmark_groups = ranking);
