//! Leases: placeholders that keep stale values from being filled in.

/// The token of a placeholder. Begins with `?`, unlike JSON and the state of a viewer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease(String);

impl Lease {
    pub(super) fn new() -> Self {
        Self(format!("?{:016x}", rand::random::<u64>()))
    }

    pub(super) fn token(&self) -> &str {
        &self.0
    }
}
