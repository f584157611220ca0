//! Segment: `track` calls of its specification of electronic commerce.

use axum::extract::State;
use axum::response::Response;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::storefront::adapters::loose::{
    Key, LineNames, Loose, Names, Shop, entries, listed, said,
};
use crate::api::storefront::event_request::check_number;
use crate::api::storefront::event_schema::{EventsAnswer, ShopParams};
use crate::api::storefront::events::{check_may, read_shop, take};
use crate::domain::time::Timestamp;
use crate::engine::events::draft::{Reading, Sent, WhatDraft};
use crate::engine::start::Engine;
use crate::http::extract::{Caller, Query, Raw};
use crate::http::gate::Route;
use crate::http::json;
use crate::http::problem::Problem;

const ITEM: Names = &[
    ("variant", Key::Variant),
    ("sku", Key::Variant),
    ("product_id", Key::Variant),
];

const LINE: LineNames = LineNames {
    item: ITEM,
    paid: "price",
    cost: None,
};

/// A call, or a `batch` of them; fields that are not named here are passed over.
#[derive(Debug, ToSchema)]
pub struct SegmentCall {
    /// Calls sent together; the other fields are then those of each.
    #[schema(max_items = 1000)]
    #[schema(value_type = Option<Vec<Object>>)]
    pub batch: Option<Vec<Value>>,
    /// `track`; others are ignored.
    #[schema(rename = "type")]
    pub kind: Option<String>,
    /// `Product List Viewed`, `Product Clicked`, `Product Viewed`, `Product Added`,
    /// `Order Completed`, `Order Refunded` and `Order Cancelled`; others are ignored.
    pub event: Option<String>,
    /// A product, or `products`; an item is its `ticket`, `variant`, `sku` or `product_id`, the
    /// first of them that is there. Of orders also `order_id` and `currency`.
    #[schema(value_type = Option<Object>)]
    pub properties: Option<Value>,
    /// Repeated calls count once.
    #[schema(rename = "messageId")]
    pub message_id: Option<String>,
    /// The session, if `context.sessionId` is none.
    #[schema(rename = "anonymousId")]
    pub anonymous_id: Option<String>,
    /// The person.
    #[schema(rename = "userId")]
    pub user_id: Option<String>,
    /// When it happened; now, if absent.
    pub timestamp: Option<String>,
    /// May hold `sessionId`.
    #[schema(value_type = Option<Object>)]
    pub context: Option<Value>,
}

/// Routes of this file.
pub(crate) fn routes() -> OpenApiRouter<Engine> {
    OpenApiRouter::new()
        .routes(routes!(send_segment_calls))
        .route_layer(Route::events())
}

/// Send calls of Segment
///
/// Each `track` call is one event. Amounts are rounded to the currency's decimals, which is the
/// market's if none is named.
#[utoipa::path(
    post, path = "/v1/events/segment", tag = "storefront",
    params(ShopParams),
    request_body(content((SegmentCall = "application/json"), (String = "text/plain"))),
    responses((status = 200, description = "The verdicts", body = EventsAnswer)),
    extensions(("x-problems" = json!(["event-log-full"]))),
)]
async fn send_segment_calls(
    State(engine): State<Engine>,
    caller: Caller,
    members: Query,
    body: Raw,
) -> Result<Response, Problem> {
    check_may(&caller)?;
    let shop = read_shop(&engine, &caller, &members)?;
    let body = json::read_literally(&body.0)?;
    take(&engine, &caller, read(&body, &shop)?).await
}

fn read(body: &Value, shop: &Shop) -> Result<Vec<Sent>, Problem> {
    let calls = if body.get("type").is_some() {
        std::slice::from_ref(body)
    } else {
        listed(body, "batch")?
    };
    check_number(calls.len())?;
    Ok(calls.iter().map(|call| read_call(call, shop)).collect())
}

fn read_call(call: &Value, shop: &Shop) -> Sent {
    let name = said(call, "event").filter(|_| said(call, "type") == Some("track"));
    let properties = &call["properties"];
    let products = entries(properties, "products");
    let mut read = begin(call);
    let what = match name.unwrap_or_default() {
        "Product List Viewed" => {
            let items = read.items(products, "/products", ITEM);
            items.map(|items| WhatDraft::Display {
                category: None,
                items,
            })
        }
        "Product Clicked" => read.item(properties, "", ITEM).map(WhatDraft::Click),
        "Product Viewed" => read.item(properties, "", ITEM).map(WhatDraft::View),
        "Product Added" => {
            let item = read.item(properties, "", ITEM);
            let quantity = read.quantity(properties, "");
            let added = item.zip(quantity);
            added.map(|(item, quantity)| WhatDraft::AddToCart { item, quantity })
        }
        name @ ("Order Completed" | "Order Refunded" | "Order Cancelled") => {
            let order = said(properties, "order_id");
            let currency = said(properties, "currency").unwrap_or(shop.currency);
            let order = read.order((order, currency), (products, "/products"), &LINE);
            let is_purchase = name == "Order Completed";
            order.map(if is_purchase {
                WhatDraft::Purchase
            } else {
                WhatDraft::Refund
            })
        }
        _ => {
            let id = read.id;
            return Sent {
                id,
                event: Reading::Ignored,
            };
        }
    };
    read.finish(shop, what)
}

