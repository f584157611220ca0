//! Events of a call, the same for ever: the least and one of each sort.

use std::sync::Arc;

use super::samples::bytes;
use crate::domain::id::{MarketId, ProductKey, PromotionId, VariantKey};
use crate::domain::money::{Minor, Percent};
use crate::domain::time::{Date, Timestamp};
use crate::measurement::log::{
    Control, Entry, EpochKey, Item, Mark, MeasuredEpoch, Order, OrderDigest, OrderLine, PageEntry,
    StampedOffer, Trigger, What,
};
use crate::measurement::split::{Arm, SessionDigest, Share};

/// Without any optional part, and with each.
pub(super) fn calls() -> [(Vec<Entry>, Vec<Control>); 2] {
    let bare = vec![bare_entry(What::End)];
    let full = all_sorts().into_iter().map(full_entry).collect();
    let control = |is_end: bool| Control {
        market: MarketId::parse("no").unwrap(),
        epoch: epoch(2),
        aa: !is_end,
        at: Timestamp(1_767_225_600_250),
        is_end,
    };
    [
        (bare, Vec::new()),
        (full, [false, true].map(control).into()),
    ]
}

/// An event of nobody known, on the last day before 1970.
pub(super) fn bare_entry(what: What) -> Entry {
    let day = Date::parse("1969-12-31").unwrap();
    Entry {
        received: Timestamp(-1),
        at: Timestamp(-1),
        day,
        booked: day,
        market: MarketId::parse("se").unwrap(),
        session: SessionDigest::from_bytes(bytes(0)),
        shopper: None,
        group: None,
        id: 0,
        is_bot: false,
        is_foreign: false,
        what,
    }
}

/// An event of a known shopper, 250 ms late and booked a day later.
pub(super) fn full_entry(what: What) -> Entry {
    Entry {
        received: Timestamp(1_767_225_600_250),
        at: Timestamp(1_767_225_600_000),
        day: Date::parse("2026-01-01").unwrap(),
        booked: Date::parse("2026-01-02").unwrap(),
        shopper: Some(SessionDigest::from_bytes(bytes(16))),
        group: Some("club".into()),
        id: 0x0123_4567_89ab_cdef,
        is_bot: true,
        is_foreign: true,
        ..bare_entry(what)
    }
}

fn epoch(number: u32) -> MeasuredEpoch {
    MeasuredEpoch {
        key: EpochKey {
            promotion: PromotionId(bytes(32)),
            number,
        },
        salt: 0x9e37_79b9_7f4a_7c15,
        share: Share::new(Percent::parse("80").unwrap()).unwrap(),
    }
}

pub(super) fn mark(number: u32, arm: Arm, trigger: Trigger) -> Mark {
    let epoch = Arc::new(epoch(number));
    Mark {
        epoch,
        arm,
        trigger,
    }
}

fn bare_item() -> Item {
    Item {
        variant: VariantKey::parse("P1").unwrap(),
        product: ProductKey::parse("P1").unwrap(),
        promotions: Arc::new([]),
        offer: None,
    }
}

/// A variant that two promotions hold, under an offer.
pub(super) fn full_item(variant: &str) -> Item {
    let offer = StampedOffer {
        plan: bytes(48),
        window: Date::parse("2025-12-29").unwrap(),
        level: 3,
    };
    Item {
        variant: VariantKey::parse(variant).unwrap(),
        product: ProductKey::parse("P2").unwrap(),
        promotions: Arc::new([PromotionId(bytes(32)), PromotionId(bytes(64))]),
        offer: Some(offer),
    }
}

fn all_sorts() -> [What; 8] {
    let marks = vec![
        mark(1, Arm::Shown, Trigger::T0),
        mark(2, Arm::Withheld, Trigger::T1),
        mark(1, Arm::Shown, Trigger::T2),
    ];
    let items = vec![bare_item(), full_item("P2-L"), full_item("Röd")];
    let line = |line, item, cost| OrderLine {
        line,
        item,
        quantity: 1_000,
        paid: Minor(213_575),
        cost,
    };
    let order = Order {
        id: OrderDigest(bytes(80)),
        lines: vec![
            line(0, bare_item(), None),
            line(u64::MAX, full_item("P2-L"), Some(Minor(99_900))),
        ],
    };
    let page = PageEntry {
        revision: 18_342,
        panel: 0xfedc_ba98_7654_3210,
        displays: true,
        items: items.clone(),
        marks: marks.clone(),
    };
    [
        What::Page(page),
        What::Display { marks, items },
        What::Click(bare_item()),
        What::View(full_item("P2-XL")),
        What::AddToCart {
            item: full_item("P2-L"),
            quantity: 1_000_000,
        },
        What::Purchase(order.clone()),
        What::Refund(order),
        What::End,
    ]
}
