//! What ranking derives from the goods alone; shared by every view until the goods change.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use crate::catalogue::Catalogue;
use crate::catalogue::category::Node;
use crate::catalogue::column::Column;
use crate::catalogue::row::Row;
use crate::domain::value::Value;
use crate::predicate::rule::Attr;
use crate::ranking::layout::Layout;
use crate::ranking::order::Rank;
use crate::ranking::posting::Postings;
use crate::ranking::posting_patch::Edit;

/// Attributes are patched for one changed variant in so many, and built for more.
const PATCHED_TO_ONE_IN: usize = 8;

/// A market's goods in rank order.
#[derive(Debug)]
pub struct RankBase {
    catalogue: Arc<Catalogue>,
    pub(in crate::ranking) layout: Arc<Layout>,
    attributes: BTreeMap<String, Arc<Postings>>,
    /// By node of the category graph: the number of its value; none if no variant is in it.
    values_of_nodes: Vec<Option<u32>>,
}

impl RankBase {
    /// Sorts by score and turns every attribute into rank order, in parallel.
    pub fn build(catalogue: &Arc<Catalogue>) -> Self {
        Self::made(catalogue, Arc::new(Layout::build(catalogue)), None)
    }

    /// What [`RankBase::build`] would make, sharing all that a change of goods left as it was: the
    /// layout if no score, product, group or category moved; then every attribute in which no value
    /// changed, and of the others what the changed variants do not touch.
    pub fn after(former: &Self, catalogue: &Arc<Catalogue>) -> Self {
        if catalogue.stands_like(&former.catalogue) {
            Self::made(catalogue, Arc::clone(&former.layout), Some(former))
        } else {
            Self::build(catalogue)
        }
    }

    fn made(catalogue: &Arc<Catalogue>, layout: Arc<Layout>, former: Option<&Self>) -> Self {
        let names: Vec<&str> = catalogue.schema().iter().map(|(name, _)| name).collect();
        let rows = former.and_then(|former| catalogue.rows_changed_since(&former.catalogue));
        let rows = rows.filter(|rows| rows.len() < layout.n() / PATCHED_TO_ONE_IN);
        let known = |name: &str, column: &Column| {
            let former = former?;
            let (postings, own) = (former.attributes.get(name)?, former.catalogue.column(name)?);
            if std::ptr::eq(own, column) {
                return Some(Arc::clone(postings));
            }
            let edit = Edit {
                former: own,
                column,
                rows: rows.as_deref()?,
                layout: &layout,
            };
            postings.after(edit).map(Arc::new)
        };
        let attributes = names
            .into_par_iter()
            .filter_map(|name| {
                let column = catalogue.column(name)?;
                let postings = known(name, column)
                    .unwrap_or_else(|| Arc::new(Postings::build(column, &layout)));
                Some((name.to_owned(), postings))
            })
            .collect();
        Self {
            catalogue: Arc::clone(catalogue),
            layout,
            attributes,
            values_of_nodes: values_of_nodes(catalogue),
        }
    }

    /// Whether every variant has the same row, rank and siblings in both, by being the same layout.
    pub fn shares_layout(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.layout, &other.layout)
    }

    /// The goods.
    pub fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    /// Number of variants alive.
    pub fn n_ranks(&self) -> u32 {
        self.layout.n_ranks()
    }

    /// Rank of a row; `None` if it is vacant.
    pub fn rank_of(&self, row: Row) -> Option<Rank> {
        let unit = self.layout.unit_of_row(row)?;
        Some(Rank(self.layout.rank_at(unit)))
    }

    /// Row at a rank.
    pub fn row_of(&self, rank: Rank) -> Row {
        self.layout.row_at(self.layout.unit_of(rank.0))
    }

    /// Bytes on the heap, the catalogue's left out.
    pub fn bytes(&self) -> usize {
        let attributes = self.attributes.values().map(|own| own.bytes());
        self.layout.bytes() + attributes.sum::<usize>()
    }

    /// Bytes on the heap, those of whole parts that `other` shares and the catalogue's left out.
    pub fn bytes_apart(&self, other: Option<&Self>) -> usize {
        let layout = match other {
            Some(other) if self.shares_layout(other) => 0,
            _ => self.layout.bytes(),
        };
        let is_shared = |name: &str, own: &Arc<Postings>| {
            let theirs = other.and_then(|other| other.attributes.get(name));
            theirs.is_some_and(|theirs| Arc::ptr_eq(theirs, own))
        };
        let apart = self.attributes.iter();
        let apart = apart.filter(|(name, own)| !is_shared(name, own));
        layout + apart.map(|(_, own)| own.bytes()).sum::<usize>()
    }

    pub(in crate::ranking) fn n(&self) -> usize {
        self.layout.n()
    }

    pub(in crate::ranking) fn value_of_node(&self, node: Node) -> Option<u32> {
        self.values_of_nodes.get(node.0 as usize).copied().flatten()
    }

    pub(in crate::ranking) fn postings(&self, attr: &str) -> Option<&Postings> {
        self.attributes.get(attr).map(Arc::as_ref)
    }
}

