//! **What do we mean by the word?**
//!
//! Floor 0: the newtypes that every other room speaks in. A value that exists is valid, because
//! its constructor is the only way to it; a constructor that refuses answers with a
//! [`Fault`](complaint::Fault), which the caller places in its document as a
//! [`Complaint`](complaint::Complaint).
//!
//! - [`id`]: keys given by the shop, ids given by the server
//! - [`text`]: trimming, normal form C, bounded names
//! - [`money`], [`number`]: integer minor units, exact decimals; no float anywhere
//! - [`time`]: instants, local dates, zones, half-open periods
//! - [`category`], [`boost`], [`metric`], [`value`]: small words of several rooms
//! - [`limits`]: every figure of the source documents, once
//!
//! Nothing here has behaviour that needs two rooms.

pub mod boost;
pub mod category;
pub mod complaint;
pub mod id;
pub mod limits;
pub mod metric;
pub mod money;
pub mod number;
pub mod text;
pub mod time;
pub mod value;
