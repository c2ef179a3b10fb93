//! The service itself.

use super::super::Status;
use super::Group;
use super::operation::{Operation, get};

pub(super) const GROUP: Group = Group {
    name: "Service",
    description: "The service itself.",
    operations: &[GET_HEALTH, GET_OPENAPI],
};

/// `GET /v1/health`
pub const GET_HEALTH: Operation = get("/v1/health", "getHealth", "Ask whether the service answers")
    .public()
    .answers_status(200, "It does.", Status::Ok);

/// `GET /v1/openapi.json`
pub const GET_OPENAPI: Operation = get("/v1/openapi.json", "getOpenapi", "Read this document")
    .public()
    .answers_any_object("This document.")
    .revalidated();
