//! The `lc-worker` program.
fn main() {}
