//! What came of an import, how it is kept, and the step that makes its goods visible.

use std::sync::Arc;

use crate::access::may::{Object, Verb};
use crate::catalogue::Catalogue;
use crate::catalogue::change::Counts;
use crate::catalogue::warning::Warning;
use crate::domain::id::{ImportId, MarketId};
use crate::domain::time::Timestamp;
use crate::engine::background;
use crate::engine::commit::{About, Change, Intent, Missed, TRIES, Written, digest};
use crate::engine::error::{EngineError, RowError};
use crate::engine::feed_check::Checked;
use crate::engine::goods;
use crate::engine::imports::{ImportOrder, Mode, Progress, RenderImport};
use crate::engine::kept_imports::{Kept, base_of};
use crate::engine::markets::market_state;
use crate::engine::start::Engine;
use crate::feed::{Format, Kind};
use crate::ranking::base::RankBase;
use crate::record::Stored;
use crate::record::import::ImportV1;
use crate::record::key;
use crate::record::market::MarketV1;
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

    pub(in crate::engine) fn parse(text: &str) -> Option<Self> {
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

impl Engine {
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

    pub(in crate::engine) fn count_rows(&self, result: &ImportResult) {
        self.metrics().import_rows.inc_by(result.rows);
    }
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
