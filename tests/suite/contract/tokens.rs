//! Every way a token can be wrong, on every route.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use reqwest::Method;
use serde_json::{Value, json};

use super::routes;
use crate::support::{Reply, User, World};

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// The claims of a good token, with one of them changed, or left out.
fn claims(world: &World, user: &User, name: &str, value: Option<Value>) -> Value {
    let mut claims = world.sign_in().claims(&user.id);
    match value {
        Some(value) => claims[name] = value,
        None => drop(claims.as_object_mut().unwrap().remove(name)),
    }
    claims
}

/// Names of what is wrong, and `Authorization` headers that are wrong so.
fn wrong(world: &World, user: &User) -> Vec<(&'static str, String)> {
    let sign_in = world.sign_in();
    let good = user.token.clone().unwrap();
    let header = serde_json::to_value(sign_in.header()).unwrap();
    let own = sign_in.claims(&user.id);
    let with = |name: &str, value: Value| {
        sign_in
            .sign(&claims(world, user, name, Some(value)))
            .unwrap()
    };
    let without = |name: &str| sign_in.sign(&claims(world, user, name, None)).unwrap();
    let headed = |name: &str, value: Value| {
        let mut header = header.clone();
        header[name] = value;
        sign_in.sign_with_header(&header, &own).unwrap()
    };
    let no_kid = {
        let mut header = header.clone();
        header.as_object_mut().unwrap().remove("kid");
        sign_in.sign_with_header(&header, &own).unwrap()
    };
    let parts: Vec<&str> = good.split('.').collect();
    let [head, body, signature] = parts.as_slice() else {
        panic!("a token of {} parts", parts.len())
    };
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let other_body = encode(&sign_in.claims("somebody-else"));
    let none = encode(&json!({ "alg": "none", "typ": "JWT" }));
    let none_kid = encode(&json!({ "alg": "none", "typ": "JWT", "kid": header["kid"] }));
    let mut flipped = URL_SAFE_NO_PAD.decode(signature).unwrap();
    flipped[10] ^= 1;
    let flipped = URL_SAFE_NO_PAD.encode(flipped);
    let bearer = |token: &str| format!("Bearer {token}");

    let mut wrong: Vec<(&'static str, String)> = vec![
        ("nothing said", String::new()),
        ("a scheme alone", "Bearer".to_owned()),
        ("no token", "Bearer ".to_owned()),
        ("a token alone", good.clone()),
        (
            "another scheme",
            format!("Basic {}", STANDARD.encode("nabi:secret")),
        ),
        ("another scheme with a good token", format!("Token {good}")),
        ("garbage", bearer("miaow")),
        ("garbage in three parts", bearer("a.b.c")),
        ("two parts", bearer(&format!("{head}.{body}"))),
        ("four parts", bearer(&format!("{good}.{signature}"))),
        ("two tokens", bearer(&format!("{good} {good}"))),
        ("a huge token", bearer(&"a".repeat(9_000))),
        (
            "expired long ago",
            bearer(&with("exp", json!(now() - 3600))),
        ),
        ("expired this second", bearer(&with("exp", json!(now())))),
        ("no expiry", bearer(&without("exp"))),
        (
            "an expiry that is no number",
            bearer(&with("exp", json!("tomorrow"))),
        ),
        ("not yet valid", bearer(&with("nbf", json!(now() + 60)))),
        (
            "another issuer",
            bearer(&with("iss", json!("https://evil.example"))),
        ),
        (
            "almost the issuer",
            bearer(&with(
                "iss",
                json!(format!("{}/", own["iss"].as_str().unwrap())),
            )),
        ),
        (
            "a list of issuers",
            bearer(&with("iss", json!([own["iss"]]))),
        ),
        ("no issuer", bearer(&without("iss"))),
        (
            "another audience",
            bearer(&with("aud", json!("another-app"))),
        ),
        (
            "other audiences",
            bearer(&with("aud", json!(["another-app", "a-third"]))),
        ),
        ("no audience in the list", bearer(&with("aud", json!([])))),
        ("no audience", bearer(&without("aud"))),
        ("no subject", bearer(&without("sub"))),
        ("an empty subject", bearer(&with("sub", json!("")))),
        (
            "a subject too long",
            bearer(&with("sub", json!("n".repeat(41)))),
        ),
        (
            "a subject that is no id",
            bearer(&with("sub", json!("na bi"))),
        ),
        (
            "a subject out of the tables' language",
            bearer(&with("sub", json!("nabi#count"))),
        ),
        ("a subject in Korean", bearer(&with("sub", json!("나비")))),
        ("a subject that is a number", bearer(&with("sub", json!(7)))),
        ("no signature", bearer(&format!("{head}.{body}."))),
        ("algorithm none", bearer(&format!("{none}.{body}."))),
        (
            "algorithm none and a key id",
            bearer(&format!("{none_kid}.{body}.")),
        ),
        (
            "algorithm none and a signature",
            bearer(&format!("{none_kid}.{body}.{signature}")),
        ),
        (
            "a signature changed",
            bearer(&format!("{head}.{body}.{flipped}")),
        ),
        (
            "a signature cut short",
            bearer(&format!("{head}.{body}.{}", &signature[..40])),
        ),
        (
            "another body under the signature",
            bearer(&format!("{head}.{other_body}.{signature}")),
        ),
        (
            "another key",
            bearer(&sign_in.sign_with_another_key(&own).unwrap()),
        ),
        (
            "an unknown key id",
            bearer(&headed("kid", json!("unknown"))),
        ),
        ("no key id", bearer(&no_kid)),
        (
            "another algorithm named",
            bearer(&headed("alg", json!("ES384"))),
        ),
        ("RSA named", bearer(&headed("alg", json!("RS256")))),
        (
            "an extension that must be understood",
            bearer(&headed("crit", json!(["b64"]))),
        ),
    ];
    wrong.extend(
        hs256(world, &own)
            .iter()
            .map(|token| ("the public key as a secret", bearer(token))),
    );
    wrong
}

