//! What a promotion was, change by change, and going back.
//!
//! Each change left an audit entry with the form that stood after it, in the same commit; a small
//! record beside it lets them be found per promotion. Going back writes a new revision, through the
//! same constructor as any edit: history is never rewritten, and how the promotion is measured
//! stays as it is now.

use crate::access::principal::Principal;
use crate::domain::id::{MarketId, PromotionId};
use crate::domain::time::Timestamp;
use crate::engine::browse::Listed;
use crate::engine::commit::{Intent, Known, Written};
use crate::engine::error::EngineError;
use crate::engine::promotions::{PromotionView, Render, goods_of, may_write, visible};
use crate::engine::snapshot::Snapshot;
use crate::engine::start::Engine;
use crate::promotion::terms::Promotion;
use crate::record::Stored;
use crate::record::desk::{AuditV1, PastV1};
use crate::record::key;
use crate::record::promotion::PromotionV1;
use crate::store::codec;
use crate::store::key::Key;
use crate::store::{Entry, Revision};

/// Changes read at a time.
const PAGE: usize = 100;

/// One change of a promotion.
#[derive(Clone, Debug)]
pub struct PastChange {
    /// Its place in the history; ascends with time.
    pub place: String,
    /// The revision it made.
    pub revision: Revision,
    /// When.
    pub at: Timestamp,
    /// Id of the key or user.
    pub actor: String,
    /// What was done, such as `promotion.edit`.
    pub action: String,
    /// What stood after it; `None` if it was too long to be kept.
    pub after: Option<Promotion>,
    /// What stood before it; `None` for the first change, and where it was too long to be kept.
    pub before: Option<Promotion>,
}

impl Engine {
    /// Changes of a promotion, oldest first, behind a place.
    ///
    /// # Errors
    /// `not-found`; `store-unavailable` while the index is rebuilt.
    pub async fn promotion_history(
        &self,
        principal: &Principal,
        id: PromotionId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Listed<PastChange>, EngineError> {
        visible(&self.snapshot(), principal, id)?;
        let prefix = key::past_of(id);
        let after = match after {
            Some(place) => {
                Some(Key::parse(&format!("{prefix}{place}")).map_err(|_| EngineError::BadCursor)?)
            }
            None => None,
        };
        let mut before = match &after {
            Some(place) => self.past_at(place).await?.and_then(|own| own.after),
            None => None,
        };
        let entries = self.config().scan(&prefix, after, limit + 1).await?;
        let has_more = limit < entries.len();
        let mut items = Vec::with_capacity(entries.len());
        for entry in entries.into_iter().take(limit) {
            let Some(mut change) = self.past_change(&entry).await? else {
                continue;
            };
            change.before = std::mem::replace(&mut before, change.after.clone());
            items.push(change);
        }
        Ok(Listed { items, has_more })
    }

    /// Makes a promotion again what it was after an earlier revision of it, also out of the
    /// archive.
    ///
    /// # Errors
    /// `not-found`, also for a revision that is none of its own or whose form was too long to be
    /// kept; `stale-revision`, `name-taken`, `market-full`; all complaints at once.
    pub async fn restore_promotion(
        &self,
        intent: &Intent,
        id: PromotionId,
        known: Known,
        revision: u64,
        render: Render<'_>,
    ) -> Result<Written<PromotionView>, EngineError> {
        let held = visible(&self.snapshot(), &intent.principal, id)?;
        may_write(&intent.principal, &held.value.markets)?;
        let earlier = self.past_version(id, Revision(revision)).await?;
        let change = |snapshot: &Snapshot, standing: &Promotion| {
            let find = |id: &MarketId| goods_of(snapshot, id);
            standing
                .restore(&earlier, self.now(), &find)
                .map_err(EngineError::Invalid)
        };
        self.change_promotion(intent, "promotion.restore", (id, known), &change, render)
            .await
    }

    /// What a promotion was after one of its revisions.
    async fn past_version(
        &self,
        id: PromotionId,
        revision: Revision,
    ) -> Result<Promotion, EngineError> {
        let prefix = key::past_of(id);
        let mut after: Option<Key> = None;
        loop {
            let entries = self.config().scan(&prefix, after.clone(), PAGE).await?;
            let Some(last) = entries.last() else {
                return Err(EngineError::NotFound {
                    what: "revision",
                    id: revision.0.to_string(),
                });
            };
            after = Some(last.key.clone());
            let found = entries.iter().find(|own| own.value.revision() == revision);
            let Some(entry) = found else { continue };
            let change = self.past_change(entry).await?;
            return change
                .and_then(|change| change.after)
                .ok_or_else(|| EngineError::NotFound {
                    what: "version",
                    id: revision.0.to_string(),
                });
        }
    }

    async fn past_at(&self, place: &Key) -> Result<Option<PastChange>, EngineError> {
        let Some(value) = self.config().get(place).await? else {
            return Ok(None);
        };
        let key = place.clone();
        self.past_change(&Entry { key, value }).await
    }

    /// The change that a record of a history names; `None` once its audit entry is swept.
    async fn past_change(&self, entry: &Entry) -> Result<Option<PastChange>, EngineError> {
        let past = PastV1::open(&entry.value)?;
        let place = Key::parse(&past.entry).map_err(EngineError::internal)?;
        let Some(value) = self.config().get(&place).await? else {
            return Ok(None);
        };
        let audit = AuditV1::open(&value)?;
        let after = match audit.version {
            Some(form) if audit.schema == PromotionV1::SCHEMA => {
                let stored: PromotionV1 = codec::decode(&form).map_err(EngineError::internal)?;
                Some(Promotion::try_from(stored)?)
            }
            _ => None,
        };
        let own = entry.key.as_str().rsplit('.').next().unwrap_or_default();
        Ok(Some(PastChange {
            place: own.to_owned(),
            revision: entry.value.revision(),
            at: Timestamp(audit.at),
            actor: audit.actor,
            action: audit.action,
            after,
            before: None,
        }))
    }
}
