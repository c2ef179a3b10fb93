//! Every way a token can be right or wrong.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::provider::{EC, Pair, Provider, RSA, claims};
use super::{Got, call};
use crate::domain::Timestamp;
use crate::http::sign_in::Pace;
use crate::http::{Api, Caller};

async fn api_and_provider() -> (Api, Provider) {
    let provider = Provider::start(&[
        EC.public(),
        RSA.public(),
        json!({"kty": "future", "kid": "f"}),
    ])
    .await;
    (api(&provider), provider)
}

fn api(provider: &Provider) -> Api {
    api_at(provider, Pace::DEFAULT)
}

fn api_at(provider: &Provider, pace: Pace) -> Api {
    let whoami = async |Caller(caller): Caller| caller.to_string();
    Api::new(
        Router::new().route("/v1/me", get(whoami)),
        provider.settings(pace),
    )
}

async fn with(api: &Api, authorization: &str) -> Got {
    let got = call("GET", "/v1/me")
        .header("authorization", authorization)
        .to(api)
        .await;
    assert_eq!(
        got.status() == 401,
        got.header("www-authenticate") == Some("Bearer")
    );
    got
}

async fn status(api: &Api, token: &str) -> u64 {
    with(api, &format!("Bearer {token}")).await.status()
}

fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let mut claims = claims();
    change(&mut claims);
    claims
}

#[tokio::test]
async fn good_tokens_of_both_kinds() {
    let (api, _provider) = api_and_provider().await;
    for pair in [&*EC, &*RSA] {
        for scheme in ["Bearer", "bearer", "BEARER"] {
            let got = with(&api, &format!("{scheme} {}", pair.sign(&claims()))).await;
            assert_eq!((got.status(), got.text()), (200, "nabi"));
        }
    }
}

#[tokio::test]
async fn claims_that_are_good_enough() {
    let (api, _provider) = api_and_provider().await;
    for good in [
        changed(|it| it["aud"] = json!(["other", "purrline"])),
        // Cognito's access tokens.
        changed(|it| {
            it.as_object_mut().unwrap().remove("aud");
            it["client_id"] = json!("purrline");
            it["token_use"] = json!("access");
        }),
        changed(|it| drop(it.as_object_mut().unwrap().remove("nbf"))),
        changed(|it| it["scope"] = json!("anything else")),
    ] {
        assert_eq!(status(&api, &EC.sign(&good)).await, 200, "{good}");
    }
}

#[tokio::test]
async fn claims_that_are_not() {
    let (api, _provider) = api_and_provider().await;
    let now = Timestamp::now().seconds();
    let removed = |name: &str| changed(|it| drop(it.as_object_mut().unwrap().remove(name)));
    for bad in [
        changed(|it| it["exp"] = json!(now - 1)),
        changed(|it| it["exp"] = json!(now)),
        changed(|it| it["exp"] = json!("soon")),
        changed(|it| it["exp"] = json!(null)),
        changed(|it| it["nbf"] = json!(now + 30)),
        changed(|it| it["nbf"] = json!("later")),
        changed(|it| it["iss"] = json!("https://other.example")),
        changed(|it| it["iss"] = json!("https://sign-in.example/")),
        changed(|it| it["iss"] = json!(["https://sign-in.example"])),
        changed(|it| it["aud"] = json!("other")),
        changed(|it| it["aud"] = json!([])),
        changed(|it| it["aud"] = json!(7)),
        changed(|it| {
            it["aud"] = json!("other");
            it["client_id"] = json!("purrline");
        }),
        changed(|it| it["sub"] = json!("")),
        changed(|it| it["sub"] = json!("a/b")),
        changed(|it| it["sub"] = json!("x".repeat(41))),
        changed(|it| it["sub"] = json!(7)),
        removed("exp"),
        removed("iss"),
        removed("aud"),
        removed("sub"),
        json!({}),
        json!([]),
    ] {
        assert_eq!(status(&api, &EC.sign(&bad)).await, 401, "{bad}");
    }
}

