//! GET /v1/health, CORS preflights, and the answer to every unknown path
fn main() {}
