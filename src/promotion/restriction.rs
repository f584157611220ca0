//! Where category marks switch promotions on.
//!
//! A restricted promotion acts in a category exactly if, walking up from it along every path to
//! that path's first mark, at least one path ends at an include and none at an exclude. So a new
//! sub-category joins by itself, a mark below another one wins, and paths that disagree mean off.

use crate::catalogue::category::{CategoryGraph, Node};
use crate::domain::category::CategoryId;
use crate::promotion::slot::{Slot, SlotMask};
use crate::promotion::terms::Restriction;

/// For each category of a graph the promotions of one view that act there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeMasks {
    /// Slots without any mark.
    unrestricted: SlotMask,
    /// By node; holds the unrestricted slots as well.
    by_node: Vec<SlotMask>,
    /// By node: slots for which one path says on and another off.
    torn: Vec<SlotMask>,
}

impl NodeMasks {
    /// The slots that act in `selected_category`; without one, or with an unknown one, only those
    /// that no mark restricts.
    pub fn at(&self, node: Option<Node>) -> SlotMask {
        let marked = node.and_then(|node| self.by_node.get(node.0 as usize));
        marked.copied().unwrap_or(self.unrestricted)
    }

    /// The slots that do not act at `node` because its paths disagree.
    pub fn torn_at(&self, node: Node) -> SlotMask {
        let torn = self.torn.get(node.0 as usize);
        torn.copied().unwrap_or(SlotMask::EMPTY)
    }
}

/// What the first marks above a node say; a slot in both is off.
#[derive(Clone, Copy, Debug, Default)]
struct Reach {
    include: SlotMask,
    exclude: SlotMask,
}

/// Computes the masks of all nodes and slots in one pass from the top of the graph down.
///
/// A node that is marked says so; one that is not says what its parents say together. Ids that
/// the graph lacks are inert.
pub fn node_masks(graph: &CategoryGraph, restrictions: &[(Slot, &Restriction)]) -> NodeMasks {
    let mut unrestricted = SlotMask::EMPTY;
    let mut marks = vec![Reach::default(); graph.len()];
    for (slot, restriction) in restrictions {
        let bit = SlotMask::of(*slot);
        if !restriction.is_restricted() {
            unrestricted |= bit;
        }
        for node in nodes_of(graph, &restriction.include) {
            marks[node.0 as usize].include |= bit;
        }
        for node in nodes_of(graph, &restriction.exclude) {
            marks[node.0 as usize].exclude |= bit;
        }
    }
    let reach = from_the_top(graph, &marks);
    let on = |reach: &Reach| unrestricted | reach.include & !reach.exclude;
    NodeMasks {
        unrestricted,
        by_node: reach.iter().map(on).collect(),
        torn: reach.iter().map(|r| r.include & r.exclude).collect(),
    }
}

fn nodes_of(graph: &CategoryGraph, ids: &[CategoryId]) -> impl Iterator<Item = Node> {
    ids.iter().filter_map(|id| graph.find(id.as_str()))
}

