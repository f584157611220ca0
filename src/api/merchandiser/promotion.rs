//! A promotion in JSON: read into a draft, written from what stands.

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::Value;
use utoipa::ToSchema;

use crate::api::wire::fields::{Fields, entries_of, whole};
use crate::api::wire::patch::merge;
use crate::api::wire::rules::{RuleBody, read_rule};
use crate::api::wire::scalar;
use crate::domain::complaint::Complaint;
use crate::engine::promotions::PromotionView;
use crate::predicate::written::WrittenRule;
use crate::promotion::draft::PromotionDraft;
use crate::promotion::epoch::MeasurementDraft;
use crate::promotion::terms::{MARKETS_MAX, MARKS_MAX, Promotion};
use crate::selection::count::Counts;
use crate::selection::definition::{KEYS_MAX, RULE_SETS_MAX, RULES_MAX, SelectionDraft};
use crate::selection::remark::Lint;

/// Fields that an answer carries and nobody sets.
const SERVER_SET: [&str; 8] = [
    "revision",
    "state",
    "resolved",
    "counts",
    "warnings",
    "created_by",
    "created_at",
    "archived",
];

/// What a person decides about a promotion or demotion.
#[derive(Debug, Serialize, ToSchema)]
pub struct PromotionBody {
    /// `promotion` or `demotion`; fixed once created.
    #[schema(examples("promotion"))]
    kind: &'static str,
    /// `high`, `medium` or `low`; a demotion has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("medium"))]
    level: Option<String>,
    /// 1 to 50 characters, unique without regard to case among unarchived ones of its kind.
    #[schema(examples("Warm week"))]
    name: String,
    /// 1 to 50 markets.
    markets: Vec<String>,
    /// A time with offset, or a date: the midnight at which it begins.
    #[schema(examples("2027-03-08T06:00:00+01:00"))]
    start: String,
    /// A time with offset, or a date, which is inclusive.
    #[schema(examples("2027-03-14"))]
    end: String,
    /// Zone in which dates are read; else the one that the markets share.
    time_zone: Option<String>,
    #[schema(required = false)]
    selection: SelectionBody,
    #[schema(required = false)]
    categories: CategoriesBody,
    #[schema(required = false)]
    measurement: MeasurementBody,
    /// Whether it is held back.
    #[schema(required = false)]
    suspended: bool,
    /// For colleagues, at most 2,000 characters.
    note: Option<String>,
}

/// (Rule sets − blocked) ∪ handpicked.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct SelectionBody {
    /// Product keys, at most 10,000; every variant of each.
    #[schema(required = false)]
    handpicked: Vec<String>,
    /// Values of the markets' cross-market attributes, at most 10,000.
    #[schema(required = false)]
    handpicked_cross_market: Vec<String>,
    /// Product keys taken out of what rules found, at most 10,000.
    #[schema(required = false)]
    blocked: Vec<String>,
    /// At most 20; united with each other.
    #[schema(required = false)]
    rule_sets: Vec<RuleSetBody>,
}

/// Rules that must all be true; without any it selects nothing.
#[derive(Debug, Serialize, ToSchema)]
pub struct RuleSetBody {
    /// At most 20.
    rules: Vec<RuleBody>,
}

/// Categories in which it acts; without marks, everywhere.
#[derive(Debug, Serialize, ToSchema)]
pub struct CategoriesBody {
    /// Marks that switch on, below them too; at most 1,000.
    #[schema(required = false)]
    include: Vec<String>,
    /// Marks that switch off, below them too; at most 1,000.
    #[schema(required = false)]
    exclude: Vec<String>,
}

/// How it is measured; fixed while an epoch runs.
#[derive(Debug, Serialize, ToSchema)]
pub struct MeasurementBody {
    /// Whether sessions are split; true if the rest is given without it.
    #[schema(required = false)]
    measured: bool,
    /// Percent of sessions that see it, 50 to 99; the market's share if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(examples("80"))]
    share_shown_percent: Option<String>,
    /// The figure it is judged by; `revenue` if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    primary_metric: Option<String>,
    /// `anytime`, the default, or `fixed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    plan: Option<String>,
    /// Splits the sessions but shows it to all.
    #[serde(skip_serializing_if = "Option::is_none")]
    aa: Option<bool>,
}

/// A promotion as it stands.
#[derive(Debug, Serialize, ToSchema)]
pub struct PromotionAnswer {
    /// Given by the server.
    id: String,
    #[serde(flatten)]
    body: PromotionBody,
    /// `scheduled`, `active`, `suspended`, `ended` or `archived`: computed, never set.
    state: &'static str,
    resolved: ResolvedPeriod,
    /// What its selection finds, by market.
    #[serde(serialize_with = "members")]
    #[schema(value_type = std::collections::BTreeMap<String, CountsBody>)]
    counts: Vec<(String, CountsBody)>,
    /// What a person should know about it.
    warnings: Vec<Warning>,
    /// Key or user who created it.
    created_by: String,
    created_at: String,
    /// Store revision of its last change: its `ETag`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = u64, required = true)]
    revision: Option<u64>,
}

