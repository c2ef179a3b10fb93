//! Who does how much: what a plan is made for.

use serde::Serialize;

use crate::Error;
use crate::followers::{Followers, Named};
use crate::prices::Region;

/// What a daily user does on an average day.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct PerUser {
    /// Pages of the feed read.
    pub reads: f64,
    /// Posts written.
    pub posts: f64,
    /// Photos uploaded.
    pub photos: f64,
    /// Likes.
    pub likes: f64,
    /// New follows.
    pub follows: f64,
    /// Comments written.
    pub comments: f64,
    /// Pages of comments read.
    pub comment_pages: f64,
    /// Pages of somebody's, a cat's or a tag's posts read.
    pub list_pages: f64,
    /// Profiles read.
    pub profiles: f64,
    /// Searches.
    pub searches: f64,
    /// Photos classified.
    pub classified: f64,
}

/// The functions' processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Architecture {
    /// `x86_64`
    X86,
    /// `arm64`
    Arm,
}

/// How functions reach what no gateway endpoint leads to: SQS, Lambda, the sign-in provider's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Egress {
    /// Over IPv6, outwards only
    Ipv6,
    /// By one NAT gateway
    Nat,
    /// By a NAT gateway in each zone
    NatInEachZone,
    /// By endpoints in each zone for SQS, Lambda and Cognito (weighed, not in the template)
    Endpoints,
    /// By an existing network, whose price is not ours
    Existing,
}

/// What the cache is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Cache {
    /// Grows by itself, over all zones
    Serverless,
    /// The cheapest nodes that hold it, without replicas; how much they can do is not looked at
    Single,
    /// The same, each with a replica in another zone
    Doubled,
}

/// All of it.
#[derive(Debug, Clone, Serialize)]
pub struct Usage {
    /// Users on an average day.
    pub daily_users: f64,
    /// All users there are.
    pub users: f64,
    /// What one does a day.
    pub per_user: PerUser,
    /// How many a user follows.
    pub follows_held: f64,
    /// How many followers authors have.
    pub followers: Followers,
    /// Authors besides.
    pub named: Vec<Named>,
    /// From how many followers on an author's posts are merged when they are read.
    pub threshold: f64,
    /// A photo's bytes, as uploaded and as shown.
    pub photo_bytes: f64,
    /// Photos that a client fetches for a page of the feed: it has the others.
    pub photos_seen: f64,
    /// Tags of a post.
    pub tags: f64,
    /// Cats of a post.
    pub cats: f64,
    /// The busiest hour over the mean one.
    pub peak: f64,
    /// The busiest minute over the busiest hour.
    pub burst: f64,
    /// Which part of a page's posts its reader has not met within the hour.
    pub fresh: f64,
    /// For how many days a post is read.
    pub days_read: f64,
    /// Which part of all likes goes to the one post that has the most, in the busiest hour.
    pub hot_post: f64,
    /// For how many months there have been such days: what is stored.
    pub months: f64,
    /// For how many months logs are kept.
    pub log_months: f64,
    /// Availability zones with a subnet.
    pub zones: f64,
    /// How functions reach the rest of AWS.
    pub egress: Egress,
    /// What the cache is.
    pub cache: Cache,
    /// Where it runs.
    pub region: Region,
    /// On what.
    pub architecture: Architecture,
    /// Concurrent executions that the account may have.
    pub account_concurrency: f64,
    /// Whether what is free each month is taken off.
    pub free_tier: bool,
}

/// Days of an average month.
pub const MONTH_DAYS: f64 = 365.25 / 12.0;
/// Hours of it.
pub const MONTH_HOURS: f64 = MONTH_DAYS * 24.0;
/// Seconds of a day.
pub const DAY_SECONDS: f64 = 86_400.0;

/// More of anything a day is taken for a slip.
const MOST_A_DAY: f64 = 1e12;

impl Usage {
    /// Nobody comes.
    #[must_use]
    pub fn at_rest(&self) -> Self {
        Self {
            daily_users: 0.0,
            users: 0.0,
            named: Vec::new(),
            ..self.clone()
        }
    }

    /// The same with so many times the users.
    #[must_use]
    pub fn times(&self, factor: f64) -> Self {
        Self {
            daily_users: self.daily_users * factor,
            users: self.users * factor,
            ..self.clone()
        }
    }

    /// How many a day, of what a user does so often.
    pub fn daily(&self, per_user: f64) -> f64 {
        self.daily_users * per_user
    }

    /// Users seen within an hour of the busiest, if each comes three times a day.
    pub fn hourly_users(&self) -> f64 {
        self.daily_users * (3.0 * self.peak / 24.0).min(1.0)
    }

    /// Authors that a user follows whose posts are merged.
    pub fn influencers_followed(&self) -> f64 {
        let unnamed = self.follows_held * self.followers.follows_above(self.threshold);
        let named = self.named.iter();
        let named = named.filter(|author| author.followers > self.threshold);
        let by_name: f64 = named
            .map(|author| (author.followers / self.users.max(1.0)).min(1.0))
            .sum();
        unnamed + by_name
    }

    /// The most followers that anybody has.
    pub fn most_followers(&self) -> f64 {
        let named = self.named.iter().map(|author| author.followers);
        named.fold(self.followers.most(), f64::max)
    }

    /// Feeds that a post is pushed onto, on average.
    pub fn pushes(&self) -> f64 {
        self.followers.mean_up_to(self.threshold)
    }

    /// Refuses what can't be.
    pub fn checked(self) -> Result<Self, Error> {
        let refuse = |option, problem: String| Err(Error::Option { option, problem });
        if self.users < self.daily_users {
            let problem = format!("can't be below --daily-users ({})", self.daily_users);
            return refuse("--users", problem);
        }
        let per = self.per_user;
        let habits = [
            ("--daily-users", 1.0),
            ("--reads", per.reads),
            ("--posts", per.posts),
            ("--photos", per.photos),
            ("--likes", per.likes),
            ("--follows", per.follows),
        ];
        for (option, habit) in habits {
            if self.daily(habit) > MOST_A_DAY {
                let problem = format!("more than {MOST_A_DAY:.0} a day by all together");
                return refuse(option, problem);
            }
        }
        let mut named = self.named.iter();
        if let Some(author) = named.find(|author| author.followers > self.users) {
            let problem = format!(
                "{} can't have more followers than there are --users ({})",
                author.name, self.users
            );
            return refuse("--author", problem);
        }
        if self.peak > 24.0 {
            let problem = "an hour can't have more than the whole day: at most 24".to_owned();
            return refuse("--peak", problem);
        }
        Ok(self)
    }
}
