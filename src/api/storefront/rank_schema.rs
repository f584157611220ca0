//! How rank requests and answers are described.
//!
//! Neither is made through these types: a request is read field by field, so that all complaints
//! come at once, and an answer is written straight into its buffer. Stories hold every exchange
//! against the document that comes of them.

use std::collections::BTreeMap;

use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::api::wire::rules::{AgeDays, Literal};

/// A page as asked for.
#[derive(Debug, ToSchema)]
pub struct RankBody {
    /// The visit, as the shop names it; without one measured promotions are shown and no arm is
    /// counted.
    #[schema(examples("s-7f31c2d0"), min_length = 1, max_length = 128)]
    pub session_key: Option<String>,
    /// The person.
    #[schema(min_length = 1, max_length = 128)]
    pub customer_key: Option<String>,
    /// Declared group for smart offers.
    #[schema(min_length = 1, max_length = 128)]
    pub shopper_group: Option<String>,
    /// `personalized`, the default, `unpersonalized`, `anonymous` (without both keys) or
    /// `synthetic` (ranked, never counted).
    pub user_context: Option<String>,
    /// Free name for statistics; `default` if absent.
    pub panel: Option<String>,
    /// Restricts to a category and those below it, and activates restricted promotions.
    #[schema(examples("main:jackets"))]
    pub selected_category: Option<String>,
    /// `restrict`, the default, or `activate`: the category only activates promotions.
    pub category_scope: Option<String>,
    /// Text match: tokens that must all be found.
    #[schema(min_length = 1, max_length = 200)]
    pub q: Option<String>,
    /// Match classes of the shop's own engine; not together with `q`.
    pub candidates: Option<CandidatesBody>,
    /// The panel's own hits, first and in this order; keys of variants or products.
    #[schema(max_items = 200)]
    pub primary: Option<Vec<String>>,
    /// What the result is restricted to.
    pub filter: Option<FilterBody>,
    /// `attribute:asc`, `attribute:desc` or `relevance`, the default.
    #[schema(max_items = 4)]
    pub sort: Option<Vec<String>>,
    /// `product`, the default, `variant` or `product_group`.
    pub group_by: Option<String>,
    /// Places on the page; 60 if absent.
    #[schema(maximum = 600)]
    pub limit: Option<u32>,
    /// Places to skip; deeper pages need the cursor.
    #[schema(maximum = 10000)]
    pub offset: Option<u32>,
    /// `next_cursor` of the page before, with the same request: pins snapshot and instant.
    pub cursor: Option<String>,
    /// Attributes to count values of.
    #[schema(max_items = 20)]
    pub facets: Option<Vec<String>>,
    /// Most values of each; 50 if absent.
    #[schema(maximum = 1000)]
    pub facet_limit: Option<u32>,
    /// Attributes to answer with each item.
    #[schema(max_items = 50)]
    pub fields: Option<Vec<String>>,
    /// `flags`, `offers`, `shelf_prices`.
    #[schema(max_items = 3)]
    pub include: Option<Vec<String>>,
    /// False for prefetches, crawlers and tests: nothing is recorded.
    pub count: Option<bool>,
    /// Whether to say why each item stands where it stands.
    pub explain: Option<bool>,
    /// Another instant, over today's goods and promotions; implies `count: false`.
    pub at: Option<String>,
    /// `shown` or `withheld` for all, or by promotion; implies `count: false`.
    #[schema(value_type = Option<Value>)]
    pub arms: Option<Value>,
}

/// Match classes of the shop's own engine.
#[derive(Debug, ToSchema)]
pub struct CandidatesBody {
    /// Best first; keys of variants or products, 10,000 in all.
    #[schema(max_items = 16)]
    pub classes: Vec<Vec<String>>,
}

/// Clauses that are all true of the same variant.
#[derive(Debug, ToSchema)]
pub struct FilterBody {
    /// The clauses, at most 32.
    #[schema(max_items = 32)]
    pub all: Option<Vec<ClauseBody>>,
}

/// What one attribute must say: exactly one of `in`, `not_in`, `min` with or without `max`,
/// `exists`, `prefix`, `age_days`.
#[derive(Debug, ToSchema)]
pub struct ClauseBody {
    /// Name of an attribute.
    pub attr: String,
    /// Any of these.
    #[schema(rename = "in", max_items = 1000)]
    pub any_of: Option<Vec<Literal>>,
    /// None of these.
    #[schema(max_items = 1000)]
    pub not_in: Option<Vec<Literal>>,
    /// Least value, inclusive.
    pub min: Option<Literal>,
    /// Greatest value, inclusive.
    pub max: Option<Literal>,
    /// Whether there is a value.
    pub exists: Option<bool>,
    /// How a text begins.
    pub prefix: Option<String>,
    /// Whole local days since a time.
    pub age_days: Option<AgeDays>,
}

