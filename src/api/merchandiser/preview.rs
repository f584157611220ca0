//! A page before and after changes that nobody has published.

use axum::extract::{Path, State};
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::merchandiser::check::{FullBody, read_named};
use crate::api::merchandiser::promotion::{Warning, read_patch};
use crate::api::storefront::rank_answer;
use crate::api::storefront::rank_request::{self, read_arms};
use crate::api::storefront::rank_schema::{ExplainBody, RankBody};
use crate::api::wire::fields::{Fields, entries_of};
use crate::api::wire::{answer, path, scalar};
use crate::catalogue::Catalogue;
use crate::catalogue::row::Row;
use crate::domain::complaint::{Complaint, Fault};
use crate::domain::id::{MarketId, PromotionId};
use crate::domain::time::Timestamp;
use crate::engine::preview::{CHANGES_MAX, Preview, PreviewOrder, TriedChange};
use crate::engine::rank::RankRequest;
use crate::engine::start::Engine;
use crate::http::extract::{Caller, Json};
use crate::http::gate::Route;
use crate::http::problem::Problem;
use crate::promotion::terms::Promotion;
use crate::ranking::diff::Shift;
use crate::ranking::query::GroupBy;

/// A page as it would be.
#[derive(Debug, ToSchema)]
pub struct PreviewBody {
    /// The page; instant and arms stand beside it.
    pub rank: Option<RankBody>,
    /// Another instant, over today's goods and promotions; now if absent.
    #[schema(examples("2027-03-12T07:00:00+01:00"))]
    pub at: Option<String>,
    /// `shown` or `withheld` for all, or by promotion; the session's if absent.
    #[schema(value_type = Option<Value>)]
    pub arms: Option<Value>,
    /// At most 20, one after the other.
    #[schema(max_items = 20)]
    pub changes: Option<Vec<ChangeBody>>,
}

/// A change that is tried out.
#[derive(Debug, ToSchema)]
pub struct ChangeBody {
    /// `put`, `patch` or `delete`.
    #[schema(examples("put"))]
    pub op: String,
    /// The promotion that is changed; `put` may also have it inside, and makes a new one without.
    pub id: Option<String>,
    /// With `put` a whole promotion, with `patch` some fields of one.
    #[schema(value_type = Option<Object>)]
    pub promotion: Option<Value>,
}

/// A page before and after.
#[derive(Debug, Serialize, ToSchema)]
pub struct PreviewAnswer {
    /// Revision it was computed from.
    snapshot: u64,
    /// The instant it holds for.
    at: String,
    #[schema(value_type = PreviewPage)]
    before: Box<RawValue>,
    #[schema(value_type = PreviewPage)]
    after: Box<RawValue>,
    diff: DiffBody,
    /// Categories whose first 60 places would show other variants, by id.
    changed_categories: Vec<String>,
    /// Markets without room for a changed promotion.
    calendar: Vec<FullBody>,
    /// By change: the promotion it is about; a new one has its id for this answer only.
    promotions: Vec<String>,
    warnings: Vec<Warning>,
}

/// A page of a preview.
#[derive(Debug, ToSchema)]
pub struct PreviewPage {
    /// Places in all.
    pub total: u64,
    /// The places of this page.
    pub items: Vec<PreviewItem>,
}

/// One place of a page of a preview.
#[derive(Debug, ToSchema)]
pub struct PreviewItem {
    /// Key of the product.
    pub product: String,
    /// Key of the variant that stands for the place.
    pub variant: String,
    /// Place in the whole result, from 0.
    pub position: u32,
    /// Place by score alone, in the whole market.
    pub base_rank: u32,
    /// `high`, `medium`, `low`, `none` or `demoted`.
    pub level: String,
    /// Values of the attributes asked for: a text, a list of texts, or null.
    pub fields: Option<std::collections::BTreeMap<String, Value>>,
    /// Why it stands here, if it was asked.
    pub explain: Option<ExplainBody>,
}

/// What is different between the two pages.
#[derive(Debug, Serialize, ToSchema)]
pub struct DiffBody {
    /// On both, at other places.
    moved: Vec<ShiftBody>,
    /// On the page after only.
    entered: Vec<ShiftBody>,
    /// On the page before only.
    left: Vec<ShiftBody>,
}

/// Something that stands elsewhere; places are of the whole result, from 0.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShiftBody {
    /// Key of the product, the variant or the product group, as the page is grouped.
    key: String,
    from: u32,
    to: u32,
}

/// Routes of this file; they change nothing, so the rate of changes is not theirs.
pub(crate) fn routes() -> OpenApiRouter<Engine> {
    OpenApiRouter::new()
        .routes(routes!(preview))
        .route_layer(Route::desk().unlimited())
}

/// Preview a page
///
/// What a page would look like after changes that are not published, at any instant, on either
/// side of the split. Nothing is stored or counted; a market without room is told, not refused.
#[utoipa::path(
    post, path = "/v1/markets/{market}/preview", tag = "merchandiser",
    params(("market" = String, Path, description = "Key of the market")),
    request_body = PreviewBody,
    responses((status = 200, description = "Before and after", body = PreviewAnswer)),
    extensions(("x-problems" = json!(["market-forbidden", "not-found", "wrong-state"]))),
)]
async fn preview(
    State(engine): State<Engine>,
    caller: Caller,
    Path(market): Path<String>,
    Json(body): Json,
) -> Result<Response, Problem> {
    let market = path::market(&market)?;
    let order = read(&market, &body);
    let request = order.rank.clone();
    let found = engine.preview(&caller.principal, order).await?;
    Ok(answer::ok(&PreviewAnswer::of(found, &request)))
}

