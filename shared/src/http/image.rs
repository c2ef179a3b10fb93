//! Bodies that are an image or name one.

use axum::body::Bytes;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::fields::{is_encoded, media_type};
use super::raw_body::RawBody;
use super::{Fields, Problem};
use crate::domain::ContentType;

/// A body that is an image itself, or a JSON object that names one. Any other media type is 415.
///
/// The bytes determine the kind of image: the media type only has to be one of those accepted.
#[derive(Debug)]
pub enum ImageBody {
    /// The image's own bytes, not checked yet.
    Bytes(Bytes),
    /// The fields of the object.
    Fields(Fields),
}

impl<S: Sync> FromRequestParts<S> for ImageBody {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let kind = media_type(parts).to_ascii_lowercase();
        if kind == "application/json" {
            return Fields::from_request_parts(parts, state)
                .await
                .map(Self::Fields);
        }
        if ContentType::parse(&kind).is_err() || is_encoded(parts) {
            return Err(Problem::unsupported_media_type(
                "Send an image as it is, as image/jpeg, image/png or image/webp, or application/json in UTF-8.",
            ));
        }
        let body = parts.extensions.get();
        Ok(Self::Bytes(
            body.map(|RawBody(body)| body.clone()).unwrap_or_default(),
        ))
    }
}
