//! **What is for sale in this market, with which attributes, categories, scores?**
