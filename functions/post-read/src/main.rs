//! GET of posts, by id and by user
fn main() {}
