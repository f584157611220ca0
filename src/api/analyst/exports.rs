//! Figures as files.

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue, LOCATION};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouterExt};
use utoipa_axum::routes;

use crate::access::may::{Object, Verb};
use crate::api::analyst::rows::{self, Rows, Wanted};
use crate::api::operator::audit::hex;
use crate::api::wire::fields::Fields;
use crate::api::wire::{answer, path, scalar};
use crate::domain::complaint::Fault;
use crate::domain::id::{MarketId, PromotionId};
use crate::domain::time::Date;
use crate::engine::error::EngineError;
use crate::engine::events::exports::{Export, ExportDraft, KEPT_MS};
use crate::engine::start::Engine;
use crate::http::extract::{Caller, Json};
use crate::http::gate::Route;
use crate::http::limits::Rate;
use crate::http::problem::Problem;

/// Which figures, and how they are written.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportsBody {
    /// `results`, `series`, `moments` or `rollups`.
    kind: String,
    /// `csv` or `ndjson`.
    format: String,
    /// The market.
    market: String,
    /// Only this promotion; rollups know none.
    #[serde(skip_serializing_if = "Option::is_none")]
    promotion: Option<String>,
    /// First local day; results know no days.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// Last local day, included.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
}

/// An export.
#[derive(Debug, Serialize, ToSchema)]
pub struct ExportBody {
    id: String,
    /// `ready`.
    state: &'static str,
    kind: &'static str,
    market: String,
    /// Media type of the content.
    media: &'static str,
    rows: u64,
    bytes: usize,
    sha256: String,
    made: String,
    /// Until when it may be fetched, if not too many others are made or endcap is restarted.
    kept_until: String,
    /// Where the content lies.
    content: String,
}

/// What rows are of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ExportKind {
    Results,
    Series,
    Moments,
    Rollups,
}

const KINDS: [(ExportKind, &str); 4] = [
    (ExportKind::Results, "results"),
    (ExportKind::Series, "series"),
    (ExportKind::Moments, "moments"),
    (ExportKind::Rollups, "rollups"),
];

const FORMATS: [(&str, &str); 2] = [("csv", "text/csv"), ("ndjson", "application/x-ndjson")];

/// Routes of this file.
pub(crate) fn routes() -> OpenApiRouter<Engine> {
    OpenApiRouter::new()
        .routes(routes!(create_export).layer(Route::desk().limited(Rate::Exports)))
        .routes(routes!(read_export).layer(Route::desk()))
        .routes(routes!(read_export_content).layer(Route::desk()))
}

/// Export figures
///
/// As rows with named columns, the same in both formats; sums are integers as text, money among them
/// in minor units. Kept for seven days in memory, so a restart or too many others may end it earlier.
#[utoipa::path(
    post, path = "/v1/exports", tag = "analyst",
    request_body = ExportsBody,
    responses((status = 201, description = "The export, ready to be fetched", body = ExportBody)),
    extensions(("x-problems" = json!(["market-forbidden", "not-found", "store-unavailable"]))),
)]
async fn create_export(
    State(engine): State<Engine>,
    caller: Caller,
    Json(body): Json,
) -> Result<Response, Problem> {
    let may = caller
        .principal
        .may(Verb::ReadPromotions, &Object::Anywhere);
    may.map_err(EngineError::from)?;
    let (asked, mut faults) = Fields::gather(&body, |fields| {
        (
            fields.need("kind", |value| one_of(value, &KINDS)),
            fields.need("format", |value| {
                one_of(value, &FORMATS.map(|(name, media)| (media, name)))
            }),
            fields.need("market", scalar::parsed(MarketId::parse)),
            fields.scalar("promotion", scalar::parsed(PromotionId::parse)),
            fields.scalar("from", scalar::parsed(Date::parse)),
            fields.scalar("to", scalar::parsed(Date::parse)),
        )
    });
    let (kind, media, market, promotion, from, to) = asked;
    if let (Some(from), Some(to)) = (from, to)
        && to < from
    {
        let why = format!("it lies before from, {from}");
        faults.push(Fault::Contradiction { why }.at("/to"));
    }
    let (Some(kind), Some(media), Some(market), true) = (kind, media, market, faults.is_empty())
    else {
        return Err(EngineError::Invalid(faults).into());
    };
    let wanted = Wanted {
        market,
        promotion,
        from,
        to,
        sees_profit: caller.principal.may_see_cost().is_ok(),
    };
    let rows = rows(&engine, &caller, kind, &wanted).await?;
    let export = engine.keep_export(ExportDraft {
        bytes: written(&rows, media),
        market: wanted.market,
        kind: KINDS
            .iter()
            .find(|own| own.0 == kind)
            .map_or("", |own| own.1),
        media,
        has_profit: wanted.sees_profit,
        n_rows: rows.len() as u64,
    });
    let body = ExportBody::of(&export);
    let place = format!("/v1/exports/{}", export.id);
    let place = HeaderValue::from_str(&place).map_err(Problem::internal)?;
    let made = answer::bytes(StatusCode::CREATED, answer::json(&body));
    Ok(([(LOCATION, place)], made).into_response())
}

