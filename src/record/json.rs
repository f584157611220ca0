//! Every kind that has a stored form, and how its records look as JSON.
//!
//! JSON says all that the bytes say, exactly: whole numbers as numbers, bytes as hex, what is absent
//! as null. So bytes → JSON → bytes gives the same bytes, and a JSON value that says less or more
//! than its form is refused. On the way in an aggregate passes its constructor, so that an import
//! cannot bring what no start would take; on the way out it does not, so that even a record that
//! no constructor takes can be saved.
//!
//! Batches of events stay opaque: an export is to be no longer than its log, whose form
//! ([`event`](super::event)) is dense and may write a number in two ways. So their bytes are hex,
//! and who reads the log refuses what is no batch.

use serde_json::Value as Json;

use crate::record::access::KeyV1;
use crate::record::desk::{AnswerV1, AuditV1, CalendarV1, MetaV1, PastV1, ProbeV1, UsedV1};
use crate::record::hex;
use crate::record::import::{ImportV1, MappingV1};
use crate::record::market::MarketV1;
use crate::record::promotion::PromotionV1;
use crate::record::{RecordError, Stored};
use crate::store::codec::{self, CodecError, Kind};
use crate::store::event::EVENTS;
use crate::store::seam::Forms;

/// One schema of one kind.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// Number of the record type.
    pub kind: Kind,
    /// Version of the layout.
    pub schema: u16,
    to_json: fn(&[u8]) -> Result<Json, CodecError>,
    to_bytes: fn(&Json) -> Result<Vec<u8>, CodecError>,
}

/// Every schema ever released of every kind, ascending by kind and schema.
pub const FORMS: [Form; 13] = [
    Form::of::<MetaV1>(),
    Form::of::<MarketV1>(),
    Form::of::<CalendarV1>(),
    Form::of::<PromotionV1>(),
    Form::of::<KeyV1>(),
    Form::of::<MappingV1>(),
    Form::of::<AuditV1>(),
    Form::of::<AnswerV1>(),
    Form::of::<PastV1>(),
    Form::of::<UsedV1>(),
    Form::of::<ImportV1>(),
    Form::of::<ProbeV1>(),
    Form::opaque(EVENTS, 1),
];

impl Form {
    const fn of<F: Stored>() -> Self {
        Self {
            kind: F::KIND,
            schema: F::SCHEMA,
            to_json: to_json::<F>,
            to_bytes: to_bytes::<F>,
        }
    }

    /// A form whose bytes nobody reads here: in JSON they are hex.
    const fn opaque(kind: Kind, schema: u16) -> Self {
        Self {
            kind,
            schema,
            to_json: opaque_to_json,
            to_bytes: opaque_to_bytes,
        }
    }

    fn find(kind: Kind, schema: u16) -> Result<&'static Self, CodecError> {
        let found = FORMS
            .iter()
            .find(|form| form.kind == kind && form.schema == schema);
        found.ok_or_else(|| misfit(format!("kind {}, schema {schema} is not known", kind.0)))
    }
}

/// The stored forms of this version, for exports, imports and checks of the store.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecordForms;

impl Forms for RecordForms {
    fn to_json(&self, kind: Kind, schema: u16, payload: &[u8]) -> Result<Json, CodecError> {
        (Form::find(kind, schema)?.to_json)(payload)
    }

    fn to_bytes(&self, kind: Kind, schema: u16, value: &Json) -> Result<Vec<u8>, CodecError> {
        (Form::find(kind, schema)?.to_bytes)(value)
    }

    fn newest(&self, kind: Kind) -> Option<u16> {
        let own = FORMS.iter().filter(|form| form.kind == kind);
        own.map(|form| form.schema).max()
    }
}

fn to_json<F: Stored>(payload: &[u8]) -> Result<Json, CodecError> {
    let form: F = codec::decode(payload)?;
    serde_json::to_value(&form).map_err(misfit)
}

fn to_bytes<F: Stored>(value: &Json) -> Result<Vec<u8>, CodecError> {
    let form = F::deserialize(value).map_err(misfit)?;
    if serde_json::to_value(&form).map_err(misfit)? != *value {
        return Err(misfit("fields are missing, or there are too many"));
    }
    let payload = codec::encode(&form)?;
    match form.check() {
        Ok(()) => Ok(payload),
        Err(RecordError::Codec(error)) => Err(error),
        Err(error) => Err(misfit(error)),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the shape that every form has")]
fn opaque_to_json(payload: &[u8]) -> Result<Json, CodecError> {
    let text = hex::encode(payload);
    Ok(serde_json::json!({ "bytes": text }))
}

fn opaque_to_bytes(value: &Json) -> Result<Vec<u8>, CodecError> {
    let text = value["bytes"].as_str().and_then(hex::decode);
    let payload = text.ok_or_else(|| misfit("no hex in bytes"))?;
    if opaque_to_json(&payload)? == *value {
        Ok(payload)
    } else {
        Err(misfit("there are too many fields"))
    }
}

fn misfit(why: impl std::fmt::Display) -> CodecError {
    CodecError::Form {
        why: why.to_string(),
    }
}
