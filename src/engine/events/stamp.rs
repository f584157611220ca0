//! A draft becomes an entry: what it names is looked up, and whatever counting it depends on is
//! written onto it.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::access::may::{Object, Verb};
use crate::access::principal::Principal;
use crate::catalogue::market::DisplaySource;
use crate::catalogue::row::Row;
use crate::domain::category::CategoryId;
use crate::domain::id::{MarketId, ProductKey, PromotionId, VariantKey};
use crate::domain::money::{Currency, Minor};
use crate::domain::time::{Date, Timestamp, Zone};
use crate::engine::events::draft::{
    AmountDraft, EventDraft, LineDraft, Named, OrderDraft, Refusal, RefusalCode, WhatDraft,
};
use crate::engine::seal::{SealError, Ticket, open_ticket};
use crate::engine::snapshot::{MarketState, Snapshot, TimedView};
use crate::measurement::log::{Entry, Item, Mark, Order, OrderDigest, OrderLine, Trigger, What};
use crate::measurement::orders::Returned;
use crate::measurement::split::{SessionDigest, SplitKey};

/// How far ahead of our clock an event may say it happened.
const AHEAD_MS: i64 = 5 * 60_000;

/// How long ago an event may have happened.
const AGO_MS: i64 = 30 * 24 * 3_600_000;

/// After local midnight a day stays open this long.
const DAY_OPEN_MS: i64 = 2 * 3_600_000;

/// Largest amount of a line, in minor units.
const LINE_MAX: i64 = 100_000_000_000;

/// An event that waits for its place in the log.
#[derive(Debug)]
pub(in crate::engine) struct Stamped {
    /// The entry; of a refund without its lines, which the known order fills in.
    pub(in crate::engine) entry: Entry,
    /// What came back, as the shop names it.
    pub(in crate::engine) returned: Option<Back>,
    /// Whether an amount was rounded.
    pub(in crate::engine) is_rounded: bool,
}

/// What came back, as the shop names it.
#[derive(Debug, Default)]
pub(in crate::engine) struct Back {
    /// The order's name, for refusals.
    pub(in crate::engine) name: String,
    /// The parts.
    pub(in crate::engine) parts: Vec<Returned>,
}

/// What drafts of one call are looked up in.
pub(in crate::engine) struct Stamper<'a> {
    pub(in crate::engine) snapshot: &'a Snapshot,
    pub(in crate::engine) principal: &'a Principal,
    pub(in crate::engine) received: Timestamp,
}

/// A named item, and the ticket it was named by.
struct Found {
    item: Item,
    is_foreign: bool,
}

/// The market of an event, as it stands.
struct Place<'a> {
    market: MarketId,
    state: &'a MarketState,
    timed: Option<&'a Arc<TimedView>>,
}

