//! The routes that only the local stack has: `/_local/…` and `/media/…`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_REQUEST_HEADERS,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use serde_json::json;

use super::problem;
use crate::http_server::{Body, Closed, full, json as json_answer};
use crate::lambda::Lambda;
use crate::monitor::Monitor;
use crate::services::{BucketService, media};
use crate::sign_in::{Identity, SignIn, oauth};
use crate::template::Distribution;

/// The default timeout of `POST /_local/drain`.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

/// The parts of the stack that the local routes use.
#[derive(Debug)]
pub(crate) struct LocalRoutes {
    pub(crate) public_url: String,
    pub(crate) lambda: Arc<Lambda>,
    pub(crate) sign_in: Arc<SignIn>,
    pub(crate) monitor: Arc<Monitor>,
    /// The bucket of pictures and the content delivery network in front of it, if the template has them.
    pub(crate) media: Option<(BucketService, Distribution)>,
}

impl LocalRoutes {
    /// Answers `/_local/<path>`. Web pages of any origin may read the answers, except the sign-in and logout pages.
    pub(super) async fn handle(&self, request: Request<Incoming>, path: &str) -> Response<Body> {
        if request.method() == Method::OPTIONS {
            return preflight(request.headers());
        }
        let mut response = if oauth::serves(path) {
            oauth::handle(&self.sign_in, &self.public_url, request, path).await
        } else {
            self.route(&request, path).await
        };
        if !matches!(path, "oauth/authorize" | "oauth/logout") {
            allow_any_origin(response.headers_mut());
        }
        response
    }

    async fn route(&self, request: &Request<Incoming>, path: &str) -> Response<Body> {
        match (request.method(), path.split_once('/').unwrap_or((path, ""))) {
            (&Method::GET, ("token", user)) => {
                self.token(user, request.uri().query().unwrap_or_default())
            }
            (&Method::GET, ("jwks.json", "") | (".well-known", "jwks.json")) => {
                json_answer(StatusCode::OK, self.sign_in.jwks())
            }
            (&Method::GET, ("status", "")) => {
                let status = serde_json::to_value(self.monitor.status().await).unwrap_or_default();
                json_answer(StatusCode::OK, &status)
            }
            (&Method::GET, ("environment", "")) => {
                let functions = self.lambda.functions();
                let environments: BTreeMap<_, _> = functions
                    .map(|function| (&function.spec.name, function.environment()))
                    .collect();
                json_answer(StatusCode::OK, &json!(environments))
            }
            (&Method::POST, ("drain", "")) => self.drain(request.uri()).await,
            (method, (route, _)) => match method_of(route) {
                Some(allow) if method != allow => problem::method_not_allowed(allow),
                _ => error(StatusCode::NOT_FOUND, "there is no such local route"),
            },
        }
    }

    /// Answers `GET /_local/token/<user>?expires_in=60&groups=moderators`.
    fn token(&self, user: &str, query: &str) -> Response<Body> {
        let (mut groups, mut lifetime) = (String::new(), String::new());
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "groups" => groups = value.into_owned(),
                "expires_in" => lifetime = value.into_owned(),
                _ => {
                    let problem =
                        "the parameters are expires_in=<seconds> and groups=<name>,<name>";
                    return error(StatusCode::BAD_REQUEST, problem);
                }
            }
        }
        let identity = match Identity::parse(user, &groups, &lifetime) {
            Ok(identity) => identity,
            Err(problem) => return error(StatusCode::BAD_REQUEST, &problem),
        };
        match self.sign_in.access_token(&identity) {
            Ok(token) => json_answer(
                StatusCode::OK,
                &json!({ "access_token": token, "token_type": "Bearer", "expires_in": identity.lifetime }),
            ),
            Err(problem) => error(StatusCode::INTERNAL_SERVER_ERROR, &problem.to_string()),
        }
    }

    async fn drain(&self, uri: &Uri) -> Response<Body> {
        let mut timeout = DRAIN_TIMEOUT;
        let query = uri.query().unwrap_or_default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            let seconds = value.parse().ok();
            let duration = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            let ("timeout", Some(duration)) = (name.as_ref(), duration) else {
                let problem = "the only parameter is timeout=<seconds>";
                return error(StatusCode::BAD_REQUEST, problem);
            };
            timeout = duration;
        }
        if self.monitor.drain(timeout).await {
            json_answer(StatusCode::OK, &json!({ "drained": true }))
        } else {
            json_answer(StatusCode::GATEWAY_TIMEOUT, &json!({ "drained": false }))
        }
    }

    /// Answers `/media/<key>` from the bucket, as the content delivery network does.
    pub(super) async fn media(&self, request: Request<Incoming>) -> Result<Response<Body>, Closed> {
        let (request, _) = request.into_parts();
        match &self.media {
            Some((bucket, distribution)) => media::serve(bucket, distribution, &request).await,
            None => Ok(error(
                StatusCode::NOT_FOUND,
                "the template has no distribution of a bucket",
            )),
        }
    }
}

fn error(status: StatusCode, problem: &str) -> Response<Body> {
    json_answer(status, &json!({ "error": problem }))
}

fn allow_any_origin(headers: &mut HeaderMap) {
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
}

/// Answers a preflight, allowing all headers that it asks for.
fn preflight(requested: &HeaderMap) -> Response<Body> {
    let mut response = Response::new(full(""));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    allow_any_origin(headers);
    let methods = HeaderValue::from_static("GET, POST");
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
    if let Some(names) = requested.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    response
}

/// Returns the method that a local route supports.
fn method_of(route: &str) -> Option<&'static str> {
    match route {
        "token" | "jwks.json" | "status" | "environment" => Some("GET"),
        "drain" => Some("POST"),
        _ => None,
    }
}
