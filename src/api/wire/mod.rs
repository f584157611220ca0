//! JSON as read and written by every audience.
//!
//! Reading never stops at the first fault: [`fields::Fields`] goes through an object, collects
//! every complaint with its pointer, and names unknown fields with the nearest known one.

pub mod fields;
pub mod patch;
pub mod rules;
pub mod scalar;
pub mod write;
