//! A page as a shopper would get it, and in words why it looks so.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::cli::args::Rank;
use crate::cli::client::{Call, Client, Payload, encode};
use crate::cli::output::{Failure, Format, Outcome, align, cell, note, plain_table, say, show};

/// Items of a page while the base order is looked up: the most that the API gives.
const WALK_LIMIT: u32 = 600;

/// Most pages that are looked through for the base order.
const WALK_PAGES_MAX: usize = 5;

/// Shows a page. Nothing of it is recorded.
///
/// # Errors
/// What the server refuses.
pub(in crate::cli) fn rank(client: &Client, format: Format, command: &Rank) -> Outcome<()> {
    let path = format!("/v1/markets/{}/rank", encode(&command.market));
    let request = body(command)?;
    let ask = |body: Value| {
        let call = Call::new("POST", &path).with(Payload::Json(body));
        client.call(call).map(|answer| answer.body)
    };
    let answer = ask(request.clone())?;
    for warning in answer["warnings"].as_array().into_iter().flatten() {
        note(&remark(warning));
    }
    if format != Format::Table {
        show(format, &answer, &[]);
        return Ok(());
    }
    // Match classes of a text query come before scores, and a sort instead of them: then a base
    // rank says nothing about places on this page.
    let is_base_ordered = command.q.is_none() && command.sort.is_empty();
    let has_ranks = answer["items"].as_array().is_some_and(|items| {
        !items.is_empty() && items.iter().all(|item| item["base_rank"].is_u64())
    });
    let base = if is_base_ordered && has_ranks {
        Some(walk(request, ask)?)
    } else {
        None
    };
    say(&table(&answer, base.as_ref(), command.explain));
    for line in summary(&answer, command) {
        say(&line);
    }
    Ok(())
}

/// What was odd about a request; of some oddities the answer gives the bare key.
fn remark(warning: &Value) -> String {
    let (code, detail) = (cell(&warning["code"]), cell(&warning["detail"]));
    match &*code {
        "unknown-category" => format!("this market has no category {detail} ({code})"),
        _ => format!("{detail} ({code})"),
    }
}

fn body(command: &Rank) -> Outcome<Value> {
    let mut body = json!({
        "group_by": command.group_by,
        "limit": command.limit,
        "offset": command.offset,
        "explain": command.explain,
        "count": false,
    });
    let optional = [
        ("selected_category", &command.category),
        ("q", &command.q),
        ("session_key", &command.session),
        ("at", &command.at),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            body[name] = json!(value);
        }
    }
    for (name, values) in [("sort", &command.sort), ("facets", &command.facets)] {
        if !values.is_empty() {
            body[name] = json!(values);
        }
    }
    if !command.filters.is_empty() {
        body["filter"] = json!({ "all": clauses(&command.filters)? });
    }
    Ok(body)
}

/// `brand=Fjord` and `brand=Vela` are one clause of two alternatives; `price.min=10` is a bound.
fn clauses(filters: &[String]) -> Outcome<Vec<Value>> {
    let mut lists: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let mut ranges: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for filter in filters {
        let (attr, value) = filter.split_once('=').ok_or_else(|| {
            Failure::usage(format!("\"{filter}\" is no filter: write attribute=value"))
        })?;
        match attr.rsplit_once('.') {
            Some((attr, bound @ ("min" | "max"))) => {
                ranges
                    .entry(attr)
                    .or_default()
                    .insert(bound.to_owned(), json!(value));
            }
            _ => lists.entry(attr).or_default().push(value),
        }
    }
    let listed = lists
        .into_iter()
        .map(|(attr, values)| json!({ "attr": attr, "in": values }));
    let ranged = ranges.into_iter().map(|(attr, mut range)| {
        range.insert("attr".to_owned(), json!(attr));
        Value::Object(range)
    });
    Ok(listed.chain(ranged).collect())
}

/// Base ranks of what the page is cut from.
#[derive(Debug, Default)]
struct BaseOrder {
    /// Ascending.
    ranks: Vec<u64>,
    /// Base rank up to which no item is missing; `None` if none is missing at all.
    complete_to: Option<u64>,
}

/// Where an item would stand if nothing were promoted.
#[derive(Debug, PartialEq, Eq)]
enum BasePlace {
    Exactly(u64),
    AtLeast(u64),
}

impl BaseOrder {
    fn place(&self, base_rank: u64) -> BasePlace {
        let n_before = self.ranks.partition_point(|rank| *rank < base_rank) as u64;
        match self.complete_to {
            Some(end) if end < base_rank => BasePlace::AtLeast(n_before),
            _ => BasePlace::Exactly(n_before),
        }
    }
}

