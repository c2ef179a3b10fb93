//! The settings of a function's HTTP side, from the environment.

use axum::http::HeaderValue;

use super::gate::Gate;
use super::sign_in::{Pace, Provider};
use crate::env::{self, BadSetting};

/// The maximum size of a function's body by default, and of JSON in every function.
pub(super) const BODY_LIMIT: usize = 256 * 1024;

/// The callers that are let in, the origins that may read answers, and the limits.
#[derive(Clone)]
pub struct Settings {
    pub(super) origins: Origins,
    pub(super) sign_in: Option<Provider>,
    pub(super) body_limit: usize,
    pub(super) gate: Option<Gate>,
}

/// The web origins that may read answers.
#[derive(Debug, Clone)]
pub(super) enum Origins {
    Any,
    These(Vec<HeaderValue>),
}

impl Settings {
    /// Reads the settings for routes that need a token: `AUTH_ISSUER`, `AUTH_AUDIENCE`, `AUTH_JWKS_URL`, and those that
    /// [`Settings::public_from_env`] reads.
    pub fn from_env() -> Result<Self, BadSetting> {
        let jwks_url = env::required("AUTH_JWKS_URL")?
            .parse()
            .map_err(|_| BadSetting::new("AUTH_JWKS_URL", "must be a URL"))?;
        let provider = Provider {
            issuer: env::required("AUTH_ISSUER")?,
            audience: env::required("AUTH_AUDIENCE")?,
            jwks_url,
            pace: Pace::DEFAULT,
        };
        Ok(Self {
            sign_in: Some(provider),
            ..Self::public_from_env()?
        })
    }

    /// Reads the settings for routes that anybody may call: `CORS_ORIGINS`, separated by commas, or `*`.
    pub fn public_from_env() -> Result<Self, BadSetting> {
        let origins = std::env::var("CORS_ORIGINS").unwrap_or_default();
        Ok(Self {
            origins: Origins::parse(&origins)?,
            sign_in: None,
            body_limit: BODY_LIMIT,
            gate: None,
        })
    }

    /// Accepts bodies of up to this many bytes instead of 256 KiB, which stays the limit of JSON. The load balancer's
    /// own limit is 1 MB.
    #[must_use]
    pub const fn with_body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }
}

impl Origins {
    pub(super) fn parse(list: &str) -> Result<Self, BadSetting> {
        let origins = list
            .split(',')
            .map(|origin| origin.trim().trim_end_matches('/'))
            .filter(|origin| !origin.is_empty());
        let origins: Vec<&str> = origins.collect();
        // Alone or among others; `AllowOrigin::list` panics at a `*`.
        if origins.contains(&"*") {
            return Ok(Self::Any);
        }
        let bad = |_| BadSetting::new("CORS_ORIGINS", "must be origins separated by commas, or *");
        origins
            .iter()
            .map(|origin| origin.parse())
            .collect::<Result<_, _>>()
            .map(Self::These)
            .map_err(bad)
    }
}
