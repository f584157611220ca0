//! Reads a rank request: the JSON body of a POST, or the query of a GET that means the same.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::api::wire::fields::{Fields, Read, read_list, whole};
use crate::api::wire::rules::read_clause;
use crate::api::wire::scalar;
use crate::domain::category::CategoryId;
use crate::domain::complaint::Fault;
use crate::domain::id::{
    GroupOfShoppers, KEY_CHARS_MAX, MarketId, Panel, PromotionId, SessionKey, Shopper,
};
use crate::domain::time::Timestamp;
use crate::engine::rank::{ForcedArms, RankExtras, RankRequest, UserContext, WrittenSort};
use crate::measurement::split::Arm;
use crate::predicate::rule::Attr;
use crate::predicate::written::WrittenRule;
use crate::ranking::query::GroupBy;

const LIMIT_DEFAULT: u32 = 60;
pub(crate) const LIMIT_MAX: u32 = 600;
pub(crate) const OFFSET_MAX: u32 = 10_000;
const Q_CHARS_MAX: usize = 200;
const CLASSES_MAX: usize = 16;
pub(crate) const CANDIDATES_MAX: usize = 10_000;
const PRIMARY_MAX: usize = 200;
const CLAUSES_MAX: usize = 32;
const FILTER_VALUES_MAX: usize = 1_000;
const SORT_KEYS_MAX: usize = 4;
pub(crate) const FACETS_MAX: usize = 20;
const FACET_LIMIT_DEFAULT: u32 = 50;
const FACET_LIMIT_MAX: u32 = 1_000;
const FIELDS_MAX: usize = 50;

/// What may be asked for beside the items.
const INCLUDES: [&str; 3] = ["flags", "offers", "shelf_prices"];

/// Reads a body; what is wrong goes with the request.
pub(crate) fn read(market: &MarketId, body: &Value) -> (RankRequest, RankExtras) {
    let ((request, extras), faults) = Fields::gather(body, |fields| read_fields(market, fields));
    (request, RankExtras { faults, ..extras })
}

fn read_fields(market: &MarketId, fields: &mut Fields<'_>) -> (RankRequest, RankExtras) {
    let session = fields.scalar("session_key", scalar::parsed(SessionKey::parse));
    let shopper = fields.scalar("customer_key", scalar::parsed(Shopper::parse));
    let group = fields.scalar("shopper_group", scalar::parsed(GroupOfShoppers::parse));
    let context = fields.scalar("user_context", scalar::parsed(parse_context));
    let context = context.unwrap_or(UserContext::Personalized);
    if context == UserContext::Anonymous {
        refuse_names(session.is_some(), shopper.is_some(), fields);
    }
    let panel = fields.scalar("panel", scalar::parsed(Panel::parse));
    let category = fields.scalar("selected_category", scalar::parsed(CategoryId::parse));
    let activate_only = fields.scalar("category_scope", scalar::parsed(parse_scope));
    let q = fields.scalar("q", scalar::parsed(parse_q));
    let candidates = fields.part("candidates", read_candidates);
    if q.is_some() && candidates.is_some() {
        let why = "match classes come from q or from candidates, not from both".to_owned();
        fields.complain("candidates", Fault::Contradiction { why });
    }
    let primary = fields.list("primary", PRIMARY_MAX, whole(read_key));
    let filter = fields.part("filter", read_filter);
    let sort = fields.list("sort", SORT_KEYS_MAX, whole(scalar::parsed(parse_sort)));
    let group_by = fields.scalar("group_by", scalar::parsed(parse_group));
    let limit = fields.scalar("limit", scalar::up_to(LIMIT_MAX));
    let offset = fields.scalar("offset", scalar::up_to(OFFSET_MAX));
    let cursor = fields.scalar("cursor", |value| scalar::text(value).map(str::to_owned));
    if cursor.is_some() && offset.is_some_and(|offset| 0 < offset) {
        let why = "a cursor says where the page begins".to_owned();
        fields.complain("offset", Fault::Contradiction { why });
    }
    let facets = fields.list("facets", FACETS_MAX, whole(scalar::parsed(Attr::parse)));
    let facet_limit = fields.scalar("facet_limit", scalar::up_to(FACET_LIMIT_MAX));
    let own_fields = fields.list("fields", FIELDS_MAX, whole(scalar::parsed(Attr::parse)));
    fields.list(
        "include",
        INCLUDES.len(),
        whole(scalar::parsed(parse_include)),
    );
    let count = fields.scalar("count", scalar::flag);
    let explain = fields.scalar("explain", scalar::flag);
    let at = fields.scalar("at", scalar::parsed(Timestamp::parse));
    let arms = fields.part("arms", read_arms);
    let request = RankRequest {
        market: market.clone(),
        session,
        shopper,
        context,
        panel,
        category,
        activate_only: activate_only.unwrap_or(false),
        q,
        candidates,
        primary: primary.unwrap_or_default(),
        filter: filter.unwrap_or_default(),
        sort: sort.unwrap_or_default(),
        group_by: group_by.unwrap_or(GroupBy::Product),
        limit: limit.unwrap_or(LIMIT_DEFAULT),
        facets: facets.unwrap_or_default(),
        facet_limit: facet_limit.unwrap_or(FACET_LIMIT_DEFAULT),
        fields: own_fields.unwrap_or_default(),
        at,
        arms,
    };
    let extras = RankExtras {
        offset: offset.unwrap_or(0),
        cursor,
        group,
        count: count.unwrap_or(true),
        explain: explain.unwrap_or(false),
        faults: Vec::new(),
    };
    (request, extras)
}

