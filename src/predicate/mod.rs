//! **Does this thing fit these rules, and which rule said no?**
