//! A tally against sums made from whole sessions, by the definitions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use proptest::prelude::*;

use crate::domain::id::{MarketId, ProductKey, PromotionId, VariantKey};
use crate::domain::money::{Minor, Percent};
use crate::domain::time::{Date, Timestamp};
use crate::measurement::log::{
    Entry, EpochKey, Item, Mark, MeasuredEpoch, Order, OrderDigest, OrderLine, PageEntry, Trigger,
    What,
};
use crate::measurement::moments::{Figure, Vector};
use crate::measurement::orders::Returned;
use crate::measurement::session::{DISPLAYS_MAX, OTHERS_MAX, PAGES_MAX};
use crate::measurement::split::{Arm, SessionDigest, Share};
use crate::measurement::sums::{EpochSums, MarketSums, Rollup, Scope, Totals};
use crate::measurement::tally::{Applied, Tally};

const HOUR_MS: i64 = 3_600_000;

/// Sessions of a case.
const SESSIONS: u8 = 4;

pub(super) fn market() -> MarketId {
    MarketId::parse("se").unwrap()
}

fn promotion(number: u8) -> PromotionId {
    PromotionId([number; 16])
}

fn session(number: u8) -> SessionDigest {
    SessionDigest::from_bytes([number.wrapping_mul(37); 16])
}

fn day(number: u8) -> Date {
    Date::parse(&format!("2027-03-0{}", number + 1)).unwrap()
}

fn epoch(number: u8) -> Arc<MeasuredEpoch> {
    Arc::new(MeasuredEpoch {
        key: EpochKey {
            promotion: promotion(number),
            number: 1,
        },
        salt: u64::from(number) * 77,
        share: Share::new(Percent::from_basis_points(8_000).unwrap()).unwrap(),
    })
}

fn item(number: u8) -> Item {
    // Item 0 stands in no promotion, item 3 in two.
    let holders: Vec<_> = (1..=2)
        .filter(|by| number & by != 0)
        .map(promotion)
        .collect();
    Item {
        variant: VariantKey::parse(&format!("v{number}")).unwrap(),
        product: ProductKey::parse(&format!("p{}", number / 2)).unwrap(),
        promotions: holders.into(),
        offer: None,
    }
}

/// One entry without what depends on its place: session, hours, lag, id, what.
pub(super) fn entry(of: u8, hours: u8, lag: u8, id: u64, what: What) -> Entry {
    let at = Timestamp(i64::from(hours) * HOUR_MS);
    Entry {
        received: at.plus_ms(i64::from(lag) * HOUR_MS),
        at,
        day: day(hours / 8),
        booked: day(hours / 8 + u8::from(lag > 2)),
        market: market(),
        session: session(of),
        shopper: None,
        group: None,
        id,
        is_bot: false,
        is_foreign: false,
        what,
    }
}

fn what() -> impl Strategy<Value = What> {
    let items = prop::collection::vec((0..4_u8).prop_map(item), 0..5);
    let one = || (0..4_u8).prop_map(item);
    let mark = |number: u8| {
        prop_oneof![Just(Trigger::T0), Just(Trigger::T1), Just(Trigger::T2)].prop_map(
            move |trigger| Mark {
                epoch: epoch(number),
                arm: Arm::Shown,
                trigger,
            },
        )
    };
    let marks = (prop::option::of(mark(1)), prop::option::of(mark(2)))
        .prop_map(|(one, two)| one.into_iter().chain(two).collect::<Vec<_>>());
    let line = (
        one(),
        1..5_u32,
        0..90_000_i64,
        prop::option::of(0..50_000_i64),
    );
    let order = (any::<[u8; 16]>(), prop::collection::vec(line, 1..4)).prop_map(|(id, lines)| {
        let line = |(place, (item, quantity, paid, cost)): (u64, (Item, u32, i64, Option<i64>))| {
            OrderLine {
                line: place,
                item,
                quantity,
                paid: Minor(paid),
                cost: cost.map(Minor),
            }
        };
        What::Purchase(Order {
            id: OrderDigest(id),
            lines: (1..).zip(lines).map(line).collect(),
        })
    });
    prop_oneof![
        3 => (items, marks, any::<bool>()).prop_map(|(items, marks, displays)| {
            What::Page(PageEntry { revision: 1, panel: 2, displays, items, marks })
        }),
        2 => one().prop_map(What::Click),
        1 => one().prop_map(What::View),
        1 => (one(), 1..4_u32).prop_map(|(item, quantity)| What::AddToCart { item, quantity }),
        2 => order,
        1 => Just(What::End),
    ]
}

