//! Reads events as shops send them: a list in JSON, or one event a line.
//!
//! An event stands for itself: what is wrong with it is its own verdict, all of it at once, and
//! costs no other event anything. Only what is around the events can be refused as a whole.

use serde_json::Value;

use crate::api::storefront::event_item::{NAMES, read_counted, read_display, up_to};
use crate::api::storefront::event_order::read_order;
use crate::api::storefront::rank_request::{parse_context, refuse_names};
use crate::api::wire::fields::{Fields, Read, wrong_type};
use crate::api::wire::scalar;
use crate::domain::complaint::{Complaint, Fault};
use crate::domain::id::{GroupOfShoppers, MarketId, SessionKey, Shopper};
use crate::domain::time::Timestamp;
use crate::engine::events::draft::{
    EventDraft, Named, Reading, Refusal, RefusalCode, Sent, WhatDraft,
};
use crate::engine::rank::UserContext;
use crate::http::json;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;

/// Most events of a call.
pub(crate) const EVENTS_MAX: usize = 1_000;

/// Most characters of an event's id.
pub(crate) const ID_CHARS_MAX: usize = 64;

/// Most faults that a detail names.
const TOLD_MAX: usize = 100;

/// Kinds of event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Display,
    Click,
    View,
    AddToCart,
    Purchase,
    Refund,
    End,
}

/// Their names.
const KINDS: [(&str, Kind); 7] = [
    ("display", Kind::Display),
    ("click", Kind::Click),
    ("view", Kind::View),
    ("add_to_cart", Kind::AddToCart),
    ("purchase", Kind::Purchase),
    ("refund", Kind::Refund),
    ("end", Kind::End),
];

/// Those of Google Analytics 4 that are others.
const ALIASES: [(&str, Kind); 3] = [
    ("view_item_list", Kind::Display),
    ("select_item", Kind::Click),
    ("view_item", Kind::View),
];

/// Reads `{"events":[…]}`.
///
/// # Errors
/// `malformed-json`; `invalid` if it has another shape; `body-too-large` above 1,000 events.
pub(crate) fn read_document(bytes: &[u8]) -> Result<Vec<Sent>, Problem> {
    let body = if bytes.is_empty() {
        Value::Null
    } else {
        json::read(bytes)?
    };
    let events = read_outer(&body).map_err(|faults| Problem::invalid(&faults))?;
    check_number(events.len())?;
    Ok(events.iter().map(read_event).collect())
}

/// Reads one event a line; blank lines are none.
///
/// # Errors
/// `body-too-large` above 1,000 events.
pub(crate) fn read_lines(bytes: &[u8]) -> Result<Vec<Sent>, Problem> {
    let lines = bytes.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.trim_ascii().is_empty());
    check_number(lines.clone().count())?;
    Ok(lines.map(read_line).collect())
}

fn read_line(line: &[u8]) -> Sent {
    match json::read(line) {
        Ok(value) => read_event(&value),
        Err(problem) => Sent {
            id: None,
            event: Reading::Refused(Refusal {
                code: RefusalCode::BadJson,
                detail: format!("the line is not JSON: {}", problem.detail()),
            }),
        },
    }
}

fn read_outer(body: &Value) -> Read<&[Value]> {
    let mut fields = Fields::of(body)?;
    let events = fields.need("events", |value| match value {
        Value::Array(events) => Ok(events.as_slice()),
        other => Err(wrong_type("a list", other)),
    });
    fields.finish(events)
}

/// So many events of one call are not too many.
///
/// # Errors
/// `body-too-large`.
pub(crate) fn check_number(have: usize) -> Result<(), Problem> {
    if have <= EVENTS_MAX {
        return Ok(());
    }
    let detail = format!("at most {EVENTS_MAX} events, found {have}");
    Err(Problem::new(Code::BodyTooLarge, detail).with("limit_events", EVENTS_MAX))
}

