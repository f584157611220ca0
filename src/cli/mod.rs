//! **How is it composed and started?**
