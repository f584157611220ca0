//! From entries to the stored form: what is said often gets a place.

use std::collections::HashMap;
use std::hash::Hash;

use super::{
    BatchV1, ControlV1, EntryV1, EpochV1, ItemV1, LineV1, MarkV1, OfferV1, OrderV1, Place, WhatV1,
};
use crate::domain::id::{MarketId, PromotionId};
use crate::measurement::log::{Control, Entry, Item, Mark, MeasuredEpoch, Order, Trigger, What};
use crate::measurement::split::{Arm, SessionDigest};
use crate::record::RecordError;

/// Gives things their places while a batch is written.
#[derive(Default)]
pub(super) struct Writer<'b> {
    markets: Said<&'b str>,
    groups: Said<&'b str>,
    promotions: Said<[u8; 16]>,
    lists: Said<&'b [PromotionId]>,
    epochs: Said<EpochV1>,
    offers: Said<OfferV1>,
}

impl<'b> Writer<'b> {
    pub(super) fn batch(
        mut self,
        controls: Vec<ControlV1>,
        entries: Vec<EntryV1<'b>>,
    ) -> Result<BatchV1<'b>, RecordError> {
        let mut lists = Vec::with_capacity(self.lists.things.len());
        for list in std::mem::take(&mut self.lists.things) {
            let places = list.iter().map(|promotion| self.promotion(*promotion));
            lists.push(places.collect::<Result<_, _>>()?);
        }
        Ok(BatchV1 {
            markets: self.markets.things,
            groups: self.groups.things,
            promotions: self.promotions.things,
            lists,
            epochs: self.epochs.things,
            offers: self.offers.things,
            controls,
            entries,
        })
    }

    pub(super) fn control(&mut self, control: &'b Control) -> Result<ControlV1, RecordError> {
        Ok(ControlV1 {
            market: self.market(&control.market)?,
            epoch: self.epoch(&control.epoch)?,
            aa: control.aa,
            at: control.at.0,
            end: control.is_end,
        })
    }

    pub(super) fn entry(
        &mut self,
        entry: &'b Entry,
        before: i64,
    ) -> Result<EntryV1<'b>, RecordError> {
        let group = entry.group.as_deref();
        let group = group.map(|group| self.groups.place("groups", group));
        let day = entry.day.epoch_days();
        Ok(EntryV1 {
            received: entry.received.0.wrapping_sub(before),
            at: entry.at.0.wrapping_sub(entry.received.0),
            day,
            booked: entry.booked.epoch_days() - day,
            market: self.market(&entry.market)?,
            session: entry.session.to_bytes(),
            shopper: entry.shopper.map(SessionDigest::to_bytes),
            group: group.transpose()?,
            id: entry.id,
            bot: entry.is_bot,
            foreign: entry.is_foreign,
            what: self.what(&entry.what)?,
        })
    }

    fn what(&mut self, what: &'b What) -> Result<WhatV1<'b>, RecordError> {
        Ok(match what {
            What::Page(page) => WhatV1::Page {
                revision: page.revision,
                panel: page.panel,
                displays: page.displays,
                items: self.items(&page.items)?,
                marks: self.marks(&page.marks)?,
            },
            What::Display { marks, items } => WhatV1::Display {
                marks: self.marks(marks)?,
                items: self.items(items)?,
            },
            What::Click(item) => WhatV1::Click(self.item(item)?),
            What::View(item) => WhatV1::View(self.item(item)?),
            What::AddToCart { item, quantity } => WhatV1::AddToCart(self.item(item)?, *quantity),
            What::Purchase(order) => WhatV1::Purchase(self.order(order)?),
            What::Refund(order) => WhatV1::Refund(self.order(order)?),
            What::End => WhatV1::End,
        })
    }

    fn items(&mut self, items: &'b [Item]) -> Result<Vec<ItemV1<'b>>, RecordError> {
        items.iter().map(|item| self.item(item)).collect()
    }

    fn item(&mut self, item: &'b Item) -> Result<ItemV1<'b>, RecordError> {
        let [variant, product] = [item.variant.as_str(), item.product.as_str()];
        let offer = item.offer.map(|offer| {
            let offer = OfferV1 {
                plan: offer.plan,
                window: offer.window.epoch_days(),
                level: offer.level,
            };
            self.offers.place("offers", offer)
        });
        Ok(ItemV1 {
            variant,
            product: (product != variant).then_some(product),
            promotions: self.lists.place("lists of promotions", &item.promotions)?,
            offer: offer.transpose()?,
        })
    }

    fn marks(&mut self, marks: &'b [Mark]) -> Result<Vec<MarkV1>, RecordError> {
        let mut written = Vec::with_capacity(marks.len());
        for mark in marks {
            written.push(MarkV1 {
                epoch: self.epoch(&mark.epoch)?,
                withheld: mark.arm == Arm::Withheld,
                trigger: match mark.trigger {
                    Trigger::T0 => 0,
                    Trigger::T1 => 1,
                    Trigger::T2 => 2,
                },
            });
        }
        Ok(written)
    }

    fn order(&mut self, order: &'b Order) -> Result<OrderV1<'b>, RecordError> {
        let mut lines = Vec::with_capacity(order.lines.len());
        for line in &order.lines {
            lines.push(LineV1 {
                line: line.line,
                item: self.item(&line.item)?,
                quantity: line.quantity,
                paid: line.paid.0,
                cost: line.cost.map(|cost| cost.0),
            });
        }
        let id = order.id.0;
        Ok(OrderV1 { id, lines })
    }

    fn market(&mut self, market: &'b MarketId) -> Result<Place, RecordError> {
        self.markets.place("markets", market.as_str())
    }

    fn promotion(&mut self, promotion: PromotionId) -> Result<Place, RecordError> {
        self.promotions.place("promotions", promotion.0)
    }

    fn epoch(&mut self, epoch: &MeasuredEpoch) -> Result<Place, RecordError> {
        let points = epoch.share_shown().basis_points();
        let epoch = EpochV1 {
            promotion: self.promotion(epoch.key.promotion)?,
            number: epoch.key.number,
            salt: epoch.salt,
            share_bp: u16::try_from(points).expect("100 % are 10,000 basis points"),
        };
        self.epochs.place("epochs", epoch)
    }
}

/// Things of one sort in the order in which they were first said.
struct Said<T> {
    things: Vec<T>,
    places: HashMap<T, Place>,
    /// The place given last, as the next thing is often the same.
    last: Place,
}

impl<T> Default for Said<T> {
    fn default() -> Self {
        Self {
            things: Vec::new(),
            places: HashMap::new(),
            last: 0,
        }
    }
}

impl<T: Copy + Eq + Hash> Said<T> {
    fn place(&mut self, what: &'static str, thing: T) -> Result<Place, RecordError> {
        if self.things.get(usize::from(self.last)) == Some(&thing) {
            return Ok(self.last);
        }
        self.last = match self.places.get(&thing) {
            Some(place) => *place,
            None => self.add(what, thing)?,
        };
        Ok(self.last)
    }

    fn add(&mut self, what: &'static str, thing: T) -> Result<Place, RecordError> {
        let max = usize::from(Place::MAX) + 1;
        let place = Place::try_from(self.things.len());
        let place = place.map_err(|_| RecordError::TooMany { what, max })?;
        self.things.push(thing);
        self.places.insert(thing, place);
        Ok(place)
    }
}
