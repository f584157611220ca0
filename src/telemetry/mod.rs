//! **How do we count and log?**
