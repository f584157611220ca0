//! Promotions and demotions.

use serde::{Deserialize, Serialize};

use crate::domain::boost::BoostLevel;
use crate::domain::category::CategoryId;
use crate::domain::complaint::Fault;
use crate::domain::id::{MarketId, PromotionId};
use crate::domain::metric::Metric;
use crate::domain::money::Percent;
use crate::domain::time::{GivenTime, Period, Timestamp, Zone};
use crate::predicate::rule::{Attr, Op};
use crate::predicate::written::{WrittenMatcher, WrittenRule};
use crate::promotion::epoch::{Epoch, Plan, Settings};
use crate::promotion::terms::{Kind, Promotion, Restriction, Terms};
use crate::record::{RecordError, Stored, hex};
use crate::selection::definition::{Selection, SelectionDraft};
use crate::store::codec::Kind as RecordKind;

/// A whole promotion or demotion.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PromotionV1 {
    #[serde(with = "hex::one")]
    id: [u8; 16],
    demotion: bool,
    /// 1 low, 2 medium, 3 high; 0 for demotions.
    level: u8,
    name: String,
    markets: Vec<String>,
    start: String,
    end: String,
    time_zone: Option<String>,
    zone: Option<String>,
    period: (i64, i64),
    selection: SelectionV1,
    include: Vec<String>,
    exclude: Vec<String>,
    epochs: Vec<EpochV1>,
    suspended: bool,
    archived: bool,
    note: Option<String>,
    created_by: String,
    created_at: i64,
}

/// Which products it is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SelectionV1 {
    handpicked: Vec<String>,
    handpicked_cross_market: Vec<String>,
    blocked: Vec<String>,
    rule_sets: Vec<Vec<RuleV1>>,
}

/// One rule as written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleV1 {
    exclude: bool,
    attr: String,
    matcher: MatcherV1,
}

/// A matcher as written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum MatcherV1 {
    /// Any of these.
    In(Vec<String>),
    /// Least and greatest.
    Range(Option<String>, Option<String>),
    /// Whether there is a value.
    Exists(bool),
    /// How the text begins.
    Prefix(String),
    /// Least and greatest age in days.
    AgeDays(Option<i32>, Option<i32>),
}

/// A measured stretch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochV1 {
    number: u32,
    salt: u64,
    share_shown_bp: u32,
    primary_metric: String,
    plan: String,
    aa: bool,
    opened: i64,
    closed: Option<i64>,
}

impl Stored for PromotionV1 {
    const KIND: RecordKind = RecordKind(4);
    const SCHEMA: u16 = 1;

    fn check(self) -> Result<(), RecordError> {
        Promotion::try_from(self).map(drop)
    }
}

impl From<&Promotion> for PromotionV1 {
    fn from(promotion: &Promotion) -> Self {
        let texts = |marks: &[CategoryId]| marks.iter().map(ToString::to_string).collect();
        Self {
            id: promotion.id.0,
            demotion: promotion.kind == Kind::Demotion,
            level: match promotion.level {
                BoostLevel::Demoted => 0,
                BoostLevel::Low => 1,
                BoostLevel::Medium => 2,
                BoostLevel::High => 3,
            },
            name: promotion.name.clone(),
            markets: promotion.markets.iter().map(ToString::to_string).collect(),
            start: promotion.start.text().to_owned(),
            end: promotion.end.text().to_owned(),
            time_zone: promotion
                .time_zone
                .as_ref()
                .map(|zone| zone.name().to_owned()),
            zone: promotion.zone.as_ref().map(|zone| zone.name().to_owned()),
            period: (promotion.period.start().0, promotion.period.end().0),
            selection: (&promotion.selection).into(),
            include: texts(&promotion.restriction.include),
            exclude: texts(&promotion.restriction.exclude),
            epochs: promotion.epochs.iter().map(Into::into).collect(),
            suspended: promotion.suspended,
            archived: promotion.archived,
            note: promotion.note.clone(),
            created_by: promotion.created_by.clone(),
            created_at: promotion.created_at.0,
        }
    }
}

impl TryFrom<PromotionV1> for Promotion {
    type Error = RecordError;

    fn try_from(stored: PromotionV1) -> Result<Self, RecordError> {
        let zone = |name: Option<String>| match name {
            Some(name) => field("zone", Zone::parse(&name)).map(Some),
            None => Ok(None),
        };
        let (start, end) = stored.period;
        let terms = Terms {
            id: PromotionId(stored.id),
            kind: if stored.demotion {
                Kind::Demotion
            } else {
                Kind::Promotion
            },
            level: match stored.level {
                0 => BoostLevel::Demoted,
                1 => BoostLevel::Low,
                2 => BoostLevel::Medium,
                3 => BoostLevel::High,
                other => return Err(RecordError::field("level", other)),
            },
            name: stored.name,
            markets: list("markets", &stored.markets, MarketId::parse)?,
            start: field("start", GivenTime::parse(&stored.start))?,
            end: field("end", GivenTime::parse(&stored.end))?,
            time_zone: zone(stored.time_zone)?,
            zone: zone(stored.zone)?,
            period: field("period", Period::new(Timestamp(start), Timestamp(end)))?,
            selection: stored.selection.try_into()?,
            restriction: Restriction {
                include: list("include", &stored.include, CategoryId::parse)?,
                exclude: list("exclude", &stored.exclude, CategoryId::parse)?,
            },
            epochs: stored
                .epochs
                .into_iter()
                .map(TryInto::try_into)
                .collect::<Result<_, _>>()?,
            suspended: stored.suspended,
            archived: stored.archived,
            note: stored.note,
            created_by: stored.created_by,
            created_at: Timestamp(stored.created_at),
        };
        Self::new(terms).map_err(|complaints| RecordError::complaints("promotion", &complaints))
    }
}

