//! One operation, and what it says of itself.

use axum::http::{Method, StatusCode};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value, json};

use crate::domain::{Cursor, IdempotencyKey, Limit, Page};
use crate::http::{ProblemBody, ProblemType, Status};

/// What gives a type's schema, or the reference to it.
type SchemaOf = fn(&mut SchemaGenerator) -> Schema;

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

/// Every kind of problem there is.
pub(super) const PROBLEMS: &[ProblemKind] = &[
    kind(
        400,
        "BadRequest",
        "The request can't be read, or some of its input is refused: all of it is named in `errors`.",
    ),
    kind(
        401,
        "Unauthorized",
        "There is no token, or it is not valid (any more).",
    )
    .with("WWW-Authenticate"),
    kind(
        403,
        "Forbidden",
        "It is somebody else's, or the caller's account was withdrawn.",
    ),
    kind(
        404,
        "NotFound",
        "There is no such thing, or none that the caller may see.",
    ),
    kind(
        409,
        "Conflict",
        "It can't be done as things are now: see `type`.",
    ),
    kind(
        413,
        "TooLarge",
        "The body, or what it asks for, is larger than is taken.",
    ),
    kind(415, "UnsupportedMediaType", "This media type is not taken."),
    kind(
        422,
        "Unprocessable",
        "The request is well-formed, but can't be done.",
    ),
    kind(
        429,
        "TooManyRequests",
        "The caller called this route too often.",
    )
    .with("Retry-After"),
    kind(500, "InternalError", "Something went wrong on our side."),
    kind(
        503,
        "Unavailable",
        "Something that this needs does not answer.",
    )
    .with("Retry-After"),
];

/// The presence of a field in a body.
enum Presence {
    Required,
    /// May be left out, or null, which means the same.
    Optional,
    /// Likewise, or empty, which takes away what is there.
    Clearable,
    /// A list of at most so many, each once where that is asked; may be left out, or null.
    List {
        most: usize,
        distinct: bool,
    },
}

struct Field {
    name: &'static str,
    schema: SchemaOf,
    presence: Presence,
    description: &'static str,
}

/// The JSON object that a request's body is, field by field as [`crate::http::Fields`] reads it.
pub(super) struct Body {
    name: &'static str,
    fields: Vec<Field>,
    /// What JSON Schema says besides.
    besides: Vec<(&'static str, Value)>,
    examples: Vec<(&'static str, Value)>,
    /// Media types of bodies that are an image itself.
    images: &'static [&'static str],
}

impl Body {
    pub(super) const fn new(name: &'static str) -> Self {
        Self {
            name,
            fields: Vec::new(),
            besides: Vec::new(),
            examples: Vec::new(),
            images: &[],
        }
    }

    fn field<T: JsonSchema>(
        mut self,
        name: &'static str,
        presence: Presence,
        description: &'static str,
    ) -> Self {
        let schema = SchemaGenerator::subschema_for::<T>;
        self.fields.push(Field {
            name,
            schema,
            presence,
            description,
        });
        self
    }

    pub(super) fn required<T: JsonSchema>(
        self,
        name: &'static str,
        description: &'static str,
    ) -> Self {
        self.field::<T>(name, Presence::Required, description)
    }

    pub(super) fn optional<T: JsonSchema>(
        self,
        name: &'static str,
        description: &'static str,
    ) -> Self {
        self.field::<T>(name, Presence::Optional, description)
    }

    pub(super) fn clearable<T: JsonSchema>(
        self,
        name: &'static str,
        description: &'static str,
    ) -> Self {
        self.field::<T>(name, Presence::Clearable, description)
    }

    pub(super) fn list<T: JsonSchema>(
        self,
        name: &'static str,
        most: usize,
        description: &'static str,
    ) -> Self {
        let distinct = false;
        self.field::<T>(name, Presence::List { most, distinct }, description)
    }

    pub(super) fn distinct_list<T: JsonSchema>(
        self,
        name: &'static str,
        most: usize,
        description: &'static str,
    ) -> Self {
        let distinct = true;
        self.field::<T>(name, Presence::List { most, distinct }, description)
    }

