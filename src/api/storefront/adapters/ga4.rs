//! Google Analytics 4: the body of its Measurement Protocol.

use axum::extract::State;
use axum::response::Response;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::storefront::adapters::loose::{
    Key, LineNames, Loose, Names, Shop, entries, listed, said,
};
use crate::api::storefront::event_item::ITEMS_MAX;
use crate::api::storefront::event_request::{EVENTS_MAX, check_number};
use crate::api::storefront::event_schema::{EventsAnswer, ShopParams};
use crate::api::storefront::events::{check_may, read_shop, take};
use crate::domain::complaint::Fault;
use crate::domain::time::Timestamp;
use crate::engine::events::draft::{Reading, Sent, WhatDraft};
use crate::engine::start::Engine;
use crate::http::extract::{Caller, Query, Raw};
use crate::http::gate::Route;
use crate::http::json;
use crate::http::problem::Problem;

/// `item_id` is what the shop sells, `item_variant` a word for people.
const ITEM: Names = &[("item_id", Key::Variant)];

const LINE: LineNames = LineNames {
    item: ITEM,
    paid: "price",
    cost: None,
};

/// A body of the Measurement Protocol; fields that are not named here are passed over.
#[derive(Debug, ToSchema)]
pub struct Ga4Body {
    /// The browser; with `params.session_id` of an event it makes the session.
    #[schema(examples("1733.17"))]
    pub client_id: String,
    /// The person.
    pub user_id: Option<String>,
    /// When the events happened, in microseconds since 1970; now, if absent.
    #[schema(value_type = Option<u64>)]
    pub timestamp_micros: Option<u64>,
    /// `view_item_list`, `select_item`, `view_item`, `add_to_cart`, `purchase` and `refund`; others
    /// are ignored.
    pub events: Vec<Ga4Event>,
}

/// One event.
#[derive(Debug, ToSchema)]
pub struct Ga4Event {
    /// What happened.
    #[schema(examples("select_item"))]
    pub name: String,
    /// `session_id`, `items` with `ticket` or `item_id`, `quantity` and `price`; of orders
    /// `transaction_id` and `currency`, which is the market's if absent.
    #[schema(value_type = Object)]
    pub params: Value,
}

/// Routes of this file.
pub(crate) fn routes() -> OpenApiRouter<Engine> {
    OpenApiRouter::new()
        .routes(routes!(send_ga4_events))
        .route_layer(Route::events())
}

/// Send events of Google Analytics 4
///
/// An event about several items becomes one for each of them, `view_item_list` excepted; verdicts
/// count those. The session is `client_id`, a full stop and `params.session_id`; an event's id is
/// made of `timestamp_micros`, its name and its place, so a call that is repeated counts once.
#[utoipa::path(
    post, path = "/v1/events/ga4", tag = "storefront",
    params(ShopParams),
    request_body(content((Ga4Body = "application/json"), (String = "text/plain"))),
    responses((status = 200, description = "The verdicts", body = EventsAnswer)),
    extensions(("x-problems" = json!(["event-log-full"]))),
)]
async fn send_ga4_events(
    State(engine): State<Engine>,
    caller: Caller,
    members: Query,
    body: Raw,
) -> Result<Response, Problem> {
    check_may(&caller)?;
    let shop = read_shop(&engine, &caller, &members)?;
    let sent = read(&json::read_literally(&body.0)?, &shop)?;
    take(&engine, &caller, sent).await
}

fn read(body: &Value, shop: &Shop) -> Result<Vec<Sent>, Problem> {
    let events = listed(body, "events")?.iter().enumerate();
    let sent = events.flat_map(|(place, own)| {
        let event = Event {
            body,
            own,
            place,
            shop,
        };
        event.read()
    });
    let sent: Vec<Sent> = sent.take(EVENTS_MAX + 1).collect();
    check_number(sent.len())?;
    Ok(sent)
}

/// One event of a body.
struct Event<'a> {
    body: &'a Value,
    own: &'a Value,
    place: usize,
    shop: &'a Shop,
}

