//! applies queued likes
fn main() {}
