//! A selection read against one market's schema and columns, ready to be asked.

use std::borrow::Cow;
use std::ops::Range;

use crate::catalogue::Catalogue;
use crate::catalogue::column::{Column, Rows, ValueId};
use crate::catalogue::row::{ProductNo, Row, RowSet};
use crate::domain::complaint::{Complaint, Fault};
use crate::domain::id::{CrossKey, ProductKey};
use crate::domain::time::Today;
use crate::domain::value::Value;
use crate::predicate::matcher::{Matcher, ValueSet};
use crate::predicate::rule::{Op, Rule, RuleSet};
use crate::predicate::written::WrittenRule;
use crate::selection::definition::Selection;

/// A selection bound to one [`Catalogue`] value and one local day.
///
/// Matchers have become value ids, so a question costs a look at the row's ids per rule. Another
/// value of the catalogue numbers its values anew and needs compiling again: one binary search a
/// written value.
#[derive(Debug)]
pub struct CompiledSelection<'c> {
    pub(super) catalogue: &'c Catalogue,
    pub(super) rule_sets: Vec<Vec<CompiledRule<'c>>>,
    /// Ascending.
    pub(super) blocked: Vec<ProductNo>,
    /// By key and by cross-market key, ascending.
    pub(super) handpicked: Vec<ProductNo>,
}

/// One rule as a test of value ids.
#[derive(Debug)]
pub(super) struct CompiledRule<'c> {
    /// Whether rows that pass the test are kept or dropped.
    keeps: bool,
    /// `None` if no variant has the attribute.
    column: Option<&'c Column>,
    test: Test,
    /// About how many rows pass the test.
    pub(super) n_rows_about: u32,
    /// About what it costs to gather the rows that pass, in steps of a row.
    gathering_cost: u64,
}

/// Which value ids pass; one of a row's ids is enough.
#[derive(Debug)]
enum Test {
    /// Any.
    Present,
    /// These, ascending.
    Ids(Vec<ValueId>),
    /// Those in between.
    Span(Range<u32>),
}

/// What it costs to look one row's ids up, against one step of gathering.
const LOOK_UP_COST: u64 = 4;

impl<'c> CompiledSelection<'c> {
    /// Reads every rule and key against the catalogue.
    pub fn new(selection: &Selection, catalogue: &'c Catalogue, today: &Today) -> Self {
        let compile_set = |rules: &Vec<WrittenRule>| {
            let read = rules.iter().map(|rule| readable(rule, catalogue));
            read.map(|rule| CompiledRule::new(&rule, catalogue, today))
                .collect()
        };
        let mut handpicked = find_products(selection.handpicked(), catalogue);
        for key in selection.handpicked_cross_market() {
            handpicked.extend(products_of_cross_key(key, catalogue));
        }
        Self {
            catalogue,
            rule_sets: selection.rule_sets().iter().map(compile_set).collect(),
            blocked: ascending(find_products(selection.blocked(), catalogue)),
            handpicked: ascending(handpicked),
        }
    }

    /// Whether the promotion holds `row`, which is not vacant.
    ///
    /// Ask it for all rows of a product of which a variant changed: a cross-market key at one
    /// variant picks its siblings too.
    pub fn fits(&self, row: Row) -> bool {
        debug_assert!(
            self.catalogue.live().contains(row),
            "row {} is vacant",
            row.0
        );
        // Most selections pick and block nothing by hand, and then no product need be looked up.
        let is_among = |products: &[ProductNo]| {
            !products.is_empty()
                && products
                    .binary_search(&self.catalogue.product_of(row))
                    .is_ok()
        };
        is_among(&self.handpicked)
            || self.rule_sets.iter().any(|rules| fits_all(rules, row)) && !is_among(&self.blocked)
    }
}

