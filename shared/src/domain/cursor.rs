//! Cursors: opaque, URL-safe, bound to the list that issued them.
//!
//! A cursor is base64url of the position and a 6-byte digest over the list's name and the position.
//! A damaged cursor, or one of another list, does not match its digest. The digest is no secret: a
//! position says only where to read on in a list that the caller may read anyway.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest, Sha256};

const DIGEST_LEN: usize = 6;

/// The position from which to continue a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Cursor(String);

/// The cursor was damaged, or another list issued it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor of this list")]
pub struct BadCursor;

impl Cursor {
    /// Issues a cursor for a position in the list named `list`. The name holds everything that the list depends on:
    /// `feed/<user>`, `followers/<user>`.
    pub fn issue(list: &str, position: &[u8]) -> Self {
        let mut bytes = digest(list, position).to_vec();
        bytes.extend_from_slice(position);
        Self(URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Returns the position in the list named `list`.
    pub fn open(text: &str, list: &str) -> Result<Vec<u8>, BadCursor> {
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadCursor)?;
        let (mark, position) = bytes.split_at_checked(DIGEST_LEN).ok_or(BadCursor)?;
        if mark == digest(list, position) {
            Ok(position.to_vec())
        } else {
            Err(BadCursor)
        }
    }

    /// Returns the text that clients send back.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn digest(list: &str, position: &[u8]) -> [u8; DIGEST_LEN] {
    let mut hasher = Sha256::new();
    hasher.update(list.len().to_be_bytes());
    hasher.update(list);
    hasher.update(position);
    let hash = hasher.finalize();
    let mut mark = [0; DIGEST_LEN];
    mark.iter_mut()
        .zip(hash.iter())
        .for_each(|(to, from)| *to = *from);
    mark
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn cursor_opens_only_for_its_own_list(list in "[a-z/]{1,20}", other in "[a-z/]{1,20}", position: Vec<u8>) {
            let cursor = Cursor::issue(&list, &position);
            prop_assert_eq!(Cursor::open(cursor.as_str(), &list), Ok(position));
            if other != list {
                prop_assert_eq!(Cursor::open(cursor.as_str(), &other), Err(BadCursor));
            }
        }

        #[test]
        fn damaged_cursor_is_refused(position: Vec<u8>, at: prop::sample::Index, flip in 1..=255_u8) {
            let cursor = Cursor::issue("feed/nabi", &position);
            let mut bytes = URL_SAFE_NO_PAD.decode(cursor.as_str()).unwrap();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            prop_assert_eq!(Cursor::open(&URL_SAFE_NO_PAD.encode(bytes), "feed/nabi"), Err(BadCursor));
        }

        #[test]
        fn opening_any_text_never_panics(text in "\\PC{0,40}") {
            let _ = Cursor::open(&text, "feed/nabi");
        }
    }
}
