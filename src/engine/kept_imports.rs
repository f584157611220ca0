//! Results of imports as they are kept in the `trade` space, with all of their row errors.

use crate::domain::id::{ImportId, MarketId};
use crate::domain::time::{DAY_MS, Timestamp};
use crate::engine::error::{EngineError, RowError};
use crate::engine::imports::Mode;
use crate::engine::results::{ImportResult, ImportState, ImportWarning};
use crate::engine::snapshot::MarketState;
use crate::engine::standing::Standing;
use crate::engine::start::Engine;
use crate::feed::Kind;
use crate::record::Stored;
use crate::record::import::{ImportV1, RowErrorV1};
use crate::record::key;
use crate::store::chunk::ChunkHash;
use crate::store::codec;
use crate::store::commit::{Commit, Write};

/// Room for the row errors that are kept; of a feed of which every row is wrong, the first ones.
const ERRORS_BYTES_MAX: usize = 4 << 20;

/// What a stored row error takes beside its texts, at most.
const ROW_ERROR_BYTES: usize = 64;

/// An import as kept.
pub(in crate::engine) struct Kept(pub(in crate::engine) ImportV1);

impl Kept {
    pub(in crate::engine) fn result(&self) -> Result<ImportResult, EngineError> {
        let stored = &self.0;
        let damaged = |what: &str| EngineError::internal(format!("import record: {what}"));
        Ok(ImportResult {
            id: ImportId(stored.id),
            market: MarketId::parse(&stored.market).map_err(|_| damaged("market"))?,
            kind: Kind::parse(&stored.kind).map_err(|_| damaged("kind"))?,
            mode: Mode::parse(&stored.mode).map_err(|_| damaged("mode"))?,
            state: ImportState::parse(&stored.state).ok_or_else(|| damaged("state"))?,
            rows: stored.rows,
            added: stored.added,
            changed: stored.changed,
            removed: stored.removed,
            unchanged: stored.unchanged,
            rejected: stored.rejected,
            errors: stored.errors.iter().cloned().map(Into::into).collect(),
            n_errors: stored.n_errors,
            warnings: stored
                .warnings
                .iter()
                .map(|(code, text, count)| ImportWarning {
                    code: code.clone(),
                    text: text.clone(),
                    count: *count,
                })
                .collect(),
            harms: stored.harms.clone(),
            revision: stored.revision,
            took_ms: stored.took_ms,
        })
    }
}

impl From<RowErrorV1> for RowError {
    fn from(stored: RowErrorV1) -> Self {
        let RowErrorV1 {
            row,
            column,
            value,
            code,
            message,
        } = stored;
        Self {
            row,
            column,
            value,
            code,
            message,
        }
    }
}

impl From<&RowError> for RowErrorV1 {
    fn from(error: &RowError) -> Self {
        Self {
            row: error.row,
            column: error.column.clone(),
            value: error.value.clone(),
            code: error.code.clone(),
            message: error.message.clone(),
        }
    }
}

impl Engine {
    pub(in crate::engine) async fn kept_import(
        &self,
        id: ImportId,
    ) -> Result<Option<Kept>, EngineError> {
        let value = self.trade().get(&key::import(id)).await?;
        Ok(value
            .map(|value| ImportV1::open(&value))
            .transpose()?
            .map(Kept))
    }

    /// Every fault of an import, by row; of a feed with more than there is room for, the first ones.
    ///
    /// # Errors
    /// As [`Engine::import_result`].
    pub async fn import_errors(
        &self,
        principal: &crate::access::principal::Principal,
        id: ImportId,
    ) -> Result<Vec<RowError>, EngineError> {
        let result = self.import_result(principal, id).await?;
        let all = self
            .kept_import(id)
            .await?
            .and_then(|kept| kept.0.all_errors);
        let Some(hash) = all else {
            return Ok(result.errors);
        };
        let chunks = self.chunk_store();
        let read = move || -> Result<Vec<RowError>, EngineError> {
            let bytes = chunks
                .get(&ChunkHash(hash))
                .map_err(EngineError::internal)?;
            let stored: Vec<RowErrorV1> =
                codec::decode_chunk(&bytes).map_err(EngineError::internal)?;
            Ok(stored.into_iter().map(Into::into).collect())
        };
        tokio::task::spawn_blocking(read)
            .await
            .map_err(EngineError::internal)?
    }