impl Stamper<'_> {
    /// The entry of a draft; `None`: nobody counts it.
    pub(in crate::engine) fn stamp(&self, draft: EventDraft) -> Result<Option<Stamped>, Refusal> {
        let tickets = self.open(&draft)?;
        let place = self.place(&draft, &tickets)?;
        if self.principal.is_public()
            && matches!(draft.what, WhatDraft::Purchase(_) | WhatDraft::Refund(_))
        {
            let detail = "a public key may not tell orders; send them with a server's key";
            return Err(refusal(RefusalCode::NeedsServerKey, detail));
        }
        let at = self.instant(draft.at)?;
        let answers_display = place.state.held().value.display_source == DisplaySource::Answer;
        if answers_display && matches!(draft.what, WhatDraft::Display { .. }) {
            return Ok(None);
        }
        let split = &self.snapshot.secrets.split;
        let session = split.digest(&draft.session);
        let mut looks = Looks {
            place: &place,
            tickets: tickets.into_iter(),
            session,
            is_foreign: false,
            is_rounded: false,
        };
        let (what, returned) = looks.what(draft.what, split)?;
        let zone = &place.state.catalogue.locale().zone;
        let day = at.date_in(zone);
        let entry = Entry {
            received: self.received,
            at,
            day,
            booked: booked(day, self.received, zone),
            session,
            shopper: draft
                .shopper
                .map(|shopper| split.digest_text(shopper.as_str())),
            group: draft.group.map(|group| group.shared()),
            id: draft.id.map_or(0, |id| short(split, &id)),
            is_bot: draft.is_bot,
            is_foreign: looks.is_foreign,
            what,
            market: place.market.clone(),
        };
        Ok(Some(Stamped {
            entry,
            returned,
            is_rounded: looks.is_rounded,
        }))
    }

    /// Every ticket of a draft, in the order named.
    fn open(&self, draft: &EventDraft) -> Result<Vec<Ticket>, Refusal> {
        let open = |text: &str| {
            open_ticket(&self.snapshot.secrets.ticket, text, self.received).map_err(|error| {
                match error {
                    SealError::Altered => {
                        let detail = "the ticket was not made here, or was changed on its way";
                        refusal(RefusalCode::TicketInvalid, detail)
                    }
                    SealError::Expired => {
                        refusal(RefusalCode::TicketExpired, "the ticket is too old to count")
                    }
                }
            })
        };
        let tickets = named(&draft.what).filter_map(|named| match named {
            Named::Ticket(text) => Some(open(text)),
            Named::Variant(_) | Named::Product(_) => None,
        });
        tickets.collect()
    }

    fn place(&self, draft: &EventDraft, tickets: &[Ticket]) -> Result<Place<'_>, Refusal> {
        let markets: BTreeSet<&MarketId> = tickets
            .iter()
            .map(|ticket| &ticket.page.market)
            .chain(&draft.market)
            .collect();
        let mut markets = markets.into_iter();
        let market = markets
            .next()
            .ok_or_else(|| refusal(RefusalCode::Invalid, "needs a ticket or a market"))?;
        if let Some(other) = markets.next() {
            let detail = format!("names two markets, {market} and {other}");
            return Err(refusal(RefusalCode::Invalid, detail));
        }
        let may = self
            .principal
            .may(Verb::SendEvents, &Object::Market(market));
        may.map_err(|why| refusal(RefusalCode::MarketForbidden, why.to_string()))?;
        let state =
            self.snapshot.markets.get(market).ok_or_else(|| {
                refusal(RefusalCode::Invalid, format!("there is no market {market}"))
            })?;
        Ok(Place {
            market: market.clone(),
            state,
            timed: state.view_at(self.received).or(state.views.last()),
        })
    }

    fn instant(&self, at: Option<Timestamp>) -> Result<Timestamp, Refusal> {
        let now = self.received;
        let at = at.unwrap_or(now);
        if now.plus_ms(AHEAD_MS) < at {
            let detail = format!("{at} is more than five minutes ahead of {now}");
            return Err(refusal(RefusalCode::AtInFuture, detail));
        }
        if at < now.plus_ms(-AGO_MS) {
            let detail = format!("{at} is more than thirty days before {now}");
            return Err(refusal(RefusalCode::TooOld, detail));
        }
        Ok(at)
    }
}

/// Looks up what one event names.
struct Looks<'a> {
    place: &'a Place<'a>,
    tickets: std::vec::IntoIter<Ticket>,
    session: SessionDigest,
    is_foreign: bool,
    is_rounded: bool,
}

