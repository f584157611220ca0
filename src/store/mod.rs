//! **What was written last, what since, and is it whole?**
