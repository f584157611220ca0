//! The `endcap` program.

fn main() {}
