//! One condition of a request over postings.
//!
//! A clause is asked one unit at a time, or a block of 4,096 ranks or units at a time; both give
//! the same set.

use std::ops::Range;
use std::sync::Arc;

use crate::catalogue::category::Node;
use crate::catalogue::column::{Column, ValueId};
use crate::domain::time::Today;
use crate::domain::value::Value;
use crate::predicate::matcher::Matcher;
use crate::predicate::rule::{Attr, Op, Rule};
use crate::ranking::base::RankBase;
use crate::ranking::posting::{Dense, Forward, Holders, Postings, Values};
use crate::ranking::query::GroupBy;

/// Values of one clause above which its variants are put into a set of their own.
const PARTS_MAX: usize = 64;

/// Values of a range above which the value of each variant is compared instead.
const RANGE_PARTS_MAX: usize = 8;

/// A set made for a request is words from one variant in this many on, else a list.
const OWN_WORDS_FROM_ONE_IN: usize = 64;

/// One condition.
#[derive(Debug)]
pub(super) struct Clause<'a> {
    /// The attribute asked, if it came from the request's filter.
    pub(super) attr: Option<&'a Attr>,
    /// Whether those inside are dropped instead of kept.
    pub(super) negated: bool,
    /// Variants inside, before negation; an upper bound.
    size: usize,
    known: Known,
    pub(super) test: Test<'a>,
}

/// Places of the result if a clause were the only one, where that is known beforehand.
#[derive(Clone, Copy, Debug, Default)]
struct Known {
    variants: Option<u32>,
    products: Option<u32>,
    groups: Option<u32>,
}

/// How a clause is decided.
#[derive(Debug)]
pub(super) enum Test<'a> {
    /// Holds one of these values.
    Any(Vec<Holders<'a>>),
    /// Its only value lies in the range.
    Range {
        forward: &'a Forward,
        values: Range<u32>,
    },
    /// Ascending units, gathered for this request.
    Units(Vec<u32>),
    /// Words, gathered for this request.
    Words(Arc<Dense>),
}

impl<'a> Clause<'a> {
    /// A rule of a request's filter.
    pub(super) fn of_rule(base: &'a RankBase, rule: &'a Rule, today: &Today) -> Self {
        let attr = rule.attr.as_str();
        let mut clause = match (base.postings(attr), base.catalogue().column(attr)) {
            (Some(postings), Some(column)) => {
                let of = Source {
                    base,
                    postings,
                    column,
                };
                of.matching(&rule.matcher, today)
            }
            _ => Self::absent(base, &rule.matcher),
        };
        clause.attr = Some(&rule.attr);
        if rule.op == Op::Exclude {
            clause.negate();
        }
        clause
    }

    /// Those in a category or below it.
    pub(super) fn of_category(base: &'a RankBase, node: Node) -> Self {
        let attr = Attr::CATEGORY;
        match (
            base.postings(attr),
            base.catalogue().column(attr),
            base.value_of_node(node),
        ) {
            (Some(postings), Some(column), Some(value)) => {
                let of = Source {
                    base,
                    postings,
                    column,
                };
                of.range(value..value + 1)
            }
            _ => Self::units(Vec::new()),
        }
    }

    /// Those without any value of an attribute that not all have.
    pub(super) fn missing(present: &'a Dense) -> Self {
        let mut clause = Self::any(vec![Holders::Dense(present)]);
        clause.negate();
        clause
    }

    /// Ascending units.
    pub(super) fn units(units: Vec<u32>) -> Self {
        let size = units.len();
        let variants = u32::try_from(size).ok();
        let known = Known {
            variants,
            ..Known::default()
        };
        Self {
            known,
            ..Self::new(size, Test::Units(units))
        }
    }

    fn new(size: usize, test: Test<'a>) -> Self {
        Self {
            attr: None,
            negated: false,
            size,
            known: Known::default(),
            test,
        }
    }

    /// Those that hold any of some values.
    pub(super) fn any(parts: Vec<Holders<'a>>) -> Self {
        Self::new(parts.iter().map(Holders::len).sum(), Test::Any(parts))
    }

    /// An attribute that the market lacks: every value is missing.
    fn absent(base: &RankBase, matcher: &Matcher) -> Self {
        let mut clause = Self::units(Vec::new());
        if *matcher == Matcher::Exists(false) {
            clause.negate();
            clause.size = base.n();
        }
        clause
    }

    fn negate(&mut self) {
        self.negated = !self.negated;
        self.known = Known::default();
    }

    /// Places of the result if this were the only clause, if that is known.
    pub(super) fn known(&self, group_by: GroupBy) -> Option<u32> {
        match group_by {
            GroupBy::Variant => self.known.variants,
            GroupBy::Product => self.known.products,
            GroupBy::ProductGroup => self.known.groups,
        }
    }

    /// Most variants that can be in the result.
    pub(super) fn size_max(&self, n: usize) -> usize {
        if self.negated { n } else { self.size.min(n) }
    }

    /// Whether the clause is decided variant by variant, not by words, where ranks are walked.
    pub(super) fn is_residue(&self) -> bool {
        matches!(self.test, Test::Range { .. } | Test::Units(_))
    }

