//! Ids in paths.

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::request::Parts;

use super::Problem;
use crate::domain::{CatId, CommentId, PostId, Tag, UserId, UserRef};
#[cfg(feature = "store")]
use crate::store::Store;

/// The path's one parameter, or its two as a pair, percent-decoded and parsed. A parameter that doesn't parse names
/// nothing that can exist: 404.
#[derive(Debug, Clone)]
pub struct Path<T>(pub T);

/// A type that a path's parameter parses into.
pub trait FromPath: Sized {
    /// Returns the value; `None` if no such thing can exist.
    fn from_path(text: &str) -> Option<Self>;
    /// The text of the 404.
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

/// Accepts any spelling of the tag, without its `#`.
impl FromPath for Tag {
    const NOT_FOUND: &'static str = "There is no such tag.";
    fn from_path(text: &str) -> Option<Self> {
        Self::parse(text).ok()
    }
}

impl FromPath for CommentId {
    const NOT_FOUND: &'static str = "There is no such comment.";
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
    /// Returns the user's id; 404 if nobody has the handle. Doesn't check whether a user of that id exists, or whether
    /// the caller may know of them.
    pub async fn user(self, store: &Store) -> Result<UserId, Problem> {
        store.user(self.0).await?.ok_or_else(Self::not_found)
    }

    /// Returns the user's id; 404 if nobody has the handle, or a user of whom the caller may not know. An id is not
    /// checked.
    pub async fn visible_user(self, caller: &UserId, store: &Store) -> Result<UserId, Problem> {
        let by_handle = self.is_handle();
        let user = self.user(store).await?;
        if by_handle && user != *caller {
            let users = std::slice::from_ref(&user);
            let visibility = store.visibility(caller, users).await?;
            visibility.existing(&user).ok_or_else(Self::not_found)?;
        }
        Ok(user)
    }

    /// Returns whether the path names the user by their handle.
    pub const fn is_handle(&self) -> bool {
        matches!(self.0, UserRef::Handle(_))
    }
}

impl<T> Path<T>
where
    T: FromPath,
{
    /// Returns the 404 for a thing of this kind that doesn't exist.
    pub fn not_found() -> Problem {
        Problem::not_found(T::NOT_FOUND)
    }
}

/// Parses the next of these parameters; 404 if no such thing can exist.
fn next<'p, T: FromPath>(texts: &mut impl Iterator<Item = &'p str>) -> Result<T, Problem> {
    let value = texts.next().and_then(T::from_path);
    value.ok_or_else(Path::<T>::not_found)
}

impl<S: Send + Sync, T: FromPath> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        // Parameters that aren't UTF-8 are rejected here.
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| Self::not_found())?;
        let mut texts = params.iter().map(|(_, text)| text);
        Ok(Self(next(&mut texts)?))
    }
}

impl<S: Send + Sync, A: FromPath, B: FromPath> FromRequestParts<S> for Path<(A, B)> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        // The path leads to no `B`, whichever of its parameters isn't UTF-8.
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| Path::<B>::not_found())?;
        let mut texts = params.iter().map(|(_, text)| text);
        Ok(Self((next(&mut texts)?, next(&mut texts)?)))
    }
}
