//! Errors as clients see them: RFC 9457 problem details.

use std::borrow::Cow;
use std::error::Error;
use std::time::Duration;

use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::problem_type::{ProblemType, Type};
use crate::domain::{FieldError, Invalid};

/// The seconds that a client is asked to wait before it tries again.
const RETRY_AFTER_SECONDS: u64 = 2;
/// The maximum number of bad fields that a problem names; a request with more is no honest mistake.
const MAX_ERRORS: usize = 100;

/// The reason why a request could not be fulfilled, in words for the client. It contains nothing of the underlying
/// error, which is logged instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    kind: Option<ProblemType>,
    status: StatusCode,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind: None,
            status,
            detail: detail.into(),
            errors: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// Creates a problem of a type that clients handle separately, with the type's status.
    pub fn of_type(kind: ProblemType, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            kind: Some(kind),
            ..Self::new(kind.status(), detail)
        }
    }

    fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    fn with_errors(mut self, invalid: Invalid) -> Self {
        self.errors = invalid.errors;
        self.errors.truncate(MAX_ERRORS);
        self
    }

    /// Makes the problem name a field, by its JSON pointer. A server error concerns no field and stays as it is.
    #[must_use]
    pub fn about(self, pointer: &str) -> Self {
        if self.status.is_server_error() {
            return self;
        }
        let invalid = Invalid::one(pointer, &self.detail);
        self.with_errors(invalid)
    }

    /// Creates a 400: the request can't be read.
    pub fn bad_request(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// Creates a 400 that names all of the bad fields.
    pub fn invalid(invalid: Invalid) -> Self {
        Self::bad_request("Some of the input was refused, see `errors`.").with_errors(invalid)
    }

    /// Creates a 401: the caller is unknown.
    pub fn unauthorized(detail: &'static str) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, detail)
            .with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// Creates a 403: the thing belongs to somebody else.
    pub fn forbidden(detail: &'static str) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// Creates a 403: the caller has withdrawn.
    pub fn withdrawn() -> Self {
        Self::forbidden("This account was withdrawn.")
    }

    /// Creates a 404: there is nothing of this kind here.
    pub fn not_found(detail: &'static str) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// Creates a 405: the path has only other methods.
    pub(super) fn method_not_allowed(allow: &str) -> Self {
        let problem = Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("This path has only {allow}."),
        );
        match HeaderValue::from_str(allow) {
            Ok(allow) => problem.with_header(ALLOW, allow),
            Err(_) => problem,
        }
    }

    /// Creates a 413: something is too large.
    pub fn too_large(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, detail)
    }

    /// Creates a 413: the body is above the limit, which is in bytes.
    pub(super) fn body_too_large(limit: usize) -> Self {
        Self::too_large(format!("The body is larger than {limit} bytes."))
    }

    /// Creates a 415: the media type is not supported.
    pub fn unsupported_media_type(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
    }

    /// Creates a 422: the request is well-formed, but can't be done.
    pub fn unprocessable(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    /// Creates a 422 that names all fields that are well-formed, but name something that can't be used.
    pub fn unusable(invalid: Invalid) -> Self {
        Self::unprocessable("Some of the input can't be used, see `errors`.").with_errors(invalid)
    }

    /// Creates a 500, and logs the error.
    pub fn internal(error: &dyn Error) -> Self {
        tracing::error!(error = crate::log::chain(error), "failed");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Something went wrong on our side.",
        )
    }

    /// Creates a 503 with `Retry-After`: a dependency of this request does not answer. Logs the error.
    pub fn unavailable(error: &dyn Error) -> Self {
        Self::unavailable_for(error, Duration::from_secs(RETRY_AFTER_SECONDS))
    }

    /// Creates a 503 that asks the client to wait this long. Logs the error.
    pub fn unavailable_for(error: &dyn Error, wait: Duration) -> Self {
        tracing::warn!(error = crate::log::chain(error), "unavailable");
        let detail = "Something this needs does not answer, please try again.";
        Self::of_type(ProblemType::Unavailable, detail)
            .with_header(RETRY_AFTER, whole_seconds(wait).into())
    }

    /// Creates a 429: the caller called too often, and may call again after this time.
    pub fn too_many_requests(wait: Duration) -> Self {
        Self::too_many_of(wait, "requests")
    }

    /// Creates a 429 for a limit on the number of things within a time.
    pub fn too_many_of(wait: Duration, things: &str) -> Self {
        let seconds = whole_seconds(wait);
        let detail = format!("Too many {things}: try again in {seconds} s.");
        Self::of_type(ProblemType::RateLimited, detail).with_header(RETRY_AFTER, seconds.into())
    }

    /// Creates the problem for a status that came without one.
    pub(super) fn of(status: StatusCode) -> Self {
        Self::new(
            status,
            status.canonical_reason().unwrap_or("The request failed."),
        )
    }

    /// Returns the answer's status.
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the body: JSON that repeats the request's id.
    pub(super) fn body(&self, instance: &str) -> Vec<u8> {
        let body = ProblemBody {
            kind: Type(self.kind),
            title: match self.kind {
                Some(kind) => kind.title(),
                None => self.status.canonical_reason().unwrap_or("Error"),
            },
            status: self.status.as_u16(),
            detail: &self.detail,
            instance,
            errors: &self.errors,
        };
        serde_json::to_vec(&body).unwrap_or_default()
    }
}

/// Returns a wait in whole seconds for `Retry-After`: at least one.
fn whole_seconds(wait: Duration) -> u64 {
    let begun = u64::from(wait.subsec_nanos() > 0);
    wait.as_secs().saturating_add(begun).max(1)
}

/// RFC 9457's problem details.
#[derive(Serialize)]
#[cfg_attr(feature = "openapi", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "openapi", schemars(rename = "Problem"))]
pub(crate) struct ProblemBody<'a> {
    /// The type of the problem, if clients can act on it, and `about:blank` if the status says everything. More types
    /// may be added: treat an unknown one by its status.
    #[serde(rename = "type")]
    kind: Type,
    /// The type in words, or the status in words without one.
    title: &'static str,
    /// The answer's status.
    status: u16,
    /// An explanation for people.
    detail: &'a str,
    /// The request's id, as in `x-request-id`.
    instance: &'a str,
    /// Every field that was refused.
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    errors: &'a [FieldError],
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Self::invalid(invalid)
    }
}

