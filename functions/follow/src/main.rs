//! PUT and DELETE of a follow: queued
fn main() {}
