//! The authorization endpoint: shows the sign-in form, and sends the user back to the client with a code.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Response;
use url::Url;

use super::parameters::{Parameters, redirect, redirect_target};
use super::refusal::Refusal;
use crate::http_server::Body;
use crate::sign_in::flow::{self, Grant};
use crate::sign_in::identity::Identity;
use crate::sign_in::page::{self, FormValues};
use crate::sign_in::provider::{SignIn, now};

/// The supported scopes. Others are ignored.
pub(super) const SCOPES: [&str; 4] = ["openid", "profile", "email", "offline_access"];
/// The visible fields of the sign-in form.
const FORM_FIELDS: [&str; 3] = ["user", "groups", "expires_in"];

/// A client's request to authorize a user.
#[derive(Debug)]
struct AuthorizationRequest {
    challenge: String,
    nonce: Option<String>,
    scope: String,
}

impl AuthorizationRequest {
    fn parse(parameters: &Parameters) -> Result<Self, Refusal> {
        for (name, error) in [
            ("request", "request_not_supported"),
            ("request_uri", "request_uri_not_supported"),
        ] {
            if parameters.get(name).is_some() {
                return Err(Refusal::new(error, format!("{name} is not supported")));
            }
        }
        if parameters.required("response_type")? != "code" {
            let problem = "response_type must be code";
            return Err(Refusal::new("unsupported_response_type", problem));
        }
        let response_mode = parameters.get("response_mode");
        if response_mode.is_some_and(|mode| mode != "query") {
            return Err(Refusal::invalid_request("response_mode must be query"));
        }
        // The default method is `plain`, so S256 must be named.
        if parameters.required("code_challenge_method")? != "S256" {
            let problem = "code_challenge_method must be S256";
            return Err(Refusal::invalid_request(problem));
        }
        let challenge = parameters.required("code_challenge")?;
        if URL_SAFE_NO_PAD.decode(challenge).map(|bytes| bytes.len()) != Ok(32) {
            let problem = "code_challenge must be the base64url of a SHA-256, 43 characters";
            return Err(Refusal::invalid_request(problem));
        }
        let prompt = parameters.get("prompt").unwrap_or_default();
        if prompt.split(' ').any(|prompt| prompt == "none") {
            let problem = "users don't stay signed in here, so the form must be shown";
            return Err(Refusal::new("login_required", problem));
        }
        let scopes = parameters.get("scope").unwrap_or_default().split(' ');
        let scopes: Vec<&str> = scopes.filter(|scope| SCOPES.contains(scope)).collect();
        Ok(Self {
            challenge: challenge.to_owned(),
            nonce: parameters.get("nonce").map(str::to_owned),
            scope: scopes.join(" "),
        })
    }
}

/// Shows the form or, if it has been submitted, issues a code.
pub(super) fn respond(
    provider: &SignIn,
    parameters: Result<Parameters, Refusal>,
    submitted: bool,
) -> Response<Body> {
    let (parameters, client_url) = match check_client(provider, parameters) {
        Ok(checked) => checked,
        Err(refusal) => return page::error(&refusal.description),
    };
    let (state, issuer) = (parameters.get("state"), Some(provider.issuer.as_str()));
    let request = match AuthorizationRequest::parse(&parameters) {
        Ok(request) => request,
        Err(Refusal { error, description }) => {
            let problem = [
                ("error", Some(error)),
                ("error_description", Some(description.as_str())),
                ("state", state),
                ("iss", issuer),
            ];
            return redirect(client_url, &problem);
        }
    };
    if !submitted {
        return form(&parameters, None);
    }
    let [user, groups, expires_in] = form_values(&parameters);
    let identity = match Identity::parse(user, groups, expires_in) {
        Ok(identity) => identity,
        Err(problem) => return form(&parameters, Some(&problem)),
    };
    let redirect_uri = parameters.get("redirect_uri").unwrap_or_default();
    let grant = Grant {
        identity,
        redirect_uri: redirect_uri.to_owned(),
        challenge: request.challenge,
        nonce: request.nonce,
        scope: request.scope,
        signed_in_at: now(),
        session: flow::secret(),
    };
    let code = provider.flow.issue_code(grant, Instant::now());
    let answer = [
        ("code", Some(code.as_str())),
        ("state", state),
        ("iss", issuer),
    ];
    redirect(client_url, &answer)
}

/// Checks the client and its URL. Users are redirected only if both are valid, because the URL may be an attacker's.
fn check_client(
    provider: &SignIn,
    parameters: Result<Parameters, Refusal>,
) -> Result<(Parameters, Url), Refusal> {
    let parameters = parameters?;
    parameters.check_client(provider)?;
    let url = redirect_target("redirect_uri", parameters.required("redirect_uri")?)?;
    Ok((parameters, url))
}

fn form_values(parameters: &Parameters) -> [&str; 3] {
    FORM_FIELDS.map(|name| parameters.get(name).unwrap_or_default())
}

/// Returns the form, with the client's parameters as hidden fields.
fn form(parameters: &Parameters, error: Option<&str>) -> Response<Body> {
    let [user, groups, expires_in] = form_values(parameters);
    let hidden = parameters
        .iter()
        .filter(|(name, _)| !FORM_FIELDS.contains(name));
    let hint = parameters.get("login_hint").filter(|_| error.is_none());
    let values = FormValues {
        user: if user.is_empty() {
            hint.unwrap_or_default()
        } else {
            user
        },
        groups,
        expires_in,
        error,
    };
    page::sign_in(hidden, &values)
}
