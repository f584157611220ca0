//! The category graph: nodes with several parents, no loops, and placeholders for undefined ids.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::catalogue::lists::Lists;
use crate::catalogue::product::CategoryRecord;
use crate::domain::category::CategoryId;

/// Most nodes of a market's graph, placeholders included.
pub const CATEGORIES_MAX: usize = 100_000;

/// Most edges on a way upward; a longer chain is no assortment but a damaged feed.
pub const DEPTH_MAX: usize = 100;

/// Most nodes directly above one node.
pub const PARENTS_MAX: usize = 100;

/// Ordinal of a category in one graph, ascending by id; another graph numbers anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Node(pub u32);

/// Categories of one market and the edges between them.
///
/// A directed acyclic graph. It holds every id that a record defines, a record names as parent, or
/// a product is in; an id without a record is a *placeholder*: it has no name, but edges, units
/// and marks like any other. The order of records is irrelevant.
#[derive(Clone, Debug, PartialEq)]
pub struct CategoryGraph {
    /// Ascending.
    ids: Vec<CategoryId>,
    names: Vec<Option<Arc<str>>>,
    parents: Lists<Node>,
    children: Lists<Node>,
}

/// Categories that are all above each other, from child to parent, the first repeated at the end.
pub type Loop = Vec<CategoryId>;

