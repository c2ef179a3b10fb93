//! Access to the cache: its address, the authority that signed its certificate, and the user that signs in.

use std::path::PathBuf;
use std::pin::Pin;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    SignableBody, SignableRequest, SignatureLocation, SigningSettings, sign,
};
use aws_sigv4::sign::v4;
use futures::Stream;
use redis::cluster::ClusterClientBuilder;
use redis::{BasicAuth, ErrorKind, RedisError, StreamingCredentialsProvider, TlsCertificates};

use super::kind::Kind;
use crate::env::{self, BadSetting};

/// The lifetime of a token: the longest that `ElastiCache` accepts.
const TOKEN_LIFETIME: Duration = Duration::from_mins(15);
/// The interval at which a connection signs in again: the cache closes a connection 12 hours after its last sign-in.
const SIGN_IN_INTERVAL: Duration = Duration::from_hours(1);

/// The address of the cache and the means to sign in. Not `Debug`, as the address may contain a password.
#[derive(Clone, Default)]
pub struct Access {
    /// `redis://host:port`, or `rediss://` with TLS; a name and a password may stand before the host.
    pub url: String,
    /// The certificate, in PEM, of the authority that signed the cache's certificate; `None` if browsers trust the
    /// authority, as they do for `ElastiCache`.
    pub authority: Option<Vec<u8>>,
    /// The user that signs in by IAM, with tokens instead of a password.
    pub identity: Option<Identity>,
}

impl Access {
    /// Reads `CACHE_URL`, `CACHE_CA_FILE` and, if `CACHE_USER` is set, [`Identity::from_env`]. Without `CACHE_URL`,
    /// looks up the address by `CACHE_NAME`.
    pub(super) fn from_env() -> Result<Self, BadSetting> {
        let read = |path: PathBuf| {
            let bad = |error: std::io::Error| BadSetting::new("CACHE_CA_FILE", error.to_string());
            std::fs::read(path).map_err(bad)
        };
        let kind = Kind::from_env()?;
        let (url, kind) = match env::optional("CACHE_URL") {
            Some(url) => (url, kind),
            None => find_address(kind)?,
        };
        Ok(Self {
            url,
            authority: env::optional("CACHE_CA_FILE")
                .map(|path| read(path.into()))
                .transpose()?,
            identity: env::optional("CACHE_USER")
                .map(|user| Identity::from_env(user, kind))
                .transpose()?,
        })
    }

    /// Sets up a client with this access.
    pub(super) fn configure(&self, mut client: ClusterClientBuilder) -> ClusterClientBuilder {
        if let Some(authority) = &self.authority {
            client = client.certs(TlsCertificates {
                client_tls: None,
                root_cert: Some(authority.clone()),
            });
        }
        match &self.identity {
            Some(identity) => client.set_credentials_provider(identity.clone()),
            None => client,
        }
    }
}

/// Finds the address of the cache that `CACHE_NAME` names. Waits for AWS on a separate thread, so that opening a cache
/// need not be async; a function has nothing else to do while it starts.
#[cfg(feature = "find-cache")]
fn find_address(kind: Option<Kind>) -> Result<(String, Option<Kind>), BadSetting> {
    let bad = |problem: String| BadSetting::new("CACHE_NAME", problem);
    let name = env::optional("CACHE_NAME")
        .ok_or_else(|| BadSetting::new("CACHE_URL", "must be set, or else CACHE_NAME"))?;
    let finding = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let describing = async {
            let aws = crate::aws::config().await;
            super::Description::of(&aws, &name, kind).await
        };
        let found = runtime.block_on(describing);
        found.map_err(|error| crate::log::chain(&error))
    });
    let found = finding
        .join()
        .map_err(|_| bad("can't be asked for".to_owned()))?
        .map_err(bad)?;
    let (kind, status) = (found.kind, found.status);
    let url = found.url.ok_or_else(|| {
        bad(format!(
            "names a cache without a cluster's address: it is {status}"
        ))
    })?;
    Ok((url, Some(kind)))
}

#[cfg(not(feature = "find-cache"))]
fn find_address(_: Option<Kind>) -> Result<(String, Option<Kind>), BadSetting> {
    let problem = "must be set: finding a cache by CACHE_NAME needs the feature find-cache";
    Err(BadSetting::new("CACHE_URL", problem))
}

/// A user that signs in to `ElastiCache` by IAM.
///
/// The password is a presigned request that would call `connect`
/// (<https://docs.aws.amazon.com/AmazonElastiCache/latest/dg/auth-iam.html>). Every connection signs its own token with
/// the credentials that the environment has at that moment, so no token is too old. The client signs in with one token,
/// immediately again with a second, and then every hour. If a later sign-in is refused, the connection lasts until the
/// cache closes it, 12 hours after its last sign-in, and the client opens another.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The user, as in the cache's user group.
    pub user: String,
    /// The cache's name: of a serverless cache, or of a replication group.
    pub cache: String,
    /// Whether the cache is serverless.
    pub serverless: bool,
    /// The cache's AWS region.
    pub region: String,
}

impl Identity {
    /// Returns the identity of a user of the cache that `CACHE_NAME` and `AWS_REGION` name. `kind` is the kind of the
    /// cache.
    fn from_env(user: String, kind: Option<Kind>) -> Result<Self, BadSetting> {
        let kind = kind.ok_or_else(|| BadSetting::new("CACHE_KIND", "must be set"))?;
        Ok(Self {
            user,
            cache: env::required("CACHE_NAME")?,
            serverless: kind == Kind::Serverless,
            region: env::required("AWS_REGION")?,
        })
    }

