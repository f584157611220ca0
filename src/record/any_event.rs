//! Any entries of the event log, for tests, of few markets, epochs and lists as in a real call.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

use super::any::{any_market_id, any_text};
use crate::domain::id::{ProductKey, PromotionId, VariantKey};
use crate::domain::money::{Minor, Percent};
use crate::domain::time::{Date, Timestamp};
use crate::measurement::log::{
    Control, Entry, EpochKey, Item, Mark, MeasuredEpoch, Order, OrderDigest, OrderLine, PageEntry,
    StampedOffer, Trigger, What,
};
use crate::measurement::split::{Arm, SessionDigest, Share};

/// Promotions repeat, so that lists of them do.
fn any_promotion_id() -> impl Strategy<Value = PromotionId> {
    (0_u8..4).prop_map(|n| PromotionId([n; 16]))
}

fn any_digest() -> impl Strategy<Value = SessionDigest> {
    any::<[u8; 16]>().prop_map(SessionDigest::from_bytes)
}

fn any_date() -> impl Strategy<Value = Date> {
    prop_oneof![20_000..20_003, -4_000_000..2_900_000]
        .prop_map(|days: i32| Date::from_epoch_days(days).unwrap())
}

prop_compose! {
    fn any_epoch()(
        (promotion, number) in (any_promotion_id(), 1_u32..4),
        (salt, points) in (any::<u64>(), 5_000_u32..=9_900),
    ) -> MeasuredEpoch {
        MeasuredEpoch {
            key: EpochKey { promotion, number },
            salt,
            share: Share::new(Percent::from_basis_points(points).unwrap()).unwrap(),
        }
    }
}

prop_compose! {
    fn any_offer()(
        (plan, level) in any::<([u8; 16], u16)>(),
        window in any_date(),
    ) -> StampedOffer {
        StampedOffer { plan, window, level }
    }
}

prop_compose! {
    fn any_item()(
        variant in any_text(),
        product in of(any_text()),
        promotions in vec(any_promotion_id(), 0..3),
        offer in of(any_offer()),
    ) -> Item {
        Item {
            product: ProductKey::parse(product.as_ref().unwrap_or(&variant)).unwrap(),
            variant: VariantKey::parse(&variant).unwrap(),
            promotions: promotions.into(),
            offer,
        }
    }
}

prop_compose! {
    fn any_mark()(
        epoch in any_epoch(),
        arm in select(vec![Arm::Shown, Arm::Withheld]),
        trigger in select(Trigger::ALL.to_vec()),
    ) -> Mark {
        Mark { epoch: Arc::new(epoch), arm, trigger }
    }
}

prop_compose! {
    fn any_page()(
        (revision, panel, displays) in any::<(u64, u64, bool)>(),
        items in vec(any_item(), 0..4),
        marks in vec(any_mark(), 0..4),
    ) -> PageEntry {
        PageEntry { revision, panel, displays, items, marks }
    }
}

prop_compose! {
    fn any_line()(
        item in any_item(),
        (line, quantity, paid, cost) in any::<(u64, u32, i64, Option<i64>)>(),
    ) -> OrderLine {
        OrderLine { line, item, quantity, paid: Minor(paid), cost: cost.map(Minor) }
    }
}

prop_compose! {
    fn any_order()(id in any::<[u8; 16]>(), lines in vec(any_line(), 0..3)) -> Order {
        Order { id: OrderDigest(id), lines }
    }
}

fn any_what() -> impl Strategy<Value = What> {
    let display = (vec(any_mark(), 0..3), vec(any_item(), 0..3));
    let added = (any_item(), any::<u32>());
    prop_oneof![
        any_page().prop_map(What::Page),
        display.prop_map(|(marks, items)| What::Display { marks, items }),
        any_item().prop_map(What::Click),
        any_item().prop_map(What::View),
        added.prop_map(|(item, quantity)| What::AddToCart { item, quantity }),
        any_order().prop_map(What::Purchase),
        any_order().prop_map(What::Refund),
        Just(What::End),
    ]
}

prop_compose! {
    pub(super) fn any_entry()(
        (received, at) in any::<(i64, i64)>(),
        (day, booked) in (any_date(), any_date()),
        market in any_market_id(),
        (session, shopper) in (any_digest(), of(any_digest())),
        group in of(any_text()),
        (id, is_bot, is_foreign) in any::<(u64, bool, bool)>(),
        what in any_what(),
    ) -> Entry {
        Entry {
            received: Timestamp(received),
            at: Timestamp(at),
            group: group.map(Arc::from),
            day, booked, market, session, shopper, id, is_bot, is_foreign, what,
        }
    }
}

prop_compose! {
    pub(super) fn any_control()(
        market in any_market_id(),
        epoch in any_epoch(),
        (at, aa, is_end) in any::<(i64, bool, bool)>(),
    ) -> Control {
        Control { market, epoch, aa, at: Timestamp(at), is_end }
    }
}
