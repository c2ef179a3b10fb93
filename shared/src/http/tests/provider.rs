//! An OpenID Connect provider, as a function sees it: its keys at a URL.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use jsonwebtoken::jwk::{Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::settings;
use crate::domain::Timestamp;
use crate::http::Settings;
use crate::http::sign_in::{Pace, Provider as ProviderSettings};

pub(super) const ISSUER: &str = "https://sign-in.example";
pub(super) const AUDIENCE: &str = "purrline";

/// A status that stands for no answer.
pub(super) const SILENT: u16 = 0;

/// A key pair and its id.
pub(super) struct Pair {
    pub(super) id: &'static str,
    pub(super) algorithm: Algorithm,
    pub(super) key: EncodingKey,
}

impl Pair {
    pub(super) fn ec(id: &'static str) -> Self {
        let pair =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
                .unwrap();
        Self {
            id,
            algorithm: Algorithm::ES256,
            key: EncodingKey::from_ec_der(pair.as_ref()),
        }
    }

    fn rsa(id: &'static str) -> Self {
        let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).unwrap();
        let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
        // The library wants the PKCS #1 key inside, which follows a head of 26 bytes.
        Self {
            id,
            algorithm: Algorithm::RS256,
            key: EncodingKey::from_rsa_der(&pkcs8.as_ref()[26..]),
        }
    }

    pub(super) fn public(&self) -> Value {
        let mut key = Jwk::from_encoding_key(&self.key, self.algorithm).unwrap();
        key.common.key_id = Some(self.id.to_owned());
        key.common.public_key_use = Some(PublicKeyUse::Signature);
        serde_json::to_value(key).unwrap()
    }

    /// Signs a token with these claims, by this key under its id.
    pub(super) fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.id.to_owned());
        jsonwebtoken::encode(&header, claims, &self.key).unwrap()
    }
}

pub(super) static EC: LazyLock<Pair> = LazyLock::new(|| Pair::ec("ec-1"));
pub(super) static RSA: LazyLock<Pair> = LazyLock::new(|| Pair::rsa("rsa-1"));

/// Returns the claims of a valid token of nabi's.
pub(super) fn claims() -> Value {
    let now = Timestamp::now().seconds();
    json!({"iss": ISSUER, "aud": AUDIENCE, "sub": "nabi", "iat": now, "nbf": now, "exp": now + 60})
}

pub(super) struct Provider {
    url: String,
    calls: Arc<AtomicUsize>,
    answer: Arc<Mutex<(u16, Value)>>,
}

impl Provider {
    pub(super) async fn start(keys: &[Value]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
        let this = Self {
            url,
            calls: Arc::default(),
            answer: Arc::new(Mutex::new((200, json!({"keys": keys})))),
        };
        let (calls, answer) = (Arc::clone(&this.calls), Arc::clone(&this.answer));
        tokio::spawn(async move {
            let mut silent = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n")
                    && stream.read_buf(&mut request).await.unwrap() > 0
                {}
                calls.fetch_add(1, Ordering::SeqCst);
                let (status, body) = answer.lock().unwrap().clone();
                if status == SILENT {
                    silent.push(stream);
                    continue;
                }
                let body = body.to_string();
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                stream.write_all((head + &body).as_bytes()).await.unwrap();
            }
        });
        this
    }

    pub(super) fn answer(&self, status: u16, keys: &[Value]) {
        *self.answer.lock().unwrap() = (status, json!({"keys": keys}));
    }

    pub(super) fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    pub(super) fn settings(&self, pace: Pace) -> Settings {
        let jwks_url = self.url.parse().unwrap();
        let provider = ProviderSettings {
            issuer: ISSUER.to_owned(),
            audience: AUDIENCE.to_owned(),
            jwks_url,
            pace,
        };
        Settings {
            sign_in: Some(provider),
            ..settings()
        }
    }
}
