//! pushes posts into followers feeds
fn main() {}
