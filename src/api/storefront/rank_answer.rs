//! Writes a page as JSON.

use std::sync::Arc;

use serde_json::value::RawValue;

use crate::api::wire::write::{Plain, comma, integer, name, string};
use crate::catalogue::Catalogue;
use crate::catalogue::row::Row;
use crate::domain::boost::BoostLevel;
use crate::domain::id::RequestId;
use crate::engine::idle::Idle;
use crate::engine::rank::{RankAnswer, RankRequest, RankWarning};
use crate::measurement::split::Arm;
use crate::predicate::facts::Facts;
use crate::predicate::rule::Attr;
use crate::ranking::explain::{Explanation, Reason};
use crate::ranking::facet::Facet;

/// Room for an item of usual keys, and for the arm of one promotion.
const ITEM_BYTES: usize = 320;
const ARM_BYTES: usize = 72;

/// What the caller may see of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Everything.
    Whole,
    /// What a shopper's browser may know: no base rank, level or arms.
    Public,
    /// Everything but tickets: nobody shows it to shoppers.
    Preview,
}

/// Total and items of a page that is only previewed.
pub(crate) fn page(answer: &mut RankAnswer, request: &RankRequest) -> Box<RawValue> {
    let mut out = Vec::with_capacity(64 + ITEM_BYTES * answer.page.items.len());
    out.push(b'{');
    name(&mut out, "total");
    integer(&mut out, answer.page.total);
    write_items(&mut out, answer, request, Sight::Preview);
    out.push(b'}');
    let text = String::from_utf8(out).expect("keys and numbers are UTF-8");
    RawValue::from_string(text).expect("what is written is JSON")
}

/// The whole answer.
pub(crate) fn write(
    answer: &mut RankAnswer,
    request: &RankRequest,
    id: RequestId,
    sight: Sight,
) -> Vec<u8> {
    let n_items = answer.page.items.len();
    let n_arms = answer.timed.measured.len();
    let mut out = Vec::with_capacity(512 + ITEM_BYTES * n_items + ARM_BYTES * n_arms);
    out.push(b'{');
    name(&mut out, "request_id");
    string(&mut out, &id.to_string());
    name(&mut out, "market");
    string(&mut out, request.market.as_str());
    name(&mut out, "currency");
    string(&mut out, answer.state.market.value.locale.currency.code());
    name(&mut out, "snapshot");
    integer(&mut out, answer.snapshot.revision.0);
    name(&mut out, "total");
    integer(&mut out, answer.page.total);
    name(&mut out, "next_cursor");
    match &answer.next_cursor {
        Some(cursor) => string(&mut out, cursor),
        None => out.extend_from_slice(b"null"),
    }
    if sight == Sight::Whole {
        write_arms(&mut out, answer);
    }
    write_items(&mut out, answer, request, sight);
    write_facets(&mut out, answer);
    if sight == Sight::Whole {
        name(&mut out, "applied");
        out.push(b'[');
        for slot in answer.page.applied.iter() {
            comma(&mut out);
            let promotion = answer.timed.view.table().promotion(slot);
            string(&mut out, promotion.text().as_str());
        }
        out.push(b']');
    }
    write_warnings(&mut out, &answer.warnings);
    out.push(b'}');
    out
}

fn write_items(out: &mut Vec<u8>, answer: &mut RankAnswer, request: &RankRequest, sight: Sight) {
    name(out, "items");
    out.push(b'[');
    let timed = Arc::clone(&answer.timed);
    let keys = keys_of(answer, timed.view.catalogue());
    for (place, keys) in keys.into_iter().enumerate() {
        comma(out);
        write_item(out, answer, request, (place, keys), sight);
    }
    out.push(b']');
}

/// The keys of an item, ready to be written.
struct Keys<'a> {
    product: Plain<'a>,
    variant: Plain<'a>,
}

/// Looks all keys up before any is written, so that one is not waited for after the other.
fn keys_of<'a>(answer: &RankAnswer, catalogue: &'a Catalogue) -> Vec<Keys<'a>> {
    let keys = answer.page.items.iter().map(|item| {
        let (product, variant) = catalogue.keys(item.row);
        Keys {
            product: Plain::new(product),
            variant: Plain::new(variant),
        }
    });
    keys.collect()
}

fn write_arms(out: &mut Vec<u8>, answer: &RankAnswer) {
    name(out, "measurement");
    out.push(b'[');
    for (promotion, arm) in answer.arms() {
        comma(out);
        out.extend_from_slice(b"{\"promotion\":\"");
        out.extend_from_slice(promotion.as_str().as_bytes());
        out.extend_from_slice(match arm {
            Arm::Shown => &b"\",\"arm\":\"shown\"}"[..],
            Arm::Withheld => b"\",\"arm\":\"withheld\"}",
        });
    }
    out.push(b']');
}

