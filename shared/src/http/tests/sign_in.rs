//! Every way a token can be valid or invalid.

use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use super::provider::{EC, Pair, Provider, RSA, SILENT, claims};
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

/// Sends a token again and again. Returns whether it gets this status within 20 seconds.
async fn becomes(api: &Api, token: &str, expected: u64) -> bool {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(20) {
        if status(api, token).await == expected {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

fn changed(change: impl FnOnce(&mut Value)) -> Value {
    let mut claims = claims();
    change(&mut claims);
    claims
}

#[tokio::test]
async fn valid_ec_and_rsa_tokens_are_accepted() {
    let (api, _provider) = api_and_provider().await;
    for pair in [&*EC, &*RSA] {
        for scheme in ["Bearer", "bearer", "BEARER"] {
            let got = with(&api, &format!("{scheme} {}", pair.sign(&claims()))).await;
            assert_eq!((got.status(), got.text()), (200, "nabi"));
        }
    }
}

#[tokio::test]
async fn tokens_with_acceptable_claims_are_accepted() {
    let (api, _provider) = api_and_provider().await;
    let now = Timestamp::now().seconds();
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
        // From a clock that is a little off.
        changed(|it| it["exp"] = json!(now - 2)),
        changed(|it| it["nbf"] = json!(now + 5)),
        changed(|it| it["iat"] = json!(now + 5)),
        // Keycloak's access tokens, of new and old versions.
        changed(|it| it["typ"] = json!("Bearer")),
        changed(|it| {
            it["typ"] = json!("Bearer");
            it["nonce"] = json!("n-0S6_WzA2Mj");
        }),
    ] {
        assert_eq!(status(&api, &EC.sign(&good)).await, 200, "{good}");
    }
}

#[tokio::test]
async fn tokens_with_missing_or_wrong_claims_are_refused() {
    let (api, _provider) = api_and_provider().await;
    let now = Timestamp::now().seconds();
    let removed = |name: &str| changed(|it| drop(it.as_object_mut().unwrap().remove(name)));
    for bad in [
        changed(|it| it["exp"] = json!(now - 5)),
        changed(|it| it["exp"] = json!("soon")),
        changed(|it| it["exp"] = json!(null)),
        changed(|it| it["nbf"] = json!(now + 10)),
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
async fn id_tokens_give_no_access() {
    let (api, _provider) = api_and_provider().await;
    for bad in [
        changed(|it| it["token_use"] = json!("id")),
        changed(|it| it["typ"] = json!("ID")),
        changed(|it| it["nonce"] = json!("n-0S6_WzA2Mj")),
        changed(|it| it["nonce"] = json!(null)),
        changed(|it| it["at_hash"] = json!("MTIzNDU2Nzg5MDEyMzQ1Ng")),
        changed(|it| it["c_hash"] = json!("MTIzNDU2Nzg5MDEyMzQ1Ng")),
        changed(|it| {
            it["typ"] = json!("Bearer");
            it["at_hash"] = json!("MTIzNDU2Nzg5MDEyMzQ1Ng");
        }),
    ] {
        assert_eq!(status(&api, &EC.sign(&bad)).await, 401, "{bad}");
    }
}

/// Some providers name the kind of token in its header (RFC 9068), and some put a nonce there.
#[tokio::test]
async fn token_headers_of_other_providers_are_accepted() {
    let (api, _provider) = api_and_provider().await;
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    for more in [
        json!({"typ": "at+jwt"}),
        json!({"typ": "JWT", "nonce": "n-0S6_WzA2Mj"}),
    ] {
        let mut head = json!({"alg": "ES256", "kid": EC.id});
        head.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let signed = format!("{}.{}", encode(&head), encode(&claims()));
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &EC.key, EC.algorithm);
        let token = format!("{signed}.{}", signature.unwrap());
        assert_eq!(status(&api, &token).await, 200, "{head}");
    }
}

#[tokio::test]
async fn expired_token_is_reported_as_expired() {
    let (api, _provider) = api_and_provider().await;
    let expired = EC.sign(&changed(|it| it["exp"] = json!(1)));
    let got = with(&api, &format!("Bearer {expired}")).await;
    assert_eq!(got.json()["detail"], "The access token has expired.");
}

#[tokio::test]
async fn missing_and_malformed_authorization_is_401() {
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
async fn tokens_with_another_algorithm_than_the_keys_are_refused() {
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
async fn tokens_not_signed_by_the_provider_are_refused() {
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
    // Another user's claims under a valid signature.
    let good = EC.sign(&claims());
    assert_eq!(status(&api, &good).await, 200);
    let mut parts: Vec<&str> = good.split('.').collect();
    let other = URL_SAFE_NO_PAD.encode(changed(|it| it["sub"] = json!("kong")).to_string());
    parts[1] = &other;
    assert_eq!(status(&api, &parts.join(".")).await, 401);
    // The same claims under another's signature, though the token was valid before.
    let forged_token = forged.sign(&claims());
    let mut parts: Vec<&str> = good.split('.').collect();
    parts[2] = forged_token.rsplit('.').next().unwrap();
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
async fn keys_for_other_uses_or_algorithms_are_ignored() {
    let mut encryption = EC.public();
    encryption["use"] = json!("enc");
    let mut other = RSA.public();
    other["alg"] = json!("RS384");
    let provider = Provider::start(&[encryption, other]).await;
    let api = api(&provider);
    assert_eq!(status(&api, &EC.sign(&claims())).await, 401);
    assert_eq!(status(&api, &RSA.sign(&claims())).await, 401);
}

async fn with_token(api: &Api, token: &str) -> Got {
    with(api, &format!("Bearer {token}")).await
}

/// Returns the seconds after which to try again.
#[track_caller]
fn retry_after(got: &Got) -> u64 {
    assert_eq!(got.status(), 503);
    got.header("retry-after").unwrap().parse().unwrap()
}

#[tokio::test]
async fn fetches_for_unknown_keys_are_limited() {
    let (api, provider) = api_and_provider().await;
    let known = EC.sign(&claims());
    assert_eq!(status(&api, &known).await, 200);
    let unknown = Pair::ec("unknown").sign(&claims());
    for _ in 0..20 {
        assert_eq!(status(&api, &unknown).await, 401);
    }
    assert_eq!(provider.calls(), 2);
    // Whether these tokens are valid is unknown for a while; the answers to the others stay the same.
    for n in 0..2000 {
        let id = Box::leak(format!("unknown-{n}").into_boxed_str());
        let other = Pair {
            id,
            algorithm: EC.algorithm,
            key: EC.key.clone(),
        };
        let got = with_token(&api, &other.sign(&claims())).await;
        assert!((1..=5).contains(&retry_after(&got)), "{got:?}");
    }
    assert_eq!(status(&api, &known).await, 200);
    assert_eq!(status(&api, &unknown).await, 401);
    assert_eq!(provider.calls(), 2);
}

#[tokio::test]
async fn unknown_key_is_503_until_the_next_fetch() {
    let provider = Provider::start(&[EC.public()]).await;
    let pace = Pace {
        unknown_key: Duration::from_secs(2),
        ..Pace::DEFAULT
    };
    let api = api_at(&provider, pace);
    assert_eq!(status(&api, &EC.sign(&claims())).await, 200);
    let [unknown, other] = ["unknown", "other"].map(|id| Pair::ec(id).sign(&claims()));
    assert_eq!(status(&api, &unknown).await, 401);
    // Rotated right after that.
    provider.answer(200, &[EC.public(), RSA.public()]);
    let rotated = RSA.sign(&claims());
    for token in [&rotated, &other] {
        let wait = retry_after(&with_token(&api, token).await);
        assert!((1..=2).contains(&wait), "{wait}");
    }
    for (token, in_the_end) in [(&rotated, 200), (&other, 401)] {
        loop {
            match status(&api, token).await {
                503 => tokio::time::sleep(Duration::from_millis(10)).await,
                status => break assert_eq!(status, in_the_end),
            }
        }
    }
    assert_eq!(provider.calls(), 3);
}

/// Fails if each request asks a provider that doesn't answer, or waits for it.
#[tokio::test]
async fn failing_provider_is_retried_at_intervals_while_its_keys_stay_valid() {
    for broken in [500, SILENT] {
        let provider = Provider::start(&[EC.public()]).await;
        let pace = Pace {
            max_age: Duration::ZERO,
            ..Pace::DEFAULT
        };
        let api = api_at(&provider, pace);
        let token = EC.sign(&claims());
        assert_eq!(status(&api, &token).await, 200);
        provider.answer(broken, &[]);
        let (calls, began) = (provider.calls(), Instant::now());
        let all = futures::future::join_all((0..100).map(|_| status(&api, &token))).await;
        assert_eq!(all, [200; 100]);
        for _ in 0..100 {
            assert_eq!(status(&api, &token).await, 200);
            tokio::task::yield_now().await;
        }
        let took = began.elapsed();
        // One fetch may have been running, and one begins each second.
        let most = 2 + usize::try_from(took.as_secs()).unwrap();
        assert!(
            provider.calls() - calls <= most,
            "{} calls",
            provider.calls() - calls
        );
        assert!(took < Duration::from_millis(1500), "{took:?}");
    }
}

#[tokio::test]
async fn wait_for_a_silent_provider_is_bounded() {
    let provider = Provider::start(&[]).await;
    provider.answer(SILENT, &[]);
    let (api, began) = (api(&provider), Instant::now());
    let token = EC.sign(&claims());
    let all = futures::future::join_all((0..20).map(|_| status(&api, &token))).await;
    assert_eq!(all, [503; 20]);
    // The first fetch and the requests' own, two seconds each.
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "{:?}",
        began.elapsed()
    );
    assert!(provider.calls() <= 3);
}

#[tokio::test]
async fn stale_keys_expire_while_the_provider_is_down() {
    let provider = Provider::start(&[EC.public()]).await;
    let pace = Pace {
        max_age: Duration::ZERO,
        max_stale: Duration::from_millis(200),
        ..Pace::DEFAULT
    };
    let api = api_at(&provider, pace);
    assert_eq!(status(&api, &EC.sign(&claims())).await, 200);
    provider.answer(500, &[]);
    while status(&api, &EC.sign(&claims())).await != 503 {
        tokio::task::yield_now().await;
    }
    provider.answer(200, &[EC.public()]);
    while status(&api, &EC.sign(&claims())).await != 200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn concurrent_requests_share_one_fetch() {
    let (api, provider) = api_and_provider().await;
    let token = EC.sign(&claims());
    let all = futures::future::join_all((0..20).map(|_| status(&api, &token))).await;
    assert_eq!(all, [200; 20]);
    assert_eq!(provider.calls(), 1);
}

#[tokio::test]
async fn new_key_is_fetched() {
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
async fn cached_keys_survive_an_outage_of_the_provider() {
    let provider = Provider::start(&[EC.public()]).await;
    let at_once = Pace {
        unknown_key: Duration::ZERO,
        failed: Duration::ZERO,
        max_age: Duration::ZERO,
        ..Pace::DEFAULT
    };
    let api = api_at(&provider, at_once);
    assert_eq!(status(&api, &EC.sign(&claims())).await, 200);
    provider.answer(500, &[]);
    // An unknown key may be a new one.
    assert_eq!(status(&api, &RSA.sign(&claims())).await, 503);
    assert_eq!(status(&api, &EC.sign(&claims())).await, 200);
}

#[tokio::test]
async fn withdrawn_key_is_dropped_by_a_later_fetch() {
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
async fn remembered_token_ends_when_it_expires() {
    let (api, _provider) = api_and_provider().await;
    // A token is valid until five seconds after its expiry.
    let expires = Timestamp::now().seconds();
    let token = EC.sign(&changed(|it| it["exp"] = json!(expires)));
    assert_eq!(status(&api, &token).await, 200);
    assert!(becomes(&api, &token, 401).await);
    assert!(Timestamp::now().seconds() >= expires + 5);
    let got = with(&api, &format!("Bearer {token}")).await;
    assert_eq!(got.json()["detail"], "The access token has expired.");
}

#[tokio::test]
async fn remembered_token_ends_with_its_key() {
    let other = Pair::ec(EC.id);
    for keys in [vec![RSA.public()], vec![RSA.public(), other.public()]] {
        let provider = Provider::start(&[RSA.public(), EC.public()]).await;
        let pace = Pace {
            unknown_key: Duration::ZERO,
            max_age: Duration::ZERO,
            ..Pace::DEFAULT
        };
        let api = api_at(&provider, pace);
        let token = EC.sign(&claims());
        assert_eq!(status(&api, &token).await, 200);
        provider.answer(200, &keys);
        assert!(becomes(&api, &token, 401).await);
    }
}

#[tokio::test]
async fn well_formed_token_is_503_while_no_keys_are_known() {
    let provider = Provider::start(&[]).await;
    provider.answer(500, &[]);
    let api = api(&provider);
    let got = with(&api, &format!("Bearer {}", EC.sign(&claims()))).await;
    assert_eq!((got.status(), got.header("retry-after")), (503, Some("2")));
    // A token that is invalid whatever the keys are is 401 all the same.
    assert_eq!(status(&api, "garbage").await, 401);
    assert_eq!(call("GET", "/v1/me").to(&api).await.status(), 401);
}
