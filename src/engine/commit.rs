//! The one door for writes.
//!
//! A use case hands over a [`Change`]: guards, writes and what they are about. Here it becomes one
//! commit together with its audit entry and, for an idempotent request, the answer it will get
//! again when repeated. The commit returns once its own snapshot is published, so "write, then
//! read" never reads the past.

use sha2::{Digest, Sha256};

use crate::access::principal::Principal;
use crate::domain::id::PromotionId;
use crate::domain::time::Timestamp;
use crate::engine::error::EngineError;
use crate::engine::start::Engine;
use crate::record::Stored;
use crate::record::desk::{AnswerV1, AuditV1, PastV1};
use crate::record::key;
use crate::store::Revision;
use crate::store::codec::{self, Draft, Kind, Value};
use crate::store::commit::{Commit, CommitError, CommitId, Expected, Purpose, Write};
use crate::store::fault::fault;
use crate::store::key::Key;

/// Longest answer kept for a repeated request; of a longer one only status and location stay.
const ANSWER_BYTES_MAX: usize = 16_384;

/// Longest stored form, packed, that an audit entry keeps as a version to go back to: object, version
/// and answer fit into one commit.
const VERSION_BYTES_MAX: usize = 196_608;

/// How often a decision is made again when others were faster.
pub(in crate::engine) const TRIES: u32 = 8;

/// What the caller knew about the object it changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// The revision it saw.
    At(Revision),
    /// Any: only for verbs that stop something, which must never lose a race.
    Any,
}

impl Known {
    /// The revision of this number.
    pub fn at(revision: u64) -> Self {
        Self::At(Revision(revision))
    }

    /// Whether the caller knows what stands.
    pub(in crate::engine) fn check(self, standing: Revision) -> Result<(), EngineError> {
        match self {
            Self::At(revision) if revision != standing => Err(EngineError::StaleRevision {
                current: standing.0,
            }),
            _ => Ok(()),
        }
    }
}

/// Who asks for a write, and how.
#[derive(Clone, Debug)]
pub struct Intent {
    /// The caller.
    pub principal: std::sync::Arc<Principal>,
    /// Address of the caller, for the audit.
    pub address: Option<String>,
    /// Set if the caller sent an `Idempotency-Key`.
    pub idempotency: Option<Idempotency>,
}

impl Intent {
    /// The process acting for itself.
    pub fn system() -> Self {
        let principal = std::sync::Arc::new(Principal::system());
        Self {
            principal,
            address: None,
            idempotency: None,
        }
    }

    /// The same for one part of a request that does several things, each in a commit of its own.
    #[must_use]
    pub(in crate::engine) fn part(&self, name: &str) -> Self {
        let idempotency = self.idempotency.map(|whole| {
            let mut hasher = Sha256::new();
            hasher.update(whole.id.0);
            hasher.update(name.as_bytes());
            let mut id = [0; 16];
            id.copy_from_slice(&hasher.finalize()[..16]);
            Idempotency {
                id: CommitId(id),
                ..whole
            }
        });
        Self {
            idempotency,
            ..self.clone()
        }
    }
}

/// An idempotent request: repeating it gives the first answer again.
#[derive(Clone, Copy, Debug)]
pub struct Idempotency {
    /// Made of principal, method, path and header.
    pub id: CommitId,
    /// SHA-256 of the request's body.
    pub request: [u8; 32],
}

impl Idempotency {
    /// The id is the first half of SHA-256(principal ‖ 0 ‖ method ‖ 0 ‖ path ‖ 0 ‖ header).
    pub fn new(actor: &str, method: &str, path: &str, header: &str, body: &[u8]) -> Self {
        let mut hasher = Sha256::new();
        for (place, part) in [actor, method, path, header].into_iter().enumerate() {
            if 0 < place {
                hasher.update([0]);
            }
            hasher.update(part.as_bytes());
        }
        let mut id = [0; 16];
        id.copy_from_slice(&hasher.finalize()[..16]);
        Self {
            id: CommitId(id),
            request: Sha256::digest(body).into(),
        }
    }
}

/// An answer as it will be repeated. Its body holds no revision: the edge adds that of the commit,
/// which the stored answer shares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAnswer {
    /// HTTP status.
    pub status: u16,
    /// Where a created object lies.
    pub location: Option<String>,
    /// The body without its revision; `None` where it was too long to keep.
    pub body: Option<Vec<u8>>,
}

/// What came of a write.
#[derive(Clone, Debug)]
pub enum Written<T> {
    /// It happened now.
    Now(T, Revision),
    /// It happened before, under the same idempotency key.
    Replayed(StoredAnswer, Revision),
}

