//! Sign-in for real: `OpenID` Connect's discovery, Authorization Code with PKCE, refresh and logout, for one public
//! client, whose id is the audience. Errors are those of RFC 6749.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, LOCATION, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use url::Url;

use super::flow::{self, Grant};
use super::page::{self, Typed};
use super::{Identity, SignIn, now};
use crate::http_server::{Body, full, json as json_answer};

/// The largest form.
const MAX_FORM: usize = 64 * 1024;
/// The lifetime of a refresh token.
const REFRESH_LIFETIME: Duration = Duration::from_hours(30 * 24);
/// Scopes that mean something here; others are passed over.
const SCOPES: [&str; 4] = ["openid", "profile", "email", "offline_access"];
/// The fields of the sign-in form besides the request's own parameters.
const TYPED: [&str; 3] = ["user", "groups", "expires_in"];

/// A refusal in RFC 6749's words.
#[derive(Debug, PartialEq, Eq)]
struct Refused {
    error: &'static str,
    description: String,
}

fn refused(error: &'static str, description: impl Into<String>) -> Refused {
    Refused {
        error,
        description: description.into(),
    }
}

/// Parameters by their names, each there once.
#[derive(Debug, Default)]
struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Empty ones are taken as left out, as RFC 6749 says.
    fn parse(form: &[u8]) -> Result<Self, Refused> {
        let mut parameters = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(form) {
            if value.is_empty() {
                continue;
            }
            if parameters
                .insert(name.to_string(), value.into_owned())
                .is_some()
            {
                let problem = format!("{name} is there twice");
                return Err(refused("invalid_request", problem));
            }
        }
        Ok(Self(parameters))
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn required(&self, name: &str) -> Result<&str, Refused> {
        self.get(name)
            .ok_or_else(|| refused("invalid_request", format!("{name} is missing")))
    }
}

/// The claims of a refresh token.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Refresh {
    iss: String,
    aud: String,
    exp: u64,
    jti: String,
    sid: String,
    scope: String,
    auth_time: u64,
    identity: Identity,
}

/// The claims of an ID token that ends a session.
#[derive(Debug, Clone, Deserialize)]
struct Hint {
    sid: String,
}

/// Whether a path below `/_local/` is one of the provider's pages and endpoints.
pub(crate) fn serves(path: &str) -> bool {
    matches!(
        path,
        ".well-known/openid-configuration" | "oauth/authorize" | "oauth/token" | "oauth/logout"
    )
}

/// Answers a request for one of them.
pub(crate) async fn handle(
    provider: &SignIn,
    public: &str,
    request: Request<Incoming>,
    path: &str,
) -> Response<Body> {
    let own = provider.issuer == format!("{public}/_local");
    if !own {
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
        return other_method(allowed);
    }
    if path == ".well-known/openid-configuration" {
        return provider.discovery();
    }
    let basic = request.headers().contains_key(AUTHORIZATION);
    let submitted = request.method() == Method::POST;
    let parameters = parameters(request).await;
    match path {
        "oauth/token" => provider.tokens(parameters, basic),
        "oauth/logout" => provider.log_out(parameters),
        _ => provider.authorize(parameters, submitted),
    }
}

fn other_method(allowed: &[Method]) -> Response<Body> {
    let names: Vec<&str> = allowed.iter().map(Method::as_str).collect();
    let names = names.join(", ");
    let problem =
        json!({ "error": "invalid_request", "error_description": format!("this takes {names}") });
    let mut response = json_answer(StatusCode::METHOD_NOT_ALLOWED, &problem);
    if let Ok(allow) = HeaderValue::from_str(&names) {
        response.headers_mut().insert(http::header::ALLOW, allow);
    }
    response
}

/// Those of the form that a POST sends, else those of the address.
async fn parameters(request: Request<Incoming>) -> Result<Parameters, Refused> {
    if request.method() != Method::POST {
        return Parameters::parse(request.uri().query().unwrap_or_default().as_bytes());
    }
    let kind = request.headers().get(CONTENT_TYPE);
    let form = "application/x-www-form-urlencoded";
    if !kind.is_some_and(|kind| kind.as_bytes().starts_with(form.as_bytes())) {
        return Err(refused(
            "invalid_request",
            format!("the body must be {form}"),
        ));
    }
    let body = Limited::new(request.into_body(), MAX_FORM).collect().await;
    let body =
        body.map_err(|_| refused("invalid_request", "the body is too large, or broke off"))?;
    Parameters::parse(&body.to_bytes())
}

