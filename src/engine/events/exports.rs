//! Files of figures that somebody asked for, kept for a while.
//!
//! They are copies and live in memory: a restart, seven days or too many others end them, and
//! asking again makes them again.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use crate::access::may::{Object, Verb};
use crate::access::principal::Principal;
use crate::domain::id::{ExportId, MarketId};
use crate::domain::time::{DAY_MS, Timestamp};
use crate::engine::error::EngineError;
use crate::engine::start::Engine;

/// How long an export is kept: 7 days.
pub const KEPT_MS: i64 = 7 * DAY_MS;

/// Bytes of all exports together.
const BYTES_MAX: usize = 256 << 20;

/// What an export is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportDraft {
    /// The market.
    pub market: MarketId,
    /// What the rows are, such as `moments`.
    pub kind: &'static str,
    /// How they are written.
    pub media: &'static str,
    /// Whether profit or cost is in them.
    pub has_profit: bool,
    /// Rows.
    pub n_rows: u64,
    /// The file.
    pub bytes: Vec<u8>,
}

/// A file that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// Its id.
    pub id: ExportId,
    /// When it was made.
    pub made: Timestamp,
    /// Digest of its bytes.
    pub sha256: [u8; 32],
    /// What it is.
    pub draft: ExportDraft,
}

/// The exports that are kept, oldest first.
#[derive(Debug, Default)]
pub(in crate::engine) struct Exports(Mutex<VecDeque<Arc<Export>>>);

impl Exports {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Export>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, export: Arc<Export>) {
        let mut kept = self.lock();
        let now = export.made;
        kept.push_back(export);
        let bytes = |kept: &VecDeque<Arc<Export>>| {
            let all = kept.iter().map(|own| own.draft.bytes.len());
            all.sum::<usize>()
        };
        while kept.len() > 1 && (bytes(&kept) > BYTES_MAX || kept[0].made.plus_ms(KEPT_MS) <= now) {
            kept.pop_front();
        }
    }
}

impl Engine {
    /// Keeps a file for whoever may read the figures of its market.
    pub fn keep_export(&self, draft: ExportDraft) -> Arc<Export> {
        let export = Arc::new(Export {
            id: ExportId(self.new_id()),
            made: self.now(),
            sha256: Sha256::digest(&draft.bytes).into(),
            draft,
        });
        self.exports().keep(Arc::clone(&export));
        export
    }

    /// A file that was made.
    ///
    /// # Errors
    /// What the caller may not read; `export-gone`, `not-found` for one of another market.
    pub fn export(&self, principal: &Principal, id: ExportId) -> Result<Arc<Export>, EngineError> {
        principal.may(Verb::ReadPromotions, &Object::Anywhere)?;
        let now = self.now();
        let is_it = |own: &&Arc<Export>| own.id == id && now < own.made.plus_ms(KEPT_MS);
        let found = self.exports().lock().iter().find(is_it).cloned();
        let export = found.ok_or(EngineError::ExportGone)?;
        let market = Object::Market(&export.draft.market);
        if principal.may(Verb::ReadPromotions, &market).is_err() {
            let (what, id) = ("export", id.to_string());
            return Err(EngineError::NotFound { what, id });
        }
        if export.draft.has_profit {
            principal.may_see_cost()?;
        }
        Ok(export)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn export(number: u8, made: i64, n_bytes: usize) -> Arc<Export> {
        Arc::new(Export {
            id: ExportId([number; 16]),
            made: Timestamp(made),
            sha256: [0; 32],
            draft: ExportDraft {
                market: MarketId::parse("se").unwrap(),
                kind: "moments",
                media: "text/csv",
                has_profit: true,
                n_rows: 1,
                bytes: vec![0; n_bytes],
            },
        })
    }

    #[test]
    fn the_oldest_go_for_age_and_room() {
        let exports = Exports::default();
        let kept = || -> Vec<u8> { exports.lock().iter().map(|own| own.id.0[0]).collect() };
        exports.keep(export(1, 0, 10));
        exports.keep(export(2, KEPT_MS - 1, 10));
        assert_eq!(kept(), [1, 2]);
        exports.keep(export(3, KEPT_MS, 10));
        assert_eq!(kept(), [2, 3]);
        exports.keep(export(4, KEPT_MS, BYTES_MAX - 15));
        assert_eq!(kept(), [3, 4]);
    }
}
