//! The cache: Redis 7 or Valkey 8, in cluster mode.
//!
//! | key | type | holds | slot |
//! |---|---|---|---|
//! | `feed:{<user>}` | list | ids of the feed's posts, unordered, and the authors that are merged in (see `lists`) | user |
//! | `timeline:{<user>}` | list | ids of the newest posts of an author who is merged into feeds, likewise | user |
//! | `following:{<user>}` | set | the users whom the user follows, and the user | user |
//! | `liked:{<user>}` | hash | post id → `n`, `l`, `s` or `b`: the user did nothing to it, likes it, saved it, or both | user |
//! | `post:{<post>}` | string | the post as stored, or `null` for one that is gone | post |
//! | `counts:{<post>}` | string | the post's exact counts, and the number of their changes | post |
//! | `held:counts:{<post>}`, `held:author:{<user>}` | hash | the writers that hold the key: token → deadline | post, user |
//! | `calls:{<user>}:<route>` | hash | the user's token bucket for a route: its `tokens`, counted `at` a time | user |
//! | `stamp:{<user>}` | string | the last stamp given to a request of the user's, in microseconds | user |
//! | `full:{<user>}` | string | exists while the user follows the maximum number of users | user |
//! | `author:{<user>}` | string | the author as shown, or `null` for one who has left | user |
//!
//! The cache is never authoritative: every key has a TTL and may vanish at any moment, and every key that copies data
//! of the store is refilled from the store. Two rules keep refilled values from being stale:
//!
//! * A writer deletes the key after it has changed the store ([`Cache::forget_post`] and the like), and reports the
//!   change as done only after that.
//! * A reader takes a lease on a key before it reads the store: it puts a placeholder with a random token there, and
//!   the value replaces the placeholder only if the placeholder is still there. A change in between, or an emptied
//!   cache, removes the placeholder, and the value is discarded. (Leases: Nishtala et al., "Scaling Memcache at
//!   Facebook", NSDI 2013.)
//!
//! If a function dies between the two steps, `sweep` completes the change of a post, but nothing does so for authors,
//! counts and blocks. So their writers hold the key first ([`Hold`], [`Cache::hold_feeds`]):
//!
//! * Blocks: the feeds of both users are forgotten, and a placeholder, which expires, keeps readers from refilling
//!   them.
//! * Authors who leave are forgotten likewise, and readers can't refill them until their last writer has released them,
//!   or its deadline has passed by the server's clock.
//! * Counts, and authors whose profile changes, stay readable: the writer's caller has not been answered yet, so the
//!   old value is still correct. It expires at the first deadline of its writers, and is read anew if one of them dies.
//! * Counts of a popular post change all the time, so their writers replace them instead of deleting them: a writer
//!   reads the counts from the store after its change, and puts them over earlier ones, which have a lower number of
//!   changes (counted in the same transaction). Readers fill counts in only where there are none.
//!
//! If the cache is unreachable after a change, the function records in the store what the cache must forget, and
//! `sweep` carries it out (`store::invalidations`). So a cache that was unreachable for an hour, and kept its data, is
//! consistent again within a minute.
//!
//! A feed's placeholder is a list too, so that the `RPUSHX` of a fan-out appends to it during a rebuild, and the
//! rebuilt feed contains the post.

mod access;
mod buckets;
mod connection;
#[cfg(feature = "find-cache")]
mod description;
mod feeds;
mod hydration;
#[cfg(feature = "audit")]
mod inspect;
mod keys;
mod kind;
mod lease;
mod lists;
mod nodes;
mod objects;
mod push;
mod scripts;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use redis::cluster::ClusterClient;
use redis::io::tcp::{TcpSettings, socket2::TcpKeepalive};
use redis::{Cmd, FromRedisValue};

use crate::domain::{Author, FEED_LENGTH, Post, PostId, UserId};
use crate::env::{self, BadSetting};
use crate::invocation::{self, Callee};
use crate::lifecycle;
use crate::memo::Memo;
use connection::ClusterConnection;
use nodes::Nodes;

pub use access::{Access, Identity};
pub use buckets::{Admission, Admitted};
#[cfg(feature = "find-cache")]
pub use description::{Description, NoDescription};
pub use feeds::Feed;
pub use hydration::{Followed, Missing};

#[cfg(feature = "audit")]
pub use inspect::KeyInfo;
pub use kind::Kind;
pub use lease::Lease;
pub use lists::{MAX_MERGED, PostsAndMerged, Rebuild};
pub use objects::{HOLD_TIME, Hold};
pub use push::Push;

