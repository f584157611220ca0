//! What a draft would run into, and what its selection says about one variant: answers for people
//! who have not published yet.

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::api::merchandiser::picks::by;
use crate::api::merchandiser::promotion::{
    CountsBody, PromotionBody, Warning, members, read, read_fields,
};
use crate::api::wire::fields::Fields;
use crate::api::wire::{answer, scalar};
use crate::booking::Full;
use crate::domain::complaint::{Complaint, Fault};
use crate::domain::id::{MarketId, PromotionId};
use crate::domain::limits::ACTIVE_PER_MARKET_MAX;
use crate::engine::check::{Checked, MarketCheck, Overlap};
use crate::engine::start::Engine;
use crate::engine::why::{Asked, VariantWhy};
use crate::http::extract::{Caller, Json};
use crate::http::gate::Route;
use crate::http::problem::Problem;
use crate::promotion::draft::PromotionDraft;
use crate::promotion::overlap::Reach;
use crate::selection::explain::SetWhy;

/// A draft, of a new promotion or of one that stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckBody {
    /// The promotion it would replace.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(flatten)]
    draft: PromotionBody,
}

/// What publishing a draft would run into. Problems are data here.
#[derive(Debug, Serialize, ToSchema)]
pub struct CheckAnswer {
    /// What is wrong with its fields; if anything is, the rest is empty.
    errors: Vec<FaultBody>,
    /// Markets without room over its period, as if it were not held back.
    calendar: Vec<FullBody>,
    /// Promotions and demotions that hold some of the same variants at some time, most first.
    overlaps: Vec<OverlapBody>,
    /// What others leave of its variants, by market.
    #[serde(serialize_with = "members")]
    #[schema(value_type = std::collections::BTreeMap<String, ReachBody>)]
    reach: Vec<(String, ReachBody)>,
    /// What its selection finds, by market.
    #[serde(serialize_with = "members")]
    #[schema(value_type = std::collections::BTreeMap<String, CountsBody>)]
    counts: Vec<(String, CountsBody)>,
    /// What a person should know.
    lint: Vec<Warning>,
}

/// Something wrong with one field.
#[derive(Debug, Serialize, ToSchema)]
pub struct FaultBody {
    /// Where.
    pointer: String,
    /// Stable code.
    code: &'static str,
    /// For people.
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    did_you_mean: Option<String>,
}

/// A market without room.
#[derive(Debug, Serialize, ToSchema)]
pub struct FullBody {
    market: String,
    /// Most promotions and demotions active at once.
    limit: usize,
    /// First instant of the period without room.
    first_full: String,
    /// When there is room again.
    free_from: String,
    /// Who holds the places then.
    promotions: Vec<String>,
}

/// Another promotion that holds some of the same variants.
#[derive(Debug, Serialize, ToSchema)]
pub struct OverlapBody {
    market: String,
    promotion: String,
    name: String,
    /// Its level: `high`, `medium`, `low` or `demoted`.
    level: &'static str,
    /// Variants that both hold.
    shared_variants: u32,
    /// How the other fares there: `demoted-wins`, `stronger-level`, `same-level` or
    /// `weaker-level`.
    outcome: &'static str,
    /// The same in words.
    text: String,
}

/// Variants of a draft, each counted once by the first of these that is true of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReachBody {
    /// The sum of the others.
    selected: u32,
    /// A demotion holds them as well.
    demoted: u32,
    /// A stronger level holds them as well.
    stronger_level: u32,
    /// Another one of the same level holds them as well.
    same_level: u32,
    /// It alone moves them.
    moved: u32,
}

/// Which variant, and whose selection.
#[derive(Debug, Serialize, ToSchema)]
pub struct WhyQuestion {
    /// The market.
    market: String,
    /// Key of the variant.
    variant: String,
    /// A promotion as it stands; or the one that the draft would replace.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// A draft, as `POST /v1/promotions` takes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    promotion: Option<PromotionBody>,
}