/// Read about an export
#[utoipa::path(
    get, path = "/v1/exports/{export}", tag = "analyst",
    params(("export" = String, Path, description = "Its id")),
    responses((status = 200, description = "The export", body = ExportBody)),
    extensions(("x-problems" = json!(["market-forbidden", "not-found", "export-gone"]))),
)]
async fn read_export(
    State(engine): State<Engine>,
    caller: Caller,
    Path(export): Path<String>,
) -> Result<Response, Problem> {
    let export = engine.export(&caller.principal, path::export(&export)?)?;
    Ok(answer::ok(&ExportBody::of(&export)))
}

/// Fetch an export
#[utoipa::path(
    get, path = "/v1/exports/{export}/content", tag = "analyst",
    params(("export" = String, Path, description = "Its id")),
    responses((status = 200, description = "The file", content((String = "text/csv"), (String = "application/x-ndjson")))),
    extensions(("x-problems" = json!(["market-forbidden", "not-found", "export-gone"]))),
)]
async fn read_export_content(
    State(engine): State<Engine>,
    caller: Caller,
    Path(export): Path<String>,
) -> Result<Response, Problem> {
    let export = engine.export(&caller.principal, path::export(&export)?)?;
    let draft = &export.draft;
    let (name, _) = FORMATS
        .into_iter()
        .find(|own| own.1 == draft.media)
        .unwrap_or(FORMATS[0]);
    let name = format!(
        "attachment; filename=\"{}-{}.{name}\"",
        draft.kind, draft.market
    );
    let name = HeaderValue::from_str(&name).map_err(Problem::internal)?;
    let media = HeaderValue::from_static(draft.media);
    let headers = [(CONTENT_TYPE, media), (CONTENT_DISPOSITION, name)];
    Ok((headers, draft.bytes.clone()).into_response())
}

fn one_of<T: Copy>(value: &Value, known: &[(T, &str)]) -> Result<T, Fault> {
    let text = scalar::text(value)?;
    let names: Vec<&str> = known.iter().map(|(_, name)| *name).collect();
    let found = known.iter().find(|(_, name)| *name == text);
    found
        .map(|(own, _)| *own)
        .ok_or_else(|| Fault::unknown_value(text, &names))
}

async fn rows(
    engine: &Engine,
    caller: &Caller,
    kind: ExportKind,
    wanted: &Wanted,
) -> Result<Rows, EngineError> {
    let (principal, market) = (&caller.principal, &wanted.market);
    if let Some(id) = wanted.promotion {
        engine.promotion(principal, id).await?;
    }
    Ok(match kind {
        ExportKind::Results => {
            rows::results(wanted, &engine.all_evidence(principal, market).await?)
        }
        ExportKind::Series => rows::series(wanted, &engine.all_evidence(principal, market).await?),
        ExportKind::Moments => rows::moments(wanted, &engine.market_sums(principal, market).await?),
        ExportKind::Rollups => {
            let sums = engine.market_sums(principal, market).await?;
            let currency = engine
                .market(principal, market)?
                .held()
                .value
                .locale
                .currency;
            rows::rollups(wanted, &sums, currency)
        }
    })
}

/// As RFC 4180 writes rows, the columns first, or as one JSON object a line.
fn written(rows: &Rows, media: &str) -> Vec<u8> {
    let mut out = Vec::new();
    if media != "text/csv" {
        for row in rows {
            out.extend_from_slice(&answer::json(row));
            out.push(b'\n');
        }
        return out;
    }
    let mut line = |cells: &mut dyn Iterator<Item = String>| {
        let cells: Vec<String> = cells.collect();
        out.extend_from_slice(cells.join(",").as_bytes());
        out.extend_from_slice(b"\r\n");
    };
    if let Some(first) = rows.first() {
        line(&mut first.keys().cloned());
    }
    for row in rows {
        line(&mut row.values().map(cell));
    }
    out
}

fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.contains(['"', ',', '\n', '\r']) {
        return format!("\"{}\"", text.replace('"', "\"\""));
    }
    text
}

impl ExportBody {
    fn of(export: &Export) -> Self {
        let draft = &export.draft;
        Self {
            id: export.id.to_string(),
            state: "ready",
            kind: draft.kind,
            market: draft.market.to_string(),
            media: draft.media,
            rows: draft.n_rows,
            bytes: draft.bytes.len(),
            sha256: hex(&export.sha256),
            made: export.made.to_string(),
            kept_until: export.made.plus_ms(KEPT_MS).to_string(),
            content: format!("/v1/exports/{}/content", export.id),
        }
    }
}
