//! **How does it look in JSON, per audience?**

pub mod wire;
