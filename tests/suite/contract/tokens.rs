//! Every wrong token on every route, and every good one.

use reqwest::Method;
use serde_json::{Value, json};

use super::routes;
use super::wrong_tokens::{changed_claims, faulty_headers, now};
use crate::support::{Reply, User, World};

async fn with_authorization(
    user: &User,
    method: &Method,
    path: &str,
    body: Option<&Value>,
    authorization: &str,
) -> Reply {
    let mut request = user.with_token(None).request(method.clone(), path);
    if !authorization.is_empty() {
        request = request.header("authorization", authorization);
    }
    if let Some(body) = body {
        request = request.json(body);
    }
    user.send(request).await
}

#[track_caller]
fn assert_refused(reply: &Reply, why: &str) {
    assert_eq!(
        reply.status,
        401,
        "{why}: {} {}",
        reply.request,
        reply.text()
    );
    assert_eq!(
        reply.header("www-authenticate"),
        Some("Bearer"),
        "{why}: {}",
        reply.request
    );
    reply.problem(401);
}

#[tokio::test]
async fn every_wrong_token_is_refused_on_every_route() {
    let world = World::shared().await;
    let (nabi, other) = (world.user("nabi"), world.user("other"));
    let post = nabi.post_id("mine").await;
    let wrong = faulty_headers(&world, &nabi);
    for (method, route, body) in routes::calls() {
        let path = routes::good_path(route, &post, &other.id);
        for (why, authorization) in &wrong {
            assert_refused(
                &with_authorization(&nabi, &method, &path, body.as_ref(), authorization).await,
                why,
            );
        }
    }
    // None of the calls had an effect.
    let seen = nabi.read_post(&post).await;
    assert_eq!(
        (&seen["text"], &seen["edited_at"]),
        (&json!("mine"), &json!(null))
    );
    assert_eq!(nabi.me().await["posts"], 1);
}

#[tokio::test]
async fn two_authorization_headers_are_refused() {
    let nabi = World::shared().await.user("nabi");
    let request = nabi.request(Method::GET, "/v1/me").header(
        "authorization",
        format!("Bearer {}", nabi.token.clone().unwrap()),
    );
    assert_refused(&nabi.send(request).await, "two headers");
}

#[tokio::test]
async fn refused_head_requests_have_no_body() {
    let reply = World::shared()
        .await
        .anonymous()
        .call(Method::HEAD, "/v1/feed")
        .await;
    assert_eq!((reply.status, reply.body.len()), (401, 0));
    assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
}

#[tokio::test]
async fn good_tokens_in_all_their_spellings_are_accepted() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    let sign_in = world.sign_in();
    let good = nabi.token.clone().unwrap();
    let signed = |name: &str, value: Option<Value>| {
        sign_in
            .sign(&changed_claims(&world, &nabi, name, value))
            .unwrap()
    };
    let audience = sign_in.claims(&nabi.id)["aud"].clone();
    for authorization in [
        format!("bearer {good}"),
        format!("BEARER {good}"),
        format!("Bearer {}", signed("exp", Some(json!(now() + 30)))),
        format!("Bearer {}", signed("nbf", Some(json!(now())))),
        format!("Bearer {}", signed("nbf", None)),
        format!("Bearer {}", signed("iat", None)),
        format!(
            "Bearer {}",
            signed("aud", Some(json!(["another-app", audience])))
        ),
        format!("Bearer {}", signed("scope", Some(json!("anything else")))),
        format!("Bearer {}", signed("token_use", Some(json!("access")))),
        format!("Bearer {}", signed("typ", Some(json!("Bearer")))),
        // Clocks may differ a little.
        format!("Bearer {}", signed("exp", Some(json!(now() - 1)))),
        format!("Bearer {}", signed("nbf", Some(json!(now() + 5)))),
    ] {
        let reply = with_authorization(&nabi, &Method::GET, "/v1/me", None, &authorization)
            .await
            .expect(200);
        assert_eq!(reply.json()["id"], nabi.id);
    }
    // Ids up to the maximum length.
    for id in [
        format!("{}{}", "n".repeat(30), nabi.id.replace("nabi", "")),
        "Z_-9".to_owned(),
        "7".to_owned(),
    ] {
        assert_eq!(world.user_with_id(&id).me().await["id"], id);
    }
    assert_eq!(
        world.user_with_id(&"x".repeat(40)).me().await["id"],
        "x".repeat(40)
    );
}

#[tokio::test]
async fn health_ignores_the_token() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    for (_, authorization) in faulty_headers(&world, &nabi) {
        with_authorization(&nabi, &Method::GET, "/v1/health", None, &authorization)
            .await
            .expect(200);
    }
}

/// Returns the tokens of a sign-in by Authorization Code with PKCE (the local stack's tests cover the whole flow).
async fn signed_in(world: &World, user: &str) -> Value {
    let client = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let send = async |endpoint: &str, form: String| {
        let url = format!("{}/_local/oauth/{endpoint}", world.url());
        let kind = "application/x-www-form-urlencoded";
        let request = client.post(url).header("content-type", kind).body(form);
        request.send().await.unwrap()
    };
    // RFC 7636, appendix B.
    let (verifier, challenge) = (
        "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
        "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
    );
    let app = "client_id=purrline-local&redirect_uri=http://localhost:3000/";
    let page = format!(
        "{app}&response_type=code&scope=openid&code_challenge={challenge}&code_challenge_method=S256&user={user}"
    );
    let back = send("authorize", page).await;
    let back = back.headers()["location"].to_str().unwrap();
    let (_, code) = back.split_once("code=").unwrap();
    let code = code.split('&').next().unwrap();
    let grant = "grant_type=authorization_code";
    let tokens = send(
        "token",
        format!("{app}&{grant}&code={code}&code_verifier={verifier}"),
    );
    tokens.await.json().await.unwrap()
}

#[tokio::test]
async fn only_the_access_token_of_a_sign_in_gives_access() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    let tokens = signed_in(&world, &nabi.id).await;
    for (name, status) in [
        ("access_token", 200),
        ("id_token", 401),
        ("refresh_token", 401),
    ] {
        let token = tokens[name].as_str().unwrap();
        let reply = nabi.with_token(Some(token)).get("/v1/me").await;
        assert_eq!(reply.status, status, "{name}: {}", reply.text());
    }
}
