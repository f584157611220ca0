//! Categories and the rows in them: what a promotion may be restricted to.

use std::borrow::Cow;

use crate::catalogue::Catalogue;
use crate::catalogue::category::Node;
use crate::catalogue::row::RowSet;
use crate::domain::category::CategoryId;
use crate::domain::value::Value;
use crate::predicate::rule::Attr;

/// The variants in a category and below it; `None` if there is none.
pub fn rows_in<'c>(id: &CategoryId, catalogue: &'c Catalogue) -> Option<Cow<'c, RowSet>> {
    let column = catalogue.column(Attr::CATEGORY)?;
    let value = column.find(&Value::Text(id.shared()))?;
    Some(column.rows_with(value))
}

/// Categories that hold one of `rows`, themselves or below, with how many; ascending by node.
///
/// Costs one step a row and category of it.
pub fn related(rows: &RowSet, catalogue: &Catalogue) -> Vec<(Node, u32)> {
    let Some(column) = catalogue.column(Attr::CATEGORY) else {
        return Vec::new();
    };
    let mut n_rows = vec![0_u32; column.values().len()];
    for row in rows.iter() {
        for id in column.of(row) {
            n_rows[id.0 as usize] += 1;
        }
    }
    let held = n_rows.into_iter().zip(column.values());
    let mut nodes: Vec<(Node, u32)> = held
        .filter(|(count, _)| 0 < *count)
        .filter_map(|(count, value)| match value {
            Value::Text(id) => Some((catalogue.graph().find(id)?, count)),
            _ => None,
        })
        .collect();
    nodes.sort_unstable();
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selection::sample::{catalogue, market, names, product};

    fn shop() -> Catalogue {
        let goods = vec![
            product(
                "wok",
                &[("category", "woks"), ("category", "sale")],
                &[("wok", &[])],
            ),
            product(
                "pan",
                &[("category", "pans")],
                &[("pan1", &[]), ("pan2", &[])],
            ),
            product("sofa", &[("category", "living")], &[("sofa", &[])]),
        ];
        let tree: &[(&str, &[&str])] = &[("woks", &["pans", "sale"]), ("pans", &["kitchen"])];
        catalogue(market("de"), goods, tree)
    }

    #[test]
    fn a_variant_counts_once_in_every_category_above_it() {
        let shop = shop();
        let mut rows = shop.live().clone();
        rows.remove(shop.find_variant("pan2").unwrap());
        rows.remove(shop.find_variant("sofa").unwrap());
        let found: Vec<_> = related(&rows, &shop)
            .into_iter()
            .map(|(node, count)| (shop.graph().id(node).as_str(), count))
            .collect();
        let expected = [
            ("main:kitchen", 2),
            ("main:pans", 2),
            ("main:sale", 1),
            ("main:woks", 1),
        ];
        assert_eq!(found, expected);
        assert_eq!(related(&RowSet::new(), &shop), []);
    }

    #[test]
    fn rows_of_a_category_lie_in_it_or_below() {
        let shop = shop();
        let rows = |id: &str| {
            let id = CategoryId::parse(id).unwrap();
            rows_in(&id, &shop).map(|rows| names(&rows, &shop))
        };
        assert_eq!(rows("kitchen").as_deref(), Some("pan1 pan2 wok"));
        assert_eq!(rows("nowhere"), None);
    }
}
