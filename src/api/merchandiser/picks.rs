//! What a promotion holds: its variants one by one, and imports of handpicked keys.

use axum::extract::{Path, State};
use axum::response::Response;
use hyper::Uri;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::merchandiser::promotion::CountsBody;
use crate::api::wire::change::{Asked, seen};
use crate::api::wire::fields::{Fields, whole};
use crate::api::wire::list::{List, Window, WindowParams};
use crate::api::wire::{answer, path, query, scalar};
use crate::domain::boost::BoostLevel;
use crate::domain::complaint::Fault;
use crate::domain::id::MarketId;
use crate::engine::commit::{StoredAnswer, Written};
use crate::engine::picks::{PickOrder, PickResult, Unit, UnitFilter, UnitReason};
use crate::engine::promotions::PromotionView;
use crate::engine::start::Engine;
use crate::http::extract::{Caller, IfMatch, Query, Raw};
use crate::http::gate::Route;
use crate::http::json;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;
use crate::selection::explain::Why;
use crate::selection::handpick::Mode;

/// Media types of keys to be picked.
const KEYS: &[&str] = &["application/json", "text/csv"];

/// Most keys of one body, repeats counted; how many distinct ones may be picked is the market's.
const KEYS_MAX: usize = 100_000;

/// Bytes of a body of keys.
const KEYS_BYTES_MAX: u64 = 1 << 20;

/// Keys to be picked by hand.
#[derive(Debug, ToSchema)]
pub struct PicksBody {
    /// Blanks and repeats do not count.
    pub keys: Vec<String>,
    /// Whether they are values of the markets' cross-market attributes.
    pub cross_market: Option<bool>,
}

/// What came of an import of keys.
#[derive(Debug, Serialize, ToSchema)]
pub struct PicksAnswer {
    /// Distinct keys.
    unique: usize,
    /// Of them, new ones.
    added: usize,
    /// Of them, those picked before.
    already: usize,
    /// Of them, those that no market of the promotion has; they are kept all the same.
    unknown: Vec<String>,
    /// Store revision of the promotion since then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64, required = true)]
    revision: Option<u64>,
}

/// A variant that a promotion holds, or would hold were it not blocked.
#[derive(Debug, Serialize, ToSchema)]
pub struct UnitBody {
    variant: String,
    product: String,
    /// `handpicked`, or `set:2` for the first rule set that holds it, counted from 0.
    #[schema(required = true)]
    by: Option<String>,
    blocked: bool,
    /// The level it has now, all promotions counted, where no category leaves one out: `high`,
    /// `medium`, `low`, `none` or `demoted`.
    level_now: &'static str,
    in_stock: bool,
}

/// A page of a promotion's variants.
#[derive(Debug, Serialize, ToSchema)]
pub struct UnitListing {
    counts: CountsBody,
    items: Vec<UnitBody>,
    #[schema(required = true)]
    next_cursor: Option<String>,
}

/// How keys are picked.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct PickParams {
    /// `add`, the default, or `replace`.
    pub mode: Option<String>,
}

/// Which variants to list.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct UnitParams {
    /// The market.
    pub market: String,
    /// Only `handpicked` ones, those of `set:0`, or `blocked` ones.
    pub reason: Option<String>,
}

/// Routes of this file.
pub(crate) fn routes() -> OpenApiRouter<Engine> {
    let list = OpenApiRouter::new()
        .routes(routes!(list_units))
        .route_layer(Route::desk());
    OpenApiRouter::new()
        .routes(routes!(import_picks))
        .route_layer(Route::desk().taking(KEYS_BYTES_MAX, KEYS))
        .merge(list)
}