/// Entries of a few sessions within 20 hours, each with an id of its own.
pub(super) fn entries() -> impl Strategy<Value = Vec<Entry>> {
    let lag = prop_oneof![4 => Just(0_u8), 1 => Just(3_u8), 1 => Just(25_u8)];
    let one = (
        0..SESSIONS,
        0..20_u8,
        lag,
        what(),
        prop::bool::weighted(0.03),
    );
    prop::collection::vec(one, 0..40).prop_map(|all| {
        let numbered = (1..).zip(all);
        numbered
            .map(|(id, (of, hours, lag, what, is_bot))| Entry {
                is_bot,
                ..entry(of, hours, lag, id, what)
            })
            .collect()
    })
}

/// A whole refund of every second order.
pub(super) fn refunds(entries: &[Entry]) -> Vec<Entry> {
    let orders = entries
        .iter()
        .filter(|own| matches!(own.what, What::Purchase(_)));
    let back = |own: &Entry| {
        let What::Purchase(order) = &own.what else {
            unreachable!("only orders are looked at")
        };
        Entry {
            id: own.id + 1_000,
            what: What::Refund(order.clone()),
            ..own.clone()
        }
    };
    orders.step_by(2).map(back).collect()
}

fn tally<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Tally {
    let mut tally = Tally::default();
    for entry in entries {
        tally.apply(entry);
    }
    tally
}

pub(super) fn sums(tally: &Tally) -> MarketSums {
    tally.sums(&market()).cloned().unwrap_or_default()
}

/// What a session did with what `holds` picks.
fn vector(entries: &[&Entry], holds: &dyn Fn(&Item) -> bool) -> Vector {
    let mut sum = Vector::default();
    for entry in entries {
        match &entry.what {
            What::Page(page) if page.displays => {
                let shown = page.items.iter().filter(|item| holds(item)).count();
                sum.0[Figure::Displays as usize] += i64::try_from(shown).unwrap();
            }
            What::Click(item) if holds(item) => sum.0[Figure::Clicks as usize] += 1,
            What::Purchase(order) | What::Refund(order) => {
                let is_refund = matches!(entry.what, What::Refund(_));
                let sign = if is_refund { -1 } else { 1 };
                let lines = order.lines.iter().filter(|line| holds(&line.item));
                for line in lines.clone() {
                    sum.0[Figure::Units as usize] += sign * i64::from(line.quantity);
                    sum.0[Figure::Revenue as usize] += sign * line.paid.0;
                    let profit = line.cost.map_or(0, |cost| line.paid.0 - cost.0);
                    sum.0[Figure::Profit as usize] += sign * profit;
                }
                if !is_refund && lines.count() > 0 {
                    sum.0[Figure::Orders as usize] += 1;
                }
            }
            _ => {}
        }
    }
    sum
}

