//! The description of an operation, and of the parameters and headers that operations share.

use std::collections::BTreeMap;

use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};

use super::headers::header;
use super::problems::PROBLEMS;
use crate::domain::{ContentType, Cursor, IdempotencyKey, Limit};
use crate::http::routes::{Answer, Content, Example, Operation, Paged, Parameter, Place, SchemaOf};

/// The generators of schemas: optional fields are described differently in a request than in an answer.
pub(super) struct Schemas {
    pub(super) of_requests: SchemaGenerator,
    pub(super) of_answers: SchemaGenerator,
}

/// Describes an operation.
pub(super) fn describe(operation: &Operation, group: &str, schemas: &mut Schemas) -> Value {
    let mut described = object(json!({
        "operationId": operation.id,
        "tags": [group],
        "summary": operation.summary,
        "responses": responses(operation, schemas),
    }));
    if !operation.description.is_empty() {
        described.insert("description".to_owned(), json!(operation.description));
    }
    if operation.public {
        described.insert("security".to_owned(), json!([]));
    }
    let parameters = parameters(operation, &mut schemas.of_requests);
    if !parameters.is_empty() {
        described.insert("parameters".to_owned(), json!(parameters));
    }
    if let Some(SchemaOf(schema)) = operation.body {
        let schema = schema(&mut schemas.of_requests);
        let mut content = Map::new();
        content.insert("application/json".to_owned(), json!({ "schema": schema }));
        if operation.or_an_image {
            let image = json!({ "schema": { "type": "string", "format": "binary" } });
            let kinds = ContentType::ALL.map(|kind| (kind.as_str().to_owned(), image.clone()));
            content.extend(kinds);
        }
        let body = json!({ "required": true, "content": content });
        described.insert("requestBody".to_owned(), body);
    }
    Value::Object(described)
}

fn parameters(operation: &Operation, schemas: &mut SchemaGenerator) -> Vec<Value> {
    let shared: &[&str] = match operation.paged {
        Paged::No => &[],
        Paged::OnePage => &["limit"],
        Paged::Yes => &["limit", "cursor"],
    };
    let key = operation.idempotent.then_some("idempotency-key");
    let shared = shared.iter().copied().chain(key);
    let shared = shared.map(|name| json!({ "$ref": format!("#/components/parameters/{name}") }));
    let own = operation.parameters.iter();
    own.map(|own| parameter(own, schemas))
        .chain(shared)
        .collect()
}

fn parameter(parameter: &Parameter, schemas: &mut SchemaGenerator) -> Value {
    let SchemaOf(schema) = parameter.schema;
    let (place, required) = match parameter.place {
        Place::Path => ("path", true),
        Place::Query { required } => ("query", required),
    };
    let example = match parameter.example {
        Example::Text(text) => json!(text),
        Example::Number(number) => json!(number),
    };
    json!({
        "name": parameter.name,
        "in": place,
        "required": required,
        "description": parameter.description,
        "schema": schema(schemas),
        "example": example,
    })
}

fn responses(operation: &Operation, schemas: &mut Schemas) -> BTreeMap<u16, Value> {
    let answers = operation.answers.iter().flatten();
    let answers = answers.map(|answer| (answer.status, response(answer, operation, schemas)));
    let mut responses: BTreeMap<u16, Value> = answers.collect();
    let explained: BTreeMap<u16, &str> = operation.problems.iter().copied().collect();
    let implied = implied_problems(operation);
    for kind in PROBLEMS {
        let when = explained.get(&kind.status);
        if when.is_some() || implied.contains(&kind.status) {
            let mut problem = json!({ "$ref": format!("#/components/responses/{}", kind.name) });
            if let (Some(when), Value::Object(problem)) = (when, &mut problem) {
                problem.insert("description".to_owned(), json!(when));
            }
            responses.insert(kind.status, problem);
        }
    }
    responses
}

/// Returns the statuses of the problems that follow from an operation's input.
fn implied_problems(operation: &Operation) -> Vec<u16> {
    let in_place = |place: fn(&Place) -> bool| {
        let mut parameters = operation.parameters.iter();
        parameters.any(|parameter| place(&parameter.place))
    };
    let of_query = in_place(|place| *place != Place::Path) || operation.paged != Paged::No;
    let implied: [(bool, &[u16]); 5] = [
        (true, &[500, 503]),
        (!operation.public, &[401, 429]),
        (in_place(|place| *place == Place::Path), &[404]),
        (of_query, &[400]),
        (operation.body.is_some(), &[400, 413, 415]),
    ];
    let implied = implied.into_iter().filter(|(is_so, _)| *is_so);
    implied
        .flat_map(|(_, statuses)| statuses)
        .copied()
        .collect()
}

fn response(answer: &Answer, operation: &Operation, schemas: &mut Schemas) -> Value {
    let names = ["X-Request-Id"].into_iter().chain(answer.header);
    let mut response = object(json!({
        "description": answer.description,
        "headers": names.map(header).collect::<Map<_, _>>(),
    }));
    let content = match answer.content {
        Content::Nothing => None,
        Content::Json(SchemaOf(schema)) => {
            Some(json!({ "schema": schema(&mut schemas.of_answers) }))
        }
        Content::AnyObject => Some(json!({ "schema": { "type": "object" } })),
        Content::Status(status) => {
            let status = json!(status);
            let schema = json!({
                "type": "object",
                "properties": { "status": { "type": "string", "const": status.get("status") } },
                "required": ["status"],
            });
            Some(json!({ "schema": schema, "examples": { "answer": { "value": status } } }))
        }
    };
    if let Some(content) = content {
        response.insert("content".to_owned(), json!({ "application/json": content }));
    }
    if !operation.links.is_empty() {
        let link = |to: &&str| {
            let link = json!({
                "operationId": to,
                "parameters": { "path.id": "$response.body#/id" },
            });
            ((*to).to_owned(), link)
        };
        let links: Map<String, Value> = operation.links.iter().map(link).collect();
        response.insert("links".to_owned(), json!(links));
    }
    Value::Object(response)
}

/// Returns the parameters that operations share.
pub(super) fn shared_parameters(schemas: &mut SchemaGenerator) -> Value {
    json!({
        "limit": {
            "name": "limit",
            "in": "query",
            "required": false,
            "description": "The maximum number of items on a page.",
            "schema": schemas.subschema_for::<Limit>(),
        },
        "cursor": {
            "name": "cursor",
            "in": "query",
            "required": false,
            "description": "The `next` of the previous page of the same list.",
            "schema": schemas.subschema_for::<Cursor>(),
        },
        "idempotency-key": {
            "name": "Idempotency-Key",
            "in": "header",
            "required": false,
            "description": "Chosen by the client for this request. For 24 hours, the same request with the same key gets the same answer and does nothing twice.",
            "schema": schemas.subschema_for::<IdempotencyKey>(),
        },
    })
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(object) => object,
        _ => Map::new(),
    }
}
