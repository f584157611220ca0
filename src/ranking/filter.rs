//! Everything a variant must meet to be in a result.

use std::ops::Range;

use crate::domain::time::Today;
use crate::predicate::rule::{Attr, Rule};
use crate::ranking::base::RankBase;
use crate::ranking::clause::{Clause, Test};
use crate::ranking::posting::{Dense, Forward, Holders, List};
use crate::ranking::query::GroupBy;
use crate::ranking::words::{
    BLOCK_BITS, BLOCK_WORDS, Bits, Block, and_into, and_not_into, bits_of, first_of, full_block,
    is_empty, or_into,
};

/// Set bits of a block below which a range asks each variant instead of comparing all.
const ASKED_ONE_BY_ONE_MAX: u32 = 512;

/// Clauses that must all be true of the same variant.
#[derive(Debug)]
pub(super) struct Filter<'a> {
    base: &'a RankBase,
    /// Those that keep few first.
    clauses: Vec<Clause<'a>>,
    /// Clauses that must be true as well.
    outer: Option<&'a Filter<'a>>,
    /// Attribute whose clauses of the request do not count.
    but: Option<&'a Attr>,
}

/// In which order a filter's blocks are walked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    /// Of ranks; clauses that are residue are left to [`Filter::residue`].
    Rank,
    /// Of units.
    Unit,
}

impl<'a> Filter<'a> {
    /// The clauses of a request's filter.
    pub(super) fn new(base: &'a RankBase, rules: &'a [Rule], today: &Today) -> Self {
        let clauses = rules.iter().map(|rule| Clause::of_rule(base, rule, today));
        let mut filter = Self {
            base,
            clauses: clauses.collect(),
            outer: None,
            but: None,
        };
        filter.sort();
        filter
    }

    /// Adds a condition.
    pub(super) fn restrict(&mut self, clause: Clause<'a>) {
        self.clauses.push(clause);
        self.sort();
    }

    /// A filter of one clause more.
    pub(super) fn within(outer: &'a Filter<'a>, clause: Clause<'a>) -> Self {
        Self {
            base: outer.base,
            clauses: vec![clause],
            outer: Some(outer),
            but: None,
        }
    }

    /// The filter without its request's clauses on one attribute.
    pub(super) fn but(outer: &'a Filter<'a>, attr: &'a Attr) -> Self {
        Self {
            base: outer.base,
            clauses: Vec::new(),
            outer: Some(outer),
            but: Some(attr),
        }
    }

    /// Those that keep few first, those that are decided one by one last.
    fn sort(&mut self) {
        let n = self.base.n();
        self.clauses.sort_by_key(|clause| {
            let by_words = !matches!(clause.test, Test::Range { .. });
            (!by_words, clause.negated, clause.size_max(n))
        });
    }

    pub(super) fn base(&self) -> &'a RankBase {
        self.base
    }

    /// The clauses that count.
    pub(super) fn clauses(&self) -> impl Iterator<Item = &Clause<'a>> {
        let but = self.but;
        let outer = self.outer.into_iter().flat_map(|outer| outer.flattened());
        let all = self.clauses.iter().chain(outer);
        all.filter(move |clause| but.is_none() || clause.attr != but)
    }

    /// Own and outer clauses; no filter lies deeper than sort keys do.
    fn flattened(&self) -> Box<dyn Iterator<Item = &Clause<'a>> + '_> {
        Box::new(self.clauses())
    }

    /// Whether nothing is asked.
    pub(super) fn is_everything(&self) -> bool {
        self.clauses().next().is_none()
    }

    /// Whether a clause of the request asks about `attr`.
    pub(super) fn asks(&self, attr: &Attr) -> bool {
        self.clauses().any(|clause| clause.attr == Some(attr))
    }

    /// Whether the result lies in a list that was gathered for this request.
    pub(super) fn is_listed(&self) -> bool {
        self.clauses()
            .any(|clause| !clause.negated && matches!(clause.test, Test::Units(_)))
    }

    /// Places of the result, if they are known beforehand.
    pub(super) fn known(&self, group_by: GroupBy) -> Option<u32> {
        let layout = &self.base.layout;
        let mut clauses = self.clauses();
        match (clauses.next(), clauses.next()) {
            (None, _) => Some(match group_by {
                GroupBy::Variant => layout.n_ranks(),
                GroupBy::Product => layout.products.len(),
                GroupBy::ProductGroup => layout.groups.len(),
            }),
            (Some(only), None) => only.known(group_by),
            _ => None,
        }
    }

    /// Numbers of the values that clauses on a range of an attribute's values leave.
    pub(super) fn left_of(&self, forward: &Forward, all: Range<u32>) -> Range<u32> {
        self.clauses().fold(all, |left, clause| match &clause.test {
            Test::Range {
                forward: own,
                values,
            } if std::ptr::eq(*own, forward) && !clause.negated => {
                left.start.max(values.start)..left.end.min(values.end)
            }
            _ => left,
        })
    }

    /// Whether a unit meets every clause.
    pub(super) fn contains(&self, unit: u32) -> bool {
        self.clauses().all(|clause| clause.contains(unit))
    }

    /// Whether some clauses are left to [`Filter::residue`].
    pub(super) fn has_residue(&self) -> bool {
        self.clauses().any(Clause::is_residue)
    }

    /// Whether a unit whose rank a walk by rank gave meets the clauses that the walk left out.
    pub(super) fn residue(&self, unit: u32) -> bool {
        let mut left = self.clauses().filter(|clause| clause.is_residue());
        left.all(|clause| clause.contains(unit))
    }
}

/// A filter's blocks, asked for in ascending order.
#[derive(Debug)]
pub(super) struct Walk<'f, 'a> {
    filter: &'f Filter<'a>,
    by: By,
    /// How far each list was read, clause by clause.
    read: Vec<usize>,
}