/// What start and end meant when they were read; half-open, UTC.
#[derive(Debug, Serialize, ToSchema)]
pub struct ResolvedPeriod {
    start: String,
    end: String,
}

/// Variants held after each step of a selection, in one market.
#[derive(Debug, Serialize, ToSchema)]
pub struct CountsBody {
    /// By rule set, after each of its rules.
    after_each_rule: Vec<Vec<u32>>,
    /// In any of the rule sets.
    union: u32,
    /// Without blocked products.
    after_blocking: u32,
    /// With handpicked products: what is promoted.
    selected: u32,
    /// Products of which a variant is promoted.
    products: u32,
}

/// Something odd that is not wrong.
#[derive(Debug, Serialize, ToSchema)]
pub struct Warning {
    /// Stable code.
    code: &'static str,
    /// What is odd, in words.
    detail: Cow<'static, str>,
    /// Where in the object.
    pointer: String,
    /// The market concerned, if it is not all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    market: Option<String>,
    /// Figures by name.
    #[serde(skip_serializing_if = "Vec::is_empty", serialize_with = "members")]
    #[schema(value_type = std::collections::BTreeMap<String, u32>, required = false)]
    counts: Vec<(String, u32)>,
    /// The nearest thing that would have been right.
    #[serde(skip_serializing_if = "Option::is_none")]
    did_you_mean: Option<String>,
}

/// A promotion in a list: without selection, categories and counts.
#[derive(Debug, Serialize, ToSchema)]
pub struct PromotionRow {
    id: String,
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    level: Option<String>,
    name: String,
    markets: Vec<String>,
    start: String,
    end: String,
    time_zone: Option<String>,
    measurement: MeasurementBody,
    suspended: bool,
    note: Option<String>,
    state: &'static str,
    resolved: ResolvedPeriod,
    warnings: Vec<Warning>,
    created_by: String,
    created_at: String,
    revision: u64,
}

/// Reads a whole promotion; what is wrong goes with the draft.
pub(crate) fn read(body: &Value) -> PromotionDraft {
    let (draft, faults) = Fields::gather(body, |fields| {
        fields.read_only(&["id"]);
        read_fields(fields)
    });
    PromotionDraft { faults, ..draft }
}

/// Reads a merge patch of what stands.
pub(crate) fn read_patch(standing: &Promotion, patch: &Value) -> PromotionDraft {
    let body = serde_json::to_value(PromotionBody::of(standing));
    let mut body = body.expect("texts, lists and flags make JSON");
    merge(&mut body, patch.clone());
    read(&body)
}

/// Reads the fields of a promotion.
pub(super) fn read_fields(fields: &mut Fields<'_>) -> PromotionDraft {
    fields.read_only(&SERVER_SET);
    let texts = |fields: &mut Fields<'_>, name, max| fields.list(name, max, whole(scalar::owned));
    let categories = fields.inside("categories", |fields| {
        let include = texts(fields, "include", MARKS_MAX);
        (include, texts(fields, "exclude", MARKS_MAX))
    });
    let (include, exclude) = categories.unwrap_or_default();
    PromotionDraft {
        kind: fields.scalar("kind", scalar::owned),
        level: fields.scalar("level", scalar::owned),
        name: fields.scalar("name", scalar::owned),
        markets: texts(fields, "markets", MARKETS_MAX),
        start: fields.scalar("start", scalar::owned),
        end: fields.scalar("end", scalar::owned),
        time_zone: fields.scalar("time_zone", scalar::owned),
        selection: fields
            .inside("selection", read_selection)
            .unwrap_or_default(),
        include: include.unwrap_or_default(),
        exclude: exclude.unwrap_or_default(),
        measurement: fields.inside("measurement", read_measurement),
        suspended: fields.scalar("suspended", scalar::flag).unwrap_or(false),
        note: fields.scalar("note", scalar::owned),
        faults: Vec::new(),
    }
}

/// Reads the fields of a selection.
pub(super) fn read_selection(fields: &mut Fields<'_>) -> SelectionDraft {
    let keys = |fields: &mut Fields<'_>, name| {
        fields
            .list(name, KEYS_MAX, whole(scalar::owned))
            .unwrap_or_default()
    };
    SelectionDraft {
        handpicked: keys(fields, "handpicked"),
        handpicked_cross_market: keys(fields, "handpicked_cross_market"),
        blocked: keys(fields, "blocked"),
        rule_sets: fields
            .insides("rule_sets", RULE_SETS_MAX, read_rule_set)
            .unwrap_or_default(),
    }
}

fn read_rule_set(fields: &mut Fields<'_>) -> Vec<Result<WrittenRule, Vec<Complaint>>> {
    let rules = fields.need_part("rules", |value| entries_of(value, RULES_MAX));
    rules.unwrap_or_default().iter().map(read_rule).collect()
}

