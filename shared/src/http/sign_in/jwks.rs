//! The provider's public keys: fetched when first needed, kept, and fetched again when a token names
//! a key that is not among them, or after an hour.
//!
//! At most one fetch runs at a time, and each has a time limit. While the provider is down, the last fetched keys stay
//! valid, for a day.
//!
//! A token may name a key that the provider began to use after the last fetch, and anybody can send a token that names
//! a key that doesn't exist. So an unknown key is looked for at once, but not too often: until then, it is undecided
//! whether such a token is valid (503), and if the provider doesn't have the key, the token is not (401).

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::http::Uri;
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::Deserialize;
use tokio::sync::OwnedMutexGuard;

use crate::env::patient;
use crate::https::connector;

/// The time that the provider may take to answer.
const TIMEOUT: Duration = Duration::from_secs(2);
/// The time a request waits for a fetch that another request began.
const PATIENCE: Duration = Duration::from_secs(3);
/// The maximum size of a set of keys, in bytes.
const MAX_BYTES: usize = 256 * 1024;
/// The number of unknown key ids that are remembered.
const UNKNOWN: usize = 1000;

/// The intervals at which the provider is asked.
#[derive(Debug, Clone, Copy)]
pub(in crate::http) struct Pace {
    /// The interval between looks for unknown keys, whatever tokens say: anybody can send an unknown key id.
    pub(in crate::http) unknown_key: Duration,
    /// The time after which a provider that failed is asked again.
    pub(in crate::http) failed: Duration,
    /// The age at which keys are fetched again, so that a withdrawn one does not stay valid for ever.
    pub(in crate::http) max_age: Duration,
    /// The age up to which keys are valid while the provider doesn't answer.
    pub(in crate::http) max_stale: Duration,
}

impl Pace {
    pub(in crate::http) const DEFAULT: Self = Self {
        unknown_key: Duration::from_secs(5),
        failed: Duration::from_secs(1),
        max_age: Duration::from_hours(1),
        max_stale: Duration::from_hours(24),
    };
}

/// A key, and the one algorithm it may be used with.
pub(super) struct Key {
    pub(super) algorithm: Algorithm,
    pub(super) decoding: DecodingKey,
}

type Keys = Arc<HashMap<String, Arc<Key>>>;

/// The provider's keys are unavailable, so it is unknown whether a token is valid.
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
    #[error("unknown keys were looked for a moment ago")]
    JustLooked(Duration),
}

impl Unavailable {
    /// Returns the time to wait before the same token is sent again, if that is known.
    pub(super) const fn wait(&self) -> Option<Duration> {
        match self {
            Self::JustLooked(wait) => Some(*wait),
            _ => None,
        }
    }
}

/// The keys, and the URL that they come from.
pub(super) struct Jwks {
    url: Uri,
    pace: Pace,
    known: Mutex<KnownKeys>,
    /// Held while the keys are being fetched.
    fetching: Arc<tokio::sync::Mutex<Attempts>>,
    hasher: RandomState,
}

#[derive(Default)]
struct KnownKeys {
    fetched: Option<Fetched>,
    /// The time at which the last successful look for an unknown key began.
    last_look: Option<Instant>,
    /// The times at which unknown key ids were first seen, by their hashes.
    unknown: HashMap<u64, Instant>,
}

#[derive(Clone)]
struct Fetched {
    began: Instant,
    at: Instant,
    keys: Keys,
}

#[derive(Default)]
struct Attempts {
    /// The time of the last failed fetch that a request waited for, unless one succeeded since.
    failed: Option<Instant>,
    /// The time of the last failed fetch that no request waited for, likewise.
    failed_in_background: Option<Instant>,
}

