//! The HTTP contract as an `OpenAPI` 3.1 document, for clients and tools.
//!
//! What answers look like follows from the types that are sent (their fields, their comments). What
//! requests may say follows from the types they are parsed to ([`schemas`]), and [`operations`] says which
//! operation takes and answers what. `openapi.json` at the repository's root holds the result, and `health`
//! serves it. Tests see to it that it is current, that it has exactly the methods of
//! [`crate::http::routes::ROUTES`], and that whatever a function answers in any test is in it.

mod examples;
mod operation;
mod operations;
mod schemas;
#[cfg(test)]
mod tests;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use self::operation::{PROBLEMS, problem_response};
use crate::http::ProblemType;

const ABOUT: &str = "\
The backend of a social feed for people who love cats.

**Sign-in**: `Authorization: Bearer <JWT>` of the OpenID Connect provider; the user's id is the token's `sub`.

**Errors** are `application/problem+json` (RFC 9457) and name every bad field at once. Each answer has an \
`x-request-id`, which a problem repeats as `instance`. A problem that has a `type` of its own tells what to do about \
it; go by the status for those of `about:blank`, and for types that are not known yet.

**Lists** are read in pages: `next` is the `cursor` of the next one, and null at the end, however many items a \
page has: where nearly all of a list is hidden from the caller, a page may hold few, or none. Walking to the end \
gives each item that was there all along exactly once.

**Creating** takes an `Idempotency-Key`: the same key with the same body gives the same answer for 24 hours \
and creates nothing twice.

**Limits**: each caller may call each route so often; then 429 says when to go on.";

/// The document.
pub fn document() -> Value {
    let mut schemas = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into())
        .for_serialize()
        .into_generator();
    let paths = paths(&mut schemas);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Purrline",
            "version": env!("CARGO_PKG_VERSION"),
            "description": format!("{ABOUT}\n\n{}", problem_types()),
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "Wherever this document is served from." }],
        "security": [{ "token": [] }],
        "tags": operations::TAGS.map(|(name, description)| json!({ "name": name, "description": description })),
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
            },
            "parameters": operation::parameters(&mut schemas),
            "headers": operation::headers(),
            "responses": PROBLEMS
                .iter()
                .map(|problem| (problem.name.to_owned(), problem_response(problem, &mut schemas)))
                .collect::<Map<_, _>>(),
            "schemas": with_examples(schemas),
        },
    })
}

/// The types of problems, and what to do about each.
fn problem_types() -> String {
    let row = |kind: ProblemType| {
        let (uri, status) = (kind.uri(), kind.status().as_u16());
        format!("| `{uri}` | {status} | {} |", kind.advice())
    };
    let rows = ProblemType::ALL.map(row).join("\n");
    format!("| problem | status | what to do |\n|---|---|---|\n{rows}")
}

fn paths(schemas: &mut SchemaGenerator) -> Value {
    let mut paths = Map::new();
    for operation in operations::all() {
        let (path, method) = (operation.path, operation.method.as_str().to_lowercase());
        let item = paths.entry(path).or_insert_with(|| json!({}));
        if let Value::Object(item) = item {
            item.insert(method, operation.describe(schemas));
        }
    }
    Value::Object(paths)
}

/// What was referred to, each with the example there is of it.
fn with_examples(mut schemas: SchemaGenerator) -> Map<String, Value> {
    let mut definitions = schemas.take_definitions(true);
    for (name, example) in examples::all() {
        if let Some(Value::Object(schema)) = definitions.get_mut(name) {
            schema.insert("examples".to_owned(), json!([example]));
        }
    }
    definitions
}
