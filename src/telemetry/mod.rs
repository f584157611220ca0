//! **How do we count and log?**
//!
//! - [`metrics`]: the one list of all metrics, and its text for whoever scrapes it
//! - [`series`]: counts by name, latencies in buckets: what a metric is made of
//! - [`log`]: where log lines go, and that each is one line without secrets
//!
//! Pure rooms return facts; `engine`, `http` and `store` count them here.
//!
//! Invariants: units stand in the names; no label holds a key, a session or a shopper, and no
//! label can take more than a thousand values; a log line never holds an API key.
//!
//! Cost: counting is one or two atomic additions. Finding a market's or a route's series by name is
//! a read lock and a search among few names, so who counts often keeps the series.

pub mod log;
pub mod metrics;
pub mod series;
