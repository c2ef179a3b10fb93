//! A local OpenID Connect provider, as far as functions can tell: it publishes its keys and issues
//! tokens. Its key pair is made at the first start and kept in the data folder, so that tokens
//! outlive a restart.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::error::{Error, Result};

/// How long a token of [`SignIn::token`] holds.
pub(crate) const TOKEN_LIFETIME: Duration = Duration::from_hours(24);

/// Issues tokens.
pub struct SignIn {
    issuer: String,
    audience: String,
    key_id: String,
    key: EncodingKey,
    jwks: Value,
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
        Ok(Self {
            issuer: issuer.to_owned(),
            audience: audience.to_owned(),
            key_id,
            key,
            jwks,
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
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |time| time.as_secs());
        json!({
            "iss": self.issuer,
            "aud": self.audience,
            "sub": user,
            "iat": now,
            // A clock that is a little behind must not refuse it.
            "nbf": now.saturating_sub(5),
            "exp": now.saturating_add(TOKEN_LIFETIME.as_secs()),
        })
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
