//! `purrline-local`.
fn main() {}
