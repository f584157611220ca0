//! Rules of selections and clauses of filters.

use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::api::wire::fields::{Fields, Read, read_list, whole};
use crate::api::wire::scalar;
use crate::domain::complaint::Fault;
use crate::predicate::rule::{Attr, Op};
use crate::predicate::written::{WrittenMatcher, WrittenRule};

/// Most values of one list in a rule.
pub(crate) const RULE_VALUES_MAX: usize = 500;

/// Reads `{op, attr, one matcher}`.
pub(crate) fn read_rule(value: &Value) -> Read<WrittenRule> {
    let mut fields = Fields::of(value)?;
    let op = fields.need("op", |value| match scalar::text(value)? {
        "include" => Ok(Op::Include),
        "exclude" => Ok(Op::Exclude),
        other => Err(Fault::unknown_value(other, &["include", "exclude"])),
    });
    let attr = fields.need("attr", scalar::parsed(Attr::parse));
    let matcher = read_matcher(&mut fields, RULE_VALUES_MAX, false);
    let rule = op.zip(attr).zip(matcher);
    fields.finish(rule.map(|((op, attr), (matcher, _))| WrittenRule { op, attr, matcher }))
}

/// Reads `{attr, one matcher}`; `not_in` is the exclusion of `in`.
pub(crate) fn read_clause(value: &Value, values_max: usize) -> Read<WrittenRule> {
    let mut fields = Fields::of(value)?;
    let attr = fields.need("attr", scalar::parsed(Attr::parse));
    let matcher = read_matcher(&mut fields, values_max, true);
    let clause = attr.zip(matcher);
    fields.finish(clause.map(|(attr, (matcher, op))| WrittenRule { op, attr, matcher }))
}

/// The one matcher of an object and whether it includes.
fn read_matcher(
    fields: &mut Fields<'_>,
    values_max: usize,
    negatable: bool,
) -> Option<(WrittenMatcher, Op)> {
    let mut found: Vec<(&'static str, Option<WrittenMatcher>, Op)> = Vec::new();
    if fields.has("in") {
        let values = fields.need_part("in", |value| read_values(value, values_max));
        found.push(("in", values.map(WrittenMatcher::In), Op::Include));
    }
    if negatable && fields.has("not_in") {
        let values = fields.need_part("not_in", |value| read_values(value, values_max));
        found.push(("not_in", values.map(WrittenMatcher::In), Op::Exclude));
    }
    let bounded = [fields.has("min"), fields.has("max")].contains(&true);
    if bounded {
        let bound = |value| scalar::literal(value).map(Arc::from);
        let (min, max) = (fields.scalar("min", bound), fields.scalar("max", bound));
        let some = min.is_some() || max.is_some();
        found.push((
            "min/max",
            some.then_some(WrittenMatcher::Range { min, max }),
            Op::Include,
        ));
    }
    if fields.has("exists") {
        let exists = fields.need("exists", scalar::flag);
        found.push(("exists", exists.map(WrittenMatcher::Exists), Op::Include));
    }
    if fields.has("prefix") {
        let prefix = fields.need("prefix", |value| scalar::text(value).map(Arc::from));
        found.push(("prefix", prefix.map(WrittenMatcher::Prefix), Op::Include));
    }
    if fields.has("age_days") {
        let ages = fields.need_part("age_days", read_ages);
        found.push(("age_days", ages, Op::Include));
    }
    match found.len() {
        0 => {
            let why = "needs one of in, min, max, exists, prefix, age_days".to_owned();
            fields.complain("in", Fault::Contradiction { why });
            None
        }
        1 => found
            .pop()
            .and_then(|(_, matcher, op)| matcher.map(|matcher| (matcher, op))),
        _ => {
            let names: Vec<_> = found.iter().map(|(name, ..)| *name).collect();
            let why = format!("one matcher a rule, found {}", names.join(" and "));
            fields.complain(
                names[1].split('/').next().unwrap_or("in"),
                Fault::Contradiction { why },
            );
            None
        }
    }
}

fn read_values(value: &Value, max: usize) -> Read<Vec<Arc<str>>> {
    read_list(
        value,
        max,
        whole(|entry| scalar::literal(entry).map(Arc::from)),
    )
}

fn read_ages(value: &Value) -> Read<WrittenMatcher> {
    let mut fields = Fields::of(value)?;
    let days = |value: &Value| scalar::up_to(i32::MAX as u32)(value).map(u32::cast_signed);
    let (min, max) = (fields.scalar("min", days), fields.scalar("max", days));
    fields.finish(Some(WrittenMatcher::AgeDays { min, max }))
}

/// One rule: include or exclude what one attribute says. It has exactly one matcher: `in`, `min`
/// with or without `max`, `exists`, `prefix`, or `age_days`.
#[derive(Debug, Default, Serialize, ToSchema)]
pub struct RuleBody {
    /// `include` or `exclude`.
    #[schema(examples("include"))]
    op: &'static str,
    /// Name of an attribute.
    #[schema(examples("brand"))]
    attr: String,
    /// Any of these, 1 to 500.
    #[serde(rename = "in", skip_serializing_if = "Option::is_none")]
    any_of: Option<Vec<Literal>>,
    /// Least value, inclusive; numbers, money and times.
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<Literal>,
    /// Greatest value, inclusive.
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<Literal>,
    /// Whether there is a value.
    #[serde(skip_serializing_if = "Option::is_none")]
    exists: Option<bool>,
    /// How a text begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    prefix: Option<String>,
    /// Whole local days since a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    age_days: Option<AgeDays>,
}

/// A value in a rule: text, or a number or flag that reads as its text. Answers have texts.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub enum Literal {
    /// As written.
    Text(String),
    /// In requests.
    Number(f64),
    /// In requests.
    Flag(bool),
}

