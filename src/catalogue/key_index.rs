//! From a key to its ordinal, in shards that copies share.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use hashbrown::HashTable;

/// Entries a shard is made for; the number of shards follows from the size at the build.
const SHARD: usize = 2_048;

/// Finds ordinals by key; the keys themselves stay with the owner, who is asked for them.
///
/// 4 bytes and one control byte an entry, at a load of at least 7/16.
#[derive(Clone, Debug)]
pub(super) struct KeyIndex {
    shards: Vec<Arc<HashTable<u32>>>,
}

impl KeyIndex {
    /// Indexes distinct keys by their place.
    pub(super) fn build<'a>(keys: impl ExactSizeIterator<Item = &'a str>) -> Self {
        let n_shards = (keys.len() / SHARD + 1).next_power_of_two();
        let mut shards = vec![Vec::new(); n_shards];
        for (ordinal, key) in (0_u32..).zip(keys) {
            let hash = hash_of(key);
            shards[shard_of(hash, n_shards)].push((hash, ordinal));
        }
        let table = |entries: Vec<(u64, u32)>| {
            let mut table = HashTable::with_capacity(entries.len());
            let rehash = |_: &u32| 0;
            for (hash, ordinal) in entries {
                // The capacity suffices, so `rehash` is never asked.
                table.insert_unique(hash, ordinal, rehash);
            }
            Arc::new(table)
        };
        Self {
            shards: shards.into_iter().map(table).collect(),
        }
    }

    /// The ordinal of `key`.
    pub(super) fn find<'a>(&self, key: &str, key_of: impl Fn(u32) -> &'a str) -> Option<u32> {
        let hash = hash_of(key);
        self.shards[shard_of(hash, self.shards.len())]
            .find(hash, |&ordinal| key_of(ordinal) == key)
            .copied()
    }

    /// Adds a key that is not in it.
    pub(super) fn insert<'a>(&mut self, key: &str, ordinal: u32, key_of: impl Fn(u32) -> &'a str) {
        let hash = hash_of(key);
        let shard = shard_of(hash, self.shards.len());
        Arc::make_mut(&mut self.shards[shard])
            .insert_unique(hash, ordinal, |&other| hash_of(key_of(other)));
    }

    /// Takes the key of `ordinal` out.
    pub(super) fn remove(&mut self, key: &str, ordinal: u32) {
        let hash = hash_of(key);
        let shard = shard_of(hash, self.shards.len());
        let table = Arc::make_mut(&mut self.shards[shard]);
        if let Ok(entry) = table.find_entry(hash, |&other| other == ordinal) {
            entry.remove();
        }
    }
}

/// Seeded alike in every process, so that equal input takes equal steps.
fn hash_of(key: &str) -> u64 {
    BuildHasherDefault::<DefaultHasher>::default().hash_one(key)
}

/// The table uses the low bits and the top seven, so shards are told apart by bits in between.
fn shard_of(hash: u64, n_shards: usize) -> usize {
    (hash >> 32) as usize & (n_shards - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_until_removed() {
        let mut keys: Vec<String> = (0..5_000).map(|number| format!("k{number}")).collect();
        let mut index = KeyIndex::build(keys.iter().map(String::as_str));
        let before = index.clone();
        keys.push("late".to_owned());
        for extra in 0..5_000 {
            keys.push(format!("x{extra}"));
        }
        for ordinal in 5_000..keys.len() {
            let number = u32::try_from(ordinal).unwrap();
            index.insert(&keys[ordinal], number, |other| &keys[other as usize]);
        }
        index.remove("k17", 17);
        let find = |key: &str| index.find(key, |other| &keys[other as usize]);
        assert_eq!(find("k16"), Some(16));
        assert_eq!(find("k17"), None);
        assert_eq!(find("late"), Some(5_000));
        assert_eq!(find("x4999"), Some(10_000));
        assert_eq!(before.find("k17", |other| &keys[other as usize]), Some(17));
        assert_eq!(before.find("late", |other| &keys[other as usize]), None);
    }
}
