//! Feeds on their way into the goods, and what came of them.

use std::io::{self, Read};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::wire::change::Asked;
use crate::api::wire::fields::Fields;
use crate::api::wire::{answer, path, query, scalar};
use crate::domain::complaint::Fault;
use crate::domain::id::MarketId;
use crate::engine::commit::{StoredAnswer, Written};
use crate::engine::error::{EngineError, RowError};
use crate::engine::imports::{ImportJob, ImportOrder, Mode};
use crate::engine::results::{ImportResult, ImportState};
use crate::engine::start::Engine;
use crate::feed::bytes::Encoding;
use crate::feed::{Format, Kind};
use crate::http::body::{BodyFault, Upload, UploadReader};
use crate::http::extract::{Caller, Json, Query};
use crate::http::gate::Route;
use crate::http::problem::Problem;
use crate::http::problem::code::Code;

/// Longest time in seconds that an answer waits for an import.
const WAIT_S_MAX: u32 = 60;

const WAIT_S_DEFAULT: u32 = 30;

/// Most wrong rows that may be allowed.
const ERRORS_MAX: u32 = 1_000_000_000;

/// How a feed is to be imported.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct ImportParams {
    /// `catalogue`, `categories` or `scores`.
    pub kind: String,
    /// `full`, `delta` or `validate`.
    pub mode: String,
    /// `ndjson`, `csv`, `google-tsv`, `google-xml`, `shopify-csv` or `elevate`; else what the content
    /// type says.
    pub format: Option<String>,
    /// Name of a stored mapping.
    pub mapping: Option<String>,
    /// `utf-8`, `windows-1252` or `iso-8859-1`; else what the mapping says.
    pub encoding: Option<String>,
    /// Wrong rows that may be there before nothing is imported; 0 if absent.
    pub max_errors: Option<u32>,
    /// Whether to import although it does harm.
    pub force: Option<bool>,
    /// Seconds to wait for the end once the feed has come; 30 if absent.
    #[param(maximum = 60)]
    pub wait_s: Option<u32>,
}

/// An import and what came of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportBody {
    id: String,
    market: String,
    kind: &'static str,
    mode: &'static str,
    /// `receiving`, `checking`, `applied`, `valid`, `refused` or `cancelled`.
    state: &'static str,
    rows: u64,
    /// Variants and categories that are new.
    added: u64,
    /// Variants and categories that differ.
    changed: u64,
    /// Variants and categories that are gone.
    removed: u64,
    /// Variants and categories that stayed as they were.
    unchanged: u64,
    /// Rows that were refused.
    rejected: u64,
    /// The first 100 faults, by row; all of them at `…/errors`.
    errors: Vec<RowErrorBody>,
    warnings: Vec<ImportWarningBody>,
    /// What it would do beyond the harm guard's thresholds.
    harms: Vec<HarmBody>,
    took_ms: u64,
    /// Revision from which its goods stand.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(required = true)]
    revision: Option<u64>,
}

/// One fault of one row.
#[derive(Debug, Serialize, ToSchema)]
pub struct RowErrorBody {
    /// Physical row, from 1.
    row: u64,
    /// Column or pointer.
    column: String,
    value: String,
    code: String,
    message: String,
}

/// Something odd about imported goods.
#[derive(Debug, Serialize, ToSchema)]
pub struct ImportWarningBody {
    code: String,
    text: String,
    count: u64,
}

/// What an import would do.
#[derive(Debug, Serialize, ToSchema)]
pub struct HarmBody {
    code: String,
    text: String,
}

/// The word to import in spite of harm.
#[derive(Debug, ToSchema)]
pub struct ForceBody {
    /// `true`.
    pub force: bool,
}

/// Routes of this file.
pub(crate) fn routes() -> OpenApiRouter<Engine> {
    let results = OpenApiRouter::new()
        .routes(routes!(read_import, cancel_import))
        .routes(routes!(read_errors))
        .routes(routes!(apply_import))
        .route_layer(Route::desk());
    OpenApiRouter::new()
        .routes(routes!(import_feed))
        .route_layer(Route::feed())
        .merge(results)
}

