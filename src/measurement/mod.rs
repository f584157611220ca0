//! **Did it help, and may we believe it?**