/// What a selection says about a variant.
#[derive(Debug, Serialize, ToSchema)]
pub struct WhyAnswer {
    variant: String,
    product: String,
    /// Whether the selection holds it.
    selected: bool,
    /// What holds it: `handpicked` or `set:2`, counted from 0.
    #[schema(required = true)]
    by: Option<String>,
    /// Whether its product is taken out of what rules found.
    blocked: bool,
    /// What each rule set says, in order.
    sets: Vec<SetBody>,
    /// The whole answer in words.
    text: String,
}

/// What one rule set says about a variant.
#[derive(Debug, Serialize, ToSchema)]
pub struct SetBody {
    holds: bool,
    /// The first rule that dropped it, counted from 0; null if none did.
    #[schema(required = true)]
    dropped_by: Option<usize>,
    /// The values that decided: of an exclude those that fit, of an include all it has.
    values: Vec<String>,
    /// The same in words.
    text: String,
}

/// Routes of this file; they change nothing, so the rate of changes is not theirs.
pub(crate) fn routes() -> OpenApiRouter<Engine> {
    OpenApiRouter::new()
        .routes(routes!(check_promotion))
        .routes(routes!(explain_selection))
        .route_layer(Route::desk().unlimited())
}

/// Check a draft before publishing it
///
/// With `id` it is checked in the place of that promotion. Nothing is written, and a problem is
/// told as data: wrong fields, a full calendar, other promotions in the way.
#[utoipa::path(
    post, path = "/v1/promotions/check", tag = "merchandiser",
    request_body = CheckBody,
    responses((status = 200, description = "What it would run into", body = CheckAnswer)),
    extensions(("x-problems" = json!(["market-forbidden", "not-found", "wrong-state"]))),
)]
async fn check_promotion(
    State(engine): State<Engine>,
    caller: Caller,
    Json(body): Json,
) -> Result<Response, Problem> {
    let (id, draft) = read_named(&body);
    let checked = engine.check_promotion(&caller.principal, id, draft).await?;
    Ok(answer::ok(&CheckAnswer::of(&checked)))
}

/// Explain what a selection says about a variant
///
/// Of a promotion as it stands (`id`), or of a draft (`promotion`): picked by hand, held by a rule
/// set, or, set by set, the first rule that dropped it and the value that decided.
#[utoipa::path(
    post, path = "/v1/promotions/explain", tag = "merchandiser",
    request_body = WhyQuestion,
    responses((status = 200, description = "What it says", body = WhyAnswer)),
    extensions(("x-problems" = json!(["market-forbidden", "not-found", "wrong-state"]))),
)]
async fn explain_selection(
    State(engine): State<Engine>,
    caller: Caller,
    Json(body): Json,
) -> Result<Response, Problem> {
    let (market, variant, asked) = read_question(&body)?;
    let found = engine.explain_selection(&caller.principal, &market, &variant, asked)?;
    Ok(answer::ok(&WhyAnswer::of(&found)))
}

/// A draft and the promotion it would replace; what is wrong goes with the draft.
pub(super) fn read_named(body: &Value) -> (Option<PromotionId>, PromotionDraft) {
    let ((id, draft), faults) = Fields::gather(body, |fields| {
        let id = fields.scalar("id", scalar::parsed(PromotionId::parse));
        (id, read_fields(fields))
    });
    (id, PromotionDraft { faults, ..draft })
}

fn read_question(body: &Value) -> Result<(MarketId, String, Asked), Problem> {
    let ((whose, draft), mut complaints) = Fields::gather(body, |fields| {
        let market = fields.need("market", scalar::parsed(MarketId::parse));
        let variant = fields.need("variant", scalar::owned);
        let id = fields.scalar("id", scalar::parsed(PromotionId::parse));
        let draft = fields.part("promotion", |value| Ok(read(value)));
        if id.is_none() && draft.is_none() {
            fields.complain("promotion", Fault::Required);
        }
        ((market, variant, id), draft)
    });
    let asked = match (whose.2, draft) {
        (id, Some(draft)) => Some(Asked::Draft(id, Box::new(draft))),
        (Some(id), None) => Some(Asked::Stored(id)),
        (None, None) => None,
    };
    if let ((Some(market), Some(variant), _), Some(asked), true) =
        (whose, &asked, complaints.is_empty())
    {
        return Ok((market, variant, asked.clone()));
    }
    if let Some(Asked::Draft(_, draft)) = asked {
        let of_draft = draft.faults.into_iter();
        complaints.extend(of_draft.map(|fault| fault.under("/promotion")));
    }
    Err(Problem::invalid(&complaints))
}

