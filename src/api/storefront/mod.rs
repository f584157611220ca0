//! What a shop's pages call.

pub mod adapters;
pub mod event_item;
pub mod event_order;
pub mod event_request;
pub mod event_schema;
pub mod events;
pub mod rank;
pub mod rank_answer;
pub mod rank_request;
pub mod rank_schema;
