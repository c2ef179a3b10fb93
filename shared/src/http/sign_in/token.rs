//! The checks of a token.

use std::time::Duration;

use jsonwebtoken::{Validation, decode, decode_header, errors::ErrorKind};
use serde::Deserialize;

use super::jwks::Key;
use crate::domain::UserId;

/// The maximum length of an access token, in bytes: no provider's is longer.
const MAX_LEN: usize = 8 * 1024;
/// The largest accepted difference between the provider's clock and ours, in seconds.
const LEEWAY: u64 = 5;

/// The reason why a token is refused. It is for the log; the client learns less.
#[derive(Debug, thiserror::Error)]
pub(super) enum BadToken {
    #[error("no token")]
    Malformed,
    #[error("no key of the provider's has its id")]
    UnknownKey,
    #[error("bad token")]
    Invalid(#[from] jsonwebtoken::errors::Error),
    #[error("for another audience")]
    OtherAudience,
    #[error("its sub is no id here")]
    NoId,
    #[error("an ID token, or another that gives no access")]
    OtherUse,
}

impl BadToken {
    pub(super) fn detail(&self) -> &'static str {
        match self {
            Self::Invalid(error) if matches!(error.kind(), ErrorKind::ExpiredSignature) => {
                "The access token has expired."
            }
            _ => "The access token is not valid here.",
        }
    }
}

/// Returns the id of the key with which the token says it was signed.
pub(super) fn key_id(token: &str) -> Result<String, BadToken> {
    if token.len() > MAX_LEN {
        return Err(BadToken::Malformed);
    }
    let header = decode_header(token)?;
    // Extensions that must be understood are not supported.
    if header.crit.is_some() {
        return Err(BadToken::Malformed);
    }
    header.kid.ok_or(BadToken::UnknownKey)
}

/// The caller.
#[derive(Clone)]
pub(super) struct Bearer {
    pub(super) user: UserId,
    /// The provider's name for the user, if the token has one.
    pub(super) name: Option<String>,
    /// The time from which the token is no longer valid, in seconds since 1970.
    pub(super) valid_until: u64,
}

/// Returns the token's user, if the token is valid now. The key determines the algorithm, never the token.
pub(super) fn check(
    token: &str,
    key: &Key,
    issuer: &str,
    audience: &str,
) -> Result<Bearer, BadToken> {
    let mut validation = Validation::new(key.algorithm);
    validation.set_required_spec_claims(&["exp", "iss", "sub"]);
    validation.set_issuer(&[issuer]);
    validation.set_audience(&[audience]);
    validation.validate_nbf = true;
    validation.leeway = LEEWAY;
    // A token expires at the second of its `exp` (plus the leeway), not after it.
    validation.reject_tokens_expiring_in_less_than = 1;
    let claims = decode::<Claims>(token, &key.decoding, &validation)?.claims;
    if !claims.give_access() {
        return Err(BadToken::OtherUse);
    }
    let valid_until = claims.valid_until();
    let meant_for_us = match claims.aud {
        Some(Audience::One(it)) => it == audience,
        Some(Audience::Many(them)) => them.iter().any(|it| it == audience),
        // Cognito's access tokens name the client instead.
        None => claims.client_id.is_some_and(|it| it == audience),
    };
    if meant_for_us {
        Ok(Bearer {
            user: UserId::parse(&claims.sub).map_err(|_| BadToken::NoId)?,
            valid_until,
            name: claims.username,
        })
    } else {
        Err(BadToken::OtherAudience)
    }
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    exp: f64,
    aud: Option<Audience>,
    client_id: Option<String>,
    /// Cognito's: its name for the user, which is not the `sub` if the user comes from another provider.
    username: Option<String>,
    /// Cognito's, whose ID tokens are for the same audience: `access` or `id`.
    token_use: Option<String>,
    /// Keycloak's, whose ID tokens may be for the same audience too: `Bearer` or `ID`.
    typ: Option<String>,
    /// Claims of ID tokens, of any issuer.
    #[serde(default, deserialize_with = "is_present")]
    nonce: bool,
    #[serde(default, deserialize_with = "is_present")]
    at_hash: bool,
    #[serde(default, deserialize_with = "is_present")]
    c_hash: bool,
    // A list is no issuer, though the library would accept one.
    #[serde(rename = "iss")]
    _iss: String,
}

impl Claims {
    /// Returns the time from which the token is no longer valid, in whole seconds since 1970, rounded down.
    fn valid_until(&self) -> u64 {
        let expires = Duration::try_from_secs_f64(self.exp).unwrap_or_default();
        expires.as_secs().saturating_add(LEEWAY)
    }

    /// Returns whether the claims are an access token's, as far as they tell. ID tokens tell an app who its user is,
    /// and are handled with less care.
    fn give_access(&self) -> bool {
        let says = |claim: &str, value: &str| claim.eq_ignore_ascii_case(value);
        let (token_use, typ) = (self.token_use.as_deref(), self.typ.as_deref());
        // Keycloak before version 25 puts the nonce into access tokens too, and marks them as such.
        let bearer = typ.is_some_and(|it| says(it, "Bearer"));
        token_use.is_none_or(|it| says(it, "access"))
            && typ.is_none_or(|it| !says(it, "ID"))
            && !self.at_hash
            && !self.c_hash
            && (bearer || !self.nonce)
    }
}

/// Returns whether a claim exists, with whatever value.
fn is_present<'de, D: serde::Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    serde::de::IgnoredAny::deserialize(value).map(|_| true)
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}
