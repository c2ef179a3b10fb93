//! The parameters of requests to the endpoints, and the checks that several endpoints share.

use std::collections::BTreeMap;

use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use url::Url;

use super::refusal::Refusal;
use crate::http_server::{Body, full};
use crate::sign_in::provider::SignIn;

/// The maximum size of a form in bytes.
const MAX_FORM: usize = 64 * 1024;
const FORM: &str = "application/x-www-form-urlencoded";

/// Parameters by name, each given once.
#[derive(Debug, Default)]
pub(super) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Parses a form or a query. Empty parameters count as absent, as RFC 6749 requires.
    fn parse(form: &[u8]) -> Result<Self, Refusal> {
        let mut parameters = BTreeMap::new();
        for (name, value) in url::form_urlencoded::parse(form) {
            if value.is_empty() {
                continue;
            }
            let earlier = parameters.insert(name.to_string(), value.into_owned());
            if earlier.is_some() {
                let problem = format!("{name} must be given only once");
                return Err(Refusal::invalid_request(problem));
            }
        }
        Ok(Self(parameters))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    pub(super) fn required(&self, name: &str) -> Result<&str, Refusal> {
        self.get(name)
            .ok_or_else(|| Refusal::invalid_request(format!("{name} is missing")))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let all = self.0.iter();
        all.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Checks that the request names the provider's one client.
    pub(super) fn check_client(&self, provider: &SignIn) -> Result<(), Refusal> {
        if self.required("client_id")? == provider.audience {
            return Ok(());
        }
        let problem = format!("client_id must be {}", provider.audience);
        Err(Refusal::new("invalid_client", problem))
    }
}

/// Reads the form that a POST submits, or the query of another request.
pub(super) async fn read(request: Request<Incoming>) -> Result<Parameters, Refusal> {
    if request.method() != Method::POST {
        return Parameters::parse(request.uri().query().unwrap_or_default().as_bytes());
    }
    let kind = request.headers().get(CONTENT_TYPE);
    if !kind.is_some_and(|kind| kind.as_bytes().starts_with(FORM.as_bytes())) {
        return Err(Refusal::invalid_request(format!("the body must be {FORM}")));
    }
    let body = Limited::new(request.into_body(), MAX_FORM).collect().await;
    let body = body.map_err(|_| Refusal::invalid_request("the body is too large or incomplete"))?;
    Parameters::parse(&body.to_bytes())
}

/// Parses the URL of a client to which users are redirected.
pub(super) fn redirect_target(name: &str, url: &str) -> Result<Url, Refusal> {
    Url::parse(url)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https") && url.fragment().is_none())
        .ok_or_else(|| {
            Refusal::invalid_request(format!(
                "{name} must be an absolute http or https URL without a fragment"
            ))
        })
}

/// Redirects the user to a client, with the parameters that have a value.
pub(super) fn redirect(mut url: Url, parameters: &[(&str, Option<&str>)]) -> Response<Body> {
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
