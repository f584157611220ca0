//! How many units a selection holds, step by step, for the person who writes it.

use crate::catalogue::Catalogue;
use crate::catalogue::row::{ProductNo, RowSet};
use crate::domain::time::Today;
use crate::selection::compile::CompiledSelection;
use crate::selection::definition::Selection;

/// Variants held after each step, in one market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// By rule set: after each of its rules, in the order written; the last is what the set holds.
    pub after_each_rule: Vec<Vec<u32>>,
    /// In any of the rule sets.
    pub union: u32,
    /// Without blocked products.
    pub after_blocking: u32,
    /// With handpicked products: what is promoted.
    pub selected: u32,
    /// Products of which a variant is promoted.
    pub products: u32,
}

/// Counts every step of the selection. Costs one set operation a rule.
pub fn counts(selection: &Selection, catalogue: &Catalogue, today: &Today) -> Counts {
    let compiled = CompiledSelection::new(selection, catalogue, today);
    let (after_each_rule, mut rows) = compiled.sets_in_order();
    let union = rows.len();
    rows.subtract(&compiled.rows_of_products(&compiled.blocked));
    let after_blocking = rows.len();
    rows.unite(&compiled.rows_of_products(&compiled.handpicked));
    Counts {
        after_each_rule,
        union,
        after_blocking,
        selected: rows.len(),
        products: n_products(&rows, catalogue),
    }
}

impl CompiledSelection<'_> {
    /// Counts after each rule in the order written, and the union of the sets.
    fn sets_in_order(&self) -> (Vec<Vec<u32>>, RowSet) {
        let mut after_each_rule = Vec::with_capacity(self.rule_sets.len());
        let mut union = RowSet::new();
        for rules in &self.rule_sets {
            let mut rows = self.catalogue.live().clone();
            let mut after = Vec::with_capacity(rules.len());
            for rule in rules {
                rule.narrow(&mut rows);
                after.push(rows.len());
            }
            if !rules.is_empty() {
                union.unite(&rows);
            }
            after_each_rule.push(after);
        }
        (after_each_rule, union)
    }
}

/// Number of distinct products among rows.
pub fn n_products(rows: &RowSet, catalogue: &Catalogue) -> u32 {
    let mut products: Vec<ProductNo> = rows.iter().map(|row| catalogue.product_of(row)).collect();
    products.sort_unstable();
    products.dedup();
    u32::try_from(products.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selection::definition::SelectionDraft;
    use crate::selection::sample::{
        by_rules, catalogue, exclude, include, is_in, keys, market, product, range, selection,
        table, today,
    };

    #[test]
    fn every_step_is_counted_in_the_order_written() {
        let rules = by_rules(vec![
            vec![
                exclude("stock", range(None, Some("0"))),
                include("brand", is_in(&["Nord"])),
            ],
            vec![include("price", range(Some("80"), None))],
            vec![],
        ]);
        let draft = SelectionDraft {
            blocked: keys(&["e"]),
            handpicked: keys(&["c", "b"]),
            ..rules
        };
        assert_eq!(
            counts(&selection(draft), &table(), &today()),
            Counts {
                after_each_rule: vec![vec![4, 2], vec![1], vec![]],
                union: 3,
                after_blocking: 2,
                selected: 4,
                products: 4,
            }
        );
    }

    #[test]
    fn products_are_counted_once() {
        let goods = vec![
            product("p", &[], &[("p1", &[]), ("p2", &[])]),
            product("q", &[], &[("q1", &[])]),
        ];
        let shop = catalogue(market("de"), goods, &[]);
        let draft = SelectionDraft {
            handpicked: keys(&["p"]),
            ..SelectionDraft::default()
        };
        let counted = counts(&selection(draft), &shop, &today());
        assert_eq!((counted.selected, counted.products), (2, 1));
    }
}
