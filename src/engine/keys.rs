//! API keys: make, change, rotate, revoke, and the first one of a fresh store.
//!
//! A key's text is answered once, when it is made or rotated, and kept nowhere: also the answer
//! that is stored for repeated requests goes without it.

use std::sync::Arc;

use crate::access::draft::{KeyDraft, KeyMade, ScopeDraft};
use crate::access::key::{ApiKey, KeyRecord};
use crate::access::may::{Object, Verb};
use crate::access::principal::{MarketScope, Principal, Role};
use crate::domain::id::KeyId;
use crate::domain::time::{DAY_MS, Timestamp};
use crate::engine::commit::{Change, Intent, Known, Missed, StoredAnswer, TRIES, Written};
use crate::engine::error::EngineError;
use crate::engine::snapshot::{Held, Snapshot};
use crate::engine::start::Engine;
use crate::record::access::KeyV1;
use crate::record::key;
use crate::store::commit::Expected;

/// Name of the key that a fresh store begins with.
const FIRST_KEY_NAME: &str = "first operator key";

/// How long the first key opens anything.
const FIRST_KEY_MS: i64 = DAY_MS;

/// A key after a change, with its text if the change made one.
#[derive(Clone, Debug)]
pub struct KeyMadeNow {
    /// The key as it stands.
    pub record: Arc<KeyRecord>,
    /// What its holder must keep.
    pub secret: Option<Arc<ApiKey>>,
}

/// How an edge turns a key into the answer that is kept for repeated requests; it must not hold
/// the key's text.
pub type RenderKey<'a> = &'a (dyn Fn(&KeyRecord) -> StoredAnswer + Send + Sync);

/// How a draft is made of the key that stands.
pub type RedraftKey<'a> = &'a (dyn Fn(&KeyRecord) -> Result<KeyDraft, EngineError> + Send + Sync);

/// A key as it shall be, with its new text if it gets one.
type ChangeKey<'a> =
    &'a (dyn Fn(&KeyRecord) -> Result<(KeyRecord, Option<Arc<ApiKey>>), EngineError> + Send + Sync);

impl Engine {
    /// Makes a key. The first key of a fresh store ends with the first operator key it makes.
    ///
    /// # Errors
    /// All complaints at once; nobody grants more than they hold.
    pub async fn create_key(
        &self,
        intent: &Intent,
        draft: KeyDraft,
        render: RenderKey<'_>,
    ) -> Result<Written<KeyMadeNow>, EngineError> {
        intent.principal.may(Verb::ManageKeys, &Object::Anywhere)?;
        let _turn = self.begin(intent)?;
        if let Some((answer, revision)) = self.replay(intent).await? {
            return Ok(Written::Replayed(answer, revision));
        }
        let now = self.now();
        let made = KeyMade {
            id: KeyId(self.new_id()),
            by: intent.principal.actor(),
            at: now,
            random: self.entropy().bytes(),
        };
        let (record, secret) = KeyRecord::create(draft, made).map_err(EngineError::Invalid)?;
        may_hand_out(&intent.principal, &record)?;
        let object = key::api_key(record.id);
        let mut change = Change::put("key.create", object.clone(), &KeyV1::from(&record), now)?
            .guard(object, Expected::Absent);
        let first = first_key(&self.snapshot(), &intent.principal);
        let ends_first = first.filter(|_| rules_all(&record, now));
        if let Some(first) = &ends_first {
            change = change.also_delete(key::api_key(first.value.id));
        }
        let answer = intent.idempotency.map(|_| render(&record));
        match self.commit(intent, change, answer.as_ref()).await {
            Ok(revision) => {
                if ends_first.is_some() {
                    self.forget_first_key_file();
                }
                let made = KeyMadeNow {
                    record: record.into(),
                    secret: Some(secret.into()),
                };
                Ok(Written::Now(made, revision))
            }
            Err(Missed::Before) => self.first_answer(intent).await,
            Err(Missed::Overtaken) => Err(EngineError::Overloaded),
            Err(Missed::Refused(error)) => Err(error),
        }
    }