    /// Keeps a result, all faults and, for one that is held back, its goods.
    pub(in crate::engine) async fn keep_import(
        &self,
        result: &ImportResult,
        all_errors: &[RowError],
        upload: Vec<[u8; 32]>,
    ) -> Result<(), EngineError> {
        let mut form = form_of(result, self.now(), upload);
        if let Some(state) = self.snapshot().markets.get(&result.market) {
            form.base = base_of(state);
        }
        if ImportResult::ERRORS_MAX < all_errors.len() {
            let kept = first_of(all_errors, ERRORS_BYTES_MAX);
            let stored: Vec<RowErrorV1> = kept.iter().map(Into::into).collect();
            let chunks = self.chunk_store();
            let put = move || {
                let bytes = codec::encode_chunk(&stored).map_err(EngineError::internal)?;
                Ok::<_, EngineError>(chunks.put(&bytes)?)
            };
            let hash = tokio::task::spawn_blocking(put)
                .await
                .map_err(EngineError::internal)??;
            form.all_errors = Some(hash.0);
        }
        let payload = codec::encode(&form).map_err(EngineError::internal)?;
        let write = Write::put(
            key::import(result.id),
            ImportV1::KIND,
            ImportV1::SCHEMA,
            &payload,
        );
        let write = write.map_err(EngineError::internal)?;
        let commit = Commit::new(self.entropy().commit_id(), self.now(), vec![write]);
        self.trade().commit(commit).await?;
        Ok(())
    }
}

/// As many row errors from the first on as there is room for.
fn first_of(errors: &[RowError], bytes_max: usize) -> &[RowError] {
    let bytes = |error: &RowError| {
        let texts = [&error.column, &error.value, &error.code, &error.message];
        ROW_ERROR_BYTES + texts.map(String::len).iter().sum::<usize>()
    };
    let mut room = bytes_max;
    let fits = |error: &&RowError| {
        let left = room.checked_sub(bytes(error));
        room = left.unwrap_or(0);
        left.is_some()
    };
    &errors[..errors.iter().take_while(fits).count()]
}

fn form_of(result: &ImportResult, now: Timestamp, upload: Vec<[u8; 32]>) -> ImportV1 {
    ImportV1 {
        id: result.id.0,
        market: result.market.to_string(),
        kind: result.kind.as_str().to_owned(),
        mode: result.mode.as_str().to_owned(),
        state: result.state.as_str().to_owned(),
        started: now.0,
        took_ms: result.took_ms,
        rows: result.rows,
        added: result.added,
        changed: result.changed,
        removed: result.removed,
        unchanged: result.unchanged,
        rejected: result.rejected,
        errors: result.errors.iter().map(Into::into).collect(),
        n_errors: result.n_errors,
        all_errors: None,
        warnings: result
            .warnings
            .iter()
            .map(|warning| (warning.code.clone(), warning.text.clone(), warning.count))
            .collect(),
        harms: result.harms.clone(),
        revision: result.revision,
        kept_until: if upload.is_empty() {
            0
        } else {
            now.plus_ms(DAY_MS).0
        },
        upload,
        base: (0, 0),
    }
}

/// Which goods these are: they change with every import that changes something. Goods that stand
/// in for lost ones are not those that their record names.
pub(in crate::engine) fn base_of(state: &MarketState) -> (u64, u32) {
    let n_deltas = match state.standing {
        Standing::Whole => u32::try_from(state.goods.deltas.len()).unwrap_or(u32::MAX),
        Standing::Older | Standing::Lost => u32::MAX,
    };
    (state.goods.generation, n_deltas)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_kept_from_the_first_while_there_is_room() {
        let error = |row: u64| RowError {
            row,
            column: "price".to_owned(),
            value: "x".repeat(20),
            code: "bad-format".to_owned(),
            message: "no".to_owned(),
        };
        let errors: Vec<RowError> = (1..=5).map(error).collect();
        let each = ROW_ERROR_BYTES + 5 + 20 + 10 + 2;
        for (bytes, expected) in [
            (0, 0),
            (each - 1, 0),
            (3 * each, 3),
            (4 * each - 1, 3),
            (9 * each, 5),
        ] {
            assert_eq!(first_of(&errors, bytes).len(), expected, "{bytes}");
        }
    }
}