/// Import a feed
///
/// The body is the feed: native NDJSON, CSV by a mapping, Google's product data as TSV or XML, a
/// product export of Shopify, or Elevate's catalogue; plain, gzip or zstd. The goods change as a
/// whole or not at all. Done in time: 200; else 202 and `Location`. A full import beyond the
/// harm guard's thresholds is held back for a day and can be forced without a second upload.
#[utoipa::path(
    post, path = "/v1/markets/{market}/imports", tag = "merchandiser",
    params(("market" = String, Path, description = "Key of the market"), ImportParams),
    request_body(content((String = "application/x-ndjson"), (String = "text/csv"), (String = "text/tab-separated-values"), (String = "application/xml"))),
    responses(
        (status = 200, description = "It is done", body = ImportBody),
        (status = 202, description = "It is still at work", body = ImportBody),
    ),
    extensions(("x-problems" = json!(["not-found", "import-running", "import-invalid", "import-harmful"]))),
)]
async fn import_feed(
    State(engine): State<Engine>,
    Asked(intent): Asked,
    Path(market): Path<String>,
    (members, headers): (Query, HeaderMap),
    upload: Upload,
) -> Result<Response, Problem> {
    let market = path::market(&market)?;
    let read = |fields: &mut Fields<'_>| read_order(fields, &market, &headers);
    let (order, wait_s) = query::read(&members, read)?;
    let order = order.ok_or_else(unknown_media)?;
    let job = engine.begin_import(&intent, order, made)?;
    let id = job.id();
    let running = Running::start(job, upload);
    match running.outcome(Duration::from_secs(wait_s.into())).await? {
        Some(Written::Now(result, _)) => Ok(answered(StatusCode::OK, &result)),
        Some(Written::Replayed(first, revision)) => Ok(answer::replayed(&first, revision.0)),
        None => {
            let result = engine.import_result(&intent.principal, id).await?;
            let place = HeaderValue::try_from(format!("/v1/imports/{id}"));
            let place = place.map_err(Problem::internal)?;
            Ok(([(LOCATION, place)], answered(StatusCode::ACCEPTED, &result)).into_response())
        }
    }
}

/// Read an import
#[utoipa::path(
    get, path = "/v1/imports/{import}", tag = "merchandiser",
    params(("import" = String, Path, description = "Its id")),
    responses((status = 200, description = "What is known of it", body = ImportBody)),
    extensions(("x-problems" = json!(["not-found"]))),
)]
async fn read_import(
    State(engine): State<Engine>,
    caller: Caller,
    Path(import): Path<String>,
) -> Result<Response, Problem> {
    let result = engine
        .import_result(&caller.principal, path::import(&import)?)
        .await?;
    Ok(answered(StatusCode::OK, &result))
}

/// Read every fault of an import
///
/// One JSON object a line, by row.
#[utoipa::path(
    get, path = "/v1/imports/{import}/errors", tag = "merchandiser",
    params(("import" = String, Path, description = "Its id")),
    responses((status = 200, description = "The faults", body = String, content_type = "application/x-ndjson")),
    extensions(("x-problems" = json!(["not-found"]))),
)]
async fn read_errors(
    State(engine): State<Engine>,
    caller: Caller,
    Path(import): Path<String>,
) -> Result<Response, Problem> {
    let errors = engine
        .import_errors(&caller.principal, path::import(&import)?)
        .await?;
    let mut lines = Vec::new();
    for error in &errors {
        lines.extend(answer::json(&RowErrorBody::of(error)));
        lines.push(b'\n');
    }
    let media = [(
        CONTENT_TYPE,
        HeaderValue::from_static("application/x-ndjson"),
    )];
    Ok((media, lines).into_response())
}

/// Import in spite of harm
///
/// For an import that was held back, within a day, while the goods have not changed. Its state
/// decides, so it takes no `If-Match`.
#[utoipa::path(
    post, path = "/v1/imports/{import}/apply", tag = "merchandiser",
    params(("import" = String, Path, description = "Its id")),
    request_body = ForceBody,
    responses((status = 200, description = "It is done", body = ImportBody)),
    extensions(("x-problems" = json!(["not-found", "wrong-state", "import-running"]))),
)]
async fn apply_import(
    State(engine): State<Engine>,
    Asked(intent): Asked,
    Path(import): Path<String>,
    Json(body): Json,
) -> Result<Response, Problem> {
    let id = path::import(&import)?;
    let forces = |fields: &mut Fields<'_>| fields.need("force", read_force);
    let (_, complaints) = Fields::gather(&body, forces);
    if !complaints.is_empty() {
        return Err(Problem::invalid(&complaints));
    }
    Ok(match engine.force_import(&intent, id, made).await? {
        Written::Now(result, _) => answered(StatusCode::OK, &result),
        Written::Replayed(first, revision) => answer::replayed(&first, revision.0),
    })
}

