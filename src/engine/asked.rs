//! A rank request in terms of one catalogue: every name looked up, all complaints at once.

use std::sync::Arc;

use crate::catalogue::Catalogue;
use crate::catalogue::column::Column;
use crate::catalogue::row::{Row, RowSet};
use crate::catalogue::text::match_classes;
use crate::domain::complaint::{Complaints, Fault};
use crate::domain::time::{Timestamp, Today};
use crate::domain::value::ValueType;
use crate::engine::error::EngineError;
use crate::engine::rank::{RankExtras, RankRequest, RankWarning, WrittenSort, warning};
use crate::predicate::rule::{Attr, Rule};
use crate::predicate::written::WrittenRule;
use crate::ranking::query::{FacetQuery, Query, SortKey};

/// The request in terms of the catalogue, all complaints at once; and the key of each list of the
/// panel's own hits.
pub(in crate::engine) fn read_query(
    request: &RankRequest,
    extras: &RankExtras,
    catalogue: &Arc<Catalogue>,
    at: Timestamp,
    warnings: &mut Vec<RankWarning>,
) -> Result<(Query, Vec<String>), EngineError> {
    let mut complaints = Complaints::after(extras.faults.clone());
    let filter = read_filter(&request.filter, catalogue, &mut complaints);
    let sort = read_sort(&request.sort, catalogue, &mut complaints);
    for (list, attrs) in [("facets", &request.facets), ("fields", &request.fields)] {
        for (place, attr) in attrs.iter().enumerate() {
            let pointer = || format!("/{list}/{place}");
            known_attr(attr, catalogue, &pointer, &mut complaints);
        }
    }
    let complaints = complaints.into_vec();
    if !complaints.is_empty() {
        return Err(EngineError::Invalid(complaints));
    }
    let facet = |attr: &Attr| FacetQuery {
        attr: attr.clone(),
        limit: request.facet_limit,
    };
    let facets = request.facets.iter().map(facet).collect();
    let node = request
        .category
        .as_ref()
        .map(|id| catalogue.graph().find(id.as_str()));
    remark(request, catalogue, warnings);
    let (classes, unknown) = classes(request, catalogue);
    let (primary, known_primary, skipped) = primary(&request.primary, catalogue);
    if 0 < unknown {
        warnings.push(warning(
            "unknown-candidates",
            format!("{unknown} keys are not known"),
        ));
    }
    for key in skipped {
        warnings.push(warning("primary-skipped", key));
    }
    let query = Query {
        category: if request.activate_only { None } else { node },
        filter,
        classes,
        primary,
        sort,
        group_by: request.group_by,
        limit: request.limit,
        offset: extras.offset,
        from: None,
        facets,
        today: Today::at(at, &catalogue.locale().zone),
    };
    Ok((query, known_primary))
}

/// What is odd about a request that can be answered all the same.
fn remark(request: &RankRequest, catalogue: &Catalogue, warnings: &mut Vec<RankWarning>) {
    if request.session.is_none() {
        let why = "measured promotions are shown, no arm is counted";
        warnings.push(warning("no-session", why.to_owned()));
    }
    if !request.sort.is_empty() && !request.sort.contains(&WrittenSort::Relevance) {
        let why = "promotions do nothing in this order";
        warnings.push(warning("sort-without-relevance", why.to_owned()));
    }
    let category = request.category.as_ref();
    if let Some(id) = category.filter(|id| catalogue.graph().find(id.as_str()).is_none()) {
        warnings.push(warning("unknown-category", id.to_string()));
    }
}

fn read_filter(
    clauses: &[WrittenRule],
    catalogue: &Catalogue,
    complaints: &mut Complaints,
) -> Vec<Rule> {
    let mut rules = Vec::with_capacity(clauses.len());
    for (place, clause) in clauses.iter().enumerate() {
        let pointer = format!("/filter/all/{place}");
        let at_attr = || format!("{pointer}/attr");
        if let Some(kind) = known_attr(&clause.attr, catalogue, &at_attr, complaints) {
            rules.extend(complaints.take_all(&pointer, clause.read(kind, catalogue.locale())));
        }
    }
    rules
}