    /// Whether a unit meets it.
    pub(super) fn contains(&self, unit: u32) -> bool {
        let inside = match &self.test {
            Test::Any(parts) => parts.iter().any(|part| match part {
                Holders::Dense(dense) => dense.by_unit.contains(unit),
                Holders::List(list) => list.units.binary_search(&unit).is_ok(),
            }),
            Test::Range { forward, values } => values.contains(&forward.by_unit.at(unit)),
            Test::Units(units) => units.binary_search(&unit).is_ok(),
            Test::Words(words) => words.by_unit.contains(unit),
        };
        inside != self.negated
    }
}

/// Where the values of one attribute are looked up.
struct Source<'a> {
    base: &'a RankBase,
    postings: &'a Postings,
    column: &'a Column,
}

impl<'a> Source<'a> {
    fn matching(&self, matcher: &Matcher, today: &Today) -> Clause<'a> {
        let column = self.column;
        match matcher {
            Matcher::In(values) => {
                let found = values.as_slice().iter();
                let found = found.filter_map(|value| column.find(value));
                self.values(&found.map(|id| id.0).collect::<Vec<_>>())
            }
            Matcher::Range { min, max } => self.range(column.range(min.as_ref(), max.as_ref())),
            Matcher::Prefix(prefix) => self.range(column.prefix(prefix)),
            Matcher::AgeDays { .. } => {
                let fits = |value: &Value| matcher.fits(value.as_ref(), today);
                self.range(stretch(column.values(), fits))
            }
            Matcher::Exists(wanted) => self.presence(*wanted),
        }
    }

    /// Those that hold any of the values.
    fn values(&self, ids: &[u32]) -> Clause<'a> {
        match (&self.postings.values, ids) {
            (_, [only]) => self.range(*only..only + 1),
            (Some(values), _) if ids.len() <= PARTS_MAX => {
                let mut clause = Clause::any(ids.iter().map(|id| values.holders(*id)).collect());
                clause.known = self.known(values, ids.iter().copied());
                clause
            }
            _ => self.gathered(ids.iter().copied()),
        }
    }

    /// Those that hold a value of a range.
    fn range(&self, values: Range<u32>) -> Clause<'a> {
        let values = values.start.min(self.postings.n_values)..values.end;
        let values = values.start..values.end.min(self.postings.n_values).max(values.start);
        match (&self.postings.values, &self.postings.forward) {
            (Some(own), _) if values.len() <= RANGE_PARTS_MAX => {
                let parts = values.clone().map(|value| own.holders(value)).collect();
                let mut clause = Clause::any(parts);
                clause.known = self.known(own, values);
                clause
            }
            (Some(own), Some(forward)) => {
                let size = own.n_members(values.clone());
                Clause::new(size, Test::Range { forward, values })
            }
            _ => self.gathered(values),
        }
    }

    /// Values that no variant holds two of never meet; those of a product that is of one mind
    /// neither.
    fn known(&self, values: &Values, ids: impl ExactSizeIterator<Item = u32> + Clone) -> Known {
        let (single, apart) = (ids.len() < 2, !self.postings.multi);
        let n_variants = |id| u32::try_from(values.holders(id).len()).ok();
        let variants = if single || apart {
            ids.clone().map(n_variants).sum()
        } else {
            None
        };
        let of_products = single || apart && self.postings.n_varying == 0;
        let products = ids.clone().map(|id| values.n_owners[id as usize].0);
        let groups = ids.map(|id| values.n_owners[id as usize].1);
        Known {
            variants,
            products: of_products.then(|| products.sum()),
            groups: single.then(|| groups.sum()),
        }
    }

    fn presence(&self, wanted: bool) -> Clause<'a> {
        if let Some(present) = &self.postings.present {
            let mut clause = Clause::any(vec![Holders::Dense(present)]);
            if !wanted {
                clause.negate();
            }
            return clause;
        }
        let mut clause = Clause::units(Vec::new());
        if wanted {
            clause.negate();
            clause.size = self.base.n();
        }
        clause
    }

    /// A set of its own, of those that hold any of the values.
    fn gathered(&self, ids: impl Iterator<Item = u32>) -> Clause<'a> {
        let layout = &self.base.layout;
        let mut units: Vec<u32> = Vec::new();
        for id in ids {
            match self
                .postings
                .values
                .as_ref()
                .map(|values| values.holders(id))
            {
                Some(Holders::Dense(dense)) => units.extend(dense.by_unit.iter()),
                Some(Holders::List(list)) => units.extend(list.units),
                None => self.column.rows(ValueId(id)).for_each(|row| {
                    units.extend(layout.unit_of_row(row));
                }),
            }
        }
        if units.len() * OWN_WORDS_FROM_ONE_IN < layout.n() {
            units.sort_unstable();
            units.dedup();
            return Clause::units(units);
        }
        let words = Dense::of(layout, units);
        let size = words.by_unit.count() as usize;
        Clause::new(size, Test::Words(Arc::new(words)))
    }
}

/// The one stretch of ascending values that fit.
fn stretch(values: &[Value], fits: impl Fn(&Value) -> bool) -> Range<u32> {
    let place = |at: usize| u32::try_from(at).expect("fewer values than memberships");
    let from = values.iter().position(&fits).unwrap_or(values.len());
    let rest = values[from..].iter();
    let len = rest.take_while(|value| fits(value)).count();
    place(from)..place(from + len)
}
