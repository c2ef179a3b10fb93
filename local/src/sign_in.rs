//! A local OpenID Connect provider: it publishes its keys, issues tokens to whoever asks for one, and signs users in
//! for real, by Authorization Code with PKCE ([`oauth`]), but for passwords. Its key pair is made at the first start and
//! kept in the data folder, so that tokens outlive a restart.
//!
//! Its own code: oxide-auth knows no ID tokens and no discovery, openidconnect is the client's side only.

mod flow;
pub(crate) mod oauth;
mod page;

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Error, Result};

/// How long a token of [`SignIn::token`] holds.
pub(crate) const TOKEN_LIFETIME: Duration = Duration::from_hours(24);
/// The longest that one may be asked for.
const MAX_LIFETIME: Duration = Duration::from_hours(30 * 24);
/// The claim that names a user's groups, as in Cognito's tokens.
const GROUPS: &str = "cognito:groups";
const MAX_GROUPS: usize = 20;

/// Issues tokens.
pub struct SignIn {
    issuer: String,
    audience: String,
    key_id: String,
    key: EncodingKey,
    public: DecodingKey,
    jwks: Value,
    flow: flow::Flow,
}

/// The user who signs in, and the claims of their tokens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) user: String,
    pub(crate) groups: Vec<String>,
    /// The lifetime of an access token, in seconds.
    pub(crate) lifetime: u64,
}

impl Identity {
    /// From what somebody typed: a user's id; groups separated by commas, and seconds, each of which may be left empty.
    pub(crate) fn parse(user: &str, groups: &str, lifetime: &str) -> Result<Self, String> {
        let is_id = |text: &str, most: usize| {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
            (1..=most).contains(&text.len()) && text.bytes().all(allowed)
        };
        if !is_id(user, 40) {
            return Err("a user is 1 to 40 of 0-9 A-Z a-z _ -".to_owned());
        }
        let groups = groups.split(',').map(str::trim);
        let groups: Vec<String> = groups
            .filter(|group| !group.is_empty())
            .map(str::to_owned)
            .collect();
        if groups.len() > MAX_GROUPS || !groups.iter().all(|group| is_id(group, 128)) {
            return Err(format!(
                "groups are at most {MAX_GROUPS}, separated by commas, each 1 to 128 of 0-9 A-Z a-z _ -"
            ));
        }
        let most = MAX_LIFETIME.as_secs();
        let lifetime = match lifetime {
            "" => Some(TOKEN_LIFETIME.as_secs()),
            text => text
                .parse()
                .ok()
                .filter(|seconds| (1..=most).contains(seconds)),
        };
        Ok(Self {
            user: user.to_owned(),
            groups,
            lifetime: lifetime.ok_or_else(|| format!("expires_in is 1 to {most} seconds"))?,
        })
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}

impl std::fmt::Debug for SignIn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignIn")
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::part("sign-in", error)
}

impl SignIn {
    /// A provider of this issuer; with a folder, its key is kept there.
    ///
    /// # Errors
    /// The key can't be made, read or written.
    pub fn new(issuer: &str, audience: &str, folder: Option<&Path>) -> Result<Self> {
        let file = folder.map(|folder| folder.join("sign-in.pkcs8"));
        let der = match file.as_ref().filter(|file| file.exists()) {
            Some(file) => std::fs::read(file).map_err(Error::io("can't read the sign-in key"))?,
            None => Self::new_key()?,
        };
        if let Some(file) = file.filter(|file| !file.exists()) {
            std::fs::write(file, &der).map_err(Error::io("can't keep the sign-in key"))?;
        }
        let key = EncodingKey::from_ec_der(&der);
        let mut jwk = Jwk::from_encoding_key(&key, Algorithm::ES256).map_err(failed)?;
        let public = serde_json::to_vec(&jwk.algorithm).map_err(failed)?;
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &public);
        let key_id = URL_SAFE_NO_PAD.encode(digest);
        jwk.common.key_id = Some(key_id.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        jwk.common.key_algorithm = Some(KeyAlgorithm::ES256);
        let jwks = json!({ "keys": [jwk] });
        let public = DecodingKey::from_jwk(&jwk).map_err(failed)?;
        Ok(Self {
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            key_id,
            key,
            public,
            jwks,
            flow: flow::Flow::default(),
        })
    }

    fn new_key() -> Result<Vec<u8>> {
        let key =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
                .map_err(failed)?;
        Ok(key.as_ref().to_vec())
    }

    /// A valid token of this user.
    ///
    /// # Errors
    /// Signing fails, which it doesn't.
    pub fn token(&self, user: &str) -> Result<String> {
        self.sign(&self.claims(user))
    }

    /// The claims of a valid token of this user, to change as a test likes.
    pub fn claims(&self, user: &str) -> Value {
        self.claims_until(user, TOKEN_LIFETIME.as_secs())
    }

    fn claims_until(&self, user: &str, lifetime: u64) -> Value {
        let now = now();
        json!({
            "iss": self.issuer,
            "aud": self.audience,
            "sub": user,
            "iat": now,
            // A clock that is a little behind must not refuse it.
            "nbf": now.saturating_sub(5),
            "exp": now.saturating_add(lifetime),
        })
    }

    /// The claims of an access token.
    fn access(&self, identity: &Identity) -> Value {
        let mut claims = self.claims_until(&identity.user, identity.lifetime);
        if let (Value::Object(claims), false) = (&mut claims, identity.groups.is_empty()) {
            claims.insert(GROUPS.to_owned(), json!(identity.groups));
        }
        claims
    }

    /// A valid token of somebody.
    pub(crate) fn token_of(&self, identity: &Identity) -> Result<String> {
        self.sign(&self.access(identity))
    }

    /// The claims of a token of this provider's for this audience; an expired one's too, where `expired` says so.
    fn verified<T: DeserializeOwned>(
        &self,
        token: &str,
        audience: &str,
        expired: bool,
    ) -> Option<T> {
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[audience]);
        validation.validate_exp = !expired;
        validation.leeway = 0;
        let token = jsonwebtoken::decode(token, &self.public, &validation);
        token.ok().map(|token| token.claims)
    }

    /// The header of a valid token.
    pub fn header(&self) -> Header {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.key_id.clone());
        header
    }

    /// A token of any claims, signed as a valid one is.
    ///
    /// # Errors
    /// Signing fails, which it doesn't.
    pub fn sign(&self, claims: &Value) -> Result<String> {
        jsonwebtoken::encode(&self.header(), claims, &self.key).map_err(failed)
    }

    /// A token with any header and claims and a true signature over them, whatever the header says:
    /// `{"alg": "none"}`, another `kid`.
    ///
    /// # Errors
    /// Signing fails, which it doesn't.
    pub fn sign_with_header(&self, header: &Value, claims: &Value) -> Result<String> {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, Algorithm::ES256)
            .map_err(failed)?;
        Ok(format!("{message}.{signature}"))
    }

    /// A token that another key signed, in the name of this provider's.
    ///
    /// # Errors
    /// Making a key or signing fails, which they don't.
    pub fn sign_with_another_key(&self, claims: &Value) -> Result<String> {
        let key = EncodingKey::from_ec_der(&Self::new_key()?);
        jsonwebtoken::encode(&self.header(), claims, &key).map_err(failed)
    }

    /// The published keys.
    pub fn jwks(&self) -> &Value {
        &self.jwks
    }
}
