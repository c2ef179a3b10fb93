//! The usage that a plan is made for: users, their habits, and the setup.

use serde::Serialize;

use crate::Error;
use crate::cli::{amount, share};
use crate::followers::{Followers, NamedAuthor};
use crate::prices::Region;

/// Actions of a daily user on an average day.
#[derive(Debug, Clone, Copy, Serialize, clap::Args)]
pub struct PerUser {
    /// Pages of the feed that a daily user reads a day.
    #[arg(long, default_value = "8", value_parser = amount)]
    pub reads: f64,
    /// Posts that a daily user writes a day.
    #[arg(long, default_value = "0.1", value_parser = amount)]
    pub posts: f64,
    /// Photos that a daily user uploads a day.
    #[arg(long, default_value = "0.12", value_parser = amount)]
    pub photos: f64,
    /// Photos that a daily user takes away a day, by deleting or editing what shows them.
    #[arg(long, default_value = "0.01", value_parser = amount)]
    pub photos_dropped: f64,
    /// Likes of a daily user a day.
    #[arg(long, default_value = "4", value_parser = amount)]
    pub likes: f64,
    /// New follows of a daily user a day.
    #[arg(long, default_value = "0.3", value_parser = amount)]
    pub follows: f64,
    /// Comments that a daily user writes a day.
    #[arg(long, default_value = "0.4", value_parser = amount)]
    pub comments: f64,
    /// Pages of comments that a daily user reads a day.
    #[arg(long, default_value = "2", value_parser = amount)]
    pub comment_pages: f64,
    /// Pages of a user's, a cat's or a tag's posts that a daily user reads a day.
    #[arg(long, default_value = "2", value_parser = amount)]
    pub list_pages: f64,
    /// Profiles that a daily user looks at a day.
    #[arg(long, default_value = "2", value_parser = amount)]
    pub profiles: f64,
    /// Searches of a daily user a day.
    #[arg(long, default_value = "0.5", value_parser = amount)]
    pub searches: f64,
    /// Photos that a daily user has classified a day.
    #[arg(long, default_value = "0.02", value_parser = amount)]
    pub classified: f64,
}

/// Photos, tags and reading habits, and the distribution of traffic over time.
#[derive(Debug, Clone, Copy, Serialize, clap::Args)]
pub struct Habits {
    /// Photos that a client fetches for a page of the feed; it has the others already.
    #[arg(long, default_value = "5", value_parser = amount)]
    pub photos_seen: f64,
    /// Avatars that a client fetches for a page of the feed; it keeps each for a month.
    #[arg(long, default_value = "1", value_parser = amount)]
    pub avatars_seen: f64,
    /// Width of the picture that a client fetches of a photo, in pixels; of an avatar it fetches the smallest.
    #[arg(long, value_enum, default_value = "640")]
    pub photo_width: Width,
    /// Tags of a post.
    #[arg(long, default_value = "2", value_parser = amount)]
    pub tags: f64,
    /// Cats of a post.
    #[arg(long, default_value = "0.7", value_parser = amount)]
    pub cats: f64,
    /// Traffic of the busiest hour relative to the mean hour.
    #[arg(long, default_value = "3", value_parser = amount)]
    pub peak: f64,
    /// Traffic of the busiest minute relative to the busiest hour.
    #[arg(long, default_value = "3", value_parser = amount)]
    pub burst: f64,
    /// Share of a page's posts that its reader has not met within the hour.
    #[arg(long, default_value = "0.5", value_parser = share)]
    pub fresh: f64,
    /// Days for which a post is read.
    #[arg(long, default_value = "3", value_parser = amount)]
    pub days_read: f64,
    /// Share of likes that the most liked post gets in the busiest hour.
    #[arg(long, default_value = "0.05", value_parser = share)]
    pub hot_post: f64,
    /// Months of operation so far, which determine the stored data.
    #[arg(long, default_value = "12", value_parser = amount)]
    pub months: f64,
    /// Months for which logs are kept.
    #[arg(long, default_value = "1", value_parser = amount)]
    pub log_months: f64,
}

