//! All hot keys of a space at one revision: immutable, shared, cheap to succeed.
//!
//! A sorted list of sorted chunks of at most 512 entries. A successor copies the list of chunk
//! pointers and the chunks it touches, nothing else: for one key in 100,000 that is some 400
//! pointers and one chunk, about 10 µs.

use std::sync::Arc;

use crate::store::codec::Value;
use crate::store::key::Key;
use crate::store::{Entry, Identity, Revision};

/// Most entries of a chunk; a larger one splits in halves.
const CHUNK_ENTRIES_MAX: usize = 512;

type Chunk = Vec<(Key, Value)>;

/// The hot keys of a space at one revision.
#[derive(Clone, Debug)]
pub struct Folded {
    identity: Identity,
    revision: Revision,
    n_entries: usize,
    /// Ascending and disjoint, none empty.
    chunks: Vec<Arc<Chunk>>,
}

impl Folded {
    /// No keys, at `revision`.
    pub fn empty(identity: Identity, revision: Revision) -> Self {
        Self {
            identity,
            revision,
            n_entries: 0,
            chunks: Vec::new(),
        }
    }

    /// The state of these entries, which ascend strictly by key.
    pub fn of(identity: Identity, revision: Revision, entries: Vec<(Key, Value)>) -> Self {
        debug_assert!(
            entries.is_sorted_by(|a, b| a.0 < b.0),
            "ascending, each key once"
        );
        let n_entries = entries.len();
        let mut chunks = Vec::with_capacity(n_entries / CHUNK_ENTRIES_MAX * 2 + 1);
        let mut entries = entries.into_iter().peekable();
        while entries.peek().is_some() {
            let chunk: Chunk = entries.by_ref().take(CHUNK_ENTRIES_MAX / 2).collect();
            chunks.push(Arc::new(chunk));
        }
        Self {
            identity,
            revision,
            n_entries,
            chunks,
        }
    }

    /// Which space of which store.
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// The revision whose state this is.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.n_entries
    }

    /// Whether there are no keys.
    pub fn is_empty(&self) -> bool {
        self.n_entries == 0
    }

    /// The value of a key.
    pub fn get(&self, key: &Key) -> Option<&Value> {
        let chunk = self.chunks.get(self.chunk_of(key))?;
        let place = chunk.binary_search_by(|entry| entry.0.cmp(key)).ok()?;
        Some(&chunk[place].1)
    }

    /// All entries, ascending by key.
    pub fn iter(&self) -> impl Iterator<Item = (&Key, &Value)> {
        self.chunks
            .iter()
            .flat_map(|chunk| chunk.iter().map(|(key, value)| (key, value)))
    }

    /// Entries whose key begins with `prefix` and lies behind `after`, ascending.
    pub fn scan<'a>(
        &'a self,
        prefix: &'a str,
        after: Option<&'a Key>,
    ) -> impl Iterator<Item = (&'a Key, &'a Value)> {
        let start = match after {
            Some(after) if prefix < after.as_str() => after.as_str(),
            _ => prefix,
        };
        let chunk = self
            .chunks
            .partition_point(|chunk| last_key(chunk).as_str() < start);
        self.chunks[chunk..]
            .iter()
            .flat_map(|chunk| chunk.iter().map(|(key, value)| (key, value)))
            .skip_while(move |(key, _)| key.as_str() < start)
            .skip_while(move |(key, _)| Some(*key) == after)
            .take_while(move |(key, _)| key.as_str().starts_with(prefix))
    }

    /// As [`scan`](Self::scan), with at most `max` entries, owned.
    pub fn page(&self, prefix: &str, after: Option<&Key>, max: usize) -> Vec<Entry> {
        let entry = |(key, value): (&Key, &Value)| Entry {
            key: key.clone(),
            value: value.clone(),
        };
        self.scan(prefix, after).take(max).map(entry).collect()
    }

    /// Makes this the state at `revision` by applying changes, cold keys left out. Chunks that
    /// other states share are copied first.
    pub fn apply<'a>(
        &mut self,
        revision: Revision,
        writes: impl IntoIterator<Item = &'a (Key, Option<Value>)>,
    ) {
        self.revision = revision;
        for (key, value) in writes {
            if !key.is_cold() {
                self.set(key, value.as_ref());
            }
        }
    }

    fn set(&mut self, key: &Key, value: Option<&Value>) {
        // A key behind all chunks goes into the last one.
        let place = self.chunk_of(key).min(self.chunks.len().saturating_sub(1));
        let Some(shared) = self.chunks.get_mut(place) else {
            if let Some(value) = value {
                self.chunks
                    .push(Arc::new(vec![(key.clone(), value.clone())]));
                self.n_entries = 1;
            }
            return;
        };
        let found = shared.binary_search_by(|entry| entry.0.cmp(key));
        match (found, value) {
            (Err(_), None) => {}
            (Ok(at), Some(value)) => Arc::make_mut(shared)[at].1 = value.clone(),
            (Err(at), Some(value)) => {
                Arc::make_mut(shared).insert(at, (key.clone(), value.clone()));
                self.n_entries += 1;
                self.split(place);
            }
            (Ok(at), None) => {
                Arc::make_mut(shared).remove(at);
                self.n_entries -= 1;
                if shared.is_empty() {
                    self.chunks.remove(place);
                }
            }
        }
    }

    fn split(&mut self, place: usize) {
        if self.chunks[place].len() <= CHUNK_ENTRIES_MAX {
            return;
        }
        let upper = Arc::make_mut(&mut self.chunks[place]).split_off(CHUNK_ENTRIES_MAX / 2);
        self.chunks.insert(place + 1, Arc::new(upper));
    }

    /// The first chunk that does not end before `key`.
    fn chunk_of(&self, key: &Key) -> usize {
        self.chunks.partition_point(|chunk| last_key(chunk) < key)
    }
}

