//! Who changed what, and who was refused.

use std::fmt::Write as _;

use axum::extract::State;
use axum::response::Response;
use hyper::Uri;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::wire::fields::Fields;
use crate::api::wire::list::{List, Listing, Window, WindowParams};
use crate::api::wire::{query, scalar};
use crate::domain::time::Timestamp;
use crate::engine::audit::{AuditEntry, AuditFilter, AuditPlace};
use crate::engine::start::Engine;
use crate::http::extract::{Caller, Query};
use crate::http::gate::Route;
use crate::http::problem::Problem;

/// Which entries to list.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(
    dead_code,
    reason = "it is read field by field; this is its description"
)]
pub struct AuditParams {
    /// Only those of this key, user or job.
    actor: Option<String>,
    /// Only those about the object at this path, or with this id or key in its path.
    object: Option<String>,
    /// Only those of this action.
    action: Option<String>,
    /// Only those from this time on.
    from: Option<String>,
    /// Only those before this time.
    to: Option<String>,
}

/// One change, or one that was refused.
#[derive(Debug, Serialize, ToSchema)]
pub struct AuditBody {
    /// Its own name; names ascend with time.
    id: String,
    at: String,
    /// Id of the key or user; `system` and names of jobs for the process itself.
    actor: String,
    /// Address of the caller.
    #[schema(required = true)]
    address: Option<String>,
    /// What was done, such as `promotion.create`; of a refused change, method and pattern of the
    /// path. `audit.digest` is the nightly digest over all entries since the one before.
    #[schema(examples("promotion.create"))]
    action: String,
    /// Path of the object; of a refused change, the path that was asked for.
    #[schema(examples("/v1/promotions/prm_01k9tr6y0b2d4f6h8k0m2p4r6t"))]
    object: String,
    /// SHA-256 of the object's stored form before; null if it did not stand. Of a digest, the one
    /// before.
    #[schema(required = true)]
    before: Option<String>,
    /// SHA-256 of its stored form after; null if it does not stand. Of a digest, itself.
    #[schema(required = true)]
    after: Option<String>,
    /// Code of the refusal; null for what was done.
    #[schema(required = true)]
    refused: Option<String>,
}

/// Routes of this file.
pub(crate) fn routes() -> OpenApiRouter<Engine> {
    OpenApiRouter::new()
        .routes(routes!(list_audit))
        .route_layer(Route::desk())
}

/// Read the audit
///
/// Every change, and every one that was refused to a known caller (at most ten a second of each;
/// the others are counted in the metrics), in order of time. Nothing is ever changed in it. Where
/// filters let little through, a page may hold fewer entries than asked for and still have a
/// `next_cursor`. Callers who do not reach all markets see what is about objects in theirs, or was
/// done by keys they manage.
#[utoipa::path(
    get, path = "/v1/audit", tag = "operator",
    params(AuditParams, WindowParams),
    responses((status = 200, description = "A page of entries", body = Listing<AuditBody>)),
    extensions(("x-problems" = json!(["bad-cursor"]))),
)]
async fn list_audit(
    State(engine): State<Engine>,
    caller: Caller,
    uri: Uri,
    members: Query,
) -> Result<Response, Problem> {
    let (window, filter) = query::read(&members, read_choice)?;
    let list = List::new(&engine, &uri, &members);
    let after = list.after(&window)?;
    let after = after.map(|place| AuditPlace::parse(&place)).transpose()?;
    let page = engine
        .audit(&caller.principal, &filter, after, window.limit)
        .await?;
    let next = page.next.map(|place| list.cursor(&place.to_string()));
    let items = page.entries.into_iter().map(AuditBody::of).collect();
    Ok(list.answer(items, next))
}

fn read_choice(fields: &mut Fields<'_>) -> (Window, AuditFilter) {
    let filter = AuditFilter {
        actor: fields.scalar("actor", scalar::owned),
        object: fields.scalar("object", scalar::owned),
        action: fields.scalar("action", scalar::owned),
        from: fields.scalar("from", scalar::parsed(Timestamp::parse)),
        to: fields.scalar("to", scalar::parsed(Timestamp::parse)),
    };
    (Window::read(fields), filter)
}

impl AuditBody {
    fn of(entry: AuditEntry) -> Self {
        Self {
            id: entry.id,
            at: entry.at.to_string(),
            actor: entry.actor,
            address: entry.address,
            action: entry.action,
            object: entry.object,
            before: entry.before.map(|hash| hex(&hash)),
            after: entry.after.map(|hash| hex(&hash)),
            refused: entry.refused,
        }
    }
}

/// A digest in hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(text, "{byte:02x}").expect("a text in memory takes all that is written");
    }
    text
}
