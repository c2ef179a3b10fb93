//! re-sends overdue fan-outs
fn main() {}