#[tokio::test]
async fn an_expired_token_says_so() {
    let (api, _provider) = api_and_provider().await;
    let expired = EC.sign(&changed(|it| it["exp"] = json!(1)));
    let got = with(&api, &format!("Bearer {expired}")).await;
    assert_eq!(got.json()["detail"], "The access token has expired.");
}

#[tokio::test]
async fn no_token_other_schemes_and_garbage() {
    let (api, _provider) = api_and_provider().await;
    let good = EC.sign(&claims());
    assert_eq!(call("GET", "/v1/me").to(&api).await.status(), 401);
    for bad in [
        "",
        "Bearer",
        "Bearer ",
        "Basic bmFiaTpjYXQ=",
        "Bearer a",
        "Bearer a.b.c",
        "Bearer ..",
        "Bearer 고양이",
        good.as_str(),
    ] {
        assert_eq!(with(&api, bad).await.status(), 401, "{bad}");
    }
    for bad in [
        format!("Bearer {good}, Bearer {good}"),
        format!("Bearer {good}x"),
        format!("Bearer {good}.x"),
        format!("Bearer {}", "a".repeat(9000)),
    ] {
        assert_eq!(with(&api, &bad).await.status(), 401);
    }
    let bearer = format!("Bearer {good}");
    let twice = call("GET", "/v1/me")
        .header("authorization", bearer.clone())
        .header("authorization", bearer);
    assert_eq!(twice.to(&api).await.status(), 401);
}

#[tokio::test]
async fn algorithms_that_the_key_does_not_have() {
    let (api, _provider) = api_and_provider().await;
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    for alg in ["none", "None", "NONE", ""] {
        let head = encode(&json!({"alg": alg, "kid": "ec-1"}));
        for signature in ["", "AA"] {
            let token = format!("{head}.{}.{signature}", encode(&claims()));
            assert_eq!(status(&api, &token).await, 401, "{token}");
        }
    }
    // The public key as if it were a shared secret.
    for pair in [&*EC, &*RSA] {
        let public = pair.public();
        let parts = ["n", "x"]
            .iter()
            .find_map(|name| public[name].as_str())
            .unwrap();
        for secret in [
            public.to_string().into_bytes(),
            URL_SAFE_NO_PAD.decode(parts).unwrap(),
        ] {
            let mut header = Header::new(Algorithm::HS256);
            header.kid = Some(pair.id.to_owned());
            let token =
                jsonwebtoken::encode(&header, &claims(), &EncodingKey::from_secret(&secret))
                    .unwrap();
            assert_eq!(status(&api, &token).await, 401);
        }
    }
    // A good signature by the right key, but by an algorithm it isn't for.
    let mut header = Header::new(Algorithm::RS512);
    header.kid = Some(RSA.id.to_owned());
    assert_eq!(
        status(
            &api,
            &jsonwebtoken::encode(&header, &claims(), &RSA.key).unwrap()
        )
        .await,
        401
    );
}

#[tokio::test]
async fn signatures_and_keys_that_are_not_the_providers() {
    let (api, _provider) = api_and_provider().await;
    let forged = Pair::ec("ec-1");
    assert_eq!(status(&api, &forged.sign(&claims())).await, 401);
    assert_eq!(
        status(&api, &Pair::ec("unknown").sign(&claims())).await,
        401
    );
    let header = Header::new(Algorithm::ES256);
    assert_eq!(
        status(
            &api,
            &jsonwebtoken::encode(&header, &claims(), &EC.key).unwrap()
        )
        .await,
        401
    );
    // Somebody else's claims under a good signature.
    let good = EC.sign(&claims());
    let mut parts: Vec<&str> = good.split('.').collect();
    let other = URL_SAFE_NO_PAD.encode(changed(|it| it["sub"] = json!("kong")).to_string());
    parts[1] = &other;
    assert_eq!(status(&api, &parts.join(".")).await, 401);
    // A key of the token's own.
    let mut header = Header::new(Algorithm::ES256);
    header.kid = Some("ec-1".to_owned());
    header.jwk = serde_json::from_value(forged.public()).unwrap();
    assert_eq!(
        status(
            &api,
            &jsonwebtoken::encode(&header, &claims(), &forged.key).unwrap()
        )
        .await,
        401
    );
    header.jwk = None;
    header.crit = Some(vec!["exp".to_owned()]);
    assert_eq!(
        status(
            &api,
            &jsonwebtoken::encode(&header, &claims(), &EC.key).unwrap()
        )
        .await,
        401
    );
}