/// Bounds of an age, inclusive.
#[derive(Debug, Serialize, ToSchema)]
pub struct AgeDays {
    /// 0 if absent, so that nothing unreleased is new.
    #[schema(required = false)]
    min: i32,
    max: Option<i32>,
}

impl RuleBody {
    /// A rule as answers spell it.
    pub(crate) fn of(rule: &WrittenRule) -> Self {
        let mut body = Self {
            op: match rule.op {
                Op::Include => "include",
                Op::Exclude => "exclude",
            },
            attr: rule.attr.to_string(),
            ..Self::default()
        };
        let literal = |text: &Arc<str>| Literal::Text(text.to_string());
        match &rule.matcher {
            WrittenMatcher::In(values) => body.any_of = Some(values.iter().map(literal).collect()),
            WrittenMatcher::Range { min, max } => {
                body.min = min.as_ref().map(literal);
                body.max = max.as_ref().map(literal);
            }
            WrittenMatcher::Exists(wanted) => body.exists = Some(*wanted),
            WrittenMatcher::Prefix(prefix) => body.prefix = Some(prefix.to_string()),
            WrittenMatcher::AgeDays { min, max } => {
                let min = min.unwrap_or(0);
                body.age_days = Some(AgeDays { min, max: *max });
            }
        }
        body
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(rule: &Value, expected: &[(&str, &str)]) {
        let complaints = read_rule(rule).err().unwrap_or_default();
        let found: Vec<_> = complaints
            .iter()
            .map(|c| (&*c.pointer, c.fault.code()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_rule_has_one_matcher() {
        check(
            &json!({ "op": "include", "attr": "brand", "in": ["Nord"] }),
            &[],
        );
        check(
            &json!({ "op": "exclude", "attr": "stock", "max": "0" }),
            &[],
        );
        check(
            &json!({ "op": "include", "attr": "price", "min": 3, "max": "4.50" }),
            &[],
        );
        check(
            &json!({ "op": "include", "attr": "brand" }),
            &[("/in", "contradiction")],
        );
        check(
            &json!({ "op": "include", "attr": "brand", "in": [], "exists": true }),
            &[("/exists", "contradiction")],
        );
        check(
            &json!({ "op": "add", "atr": "brand", "in": [[]] }),
            &[
                ("/op", "unknown-value"),
                ("/attr", "required"),
                ("/in/0", "wrong-type"),
                ("/atr", "unknown-field"),
            ],
        );
    }

    #[test]
    fn rules_are_written_as_they_are_read() {
        for rule in [
            json!({ "op": "include", "attr": "brand", "in": ["Nord", "10"] }),
            json!({ "op": "exclude", "attr": "price", "min": "1", "max": "2" }),
            json!({ "op": "include", "attr": "new", "exists": false }),
            json!({ "op": "include", "attr": "title", "prefix": "bl" }),
            json!({ "op": "include", "attr": "launched", "age_days": { "min": 0, "max": 21 } }),
        ] {
            let written = RuleBody::of(&read_rule(&rule).unwrap());
            assert_eq!(serde_json::to_value(written).unwrap(), rule);
        }
    }
}