impl CategoryGraph {
    /// Resolves the edges of `records`, of which at most one defines an id; `named` are ids that
    /// products are in.
    ///
    /// # Errors
    /// One loop for each part of the graph that has any, beginning with its smallest id.
    pub fn build<'a>(
        records: impl Iterator<Item = &'a CategoryRecord> + Clone,
        named: impl Iterator<Item = &'a CategoryId>,
    ) -> Result<Self, Vec<Loop>> {
        let mut known: BTreeSet<&CategoryId> = named.collect();
        for record in records.clone() {
            known.insert(&record.id);
            known.extend(&record.parents);
        }
        let ids: Vec<CategoryId> = known.into_iter().cloned().collect();
        let node = |id: &CategoryId| Node(ordinal(ids.binary_search(id).unwrap_or(0)));
        let mut names = vec![None; ids.len()];
        let mut edges = BTreeSet::new();
        for record in records {
            let child = node(&record.id);
            names[child.0 as usize] = record.name.as_deref().map(Arc::from);
            edges.extend(record.parents.iter().map(|parent| (child, node(parent))));
        }
        let upward = edges.iter().map(|&(child, parent)| (child.0, parent));
        let parents = Lists::bucketed(ids.len(), upward, Node(0));
        let downward = edges.iter().map(|&(child, parent)| (parent.0, child));
        let children = Lists::bucketed(ids.len(), downward, Node(0));
        let graph = Self {
            ids,
            names,
            parents,
            children,
        };
        let loops = graph.loops();
        if loops.is_empty() {
            Ok(graph)
        } else {
            Err(loops)
        }
    }

    /// Number of nodes.
    pub fn len(&self) -> usize {
        self.ids.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ids.is_empty()
    }

    /// All nodes, ascending by id.
    pub fn nodes(&self) -> impl Iterator<Item = Node> + use<> {
        (0..ordinal(self.ids.len())).map(Node)
    }

    /// The node of an id, written `tree:key`.
    pub fn find(&self, id: &str) -> Option<Node> {
        let place = self.ids.binary_search_by(|own| own.as_str().cmp(id));
        place.ok().map(|idx| Node(ordinal(idx)))
    }

    /// The node's id.
    pub fn id(&self, node: Node) -> &CategoryId {
        &self.ids[node.0 as usize]
    }

    /// The node's name for people; `None` if it is a placeholder.
    pub fn name(&self, node: Node) -> Option<&str> {
        self.names[node.0 as usize].as_deref()
    }

    /// Nodes directly above, ascending.
    pub fn parents(&self, node: Node) -> &[Node] {
        self.parents.at(node.0 as usize)
    }

    /// Nodes directly below, ascending.
    pub fn children(&self, node: Node) -> &[Node] {
        self.children.at(node.0 as usize)
    }

    /// The node and all above it, ascending by number, each once. Walks the graph upward.
    pub fn ancestors_or_self(&self, node: Node) -> Vec<Node> {
        Self::closure(&[node], &self.parents)
    }

    /// The node and all below it, ascending by number, each once. Walks the graph downward.
    pub fn descendants_or_self(&self, node: Node) -> Vec<Node> {
        Self::closure(&[node], &self.children)
    }

    /// The nodes and all above them, ascending by number, each once.
    pub fn ancestors_or_selves(&self, nodes: &[Node]) -> Vec<Node> {
        Self::closure(nodes, &self.parents)
    }

    /// Placeholders, ascending by id.
    pub fn placeholders(&self) -> impl Iterator<Item = &CategoryId> {
        let all = self.ids.iter().zip(&self.names);
        all.filter(|(_, name)| name.is_none()).map(|(id, _)| id)
    }

    /// Nodes from which some way upward is longer than [`DEPTH_MAX`].
    pub fn too_deep(&self) -> Vec<Node> {
        let mut depth = vec![0_usize; self.len()];
        let mut n_waiting: Vec<usize> = self.nodes().map(|node| self.parents(node).len()).collect();
        let is_root = |node: &Node| self.parents(*node).is_empty();
        let mut free: Vec<Node> = self.nodes().filter(is_root).collect();
        while let Some(node) = free.pop() {
            for child in self.children(node) {
                let below = child.0 as usize;
                depth[below] = depth[below].max(depth[node.0 as usize] + 1);
                n_waiting[below] -= 1;
                if n_waiting[below] == 0 {
                    free.push(*child);
                }
            }
        }
        let too_deep = |node: &Node| DEPTH_MAX < depth[node.0 as usize];
        self.nodes().filter(too_deep).collect()
    }

    fn closure(from: &[Node], edges: &Lists<Node>) -> Vec<Node> {
        let mut seen: BTreeSet<Node> = from.iter().copied().collect();
        let mut open: Vec<Node> = seen.iter().copied().collect();
        while let Some(node) = open.pop() {
            for &next in edges.at(node.0 as usize) {
                if seen.insert(next) {
                    open.push(next);
                }
            }
        }
        seen.into_iter().collect()
    }

    /// One loop for each knot that is left when nodes without open parents are taken away, and
    /// nodes without open children likewise.
    fn loops(&self) -> Vec<Loop> {
        let mut knotted = self.peel(&vec![true; self.len()], &self.parents, &self.children);
        knotted = self.peel(&knotted, &self.children, &self.parents);
        let mut loops = Vec::new();
        for start in self.nodes() {
            if !knotted[start.0 as usize] {
                continue;
            }
            if let Some(path) = self.way_back(start, &knotted) {
                for &node in &path {
                    knotted[node.0 as usize] = false;
                }
                let ids = path.iter().map(|&node| self.id(node).clone());
                loops.push(ids.chain([self.id(start).clone()]).collect());
            }
        }
        loops
    }

    /// Which of the `open` nodes stay when those whose `before` are all gone are taken away in turn.
    fn peel(&self, open: &[bool], before: &Lists<Node>, after: &Lists<Node>) -> Vec<bool> {
        let mut left = open.to_vec();
        let is_open = |node: &&Node| open[node.0 as usize];
        let waiting = |node: usize| before.at(node).iter().filter(is_open).count();
        let mut n_waiting: Vec<usize> = (0..self.len()).map(waiting).collect();
        let mut free: Vec<usize> = (0..self.len())
            .filter(|&node| open[node] && n_waiting[node] == 0)
            .collect();
        while let Some(node) = free.pop() {
            left[node] = false;
            for next in after.at(node).iter().filter(is_open) {
                let next = next.0 as usize;
                n_waiting[next] -= 1;
                if n_waiting[next] == 0 {
                    free.push(next);
                }
            }
        }
        left
    }

    /// A shortest way from `start` upward back to itself, `start` first.
    fn way_back(&self, start: Node, within: &[bool]) -> Option<Vec<Node>> {
        let mut came_from = vec![None; self.len()];
        let mut ring = vec![start];
        while !ring.is_empty() {
            let mut next_ring = Vec::new();
            for node in ring {
                for &parent in self.parents(node) {
                    if parent == start {
                        return Some(trail(&came_from, start, node));
                    }
                    let place = parent.0 as usize;
                    if within[place] && came_from[place].is_none() {
                        came_from[place] = Some(node);
                        next_ring.push(parent);
                    }
                }
            }
            ring = next_ring;
        }
        None
    }
}

/// The way from `start` to `end` along `came_from`.
fn trail(came_from: &[Option<Node>], start: Node, end: Node) -> Vec<Node> {
    let mut way = vec![end];
    let mut node = end;
    while node != start {
        let Some(previous) = came_from[node.0 as usize] else {
            break;
        };
        way.push(previous);
        node = previous;
    }
    way.reverse();
    way
}

/// An index as an ordinal.
fn ordinal(idx: usize) -> u32 {
    u32::try_from(idx).expect("a graph has at most 100,000 categories and what they name")
}