/// The measured stretches by their definition: each session whole, at its last state.
fn by_definition(entries: &[Entry]) -> BTreeMap<EpochKey, EpochSums> {
    let mut all: BTreeMap<EpochKey, EpochSums> = BTreeMap::new();
    for of in 0..SESSIONS {
        let is_late = |own: &Entry| own.at.plus_ms(24 * HOUR_MS) < own.received;
        let own: Vec<&Entry> = entries
            .iter()
            .filter(|own| own.session == session(of) && !is_late(own))
            .collect();
        let is_person = own.iter().all(|entry| !entry.is_bot);
        for number in 1..=2 {
            let epoch = epoch(number);
            let marks: Vec<(Date, Trigger)> = own
                .iter()
                .filter_map(|entry| match &entry.what {
                    What::Page(page) => Some((entry, page)),
                    _ => None,
                })
                .flat_map(|(entry, page)| page.marks.iter().map(|mark| (entry.day, mark)))
                .filter(|(_, mark)| mark.epoch.key == epoch.key)
                .map(|(day, mark)| (day, mark.trigger))
                .collect();
            if marks.is_empty() {
                continue;
            }
            let sums = all.entry(epoch.key).or_default();
            let arm = epoch.arm(session(of));
            sums.pages += marks.len() as u64;
            if arm == Arm::Withheld {
                sums.contradicting += marks.len() as u64;
            }
            if !is_person {
                sums.excluded[arm as usize] += 1;
                continue;
            }
            for level in Trigger::ALL {
                let days = marks.iter().filter(|(_, trigger)| level <= *trigger);
                let Some(day) = days.map(|(day, _)| *day).min() else {
                    continue;
                };
                let promoted = |item: &Item| item.promotions.contains(&promotion(number));
                let of_scope = [
                    (Scope::Promoted, vector(&own, &promoted)),
                    (Scope::Basket, vector(&own, &|_| true)),
                ];
                for (scope, vector) in of_scope {
                    let day = sums.days.entry(day).or_default();
                    day.change((level, arm, scope), None, Some(&vector));
                }
            }
        }
    }
    all
}

/// Days on which nothing is left are nothing.
fn without_empty(mut epochs: BTreeMap<EpochKey, EpochSums>) -> BTreeMap<EpochKey, EpochSums> {
    for sums in epochs.values_mut() {
        sums.days
            .retain(|_, day| *day != crate::measurement::sums::DaySums::default());
    }
    epochs
}

/// Totals of all sessions, by their definition.
fn totals(entries: &[Entry]) -> BTreeMap<(PromotionId, Date), [Vector; 2]> {
    let mut all: BTreeMap<_, [Vector; 2]> = BTreeMap::new();
    for entry in entries {
        let is_browsing = !matches!(entry.what, What::Purchase(_) | What::Refund(_));
        if is_browsing && entry.at.plus_ms(24 * HOUR_MS) < entry.received {
            continue;
        }
        for number in 1..=2 {
            let promoted = |item: &Item| item.promotions.contains(&promotion(number));
            let vector = vector(&[entry], &promoted);
            let is_refund = matches!(entry.what, What::Refund(_));
            let sides = all.entry((promotion(number), entry.day)).or_default();
            for (sum, more) in sides[usize::from(is_refund)].0.iter_mut().zip(vector.0) {
                *sum += more.abs();
            }
        }
    }
    all
}

