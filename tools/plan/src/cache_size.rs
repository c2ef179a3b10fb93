//! How much the cache holds.

use serde::Serialize;

use crate::measured::Measured;
use crate::usage::Usage;

/// What Redis or Valkey keeps of a key besides its value, in bytes: the entry, its name, its time.
const KEY: f64 = 100.0;

/// One kind of key.
#[derive(Debug, Clone, Serialize)]
pub struct Part {
    /// What it is.
    pub what: &'static str,
    /// How many.
    pub keys: f64,
    /// How much, together, in bytes.
    pub bytes: f64,
}

/// All kinds, at the end of a day.
pub fn parts(usage: &Usage, measured: &Measured) -> Vec<Part> {
    let sizes = &measured.sizes;
    let part = |what, keys: f64, each: f64| Part {
        what,
        keys,
        bytes: keys * (each + KEY),
    };
    let posts = usage.daily(usage.per_user.posts) * usage.days_read;
    let hourly = usage.hourly_users();
    let liked = usage.per_user.reads / 3.0 * 23.0 * usage.fresh;
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

/// All of it, in bytes.
pub fn bytes(parts: &[Part]) -> f64 {
    parts.iter().map(|part| part.bytes).sum()
}