/// Reads one event.
pub(crate) fn read_event(value: &Value) -> Sent {
    let (Parts { id, context, event }, faults) = Fields::gather(value, read_fields);
    let event = match event {
        Some(_) if faults.is_empty() && context == Some(UserContext::Synthetic) => Reading::Ignored,
        Some(event) if faults.is_empty() => Reading::Event(Box::new(event)),
        _ => Reading::Refused(refusal(&faults)),
    };
    Sent { id, event }
}

/// What can be read of an event, whatever is wrong with the rest.
struct Parts {
    id: Option<String>,
    context: Option<UserContext>,
    event: Option<EventDraft>,
}

fn read_fields(fields: &mut Fields<'_>) -> Parts {
    let id = fields.scalar("id", up_to(ID_CHARS_MAX));
    let kind = fields.need("type", scalar::parsed(parse_kind));
    let at = fields.scalar("at", scalar::parsed(Timestamp::parse));
    let session = fields.need("session_key", scalar::parsed(SessionKey::parse));
    let shopper = fields.scalar("customer_key", scalar::parsed(Shopper::parse));
    let group = fields.scalar("shopper_group", scalar::parsed(GroupOfShoppers::parse));
    let context = fields.scalar("user_context", scalar::parsed(parse_context));
    if context == Some(UserContext::Anonymous) {
        refuse_names(session.is_some(), shopper.is_some(), fields);
    }
    let is_bot = fields.scalar("bot", scalar::flag).unwrap_or(false);
    let has_market = fields.says("market");
    let market = fields.scalar("market", scalar::parsed(MarketId::parse));
    let what = match kind {
        Some(kind) => read_what(kind, fields),
        None => pass_over(fields),
    };
    if !has_market && what.as_ref().is_some_and(needs_market) {
        fields.complain("market", Fault::Required);
    }
    let event = session.zip(what).map(|(session, what)| EventDraft {
        id: id.clone(),
        at,
        session,
        shopper,
        group,
        is_bot,
        market,
        what,
    });
    Parts { id, context, event }
}

fn parse_kind(text: &str) -> Result<Kind, Fault> {
    let mut known = KINDS.iter().chain(&ALIASES);
    let found = known.find(|(name, _)| *name == text);
    found
        .map(|(_, kind)| *kind)
        .ok_or_else(|| Fault::unknown_value(text, &KINDS.map(|(name, _)| name)))
}

fn read_what(kind: Kind, fields: &mut Fields<'_>) -> Option<WhatDraft> {
    Some(match kind {
        Kind::Display => read_display(fields)?,
        Kind::Click => WhatDraft::Click(read_counted(fields)?.0),
        Kind::View => WhatDraft::View(read_counted(fields)?.0),
        Kind::AddToCart => {
            let (item, quantity) = read_counted(fields)?;
            WhatDraft::AddToCart { item, quantity }
        }
        Kind::Purchase => WhatDraft::Purchase(read_order(fields)?),
        Kind::Refund => WhatDraft::Refund(read_order(fields)?),
        Kind::End => WhatDraft::End,
    })
}

/// Nobody can tell which fields an event of an unknown type may have.
fn pass_over(fields: &mut Fields<'_>) -> Option<WhatDraft> {
    let more = ["quantity", "items", "selected_category"];
    let of_orders = ["order_id", "currency", "lines"];
    for name in NAMES.into_iter().chain(more).chain(of_orders) {
        fields.says(name);
    }
    None
}

/// Whether an item of it is named in a way that means nothing without a market.
fn needs_market(what: &WhatDraft) -> bool {
    let by_key = |item: &Named| !matches!(item, Named::Ticket(_));
    match what {
        WhatDraft::Display { items, .. } => items.iter().any(by_key),
        WhatDraft::Click(item) | WhatDraft::View(item) | WhatDraft::AddToCart { item, .. } => {
            by_key(item)
        }
        WhatDraft::Purchase(order) | WhatDraft::Refund(order) => {
            order.lines.iter().any(|line| by_key(&line.item))
        }
        WhatDraft::End => false,
    }
}

