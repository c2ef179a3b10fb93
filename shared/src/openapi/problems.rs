//! The problems that operations answer.

use axum::http::StatusCode;
use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use super::headers::header;
use crate::http::{ProblemBody, ProblemType};

/// A kind of problem: a response that operations share.
pub(super) struct ProblemKind {
    pub(super) status: u16,
    pub(super) name: &'static str,
    description: &'static str,
    header: Option<&'static str>,
}

const fn kind(status: u16, name: &'static str, description: &'static str) -> ProblemKind {
    ProblemKind {
        status,
        name,
        description,
        header: None,
    }
}

impl ProblemKind {
    const fn with(self, header: &'static str) -> Self {
        Self {
            header: Some(header),
            ..self
        }
    }
}

/// Every kind of problem.
pub(super) const PROBLEMS: &[ProblemKind] = &[
    kind(
        400,
        "BadRequest",
        "The request can't be parsed, or some of its input is refused; `errors` names every refused field.",
    ),
    kind(
        401,
        "Unauthorized",
        "The token is missing, invalid or expired.",
    )
    .with("WWW-Authenticate"),
    kind(
        403,
        "Forbidden",
        "The object belongs to another user, or the caller's account was withdrawn.",
    ),
    kind(
        404,
        "NotFound",
        "The object does not exist, or the caller may not see it.",
    ),
    kind(
        409,
        "Conflict",
        "The current state does not allow the request: see `type`.",
    ),
    kind(
        413,
        "TooLarge",
        "The body, or the object that it asks for, is too large.",
    ),
    kind(
        415,
        "UnsupportedMediaType",
        "The media type is not supported.",
    ),
    kind(
        422,
        "Unprocessable",
        "The request is well-formed, but can't be carried out.",
    ),
    kind(
        429,
        "TooManyRequests",
        "The caller called this route too often.",
    )
    .with("Retry-After"),
    kind(500, "InternalError", "Something went wrong on our side."),
    kind(503, "Unavailable", "A dependency does not answer.").with("Retry-After"),
];

/// Returns the responses for all kinds, by their names.
pub(super) fn responses(schemas: &mut SchemaGenerator) -> Map<String, Value> {
    let response = |kind: &ProblemKind| (kind.name.to_owned(), kind.response(schemas));
    PROBLEMS.iter().map(response).collect()
}

impl ProblemKind {
    fn response(&self, schemas: &mut SchemaGenerator) -> Value {
        let names = ["X-Request-Id"].into_iter().chain(self.header);
        // Every problem of these statuses is of one type.
        let always = [ProblemType::RateLimited, ProblemType::Unavailable];
        let typed = always
            .into_iter()
            .find(|typed| typed.status().as_u16() == self.status);
        let status = StatusCode::from_u16(self.status).ok();
        let title = status.and_then(|status| status.canonical_reason());
        let example = json!({
            "type": typed.map_or("about:blank", ProblemType::uri),
            "title": typed.map(ProblemType::title).or(title),
            "status": self.status,
            "detail": self.description,
            "instance": "4f0f1d5e-8a0e-4d1b-9c63-6a1d2f0c7b52",
        });
        let schema = schemas.subschema_for::<ProblemBody<'static>>();
        json!({
            "description": self.description,
            "headers": names.map(header).collect::<Map<_, _>>(),
            "content": { "application/problem+json": { "schema": schema, "example": example } },
        })
    }
}