impl CheckAnswer {
    fn of(checked: &Checked) -> Self {
        let mut errors: Vec<FaultBody> = checked.faults.iter().map(FaultBody::of).collect();
        errors.extend(checked.namesake.map(FaultBody::of_namesake));
        let markets = || checked.markets.iter();
        let of_market = |own: &MarketCheck| own.market.to_string();
        let overlaps = markets().flat_map(|market| {
            let own = market.overlaps.iter();
            own.map(move |overlap| OverlapBody::of(market, overlap))
        });
        Self {
            errors,
            calendar: checked
                .full
                .iter()
                .map(|(market, full)| FullBody::of(market, full))
                .collect(),
            overlaps: overlaps.collect(),
            reach: markets()
                .map(|own| (of_market(own), ReachBody::of(&own.reach)))
                .collect(),
            counts: markets()
                .map(|own| (of_market(own), CountsBody::from(&own.counts)))
                .collect(),
            lint: checked.remarks.iter().map(Warning::of).collect(),
        }
    }
}

impl FaultBody {
    fn of(complaint: &Complaint) -> Self {
        Self {
            pointer: complaint.pointer.clone(),
            code: complaint.fault.code(),
            message: complaint.fault.to_string(),
            did_you_mean: complaint.fault.did_you_mean().map(str::to_owned),
        }
    }

    /// As the write would be refused with.
    fn of_namesake(id: PromotionId) -> Self {
        Self {
            pointer: "/name".to_owned(),
            code: "name-taken",
            message: format!("{id} has this name"),
            did_you_mean: None,
        }
    }
}

impl FullBody {
    /// A market without room.
    pub(super) fn of(market: &MarketId, full: &Full<PromotionId>) -> Self {
        Self {
            market: market.to_string(),
            limit: ACTIVE_PER_MARKET_MAX,
            first_full: full.first.to_string(),
            free_from: full.free_from.to_string(),
            promotions: full.holders.iter().map(ToString::to_string).collect(),
        }
    }
}

impl OverlapBody {
    fn of(market: &MarketCheck, overlap: &Overlap) -> Self {
        let other = &overlap.promotion;
        Self {
            market: market.market.to_string(),
            promotion: other.id.to_string(),
            name: other.name.clone(),
            level: other.level.as_str(),
            shared_variants: overlap.n_shared,
            outcome: overlap.outcome.as_str(),
            text: overlap.text.clone(),
        }
    }
}

impl ReachBody {
    fn of(reach: &Reach) -> Self {
        Self {
            selected: reach.selected,
            demoted: reach.demoted,
            stronger_level: reach.stronger,
            same_level: reach.same,
            moved: reach.moved,
        }
    }
}

impl WhyAnswer {
    fn of(found: &VariantWhy) -> Self {
        let catalogue = &found.state.catalogue;
        let currency = catalogue.locale().currency;
        let rule_sets = found.promotion.selection.rule_sets();
        let sets = found.why.sets.iter().zip(rule_sets).map(|(set, rules)| {
            let values = match set {
                SetWhy::Dropped { values, .. } => &values[..],
                SetWhy::Holds | SetWhy::NoRules => &[],
            };
            let values: Vec<String> = values.iter().map(|own| own.format(currency)).collect();
            SetBody {
                holds: *set == SetWhy::Holds,
                dropped_by: set.dropped_by(),
                text: set.in_words(rules, &values),
                values,
            }
        });
        Self {
            variant: catalogue.variant_key(found.row).to_string(),
            product: catalogue
                .product_key(catalogue.product_of(found.row))
                .to_string(),
            selected: found.why.is_selected(),
            by: by(&found.why),
            blocked: found.why.blocked,
            sets: sets.collect(),
            text: found.why.in_words(),
        }
    }
}
