//! GET of users, the caller, followers and following
fn main() {}