fn write_item(
    out: &mut Vec<u8>,
    answer: &mut RankAnswer,
    request: &RankRequest,
    (place, keys): (usize, Keys<'_>),
    sight: Sight,
) {
    let item = &answer.page.items[place];
    let catalogue = answer.timed.view.catalogue();
    let position = answer.offset + u32::try_from(place).unwrap_or(u32::MAX);
    out.extend_from_slice(b"{\"product\":");
    keys.product.write(out);
    out.extend_from_slice(b",\"variant\":");
    keys.variant.write(out);
    out.extend_from_slice(b",\"position\":");
    integer(out, position);
    if sight != Sight::Public {
        out.extend_from_slice(b",\"base_rank\":");
        integer(out, item.rank.0);
        out.extend_from_slice(b",\"level\":\"");
        out.extend_from_slice(BoostLevel::name(item.level).as_bytes());
        out.push(b'"');
    }
    if sight != Sight::Preview {
        out.extend_from_slice(b",\"ticket\":\"");
        answer.tickets.write(keys.variant.text(), position, out);
        out.push(b'"');
    }
    if !request.fields.is_empty() {
        name(out, "fields");
        out.push(b'{');
        for attr in &request.fields {
            write_field(out, catalogue, item.row, attr);
        }
        out.push(b'}');
    }
    if let Some(explanation) = answer.explanations.get(place) {
        let idle = answer.idle.get(place).map_or(&[][..], Vec::as_slice);
        write_explanation(out, answer, item.row, (explanation, idle));
    }
    out.push(b'}');
}

/// One attribute: a text, a list of texts if it may have several values, or null.
fn write_field(out: &mut Vec<u8>, catalogue: &Catalogue, row: Row, attr: &Attr) {
    name(out, attr.as_str());
    let facts = catalogue.facts(row);
    let currency = catalogue.locale().currency;
    let mut values = facts
        .values(attr)
        .map(|value| value.to_value().format(currency));
    if catalogue
        .column(attr.as_str())
        .is_some_and(crate::catalogue::column::Column::multi)
    {
        out.push(b'[');
        for value in values {
            comma(out);
            string(out, &value);
        }
        out.push(b']');
        return;
    }
    match values.next() {
        Some(value) => string(out, &value),
        None => out.extend_from_slice(b"null"),
    }
}

fn write_explanation(
    out: &mut Vec<u8>,
    answer: &RankAnswer,
    row: Row,
    (why, idle): (&Explanation, &[Idle]),
) {
    let optional = |out: &mut Vec<u8>, number: Option<u32>| match number {
        Some(number) => integer(out, number),
        None => out.extend_from_slice(b"null"),
    };
    name(out, "explain");
    out.push(b'{');
    name(out, "score");
    match answer.timed.view.catalogue().score(row) {
        Some(score) => string(out, &score.to_string()),
        None => out.extend_from_slice(b"null"),
    }
    name(out, "higher_scored");
    integer(out, why.higher_scored);
    name(out, "stay_above_max");
    optional(out, why.stay_above_max);
    name(out, "landing_rank");
    optional(out, why.landing_rank.map(|rank| rank.0));
    name(out, "because");
    out.push(b'[');
    for slot in &why.because {
        let promotion = &answer.timed.promotions[usize::from(slot.0)].value;
        comma(out);
        out.push(b'{');
        name(out, "promotion");
        string(out, &promotion.id.to_string());
        name(out, "name");
        string(out, &promotion.name);
        name(out, "level");
        string(out, promotion.level.as_str());
        out.push(b'}');
    }
    out.push(b']');
    name(out, "not_used");
    out.push(b'[');
    for (slot, reason) in &why.not_used {
        let promotion = &answer.timed.promotions[usize::from(slot.0)].value;
        write_unused(
            out,
            &promotion.id.to_string(),
            &promotion.name,
            reason_word(*reason),
        );
    }
    for (promotion, reason) in idle {
        write_unused(
            out,
            &promotion.id.to_string(),
            &promotion.name,
            reason.as_str(),
        );
    }
    out.extend_from_slice(b"]}");
}

fn write_unused(out: &mut Vec<u8>, id: &str, promotion: &str, reason: &str) {
    comma(out);
    out.push(b'{');
    name(out, "promotion");
    string(out, id);
    name(out, "name");
    string(out, promotion);
    name(out, "reason");
    string(out, reason);
    out.push(b'}');
}

fn reason_word(reason: Reason) -> &'static str {
    match reason {
        Reason::Withheld => "withheld",
        Reason::Category => "category",
        Reason::WeakerLevel => "weaker-level",
        Reason::Demoted => "demoted",
    }
}

fn write_facets(out: &mut Vec<u8>, answer: &RankAnswer) {
    let currency = answer.state.market.value.locale.currency;
    name(out, "facets");
    out.push(b'{');
    for facet in &answer.page.facets {
        write_facet(out, facet, currency);
    }
    out.push(b'}');
}

fn write_facet(out: &mut Vec<u8>, facet: &Facet, currency: crate::domain::money::Currency) {
    name(out, facet.attr.as_str());
    if let Some((min, max)) = &facet.bounds {
        out.extend_from_slice(b"{\"min\":");
        string(out, &min.format(currency));
        out.extend_from_slice(b",\"max\":");
        string(out, &max.format(currency));
        out.extend_from_slice(b",\"values\":");
    }
    out.push(b'[');
    for (value, count) in &facet.counts {
        comma(out);
        out.extend_from_slice(b"{\"value\":");
        string(out, &value.format(currency));
        out.extend_from_slice(b",\"count\":");
        integer(out, *count);
        out.push(b'}');
    }
    out.push(b']');
    if facet.bounds.is_some() {
        out.push(b'}');
    }
}

fn write_warnings(out: &mut Vec<u8>, warnings: &[RankWarning]) {
    name(out, "warnings");
    out.push(b'[');
    for warning in warnings {
        comma(out);
        out.push(b'{');
        name(out, "code");
        string(out, warning.code);
        name(out, "detail");
        string(out, &warning.detail);
        out.push(b'}');
    }
    out.push(b']');
}