/// An anonymous request names neither a session nor a person.
pub(crate) fn refuse_names(has_session: bool, has_shopper: bool, fields: &mut Fields<'_>) {
    let named = [("session_key", has_session), ("customer_key", has_shopper)];
    for (name, _) in named.into_iter().filter(|(_, present)| *present) {
        let why = "anonymous requests carry no session and no person".to_owned();
        fields.complain(name, Fault::Contradiction { why });
    }
}

/// The body that a GET's query stands for: `f.<attr>=v` is a clause, repeated values are
/// alternatives, `f.<attr>.min` and `.max` are bounds, lists are separated by commas.
///
/// # Errors
/// The name of a member that is there twice and cannot be.
pub(crate) fn body_of_query(pairs: &[(String, String)]) -> Result<Value, &str> {
    let mut body = Map::new();
    let mut lists: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    let mut ranges: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for (name, value) in pairs {
        let Some(filter) = name.strip_prefix("f.") else {
            if body.insert(name.clone(), typed(name, value)).is_some() {
                return Err(name);
            }
            continue;
        };
        let Some((attr, bound)) = bound(filter) else {
            lists.entry(filter).or_default().push(json!(value));
            continue;
        };
        let range = ranges.entry(attr).or_default();
        if range.insert(bound.to_owned(), json!(value)).is_some() {
            return Err(name);
        }
    }
    let listed = lists
        .into_iter()
        .map(|(attr, values)| json!({ "attr": attr, "in": values }));
    let ranged = ranges.into_iter().map(|(attr, mut range)| {
        range.insert("attr".to_owned(), json!(attr));
        Value::Object(range)
    });
    let clauses: Vec<Value> = listed.chain(ranged).collect();
    if !clauses.is_empty()
        && body
            .insert("filter".to_owned(), json!({ "all": clauses }))
            .is_some()
    {
        return Err("filter");
    }
    Ok(Value::Object(body))
}

fn bound(filter: &str) -> Option<(&str, &'static str)> {
    let min = filter.strip_suffix(".min").map(|attr| (attr, "min"));
    min.or_else(|| filter.strip_suffix(".max").map(|attr| (attr, "max")))
}

/// Numbers, flags and lists, where the field is one; everything else is text.
fn typed(name: &str, value: &str) -> Value {
    match name {
        "limit" | "offset" | "facet_limit" => value
            .parse::<i64>()
            .map_or_else(|_| json!(value), |number| json!(number)),
        "count" | "explain" => value
            .parse::<bool>()
            .map_or_else(|_| json!(value), |flag| json!(flag)),
        "sort" | "facets" | "fields" | "include" => {
            let parts = value.split(',').filter(|part| !part.is_empty());
            json!(parts.collect::<Vec<_>>())
        }
        _ => json!(value),
    }
}