    pub(super) fn besides(mut self, keyword: &'static str, value: Value) -> Self {
        self.besides.push((keyword, value));
        self
    }

    pub(super) fn example(mut self, name: &'static str, value: Value) -> Self {
        self.examples.push((name, value));
        self
    }

    pub(super) const fn or_an_image(mut self, media_types: &'static [&'static str]) -> Self {
        self.images = media_types;
        self
    }

    /// The body's description; its schema goes to the definitions.
    fn describe(&self, schemas: &mut SchemaGenerator) -> Value {
        let mut properties = Map::new();
        for field in &self.fields {
            let schema = (field.schema)(schemas).to_value();
            let schema = match field.presence {
                Presence::Required => schema,
                Presence::Optional => json!({ "anyOf": [schema, { "type": "null" }] }),
                Presence::Clearable => {
                    json!({ "anyOf": [schema, { "const": "" }, { "type": "null" }] })
                }
                Presence::List { most, distinct } => json!({
                    "type": ["array", "null"], "maxItems": most, "uniqueItems": distinct, "items": schema,
                }),
            };
            properties.insert(field.name.to_owned(), described(schema, field.description));
        }
        let required = self
            .fields
            .iter()
            .filter(|field| matches!(field.presence, Presence::Required));
        let mut schema = json!({
            "type": "object",
            "properties": properties,
            "required": required.map(|field| field.name).collect::<Vec<_>>(),
            "additionalProperties": false,
        });
        if let Value::Object(schema) = &mut schema {
            for (keyword, value) in &self.besides {
                schema.insert((*keyword).to_owned(), value.clone());
            }
        }
        schemas
            .definitions_mut()
            .insert(self.name.to_owned(), schema);
        let mut content = Map::new();
        let schema = json!({ "$ref": format!("#/components/schemas/{}", self.name) });
        content.insert(
            "application/json".to_owned(),
            json!({ "schema": schema, "examples": named_examples(&self.examples) }),
        );
        for media_type in self.images {
            let schema = json!({ "type": "string", "format": "binary" });
            content.insert((*media_type).to_owned(), json!({ "schema": schema }));
        }
        json!({ "required": true, "content": content })
    }
}

/// What is answered where nothing goes wrong.
struct Answer {
    status: u16,
    description: &'static str,
    content: Option<Content>,
    /// Names of headers that it has besides those of every answer.
    headers: Vec<&'static str>,
}

/// An answer's JSON.
struct Content {
    shape: Shape,
    examples: Vec<(&'static str, Value)>,
}

enum Shape {
    Of(SchemaOf),
    Literal(Value),
}

struct Parameter {
    name: &'static str,
    place: &'static str,
    required: bool,
    schema: SchemaOf,
    description: &'static str,
    example: Option<Value>,
}

/// One method of one path.
pub(super) struct Operation {
    pub(super) method: Method,
    pub(super) path: &'static str,
    id: &'static str,
    tag: &'static str,
    summary: &'static str,
    description: &'static str,
    parameters: Vec<Parameter>,
    /// Names of parameters that operations share.
    shared_parameters: Vec<&'static str>,
    body: Option<Body>,
    answers: Vec<Answer>,
    links: Vec<(&'static str, &'static str)>,
    /// Which go wrong, and when, where there is more to say than the kind does.
    problems: Vec<(u16, Option<&'static str>)>,
    public: bool,
}

impl Operation {
    /// An operation that takes a token.
    pub(super) fn new(
        method: Method,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
    ) -> Self {
        Self {
            method,
            path,
            id,
            tag: "",
            summary,
            description: "",
            parameters: Vec::new(),
            shared_parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
            links: Vec::new(),
            problems: vec![(401, None), (429, None), (500, None), (503, None)],
            public: false,
        }
    }

    pub(super) const fn tag(mut self, tag: &'static str) -> Self {
        self.tag = tag;
        self
    }

