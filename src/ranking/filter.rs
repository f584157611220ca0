//! Clauses of a request over postings.
//!
//! A clause is asked in three ways, and all give the same set: one rank at a time, a block of 4,096
//! ranks at a time, or, if it is short, as an ascending list. Blocks come in rank order for the
//! lazy merge, and in product-major order for counting products.

use std::borrow::Cow;
use std::ops::Range;

use crate::domain::time::Today;
use crate::domain::value::Value;
use crate::predicate::matcher::Matcher;
use crate::predicate::rule::{Attr, Op, Rule};
use crate::ranking::base::RankBase;
use crate::ranking::posting::{Dense, Forward, Holders, Postings};
use crate::ranking::words::{
    BLOCK_RANKS, BLOCK_WORDS, Block, and_into, and_not_into, full_block, or_into,
};

/// Values of one clause above which its ranks are put into words of their own.
const VALUES_MERGED_MAX: usize = 64;

/// Everything a rank must meet to be in the result.
pub(super) struct Filter<'a> {
    base: &'a RankBase,
    pub(super) clauses: Vec<Clause<'a>>,
}

/// One condition.
pub(super) struct Clause<'a> {
    /// The attribute asked, if it came from the request's filter.
    pub(super) attr: Option<&'a Attr>,
    /// Whether variants of one product may differ in it.
    pub(super) varies: bool,
    /// Products and groups of the result if this were the only clause, where they are known.
    pub(super) n_holders: Option<(u32, u32)>,
    negated: bool,
    /// Ranks inside, before negation; an upper bound.
    size: usize,
    test: Test<'a>,
}

enum Test<'a> {
    /// In one of these.
    Any {
        dense: Vec<&'a Dense>,
        lists: Vec<&'a [u32]>,
    },
    /// Ascending ranks.
    List(Cow<'a, [u32]>),
    /// The rank's only value lies in the range.
    Range {
        forward: &'a Forward,
        values: Range<u32>,
    },
    /// Words made for this request.
    Own(Dense),
}

/// A filter asked in product-major order: its short lists are looked up once.
pub(super) struct UnitFilter<'f, 'a> {
    filter: &'f Filter<'a>,
    /// Per clause, the units of its short lists, ascending.
    lists: Vec<Vec<u32>>,
}

impl UnitFilter<'_, '_> {
    /// The units of a block that meet every clause but those on `but`.
    pub(super) fn block(&self, block: usize, but: Option<&Attr>) -> Block {
        let mut words = full_block(block, self.filter.base.n());
        for (clause, units) in self.filter.clauses.iter().zip(&self.lists) {
            if but.is_none() || clause.attr != but {
                clause.keep_units(units, block, &mut words);
            }
        }
        words
    }
}

impl<'a> Filter<'a> {
    /// The clauses of a request's filter.
    pub(super) fn new(base: &'a RankBase, rules: &'a [Rule], today: &Today) -> Self {
        let clauses = rules
            .iter()
            .map(|rule| Clause::of_rule(base, rule, today))
            .collect();
        Self { base, clauses }
    }

    /// Adds a condition on a value that a posting holds; `None` for a value nobody has.
    pub(super) fn restrict_to_value(&mut self, attr: &str, value: &Value) {
        let column = self.base.catalogue().column(attr);
        let found = column.and_then(|column| column.find(value));
        let postings = self.base.postings(attr);
        let clause = match found.zip(postings) {
            Some((id, postings)) => Clause::of_values(self.base, postings, id.0..id.0 + 1),
            None => Clause::of_list(Cow::Borrowed(&[])),
        };
        self.clauses.push(clause);
    }

    /// Adds a condition on ascending ranks.
    pub(super) fn restrict_to_list(&mut self, ranks: Cow<'a, [u32]>) {
        let clause = if self.base.n() <= ranks.len() * 64 {
            let size = ranks.len();
            let own = self.base.units.dense(ranks.iter().copied());
            Clause {
                size,
                test: Test::Own(own),
                ..Clause::of_list(Cow::Borrowed(&[]))
            }
        } else {
            Clause::of_list(ranks)
        };
        self.clauses.push(clause);
    }

    /// Whether nothing is asked.
    pub(super) fn is_everything(&self) -> bool {
        self.clauses.is_empty()
    }

