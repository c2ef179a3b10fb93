//! The query's parameters.

use axum::extract::{FromRequestParts, Query as Pairs};
use axum::http::request::Parts;

use super::{Fields, Problem};

/// The query's parameters as [`Fields`], each of them a text: bad ones, unknown ones and those given
/// twice are named together, by pointers such as `/limit`.
#[derive(Debug)]
pub struct Query(pub Fields);

impl<S: Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        match Pairs::<Vec<(String, String)>>::try_from_uri(&parts.uri) {
            Ok(Pairs(pairs)) => Ok(Self(pairs.into_iter().collect())),
            Err(_) => Err(Problem::bad_request("The query can't be read.")),
        }
    }
}
