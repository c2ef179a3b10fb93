//! The HTTP contract as an `OpenAPI` 3.1 document, for clients and tools.
//!
//! [`crate::http::routes`] declares the operations. The schemas of answers and bodies follow from their types, and the
//! descriptions of fields from doc comments. `openapi.json` at the repository's root holds the result, and `health`
//! serves it. Tests ensure that it is current, and that it describes every answer that any test gets.

mod examples;
mod headers;
mod operation;
mod problems;
mod schemas;
#[cfg(test)]
mod tests;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use self::operation::Schemas;
use crate::http::ProblemType;
use crate::http::routes::GROUPS;

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

**Limits** apply per caller and route; a 429 says when to try again.";

/// Returns the document.
pub fn document() -> Value {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut schemas = Schemas {
        of_requests: settings.clone().for_deserialize().into_generator(),
        of_answers: settings.for_serialize().into_generator(),
    };
    let mut paths = paths(&mut schemas);
    let parameters = operation::shared_parameters(&mut schemas.of_requests);
    let responses = problems::responses(&mut schemas.of_answers);
    let mut definitions = schemas.of_answers.take_definitions(true);
    definitions.extend(schemas.of_requests.take_definitions(true));
    examples::add_to(&mut definitions);
    examples::add_to_contents(&mut paths, &definitions);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Purrline",
            "version": env!("CARGO_PKG_VERSION"),
            "description": format!("{ABOUT}\n\n{}", problem_types()),
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": "/", "description": "The server of this document." }],
        "security": [{ "token": [] }],
        "tags": GROUPS.map(|group| json!({ "name": group.name, "description": group.description })),
        "paths": paths,
        "components": {
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT" },
            },
            "parameters": parameters,
            "headers": headers::headers(),
            "responses": responses,
            "schemas": definitions,
        },
    })
}

/// Returns a table of the types of problems, with the advice on each.
fn problem_types() -> String {
    let row = |kind: ProblemType| {
        let (uri, status) = (kind.uri(), kind.status().as_u16());
        format!("| `{uri}` | {status} | {} |", kind.advice())
    };
    let rows = ProblemType::ALL.map(row).join("\n");
    format!("| problem | status | what to do |\n|---|---|---|\n{rows}")
}

fn paths(schemas: &mut Schemas) -> Value {
    let mut paths = Map::new();
    for group in GROUPS {
        for operation in group.operations {
            let method = operation.method.to_lowercase();
            let described = operation::describe(operation, group.name, schemas);
            let item = paths.entry(operation.path).or_insert_with(|| json!({}));
            if let Value::Object(item) = item {
                item.insert(method, described);
            }
        }
    }
    Value::Object(paths)
}
