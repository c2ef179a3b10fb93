//! Uploads, and the classifier.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::body::{ByteCount, Text, Unchecked, body};
use super::Group;
use super::operation::{Example, Operation, Parameter, get, post};
use super::users::WITHDRAWN;
use crate::domain::{BREEDS, Breed, Classification, ContentType, ImageKey, Reason, Upload};

pub(super) const GROUP: Group = Group {
    name: "Images",
    description: "Uploads, and the breed of the cat in an image.",
    operations: &[CREATE_UPLOAD, CLASSIFY, LIST_BREEDS],
};

body! {
    /// An image to upload.
    #[cfg_attr(feature = "openapi", schemars(example = serde_json::json!({
        "content_type": "image/jpeg",
        "size": 123_456,
        "sha256": "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
    })))]
    pub struct NewUpload {
        /// The image's media type.
        pub content_type: Unchecked<ContentType>,
        /// Its size in bytes: at most 10 MiB.
        pub size: ByteCount,
        /// Its SHA-256 in base64. With it, only these bytes are accepted.
        pub sha256: Option<Sha256>,
    }
}

body! {
    /// An image that was uploaded.
    #[cfg_attr(feature = "openapi", schemars(example = serde_json::json!({
        "image": "uploads/nabi/q1J0mZ5tR3uYwXv8KcD2fA.jpg",
    })))]
    pub struct NamedImage {
        /// The key of an image that the caller uploaded.
        pub image: Unchecked<ImageKey>,
    }
}

/// A SHA-256, sent in base64.
#[derive(Debug, Clone, Copy)]
pub struct Sha256(pub [u8; 32]);

impl Text for Sha256 {
    fn from_text(text: &str) -> Result<Self, Reason> {
        let bytes = STANDARD.decode(text).ok();
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or(Reason::new("must be a SHA-256 in base64, 44 characters"))
    }
}

/// A number of breeds, for `?top=`: 5 by default.
#[derive(Debug, Clone, Copy)]
pub struct Top(pub usize);

impl Top {
    /// Parses `?top=`.
    pub fn parse(text: &str) -> Result<Self, Reason> {
        match text.parse() {
            Ok(top)
                if (1..=BREEDS.len()).contains(&top)
                    && text.bytes().all(|b| b.is_ascii_digit()) =>
            {
                Ok(Self(top))
            }
            _ => Err(format!("must be a whole number from 1 to {}", BREEDS.len()).into()),
        }
    }
}

impl Default for Top {
    fn default() -> Self {
        Self(5)
    }
}

/// `POST /v1/uploads`
pub const CREATE_UPLOAD: Operation = post("/v1/uploads", "createUpload", "Upload an image")
    .description("Send the file's bytes to `url` by `method` with exactly these `headers`, before `expires_at`. An upload can't replace an existing object.")
    .takes::<NewUpload>()
    .idempotent()
    .answers::<Upload>(201, "The URL to send the bytes to.")
    .problems(&[
        (403, WITHDRAWN),
        (409, "The caller has uploaded the maximum number of bytes. Freed room is noticed half an hour after the last upload."),
        (413, "The image is empty or larger than 10 MiB, or the body is too large."),
        (415, "The type of the image or of the body is not supported."),
        (422, "The `Idempotency-Key` was used for another request."),
    ]);

const TOP: Parameter = Parameter::query::<Top>(
    "top",
    false,
    "The number of breeds to return, most likely first.",
    Example::Number(3),
);

/// `POST /v1/classify`
pub const CLASSIFY: Operation = post("/v1/classify", "classify", "Tell a cat's breed")
    .description("Classifies an upload of the caller, or an image of at most 1 MiB in the request's body. The probabilities are calibrated and sum to 1 over all breeds.")
    .parameters(&[TOP])
    .takes::<NamedImage>()
    .or_an_image()
    .answers::<Classification>(200, "The most likely breeds.")
    .problems(&[
        (413, "The image has too many bytes or pixels."),
        (422, "The file is no image or a broken one, or the caller did not upload it."),
    ]);

/// `GET /v1/breeds`
pub const LIST_BREEDS: Operation = get(
    "/v1/breeds",
    "listBreeds",
    "List the breeds that the classifier knows",
)
.lists::<Breed>();
