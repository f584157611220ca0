//! Events as a shop sends them, and what each is told.

use crate::domain::category::CategoryId;
use crate::domain::id::{GroupOfShoppers, MarketId, ProductKey, SessionKey, Shopper, VariantKey};
use crate::domain::time::Timestamp;

/// One event of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// Its id as far as it could be read, for the verdict.
    pub id: Option<String>,
    /// What it says, or why it is not taken at all.
    pub event: Reading,
}

/// How an event was understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// Well-formed.
    Event(Box<EventDraft>),
    /// Of a kind that nobody counts.
    Ignored,
    /// Not well-formed.
    Refused(Refusal),
}

/// A well-formed event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventDraft {
    /// Unique in its session for 30 days; one without is never a duplicate.
    pub id: Option<String>,
    /// When it happened; when it came in, if not said.
    pub at: Option<Timestamp>,
    /// The visit.
    pub session: SessionKey,
    /// The person.
    pub shopper: Option<Shopper>,
    /// What kind of shopper the shop says this is.
    pub group: Option<GroupOfShoppers>,
    /// Whether the shop says that this is no person.
    pub is_bot: bool,
    /// The market; tickets bring their own.
    pub market: Option<MarketId>,
    /// What happened.
    pub what: WhatDraft,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhatDraft {
    /// Items were shown.
    Display {
        /// The category page they were shown on.
        category: Option<CategoryId>,
        /// One or more.
        items: Vec<Named>,
    },
    /// An item was opened from a list.
    Click(Named),
    /// A product's page was opened.
    View(Named),
    /// Something was put into the cart.
    AddToCart {
        /// What.
        item: Named,
        /// How many, from 1.
        quantity: u32,
    },
    /// An order was placed.
    Purchase(OrderDraft),
    /// Lines of an order came back.
    Refund(OrderDraft),
    /// The shopper left.
    End,
}

/// An item as the shop names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// By the ticket it was shown with.
    Ticket(String),
    /// By its variant.
    Variant(VariantKey),
    /// By its product, if that has no variants or the shop does not say which.
    Product(ProductKey),
}

/// An order, or what came back of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderDraft {
    /// As the shop names it, 1 to 128 characters.
    pub order: String,
    /// Three letters.
    pub currency: String,
    /// Whether amounts with more decimals than the currency are rounded half up and counted, which
    /// only adapters do, or refused.
    pub rounds: bool,
    /// 1 to 1,000.
    pub lines: Vec<LineDraft>,
}

/// A line of an order; figures are positive, also of what came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineDraft {
    /// Its id in the order; its place from 1 if it has none.
    pub line: Option<String>,
    /// What was sold.
    pub item: Named,
    /// From 1.
    pub quantity: u32,
    /// What the shopper paid.
    pub paid: AmountDraft,
    /// What it cost the shop.
    pub cost: Option<AmountDraft>,
}

/// An amount as it was written, such as `4271.50`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AmountDraft {
    /// Of one unit.
    Unit(String),
    /// Of the whole line.
    Line(String),
}

/// Why an event was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// For programs.
    pub code: RefusalCode,
    /// For people: one sentence that names every fault.
    pub detail: String,
}

/// Kinds of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RefusalCode {
    /// A line of NDJSON is no JSON.
    BadJson,
    /// A field is missing, wrong or beyond a limit.
    Invalid,
    /// A ticket was not made here, or was changed.
    TicketInvalid,
    /// A ticket is too old.
    TicketExpired,
    /// The key may not speak for the market.
    MarketForbidden,
    /// More than five minutes ahead.
    AtInFuture,
    /// More than thirty days ago.
    TooOld,
    /// A public key may not tell costs.
    CostNotAllowed,
    /// A public key may not tell this at all.
    NeedsServerKey,
    /// Not the market's currency.
    CurrencyMismatch,
    /// A refund of an order that nobody knows.
    OrderUnknown,
    /// A refund of more than is left.
    RefundExceeds,
    /// No session is named.
    SessionMissing,
}

impl RefusalCode {
    /// As the wire spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadJson => "bad-json",
            Self::Invalid => "invalid",
            Self::TicketInvalid => "ticket-invalid",
            Self::TicketExpired => "ticket-expired",
            Self::MarketForbidden => "market-forbidden",
            Self::AtInFuture => "at-in-future",
            Self::TooOld => "too-old",
            Self::CostNotAllowed => "cost-not-allowed",
            Self::NeedsServerKey => "needs-server-key",
            Self::CurrencyMismatch => "currency-mismatch",
            Self::OrderUnknown => "order-unknown",
            Self::RefundExceeds => "refund-exceeds",
            Self::SessionMissing => "session-missing",
        }
    }
}

/// What became of the events of a call; the sum of the verdicts is what was received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Events sent.
    pub received: usize,
    /// Logged.
    pub accepted: usize,
    /// Known already.
    pub duplicate: usize,
    /// Of no interest.
    pub ignored: usize,
    /// Amounts rounded, of accepted events.
    pub rounded: usize,
    /// Refused, in the order sent.
    pub rejected: Vec<Rejected>,
}

/// A refused event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// Its place in the call, from 0.
    pub index: usize,
    /// Its id.
    pub id: Option<String>,
    /// Why.
    pub refusal: Refusal,
}