/// The width of a picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
pub enum Width {
    /// 320 pixels
    #[serde(rename = "320")]
    #[value(name = "320")]
    Small,
    /// 640 pixels
    #[serde(rename = "640")]
    #[value(name = "640")]
    Medium,
    /// 1,280 pixels
    #[serde(rename = "1280")]
    #[value(name = "1280")]
    Large,
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

/// The path of functions to services without a gateway endpoint: SQS, Lambda, the sign-in provider's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Egress {
    /// IPv6, egress only
    Ipv6,
    /// One NAT gateway
    Nat,
    /// A NAT gateway in each zone
    NatInEachZone,
    /// Endpoints in each zone for SQS, Lambda and Cognito (compared, not in the template)
    Endpoints,
    /// An existing network, whose price is not included
    Existing,
}

/// The kind of cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Cache {
    /// Serverless, which scales by itself, over all zones
    Serverless,
    /// The cheapest nodes with enough memory, without replicas; their throughput is not considered
    Single,
    /// The same, each with a replica in another zone
    Doubled,
}

/// All inputs about users and setup.
#[derive(Debug, Clone, Serialize)]
pub struct Usage {
    /// Users on an average day.
    pub daily_users: f64,
    /// All users.
    pub users: f64,
    pub per_user: PerUser,
    /// Users that a user follows, on average.
    pub follows_held: f64,
    /// The distribution of authors' follower counts.
    pub followers: Followers,
    /// Additional authors, by name.
    pub named: Vec<NamedAuthor>,
    /// The number of followers from which an author's posts are merged when they are read.
    pub threshold: f64,
    /// Bytes of an upload.
    pub upload_bytes: f64,
    /// The shape of the load.
    #[serde(flatten)]
    pub habits: Habits,
    /// Availability zones with a subnet.
    pub zones: f64,
    pub egress: Egress,
    pub cache: Cache,
    pub region: Region,
    pub architecture: Architecture,
    /// The account's limit of concurrent executions.
    pub account_concurrency: f64,
    /// Whether the monthly free tier is deducted.
    pub free_tier: bool,
}

pub(crate) const MONTH_DAYS: f64 = 365.25 / 12.0;
pub(crate) const MONTH_HOURS: f64 = MONTH_DAYS * 24.0;
pub(crate) const DAY_SECONDS: f64 = 86_400.0;

/// More of any action a day is taken for a typing error.
const MOST_A_DAY: f64 = 1e12;

impl Usage {
    /// Returns the usage without any users.
    #[must_use]
    pub fn at_rest(&self) -> Self {
        Self {
            daily_users: 0.0,
            users: 0.0,
            named: Vec::new(),
            ..self.clone()
        }
    }

    /// Returns the usage with a multiple of the users.
    #[must_use]
    pub fn times(&self, factor: f64) -> Self {
        Self {
            daily_users: self.daily_users * factor,
            users: self.users * factor,
            ..self.clone()
        }
    }

    /// Returns the number a day of an action by all daily users.
    pub fn daily(&self, per_user: f64) -> f64 {
        self.daily_users * per_user
    }

    /// Returns the users of the busiest hour, if each comes three times a day.
    pub fn hourly_users(&self) -> f64 {
        self.daily_users * (3.0 * self.habits.peak / 24.0).min(1.0)
    }

    /// Returns the mean number of followed authors whose posts are merged.
    pub fn influencers_followed(&self) -> f64 {
        let unnamed = self.follows_held * self.followers.follows_above(self.threshold);
        let named = self.named.iter();
        let named = named.filter(|author| author.followers > self.threshold);
        let by_name: f64 = named
            .map(|author| (author.followers / self.users.max(1.0)).min(1.0))
            .sum();
        unnamed + by_name
    }

    /// Returns the largest number of followers.
    pub fn most_followers(&self) -> f64 {
        let named = self.named.iter().map(|author| author.followers);
        named.fold(self.followers.most(), f64::max)
    }

    /// Returns the mean number of feeds that a post is pushed to.
    pub fn pushes(&self) -> f64 {
        self.followers.mean_up_to(self.threshold)
    }

    /// Refuses impossible values.
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
            ("--photos-dropped", per.photos_dropped),
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
        if per.photos_dropped > per.photos {
            let problem = format!("can't be above --photos ({})", per.photos);
            return refuse("--photos-dropped", problem);
        }
        if self.habits.peak > 24.0 {
            let problem = "an hour can't have more than the whole day: at most 24".to_owned();
            return refuse("--peak", problem);
        }
        Ok(self)
    }
}
