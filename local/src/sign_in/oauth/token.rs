//! The token endpoint: redeems codes and refresh tokens.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{CACHE_CONTROL, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::parameters::Parameters;
use super::refusal::Refusal;
use crate::http_server::{Body, json as json_answer};
use crate::sign_in::flow;
use crate::sign_in::identity::Identity;
use crate::sign_in::provider::{SignIn, now};

/// The lifetime of a refresh token.
const REFRESH_LIFETIME: Duration = Duration::from_hours(30 * 24);

/// A session for which tokens are issued.
struct Session {
    id: String,
    scope: String,
    signed_in_at: u64,
    identity: Identity,
}

/// The claims of a refresh token.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct RefreshClaims {
    iss: String,
    aud: String,
    exp: u64,
    jti: String,
    sid: String,
    scope: String,
    auth_time: u64,
    identity: Identity,
}

/// Answers a request for tokens. Refuses requests with credentials, because the client has no secret.
pub(super) fn respond(
    provider: &SignIn,
    parameters: Result<Parameters, Refusal>,
    has_credentials: bool,
) -> Response<Body> {
    let tokens = parameters.and_then(|parameters| {
        if has_credentials {
            let problem = "the client has no secret: send client_id in the body";
            return Err(Refusal::new("invalid_client", problem));
        }
        parameters.check_client(provider)?;
        match parameters.required("grant_type")? {
            "authorization_code" => redeem_code(provider, &parameters),
            "refresh_token" => refresh(provider, &parameters),
            _ => {
                let problem = "grant_type must be authorization_code or refresh_token";
                Err(Refusal::new("unsupported_grant_type", problem))
            }
        }
    });
    let mut response = match tokens {
        Ok(tokens) => json_answer(StatusCode::OK, &tokens),
        Err(refusal) => refuse(&refusal, has_credentials),
    };
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    response
}

fn refuse(refusal: &Refusal, has_credentials: bool) -> Response<Body> {
    let Refusal { error, description } = refusal;
    let unauthorized = has_credentials && *error == "invalid_client";
    let status = if unauthorized {
        StatusCode::UNAUTHORIZED
    } else {
        StatusCode::BAD_REQUEST
    };
    let problem = json!({ "error": error, "error_description": description });
    let mut response = json_answer(status, &problem);
    if unauthorized {
        let scheme = HeaderValue::from_static("Basic");
        response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
    }
    response
}

fn redeem_code(provider: &SignIn, parameters: &Parameters) -> Result<Value, Refusal> {
    let code = parameters.required("code")?;
    let redirect_uri = parameters.required("redirect_uri")?;
    let verifier = parameters.required("code_verifier")?;
    let now = Instant::now();
    let grant = provider
        .flow
        .redeem(code, redirect_uri, verifier, now)
        .map_err(|problem| Refusal::new("invalid_grant", problem))?;
    let jti = provider.flow.rotate(&grant.session, None, now);
    let jti = jti.ok_or_else(|| Refusal::new("invalid_grant", "the session has ended"))?;
    let session = Session {
        id: grant.session,
        scope: grant.scope,
        signed_in_at: grant.signed_in_at,
        identity: grant.identity,
    };
    let scope = session.scope.clone();
    issue(provider, session, jti, &scope, grant.nonce.as_deref())
}

fn refresh(provider: &SignIn, parameters: &Parameters) -> Result<Value, Refusal> {
    let token = parameters.required("refresh_token")?;
    let invalid = || {
        let problem =
            "the refresh token was not issued by this provider, has expired, or has been used";
        Refusal::new("invalid_grant", problem)
    };
    let current: RefreshClaims = provider
        .verify(token, &refresh_audience(provider), false)
        .ok_or_else(invalid)?;
    // A refresh may narrow the scope but not widen it.
    let scope = match parameters.get("scope") {
        None => current.scope.clone(),
        Some(scope) => {
            let granted: Vec<&str> = current.scope.split(' ').collect();
            if !scope.split(' ').all(|scope| granted.contains(&scope)) {
                let problem = "scope asks for more than was granted";
                return Err(Refusal::new("invalid_scope", problem));
            }
            scope.to_owned()
        }
    };
    let jti = provider
        .flow
        .rotate(&current.sid, Some(&current.jti), Instant::now())
        .ok_or_else(invalid)?;
    let session = Session {
        id: current.sid,
        scope: current.scope,
        signed_in_at: current.auth_time,
        identity: current.identity,
    };
    issue(provider, session, jti, &scope, None)
}

/// Returns the audience of refresh tokens, chosen so that only the token endpoint accepts them.
fn refresh_audience(provider: &SignIn) -> String {
    format!("{}/oauth/token", provider.issuer)
}

/// Issues an access token, an ID token if the scope has `openid`, and a refresh token with the id `jti`.
fn issue(
    provider: &SignIn,
    session: Session,
    jti: String,
    scope: &str,
    nonce: Option<&str>,
) -> Result<Value, Refusal> {
    let sign = |claims: &Value| {
        let signed = provider.sign(claims);
        signed.map_err(|error| Refusal::new("server_error", error.to_string()))
    };
    let mut access = provider.access_claims(&session.identity);
    set(&mut access, "client_id", json!(provider.audience));
    set(&mut access, "scope", json!(scope));
    set(&mut access, "jti", json!(flow::secret()));
    let access_token = sign(&access)?;
    let mut tokens = json!({
        "access_token": access_token,
        "token_type": "Bearer",
        "expires_in": session.identity.lifetime,
        "scope": scope,
    });
    if scope.split(' ').any(|scope| scope == "openid") {
        let id_token = id_claims(provider, &session, &access_token, nonce);
        set(&mut tokens, "id_token", json!(sign(&id_token)?));
    }
    let refresh = RefreshClaims {
        iss: provider.issuer.clone(),
        aud: refresh_audience(provider),
        exp: now().saturating_add(REFRESH_LIFETIME.as_secs()),
        jti,
        sid: session.id,
        scope: session.scope,
        auth_time: session.signed_in_at,
        identity: session.identity,
    };
    let refresh = serde_json::to_value(refresh).unwrap_or_default();
    set(&mut tokens, "refresh_token", json!(sign(&refresh)?));
    Ok(tokens)
}

/// Returns the claims of the ID token that is issued with an access token.
fn id_claims(
    provider: &SignIn,
    session: &Session,
    access_token: &str,
    nonce: Option<&str>,
) -> Value {
    let hash = Sha256::digest(access_token);
    let half = hash.get(..16).unwrap_or_default();
    let mut id = provider.access_claims(&session.identity);
    // Cognito marks ID tokens with `token_use`, Keycloak with `typ`.
    set(&mut id, "token_use", json!("id"));
    set(&mut id, "typ", json!("ID"));
    set(&mut id, "auth_time", json!(session.signed_in_at));
    set(&mut id, "at_hash", json!(URL_SAFE_NO_PAD.encode(half)));
    set(&mut id, "sid", json!(session.id));
    set(&mut id, "preferred_username", json!(session.identity.user));
    if let Some(nonce) = nonce {
        set(&mut id, "nonce", json!(nonce));
    }
    id
}

fn set(claims: &mut Value, name: &str, value: Value) {
    if let Value::Object(claims) = claims {
        claims.insert(name.to_owned(), value);
    }
}