/// Tokens "signed" with what everybody knows: the public key in its usual spellings.
fn hs256(world: &World, claims: &Value) -> Vec<String> {
    let jwks = world.sign_in().jwks();
    let jwk = &jwks["keys"][0];
    let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let point = [vec![4], coordinate("x"), coordinate("y")].concat();
    // The fixed head of a P-256 key's SubjectPublicKeyInfo.
    let der = [
        STANDARD
            .decode("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE")
            .unwrap(),
        point[1..].to_vec(),
    ]
    .concat();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        STANDARD.encode(&der)
    );
    let mut header = Header::new(Algorithm::HS256);
    header.kid = world.sign_in().header().kid;
    [
        jwk.to_string().into_bytes(),
        jwks.to_string().into_bytes(),
        point,
        der,
        pem.into_bytes(),
    ]
    .iter()
    .map(|secret| jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(secret)).unwrap())
    .collect()
}

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
    let wrong = wrong(&world, &nabi);
    for (method, route, body) in routes::calls() {
        let path = routes::path(route, &post, &other.id);
        for (why, authorization) in &wrong {
            assert_refused(
                &with_authorization(&nabi, &method, &path, body.as_ref(), authorization).await,
                why,
            );
        }
    }
    // None of it had an effect.
    let seen = nabi.read_post(&post).await;
    assert_eq!(
        (&seen["text"], &seen["edited_at"]),
        (&json!("mine"), &json!(null))
    );
    assert_eq!(nabi.me().await["posts"], 1);
}

#[tokio::test]
async fn two_tokens_at_once_are_refused() {
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
async fn good_tokens_in_all_their_spellings_are_taken() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    let sign_in = world.sign_in();
    let good = nabi.token.clone().unwrap();
    let signed = |name: &str, value: Option<Value>| {
        sign_in.sign(&claims(&world, &nabi, name, value)).unwrap()
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
    ] {
        let reply = with_authorization(&nabi, &Method::GET, "/v1/me", None, &authorization)
            .await
            .expect(200);
        assert_eq!(reply.json()["id"], nabi.id);
    }
    // As long as an id may be.
    for id in [
        format!("{}{}", "n".repeat(30), nabi.id.replace("nabi", "")),
        "Z_-9".to_owned(),
        "7".to_owned(),
    ] {
        assert_eq!(world.user_called(&id).me().await["id"], id);
    }
    assert_eq!(
        world.user_called(&"x".repeat(40)).me().await["id"],
        "x".repeat(40)
    );
}

#[tokio::test]
async fn health_takes_whatever_token_there_is() {
    let world = World::shared().await;
    let nabi = world.user("nabi");
    for (_, authorization) in wrong(&world, &nabi) {
        with_authorization(&nabi, &Method::GET, "/v1/health", None, &authorization)
            .await
            .expect(200);
    }
}