/// An address to send somebody back to.
fn address(text: &str) -> Option<Url> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.fragment().is_none())
}

fn see(mut url: Url, parameters: &[(&str, Option<&str>)]) -> Response<Body> {
    let given = parameters.iter();
    let given: Vec<_> = given
        .filter_map(|(name, value)| Some((*name, (*value)?)))
        .collect();
    if !given.is_empty() {
        url.query_pairs_mut().extend_pairs(given);
    }
    let mut response = Response::new(full(""));
    *response.status_mut() = StatusCode::SEE_OTHER;
    if let Ok(location) = HeaderValue::from_str(url.as_str()) {
        response.headers_mut().insert(LOCATION, location);
    }
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    response
}

/// The request of a page that sends somebody to sign in.
#[derive(Debug)]
struct Wanted {
    challenge: String,
    nonce: Option<String>,
    scope: String,
}

impl Wanted {
    fn parse(parameters: &Parameters) -> Result<Self, Refused> {
        for (name, error) in [
            ("request", "request_not_supported"),
            ("request_uri", "request_uri_not_supported"),
        ] {
            if parameters.get(name).is_some() {
                return Err(refused(error, format!("{name} is not supported")));
            }
        }
        if parameters.required("response_type")? != "code" {
            return Err(refused(
                "unsupported_response_type",
                "response_type must be code",
            ));
        }
        if parameters
            .get("response_mode")
            .is_some_and(|mode| mode != "query")
        {
            return Err(refused("invalid_request", "response_mode must be query"));
        }
        // Without a method it would be the plain one.
        if parameters.required("code_challenge_method")? != "S256" {
            return Err(refused(
                "invalid_request",
                "code_challenge_method must be S256",
            ));
        }
        let challenge = parameters.required("code_challenge")?;
        if URL_SAFE_NO_PAD.decode(challenge).map(|bytes| bytes.len()) != Ok(32) {
            let problem = "code_challenge must be the base64url of a SHA-256, 43 characters";
            return Err(refused("invalid_request", problem));
        }
        if parameters
            .get("prompt")
            .is_some_and(|it| it.split(' ').any(|it| it == "none"))
        {
            return Err(refused(
                "login_required",
                "nobody stays signed in here: show the page",
            ));
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

impl SignIn {
    fn discovery(&self) -> Response<Body> {
        let issuer = &self.issuer;
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
                "preferred_username", super::GROUPS,
            ],
            "authorization_response_iss_parameter_supported": true,
            "request_parameter_supported": false,
            "request_uri_parameter_supported": false,
        });
        json_answer(StatusCode::OK, &document)
    }

    fn check_client(&self, parameters: &Parameters) -> Result<(), Refused> {
        let client = parameters.required("client_id")?;
        if client == self.audience {
            return Ok(());
        }
        let problem = format!("client_id must be {}", self.audience);
        Err(refused("invalid_client", problem))
    }