impl IntoResponse for Problem {
    /// Builds the head. The body is added where the request's id is known.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.headers_mut().extend(self.headers.clone());
        response.headers_mut().insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(feature = "decode")]
impl From<crate::decode::ImageError> for Problem {
    fn from(error: crate::decode::ImageError) -> Self {
        use crate::decode::ImageError as E;
        match &error {
            E::NotAnImage => Self::unprocessable("The image is no JPEG, PNG or WebP image."),
            E::Broken(_) => {
                Self::unprocessable("The image is broken, or of a kind that can't be read.")
            }
            E::TooManyBytes | E::TooManyPixels { .. } | E::TooLong => {
                Self::too_large(format!("The image is too large: {error}."))
            }
            E::Failed(_) => Self::internal(&error),
        }
    }
}

#[cfg(feature = "store")]
impl From<crate::store::Error> for Problem {
    fn from(error: crate::store::Error) -> Self {
        match &error {
            crate::store::Error::Unavailable(_) => Self::unavailable(&error),
            crate::store::Error::Broken(_) => Self::internal(&error),
        }
    }
}

#[cfg(feature = "cache")]
impl From<crate::cache::Error> for Problem {
    fn from(error: crate::cache::Error) -> Self {
        Self::unavailable(&error)
    }
}

#[cfg(feature = "media")]
impl From<crate::media::Error> for Problem {
    fn from(error: crate::media::Error) -> Self {
        Self::unavailable(&error)
    }
}

#[cfg(feature = "uploads")]
impl From<crate::uploads::Error> for Problem {
    fn from(error: crate::uploads::Error) -> Self {
        use crate::uploads::Error as E;
        match error {
            E::Store(error) => error.into(),
            E::NotMade(_) => Self::unavailable(&error),
        }
    }
}

#[cfg(feature = "uploads")]
impl From<crate::uploads::UnusableUploads> for Problem {
    fn from(unusable: crate::uploads::UnusableUploads) -> Self {
        let problem = Self::unusable(unusable.fields);
        let kind = unusable.not_a_picture.then_some(ProblemType::NotAPicture);
        Self { kind, ..problem }
    }
}

#[cfg(feature = "queue")]
impl From<crate::queue::Error> for Problem {
    fn from(error: crate::queue::Error) -> Self {
        match &error {
            crate::queue::Error::Unavailable(_) => Self::unavailable(&error),
            crate::queue::Error::Unwritable(_) => Self::internal(&error),
        }
    }
}

#[cfg(feature = "search")]
impl From<crate::search::Error> for Problem {
    fn from(error: crate::search::Error) -> Self {
        match &error {
            crate::search::Error::Unavailable(_) => Self::unavailable(&error),
            _ => Self::internal(&error),
        }
    }
}
