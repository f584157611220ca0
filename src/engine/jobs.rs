//! What has to be done now and then: sweeps, notes of use.
//!
//! Nothing here is needed for a promotion to begin or end. Every job may run twice, or be killed in
//! the middle, without harm: it only forgets what has run out, or notes what was.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::domain::time::{DAY_MS, Timestamp};
use crate::engine::error::EngineError;
use crate::engine::goods;
use crate::engine::snapshot::MarketState;
use crate::engine::standing::Standing;
use crate::engine::start::Engine;
use crate::record::Stored;
use crate::record::desk::AnswerV1;
use crate::record::import::ImportV1;
use crate::store::chunk::ChunkHash;
use crate::store::codec;
use crate::store::commit::{Commit, Purpose, Write};
use crate::store::key::Key;
use crate::store::space::SpaceStore;

/// How often it is looked whether a job is due.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Time between two looks whether a backup is due.
const LOOK_EVERY_MS: i64 = 60_000;

/// How long the answer to an idempotent request is kept.
const ANSWER_KEPT_MS: i64 = DAY_MS;

/// Time between two sweeps of the same kind.
const SWEEP_EVERY_MS: i64 = DAY_MS / 24;

/// Records read, and at most forgotten, at a time.
const SWEEP_PAGE: usize = 500;

/// When each job ran last; a job that never ran is due.
#[derive(Debug, Default)]
pub(in crate::engine) struct Ran(BTreeMap<&'static str, Timestamp>);

impl Ran {
    /// Whether a job is due at `now`; then it counts as run.
    pub(in crate::engine) fn is_due(
        &mut self,
        job: &'static str,
        every_ms: i64,
        now: Timestamp,
    ) -> bool {
        let due = self
            .0
            .get(job)
            .is_none_or(|last| last.plus_ms(every_ms) <= now);
        if due {
            self.0.insert(job, now);
        }
        due
    }
}

impl Engine {
    /// Looks after the store until the process ends. A job that fails is logged and tried again
    /// when it is due again.
    pub async fn run_jobs(self) {
        let jobs = async {
            loop {
                self.run_due_jobs().await;
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::join!(jobs, self.run_upkeep());
    }

    /// Does every job that is due.
    pub async fn run_due_jobs(&self) {
        let now = self.now();
        let due = |job| self.ran(|ran| ran.is_due(job, SWEEP_EVERY_MS, now));
        if due("answers") {
            for space in [self.config(), self.trade()] {
                log("answers", self.sweep_answers(space, now).await);
            }
        }
        if self.ran(|ran| ran.is_due("backups", LOOK_EVERY_MS, now)) {
            log("backups", self.tend_backups(now).await);
        }
        if due("uses") {
            log("uses", self.note_uses(now).await);
        }
        if due("audit") {
            log("audit", self.chain_audit(now).await);
        }
        if due("uploads") {
            log("uploads", self.sweep_uploads(now).await);
        }
        if due("chunks") {
            log("chunks", self.sweep_chunks(now).await);
        }
    }

    /// Writes what is only noted, before the process ends.
    pub async fn run_last_jobs(&self) {
        log("uses", self.note_uses(self.now()).await);
    }

    /// Forgets answers to idempotent requests after a day.
    async fn sweep_answers(&self, space: &SpaceStore, now: Timestamp) -> Result<(), EngineError> {
        let old = now.plus_ms(-ANSWER_KEPT_MS);
        let mut after: Option<Key> = None;
        loop {
            let entries = space.scan("idem.", after.clone(), SWEEP_PAGE).await?;
            let Some(last) = entries.last() else {
                return Ok(());
            };
            after = Some(last.key.clone());
            let mut writes = Vec::new();
            for entry in &entries {
                if Timestamp(AnswerV1::open(&entry.value)?.at) <= old {
                    writes.push(Write::delete(entry.key.clone()));
                }
            }
            self.commit_sweep(space, writes, now).await?;
        }
    }

    /// Forgets held back imports that nobody forced within a day.
    async fn sweep_uploads(&self, now: Timestamp) -> Result<(), EngineError> {
        for (object, mut form) in self.imports_kept().await? {
            if form.upload.is_empty() || now < Timestamp(form.kept_until) {
                continue;
            }
            form.upload.clear();
            let payload = codec::encode(&form).map_err(EngineError::internal)?;
            let write = Write::put(object, ImportV1::KIND, ImportV1::SCHEMA, &payload);
            let write = write.map_err(EngineError::internal)?;
            self.commit_sweep(self.trade(), vec![write], now).await?;
        }
        Ok(())
    }

    /// Forgets chunks that neither goods nor imports name.
    async fn sweep_chunks(&self, now: Timestamp) -> Result<(), EngineError> {
        let imports = self.imports_kept().await?;
        let mut live: BTreeSet<ChunkHash> = BTreeSet::new();
        for (_, form) in &imports {
            live.extend(
                form.upload
                    .iter()
                    .chain(&form.all_errors)
                    .map(|hash| ChunkHash(*hash)),
            );
        }
        let snapshot = self.snapshot();
        let is_whole = |state: &Arc<MarketState>| state.standing == Standing::Whole;
        if !snapshot.markets.values().all(is_whole) {
            // What a lost manifest names is not known, and earlier goods are still needed.
            return Ok(());
        }
        let chunks = self.chunk_store();
        let sweep = move || -> Result<(), EngineError> {
            for state in snapshot.markets.values() {
                goods::live_chunks(&*chunks, &state.goods, &mut live)?;
            }
            chunks.retain(&live, now).map_err(EngineError::internal)?;
            Ok(())
        };
        tokio::task::spawn_blocking(sweep)
            .await
            .map_err(EngineError::internal)?
    }

    async fn imports_kept(&self) -> Result<Vec<(Key, ImportV1)>, EngineError> {
        let mut kept = Vec::new();
        let mut after: Option<Key> = None;
        loop {
            let entries = self.trade().scan("imp.", after.clone(), SWEEP_PAGE).await?;
            let Some(last) = entries.last() else {
                return Ok(kept);
            };
            after = Some(last.key.clone());
            for entry in entries {
                kept.push((entry.key, ImportV1::open(&entry.value)?));
            }
        }
    }

    pub(in crate::engine) async fn commit_sweep(
        &self,
        space: &SpaceStore,
        writes: Vec<Write>,
        now: Timestamp,
    ) -> Result<(), EngineError> {
        if writes.is_empty() {
            return Ok(());
        }
        let mut commit = Commit::new(self.entropy().commit_id(), now, writes);
        commit.purpose = Purpose::Relief;
        space.commit(commit).await?;
        Ok(())
    }
}

fn log(job: &'static str, outcome: Result<(), EngineError>) {
    if let Err(error) = outcome {
        tracing::warn!(job, %error, "a job failed and will be tried again");
    }
}