#[tokio::test]
async fn keys_that_are_not_for_signatures_are_none() {
    let mut encryption = EC.public();
    encryption["use"] = json!("enc");
    let mut other = RSA.public();
    other["alg"] = json!("RS384");
    let provider = Provider::start(&[encryption, other]).await;
    let api = api(&provider);
    assert_eq!(status(&api, &EC.sign(&claims())).await, 401);
    assert_eq!(status(&api, &RSA.sign(&claims())).await, 401);
}

#[tokio::test]
async fn many_unknown_keys_ask_the_provider_once() {
    let (api, provider) = api_and_provider().await;
    assert_eq!(status(&api, &EC.sign(&claims())).await, 200);
    let unknown = Pair::ec("unknown").sign(&claims());
    for _ in 0..20 {
        assert_eq!(status(&api, &unknown).await, 401);
    }
    assert_eq!(provider.calls(), 1);
}

#[tokio::test]
async fn requests_at_once_fetch_once() {
    let (api, provider) = api_and_provider().await;
    let token = EC.sign(&claims());
    let all = futures::future::join_all((0..20).map(|_| status(&api, &token))).await;
    assert_eq!(all, [200; 20]);
    assert_eq!(provider.calls(), 1);
}

#[tokio::test]
async fn a_new_key_is_found() {
    let provider = Provider::start(&[EC.public()]).await;
    let api = api_at(
        &provider,
        Pace {
            unknown_key: Duration::ZERO,
            ..Pace::DEFAULT
        },
    );
    assert_eq!(status(&api, &RSA.sign(&claims())).await, 401);
    provider.answer(200, &[EC.public(), RSA.public()]);
    assert_eq!(status(&api, &RSA.sign(&claims())).await, 200);
    assert_eq!(status(&api, &EC.sign(&claims())).await, 200);
}

#[tokio::test]
async fn a_provider_that_is_down_takes_no_key_away() {
    let provider = Provider::start(&[EC.public()]).await;
    let at_once = Pace {
        unknown_key: Duration::ZERO,
        failed: Duration::ZERO,
        max_age: Duration::ZERO,
    };
    let api = api_at(&provider, at_once);
    assert_eq!(status(&api, &EC.sign(&claims())).await, 200);
    provider.answer(500, &[]);
    // Whether a key we don't know is a new one can't be told.
    assert_eq!(status(&api, &RSA.sign(&claims())).await, 503);
    assert_eq!(status(&api, &EC.sign(&claims())).await, 200);
}

#[tokio::test]
async fn a_withdrawn_key_is_given_up_after_a_while() {
    let provider = Provider::start(&[EC.public(), RSA.public()]).await;
    let api = api_at(
        &provider,
        Pace {
            unknown_key: Duration::ZERO,
            max_age: Duration::ZERO,
            ..Pace::DEFAULT
        },
    );
    assert_eq!(status(&api, &RSA.sign(&claims())).await, 200);
    provider.answer(200, &[EC.public()]);
    while status(&api, &RSA.sign(&claims())).await != 401 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn without_any_keys_it_is_503() {
    let provider = Provider::start(&[]).await;
    provider.answer(500, &[]);
    let api = api(&provider);
    let got = with(&api, &format!("Bearer {}", EC.sign(&claims()))).await;
    assert_eq!((got.status(), got.header("retry-after")), (503, Some("2")));
    // What is wrong whatever the keys are is 401 even so.
    assert_eq!(status(&api, "garbage").await, 401);
    assert_eq!(call("GET", "/v1/me").to(&api).await.status(), 401);
}