/// Gross and refunded figures of totals, those that are not all 0.
fn told(
    totals: &BTreeMap<(PromotionId, Date), Totals>,
) -> BTreeMap<(PromotionId, Date), [[i128; 6]; 2]> {
    let sides = totals
        .iter()
        .map(|(key, own)| (*key, [own.gross, own.refunded]));
    sides.filter(|(_, sides)| *sides != [[0; 6]; 2]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Laws 2 and 9: whatever the way there, the sums are those of whole sessions; orders have
    /// profit above 0 or below, so signs are met too.
    #[test]
    fn sums_are_those_of_whole_sessions(entries in entries()) {
        let mut all = entries.clone();
        all.extend(refunds(&entries));
        let sums = sums(&tally(&all));
        prop_assert_eq!(without_empty(sums.epochs.clone()), without_empty(by_definition(&all)));
    }

    #[test]
    fn totals_are_those_of_all_events(entries in entries()) {
        let mut all = entries.clone();
        all.extend(refunds(&entries));
        // Profit may be below 0, which totals keep and absolute sums do not: costs are left out.
        for entry in &mut all {
            if let What::Purchase(order) | What::Refund(order) = &mut entry.what {
                for line in &mut order.lines {
                    line.cost = None;
                }
            }
        }
        let wide = |vector: &Vector| vector.0.map(i128::from);
        let expected: BTreeMap<_, _> = totals(&all)
            .into_iter()
            .map(|(key, sides)| (key, [wide(&sides[0]), wide(&sides[1])]))
            .filter(|(_, sides)| *sides != [[0; 6]; 2])
            .collect();
        prop_assert_eq!(told(&sums(&tally(&all)).totals), expected);
    }

    /// Law 3: any order of events, any resends.
    #[test]
    fn neither_order_nor_resends_matter(
        (entries, shuffled) in entries().prop_flat_map(|entries| {
            let twice: Vec<Entry> = entries.iter().chain(entries.iter().step_by(3)).cloned().collect();
            (Just(entries), Just(twice).prop_shuffle())
        }),
    ) {
        let back = refunds(&entries);
        let one = tally(entries.iter().chain(&back));
        let other = tally(shuffled.iter().chain(back.iter().rev()).chain(&back));
        let (one, other) = (sums(&one), sums(&other));
        prop_assert_eq!(without_empty(one.epochs), without_empty(other.epochs));
        prop_assert_eq!(one.totals, other.totals);
        prop_assert_eq!(one.rollups, other.rollups);
        prop_assert_eq!(one.quality, other.quality);
    }

    /// Laws 3 and 4: partitions, in any grouping, add up to the whole.
    #[test]
    fn partitions_add_up(entries in entries(), n in 1..4_u8) {
        let whole = sums(&tally(&entries));
        let mut parts = MarketSums::default();
        for part in 0..n {
            let own = (0..SESSIONS).filter(|of| of % n == part).map(session);
            let own: BTreeSet<SessionDigest> = own.collect();
            parts.merge(&sums(&tally(entries.iter().filter(|entry| own.contains(&entry.session)))));
        }
        prop_assert_eq!(without_empty(parts.epochs), without_empty(whole.epochs));
        prop_assert_eq!(parts.totals, whole.totals);
        prop_assert_eq!(parts.rollups, whole.rollups);
        prop_assert_eq!(parts.quality, whole.quality);
    }

    /// Law 8: a session found to be a bot late leaves what one known early leaves.
    #[test]
    fn excluding_is_never_having_counted(entries in entries(), of in 0..SESSIONS) {
        let flag = Entry { is_bot: true, ..entry(of, 0, 0, 9_000, What::End) };
        let early = tally([&flag].into_iter().chain(&entries));
        let late = tally(entries.iter().chain([&flag]));
        prop_assert_eq!(without_empty(sums(&early).epochs), without_empty(sums(&late).epochs));
    }
}

fn page(of: u8, id: u64, n_items: usize) -> Entry {
    let mark = Mark {
        epoch: epoch(1),
        arm: epoch(1).arm(session(of)),
        trigger: Trigger::T2,
    };
    let page = PageEntry {
        revision: 1,
        panel: 2,
        displays: true,
        items: vec![item(1); n_items],
        marks: vec![mark],
    };
    entry(of, 1, 0, id, What::Page(page))
}

fn n_excluded(tally: &Tally) -> i64 {
    sums(tally).epochs[&epoch(1).key].excluded.iter().sum()
}

#[test]
fn what_no_person_does_excludes() {
    let first = page(1, 1, 0);
    let is_excluded_by = |n: u32, make: &dyn Fn(u64) -> Entry| {
        let more: Vec<Entry> = (2..u64::from(n) + 2).map(make).collect();
        let at_most = tally([&first].into_iter().chain(&more[..more.len() - 1]));
        let above = tally([&first].into_iter().chain(&more));
        assert_eq!((n_excluded(&at_most), n_excluded(&above)), (0, 1));
        let epoch_sums = &sums(&above).epochs[&epoch(1).key];
        assert!(
            without_empty([(epoch(1).key, epoch_sums.clone())].into())[&epoch(1).key]
                .days
                .is_empty()
        );
    };
    is_excluded_by(PAGES_MAX, &|id| page(1, id, 0));
    is_excluded_by(DISPLAYS_MAX / 30 + 1, &|id| page(1, id, 30));
    is_excluded_by(OTHERS_MAX + 1, &|id| {
        entry(1, 1, 0, id, What::Click(item(1)))
    });
}

#[test]
fn what_lies_a_day_away_counts_in_totals_only() {
    let order = |id: u8| {
        What::Purchase(Order {
            id: OrderDigest([id; 16]),
            lines: vec![OrderLine {
                line: 1,
                item: item(1),
                quantity: 1,
                paid: Minor(500),
                cost: Some(Minor(200)),
            }],
        })
    };
    let within = entry(1, 1, 0, 2, order(1));
    let mut outside = entry(1, 1, 0, 3, order(2));
    outside.at = Timestamp(26 * HOUR_MS);
    outside.received = outside.at;
    let tally = tally([&page(1, 1, 2), &within, &outside]);
    let sums = sums(&tally);
    let cell = sums.epochs[&epoch(1).key].days[&day(0)]
        .cell(Trigger::T2, epoch(1).arm(session(1)), Scope::Promoted)
        .unwrap();
    let read = cell.moments.read().unwrap();
    assert_eq!(
        (
            read.n(),
            read.sum(Figure::Revenue),
            read.sum(Figure::Profit)
        ),
        (1, 500, 300)
    );
    let total = &sums.totals[&(promotion(1), day(0))];
    assert_eq!(total.gross[Figure::Revenue as usize], 1_000);
    assert_eq!(sums.quality[&day(0)].outside_window, 1);
    assert!(
        !tally
            .order(&market(), OrderDigest([2; 16]))
            .unwrap()
            .is_within
    );
}

#[test]
fn refunds_take_what_is_left_to_the_cent() {
    let line = OrderLine {
        line: 1,
        item: item(1),
        quantity: 3,
        paid: Minor(1_000),
        cost: Some(Minor(100)),
    };
    let order = Order {
        id: OrderDigest([1; 16]),
        lines: vec![line],
    };
    let mut tally = tally([&entry(1, 1, 0, 1, What::Purchase(order.clone()))]);
    let mut costs = Vec::new();
    for id in 2..5 {
        let known = tally.order(&market(), order.id).unwrap();
        let part = |quantity, paid| Returned {
            line: None,
            variant: item(1).variant,
            quantity,
            paid: Minor(paid),
        };
        assert!(known.returned(&[part(4, 0)]).is_err());
        assert!(known.returned(&[part(1, 1_001)]).is_err());
        let lines = known.returned(&[part(1, 333)]).unwrap();
        costs.push(lines[0].cost.unwrap().0);
        let back = Order {
            id: order.id,
            lines,
        };
        let refund = entry(1, 1, 0, id, What::Refund(back));
        assert_eq!(tally.apply(&refund), Applied::Counted);
        assert_eq!(tally.apply(&refund), Applied::Duplicate);
    }
    assert_eq!(costs, [33, 33, 34]);
    let total = &sums(&tally).totals[&(promotion(1), day(0))];
    assert_eq!(total.refunded[Figure::Units as usize], 3);
    assert_eq!(total.refunded[Figure::Profit as usize], 999 - 100);
}

#[test]
fn a_day_counts_orders_and_customers_of_a_product() {
    let order = |id: u8| {
        let line = |number: u8, place| OrderLine {
            line: place,
            item: item(number),
            quantity: 2,
            paid: Minor(100),
            cost: None,
        };
        What::Purchase(Order {
            id: OrderDigest([id; 16]),
            // Both variants are of one product.
            lines: vec![line(2, 1), line(3, 2)],
        })
    };
    let mut again = entry(2, 2, 5, 2, order(2));
    again.shopper = Some(session(1));
    let repeated = entry(3, 2, 0, 3, order(2));
    let tally = tally([&entry(1, 1, 0, 1, order(1)), &again, &repeated]);
    let rollups = sums(&tally).rollups;
    let product = ProductKey::parse("p1").unwrap();
    let of = |number| &rollups[&(product.clone(), day(number))];
    let one = Rollup {
        orders: 1,
        units: 4,
        paid: 200,
        paid_without_cost: 200,
        customers: [session(1).first_half()].into(),
        ..Rollup::default()
    };
    assert_eq!(of(0), &one);
    assert_eq!(of(1), &Rollup { late: 1, ..one });
}
