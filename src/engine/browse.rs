//! Looking around in the goods: categories, attributes, their values, variants.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::access::may::{Object, Verb};
use crate::access::principal::Principal;
use crate::catalogue::Catalogue;
use crate::catalogue::attribute::{COST, Declaration};
use crate::catalogue::category::Node;
use crate::catalogue::row::Row;
use crate::catalogue::text::match_classes;
use crate::domain::complaint::Complaint;
use crate::domain::id::{MarketId, PromotionId};
use crate::domain::text::caseless;
use crate::domain::time::Today;
use crate::domain::value::Value;
use crate::engine::error::EngineError;
use crate::engine::markets::market_state;
use crate::engine::promotions::visible;
use crate::engine::snapshot::{Held, MarketState};
use crate::engine::start::Engine;
use crate::predicate::rule::Attr;
use crate::promotion::terms::Promotion;
use crate::selection::category::{related, rows_in};
use crate::selection::check::misfits;
use crate::selection::definition::{Selection, SelectionDraft};
use crate::selection::evaluate::evaluate;

/// A category of a market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CategoryView {
    /// Its id.
    pub id: String,
    /// Its name; none for a placeholder.
    pub name: Option<String>,
    /// The ids right above it.
    pub parents: Vec<String>,
    /// How many lie right below it.
    pub n_children: usize,
    /// Variants in it and below.
    pub n_variants: u32,
    /// Of them, those that are asked about.
    pub related: Option<u32>,
    /// Whether it is named somewhere but defined nowhere.
    pub is_placeholder: bool,
}

/// Which categories to list.
#[derive(Clone, Debug, Default)]
pub struct CategoryFilter {
    /// Only of this tree.
    pub tree: Option<String>,
    /// Only those right below this one.
    pub parent: Option<String>,
    /// Only those whose id or name holds this text, without regard to case.
    pub q: Option<String>,
    /// With how many variants of this each holds.
    pub related_to: Option<Related>,
    /// Whether those that hold none of them are listed as well.
    pub show: Show,
    /// Only those whose id lies behind this one.
    pub after: Option<String>,
    /// At most so many.
    pub limit: usize,
}

/// Whose variants are counted in categories.
#[derive(Clone, Debug)]
pub enum Related {
    /// Those of a promotion that stands.
    Promotion(PromotionId),
    /// Those of a selection that nobody has stored.
    Selection(Box<SelectionDraft>),
}

/// Which categories are listed beside those that hold a variant asked about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Show {
    /// None.
    #[default]
    Related,
    /// All others.
    All,
}

/// An attribute of a market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttributeView {
    /// Its name.
    pub attr: String,
    /// How it is read.
    pub declaration: Declaration,
    /// Distinct values.
    pub n_values: usize,
}

/// A value and how many variants have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueView {
    /// As the wire spells it.
    pub value: String,
    /// Variants.
    pub count: u32,
}

/// A variant with all that is known of it.
#[derive(Clone, Debug)]
pub struct VariantView {
    /// The market's part it lies in.
    pub state: Arc<MarketState>,
    /// Its row there.
    pub row: Row,
    /// Its base rank.
    pub base_rank: Option<u32>,
    /// Active promotions that hold it.
    pub promotions: Vec<Held<Promotion>>,
}

/// A page of a list.
#[derive(Clone, Debug)]
pub struct Listed<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Whether more follow.
    pub has_more: bool,
}

impl<T> Listed<T> {
    /// The last item, if more follow: the next page begins behind it.
    pub fn last_if_more(&self) -> Option<&T> {
        self.items.last().filter(|_| self.has_more)
    }

    /// At most `limit` of what comes.
    pub(in crate::engine) fn take(mut items: impl Iterator<Item = T>, limit: usize) -> Self {
        let listed = items.by_ref().take(limit).collect();
        Self {
            items: listed,
            has_more: items.next().is_some(),
        }
    }
}

impl Engine {
    /// Categories of a market, by id.
    ///
    /// # Errors
    /// What the caller may not do; `not-found` for the promotion; all complaints about a selection.
    pub async fn categories(
        &self,
        principal: &Principal,
        market: &MarketId,
        filter: CategoryFilter,
    ) -> Result<Listed<CategoryView>, EngineError> {
        let state = self.market(principal, market)?;
        if filter.related_to.is_some() {
            principal.may(Verb::ReadPromotions, &Object::Market(market))?;
        }
        let selection = match &filter.related_to {
            Some(Related::Promotion(id)) => {
                let held = visible(&self.snapshot(), principal, *id)?;
                Some(held.value.selection.clone())
            }
            Some(Related::Selection(draft)) => {
                let read = read_selection(draft, &state.catalogue);
                Some(read.map_err(|wrong| EngineError::Invalid(wrong).under("/selection"))?)
            }
            None => None,
        };
        let now = self.now();
        let list = move || {
            let today = Today::at(now, &state.catalogue.locale().zone);
            list_categories(&state.catalogue, selection.as_ref(), &today, &filter)
        };
        tokio::task::spawn_blocking(list)
            .await
            .map_err(EngineError::internal)
    }

