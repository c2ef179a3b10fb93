//! No part of any request is logged.

use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::{Value, json};

use super::routes;
use crate::support::secrets::{self, SECRET};
use crate::support::{World, eventually};

/// Returns the body with the secret in place of each value.
fn secretive(body: &Value) -> Value {
    let fields = body.as_object().into_iter().flatten();
    fields
        .map(|(name, _)| (name.clone(), json!(SECRET)))
        .collect()
}

/// Requests with the secret in every part, so that each part is wrong. Fails if an error's own message, which quotes its
/// cause, is logged.
#[tokio::test]
async fn nothing_that_is_sent_is_logged() {
    let world = World::shared().await;
    let user = world.user("secretive");
    let calls = routes::calls();
    // Leaving ends all other calls.
    let calls =
        calls.filter(|(method, route, _)| (method.as_str(), *route) != ("DELETE", "/v1/me"));
    let mut last = Vec::new();
    for (method, route, body) in calls {
        let path = route.replace("{comment}", SECRET);
        let path = routes::with_cat(&routes::good_path(&path, SECRET, SECRET), SECRET);
        let query = format!("{path}?{SECRET}={SECRET}&cursor={SECRET}&limit={SECRET}&q={SECRET}");
        let request = |path: &str| {
            user.request(method.clone(), path)
                .header("idempotency-key", SECRET)
        };
        let good = body.clone().unwrap_or_default();
        let token = format!("Bearer {SECRET}.{SECRET}.{SECRET}");
        let mut requests = vec![
            request(&path).json(&good),
            request(&query).json(&good),
            request(&path).json(&secretive(&good)),
            request(&path).json(&json!({ SECRET: SECRET })),
            request(&path)
                .header(CONTENT_TYPE, "application/json")
                .body(SECRET),
            request(&path).header(CONTENT_TYPE, SECRET).body(SECRET),
            world
                .anonymous()
                .request(method.clone(), &path)
                .header(AUTHORIZATION, token),
        ];
        if method == Method::GET {
            requests.push(request(&format!("{path}?{SECRET}=%00&limit=1")));
        }
        for request in requests {
            // Not by `send`, which checks that a test requests only what is described.
            let reply = request.send().await.unwrap();
            let (status, url) = (reply.status(), reply.url().clone());
            assert!(!status.is_server_error(), "{method} {url}: {status}");
            last.push(reply.headers()["x-request-id"].to_str().unwrap().to_owned());
        }
    }
    // Lines come a little later than answers.
    let names: Vec<String> = world
        .plan()
        .functions
        .values()
        .map(|it| it.name.clone())
        .collect();
    eventually("every request is logged", async || {
        let lines = names
            .iter()
            .flat_map(|name| world.logs(name).unwrap_or_default());
        let lines: Vec<String> = lines.collect();
        let logged = |id: &String| lines.iter().any(|line| line.contains(id.as_str()));
        last.iter().rev().take(100).all(logged).then_some(())
    })
    .await;
    secrets::assert_nothing_leaked();
}
