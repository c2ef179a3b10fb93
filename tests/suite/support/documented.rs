//! Checks every answer that a test gets, and every request that succeeded, against the API's description. So the
//! description lacks nothing that the suite sees.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

use jsonschema::{Draft, Validator};
use reqwest::{Method, Request};
use serde_json::{Value, json};

use super::Reply;

/// The description, in which objects have no other fields than the described ones.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let mut document = purrline::openapi::document();
    forbid_other_fields(&mut document);
    document
});

/// The validators of schemas, by the JSON pointers to them.
static VALIDATORS: LazyLock<Mutex<HashMap<String, Arc<Validator>>>> = LazyLock::new(Mutex::default);

/// The described parts of a request.
pub(crate) struct Described {
    method: Method,
    path: String,
    query: Vec<String>,
    body: Option<Vec<u8>>,
    is_json: bool,
}

impl Described {
    pub(crate) fn of(request: &Request) -> Self {
        let content_type = request.headers().get("content-type");
        Self {
            method: request.method().clone(),
            path: request.url().path().to_owned(),
            query: request
                .url()
                .query_pairs()
                .map(|(name, _)| name.into_owned())
                .collect(),
            body: request
                .body()
                .and_then(|body| body.as_bytes())
                .map(<[u8]>::to_vec),
            is_json: content_type.is_some_and(|it| it.as_bytes().starts_with(b"application/json")),
        }
    }

    /// Fails unless the answer is as described.
    #[track_caller]
    pub(crate) fn assert_answer(&self, reply: &Reply) {
        // The load balancer itself gives these answers, without an id.
        let by_itself = matches!(reply.status, 413 | 500 | 502..=504);
        let by_itself = by_itself && reply.header("x-request-id").is_none();
        if !self.path.starts_with("/v1/") || by_itself {
            return;
        }
        assert_protected(reply);
        if self.method == Method::OPTIONS {
            return;
        }
        let Some(operation) = operation(&self.method, &self.path) else {
            let fits = matches!(reply.status, 204 | 404 | 405) || self.method == Method::HEAD;
            assert!(fits, "not described: {} ({})", reply.request, reply.status);
            return;
        };
        let what = format!("{}: {} {}", reply.request, reply.status, reply.text());
        let at = resolve(&format!("{operation}/responses/{}", reply.status));
        let response = DOCUMENT.pointer(&at);
        let response = response.unwrap_or_else(|| panic!("this status is not described: {what}"));
        for name in response["headers"]
            .as_object()
            .into_iter()
            .flat_map(|headers| headers.keys())
        {
            assert!(reply.header(name).is_some(), "{name} is missing: {what}");
        }
        match response["content"].as_object() {
            None => assert!(reply.body.is_empty(), "a body is not described: {what}"),
            Some(content) => {
                let media_type = reply.header("content-type").unwrap_or_default();
                assert!(
                    content.contains_key(media_type),
                    "{media_type} is not described: {what}"
                );
                let schema = format!("{at}/content/{}/schema", escape(media_type));
                assert_valid(&schema, &reply.json(), &what);
            }
        }
        if (200..300).contains(&reply.status) {
            self.assert_request(&operation, &what);
        }
    }

    /// Fails unless the request is as described.
    #[track_caller]
    fn assert_request(&self, operation: &str, what: &str) {
        let parameters = DOCUMENT.pointer(&format!("{operation}/parameters"));
        let parameters = parameters
            .and_then(Value::as_array)
            .map(Vec::len)
            .unwrap_or_default();
        let names: Vec<&str> = (0..parameters)
            .filter_map(|n| DOCUMENT.pointer(&resolve(&format!("{operation}/parameters/{n}"))))
            .filter_map(|parameter| parameter["name"].as_str())
            .collect();
        for name in &self.query {
            assert!(
                names.contains(&name.as_str()),
                "?{name}= is not described: {what}"
            );
        }
        if let (true, Some(body)) = (self.is_json, &self.body) {
            let schema = format!("{operation}/requestBody/content/application~1json/schema");
            let body = serde_json::from_slice(body).unwrap();
            assert_valid(&schema, &body, &format!("request {body} of {what}"));
        }
    }
}

/// Fails unless an answer has the headers that protect it, with or without a body.
#[track_caller]
fn assert_protected(reply: &Reply) {
    let what = format!("{} {} {:?}", reply.request, reply.status, reply.headers);
    assert_eq!(
        reply.header("x-content-type-options"),
        Some("nosniff"),
        "{what}"
    );
    let caching = reply.header("cache-control");
    let caching = caching.unwrap_or_else(|| panic!("no cache-control: {what}"));
    let failed = reply.status >= 400;
    assert!(
        caching == "no-store" || (!failed && caching.starts_with("public, max-age=")),
        "{what}"
    );
    // The local stack uses plain HTTP, where the header has no meaning.
    assert_eq!(reply.header("strict-transport-security"), None, "{what}");
}

/// Fails unless the schema at this pointer allows the value.
#[track_caller]
pub(crate) fn assert_valid(schema: &str, value: &Value, what: &str) {
    let validator = validator(schema);
    let errors: Vec<String> = validator
        .iter_errors(value)
        .map(|error| format!("{} at {}", error, error.instance_path()))
        .collect();
    assert!(
        errors.is_empty(),
        "not as described ({schema}): {errors:#?}\n{what}"
    );
}

fn validator(pointer: &str) -> Arc<Validator> {
    let mut validators = VALIDATORS.lock().unwrap();
    let validator = validators.entry(pointer.to_owned()).or_insert_with(|| {
        let schema = DOCUMENT
            .pointer(pointer)
            .unwrap_or_else(|| panic!("no schema at {pointer}"));
        let mut schema = schema.clone();
        schema["components"] = DOCUMENT["components"].clone();
        let options = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .should_validate_formats(true);
        Arc::new(
            options
                .build(&schema)
                .unwrap_or_else(|error| panic!("{pointer}: {error}")),
        )
    });
    Arc::clone(validator)
}

/// Returns the pointer to a request's operation.
fn operation(method: &Method, path: &str) -> Option<String> {
    let method = method.as_str().to_lowercase();
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let fits = |template: &str| {
        let mut segments = path.split('/');
        template.split('/').all(|expected| {
            let segment = segments.next();
            segment
                .is_some_and(|it| expected == it || (expected.starts_with('{') && !it.is_empty()))
        }) && segments.next().is_none()
    };
    let found = paths
        .iter()
        .find(|(template, item)| fits(template) && item.get(&method).is_some());
    found.map(|(template, _)| format!("/paths/{}/{method}", escape(template)))
}

/// Returns the pointer itself, or the target of the reference there.
fn resolve(pointer: &str) -> String {
    let reference = DOCUMENT.pointer(pointer).and_then(|it| it["$ref"].as_str());
    reference.map_or_else(
        || pointer.to_owned(),
        |reference| reference.trim_start_matches('#').to_owned(),
    )
}

fn escape(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Forbids undescribed fields of objects, in every schema below.
fn forbid_other_fields(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.values_mut().for_each(forbid_other_fields);
            let whole =
                object.get("type") == Some(&json!("object")) && object.contains_key("properties");
            if whole && !object.contains_key("additionalProperties") {
                object.insert("additionalProperties".to_owned(), json!(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(forbid_other_fields),
        _ => {}
    }
}