/// Visits each node after all its parents.
fn from_the_top(graph: &CategoryGraph, marks: &[Reach]) -> Vec<Reach> {
    let mut reach = vec![Reach::default(); graph.len()];
    let n_parents = |node: Node| graph.parents(node).len();
    let mut n_waiting: Vec<usize> = graph.nodes().map(n_parents).collect();
    let mut ready: Vec<Node> = graph.nodes().filter(|&node| n_parents(node) == 0).collect();
    while let Some(node) = ready.pop() {
        let own = marks[node.0 as usize];
        let unmarked = !(own.include | own.exclude);
        let mut said = own;
        for parent in graph.parents(node) {
            let above = reach[parent.0 as usize];
            said.include |= above.include & unmarked;
            said.exclude |= above.exclude & unmarked;
        }
        reach[node.0 as usize] = said;
        for child in graph.children(node) {
            let waiting = &mut n_waiting[child.0 as usize];
            *waiting -= 1;
            if *waiting == 0 {
                ready.push(*child);
            }
        }
    }
    reach
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::catalogue::product::CategoryRecord;

    fn category(key: &str) -> CategoryId {
        CategoryId::parse(key).unwrap()
    }

    /// A graph from pairs of child and parents.
    fn graph(edges: &[(&str, &[&str])]) -> CategoryGraph {
        let records: Vec<_> = edges
            .iter()
            .map(|(key, parents)| CategoryRecord {
                id: category(key),
                name: Some((*key).to_owned()),
                parents: parents.iter().map(|parent| category(parent)).collect(),
            })
            .collect();
        CategoryGraph::build(records.iter(), std::iter::empty()).unwrap()
    }

    fn restriction(include: &[&str], exclude: &[&str]) -> Restriction {
        let marks = |keys: &[&str]| keys.iter().map(|key| category(key)).collect();
        Restriction {
            include: marks(include),
            exclude: marks(exclude),
        }
    }

    #[track_caller]
    fn check(graph: &CategoryGraph, restriction: &Restriction, expected_on: &[&str]) {
        let masks = node_masks(graph, &[(Slot(3), restriction)]);
        let on: Vec<_> = graph
            .nodes()
            .filter(|&node| masks.at(Some(node)).contains(Slot(3)))
            .map(|node| graph.id(node).as_str().trim_start_matches("main:"))
            .collect();
        assert_eq!(on, expected_on);
    }

    #[test]
    fn the_lowest_mark_of_a_path_wins() {
        let shop = graph(&[
            ("kitchen", &["home"]),
            ("pans", &["kitchen"]),
            ("woks", &["pans"]),
        ]);
        let marks = restriction(&["kitchen", "woks"], &["pans"]);
        check(&shop, &marks, &["kitchen", "woks"]);
        check(
            &shop,
            &restriction(&["kitchen"], &[]),
            &["kitchen", "pans", "woks"],
        );
        check(&shop, &restriction(&["unknown"], &[]), &[]);
        check(
            &shop,
            &restriction(&["unknown", "woks"], &["home"]),
            &["woks"],
        );
        check(&shop, &restriction(&[], &["pans"]), &[]);
        check(
            &shop,
            &restriction(&[], &[]),
            &["home", "kitchen", "pans", "woks"],
        );
    }

    #[test]
    fn paths_that_disagree_mean_off_unless_the_node_is_marked() {
        let shop = graph(&[("tent", &["outdoor", "sale"])]);
        check(&shop, &restriction(&["outdoor"], &[]), &["outdoor", "tent"]);
        let torn = restriction(&["outdoor"], &["sale"]);
        check(&shop, &torn, &["outdoor"]);
        let tent = shop.find("main:tent").unwrap();
        let masks = node_masks(&shop, &[(Slot(0), &torn)]);
        assert!(masks.torn_at(tent).contains(Slot(0)));
        check(
            &shop,
            &restriction(&["outdoor", "tent"], &["sale"]),
            &["outdoor", "tent"],
        );
        check(
            &shop,
            &restriction(&["outdoor"], &["sale", "tent"]),
            &["outdoor"],
        );
    }

    #[test]
    fn without_a_category_only_unrestricted_promotions_act() {
        let shop = graph(&[("kitchen", &["home"])]);
        let (marked, unmarked) = (restriction(&["home"], &[]), restriction(&[], &[]));
        let masks = node_masks(&shop, &[(Slot(0), &marked), (Slot(1), &unmarked)]);
        let only_second = SlotMask::of(Slot(1));
        assert_eq!(masks.at(None), only_second);
        assert_eq!(masks.at(Some(Node(99))), only_second);
        assert_eq!(masks.at(shop.find("main:kitchen")).len(), 2);
    }

    /// Walks every path: the twin that is the definition.
    fn acts_by_walking(graph: &CategoryGraph, node: Node, marks: &Restriction) -> bool {
        let mut says = Vec::new();
        let mut paths = vec![node];
        while let Some(here) = paths.pop() {
            let id = graph.id(here);
            if marks.include.contains(id) {
                says.push(true);
            } else if marks.exclude.contains(id) {
                says.push(false);
            } else {
                paths.extend(graph.parents(here));
            }
        }
        says.contains(&true) && !says.contains(&false)
    }

    /// Parents have smaller numbers, so there is no loop.
    fn a_graph() -> impl Strategy<Value = CategoryGraph> {
        let parents = prop::collection::vec(
            prop::collection::vec(any::<prop::sample::Index>(), 0..3),
            1..14,
        );
        parents.prop_map(|parents| {
            let key = |number: usize| category(&format!("c{number:02}"));
            let records: Vec<_> = parents
                .iter()
                .enumerate()
                .map(|(number, above)| CategoryRecord {
                    id: key(number),
                    name: Some(String::new()),
                    parents: above
                        .iter()
                        .filter(|_| 0 < number)
                        .map(|index| key(index.index(number)))
                        .collect(),
                })
                .collect();
            CategoryGraph::build(records.iter(), std::iter::empty()).unwrap()
        })
    }

    /// Marks on some of 16 categories, two of which no graph has.
    fn some_marks() -> impl Strategy<Value = Restriction> {
        prop::collection::vec(0_u8..6, 16).prop_map(|says| {
            let ids = |wanted: u8| {
                let marked = (0..16).filter(|&number: &usize| says[number] == wanted);
                marked
                    .map(|number| category(&format!("c{number:02}")))
                    .collect()
            };
            Restriction {
                include: ids(0),
                exclude: ids(1),
            }
        })
    }

    proptest! {
        #[test]
        fn one_pass_agrees_with_walking_all_paths(
            graph in a_graph(),
            restrictions in prop::collection::vec(some_marks(), 1..4),
        ) {
            let slots: Vec<_> = (0_u8..).map(Slot).zip(&restrictions).collect();
            let masks = node_masks(&graph, &slots);
            for node in graph.nodes() {
                for (slot, marks) in &slots {
                    let expected = !marks.is_restricted() || acts_by_walking(&graph, node, marks);
                    prop_assert_eq!(masks.at(Some(node)).contains(*slot), expected);
                }
            }
        }
    }
}