    /// Changes what a key may do, or until when.
    ///
    /// # Errors
    /// As [`Engine::create_key`]; `not-found`, `stale-revision`; `in-use` if no operator would be
    /// left.
    pub async fn edit_key(
        &self,
        intent: &Intent,
        id: KeyId,
        known: Known,
        redraft: RedraftKey<'_>,
        render: RenderKey<'_>,
    ) -> Result<Written<KeyMadeNow>, EngineError> {
        let edit = |before: &KeyRecord| {
            let after = before
                .edit(redraft(before)?, self.now())
                .map_err(EngineError::Invalid)?;
            may_hand_out(&intent.principal, &after)?;
            Ok((after, None))
        };
        self.change_key(intent, "key.edit", id, known, &edit, render)
            .await
    }

    /// Gives a key a new text; the old one opens for `grace_s` seconds more.
    ///
    /// # Errors
    /// `out-of-range` at `/grace_s`; otherwise as [`Engine::edit_key`].
    pub async fn rotate_key(
        &self,
        intent: &Intent,
        id: KeyId,
        known: Known,
        grace_s: i64,
        render: RenderKey<'_>,
    ) -> Result<Written<KeyMadeNow>, EngineError> {
        let random = self.entropy().bytes();
        let rotate = |before: &KeyRecord| {
            let rotated = before.rotate(random, self.now(), grace_s);
            let (after, secret) = rotated.map_err(EngineError::Invalid)?;
            Ok((after, Some(Arc::new(secret))))
        };
        self.change_key(intent, "key.rotate", id, known, &rotate, render)
            .await
    }

    /// Revokes a key: it opens nothing from the answer on.
    ///
    /// # Errors
    /// `not-found`, `stale-revision`; `in-use` for the last operator.
    pub async fn revoke_key(
        &self,
        intent: &Intent,
        id: KeyId,
        known: Known,
    ) -> Result<(), EngineError> {
        for _ in 0..TRIES {
            let snapshot = self.snapshot();
            let held = manageable(&snapshot, &intent.principal, id)?;
            known.check(held.revision)?;
            self.keep_one_operator(&snapshot, id)?;
            let object = key::api_key(id);
            let change = Change::delete("key.revoke", object.clone(), self.now())
                .guard(object, Expected::At(held.revision));
            match self.commit(intent, change, None).await {
                Ok(_) | Err(Missed::Before) => return Ok(()),
                Err(Missed::Refused(EngineError::StaleRevision { .. })) if known == Known::Any => {
                    self.catch_up(&snapshot).await?;
                }
                Err(Missed::Refused(error)) => return Err(error),
                Err(Missed::Overtaken) => self.catch_up(&snapshot).await?,
            }
        }
        Err(EngineError::Overloaded)
    }

    /// The keys that the caller may manage, oldest first.
    ///
    /// # Errors
    /// What the caller may not do.
    pub fn keys(&self, principal: &Principal) -> Result<Vec<Held<KeyRecord>>, EngineError> {
        principal.may(Verb::ManageKeys, &Object::Anywhere)?;
        let snapshot = self.snapshot();
        let own = snapshot
            .keys
            .values()
            .filter(|held| manages(principal, &held.value));
        Ok(own.cloned().collect())
    }

    /// One key.
    ///
    /// # Errors
    /// `not-found`, also for one that reaches beyond the caller's markets.
    pub fn key(&self, principal: &Principal, id: KeyId) -> Result<Held<KeyRecord>, EngineError> {
        manageable(&self.snapshot(), principal, id)
    }

    /// Whether nobody could make a key any more: no operator key for all markets opens. So it is
    /// with a fresh store, and with one whose keys have all run out.
    pub fn needs_first_key(&self) -> bool {
        let (snapshot, now) = (self.snapshot(), self.now());
        !snapshot
            .keys
            .values()
            .any(|held| rules_all(&held.value, now))
    }

    /// Makes the operator key of a store that has none which opens; `None` if there is one.
    ///
    /// # Errors
    /// What the store says.
    pub async fn make_first_key(&self) -> Result<Option<ApiKey>, EngineError> {
        if !self.needs_first_key() {
            return Ok(None);
        }
        let now = self.now();
        let intent = Intent::system();
        let draft = KeyDraft {
            name: Some(FIRST_KEY_NAME.to_owned()),
            roles: Some(vec![Role::Operator.as_str().to_owned()]),
            markets: Some(ScopeDraft::Text("*".to_owned())),
            expires_at: Some(now.plus_ms(FIRST_KEY_MS).to_string()),
            ..KeyDraft::default()
        };
        let nothing = |_: &KeyRecord| StoredAnswer {
            status: 201,
            location: None,
            body: None,
        };
        match self.create_key(&intent, draft, &nothing).await? {
            Written::Now(made, _) => Ok(made.secret.and_then(Arc::into_inner)),
            Written::Replayed(..) => Ok(None),
        }
    }

