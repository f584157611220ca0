//! **Which shop do size n and seed s give?**