impl Looks<'_> {
    /// What happened, and of a refund what came back.
    fn what(
        &mut self,
        draft: WhatDraft,
        split: &SplitKey,
    ) -> Result<(What, Option<Back>), Refusal> {
        let what = match draft {
            WhatDraft::Display { category, items } => What::Display {
                marks: marks(
                    self.place,
                    category.as_ref().map(CategoryId::as_str),
                    self.session,
                ),
                items: items.into_iter().map(|named| self.item(named)).collect(),
            },
            WhatDraft::Click(named) => What::Click(self.item(named)),
            WhatDraft::View(named) => What::View(self.item(named)),
            WhatDraft::AddToCart { item, quantity } => What::AddToCart {
                item: self.item(item),
                quantity,
            },
            WhatDraft::Purchase(order) => What::Purchase(Order {
                id: order_digest(split, &order),
                lines: self.lines(&order, split)?,
            }),
            WhatDraft::Refund(order) => {
                let lines = self.lines(&order, split)?;
                let named = order.lines.iter().map(|line| line.line.is_some());
                let parts = lines.into_iter().zip(named);
                let back = Back {
                    parts: parts.map(|(line, is_named)| part(line, is_named)).collect(),
                    name: order.order.clone(),
                };
                let id = order_digest(split, &order);
                let lines = Vec::new();
                return Ok((What::Refund(Order { id, lines }), Some(back)));
            }
            WhatDraft::End => What::End,
        };
        Ok((what, None))
    }

    fn item(&mut self, named: Named) -> Item {
        let found = self.find(named);
        self.is_foreign |= found.is_foreign;
        found.item
    }

    fn find(&mut self, named: Named) -> Found {
        let (variant, is_foreign) = match named {
            Named::Variant(variant) => (variant, false),
            Named::Product(product) => return self.product(product),
            Named::Ticket(_) => {
                let ticket = self.tickets.next().expect("each was opened, in this order");
                let of = ticket.page.session;
                (
                    ticket.variant,
                    of != [0; 16] && of != self.session.to_bytes(),
                )
            }
        };
        let catalogue = &self.place.state.catalogue;
        let row = catalogue.find_variant(variant.as_str());
        let item = match row {
            Some(row) => Item {
                product: catalogue.product_key(catalogue.product_of(row)).clone(),
                promotions: promotions(self.place.timed, &[row]),
                variant,
                offer: None,
            },
            None => Item {
                product: as_product(&variant),
                promotions: Arc::default(),
                variant,
                offer: None,
            },
        };
        Found { item, is_foreign }
    }

    /// A product stands for all of its variants: it counts where one of them does.
    fn product(&self, product: ProductKey) -> Found {
        let catalogue = &self.place.state.catalogue;
        let number = catalogue.find_product(product.as_str());
        let rows = number.map_or(&[][..], |number| catalogue.rows_of_product(number));
        let variant = match rows {
            [row] => catalogue.variant_key(*row).clone(),
            _ => VariantKey::parse(product.as_str()).expect("keys of both kinds are alike"),
        };
        let item = Item {
            promotions: promotions(self.place.timed, rows),
            variant,
            product,
            offer: None,
        };
        Found {
            item,
            is_foreign: false,
        }
    }

    fn lines(&mut self, order: &OrderDraft, split: &SplitKey) -> Result<Vec<OrderLine>, Refusal> {
        let currency = self.place.state.catalogue.locale().currency;
        if order.currency != currency.code() {
            let detail = format!(
                "market {} counts in {}, not in {}",
                self.place.market,
                currency.code(),
                order.currency
            );
            return Err(refusal(RefusalCode::CurrencyMismatch, detail));
        }
        let mut faults = Vec::new();
        let mut lines = Vec::with_capacity(order.lines.len());
        for (place, line) in (1..).zip(&order.lines) {
            match self.line(line, order.rounds, currency) {
                Ok((paid, cost)) => lines.push(OrderLine {
                    line: line.line.as_deref().map_or(place, |id| short(split, id)),
                    item: self.item(line.item.clone()),
                    quantity: line.quantity,
                    paid,
                    cost,
                }),
                Err(fault) => faults.push(format!("line {place}: {fault}")),
            }
        }
        if faults.is_empty() {
            return Ok(lines);
        }
        Err(refusal(RefusalCode::Invalid, faults.join("; ")))
    }

    fn line(
        &mut self,
        line: &LineDraft,
        rounds: bool,
        currency: Currency,
    ) -> Result<(Minor, Option<Minor>), String> {
        let mut read = |amount: &AmountDraft| {
            let (minor, is_rounded) = amount_of(amount, line.quantity, rounds, currency)?;
            self.is_rounded |= is_rounded;
            Ok::<_, String>(minor)
        };
        let paid = read(&line.paid)?;
        let cost = line.cost.as_ref().map(read).transpose()?;
        Ok((paid, cost))
    }
}

