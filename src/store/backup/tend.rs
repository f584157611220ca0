//! When a backup is due, and which journal files may go.
//!
//! Backups are written daily and after 512 MiB of journal, so that no commit stays uncovered for
//! longer. Journal files go when all their records are older than seven days *and* covered by the
//! two newest backups, both read to their end again just before.

use crate::domain::time::Timestamp;
use crate::store::Revision;
use crate::store::backup::BackupError;
use crate::store::opened::Opened;
use crate::store::seam::{BackupPoint, Backups};
use crate::store::shared::Shared;
use crate::store::space::SpaceStore;

const DAY_MS: i64 = 86_400_000;

/// Age from which journal files may go, in milliseconds.
const KEPT_MS: i64 = 7 * DAY_MS;

/// Bytes of journal after which a backup is due.
const JOURNAL_BYTES: u64 = 512 << 20;

/// Backs up `config` and `trade` now, each at one exact revision; says which. Blocks; commits go
/// on, the index waits.
///
/// # Errors
/// [`BackupError`]; what was backed up before is untouched.
pub fn back_up(store: &Opened) -> Result<Vec<BackupPoint>, BackupError> {
    let (backups, chunks) = (store.backups().as_ref(), store.chunks.as_ref());
    // The bulk of the chunks goes before the index has to wait.
    backups.copy_chunks(chunks)?;
    store.with_states(|states| {
        let mut points = Vec::new();
        for state in states {
            let point = state.point();
            let known = backups.verified(point.identity)?;
            if known.first() != Some(&point) {
                backups.write(&point, state, chunks)?;
            }
            points.push(point);
        }
        Ok(points)
    })?
}

/// Whether some commit is not covered by a backup for too long, or too many are not.
///
/// # Errors
/// What the disk says.
pub fn is_due(store: &Opened, now: Timestamp) -> Result<bool, BackupError> {
    for space in [&store.config, &store.trade] {
        let shared = space.shared().as_ref();
        let identity = shared.identity();
        let newest = store
            .backups()
            .verified(identity)?
            .first()
            .map(|point| point.revision);
        let covered = newest.unwrap_or(Revision(identity.era - 1));
        if shared.revision() <= covered {
            continue;
        }
        let oldest = shared
            .time_of(covered.next())
            .unwrap_or(Timestamp(i64::MIN));
        let is_old = oldest.0 <= now.0.saturating_sub(DAY_MS);
        if is_old || JOURNAL_BYTES <= shared.bytes_after(covered) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Forgets journal files of `config` and `trade` that are old and covered. Blocks.
///
/// # Errors
/// [`BackupError`]; what was not forgotten is still there.
pub fn trim(store: &Opened, now: Timestamp) -> Result<(), BackupError> {
    for space in [&store.config, &store.trade] {
        if let Some(last) = forgettable(space, store.backups().as_ref(), now)? {
            space.trim(last.next())?;
        }
    }
    Ok(())
}

/// The newest revision that is older than seven days and in the two newest backups, both whole.
fn forgettable(
    space: &SpaceStore,
    backups: &dyn Backups,
    now: Timestamp,
) -> Result<Option<Revision>, BackupError> {
    let points = backups.verified(space.identity())?;
    let [newest, second, ..] = points.as_slice() else {
        return Ok(None);
    };
    let shared = space.shared().as_ref();
    let limit = Timestamp(now.0.saturating_sub(KEPT_MS));
    let Some(last) = last_before(shared, second.revision, limit) else {
        return Ok(None);
    };
    for point in [newest, second] {
        backups.read(point, &mut |_, _| Ok(()))?;
    }
    Ok(Some(last))
}

/// The last revision up to `end` of which the journal says that it was made at or before `limit`.
/// Times that run backwards somewhere only make it an earlier one, or one of a close time.
fn last_before(shared: &Shared, end: Revision, limit: Timestamp) -> Option<Revision> {
    let is_old = |revision: u64| {
        let time = shared.time_of(Revision(revision));
        time.is_some_and(|time| time <= limit)
    };
    let (mut old, mut young) = (shared.first_kept().0, end.0 + 1);
    if young <= old || !is_old(old) {
        return None;
    }
    while 1 < young - old {
        let middle = old + (young - old) / 2;
        if is_old(middle) {
            old = middle;
        } else {
            young = middle;
        }
    }
    Some(Revision(old))
}