/// Who and when. A call is one event, so its id ends in the place of the first.
fn begin(call: &Value) -> Loose {
    let session = said(&call["context"], "sessionId").or(said(call, "anonymousId"));
    let read = Loose::new(session, said(call, "userId"));
    let id = said(call, "messageId").map(|id| format!("{id}#0"));
    let mut read = read.with_id(id);
    let at = said(call, "timestamp").map(Timestamp::parse);
    read.at = at.and_then(|at| read.faults.take("/timestamp", at));
    read
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::storefront::adapters::loose::tests::{details, shop, variant};
    use crate::engine::events::draft::EventDraft;

    fn call(event: &str, properties: &Value) -> Value {
        json!({
            "type": "track", "event": event, "properties": properties, "messageId": "m-1",
            "anonymousId": "a-1", "userId": "c-1", "timestamp": "2027-03-09T08:15:20.5Z",
        })
    }

    fn sent(body: &Value) -> Vec<Sent> {
        let body = json::read_literally(body.to_string().as_bytes()).unwrap();
        read(&body, &shop()).unwrap()
    }

    #[track_caller]
    fn taken(event: &str, properties: &Value) -> EventDraft {
        match sent(&call(event, properties)).remove(0).event {
            Reading::Event(event) => *event,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_call_is_an_event() {
        let one = json!({ "product_id": "p", "sku": "v", "quantity": 2 });
        let clicked = taken("Product Clicked", &one);
        assert_eq!(clicked.what, WhatDraft::Click(variant("v")));
        assert_eq!(clicked.id.as_deref(), Some("m-1#0"));
        assert_eq!(clicked.session.as_str(), "a-1");
        let at = Timestamp::parse("2027-03-09T08:15:20.5Z").unwrap();
        assert_eq!(clicked.at, Some(at));
        assert_eq!(
            taken("Product Viewed", &one).what,
            WhatDraft::View(variant("v"))
        );
        let item = variant("v");
        let added = WhatDraft::AddToCart { item, quantity: 2 };
        assert_eq!(taken("Product Added", &one).what, added);
        let products =
            json!({ "products": [{ "product_id": "p" }, { "variant": "w", "sku": "v" }] });
        let items = vec![variant("p"), variant("w")];
        let shown = WhatDraft::Display {
            category: None,
            items,
        };
        assert_eq!(taken("Product List Viewed", &products).what, shown);
    }

    #[test]
    fn orders_are_completed_refunded_and_cancelled() {
        let order = json!({
            "order_id": "o", "currency": "USD",
            "products": [{ "sku": "v", "price": 19.99, "quantity": 1 }],
        });
        let WhatDraft::Purchase(bought) = taken("Order Completed", &order).what else {
            panic!()
        };
        assert_eq!(
            (&*bought.order, &*bought.currency, bought.rounds),
            ("o", "USD", true)
        );
        for name in ["Order Refunded", "Order Cancelled"] {
            assert_eq!(taken(name, &order).what, WhatDraft::Refund(bought.clone()));
        }
    }

    #[test]
    fn what_nobody_knows_is_ignored() {
        let batch = json!({ "batch": [
            { "type": "page" }, { "type": "identify", "event": "Product Viewed" },
            call("Coupon Entered", &json!({})), 7,
        ] });
        let sent = sent(&batch);
        assert_eq!(sent.len(), 4);
        assert!(sent.iter().all(|sent| sent.event == Reading::Ignored));
        assert!(read(&json!({ "event": "Product Viewed" }), &shop()).is_err());
    }

    #[test]
    fn a_call_names_all_that_is_wrong_with_it() {
        let mut faulty = call("Product Viewed", &json!({}));
        faulty["anonymousId"] = json!(null);
        faulty["messageId"] = json!("x".repeat(63));
        faulty["timestamp"] = json!("now");
        let expected = "session_key: is required; id: at most 64 characters, found 65; \
                        timestamp: expected a time with offset, such as \
                        2027-03-08T06:00:00+01:00, found \"now\"; variant: is required";
        assert_eq!(details(&sent(&faulty)), [expected]);
        let mut own = call("Product Viewed", &json!({ "sku": "v" }));
        own["context"] = json!({ "sessionId": 1_700_000 });
        let Reading::Event(event) = sent(&own).remove(0).event else {
            panic!()
        };
        assert_eq!(event.session.as_str(), "1700000");
    }
}
