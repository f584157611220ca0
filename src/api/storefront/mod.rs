//! What a shop's pages call.

pub mod rank;
pub mod rank_answer;
pub mod rank_request;
pub mod rank_schema;