/// Reads how personal a call is.
pub(crate) fn parse_context(text: &str) -> Result<UserContext, Fault> {
    match text {
        "personalized" => Ok(UserContext::Personalized),
        "unpersonalized" => Ok(UserContext::Unpersonalized),
        "anonymous" => Ok(UserContext::Anonymous),
        "synthetic" => Ok(UserContext::Synthetic),
        _ => {
            let known = ["personalized", "unpersonalized", "anonymous", "synthetic"];
            Err(Fault::unknown_value(text, &known))
        }
    }
}

fn parse_scope(text: &str) -> Result<bool, Fault> {
    match text {
        "activate" => Ok(true),
        "restrict" => Ok(false),
        _ => Err(Fault::unknown_value(text, &["activate", "restrict"])),
    }
}

fn parse_q(text: &str) -> Result<String, Fault> {
    crate::domain::text::bounded(text, Q_CHARS_MAX).map(Into::into)
}

fn parse_group(text: &str) -> Result<GroupBy, Fault> {
    match text {
        "variant" => Ok(GroupBy::Variant),
        "product" => Ok(GroupBy::Product),
        "product_group" => Ok(GroupBy::ProductGroup),
        _ => Err(Fault::unknown_value(
            text,
            &["variant", "product", "product_group"],
        )),
    }
}

fn parse_sort(text: &str) -> Result<WrittenSort, Fault> {
    if text == "relevance" {
        return Ok(WrittenSort::Relevance);
    }
    let (attr, direction) = text
        .rsplit_once(':')
        .ok_or_else(|| Fault::bad_format("relevance, attr:asc or attr:desc", text))?;
    let descending = match direction {
        "asc" => false,
        "desc" => true,
        _ => return Err(Fault::unknown_value(direction, &["asc", "desc"])),
    };
    Ok(WrittenSort::By {
        attr: Attr::parse(attr)?,
        descending,
    })
}

fn parse_include(text: &str) -> Result<(), Fault> {
    if INCLUDES.contains(&text) {
        Ok(())
    } else {
        Err(Fault::unknown_value(text, &INCLUDES))
    }
}

fn read_key(value: &Value) -> Result<String, Fault> {
    crate::domain::text::bounded(scalar::text(value)?, KEY_CHARS_MAX).map(Into::into)
}

fn read_candidates(value: &Value) -> Read<Vec<Vec<String>>> {
    let mut fields = Fields::of(value)?;
    let classes = fields.need_part("classes", |value| {
        read_list(value, CLASSES_MAX, |class| {
            read_list(class, CANDIDATES_MAX, whole(read_key))
        })
    });
    let have: usize = classes.iter().flatten().map(Vec::len).sum();
    if CANDIDATES_MAX < have {
        fields.complain(
            "classes",
            Fault::TooMany {
                have,
                max: CANDIDATES_MAX,
            },
        );
    }
    fields.finish(classes)
}

fn read_filter(value: &Value) -> Read<Vec<WrittenRule>> {
    let mut fields = Fields::of(value)?;
    let clauses = fields.list("all", CLAUSES_MAX, |clause| {
        read_clause(clause, FILTER_VALUES_MAX)
    });
    fields.finish(Some(clauses.unwrap_or_default()))
}

