//! Before publishing: what a draft would run into, pages before and after, and why it holds what it
//! holds.

use std::path::Path;

use serde_json::{Value, json};

use crate::cli::client::{Call, Client, Payload, encode};
use crate::cli::output::{
    Failure, Format, Outcome, align, cell, complaint, note, plain_table, say, show,
};
use crate::cli::promo_args::PromoPreview;
use crate::cli::work::{read_json, warning};

/// Categories that are named; more are only counted.
const NAMED_MAX: usize = 8;

/// Levels of a promotion, weakest first.
const LEVELS: [&str; 3] = ["low", "medium", "high"];

/// Tells what publishing a draft would run into.
///
/// # Errors
/// Exit code 3 if a field is wrong, 4 if a market is full.
pub(in crate::cli) fn check(
    client: &Client,
    format: Format,
    file: &Path,
    id: Option<&str>,
) -> Outcome<()> {
    let mut draft = read_json(file)?;
    if let Some(id) = id {
        draft["id"] = json!(id);
    }
    let call = Call::new("POST", "/v1/promotions/check").with(Payload::Json(draft));
    let checked = client.call(call)?.body;
    if format == Format::Table {
        tell_check(&checked);
    } else {
        show(format, &checked, &[]);
    }
    let errors = list(&checked["errors"]);
    if !errors.is_empty() {
        let lines: Vec<String> = errors.iter().map(complaint).collect();
        return Err(Failure::invalid(lines.join("\n")));
    }
    let full = list(&checked["calendar"]);
    if full.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = full.iter().map(no_room).collect();
    Err(Failure::refused(lines.join("\n")))
}

fn tell_check(checked: &Value) {
    for (market, counts) in checked["counts"].as_object().into_iter().flatten() {
        let reach = &checked["reach"][market];
        say(&format!(
            "{market}: selects {} variants of {} products",
            cell(&counts["selected"]),
            cell(&counts["products"])
        ));
        for (place, set) in list(&counts["after_each_rule"]).iter().enumerate() {
            let steps: Vec<String> = list(set).iter().map(cell).collect();
            if !steps.is_empty() {
                let number = place + 1;
                say(&format!("  rule set {number}: {}", steps.join(" > ")));
            }
        }
        say(&format!(
            "  moved by it alone: {}; demoted by others: {}, boosted more: {}, as much: {}",
            cell(&reach["moved"]),
            cell(&reach["demoted"]),
            cell(&reach["stronger_level"]),
            cell(&reach["same_level"])
        ));
        let of_market = |own: &&Value| own["market"] == market.as_str();
        for overlap in list(&checked["overlaps"]).iter().filter(of_market) {
            say(&format!("  {}", cell(&overlap["text"])));
        }
    }
    for remark in list(&checked["lint"]) {
        say(&format!("remark: {}", warning(remark)));
    }
}

fn no_room(full: &Value) -> String {
    format!(
        "market {} is full from {} to {}",
        cell(&full["market"]),
        cell(&full["first_full"]),
        cell(&full["free_from"])
    )
}

/// Shows a page before and after a draft.
///
/// # Errors
/// What the server refuses.
pub(in crate::cli) fn preview(
    client: &Client,
    format: Format,
    command: &PromoPreview,
) -> Outcome<()> {
    let draft = read_json(&command.file)?;
    let path = format!("/v1/markets/{}/preview", encode(&command.market));
    let ask = |draft: &Value| {
        let call = Call::new("POST", &path).with(Payload::Json(question(command, draft)));
        client.call(call).map(|answer| answer.body)
    };
    if command.levels {
        let mut previews = Vec::with_capacity(LEVELS.len());
        for level in LEVELS {
            let mut other = draft.clone();
            other["level"] = json!(level);
            previews.push(ask(&other)?);
        }
        if format == Format::Table {
            say(&side_by_side(&previews));
        } else {
            let by_level = LEVELS.iter().zip(previews);
            let by_level: serde_json::Map<String, Value> = by_level
                .map(|(level, preview)| ((*level).to_owned(), preview))
                .collect();
            show(format, &Value::Object(by_level), &[]);
        }
        return Ok(());
    }
    let preview = ask(&draft)?;
    if format != Format::Table {
        show(format, &preview, &[]);
        return Ok(());
    }
    say(&before_and_after(&preview));
    tell_rest(&preview);
    Ok(())
}

fn question(command: &PromoPreview, draft: &Value) -> Value {
    let mut change = json!({ "op": "put", "promotion": draft });
    if let Some(id) = &command.id {
        change["id"] = json!(id);
    }
    let mut rank = json!({ "limit": command.limit });
    if let Some(category) = &command.category {
        rank["selected_category"] = json!(category);
    }
    let mut body = json!({ "rank": rank, "arms": command.arms, "changes": [change] });
    if let Some(at) = &command.at {
        body["at"] = json!(at);
    }
    body
}

/// The page after, each place with where it stood before.
fn before_and_after(preview: &Value) -> String {
    let mut table = plain_table();
    table.set_header(["place", "product", "level", "base rank", "before"]);
    for item in list(&preview["after"]["items"]) {
        let place = item["position"].as_u64().unwrap_or_default();
        let before = stood(preview, &item["product"], place);
        table.add_row([
            (place + 1).to_string(),
            cell(&item["product"]),
            cell(&item["level"]),
            (item["base_rank"].as_u64().unwrap_or_default() + 1).to_string(),
            before,
        ]);
    }
    align(&mut table, [true, false, false, true, false]);
    table.trim_fmt()
}

