//! The newest commit ids of a space, so that a repeated commit changes nothing.

use std::collections::{HashMap, VecDeque};

use crate::store::Revision;
use crate::store::commit::CommitId;

/// Ids remembered; older ones are found, if at all, by their stored answers.
pub const IDS_MAX: usize = 65_536;

/// The last [`IDS_MAX`] commit ids and their revisions.
#[derive(Clone, Debug, Default)]
pub struct RecentIds {
    revisions: HashMap<CommitId, Revision>,
    order: VecDeque<CommitId>,
}

impl RecentIds {
    /// The revision a commit of this id made, if it is remembered.
    pub fn get(&self, id: CommitId) -> Option<Revision> {
        self.revisions.get(&id).copied()
    }

    /// Remembers an id and forgets the oldest above the bound.
    pub fn add(&mut self, id: CommitId, revision: Revision) {
        if self.revisions.insert(id, revision).is_some() {
            return;
        }
        self.order.push_back(id);
        if IDS_MAX < self.order.len()
            && let Some(oldest) = self.order.pop_front()
        {
            self.revisions.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> CommitId {
        CommitId(u128::from(n).to_be_bytes())
    }

    #[test]
    fn the_newest_ids_are_remembered_and_no_more() {
        let mut ids = RecentIds::default();
        for n in 1..=IDS_MAX as u64 + 2 {
            ids.add(id(n), Revision(n));
        }
        assert_eq!(ids.get(id(2)), None);
        assert_eq!(ids.get(id(3)), Some(Revision(3)));
        assert_eq!(ids.order.len(), ids.revisions.len());
    }
}