/// Reads arms set by the caller.
pub(crate) fn read_arms(value: &Value) -> Read<ForcedArms> {
    let arm = |text: &str| match text {
        "shown" => Ok(Arm::Shown),
        "withheld" => Ok(Arm::Withheld),
        _ => Err(Fault::unknown_value(text, &["shown", "withheld"])),
    };
    let Value::Object(each) = value else {
        return scalar::parsed(arm)(value)
            .map(ForcedArms::All)
            .map_err(|f| vec![f.at("")]);
    };
    let mut complaints = crate::domain::complaint::Complaints::new();
    let mut arms = Vec::with_capacity(each.len());
    for (id, value) in each {
        let pointer = format!("/{}", crate::domain::complaint::token(id));
        let promotion = complaints.take(pointer.clone(), PromotionId::parse(id));
        let arm = complaints.take(pointer, scalar::parsed(arm)(value));
        arms.extend(promotion.zip(arm));
    }
    arms.sort_unstable();
    complaints.finish(Some(ForcedArms::Each(arms)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn market() -> MarketId {
        MarketId::parse("se").unwrap()
    }

    #[track_caller]
    fn check(body: &Value, expected: &[(&str, &str)]) {
        let (
            _,
            RankExtras {
                faults: complaints, ..
            },
        ) = read(&market(), body);
        let found: Vec<_> = complaints
            .iter()
            .map(|c| (&*c.pointer, c.fault.code()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn bounds_are_kept_to_the_figure() {
        check(&json!({}), &[]);
        check(&json!({ "limit": 600, "offset": 10_000 }), &[]);
        check(&json!({ "limit": 601 }), &[("/limit", "out-of-range")]);
        check(&json!({ "offset": 10_001 }), &[("/offset", "out-of-range")]);
        check(&json!({ "limit": "9" }), &[("/limit", "wrong-type")]);
        check(&json!({ "q": "x".repeat(201) }), &[("/q", "too-long")]);
        check(
            &json!({ "sort": ["a:asc", "b:asc", "c:asc", "d:asc", "e:asc"] }),
            &[("/sort", "too-many")],
        );
        let keys: Vec<String> = (0..5_001).map(|n| n.to_string()).collect();
        check(
            &json!({ "candidates": { "classes": [keys, keys] } }),
            &[("/candidates/classes", "too-many")],
        );
    }

    #[test]
    fn parts_that_exclude_each_other_are_refused() {
        check(
            &json!({ "q": "a", "candidates": { "classes": [] } }),
            &[("/candidates", "contradiction")],
        );
        check(
            &json!({ "user_context": "anonymous", "session_key": "s", "customer_key": "c" }),
            &[
                ("/session_key", "contradiction"),
                ("/customer_key", "contradiction"),
            ],
        );
        check(
            &json!({ "cursor": "c1.x", "offset": 5 }),
            &[("/offset", "contradiction")],
        );
    }

    #[test]
    fn all_complaints_come_at_once() {
        check(
            &json!({
                "selected_categry": "main:x", "group_by": "sku", "sort": ["price"],
                "filter": { "all": [{ "attr": "brand", "in": [{}] }, { "attr": "x" }] },
            }),
            &[
                ("/filter/all/0/in/0", "wrong-type"),
                ("/filter/all/1/in", "contradiction"),
                ("/sort/0", "bad-format"),
                ("/group_by", "unknown-value"),
                ("/selected_categry", "unknown-field"),
            ],
        );
    }

    #[test]
    fn a_get_reads_as_the_equal_post() {
        let query = [
            ("f.brand", "Nord"),
            ("f.brand", "Vela"),
            ("f.price.min", "10"),
            ("f.price.max", "20"),
            ("limit", "5"),
            ("sort", "in_stock:desc,relevance"),
            ("explain", "true"),
        ];
        let pairs: Vec<_> = query.map(|(n, v)| (n.to_owned(), v.to_owned())).into();
        let expected = json!({
            "limit": 5, "sort": ["in_stock:desc", "relevance"], "explain": true,
            "filter": { "all": [
                { "attr": "brand", "in": ["Nord", "Vela"] },
                { "attr": "price", "min": "10", "max": "20" },
            ] },
        });
        assert_eq!(body_of_query(&pairs), Ok(expected.clone()));
        check(&expected, &[]);
    }

    #[test]
    fn a_query_says_one_thing_of_a_field() {
        for (name, again) in [
            ("limit", "limit"),
            ("f.price.min", "f.price.min"),
            ("f.a", "filter"),
        ] {
            let pairs = [name, again].map(|name| (name.to_owned(), "1".to_owned()));
            assert_eq!(body_of_query(&pairs), Err(again));
        }
    }
}