/// Reads through the whole result, or its first few thousand items. Those without a boost come in
/// base order, so up to the last of them no item is missing, but for demoted ones at the very end.
fn walk(mut request: Value, ask: impl Fn(Value) -> Outcome<Value>) -> Outcome<BaseOrder> {
    request["limit"] = json!(WALK_LIMIT);
    request["offset"] = json!(0);
    request["explain"] = json!(false);
    if let Some(fields) = request.as_object_mut() {
        fields.remove("facets");
    }
    let mut order = BaseOrder::default();
    for _ in 0..WALK_PAGES_MAX {
        let page = ask(request.clone())?;
        for item in page["items"].as_array().into_iter().flatten() {
            let Some(rank) = item["base_rank"].as_u64() else {
                continue;
            };
            order.ranks.push(rank);
            if item["level"] == "none" {
                order.complete_to = order.complete_to.max(Some(rank));
            }
        }
        if page["next_cursor"].is_null() {
            order.complete_to = None;
            order.ranks.sort_unstable();
            return Ok(order);
        }
        request["cursor"] = page["next_cursor"].clone();
    }
    order.complete_to = order.complete_to.or(Some(0));
    order.ranks.sort_unstable();
    Ok(order)
}

fn table(answer: &Value, base: Option<&BaseOrder>, explain: bool) -> String {
    let mut table = plain_table();
    let mut heads = vec!["place", "product", "variant"];
    let with_ranks = answer["items"]
        .as_array()
        .is_some_and(|items| items.iter().all(|item| item["base_rank"].is_u64()));
    if with_ranks {
        heads.extend(["base rank", "level"]);
    }
    if base.is_some() {
        heads.push("moved");
    }
    if explain {
        heads.push("why");
    }
    let is_number: Vec<bool> = heads
        .iter()
        .map(|head| ["place", "base rank", "moved"].contains(head))
        .collect();
    table.set_header(heads);
    for item in answer["items"].as_array().into_iter().flatten() {
        let place = item["position"].as_u64().unwrap_or_default();
        let mut row = vec![
            (place + 1).to_string(),
            cell(&item["product"]),
            cell(&item["variant"]),
        ];
        if with_ranks {
            let rank = item["base_rank"].as_u64().unwrap_or_default();
            row.extend([(rank + 1).to_string(), cell(&item["level"])]);
            row.extend(base.map(|base| moved(&base.place(rank), place)));
        }
        if explain {
            row.push(why(item));
        }
        table.add_row(row);
    }
    align(&mut table, is_number);
    table.trim_fmt()
}

/// Places gained or lost against the base order of this page.
fn moved(base: &BasePlace, place: u64) -> String {
    let (base, more) = match base {
        BasePlace::Exactly(base) => (*base, ""),
        BasePlace::AtLeast(base) => (*base, " or more"),
    };
    match base.cmp(&place) {
        std::cmp::Ordering::Greater => format!("+{}{more}", base - place),
        std::cmp::Ordering::Equal if more.is_empty() => "0".to_owned(),
        std::cmp::Ordering::Equal => "up".to_owned(),
        std::cmp::Ordering::Less => format!("-{}", place - base),
    }
}

/// The promotions behind an item's place, and why others do not count, a line each.
fn why(item: &Value) -> String {
    let explain = &item["explain"];
    let entries = |name: &str| explain[name].as_array().cloned().unwrap_or_default();
    let mut lines = Vec::new();
    for promotion in entries("because") {
        let level = cell(&promotion["level"]);
        let does = match level.as_str() {
            "high" => "above all that is not boosted".to_owned(),
            "demoted" => "below everything else".to_owned(),
            _ => format!(
                "of {} scored higher, at most {} stay above",
                cell(&explain["higher_scored"]),
                cell(&explain["stay_above_max"])
            ),
        };
        lines.push(format!(
            "\"{}\" ({level}): {does}",
            cell(&promotion["name"])
        ));
    }
    for promotion in entries("not_used") {
        let reason = cell(&promotion["reason"]);
        lines.push(format!(
            "not \"{}\": {}",
            cell(&promotion["name"]),
            reason_words(&reason)
        ));
    }
    if lines.is_empty() {
        lines.push("no promotion holds it".to_owned());
    }
    lines.join("\n")
}

fn reason_words(reason: &str) -> &str {
    match reason {
        "withheld" => "it is measured, and this session does not see it",
        "category" => "it does not count in this category",
        "weaker-level" => "a stronger promotion holds it as well",
        "demoted" => "a demotion holds it as well, and demotions win",
        "suspended" => "it is suspended",
        "period" => "it is not its time",
        other => other,
    }
}

