//! Who does how much.

use clap::Args;

use super::{Amount, Share};
use crate::Error;
use crate::followers::{Followers, Named};
use crate::prices::Region;
use crate::template::Template;
use crate::usage::{Architecture, Cache, Egress, PerUser, Usage};

/// Users of which one is there on an average day.
const USERS_PER_DAILY: f64 = 5.0;

/// Options about the users, their habits and where it runs.
#[derive(Debug, Args)]
pub struct Options {
    /// Users on an average day.
    #[arg(long, default_value = "10k")]
    pub daily_users: Amount,
    /// All users there are [default: five times as many].
    #[arg(long)]
    pub users: Option<Amount>,
    /// Pages of the feed that a daily user reads a day.
    #[arg(long, default_value = "8")]
    pub reads: Amount,
    /// Pages of the feed read a day by all together.
    #[arg(long, conflicts_with = "reads")]
    pub total_reads: Option<Amount>,
    /// Posts that a daily user writes a day.
    #[arg(long, default_value = "0.1")]
    pub posts: Amount,
    /// Posts a day by all together.
    #[arg(long, conflicts_with = "posts")]
    pub total_posts: Option<Amount>,
    /// Photos that a daily user uploads a day.
    #[arg(long, default_value = "0.12")]
    pub photos: Amount,
    /// Photos a day by all together.
    #[arg(long, conflicts_with = "photos")]
    pub total_photos: Option<Amount>,
    /// Likes of a daily user a day.
    #[arg(long, default_value = "4")]
    pub likes: Amount,
    /// Likes a day by all together.
    #[arg(long, conflicts_with = "likes")]
    pub total_likes: Option<Amount>,
    /// New follows of a daily user a day.
    #[arg(long, default_value = "0.3")]
    pub follows: Amount,
    /// New follows a day by all together.
    #[arg(long, conflicts_with = "follows")]
    pub total_follows: Option<Amount>,
    /// Comments that a daily user writes a day.
    #[arg(long, default_value = "0.4")]
    pub comments: Amount,
    /// Pages of comments that a daily user reads a day.
    #[arg(long, default_value = "2")]
    pub comment_pages: Amount,
    /// Pages of somebody's, a cat's or a tag's posts that a daily user reads a day.
    #[arg(long, default_value = "2")]
    pub list_pages: Amount,
    /// Profiles that a daily user looks at a day.
    #[arg(long, default_value = "2")]
    pub profiles: Amount,
    /// Searches of a daily user a day.
    #[arg(long, default_value = "0.5")]
    pub searches: Amount,
    /// Photos that a daily user has classified a day.
    #[arg(long, default_value = "0.02")]
    pub classified: Amount,
    /// How many a user follows, and so how many follow one, on average.
    #[arg(long, default_value = "150")]
    pub follows_held: Amount,
    /// How the number of authors falls with that of their followers: as a power law with this exponent.
    #[arg(long, default_value = "2.1")]
    pub follower_exponent: Amount,
    /// The most followers that anybody has [default: a fifth of all users].
    #[arg(long)]
    pub max_followers: Option<Amount>,
    /// An author besides, with their followers; may be given several times.
    #[arg(long = "author", value_name = "NAME=FOLLOWERS", value_parser = author)]
    pub authors: Vec<Named>,
    /// From how many followers on an author's posts are merged when they are read [default: template.yaml's].
    #[arg(long)]
    pub influencer_followers: Option<Amount>,
    /// A photo's kilobytes.
    #[arg(long, default_value = "400")]
    pub photo_kb: Amount,
    /// Photos that a client fetches for a page of the feed; it has the others.
    #[arg(long, default_value = "5")]
    pub photos_seen: Amount,
    /// Tags of a post.
    #[arg(long, default_value = "2")]
    pub tags: Amount,
    /// Cats of a post.
    #[arg(long, default_value = "0.7")]
    pub cats: Amount,
    /// The busiest hour's traffic over the mean hour's.
    #[arg(long, default_value = "3")]
    pub peak: Amount,
    /// The busiest minute's traffic over the busiest hour's.
    #[arg(long, default_value = "3")]
    pub burst: Amount,
    /// Which part of a page's posts its reader has not met within the hour.
    #[arg(long, default_value = "0.5")]
    pub fresh: Share,
    /// For how many days a post is read.
    #[arg(long, default_value = "3")]
    pub days_read: Amount,
    /// Which part of all likes goes to one post, in the busiest hour.
    #[arg(long, default_value = "0.05")]
    pub hot_post: Share,
    /// For how many months it has run so: what is stored.
    #[arg(long, default_value = "12")]
    pub months: Amount,
    /// For how many months logs are kept.
    #[arg(long, default_value = "1")]
    pub log_months: Amount,
    /// Availability zones.
    #[arg(long, default_value = "2", value_parser = clap::value_parser!(u8).range(2..=3))]
    pub zones: u8,
    /// How functions reach SQS, Lambda and the sign-in provider's keys.
    #[arg(long, value_enum, default_value = "ipv6")]
    pub egress: Egress,
    /// What the cache is.
    #[arg(long, value_enum, default_value = "serverless")]
    pub cache: Cache,
    /// Where it runs.
    #[arg(long, value_enum, default_value = "us-east-1")]
    pub region: Region,
    /// The functions' processor.
    #[arg(long, value_enum, default_value = "x86")]
    pub architecture: Architecture,
    /// Concurrent executions that the account may have; new accounts may have fewer.
    #[arg(long, default_value = "1000")]
    pub account_concurrency: Amount,
    /// Don't take off what is free each month.
    #[arg(long)]
    pub no_free_tier: bool,
}

