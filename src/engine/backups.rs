//! Backups of a running store: on demand, and when one is due.

use std::io::ErrorKind;

use crate::access::may::{Object, Verb};
use crate::domain::time::Timestamp;
use crate::engine::commit::Intent;
use crate::engine::error::EngineError;
use crate::engine::health::BackedUp;
use crate::engine::start::Engine;
use crate::store::Space;
use crate::store::backup::BackupError;
use crate::store::backup::tend;
use crate::store::opened::Opened;
use crate::store::seam::BackupPoint;

/// One space's state as it was backed up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// `config` or `trade`.
    pub space: &'static str,
    /// Its revision.
    pub revision: u64,
    /// Time of the last commit in it, if there was one.
    pub as_of: Option<Timestamp>,
    /// Size of its file; chunks lie beside it.
    pub bytes: u64,
    /// SHA-256 of all lines of its file but the last, which says the same.
    pub sha256: [u8; 32],
}

/// What there is to say of backups that are still there.
fn described(stores: &Opened, points: &[BackupPoint]) -> Result<Vec<Backup>, BackupError> {
    let mut described = Vec::new();
    for point in points {
        let written = match stores.backups().written(point) {
            Ok(written) => written,
            // A newer one has just taken its place.
            Err(BackupError::Disk(cause)) if cause.kind() == ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        described.push(Backup {
            space: point.identity.space.name(),
            revision: point.revision.0,
            as_of: point.as_of,
            bytes: written.bytes,
            sha256: written.sha256.0,
        });
    }
    Ok(described)
}

impl Engine {
    /// Writes a backup and reads it back; commits go on meanwhile. Leaves an audit entry, which the
    /// next backup holds; those that are due by themselves leave none, or each would make the next
    /// one due.
    ///
    /// # Errors
    /// What the caller may not do; `storage-full`, `store-unavailable`.
    pub async fn back_up(&self, intent: &Intent) -> Result<Vec<Backup>, EngineError> {
        intent.principal.may(Verb::Backup, &Object::Anywhere)?;
        let engine = self.clone();
        let write = move || {
            let points = tend::back_up(engine.stores())?;
            described(engine.stores(), &points)
        };
        let written = tokio::task::spawn_blocking(write)
            .await
            .map_err(EngineError::internal)??;
        self.note_deed(intent, "backup.create", "/v1/backups").await;
        Ok(written)
    }

    /// The verified backups, newest first in each space.
    ///
    /// # Errors
    /// What the caller may not do.
    pub async fn backups(
        &self,
        principal: &crate::access::principal::Principal,
    ) -> Result<Vec<Backup>, EngineError> {
        principal.may(Verb::Backup, &Object::Anywhere)?;
        let engine = self.clone();
        let list = move || {
            let stores = engine.stores();
            let mut found = Vec::new();
            for space in [Space::Config, Space::Trade] {
                let points = stores.backups().verified(stores.identity().of(space))?;
                found.extend(described(stores, &points)?);
            }
            Ok::<_, BackupError>(found)
        };
        Ok(tokio::task::spawn_blocking(list)
            .await
            .map_err(EngineError::internal)??)
    }

    /// The newest backups of `config` and `trade`.
    pub(in crate::engine) async fn last_backups(
        &self,
    ) -> Result<[Option<BackedUp>; 2], EngineError> {
        let engine = self.clone();
        let look = move || {
            let stores = engine.stores();
            let mut last = [None, None];
            for (space, last) in [Space::Config, Space::Trade].into_iter().zip(&mut last) {
                let points = stores.backups().verified(stores.identity().of(space))?;
                *last = points.first().map(|point| BackedUp {
                    revision: point.revision.0,
                    as_of: point.as_of,
                });
            }
            Ok::<_, BackupError>(last)
        };
        Ok(tokio::task::spawn_blocking(look)
            .await
            .map_err(EngineError::internal)??)
    }

    /// Backs up if a commit has been uncovered for too long, and forgets journal files that two
    /// backups cover.
    pub(in crate::engine) async fn tend_backups(&self, now: Timestamp) -> Result<(), EngineError> {
        if self.stores().generation.is_none() {
            return Ok(());
        }
        let engine = self.clone();
        let tend = move || {
            if tend::is_due(engine.stores(), now)? {
                tend::back_up(engine.stores())?;
            }
            tend::trim(engine.stores(), now)
        };
        Ok(tokio::task::spawn_blocking(tend)
            .await
            .map_err(EngineError::internal)??)
    }
}

impl From<BackupError> for EngineError {
    fn from(error: BackupError) -> Self {
        match error {
            BackupError::Index(_) => Self::StoreUnavailable,
            BackupError::Disk(cause) if cause.kind() == ErrorKind::StorageFull => Self::StorageFull,
            // A store in memory has no place for them.
            BackupError::Disk(cause) if cause.kind() == ErrorKind::Unsupported => {
                Self::StoreUnavailable
            }
            other => Self::internal(other),
        }
    }
}
