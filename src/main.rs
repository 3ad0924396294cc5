//! The `tripline` program.
fn main() {}
