//! What is asked of a view.

use crate::catalogue::category::Node;
use crate::catalogue::row::{Row, RowSet};
use crate::domain::time::Today;
use crate::predicate::rule::{Attr, Rule};
use crate::ranking::cursor::Position;

/// What one place on a page stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GroupBy {
    /// Every variant by itself.
    Variant,
    /// A product, at the place of its best matching variant.
    Product,
    /// A group of products, at the place of its best matching variant.
    ProductGroup,
}

/// One key of a multi-level sort.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SortKey {
    /// The order that promotions and scores make.
    Relevance,
    /// A single-valued attribute; missing values stand last either way.
    By {
        /// Which attribute.
        attr: Attr,
        /// Greatest value first.
        descending: bool,
    },
}

/// An attribute whose values are counted over the result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FacetQuery {
    /// Which attribute.
    pub attr: Attr,
    /// Most values answered.
    pub limit: u32,
}

/// A request in terms of one catalogue.
#[derive(Clone, Debug)]
pub struct Query {
    /// Restricts the result to a category and what is below it; `Some(None)` is a category that
    /// the market lacks, whose result is empty.
    pub category: Option<Option<Node>>,
    /// Clauses that must all be true of the same variant.
    pub filter: Vec<Rule>,
    /// Match classes, best first, disjoint; `None` asks for the whole catalogue.
    pub classes: Option<Vec<RowSet>>,
    /// The panel's own hits, in their order; each entry is the rows that one key stands for.
    pub primary: Vec<Vec<Row>>,
    /// Keys of the order; none means relevance.
    pub sort: Vec<SortKey>,
    /// What a place stands for.
    pub group_by: GroupBy,
    /// Places on the page; 0 asks for total and facets alone.
    pub limit: u32,
    /// Places to skip.
    pub offset: u32,
    /// Where an earlier page ended; instead of an offset.
    pub from: Option<Position>,
    /// Attributes to count.
    pub facets: Vec<FacetQuery>,
    /// The local day, for clauses about age.
    pub today: Today,
}

impl Query {
    /// Attribute keys that stand before relevance, and whether relevance is reached at all. An
    /// empty sort is relevance.
    pub(in crate::ranking) fn attribute_keys(&self) -> (&[SortKey], bool) {
        let relevance = self.sort.iter().position(|key| *key == SortKey::Relevance);
        match relevance {
            Some(place) => (&self.sort[..place], true),
            None => (&self.sort, self.sort.is_empty()),
        }
    }
}
