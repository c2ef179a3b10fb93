//! Every known limit, and the factor of traffic at which it is met.

use serde::Serialize;

use crate::Error;
use crate::cache_size;
use crate::measured::Measured;
use crate::partitions::{self, follower_shards};
use crate::queues::Peak;
use crate::template::Template;
use crate::traffic::Traffic;
use crate::usage::{Cache, Usage};

/// Read units a second of a table, and write units: the account's usual quota.
pub(crate) const TABLE: f64 = 40_000.0;
/// Units a second of a new table. It doubles the highest load it has seen, within half an hour.
pub(crate) const NEW_TABLE_READS: f64 = 12_000.0;
const NEW_TABLE_WRITES: f64 = 4_000.0;
/// Requests a second for each concurrent execution of a function.
const PER_EXECUTION: f64 = 10.0;
/// Requests a second of one prefix of a bucket.
const PREFIX_PUTS: f64 = 3_500.0;
const PREFIX_GETS: f64 = 5_500.0;
/// Bytes of all items with one partition key, in a table with a local index.
pub(crate) const COLLECTION: f64 = 10e9;
/// Messages of a standard queue that are being handled or have failed and are not visible yet.
pub(crate) const IN_FLIGHT: f64 = 120_000.0;
/// Rules of a load balancer.
const RULES: f64 = 100.0;

/// One limit.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Limit {
    /// The limited quantity.
    pub what: String,
    /// The load of the busiest minute.
    pub load: f64,
    pub capacity: f64,
    pub unit: &'static str,
    /// The origin of the limit, and the way to raise it.
    pub set_by: &'static str,
}

impl Limit {
    /// Returns the factor of traffic at which the limit is met.
    pub(crate) fn factor(&self) -> f64 {
        if self.load > 0.0 {
            self.capacity / self.load
        } else {
            f64::INFINITY
        }
    }
}

const QUOTA: &str = "a quota of the account, raised on request";
const FIXED: &str = "fixed by AWS";
const OURS: &str = "template.yaml";
const NEW: &str = "DynamoDB: grows by itself, warm throughput buys it ahead";

/// The limits found so far.
#[derive(Default)]
struct LimitList(Vec<Limit>);

impl LimitList {
    fn add(
        &mut self,
        what: impl Into<String>,
        load: f64,
        capacity: f64,
        unit: &'static str,
        set_by: &'static str,
    ) {
        self.0.push(Limit {
            what: what.into(),
            load,
            capacity,
            unit,
            set_by,
        });
    }
}

/// Returns all limits, in the order in which growing traffic meets them.
pub(crate) fn limits(
    usage: &Usage,
    traffic: &Traffic,
    queues: &[Peak],
    measured: &Measured,
    template: &Template,
) -> Result<Vec<Limit>, Error> {
    let mut found = LimitList::default();
    let busiest = |daily: f64| Traffic::at_peak(usage, daily) * usage.habits.burst;
    let seconds: f64 = traffic.functions.values().map(|runs| runs.seconds).sum();
    let runs: f64 = traffic
        .functions
        .values()
        .map(|runs| runs.invocations)
        .sum();
    let most = usage.account_concurrency;
    let executions = "Lambda: concurrent executions";
    found.add(executions, busiest(seconds), most, "at a time", QUOTA);
    let most = most * PER_EXECUTION;
    found.add(
        "Lambda: invocations",
        busiest(runs),
        most,
        "a second",
        QUOTA,
    );
    for peak in queues {
        let what = format!("Queue {}: what its consumer does", peak.queue);
        let (load, most) = (peak.minute_rate, peak.capacity);
        found.add(what, load, most, "messages a second", OURS);
    }
    dynamodb(&mut found, usage, traffic, template)?;
    let most = usage.most_followers();
    let collection = most * 2.0 * measured.sizes.follow_row / follower_shards(most);
    let what = "DynamoDB: items of one partition key (the most followed user's followers)";
    found.add(what, collection, COLLECTION, "bytes", FIXED);
    // Nodes are chosen by the memory needed.
    if usage.cache == Cache::Serverless {
        let cached = cache_size::bytes(&cache_size::parts(usage, measured));
        let most = template.cache_gb * 1e9;
        found.add("ElastiCache: memory", cached, most, "bytes", OURS);
        let what = "ElastiCache: operations";
        let (ecpus, most) = (busiest(traffic.ecpus), template.cache_ecpus);
        found.add(what, ecpus, most, "ECPUs a second", OURS);
    }
    let photos = busiest(usage.daily(usage.per_user.photos));
    found.add("S3: uploads/, PUTs", photos, PREFIX_PUTS, "a second", FIXED);
    let fetched = busiest(traffic.picture_fetches);
    found.add(
        "S3: pictures, GETs",
        fetched,
        PREFIX_GETS,
        "a second",
        FIXED,
    );
    let mut found = found.0;
    found.sort_by(|one, other| one.factor().total_cmp(&other.factor()));
    Ok(found)
}

/// Adds the limits of tables and partitions.
fn dynamodb(
    found: &mut LimitList,
    usage: &Usage,
    traffic: &Traffic,
    template: &Template,
) -> Result<(), Error> {
    let unit = "units a second";
    for (table, units) in &traffic.tables {
        let sides = [
            ("reads", units.read, NEW_TABLE_READS),
            ("writes", units.write, NEW_TABLE_WRITES),
        ];
        for (side, daily, new) in sides {
            let load = Traffic::at_peak(usage, daily) * usage.habits.burst;
            let what = format!("DynamoDB: table {table}, {side}");
            let while_new = format!("{what}, while the table is new");
            found.add(what, load, TABLE, unit, QUOTA);
            found.add(while_new, load, new, unit, NEW);
        }
    }
    for partition in partitions::hottest(usage, traffic, template)? {
        // Reading the followers of one author doesn't grow with the traffic.
        if !partition.what.contains("fan-out") {
            let what = format!("DynamoDB partition: {}", partition.what);
            found.add(what, partition.units, partition.limit, unit, FIXED);
        }
    }
    Ok(())
}

/// Returns sentences about limits that more traffic never meets.
pub(crate) fn bounded(template: &Template) -> Vec<String> {
    let in_flight = template.queues.values();
    let most = in_flight
        .map(|mapping| mapping.batch * mapping.concurrency)
        .fold(0.0, f64::max);
    vec![
        format!(
            "SQS in flight: {most} messages of a queue at the most while nothing fails, by BatchSize and MaximumConcurrency; {IN_FLIGHT} are allowed"
        ),
        format!(
            "ALB: no limit on requests (it grows by itself, about twofold within five minutes); {} of {RULES} rules",
            template.rules
        ),
    ]
}
