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
pub struct Word {
    /// The caller.
    pub caller: UserId,
    /// The request's place among the caller's requests.
    pub stamp: Stamp,
    /// Whether the caller has reached the limit of follows, as far as the cache knows.
    pub follows_most: bool,
}

impl<S: Sync> FromRequestParts<S> for Word {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Caller(caller) = Caller::from_request_parts(parts, state).await?;
        let admitted = parts.extensions.get::<Admitted>().copied();
        let Admitted {
            stamp,
            follows_most,
        } = admitted.unwrap_or_default();
        Ok(Self {
            caller,
            stamp: stamp.map_or_else(Stamp::own, Stamp::Shared),
            follows_most,
        })
    }
}
