//! **What stands at places n to n + k, under this mask?**
