//! What ranking derives from the goods alone; shared by every view until the goods change.

use std::collections::BTreeMap;
use std::sync::Arc;

use rayon::prelude::*;

use crate::catalogue::Catalogue;
use crate::catalogue::category::Node;
use crate::catalogue::row::Row;
use crate::domain::value::Value;
use crate::predicate::rule::Attr;
use crate::ranking::layout::Layout;
use crate::ranking::order::Rank;
use crate::ranking::posting::Postings;

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
        let layout = Layout::build(catalogue);
        let names: Vec<&str> = catalogue.schema().iter().map(|(name, _)| name).collect();
        let attributes = names
            .into_par_iter()
            .filter_map(|name| {
                let column = catalogue.column(name)?;
                let postings = Postings::build(column, &layout);
                Some((name.to_owned(), Arc::new(postings)))
            })
            .collect();
        Self {
            catalogue: Arc::clone(catalogue),
            layout: Arc::new(layout),
            attributes,
            values_of_nodes: values_of_nodes(catalogue),
        }
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