/// The same as members of a query.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct RankParams {
    /// A public key, where no header can be sent.
    pub key: Option<String>,
    /// The visit.
    pub session_key: Option<String>,
    /// The person.
    pub customer_key: Option<String>,
    /// Declared group for smart offers.
    pub shopper_group: Option<String>,
    /// `personalized`, `unpersonalized`, `anonymous` or `synthetic`.
    pub user_context: Option<String>,
    /// Free name for statistics.
    pub panel: Option<String>,
    /// Category page.
    pub selected_category: Option<String>,
    /// `restrict` or `activate`.
    pub category_scope: Option<String>,
    /// Text match.
    pub q: Option<String>,
    /// Keys separated by commas.
    pub sort: Option<String>,
    /// `product`, `variant` or `product_group`.
    pub group_by: Option<String>,
    /// Places on the page.
    #[param(maximum = 600)]
    pub limit: Option<u32>,
    /// Places to skip.
    #[param(maximum = 10000)]
    pub offset: Option<u32>,
    /// `next_cursor` of the page before.
    pub cursor: Option<String>,
    /// Attributes separated by commas.
    pub facets: Option<String>,
    /// Most values of each.
    #[param(maximum = 1000)]
    pub facet_limit: Option<u32>,
    /// Attributes separated by commas.
    pub fields: Option<String>,
    /// Words separated by commas.
    pub include: Option<String>,
    /// False: nothing is recorded.
    pub count: Option<bool>,
    /// Whether to say why.
    pub explain: Option<bool>,
    /// Another instant.
    pub at: Option<String>,
    /// `shown` or `withheld`.
    pub arms: Option<String>,
}

/// A page.
#[derive(Debug, ToSchema)]
pub struct RankAnswerBody {
    /// The request's name, as in `x-request-id`.
    pub request_id: String,
    /// Key of the market.
    pub market: String,
    /// ISO 4217; of every amount in the answer.
    pub currency: String,
    /// Revision it was computed from.
    pub snapshot: u64,
    /// Places in all.
    pub total: u64,
    /// Where the next page begins; null on the last one.
    #[schema(required = true)]
    pub next_cursor: Option<String>,
    /// Arms of the measured promotions; not for public keys.
    #[schema(required = false)]
    pub measurement: Vec<ArmBody>,
    /// The places of this page.
    pub items: Vec<ItemBody>,
    /// Counts by attribute: a list, or for numbers an object with least and greatest value.
    pub facets: BTreeMap<String, FacetBody>,
    /// Promotions that moved something in this result; not for public keys.
    #[schema(required = false)]
    pub applied: Vec<String>,
    /// What was odd about the request.
    pub warnings: Vec<RankWarningBody>,
}

/// A promotion's arm for this session.
#[derive(Debug, ToSchema)]
pub struct ArmBody {
    /// Id of the promotion.
    pub promotion: String,
    /// `shown` or `withheld`.
    pub arm: String,
}

/// One place of a page.
#[derive(Debug, ToSchema)]
pub struct ItemBody {
    /// Key of the product.
    pub product: String,
    /// Key of the variant that stands for the place.
    pub variant: String,
    /// Place in the whole result, from 0.
    pub position: u32,
    /// Place by score alone, in the whole market; not for public keys.
    #[schema(required = false)]
    pub base_rank: u32,
    /// `high`, `medium`, `low`, `none` or `demoted`; not for public keys.
    #[schema(required = false)]
    pub level: String,
    /// Names this item in events; valid for 30 days.
    pub ticket: String,
    /// Values of the attributes asked for: a text, a list of texts, or null.
    pub fields: Option<BTreeMap<String, Value>>,
    /// Why it stands here, if it was asked.
    pub explain: Option<ExplainBody>,
}

/// Why an item stands where it stands.
#[derive(Debug, ToSchema)]
pub struct ExplainBody {
    /// The strategy score; null without one.
    #[schema(required = true)]
    pub score: Option<String>,
    /// Variants of the market with a strictly higher score.
    pub higher_scored: u32,
    /// Most unboosted variants that may stay above it; null where nothing is promised.
    #[schema(required = true)]
    pub stay_above_max: Option<u32>,
    /// Base place before which it lands; null where its level alone decides.
    #[schema(required = true)]
    pub landing_rank: Option<u32>,
    /// The promotions that gave it its level.
    pub because: Vec<BecauseBody>,
    /// Every other one that holds it.
    pub not_used: Vec<NotUsedBody>,
}

/// A promotion that gave an item its level.
#[derive(Debug, ToSchema)]
pub struct BecauseBody {
    /// Id of the promotion.
    pub promotion: String,
    /// Its name.
    pub name: String,
    /// The level it gave.
    pub level: String,
}

/// A promotion that holds an item and does not move it.
#[derive(Debug, ToSchema)]
pub struct NotUsedBody {
    /// Id of the promotion.
    pub promotion: String,
    /// Its name.
    pub name: String,
    /// `withheld`, `category`, `weaker-level`, `demoted`, `suspended` or `period`.
    pub reason: String,
}

/// Values of an attribute with their counts.
#[derive(Debug, ToSchema)]
#[serde(untagged)]
pub enum FacetBody {
    /// By count, then value.
    Counts(Vec<FacetCount>),
    /// Of numbers, money and times, with their bounds.
    Bounded(BoundedFacet),
}

/// A facet of numbers, money or times.
#[derive(Debug, ToSchema)]
pub struct BoundedFacet {
    /// Least value.
    pub min: String,
    /// Greatest value.
    pub max: String,
    /// The values with their counts.
    pub values: Vec<FacetCount>,
}

/// A value and how many places have it.
#[derive(Debug, ToSchema)]
pub struct FacetCount {
    /// As the wire spells it.
    pub value: String,
    /// Places that have it.
    pub count: u64,
}

/// Something odd about a request that was answered all the same.
#[derive(Debug, ToSchema)]
pub struct RankWarningBody {
    /// Stable code.
    pub code: String,
    /// What about it, for people.
    pub detail: String,
}