    /// Returns a token to sign in with, valid for 15 minutes from `now`.
    fn token(&self, now: SystemTime, keys: &Credentials) -> Result<String, NoToken> {
        let kind = if self.serverless {
            "&ResourceType=ServerlessCache"
        } else {
            ""
        };
        let bare = format!("{}/?Action=connect&User={}{kind}", self.cache, self.user);
        let mut settings = SigningSettings::default();
        settings.expires_in = Some(TOKEN_LIFETIME);
        settings.signature_location = SignatureLocation::QueryParams;
        let keys = keys.clone().into();
        let parameters = v4::SigningParams::builder()
            .identity(&keys)
            .region(&self.region)
            .name("elasticache")
            .time(now)
            .settings(settings)
            .build()
            .map_err(NoToken::new)?;
        let url = format!("http://{bare}");
        let nothing = SignableBody::Bytes(&[]);
        let request = SignableRequest::new("GET", &url, std::iter::empty(), nothing);
        let signed = sign(request.map_err(NoToken::new)?, &parameters.into());
        let (signed, _) = signed.map_err(NoToken::new)?.into_parts();
        let mut request = ::http::Request::get(&url).body(()).map_err(NoToken::new)?;
        signed.apply_to_request_http1x(&mut request);
        let signed = request.uri().to_string();
        Ok(signed.trim_start_matches("http://").to_owned())
    }

    /// Yields a token at once, and another after each `interval`.
    fn tokens(
        &self,
        interval: Duration,
    ) -> impl Stream<Item = Result<BasicAuth, RedisError>> + Send + use<> {
        futures::stream::unfold((self.clone(), false), move |(who, signed_in)| async move {
            if signed_in {
                tokio::time::sleep(interval).await;
            }
            let token = who.sign_in().map_err(RedisError::from);
            Some((token, (who, true)))
        })
    }

    fn sign_in(&self) -> Result<BasicAuth, NoToken> {
        let keys = Credentials::new(
            env::required("AWS_ACCESS_KEY_ID").map_err(NoToken::new)?,
            env::required("AWS_SECRET_ACCESS_KEY").map_err(NoToken::new)?,
            env::optional("AWS_SESSION_TOKEN"),
            None,
            "environment",
        );
        let token = self.token(SystemTime::now(), &keys)?;
        Ok(BasicAuth::new(self.user.clone(), token))
    }
}

impl StreamingCredentialsProvider for Identity {
    fn subscribe(&self) -> Pin<Box<dyn Stream<Item = Result<BasicAuth, RedisError>> + Send>> {
        Box::pin(self.tokens(SIGN_IN_INTERVAL))
    }
}

/// A token could not be made.
#[derive(Debug, thiserror::Error)]
#[error("no token to sign in to the cache: {0}")]
struct NoToken(String);

impl NoToken {
    fn new(error: impl std::fmt::Display) -> Self {
        Self(error.to_string())
    }
}

impl From<NoToken> for RedisError {
    fn from(error: NoToken) -> Self {
        Self::from((
            ErrorKind::AuthenticationFailed,
            "can't sign in",
            error.to_string(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;

    use super::*;

    /// A connection takes tokens for as long as it lives. The stream goes on even if a token can't be signed, as here,
    /// without credentials.
    #[tokio::test]
    async fn connections_get_a_new_token_at_each_interval() {
        let identity = Identity {
            user: "purrline-0123".to_owned(),
            cache: "purrline-0123".to_owned(),
            serverless: true,
            region: "ap-northeast-2".to_owned(),
        };
        let interval = Duration::from_millis(20);
        let mut tokens = std::pin::pin!(identity.tokens(interval));
        let started = std::time::Instant::now();
        for number in 0..10 {
            assert!(tokens.next().await.is_some(), "the token {number}");
            assert!(started.elapsed() >= interval * number);
        }
    }

    /// The signatures are those of botocore's `RequestSigner`.
    #[test]
    fn tokens_match_those_of_botocore() {
        let keys = Credentials::new(
            "AKIDEXAMPLE",
            "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            Some("the/session+token==".to_owned()),
            None,
            "test",
        );
        let now = SystemTime::UNIX_EPOCH + Duration::from_mins(29_923_400);
        let kinds = [
            (
                false,
                "b05667b1b1c69db4b5fa829a7e190255bf9bb3c2ac22a64eca7c944590e4456a",
            ),
            (
                true,
                "1f36679dd7cffd21ec1b19d7ac14be062468b4c628ce4b8938d5ca5df04697c9",
            ),
        ];
        for (serverless, signature) in kinds {
            let identity = Identity {
                user: "purrline-0123".to_owned(),
                cache: "purrline-0123".to_owned(),
                serverless,
                region: "ap-northeast-2".to_owned(),
            };
            let token = identity.token(now, &keys).unwrap();
            let (address, query) = token.split_once('?').unwrap();
            assert_eq!(address, "purrline-0123/");
            let mut query: Vec<&str> = query.split('&').collect();
            query.sort_unstable();
            let mut expected = vec![
                "Action=connect".to_owned(),
                "User=purrline-0123".to_owned(),
                "X-Amz-Algorithm=AWS4-HMAC-SHA256".to_owned(),
                "X-Amz-Credential=AKIDEXAMPLE%2F20261123%2Fap-northeast-2%2Felasticache%2Faws4_request"
                    .to_owned(),
                "X-Amz-Date=20261123T032000Z".to_owned(),
                "X-Amz-Expires=900".to_owned(),
                "X-Amz-Security-Token=the%2Fsession%2Btoken%3D%3D".to_owned(),
                format!("X-Amz-Signature={signature}"),
                "X-Amz-SignedHeaders=host".to_owned(),
            ];
            if serverless {
                expected.insert(1, "ResourceType=ServerlessCache".to_owned());
            }
            assert_eq!(query, expected);
        }
    }
}