impl<'f, 'a> Walk<'f, 'a> {
    pub(super) fn new(filter: &'f Filter<'a>, by: By) -> Self {
        let n_lists = |clause: &Clause<'_>| match &clause.test {
            Test::Any(parts) => parts.len(),
            _ => 1,
        };
        Self {
            filter,
            by,
            read: vec![0; filter.clauses().map(n_lists).sum()],
        }
    }

    /// Puts those of a block that meet the clauses into `words`; whether there are any.
    pub(super) fn block(&mut self, block: usize, words: &mut Block) -> bool {
        let mut out = Output {
            words,
            block,
            n: self.filter.base.n(),
            begun: false,
        };
        let mut read = &mut self.read[..];
        for clause in self.filter.clauses() {
            let negated = clause.negated;
            let alive = match &clause.test {
                Test::Any(parts) => {
                    let (own, rest) = read.split_at_mut(parts.len());
                    read = rest;
                    if let [Holders::Dense(only)] = &parts[..] {
                        out.apply(self.by.of(only).block(block), negated)
                    } else {
                        let any = union(parts, self.by, block, own);
                        out.apply(any.as_ref(), negated)
                    }
                }
                Test::Words(own) => {
                    read = &mut read[1..];
                    out.apply(self.by.of(own).block(block), negated)
                }
                Test::Units(units) => {
                    let (own, rest) = read.split_at_mut(1);
                    read = rest;
                    if self.by == By::Rank {
                        continue;
                    }
                    let mut any = [0; BLOCK_WORDS];
                    let found = set_listed(units, block, &mut own[0], &mut any);
                    out.apply(found.then_some(&any), negated)
                }
                Test::Range { forward, values } => {
                    read = &mut read[1..];
                    if self.by == By::Rank {
                        continue;
                    }
                    let codes = &forward.by_unit;
                    let keeps = |unit| values.contains(&codes.at(unit)) != negated;
                    out.keep(keeps, || (codes.within(values, block), negated))
                }
            };
            if !alive {
                return false;
            }
        }
        out.finish()
    }
}

impl By {
    fn of(self, dense: &Dense) -> &Bits {
        match self {
            Self::Rank => &dense.by_rank,
            Self::Unit => &dense.by_unit,
        }
    }

    fn list<'a>(self, list: &List<'a>) -> &'a [u32] {
        match self {
            Self::Rank => list.ranks,
            Self::Unit => list.units,
        }
    }
}

/// Words that clauses narrow one after the other.
struct Output<'w> {
    words: &'w mut Block,
    block: usize,
    n: usize,
    begun: bool,
}

impl Output<'_> {
    /// Keeps, or drops, what `own` holds; `None` holds nothing. Whether anything may be left.
    fn apply(&mut self, own: Option<&Block>, negated: bool) -> bool {
        match (own, negated) {
            (None, true) => {}
            (None, false) => return false,
            (Some(own), false) if !self.begun => {
                *self.words = *own;
                self.begun = true;
            }
            (Some(own), false) => and_into(self.words, own),
            (Some(own), true) => {
                self.begin();
                and_not_into(self.words, own);
            }
        }
        true
    }

    /// Keeps those that a test keeps, asked one by one if few are left.
    fn keep(&mut self, keeps: impl Fn(u32) -> bool, all: impl Fn() -> (Block, bool)) -> bool {
        self.begin();
        let n_left: u32 = self.words.iter().map(|word| word.count_ones()).sum();
        if ASKED_ONE_BY_ONE_MAX < n_left {
            let (own, negated) = all();
            return self.apply(Some(&own), negated);
        }
        let firsts = (first_of(self.block)..).step_by(64);
        for (first, word) in firsts.zip(self.words.iter_mut()) {
            for bit in bits_of(*word) {
                if !keeps(first + bit) {
                    *word &= !(1 << bit);
                }
            }
        }
        0 < n_left
    }

    fn begin(&mut self) {
        if !self.begun {
            *self.words = full_block(self.block, self.n);
            self.begun = true;
        }
    }

    fn finish(mut self) -> bool {
        self.begin();
        !is_empty(self.words)
    }
}

/// What any of the parts holds of a block; `None` if that is nothing.
fn union(parts: &[Holders<'_>], by: By, block: usize, read: &mut [usize]) -> Option<Block> {
    let mut any = [0; BLOCK_WORDS];
    let mut found = false;
    for (part, read) in parts.iter().zip(read) {
        match part {
            Holders::Dense(dense) => {
                if let Some(own) = by.of(dense).block(block) {
                    or_into(&mut any, own);
                    found = true;
                }
            }
            Holders::List(list) => found |= set_listed(by.list(list), block, read, &mut any),
        }
    }
    found.then_some(any)
}

/// Sets the members of an ascending list that lie in a block; whether there are any. `read` is
/// where an earlier block ended.
fn set_listed(list: &[u32], block: usize, read: &mut usize, any: &mut Block) -> bool {
    let first = first_of(block);
    *read = seek(list, *read, first);
    let from = *read;
    for member in &list[from..] {
        let inside = (member - first) as usize;
        if BLOCK_BITS <= inside {
            break;
        }
        any[inside / 64] |= 1 << (inside % 64);
        *read += 1;
    }
    from < *read
}

/// Place of the first member not below `least`, which lies at or behind `from`: steps that double,
/// then halves.
fn seek(list: &[u32], from: usize, least: u32) -> usize {
    let (mut low, mut step) = (from, 1);
    while low + step <= list.len() && list[low + step - 1] < least {
        low += step;
        step *= 2;
    }
    let high = list.len().min(low + step);
    low + list[low..high].partition_point(|member| *member < least)
}