/// An amount of a whole line in minor units, and whether it was rounded.
fn amount_of(
    amount: &AmountDraft,
    quantity: u32,
    rounds: bool,
    currency: Currency,
) -> Result<(Minor, bool), String> {
    let (text, times) = match amount {
        AmountDraft::Unit(text) => (text, quantity),
        AmountDraft::Line(text) => (text, 1),
    };
    let read = if rounds {
        currency.round_amount(text)
    } else {
        currency.parse_amount(text).map(|minor| (minor, false))
    };
    let (one, is_rounded) = read.map_err(|fault| format!("{text}: {fault}"))?;
    let minor = one.0.checked_mul(i64::from(times));
    let minor = minor.filter(|minor| (0..=LINE_MAX).contains(minor));
    let minor = minor.ok_or_else(|| format!("{text} for {times} is out of bounds"))?;
    Ok((Minor(minor), is_rounded))
}

/// Promotions that hold one of these rows, ascending.
pub(in crate::engine) fn promotions(
    timed: Option<&Arc<TimedView>>,
    rows: &[Row],
) -> Arc<[PromotionId]> {
    let Some(timed) = timed else {
        return Arc::default();
    };
    let mut ids: Vec<PromotionId> = Vec::new();
    for row in rows {
        let Some(rank) = timed.view.rank_of(*row) else {
            continue;
        };
        let slots = timed.view.slots_of(rank).iter();
        ids.extend(slots.map(|slot| timed.view.table().promotion(slot)));
    }
    ids.sort_unstable();
    ids.dedup();
    ids.into()
}

/// The day whose rollup takes an event: its own, or the one that is open.
pub(in crate::engine) fn booked(day: Date, received: Timestamp, zone: &Zone) -> Date {
    day.max(received.plus_ms(-DAY_OPEN_MS).date_in(zone))
}

/// Measured stretches that may have reached the category page a shop showed itself; none if it
/// names no page.
fn marks(place: &Place<'_>, category: Option<&str>, session: SessionDigest) -> Vec<Mark> {
    let (Some(category), Some(timed)) = (category, place.timed) else {
        return Vec::new();
    };
    let node = place.state.catalogue.graph().find(category);
    let allowed = timed.view.nodes().at(node);
    let reached = timed
        .watched
        .iter()
        .filter(|watched| allowed.contains(watched.slot));
    reached
        .map(|watched| Mark {
            epoch: Arc::clone(&watched.epoch),
            arm: watched.epoch.arm(session),
            trigger: Trigger::T1,
        })
        .collect()
}

fn order_digest(split: &SplitKey, order: &OrderDraft) -> OrderDigest {
    OrderDigest(split.digest_text(&order.order).to_bytes())
}

/// A digest that only has to tell apart what one session sends; never 0, which names nothing.
fn short(split: &SplitKey, text: &str) -> u64 {
    split.digest_text(text).first_half().max(1)
}

fn part(line: OrderLine, is_named: bool) -> Returned {
    Returned {
        line: is_named.then_some(line.line),
        variant: line.item.variant,
        quantity: line.quantity,
        paid: line.paid,
    }
}

fn as_product(variant: &VariantKey) -> ProductKey {
    ProductKey::parse(variant.as_str()).expect("keys of both kinds are alike")
}

fn named(what: &WhatDraft) -> Box<dyn Iterator<Item = &Named> + '_> {
    match what {
        WhatDraft::Display { items, .. } => Box::new(items.iter()),
        WhatDraft::Click(item) | WhatDraft::View(item) | WhatDraft::AddToCart { item, .. } => {
            Box::new(std::iter::once(item))
        }
        WhatDraft::Purchase(order) | WhatDraft::Refund(order) => {
            Box::new(order.lines.iter().map(|line| &line.item))
        }
        WhatDraft::End => Box::new(std::iter::empty()),
    }
}

pub(in crate::engine) fn refusal(code: RefusalCode, detail: impl Into<String>) -> Refusal {
    Refusal {
        code,
        detail: detail.into(),
    }
}
