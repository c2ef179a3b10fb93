//! The options about users, their habits and the setup.

use clap::Args;

use super::Amount;
use crate::Error;
use crate::followers::{Followers, NamedAuthor};
use crate::prices::Region;
use crate::template::Template;
use crate::usage::{Architecture, Cache, Egress, Habits, PerUser, Usage};

/// All users for each daily user.
const USERS_PER_DAILY: f64 = 5.0;

/// Options about users, their habits and the setup.
#[derive(Debug, Args)]
pub struct Options {
    /// Users on an average day.
    #[arg(long, default_value = "10k")]
    pub daily_users: Amount,
    /// All users [default: five times the daily users].
    #[arg(long)]
    pub users: Option<Amount>,
    /// The actions of a daily user.
    #[command(flatten)]
    pub per_user: PerUser,
    /// Users that a user follows, and followers of a user, on average.
    #[arg(long, default_value = "150")]
    pub follows_held: Amount,
    /// Exponent of the power law of authors' follower counts.
    #[arg(long, default_value = "2.1")]
    pub follower_exponent: Amount,
    /// Largest number of followers [default: a fifth of all users].
    #[arg(long)]
    pub max_followers: Option<Amount>,
    /// Additional author with this many followers; may be repeated.
    #[arg(long = "author", value_name = "NAME=FOLLOWERS", value_parser = author)]
    pub authors: Vec<NamedAuthor>,
    /// Followers from which an author's posts are merged when they are read [default: template.yaml's].
    #[arg(long)]
    pub influencer_followers: Option<Amount>,
    /// Size of an upload in kilobytes. It is kept, but never served.
    #[arg(long, default_value = "400")]
    pub photo_kb: Amount,
    /// The shape of the load.
    #[command(flatten)]
    pub habits: Habits,
    /// Availability zones.
    #[arg(long, default_value = "2", value_parser = clap::value_parser!(u8).range(2..=3))]
    pub zones: u8,
    /// Path of functions to SQS, Lambda and the sign-in provider's keys.
    #[arg(long, value_enum, default_value = "ipv6")]
    pub egress: Egress,
    /// Kind of cache.
    #[arg(long, value_enum, default_value = "serverless")]
    pub cache: Cache,
    /// Region.
    #[arg(long, value_enum, default_value = "us-east-1")]
    pub region: Region,
    /// Processor of the functions.
    #[arg(long, value_enum, default_value = "x86")]
    pub architecture: Architecture,
    /// Concurrent executions that the account allows; new accounts may allow fewer.
    #[arg(long, default_value = "1000")]
    pub account_concurrency: Amount,
    /// Don't deduct the monthly free tier.
    #[arg(long)]
    pub no_free_tier: bool,
}

fn author(text: &str) -> Result<NamedAuthor, String> {
    let (name, followers) = text
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or("must be NAME=FOLLOWERS, such as nabi=650m")?;
    let Amount(followers) = followers.parse()?;
    Ok(NamedAuthor {
        name: name.to_owned(),
        followers,
    })
}

impl Options {
    /// Returns the usage that the options describe.
    pub fn usage(&self, template: &Template) -> Result<Usage, Error> {
        let daily_users = self.daily_users.0;
        let users = self
            .users
            .map_or(daily_users * USERS_PER_DAILY, |users| users.0);
        let follows_held = self.follows_held.0;
        let most = self
            .max_followers
            .map_or((users / 5.0).max(follows_held), |most| most.0);
        Usage {
            daily_users,
            users,
            per_user: self.per_user,
            follows_held,
            followers: Followers::new(self.follower_exponent.0, most, follows_held)?,
            named: self.authors.clone(),
            threshold: self
                .influencer_followers
                .map_or(template.influencer_followers, |threshold| threshold.0),
            upload_bytes: self.photo_kb.0 * 1e3,
            habits: self.habits,
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
