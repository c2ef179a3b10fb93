//! A month's bill, line by line.

use serde::Serialize;

use crate::Error;
use crate::cache_size;
use crate::measured::Measured;
use crate::nodes;
use crate::prices::{Price, Prices};
use crate::template::Template;
use crate::traffic::Traffic;
use crate::usage::{Architecture, Cache, DAY_SECONDS, Egress, MONTH_DAYS, MONTH_HOURS, Usage};

/// One line of the bill.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct LineItem {
    pub service: &'static str,
    /// The metered quantity.
    pub what: String,
    /// Units, before the free tier.
    pub quantity: f64,
    pub unit: String,
    /// Free units a month, shared by all lines with the same price.
    pub free: f64,
    /// Dollars, after the free tier.
    pub dollars: f64,
    /// The month of the price.
    pub as_of: String,
    /// Whether AWS lists this price, instead of it being derived from another.
    pub sure: bool,
}

/// Collects the lines of a bill.
struct BillBuilder<'a> {
    usage: &'a Usage,
    lines: Vec<LineItem>,
}

impl BillBuilder<'_> {
    fn add(
        &mut self,
        service: &'static str,
        what: impl Into<String>,
        quantity: f64,
        price: &Price,
    ) -> Result<(), Error> {
        self.lines.push(LineItem {
            service,
            what: what.into(),
            quantity,
            unit: price.unit.clone(),
            free: if self.usage.free_tier {
                price.free
            } else {
                0.0
            },
            dollars: quantity * price.of(self.usage.region)?,
            as_of: price.as_of.clone(),
            sure: price.sure,
        });
        Ok(())
    }

    /// Returns the lines with the free tier deducted, shared among the lines of a price in proportion.
    fn finish(self) -> Vec<LineItem> {
        let is_alike = |one: &LineItem, other: &LineItem| {
            (one.service, &one.unit) == (other.service, &other.unit)
        };
        let lines = self.lines.iter().map(|line| {
            let alike = self.lines.iter().filter(|other| is_alike(line, other));
            let all: f64 = alike.map(|line| line.quantity).sum();
            let paid = if all > 0.0 {
                (1.0 - line.free / all).max(0.0)
            } else {
                1.0
            };
            LineItem {
                dollars: line.dollars * paid,
                ..line.clone()
            }
        });
        lines.collect()
    }
}

/// Returns the bytes stored in each table: those that the days so far have left, and the users themselves.
fn stored(usage: &Usage, traffic: &Traffic) -> Vec<(String, f64)> {
    let days = usage.habits.months * MONTH_DAYS;
    traffic
        .tables
        .keys()
        .map(|table| {
            let left = traffic.stored.get(table).copied().unwrap_or(0.0) * days;
            let users = match table.as_str() {
                "Users" => usage.users * 600.0,
                // Two rows and two entries of the index for each.
                "Follows" => usage.users * usage.follows_held * 480.0,
                // Rows live for a day.
                "Idempotency" => traffic.tables.get(table).map_or(0.0, |units| units.write) * 500.0,
                _ => 0.0,
            };
            (table.clone(), (left + users) / 1e9)
        })
        .collect()
}

/// Returns the load balancer's capacity units in an average hour: the largest of their four measures.
fn lcus(traffic: &Traffic, rules: f64) -> f64 {
    let rate = traffic.requests / DAY_SECONDS;
    // A client sends some five requests over a connection, and keeps it for a minute.
    let connections = rate / 5.0;
    let gigabytes = (traffic.request_bytes + traffic.answer_bytes) / 24.0 / 1e9;
    // Ten rules are free; on average half of them are looked at.
    let evaluations = rate * (rules / 2.0 - 10.0).max(0.0);
    (connections / 25.0)
        .max(connections * 60.0 / 3_000.0)
        .max(gigabytes / 0.4)
        .max(evaluations / 1_000.0)
}

