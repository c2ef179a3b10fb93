//! Sign-in: identifies the caller by the access token of an OpenID Connect provider.

mod jwks;
mod token;
mod verified;

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::Uri;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use self::jwks::Jwks;
pub(super) use self::jwks::Pace;
use self::verified::{Verified, VerifiedTokens};
use super::Problem;
use super::gate;
use crate::domain::UserId;
use crate::{invocation, lifecycle};

/// The signed-in caller: the token's `sub`. Any fault of the token is 401; 503 while the token can't be checked,
/// because the provider's keys are unavailable, or the token's key was not looked for yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller(pub UserId);

/// The provider's name for the caller, if the token has one (`username`, as Amazon Cognito's do). Must be extracted
/// after [`Caller`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SignInName(pub Option<String>);

/// Fails with 403 if the user has withdrawn: anything written after their last trace is erased would stay for ever.
#[cfg(feature = "store")]
pub async fn not_withdrawn(store: &crate::store::Store, user: &UserId) -> Result<(), Problem> {
    let profile = store.profile(user).await?;
    match profile.filter(|profile| profile.withdrawn) {
        Some(_) => Err(Problem::withdrawn()),
        None => Ok(()),
    }
}

/// Returns the profile of a user who writes something that others may see, and so exists from now on. Fails with 403 if
/// they have withdrawn.
#[cfg(feature = "store")]
pub async fn writer(
    store: &crate::store::Store,
    user: &UserId,
) -> Result<crate::domain::Profile, Problem> {
    let profile = store.sign_in(user).await?;
    if profile.withdrawn {
        return Err(Problem::withdrawn());
    }
    Ok(profile)
}

/// The OpenID Connect provider whose tokens are accepted.
#[derive(Debug, Clone)]
pub(super) struct Provider {
    pub(super) issuer: String,
    pub(super) audience: String,
    pub(super) jwks_url: Uri,
    pub(super) pace: Pace,
}

/// The check of tokens.
#[derive(Debug)]
pub(super) struct SignIn {
    issuer: String,
    audience: String,
    jwks: Arc<Jwks>,
    verified: VerifiedTokens,
}

impl SignIn {
    pub(super) fn new(provider: Provider) -> Self {
        let Provider {
            issuer,
            audience,
            jwks_url,
            pace,
        } = provider;
        Self {
            issuer,
            audience,
            jwks: Arc::new(Jwks::new(jwks_url, pace)),
            verified: VerifiedTokens::new(),
        }
    }

    /// Begins to fetch the provider's keys, so that the first request doesn't wait.
    pub(super) fn prefetch(&self) {
        let jwks = Arc::clone(&self.jwks);
        lifecycle::begin(async move { jwks.prefetch().await });
    }

    async fn caller(&self, token: &str) -> Result<token::Bearer, Problem> {
        let refused = |error: token::BadToken| {
            if matches!(error, token::BadToken::NoId) {
                // The token is valid but useless: the operator who chose the provider should know.
                tracing::warn!("the provider's tokens have a sub that is no id here");
            } else {
                tracing::debug!(error = crate::log::chain(&error), "token refused");
            }
            Problem::unauthorized(error.detail())
        };
        let verified = self.verified.get(token);
        let key_id = match &verified {
            Some(verified) => Arc::clone(&verified.key_id),
            None => token::key_id(token).map_err(refused)?.into(),
        };
        let key = Jwks::key(&self.jwks, &key_id).await;
        let key = key.map_err(|error| match error.wait() {
            Some(wait) => Problem::unavailable_for(&error, wait),
            None => Problem::unavailable(&error),
        })?;
        let key = key.ok_or(token::BadToken::UnknownKey).map_err(refused)?;
        if let Some(verified) = verified
            && Arc::ptr_eq(&verified.key, &key)
        {
            return Ok(verified.bearer);
        }
        let bearer = token::check(token, &key, &self.issuer, &self.audience).map_err(refused)?;
        let verified = Verified {
            key_id,
            key,
            bearer: bearer.clone(),
        };
        self.verified.remember(token, verified);
        Ok(bearer)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("the route needs a token, but the function was set up without sign-in")]
struct NoSignIn;

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let sign_in: Arc<SignIn> = parts
            .extensions
            .get()
            .cloned()
            .ok_or_else(|| Problem::internal(&NoSignIn))?;
        let mut values = parts.headers.get_all(AUTHORIZATION).iter();
        let token = match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok().and_then(bearer),
            _ => None,
        };
        match token {
            Some(token) => {
                let token::Bearer {
                    user: caller, name, ..
                } = sign_in.caller(token).await?;
                parts.extensions.insert(SignInName(name));
                invocation::record_caller(&caller);
                gate::admit(parts, &caller).await?;
                Ok(Self(caller))
            }
            None => Err(Problem::unauthorized(
                "Sign in: send `Authorization: Bearer` and an access token.",
            )),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for SignInName {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().cloned().unwrap_or_default())
    }
}

fn bearer(value: &str) -> Option<&str> {
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
