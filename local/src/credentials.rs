//! The credentials of the stack's AWS services.

/// The access key id that every client of the stack's services uses.
pub const ACCESS_KEY: &str = "local";
/// The secret of [`ACCESS_KEY`].
pub const SECRET_KEY: &str = "local-secret";
