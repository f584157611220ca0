//! Voyado Elevate: notifications, one a call, answered with a status alone.

use axum::extract::State;
use hyper::StatusCode;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::storefront::adapters::loose::{Key, LineNames, Loose, Names, Shop, entries};
use crate::api::storefront::events::{check_may, shop_of};
use crate::domain::id::MarketId;
use crate::engine::events::draft::{Refusal, RefusalCode, Sent, WhatDraft};
use crate::engine::start::Engine;
use crate::http::extract::{Caller, Query, Raw};
use crate::http::gate::Route;
use crate::http::json;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;

const ITEM: Names = &[("variantKey", Key::Variant), ("productKey", Key::Product)];

const LINE: LineNames = LineNames {
    item: ITEM,
    paid: "sellingPrice",
    cost: Some("cost"),
};

/// An item, by its ticket or by its keys.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct ElevateItem {
    /// The ticket it was shown with.
    pub ticket: Option<String>,
    /// Key of the product.
    pub product_key: Option<String>,
    /// Key of the variant; the better name, if both are there.
    pub variant_key: Option<String>,
}

/// An order, without an id.
#[derive(Debug, ToSchema)]
pub struct ElevatePayment {
    /// What was sold.
    #[schema(max_items = 1000)]
    pub lines: Vec<ElevateLine>,
}

/// A line of an order.
#[derive(Debug, ToSchema)]
#[schema(rename_all = "camelCase")]
pub struct ElevateLine {
    /// Key of the product.
    pub product_key: Option<String>,
    /// Key of the variant; the better name, if both are there.
    pub variant_key: Option<String>,
    /// Pieces; 1 if absent.
    pub quantity: Option<u32>,
    /// Paid for one piece, in the market's currency.
    #[schema(value_type = f64)]
    pub selling_price: Value,
    /// What one piece cost the shop.
    #[schema(value_type = Option<f64>)]
    pub cost: Option<Value>,
}

/// Whose notification it is.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query, rename_all = "camelCase")]
pub struct ElevateParams {
    /// The market.
    pub market: String,
    /// The person.
    pub customer_key: Option<String>,
    /// The visit.
    pub session_key: String,
    /// A public key, where no header can be sent.
    pub key: Option<String>,
}

/// What is notified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Click,
    AddToCart,
    Payment,
    End,
}

/// Routes of this file.
pub(crate) fn routes() -> OpenApiRouter<Engine> {
    OpenApiRouter::new()
        .routes(routes!(elevate_click))
        .routes(routes!(elevate_add_to_cart))
        .routes(routes!(elevate_payment))
        .routes(routes!(elevate_end))
        .route_layer(Route::events())
}

/// Notify a click, as to Elevate
///
/// Has no id, so equal clicks are several.
#[utoipa::path(
    post, path = "/v1/events/elevate/click", tag = "storefront",
    params(ElevateParams),
    request_body(content((ElevateItem = "application/json"), (String = "text/plain"))),
    responses((status = 204, description = "It is taken")),
    extensions(("x-problems" = json!(["event-log-full", "market-forbidden"]))),
)]
async fn elevate_click(
    State(engine): State<Engine>,
    caller: Caller,
    members: Query,
    body: Raw,
) -> Result<StatusCode, Problem> {
    notify(&engine, &caller, Kind::Click, (&members, &body.0)).await
}

/// Notify something put into the cart, as to Elevate
#[utoipa::path(
    post, path = "/v1/events/elevate/add-to-cart", tag = "storefront",
    params(ElevateParams),
    request_body(content((ElevateItem = "application/json"), (String = "text/plain"))),
    responses((status = 204, description = "It is taken")),
    extensions(("x-problems" = json!(["event-log-full", "market-forbidden"]))),
)]
async fn elevate_add_to_cart(
    State(engine): State<Engine>,
    caller: Caller,
    members: Query,
    body: Raw,
) -> Result<StatusCode, Problem> {
    notify(&engine, &caller, Kind::AddToCart, (&members, &body.0)).await
}

