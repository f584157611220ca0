//! What every change brings along: who asks, under which idempotency key, knowing which revision.

use axum::extract::FromRequestParts;
use hyper::http::request::Parts;

use crate::engine::commit::{Idempotency, Intent, Known};
use crate::http::extract::{Caller, IdempotencyKey, IfMatch, Raw};
use crate::http::problem::Problem;

/// A change as asked for.
///
/// Its idempotency key counts for principal, method, path and query together; the body's hash tells
/// whether it is the same request again.
#[derive(Clone, Debug)]
pub(crate) struct Asked(pub(crate) Intent);

impl<S: Sync> FromRequestParts<S> for Asked {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let IdempotencyKey(key) = IdempotencyKey::from_request_parts(parts, state).await?;
        let Ok(Raw(body)) = Raw::from_request_parts(parts, state).await;
        let actor = caller.principal.actor();
        let target = parts
            .uri
            .path_and_query()
            .map_or("", |target| target.as_str());
        let method = parts.method.as_str();
        let idempotency = key.map(|key| Idempotency::new(&actor, method, target, &key, &body));
        Ok(Self(Intent {
            principal: caller.principal,
            address: Some(caller.address.to_string()),
            idempotency,
        }))
    }
}

/// The revision that the caller saw.
///
/// # Errors
/// `precondition-required` without one, also for `*`: whoever changes an object has seen it.
pub(crate) fn seen(if_match: IfMatch) -> Result<Known, Problem> {
    match if_match {
        IfMatch::Revision(revision) => Ok(Known::at(revision)),
        IfMatch::Absent | IfMatch::Any => Err(Problem::precondition_required()),
    }
}

/// The revision that the caller saw, or any: for what must never lose a race, since it stops
/// something.
///
/// # Errors
/// `precondition-required` without either.
pub(crate) fn seen_or_any(if_match: IfMatch) -> Result<Known, Problem> {
    match if_match {
        IfMatch::Any => Ok(Known::Any),
        named => seen(named),
    }
}
