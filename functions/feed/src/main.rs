//! GET /v1/feed
fn main() {}