/// Pick products by hand, many at once
///
/// Nothing changes if there are more distinct keys than the narrowest of the promotion's markets
/// takes, 700 unless it says otherwise. Of CSV the first column is read, from its first line on.
#[utoipa::path(
    post, path = "/v1/promotions/{promotion}/handpicked/import", tag = "merchandiser",
    params(("promotion" = String, Path, description = "Its id"), PickParams),
    request_body(content((PicksBody = "application/json"), (String = "text/csv"))),
    responses((status = 200, description = "What came of it", body = PicksAnswer)),
    extensions(("x-problems" = json!(["not-found", "market-forbidden", "precondition-required", "stale-revision", "wrong-state"]))),
)]
async fn import_picks(
    State(engine): State<Engine>,
    Asked(intent): Asked,
    Path(promotion): Path<String>,
    if_match: IfMatch,
    (members, headers, body): (Query, HeaderMap, Raw),
) -> Result<Response, Problem> {
    let (id, known) = (path::promotion(&promotion)?, seen(if_match)?);
    let mode = query::read(&members, |fields| {
        fields.scalar("mode", scalar::parsed(read_mode))
    })?;
    let order = read_order(&headers, &body.0, mode.unwrap_or(Mode::Add))?;
    let render = |_: &PromotionView, result: &PickResult| made(result);
    let (written, result) = engine
        .import_picks(&intent, id, known, &order, &render)
        .await?;
    Ok(match written {
        Written::Now(_, revision) => answer::written(&made(&result), revision.0),
        Written::Replayed(first, revision) => answer::replayed(&first, revision.0),
    })
}

/// List a promotion's variants
///
/// What its selection holds in one market now, by key.
#[utoipa::path(
    get, path = "/v1/promotions/{promotion}/variants", tag = "merchandiser",
    params(("promotion" = String, Path, description = "Its id"), UnitParams, WindowParams),
    responses((status = 200, description = "A page of variants", body = UnitListing)),
    extensions(("x-problems" = json!(["bad-cursor", "not-found", "market-forbidden"]))),
)]
async fn list_units(
    State(engine): State<Engine>,
    caller: Caller,
    Path(promotion): Path<String>,
    uri: Uri,
    members: Query,
) -> Result<Response, Problem> {
    let id = path::promotion(&promotion)?;
    let (window, (market, reason)) = query::read(&members, |fields| {
        let market = fields.need("market", scalar::parsed(MarketId::parse));
        let reason = fields.scalar("reason", scalar::parsed(read_reason));
        (Window::read(fields), (market, reason))
    })?;
    let market = market.ok_or_else(|| Problem::not_found("market"))?;
    let list = List::new(&engine, &uri, &members);
    let filter = UnitFilter {
        reason,
        after: list.after(&window)?,
        limit: window.limit,
    };
    let found = engine
        .promotion_units(&caller.principal, id, &market, filter)
        .await?;
    let last = found.units.last().filter(|_| found.has_more);
    let listing = UnitListing {
        next_cursor: last.map(|unit| list.cursor(&unit.variant)),
        counts: CountsBody::from(&found.counts),
        items: found.units.into_iter().map(UnitBody::of).collect(),
    };
    Ok(list.answer_with(&listing, listing.next_cursor.as_deref()))
}

/// The answer to an import, without its revision.
fn made(result: &PickResult) -> StoredAnswer {
    let body = PicksAnswer {
        unique: result.unique,
        added: result.added,
        already: result.already,
        unknown: result.unknown.clone(),
        revision: None,
    };
    StoredAnswer {
        status: 200,
        location: None,
        body: Some(answer::json(&body)),
    }
}

fn read_mode(text: &str) -> Result<Mode, Fault> {
    match text {
        "add" => Ok(Mode::Add),
        "replace" => Ok(Mode::Replace),
        _ => Err(Fault::unknown_value(text, &["add", "replace"])),
    }
}

fn read_reason(text: &str) -> Result<UnitReason, Fault> {
    match (text, text.strip_prefix("set:")) {
        ("handpicked", _) => Ok(UnitReason::Handpicked),
        ("blocked", _) => Ok(UnitReason::Blocked),
        (_, Some(set)) => {
            let number = set.parse().map(UnitReason::Set);
            number.map_err(|_| Fault::bad_format("set: and a number from 0", text))
        }
        _ => Err(Fault::unknown_value(
            text,
            &["handpicked", "blocked", "set:0"],
        )),
    }
}

