//! lcctl
fn main() {}
