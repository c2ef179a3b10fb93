//! Tokens that were found valid, remembered while they are valid. Checking a signature costs more than the rest of most
//! requests.
//!
//! A token is remembered by its hash, with the key that signed it. It is checked anew once the keys were fetched again, so
//! a key that is withdrawn or replaced ends its tokens.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jsonwebtoken::get_current_timestamp;
use lru::LruCache;
use sha2::{Digest as _, Sha256};

use super::jwks::Key;
use super::token::Bearer;

/// The number of tokens that are remembered: some 3 MB, unless the provider's names for users are long.
const TOKENS: NonZeroUsize = NonZeroUsize::new(10_000).unwrap();

type TokenHash = [u8; 32];

/// The remembered tokens.
pub(super) struct VerifiedTokens(Mutex<LruCache<TokenHash, Verified>>);

/// A token that was valid when it was checked.
#[derive(Clone)]
pub(super) struct Verified {
    pub(super) key_id: Arc<str>,
    pub(super) key: Arc<Key>,
    pub(super) bearer: Bearer,
}

impl VerifiedTokens {
    pub(super) fn new() -> Self {
        Self(Mutex::new(LruCache::new(TOKENS)))
    }

    /// Returns a token that was valid when it was checked, and has not expired since.
    pub(super) fn get(&self, token: &str) -> Option<Verified> {
        let hash = hash(token);
        let mut tokens = self.tokens();
        let verified = tokens.get(&hash)?;
        if get_current_timestamp() < verified.bearer.valid_until {
            return Some(verified.clone());
        }
        tokens.pop(&hash);
        None
    }

    pub(super) fn remember(&self, token: &str, verified: Verified) {
        let hash = hash(token);
        self.tokens().put(hash, verified);
    }

    fn tokens(&self) -> MutexGuard<'_, LruCache<TokenHash, Verified>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for VerifiedTokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VerifiedTokens").finish_non_exhaustive()
    }
}

fn hash(token: &str) -> TokenHash {
    Sha256::digest(token).into()
}
