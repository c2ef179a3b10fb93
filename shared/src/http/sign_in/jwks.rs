//! The provider's public keys: fetched when first needed, kept, and fetched again when a token names
//! a key that is not among them, or after an hour. While the provider is down, the keys last seen
//! stay good.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::Uri;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::https::connector;
use crate::env::patient;

/// How long the provider may take to answer.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The largest set of keys taken, in bytes.
const MAX_BYTES: usize = 256 * 1024;

/// How often the provider is asked.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Pace {
    /// At most once in this time, whatever tokens say: anybody can send an unknown key id.
    pub(in crate::http) unknown_key: Duration,
    /// How soon a provider that failed is asked again.
    pub(in crate::http) failed: Duration,
    /// The age at which keys are fetched again, so that a withdrawn one does not stay good for ever.
    pub(in crate::http) max_age: Duration,
}

impl Pace {
    pub(in crate::http) const DEFAULT: Self = Self {
        unknown_key: Duration::from_secs(10),
        failed: Duration::from_secs(1),
        max_age: Duration::from_hours(1),
    };
}

/// A key, and the one algorithm it may be used with.
pub(super) struct Key {
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

type Keys = Arc<HashMap<String, Arc<Key>>>;

/// The provider's keys can't be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unavailable {
    #[error("the provider's keys can't be fetched")]
    Connect(#[from] hyper_util::client::legacy::Error),
    #[error("no TLS")]
    Tls(#[from] rustls::Error),
    #[error("the provider's keys can't be read")]
    Read(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the provider's keys can't be parsed")]
    Parse(#[from] serde_json::Error),
    #[error("the provider answered {0}")]
    Status(axum::http::StatusCode),
    #[error("the provider took too long")]
    TimedOut,
    #[error("the provider failed a moment ago")]
    JustFailed,
}

/// The keys and where they come from.
pub(super) struct Jwks {
    url: Uri,
    pace: Pace,
    keys: RwLock<Option<Fetched>>,
    attempt: Mutex<Option<Attempt>>,
}

#[derive(Clone)]
struct Fetched {
    at: Instant,
    keys: Keys,
}

#[derive(Clone, Copy)]
struct Attempt {
    ended: Instant,
    failed: bool,
}

impl std::fmt::Debug for Jwks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jwks")
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

impl Jwks {
    pub(super) fn new(url: Uri, pace: Pace) -> Self {
        Self {
            url,
            pace,
            keys: RwLock::new(None),
            attempt: Mutex::new(None),
        }
    }

    /// The key of that id, if the provider has it. Fails if that can't be known.
    pub(super) async fn key(this: &Arc<Self>, id: &str) -> Result<Option<Arc<Key>>, Unavailable> {
        if let Some(fetched) = this.fetched() {
            if fetched.at.elapsed() > this.pace.max_age {
                Self::refresh_in_background(this);
            }
            if let Some(key) = fetched.keys.get(id) {
                return Ok(Some(Arc::clone(key)));
            }
        }
        let keys = this
            .refresh(|fetched| fetched.keys.contains_key(id))
            .await?;
        Ok(keys.get(id).map(Arc::clone))
    }

    /// Fetches the keys unless they are fresh.
    fn refresh_in_background(this: &Arc<Self>) {
        let this = Arc::clone(this);
        tokio::spawn(async move { this.refreshed().await });
    }

    /// Fetches the keys unless they are fresh, and waits for them. If they can't be had, that is logged.
    pub(super) async fn refreshed(&self) {
        let max_age = self.pace.max_age;
        let fresh = |fetched: &Fetched| fetched.at.elapsed() <= max_age;
        if let Err(error) = self.refresh(fresh).await {
            tracing::warn!(
                error = crate::log::chain(&error),
                "no keys from the provider"
            );
            // A process may be frozen while it fetches, and the connection dead when it thaws: that
            // says nothing of the provider, so a request that needs keys asks at once.
            *self.attempt.lock().await = None;
        }
    }

    fn fetched(&self) -> Option<Fetched> {
        self.keys
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The keys, fetched again unless they are `good` already or were just fetched. Only one caller
    /// fetches; the others wait and see what it brought.
    async fn refresh(&self, good: impl Fn(&Fetched) -> bool) -> Result<Keys, Unavailable> {
        let mut attempt = self.attempt.lock().await;
        let fetched = self.fetched();
        if let Some(fetched) = &fetched
            && good(fetched)
        {
            return Ok(Arc::clone(&fetched.keys));
        }
        match (*attempt, fetched) {
            (Some(last), _) if last.failed && last.ended.elapsed() < self.pace.failed => {
                return Err(Unavailable::JustFailed);
            }
            (Some(last), Some(fetched))
                if !last.failed && last.ended.elapsed() < self.pace.unknown_key =>
            {
                return Ok(fetched.keys);
            }
            _ => {}
        }
        let outcome = match tokio::time::timeout(patient(TIMEOUT), self.fetch()).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Unavailable::TimedOut),
        };
        let ended = Instant::now();
        *attempt = Some(Attempt {
            ended,
            failed: outcome.is_err(),
        });
        let keys = outcome?;
        let fetched = Fetched {
            at: ended,
            keys: Arc::clone(&keys),
        };
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Some(fetched);
        Ok(keys)
    }

    async fn fetch(&self) -> Result<Keys, Unavailable> {
        let client: Client<_, Empty<Bytes>> =
            Client::builder(TokioExecutor::new()).build(connector()?);
        let response = client.get(self.url.clone()).await?;
        if !response.status().is_success() {
            return Err(Unavailable::Status(response.status()));
        }
        let body = Limited::new(response.into_body(), MAX_BYTES)
            .collect()
            .await
            .map_err(Unavailable::Read)?;
        let set: Set = serde_json::from_slice(&body.to_bytes())?;
        Ok(Arc::new(set.keys.into_iter().filter_map(usable).collect()))
    }
}

/// A set in which keys of kinds we don't know are no error.
#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

/// The key, if tokens may be signed with it: RSA or P-256, for signatures, with an id.
fn usable(key: serde_json::Value) -> Option<(String, Arc<Key>)> {
    let key: Jwk = serde_json::from_value(key).ok()?;
    if !matches!(
        key.common.public_key_use,
        None | Some(PublicKeyUse::Signature)
    ) {
        return None;
    }
    let algorithm = match (&key.algorithm, key.common.key_algorithm) {
        (AlgorithmParameters::RSA(_), None | Some(KeyAlgorithm::RS256)) => Algorithm::RS256,
        (AlgorithmParameters::EllipticCurve(ec), None | Some(KeyAlgorithm::ES256))
            if ec.curve == EllipticCurve::P256 =>
        {
            Algorithm::ES256
        }
        _ => return None,
    };
    let decoding = DecodingKey::from_jwk(&key).ok()?;
    Some((
        key.common.key_id?,
        Arc::new(Key {
            algorithm,
            decoding,
        }),
    ))
}