    /// Shows the page, or sends back whoever has filled it in.
    fn authorize(
        &self,
        parameters: Result<Parameters, Refused>,
        submitted: bool,
    ) -> Response<Body> {
        // Nobody is sent to an address that may not be the client's.
        let known = parameters.and_then(|parameters| {
            self.check_client(&parameters)?;
            let text = parameters.required("redirect_uri")?;
            let problem = "redirect_uri must be a whole http or https address without #";
            let back = address(text).ok_or_else(|| refused("invalid_request", problem))?;
            Ok((parameters, back))
        });
        let (parameters, back) = match known {
            Ok(known) => known,
            Err(problem) => return page::refused(&problem.description),
        };
        let (state, iss) = (parameters.get("state"), Some(self.issuer.as_str()));
        let wanted = match Wanted::parse(&parameters) {
            Ok(wanted) => wanted,
            Err(Refused { error, description }) => {
                let problem = [
                    ("error", Some(error)),
                    ("error_description", Some(description.as_str())),
                    ("state", state),
                    ("iss", iss),
                ];
                return see(back, &problem);
            }
        };
        let [user, groups, expires_in] = TYPED.map(|name| parameters.get(name).unwrap_or_default());
        let form = |user: &str, wrong: Option<&str>| {
            let all = parameters.0.iter();
            let hidden = all
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .filter(|(name, _)| !TYPED.contains(name));
            let typed = Typed {
                user,
                groups,
                expires_in,
                wrong,
            };
            page::sign_in(hidden, &typed)
        };
        if !submitted {
            let hint = parameters.get("login_hint").unwrap_or_default();
            return form(if user.is_empty() { hint } else { user }, None);
        }
        let identity = match Identity::parse(user, groups, expires_in) {
            Ok(identity) => identity,
            Err(wrong) => return form(user, Some(&wrong)),
        };
        let grant = Grant {
            identity,
            redirect_uri: parameters
                .get("redirect_uri")
                .unwrap_or_default()
                .to_owned(),
            challenge: wanted.challenge,
            nonce: wanted.nonce,
            scope: wanted.scope,
            signed_in_at: now(),
            session: flow::secret(),
        };
        let code = self.flow.code(grant, Instant::now());
        see(
            back,
            &[("code", Some(&code)), ("state", state), ("iss", iss)],
        )
    }

    /// The token endpoint.
    fn tokens(&self, parameters: Result<Parameters, Refused>, basic: bool) -> Response<Body> {
        let tokens = parameters.and_then(|parameters| {
            if basic {
                let problem = "the client has no secret: send client_id in the body";
                return Err(refused("invalid_client", problem));
            }
            self.check_client(&parameters)?;
            match parameters.required("grant_type")? {
                "authorization_code" => self.first_tokens(&parameters),
                "refresh_token" => self.next_tokens(&parameters),
                _ => {
                    let problem = "grant_type must be authorization_code or refresh_token";
                    Err(refused("unsupported_grant_type", problem))
                }
            }
        });
        let mut response = match tokens {
            Ok(tokens) => json_answer(StatusCode::OK, &tokens),
            Err(Refused { error, description }) => {
                let unknown = basic && error == "invalid_client";
                let status = if unknown {
                    StatusCode::UNAUTHORIZED
                } else {
                    StatusCode::BAD_REQUEST
                };
                let problem = json!({ "error": error, "error_description": description });
                let mut response = json_answer(status, &problem);
                if unknown {
                    let scheme = HeaderValue::from_static("Basic");
                    response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
                }
                response
            }
        };
        let no_store = HeaderValue::from_static("no-store");
        response.headers_mut().insert(CACHE_CONTROL, no_store);
        response
    }

    fn first_tokens(&self, parameters: &Parameters) -> Result<Value, Refused> {
        let code = parameters.required("code")?;
        let redirect_uri = parameters.required("redirect_uri")?;
        let verifier = parameters.required("code_verifier")?;
        let now = Instant::now();
        let grant = self
            .flow
            .redeem(code, redirect_uri, verifier, now)
            .map_err(|problem| refused("invalid_grant", problem))?;
        let jti = self.flow.next(&grant.session, None, now);
        let jti = jti.ok_or_else(|| refused("invalid_grant", "the session has ended"))?;
        let refresh = self.refresh(
            jti,
            grant.session,
            grant.scope,
            grant.signed_in_at,
            grant.identity,
        );
        let scope = refresh.scope.clone();
        self.issue(refresh, &scope, grant.nonce.as_deref())
    }

    fn next_tokens(&self, parameters: &Parameters) -> Result<Value, Refused> {
        let token = parameters.required("refresh_token")?;
        let invalid = || {
            let problem =
                "the refresh token is none of this provider's, has expired, or was used before";
            refused("invalid_grant", problem)
        };
        let old: Refresh = self
            .verified(token, &self.refresh_audience(), false)
            .ok_or_else(invalid)?;
        // Fewer scopes may be asked for, not others.
        let scope = match parameters.get("scope") {
            None => old.scope.clone(),
            Some(scope) => {
                let had: Vec<&str> = old.scope.split(' ').collect();
                if !scope.split(' ').all(|scope| had.contains(&scope)) {
                    let problem = "scope asks for more than was granted";
                    return Err(refused("invalid_scope", problem));
                }
                scope.to_owned()
            }
        };
        let jti = self.flow.next(&old.sid, Some(&old.jti), Instant::now());
        let jti = jti.ok_or_else(invalid)?;
        let refresh = self.refresh(jti, old.sid, old.scope, old.auth_time, old.identity);
        self.issue(refresh, &scope, None)
    }

