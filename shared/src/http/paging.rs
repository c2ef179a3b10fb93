//! `?limit=` and `?cursor=`.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::{Fields, Problem, Query};
use crate::domain::{BadCursor, Cursor, Limit};

/// The query of a list: `?limit=` (1 to 100, 20 by default) and `?cursor=`.
#[derive(Debug)]
pub struct Paging(Fields);

impl Paging {
    /// Returns the page's size, and the position from which to continue the list named `list`; `None`, without a
    /// cursor, for its start. One 400 names a bad limit, a bad cursor and any other parameter. A position that `decode`
    /// can't read is a bad cursor.
    pub fn open<P>(
        self,
        list: &str,
        decode: impl FnOnce(&[u8]) -> Option<P>,
    ) -> Result<(Limit, Option<P>), Problem> {
        let Self(mut fields) = self;
        let limit = fields.optional("limit", Limit::parse);
        let position = fields.optional("cursor", |cursor| {
            let position = Cursor::open(cursor, list)?;
            decode(&position).ok_or(BadCursor)
        });
        let (limit, position) = fields.finish((limit, position))?;
        Ok((limit.unwrap_or_default(), position))
    }
}

impl<S: Sync> FromRequestParts<S> for Paging {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(fields) = Query::from_request_parts(parts, state).await?;
        Ok(Self(fields))
    }
}
