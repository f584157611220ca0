//! What every write leaves beside its subject: commit points, audit entries, stored answers; and
//! the store's own secrets.

use serde::{Deserialize, Serialize};

use crate::record::{Stored, hex};
use crate::store::codec::Kind;

/// The store's secrets. Never rotated: `split_key`, or every session would change its arms.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetaV1 {
    /// When the store was made, in milliseconds.
    pub created: i64,
    /// Under which sessions are split.
    #[serde(with = "hex::one")]
    pub split_key: [u8; 16],
    /// Under which tickets are sealed.
    #[serde(with = "hex::one")]
    pub ticket_key: [u8; 16],
    /// Under which cursors are sealed.
    #[serde(with = "hex::one")]
    pub cursor_key: [u8; 16],
    /// Under which keys are hashed before they leave the process.
    #[serde(with = "hex::one")]
    pub hash_key: [u8; 16],
    /// Whether the store was made to run under a test clock.
    pub test_clock: bool,
}

impl std::fmt::Debug for MetaV1 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MetaV1")
            .field("created", &self.created)
            .finish_non_exhaustive()
    }
}

impl Stored for MetaV1 {
    const KIND: Kind = Kind(1);
    const SCHEMA: u16 = 1;
}

/// A market's commit point: rewritten by every commit that moves a place in it.
///
/// The calendars themselves are folded from the aggregates; these counts cross-check the fold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CalendarV1 {
    /// Commits that moved a place, ever.
    pub changes: u64,
    /// Promotions and demotions of this market that are not archived, whatever the clock says.
    pub bookings: u32,
    /// SKUs of seller promotions and products of plans.
    pub places: u32,
}

impl Stored for CalendarV1 {
    const KIND: Kind = Kind(3);
    const SCHEMA: u16 = 1;
}

/// Who changed what, and when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditV1 {
    /// Milliseconds.
    pub at: i64,
    /// Id of the key or user, or the name of a job.
    pub actor: String,
    /// Address of the caller.
    pub address: Option<String>,
    /// Verb, such as `promotion.create`.
    pub action: String,
    /// Key of the record concerned.
    pub object: String,
    /// SHA-256 of the record's stored form before, if it stood.
    #[serde(with = "hex::option")]
    pub before: Option<[u8; 32]>,
    /// SHA-256 of the record's stored form after, if it stands.
    #[serde(with = "hex::option")]
    pub after: Option<[u8; 32]>,
    /// The stored form after, where it is short enough: a version to go back to.
    #[serde(with = "hex::blob")]
    pub version: Option<Vec<u8>>,
    /// Schema of `version`.
    pub schema: u16,
    /// Code of the refusal; absent for a write that happened.
    pub refused: Option<String>,
}

impl Stored for AuditV1 {
    const KIND: Kind = Kind(30);
    const SCHEMA: u16 = 1;
}

/// Where an object's history has its audit entries: so they are found without reading all others.
/// The entry lies in the same commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastV1 {
    /// Key of the audit entry.
    pub entry: String,
}

impl Stored for PastV1 {
    const KIND: Kind = Kind(33);
    const SCHEMA: u16 = 1;
}

/// The first answer to an idempotent request, for 24 hours.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerV1 {
    /// When it was given, in milliseconds.
    pub at: i64,
    /// SHA-256 of the request's body.
    #[serde(with = "hex::one")]
    pub request: [u8; 32],
    /// HTTP status.
    pub status: u16,
    /// Where the created object lies.
    pub location: Option<String>,
    /// The body; absent where it was too long to keep.
    #[serde(with = "hex::blob")]
    pub body: Option<Vec<u8>>,
}

impl Stored for AnswerV1 {
    const KIND: Kind = Kind(32);
    const SCHEMA: u16 = 1;
}

/// The last day on which an API key was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsedV1 {
    /// Midnight of that day in UTC, in milliseconds.
    pub day: i64,
}

impl Stored for UsedV1 {
    const KIND: Kind = Kind(107);
    const SCHEMA: u16 = 1;
}

/// A node's write watchdog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProbeV1 {
    /// Number of the node.
    pub node: u32,
    /// Grows with every beat.
    pub beat: u64,
}

impl Stored for ProbeV1 {
    const KIND: Kind = Kind(240);
    const SCHEMA: u16 = 1;
}
