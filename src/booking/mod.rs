//! **Is there room, and if not, from when?**