    /// Attributes of a market, by name.
    ///
    /// # Errors
    /// What the caller may not do.
    pub fn attributes(
        &self,
        principal: &Principal,
        market: &MarketId,
    ) -> Result<Vec<AttributeView>, EngineError> {
        let state = self.market(principal, market)?;
        let catalogue = &state.catalogue;
        let view = |(attr, declaration): (&str, Declaration)| AttributeView {
            attr: attr.to_owned(),
            declaration,
            n_values: catalogue
                .column(attr)
                .map_or(0, |column| column.values().len()),
        };
        Ok(catalogue.schema().iter().map(view).collect())
    }

    /// Values of an attribute with their counts, most frequent first; with `q` only those that hold
    /// the text, without regard to case.
    ///
    /// # Errors
    /// `not-found` for an attribute that no variant has.
    pub async fn attribute_values(
        &self,
        principal: &Principal,
        market: &MarketId,
        attr: &Attr,
        q: Option<String>,
        limit: usize,
    ) -> Result<Listed<ValueView>, EngineError> {
        let state = self.market(principal, market)?;
        if attr.as_str() == COST {
            principal.may_see_cost()?;
        }
        let attr = attr.clone();
        let list = move || {
            let missing = || EngineError::NotFound {
                what: "attribute",
                id: attr.to_string(),
            };
            let declared = state.catalogue.schema().get(attr.as_str()).is_some();
            let Some(column) = state.catalogue.column(attr.as_str()) else {
                let nothing = Listed {
                    items: Vec::new(),
                    has_more: false,
                };
                return if declared {
                    Ok(nothing)
                } else {
                    Err(missing())
                };
            };
            let currency = state.catalogue.locale().currency;
            let q = q.as_deref().map(caseless);
            let ids = (0_u32..)
                .map(crate::catalogue::column::ValueId)
                .zip(column.values());
            let mut values: Vec<ValueView> = ids
                .map(|(id, value)| ValueView {
                    value: value.format(currency),
                    count: column.rows(id).len(),
                })
                .filter(|value| {
                    q.as_ref()
                        .is_none_or(|q| caseless(&value.value).contains(q))
                })
                .collect();
            values.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
            Ok(Listed::take(values.into_iter(), limit))
        };
        tokio::task::spawn_blocking(list)
            .await
            .map_err(EngineError::internal)?
    }

    /// Variants that a text finds, best class first, then in base order; without a text all, by
    /// base order.
    ///
    /// # Errors
    /// What the caller may not do.
    pub async fn find_variants(
        &self,
        principal: &Principal,
        market: &MarketId,
        q: Option<String>,
        (offset, limit): (usize, usize),
    ) -> Result<Listed<VariantView>, EngineError> {
        let state = self.market(principal, market)?;
        let now = self.now();
        let find = move || {
            let rows = found(&state, q.as_deref(), offset, limit + 1);
            let has_more = limit < rows.len();
            let items = rows
                .into_iter()
                .take(limit)
                .map(|row| variant_view(&state, row, now));
            Listed {
                items: items.collect(),
                has_more,
            }
        };
        tokio::task::spawn_blocking(find)
            .await
            .map_err(EngineError::internal)
    }

    /// One variant.
    ///
    /// # Errors
    /// `not-found`.
    pub fn variant(
        &self,
        principal: &Principal,
        market: &MarketId,
        key: &str,
    ) -> Result<VariantView, EngineError> {
        let state = self.market(principal, market)?;
        let row = state
            .catalogue
            .find_variant(&crate::domain::text::normal(key));
        let missing = || EngineError::NotFound {
            what: "variant",
            id: key.to_owned(),
        };
        Ok(variant_view(&state, row.ok_or_else(missing)?, self.now()))
    }

    /// A stored feed mapping, as JSON text.
    ///
    /// # Errors
    /// `not-found`.
    pub fn mapping(
        &self,
        principal: &Principal,
        market: &MarketId,
        name: &str,
    ) -> Result<Held<String>, EngineError> {
        principal.may(Verb::ReadImports, &Object::Market(market))?;
        let snapshot = self.snapshot();
        market_state(&snapshot, market)?;
        let found = snapshot
            .mappings
            .get(&(market.clone(), name.to_owned()))
            .cloned();
        found.ok_or_else(|| EngineError::NotFound {
            what: "feed mapping",
            id: name.to_owned(),
        })
    }