/// Call an import off
///
/// For one that was held back: its upload is forgotten.
#[utoipa::path(
    delete, path = "/v1/imports/{import}", tag = "merchandiser",
    params(("import" = String, Path, description = "Its id")),
    responses((status = 204, description = "It is called off")),
    extensions(("x-problems" = json!(["not-found", "wrong-state"]))),
)]
async fn cancel_import(
    State(engine): State<Engine>,
    Asked(intent): Asked,
    Path(import): Path<String>,
) -> Result<Response, Problem> {
    engine
        .cancel_import(&intent, path::import(&import)?)
        .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// The order, unless the format is unknown; and the seconds to wait.
fn read_order(
    fields: &mut Fields<'_>,
    market: &MarketId,
    headers: &HeaderMap,
) -> (Option<ImportOrder>, u32) {
    let kind = fields.need("kind", scalar::parsed(Kind::parse));
    let mode = fields.need("mode", scalar::parsed(Mode::parse));
    let named = fields.scalar("format", scalar::parsed(Format::parse));
    let media = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let format = named.or_else(|| Format::of_media_type(media?));
    if media.is_none() && !fields.has("format") {
        fields.complain("format", Fault::Required);
    }
    let mapping = fields.scalar("mapping", scalar::owned);
    let encoding = fields.scalar("encoding", scalar::parsed(Encoding::parse));
    let errors_max = fields
        .scalar("max_errors", query::whole(0, ERRORS_MAX))
        .unwrap_or(0);
    let force = fields.scalar("force", query::flag).unwrap_or(false);
    let wait_s = fields.scalar("wait_s", query::whole(0, WAIT_S_MAX));
    let market = market.clone();
    let order = kind
        .zip(mode)
        .zip(format)
        .map(|((kind, mode), format)| ImportOrder {
            market,
            kind,
            mode,
            format,
            encoding,
            mapping,
            errors_max: errors_max.into(),
            force,
        });
    (order, wait_s.unwrap_or(WAIT_S_DEFAULT))
}

fn unknown_media() -> Problem {
    let detail = "the feed must be application/x-ndjson, text/csv, text/tab-separated-values or \
                  application/xml, or say its format";
    Problem::new(Code::UnsupportedMediaType, detail)
}

fn read_force(value: &Value) -> Result<(), Fault> {
    if scalar::flag(value)? {
        return Ok(());
    }
    let why = "an import that was held back is applied by force or not at all".to_owned();
    Err(Fault::Contradiction { why })
}

/// The answer that is kept for repeated requests; only applied imports are.
fn made(result: &ImportResult) -> StoredAnswer {
    let body = ImportBody {
        revision: None,
        ..ImportBody::of(result)
    };
    StoredAnswer {
        status: 200,
        location: None,
        body: Some(answer::json(&body)),
    }
}

fn answered(status: StatusCode, result: &ImportResult) -> Response {
    let body = made(result).body.unwrap_or_default();
    answer::bytes(status, answer::with_revision(&body, result.revision))
}

/// An import at work on its blocking thread.
struct Running {
    task: JoinHandle<Result<Written<ImportResult>, EngineError>>,
    fault: Arc<OnceLock<BodyFault>>,
    /// Resolves once the whole feed has come, or will not.
    come: oneshot::Receiver<()>,
}

impl Running {
    fn start(job: ImportJob, upload: Upload) -> Self {
        let (reader, fault) = upload.into_reader();
        let (told, come) = oneshot::channel();
        let reader = Ending {
            reader,
            told: Some(told),
        };
        let task = tokio::task::spawn_blocking(move || job.run(reader));
        Self { task, fault, come }
    }

    /// What came of it, if that is known some time after the feed has come.
    async fn outcome(self, wait: Duration) -> Result<Option<Written<ImportResult>>, Problem> {
        // Dropping the sender is word enough: then the feed is not read any more.
        let _ = self.come.await;
        let Ok(joined) = tokio::time::timeout(wait, self.task).await else {
            return Ok(None);
        };
        let outcome = joined.map_err(Problem::internal)?;
        match self.fault.get() {
            Some(fault) => Err((*fault).into()),
            None => Ok(Some(outcome?)),
        }
    }
}

/// A reader that tells when there is no more.
struct Ending {
    reader: UploadReader,
    told: Option<oneshot::Sender<()>>,
}

impl Read for Ending {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer);
        if !buffer.is_empty() && !matches!(read, Ok(1..)) {
            self.told.take().map(|told| told.send(()));
        }
        read
    }
}

impl ImportBody {
    fn of(result: &ImportResult) -> Self {
        let warning = |own: &crate::engine::results::ImportWarning| ImportWarningBody {
            code: own.code.clone(),
            text: own.text.clone(),
            count: own.count,
        };
        let harm = |(code, text): &(String, String)| HarmBody {
            code: code.clone(),
            text: text.clone(),
        };
        Self {
            id: result.id.to_string(),
            market: result.market.to_string(),
            kind: result.kind.as_str(),
            mode: result.mode.as_str(),
            state: ImportState::as_str(result.state),
            rows: result.rows,
            added: result.added,
            changed: result.changed,
            removed: result.removed,
            unchanged: result.unchanged,
            rejected: result.rejected,
            errors: result.errors.iter().map(RowErrorBody::of).collect(),
            warnings: result.warnings.iter().map(warning).collect(),
            harms: result.harms.iter().map(harm).collect(),
            took_ms: result.took_ms,
            revision: result.revision,
        }
    }
}

impl RowErrorBody {
    fn of(error: &RowError) -> Self {
        Self {
            row: error.row,
            column: error.column.clone(),
            value: error.value.clone(),
            code: error.code.clone(),
            message: error.message.clone(),
        }
    }
}