/// Returns the bill of a month of such days.
pub(crate) fn lines(
    usage: &Usage,
    traffic: &Traffic,
    measured: &Measured,
    template: &Template,
    prices: &Prices,
) -> Result<Vec<LineItem>, Error> {
    let mut bill = BillBuilder {
        usage,
        lines: Vec::new(),
    };
    lambda(&mut bill, traffic, prices)?;
    let balancer = lcus(traffic, template.rules);
    bill.add("ALB", "hours", MONTH_HOURS, &prices.alb_hours)?;
    let hours = balancer * MONTH_HOURS;
    bill.add("ALB", "capacity", hours, &prices.alb_lcu_hours)?;
    let addresses = usage.zones * MONTH_HOURS;
    bill.add("ALB", "addresses", addresses, &prices.public_ipv4_hours)?;
    let answers = traffic.answer_bytes * MONTH_DAYS / 1e9;
    bill.add("ALB", "answers", answers, &prices.transfer_out)?;
    dynamodb(&mut bill, traffic, prices)?;
    let calls = traffic.sqs_calls * MONTH_DAYS / 1e6;
    bill.add("SQS", "requests", calls, &prices.sqs_requests)?;
    storage_and_pictures(&mut bill, traffic, measured, prices)?;
    let cached = cache_size::bytes(&cache_size::parts(usage, measured));
    cache(&mut bill, traffic, cached, prices)?;
    let logs = traffic.log_bytes * MONTH_DAYS / 1e9;
    bill.add("CloudWatch", "logs", logs, &prices.logs_ingested)?;
    let kept = logs * usage.habits.log_months;
    bill.add("CloudWatch", "logs kept", kept, &prices.logs_stored)?;
    bill.add(
        "CloudWatch",
        "alarms",
        template.alarm_metrics,
        &prices.alarms,
    )?;
    bill.add(
        "CloudWatch",
        "dashboards",
        template.dashboards,
        &prices.dashboards,
    )?;
    network(&mut bill, traffic, prices)?;
    Ok(bill.finish())
}

fn lambda(bill: &mut BillBuilder<'_>, traffic: &Traffic, prices: &Prices) -> Result<(), Error> {
    let price = match bill.usage.architecture {
        Architecture::X86 => &prices.lambda_gb_seconds_x86,
        Architecture::Arm => &prices.lambda_gb_seconds_arm,
    };
    for (function, runs) in &traffic.functions {
        let requests = runs.invocations * MONTH_DAYS / 1e6;
        let what = format!("{function}, requests");
        bill.add("Lambda", what, requests, &prices.lambda_requests)?;
        let gb_seconds = runs.seconds * MONTH_DAYS * runs.memory_mb / 1024.0 / 1e6;
        bill.add("Lambda", format!("{function}, time"), gb_seconds, price)?;
    }
    Ok(())
}

fn dynamodb(bill: &mut BillBuilder<'_>, traffic: &Traffic, prices: &Prices) -> Result<(), Error> {
    for (table, units) in &traffic.tables {
        let (read, write) = (units.read * MONTH_DAYS, units.write * MONTH_DAYS);
        let reads = format!("{table}, reads");
        bill.add("DynamoDB", reads, read / 1e6, &prices.dynamodb_reads)?;
        let writes = format!("{table}, writes");
        bill.add("DynamoDB", writes, write / 1e6, &prices.dynamodb_writes)?;
    }
    for (table, gigabytes) in stored(bill.usage, traffic) {
        let what = format!("{table}, storage");
        bill.add("DynamoDB", what, gigabytes, &prices.dynamodb_storage)?;
        // A service of its own here, so that the free storage is not taken off it.
        let what = format!("{table}, backup");
        bill.add("DynamoDB backup", what, gigabytes, &prices.dynamodb_backup)?;
    }
    Ok(())
}

fn storage_and_pictures(
    bill: &mut BillBuilder<'_>,
    traffic: &Traffic,
    measured: &Measured,
    prices: &Prices,
) -> Result<(), Error> {
    let usage = bill.usage;
    let gets = (traffic.s3_gets + traffic.picture_fetches) * MONTH_DAYS / 1e6;
    bill.add(
        "S3",
        "PUTs",
        traffic.s3_puts * MONTH_DAYS / 1e6,
        &prices.s3_puts,
    )?;
    bill.add("S3", "GETs", gets, &prices.s3_gets)?;
    let kept = usage.per_user.photos - usage.per_user.photos_dropped;
    let kept = usage.daily(kept) * MONTH_DAYS * usage.habits.months;
    let uploads = kept * usage.upload_bytes / 1e9;
    bill.add("S3", "uploads kept", uploads, &prices.s3_storage)?;
    let pictures = kept * measured.pictures.all_bytes() / 1e9;
    bill.add("S3", "pictures kept", pictures, &prices.s3_storage)?;
    let transfer = traffic.picture_bytes * MONTH_DAYS / 1e9;
    bill.add(
        "CloudFront",
        "pictures",
        transfer,
        &prices.cloudfront_transfer,
    )?;
    let views = traffic.picture_views * MONTH_DAYS / 1e6;
    bill.add("CloudFront", "requests", views, &prices.cloudfront_requests)
}

