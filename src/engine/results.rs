//! What came of an import, how it is kept, and the step that makes its goods visible.

use std::sync::Arc;

use crate::access::may::{Object, Verb};
use crate::catalogue::Catalogue;
use crate::catalogue::change::Counts;
use crate::catalogue::warning::Warning;
use crate::domain::id::{ImportId, MarketId};
use crate::domain::time::{DAY_MS, Timestamp};
use crate::engine::background;
use crate::engine::commit::{About, Change, Intent, Missed, TRIES, Written, digest};
use crate::engine::error::{EngineError, RowError};
use crate::engine::goods;
use crate::engine::imports::{Checked, ImportOrder, Mode, Progress, RenderImport};
use crate::engine::markets::market_state;
use crate::engine::snapshot::MarketState;
use crate::engine::standing::Standing;
use crate::engine::start::Engine;
use crate::feed::{Format, Kind};
use crate::ranking::base::RankBase;
use crate::record::Stored;
use crate::record::import::{ImportV1, RowErrorV1};
use crate::record::key;
use crate::record::market::MarketV1;
use crate::store::chunk::ChunkHash;
use crate::store::codec;
use crate::store::commit::{Commit, Expected, Write};
use crate::store::fault::fault;

/// Where an import stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportState {
    /// Its rows are coming in.
    Receiving,
    /// All rows are there and being checked.
    Checking,
    /// Its goods stand.
    Applied,
    /// It would do what it says; nothing was changed.
    Valid,
    /// It was refused; nothing was changed.
    Refused,
    /// Somebody called off a held back import.
    Cancelled,
}

impl ImportState {
    /// Every state with its spelling on the wire.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Receiving, "receiving"),
        (Self::Checking, "checking"),
        (Self::Applied, "applied"),
        (Self::Valid, "valid"),
        (Self::Refused, "refused"),
        (Self::Cancelled, "cancelled"),
    ];

    /// As the wire spells it.
    pub fn as_str(self) -> &'static str {
        Self::ALL[self as usize].1
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .find(|(_, name)| *name == text)
            .map(|(state, _)| *state)
    }
}

/// An import and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportResult {
    /// Its id.
    pub id: ImportId,
    /// The market fed.
    pub market: MarketId,
    /// What the rows were about.
    pub kind: Kind,
    /// What they were to do.
    pub mode: Mode,
    /// Where it stands.
    pub state: ImportState,
    /// Rows read.
    pub rows: u64,
    /// Variants and categories that are new.
    pub added: u64,
    /// Variants and categories that differ.
    pub changed: u64,
    /// Variants and categories that are gone.
    pub removed: u64,
    /// Variants and categories that stayed as they were.
    pub unchanged: u64,
    /// Rows that were refused.
    pub rejected: u64,
    /// The first faults, by row.
    pub errors: Vec<RowError>,
    /// Faults in all.
    pub n_errors: u64,
    /// What is odd about the goods.
    pub warnings: Vec<ImportWarning>,
    /// Code and text of what it would do beyond the harm guard's thresholds.
    pub harms: Vec<(String, String)>,
    /// Revision from which its goods stand.
    pub revision: Option<u64>,
    /// Milliseconds from its first byte to its commit.
    pub took_ms: u64,
}

/// Something odd about imported goods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportWarning {
    /// Stable code.
    pub code: String,
    /// What, with the first examples.
    pub text: String,
    /// How many.
    pub count: u64,
}

impl ImportResult {
    /// Most faults that an answer names; all of them can be asked for.
    pub const ERRORS_MAX: usize = 100;

    /// An import of which nothing is known yet.
    pub(in crate::engine) fn begun(id: ImportId, order: &ImportOrder, state: ImportState) -> Self {
        Self {
            id,
            market: order.market.clone(),
            kind: order.kind,
            mode: order.mode,
            state,
            rows: 0,
            added: 0,
            changed: 0,
            removed: 0,
            unchanged: 0,
            rejected: 0,
            errors: Vec::new(),
            n_errors: 0,
            warnings: Vec::new(),
            harms: Vec::new(),
            revision: None,
            took_ms: 0,
        }
    }

    pub(in crate::engine) fn count(&mut self, counts: &Counts) {
        for tally in [&counts.variants, &counts.categories] {
            self.added += u64::from(tally.added);
            self.changed += u64::from(tally.changed);
            self.removed += u64::from(tally.removed);
            self.unchanged += u64::from(tally.unchanged);
        }
    }
}