/// What is to be said beneath the table.
fn summary(answer: &Value, command: &Rank) -> Vec<String> {
    let total = answer["total"].as_u64().unwrap_or_default();
    let what = match command.group_by.as_str() {
        "variant" => "variants",
        "product_group" => "product groups",
        _ => "products",
    };
    let mut lines = vec![String::new()];
    lines.push(format!(
        "{total} {what} in all; revision {}",
        cell(&answer["snapshot"])
    ));
    for (attr, facet) in answer["facets"].as_object().into_iter().flatten() {
        let values = facet.as_array().or_else(|| facet["values"].as_array());
        let counts = values
            .into_iter()
            .flatten()
            .map(|entry| format!("{} {}", cell(&entry["value"]), cell(&entry["count"])));
        let mut line = format!("{attr}: {}", counts.collect::<Vec<_>>().join(", "));
        if let (Some(min), Some(max)) = (facet["min"].as_str(), facet["max"].as_str()) {
            let _ = write!(line, "; {min} to {max}");
        }
        lines.push(line);
    }
    for entry in answer["measurement"].as_array().into_iter().flatten() {
        let (promotion, arm) = (cell(&entry["promotion"]), cell(&entry["arm"]));
        lines.push(format!("measured: {promotion} is {arm}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_category_is_said_to_be_one() {
        let warning = json!({ "code": "unknown-category", "detail": "main:outerwaer" });
        let expected = "this market has no category main:outerwaer (unknown-category)";
        assert_eq!(remark(&warning), expected);
        let warning = json!({ "code": "no-session", "detail": "no arm is counted" });
        assert_eq!(remark(&warning), "no arm is counted (no-session)");
    }

    fn item(position: u64, product: &str, rank: u64, level: &str) -> Value {
        json!({
            "product": product, "variant": format!("{product}-1"), "position": position,
            "base_rank": rank, "level": level,
            "explain": { "higher_scored": rank, "stay_above_max": 2, "because": [], "not_used": [] },
        })
    }

    #[test]
    fn filters_become_clauses() {
        let filters = [
            "brand=Fjord",
            "price.min=10",
            "brand=Vela",
            "price.max=20",
            "a.b=c=d",
        ];
        let filters: Vec<String> = filters.map(str::to_owned).into();
        assert_eq!(
            json!(clauses(&filters).unwrap()),
            json!([
                { "attr": "a.b", "in": ["c=d"] },
                { "attr": "brand", "in": ["Fjord", "Vela"] },
                { "attr": "price", "min": "10", "max": "20" },
            ])
        );
        assert_eq!(clauses(&["brand".to_owned()]).unwrap_err().code(), 2);
    }

    #[test]
    fn the_base_order_is_read_through_cursors() {
        let pages = [
            json!({ "items": [item(0, "c", 30, "high"), item(1, "a", 4, "none")],
                "next_cursor": "c1" }),
            json!({ "items": [item(2, "b", 9, "none")], "next_cursor": null }),
        ];
        let ask = |body: Value| {
            assert_eq!(body["limit"], 600);
            Ok(pages[usize::from(body["cursor"] == "c1")].clone())
        };
        let order = walk(json!({ "limit": 3, "facets": ["brand"] }), ask).unwrap();
        assert_eq!(order.ranks, [4, 9, 30]);
        assert_eq!(order.place(30), BasePlace::Exactly(2));
        let endless = |_: Value| Ok(pages[0].clone());
        let order = walk(json!({}), endless).unwrap();
        assert_eq!(order.place(4), BasePlace::Exactly(0));
        assert_eq!(order.place(30), BasePlace::AtLeast(WALK_PAGES_MAX as u64));
    }

    #[test]
    fn moves_are_signed() {
        assert_eq!(moved(&BasePlace::Exactly(318), 0), "+318");
        assert_eq!(moved(&BasePlace::Exactly(0), 2), "-2");
        assert_eq!(moved(&BasePlace::Exactly(7), 7), "0");
        assert_eq!(moved(&BasePlace::AtLeast(3_000), 1), "+2999 or more");
    }

    #[test]
    fn a_page_is_told_with_reasons_in_words() {
        let mut first = item(0, "FJO-DOWN", 264, "medium");
        first["explain"]["because"] = json!([{ "name": "Warm week", "level": "medium" }]);
        first["explain"]["not_used"] = json!([{ "name": "Down low", "reason": "weaker-level" }]);
        let answer = json!({ "items": [first, item(1, "FJO-WIND", 4, "none")] });
        let base = BaseOrder {
            ranks: vec![4, 264],
            complete_to: None,
        };
        let text = table(&answer, Some(&base), true);
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert_eq!(lines.len(), 4, "{text}");
        assert!(lines[1].contains("265  medium"), "{text}");
        assert!(lines[1].contains("+1"), "{text}");
        assert!(
            lines[1]
                .ends_with("\"Warm week\" (medium): of 264 scored higher, at most 2 stay above")
        );
        assert!(lines[2].ends_with("not \"Down low\": a stronger promotion holds it as well"));
        assert!(lines[3].ends_with("no promotion holds it"), "{text}");
    }

    #[test]
    fn a_page_without_ranks_is_told_as_far_as_it_goes() {
        let answer = json!({ "items": [{ "product": "a", "variant": "b", "position": 4 }] });
        let text = table(&answer, None, false);
        let lines: Vec<Vec<&str>> = text
            .lines()
            .map(|l| l.split_whitespace().collect())
            .collect();
        assert_eq!(
            lines,
            [vec!["place", "product", "variant"], vec!["5", "a", "b"]]
        );
    }
}