/// Keys from JSON or from the first column of a table.
fn read_order(headers: &HeaderMap, body: &[u8], mode: Mode) -> Result<PickOrder, Problem> {
    let media = headers
        .get(CONTENT_TYPE)
        .map_or(&b""[..], |value| value.as_bytes());
    if media.to_ascii_lowercase().starts_with(b"text/csv") {
        let text = std::str::from_utf8(body).map_err(|_| not_utf8())?;
        let keys = first_column(text.trim_start_matches('\u{feff}'));
        return Ok(PickOrder {
            keys,
            cross_market: false,
            mode,
        });
    }
    let value = if body.is_empty() {
        Value::Null
    } else {
        json::read(body)?
    };
    let (order, complaints) = Fields::gather(&value, |fields| {
        let keys = fields.need_part("keys", |value| {
            crate::api::wire::fields::read_list(value, KEYS_MAX, whole(scalar::owned))
        });
        let cross_market = fields.scalar("cross_market", scalar::flag);
        PickOrder {
            keys: keys.unwrap_or_default(),
            cross_market: cross_market.unwrap_or(false),
            mode,
        }
    });
    if complaints.is_empty() {
        Ok(order)
    } else {
        Err(Problem::invalid(&complaints))
    }
}

fn not_utf8() -> Problem {
    Problem::new(Code::UnsupportedMediaType, "the table must be in UTF-8")
}

/// The first cell of every line, as RFC 4180 quotes it.
fn first_column(table: &str) -> Vec<String> {
    let mut cells = Vec::new();
    let mut rest = table;
    while !rest.is_empty() {
        let (cell, behind) = first_cell(rest);
        cells.push(cell);
        rest = behind;
    }
    cells
}

/// The cell at the start of a line, and what comes behind its line.
fn first_cell(line: &str) -> (String, &str) {
    let Some(mut rest) = line.strip_prefix('"') else {
        let (whole, behind) = line.split_once('\n').unwrap_or((line, ""));
        let cell = whole.split(',').next().unwrap_or_default();
        return (cell.trim_end_matches('\r').to_owned(), behind);
    };
    let mut cell = String::new();
    loop {
        let (piece, behind) = rest.split_once('"').unwrap_or((rest, ""));
        cell.push_str(piece);
        rest = behind;
        match rest.strip_prefix('"') {
            Some(more) => {
                cell.push('"');
                rest = more;
            }
            None => break,
        }
    }
    (cell, rest.split_once('\n').map_or("", |(_, behind)| behind))
}

impl UnitBody {
    fn of(unit: Unit) -> Self {
        Self {
            variant: unit.variant,
            product: unit.product,
            by: by(&unit.why),
            blocked: unit.why.blocked,
            level_now: BoostLevel::name(unit.level_now),
            in_stock: unit.in_stock,
        }
    }
}

/// What holds a variant.
pub(super) fn by(why: &Why) -> Option<String> {
    match why.handpicked {
        Some(_) => Some("handpicked".to_owned()),
        None => why.first_set().map(|set| format!("set:{set}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(table: &str, expected: &[&str]) {
        assert_eq!(first_column(table), expected);
    }

    #[test]
    fn the_first_column_holds_the_keys() {
        check("", &[]);
        check("a", &["a"]);
        check("a\nb\n", &["a", "b"]);
        check("a,1,x\r\nb,2\r\n", &["a", "b"]);
        check("\"a,b\",1\n\"c \"\"d\"\"\"\ne", &["a,b", "c \"d\"", "e"]);
        check("\"two\nlines\",1\nb", &["two\nlines", "b"]);
        check("\n,x\nb", &["", "", "b"]);
        check("\"open", &["open"]);
    }

    #[test]
    fn reasons_are_words_or_a_rule_set() {
        assert_eq!(read_reason("handpicked"), Ok(UnitReason::Handpicked));
        assert_eq!(read_reason("set:2"), Ok(UnitReason::Set(2)));
        assert_eq!(read_reason("set:x").unwrap_err().code(), "bad-format");
        assert_eq!(read_reason("hand").unwrap_err().code(), "unknown-value");
    }
}
