//! From the stored form back to entries, through the constructors of what they hold.

use std::sync::Arc;

use super::{
    BatchV1, ControlV1, EntryV1, EpochV1, ItemV1, LineV1, MarkV1, OfferV1, OrderV1, Place, WhatV1,
};
use crate::domain::complaint::Fault;
use crate::domain::id::{GroupOfShoppers, MarketId, ProductKey, PromotionId, VariantKey};
use crate::domain::money::{Minor, Percent};
use crate::domain::time::{Date, Timestamp};
use crate::measurement::log::{
    Control, Entry, EpochKey, Item, Mark, MeasuredEpoch, Order, OrderDigest, OrderLine, PageEntry,
    StampedOffer, Trigger, What,
};
use crate::measurement::split::{Arm, SessionDigest, Share};
use crate::record::RecordError;

/// What places of a batch stand for.
pub(super) struct Reader {
    markets: Vec<MarketId>,
    groups: Vec<Arc<str>>,
    lists: Vec<Arc<[PromotionId]>>,
    epochs: Vec<Arc<MeasuredEpoch>>,
    offers: Vec<StampedOffer>,
}

impl Reader {
    pub(super) fn new(batch: &BatchV1<'_>) -> Result<Self, RecordError> {
        let promotion = |place: &Place| at("promotion", &batch.promotions, *place);
        let list = |places: &Vec<Place>| {
            let ids = places
                .iter()
                .map(|place| promotion(place).map(|id| PromotionId(*id)));
            ids.collect::<Result<Arc<[_]>, _>>()
        };
        let epoch = |stored: &EpochV1| {
            let key = EpochKey {
                promotion: PromotionId(*promotion(&stored.promotion)?),
                number: stored.number,
            };
            let (salt, share) = (stored.salt, share(stored.share_bp)?);
            Ok(Arc::new(MeasuredEpoch { key, salt, share }))
        };
        let offer = |stored: &OfferV1| {
            Ok(StampedOffer {
                plan: stored.plan,
                window: date("window", Some(stored.window))?,
                level: stored.level,
            })
        };
        Ok(Self {
            markets: each(&batch.markets, |text| key("market", MarketId::parse(text)))?,
            groups: each(&batch.groups, |text| {
                key("group", GroupOfShoppers::parse(text)).map(|group| group.shared())
            })?,
            lists: each(&batch.lists, list)?,
            epochs: each(&batch.epochs, epoch)?,
            offers: each(&batch.offers, offer)?,
        })
    }

    pub(super) fn control(&self, stored: &ControlV1) -> Result<Control, RecordError> {
        Ok(Control {
            market: at("market", &self.markets, stored.market)?.clone(),
            epoch: **at("epoch", &self.epochs, stored.epoch)?,
            aa: stored.aa,
            at: Timestamp(stored.at),
            is_end: stored.end,
        })
    }

    pub(super) fn entry(&self, stored: EntryV1<'_>, before: i64) -> Result<Entry, RecordError> {
        let received = before.wrapping_add(stored.received);
        let group = stored.group.map(|place| at("group", &self.groups, place));
        Ok(Entry {
            received: Timestamp(received),
            at: Timestamp(received.wrapping_add(stored.at)),
            day: date("day", Some(stored.day))?,
            booked: date("booked", stored.day.checked_add(stored.booked))?,
            market: at("market", &self.markets, stored.market)?.clone(),
            session: SessionDigest::from_bytes(stored.session),
            shopper: stored.shopper.map(SessionDigest::from_bytes),
            group: group.transpose()?.cloned(),
            id: stored.id,
            is_bot: stored.bot,
            is_foreign: stored.foreign,
            what: self.what(stored.what)?,
        })
    }

    fn what(&self, stored: WhatV1<'_>) -> Result<What, RecordError> {
        Ok(match stored {
            WhatV1::Page {
                revision,
                panel,
                displays,
                items,
                marks,
            } => What::Page(PageEntry {
                revision,
                panel,
                displays,
                items: self.items(&items)?,
                marks: self.marks(&marks)?,
            }),
            WhatV1::Display { marks, items } => What::Display {
                marks: self.marks(&marks)?,
                items: self.items(&items)?,
            },
            WhatV1::Click(item) => What::Click(self.item(&item)?),
            WhatV1::View(item) => What::View(self.item(&item)?),
            WhatV1::AddToCart(item, quantity) => What::AddToCart {
                item: self.item(&item)?,
                quantity,
            },
            WhatV1::Purchase(order) => What::Purchase(self.order(&order)?),
            WhatV1::Refund(order) => What::Refund(self.order(&order)?),
            WhatV1::End => What::End,
        })
    }

    fn items(&self, stored: &[ItemV1<'_>]) -> Result<Vec<Item>, RecordError> {
        each(stored, |item| self.item(item))
    }

    fn item(&self, stored: &ItemV1<'_>) -> Result<Item, RecordError> {
        let product = stored.product.unwrap_or(stored.variant);
        let offer = stored.offer.map(|place| at("offer", &self.offers, place));
        Ok(Item {
            variant: key("variant", VariantKey::parse(stored.variant))?,
            product: key("product", ProductKey::parse(product))?,
            promotions: Arc::clone(at("promotions", &self.lists, stored.promotions)?),
            offer: offer.transpose()?.copied(),
        })
    }

    fn marks(&self, stored: &[MarkV1]) -> Result<Vec<Mark>, RecordError> {
        each(stored, |mark| {
            Ok(Mark {
                epoch: Arc::clone(at("epoch", &self.epochs, mark.epoch)?),
                arm: if mark.withheld {
                    Arm::Withheld
                } else {
                    Arm::Shown
                },
                trigger: *at("trigger", &Trigger::ALL, mark.trigger.into())?,
            })
        })
    }

    fn order(&self, stored: &OrderV1<'_>) -> Result<Order, RecordError> {
        let line = |line: &LineV1<'_>| {
            Ok(OrderLine {
                line: line.line,
                item: self.item(&line.item)?,
                quantity: line.quantity,
                paid: Minor(line.paid),
                cost: line.cost.map(Minor),
            })
        };
        Ok(Order {
            id: OrderDigest(stored.id),
            lines: each(&stored.lines, line)?,
        })
    }
}

fn each<S, T>(
    stored: &[S],
    read: impl FnMut(&S) -> Result<T, RecordError>,
) -> Result<Vec<T>, RecordError> {
    stored.iter().map(read).collect()
}

fn at<'r, T>(name: &str, things: &'r [T], place: Place) -> Result<&'r T, RecordError> {
    let thing = things.get(usize::from(place));
    thing.ok_or_else(|| RecordError::field(name, format_args!("nothing has place {place}")))
}

fn key<T>(name: &str, parsed: Result<T, Fault>) -> Result<T, RecordError> {
    parsed.map_err(|fault| RecordError::field(name, fault))
}

fn date(name: &str, days: Option<i32>) -> Result<Date, RecordError> {
    let date = days.and_then(Date::from_epoch_days);
    date.ok_or_else(|| RecordError::field(name, "outside the years that there are"))
}

fn share(points: u16) -> Result<Share, RecordError> {
    let percent = Percent::from_basis_points(points.into());
    let percent = percent.ok_or_else(|| RecordError::field("share", points))?;
    key("share", Share::new(percent))
}