fn read_measurement(fields: &mut Fields<'_>) -> MeasurementDraft {
    MeasurementDraft {
        measured: fields.scalar("measured", scalar::flag),
        share_shown_percent: fields.scalar("share_shown_percent", scalar::owned),
        primary_metric: fields.scalar("primary_metric", scalar::owned),
        plan: fields.scalar("plan", scalar::owned),
        aa: fields.scalar("aa", scalar::flag),
    }
}

impl PromotionBody {
    /// What a person decided.
    pub(super) fn of(promotion: &Promotion) -> Self {
        let draft = promotion.draft();
        Self {
            kind: promotion.kind.as_str(),
            level: draft.level,
            name: draft.name.unwrap_or_default(),
            markets: draft.markets.unwrap_or_default(),
            start: draft.start.unwrap_or_default(),
            end: draft.end.unwrap_or_default(),
            time_zone: draft.time_zone,
            selection: SelectionBody::of(draft.selection),
            categories: CategoriesBody {
                include: draft.include,
                exclude: draft.exclude,
            },
            measurement: MeasurementBody::of(draft.measurement.unwrap_or_default()),
            suspended: draft.suspended,
            note: draft.note,
        }
    }
}

impl SelectionBody {
    fn of(draft: SelectionDraft) -> Self {
        let sets = draft.rule_sets.iter().map(|rules| RuleSetBody {
            rules: rules.iter().flatten().map(RuleBody::of).collect(),
        });
        Self {
            rule_sets: sets.collect(),
            handpicked: draft.handpicked,
            handpicked_cross_market: draft.handpicked_cross_market,
            blocked: draft.blocked,
        }
    }
}

impl MeasurementBody {
    fn of(draft: MeasurementDraft) -> Self {
        Self {
            measured: draft.measured.unwrap_or(false),
            share_shown_percent: draft.share_shown_percent,
            primary_metric: draft.primary_metric,
            plan: draft.plan,
            aa: draft.aa,
        }
    }
}

impl PromotionAnswer {
    /// What stands; its revision is added by whoever knows it.
    pub(crate) fn of(view: &PromotionView) -> Self {
        let promotion = &view.promotion;
        let counts = view.counts.iter();
        Self {
            id: promotion.id.to_string(),
            body: PromotionBody::of(promotion),
            state: view.state.as_str(),
            resolved: ResolvedPeriod::of(promotion),
            counts: counts
                .map(|(market, own)| (market.to_string(), own.into()))
                .collect(),
            warnings: view.warnings.iter().map(Warning::of).collect(),
            created_by: promotion.created_by.clone(),
            created_at: promotion.created_at.to_string(),
            revision: None,
        }
    }

    /// What stands at a revision.
    pub(crate) fn at(view: &PromotionView, revision: u64) -> Self {
        Self {
            revision: Some(revision),
            ..Self::of(view)
        }
    }
}

impl PromotionRow {
    /// One row of a list.
    pub(crate) fn of(view: &PromotionView, revision: u64) -> Self {
        let promotion = &view.promotion;
        let body = PromotionBody::of(promotion);
        Self {
            id: promotion.id.to_string(),
            kind: body.kind,
            level: body.level,
            name: body.name,
            markets: body.markets,
            start: body.start,
            end: body.end,
            time_zone: body.time_zone,
            measurement: body.measurement,
            suspended: body.suspended,
            note: body.note,
            state: view.state.as_str(),
            resolved: ResolvedPeriod::of(promotion),
            warnings: view.warnings.iter().map(Warning::of).collect(),
            created_by: promotion.created_by.clone(),
            created_at: promotion.created_at.to_string(),
            revision,
        }
    }
}

impl ResolvedPeriod {
    fn of(promotion: &Promotion) -> Self {
        Self {
            start: promotion.period.start().to_string(),
            end: promotion.period.end().to_string(),
        }
    }
}

impl From<&Counts> for CountsBody {
    fn from(counts: &Counts) -> Self {
        Self {
            after_each_rule: counts.after_each_rule.clone(),
            union: counts.union,
            after_blocking: counts.after_blocking,
            selected: counts.selected,
            products: counts.products,
        }
    }
}

impl Warning {
    /// Something that no lint tells.
    pub(super) fn told(code: &'static str, detail: String, pointer: String) -> Self {
        Self {
            code,
            detail: detail.into(),
            pointer,
            market: None,
            counts: Vec::new(),
            did_you_mean: None,
        }
    }

    /// A remark.
    pub(super) fn of(lint: &Lint) -> Self {
        let counts = lint.counts.iter();
        Self {
            code: lint.code.as_str(),
            detail: lint.code.words().into(),
            pointer: lint.pointer.clone(),
            market: lint.market.as_ref().map(ToString::to_string),
            counts: counts
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect(),
            did_you_mean: lint.did_you_mean.clone(),
        }
    }
}

/// A list of pairs as the members of an object, in their order.
pub(super) fn members<S: Serializer, T: Serialize>(
    pairs: &[(String, T)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}