fn cache(
    bill: &mut BillBuilder<'_>,
    traffic: &Traffic,
    bytes: f64,
    prices: &Prices,
) -> Result<(), Error> {
    let replicas = match bill.usage.cache {
        Cache::Serverless => {
            // Less than a tenth of a gigabyte costs as much.
            let hours = (bytes / 1e9).max(0.1) * MONTH_HOURS;
            bill.add("ElastiCache", "memory", hours, &prices.cache_gb_hours)?;
            let ecpus = traffic.ecpus * MONTH_DAYS / 1e6;
            return bill.add("ElastiCache", "ECPUs", ecpus, &prices.cache_ecpus);
        }
        Cache::Single => 0,
        Cache::Doubled => 1,
    };
    let nodes = nodes::cheapest(bytes, replicas, bill.usage, prices)?;
    let hours = nodes.count() * MONTH_HOURS;
    bill.add("ElastiCache", "nodes", hours, &nodes.hour)
}

/// Adds the path to SQS, Lambda and the sign-in provider's keys.
fn network(bill: &mut BillBuilder<'_>, traffic: &Traffic, prices: &Prices) -> Result<(), Error> {
    // Fetching keys is negligible; the traffic is the sent messages, of a kilobyte each with headers.
    let messages: f64 = traffic.messages.values().sum();
    let sent = messages * MONTH_DAYS * 1e3 / 1e9;
    let zones = bill.usage.zones;
    let gateways = match bill.usage.egress {
        Egress::Ipv6 | Egress::Existing => return Ok(()),
        Egress::Endpoints => {
            let hours = 3.0 * zones * MONTH_HOURS;
            bill.add("Network", "endpoints", hours, &prices.endpoint_hours)?;
            return bill.add("Network", "messages sent", sent, &prices.endpoint_gb);
        }
        Egress::Nat => 1.0,
        Egress::NatInEachZone => zones,
    };
    let hours = gateways * MONTH_HOURS;
    bill.add("Network", "NAT gateways", hours, &prices.nat_hours)?;
    bill.add(
        "Network",
        "their addresses",
        hours,
        &prices.public_ipv4_hours,
    )?;
    bill.add("Network", "messages sent", sent, &prices.nat_gb)
}

pub(crate) fn total(lines: &[LineItem]) -> f64 {
    lines.iter().map(|line| line.dollars).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prices::Region;

    #[test]
    fn lines_of_a_price_share_its_free_tier() {
        let arguments = <crate::cli::Arguments as clap::Parser>::parse_from(["plan"]);
        let template = Template::built_in().unwrap();
        let usage = arguments.options.usage(&template).unwrap();
        let prices = Prices::built_in().unwrap();
        let mut bill = BillBuilder {
            usage: &usage,
            lines: Vec::new(),
        };
        let price = &prices.sqs_requests;
        bill.add("SQS", "one", 1.0, price).unwrap();
        bill.add("SQS", "three", 3.0, price).unwrap();
        let lines = bill.finish();
        let each = price.of(Region::UsEast1).unwrap();
        // One million of four is free.
        assert!((total(&lines) - 3.0 * each).abs() < 1e-9);
        assert!((lines[0].dollars - 0.75 * each).abs() < 1e-9);
    }

    #[test]
    fn costs_do_not_fall_with_usage() {
        let arguments = <crate::cli::Arguments as clap::Parser>::parse_from(["plan"]);
        let basis = crate::plan::Basis::built_in().unwrap();
        let usage = arguments.options.usage(&basis.template).unwrap();
        let one = basis.by_service(&usage).unwrap();
        let ten = basis.by_service(&usage.times(10.0)).unwrap();
        let rest = basis.by_service(&usage.at_rest()).unwrap();
        for (((service, one), (_, ten)), (_, rest)) in one.iter().zip(&ten).zip(&rest) {
            assert!(rest <= one && one <= ten, "{service}: {rest} {one} {ten}");
            assert!(*rest >= 0.0 && one.is_finite(), "{service}");
        }
    }
}
