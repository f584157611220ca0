//! Reads what other systems send: texts and numbers alike, and nothing is an unknown field.
//!
//! Bodies are read with their numbers as texts, so that amounts never go through a float.
#![deny(clippy::float_arithmetic)]

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde_json::Value;

use crate::api::storefront::event_item::{ITEMS_MAX, QUANTITY_MAX};
use crate::api::storefront::event_order::{LINES_MAX, ORDER_CHARS_MAX};
use crate::api::storefront::event_request::{ID_CHARS_MAX, refusal};
use crate::domain::complaint::{Complaints, Fault};
use crate::domain::id::{MarketId, ProductKey, SessionKey, Shopper, VariantKey};
use crate::domain::money::Currency;
use crate::domain::text::bounded;
use crate::domain::time::Timestamp;
use crate::engine::events::draft::{
    AmountDraft, EventDraft, LineDraft, Named, OrderDraft, Reading, Sent, WhatDraft,
};
use crate::http::problem::Problem;

/// Where a body of another system belongs.
#[derive(Clone, Debug)]
pub(crate) struct Shop {
    /// The market.
    pub(crate) market: MarketId,
    /// Its currency, for orders that name none.
    pub(crate) currency: &'static str,
}

/// How a system names an item, the best name first.
pub(crate) type Names = &'static [(&'static str, Key)];

/// What a name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// The key of a variant.
    Variant,
    /// The key of a product.
    Product,
}

/// A line of another system's order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LineNames {
    /// How the item is named.
    pub(crate) item: Names,
    /// What was paid for one.
    pub(crate) paid: &'static str,
    /// What one cost the shop.
    pub(crate) cost: Option<&'static str>,
}

/// A field that says something, as text.
pub(crate) fn said<'a>(object: &'a Value, name: &str) -> Option<&'a str> {
    let text = object.get(name)?.as_str()?.trim();
    (!text.is_empty()).then_some(text)
}

/// The entries of a list; none if it is absent or no list.
pub(crate) fn entries<'a>(object: &'a Value, name: &str) -> &'a [Value] {
    let list = object.get(name).and_then(Value::as_array);
    list.map_or(&[], Vec::as_slice)
}

/// The same of a list that must be there.
///
/// # Errors
/// `invalid`.
pub(crate) fn listed<'a>(object: &'a Value, name: &'static str) -> Result<&'a [Value], Problem> {
    let list = object.get(name).and_then(Value::as_array);
    list.map(Vec::as_slice)
        .ok_or_else(|| Problem::invalid(&[Fault::Required.at(format!("/{name}"))]))
}

/// One event while it is read, with all that is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Loose {
    /// Its faults.
    pub(crate) faults: Complaints,
    /// Its id.
    pub(crate) id: Option<String>,
    /// When it happened.
    pub(crate) at: Option<Timestamp>,
    /// The visit.
    pub(crate) session: Option<SessionKey>,
    /// The person.
    pub(crate) shopper: Option<Shopper>,
}

impl Loose {
    /// What an event says of who and when. A session that is not named is a fault.
    pub(crate) fn new(session: Option<&str>, shopper: Option<&str>) -> Self {
        let mut read = Self::default();
        match session {
            Some(text) => {
                let session = SessionKey::parse(text);
                read.session = read.faults.take("/session_key", session);
            }
            None => read.faults.add("/session_key", Fault::Required),
        }
        let shopper =
            shopper.and_then(|text| read.faults.take("/customer_key", Shopper::parse(text)));
        read.shopper = shopper;
        read
    }

    /// With an id, if there is one.
    pub(crate) fn with_id(mut self, id: Option<String>) -> Self {
        let id = id.map(|id| bounded(&id, ID_CHARS_MAX).map(Into::into));
        self.id = id.and_then(|id| self.faults.take("/id", id));
        self
    }

    /// The event, if nothing is wrong with it.
    pub(crate) fn finish(self, shop: &Shop, what: Option<WhatDraft>) -> Sent {
        let id = self.id.clone();
        let faults = self.faults.into_vec();
        let event = self.session.zip(what).filter(|_| faults.is_empty());
        let event = event.map(|(session, what)| EventDraft {
            id: self.id,
            at: self.at,
            session,
            shopper: self.shopper,
            group: None,
            is_bot: false,
            market: Some(shop.market.clone()),
            what,
        });
        let event = match event {
            Some(event) => Reading::Event(Box::new(event)),
            None => Reading::Refused(refusal(&faults)),
        };
        Sent { id, event }
    }

    /// An item by its ticket, or by the best name it has.
    pub(crate) fn item(&mut self, value: &Value, at: &str, names: Names) -> Option<Named> {
        if let Some(ticket) = said(value, "ticket") {
            return Some(Named::Ticket(ticket.to_owned()));
        }
        let mut known = names.iter();
        let found = known.find_map(|(name, key)| Some((name, key, said(value, name)?)));
        let Some((name, key, text)) = found else {
            let (name, _) = names.first()?;
            self.faults.add(format!("{at}/{name}"), Fault::Required);
            return None;
        };
        let named = match key {
            Key::Variant => VariantKey::parse(text).map(Named::Variant),
            Key::Product => ProductKey::parse(text).map(Named::Product),
        };
        self.faults.take(format!("{at}/{name}"), named)
    }

