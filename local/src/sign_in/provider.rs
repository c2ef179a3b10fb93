//! The provider: its keys, and the tokens that it signs.

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::{Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::flow::Flow;
use super::identity::{Identity, TOKEN_LIFETIME};
use crate::error::{Error, Result};

/// The claim with a user's groups, as in Cognito's tokens.
pub(super) const GROUPS_CLAIM: &str = "cognito:groups";

/// The sign-in provider, which issues tokens.
pub struct SignIn {
    pub(super) issuer: String,
    pub(super) audience: String,
    key_id: String,
    key: EncodingKey,
    public: DecodingKey,
    jwks: Value,
    pub(super) flow: Flow,
}

/// Returns the time in seconds since the epoch.
pub(super) fn now() -> u64 {
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
    /// Creates a provider with this issuer and audience. Its key is kept in the folder, if there is one.
    ///
    /// # Errors
    /// Fails if the key can't be generated, read or written.
    pub fn new(issuer: &str, audience: &str, folder: Option<&Path>) -> Result<Self> {
        let file = folder.map(|folder| folder.join("sign-in.pkcs8"));
        let der = match file.as_ref().filter(|file| file.exists()) {
            Some(file) => std::fs::read(file).map_err(Error::io("can't read the sign-in key"))?,
            None => Self::new_key()?,
        };
        if let Some(file) = file.filter(|file| !file.exists()) {
            std::fs::write(file, &der).map_err(Error::io("can't write the sign-in key"))?;
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
            flow: Flow::default(),
        })
    }

    fn new_key() -> Result<Vec<u8>> {
        let key =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
                .map_err(failed)?;
        Ok(key.as_ref().to_vec())
    }

    /// Issues a valid token for this user.
    ///
    /// # Errors
    /// Fails if signing fails.
    pub fn token(&self, user: &str) -> Result<String> {
        self.sign(&self.claims(user))
    }

    /// Returns the claims of a valid token for this user, for a test to change.
    pub fn claims(&self, user: &str) -> Value {
        self.claims_for(user, TOKEN_LIFETIME.as_secs())
    }

    fn claims_for(&self, user: &str, lifetime: u64) -> Value {
        let now = now();
        json!({
            "iss": self.issuer,
            "aud": self.audience,
            "sub": user,
            "iat": now,
            // Machines whose clocks are a little behind must accept the token.
            "nbf": now.saturating_sub(5),
            "exp": now.saturating_add(lifetime),
        })
    }

    /// Returns the claims of an identity's access token.
    pub(super) fn access_claims(&self, identity: &Identity) -> Value {
        let mut claims = self.claims_for(&identity.user, identity.lifetime);
        if let (Value::Object(claims), false) = (&mut claims, identity.groups.is_empty()) {
            claims.insert(GROUPS_CLAIM.to_owned(), json!(identity.groups));
        }
        claims
    }

    /// Issues an access token for an identity.
    pub(crate) fn access_token(&self, identity: &Identity) -> Result<String> {
        self.sign(&self.access_claims(identity))
    }

    /// Verifies that this provider issued a token for this audience, and returns its claims. An expired token is valid
    /// only with `allow_expired`.
    pub(super) fn verify<T: DeserializeOwned>(
        &self,
        token: &str,
        audience: &str,
        allow_expired: bool,
    ) -> Option<T> {
        let mut validation = Validation::new(Algorithm::ES256);
        validation.set_issuer(&[&self.issuer]);
        validation.set_audience(&[audience]);
        validation.validate_exp = !allow_expired;
        validation.leeway = 0;
        let token = jsonwebtoken::decode(token, &self.public, &validation);
        token.ok().map(|token| token.claims)
    }

    /// Returns the header of a valid token.
    pub fn header(&self) -> Header {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.key_id.clone());
        header
    }

    /// Signs a token with any claims, in the same way as a valid token.
    ///
    /// # Errors
    /// Fails if signing fails.
    pub fn sign(&self, claims: &Value) -> Result<String> {
        jsonwebtoken::encode(&self.header(), claims, &self.key).map_err(failed)
    }

    /// Signs a token with any header and claims. The signature is genuine whatever the header says, such as
    /// `{"alg": "none"}` or another `kid`.
    ///
    /// # Errors
    /// Fails if signing fails.
    pub fn sign_with_header(&self, header: &Value, claims: &Value) -> Result<String> {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let message = format!("{}.{}", encode(header), encode(claims));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &self.key, Algorithm::ES256)
            .map_err(failed)?;
        Ok(format!("{message}.{signature}"))
    }

    /// Signs a token with another key under this provider's key id.
    ///
    /// # Errors
    /// Fails if a key can't be generated or signing fails.
    pub fn sign_with_another_key(&self, claims: &Value) -> Result<String> {
        let key = EncodingKey::from_ec_der(&Self::new_key()?);
        jsonwebtoken::encode(&self.header(), claims, &key).map_err(failed)
    }

    /// Returns the published keys.
    pub fn jwks(&self) -> &Value {
        &self.jwks
    }
}