    /// Nobody but the token endpoint takes refresh tokens.
    fn refresh_audience(&self) -> String {
        format!("{}/oauth/token", self.issuer)
    }

    fn refresh(
        &self,
        jti: String,
        sid: String,
        scope: String,
        auth_time: u64,
        identity: Identity,
    ) -> Refresh {
        Refresh {
            iss: self.issuer.clone(),
            aud: self.refresh_audience(),
            exp: now().saturating_add(REFRESH_LIFETIME.as_secs()),
            jti,
            sid,
            scope,
            auth_time,
            identity,
        }
    }

    /// The tokens of a session: to call with, to tell who it is, and to get the next ones.
    fn issue(&self, refresh: Refresh, scope: &str, nonce: Option<&str>) -> Result<Value, Refused> {
        let signed = |claims: &Value| {
            self.sign(claims)
                .map_err(|error| refused("server_error", error.to_string()))
        };
        let mut access = self.access(&refresh.identity);
        set(&mut access, "client_id", json!(self.audience));
        set(&mut access, "scope", json!(scope));
        set(&mut access, "jti", json!(flow::secret()));
        let access = signed(&access)?;
        let mut tokens = json!({
            "access_token": access,
            "token_type": "Bearer",
            "expires_in": refresh.identity.lifetime,
            "scope": scope,
        });
        if scope.split(' ').any(|scope| scope == "openid") {
            let hash = Sha256::digest(&access);
            let half = hash.get(..16).unwrap_or_default();
            let mut id = self.access(&refresh.identity);
            // Cognito and Keycloak each have their way to tell an ID token from an access token.
            set(&mut id, "token_use", json!("id"));
            set(&mut id, "typ", json!("ID"));
            set(&mut id, "auth_time", json!(refresh.auth_time));
            set(&mut id, "at_hash", json!(URL_SAFE_NO_PAD.encode(half)));
            set(&mut id, "sid", json!(refresh.sid));
            set(&mut id, "preferred_username", json!(refresh.identity.user));
            if let Some(nonce) = nonce {
                set(&mut id, "nonce", json!(nonce));
            }
            set(&mut tokens, "id_token", json!(signed(&id)?));
        }
        let refresh = serde_json::to_value(refresh).unwrap_or_default();
        set(&mut tokens, "refresh_token", json!(signed(&refresh)?));
        Ok(tokens)
    }

    /// Ends the session of the ID token, and sends the user back where the client says.
    fn log_out(&self, parameters: Result<Parameters, Refused>) -> Response<Body> {
        let done = parameters.and_then(|parameters| {
            let hint = parameters.get("id_token_hint");
            let hint: Option<Hint> = match hint {
                None => None,
                Some(token) => {
                    let problem = "id_token_hint is no ID token of this provider's";
                    let hint = self.verified(token, &self.audience, true);
                    Some(hint.ok_or_else(|| refused("invalid_request", problem))?)
                }
            };
            let back = match parameters.get("post_logout_redirect_uri") {
                None => None,
                Some(text) => {
                    if hint.is_none() {
                        self.check_client(&parameters)?;
                    }
                    let problem =
                        "post_logout_redirect_uri must be a whole http or https address without #";
                    Some(address(text).ok_or_else(|| refused("invalid_request", problem))?)
                }
            };
            if let Some(hint) = hint {
                self.flow.end(&hint.sid);
            }
            Ok(match back {
                Some(back) => see(back, &[("state", parameters.get("state"))]),
                None => page::signed_out(),
            })
        });
        done.unwrap_or_else(|problem| page::refused(&problem.description))
    }
}

fn set(claims: &mut Value, name: &str, value: Value) {
    if let Value::Object(claims) = claims {
        claims.insert(name.to_owned(), value);
    }
}
