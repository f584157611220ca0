//! JSON as read and written by every audience.
//!
//! Reading never stops at the first fault: [`fields::Fields`] goes through an object, collects
//! every complaint with its pointer, and names unknown fields with the nearest known one. What is
//! read goes on together with what was wrong, so that the room behind adds its own complaints and
//! one answer names them all.

pub mod answer;
pub mod change;
pub mod difference;
pub mod fields;
pub mod list;
pub mod patch;
pub mod path;
pub mod query;
pub mod rules;
pub mod scalar;
pub mod write;
