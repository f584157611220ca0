//! **How do we count and log?**

pub mod metrics;
