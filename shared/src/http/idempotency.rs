//! The `Idempotency-Key` header.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::Problem;
use super::raw_body::RawBody;
use crate::domain::{Fingerprint, IdempotencyKey, Invalid};

/// The request's idempotency key, if it has one, and what the key stands for: the request's method,
/// path and body. Anything but one key of 1 to 64 visible ASCII characters is 400.
#[derive(Debug, Clone)]
pub struct Idempotency {
    /// The key.
    pub key: Option<IdempotencyKey>,
    /// The fingerprint of this request.
    pub fingerprint: Fingerprint,
}

impl<S: Sync> FromRequestParts<S> for Idempotency {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut values = parts.headers.get_all("idempotency-key").iter();
        let key = match (values.next(), values.next()) {
            (None, _) => None,
            (Some(value), None) => {
                let text = std::str::from_utf8(value.as_bytes()).unwrap_or_default();
                let key = IdempotencyKey::parse(text);
                Some(key.map_err(|reason| Invalid::one("/Idempotency-Key", reason))?)
            }
            (Some(_), Some(_)) => {
                return Err(Invalid::one("/Idempotency-Key", "is given twice").into());
            }
        };
        let body = parts
            .extensions
            .get()
            .map(|RawBody(body)| body.as_ref())
            .unwrap_or_default();
        let fingerprint = Fingerprint::of(parts.method.as_str(), parts.uri.path(), body);
        Ok(Self { key, fingerprint })
    }
}

#[cfg(feature = "store")]
mod remembered {
    use axum::http::StatusCode;
    use axum::http::header::{CONTENT_TYPE, LOCATION};
    use axum::response::{IntoResponse, Response};
    use serde::Serialize;

    use super::super::{Problem, ProblemType};
    use super::Idempotency;
    use crate::domain::UserId;
    use crate::store::{Answer, IdempotencyRecord, IdempotentRequest};

    impl Idempotency {
        /// Returns the identity of this request for the store; `None` if it has no key.
        pub fn request(self, caller: &UserId) -> Option<IdempotentRequest> {
            let Self { key, fingerprint } = self;
            key.map(|key| IdempotentRequest {
                caller: caller.clone(),
                key,
                fingerprint,
            })
        }
    }

    impl IdempotencyRecord {
        /// Returns the answer to give again; 422 if the key was used for another request.
        pub fn replay(self) -> Result<Answer, Problem> {
            match self {
                Self::Answered(answer) => Ok(answer),
                Self::OtherRequest => Err(Problem::of_type(
                    ProblemType::IdempotencyMismatch,
                    "This `Idempotency-Key` was used for another request.",
                )),
            }
        }
    }

    impl Answer {
        /// Creates a 201 with the location and the JSON of what was created.
        pub fn created(location: String, view: &impl Serialize) -> Result<Self, Problem> {
            let body = serde_json::to_string(view).map_err(|error| Problem::internal(&error))?;
            Ok(Self {
                status: 201,
                location: Some(location),
                body,
            })
        }
    }

    impl IntoResponse for Answer {
        fn into_response(self) -> Response {
            let status =
                StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            let location = self.location.map(|location| [(LOCATION, location)]);
            (
                status,
                [(CONTENT_TYPE, "application/json")],
                location,
                self.body,
            )
                .into_response()
        }
    }
}
