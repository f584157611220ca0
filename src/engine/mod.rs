//! **What happens when somebody asks for X?**

pub mod seal;