impl Event<'_> {
    fn read(&self) -> Vec<Sent> {
        let params = &self.own["params"];
        let items = entries(params, "items");
        let name = said(self.own, "name").unwrap_or_default();
        match name {
            "view_item_list" => {
                let mut read = self.begin(0);
                let items = read.items(items, "/items", ITEM);
                let shown = items.map(|items| WhatDraft::Display {
                    category: None,
                    items,
                });
                vec![read.finish(self.shop, shown)]
            }
            "select_item" | "view_item" | "add_to_cart" => self.one_each(name, items),
            "purchase" | "refund" => {
                let mut read = self.begin(0);
                let order = said(params, "transaction_id");
                let currency = said(params, "currency").unwrap_or(self.shop.currency);
                let order = read.order((order, currency), (items, "/items"), &LINE);
                let is_purchase = name == "purchase";
                let what = if is_purchase {
                    WhatDraft::Purchase
                } else {
                    WhatDraft::Refund
                };
                vec![read.finish(self.shop, order.map(what))]
            }
            _ => vec![Sent {
                id: None,
                event: Reading::Ignored,
            }],
        }
    }

    fn one_each(&self, name: &str, items: &[Value]) -> Vec<Sent> {
        let mut whole = self.begin(0);
        if whole.number(items.len(), ITEMS_MAX, "/items").is_none() {
            return vec![whole.finish(self.shop, None)];
        }
        let mut sent = Vec::with_capacity(items.len());
        for (n, value) in items.iter().enumerate() {
            let mut read = self.begin(n);
            let at = format!("/items/{n}");
            let item = read.item(value, &at, ITEM);
            let quantity = read.quantity(value, &at);
            let what = item.zip(quantity).map(|(item, quantity)| match name {
                "select_item" => WhatDraft::Click(item),
                "view_item" => WhatDraft::View(item),
                _ => WhatDraft::AddToCart { item, quantity },
            });
            sent.push(read.finish(self.shop, what));
        }
        sent
    }

    /// Who and when, and the id of the event's item at this place: sessions hold the client, so it
    /// need not stand in the id.
    fn begin(&self, item: usize) -> Loose {
        let client = said(self.body, "client_id");
        let visit = said(&self.own["params"], "session_id");
        let session = client
            .zip(visit)
            .map(|(client, visit)| format!("{client}.{visit}"));
        let read = Loose::new(session.as_deref(), said(self.body, "user_id"));
        let micros = said(self.own, "timestamp_micros").or(said(self.body, "timestamp_micros"));
        let id = micros.zip(said(self.own, "name"));
        let id = id.map(|(micros, name)| format!("{micros}-{name}-{}.{item}", self.place));
        let mut read = read.with_id(id);
        read.at = micros.and_then(|micros| {
            let whole = micros.parse::<i64>();
            let fault = |_| Fault::bad_format("whole microseconds", micros);
            let at = whole
                .map_err(fault)
                .map(|micros| Timestamp(micros.div_euclid(1_000)));
            read.faults.take("/timestamp_micros", at)
        });
        read
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::storefront::adapters::loose::tests::{details, shop, variant};
    use crate::engine::events::draft::{AmountDraft, EventDraft, LineDraft, Named, OrderDraft};

    fn sent(body: &Value) -> Vec<Sent> {
        let body = json::read_literally(body.to_string().as_bytes()).unwrap();
        read(&body, &shop()).unwrap()
    }

    fn body(name: &str, params: &Value) -> Value {
        let mut params = params.clone();
        params["session_id"] = json!(1_700_000_000);
        json!({
            "client_id": "1733.17", "user_id": "c-1", "timestamp_micros": 1_804_579_200_123_456_u64,
            "events": [{ "name": "scroll" }, { "name": name, "params": params }],
        })
    }

    /// What the event after an ignored one says.
    #[track_caller]
    fn taken(name: &str, params: &Value) -> Vec<EventDraft> {
        let mut sent = sent(&body(name, params)).into_iter();
        assert_eq!(sent.next().unwrap().event, Reading::Ignored);
        let event = |sent: Sent| match sent.event {
            Reading::Event(event) => *event,
            other => panic!("{other:?}"),
        };
        sent.map(event).collect()
    }

    #[test]
    fn an_event_is_one_for_each_of_its_items() {
        let items = json!({ "items": [{ "item_id": "a", "quantity": 2 }, { "ticket": "t1" }] });
        let added = taken("add_to_cart", &items);
        assert_eq!(added.len(), 2);
        let [first, second] = &added[..] else {
            panic!()
        };
        assert_eq!(
            first.id.as_deref(),
            Some("1804579200123456-add_to_cart-1.0")
        );
        assert_eq!(
            second.id.as_deref(),
            Some("1804579200123456-add_to_cart-1.1")
        );
        assert_eq!(first.at, Some(Timestamp(1_804_579_200_123)));
        assert_eq!(first.session.as_str(), "1733.17.1700000000");
        assert_eq!(
            first.shopper.as_ref().map(ToString::to_string).as_deref(),
            Some("c-1")
        );
        let item = variant("a");
        assert_eq!(first.what, WhatDraft::AddToCart { item, quantity: 2 });
        let item = Named::Ticket("t1".to_owned());
        assert_eq!(
            second.what,
            WhatDraft::AddToCart {
                item: item.clone(),
                quantity: 1
            }
        );
        assert_eq!(
            taken("select_item", &items)[1].what,
            WhatDraft::Click(item.clone())
        );
        assert_eq!(
            taken("view_item", &items)[1].what,
            WhatDraft::View(item.clone())
        );
        let shown = taken("view_item_list", &items);
        let items = vec![variant("a"), item];
        assert_eq!(shown.len(), 1);
        assert_eq!(
            shown[0].what,
            WhatDraft::Display {
                category: None,
                items
            }
        );
    }

    #[test]
    fn amounts_are_what_was_written() {
        let order = taken(
            "purchase",
            &json!({
                "transaction_id": 70_412, "items": [
                    { "item_id": "a", "price": 33.333_333_333_333_336 },
                    { "item_id": "b", "quantity": "3", "price": "1e2" },
                ],
            }),
        );
        let line = |key: &str, quantity, paid: &str| LineDraft {
            line: None,
            item: variant(key),
            quantity,
            paid: AmountDraft::Unit(paid.to_owned()),
            cost: None,
        };
        let expected = OrderDraft {
            order: "70412".to_owned(),
            currency: "SEK".to_owned(),
            rounds: true,
            lines: vec![line("a", 1, "33.333333333333336"), line("b", 3, "100")],
        };
        assert_eq!(order[0].what, WhatDraft::Purchase(expected));
        let refund = taken(
            "refund",
            &json!({
                "transaction_id": "o", "currency": "eur", "items": [{ "item_id": "a", "price": 1 }],
            }),
        );
        let WhatDraft::Refund(refund) = &refund[0].what else {
            panic!()
        };
        assert_eq!(refund.currency, "EUR");
    }

    #[test]
    fn an_event_names_all_that_is_wrong_with_it() {
        let check = |name: &str, params: Value, expected: &str| {
            assert_eq!(details(&sent(&body(name, &params))), [expected]);
        };
        check("select_item", json!({}), "items: at least 1 entry, found 0");
        let items = vec![json!({ "item_id": "a" }); 201];
        check(
            "view_item",
            json!({ "items": items }),
            "items: at most 200 entries, found 201",
        );
        check(
            "add_to_cart",
            json!({ "items": [{ "quantity": 1.5 }] }),
            "items/0/item_id: is required; items/0/quantity: 1.5 is out of range: 1 to 1000000",
        );
        check(
            "purchase",
            json!({ "currency": "XXY", "items": [{ "item_id": "a", "price": -1 }, { "item_id": "b" }] }),
            "order_id: is required; currency: \"XXY\" is not one of the codes of ISO 4217, such as \
             SEK; items/0/price: -1 is out of range: 0 or more; items/1/price: is required",
        );
    }

    #[test]
    fn a_session_is_a_client_and_a_visit() {
        let event = json!({ "name": "view_item", "params": { "items": [{ "item_id": "a" }] } });
        let sent = sent(&json!({ "client_id": "1.2", "events": [event] }));
        assert_eq!(details(&sent), ["session_key: is required"]);
        assert!(read(&json!({}), &shop()).is_err());
    }

    #[test]
    fn a_call_has_a_thousand_events_of_items() {
        let items = vec![json!({}); 200];
        let event = json!({ "name": "view_item", "params": { "items": items } });
        let number = |n: usize| {
            let sent = read(&json!({ "events": vec![event.clone(); n] }), &shop());
            sent.ok().map(|sent| sent.len())
        };
        assert_eq!(number(5), Some(1_000));
        assert_eq!(number(6), None);
    }
}