fn read_sort(
    keys: &[WrittenSort],
    catalogue: &Catalogue,
    complaints: &mut Complaints,
) -> Vec<SortKey> {
    let mut sort = Vec::with_capacity(keys.len());
    for (place, key) in keys.iter().enumerate() {
        match key {
            WrittenSort::Relevance => sort.push(SortKey::Relevance),
            WrittenSort::By { attr, descending } => {
                let pointer = || format!("/sort/{place}");
                if known_attr(attr, catalogue, &pointer, complaints).is_none() {
                    continue;
                }
                if catalogue.column(attr.as_str()).is_some_and(Column::multi) {
                    let fault = Fault::WrongOperator {
                        matcher: "sort",
                        attribute_type: "multi-valued",
                    };
                    complaints.add(pointer(), fault);
                    continue;
                }
                sort.push(SortKey::By {
                    attr: attr.clone(),
                    descending: *descending,
                });
            }
        }
    }
    sort
}

/// Type of an attribute that the market has; a complaint otherwise.
fn known_attr(
    attr: &Attr,
    catalogue: &Catalogue,
    pointer: &dyn Fn() -> String,
    complaints: &mut Complaints,
) -> Option<ValueType> {
    if let Some(column) = catalogue.column(attr.as_str()) {
        return Some(column.kind());
    }
    if let Some(kind) = catalogue.schema().kind(attr.as_str()) {
        return Some(kind);
    }
    let did_you_mean = catalogue.schema().nearest(attr.as_str());
    complaints.add(
        pointer(),
        Fault::UnknownAttribute {
            name: attr.to_string(),
            did_you_mean,
        },
    );
    None
}

/// Match classes from the text query or the caller's engine, and how many keys are unknown.
/// A key counts in the best class that names it.
fn classes(request: &RankRequest, catalogue: &Catalogue) -> (Option<Vec<RowSet>>, usize) {
    if let Some(q) = &request.q {
        return (Some(match_classes(catalogue, q)), 0);
    }
    let Some(lists) = &request.candidates else {
        return (None, 0);
    };
    let mut seen = RowSet::new();
    let mut unknown = 0;
    let mut classes = Vec::with_capacity(lists.len());
    for list in lists {
        let mut class = RowSet::new();
        for key in list {
            let rows = rows_of(key, catalogue);
            unknown += usize::from(rows.is_empty());
            class.extend(rows.iter().copied().filter(|row| !seen.contains(*row)));
        }
        seen.unite(&class);
        classes.push(class);
    }
    (Some(classes), unknown)
}

/// The panel's own hits as lists of rows in their order with the key of each, and the keys nothing
/// is known of.
fn primary(keys: &[String], catalogue: &Catalogue) -> (Vec<Vec<Row>>, Vec<String>, Vec<String>) {
    let (mut lists, mut known, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for key in keys {
        match rows_of(key, catalogue) {
            [] => unknown.push(key.clone()),
            rows => {
                lists.push(rows.to_vec());
                known.push(key.clone());
            }
        }
    }
    (lists, known, unknown)
}

/// A variant key's row, or all rows of a product key.
fn rows_of<'c>(key: &str, catalogue: &'c Catalogue) -> &'c [Row] {
    let key = crate::domain::text::normal(key);
    if let Some(row) = catalogue.find_variant(&key) {
        let product = catalogue.rows_of_product(catalogue.product_of(row));
        return match product.iter().position(|own| *own == row) {
            Some(place) => &product[place..=place],
            None => &[],
        };
    }
    catalogue
        .find_product(&key)
        .map_or(&[], |product| catalogue.rows_of_product(product))
}
