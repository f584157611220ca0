//! The last day on which each key was used.
//!
//! A use is noted in memory, and written at most hourly, into the space that moves no revision of
//! the configuration. A kill loses the notes of an hour: a key seems unused for a day at most.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::domain::id::KeyId;
use crate::domain::time::{DAY_MS, Timestamp};
use crate::engine::error::EngineError;
use crate::engine::start::Engine;
use crate::record::Stored;
use crate::record::desk::UsedV1;
use crate::record::key;
use crate::store::codec;
use crate::store::commit::Write;
use crate::store::key::Key;

/// Records looked at, and at most written, at a time.
const PAGE: usize = 500;

/// Uses that are not written yet: when each key was last used.
#[derive(Debug, Default)]
pub(in crate::engine) struct Uses(Mutex<BTreeMap<KeyId, Timestamp>>);

impl Uses {
    /// Notes that a key was used; never waits, for the note may come with the next use.
    pub(in crate::engine) fn note(&self, key: KeyId, at: Timestamp) {
        if let Ok(mut used) = self.0.try_lock() {
            used.insert(key, at);
        }
    }

    fn find(&self, key: KeyId) -> Option<Timestamp> {
        let used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        used.get(&key).copied()
    }

    fn take(&self) -> BTreeMap<KeyId, Timestamp> {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *used)
    }

    /// Takes back what could not be written; newer notes stand.
    fn give_back(&self, notes: BTreeMap<KeyId, Timestamp>) {
        let mut used = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, at) in notes {
            used.entry(key).or_insert(at);
        }
    }
}

/// Midnight of the day in UTC.
fn day_of(at: Timestamp) -> i64 {
    at.0.div_euclid(DAY_MS) * DAY_MS
}

impl Engine {
    /// Midnight in UTC of the last day on which a key was used; `None` if it never was.
    ///
    /// # Errors
    /// `internal` for a damaged record.
    pub fn last_used_day(&self, id: KeyId) -> Result<Option<Timestamp>, EngineError> {
        let noted = self.uses().find(id).map(day_of);
        let trade = self.trade().folded();
        let written = trade.get(&key::used(id)).map(UsedV1::open).transpose()?;
        let written = written.map(|used| used.day);
        Ok(noted.max(written).map(Timestamp))
    }

    /// Writes the days on which keys were used, where they changed, and forgets those of keys that
    /// are gone.
    pub(in crate::engine) async fn note_uses(&self, now: Timestamp) -> Result<(), EngineError> {
        let notes = self.uses().take();
        let written = self.write_uses(&notes, now).await;
        if written.is_err() {
            self.uses().give_back(notes);
        }
        written
    }

    async fn write_uses(
        &self,
        notes: &BTreeMap<KeyId, Timestamp>,
        now: Timestamp,
    ) -> Result<(), EngineError> {
        let mut writes = Vec::new();
        let trade = self.trade().folded();
        let keys = &self.snapshot().keys;
        for (id, at) in notes.iter().filter(|(id, _)| keys.contains_key(id)) {
            let object = key::used(*id);
            let known = trade.get(&object).map(UsedV1::open).transpose()?;
            let day = day_of(*at);
            if known.is_none_or(|used| used.day < day) {
                let payload = codec::encode(&UsedV1 { day }).map_err(EngineError::internal)?;
                let write = Write::put(object, UsedV1::KIND, UsedV1::SCHEMA, &payload);
                writes.push(write.map_err(EngineError::internal)?);
            }
        }
        writes.extend(self.uses_of_no_key().await?);
        for part in writes.chunks(PAGE) {
            self.commit_sweep(self.trade(), part.to_vec(), now).await?;
        }
        Ok(())
    }

    async fn uses_of_no_key(&self) -> Result<Vec<Write>, EngineError> {
        let mut forgotten = Vec::new();
        let mut after: Option<Key> = None;
        loop {
            let entries = self.trade().scan("used.", after.clone(), PAGE).await?;
            let Some(last) = entries.last() else {
                return Ok(forgotten);
            };
            after = Some(last.key.clone());
            // Taken after the records, so that none of them is of a key yet to be seen.
            let snapshot = self.snapshot();
            let live: std::collections::BTreeSet<Key> =
                snapshot.keys.keys().map(|id| key::used(*id)).collect();
            let gone = entries
                .into_iter()
                .map(|entry| entry.key)
                .filter(|key| !live.contains(key));
            forgotten.extend(gone.map(Write::delete));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_note_of_a_key_stands() {
        let (uses, key) = (Uses::default(), KeyId([1; 16]));
        assert_eq!(uses.find(key), None);
        uses.note(key, Timestamp(5));
        let taken = uses.take();
        assert_eq!(uses.find(key), None);
        uses.note(key, Timestamp(9));
        uses.give_back(taken);
        assert_eq!(uses.find(key), Some(Timestamp(9)));
        uses.give_back(BTreeMap::from([(KeyId([2; 16]), Timestamp(3))]));
        assert_eq!(uses.find(KeyId([2; 16])), Some(Timestamp(3)));
    }

    #[test]
    fn a_day_begins_at_midnight_in_utc() {
        assert_eq!(day_of(Timestamp(DAY_MS - 1)), 0);
        assert_eq!(day_of(Timestamp(DAY_MS)), DAY_MS);
        assert_eq!(day_of(Timestamp(-1)), -DAY_MS);
    }
}
