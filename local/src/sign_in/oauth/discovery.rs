//! The discovery document.

use http::{Response, StatusCode};
use serde_json::json;

use super::authorize::SCOPES;
use crate::http_server::{Body, json as json_answer};
use crate::sign_in::provider::{GROUPS_CLAIM, SignIn};

/// Returns the provider's metadata, `/.well-known/openid-configuration`.
pub(super) fn document(provider: &SignIn) -> Response<Body> {
    let issuer = &provider.issuer;
    let document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/oauth/authorize"),
        "token_endpoint": format!("{issuer}/oauth/token"),
        "end_session_endpoint": format!("{issuer}/oauth/logout"),
        "jwks_uri": format!("{issuer}/jwks.json"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none"],
        "scopes_supported": SCOPES,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "claims_supported": [
            "iss", "aud", "sub", "iat", "exp", "auth_time", "nonce", "at_hash", "sid",
            "preferred_username", GROUPS_CLAIM,
        ],
        "authorization_response_iss_parameter_supported": true,
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
    });
    json_answer(StatusCode::OK, &document)
}
