//! How events and their verdicts are described.
//!
//! Events are not made through these types: each is read field by field, so that its one verdict
//! names everything that is wrong with it.

use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::engine::events::draft::{Rejected, Taken};

/// What shoppers did.
#[derive(Debug, ToSchema)]
pub struct EventsBody {
    /// In the order they happened.
    #[schema(max_items = 1000)]
    pub events: Vec<EventBody>,
}

/// One thing that happened. An item is named by the `ticket` it was shown with, or by `variant` or
/// `product` and the `market`.
#[derive(Debug, ToSchema)]
pub struct EventBody {
    /// Unique for 30 days; an event without one is never taken for a repetition.
    #[schema(examples("e-9001"), min_length = 1, max_length = 64)]
    pub id: Option<String>,
    /// `display`, `click`, `view`, `add_to_cart`, `purchase`, `refund`, `end`; also
    /// `view_item_list`, `select_item` and `view_item`.
    #[schema(rename = "type", examples("click"))]
    pub kind: String,
    /// When it happened, RFC 3339; now, if absent.
    #[schema(examples("2027-03-09T08:15:20Z"))]
    pub at: Option<String>,
    /// The visit, as the shop names it.
    #[schema(examples("s-7f31c2d0"), min_length = 1, max_length = 128)]
    pub session_key: String,
    /// The person.
    #[schema(min_length = 1, max_length = 128)]
    pub customer_key: Option<String>,
    /// Declared group for smart offers.
    #[schema(min_length = 1, max_length = 128)]
    pub shopper_group: Option<String>,
    /// As in ranks; `synthetic` events are ignored.
    pub user_context: Option<String>,
    /// True if this is no person: the whole visit counts nowhere.
    pub bot: Option<bool>,
    /// The market, where not every item is named by its ticket.
    #[schema(examples("se"))]
    pub market: Option<String>,
    /// The ticket of the item.
    pub ticket: Option<String>,
    /// Key of the variant.
    #[schema(min_length = 1, max_length = 128)]
    pub variant: Option<String>,
    /// Key of the product.
    #[schema(min_length = 1, max_length = 128)]
    pub product: Option<String>,
    /// Pieces put into the cart; 1 if absent. Allowed on clicks and views, where it means nothing.
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub quantity: Option<u32>,
    /// On displays: the category page.
    #[schema(examples("main:jackets"))]
    pub selected_category: Option<String>,
    /// On displays: what was shown, if more than one.
    #[schema(max_items = 200)]
    pub items: Option<Vec<ShownBody>>,
    /// Of purchases and refunds: the order, as the shop names it.
    #[schema(examples("SE-70412"), min_length = 1, max_length = 128)]
    pub order_id: Option<String>,
    /// Of purchases and refunds: the currency of all amounts.
    #[schema(examples("SEK"))]
    pub currency: Option<String>,
    /// Of purchases and refunds: what was sold or came back.
    #[schema(max_items = 1000)]
    pub lines: Option<Vec<OrderLineBody>>,
}

/// An item that was shown, by exactly one name.
#[derive(Debug, ToSchema)]
pub struct ShownBody {
    /// Its ticket.
    pub ticket: Option<String>,
    /// Key of the variant.
    #[schema(min_length = 1, max_length = 128)]
    pub variant: Option<String>,
    /// Key of the product.
    #[schema(min_length = 1, max_length = 128)]
    pub product: Option<String>,
}

/// A line of an order: an item by exactly one name, exactly one amount paid, at most one cost.
#[derive(Debug, ToSchema)]
pub struct OrderLineBody {
    /// Its id in the order; its place from 1, if absent.
    #[schema(min_length = 1, max_length = 128)]
    pub line_id: Option<String>,
    /// Its ticket.
    pub ticket: Option<String>,
    /// Key of the variant.
    #[schema(min_length = 1, max_length = 128)]
    pub variant: Option<String>,
    /// Key of the product.
    #[schema(min_length = 1, max_length = 128)]
    pub product: Option<String>,
    /// Pieces.
    #[schema(minimum = 1, maximum = 1_000_000)]
    pub quantity: u32,
    /// Paid for one piece, after discounts and without shipping.
    #[schema(examples("2135.75"))]
    pub unit_paid: Option<String>,
    /// Paid for all pieces together.
    #[schema(examples("4271.50"))]
    pub line_paid: Option<String>,
    /// What one piece cost the shop.
    #[schema(examples("1180.00"))]
    pub unit_cost: Option<String>,
    /// What all pieces together cost the shop.
    pub line_cost: Option<String>,
}

/// Where events of another system belong.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ShopParams {
    /// The market.
    pub market: String,
    /// A public key, where no header can be sent.
    pub key: Option<String>,
}

/// What became of the events; the verdicts add up to `received`.
#[derive(Debug, Serialize, ToSchema)]
pub struct EventsAnswer {
    received: usize,
    accepted: usize,
    /// Known already by their ids, or orders by theirs.
    duplicate: usize,
    /// Of a kind that is not counted.
    ignored: usize,
    /// Amounts rounded to the currency's decimals; adapters only.
    rounded: usize,
    rejected: Vec<RejectedBody>,
}

/// An event that was refused.
#[derive(Debug, Serialize, ToSchema)]
pub struct RejectedBody {
    /// Its place in the call, from 0.
    index: usize,
    #[schema(required = true)]
    id: Option<String>,
    /// `bad-json`, `invalid`, `ticket-invalid`, `ticket-expired`, `market-forbidden`,
    /// `at-in-future`, `too-old`, `cost-not-allowed`, `needs-server-key`, `currency-mismatch`,
    /// `order-unknown`, `refund-exceeds` or `session-missing`.
    code: &'static str,
    /// Everything that is wrong with it, in one sentence.
    detail: String,
}

impl EventsAnswer {
    /// The verdicts, in words of the wire.
    pub(crate) fn of(taken: Taken) -> Self {
        Self {
            received: taken.received,
            accepted: taken.accepted,
            duplicate: taken.duplicate,
            ignored: taken.ignored,
            rounded: taken.rounded,
            rejected: taken.rejected.into_iter().map(RejectedBody::of).collect(),
        }
    }
}

impl RejectedBody {
    fn of(rejected: Rejected) -> Self {
        Self {
            index: rejected.index,
            id: rejected.id,
            code: rejected.refusal.code.as_str(),
            detail: rejected.refusal.detail,
        }
    }
}