    /// Whether a rank meets every clause.
    pub(super) fn contains(&self, rank: u32) -> bool {
        self.clauses.iter().all(|clause| clause.contains(rank))
    }

    /// Whether a rank meets every clause but those on `attr`.
    pub(super) fn contains_but(&self, rank: u32, attr: &Attr) -> bool {
        let mut asked = self
            .clauses
            .iter()
            .filter(|clause| clause.attr != Some(attr));
        asked.all(|clause| clause.contains(rank))
    }

    /// The ranks of a block that meet every clause but those on `but`.
    pub(super) fn block(&self, block: usize, but: Option<&Attr>) -> Block {
        let mut words = full_block(block, self.base.n());
        for clause in &self.clauses {
            if but.is_none() || clause.attr != but {
                clause.keep_ranks(block, &mut words);
            }
        }
        words
    }

    /// The same filter for product-major order.
    pub(super) fn by_unit(&self) -> UnitFilter<'_, 'a> {
        let units = |clause: &Clause<'_>| {
            let mut units: Vec<u32> = clause
                .listed()
                .map(|rank| self.base.units.unit_of(rank))
                .collect();
            units.sort_unstable();
            units
        };
        UnitFilter {
            filter: self,
            lists: self.clauses.iter().map(units).collect(),
        }
    }

    /// The shortest list that holds every rank of the result, if there is one.
    pub(super) fn shortest_list(&self, but: Option<&Attr>) -> Option<Cow<'_, [u32]>> {
        let asked = self
            .clauses
            .iter()
            .filter(|clause| but.is_none() || clause.attr != but);
        let shortest = asked
            .filter(|clause| clause.is_short())
            .min_by_key(|clause| clause.size)?;
        shortest.list()
    }

    /// Ranks expected in the result, were the clauses independent of each other.
    pub(super) fn estimate(&self) -> usize {
        let n = self.base.n();
        let share = |left: usize, clause: &Clause<'_>| left * clause.expected(n) / n.max(1);
        self.clauses.iter().fold(n, share)
    }
}

impl<'a> Clause<'a> {
    fn of_rule(base: &'a RankBase, rule: &'a Rule, today: &Today) -> Self {
        let attr = rule.attr.as_str();
        let mut clause = match (base.postings(attr), base.catalogue().column(attr)) {
            (Some(postings), Some(column)) => match &rule.matcher {
                Matcher::In(values) => {
                    let found = values
                        .as_slice()
                        .iter()
                        .filter_map(|value| column.find(value));
                    let ids: Vec<u32> = found.map(|id| id.0).collect();
                    Self::of_ids(base, postings, &ids)
                }
                Matcher::Range { min, max } => {
                    let values = column.range(min.as_ref(), max.as_ref());
                    Self::of_values(base, postings, values)
                }
                Matcher::Prefix(prefix) => Self::of_values(base, postings, column.prefix(prefix)),
                Matcher::AgeDays { .. } => {
                    let fits = |value: &Value| rule.matcher.fits(value.as_ref(), today);
                    Self::of_values(base, postings, stretch(column.values(), fits))
                }
                Matcher::Exists(wanted) => Self::of_presence(base, postings, *wanted),
            },
            _ => Self::of_absent(base, &rule.matcher),
        };
        clause.attr = Some(&rule.attr);
        if rule.op == Op::Exclude {
            clause.negated = !clause.negated;
            clause.n_holders = None;
        }
        clause
    }

    /// Ranks that hold any of the values.
    fn of_ids(base: &'a RankBase, postings: &'a Postings, ids: &[u32]) -> Self {
        match *ids {
            [only] => Self::of_values(base, postings, only..only + 1),
            _ if ids.len() <= VALUES_MERGED_MAX => {
                Self::of_holders(postings, ids.iter().map(|id| postings.holders(*id)))
            }
            _ => {
                let lists = ids.iter().map(|id| postings.list(*id));
                Self::of_members(base, postings, lists)
            }
        }
    }

