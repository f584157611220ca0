//! What a space must hold, kept in plain maps beside it.

use std::collections::BTreeMap;

use endcap::store::commit::{Change, Commit, Expected};
use endcap::store::key::Key;
use endcap::store::shared::Shared;
use endcap::store::{Revision, Space};

/// Each key of the twin: revision of its last change and the CRC of its payload.
pub(crate) type Twin = BTreeMap<String, (u64, u32)>;

/// What a space must hold: acknowledged, or possibly there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expectation {
    /// State after the last acknowledged commit.
    pub(crate) state: Twin,
    pub(crate) revision: u64,
    /// Ids of acknowledged commits and their revisions.
    pub(crate) ids: BTreeMap<u64, u64>,
    /// The group whose answer never came: wholly there or not at all.
    pub(crate) open: Option<Box<Expectation>>,
}

impl Expectation {
    /// Makes a commit named `n`.
    pub(crate) fn apply(&mut self, n: u64, commit: &Commit) {
        self.revision += 1;
        self.ids.insert(n, self.revision);
        for write in &commit.writes {
            match &write.change {
                Change::Put(draft) => {
                    let value = draft.seal(&write.key, Revision(self.revision));
                    let payload = crc32fast::hash(&value.payload().unwrap());
                    self.state
                        .insert(write.key.to_string(), (self.revision, payload));
                }
                Change::Delete => {
                    self.state.remove(write.key.as_str());
                }
            }
        }
    }

    /// Whether a commit named `n` is new and its guards hold.
    pub(crate) fn admits(&self, n: u64, commit: &Commit) -> bool {
        let holds = |(key, expected): &(Key, Expected)| {
            let found = self
                .state
                .get(key.as_str())
                .map(|(revision, _)| Revision(*revision));
            match expected {
                Expected::Absent => found.is_none(),
                Expected::At(revision) => found == Some(*revision),
            }
        };
        !self.ids.contains_key(&n) && commit.guards.iter().all(holds)
    }

    /// The space holds exactly this: the group whose answer never came wholly or not at all.
    #[track_caller]
    pub(crate) fn check(&mut self, shared: &Shared) {
        let (space, revision) = (shared.identity().space, shared.revision().0);
        if let Some(open) = self.open.take()
            && revision == open.revision
        {
            *self = *open;
        }
        assert_eq!(revision, self.revision, "revision of {}", space.name());
        if space == Space::Events {
            let begin = Revision(shared.identity().era - 1);
            let records = shared.records_after(begin).unwrap();
            assert_eq!(records.len() as u64, revision - begin.0);
            return;
        }
        let mut found = Twin::new();
        for prefix in ["", "order.", "audit."] {
            for entry in shared.scan(prefix, None, 1_000).unwrap() {
                let payload = crc32fast::hash(&entry.value.payload().unwrap());
                found.insert(entry.key.to_string(), (entry.value.revision().0, payload));
            }
        }
        assert_eq!(found, self.state, "state of {}", space.name());
    }
}