fn author(text: &str) -> Result<Named, String> {
    let (name, followers) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or("must be NAME=FOLLOWERS, such as nabi=650m")?;
    let Amount(followers) = followers.parse()?;
    Ok(Named {
        name: name.to_owned(),
        followers,
    })
}

impl Options {
    /// What they say together.
    pub fn usage(&self, template: &Template) -> Result<Usage, Error> {
        let daily_users = self.daily_users.0;
        let users = self
            .users
            .map_or(daily_users * USERS_PER_DAILY, |users| users.0);
        // Totals stand for all users: who is none has nothing to share out.
        let each = |one: Amount, all: Option<Amount>| match all {
            Some(Amount(all)) if daily_users > 0.0 => all / daily_users,
            _ => one.0,
        };
        let follows_held = self.follows_held.0;
        let most = self
            .max_followers
            .map_or((users / 5.0).max(follows_held), |most| most.0);
        Usage {
            daily_users,
            users,
            per_user: PerUser {
                reads: each(self.reads, self.total_reads),
                posts: each(self.posts, self.total_posts),
                photos: each(self.photos, self.total_photos),
                likes: each(self.likes, self.total_likes),
                follows: each(self.follows, self.total_follows),
                comments: self.comments.0,
                comment_pages: self.comment_pages.0,
                list_pages: self.list_pages.0,
                profiles: self.profiles.0,
                searches: self.searches.0,
                classified: self.classified.0,
            },
            follows_held,
            followers: Followers::new(self.follower_exponent.0, most, follows_held)?,
            named: self.authors.clone(),
            threshold: self
                .influencer_followers
                .map_or(template.influencer_followers, |threshold| threshold.0),
            photo_bytes: self.photo_kb.0 * 1e3,
            photos_seen: self.photos_seen.0,
            tags: self.tags.0,
            cats: self.cats.0,
            peak: self.peak.0,
            burst: self.burst.0,
            fresh: self.fresh.0,
            days_read: self.days_read.0,
            hot_post: self.hot_post.0,
            months: self.months.0,
            log_months: self.log_months.0,
            zones: self.zones.into(),
            egress: self.egress,
            cache: self.cache,
            region: self.region,
            architecture: self.architecture,
            account_concurrency: self.account_concurrency.0,
            free_tier: !self.no_free_tier,
        }
        .checked()
    }
}
