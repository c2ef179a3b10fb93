//! Types of problems: one for each problem that clients handle differently from others of the same status.
//!
//! To add one, add a variant and its arms below; [`Problem::of_type`](super::Problem::of_type) makes a problem of
//! it, and the `OpenAPI` document lists it with its advice.

use axum::http::StatusCode;
use serde::{Serialize, Serializer};

/// The type of a problem, `/problems/<slug>` in its JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemType {
    /// The handle is somebody else's, or kept for somebody else.
    HandleTaken,
    /// The caller gave up too many handles recently.
    HandlesTooMany,
    /// The idempotency key was used with another request before.
    IdempotencyMismatch,
    /// An upload can't be shown as a picture.
    NotAPicture,
    /// The caller already follows the maximum number of users.
    FollowingTooMany,
    /// The caller has uploaded the maximum number of bytes.
    StorageFull,
    /// The caller called too often.
    RateLimited,
    /// A service that the request needs does not answer.
    Unavailable,
}

impl ProblemType {
    /// Every type.
    pub const ALL: [Self; 8] = [
        Self::HandleTaken,
        Self::HandlesTooMany,
        Self::IdempotencyMismatch,
        Self::NotAPicture,
        Self::FollowingTooMany,
        Self::StorageFull,
        Self::RateLimited,
        Self::Unavailable,
    ];

    /// Returns the type's URI, relative to the API's.
    pub const fn uri(self) -> &'static str {
        match self {
            Self::HandleTaken => "/problems/handle-taken",
            Self::HandlesTooMany => "/problems/handles-too-many",
            Self::IdempotencyMismatch => "/problems/idempotency-mismatch",
            Self::NotAPicture => "/problems/not-a-picture",
            Self::FollowingTooMany => "/problems/following-too-many",
            Self::StorageFull => "/problems/storage-full",
            Self::RateLimited => "/problems/rate-limited",
            Self::Unavailable => "/problems/unavailable",
        }
    }

    /// Returns the status of problems of this type.
    pub const fn status(self) -> StatusCode {
        match self {
            Self::HandleTaken
            | Self::HandlesTooMany
            | Self::FollowingTooMany
            | Self::StorageFull => StatusCode::CONFLICT,
            Self::IdempotencyMismatch | Self::NotAPicture => StatusCode::UNPROCESSABLE_ENTITY,
            Self::RateLimited => StatusCode::TOO_MANY_REQUESTS,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// Returns the type in a few words, the same for every problem of it.
    pub const fn title(self) -> &'static str {
        match self {
            Self::HandleTaken => "Handle taken",
            Self::HandlesTooMany => "Too many handles released",
            Self::IdempotencyMismatch => "Idempotency key used before",
            Self::NotAPicture => "Not a picture",
            Self::FollowingTooMany => "Following too many",
            Self::StorageFull => "Storage full",
            Self::RateLimited => "Too many requests",
            Self::Unavailable => "Temporarily unavailable",
        }
    }

    /// Returns advice for clients.
    pub const fn advice(self) -> &'static str {
        match self {
            Self::HandleTaken => "Ask the user for another handle.",
            Self::HandlesTooMany => {
                "Offer the handles that the user released within 30 days, or try again later."
            }
            Self::IdempotencyMismatch => {
                "Send the request with a new `Idempotency-Key`: this one was used with another body."
            }
            Self::NotAPicture => {
                "Ask the user for another image: this file is too large, or isn't a JPEG, PNG or WebP image that can be shown."
            }
            Self::FollowingTooMany => "Unfollow a user before following another.",
            Self::StorageFull => {
                "Tell the user that there is no room for another image. Deleting posts makes room, but not until half an hour after the last upload; uploads that were never used stop counting after two days."
            }
            Self::RateLimited => "Send the request again after `Retry-After` seconds.",
            Self::Unavailable => {
                "Send the request again after `Retry-After` seconds, with the same `Idempotency-Key` where it has one."
            }
        }
    }
}

/// A problem's `type`; `about:blank` if the status says all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Type(pub(super) Option<ProblemType>);

const BLANK: &str = "about:blank";

impl Serialize for Type {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.map_or(BLANK, ProblemType::uri))
    }
}

#[cfg(feature = "openapi")]
mod schema {
    use std::borrow::Cow;

    use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
    use serde_json::{Value, json};

    use super::{BLANK, ProblemType, Type};

    impl JsonSchema for Type {
        fn schema_name() -> Cow<'static, str> {
            "ProblemType".into()
        }

        fn json_schema(_: &mut SchemaGenerator) -> Schema {
            let typed = ProblemType::ALL.map(|kind| {
                let advice = format!("{}: {}", kind.status().as_u16(), kind.advice());
                json!({ "const": kind.uri(), "title": kind.title(), "description": advice })
            });
            let blank = json!({
                "const": BLANK,
                "title": "None of its own",
                "description": "The status is sufficient.",
            });
            let all: Vec<Value> = typed.into_iter().chain([blank]).collect();
            json_schema!({ "type": "string", "oneOf": all })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_type_has_a_distinct_uri_title_and_advice() {
        let all = ProblemType::ALL;
        let distinct = |of: fn(ProblemType) -> &'static str| {
            all.map(of).into_iter().collect::<HashSet<_>>().len()
        };
        for of in [ProblemType::uri, ProblemType::title, ProblemType::advice] {
            assert_eq!(distinct(of), all.len());
        }
        for kind in all {
            let slug = kind.uri().strip_prefix("/problems/").unwrap();
            assert!(slug.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
            assert!(kind.status().is_client_error() || kind == ProblemType::Unavailable);
        }
    }
}
