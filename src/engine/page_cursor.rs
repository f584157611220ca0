//! Cursors of pages: where a page ended, at which revision and instant, and for which request.

use std::hash::Hash;

use siphasher::sip128::{Hasher128, SipHasher24};

use crate::domain::time::Timestamp;
use crate::engine::error::EngineError;
use crate::engine::rank::RankRequest;
use crate::engine::seal::{self, SealKey};
use crate::ranking::cursor::Position;

/// What a cursor carries.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::engine) struct PageCursor {
    /// Revision the first page was answered from.
    pub(in crate::engine) revision: u64,
    /// Instant it was answered for.
    pub(in crate::engine) at: Timestamp,
    /// What was asked.
    pub(in crate::engine) fingerprint: u128,
    /// Where it ended.
    pub(in crate::engine) position: Position,
}

/// Two requests with one fingerprint ask for the same list of pages.
pub(in crate::engine) fn fingerprint(request: &RankRequest) -> u128 {
    let mut hasher = SipHasher24::new();
    request.hash(&mut hasher);
    hasher.finish128().as_u128()
}

impl PageCursor {
    /// Opens a cursor for a request of this fingerprint.
    ///
    /// # Errors
    /// `bad-cursor` if it was altered, or belongs to another request or store.
    pub(in crate::engine) fn open(
        key: &SealKey,
        text: &str,
        fingerprint: u128,
    ) -> Result<Self, EngineError> {
        let bytes = seal::open_cursor(key, text).map_err(|_| EngineError::BadCursor)?;
        let cursor = Self::from_bytes(&bytes).ok_or(EngineError::BadCursor)?;
        if cursor.fingerprint == fingerprint {
            Ok(cursor)
        } else {
            Err(EngineError::BadCursor)
        }
    }

    /// The cursor as callers carry it.
    pub(in crate::engine) fn seal(&self, key: &SealKey) -> String {
        let mut bytes = Vec::with_capacity(96);
        bytes.extend_from_slice(&self.revision.to_le_bytes());
        bytes.extend_from_slice(&self.at.0.to_le_bytes());
        bytes.extend_from_slice(&self.fingerprint.to_le_bytes());
        self.position.write(&mut bytes);
        seal::seal_cursor(key, &bytes)
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (revision, rest) = bytes.split_at_checked(8)?;
        let (at, rest) = rest.split_at_checked(8)?;
        let (fingerprint, rest) = rest.split_at_checked(16)?;
        Some(Self {
            revision: u64::from_le_bytes(revision.try_into().ok()?),
            at: Timestamp(i64::from_le_bytes(at.try_into().ok()?)),
            fingerprint: u128::from_le_bytes(fingerprint.try_into().ok()?),
            position: Position::read(rest)?,
        })
    }
}
