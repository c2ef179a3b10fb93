//! PUT and DELETE of a like: queued
fn main() {}