/// What shall be written, and what it is about.
pub(in crate::engine) struct Change {
    /// Verb for the audit, such as `promotion.create`.
    pub(in crate::engine) action: &'static str,
    /// The record concerned.
    pub(in crate::engine) object: Key,
    /// Conditions under which the writes happen.
    pub(in crate::engine) guards: Vec<(Key, Expected)>,
    /// The writes, the object's own among them.
    pub(in crate::engine) writes: Vec<Write>,
    /// Schema and payload of the object's new form; `None` for a delete.
    pub(in crate::engine) after: Option<(u16, Vec<u8>)>,
    /// Whether it frees room, so that it is let through when the disk is nearly full.
    pub(in crate::engine) purpose: Purpose,
    /// When it was decided.
    pub(in crate::engine) now: Timestamp,
}

/// What an audit entry tells of a change.
pub(in crate::engine) struct About<'a> {
    /// Verb, such as `promotion.create`.
    pub(in crate::engine) action: &'static str,
    /// The record concerned.
    pub(in crate::engine) object: &'a Key,
    /// SHA-256 of its form before, if it stood.
    pub(in crate::engine) before: Option<[u8; 32]>,
    /// Schema and payload of its new form; `None` for a delete.
    pub(in crate::engine) after: Option<(u16, Vec<u8>)>,
    /// When it was decided.
    pub(in crate::engine) now: Timestamp,
}

impl Change {
    /// A change that puts one record.
    pub(in crate::engine) fn put<S: Stored>(
        action: &'static str,
        object: Key,
        form: &S,
        now: Timestamp,
    ) -> Result<Self, EngineError> {
        let payload = codec::encode(form).map_err(too_large)?;
        let write = put_payload(object.clone(), S::KIND, S::SCHEMA, &payload)?;
        Ok(Self {
            action,
            object,
            guards: Vec::new(),
            writes: vec![write],
            after: Some((S::SCHEMA, payload)),
            purpose: Purpose::Ordinary,
            now,
        })
    }

    /// A change that deletes one record.
    pub(in crate::engine) fn delete(action: &'static str, object: Key, now: Timestamp) -> Self {
        let writes = vec![Write::delete(object.clone())];
        let purpose = Purpose::Relief;
        Self {
            action,
            object,
            guards: Vec::new(),
            writes,
            after: None,
            purpose,
            now,
        }
    }

    /// Adds a condition.
    #[must_use]
    pub(in crate::engine) fn guard(mut self, key: Key, expected: Expected) -> Self {
        self.guards.push((key, expected));
        self
    }

    /// Adds a write beside the object's own.
    pub(in crate::engine) fn also<S: Stored>(
        mut self,
        key: Key,
        form: &S,
    ) -> Result<Self, EngineError> {
        let payload = codec::encode(form).map_err(too_large)?;
        self.writes
            .push(put_payload(key, S::KIND, S::SCHEMA, &payload)?);
        Ok(self)
    }

    /// Deletes a record beside the object's own change.
    #[must_use]
    pub(in crate::engine) fn also_delete(mut self, key: Key) -> Self {
        self.writes.push(Write::delete(key));
        self
    }

    /// Lets it through when the disk is nearly full.
    #[must_use]
    pub(in crate::engine) fn relief(mut self) -> Self {
        self.purpose = Purpose::Relief;
        self
    }
}

/// Why a change did not happen.
pub(in crate::engine) enum Missed {
    /// A guard on a key that other commits share was overtaken: look again and decide anew.
    Overtaken,
    /// The same request happened before.
    Before,
    /// Refused.
    Refused(EngineError),
}

impl Engine {
    /// The first answer to a repeated request, judged before anything else.
    ///
    /// # Errors
    /// `idempotency-key-reused` if the body differs from the first one's.
    pub(in crate::engine) async fn replay(
        &self,
        intent: &Intent,
    ) -> Result<Option<(StoredAnswer, Revision)>, EngineError> {
        let Some(idempotency) = &intent.idempotency else {
            return Ok(None);
        };
        let found = self.config().get(&key::answer(idempotency.id)).await?;
        let Some(entry) = found else { return Ok(None) };
        let stored = AnswerV1::open(&entry)?;
        if stored.request != idempotency.request {
            return Err(EngineError::IdempotencyKeyReused);
        }
        let answer = StoredAnswer {
            status: stored.status,
            location: stored.location,
            body: stored.body,
        };
        Ok(Some((answer, entry.revision())))
    }

    /// The first answer of a request that another one has just made.
    pub(in crate::engine) async fn first_answer<T>(
        &self,
        intent: &Intent,
    ) -> Result<Written<T>, EngineError> {
        match self.replay(intent).await? {
            Some((answer, revision)) => Ok(Written::Replayed(answer, revision)),
            None => Err(EngineError::OutcomeUnknown),
        }
    }

