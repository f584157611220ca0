//! **What do these bytes say, and which rows are wrong?**
