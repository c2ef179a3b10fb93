//! Rebuilds of a user's feed.

use std::collections::HashSet;
use std::time::Instant;

use purrline::cache::Cache;
use purrline::domain::{ImageHost, UserId};
use purrline::feed::Feeds;
use purrline::store::Store;
use purrline::{aws, env};

use crate::cache::print;
use crate::error::Error;

/// Items shown without `limit`.
const PAGE: usize = 20;

/// Drops the cached feed, and reads it, which rebuilds it.
pub(crate) async fn rebuild(user: &UserId, dry_run: bool) -> Result<(), Error> {
    let store = Store::from_env(&aws::config().await)?;
    if store.profile(user).await?.is_none() {
        return Err(Error::Nothing(format!("user {user}")));
    }
    let cache = Cache::from_env()?;
    println!("kept for {user}:");
    print(&cache.keys_of_user(user).await?);
    if dry_run {
        println!("the feed would be forgotten and rebuilt");
        return Ok(());
    }
    cache.forget_feeds(&HashSet::from([user.clone()])).await?;
    let images = ImageHost::new(&env::required("MEDIA_BASE_URL")?);
    let feeds = Feeds::new(store, cache.clone(), images);
    let began = Instant::now();
    feeds.page(user, None, PAGE).await?;
    let millis = began.elapsed().as_millis();
    let kept = cache.keys_of_user(user).await?;
    if kept.iter().any(|kept| kept.kind.as_deref() == Some("list")) {
        println!("rebuilt in {millis} ms:");
    } else {
        println!("read in {millis} ms, but the cache did not keep it:");
    }
    print(&kept);
    Ok(())
}