    /// Items of a list, 1 to 200 of them.
    pub(crate) fn items(&mut self, list: &[Value], at: &str, names: Names) -> Option<Vec<Named>> {
        self.number(list.len(), ITEMS_MAX, at)?;
        let mut items = Vec::with_capacity(list.len());
        for (place, value) in list.iter().enumerate() {
            items.extend(self.item(value, &format!("{at}/{place}"), names));
        }
        Some(items)
    }

    /// How many; one if nothing is said.
    pub(crate) fn quantity(&mut self, value: &Value, at: &str) -> Option<u32> {
        let Some(text) = said(value, "quantity") else {
            return Some(1);
        };
        let number = decimal(text).and_then(|number| {
            let whole = number.to_u32().filter(|_| number.fract().is_zero());
            let small = whole.filter(|whole| (1..=QUANTITY_MAX).contains(&i64::from(*whole)));
            small.ok_or_else(|| Fault::OutOfRange {
                found: text.to_owned(),
                allowed: format!("1 to {QUANTITY_MAX}"),
            })
        });
        self.faults.take(format!("{at}/quantity"), number)
    }

    /// An order, whose amounts may have more decimals than its currency.
    pub(crate) fn order(
        &mut self,
        (order, currency): (Option<&str>, &str),
        (list, at): (&[Value], &str),
        names: &LineNames,
    ) -> Option<OrderDraft> {
        let order = order.ok_or(Fault::Required);
        let order = order.and_then(|order| bounded(order, ORDER_CHARS_MAX));
        let order = self.faults.take("/order_id", order.map(Into::into));
        let currency = currency.to_ascii_uppercase();
        let currency = Currency::parse(&currency);
        let currency = self.faults.take("/currency", currency);
        self.number(list.len(), LINES_MAX, at)?;
        let mut lines = Vec::with_capacity(list.len());
        for (place, value) in list.iter().enumerate() {
            lines.extend(self.line(value, &format!("{at}/{place}"), names));
        }
        Some(OrderDraft {
            order: order?,
            currency: currency?.code().to_owned(),
            rounds: true,
            lines,
        })
    }

    fn line(&mut self, value: &Value, at: &str, names: &LineNames) -> Option<LineDraft> {
        let item = self.item(value, at, names.item);
        let quantity = self.quantity(value, at);
        let paid = self.amount(value, at, names.paid);
        if said(value, names.paid).is_none() {
            self.faults
                .add(format!("{at}/{}", names.paid), Fault::Required);
        }
        let cost = names.cost.and_then(|name| self.amount(value, at, name));
        Some(LineDraft {
            line: None,
            item: item?,
            quantity: quantity?,
            paid: paid?,
            cost,
        })
    }

    /// An amount of one piece, written plainly.
    fn amount(&mut self, value: &Value, at: &str, name: &str) -> Option<AmountDraft> {
        let text = said(value, name)?;
        let amount = decimal(text).and_then(|amount| {
            if amount < Decimal::ZERO {
                return Err(Fault::OutOfRange {
                    found: text.to_owned(),
                    allowed: "0 or more".to_owned(),
                });
            }
            Ok(AmountDraft::Unit(amount.abs().to_string()))
        });
        self.faults.take(format!("{at}/{name}"), amount)
    }

    /// Complains of an empty list and of one that is too long.
    pub(crate) fn number(&mut self, have: usize, max: usize, at: &str) -> Option<()> {
        let fault = if have == 0 {
            Fault::TooFew { have, min: 1 }
        } else if max < have {
            Fault::TooMany { have, max }
        } else {
            return Some(());
        };
        self.faults.add(at, fault);
        None
    }
}

/// A number as JSON or a person writes it, up to 28 digits; what is longer is no amount.
fn decimal(text: &str) -> Result<Decimal, Fault> {
    let is_digit = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    let fault = || Fault::bad_format("a number", text);
    if !text.bytes().all(is_digit) {
        return Err(fault());
    }
    let number = Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text));
    number.map_err(|_| fault())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn shop() -> Shop {
        Shop {
            market: MarketId::parse("se").unwrap(),
            currency: "SEK",
        }
    }

    pub(crate) fn variant(key: &str) -> Named {
        Named::Variant(VariantKey::parse(key).unwrap())
    }

    /// Of all refused events.
    pub(crate) fn details(sent: &[Sent]) -> Vec<String> {
        let refused = sent.iter().filter_map(|sent| match &sent.event {
            Reading::Refused(refusal) => Some(refusal.detail.clone()),
            _ => None,
        });
        refused.collect()
    }

    #[test]
    fn numbers_are_what_is_written() {
        let check = |text: &str, expected: &str| {
            let found = decimal(text).map(|number| number.to_string());
            assert_eq!(found.as_deref().unwrap_or("bad"), expected, "{text}");
        };
        check("4271.50", "4271.50");
        check("33.333333333333336", "33.333333333333336");
        check("1e2", "100");
        check("1.5E-3", "0.0015");
        check("-0.0", "0.0");
        check("1_000", "bad");
        check("1,5", "bad");
        check("", "bad");
        check("1e400", "bad");
        check("NaN", "bad");
    }
}
