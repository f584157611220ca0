//! **May this principal do that to this object?**
