//! Every way in which an `Authorization` header can be wrong.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::support::{User, World};

/// The names of faults, each with a header that has that fault.
type FaultyHeaders = Vec<(&'static str, String)>;

/// Returns all faulty headers, each otherwise like a good token of this user.
pub(crate) fn faulty_headers(world: &World, user: &User) -> FaultyHeaders {
    let mut wrong = headers(user.token.as_deref().unwrap());
    wrong.extend(bearer(claims(world, user)));
    wrong.extend(bearer(signatures(world, user)));
    wrong
}

/// Returns the present time in seconds since the epoch.
pub(crate) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    now.as_secs()
}

/// Returns the claims of a good token, with one of them changed or left out.
pub(crate) fn changed_claims(
    world: &World,
    user: &User,
    name: &str,
    value: Option<Value>,
) -> Value {
    let mut claims = world.sign_in().claims(&user.id);
    match value {
        Some(value) => claims[name] = value,
        None => drop(claims.as_object_mut().unwrap().remove(name)),
    }
    claims
}

fn bearer(tokens: FaultyHeaders) -> impl Iterator<Item = (&'static str, String)> {
    let with_scheme = |(why, token)| (why, format!("Bearer {token}"));
    tokens.into_iter().map(with_scheme)
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// Returns headers without a token, or with a good one in a wrong form.
fn headers(good: &str) -> FaultyHeaders {
    let basic = STANDARD.encode("nabi:secret");
    vec![
        ("nothing said", String::new()),
        ("a scheme alone", "Bearer".to_owned()),
        ("no token", "Bearer ".to_owned()),
        ("a token alone", good.to_owned()),
        ("another scheme", format!("Basic {basic}")),
        ("another scheme, a good token", format!("Token {good}")),
        ("garbage", "Bearer miaow".to_owned()),
        ("garbage in three parts", "Bearer a.b.c".to_owned()),
        ("two tokens", format!("Bearer {good} {good}")),
        ("a huge token", format!("Bearer {}", "a".repeat(9_000))),
    ]
}

/// Returns tokens with a valid signature and wrong claims.
fn claims(world: &World, user: &User) -> FaultyHeaders {
    let sign = |claims: &Value| world.sign_in().sign(claims).unwrap();
    let with = |name: &str, value: Value| sign(&changed_claims(world, user, name, Some(value)));
    let without = |name: &str| sign(&changed_claims(world, user, name, None));
    let issuer = world.sign_in().claims(&user.id)["iss"].clone();
    let almost = format!("{}/", issuer.as_str().unwrap());
    let evil = json!("https://evil.example");
    vec![
        ("expired long ago", with("exp", json!(now() - 3600))),
        ("expired five seconds ago", with("exp", json!(now() - 5))),
        ("no expiry", without("exp")),
        ("an expiry in words", with("exp", json!("tomorrow"))),
        ("not yet valid", with("nbf", json!(now() + 60))),
        ("another issuer", with("iss", evil)),
        ("almost the issuer", with("iss", json!(almost))),
        ("a list of issuers", with("iss", json!([issuer]))),
        ("no issuer", without("iss")),
        ("another audience", with("aud", json!("another-app"))),
        ("other audiences", with("aud", json!(["another", "third"]))),
        ("an empty list of audiences", with("aud", json!([]))),
        ("no audience", without("aud")),
        ("an ID token of Cognito's", with("token_use", json!("id"))),
        ("an ID token of Keycloak's", with("typ", json!("ID"))),
        ("an ID token with a nonce", with("nonce", json!("n-0S6"))),
        ("an ID token with a hash", with("at_hash", json!("MTIz"))),
        ("no subject", without("sub")),
        ("an empty subject", with("sub", json!(""))),
        ("too long a subject", with("sub", json!("n".repeat(41)))),
        ("a subject that is no id", with("sub", json!("na bi"))),
        ("the tables' own language", with("sub", json!("nabi#count"))),
        ("a subject in Korean", with("sub", json!("나비"))),
        ("a subject that is a number", with("sub", json!(7))),
    ]
}

/// Returns tokens with good claims and an invalid signature.
fn signatures(world: &World, user: &User) -> FaultyHeaders {
    let sign_in = world.sign_in();
    let good = user.token.clone().unwrap();
    let claims = sign_in.claims(&user.id);
    let header = serde_json::to_value(sign_in.header()).unwrap();
    let with_header = |header: &Value| sign_in.sign_with_header(header, &claims).unwrap();
    let with = |name: &str, value: Value| {
        let mut header = header.clone();
        header[name] = value;
        with_header(&header)
    };
    let mut unnamed = header.clone();
    unnamed.as_object_mut().unwrap().remove("kid");

    let parts: Vec<&str> = good.split('.').collect();
    let [head, body, signature] = parts.as_slice() else {
        panic!("a token of {} parts", parts.len())
    };
    let mut bits = URL_SAFE_NO_PAD.decode(signature).unwrap();
    bits[10] ^= 1;
    let flipped = URL_SAFE_NO_PAD.encode(bits);
    let short = &signature[..40];
    let somebody = encode(&sign_in.claims("somebody-else"));
    let none = encode(&json!({ "alg": "none", "typ": "JWT" }));
    let none_kid = encode(&json!({ "alg": "none", "typ": "JWT", "kid": header["kid"] }));
    let another_key = sign_in.sign_with_another_key(&claims).unwrap();
    let mut wrong = vec![
        ("two parts", format!("{head}.{body}")),
        ("four parts", format!("{good}.{signature}")),
        ("no signature", format!("{head}.{body}.")),
        ("algorithm none", format!("{none}.{body}.")),
        ("none and a key id", format!("{none_kid}.{body}.")),
        ("none, signed", format!("{none_kid}.{body}.{signature}")),
        ("a changed signature", format!("{head}.{body}.{flipped}")),
        ("a signature cut short", format!("{head}.{body}.{short}")),
        ("another body", format!("{head}.{somebody}.{signature}")),
        ("another key", another_key),
        ("an unknown key id", with("kid", json!("unknown"))),
        ("no key id", with_header(&unnamed)),
        ("another algorithm named", with("alg", json!("ES384"))),
        ("RSA named", with("alg", json!("RS256"))),
        ("an unknown extension", with("crit", json!(["b64"]))),
    ];
    let secrets = public_keys(world).into_iter();
    wrong.extend(
        secrets.map(|secret| ("the public key as a secret", hs256(world, &claims, &secret))),
    );
    wrong
}

fn hs256(world: &World, claims: &Value, secret: &[u8]) -> String {
    let mut header = Header::new(Algorithm::HS256);
    header.kid = world.sign_in().header().kid;
    jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(secret)).unwrap()
}

/// Returns the public key, which everybody knows, in its usual encodings.
fn public_keys(world: &World) -> [Vec<u8>; 5] {
    let jwks = world.sign_in().jwks();
    let jwk = &jwks["keys"][0];
    let coordinate = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
    let point = [vec![4], coordinate("x"), coordinate("y")].concat();
    // The fixed head of a P-256 key's SubjectPublicKeyInfo.
    let head = STANDARD.decode("MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE");
    let der = [head.unwrap(), point[1..].to_vec()].concat();
    let pem = format!(
        "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
        STANDARD.encode(&der)
    );
    let (jwk, jwks) = (jwk.to_string(), jwks.to_string());
    [
        jwk.into_bytes(),
        jwks.into_bytes(),
        point,
        der,
        pem.into_bytes(),
    ]
}