/// The outcome of looking a key up.
enum Lookup {
    Found(Arc<Key>),
    /// The provider did not have the key when it was last looked for.
    Missing,
    /// The key was not looked for yet, and will be after this time.
    Wait(Duration),
    /// The key must be looked for now.
    Fetch,
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
            known: Mutex::default(),
            fetching: Arc::default(),
            hasher: RandomState::new(),
        }
    }

    /// Returns the key with this id, if the provider has it. Fails if that can't be known.
    pub(super) async fn key(this: &Arc<Self>, id: &str) -> Result<Option<Arc<Key>>, Unavailable> {
        let requested_at = Instant::now();
        match this.look_up(id, requested_at) {
            Lookup::Found(key) => {
                if this.age() > Some(this.pace.max_age) {
                    Self::refresh_in_background(this);
                }
                return Ok(Some(key));
            }
            Lookup::Missing => return Ok(None),
            Lookup::Wait(wait) => return Err(Unavailable::JustLooked(wait)),
            Lookup::Fetch => {}
        }
        match tokio::time::timeout(patient(PATIENCE), this.fetch_for(id, requested_at)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(Unavailable::TimedOut),
        }
    }

    /// Looks a key up among the known ones, as of a given time. Remembers an unknown one, so that the next look tells
    /// whether there is such a key.
    fn look_up(&self, id: &str, now: Instant) -> Lookup {
        let mut known = self.known();
        let KnownKeys {
            fetched,
            last_look,
            unknown,
        } = &mut *known;
        let Some(fetched) = fetched.as_ref() else {
            return Lookup::Fetch;
        };
        if now.saturating_duration_since(fetched.at) > self.pace.max_stale {
            return Lookup::Fetch;
        }
        if let Some(key) = fetched.keys.get(id) {
            return Lookup::Found(Arc::clone(key));
        }
        let next_look = last_look.map(|last_look| last_look + self.pace.unknown_key);
        let wait = next_look.map_or(Duration::ZERO, |next| next.saturating_duration_since(now));
        if wait.is_zero() {
            return Lookup::Fetch;
        }
        if unknown.len() >= UNKNOWN {
            unknown.retain(|_, seen| now.saturating_duration_since(*seen) < self.pace.unknown_key);
        }
        let id = self.hasher.hash_one(id);
        match unknown.get(&id) {
            Some(seen) if *seen <= fetched.began => Lookup::Missing,
            Some(_) => Lookup::Wait(wait),
            None => {
                if unknown.len() < UNKNOWN {
                    unknown.insert(id, now);
                }
                Lookup::Wait(wait)
            }
        }
    }

    /// Fetches the keys for a request that was made at a given time, unless another request just did, and looks a key
    /// up among them.
    async fn fetch_for(
        &self,
        id: &str,
        requested_at: Instant,
    ) -> Result<Option<Arc<Key>>, Unavailable> {
        let mut attempts = Arc::clone(&self.fetching).lock_owned().await;
        // Another request may have fetched the keys meanwhile.
        match self.look_up(id, Instant::now()) {
            Lookup::Found(key) => return Ok(Some(key)),
            Lookup::Missing => return Ok(None),
            Lookup::Wait(_) | Lookup::Fetch
                if self.began().is_some_and(|began| began >= requested_at) =>
            {
                self.remember_unknown(id, requested_at);
                return Ok(None);
            }
            Lookup::Wait(wait) => return Err(Unavailable::JustLooked(wait)),
            Lookup::Fetch => {}
        }
        if attempts
            .failed
            .is_some_and(|failed| failed.elapsed() < self.pace.failed)
        {
            return Err(Unavailable::JustFailed);
        }
        let for_unknown = self.age().is_some_and(|age| age <= self.pace.max_stale);
        let outcome = self.fetch(for_unknown).await;
        attempts.failed = outcome.is_err().then(Instant::now);
        let key = outcome?.get(id).map(Arc::clone);
        if key.is_none() {
            self.remember_unknown(id, requested_at);
        }
        Ok(key)
    }

    fn remember_unknown(&self, id: &str, seen: Instant) {
        let unknown = &mut self.known().unknown;
        if unknown.len() < UNKNOWN {
            unknown.insert(self.hasher.hash_one(id), seen);
        }
    }

    /// Begins to fetch the keys, unless a fetch is running or failed just now.
    fn refresh_in_background(this: &Arc<Self>) {
        let Ok(attempts) = Arc::clone(&this.fetching).try_lock_owned() else {
            return;
        };
        let failed = attempts.failed_in_background;
        if failed.is_some_and(|failed| failed.elapsed() < this.pace.failed) {
            return;
        }
        let this = Arc::clone(this);
        tokio::spawn(async move { this.refresh(attempts).await });
    }

    /// Fetches the keys before a request needs them.
    pub(super) async fn prefetch(&self) {
        let attempts = Arc::clone(&self.fetching).lock_owned().await;
        if self.age().is_none() {
            self.refresh(attempts).await;
        }
    }

    /// Fetches the keys. A failure is logged, and keeps no request from trying: a process may be frozen during a fetch
    /// and find the connection dead when it thaws, which says nothing about the provider.
    async fn refresh(&self, mut attempts: OwnedMutexGuard<Attempts>) {
        attempts.failed_in_background = match self.fetch(false).await {
            Ok(_) => None,
            Err(error) => {
                let error = crate::log::chain(&error);
                tracing::warn!(error, "no keys from the provider");
                Some(Instant::now())
            }
        };
    }

    fn known(&self) -> MutexGuard<'_, KnownKeys> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the age of the keys, if there are any.
    fn age(&self) -> Option<Duration> {
        self.known()
            .fetched
            .as_ref()
            .map(|fetched| fetched.at.elapsed())
    }

    /// Returns the time at which the last successful fetch began.
    fn began(&self) -> Option<Instant> {
        self.known().fetched.as_ref().map(|fetched| fetched.began)
    }

    /// Fetches the keys and keeps them.
    async fn fetch(&self, for_unknown: bool) -> Result<Keys, Unavailable> {
        let began = Instant::now();
        let keys = match tokio::time::timeout(patient(TIMEOUT), self.ask()).await {
            Ok(outcome) => outcome?,
            Err(_) => return Err(Unavailable::TimedOut),
        };
        let mut known = self.known();
        known.fetched = Some(Fetched {
            began,
            at: Instant::now(),
            keys: Arc::clone(&keys),
        });
        if for_unknown {
            known.last_look = Some(began);
        }
        Ok(keys)
    }

    async fn ask(&self) -> Result<Keys, Unavailable> {
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

/// A set of keys, in which a key of an unsupported kind is no error.
#[derive(Deserialize)]
struct Set {
    keys: Vec<serde_json::Value>,
}

/// Returns the key, if tokens may be signed with it: RSA or P-256, for signatures, with an id.
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
