//! `OpenID` Connect: discovery, Authorization Code with PKCE, refresh and logout, for one public client, whose id is the
//! audience. Errors are those of RFC 6749.

mod authorize;
mod discovery;
mod logout;
mod parameters;
mod refusal;
mod token;

use http::header::AUTHORIZATION;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use serde_json::json;

use super::provider::SignIn;
use crate::http_server::{Body, json as json_answer};

/// Returns whether a path below `/_local/` is one of the provider's endpoints.
pub(crate) fn serves(path: &str) -> bool {
    matches!(
        path,
        ".well-known/openid-configuration" | "oauth/authorize" | "oauth/token" | "oauth/logout"
    )
}

/// Answers a request to one of the endpoints.
pub(crate) async fn handle(
    provider: &SignIn,
    public_url: &str,
    request: Request<Incoming>,
    path: &str,
) -> Response<Body> {
    if provider.issuer != format!("{public_url}/_local") {
        let problem = "AuthIssuer names another provider than the stack's own: sign in there";
        let problem = json!({ "error": problem });
        return json_answer(StatusCode::NOT_FOUND, &problem);
    }
    let allowed: &[Method] = match path {
        "oauth/token" => &[Method::POST],
        "oauth/authorize" | "oauth/logout" => &[Method::GET, Method::POST],
        _ => &[Method::GET],
    };
    if !allowed.contains(request.method()) {
        return method_not_allowed(allowed);
    }
    if path == ".well-known/openid-configuration" {
        return discovery::document(provider);
    }
    let has_credentials = request.headers().contains_key(AUTHORIZATION);
    let submitted = request.method() == Method::POST;
    let parameters = parameters::read(request).await;
    match path {
        "oauth/token" => token::respond(provider, parameters, has_credentials),
        "oauth/logout" => logout::respond(provider, parameters),
        _ => authorize::respond(provider, parameters, submitted),
    }
}

fn method_not_allowed(allowed: &[Method]) -> Response<Body> {
    let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    let names = names.join(", ");
    let problem = json!({
        "error": "invalid_request",
        "error_description": format!("the method must be one of {names}"),
    });
    let mut response = json_answer(StatusCode::METHOD_NOT_ALLOWED, &problem);
    if let Ok(allow) = HeaderValue::from_str(&names) {
        response.headers_mut().insert(http::header::ALLOW, allow);
    }
    response
}
