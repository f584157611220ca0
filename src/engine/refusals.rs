//! Audit entries of what changed no record: refusals, and deeds such as a backup.
//!
//! They are kept outside the configuration, so that none of them moves its revision. Who refuses
//! bounds how many of one caller are told here; those that are not, and those that cannot be
//! written, are counted.

use std::time::Duration;

use crate::access::principal::Actor;
use crate::domain::time::Timestamp;
use crate::engine::commit::Intent;
use crate::engine::error::EngineError;
use crate::engine::start::Engine;
use crate::record::Stored;
use crate::record::desk::AuditV1;
use crate::record::key;
use crate::store::codec;
use crate::store::commit::{Commit, Write};

/// Longest path that an entry keeps; what is longer ends there.
const PATH_BYTES_MAX: usize = 512;

/// How long an answer waits for the entry about it. It is written all the same.
const WAIT: Duration = Duration::from_secs(1);

/// A change that was not made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedWrite {
    /// Who asked for it.
    pub by: Actor,
    /// From where.
    pub address: String,
    /// Method and pattern of the path, such as `PATCH /v1/promotions/{promotion}`.
    pub action: String,
    /// The path as it was asked for, without its query.
    pub path: String,
    /// Code of the refusal.
    pub code: &'static str,
}

impl Engine {
    /// Writes the entry about a refusal; the store's troubles are logged and counted, not told.
    pub async fn note_refusal(&self, refused: RefusedWrite) {
        let engine = self.clone();
        // A caller who hangs up must not keep the entry from being written.
        let work = tokio::spawn(async move {
            if let Err(error) = engine.write_refusal(refused).await {
                engine.metrics().refusals_not_audited.inc();
                tracing::warn!(%error, "a refusal left no audit entry");
            }
        });
        let _ = tokio::time::timeout(WAIT, work).await;
    }

    async fn write_refusal(&self, refused: RefusedWrite) -> Result<(), EngineError> {
        let mut object = refused.path;
        let end = (0..=PATH_BYTES_MAX).rfind(|end| object.is_char_boundary(*end));
        object.truncate(end.unwrap_or(0));
        let entry = AuditV1 {
            at: self.now().0,
            actor: refused.by.to_string(),
            address: Some(refused.address),
            action: refused.action,
            object,
            before: None,
            after: None,
            version: None,
            schema: 0,
            refused: Some(refused.code.to_owned()),
        };
        self.write_entry(&entry).await
    }

    /// Writes the entry about what was done at the path `object`. It is done already, so a store
    /// that takes no entry – it may be the very one that was backed up because it is damaged – does
    /// not undo it: that is logged.
    pub(in crate::engine) async fn note_deed(
        &self,
        intent: &Intent,
        action: &'static str,
        object: &'static str,
    ) {
        let entry = AuditV1 {
            at: self.now().0,
            actor: intent.principal.actor(),
            address: intent.address.clone(),
            action: action.to_owned(),
            object: object.to_owned(),
            before: None,
            after: None,
            version: None,
            schema: 0,
            refused: None,
        };
        if let Err(error) = self.write_entry(&entry).await {
            tracing::error!(%error, action, "a deed left no audit entry");
        }
    }

    async fn write_entry(&self, entry: &AuditV1) -> Result<(), EngineError> {
        let now = Timestamp(entry.at);
        let payload = codec::encode(entry).map_err(EngineError::internal)?;
        let object = key::audit(now, self.entropy().commit_id());
        let write = Write::put(object, AuditV1::KIND, AuditV1::SCHEMA, &payload);
        let writes = vec![write.map_err(EngineError::internal)?];
        let commit = Commit::new(self.entropy().commit_id(), now, writes);
        self.trade().commit(commit).await?;
        Ok(())
    }
}
