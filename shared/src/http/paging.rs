//! `?limit=` and `?cursor=`.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;

use super::Problem;
use crate::domain::{BadCursor, Cursor, Invalid, Limit};

/// The query of a list: `?limit=` (1 to 100, 20 unless told) and `?cursor=`.
#[derive(Debug, Default)]
pub struct Paging {
    limit: Option<String>,
    cursor: Option<String>,
    invalid: Invalid,
}

impl Paging {
    /// How many items to give, and where in the list of that name to read on: nowhere said, from its
    /// start. A bad limit, a bad cursor and any other parameter are all named in one 400. A position
    /// that `decode` can't read is a bad cursor.
    pub fn open<P>(
        mut self,
        list: &str,
        decode: impl FnOnce(&[u8]) -> Option<P>,
    ) -> Result<(Limit, Option<P>), Problem> {
        let limit = self
            .limit
            .as_deref()
            .map_or_else(|| Ok(Limit::default()), Limit::parse);
        let position = self.cursor.as_deref().map(|cursor| {
            let position = Cursor::open(cursor, list)?;
            decode(&position).ok_or(BadCursor)
        });
        if let Err(reason) = &limit {
            self.invalid.push("/limit", reason);
        }
        if let Some(Err(reason)) = &position {
            self.invalid.push("/cursor", reason);
        }
        match (limit, position.transpose()) {
            (Ok(limit), Ok(position)) if self.invalid.errors.is_empty() => Ok((limit, position)),
            _ => Err(self.invalid.into()),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Paging {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Ok(Query(pairs)) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri) else {
            return Err(Problem::bad_request("The query can't be read."));
        };
        let mut paging = Self::default();
        for (name, value) in pairs {
            let place = match name.as_str() {
                "limit" => &mut paging.limit,
                "cursor" => &mut paging.cursor,
                _ => {
                    paging.invalid.push(format!("/{name}"), "is not known here");
                    continue;
                }
            };
            if place.replace(value).is_some() {
                paging.invalid.push(format!("/{name}"), "is given twice");
            }
        }
        Ok(paging)
    }
}
