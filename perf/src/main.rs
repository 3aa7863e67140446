//! Perf.
fn main() {}
