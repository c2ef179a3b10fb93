//! AWS's prices, from the compiled-in `prices.toml`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::Error;

const FILE: &str = include_str!("../prices.toml");

/// The region.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum,
)]
pub enum Region {
    /// North Virginia.
    #[serde(rename = "us-east-1")]
    #[value(name = "us-east-1")]
    UsEast1,
    /// Seoul.
    #[serde(rename = "ap-northeast-2")]
    #[value(name = "ap-northeast-2")]
    ApNortheast2,
}

/// A unit price.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Price {
    /// The unit.
    pub unit: String,
    /// Units that are free each month.
    pub free: f64,
    /// The month of the price.
    pub as_of: String,
    /// AWS's page.
    #[expect(dead_code, reason = "readers of the file look the price up there")]
    page: String,
    /// Whether AWS lists this price, instead of it being derived from another.
    pub sure: bool,
    #[serde(flatten)]
    dollars: BTreeMap<Region, f64>,
}

/// A type of cache node.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Node {
    pub name: String,
    pub gib: f64,
    /// The month of the price.
    pub as_of: String,
    /// AWS's page.
    pub page: String,
    /// Whether AWS lists this price, instead of it being derived from another.
    pub sure: bool,
    #[serde(flatten)]
    dollars: BTreeMap<Region, f64>,
}

/// A flat-rate plan of `CloudFront`, the same in every region.
#[derive(Debug, Clone, Deserialize, Serialize)]
pub(crate) struct FlatPlan {
    pub name: String,
    /// Dollars a month.
    #[serde(rename(serialize = "dollars"))]
    pub month: f64,
    /// Millions of requests that a month includes.
    pub million_requests: f64,
    /// Gigabytes that a month includes.
    pub gb: f64,
    /// The month of the price.
    #[expect(dead_code, reason = "readers of the file look at it")]
    #[serde(skip_serializing)]
    as_of: String,
    /// AWS's page.
    #[expect(dead_code, reason = "readers of the file look the price up there")]
    #[serde(skip_serializing)]
    page: String,
}

/// All prices. The file gives their units and pages.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Prices {
    pub lambda_requests: Price,
    pub lambda_gb_seconds_x86: Price,
    pub lambda_gb_seconds_arm: Price,
    pub alb_hours: Price,
    pub alb_lcu_hours: Price,
    pub public_ipv4_hours: Price,
    pub dynamodb_writes: Price,
    pub dynamodb_reads: Price,
    pub dynamodb_storage: Price,
    pub dynamodb_backup: Price,
    pub sqs_requests: Price,
    pub s3_puts: Price,
    pub s3_gets: Price,
    pub s3_storage: Price,
    pub cloudfront_transfer: Price,
    pub cloudfront_requests: Price,
    /// The cheapest first.
    pub cloudfront_plans: Vec<FlatPlan>,
    pub transfer_out: Price,
    pub cache_gb_hours: Price,
    pub cache_ecpus: Price,
    pub cache_nodes: Vec<Node>,
    pub logs_ingested: Price,
    pub logs_stored: Price,
    pub alarms: Price,
    pub dashboards: Price,
    pub nat_hours: Price,
    pub nat_gb: Price,
    pub endpoint_hours: Price,
    pub endpoint_gb: Price,
}

impl Price {
    /// Returns the dollars for a unit in a region.
    pub(crate) fn of(&self, region: Region) -> Result<f64, Error> {
        price(&self.dollars, region, &self.unit)
    }
}

impl Node {
    /// Returns the price of an hour.
    pub(crate) fn hour(&self) -> Price {
        Price {
            unit: format!("hour of {}", self.name),
            free: 0.0,
            as_of: self.as_of.clone(),
            page: self.page.clone(),
            sure: self.sure,
            dollars: self.dollars.clone(),
        }
    }
}

fn price(dollars: &BTreeMap<Region, f64>, region: Region, what: &str) -> Result<f64, Error> {
    let found = dollars.get(&region).copied();
    found.ok_or_else(|| {
        Error::file(
            "prices.toml",
            format!("no price for a {what} in {region:?}"),
        )
    })
}

impl Prices {
    /// Returns the cheapest flat-rate plan that includes this many requests and gigabytes a month.
    pub(crate) fn flat_plan(&self, million_requests: f64, gb: f64) -> Option<&FlatPlan> {
        let mut plans = self.cloudfront_plans.iter();
        plans.find(|plan| million_requests <= plan.million_requests && gb <= plan.gb)
    }

    /// Returns the compiled-in prices.
    pub(crate) fn built_in() -> Result<Self, Error> {
        toml::from_str(FILE).map_err(|error| Error::file("prices.toml", error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_price_has_every_region_and_a_page() {
        let prices = Prices::built_in().unwrap();
        let table: toml::Table = toml::from_str(FILE).unwrap();
        let nodes = prices.cache_nodes.iter();
        for node in nodes {
            let dollars = |region| node.hour().of(region).unwrap();
            assert!(dollars(Region::UsEast1) <= dollars(Region::ApNortheast2));
        }
        let plans = &prices.cloudfront_plans;
        assert!(plans.is_sorted_by(|one, other| one.month < other.month));
        for (name, value) in &table {
            let entries = value.as_array().cloned();
            for entry in entries.unwrap_or_else(|| vec![value.clone()]) {
                let entry = entry.as_table().unwrap();
                if name != "cloudfront_plans" {
                    for region in ["us-east-1", "ap-northeast-2"] {
                        assert!(entry[region].as_float().unwrap() > 0.0, "{name}");
                    }
                }
                let page = entry["page"].as_str().unwrap();
                assert!(page.starts_with("https://aws.amazon.com/"), "{name}");
                assert!(entry["as_of"].as_str().unwrap().len() == 7, "{name}");
            }
        }
    }

    #[test]
    fn flat_plan_is_the_cheapest_whose_allowance_suffices() {
        let prices = Prices::built_in().unwrap();
        let name = |requests, gb| {
            prices
                .flat_plan(requests, gb)
                .map(|plan| plan.name.as_str())
        };
        assert_eq!(name(0.0, 0.0), Some("Free"));
        assert_eq!(name(0.5, 200.0), Some("Pro"));
        assert_eq!(name(12.0, 200.0), Some("Business"));
        assert_eq!(name(12.0, 60_000.0), None);
    }
}