    async fn change_key(
        &self,
        intent: &Intent,
        action: &'static str,
        id: KeyId,
        known: Known,
        change: ChangeKey<'_>,
        render: RenderKey<'_>,
    ) -> Result<Written<KeyMadeNow>, EngineError> {
        let _turn = self.begin(intent)?;
        if let Some((answer, revision)) = self.replay(intent).await? {
            return Ok(Written::Replayed(answer, revision));
        }
        for _ in 0..TRIES {
            let snapshot = self.snapshot();
            let held = manageable(&snapshot, &intent.principal, id)?;
            known.check(held.revision)?;
            let (record, secret) = change(&held.value)?;
            if !record.principal.is(Role::Operator) {
                self.keep_one_operator(&snapshot, id)?;
            }
            let object = key::api_key(id);
            let written = Change::put(action, object.clone(), &KeyV1::from(&record), self.now())?
                .guard(object, Expected::At(held.revision));
            let answer = intent.idempotency.map(|_| render(&record));
            match self.commit(intent, written, answer.as_ref()).await {
                Ok(revision) => {
                    let made = KeyMadeNow {
                        record: Arc::new(record),
                        secret,
                    };
                    return Ok(Written::Now(made, revision));
                }
                Err(Missed::Before) => return self.first_answer(intent).await,
                Err(Missed::Refused(error)) => return Err(error),
                Err(Missed::Overtaken) => self.catch_up(&snapshot).await?,
            }
        }
        Err(EngineError::Overloaded)
    }

    /// Refuses to take the last key that can make others.
    fn keep_one_operator(&self, snapshot: &Snapshot, id: KeyId) -> Result<(), EngineError> {
        let now = self.now();
        let is_one = snapshot
            .keys
            .get(&id)
            .is_some_and(|held| rules_all(&held.value, now));
        let mut others = snapshot.keys.values().filter(|held| held.value.id != id);
        if is_one && !others.any(|held| rules_all(&held.value, now)) {
            return Err(EngineError::InUse {
                by: "the last operator key".to_owned(),
            });
        }
        Ok(())
    }
}

/// Whether a key opens at `now`, and may make others for every market.
fn rules_all(record: &KeyRecord, now: Timestamp) -> bool {
    let own = &record.principal;
    let lives = own.expires.is_none_or(|end| now < end);
    own.is(Role::Operator) && own.markets == MarketScope::All && lives
}

fn may_hand_out(principal: &Principal, record: &KeyRecord) -> Result<(), EngineError> {
    let handed = &record.principal;
    let (roles, grants) = (handed.roles.iter().copied(), handed.grants.iter().copied());
    Ok(principal.may_grant(roles, grants, &handed.markets)?)
}

fn manages(principal: &Principal, record: &KeyRecord) -> bool {
    principal.markets.covers(&record.principal.markets)
}

pub(in crate::engine) fn manageable(
    snapshot: &Snapshot,
    principal: &Principal,
    id: KeyId,
) -> Result<Held<KeyRecord>, EngineError> {
    principal.may(Verb::ManageKeys, &Object::Anywhere)?;
    let held = snapshot
        .keys
        .get(&id)
        .filter(|held| manages(principal, &held.value));
    held.cloned().ok_or_else(|| EngineError::NotFound {
        what: "key",
        id: id.to_string(),
    })
}

/// When the first key of a store ends, if it was made at `made`.
pub fn first_key_ends(made: Timestamp) -> Timestamp {
    made.plus_ms(FIRST_KEY_MS)
}

/// The first key of the store, if the caller holds it.
fn first_key(snapshot: &Snapshot, caller: &Principal) -> Option<Held<KeyRecord>> {
    let own = snapshot
        .keys
        .values()
        .find(|held| held.value.principal.by == caller.by)?;
    let is_first = own.value.name == FIRST_KEY_NAME && own.value.created_by == "system";
    is_first.then(|| own.clone())
}
