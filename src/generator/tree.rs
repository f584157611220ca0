//! The category tree of a shop, scaled to its size.

use crate::catalogue::product::CategoryRecord;
use crate::domain::category::CategoryId;
use crate::generator::chance::{Stream, Subject, Weighted};
use crate::generator::words::{DEPARTMENTS, LINES, PURPOSES, slug};

/// In 1,000 nodes of the third storey, how many stand under a kind of another department as well.
const SECOND_PARENTS_PERMILLE: u64 = 60;

/// Departments, kinds a department, purposes a kind and lines a purpose; with one line, purposes
/// are the leaves.
type Storeys = [usize; 4];

/// All nodes and how popular the leaves are.
pub(in crate::generator) struct Tree {
    /// Parents before their children.
    pub(in crate::generator) nodes: Vec<CategoryRecord>,
    /// What products are put into.
    pub(in crate::generator) leaves: Vec<Leaf>,
    /// How the products fall on the leaves.
    pub(in crate::generator) popularity: Weighted,
}

/// A category without categories below it.
pub(in crate::generator) struct Leaf {
    pub(in crate::generator) id: CategoryId,
    /// Place in [`DEPARTMENTS`].
    pub(in crate::generator) department: usize,
    /// Place among the department's kinds.
    pub(in crate::generator) kind: usize,
}

/// 12, 96, 576 and 2,880 nodes for the large, fewer for the small, so that leaves hold products.
fn storeys(n_variants: u64) -> Storeys {
    match n_variants {
        0..2_000 => [4, 3, 2, 1],
        2_000..20_000 => [6, 4, 3, 2],
        20_000..200_000 => [12, 6, 4, 3],
        _ => [12, 8, 6, 5],
    }
}

impl Tree {
    /// The tree of a shop of this size under this seed.
    pub(in crate::generator) fn new(n_variants: u64, seed: u64) -> Self {
        let mut stream = Stream::new(seed, Subject::Tree);
        let [n_departments, n_kinds, n_purposes, n_lines] = storeys(n_variants);
        let mut tree = Planting {
            nodes: Vec::new(),
            leaves: Vec::new(),
        };
        for (place, department) in DEPARTMENTS.iter().enumerate().take(n_departments) {
            let top = tree.node(department.name, &slug(department.name), Vec::new());
            for (kind, goods) in department.kinds.iter().enumerate().take(n_kinds) {
                let path = format!("{}/{}", slug(department.name), slug(goods.name));
                let node = tree.node(goods.name, &path, vec![top.clone()]);
                for purpose in &PURPOSES[..n_purposes] {
                    let path = format!("{path}/{}", slug(purpose));
                    let name = format!("{purpose} {}", goods.name.to_lowercase());
                    let id = tree.node(&name, &path, vec![node.clone()]);
                    let leaf = |id| Leaf {
                        id,
                        department: place,
                        kind,
                    };
                    if n_lines == 1 {
                        tree.leaves.push(leaf(id));
                        continue;
                    }
                    for line in &LINES[..n_lines] {
                        let path = format!("{path}/{}", slug(line));
                        let id = tree.node(&format!("{name}: {line}"), &path, vec![id.clone()]);
                        tree.leaves.push(leaf(id));
                    }
                }
            }
        }
        let order = stream.shuffled(tree.leaves.len());
        tree.add_second_parents(&mut stream);
        let popularity = Weighted::zipf_in_order(&order);
        Self {
            nodes: tree.nodes,
            leaves: tree.leaves,
            popularity,
        }
    }

    /// Categories of the second storey, each with its share of the products in millionths.
    pub(in crate::generator) fn kinds(&self) -> Vec<(CategoryId, u64)> {
        let second = self.nodes.iter().filter(|node| storey(&node.id) == 2);
        let kinds = second.map(|node| {
            let below = format!("{}/", node.id);
            let leaves = self.leaves.iter().enumerate();
            let own = leaves.filter(|(_, leaf)| leaf.id.as_str().starts_with(&below));
            (
                node.id.clone(),
                self.popularity.share(own.map(|(place, _)| place)),
            )
        });
        kinds.collect()
    }
}

/// How far a node is from the top, which is 1; ids are paths.
fn storey(id: &CategoryId) -> usize {
    id.as_str().matches('/').count() + 1
}

struct Planting {
    nodes: Vec<CategoryRecord>,
    leaves: Vec<Leaf>,
}

impl Planting {
    fn node(&mut self, name: &str, path: &str, parents: Vec<CategoryId>) -> CategoryId {
        let id = CategoryId::parse(path).expect("words joined by slashes");
        self.nodes.push(CategoryRecord {
            id: id.clone(),
            name: Some(name.to_owned()),
            parents,
        });
        id
    }

    /// Puts some nodes of the third storey under a kind of another department too. Edges lead
    /// from the third storey to the second, so no cycle can arise.
    fn add_second_parents(&mut self, stream: &mut Stream) {
        let kinds: Vec<CategoryId> = self
            .nodes
            .iter()
            .map(|node| node.id.clone())
            .filter(|id| storey(id) == 2)
            .collect();
        for node in self.nodes.iter_mut().filter(|node| storey(&node.id) == 3) {
            let is_chosen = stream.permille(SECOND_PARENTS_PERMILLE);
            let second = stream.among(&kinds);
            if is_chosen && !node.parents.contains(second) {
                node.parents.push(second.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(n_variants: u64, by_storey: [usize; 4]) {
        let tree = Tree::new(n_variants, 1);
        let mut found = [0; 4];
        for node in &tree.nodes {
            found[storey(&node.id) - 1] += 1;
        }
        assert_eq!(found, by_storey);
        let shares: u64 = tree.kinds().iter().map(|(_, share)| share).sum();
        assert!((999_900..=1_000_000).contains(&shares), "{shares}");
        let second = tree
            .nodes
            .iter()
            .filter(|node| 1 < node.parents.len())
            .count();
        assert!(0 < second && second * 8 < found[2] + 8, "{second}");
    }

    #[test]
    fn the_tree_grows_with_the_shop() {
        check(400, [4, 12, 24, 0]);
        check(10_000, [6, 24, 72, 144]);
        check(100_000, [12, 72, 288, 864]);
        check(1_000_000, [12, 96, 576, 2_880]);
    }
}
