//! A local OpenID Connect provider. It publishes its keys, issues tokens on request, and signs users in by Authorization
//! Code with PKCE ([`oauth`]), without passwords. Its key pair is generated at the first start and kept in the data
//! folder, so that tokens survive a restart.
//!
//! This is the stack's own code, because oxide-auth supports neither ID tokens nor discovery, and openidconnect is a
//! client library.

mod flow;
mod identity;
pub(crate) mod oauth;
mod page;
mod provider;

pub(crate) use identity::Identity;
pub use provider::SignIn;
