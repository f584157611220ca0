//! **What happens when somebody asks for X?**

pub mod clock;
pub mod error;
pub mod seal;
