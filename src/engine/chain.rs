//! The nightly digest over the audit.
//!
//! Each night one entry is written whose digest is made of the digest before it and of all entries
//! since: whoever changes or removes an old entry would have to write all digests behind it anew,
//! and those who have noted one of them would see it.
//!
//! ```text
//! digest = SHA-256(digest before ‖ each entry: key, length, key bytes; form, length, form bytes)
//! ```
//!
//! Lengths are 32 bits, big end first; before the first digest stand 32 zeros. The entry carries
//! the midnight (UTC) up to which it reaches, so it belongs to what the next one covers; a key made
//! of that midnight alone keeps a second run from writing another one. Nights without any entry
//! have none.

use sha2::{Digest, Sha256};

use crate::domain::time::{DAY_MS, Timestamp};
use crate::engine::audit::{AuditPlace, Entries};
use crate::engine::error::EngineError;
use crate::engine::start::Engine;
use crate::record::Stored;
use crate::record::desk::{AuditV1, MetaV1};
use crate::record::key;
use crate::store::codec;
use crate::store::commit::{Commit, CommitError, CommitId, Expected, Write};
use crate::store::key::Key;

/// How long after midnight a day is over for certain: an entry carries the time at which it was
/// decided, and is written within seconds.
const MARGIN_MS: i64 = DAY_MS / 24;

/// Who writes these entries.
const ACTOR: &str = "audit";

/// What they are called.
const ACTION: &str = "audit.digest";

/// A digest being made.
struct Chain(Sha256);

impl Chain {
    fn after(digest: Option<[u8; 32]>) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(digest.unwrap_or_default());
        Self(hasher)
    }

    fn add(&mut self, key: &Key, form: &[u8]) {
        for part in [key.as_str().as_bytes(), form] {
            let length = u32::try_from(part.len()).expect("keys and values are bounded");
            self.0.update(length.to_be_bytes());
            self.0.update(part);
        }
    }

    fn end(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// The key of the digest that reaches up to a midnight: no other entry ends with zeros, but one in
/// four thousand million.
fn key_of(midnight: i64) -> Key {
    key::audit(Timestamp(midnight), CommitId([0; 16]))
}

impl Engine {
    /// Writes the digest of what the nights before left open.
    pub(in crate::engine) async fn chain_audit(&self, now: Timestamp) -> Result<(), EngineError> {
        let midnight = (now.0 - MARGIN_MS).div_euclid(DAY_MS) * DAY_MS;
        if self.trade().get(&key_of(midnight)).await?.is_some() {
            return Ok(());
        }
        let (mut entries, before) = match self.last_digest(midnight).await? {
            Some((at, digest)) => (Entries::from(self, Timestamp(at)), Some(digest)),
            None => (Entries::after(self, AuditPlace::default()), None),
        };
        let mut chain = Chain::after(before);
        let mut n_entries = 0;
        while let Some(entry) = entries.next().await? {
            let form = AuditV1::open(&entry.value)?;
            if midnight <= form.at {
                break;
            }
            n_entries += usize::from(form.action != ACTION);
            let payload = entry.value.payload().map_err(EngineError::internal)?;
            chain.add(&entry.key, &payload);
        }
        if n_entries == 0 {
            return Ok(());
        }
        self.write_digest(midnight, before, chain.end(), now).await
    }

    /// The newest digest that reaches no further than `midnight`.
    async fn last_digest(&self, midnight: i64) -> Result<Option<(i64, [u8; 32])>, EngineError> {
        let meta = self.config().folded().get(&key::meta()).map(MetaV1::open);
        let created = meta.transpose()?.map_or(midnight, |meta| meta.created);
        let mut at = midnight;
        while created <= at {
            if let Some(value) = self.trade().get(&key_of(at)).await? {
                let form = AuditV1::open(&value)?;
                if let Some(digest) = form.after.filter(|_| form.action == ACTION) {
                    return Ok(Some((at, digest)));
                }
            }
            at -= DAY_MS;
        }
        Ok(None)
    }

    async fn write_digest(
        &self,
        midnight: i64,
        before: Option<[u8; 32]>,
        after: [u8; 32],
        now: Timestamp,
    ) -> Result<(), EngineError> {
        let object = key_of(midnight);
        let entry = AuditV1 {
            at: midnight,
            actor: ACTOR.to_owned(),
            address: None,
            action: ACTION.to_owned(),
            object: object.to_string(),
            before,
            after: Some(after),
            version: None,
            schema: 0,
            refused: None,
        };
        let payload = codec::encode(&entry).map_err(EngineError::internal)?;
        let write = Write::put(object.clone(), AuditV1::KIND, AuditV1::SCHEMA, &payload);
        let writes = vec![write.map_err(EngineError::internal)?];
        let commit = Commit::new(self.entropy().commit_id(), now, writes);
        match self
            .trade()
            .commit(commit.guarded(object, Expected::Absent))
            .await
        {
            // Somebody else was faster.
            Ok(_) | Err(CommitError::Conflict { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(before: Option<[u8; 32]>, entries: &[(&str, &[u8])]) -> [u8; 32] {
        let mut chain = Chain::after(before);
        for (key, form) in entries {
            chain.add(&Key::parse(key).unwrap(), form);
        }
        chain.end()
    }

    #[test]
    fn a_digest_is_the_documented_sum() {
        let mut bytes = vec![0; 32];
        bytes.extend_from_slice(b"\0\0\0\x07audit.1\0\0\0\x02ab");
        let expected: [u8; 32] = Sha256::digest(&bytes).into();
        assert_eq!(digest(None, &[("audit.1", b"ab")]), expected);
    }

    #[test]
    fn nothing_can_be_changed_moved_or_left_out() {
        let whole = digest(None, &[("audit.1", b"ab"), ("audit.2", b"c")]);
        for other in [
            digest(None, &[("audit.1", b"ab")]),
            digest(None, &[("audit.1", b"a"), ("audit.2", b"bc")]),
            digest(None, &[("audit.2", b"c"), ("audit.1", b"ab")]),
            digest(None, &[("audit.1", b"ab"), ("audit.2", b"d")]),
            digest(Some([1; 32]), &[("audit.1", b"ab"), ("audit.2", b"c")]),
        ] {
            assert_ne!(whole, other);
        }
    }
}