    /// Names of the stored feed mappings of a market.
    ///
    /// # Errors
    /// What the caller may not do.
    pub fn mappings(
        &self,
        principal: &Principal,
        market: &MarketId,
    ) -> Result<Vec<String>, EngineError> {
        principal.may(Verb::ReadImports, &Object::Market(market))?;
        let snapshot = self.snapshot();
        market_state(&snapshot, market)?;
        let own = snapshot.mappings.keys().filter(|(id, _)| id == market);
        Ok(own.map(|(_, name)| name.clone()).collect())
    }
}

fn read_selection(
    draft: &SelectionDraft,
    catalogue: &Catalogue,
) -> Result<Selection, Vec<Complaint>> {
    let selection = Selection::new(draft.clone())?;
    match misfits(&selection, &[catalogue], &[]) {
        wrong if wrong.is_empty() => Ok(selection),
        wrong => Err(wrong),
    }
}

fn list_categories(
    catalogue: &Catalogue,
    selection: Option<&Selection>,
    today: &Today,
    filter: &CategoryFilter,
) -> Listed<CategoryView> {
    let graph = catalogue.graph();
    let rows = selection.map(|selection| evaluate(selection, catalogue, today));
    let counts: std::collections::BTreeMap<Node, u32> = rows
        .iter()
        .flat_map(|rows| related(rows, catalogue))
        .collect();
    let placeholders: BTreeSet<&str> = graph
        .placeholders()
        .map(crate::domain::category::CategoryId::as_str)
        .collect();
    let q = filter.q.as_deref().map(caseless);
    let parent = filter.parent.as_deref().map(|id| graph.find(id));
    let mut nodes: Vec<Node> = graph.nodes().collect();
    nodes.sort_unstable_by_key(|node| graph.id(*node).as_str());
    let fits = |node: &Node| {
        let id = graph.id(*node);
        let text = || format!("{} {}", id.as_str(), graph.name(*node).unwrap_or_default());
        filter.tree.as_ref().is_none_or(|tree| id.tree() == tree)
            && filter
                .after
                .as_ref()
                .is_none_or(|after| after.as_str() < id.as_str())
            && parent.is_none_or(|parent| {
                parent.is_some_and(|parent| graph.parents(*node).contains(&parent))
            })
            && q.as_ref().is_none_or(|q| caseless(&text()).contains(q))
            && (rows.is_none() || filter.show == Show::All || counts.contains_key(node))
    };
    let view = |node: Node| CategoryView {
        id: graph.id(node).to_string(),
        name: graph.name(node).map(str::to_owned),
        parents: graph
            .parents(node)
            .iter()
            .map(|own| graph.id(*own).to_string())
            .collect(),
        n_children: graph.children(node).len(),
        n_variants: rows_in(graph.id(node), catalogue).map_or(0, |rows| rows.len()),
        related: rows
            .as_ref()
            .map(|_| counts.get(&node).copied().unwrap_or(0)),
        is_placeholder: placeholders.contains(graph.id(node).as_str()),
    };
    Listed::take(nodes.into_iter().filter(fits).map(view), filter.limit)
}

/// Rows in the order of the list, from `offset` on.
fn found(state: &MarketState, q: Option<&str>, offset: usize, limit: usize) -> Vec<Row> {
    let rank = |row: &Row| state.base.rank_of(*row);
    let Some(q) = q else {
        let ranks = (0..state.base.n_ranks()).skip(offset).take(limit);
        return ranks
            .map(|rank| state.base.row_of(crate::ranking::order::Rank(rank)))
            .collect();
    };
    let mut rows = Vec::new();
    for class in match_classes(&state.catalogue, q) {
        let mut of_class: Vec<Row> = class.iter().collect();
        of_class.sort_unstable_by_key(rank);
        rows.extend(of_class);
    }
    rows.into_iter().skip(offset).take(limit).collect()
}

fn variant_view(
    state: &Arc<MarketState>,
    row: Row,
    now: crate::domain::time::Timestamp,
) -> VariantView {
    let rank = state.base.rank_of(row);
    let timed = state.view_at(now);
    let slots = rank.and_then(|rank| Some(timed?.view.slots_of(rank)));
    let held = slots
        .into_iter()
        .flat_map(|slots| slots.iter().collect::<Vec<_>>());
    let promotions = held
        .filter_map(|slot| timed?.promotions.get(usize::from(slot.0)).cloned())
        .collect();
    VariantView {
        state: Arc::clone(state),
        row,
        base_rank: rank.map(|rank| rank.0),
        promotions,
    }
}

/// Values of a variant under an attribute, as the wire spells them.
pub fn texts_of(view: &VariantView, attr: &str) -> Vec<String> {
    let catalogue = &view.state.catalogue;
    let currency = catalogue.locale().currency;
    catalogue
        .facts(view.row)
        .get(attr)
        .map(|value: &Value| value.format(currency))
        .collect()
}