fn read(market: &MarketId, body: &Value) -> PreviewOrder {
    let nothing = Value::Object(serde_json::Map::new());
    let (read, faults) = Fields::gather(body, |fields| {
        let rank = fields.part("rank", Ok);
        let (mut rank, extras) = rank_request::read(market, rank.unwrap_or(&nothing));
        let beside = [
            ("at", rank.at.is_some()),
            ("arms", rank.arms.is_some()),
            ("cursor", extras.cursor.is_some()),
        ];
        for (name, _) in beside.into_iter().filter(|(_, is_there)| *is_there) {
            let why = "a preview says it beside the page, and has no cursor".to_owned();
            fields.complain_below(&["rank", name], Fault::Contradiction { why });
        }
        rank.at = fields.scalar("at", scalar::parsed(Timestamp::parse));
        rank.arms = fields.part("arms", read_arms);
        let changes = fields.part("changes", |value| entries_of(value, CHANGES_MAX));
        let mut tried = Vec::new();
        let mut wrong: Vec<Complaint> = Vec::new();
        for (place, entry) in changes.unwrap_or_default().iter().enumerate() {
            match read_change(entry) {
                Ok(change) => tried.push(change),
                Err(found) => {
                    let at = format!("/changes/{place}");
                    wrong.extend(found.into_iter().map(|own| own.under(&at)));
                }
            }
        }
        (rank, extras, tried, wrong)
    });
    let (rank, extras, changes, wrong) = read;
    PreviewOrder {
        rank,
        extras,
        changes,
        faults: faults.into_iter().chain(wrong).collect(),
    }
}

/// One change; what is wrong inside its promotion is told with everything else about it.
fn read_change(value: &Value) -> Result<TriedChange, Vec<Complaint>> {
    let mut fields = Fields::of(value)?;
    let op = fields.need("op", |value| match scalar::text(value)? {
        op @ ("put" | "patch" | "delete") => Ok(op),
        other => Err(Fault::unknown_value(other, &["put", "patch", "delete"])),
    });
    let id = fields.scalar("id", scalar::parsed(PromotionId::parse));
    let promotion = fields.part("promotion", Ok);
    let named = op.is_none_or(|op| op == "put") || id.is_some();
    if !named {
        fields.complain("id", Fault::Required);
    }
    let whole = op.is_none_or(|op| op == "delete") || promotion.is_some();
    if !whole {
        fields.complain("promotion", Fault::Required);
    }
    let change = match (op, id, promotion) {
        (Some("put"), id, Some(promotion)) => {
            let (inside, draft) = read_named(promotion);
            Some(TriedChange::Put(id.or(inside), Box::new(draft)))
        }
        (Some("patch"), Some(id), Some(patch)) => {
            let patch = patch.clone();
            let patched = move |standing: &Promotion| read_patch(standing, &patch);
            Some(TriedChange::Patch(id, Box::new(patched)))
        }
        (Some("delete"), Some(id), _) => Some(TriedChange::Delete(id)),
        _ => None,
    };
    fields.finish(change)
}

impl PreviewAnswer {
    fn of(mut found: Preview, request: &RankRequest) -> Self {
        let catalogue = std::sync::Arc::clone(&found.before.state.catalogue);
        let shifts = |shifts: &[Shift]| {
            let of = |shift: &Shift| ShiftBody {
                key: key_of(&catalogue, shift.row, request.group_by),
                from: shift.from,
                to: shift.to,
            };
            shifts.iter().map(of).collect()
        };
        // Nothing of a preview is counted, so a missing session is nothing to be told.
        let odd = found.after.warnings.iter();
        let odd = odd.filter(|own| own.code != "no-session");
        let odd = odd.map(|own| Warning::told(own.code, own.detail.clone(), "/rank".to_owned()));
        let at_change = |place: usize| format!("/changes/{place}/promotion");
        let named = found.names_taken.iter().map(|(place, other)| {
            let pointer = format!("{}/name", at_change(*place));
            Warning::told("name-taken", format!("{other} has this name"), pointer)
        });
        let remarks = found.remarks.iter();
        let remarks =
            remarks.map(|(place, own)| Warning::of(&own.clone().under(&at_change(*place))));
        Self {
            snapshot: found.before.snapshot.revision.0,
            at: found.before.at.to_string(),
            diff: DiffBody {
                moved: shifts(&found.diff.moved),
                entered: shifts(&found.diff.entered),
                left: shifts(&found.diff.left),
            },
            changed_categories: std::mem::take(&mut found.changed_categories),
            calendar: found
                .full
                .iter()
                .map(|(market, full)| FullBody::of(market, full))
                .collect(),
            promotions: found.promotions.iter().map(ToString::to_string).collect(),
            warnings: odd.chain(named).chain(remarks).collect(),
            before: rank_answer::page(&mut found.before, request),
            after: rank_answer::page(&mut found.after, request),
        }
    }
}

/// Key of what a place stands for; a product without a group is its own.
fn key_of(catalogue: &Catalogue, row: Row, group_by: GroupBy) -> String {
    let product = catalogue.record(catalogue.product_of(row));
    match (group_by, &product.group) {
        (GroupBy::Variant, _) => catalogue.variant_key(row).to_string(),
        (GroupBy::ProductGroup, Some(group)) => group.to_string(),
        _ => product.key.to_string(),
    }
}
