//! In every request, an optional field that is `null` equals a missing one.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use super::routes;
use crate::support::{JPEG, Reply, World, image};

/// A field of a request's body, and whether it is required.
type Field = (String, bool);

/// Returns the fields of an operation's JSON body, as in the API's description.
fn fields(document: &Value, method: &Method, route: &str) -> Vec<Field> {
    let path = ["{post}", "{cat}", "{user}"]
        .iter()
        .fold(route.to_owned(), |path, name| path.replace(name, "{id}"));
    let operation = &document["paths"][&path][method.as_str().to_lowercase()];
    let body = &operation["requestBody"]["content"]["application/json"]["schema"];
    let schema = body["$ref"].as_str().map(|it| it.trim_start_matches('#'));
    let schema = schema.and_then(|pointer| document.pointer(pointer));
    let schema = schema.unwrap_or_else(|| panic!("{method} {path} has no body"));
    let required: BTreeSet<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|name| name.as_str().unwrap())
        .collect();
    let names = schema["properties"].as_object().unwrap().keys();
    names
        .map(|name| (name.clone(), required.contains(name.as_str())))
        .collect()
}

#[tokio::test]
async fn null_means_omitted_in_every_request() {
    let nabi = World::shared().await.user("nabi");
    let document = purrline::openapi::document();
    let (post, cat) = (nabi.post_id("x").await, nabi.cat_id("x").await);
    let photo = nabi.upload("image/jpeg", &image(JPEG)).await;
    let mut seen = (0, 0);
    for (method, route, body) in routes::calls() {
        let Some(body) = body else { continue };
        let body = routes::with_handle(routes::with_image(body, &photo), &nabi);
        let path = routes::with_cat(&routes::path(route, &post, &nabi.id), &cat);
        let send = async |body: &Value| -> Reply {
            nabi.send(nabi.request(method.clone(), &path).json(body))
                .await
        };
        let fields = fields(&document, &method, route);
        // Twice, since the first PUT of a profile has another answer.
        send(&body).await;
        let expected = shape(&send(&body).await);
        for (name, required) in &fields {
            let mut body = body.clone();
            let was_there = body.get(name).is_some();
            body[name] = Value::Null;
            let reply = send(&body).await;
            if *required {
                reply.bad_fields(400, &[&format!("/{name}")]);
                seen.0 += 1;
            } else if !was_there {
                assert_eq!(shape(&reply), expected, "{method} {route} {name}");
                seen.1 += 1;
            }
        }
        // All fields at once; an unknown field stays unknown.
        let mut all = body.clone();
        for (name, _) in fields.iter().filter(|(name, _)| body.get(name).is_none()) {
            all[name] = Value::Null;
        }
        assert_eq!(shape(&send(&all).await), expected, "{method} {route} {all}");
        all["nickname"] = Value::Null;
        send(&all).await.bad_fields(400, &["/nickname"]);
    }
    // None of the existing fields was skipped.
    assert!(seen.0 >= 7 && seen.1 >= 17, "{seen:?}");
}

/// Returns an answer's status, and its body without the fields that differ each time.
fn shape(reply: &Reply) -> (u16, Value) {
    let mut body = reply.json();
    for changing in [
        "id",
        "key",
        "url",
        "created_at",
        "edited_at",
        "expires_at",
        "comments",
    ] {
        if body.get(changing).is_some() {
            body[changing] = json!(null);
        }
    }
    (reply.status, body)
}
