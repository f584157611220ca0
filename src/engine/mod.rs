//! **What happens when somebody asks for X?**
