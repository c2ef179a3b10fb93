//! Ids in paths.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;

use super::Problem;
use crate::domain::{CatId, PostId, Tag, UserId, UserRef};
#[cfg(feature = "store")]
use crate::store::Store;

/// The path's one parameter, percent-decoded and parsed. What doesn't parse can't exist: 404.
#[derive(Debug, Clone)]
pub struct Path<T>(pub T);

/// What a path's parameter may be parsed to.
pub trait FromPath: Sized {
    /// The value; nothing if there can't be such a thing.
    fn from_path(text: &str) -> Option<Self>;
    /// The 404's words.
    const NOT_FOUND: &'static str;
}

impl FromPath for PostId {
    const NOT_FOUND: &'static str = "There is no such post.";
    fn from_path(text: &str) -> Option<Self> {
        Self::parse(text).ok()
    }
}

impl FromPath for CatId {
    const NOT_FOUND: &'static str = "There is no such cat.";
    fn from_path(text: &str) -> Option<Self> {
        Self::parse(text).ok()
    }
}

/// In any spelling of it, without its `#`.
impl FromPath for Tag {
    const NOT_FOUND: &'static str = "There is no such tag.";
    fn from_path(text: &str) -> Option<Self> {
        Self::parse(text).ok()
    }
}

impl FromPath for UserId {
    const NOT_FOUND: &'static str = "There is no such user.";
    fn from_path(text: &str) -> Option<Self> {
        Self::parse(text).ok()
    }
}

impl FromPath for UserRef {
    const NOT_FOUND: &'static str = UserId::NOT_FOUND;
    fn from_path(text: &str) -> Option<Self> {
        Self::parse(text).ok()
    }
}

#[cfg(feature = "store")]
impl Path<UserRef> {
    /// The user's id: 404 if nobody has the handle. Whether there is a user of that id is not asked.
    pub async fn user(self, store: &Store) -> Result<UserId, Problem> {
        store.user(self.0).await?.ok_or_else(Self::not_found)
    }
}

impl<T> Path<T>
where
    T: FromPath,
{
    /// The 404 for a thing of this kind that doesn't exist.
    pub fn not_found() -> Problem {
        Problem::not_found(T::NOT_FOUND)
    }
}

impl<S: Send + Sync, T: FromPath> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        // Parameters that aren't UTF-8 are rejected here.
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| Self::not_found())?;
        let value = params
            .iter()
            .next()
            .and_then(|(_, text)| T::from_path(text));
        value.map(Self).ok_or_else(Self::not_found)
    }
}
