//! The command line. Wrong values are refused here, by the option's name.

mod amount;
mod options;
mod run;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

pub use amount::{Amount, Share};
pub(crate) use amount::{amount, share};
pub use options::Options;
pub use run::run;

const EXAMPLES: &str = "\
Examples:
  ./dev plan                                            10,000 daily users in North Virginia
  ./dev plan --daily-users 1m --region ap-northeast-2   a million in Seoul
  ./dev plan --daily-users 50k --posts 0.3 --author nabi=200k
  ./dev plan --scenario influencer --followers 650m     somebody with 650 million followers posts
  ./dev plan --scenario lunch --requests 5000 --out .   5,000 requests in a minute, with a picture
  ./dev plan --scenario failover --outage 30            half a minute without the cache, at peak
  ./dev plan --floors                                   what it costs with nobody there
  ./dev plan --json | jq .month_dollars

Numbers may be written 10000, 10_000, 10k, 1.5m or 2g. Prices are entered by hand in tools/plan/prices.toml,
what each operation costs stands in tools/plan/measured.toml with its source, limits come from template.yaml.";

/// Shows the cost of Purrline at a size, the limits it meets, and the course of a bad day.
#[derive(Debug, Parser)]
#[command(name = "plan", bin_name = "./dev plan", version, after_help = EXAMPLES, allow_negative_numbers = true)]
pub struct Arguments {
    /// The options about usage and setup.
    #[command(flatten)]
    pub options: Options,
    /// Simulate this scenario instead of planning.
    #[arg(long, value_enum)]
    pub scenario: Option<Name>,
    /// For `influencer`: followers of the author who posts.
    #[arg(long, default_value = "650m")]
    pub followers: Amount,
    /// For `influencer`: share of the followers who open their feed within the hour.
    #[arg(long, default_value = "0.1")]
    pub active: Share,
    /// For `influencer`: share of those who like the post.
    #[arg(long, default_value = "0.05")]
    pub like_share: Share,
    /// For `lunch`: number of requests.
    #[arg(long, default_value = "5000")]
    pub requests: Amount,
    /// For `lunch`: seconds within which they arrive.
    #[arg(long, default_value = "60")]
    pub within: Amount,
    /// For `failover`: seconds without a cache.
    #[arg(long, default_value = "30")]
    pub outage: Amount,
    /// Show the monthly cost without users, for each setup, instead of planning.
    #[arg(long, conflicts_with_all = ["scenario", "out"])]
    pub floors: bool,
    /// Write charts into this folder, as SVG.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// A bad day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// An author with very many followers posts
    Influencer,
    /// Everybody comes within a minute
    Lunch,
    /// The cache fails for a while, and returns empty
    Failover,
}
