//! **How do bytes on a socket become a known caller's request?**
