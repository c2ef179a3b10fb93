//! Token buckets: how often a caller may call a route.

use std::sync::LazyLock;
use std::time::Duration;

use redis::Script;

use super::{Cache, Error, count_trip};
use crate::domain::{RateLimit, UserId};

/// Takes a token out: 0, or in how many milliseconds there is one. By the cache's own clock, so that
/// functions' clocks don't matter. A bucket that has filled up again goes away.
static TAKE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local time = redis.call('TIME') \
         local now = time[1] * 1000 + math.floor(time[2] / 1000) \
         local rate, size = ARGV[1] / 60000, tonumber(ARGV[2]) \
         local bucket = redis.call('HMGET', KEYS[1], 'tokens', 'at') \
         local tokens = tonumber(bucket[1]) or size \
         local passed = math.max(0, now - (tonumber(bucket[2]) or now)) \
         tokens = math.min(size, tokens + passed * rate) \
         if tokens < 1 then return math.ceil((1 - tokens) / rate) end \
         redis.call('HSET', KEYS[1], 'tokens', tokens - 1, 'at', now) \
         redis.call('PEXPIRE', KEYS[1], math.ceil((size - tokens + 1) / rate)) \
         return 0",
    )
});

impl Cache {
    /// Takes a token out of the caller's bucket for a route; if it is empty, in what time there is one
    /// again.
    pub async fn take_token(
        &self,
        caller: &UserId,
        route: &str,
        limit: RateLimit,
    ) -> Result<Option<Duration>, Error> {
        count_trip();
        let mut connection = self.connection.clone();
        let wait: u64 = TAKE
            .key(format!("calls:{{{caller}}}:{route}"))
            .arg(limit.per_minute.get())
            .arg(limit.burst.get())
            .invoke_async(&mut connection)
            .await?;
        Ok((wait > 0).then(|| Duration::from_millis(wait)))
    }
}
