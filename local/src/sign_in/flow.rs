//! The state of sign-ins: codes that wait to be redeemed, and the latest refresh token of each session.
//! In memory only: after a restart a refresh token that is still good is taken once, as the last of its session.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

use super::Identity;

/// The lifetime of a code.
const CODE_LIFETIME: Duration = Duration::from_mins(1);
/// The most codes, and sessions, that are remembered.
const MOST: usize = 10_000;

/// The request of a page that sent somebody to sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) identity: Identity,
    pub(super) redirect_uri: String,
    /// PKCE's `S256` challenge.
    pub(super) challenge: String,
    pub(super) nonce: Option<String>,
    pub(super) scope: String,
    pub(super) signed_in_at: u64,
    pub(super) session: String,
}

/// Sign-ins under way.
#[derive(Debug, Default)]
pub(super) struct Flow {
    codes: Mutex<HashMap<String, Code>>,
    sessions: Mutex<HashMap<String, Session>>,
}

#[derive(Debug)]
struct Code {
    grant: Grant,
    made: Instant,
    used: bool,
}

#[derive(Debug)]
struct Session {
    /// The id of the last refresh token; nothing once the session has ended.
    last: Option<String>,
    since: Instant,
}

/// Returns an unguessable text.
pub(super) fn secret() -> String {
    let bytes = [rand::random::<u128>(), rand::random::<u128>()].map(u128::to_be_bytes);
    URL_SAFE_NO_PAD.encode(bytes.concat())
}

/// The base64 of a SHA-256, as PKCE has it.
fn challenge(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes room by forgetting the oldest.
fn bound<T>(map: &mut HashMap<String, T>, age: impl Fn(&T) -> Instant) {
    if map.len() >= MOST {
        let oldest = map.iter().min_by_key(|(_, it)| age(it));
        if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
            map.remove(&oldest);
        }
    }
}

impl Flow {
    /// A code for a grant.
    pub(super) fn code(&self, grant: Grant, now: Instant) -> String {
        let code = secret();
        let mut codes = lock(&self.codes);
        codes.retain(|_, code| now.duration_since(code.made) < CODE_LIFETIME);
        bound(&mut codes, |code| code.made);
        let entry = Code {
            grant,
            made: now,
            used: false,
        };
        codes.insert(code.clone(), entry);
        code
    }

    /// The grant of a code. A code is good once, and not for long, whatever else is wrong; one that comes again was
    /// stolen, so that what it gave ends.
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
                return Err("the code is unknown, or has expired");
            };
            if now.duration_since(code.made) >= CODE_LIFETIME {
                return Err("the code has expired");
            }
            if code.used {
                let session = code.grant.session.clone();
                drop(codes);
                self.end(&session);
                return Err("the code was used before");
            }
            code.used = true;
            code.grant.clone()
        };
        if grant.redirect_uri != redirect_uri {
            return Err("redirect_uri is not the one that the code was sent to");
        }
        if grant.challenge != challenge(verifier) {
            return Err("code_verifier doesn't fit code_challenge");
        }
        Ok(grant)
    }

    /// The id of a session's next refresh token, in place of `last`, if there was one. Nothing where the session has
    /// ended; it ends where `last` isn't the last: a refresh token that comes again was stolen.
    pub(super) fn next(&self, session: &str, last: Option<&str>, now: Instant) -> Option<String> {
        let mut sessions = lock(&self.sessions);
        if let Some(known) = sessions.get_mut(session) {
            if known.last.as_deref() != last {
                known.last = None;
                return None;
            }
            known.last.as_ref()?;
        }
        bound(&mut sessions, |session| session.since);
        let next = secret();
        let entry = Session {
            last: Some(next.clone()),
            since: now,
        };
        sessions.insert(session.to_owned(), entry);
        Some(next)
    }

    /// Ends a session: its refresh tokens are good no more.
    pub(super) fn end(&self, session: &str) {
        let mut sessions = lock(&self.sessions);
        bound(&mut sessions, |session| session.since);
        let entry = Session {
            last: None,
            since: Instant::now(),
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
    fn a_code_is_good_once_for_a_minute_for_whom_it_was_made() {
        let (flow, now) = (Flow::default(), Instant::now());
        let code = flow.code(grant(), now);
        assert_eq!(flow.redeem(&code, BACK, VERIFIER, now), Ok(grant()));
        assert!(flow.redeem(&code, BACK, VERIFIER, now).is_err());
        let late = |seconds| {
            let code = flow.code(grant(), now);
            let then = now + Duration::from_secs(seconds);
            flow.redeem(&code, BACK, VERIFIER, then).is_ok()
        };
        assert!(late(59) && !late(60));
        for (redirect_uri, verifier) in [("http://localhost:3000", VERIFIER), (BACK, BACK)] {
            let code = flow.code(grant(), now);
            assert!(flow.redeem(&code, redirect_uri, verifier, now).is_err());
            assert!(
                flow.redeem(&code, BACK, VERIFIER, now).is_err(),
                "it was tried"
            );
        }
    }

    #[test]
    fn a_code_that_comes_again_ends_its_session() {
        let (flow, now) = (Flow::default(), Instant::now());
        let code = flow.code(grant(), now);
        flow.redeem(&code, BACK, VERIFIER, now).unwrap();
        let first = flow.next("session", None, now).unwrap();
        flow.redeem(&code, BACK, VERIFIER, now).unwrap_err();
        assert_eq!(flow.next("session", Some(&first), now), None);
    }

    #[test]
    fn a_refresh_token_is_good_once_and_ends_its_session_when_it_comes_again() {
        let (flow, now) = (Flow::default(), Instant::now());
        let first = flow.next("session", None, now).unwrap();
        let second = flow.next("session", Some(&first), now).unwrap();
        assert_eq!(flow.next("session", Some(&first), now), None);
        assert_eq!(flow.next("session", Some(&second), now), None);
        // Of a session from before a restart, one is taken.
        assert!(flow.next("older", Some("any"), now).is_some());
        assert_eq!(flow.next("older", Some("any"), now), None);
    }
}
