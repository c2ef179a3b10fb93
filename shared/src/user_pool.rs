//! The stack's own user pool (Amazon Cognito), which gets a single request: to delete a user who is erased.
//!
//! This module signs and sends that request itself: the SDK's client has more than a hundred of them, and takes longer
//! to build than the function that would use it. The request goes to `AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER` if
//! that is set, as the SDK's would.

use std::io::Cursor;
use std::time::{Duration, SystemTime};

use ::http::{Request, StatusCode, Uri};
use aws_config::SdkConfig;
use aws_credential_types::provider::error::CredentialsError;
use aws_credential_types::provider::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;
use serde_json::json;

use crate::env::{self, BadSetting};
use crate::https;

/// The time the pool may take to answer.
const TIMEOUT: Duration = Duration::from_secs(4);
/// The largest answer that is read, in bytes.
const MAX_BYTES: usize = 64 * 1024;
const CONTENT_TYPE: &str = "application/x-amz-json-1.1";
const DELETE_USER: &str = "AWSCognitoIdentityProviderService.AdminDeleteUser";
const NO_SUCH_USER: &str = "UserNotFoundException";

type Body = Full<Cursor<Vec<u8>>>;
type Source = Box<dyn std::error::Error + Send + Sync>;

/// A user pool.
#[derive(Debug, Clone)]
pub struct UserPool {
    id: String,
    url: Uri,
    region: String,
    credentials: SharedCredentialsProvider,
}

/// The deletion of a user failed, or its outcome is unknown.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There are no credentials to sign the request with.
    #[error("no credentials to ask the user pool with")]
    NoCredentials(#[from] CredentialsError),
    /// The request can't be signed.
    #[error("the request to the user pool can't be signed")]
    Unsigned(#[source] Source),
    /// The pool can't be reached, or broke off.
    #[error("the user pool did not answer")]
    Unreachable(#[source] Source),
    /// The pool did not answer in time.
    #[error("the user pool took too long")]
    TimedOut,
    /// The pool answered with an error.
    #[error("the user pool answered {status}: {reason}")]
    Refused {
        /// The answer's status.
        status: StatusCode,
        /// The name of the error.
        reason: String,
    },
}

impl Error {
    fn unsigned(error: impl Into<Source>) -> Self {
        Self::Unsigned(error.into())
    }

    fn unreachable(error: impl Into<Source>) -> Self {
        Self::Unreachable(error.into())
    }
}

impl UserPool {
    /// Creates the pool that `USER_POOL_ID` names; returns `None` if it is not set, since users sign in elsewhere.
    pub fn from_env(aws: &SdkConfig) -> Result<Option<Self>, BadSetting> {
        let Some(id) = env::optional("USER_POOL_ID") else {
            return Ok(None);
        };
        let missing = |name: &str| BadSetting::new(name, "must be set");
        let region = aws.region().ok_or_else(|| missing("AWS_REGION"))?;
        let variable = "AWS_ENDPOINT_URL_COGNITO_IDENTITY_PROVIDER";
        let url = env::optional(variable)
            .unwrap_or_else(|| format!("https://cognito-idp.{region}.amazonaws.com"));
        let credentials = aws.credentials_provider();
        Ok(Some(Self {
            id,
            url: url
                .parse()
                .map_err(|_| BadSetting::new(variable, "must be a URL"))?,
            region: region.to_string(),
            credentials: credentials.ok_or_else(|| missing("AWS_ACCESS_KEY_ID"))?,
        }))
    }

    /// Deletes a user, by the pool's name for them. A user who doesn't exist counts as deleted.
    pub async fn delete(&self, name: &str) -> Result<(), Error> {
        let body = json!({ "UserPoolId": self.id, "Username": name }).to_string();
        match tokio::time::timeout(TIMEOUT, self.ask(body)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Error::TimedOut),
        }
    }

    async fn ask(&self, body: String) -> Result<(), Error> {
        let request = self.signed(body).await?;
        let connector = https::connector().map_err(Error::unreachable)?;
        let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build(connector);
        let answer = client.request(request).await.map_err(Error::unreachable)?;
        let status = answer.status();
        if status.is_success() {
            return Ok(());
        }
        let body = Limited::new(answer.into_body(), MAX_BYTES);
        let body = body.collect().await.map_err(Error::unreachable)?;
        match reason(&body.to_bytes()) {
            reason if reason == NO_SUCH_USER => Ok(()),
            reason => Err(Error::Refused { status, reason }),
        }
    }

    async fn signed(&self, body: String) -> Result<Request<Body>, Error> {
        let identity = self.credentials.provide_credentials().await?.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("cognito-idp")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(Error::unsigned)?;
        let url = self.url.to_string();
        let headers = [
            ("content-type", CONTENT_TYPE),
            ("x-amz-target", DELETE_USER),
        ];
        let signable = SignableRequest::new(
            "POST",
            &url,
            headers.into_iter(),
            SignableBody::Bytes(body.as_bytes()),
        );
        let signature = sign(signable.map_err(Error::unsigned)?, &parameters.into());
        let (signature, _) = signature.map_err(Error::unsigned)?.into_parts();
        let mut request = Request::post(&url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let mut request = request
            .body(Full::new(Cursor::new(body.into_bytes())))
            .map_err(Error::unsigned)?;
        signature.apply_to_request_http1x(&mut request);
        Ok(request)
    }
}

/// Returns the name of the error in an answer, without the namespace that may stand before it.
fn reason(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Answer {
        #[serde(rename = "__type")]
        kind: String,
    }
    serde_json::from_slice::<Answer>(body)
        .ok()
        .and_then(|answer| answer.kind.rsplit('#').next().map(str::to_owned))
        .unwrap_or_else(|| "without a reason".to_owned())
}
