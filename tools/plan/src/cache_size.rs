//! The memory that the cache needs.

use serde::Serialize;

use crate::measured::Measured;
use crate::usage::Usage;

/// Bytes that Redis or Valkey needs for a key besides its value: the entry, the name, the expiry.
const KEY: f64 = 100.0;

/// All keys of one kind.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Part {
    pub what: &'static str,
    pub keys: f64,
    /// Bytes of all keys together.
    pub bytes: f64,
}

/// Returns all kinds of keys, as of the end of a day.
pub(crate) fn parts(usage: &Usage, measured: &Measured) -> Vec<Part> {
    let sizes = &measured.sizes;
    let part = |what, keys: f64, each: f64| Part {
        what,
        keys,
        bytes: keys * (each + KEY),
    };
    let posts = usage.daily(usage.per_user.posts) * usage.habits.days_read;
    let hourly = usage.hourly_users();
    let liked = usage.per_user.reads / 3.0 * 23.0 * usage.habits.fresh;
    let influencers = usage.users * usage.followers.share_above(usage.threshold);
    vec![
        part("feeds", usage.daily_users, sizes.feed),
        part(
            "whom their owners follow",
            usage.daily_users,
            usage.follows_held * sizes.following_member,
        ),
        part("posts", posts, sizes.post),
        part("counts", posts, sizes.counts),
        part("authors", posts.min(usage.users), sizes.author),
        part("known likes", hourly, liked * sizes.liked_field),
        part("limits' buckets", hourly, 60.0),
        part("recent posts of influencers", influencers, sizes.feed),
    ]
}

pub(crate) fn bytes(parts: &[Part]) -> f64 {
    parts.iter().map(|part| part.bytes).sum()
}
