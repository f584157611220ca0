//! **How does each aggregate look as bytes, in every version?**