impl PartialEq for Folded {
    /// Equal revision and equal bytes, however they are cut into chunks.
    fn eq(&self, other: &Self) -> bool {
        self.identity == other.identity
            && self.revision == other.revision
            && self.n_entries == other.n_entries
            && self.iter().eq(other.iter())
    }
}

fn last_key(chunk: &Chunk) -> &Key {
    match chunk.last() {
        Some((key, _)) => key,
        None => unreachable!("an emptied chunk is removed at once"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::codec::{Draft, Kind};
    use crate::store::{Space, StoreId};
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const IDENTITY: Identity = Identity {
        store: StoreId([1; 16]),
        era: 1,
        space: Space::Config,
    };

    fn key(n: u16) -> Key {
        Key::parse(&format!("promo.{n}")).unwrap()
    }

    fn value(n: u16, revision: u64) -> Value {
        let draft = Draft::new(Kind(4), 1, &n.to_le_bytes()).unwrap();
        draft.seal(&key(n), Revision(revision))
    }

    /// A state as plain as it can be.
    type Twin = BTreeMap<Key, Value>;

    fn check_equal(folded: &Folded, twin: &Twin) {
        assert!(folded.iter().eq(twin.iter()));
        assert_eq!(folded.len(), twin.len());
        for n in 0..900 {
            assert_eq!(folded.get(&key(n)), twin.get(&key(n)));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(40))]

        #[test]
        fn it_is_a_map_and_older_states_stay(
            steps in prop::collection::vec((0_u16..900, any::<bool>(), 1_usize..60), 1..60),
        ) {
            let (mut folded, mut twin) = (Folded::empty(IDENTITY, Revision(0)), Twin::new());
            let mut kept = Vec::new();
            for (revision, (from, put, n)) in (1..).zip(steps) {
                let numbers = (from..900).step_by(7).take(n);
                let writes: Vec<(Key, Option<Value>)> =
                    numbers.map(|n| (key(n), put.then(|| value(n, revision)))).collect();
                folded.apply(Revision(revision), &writes);
                for (key, value) in writes {
                    match value {
                        Some(value) => twin.insert(key, value),
                        None => twin.remove(&key),
                    };
                }
                kept.push((folded.clone(), twin.clone()));
            }
            for (folded, twin) in &kept {
                check_equal(folded, twin);
            }
        }

        #[test]
        fn scans_are_ranges(
            numbers in prop::collection::btree_set(0_u16..2_000, 0..1_200),
            prefix in "(promo\\.[0-9]{0,2}|p|q|a|)",
            after in prop::option::of(0_u16..2_000),
        ) {
            let mut entries: Vec<(Key, Value)> =
                numbers.iter().map(|&n| (key(n), value(n, 1))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            let after = after.map(key);
            let folded = Folded::of(IDENTITY, Revision(1), entries.clone());
            let expected: Vec<&Key> = entries
                .iter()
                .map(|entry| &entry.0)
                .filter(|key| key.as_str().starts_with(&prefix))
                .filter(|key| after.as_ref().is_none_or(|after| after < key))
                .collect();
            let found: Vec<&Key> = folded.scan(&prefix, after.as_ref()).map(|e| e.0).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn cold_keys_stay_out() {
        let cold = Key::parse("order.se.1").unwrap();
        let draft = Draft::new(Kind(100), 1, b"x").unwrap();
        let write = (cold.clone(), Some(draft.seal(&cold, Revision(1))));
        let mut folded = Folded::empty(IDENTITY, Revision(0));
        folded.apply(Revision(1), [&write]);
        assert_eq!((folded.len(), folded.revision()), (0, Revision(1)));
    }
}