/// Whether a row passes every rule; no rules select nothing.
fn fits_all(rules: &[CompiledRule<'_>], row: Row) -> bool {
    !rules.is_empty() && rules.iter().all(|rule| rule.keeps_row(row))
}

/// Reads a rule against the market's schema.
///
/// # Errors
/// `unknown-attribute` at `/attr`, or what [`WrittenRule::read`] finds.
pub fn read_rule(rule: &WrittenRule, catalogue: &Catalogue) -> Result<Rule, Vec<Complaint>> {
    let schema = catalogue.schema();
    let Some(kind) = schema.kind(rule.attr.as_str()) else {
        let fault = Fault::UnknownAttribute {
            name: rule.attr.to_string(),
            did_you_mean: schema.nearest(rule.attr.as_str()),
        };
        return Err(vec![fault.at("/attr")]);
    };
    rule.read(kind, catalogue.locale())
}

/// The rule as read; one that cannot be read here matches nothing, whatever it would do.
pub(super) fn readable(rule: &WrittenRule, catalogue: &Catalogue) -> Rule {
    read_rule(rule, catalogue).unwrap_or_else(|_| Rule {
        op: rule.op,
        attr: rule.attr.clone(),
        matcher: Matcher::In(ValueSet::new(Vec::new())),
    })
}

/// A rule set as read, for asking one thing at a time.
pub(super) fn readable_set(rules: &[WrittenRule], catalogue: &Catalogue) -> RuleSet {
    let read = rules.iter().map(|rule| readable(rule, catalogue));
    RuleSet(read.collect())
}

/// Products of which a variant has the key as value of the market's cross-market attribute;
/// ascending, none if the market has no such attribute.
pub(super) fn products_of_cross_key(key: &CrossKey, catalogue: &Catalogue) -> Vec<ProductNo> {
    let attr = catalogue.market().cross_market_attribute.as_ref();
    let Some(column) = attr.and_then(|attr| catalogue.column(attr.as_str())) else {
        return Vec::new();
    };
    let value = Value::parse(column.kind(), key.as_str(), catalogue.locale()).ok();
    let Some(id) = value.and_then(|value| column.find(&value)) else {
        return Vec::new();
    };
    let mut products = Vec::new();
    column
        .rows(id)
        .for_each(|row| products.push(catalogue.product_of(row)));
    ascending(products)
}

/// The products that the market has of those named.
fn find_products(keys: &[ProductKey], catalogue: &Catalogue) -> Vec<ProductNo> {
    let found = keys
        .iter()
        .filter_map(|key| catalogue.find_product(key.as_str()));
    found
        .filter(|&product| !catalogue.rows_of_product(product).is_empty())
        .collect()
}

fn ascending(mut products: Vec<ProductNo>) -> Vec<ProductNo> {
    products.sort_unstable();
    products.dedup();
    products
}

impl<'c> CompiledRule<'c> {
    fn new(rule: &Rule, catalogue: &'c Catalogue, today: &Today) -> Self {
        let is_include = rule.op == Op::Include;
        let column = catalogue.column(rule.attr.as_str());
        let test = column.map_or(Test::Ids(Vec::new()), |column| {
            Test::new(&rule.matcher, column, today)
        });
        let (n_rows_about, gathering_cost) = match column {
            None => (0, 0),
            Some(column) => test.costs(column),
        };
        Self {
            // What has no value is what `exists: true` does not keep.
            keeps: is_include != (rule.matcher == Matcher::Exists(false)),
            column,
            test,
            n_rows_about,
            gathering_cost,
        }
    }

    /// Whether the row stays.
    pub(super) fn keeps_row(&self, row: Row) -> bool {
        let held = self.column.map_or(&[][..], |column| column.of(row));
        let passes = match &self.test {
            Test::Present => !held.is_empty(),
            Test::Ids(ids) => held.iter().any(|id| ids.binary_search(id).is_ok()),
            Test::Span(span) => held.iter().any(|id| span.contains(&id.0)),
        };
        passes == self.keeps
    }

    /// Whether it keeps what passes its test, so that it can begin a set.
    pub(super) fn can_begin(&self) -> bool {
        self.keeps
    }

    /// The rows that pass the test.
    pub(super) fn rows(&self) -> Cow<'c, RowSet> {
        let Some(column) = self.column else {
            return Cow::Owned(RowSet::new());
        };
        match &self.test {
            Test::Present => Cow::Borrowed(column.present()),
            Test::Ids(ids) => match ids[..] {
                [id] => column.rows_with(id),
                _ => Cow::Owned(gather(column, ids)),
            },
            Test::Span(span) => Cow::Owned(column.rows_in(span.clone())),
        }
    }

    /// Drops the rows that do not stay: one look-up a row, or by set if that is cheaper.
    pub(super) fn narrow(&self, rows: &mut RowSet) {
        if u64::from(rows.len()) * LOOK_UP_COST < self.gathering_cost {
            *rows = RowSet::from_ascending(rows.iter().filter(|&row| self.keeps_row(row)));
        } else if self.keeps {
            rows.intersect(&self.rows());
        } else {
            rows.subtract(&self.rows());
        }
    }
}

