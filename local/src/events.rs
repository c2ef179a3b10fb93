//! Sample events, with placeholders for values that exist only in a running stack.

use std::collections::BTreeMap;

use reqwest::header::CONTENT_TYPE;
use serde_json::Value;

use crate::error::{Error, Result};

fn failed(error: impl std::fmt::Display) -> Error {
    Error::part("event", error)
}

/// Fills in an event's placeholders with values from the stack at `url`:
///
/// - `{{token:bob}}`: a token for bob;
/// - `{{user:alice}}`: the id of alice, who is created if necessary;
/// - `{{post:alice}}`: the id of a new post by alice;
/// - `{{comment:alice}}`: the id of a new comment by alice on that post;
/// - `{{cat:alice}}`: the id of a new cat of alice.
///
/// Equal placeholders get the same value.
///
/// # Errors
/// Fails if the stack can't be reached or refuses a request, or a placeholder is unknown.
pub async fn fill_event(url: &str, event: &str) -> Result<String> {
    let url = url.trim_end_matches('/');
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    let (mut filled, mut rest) = (String::new(), event);
    while let Some((before, after)) = rest.split_once("{{") {
        let (placeholder, after) = after
            .split_once("}}")
            .ok_or_else(|| failed("{{ without }}"))?;
        filled.push_str(before);
        rest = after;
        if !values.contains_key(placeholder) {
            let value = match placeholder.split_once(':') {
                Some(("token", user)) => token(url, user).await?,
                Some(("user", user)) => user_id(url, user).await?,
                Some(("post", user)) => post(url, user).await?,
                Some(("comment", user)) => {
                    let post_placeholder = format!("post:{user}");
                    if !values.contains_key(&post_placeholder) {
                        values.insert(post_placeholder.clone(), post(url, user).await?);
                    }
                    comment(
                        url,
                        user,
                        values.get(&post_placeholder).map_or("", String::as_str),
                    )
                    .await?
                }
                Some(("cat", user)) => create(url, user, "cats", r#"{"name": "나비"}"#).await?,
                _ => {
                    return Err(failed(format!(
                        "unknown placeholder {{{{{placeholder}}}}}: it must be a token, user, post, comment or cat, such as {{{{token:bob}}}}"
                    )));
                }
            };
            values.insert(placeholder.to_owned(), value);
        }
        filled.push_str(values.get(placeholder).map_or("", String::as_str));
    }
    filled.push_str(rest);
    Ok(filled)
}

async fn token(url: &str, user: &str) -> Result<String> {
    field(
        reqwest::Client::new().get(format!("{url}/_local/token/{user}")),
        "access_token",
    )
    .await
}

async fn user_id(url: &str, user: &str) -> Result<String> {
    let request = reqwest::Client::new()
        .get(format!("{url}/v1/me"))
        .bearer_auth(token(url, user).await?);
    field(request, "id").await
}

/// The body of sample posts and comments.
const SAMPLE: &str = r#"{"text": "A sample"}"#;

async fn post(url: &str, user: &str) -> Result<String> {
    create(url, user, "posts", SAMPLE).await
}

async fn comment(url: &str, user: &str, post: &str) -> Result<String> {
    create(url, user, &format!("posts/{post}/comments"), SAMPLE).await
}

/// Creates an object as a user and returns the object's id.
async fn create(url: &str, user: &str, collection: &str, body: &'static str) -> Result<String> {
    let request = reqwest::Client::new()
        .post(format!("{url}/v1/{collection}"))
        .bearer_auth(token(url, user).await?)
        .header(CONTENT_TYPE, "application/json")
        .body(body);
    field(request, "id").await
}

async fn field(request: reqwest::RequestBuilder, name: &str) -> Result<String> {
    let answer = request
        .send()
        .await
        .map_err(failed)?
        .error_for_status()
        .map_err(failed)?;
    let answer: Value = answer.json().await.map_err(failed)?;
    let value = answer.get(name).and_then(Value::as_str);
    value
        .map(str::to_owned)
        .ok_or_else(|| failed(format!("the stack's answer has no field {name}")))
}