/// A catalogue's warnings in words.
pub(in crate::engine) fn warnings_of(warnings: &[Warning]) -> Vec<ImportWarning> {
    let list = |items: &mut dyn Iterator<Item = String>| items.collect::<Vec<_>>().join(", ");
    let word = |warning: &Warning| {
        let (code, text, count) = match warning {
            Warning::Placeholders { count, first } => (
                "placeholder-categories",
                format!(
                    "{count} categories are named but not defined: {}",
                    list(&mut first.iter().map(ToString::to_string))
                ),
                *count,
            ),
            Warning::Loops(loops) => (
                "category-loops",
                format!("{} loops of categories were cut", loops.len()),
                loops.len(),
            ),
            Warning::Misfits { attr, count, first } => (
                "misfits",
                format!(
                    "{count} values of \"{attr}\" do not fit its type and count as missing: {}",
                    list(&mut first.iter().cloned())
                ),
                *count,
            ),
            Warning::Unpriced { count } => (
                "unpriced",
                format!("{count} variants have no list price: they rank and are never priced"),
                *count,
            ),
        };
        ImportWarning {
            code: code.to_owned(),
            text,
            count: count as u64,
        }
    };
    warnings.iter().map(word).collect()
}

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

    /// Every fault of an import, by row.
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

    /// Makes checked goods visible, or says why not; keeps the result.
    pub(in crate::engine) async fn finish_import(
        &self,
        intent: &Intent,
        order: &ImportOrder,
        checked: Checked,
        render: RenderImport,
    ) -> Result<Written<ImportResult>, EngineError> {
        let mut result = checked.result.clone();
        if order.mode == Mode::Validate {
            result.state = ImportState::Valid;
            self.keep_import(&result, &result.errors, Vec::new())
                .await?;
            let revision = checked.before.market.revision;
            return Ok(Written::Now(result, revision));
        }
        if !result.harms.is_empty() && !order.force {
            let upload = goods::save_held_back(&*self.chunk_store(), &checked.imported.changes)?;
            self.keep_import(&result, &result.errors, upload).await?;
            return Err(EngineError::ImportHarmful {
                import: result.id,
                harms: result.harms,
            });
        }
        result.state = ImportState::Applied;
        self.apply_import(intent, checked, result, render).await
    }

    async fn apply_import(
        &self,
        intent: &Intent,
        checked: Checked,
        mut result: ImportResult,
        render: RenderImport,
    ) -> Result<Written<ImportResult>, EngineError> {
        let market = result.market.clone();
        let Checked {
            before, imported, ..
        } = checked;
        let chunks = self.chunk_store();
        let (next, goods, base) = tokio::task::spawn_blocking({
            let before = Arc::clone(&before);
            move || {
                background::stand_back();
                let next = Arc::new(imported.next);
                let named = before.goods_to_build_on();
                let goods = goods::next(&*chunks, &named, &next, &imported.changes)?;
                let base = Arc::new(RankBase::after(&before.base, &next));
                Ok::<_, goods::GoodsError>((next, goods, base))
            }
        })
        .await
        .map_err(EngineError::internal)??;
        for _ in 0..TRIES {
            let snapshot = self.snapshot();
            let state = market_state(&snapshot, &market)?;
            if state.goods != before.goods {
                return Err(EngineError::Overloaded);
            }
            let settings = &*state.market.value;
            if *settings == *next.market() {
                self.prepare(goods.clone(), Arc::clone(&next), Arc::clone(&base));
            }
            let object = key::market(&market);
            let form = MarketV1::new(settings, goods.clone());
            let change = Change::put("catalogue.import", object.clone(), &form, self.now())?
                .guard(object, Expected::At(state.market.revision));
            result.revision = None;
            let answer = intent.idempotency.map(|_| render(&result));
            fault!("import.before-commit");
            match self.commit(intent, change, answer.as_ref()).await {
                Ok(revision) => {
                    fault!("import.before-result");
                    result.revision = Some(revision.0);
                    self.keep_import(&result, &result.errors, Vec::new())
                        .await?;
                    return Ok(Written::Now(result, revision));
                }
                Err(Missed::Before) => return self.first_answer(intent).await,
                Err(Missed::Overtaken | Missed::Refused(EngineError::StaleRevision { .. })) => {
                    self.catch_up(&snapshot).await?;
                }
                Err(Missed::Refused(error)) => return Err(error),
            }
        }
        Err(EngineError::Overloaded)
    }

    /// Applies an import that was held back as harmful.
    ///
    /// # Errors
    /// `not-found`; `wrong-state` if it is not held back, its upload is gone, or the goods have
    /// changed since.
    pub async fn force_import(
        &self,
        intent: &Intent,
        id: ImportId,
        render: RenderImport,
    ) -> Result<Written<ImportResult>, EngineError> {
        let (mut result, kept) = self.held_back(intent, id).await?;
        let _claim = self.claim_import(&Arc::new(Progress::new(id, order_of(&result))))?;
        let _turn = self.begin(intent)?;
        if let Some((answer, revision)) = self.replay(intent).await? {
            return Ok(Written::Replayed(answer, revision));
        }
        let before = market_state(&self.snapshot(), &result.market)?;
        if kept.0.base != base_of(&before) {
            return Err(EngineError::WrongState {
                state: "outdated",
                allowed: vec!["refused"],
            });
        }
        let chunks = self.chunk_store();
        let upload = kept.0.upload.clone();
        let standing = Arc::clone(&before);
        let next = tokio::task::spawn_blocking(move || {
            background::stand_back();
            let changes = goods::load_held_back(&*chunks, &upload)?;
            let next: Catalogue = standing.catalogue.with(&changes);
            Ok::<_, goods::GoodsError>((next, changes))
        });
        let (next, changes) = next
            .await
            .map_err(EngineError::internal)?
            .map_err(EngineError::internal)?;
        let imported = crate::catalogue::change::Imported {
            next,
            changes,
            refusals: Vec::new(),
            warnings: Vec::new(),
            counts: Counts::default(),
        };
        result.state = ImportState::Applied;
        let checked = Checked {
            before,
            imported,
            result: result.clone(),
        };
        self.apply_import(intent, checked, result, render).await
    }

    /// Calls off an import that was held back.
    ///
    /// # Errors
    /// `not-found`; `wrong-state` if it is not held back.
    pub async fn cancel_import(&self, intent: &Intent, id: ImportId) -> Result<(), EngineError> {
        let (_, Kept(mut form)) = self.held_back(intent, id).await?;
        let encode = |form: &ImportV1| codec::encode(form).map_err(EngineError::internal);
        let before = Some(digest(&encode(&form)?));
        ImportState::Cancelled.as_str().clone_into(&mut form.state);
        form.upload.clear();
        form.kept_until = 0;
        let (payload, object, now) = (encode(&form)?, key::import(id), self.now());
        let write = Write::put(object.clone(), ImportV1::KIND, ImportV1::SCHEMA, &payload);
        let about = About {
            action: "import.cancel",
            object: &object,
            before,
            after: Some((ImportV1::SCHEMA, payload)),
            now,
        };
        let (_, audit) = self.audit_entry(intent, about)?;
        let writes = vec![write.map_err(EngineError::internal)?, audit];
        let commit = Commit::new(self.entropy().commit_id(), now, writes);
        self.trade().commit(commit).await?;
        Ok(())
    }

    async fn held_back(
        &self,
        intent: &Intent,
        id: ImportId,
    ) -> Result<(ImportResult, Kept), EngineError> {
        let result = self.import_result(&intent.principal, id).await?;
        intent
            .principal
            .may(Verb::Import, &Object::Market(&result.market))?;
        let kept = self
            .kept_import(id)
            .await?
            .filter(|kept| !kept.0.upload.is_empty());
        let kept = kept.filter(|kept| self.now() < Timestamp(kept.0.kept_until));
        match kept {
            Some(kept) if result.state == ImportState::Refused => Ok((result, kept)),
            _ => Err(EngineError::WrongState {
                state: result.state.as_str(),
                allowed: vec!["refused"],
            }),
        }
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
            let stored: Vec<RowErrorV1> = all_errors.iter().map(Into::into).collect();
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

    pub(in crate::engine) fn count_rows(&self, result: &ImportResult) {
        self.metrics().import_rows.inc_by(result.rows);
    }
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
fn base_of(state: &MarketState) -> (u64, u32) {
    let n_deltas = match state.standing {
        Standing::Whole => u32::try_from(state.goods.deltas.len()).unwrap_or(u32::MAX),
        Standing::Older | Standing::Lost => u32::MAX,
    };
    (state.goods.generation, n_deltas)
}

fn order_of(result: &ImportResult) -> ImportOrder {
    ImportOrder {
        market: result.market.clone(),
        kind: result.kind,
        mode: result.mode,
        format: Format::Ndjson,
        encoding: None,
        mapping: None,
        errors_max: 0,
        force: true,
    }
}