impl Test {
    fn new(matcher: &Matcher, column: &Column, today: &Today) -> Self {
        match matcher {
            Matcher::Exists(_) => Self::Present,
            Matcher::In(values) => {
                let ids = values.as_slice().iter();
                Self::Ids(ids.filter_map(|value| column.find(value)).collect())
            }
            Matcher::Range { min, max } => Self::Span(column.range(min.as_ref(), max.as_ref())),
            Matcher::Prefix(prefix) => Self::Span(column.prefix(prefix)),
            Matcher::AgeDays { min, max } => Self::Span(span_of_ages(column, *min, *max, today)),
        }
    }

    /// About how many rows pass, and what gathering them costs.
    fn costs(&self, column: &Column) -> (u32, u64) {
        let n_present = column.present().len();
        match self {
            Self::Present => (n_present, u64::from(n_present / 64)),
            Self::Ids(ids) => {
                let mut n_rows = 0_u32;
                let mut cost = 0;
                for &id in ids {
                    let rows = column.rows(id);
                    n_rows = n_rows.saturating_add(rows.len());
                    cost += match rows {
                        Rows::Set(_) => u64::from(rows.len() / 64),
                        Rows::List(_) => u64::from(rows.len()) * 2,
                    };
                }
                (n_rows, cost)
            }
            Self::Span(span) => {
                let n_values = u64::try_from(column.values().len())
                    .unwrap_or(u64::MAX)
                    .max(1);
                let share = u64::from(n_present) * span.len() as u64 / n_values;
                let n_rows = u32::try_from(share).unwrap_or(u32::MAX);
                (n_rows, (share * 8).min(u64::from(n_present) * 2))
            }
        }
    }
}

/// Ids of the times that are from `min` to `max` whole days old; ages fall as times rise.
fn span_of_ages(column: &Column, min: i32, max: Option<i32>, today: &Today) -> Range<u32> {
    let age = |value: &Value| match value {
        Value::Time(time) => today.age_days(*time),
        _ => i32::MIN,
    };
    let values = column.values();
    let is_older = |value: &Value| max.is_some_and(|max| max < age(value));
    let first = values.partition_point(is_older);
    let end = values.partition_point(|value| min <= age(value));
    let ordinal = |idx: usize| u32::try_from(idx).expect("value ids are 32 bits");
    ordinal(first)..ordinal(end.max(first))
}

/// The rows of several values: frequent ones united, the others sorted once.
fn gather(column: &Column, ids: &[ValueId]) -> RowSet {
    let mut rare: Vec<Row> = Vec::new();
    let mut frequent = Vec::new();
    for &id in ids {
        match column.rows(id) {
            Rows::Set(set) => frequent.push(set),
            Rows::List(list) => rare.extend(list),
        }
    }
    rare.sort_unstable();
    rare.dedup();
    let mut rows = RowSet::from_ascending(rare);
    for set in frequent {
        rows.unite(set);
    }
    rows
}
