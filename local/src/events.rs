//! Sample events with placeholders for what can't be written down before.

use std::collections::BTreeMap;

use reqwest::header::CONTENT_TYPE;
use serde_json::Value;

use crate::error::{Error, Result};

fn failed(error: impl std::fmt::Display) -> Error {
    Error::part("event", error)
}

/// Fills an event's placeholders in by asking the stack at `url`: `{{token:bob}}` becomes a token of
/// bob, `{{user:alice}}` the id of alice, who exists then, `{{post:alice}}` the id of a post that alice has
/// just written, `{{comment:alice}}` that of a comment of hers on that post, `{{cat:alice}}` that of a cat that
/// alice has just registered, each the same in all its places.
///
/// # Errors
/// The stack can't be reached or refuses, or a placeholder is none of these.
pub async fn fill_event(url: &str, event: &str) -> Result<String> {
    let url = url.trim_end_matches('/');
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    let (mut filled, mut rest) = (String::new(), event);
    while let Some((before, after)) = rest.split_once("{{") {
        let (placeholder, after) = after
            .split_once("}}")
            .ok_or_else(|| failed("{{ without }}"))?;
        filled.push_str(before);
        rest = after;
        if !known.contains_key(placeholder) {
            let value = match placeholder.split_once(':') {
                Some(("token", user)) => token(url, user).await?,
                Some(("user", user)) => known_user(url, user).await?,
                Some(("post", user)) => post(url, user).await?,
                Some(("comment", user)) => {
                    let of = format!("post:{user}");
                    if !known.contains_key(&of) {
                        known.insert(of.clone(), post(url, user).await?);
                    }
                    comment(url, user, known.get(&of).map_or("", String::as_str)).await?
                }
                Some(("cat", user)) => created(url, user, "cats", r#"{"name": "나비"}"#).await?,
                _ => {
                    return Err(failed(format!(
                        "{{{{{placeholder}}}}} is neither a token, a user, a post, a comment nor a cat"
                    )));
                }
            };
            known.insert(placeholder.to_owned(), value);
        }
        filled.push_str(known.get(placeholder).map_or("", String::as_str));
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

async fn known_user(url: &str, user: &str) -> Result<String> {
    let request = reqwest::Client::new()
        .get(format!("{url}/v1/me"))
        .bearer_auth(token(url, user).await?);
    field(request, "id").await
}

/// What is posted, and commented.
const SAMPLE: &str = r#"{"text": "A sample"}"#;

async fn post(url: &str, user: &str) -> Result<String> {
    created(url, user, "posts", SAMPLE).await
}

async fn comment(url: &str, user: &str, post: &str) -> Result<String> {
    created(url, user, &format!("posts/{post}/comments"), SAMPLE).await
}

/// The id of something that a user creates.
async fn created(url: &str, user: &str, what: &str, body: &'static str) -> Result<String> {
    let request = reqwest::Client::new()
        .post(format!("{url}/v1/{what}"))
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
        .ok_or_else(|| failed(format!("the stack's answer has no {name}")))
}
