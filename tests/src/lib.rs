//! An empty library: the tests are in `suite/`.
