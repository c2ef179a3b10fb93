//! POST, PATCH and DELETE of posts
fn main() {}
