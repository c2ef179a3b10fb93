//! The order of a caller's requests.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::gate::Admitted;
use super::{Caller, Problem};
use crate::domain::{Stamp, UserId};

/// The signed-in caller with the stamp of their request, for functions that are [`Settings::ordered`]: a request that
/// came after the answer to another one of the same caller has the later stamp, whichever instances served them.
///
/// [`Settings::ordered`]: super::Settings::ordered
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StampedCaller {
    /// The caller.
    pub caller: UserId,
    /// The request's place among the caller's requests.
    pub stamp: Stamp,
    /// Whether the caller has reached the limit of follows, as far as the cache knows.
    pub at_follow_limit: bool,
}

impl<S: Sync> FromRequestParts<S> for StampedCaller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Caller(caller) = Caller::from_request_parts(parts, state).await?;
        let admitted = parts.extensions.get::<Admitted>().copied();
        let Admitted {
            stamp,
            at_follow_limit,
        } = admitted.unwrap_or_default();
        Ok(Self {
            caller,
            stamp: stamp.map_or_else(Stamp::own, Stamp::Shared),
            at_follow_limit,
        })
    }
}