impl From<&Selection> for SelectionV1 {
    fn from(selection: &Selection) -> Self {
        let texts =
            |keys: &[crate::domain::id::ProductKey]| keys.iter().map(ToString::to_string).collect();
        let cross = selection.handpicked_cross_market();
        let rule_sets = selection.rule_sets().iter();
        Self {
            handpicked: texts(selection.handpicked()),
            handpicked_cross_market: cross.iter().map(ToString::to_string).collect(),
            blocked: texts(selection.blocked()),
            rule_sets: rule_sets
                .map(|rules| rules.iter().map(Into::into).collect())
                .collect(),
        }
    }
}

impl TryFrom<SelectionV1> for Selection {
    type Error = RecordError;

    fn try_from(stored: SelectionV1) -> Result<Self, RecordError> {
        let mut rule_sets = Vec::with_capacity(stored.rule_sets.len());
        for rules in stored.rule_sets {
            let read: Result<Vec<WrittenRule>, RecordError> =
                rules.into_iter().map(TryInto::try_into).collect();
            rule_sets.push(read?.into_iter().map(Ok).collect());
        }
        let draft = SelectionDraft {
            handpicked: stored.handpicked,
            handpicked_cross_market: stored.handpicked_cross_market,
            blocked: stored.blocked,
            rule_sets,
        };
        Self::new(draft).map_err(|complaints| RecordError::complaints("selection", &complaints))
    }
}

impl From<&WrittenRule> for RuleV1 {
    fn from(rule: &WrittenRule) -> Self {
        let text = |bound: &Option<std::sync::Arc<str>>| bound.as_deref().map(str::to_owned);
        let matcher = match &rule.matcher {
            WrittenMatcher::In(values) => {
                MatcherV1::In(values.iter().map(ToString::to_string).collect())
            }
            WrittenMatcher::Range { min, max } => MatcherV1::Range(text(min), text(max)),
            WrittenMatcher::Exists(wanted) => MatcherV1::Exists(*wanted),
            WrittenMatcher::Prefix(prefix) => MatcherV1::Prefix(prefix.to_string()),
            WrittenMatcher::AgeDays { min, max } => MatcherV1::AgeDays(*min, *max),
        };
        Self {
            exclude: rule.op == Op::Exclude,
            attr: rule.attr.to_string(),
            matcher,
        }
    }
}

impl TryFrom<RuleV1> for WrittenRule {
    type Error = RecordError;

    fn try_from(stored: RuleV1) -> Result<Self, RecordError> {
        let matcher = match stored.matcher {
            MatcherV1::In(values) => {
                WrittenMatcher::In(values.into_iter().map(Into::into).collect())
            }
            MatcherV1::Range(min, max) => WrittenMatcher::Range {
                min: min.map(Into::into),
                max: max.map(Into::into),
            },
            MatcherV1::Exists(wanted) => WrittenMatcher::Exists(wanted),
            MatcherV1::Prefix(prefix) => WrittenMatcher::Prefix(prefix.into()),
            MatcherV1::AgeDays(min, max) => WrittenMatcher::AgeDays { min, max },
        };
        let op = if stored.exclude {
            Op::Exclude
        } else {
            Op::Include
        };
        Ok(Self {
            op,
            attr: field("attr", Attr::parse(&stored.attr))?,
            matcher,
        })
    }
}

impl From<&Epoch> for EpochV1 {
    fn from(epoch: &Epoch) -> Self {
        Self {
            number: epoch.number,
            salt: epoch.salt,
            share_shown_bp: epoch.settings.share_shown.basis_points(),
            primary_metric: epoch.settings.primary_metric.as_str().to_owned(),
            plan: epoch.settings.plan.as_str().to_owned(),
            aa: epoch.settings.aa,
            opened: epoch.opened.0,
            closed: epoch.closed.map(|closed| closed.0),
        }
    }
}

impl TryFrom<EpochV1> for Epoch {
    type Error = RecordError;

    fn try_from(stored: EpochV1) -> Result<Self, RecordError> {
        let share_shown = Percent::from_basis_points(stored.share_shown_bp)
            .ok_or_else(|| RecordError::field("share_shown", stored.share_shown_bp))?;
        Ok(Self {
            number: stored.number,
            salt: stored.salt,
            settings: Settings {
                share_shown,
                primary_metric: field("primary_metric", Metric::parse(&stored.primary_metric))?,
                plan: field("plan", Plan::parse(&stored.plan))?,
                aa: stored.aa,
            },
            opened: Timestamp(stored.opened),
            closed: stored.closed.map(Timestamp),
        })
    }
}

fn field<T>(name: &str, result: Result<T, Fault>) -> Result<T, RecordError> {
    result.map_err(|fault| RecordError::field(name, fault))
}

fn list<T>(
    name: &str,
    texts: &[String],
    parse: impl Fn(&str) -> Result<T, Fault>,
) -> Result<Vec<T>, RecordError> {
    texts.iter().map(|text| field(name, parse(text))).collect()
}
