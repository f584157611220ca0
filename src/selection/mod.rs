//! **Which rows does this promotion hold, and why this one?**
