//! The events of one partition in one call, kind 250.
//!
//! ```text
//! [Entry], [Control] ⇄ what is said often, once (markets, promotions, epochs, lists, offers)
//!                      · controls · entries, which name it by its place
//! ```
//!
//! The log's own form, frozen like every other. Numbers take as few bytes as they need, texts are
//! borrowed both ways, and an epoch or a list of promotions that many entries share is shared
//! again when it is read. No [`Stored`](super::Stored): what borrows is no record by itself.
//!
//! Cost: a click of a known shopper takes 80 bytes, 40 of them digests of session, shopper and id,
//! and some 0.2 µs to write and 0.5 µs to read; a page of 24 items with five marks 600 bytes, 2.5
//! and 6 µs. Five hundred such pages pack to 220 bytes each; digests do not pack.

#[cfg(test)]
mod laws;
mod reader;
mod writer;

use serde::{Deserialize, Serialize};

use self::reader::Reader;
use self::writer::Writer;
use crate::measurement::log::{Control, Entry};
use crate::record::RecordError;
use crate::store::codec;
use crate::store::event::EVENTS;

/// Version of the layout that is written.
pub const SCHEMA: u16 = 1;

/// The bytes of one partition's events in one call.
///
/// # Errors
/// [`RecordError::TooMany`] above 65,536 different markets, groups, promotions, epochs, lists or
/// offers; [`RecordError::Codec`] above 2 MiB. The caller splits its call.
pub fn encode(entries: &[Entry], controls: &[Control]) -> Result<Vec<u8>, RecordError> {
    let mut writer = Writer::default();
    let controls: Result<Vec<_>, _> = controls.iter().map(|own| writer.control(own)).collect();
    let mut written = Vec::with_capacity(entries.len());
    let mut before = 0;
    for entry in entries {
        written.push(writer.entry(entry, before)?);
        before = entry.received.0;
    }
    let batch = writer.batch(controls?, written)?;
    Ok(codec::encode_dense(&batch)?)
}

/// What [`encode`] wrote under `schema`, in its order.
///
/// # Errors
/// [`RecordError`]; never a panic, whatever the bytes.
pub fn decode(schema: u16, bytes: &[u8]) -> Result<(Vec<Entry>, Vec<Control>), RecordError> {
    if schema != SCHEMA {
        let kind = EVENTS.0;
        return Err(RecordError::TooNew { kind, schema });
    }
    let batch: BatchV1<'_> = codec::decode_dense(bytes)?;
    let reader = Reader::new(&batch)?;
    let controls: Result<Vec<_>, _> = batch.controls.iter().map(|c| reader.control(c)).collect();
    let mut entries = Vec::with_capacity(batch.entries.len());
    let mut before = 0;
    for entry in batch.entries {
        let read = reader.entry(entry, before)?;
        before = read.received.0;
        entries.push(read);
    }
    Ok((entries, controls?))
}

/// Place in one of a batch's lists.
type Place = u16;

/// Events of one partition.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct BatchV1<'b> {
    #[serde(borrow)]
    markets: Vec<&'b str>,
    groups: Vec<&'b str>,
    promotions: Vec<[u8; 16]>,
    /// Lists of promotions.
    lists: Vec<Vec<Place>>,
    epochs: Vec<EpochV1>,
    offers: Vec<OfferV1>,
    controls: Vec<ControlV1>,
    entries: Vec<EntryV1<'b>>,
}

/// A measured stretch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct EpochV1 {
    promotion: Place,
    number: u32,
    salt: u64,
    share_bp: u16,
}

/// A smart offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
struct OfferV1 {
    plan: [u8; 16],
    /// Days since 1970.
    window: i32,
    level: u16,
}

/// The beginning or end of an epoch.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct ControlV1 {
    market: Place,
    epoch: Place,
    aa: bool,
    at: i64,
    end: bool,
}

/// One event.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct EntryV1<'b> {
    /// Milliseconds since the entry before was received; of the first, since 1970. It wraps.
    received: i64,
    /// Milliseconds from `received` to when it happened. It wraps.
    at: i64,
    /// Days since 1970.
    day: i32,
    /// Days from `day` to the one it is booked on.
    booked: i32,
    market: Place,
    session: [u8; 16],
    shopper: Option<[u8; 16]>,
    group: Option<Place>,
    id: u64,
    bot: bool,
    foreign: bool,
    #[serde(borrow)]
    what: WhatV1<'b>,
}

/// What happened.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum WhatV1<'b> {
    Page {
        revision: u64,
        panel: u64,
        displays: bool,
        #[serde(borrow)]
        items: Vec<ItemV1<'b>>,
        marks: Vec<MarkV1>,
    },
    Display {
        marks: Vec<MarkV1>,
        items: Vec<ItemV1<'b>>,
    },
    Click(ItemV1<'b>),
    View(ItemV1<'b>),
    AddToCart(ItemV1<'b>, u32),
    Purchase(OrderV1<'b>),
    Refund(OrderV1<'b>),
    End,
}

/// A stretch as it stood on one page.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct MarkV1 {
    epoch: Place,
    withheld: bool,
    /// 0 to 2, shallow first.
    trigger: u8,
}

/// A variant shown, opened or sold.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct ItemV1<'b> {
    variant: &'b str,
    /// Absent where it is the variant's own key.
    #[serde(borrow)]
    product: Option<&'b str>,
    /// Place of its list of promotions.
    promotions: Place,
    offer: Option<Place>,
}

/// Lines of an order.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct OrderV1<'b> {
    id: [u8; 16],
    #[serde(borrow)]
    lines: Vec<LineV1<'b>>,
}

/// One line, money in minor units.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct LineV1<'b> {
    line: u64,
    #[serde(borrow)]
    item: ItemV1<'b>,
    quantity: u32,
    paid: i64,
    cost: Option<i64>,
}