/// Where something stood before, as `7, up 6`.
fn stood(preview: &Value, product: &Value, place: u64) -> String {
    let shifts = ["moved", "entered"].map(|kind| list(&preview["diff"][kind]));
    let found = shifts
        .into_iter()
        .flatten()
        .find(|own| own["key"] == *product);
    let Some(from) = found.and_then(|own| own["from"].as_u64()) else {
        return "same".to_owned();
    };
    let by = from.abs_diff(place);
    let way = if place < from { "up" } else { "down" };
    format!("{}, {way} {by}", from + 1)
}

fn tell_rest(preview: &Value) {
    for own in list(&preview["diff"]["left"]) {
        let place = |name: &str| own[name].as_u64().unwrap_or_default() + 1;
        say(&format!(
            "leaves the page: {} from {} to {}",
            cell(&own["key"]),
            place("from"),
            place("to")
        ));
    }
    let categories = list(&preview["changed_categories"]);
    let named: Vec<String> = categories.iter().take(NAMED_MAX).map(cell).collect();
    match categories.len() {
        0 => say("no category page changes"),
        n if n <= NAMED_MAX => say(&format!("changes {n} category pages: {}", named.join(", "))),
        n => say(&format!(
            "changes {n} category pages: {}, …",
            named.join(", ")
        )),
    }
    for full in list(&preview["calendar"]) {
        note(&no_room(full));
    }
    for remark in list(&preview["warnings"]) {
        note(&format!("warning: {}", warning(remark)));
    }
}

/// The page now and under each level; what was not on the page at this place before has a star.
fn side_by_side(previews: &[Value]) -> String {
    let products = |page: &Value| -> Vec<String> {
        let items = list(&page["items"]).iter();
        items.map(|item| cell(&item["product"])).collect()
    };
    let Some(first) = previews.first() else {
        return String::new();
    };
    let now = products(&first["before"]);
    let columns: Vec<Vec<String>> = previews.iter().map(|own| products(&own["after"])).collect();
    let mut table = plain_table();
    let heads = ["place", "now"].into_iter().chain(LEVELS);
    table.set_header(heads);
    let rows = columns.iter().map(Vec::len).max().unwrap_or(0);
    for place in 0..rows.max(now.len()) {
        let at = |column: &Vec<String>| column.get(place).cloned().unwrap_or_default();
        let standing = at(&now);
        let mut row = vec![(place + 1).to_string(), standing.clone()];
        for column in &columns {
            let own = at(column);
            let star = if own == standing { "" } else { " *" };
            row.push(format!("{own}{star}"));
        }
        table.add_row(row);
    }
    align(&mut table, [true, false, false, false, false]);
    table.trim_fmt()
}

/// Says why a selection holds a variant or does not.
///
/// # Errors
/// What the server refuses.
pub(in crate::cli) fn why(
    client: &Client,
    format: Format,
    (market, variant): (&str, &str),
    (draft, id): (Option<&Path>, Option<&str>),
) -> Outcome<()> {
    let mut question = json!({ "market": market, "variant": variant });
    if let Some(id) = id {
        question["id"] = json!(id);
    }
    if let Some(file) = draft {
        question["promotion"] = read_json(file)?;
    }
    let call = Call::new("POST", "/v1/promotions/explain").with(Payload::Json(question));
    let told = client.call(call)?.body;
    if format != Format::Table {
        show(format, &told, &[]);
        return Ok(());
    }
    let held = if told["selected"] == true {
        "holds"
    } else {
        "does not hold"
    };
    say(&format!("it {held} {variant}: {}", cell(&told["text"])));
    for (place, set) in list(&told["sets"]).iter().enumerate() {
        say(&format!("  rule set {}: {}", place + 1, cell(&set["text"])));
    }
    Ok(())
}

/// The entries of a list; none of what is no list.
pub(in crate::cli) fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preview_of(after: &[&str], before: &[&str], diff: &Value) -> Value {
        let page = |keys: &[&str]| {
            let items = keys.iter().enumerate().map(|(place, key)| {
                json!({ "product": key, "position": place, "level": "none", "base_rank": place })
            });
            json!({ "items": items.collect::<Vec<_>>() })
        };
        json!({ "before": page(before), "after": page(after), "diff": diff })
    }

    #[test]
    fn each_place_says_where_it_stood() {
        let diff = json!({
            "moved": [{ "key": "a", "from": 0, "to": 1 }],
            "entered": [{ "key": "z", "from": 25, "to": 0 }], "left": [],
        });
        let table = before_and_after(&preview_of(&["z", "a", "c"], &["a", "b", "c"], &diff));
        let rows: Vec<&str> = table.lines().skip(1).map(str::trim_end).collect();
        assert!(rows[0].ends_with("26, up 25"), "{table}");
        assert!(rows[1].ends_with("1, down 1"), "{table}");
        assert!(rows[2].ends_with("same"), "{table}");
    }

    #[test]
    fn levels_stand_side_by_side() {
        let nothing = json!({});
        let previews: Vec<Value> = [["a", "b", "z"], ["a", "z", "b"], ["z", "a", "b"]]
            .iter()
            .map(|after| preview_of(after, &["a", "b", "c"], &nothing))
            .collect();
        let table = side_by_side(&previews);
        let rows: Vec<Vec<&str>> = table
            .lines()
            .map(|row| row.split_whitespace().collect())
            .collect();
        assert_eq!(rows[0], ["place", "now", "low", "medium", "high"]);
        assert_eq!(rows[1], ["1", "a", "a", "a", "z", "*"]);
        assert_eq!(rows[3], ["3", "c", "z", "*", "b", "*", "b", "*"]);
    }
}