    /// Commits the change with its audit entry and answer, and waits for its snapshot.
    pub(in crate::engine) async fn commit(
        &self,
        intent: &Intent,
        change: Change,
        answer: Option<&StoredAnswer>,
    ) -> Result<Revision, Missed> {
        let object = change.object.clone();
        let commit = self
            .compose(intent, change, answer)
            .map_err(Missed::Refused)?;
        match self.config().commit(commit).await {
            Ok(revision) => {
                self.published(revision).await.map_err(Missed::Refused)?;
                fault!("commit.before-answer");
                Ok(revision)
            }
            Err(CommitError::AlreadyDone(_)) => Err(Missed::Before),
            Err(CommitError::Conflict { key, current }) if key == object => {
                let current = current.map_or(0, |revision| revision.0);
                Err(Missed::Refused(EngineError::StaleRevision { current }))
            }
            Err(CommitError::Conflict { .. }) => Err(Missed::Overtaken),
            Err(refusal) => Err(Missed::Refused(refusal.into())),
        }
    }

    fn compose(
        &self,
        intent: &Intent,
        change: Change,
        answer: Option<&StoredAnswer>,
    ) -> Result<Commit, EngineError> {
        let id = intent
            .idempotency
            .map_or_else(|| self.entropy().commit_id(), |known| known.id);
        let mut writes = change.writes;
        let folded = self.config().folded();
        let standing = folded.get(&change.object);
        let before = match standing {
            // The form alone, as `after` has it: the bytes around it hold the revision as well.
            Some(value) => Some(digest(&value.payload().map_err(EngineError::internal)?)),
            None => None,
        };
        let revision_before = standing.map_or(Revision(0), Value::revision);
        let about = About {
            action: change.action,
            object: &change.object,
            before,
            after: change.after,
            now: change.now,
        };
        let (place, entry) = self.audit_entry(intent, about)?;
        writes.push(entry);
        if let Some(past) = past_of(&change.object, revision_before) {
            let form = PastV1 {
                entry: place.to_string(),
            };
            writes.push(put(past, &form)?);
        }
        if let (Some(idempotency), Some(answer)) = (&intent.idempotency, answer) {
            let body = answer
                .body
                .clone()
                .filter(|body| body.len() <= ANSWER_BYTES_MAX);
            let stored = AnswerV1 {
                at: change.now.0,
                request: idempotency.request,
                status: answer.status,
                location: answer.location.clone(),
                body,
            };
            writes.push(put(key::answer(idempotency.id), &stored)?);
        }
        let mut commit = Commit::new(id, change.now, writes);
        commit.guards = change.guards;
        commit.purpose = change.purpose;
        Ok(commit)
    }

    /// The audit entry of a change, to be committed with it, and its key.
    pub(in crate::engine) fn audit_entry(
        &self,
        intent: &Intent,
        about: About<'_>,
    ) -> Result<(Key, Write), EngineError> {
        let (schema, after) = about
            .after
            .map_or((0, None), |(schema, form)| (schema, Some(form)));
        let audit = AuditV1 {
            at: about.now.0,
            actor: intent.principal.actor(),
            address: intent.address.clone(),
            action: about.action.to_owned(),
            object: about.object.as_str().to_owned(),
            before: about.before,
            after: after.as_deref().map(digest),
            version: after.filter(|form| is_kept(schema, form)),
            schema,
            refused: None,
        };
        let place = key::audit(about.now, self.entropy().commit_id());
        let write = put(place.clone(), &audit)?;
        Ok((place, write))
    }
}

/// Whether an audit entry has room for a version.
fn is_kept(schema: u16, form: &[u8]) -> bool {
    let packed = Draft::new(AuditV1::KIND, schema, form);
    packed.is_ok_and(|packed| packed.value_bytes() <= VERSION_BYTES_MAX)
}

/// Where the history of an object has a change, if it has one. The change is guarded on `before`.
fn past_of(object: &Key, before: Revision) -> Option<Key> {
    let id = object.as_str().strip_prefix("promo.")?;
    Some(key::past(PromotionId::parse(id).ok()?, before))
}

fn put<S: Stored>(key: Key, form: &S) -> Result<Write, EngineError> {
    put_payload(
        key,
        S::KIND,
        S::SCHEMA,
        &codec::encode(form).map_err(too_large)?,
    )
}

fn put_payload(key: Key, kind: Kind, schema: u16, payload: &[u8]) -> Result<Write, EngineError> {
    Write::put(key, kind, schema, payload).map_err(too_large)
}

fn too_large(error: codec::CodecError) -> EngineError {
    match error {
        codec::CodecError::TooLarge { have, max } => EngineError::too_large(have, max),
        other => EngineError::internal(other),
    }
}

/// SHA-256 of a stored form.
pub(in crate::engine) fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}
