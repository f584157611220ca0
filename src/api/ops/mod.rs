//! What looks after the process calls: no version prefix, no key but for metrics and the clock.

pub mod clock;
pub mod health;
pub mod version;