/// The cache did not answer, or gave an unusable answer. Callers carry on without the cache.
#[derive(Debug, thiserror::Error)]
#[error("the cache is unavailable: {0}")]
pub struct Error(#[from] redis::RedisError);

/// The timeouts for connecting and for an answer; [`env::patient`] lengthens both.
const CONNECT: Duration = Duration::from_millis(500);
const ANSWER: Duration = Duration::from_millis(500);
/// The timeout of a command, all its retries included.
const OVERALL: Duration = Duration::from_millis(1500);

/// The idle time after which a connection is probed: networks drop idle connections.
const IDLE: Duration = Duration::from_mins(1);
/// The time in which the server must acknowledge sent data; otherwise the connection counts as lost.
#[cfg(target_os = "linux")]
const TCP_USER_TIMEOUT: Duration = Duration::from_secs(2);

/// The memory for parsed posts and the values that they were parsed from, in bytes: for some 10,000 short posts with a
/// picture each.
const PARSED_POSTS: usize = 16 * 1024 * 1024;
/// The memory for parsed authors, likewise.
const PARSED_AUTHORS: usize = 4 * 1024 * 1024;

fn tcp() -> TcpSettings {
    let settings = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(TcpKeepalive::new().with_time(IDLE));
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(TCP_USER_TIMEOUT);
    settings
}

/// Counts a round trip: one wait for the server, whatever the number of commands sent together.
fn count_round_trip() {
    invocation::record_call(Callee::Cache);
}

/// A client of the cache. Cheap to clone; created once, during init, and connected in the background.
#[derive(Clone)]
pub struct Cache {
    connection: ClusterConnection,
    nodes: Arc<Mutex<Option<Arc<Nodes>>>>,
    parsed: Arc<Parsed>,
    feed_length: usize,
}

/// The values that this process parsed last, with the bytes that the cache had for them.
struct Parsed {
    posts: Memo<PostId, Vec<u8>, Arc<Post>>,
    authors: Memo<UserId, Vec<u8>, Option<Arc<Author>>>,
}

impl Default for Parsed {
    fn default() -> Self {
        Self {
            posts: Memo::new(PARSED_POSTS),
            authors: Memo::new(PARSED_AUTHORS),
        }
    }
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

impl Cache {
    /// Opens the cache at `CACHE_URL`: `redis://host:port`, or `rediss://` with TLS. If that is not set, the feature
    /// `find-cache` looks up the address by `CACHE_NAME`. `CACHE_CA_FILE` is the certificate of the authority that
    /// signed the cache's certificate; `CACHE_USER`, `CACHE_NAME` and `CACHE_KIND` set up sign-in by IAM (see
    /// [`Access`]). `FEED_LENGTH` is the number of posts that a feed keeps.
    pub fn from_env() -> Result<Self, BadSetting> {
        let cache = Self::open(&Access::from_env()?)
            .map_err(|error| BadSetting::new("CACHE_URL", error.to_string()))?;
        let connecting = cache.clone();
        lifecycle::begin(async move {
            // Connects, and learns the nodes by which commands are grouped.
            let _ = connecting.nodes().await;
        });
        Ok(Self {
            feed_length: env::whole_number("FEED_LENGTH", FEED_LENGTH)?,
            ..cache
        })
    }

    /// Opens the cache at an address, like [`Cache::open`].
    pub fn new(url: &str) -> Result<Self, Error> {
        Self::open(&Access {
            url: url.to_owned(),
            ..Access::default()
        })
    }

    /// Opens a cache. Needs a running executor; does not wait for the connection.
    pub fn open(access: &Access) -> Result<Self, Error> {
        let client = ClusterClient::builder([access.url.as_str()])
            .tcp_settings(tcp())
            .connection_timeout(env::patient(CONNECT))
            .response_timeout(env::patient(ANSWER))
            .overall_response_timeout(Some(env::patient(OVERALL)))
            .retries(3)
            .min_retry_wait(10)
            .max_retry_wait(200);
        let client = access.configure(client).build()?;
        Ok(Self {
            connection: ClusterConnection::open(client),
            nodes: Arc::default(),
            parsed: Arc::default(),
            feed_length: FEED_LENGTH,
        })
    }

    /// Returns the number of posts that a list keeps.
    pub const fn feed_length(&self) -> usize {
        self.feed_length
    }

    /// Sends a command without counting a round trip, for commands that are sent together.
    async fn send<T: FromRedisValue>(&self, command: Cmd) -> Result<T, Error> {
        let mut connection = self.connection.clone();
        Ok(command.query_async(&mut connection).await?)
    }

    /// Waits for the server's answer to `PING`.
    pub async fn ping(&self) -> Result<(), Error> {
        count_round_trip();
        self.send::<redis::Value>(redis::cmd("PING"))
            .await
            .map(|_| ())
    }
}