/// Everything that is wrong, in one sentence.
pub(crate) fn refusal(faults: &[Complaint]) -> Refusal {
    let has_no_session =
        |fault: &Complaint| fault.pointer == "/session_key" && fault.fault == Fault::Required;
    let code = match faults {
        [fault] if has_no_session(fault) => RefusalCode::SessionMissing,
        _ => RefusalCode::Invalid,
    };
    let told = faults.iter().take(TOLD_MAX).map(|fault| {
        let place = fault.pointer.trim_start_matches('/');
        match place {
            "" => fault.fault.to_string(),
            place => format!("{place}: {}", fault.fault),
        }
    });
    let n_more = faults.len().saturating_sub(TOLD_MAX);
    let more = (0 < n_more).then(|| format!("and {n_more} more"));
    let detail = told.chain(more).collect::<Vec<_>>().join("; ");
    Refusal { code, detail }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::domain::category::CategoryId;
    use crate::domain::id::VariantKey;

    /// A click that is well-formed, changed in these fields; null takes a field away.
    fn click(change: &Value) -> Value {
        let mut event = json!({ "type": "click", "session_key": "s", "ticket": "t1.AcR" });
        for (name, value) in change.as_object().unwrap() {
            event[name] = value.clone();
        }
        event
    }

    #[track_caller]
    fn taken(event: &Value) -> EventDraft {
        match read_event(event).event {
            Reading::Event(event) => *event,
            other => panic!("{other:?}"),
        }
    }

    #[track_caller]
    fn refused(event: &Value, code: RefusalCode, detail: &str) {
        match read_event(event).event {
            Reading::Refused(refusal) => {
                assert_eq!((refusal.code, &*refusal.detail), (code, detail));
            }
            other => panic!("{other:?}"),
        }
    }

    /// A click with this change is refused for this alone.
    #[track_caller]
    fn check(change: &Value, detail: &str) {
        refused(&click(change), RefusalCode::Invalid, detail);
    }

    fn variant(key: &str) -> Named {
        Named::Variant(VariantKey::parse(key).unwrap())
    }

    #[test]
    fn every_field_is_read() {
        let event = json!({
            "id": "e-1", "type": "add_to_cart", "at": "2027-03-09T08:15:20Z", "session_key": " s",
            "customer_key": "c", "shopper_group": "g", "user_context": "unpersonalized",
            "bot": true, "market": "se", "variant": "FJO-L", "quantity": 2,
        });
        let expected = EventDraft {
            id: Some("e-1".to_owned()),
            at: Some(Timestamp::parse("2027-03-09T08:15:20Z").unwrap()),
            session: SessionKey::parse(" s").unwrap(),
            shopper: Some(Shopper::parse("c").unwrap()),
            group: Some(GroupOfShoppers::parse("g").unwrap()),
            is_bot: true,
            market: Some(MarketId::parse("se").unwrap()),
            what: WhatDraft::AddToCart {
                item: variant("FJO-L"),
                quantity: 2,
            },
        };
        assert_eq!(taken(&event), expected);
        assert_eq!(read_event(&event).id.as_deref(), Some("e-1"));
    }

    #[test]
    fn what_may_be_absent_may_be_null() {
        let bare = taken(&click(&json!({})));
        let nulls = json!({
            "id": null, "at": null, "customer_key": null, "shopper_group": null, "market": null,
            "user_context": null, "bot": null, "variant": null, "product": null, "quantity": null,
        });
        assert_eq!(taken(&click(&nulls)), bare);
        assert_eq!(
            bare.what,
            WhatDraft::Click(Named::Ticket("t1.AcR".to_owned()))
        );
        assert!(!bare.is_bot);
    }

    #[test]
    fn types_have_the_names_of_analytics_too() {
        let of = |kind: &str| taken(&click(&json!({ "type": kind }))).what;
        let item = Named::Ticket("t1.AcR".to_owned());
        let shown = WhatDraft::Display {
            category: None,
            items: vec![item.clone()],
        };
        for (name, expected) in [
            ("display", shown.clone()),
            ("view_item_list", shown),
            ("click", WhatDraft::Click(item.clone())),
            ("select_item", WhatDraft::Click(item.clone())),
            ("view", WhatDraft::View(item.clone())),
            ("view_item", WhatDraft::View(item.clone())),
            ("add_to_cart", WhatDraft::AddToCart { item, quantity: 1 }),
        ] {
            assert_eq!(of(name), expected, "{name}");
        }
        let end = json!({ "type": "end", "session_key": "s" });
        assert_eq!(taken(&end).what, WhatDraft::End);
    }

    #[test]
    fn each_field_has_its_faults() {
        let long = "x".repeat(65);
        check(
            &json!({ "id": long }),
            "id: at most 64 characters, found 65",
        );
        check(&json!({ "id": "" }), "id: at least 1 character, found 0");
        check(&json!({ "id": 7 }), "id: expected text, found a number");
        check(&json!({ "type": null }), "type: is required");
        check(
            &json!({ "type": "klick", "items": [], "lines": [] }),
            "type: \"klick\" is not one of display, click, view, add_to_cart, purchase, refund, end",
        );
        check(
            &json!({ "at": "yesterday" }),
            "at: expected a time with offset, such as 2027-03-08T06:00:00+01:00, found \"yesterday\"",
        );
        check(
            &json!({ "session_key": "" }),
            "session_key: at least 1 character, found 0",
        );
        check(
            &json!({ "customer_key": "" }),
            "customer_key: at least 1 character, found 0",
        );
        check(
            &json!({ "shopper_group": 1 }),
            "shopper_group: expected text, found a number",
        );
        check(
            &json!({ "user_context": "robot" }),
            "user_context: \"robot\" is not one of personalized, unpersonalized, anonymous, \
             synthetic",
        );
        check(
            &json!({ "bot": "yes" }),
            "bot: expected true or false, found text",
        );
        check(
            &json!({ "market": "SE" }),
            "market: expected lower-case letters, digits and hyphens, found \"SE\"",
        );
        check(&json!({ "tiket": "t1" }), "tiket: no field \"tiket\"");
        check(
            &json!({ "quantity": 0 }),
            "quantity: 0 is out of range: 1 to 1000000",
        );
        check(
            &json!({ "quantity": 1_000_001 }),
            "quantity: 1000001 is out of range: 1 to 1000000",
        );
        check(
            &json!({ "quantity": "2" }),
            "quantity: expected a whole number, found text",
        );
        refused(
            &json!(7),
            RefusalCode::Invalid,
            "expected an object, found a number",
        );
    }

    #[test]
    fn an_item_has_one_name() {
        let n =
            |n| format!("ticket: exactly one of ticket, variant and product is needed, found {n}");
        check(&json!({ "ticket": null }), &n(0));
        check(&json!({ "market": "se", "variant": "v" }), &n(2));
        check(
            &json!({ "ticket": null, "market": "se", "variant": "v", "product": "p" }),
            &n(2),
        );
        check(
            &json!({ "ticket": null, "variant": "v" }),
            "market: is required",
        );
        check(
            &json!({ "ticket": null, "product": "p" }),
            "market: is required",
        );
        check(
            &json!({ "ticket": 1 }),
            "ticket: expected text, found a number",
        );
    }

    #[test]
    fn a_display_shows_one_item_or_a_list() {
        let display = |change: &Value| {
            let mut event = click(&json!({ "type": "display", "ticket": null }));
            for (name, value) in change.as_object().unwrap() {
                event[name] = value.clone();
            }
            event
        };
        let list = json!({
            "items": [{ "ticket": "t1" }, { "variant": "v" }], "market": "se",
            "selected_category": "jackets",
        });
        let expected = WhatDraft::Display {
            category: Some(CategoryId::parse("main:jackets").unwrap()),
            items: vec![Named::Ticket("t1".to_owned()), variant("v")],
        };
        assert_eq!(taken(&display(&list)).what, expected);
        let full = vec![json!({ "ticket": "t" }); 200];
        taken(&display(&json!({ "items": full })));
        let over = vec![json!({ "ticket": "t" }); 201];
        for (change, detail) in [
            (
                json!({ "items": over }),
                "items: at most 200 entries, found 201",
            ),
            (json!({ "items": [] }), "items: at least 1 entry, found 0"),
            (
                json!({ "items": [{ "variant": "v" }] }),
                "market: is required",
            ),
            (
                json!({ "items": [{ "ticket": "t" }], "ticket": "t" }),
                "items: a display names one item or a list, not both",
            ),
            (
                json!({ "items": [{ "ticket": "t" }, { "tiket": "t" }] }),
                "items/1/ticket: exactly one of ticket, variant and product is needed, found 0; \
                 items/1/tiket: no field \"tiket\"",
            ),
        ] {
            refused(&display(&change), RefusalCode::Invalid, detail);
        }
    }

    #[test]
    fn nobody_is_counted_without_a_session() {
        let missing = RefusalCode::SessionMissing;
        refused(
            &click(&json!({ "session_key": null })),
            missing,
            "session_key: is required",
        );
        check(
            &json!({ "session_key": null, "bot": 1 }),
            "session_key: is required; bot: expected true or false, found a number",
        );
        check(
            &json!({ "user_context": "anonymous", "customer_key": "c" }),
            "session_key: anonymous requests carry no session and no person; \
             customer_key: anonymous requests carry no session and no person",
        );
    }

    #[test]
    fn synthetic_events_are_ignored_if_they_are_well_formed() {
        let event = click(&json!({ "user_context": "synthetic" }));
        assert_eq!(read_event(&event).event, Reading::Ignored);
        check(
            &json!({ "user_context": "synthetic", "id": 1 }),
            "id: expected text, found a number",
        );
    }

    #[test]
    fn a_detail_names_a_hundred_faults() {
        let mut event = click(&json!({}));
        for n in 0..101 {
            event[format!("f{n}")] = json!(n);
        }
        let Reading::Refused(refusal) = read_event(&event).event else {
            panic!("unknown fields are refused");
        };
        assert_eq!(refusal.detail.matches("no field").count(), 100);
        assert!(refusal.detail.ends_with("; and 1 more"));
    }

    #[test]
    fn a_bad_line_costs_no_other() {
        let lines = "{\"type\":\"end\",\"session_key\":\"s\"}\r\n\n  \n{\"type\":\n7\n\
                     {\"type\":\"end\",\"session_key\":\"s\"}";
        let sent = read_lines(lines.as_bytes()).unwrap();
        let codes = sent.iter().map(|sent| match &sent.event {
            Reading::Event(_) => "event",
            Reading::Ignored => "ignored",
            Reading::Refused(refusal) => refusal.code.as_str(),
        });
        let expected = ["event", "bad-json", "invalid", "event"];
        assert_eq!(codes.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_call_has_a_thousand_events() {
        let codes = |n: usize| {
            let body = json!({ "events": vec![json!({}); n] }).to_string();
            let document = read_document(body.as_bytes()).map(|sent| sent.len());
            let lines = read_lines("{}\n".repeat(n).as_bytes()).map(|sent| sent.len());
            [document, lines].map(|read| read.map_err(|problem| problem.code()))
        };
        assert_eq!(codes(0), [Ok(0), Ok(0)]);
        assert_eq!(codes(1_000), [Ok(1_000), Ok(1_000)]);
        assert_eq!(
            codes(1_001),
            [Err(Code::BodyTooLarge), Err(Code::BodyTooLarge)]
        );
    }

    #[test]
    fn what_is_around_the_events_is_refused_as_a_whole() {
        let code = |body: &str| read_document(body.as_bytes()).unwrap_err().code();
        assert_eq!(code("{\"events\":["), Code::MalformedJson);
        assert_eq!(code(""), Code::Invalid);
        assert_eq!(code("[]"), Code::Invalid);
        assert_eq!(code("{}"), Code::Invalid);
        assert_eq!(code("{\"events\":{}}"), Code::Invalid);
        assert_eq!(code("{\"events\":[],\"evnts\":[]}"), Code::Invalid);
    }
}
