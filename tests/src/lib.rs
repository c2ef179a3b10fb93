//! The suites stand in `suite/`.
