//! The logout endpoint: ends a session and sends the user back to the client.

use http::Response;
use serde::Deserialize;

use super::parameters::{Parameters, redirect, redirect_target};
use super::refusal::Refusal;
use crate::http_server::Body;
use crate::sign_in::page;
use crate::sign_in::provider::SignIn;

/// The claim of an ID token that names its session.
#[derive(Debug, Clone, Deserialize)]
struct IdTokenHint {
    sid: String,
}

/// Ends the session of the given ID token, and redirects the user if the client names a URL.
pub(super) fn respond(
    provider: &SignIn,
    parameters: Result<Parameters, Refusal>,
) -> Response<Body> {
    parameters
        .and_then(|parameters| log_out(provider, &parameters))
        .unwrap_or_else(|refusal| page::error(&refusal.description))
}

fn log_out(provider: &SignIn, parameters: &Parameters) -> Result<Response<Body>, Refusal> {
    let hint: Option<IdTokenHint> = match parameters.get("id_token_hint") {
        None => None,
        Some(token) => {
            let problem = "id_token_hint must be an ID token of this provider";
            let hint = provider.verify(token, &provider.audience, true);
            Some(hint.ok_or_else(|| Refusal::invalid_request(problem))?)
        }
    };
    let name = "post_logout_redirect_uri";
    let client_url = match parameters.get(name) {
        None => None,
        Some(url) => {
            // An ID token proves that the client is the provider's own.
            if hint.is_none() {
                parameters.check_client(provider)?;
            }
            Some(redirect_target(name, url)?)
        }
    };
    if let Some(hint) = hint {
        provider.flow.end(&hint.sid);
    }
    Ok(match client_url {
        Some(url) => redirect(url, &[("state", parameters.get("state"))]),
        None => page::signed_out(),
    })
}