/// Notify an order, as to Elevate
///
/// Has no id either: equal payments of a session within ten minutes are one. Public keys may not
/// send it.
#[utoipa::path(
    post, path = "/v1/events/elevate/payment", tag = "storefront",
    params(ElevateParams),
    request_body(content((ElevatePayment = "application/json"), (String = "text/plain"))),
    responses((status = 204, description = "It is taken")),
    extensions(("x-problems" = json!(["event-log-full", "market-forbidden"]))),
)]
async fn elevate_payment(
    State(engine): State<Engine>,
    caller: Caller,
    members: Query,
    body: Raw,
) -> Result<StatusCode, Problem> {
    notify(&engine, &caller, Kind::Payment, (&members, &body.0)).await
}

/// Notify the end of a visit, as to Elevate
#[utoipa::path(
    post, path = "/v1/events/elevate/end", tag = "storefront",
    params(ElevateParams),
    responses((status = 204, description = "It is taken")),
    extensions(("x-problems" = json!(["event-log-full", "market-forbidden"]))),
)]
async fn elevate_end(
    State(engine): State<Engine>,
    caller: Caller,
    members: Query,
    body: Raw,
) -> Result<StatusCode, Problem> {
    notify(&engine, &caller, Kind::End, (&members, &body.0)).await
}

async fn notify(
    engine: &Engine,
    caller: &Caller,
    kind: Kind,
    (members, body): (&Query, &[u8]),
) -> Result<StatusCode, Problem> {
    check_may(caller)?;
    let member = |name: &str| {
        let mut named = members.0.iter().filter(|(own, _)| own == name);
        named.next().map(|(_, value)| &**value)
    };
    let market = MarketId::parse(member("market").unwrap_or_default());
    let market = market.map_err(|fault| Problem::bad_query(format!("market: {fault}")))?;
    let shop = shop_of(engine, caller, market);
    let value = if body.is_empty() {
        Value::Null
    } else {
        json::read_literally(body)?
    };
    let read = Loose::new(member("sessionKey"), member("customerKey"));
    let session = read.session.as_ref();
    let order = session.map(|session| engine.name_order(&shop.market, session, body));
    let sent = read_notification(read, kind, &value, (&shop, order.as_deref()));
    let taken = engine.take_events(&caller.principal, vec![sent]).await?;
    match taken.rejected.into_iter().next() {
        None => Ok(StatusCode::NO_CONTENT),
        Some(rejected) => Err(refused(rejected.refusal)),
    }
}

fn read_notification(
    mut read: Loose,
    kind: Kind,
    body: &Value,
    (shop, order): (&Shop, Option<&str>),
) -> Sent {
    let what = match kind {
        Kind::Click => read.item(body, "", ITEM).map(WhatDraft::Click),
        Kind::AddToCart => {
            let item = read.item(body, "", ITEM);
            let added = item.zip(read.quantity(body, ""));
            added.map(|(item, quantity)| WhatDraft::AddToCart { item, quantity })
        }
        Kind::Payment => {
            let lines = (entries(body, "lines"), "/lines");
            let order = read.order((order, shop.currency), lines, &LINE);
            order.map(WhatDraft::Purchase)
        }
        Kind::End => Some(WhatDraft::End),
    };
    read.finish(shop, what)
}

/// The statuses of Elevate: 403 for what the key may not do, 400 for everything else.
fn refused(refusal: Refusal) -> Problem {
    let Refusal { code, detail } = refusal;
    match code {
        RefusalCode::MarketForbidden => Problem::new(Code::MarketForbidden, detail),
        RefusalCode::CostNotAllowed | RefusalCode::NeedsServerKey => {
            Problem::new(Code::NotPermitted, detail).with("needs", "storefront-server")
        }
        RefusalCode::SessionMissing => Problem::bad_query(detail),
        _ => Problem::new(Code::MalformedJson, detail),
    }
}
