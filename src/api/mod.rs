//! **How does it look in JSON, per audience?**

pub mod merchandiser;
pub mod storefront;
pub mod wire;
