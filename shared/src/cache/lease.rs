//! Leases: placeholders that keep stale values from being filled in.

/// The token of a placeholder. It begins with `?`, as neither JSON nor the state of a viewer does.
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
