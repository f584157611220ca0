//! **What did the merchandiser decide, and where is it active now?**