    /// Ranks that hold any value of a range.
    fn of_values(base: &'a RankBase, postings: &'a Postings, values: Range<u32>) -> Self {
        let known = 0..postings.n_values();
        let values = values.start.min(known.end)..values.end.min(known.end);
        let n_values = values.len();
        if n_values == 1 {
            let mut clause = Self::of_holders(postings, [postings.holders(values.start)]);
            clause.n_holders = Some(postings.n_holders[values.start as usize]);
            return clause;
        }
        if n_values <= VALUES_MERGED_MAX.min(8) {
            return Self::of_holders(postings, values.map(|value| postings.holders(value)));
        }
        let size = postings.lists(values.clone()).len();
        match &postings.forward {
            Some(forward) if base.n() < size * 256 => Self {
                attr: None,
                varies: postings.varies,
                n_holders: None,
                negated: false,
                size,
                test: Test::Range { forward, values },
            },
            _ => Self::of_members(base, postings, [postings.lists(values)]),
        }
    }

    fn of_presence(base: &RankBase, postings: &'a Postings, wanted: bool) -> Self {
        let test = Test::Any {
            dense: vec![&postings.present],
            lists: Vec::new(),
        };
        let size = postings.present.by_rank.count() as usize;
        let varies = postings.varies || size < base.n();
        Self {
            attr: None,
            varies,
            n_holders: None,
            negated: !wanted,
            size,
            test,
        }
    }

    /// An attribute that the market lacks: every value is missing.
    fn of_absent(base: &RankBase, matcher: &Matcher) -> Self {
        let mut clause = Self::of_list(Cow::Borrowed(&[]));
        clause.negated = *matcher == Matcher::Exists(false);
        clause.varies = base.n() == 0;
        clause
    }

    fn of_holders(postings: &Postings, holders: impl IntoIterator<Item = Holders<'a>>) -> Self {
        let (mut dense, mut lists, mut size) = (Vec::new(), Vec::new(), 0);
        for holder in holders {
            match holder {
                Holders::Dense(words) => {
                    size += words.by_rank.count() as usize;
                    dense.push(words);
                }
                Holders::List(list) => {
                    size += list.len();
                    lists.push(list);
                }
            }
        }
        let varies = postings.varies;
        let test = match (&dense[..], &lists[..]) {
            ([], [only]) => Test::List(Cow::Borrowed(only)),
            ([], []) => Test::List(Cow::Borrowed(&[])),
            ([], _) => Test::List(Cow::Owned(merged(&lists))),
            _ => Test::Any { dense, lists },
        };
        Self {
            attr: None,
            varies,
            n_holders: None,
            negated: false,
            size,
            test,
        }
    }