    pub(super) const fn describe_as(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    /// No token is needed, and nobody's calls are counted.
    pub(super) fn public(mut self) -> Self {
        self.public = true;
        self.problems.retain(|(status, _)| *status >= 500);
        self
    }

    /// A parameter of the path; whatever is not there is 404.
    pub(super) fn path<T: JsonSchema>(
        mut self,
        name: &'static str,
        description: &'static str,
        example: &str,
    ) -> Self {
        self.parameters.push(Parameter {
            name,
            place: "path",
            required: true,
            schema: SchemaGenerator::subschema_for::<T>,
            description,
            example: Some(json!(example)),
        });
        self.problem(404)
    }

    pub(super) fn query(
        mut self,
        name: &'static str,
        required: bool,
        schema: SchemaOf,
        description: &'static str,
        example: Value,
    ) -> Self {
        self.parameters.push(Parameter {
            name,
            place: "query",
            required,
            schema,
            description,
            example: Some(example),
        });
        self.problem(400)
    }

    /// `?limit=`.
    pub(super) fn limited(mut self) -> Self {
        self.shared_parameters.push("limit");
        self.problem(400)
    }

    /// `?limit=` and `?cursor=`.
    pub(super) fn paged(mut self) -> Self {
        self = self.limited();
        self.shared_parameters.push("cursor");
        self
    }

    /// A page of such items.
    pub(super) fn page<T: JsonSchema + 'static>(self, example: Value) -> Self {
        let page = json!({ "items": Value::Array(vec![example]), "next": null });
        self.pages(
            SchemaGenerator::subschema_for::<Page<T>>,
            vec![("page", page)],
        )
    }