fn values_of_nodes(catalogue: &Catalogue) -> Vec<Option<u32>> {
    let graph = catalogue.graph();
    let mut of_nodes = vec![None; graph.len()];
    let values = catalogue
        .column(Attr::CATEGORY)
        .map_or(&[][..], |column| column.values());
    for (number, value) in (0..).zip(values) {
        if let Value::Text(id) = value
            && let Some(node) = graph.find(id)
        {
            of_nodes[node.0 as usize] = Some(number);
        }
    }
    of_nodes
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use rand::RngExt;
    use rand::rngs::ChaCha8Rng;
    use rand::seq::IndexedRandom;

    use super::*;
    use crate::catalogue::change::Changes;
    use crate::catalogue::product::ProductRecord;
    use crate::domain::id::GroupKey;
    use crate::domain::money::Minor;
    use crate::domain::number::Score;
    use crate::ranking::twin::{Draw, attribute, random_scene, seeded};

    /// Changes one thing of some products; whether it is a thing that moves variants.
    fn change(goods: &Catalogue, chance: &mut ChaCha8Rng) -> (Changes, bool) {
        let moves = chance.random_bool(0.3);
        let records: Vec<&Arc<ProductRecord>> = goods.products().map(|(_, own)| own).collect();
        let mut products = BTreeMap::new();
        for _ in 0..chance.random_range(1..5) {
            let mut record = (**records[chance.random_range(0..records.len())]).clone();
            if moves {
                match chance.random_range(0..3) {
                    0 => record.score = Some(Score::from_integer(chance.random_range(900..999))),
                    1 => record.group = GroupKey::parse("a new one").ok(),
                    _ => drop(record.variants.pop()),
                }
            } else {
                for variant in &mut record.variants {
                    let price = chance.random_range(-9_000..90_000);
                    variant.list_price = (0 < price).then_some(Minor(price));
                    variant.stock = Some(chance.random_range(0..3));
                    let colors = ["red", "blue", "green", "one of a kind"];
                    let n_colors = chance.random_range(0..3);
                    let own: Vec<&str> = colors.sample(chance, n_colors).copied().collect();
                    variant
                        .attributes
                        .retain(|own| own.attr.as_str() != "color");
                    if !own.is_empty() && chance.random_bool(0.5) {
                        variant.attributes.push(attribute("color", &own));
                    }
                }
            }
            let kept = (!record.variants.is_empty()).then(|| Arc::new(record.clone()));
            products.insert(record.key, kept);
        }
        let changes = Changes {
            products,
            ..Changes::default()
        };
        (changes, moves)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_base_after_a_change_is_the_built_one(seed in any::<u64>()) {
            let mut chance = seeded(seed);
            let n_products = [60, 500][chance.random_range(0..2_usize)];
            let draw = Draw { n_products, siblings_max: 3, n_scores: 9, n_promotions: 0 };
            let mut base = Arc::clone(random_scene(&mut chance, draw).view.base());
            for _ in 0..6 {
                let (changes, moves) = change(base.catalogue(), &mut chance);
                let goods = Arc::new(base.catalogue().with(&changes));
                let (after, built) = (RankBase::after(&base, &goods), RankBase::build(&goods));
                prop_assert_eq!(&after.layout, &built.layout);
                prop_assert_eq!(&after.attributes, &built.attributes);
                prop_assert_eq!(&after.values_of_nodes, &built.values_of_nodes);
                prop_assert!(moves || after.shares_layout(&base), "prices move nothing");
                base = Arc::new(after);
            }
        }
    }
}
