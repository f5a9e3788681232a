//! The `podssh` binary.
fn main() {}
