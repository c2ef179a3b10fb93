//! `GET /v1/openapi.json`: the API's own description. Every other test checks with each of its requests that answers match
//! it (see [`crate::support::documented`]).

use std::collections::BTreeSet;

use purrline::http::routes::{Found, find};
use purrline::openapi::document;
use reqwest::Method;
use serde_json::Value;

use crate::support::documented::assert_valid;
use crate::support::{World, repository};

/// The file equals what the code generates. With `UPDATE_EXPECT=1`, the test rewrites the file.
#[test]
fn the_file_is_what_the_code_says() {
    let file = repository().join("openapi.json");
    let text = serde_json::to_string_pretty(&document()).unwrap();
    expect_test::expect_file![file].assert_eq(&format!("{text}\n"));
}

#[tokio::test]
async fn the_document_is_served_without_a_token() {
    let world = World::shared().await;
    let reply = world.anonymous().get("/v1/openapi.json").await.expect(200);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    assert!(
        reply.json() == document(),
        "not the document: {}",
        reply.text().len()
    );
}

/// A route in a page is anything in backticks that ends with a path, such as `PATCH /v1/me`.
#[test]
fn pages_for_readers_name_routes_that_exist() {
    let root = repository();
    let pages = ["README.md", "CONTRIBUTING.md", "docs/api.md"].map(|page| root.join(page));
    let mut seen = 0;
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        for route in text.split('`').skip(1).step_by(2) {
            let mut words = route.split(' ').rev();
            let path = words.next().filter(|path| path.starts_with("/v1/"));
            let Some(path) = path.filter(|path| !path.contains('*')) else {
                continue;
            };
            let path = path.split('?').next().unwrap();
            let method = words.next().unwrap_or("OPTIONS").parse().unwrap();
            let found = find(&method, path);
            let exists = match method {
                Method::OPTIONS => found != Found::Nothing,
                _ => matches!(found, Found::Route(_)),
            };
            assert!(exists, "{}: {route}", page.display());
            seen += 1;
        }
    }
    assert!(seen > 5, "{seen} routes");
}

#[test]
fn every_operation_has_its_own_name_an_example_and_its_problems() {
    let document = document();
    let mut names = BTreeSet::new();
    for (path, method, operation) in operations(&document) {
        let what = format!("{method} {path}");
        assert!(
            names.insert(operation["operationId"].as_str().unwrap()),
            "{what}"
        );
        assert!(operation["summary"].is_string(), "{what}");
        let responses = operation["responses"].as_object().unwrap();
        assert!(responses.contains_key("503"), "{what}");
        let public = operation["security"].as_array().is_some_and(Vec::is_empty);
        assert_eq!(responses.contains_key("401"), !public, "{what}");
        for (status, response) in responses {
            assert!(
                response["description"].is_string() || response["$ref"].is_string(),
                "{what}: {status}"
            );
        }
    }
}

#[test]
fn every_example_matches_its_schema() {
    let document = document();
    let mut seen = 0;
    visit(&document, "", &mut |pointer, node| {
        let schema = format!("{pointer}/schema");
        for example in node["examples"].as_object().into_iter().flatten() {
            assert_valid(&schema, &example.1["value"], pointer);
            seen += 1;
        }
        if let (Some(example), true) = (node.get("example"), node.get("schema").is_some()) {
            assert_valid(&schema, example, pointer);
            seen += 1;
        }
        if pointer.starts_with("/components/schemas/") {
            for example in node["examples"].as_array().into_iter().flatten() {
                assert_valid(pointer, example, pointer);
                seen += 1;
            }
        }
    });
    assert!(seen > 80, "{seen} examples");
}

#[test]
fn every_reference_resolves_and_every_component_is_referenced() {
    let document = document();
    let mut referred = BTreeSet::new();
    visit(&document, "", &mut |pointer, node| {
        if let Some(reference) = node["$ref"].as_str() {
            let target = reference.strip_prefix('#').unwrap();
            assert!(document.pointer(target).is_some(), "{pointer}: {reference}");
            referred.insert(target.to_owned());
        }
        for link in node["links"].as_object().into_iter().flatten() {
            let leads = |(_, _, operation): (_, _, &Value)| {
                operation["operationId"] == link.1["operationId"]
            };
            assert!(operations(&document).any(leads), "{pointer}: {}", link.1);
        }
    });
    for kind in ["schemas", "responses", "headers", "parameters"] {
        for name in document["components"][kind].as_object().unwrap().keys() {
            let pointer = format!("/components/{kind}/{name}");
            assert!(referred.contains(&pointer), "nothing refers to {pointer}");
        }
    }
}

/// Returns the path, method and description of each operation.
fn operations(document: &Value) -> impl Iterator<Item = (&String, &String, &Value)> {
    let paths = document["paths"].as_object().unwrap().iter();
    paths.flat_map(|(path, item)| {
        let methods = item.as_object().unwrap().iter();
        methods.map(move |(method, operation)| (path, method, operation))
    })
}

/// Visits every object, with the JSON pointer to it.
fn visit(node: &Value, pointer: &str, see: &mut impl FnMut(&str, &Value)) {
    match node {
        Value::Object(object) => {
            see(pointer, node);
            for (name, inner) in object {
                let name = name.replace('~', "~0").replace('/', "~1");
                visit(inner, &format!("{pointer}/{name}"), see);
            }
        }
        Value::Array(items) => {
            for (at, inner) in items.iter().enumerate() {
                visit(inner, &format!("{pointer}/{at}"), see);
            }
        }
        _ => {}
    }
}
