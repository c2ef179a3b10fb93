//! The state of sign-ins: codes that can be redeemed, and the latest refresh token of each session. The state is kept
//! only in memory. After a restart, the first valid refresh token of a session is accepted as the latest.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::identity::Identity;

/// The lifetime of a code.
const CODE_LIFETIME: Duration = Duration::from_mins(1);
/// The maximum number of codes, and of sessions, that are remembered.
const MAX_REMEMBERED: usize = 10_000;

/// The authorization that a code stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) identity: Identity,
    pub(super) redirect_uri: String,
    /// The `S256` challenge of PKCE.
    pub(super) challenge: String,
    pub(super) nonce: Option<String>,
    pub(super) scope: String,
    pub(super) signed_in_at: u64,
    pub(super) session: String,
}

/// Codes and sessions.
#[derive(Debug, Default)]
pub(super) struct Flow {
    codes: Mutex<HashMap<String, Code>>,
    sessions: Mutex<HashMap<String, Session>>,
}

#[derive(Debug)]
struct Code {
    grant: Grant,
    issued: Instant,
    redeemed: bool,
}

#[derive(Debug)]
struct Session {
    /// The id of the latest refresh token; `None` once the session has ended.
    latest: Option<String>,
    updated: Instant,
}

/// Generates an unguessable text.
pub(super) fn secret() -> String {
    let bytes = [rand::random::<u128>(), rand::random::<u128>()].map(u128::to_be_bytes);
    URL_SAFE_NO_PAD.encode(bytes.concat())
}

/// Returns the `S256` challenge of a PKCE verifier: its SHA-256 in base64url.
fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Removes the oldest entry if the map is full.
fn make_room<T>(map: &mut HashMap<String, T>, age: impl Fn(&T) -> Instant) {
    if map.len() >= MAX_REMEMBERED {
        let oldest = map.iter().min_by_key(|(_, entry)| age(entry));
        if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
            map.remove(&oldest);
        }
    }
}

impl Flow {
    /// Issues a code for a grant.
    pub(super) fn issue_code(&self, grant: Grant, now: Instant) -> String {
        let code = secret();
        let mut codes = lock(&self.codes);
        codes.retain(|_, code| now.duration_since(code.issued) < CODE_LIFETIME);
        make_room(&mut codes, |code| code.issued);
        let entry = Code {
            grant,
            issued: now,
            redeemed: false,
        };
        codes.insert(code.clone(), entry);
        code
    }

    /// Redeems a code for its grant. A code is valid for one attempt, successful or not, and for a minute. A second
    /// attempt means that the code was stolen, and ends the session.
    pub(super) fn redeem(
        &self,
        code: &str,
        redirect_uri: &str,
        verifier: &str,
        now: Instant,
    ) -> Result<Grant, &'static str> {
        let grant = {
            let mut codes = lock(&self.codes);
            let Some(code) = codes.get_mut(code) else {
                return Err("the code is unknown or has expired");
            };
            if now.duration_since(code.issued) >= CODE_LIFETIME {
                return Err("the code has expired");
            }
            if code.redeemed {
                let session = code.grant.session.clone();
                drop(codes);
                self.end(&session);
                return Err("the code has been used");
            }
            code.redeemed = true;
            code.grant.clone()
        };
        if grant.redirect_uri != redirect_uri {
            return Err("redirect_uri must be the one that the code was sent to");
        }
        if grant.challenge != challenge(verifier) {
            return Err("code_verifier doesn't match code_challenge");
        }
        Ok(grant)
    }

    /// Replaces a session's refresh token, whose id is `current`, and returns the new token's id. Returns `None` if the
    /// session has ended. A token other than the latest was used before, so it counts as stolen and ends the session.
    pub(super) fn rotate(
        &self,
        session: &str,
        current: Option<&str>,
        now: Instant,
    ) -> Option<String> {
        let mut sessions = lock(&self.sessions);
        if let Some(known) = sessions.get_mut(session) {
            if known.latest.as_deref() != current {
                known.latest = None;
                return None;
            }
            known.latest.as_ref()?;
        }
        make_room(&mut sessions, |session| session.updated);
        let next = secret();
        let entry = Session {
            latest: Some(next.clone()),
            updated: now,
        };
        sessions.insert(session.to_owned(), entry);
        Some(next)
    }

    /// Ends a session, which invalidates its refresh tokens.
    pub(super) fn end(&self, session: &str) {
        let mut sessions = lock(&self.sessions);
        make_room(&mut sessions, |session| session.updated);
        let entry = Session {
            latest: None,
            updated: Instant::now(),
        };
        sessions.insert(session.to_owned(), entry);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const BACK: &str = "http://localhost:3000/";

    fn grant() -> Grant {
        Grant {
            identity: Identity::parse("nabi", "", "").unwrap(),
            redirect_uri: BACK.to_owned(),
            // RFC 7636, appendix B.
            challenge: "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".to_owned(),
            nonce: None,
            scope: "openid".to_owned(),
            signed_in_at: 0,
            session: "session".to_owned(),
        }
    }

    #[test]
    fn code_is_valid_once_for_a_minute_and_for_its_client_only() {
        let (flow, now) = (Flow::default(), Instant::now());
        let code = flow.issue_code(grant(), now);
        assert_eq!(flow.redeem(&code, BACK, VERIFIER, now), Ok(grant()));
        assert!(flow.redeem(&code, BACK, VERIFIER, now).is_err());
        let late = |seconds| {
            let code = flow.issue_code(grant(), now);
            let then = now + Duration::from_secs(seconds);
            flow.redeem(&code, BACK, VERIFIER, then).is_ok()
        };
        assert!(late(59) && !late(60));
        for (redirect_uri, verifier) in [("http://localhost:3000", VERIFIER), (BACK, BACK)] {
            let code = flow.issue_code(grant(), now);
            assert!(flow.redeem(&code, redirect_uri, verifier, now).is_err());
            assert!(
                flow.redeem(&code, BACK, VERIFIER, now).is_err(),
                "it was tried before"
            );
        }
    }

    #[test]
    fn reused_code_ends_its_session() {
        let (flow, now) = (Flow::default(), Instant::now());
        let code = flow.issue_code(grant(), now);
        flow.redeem(&code, BACK, VERIFIER, now).unwrap();
        let first = flow.rotate("session", None, now).unwrap();
        flow.redeem(&code, BACK, VERIFIER, now).unwrap_err();
        assert_eq!(flow.rotate("session", Some(&first), now), None);
    }

    #[test]
    fn reused_refresh_token_ends_its_session() {
        let (flow, now) = (Flow::default(), Instant::now());
        let first = flow.rotate("session", None, now).unwrap();
        let second = flow.rotate("session", Some(&first), now).unwrap();
        assert_eq!(flow.rotate("session", Some(&first), now), None);
        assert_eq!(flow.rotate("session", Some(&second), now), None);
        // One token of a session from before a restart is accepted.
        assert!(flow.rotate("older", Some("any"), now).is_some());
        assert_eq!(flow.rotate("older", Some("any"), now), None);
    }
}
