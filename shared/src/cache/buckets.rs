//! Admission of calls: limits how often a caller may call (token buckets), and puts a caller's requests in order
//! (stamps).
//!
//! One script on keys of one slot does both, in one round trip, by the clock of the node that has the slot: the same
//! clock for all instances that serve a caller. The last stamp is stored too, so a caller's stamps increase even if a
//! node with an earlier clock takes over.
//!
//! Stamps of two callers may come from two nodes, whose clocks may differ, so stamps alone decide nothing between
//! callers. Where requests of two callers concern the same edge, which happens when one blocks the other, the stored
//! state decides: while the block exists, every follow is refused, whatever its stamp, and the block ends a stored
//! follow with a version later than the stored one. Ending a block takes the next stamp of both users: see
//! `Store::unblock`.

use std::time::Duration;

use futures::future::try_join_all;
use redis::cmd;

use super::keys::{calls_key, follow_limit_key, stamp_key};
use super::{Cache, Error, count_round_trip, scripts};
use crate::domain::{RateLimit, UserId, Version};

/// The seconds that a caller's last stamp is kept: longer than the cache's clock can jump back when another node takes
/// over.
const STAMP_SECONDS: u32 = 60 * 60;
/// The seconds that the cache remembers that a user follows the maximum number of users. An unfollow clears the record,
/// but may race with a follow that is applied at the same time.
const FOLLOW_LIMIT_SECONDS: u32 = 10 * 60;

/// The cache's answer to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// The caller must wait this long before the next try.
    Wait(Duration),
    /// The call may proceed.
    Go(Admitted),
}

/// The facts about an admitted call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Admitted {
    /// The call's place in the order of the caller's requests, if a stamp was asked for.
    pub stamp: Option<Version>,
    /// Whether the caller has reached the limit of follows, as far as the cache knows.
    pub at_follow_limit: bool,
}

impl Cache {
    /// Takes a token from the caller's bucket for a route, if the route is limited, and stamps the call, if `stamped`.
    pub async fn admit(
        &self,
        caller: &UserId,
        route: &str,
        limit: Option<RateLimit>,
        stamped: bool,
    ) -> Result<Admission, Error> {
        count_round_trip();
        let mut connection = self.connection.clone();
        let (wait, stamp, at_limit): (u64, i64, bool) = scripts::ADMIT
            .key(calls_key(caller, route))
            .key(stamp_key(caller))
            .key(follow_limit_key(caller))
            .arg(limit.map_or(0, |limit| limit.per_minute.get()))
            .arg(limit.map_or(0, |limit| limit.burst.get()))
            .arg(if stamped { STAMP_SECONDS } else { 0 })
            .invoke_async(&mut connection)
            .await?;
        if wait > 0 {
            return Ok(Admission::Wait(Duration::from_millis(wait)));
        }
        Ok(Admission::Go(Admitted {
            stamp: stamped.then(|| Version::from_micros(stamp)),
            at_follow_limit: at_limit,
        }))
    }

    /// Returns the user's next stamp, as [`Cache::admit`] gives it to their calls.
    pub async fn stamp(&self, user: &UserId) -> Result<Version, Error> {
        match self.admit(user, "", None, true).await? {
            Admission::Go(Admitted {
                stamp: Some(stamp), ..
            }) => Ok(stamp),
            // There is no limit, and the stamp was asked for.
            _ => Ok(Version::now()),
        }
    }

    /// Records which users follow the maximum number of users, and which may follow others again.
    pub async fn note_follow_limits(
        &self,
        at_limit: impl IntoIterator<Item = &UserId>,
        below_limit: impl IntoIterator<Item = &UserId>,
    ) -> Result<(), Error> {
        let set = |user| {
            let mut set = cmd("SET");
            set.arg(follow_limit_key(user))
                .arg(1)
                .arg("EX")
                .arg(FOLLOW_LIMIT_SECONDS);
            set
        };
        let del = |user| {
            let mut del = cmd("DEL");
            del.arg(follow_limit_key(user));
            del
        };
        let commands = at_limit.into_iter().map(set);
        let commands = commands.chain(below_limit.into_iter().map(del));
        let sends: Vec<_> = commands
            .map(|command| self.send::<redis::Value>(command))
            .collect();
        if !sends.is_empty() {
            count_round_trip();
        }
        try_join_all(sends).await.map(|_| ())
    }
}
