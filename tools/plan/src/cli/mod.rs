//! The command line: everything is parsed here, and refused here by its option's name.

mod amount;
mod options;
mod run;

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

pub use amount::{Amount, Share};
pub use options::Options;
pub use run::run;

const EXAMPLES: &str = "\
Examples:
  ./dev plan                                            10,000 daily users in North Virginia
  ./dev plan --daily-users 1m --region ap-northeast-2   a million in Seoul
  ./dev plan --daily-users 50k --posts 0.3 --total-photos 2000 --author nabi=200k
  ./dev plan --scenario influencer --followers 650m     somebody with 650 million followers posts
  ./dev plan --scenario lunch --requests 5000 --out .   5,000 requests in a minute, with a picture
  ./dev plan --scenario failover --outage 30            half a minute without the cache, at peak
  ./dev plan --floors                                   what it costs with nobody there
  ./dev plan --json | jq .month_dollars

Numbers may be written 10000, 10_000, 10k, 1.5m or 2g. Prices are entered by hand in tools/plan/prices.toml,
what each operation costs stands in tools/plan/measured.toml with its source, limits come from template.yaml.";

/// What Purrline costs at a size, what it stops at, and what happens on a bad day.
#[derive(Debug, Parser)]
#[command(name = "plan", bin_name = "./dev plan", version, after_help = EXAMPLES, allow_negative_numbers = true)]
pub struct Arguments {
    /// Who does how much.
    #[command(flatten)]
    pub options: Options,
    /// Instead of the plan: play this through.
    #[arg(long, value_enum)]
    pub scenario: Option<Name>,
    /// [influencer] Followers of the author who posts.
    #[arg(long, default_value = "650m")]
    pub followers: Amount,
    /// [influencer] Which part of them opens their feed within the hour.
    #[arg(long, default_value = "0.1")]
    pub active: Share,
    /// [influencer] Which part of those likes the post.
    #[arg(long, default_value = "0.05")]
    pub like_share: Share,
    /// [lunch] Requests.
    #[arg(long, default_value = "5000")]
    pub requests: Amount,
    /// [lunch] Seconds within which they come.
    #[arg(long, default_value = "60")]
    pub within: Amount,
    /// [failover] Seconds without a cache.
    #[arg(long, default_value = "30")]
    pub outage: Amount,
    /// Instead of the plan: what a month costs with nobody there, for each way to set it up.
    #[arg(long, conflicts_with_all = ["scenario", "out"])]
    pub floors: bool,
    /// Write the pictures into this folder, as SVG.
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// What may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Name {
    /// An author with very many followers posts.
    Influencer,
    /// All come within a minute.
    Lunch,
    /// The cache is gone for a while, and comes back empty.
    Failover,
}