    /// Words or a list made of many values' ranks.
    fn of_members<'l>(
        base: &RankBase,
        postings: &Postings,
        lists: impl IntoIterator<Item = &'l [u32]>,
    ) -> Self {
        let lists: Vec<&[u32]> = lists.into_iter().collect();
        let size: usize = lists.iter().map(|list| list.len()).sum();
        let test = if size * 64 < base.n() {
            Test::List(Cow::Owned(merged(&lists)))
        } else {
            Test::Own(
                base.units
                    .dense(lists.iter().flat_map(|list| list.iter().copied())),
            )
        };
        Self {
            attr: None,
            varies: postings.varies,
            n_holders: None,
            negated: false,
            size,
            test,
        }
    }

    fn of_list(ranks: Cow<'a, [u32]>) -> Self {
        let size = ranks.len();
        let test = Test::List(ranks);
        Self {
            attr: None,
            varies: true,
            n_holders: None,
            negated: false,
            size,
            test,
        }
    }

    fn contains(&self, rank: u32) -> bool {
        let inside = match &self.test {
            Test::Any { dense, lists } => {
                dense.iter().any(|words| words.by_rank.contains(rank))
                    || lists.iter().any(|list| list.binary_search(&rank).is_ok())
            }
            Test::List(list) => list.binary_search(&rank).is_ok(),
            Test::Range { forward, values } => values.contains(&forward.by_rank[rank as usize]),
            Test::Own(words) => words.by_rank.contains(rank),
        };
        inside != self.negated
    }

    /// Keeps of a block of ranks what meets the clause.
    fn keep_ranks(&self, block: usize, words: &mut Block) {
        match &self.test {
            Test::Any { dense, lists } => {
                if let ([only], []) = (&dense[..], &lists[..]) {
                    apply(words, only.by_rank.block(block), self.negated);
                    return;
                }
                let mut any = [0; BLOCK_WORDS];
                for own in dense {
                    or_into(&mut any, own.by_rank.block(block));
                }
                for list in lists {
                    set_listed(list, block, &mut any);
                }
                apply(words, &any, self.negated);
            }
            Test::List(list) => {
                let mut any = [0; BLOCK_WORDS];
                set_listed(list, block, &mut any);
                apply(words, &any, self.negated);
            }
            Test::Range { forward, values } => {
                apply(
                    words,
                    &range_block(&forward.by_rank, values, block),
                    self.negated,
                );
            }
            Test::Own(own) => apply(words, own.by_rank.block(block), self.negated),
        }
    }

    /// Keeps of a block of units what meets the clause; `units` are those of its short lists.
    fn keep_units(&self, units: &[u32], block: usize, words: &mut Block) {
        match &self.test {
            Test::Any { dense, .. } => {
                let mut any = [0; BLOCK_WORDS];
                for own in dense {
                    or_into(&mut any, own.by_unit.block(block));
                }
                set_listed(units, block, &mut any);
                apply(words, &any, self.negated);
            }
            Test::List(_) => {
                let mut any = [0; BLOCK_WORDS];
                set_listed(units, block, &mut any);
                apply(words, &any, self.negated);
            }
            Test::Range { forward, values } => {
                apply(
                    words,
                    &range_block(&forward.by_unit, values, block),
                    self.negated,
                );
            }
            Test::Own(own) => apply(words, own.by_unit.block(block), self.negated),
        }
    }

    /// Ranks of its short lists, in no order.
    fn listed(&self) -> impl Iterator<Item = u32> + '_ {
        let (list, lists) = match &self.test {
            Test::List(list) => (&list[..], &[][..]),
            Test::Any { lists, .. } => (&[][..], &lists[..]),
            Test::Range { .. } | Test::Own(_) => (&[][..], &[][..]),
        };
        let lists: &[&[u32]] = lists;
        list.iter().chain(lists.iter().copied().flatten()).copied()
    }

    /// Whether every rank of the result is in a short list of its own.
    fn is_short(&self) -> bool {
        !self.negated && matches!(self.test, Test::List(_))
    }

    fn list(&self) -> Option<Cow<'_, [u32]>> {
        match &self.test {
            Test::List(list) => Some(Cow::Borrowed(list)),
            _ => None,
        }
    }

    fn expected(&self, n: usize) -> usize {
        let inside = self.size.min(n);
        if self.negated { n - inside } else { inside }
    }
}

fn apply(words: &mut Block, own: &[u64], negated: bool) {
    if negated {
        and_not_into(words, own);
    } else {
        and_into(words, own);
    }
}

/// Sets the members of an ascending list that lie in a block.
fn set_listed(list: &[u32], block: usize, any: &mut Block) {
    let first = u32::try_from(block * BLOCK_RANKS).expect("a market has less than 2^32 variants");
    let last = first.saturating_add(u32::try_from(BLOCK_RANKS).expect("4,096") - 1);
    let from = list.partition_point(|member| *member < first);
    for member in list[from..].iter().take_while(|member| **member <= last) {
        any[(member - first) as usize / 64] |= 1 << (member % 64);
    }
}

/// Which of a block's values lie in a range; a loop that compiles to vector comparisons.
fn range_block(column: &[u32], values: &Range<u32>, block: usize) -> Block {
    let mut words = [0; BLOCK_WORDS];
    let from = block * BLOCK_RANKS;
    let own = &column[from.min(column.len())..column.len().min(from + BLOCK_RANKS)];
    let span = values.end - values.start;
    for (word, part) in words.iter_mut().zip(own.chunks(64)) {
        let mut bits = 0_u64;
        for (bit, value) in part.iter().enumerate() {
            bits |= u64::from(value.wrapping_sub(values.start) < span) << bit;
        }
        *word = bits;
    }
    words
}

/// Members of several ascending lists, ascending, each once.
fn merged(lists: &[&[u32]]) -> Vec<u32> {
    let mut all: Vec<u32> = lists.iter().flat_map(|list| list.iter().copied()).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The one stretch of ascending values that fit.
fn stretch(values: &[Value], fits: impl Fn(&Value) -> bool) -> Range<u32> {
    let place = |at: usize| u32::try_from(at).expect("fewer values than memberships");
    let from = values.iter().position(&fits).unwrap_or(values.len());
    let len = values[from..]
        .iter()
        .take_while(|value| fits(value))
        .count();
    place(from)..place(from + len)
}
