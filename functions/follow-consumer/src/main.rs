//! applies queued follows
fn main() {}