    /// A page by such a schema, with examples of it.
    pub(super) fn pages(self, schema: SchemaOf, examples: Vec<(&'static str, Value)>) -> Self {
        self.answer(
            200,
            "A page of the list.",
            Content {
                shape: Shape::Of(schema),
                examples,
            },
        )
    }

    /// A body, and `Idempotency-Key` if it creates something.
    pub(super) fn body(mut self, body: Body) -> Self {
        self.body = Some(body);
        self.problem(400).problem(413).problem(415)
    }

    fn answer(
        mut self,
        status: u16,
        description: &'static str,
        content: impl Into<Option<Content>>,
    ) -> Self {
        self.answers.push(Answer {
            status,
            description,
            content: content.into(),
            headers: Vec::new(),
        });
        self
    }

    pub(super) fn answers<T: JsonSchema>(
        self,
        status: u16,
        description: &'static str,
        example: Value,
    ) -> Self {
        let shape = Shape::Of(SchemaGenerator::subschema_for::<T>);
        self.answer(
            status,
            description,
            Content {
                shape,
                examples: vec![("answer", example)],
            },
        )
    }

    /// 201, once for each `Idempotency-Key`.
    pub(super) fn creates<T: JsonSchema>(
        mut self,
        description: &'static str,
        located: bool,
        example: Value,
    ) -> Self {
        self.shared_parameters.push("idempotency-key");
        self = self.answers::<T>(201, description, example);
        if located {
            self = self.with_header("Location");
        }
        self.problem_when(
            422,
            "What it names can't be used, or the `Idempotency-Key` was used for another request.",
        )
    }

    pub(super) fn says(self, status: u16, description: &'static str, how: Status) -> Self {
        let says = serde_json::to_value(how).unwrap_or_default();
        let text = says.get("status").cloned().unwrap_or_default();
        let schema = json!({
            "type": "object",
            "properties": { "status": { "type": "string", "const": text } },
            "required": ["status"],
        });
        self.answer(
            status,
            description,
            Content {
                shape: Shape::Literal(schema),
                examples: vec![("answer", says)],
            },
        )
    }

    /// Any JSON object.
    pub(super) fn answers_object(self, description: &'static str) -> Self {
        let shape = Shape::Literal(json!({ "type": "object" }));
        self.answer(
            200,
            description,
            Content {
                shape,
                examples: Vec::new(),
            },
        )
    }

    /// A header of the answer before this.
    fn with_header(mut self, name: &'static str) -> Self {
        if let Some(answer) = self.answers.last_mut() {
            answer.headers.push(name);
        }
        self
    }

    /// The answer before this has an `ETag`, and is 304 for clients that have it already.
    pub(super) fn revalidated(self) -> Self {
        self.with_header("ETag")
            .answer(304, "What `If-None-Match` names is still current.", None)
            .with_header("ETag")
    }

    pub(super) fn empty(self, description: &'static str) -> Self {
        self.answer(204, description, None)
    }

    /// What the answer's `id` is good for: a parameter of that operation.
    pub(super) fn leads_to(mut self, operation: &'static str, parameter: &'static str) -> Self {
        self.links.push((operation, parameter));
        self
    }

    pub(super) fn problem(mut self, status: u16) -> Self {
        if !self.problems.iter().any(|(known, _)| *known == status) {
            self.problems.push((status, None));
        }
        self
    }

    pub(super) fn problem_when(mut self, status: u16, when: &'static str) -> Self {
        self.problems.retain(|(known, _)| *known != status);
        self.problems.push((status, Some(when)));
        self
    }

    /// The operation as `OpenAPI` has it.
    pub(super) fn describe(&self, schemas: &mut SchemaGenerator) -> Value {
        let mut operation = json!({
            "operationId": self.id,
            "tags": [self.tag],
            "summary": self.summary,
            "responses": self.responses(schemas),
        });
        let Value::Object(object) = &mut operation else {
            return operation;
        };
        if !self.description.is_empty() {
            object.insert("description".to_owned(), json!(self.description));
        }
        if self.public {
            object.insert("security".to_owned(), json!([]));
        }
        let own = self
            .parameters
            .iter()
            .map(|parameter| parameter.describe(schemas));
        let mut parameters: Vec<Value> = own.collect();
        let shared = |name| json!({ "$ref": format!("#/components/parameters/{name}") });
        parameters.extend(self.shared_parameters.iter().map(shared));
        if !parameters.is_empty() {
            object.insert("parameters".to_owned(), json!(parameters));
        }
        if let Some(body) = &self.body {
            object.insert("requestBody".to_owned(), body.describe(schemas));
        }
        operation
    }

    fn responses(&self, schemas: &mut SchemaGenerator) -> Value {
        let mut responses = std::collections::BTreeMap::new();
        for answer in &self.answers {
            responses.insert(answer.status, self.response(answer, schemas));
        }
        for (status, when) in &self.problems {
            if let Some(kind) = PROBLEMS.iter().find(|kind| kind.status == *status) {
                let mut response =
                    json!({ "$ref": format!("#/components/responses/{}", kind.name) });
                if let Some(when) = when {
                    response = described(response, when);
                }
                responses.insert(*status, response);
            }
        }
        json!(responses)
    }

    fn response(&self, answer: &Answer, schemas: &mut SchemaGenerator) -> Value {
        let header = |name: &str| json!({ "$ref": format!("#/components/headers/{name}") });
        let mut headers = json!({ "X-Request-Id": header("X-Request-Id") });
        if let Value::Object(headers) = &mut headers {
            headers.extend(
                answer
                    .headers
                    .iter()
                    .map(|name| ((*name).to_owned(), header(name))),
            );
        }
        let mut response = json!({ "description": answer.description, "headers": headers });
        let Value::Object(object) = &mut response else {
            return response;
        };
        if let Some(Content { shape, examples }) = &answer.content {
            let schema = match shape {
                Shape::Of(schema) => schema(schemas).to_value(),
                Shape::Literal(schema) => schema.clone(),
            };
            let content = json!({ "schema": schema, "examples": named_examples(examples) });
            object.insert("content".to_owned(), json!({ "application/json": content }));
        }
        if !self.links.is_empty() {
            let link = |(operation, parameter): &(&str, &str)| {
                let link = json!({
                    "operationId": operation,
                    "parameters": { format!("path.{parameter}"): "$response.body#/id" },
                });
                ((*operation).to_owned(), link)
            };
            let links: Map<String, Value> = self.links.iter().map(link).collect();
            object.insert("links".to_owned(), Value::Object(links));
        }
        response
    }
}

impl Parameter {
    fn describe(&self, schemas: &mut SchemaGenerator) -> Value {
        let mut parameter = json!({
            "name": self.name,
            "in": self.place,
            "required": self.required,
            "description": self.description,
            "schema": (self.schema)(schemas),
        });
        if let (Some(example), Value::Object(parameter)) = (&self.example, &mut parameter) {
            parameter.insert("example".to_owned(), example.clone());
        }
        parameter
    }
}

/// Parameters that operations share.
pub(super) fn parameters(schemas: &mut SchemaGenerator) -> Value {
    let parameter = |name, place, schema, description| Parameter {
        name,
        place,
        required: false,
        schema,
        description,
        example: None,
    };
    let limit = parameter(
        "limit",
        "query",
        SchemaGenerator::subschema_for::<Limit>,
        "How many items a page holds at most.",
    );
    let cursor = parameter(
        "cursor",
        "query",
        SchemaGenerator::subschema_for::<Cursor>,
        "The `next` of the page before, of this very list.",
    );
    let key = parameter(
        "Idempotency-Key",
        "header",
        SchemaGenerator::subschema_for::<IdempotencyKey>,
        "Chosen by the client for this request: sent again with it, it is answered again and not done again, for 24 hours.",
    );
    json!({
        "limit": limit.describe(schemas),
        "cursor": cursor.describe(schemas),
        "idempotency-key": key.describe(schemas),
    })
}

/// Headers of answers.
pub(super) fn headers() -> Value {
    let header = |description, schema: Value| json!({ "description": description, "required": true, "schema": schema });
    json!({
        "X-Request-Id": header("What this request is called in the logs.", json!({ "type": "string" })),
        "ETag": header("Names this version, for `If-None-Match`.", json!({ "type": "string" })),
        "Location": header("The path of what was created.", json!({ "type": "string" })),
        "Retry-After": header("In how many seconds to try again.", json!({ "type": "integer", "minimum": 1 })),
        "WWW-Authenticate": header("How to sign in.", json!({ "type": "string", "const": "Bearer" })),
    })
}

/// The response for a kind of problem.
pub(super) fn problem_response(kind: &ProblemKind, schemas: &mut SchemaGenerator) -> Value {
    let schema = schemas.subschema_for::<ProblemBody<'static>>();
    let header = |name: &str| json!({ "$ref": format!("#/components/headers/{name}") });
    let mut headers = json!({ "X-Request-Id": header("X-Request-Id") });
    if let (Some(name), Value::Object(headers)) = (kind.header, &mut headers) {
        headers.insert(name.to_owned(), header(name));
    }
    // Of some statuses, every problem is of one type.
    let always = [ProblemType::RateLimited, ProblemType::Unavailable];
    let typed = always
        .into_iter()
        .find(|typed| typed.status().as_u16() == kind.status);
    let status = StatusCode::from_u16(kind.status).ok();
    let title = status.and_then(|status| status.canonical_reason());
    let example = json!({
        "type": typed.map_or("about:blank", ProblemType::uri),
        "title": typed.map(ProblemType::title).or(title),
        "status": kind.status,
        "detail": kind.description,
        "instance": "4f0f1d5e-8a0e-4d1b-9c63-6a1d2f0c7b52",
    });
    json!({
        "description": kind.description,
        "headers": headers,
        "content": { "application/problem+json": { "schema": schema, "example": example } },
    })
}

fn named_examples(examples: &[(&str, Value)]) -> Map<String, Value> {
    let example = |(name, value): &(&str, Value)| ((*name).to_owned(), json!({ "value": value }));
    examples.iter().map(example).collect()
}

/// A schema or a reference, with a description of its own.
pub(super) fn described(mut schema: Value, description: &str) -> Value {
    if let Value::Object(schema) = &mut schema {
        schema.insert("description".to_owned(), json!(description));
    }
    schema
}
