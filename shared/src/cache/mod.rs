//! The cache: Redis 7 or Valkey 8, in cluster mode.
//!
//! | key | type | holds | slot |
//! |---|---|---|---|
//! | `feed:{<user>}` | list | ids of the feed's posts, unordered, and the authors that are merged in (see `lists`) | user |
//! | `timeline:{<user>}` | list | ids of the newest posts of an author who is merged into feeds, likewise | user |
//! | `following:{<user>}` | set | the users whom the user follows, and the user | user |
//! | `liked:{<user>}` | hash | post id → `n`, `l`, `s` or `b`: the user did nothing to it, likes it, saved it, or both | user |
//! | `post:{<post>}` | string | the post as stored, or nothing for one that is gone | post |
//! | `counts:{<post>}` | string | the post's exact counts, and how often they have changed | post |
//! | `held:counts:{<post>}`, `held:author:{<user>}` | hash | their writers at work: token → deadline | post, user |
//! | `calls:{<user>}:<route>` | hash | the user's token bucket for a route: `tokens`, and the time `at` which | user |
//! | `stamp:{<user>}` | string | the last stamp given to a request of the user's, in microseconds | user |
//! | `full:{<user>}` | string | exists while the user follows as many users as anybody may | user |
//! | `author:{<user>}` | string | the author as shown, or nothing for one who has left | user |
//!
//! Nothing here is the truth: every key has a TTL, may vanish at any moment, and is filled again from
//! the store. Two rules keep what is filled from being stale:
//!
//! * A writer of the store deletes the key afterwards ([`Cache::forget_post`] and its like), and
//!   does not count the change as done before that.
//! * A reader who fills a key takes a lease on it before reading the store: a placeholder with a random token
//!   stands in the key, and the value replaces it only if it still stands there. A change in
//!   between, or an emptied cache, takes the placeholder away, and the value is not kept. (Leases:
//!   Nishtala et al., "Scaling Memcache at Facebook", NSDI 2013.)
//!
//! For authors, counts and blocks nobody does what a function leaves undone that dies in between, as sweep does for
//! posts. So their writers hold the key first ([`Hold`], [`Cache::hold_feeds`]).
//!
//! * The feeds of both users of a block are forgotten, and a placeholder keeps everybody from filling them in; it expires.
//! * Authors are forgotten likewise, and nobody fills them in until the last of their writers has let go, or had the
//!   time to, by the server's clock.
//! * Counts of a popular post are changed again and again, and stay readable: nobody was answered yet, so what stood there
//!   before is still right. But it stays no longer than any of its writers may take, so where one dies it is read anew.
//!   Writers read the counts from the store once they have changed them, and put them in place of earlier ones, by the
//!   number of changes that is counted with them in the same transaction. Only where nothing stands, readers fill them in.
//!
//! A consumer that can't reach the cache records in the store what the cache must forget, and `sweep` carries it out
//! (`store::invalidations`): a cache that was out of reach for an hour, and kept all it had, is right within a minute.
//!
//! A feed's placeholder is a list too, so that a fan-out's `RPUSHX` lands on it while the feed is
//! rebuilt, and is in the rebuilt feed.

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

use crate::domain::FEED_LENGTH;
use crate::env::{self, BadSetting};
use crate::invocation::{self, Callee};
use crate::lifecycle;
use connection::ClusterConnection;
use nodes::Nodes;

pub use access::{Access, Identity};
pub use buckets::{Admission, Admitted};
#[cfg(feature = "find-cache")]
pub use description::{Description, NoDescription};
pub use feeds::Feed;
pub use hydration::{Followed, Missing};

#[cfg(feature = "audit")]
pub use inspect::Kept;
pub use kind::Kind;
pub use lease::Lease;
pub use lists::{MOST_MERGED, PostsAndMerged, Rebuild};
pub use objects::{HOLD_TIME, Hold};
pub use push::Push;

/// The cache did not answer, or not in its language: carry on without it.
#[derive(Debug, thiserror::Error)]
#[error("the cache is unavailable: {0}")]
pub struct Error(#[from] redis::RedisError);

/// Timeouts of a connection and of an answer, both lengthened by [`env::patient`].
const CONNECT: Duration = Duration::from_millis(500);
const ANSWER: Duration = Duration::from_millis(500);
/// The time that one command may take with all its tries.
const OVERALL: Duration = Duration::from_millis(1500);

/// The time without traffic after which a connection is tried: networks forget those that are idle.
const IDLE: Duration = Duration::from_mins(1);
/// The time in which the server must acknowledge sent data; otherwise its network counts as gone.
#[cfg(target_os = "linux")]
const TAKEN: Duration = Duration::from_secs(2);

fn tcp() -> TcpSettings {
    let settings = TcpSettings::default()
        .set_nodelay(true)
        .set_keepalive(TcpKeepalive::new().with_time(IDLE));
    #[cfg(target_os = "linux")]
    let settings = settings.set_user_timeout(TAKEN);
    settings
}

/// A round trip is made: a wait for the server, however many commands go out together.
fn count_trip() {
    invocation::record_call(Callee::Cache);
}

/// The cache. Cheap to clone; made once, during init, and connected in the background.
#[derive(Clone)]
pub struct Cache {
    connection: ClusterConnection,
    nodes: Arc<Mutex<Option<Arc<Nodes>>>>,
    feed_length: usize,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").finish_non_exhaustive()
    }
}

impl Cache {
    /// Opens the cache at `CACHE_URL`: `redis://host:port`, or `rediss://` with TLS. Without that, the feature
    /// `find-cache` finds the address by `CACHE_NAME`. `CACHE_CA_FILE` has the certificate of the authority that signed
    /// the cache's; `CACHE_USER`, `CACHE_NAME` and `CACHE_KIND` are for signing in by IAM (see [`Access`]). Feeds are kept as long as `FEED_LENGTH` says.
    pub fn from_env() -> Result<Self, BadSetting> {
        let cache = Self::open(&Access::from_env()?)
            .map_err(|error| BadSetting::new("CACHE_URL", error.to_string()))?;
        let connecting = cache.clone();
        lifecycle::begin(async move {
            // What many commands are parted by, too.
            let _ = connecting.nodes().await;
        });
        Ok(Self {
            feed_length: env::whole_number("FEED_LENGTH", FEED_LENGTH)?,
            ..cache
        })
    }

    /// Opens the cache at an address; as [`Cache::open`].
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
        let client = access.enter(client).build()?;
        Ok(Self {
            connection: ClusterConnection::open(client),
            nodes: Arc::default(),
            feed_length: FEED_LENGTH,
        })
    }

    /// The number of posts of a list that are kept.
    pub const fn feed_length(&self) -> usize {
        self.feed_length
    }

    /// One command, without counting a round trip: for commands that go out together.
    async fn send<T: FromRedisValue>(&self, command: Cmd) -> Result<T, Error> {
        let mut connection = self.connection.clone();
        Ok(command.query_async(&mut connection).await?)
    }

    /// Waits until the server answers, in any way.
    pub async fn ping(&self) -> Result<(), Error> {
        count_trip();
        self.send::<redis::Value>(redis::cmd("PING"))
            .await
            .map(|_| ())
    }
}
